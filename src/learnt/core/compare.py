"""The drivers: `compare` asks many questions of two things, `pairwise` asks one question of many.

They own subjects (evaluation mode, device, batching), random streams, resampling, controls and corrections. A
measure supplies the mathematics and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from learnt.core import gallery
from learnt.core.answering import answer, corrected, estimate_of
from learnt.core.comparison import Answer, Comparison, Side
from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.estimate import Estimate
from learnt.core.examples import Examples, as_examples
from learnt.core.matrix import ComparisonMatrix
from learnt.core.measure import Measure
from learnt.core.statistics import Resampler
from learnt.core.subject import Subject
from learnt.core.version import provenance
from learnt.train.progress import Progress, progress


def compare(
    a: Any,
    b: Any,
    data: Any,
    *,
    measures: Sequence[Measure[Any, Any]] | None = None,
    controls: Any = (),
    confidence: float = 0.95,
    rng: int = 0,
    resamples: int = 2000,
    device: Any = None,
    batch_size: int = 256,
    outputs: str = "auto",
    labels: Sequence[str] = ("a", "b", "control"),
    gallery_size: int = 8,
    quiet: bool | None = None,
    inside: Progress[Any] | None = None,
) -> Comparison:
    """Ask what b shares with a, question by question, with an interval and a control on every number.

    Args:
        a: the reference: a model, a `Population` or a sequence of models (replicas), a reward, or a program.
        b: what is compared with it, of the same kinds.
        data: `Examples`, (inputs, labels), an array, a torch Dataset; a `TabularMDP` for rewards; for programs a
            `Task`, a `Domain`, lists of tokens or `Sequences`.
        measures: questions to ask; None asks every question of the catalogue that this data can answer.
        controls: independently made things of b's kind; without them nothing can be said about transfer.
        confidence: coverage of the intervals, in (0, 1).
        rng: seed; the same seed gives the same bits on the same machine and thread count.
        resamples: repetitions of the bootstrap.
        device: where to run modules; None leaves each where it is. A copy is moved, never the original.
        batch_size: examples per forward pass; changes no number beyond float rounding.
        outputs: ``"logits"``, ``"probabilities"``, or ``"auto"``, which refuses what looks like probabilities.
        labels: how reports call a, b and the controls.
        gallery_size: examples of each kind to keep for the report.
        quiet: True shows no progress.
        inside: a progress bar that this comparison is a part of.

    Raises:
        InputError, ShapeError, NonFiniteError: bad arguments, outputs or data.
        NotApplicable: a measure that was asked for by name cannot be asked here.
    """
    if not 0 < confidence < 1:
        raise InputError("confidence", found=str(confidence), expected="a number between 0 and 1, such as 0.95")
    if len(labels) != 3 or len(set(labels)) != 3:
        raise InputError(
            "labels", found=str(tuple(labels)), expected="three different names, for a, b and the controls"
        )
    setting = _setting(data)
    options = {"device": device, "batch_size": batch_size, "outputs": outputs} if isinstance(setting, Examples) else {}
    seen: dict[int, Any] = {}

    def view(thing: Any, name: str) -> Any:
        if id(thing) not in seen:
            seen[id(thing)] = setting.subject(thing, name=name, **options)
        return seen[id(thing)]

    sides = {
        side: [view(x, f"{label}[{i}]" if len(xs) > 1 else label) for i, x in enumerate(xs)]
        for side, label, xs in zip(
            ("a", "b", "control"),
            labels,
            (replicas(a, "a"), replicas(b, "b"), replicas(controls, "controls", empty=True)),
            strict=True,
        )
    }
    if isinstance(setting, Examples):
        _same_classes([s for subjects in sides.values() for s in subjects])
    questions = _questions(measures, setting)
    resampler = Resampler(resamples, rng)
    answers: list[Answer] = []
    left_out: list[tuple[str, str]] = []
    looks: dict[str, Any] = {}
    with progress(len(questions), "asking", quiet=quiet, inside=inside) as bar:
        for measure in questions:
            bar.advance(0, description=measure.question)
            try:
                states = _prepare(measure, sides, setting, resampler)
                answers.append(answer(measure, states, setting, resampler, confidence))
            except NotApplicable as error:
                if measures is not None:
                    raise
                left_out.append((measure.question, str(error)))
                continue
            finally:
                bar.advance()
            if not looks and isinstance(setting, Examples) and type(measure).look is not Measure.look:
                looks = {side: gallery.looker(measure, found[0]) for side, found in states.items() if found}
    if not answers:
        raise NotApplicable(
            "measures", found=f"no question that can be asked on {setting.name!r}", expected="at least one",
            remedy="; ".join(f"{q} {r}" for q, r in left_out[:3]),
        )  # fmt: skip
    names: dict[str, str] = dict(zip(("a", "b", "control"), labels, strict=True))
    shown: tuple[gallery.Card, ...] = ()
    if isinstance(setting, Examples) and gallery_size > 0 and all(isinstance(s, Subject) for s in sides["a"]):
        shown = gallery.cards(sides["a"][0], sides["b"], sides["control"], names, looks, gallery_size)
    return Comparison(
        a=Side(label=labels[0], replicas=len(sides["a"])),
        b=Side(label=labels[1], replicas=len(sides["b"])),
        control=Side(label=labels[2], replicas=len(sides["control"])) if sides["control"] else None,
        data=setting.name,
        n=setting.size,
        confidence=confidence,
        answers=tuple(corrected(answers)),
        left_out=tuple(left_out),
        gallery=shown,
        provenance=provenance(seed=rng, resamples=resamples),
    )


def pairwise(
    things: Sequence[Any],
    data: Any,
    *,
    measure: Measure[Any, Any],
    names: Sequence[str] | None = None,
    confidence: float = 0.95,
    rng: int = 0,
    resamples: int = 2000,
    device: Any = None,
    batch_size: int = 256,
    outputs: str = "auto",
) -> ComparisonMatrix:
    """Ask one question of every pair of K things; K things cost K preparations.

    Returns:
        a matrix whose entry (i, j) is the answer with thing i as reference and thing j compared with it.
    """
    if len(things) < 2:
        raise InputError("things", found=f"{len(things)} thing(s)", expected="at least two")
    labels = list(names) if names is not None else [f"thing {i}" for i in range(len(things))]
    if len(labels) != len(things) or len(set(labels)) != len(labels):
        raise InputError("names", found=f"{len(labels)} names", expected=f"{len(things)} different names, one a thing")
    setting = _setting(data)
    options = {"device": device, "batch_size": batch_size, "outputs": outputs} if isinstance(setting, Examples) else {}
    if measure.variants(setting) != (measure,):
        raise InputError(
            "measure", found=f"{measure.name!r}, which stands for several questions on this data",
            expected="one question", remedy=f"Choose one of: {', '.join(m.name for m in measure.variants(setting))}.",
        )  # fmt: skip
    subjects = [setting.subject(x, name=label, **options) for x, label in zip(things, labels, strict=True)]
    if isinstance(setting, Examples):
        _same_classes(subjects)
    resampler = Resampler(resamples, rng)
    states = [measure.prepare(s, setting, rng=resampler.rng(measure.name, "prepare")) for s in subjects]
    k, is_property = len(states), measure.facts.kind == "property"  # of a property, a cell is a difference
    cells: list[list[Estimate]] = [[Estimate.undefined("not asked")] * k for _ in range(k)]
    for i in range(k):
        for j in range(k):
            if measure.facts.symmetric and not is_property and j < i:
                cells[i][j] = cells[j][i]
                continue
            evidence = measure.compare(states[i], states[j], rng=resampler.rng(measure.name, "pair"))
            [(value, draws)] = resampler.draws([evidence], setting.keys)
            cells[i][j] = estimate_of(
                evidence, value, draws, setting.size, confidence, bounds=None if is_property else measure.facts
            )
    return ComparisonMatrix(
        question=measure.question, name=measure.name, unit=measure.facts.unit, names=tuple(labels),
        cells=tuple(tuple(row) for row in cells), data=setting.name,
        provenance=provenance(seed=rng, resamples=resamples),
    )  # fmt: skip


def replicas(things: Any, argument: str, *, empty: bool = False) -> list[Any]:
    """The replicas of one side: a `Population` or a list gives its members, anything else itself."""
    from learnt.train.population import Population

    sequence = isinstance(things, (list, tuple, Population))
    members = [things[i] for i in range(len(things))] if sequence else [things]
    if not members and not empty:
        raise InputError(argument, found="an empty sequence", expected="at least one thing")
    return members


def _setting(data: Any) -> Any:
    """Whatever knows how to view a thing: it has `.subject`, `.size`, `.keys` and `.name`."""
    from learnt.programs.sequences import as_sequences  # tasks, domains and token lists are no arrays

    setting = data if hasattr(data, "subject") else as_sequences(data)
    if setting is None:
        setting = as_examples(data)
    if isinstance(setting, Examples) and setting.size < 2:
        raise InputError(setting.name, found="1 example", expected="at least 2, as one shows no variation")
    if isinstance(setting, Examples) and setting.is_classification and setting.labels is not None:
        only = int(setting.labels[0])
        if bool((setting.labels == only).all()):
            raise InputError(
                f"{setting.name}.labels", found=f"one class only ({only})", expected="at least two classes",
                remedy="Leave the labels out to ask the questions that need none.",
            )  # fmt: skip
    return setting


def _same_classes(subjects: Sequence[Subject]) -> None:
    first = subjects[0]
    for other in subjects[1:]:
        if other.logits.shape[1] != first.logits.shape[1]:
            raise ShapeError(
                other.name,
                found=f"{other.logits.shape[1]} outputs while {first.name} has {first.logits.shape[1]}",
                expected="the same set of classes",
                remedy="Map both to a common label set before comparing.",
            )


def _questions(measures: Sequence[Measure[Any, Any]] | None, setting: Any) -> list[Measure[Any, Any]]:
    if measures is None:
        from learnt.catalogue import MEASURES

        chosen: Sequence[Measure[Any, Any]] = [m for m in MEASURES() if isinstance(setting, m.facts.data)]
    else:
        chosen = [measures] if isinstance(measures, Measure) else list(measures)
    for measure in chosen:
        if not isinstance(measure, Measure):
            raise InputError("measures", found=repr(measure), expected="instances of learnt.Measure")
        if not isinstance(setting, measure.facts.data):
            raise NotApplicable(
                measure.name, found=f"data of type {type(setting).__name__}", expected=measure.facts.data.__name__
            )
    asked = [variant for measure in chosen for variant in measure.variants(setting)]
    names = [m.name for m in asked]
    for name in names:
        if names.count(name) > 1:
            raise InputError("measures", found=f"two questions named {name!r}", expected="different names")
    return asked


def _prepare(
    measure: Measure[Any, Any], sides: dict[str, list[Any]], setting: Any, resampler: Resampler
) -> dict[str, list[Any]]:
    done: dict[int, Any] = {}
    for subjects in sides.values():
        for s in subjects:
            if id(s) not in done:
                done[id(s)] = measure.prepare(s, setting, rng=resampler.rng(measure.name, "prepare"))
    return {side: [done[id(s)] for s in subjects] for side, subjects in sides.items()}
