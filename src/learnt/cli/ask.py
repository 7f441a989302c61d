"""`learnt compare` and `learnt measures`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from learnt.core.comparison import Comparison
    from learnt.core.errors import InputError

_CONDITION = re.compile(
    r"\s*([\w\[\],> .\-]+?)(?:\.(transfer|difference|gap|control))?\s*(<=|>=|<|>)\s*(-?[\d.]+(?:[eE]-?\d+)?)\s*"
)
_FORM = "QUESTION<NUMBER, such as 'agreement<0.9' or 'agreement.transfer<0.2'"


def compare(
    a: str,
    b: str,
    /,
    *,
    on: str,
    control: tuple[str, ...] = (),
    root: str | None = None,
    split: Literal["train", "validation", "test", "all"] = "test",
    limit: int | None = None,
    target: str | None = None,
    weights: tuple[Path, ...] = (),
    measures: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    outputs: Literal["auto", "logits", "probabilities"] = "auto",
    device: str | None = None,
    batch_size: int = 256,
    json: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    html: Path | None = None,
    overwrite: bool = False,
    fail_if: tuple[str, ...] = (),
    quiet: bool = False,
) -> int:
    """Ask what B shares with A, with a control and an interval on every number.

    Parameters
    ----------
    a
        The reference, as a model spec: run:PATH#NAME, FILE.py:factory, timm:NAME, torchvision:NAME, hf:ID.
    b
        What is compared with it.
    control
        An independently made model of B's kind; give it several times, or a run with several replicas.
    on
        Data: digits, wine, breast_cancer, shapes, mnist, fashion_mnist, cifar10, cifar100, a folder of images, .npz,
        .csv.
    root
        Folder that holds the files of a named data set.
    split
        Which part of the data.
    limit
        Use at most this many examples, chosen by their content.
    target
        Column of the class, for .csv and .tsv; "label" if not given.
    weights
        A weights file (.safetensors; .pt is converted in a sandbox) for each model spec that needs one, in the order
        A, B, controls.
    measures
        Questions to ask, by name (see: learnt measures); all that fit the data if not given.
    confidence
        Coverage of the intervals.
    resamples
        Repetitions of the bootstrap.
    seed
        Seed of everything random.
    outputs
        What the models return; auto takes logits and refuses what looks like probabilities.
    device
        Where to run the models, such as cpu or cuda.
    batch_size
        Examples per forward pass; changes no number.
    json
        Write the comparison as JSON to this file; - writes it to standard output instead of the table.
    html
        Write the report to this file.
    overwrite
        Replace existing output files.
    fail_if
        Exit with 1 if this holds, such as 'agreement<0.9' or 'agreement.transfer<0.2'; give it several times.
    quiet
        Print nothing but errors.
    """
    from learnt.core.compare import compare as ask
    from learnt.core.errors import InputError, StorageError

    conditions = [_parsed(text) for text in fail_if]
    for path in (json, html):
        if path is not None and str(path) != "-" and path.exists() and not overwrite:
            raise InputError(
                str(path), found="an existing file", expected="a new one", remedy="Pass --overwrite to replace it."
            )
        if path is not None and not path.parent.is_dir():  # said before the work, not after it
            raise StorageError(str(path), found=f"no directory {path.parent}", expected="an existing directory")
    data = data_for(on, root=root, split=split, limit=limit, target=target)
    chosen = _chosen(measures)
    files = iter(weights)
    things = [_open(spec, files) for spec in (a, b, *control)]
    if (left := next(files, None)) is not None:
        raise InputError(
            "--weights", found=f"{left}, which no model needs", expected="one file for each FILE.py:factory"
        )
    controls = [model for found in things[2:] for model in (found if isinstance(found, list) else [found])]

    def go(given: Any) -> Comparison:
        return ask(
            things[0], things[1], data, measures=chosen, controls=controls, confidence=confidence,
            resamples=resamples, rng=seed, outputs=given, device=device, batch_size=batch_size,
            labels=_labels(a, b, control), quiet=quiet,
        )  # fmt: skip

    try:
        found = go(outputs)
    except InputError as error:
        if "look like probabilities" not in str(error) or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise _with_flags(error) from None
        found = go(_asked(error))
    if json is not None and str(json) != "-":
        found.to_json(json)
        _told(json, quiet)
    if html is not None:
        found.to_html(html)
        _told(html, quiet)
    if json is not None and str(json) == "-":
        print(found.to_json(), end="")
    elif not quiet:
        print(found)
    return _judge(found, conditions)


def measures() -> None:
    """List the questions that can be asked, by name."""
    from learnt.catalogue import MEASURES

    width = max(len(m.name) for m in MEASURES())
    for measure in MEASURES():
        print(f"{measure.name:<{width}}  {measure.facts.question}  ({measure.facts.unit})")


def data_for(on: str, *, root: str | None, split: str, limit: int | None, target: str | None = None) -> Any:
    """The examples that --on names; shapes come with every shift and cue conflicts."""
    from learnt.data.load import load

    more: dict[str, Any] = {}
    if on == "shapes" and split != "train":
        from learnt.data.shapes import DOMAINS

        more = {"domains": list(DOMAINS), "conflict": True}
    if target is not None:
        more["target"] = target
    return load(on, root=root, split=split, limit=limit, **more)


def _open(spec: str, files: Any) -> Any:
    from learnt.adapters.open import load

    return load(spec, weights=None if spec.startswith("run:") else next(files, None))


def _labels(a: str, b: str, control: tuple[str, ...]) -> tuple[str, str, str]:
    names = [_short(a), _short(b), _short(control[0]) if len(set(control)) == 1 else "controls"]
    if len(set(names)) < 3:
        names = [f"{n} ({role})" for n, role in zip(names, ("A", "B", "control"), strict=True)]
    return names[0], names[1], names[2]


def _short(spec: str) -> str:
    if spec.startswith("run:"):
        return spec.rpartition("#")[2] if "#" in spec else spec
    file, _, factory = spec.rpartition(":")
    return f"{Path(file).name}:{factory}" if file.endswith(".py") else spec


def _chosen(names: tuple[str, ...]) -> list[Any] | None:
    from learnt.catalogue import MEASURES
    from learnt.core.errors import InputError

    if not names:
        return None
    wanted = [part for name in names for part in re.split(r",(?![^\[]*\])", name) if part]
    known = {m.name: [m] for m in MEASURES()}
    for m in MEASURES():
        known.setdefault(m.facts.name, []).extend([m] if m.name != m.facts.name else [])
    chosen: list[Any] = []
    for name in wanted:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=3, cutoff=0.3) or list(known)[:5]
            raise InputError(
                "--measures", found=repr(name), expected="a question's name", remedy=f"Nearest: {', '.join(near)}."
            )
        chosen += [m for m in known[name] if m not in chosen]
    return chosen


def _parsed(text: str) -> tuple[str, str, str, str, float]:
    from learnt.core.errors import InputError

    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InputError("--fail-if", found=repr(text), expected=_FORM)
    try:
        return text, match[1], match[2] or "value", match[3], float(match[4])
    except ValueError:
        raise InputError("--fail-if", found=repr(text), expected=_FORM) from None


def _judge(found: Comparison, conditions: list[tuple[str, str, str, str, float]]) -> int:
    crossed = 0
    tests = {"<": lambda x, y: x < y, ">": lambda x, y: x > y, "<=": lambda x, y: x <= y, ">=": lambda x, y: x >= y}
    for text, question, part, sign, limit in conditions:
        estimate = getattr(found[question], part)
        name = question if part == "value" else f"{question}.{part}"
        if estimate is None or not estimate.defined:  # what cannot be measured does not pass a gate
            reason = "not measured in this comparison" if estimate is None else estimate.reason
            print(f"learnt: --fail-if {text}: {name} is undefined ({reason})", file=sys.stderr)
            crossed = 1
        elif tests[sign](estimate.value, limit):
            print(f"learnt: --fail-if {text}: {name} is {estimate}", file=sys.stderr)
            crossed = 1
    return crossed


def _asked(error: InputError) -> str:
    """What the person at the terminal says the outputs are; the error if they do not say."""
    print(f"learnt: {error.argument}: found {error.found}.", file=sys.stderr)
    print("Are these probabilities? [y/n] ", end="", file=sys.stderr, flush=True)  # standard output may be a file
    try:
        answer = input().strip().lower()
    except EOFError:
        answer = ""
    if answer not in ("y", "yes", "n", "no"):
        raise _with_flags(error) from None
    return "probabilities" if answer.startswith("y") else "logits"


def _with_flags(error: InputError) -> InputError:
    remedy = error.remedy.replace("outputs='probabilities'", "--outputs probabilities")
    remedy = remedy.replace("outputs='logits'", "--outputs logits")
    return type(error)(error.argument, found=error.found, expected=error.expected, remedy=remedy)


def _told(path: Path, quiet: bool) -> None:
    if not quiet:
        print(f"wrote {path}", file=sys.stderr)
