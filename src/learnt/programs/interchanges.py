"""What changes if a variable holds here what it holds there? Interchange interventions, exact on programs.

    after = the labels of `base` in a run where `variable` has its values from the run on `source`

Geiger, Lu, Icard and Potts (2021), arXiv 2106.02997, for neural networks; in a program every variable is one that has
a meaning, and everything that reads it sees the exchanged value and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.programs._circuit_evaluator import Set, predictions_with
from learnt.programs._frozen import integer, short
from learnt.programs.evaluator import encode, evaluate
from learnt.programs.program import Program
from learnt.programs.task_encoding import Tokens


@final
@dataclass(frozen=True, kw_only=True)
class Interchange:
    """A run with a variable as it is on another input.

    Attributes:
        base, source: the inputs.
        variables: what was taken from the source.
        positions: (position in the base, position in the source) where it was.
        before, after: the labels of the base without and with it.
        other: the labels of the source.
    """

    base: Tokens
    source: Tokens
    variables: tuple[str, ...]
    positions: tuple[tuple[int, int], ...]
    before: Tokens
    after: Tokens
    other: Tokens

    @property
    def changed(self) -> tuple[int, ...]:
        """Where the labels of the base change; 0 if the program pools and its label does."""
        return tuple(i for i, (a, b) in enumerate(zip(self.before, self.after, strict=True)) if a != b)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"base    {' '.join(self.base)}: {' '.join(self.before)}",
                f"source  {' '.join(self.source)}: {' '.join(self.other)}",
                f"base with {', '.join(self.variables)} of the source: {' '.join(self.after)} "
                f"({len(self.changed)} changed)",
            )
        )

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "base": list(self.base),
            "source": list(self.source),
            "variables": list(self.variables),
            "positions": [list(pair) for pair in self.positions],
            "before": list(self.before),
            "after": list(self.after),
            "other": list(self.other),
        }


def interchange(
    program: Program,
    base: Sequence[str],
    source: Sequence[str],
    variable: str | Sequence[str],
    *,
    positions: Sequence[int] | Mapping[int, int] | None = None,
    unknown: str = "auto",
) -> Interchange:
    """What a program answers to one input when a variable holds what it holds on another.

    Args:
        program: the program.
        base: the input that is answered.
        source: the input whose values are taken.
        variable: a variable, or several at once: inputs or modules.
        positions: where: all by default (inputs of one length); some; or the position in the source by that in the
            base.
        unknown: what to do with tokens outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError: an unknown variable, a position outside an input, inputs that the program cannot take.
        ShapeError: inputs of different lengths and no positions.
    """
    if not isinstance(program, Program):
        raise InputError("program", found=short(program), expected="a Program")
    names = (variable,) if isinstance(variable, str) else tuple(variable)
    known = (*program.categorical, *program.numerical)
    if not names:
        raise InputError("variable", found="none", expected=f"some of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise InputError("variable", found=short(name), expected=f"one of {', '.join(known)}")
    batch, other = encode(program, [base], unknown=unknown), encode(program, [source], unknown=unknown)
    n, m = int(batch.lengths[0]), int(other.lengths[0])
    if positions is None:
        if n != m:
            raise ShapeError(
                "source", found=f"{m} tokens", expected=f"{n}, as the base", remedy="Or say which positions to take."
            )
        positions = range(n)
    pairs = positions.items() if isinstance(positions, Mapping) else ((i, i) for i in positions)
    taken = tuple((integer(i, "positions", 0, n - 1), integer(j, "positions", 0, m - 1)) for i, j in pairs)
    found = evaluate(program, other, keep=True)
    where = np.zeros((1, n), dtype=bool)
    changes = {}
    where[0, [i for i, _ in taken]] = True
    for name in names:
        values = np.zeros((1, n), dtype=np.int64)
        for i, j in taken:
            values[0, i] = found.variables[name][0, j]
        changes[name] = Set(values, where)
    ids = predictions_with(program, batch, changes)[0]
    return Interchange(
        base=tuple(base)[:n],
        source=tuple(source)[:m],
        variables=names,
        positions=taken,
        before=evaluate(program, batch).labels[0],
        after=tuple(program.labels[i] for i in ids.tolist()),
        other=found.labels[0],
    )
