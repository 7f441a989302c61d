"""Does it still work on longer inputs? Token and sequence accuracy by input length, with intervals.

Programs read positions one-hot, and rows of positions that training never showed are never learnt, so generalisation
to longer inputs is weak by construction; it is to be measured, not assumed. A program takes at most n_ctx tokens; for
longer ones the row says so. Where all inputs of a length are tried, the numbers are exact; else tokens and sequences
come with intervals, Wilson's for sequences, and for tokens the same with the number of sequences as sample size,
because tokens of one sequence are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError
from learnt.core.estimate import Estimate
from learnt.core.statistics import wilson
from learnt.programs.answers import Answerer
from learnt.programs.sequences import Sequences
from learnt.programs.task import Task
from learnt.programs.task_encoding import PAD


@final
@dataclass(frozen=True, kw_only=True)
class LengthRow:
    """Accuracy at one length.

    Attributes:
        length: as asked.
        inputs: tried.
        exhaustive: whether these are all inputs of the task at this length.
        tokens, sequences: shares of right scored positions, and of inputs without a wrong one.
    """

    length: int
    inputs: int
    exhaustive: bool
    tokens: Estimate
    sequences: Estimate


@final
@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Accuracy by length; prints as a table."""

    name: str
    rows: tuple[LengthRow, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.name}: accuracy by length",
            f"{'length':>6} {'inputs':>8}  {'tokens %':<22} {'sequences %':<22}",
        ]
        for row in self.rows:
            if not row.tokens.defined:
                lines.append(f"{row.length:>6} {row.inputs:>8}  {row.tokens.reason}")
                continue
            lines.append(
                f"{row.length:>6} {row.inputs:>8}  {_shown(row.tokens):<22} {_shown(row.sequences):<22}".rstrip()
            )
        return "\n".join(lines)

    def to_dict(self) -> list[dict[str, Any]]:
        """As plain lists and numbers."""
        return [
            {"length": r.length, "inputs": r.inputs, "exhaustive": r.exhaustive}
            | {"tokens": r.tokens.to_dict(), "sequences": r.sequences.to_dict()}
            for r in self.rows
        ]


def length_generalisation(
    thing: Any,
    task_at: Callable[[int], Task],
    lengths: Iterable[int],
    *,
    most: int = 20_000,
    samples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
    name: str = "",
) -> Lengths:
    """Accuracy of a program, a function from tokens to labels, or a network, by input length.

    Args:
        thing: what is asked; see `learnt.programs.answers`.
        task_at: length -> the task whose inputs have it, e.g. ``lambda n: tasks.sort(8, n + 2, min_length=n)``.
        lengths: to ask about.
        most: the largest set of inputs that is tried whole.
        samples, seed: how many distinct inputs are drawn from a larger one, at most, and from which stream.
        confidence: coverage of the intervals.
        name: shown in reports.

    Raises:
        InputError: no length, a task without oracle, a thing that cannot answer.
    """
    asked = list(lengths)
    if not asked or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in asked):
        raise InputError("lengths", found=repr(asked)[:60], expected="at least one positive integer")
    if not 0.0 < confidence < 1.0:
        raise InputError("confidence", found=repr(confidence), expected="a number between 0 and 1")
    shown = name or type(thing).__name__
    return Lengths(
        name=shown,
        rows=tuple(_row(thing, task_at(n), n, most, samples, seed, confidence, shown) for n in asked),
    )


def _row(
    thing: Any, task: Task, length: int, most: int, samples: int, seed: int, confidence: float, name: str
) -> LengthRow:
    inputs, whole = task.domain().cover(most, samples=samples, seed=seed)
    inputs = list(dict.fromkeys(inputs))
    longest = getattr(thing, "n_ctx", None)
    if isinstance(longest, int) and max(map(len, inputs)) > longest:
        no = Estimate.undefined(f"longer than n_ctx = {longest} tokens", n=0, level=confidence)
        return LengthRow(length=length, inputs=0, exhaustive=False, tokens=no, sequences=no)
    targets = task.answer(inputs).targets
    vocab, labels = getattr(thing, "vocab", task.vocab), getattr(thing, "labels", task.labels)
    data = Sequences(inputs, name=task.name, vocab=vocab, labels=labels, n_ctx=longest)
    answers = Answerer(thing, data, name=name).answers
    right, scored = np.zeros(len(inputs), dtype=np.int64), np.zeros(len(inputs), dtype=np.int64)
    for row, target in enumerate(targets):
        said = answers.of(row)
        wanted = target[:1] if answers.pool else target
        pairs = [(a, b) for a, b in zip(said, wanted, strict=True) if b != PAD]
        scored[row], right[row] = len(pairs), sum(a == b for a, b in pairs)
    keep = scored > 0
    if not keep.any():
        no = Estimate.undefined("no scored position", level=confidence)
        return LengthRow(length=length, inputs=len(inputs), exhaustive=whole, tokens=no, sequences=no)
    n = int(keep.sum())
    perfect = int((right == scored)[keep].sum())
    tokens = float(right.sum() / scored.sum())
    if whole:
        pair = Estimate.exact(tokens, n=n, level=confidence), Estimate.exact(perfect / n, n=n, level=confidence)
    else:
        low, high = wilson(perfect, n, level=confidence)
        sequences = Estimate(value=perfect / n, low=low, high=high, level=confidence, n=n)
        pair = _token_rate(n, tokens, confidence), sequences
    return LengthRow(length=length, inputs=len(inputs), exhaustive=whole, tokens=pair[0], sequences=pair[1])


def _token_rate(n: int, value: float, level: float) -> Estimate:
    """Wilson's interval of a token rate as if each of n sequences were one draw."""
    low, high = wilson(int(round(value * n)), n, level=level)
    return Estimate(value=value, low=min(low, value), high=max(high, value), level=level, n=n)


def _shown(estimate: Estimate) -> str:
    value, low, high = (f"{100 * v:.2f}" for v in (estimate.value, estimate.low, estimate.high))
    return value if estimate.kind == "exact" else f"{value} [{low}, {high}]"
