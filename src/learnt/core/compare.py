"""The drivers: `compare` asks many questions of two things, `pairwise` asks one question of many.

They own subjects (evaluation mode, device, batching), random streams, resampling, controls and corrections. A
measure supplies the mathematics and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from learnt.core import gallery
from learnt.core.comparison import Answer, Comparison, Side, Verdict
from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.estimate import Estimate, Kind
from learnt.core.examples import Examples, as_examples
from learnt.core.matrix import ComparisonMatrix
from learnt.core.measure import Evidence, Exact, Groups, Measure, Undefined
from learnt.core.statistics import Resampler, holm, replica_noise, seed_permutation_p, two_sided_p
from learnt.core.subject import Subject
from learnt.core.version import provenance

Ticker = Callable[[int, str], AbstractContextManager[Callable[[str], None]]]


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
    ticker: Ticker | None = None,
) -> Comparison:
    """Ask what b shares with a, question by question, with an interval and a control on every number.

    Args:
        a: the reference: a model, a `Population` or a sequence of models (replicas), or a reward.
        b: what is compared with it, of the same kinds.
        data: `Examples`, (inputs, labels), an array, a torch Dataset; or a `TabularMDP` for rewards.
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
        ticker: progress display: called with (steps, description), yields a function called once a step.

    Raises:
        InputError, ShapeError, NonFiniteError: bad arguments, outputs or data.
        NotApplicable: a measure that was asked for by name cannot be asked here.
    """
    if not 0 < confidence < 1:
        raise InputError("confidence", found=str(confidence), expected="a number between 0 and 1, such as 0.95")
    if len(labels) != 3 or len(set(labels)) != 3:
        raise InputError("labels", found=str(tuple(labels)), expected="three different names, for a, b and the controls")
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
            ("a", "b", "control"), labels, (replicas(a, "a"), replicas(b, "b"), replicas(controls, "controls", empty=True)), strict=True
        )
    }
    if isinstance(setting, Examples):
        _same_classes([s for subjects in sides.values() for s in subjects])
    questions = _questions(measures, setting)
    resampler = Resampler(resamples, rng)
    answers: list[Answer] = []
    left_out: list[tuple[str, str]] = []
    looks: dict[str, Any] = {}
    with (ticker or _silent)(len(questions), "Asking") as tick:
        for measure in questions:
            tick(measure.question)
            try:
                states = _prepare(measure, sides, setting, resampler)
                answers.append(_answer(measure, states, setting, resampler, confidence))
            except NotApplicable as error:
                if measures is not None:
                    raise
                left_out.append((measure.question, str(error)))
                continue
            if not looks and isinstance(setting, Examples) and type(measure).look is not Measure.look:
                looks = {side: gallery.looker(measure, found[0]) for side, found in states.items() if found}
    if not answers:
        raise NotApplicable(
            "measures", found=f"no question that can be asked on {setting.name!r}", expected="at least one",
            remedy="; ".join(f"{q} {r}" for q, r in left_out[:3]),
        )  # fmt: skip
    names = dict(zip(("a", "b", "control"), labels, strict=True))
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
        answers=tuple(_corrected(answers)),
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
    k = len(states)
    cells: list[list[Estimate]] = [[Estimate.undefined("not asked")] * k for _ in range(k)]
    for i in range(k):
        for j in range(k):
            if measure.facts.symmetric and measure.facts.kind == "pairwise" and j < i:
                cells[i][j] = cells[j][i]
                continue
            evidence = measure.compare(states[i], states[j], rng=resampler.rng(measure.name, "pair"))
            value, draws = resampler.draws(evidence, setting.keys)
            cells[i][j] = _estimate(evidence, value, draws, measure, setting.size, confidence)
    return ComparisonMatrix(
        question=measure.question, name=measure.name, unit=measure.facts.unit, names=tuple(labels),
        cells=tuple(tuple(row) for row in cells), data=setting.name, provenance=provenance(seed=rng, resamples=resamples),
    )  # fmt: skip


def replicas(things: Any, argument: str, *, empty: bool = False) -> list[Any]:
    """The replicas of one side: a `Population` or a list gives its members, anything else itself."""
    from torch import nn

    sequence = isinstance(things, (list, tuple)) or (
        not isinstance(things, nn.Module)
        and hasattr(things, "__len__")
        and hasattr(things, "__getitem__")
        and hasattr(things, "make")
    )
    members = [things[i] for i in range(len(things))] if sequence else [things]
    if not members and not empty:
        raise InputError(argument, found="an empty sequence", expected="at least one thing")
    return members


def _setting(data: Any) -> Any:
    """Whatever knows how to view a thing: it has `.subject`, `.size`, `.keys` and `.name`."""
    return data if hasattr(data, "subject") else as_examples(data)


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


def _answer(
    measure: Measure[Any, Any], states: dict[str, list[Any]], setting: Any, resampler: Resampler, level: float
) -> Answer:
    facts, notes = measure.facts, []
    is_property = facts.kind == "property"

    def ask(a: Any, b: Any) -> Evidence:
        evidence = measure.describe(b) if is_property else measure.compare(a, b, rng=resampler.rng(measure.name, "pair"))
        return Undefined(reason="the measure gave no evidence") if evidence is None else evidence

    references = states["a"][:1] if is_property else states["a"]
    found = {side: [[ask(a, x) for x in states[side]] for a in references] for side in ("b", "control")}
    found["a"] = [[ask(a, a) for a in states["a"]]] if is_property else []
    drawn = {side: _drawn(table, setting, resampler) for side, table in found.items()}
    noise = _noise(drawn, measure, resampler)
    centre = {side: (np.nanmean(v), d.mean((0, 1))) for side, (v, d) in drawn.items() if v.size}
    totals = {side: (float(v), d + noise[side]) for side, (v, d) in centre.items()}
    own = {side: (float(v), d + (noise[side] if drawn[side][0].shape[1] >= 2 else 0)) for side, (v, d) in centre.items()}
    one = found["b"][0][0]

    def estimate(values: tuple[float, np.ndarray]) -> Estimate:
        return _estimate(one, values[0], values[1], measure, setting.size, level)

    value = _or_reason(estimate(own["b"]), found["b"])
    control = _or_reason(estimate(own["control"]), found["control"]) if "control" in own else None
    if is_property:
        reference, target = _or_reason(estimate(own["a"]), found["a"]), totals["a"]
        gap = _span(one, own["b"][0] - own["a"][0], own["b"][1] - own["a"][1], setting.size, level)
    else:
        reference, gap = Estimate.exact(facts.identical, n=setting.size, level=level), None
        target = (facts.identical, np.full(resampler.repetitions, facts.identical))
    difference, transfer = None, Estimate.undefined("no control was given", level=level)
    p = seeds_p = smallest = None
    verdict: Verdict = "no control"
    if control is not None:
        delta = totals["b"][1] - totals["control"][1]
        raw = own["b"][0] - own["control"][0]
        difference = _span(one, raw, delta, setting.size, level)
        transfer = _transfer(raw, delta, target, totals["control"], one, setting.size, level)
        p = two_sided_p(delta) if difference.defined else None
        first, second = (list(drawn[s][0].mean(0)) for s in ("b", "control"))
        if len(second) >= 2 and difference.defined and not isinstance(one, Exact):
            seeds_p, smallest = seed_permutation_p(first, second)
        notes += _seed_notes(len(first), len(second), exact=isinstance(one, Exact))
        verdict = _verdict(transfer, p)
    return Answer(
        name=measure.name, group=facts.name, family=facts.family, question=measure.question, unit=facts.unit,
        kind=facts.kind, closer=facts.closer, low=facts.low, high=facts.high, value=value, reference=reference,
        control=control, difference=difference, gap=gap, transfer=transfer, verdict=verdict, p=p, seeds_p=seeds_p,
        seeds_p_smallest=smallest,
        replicas={side: tuple(float(x) for x in v.mean(0)) for side, (v, _) in drawn.items() if v.size},
        chart=_chart(measure, found), details=_details(found), how=facts.how, caveat=facts.caveat, cost=facts.cost,
        references=tuple((r.cite, r.identifier, r.where) for r in facts.references),
        params=asdict(measure) if is_dataclass(measure) else {}, notes=tuple(notes),
    )  # fmt: skip


def _drawn(table: list[list[Evidence]], setting: Any, resampler: Resampler) -> tuple[np.ndarray, np.ndarray]:
    """Values (M, K) and draws (M, K, B) of a table of evidence: M references times K things."""
    if not table or not table[0]:
        return np.zeros((1, 0)), np.zeros((1, 0, resampler.repetitions))
    pairs = [[resampler.draws(evidence, setting.keys) for evidence in row] for row in table]
    return np.array([[v for v, _ in row] for row in pairs]), np.array([[d for _, d in row] for row in pairs])


def _noise(drawn: dict[str, tuple[np.ndarray, np.ndarray]], measure: Any, resampler: Resampler) -> dict[str, np.ndarray]:
    """Seed noise (B,) of each side's mean: of its own replicas, and of the replicas of the reference."""
    rng, noise = resampler.rng, {}
    counts = {side: v.shape[1] for side, (v, _) in drawn.items()}
    for side, (values, draws) in drawn.items():
        pool, stream = draws.mean(0), side
        if counts[side] == 1 and side == "b" and counts["control"] >= 2:
            pool, stream = drawn["control"][1].mean(0), "control"  # one thing: borrow the spread of the controls
        if counts[side] == 1 and side == "control" and counts["b"] >= 2:
            pool, stream = drawn["b"][1].mean(0), "b"
        total = np.zeros(draws.shape[-1])
        if counts[side] >= 1:
            total += replica_noise(pool, counts[side], picks=rng("replicas", side), scale=rng("scale", stream))
            total += replica_noise(draws.mean(1), len(values), picks=rng("replicas", "ref"), scale=rng("scale", "ref"))
        noise[side] = total
    return noise


def _estimate(evidence: Evidence, value: float, draws: np.ndarray, measure: Any, n: int, level: float) -> Estimate:
    if isinstance(evidence, Undefined):
        return Estimate.undefined(evidence.reason, n=n, level=level)
    low, high = measure.facts.low, measure.facts.high
    return Estimate.from_draws(value, draws, level=level, n=n, kind=_kind(evidence, draws), low=low, high=high)


def _kind(evidence: Evidence, draws: np.ndarray) -> Kind:
    if isinstance(evidence, Exact):
        return "exact" if np.ptp(draws) == 0 else "bootstrap"
    return "jackknife" if isinstance(evidence, Groups) else "bootstrap"


def _span(evidence: Evidence, value: float, draws: np.ndarray, n: int, level: float) -> Estimate:
    if isinstance(evidence, Undefined):
        return Estimate.undefined(evidence.reason, n=n, level=level)
    return Estimate.from_draws(value, draws, level=level, n=n, kind=_kind(evidence, draws))


def _or_reason(estimate: Estimate, table: list[list[Evidence]]) -> Estimate:
    """Undefined with the measure's own reason if any replica has no number."""
    for row in table:
        for evidence in row:
            if isinstance(evidence, Undefined):
                return Estimate.undefined(evidence.reason, n=estimate.n, level=estimate.level)
    return estimate


def _transfer(
    raw: float,
    delta: np.ndarray,
    target: tuple[float, np.ndarray],
    control: tuple[float, np.ndarray],
    evidence: Evidence,
    n: int,
    level: float,
) -> Estimate:
    """(b - control) / (reference - control), spec 1.7; undefined where the controls are already at the reference."""
    room, rooms = target[0] - control[0], target[1] - control[1]
    if math.isnan(raw) or math.isnan(room):
        return Estimate.undefined("the value or its control is undefined", n=n, level=level)
    if abs(room) < max(1e-3, 2 * float(np.nanstd(rooms))):
        return Estimate.undefined(
            "the controls are as close to the reference as can be measured, so there is nothing left to transfer", n=n, level=level
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(rooms * room > 0, delta / rooms, np.nan)
    return Estimate.from_draws(raw / room, ratios, level=level, n=n, kind=_kind(evidence, delta))


def _verdict(transfer: Estimate, p: float | None) -> Verdict:
    """Before correction: `_corrected` turns verdicts that do not survive it into "not detected"."""
    if not transfer.defined:
        return "not measurable"
    if p is None:  # nothing varies: the numbers are exact
        return "transferred" if transfer.value > 0 else "reversed" if transfer.value < 0 else "not detected"
    if p >= 1 - transfer.level:
        return "not detected"
    return "transferred" if transfer.value > 0 else "reversed"


def _corrected(answers: list[Answer]) -> list[Answer]:
    from dataclasses import replace

    tested = [i for i, answer in enumerate(answers) if answer.p is not None and answer.transfer.defined]
    adjusted = dict(zip(tested, holm([answers[i].p or 0.0 for i in tested]), strict=True))
    done = []
    for i, answer in enumerate(answers):
        if i in adjusted:
            lost = adjusted[i] >= 1 - answer.value.level and answer.verdict in ("transferred", "reversed")
            verdict = "not detected" if lost else answer.verdict
            notes = answer.notes + (("does not survive the correction for asking many questions",) if lost else ())
            answer = replace(answer, p_adjusted=adjusted[i], verdict=verdict, notes=notes)
        done.append(answer)
    return done


def _seed_notes(k: int, j: int, *, exact: bool) -> list[str]:
    if exact and k == j == 1:
        return []
    if j == 1 and k == 1:
        return ["one model against one control: the interval covers the choice of examples, not of seeds"]
    if j == 1:
        return ["a single control: its seed variation is taken from the replicas of b"]
    if k == 1:
        return ["a single model: its seed variation is taken from the controls"]
    return []


def _details(found: dict[str, list[list[Evidence]]]) -> dict[str, dict[str, Any]]:
    """Details by side; numeric arrays of one shape are averaged over replicas, the rest is taken from the first."""
    merged: dict[str, dict[str, Any]] = {}
    for side, table in found.items():
        every = [dict(e.details) for row in table for e in row if e.details]
        if not every:
            continue
        merged[side] = {key: _merge([d[key] for d in every if key in d]) for key in every[0]}
    return merged


def _merge(values: list[Any]) -> Any:
    try:
        arrays = [np.asarray(v, dtype=np.float64) for v in values]
    except (TypeError, ValueError):
        return values[0]
    return np.mean(arrays, axis=0) if all(x.shape == arrays[0].shape for x in arrays) else values[0]


def _chart(measure: Measure[Any, Any], found: dict[str, list[list[Evidence]]]) -> Any:
    details = _details(found)
    return measure.chart(details) if details else None


class _silent:  # noqa: N801 (used as a function: the ticker that shows nothing)
    def __init__(self, steps: int, description: str) -> None:
        pass

    def __enter__(self) -> Callable[[str], None]:
        return lambda _text: None

    def __exit__(self, *_: object) -> None:
        return None
