"""Is this table arithmetic, but for a few entries? Formulas of one or two variables, tried in a fixed order.

A candidate is worth trying when it is right for at least half as many entries as there are values, and for three;
its exceptions are then written as rules before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from learnt.programs._rules import Axis

_FORMULA, _NEVER = -3, -4  # as in learnt.programs._rules
_NOTHING = -(1 << 40)  # a formula without a value here


def candidates(
    axes: Sequence[Axis], codes: np.ndarray, numbers: bool, keys: frozenset[int] | None
) -> Iterator[tuple[str, int, np.ndarray]]:
    """(text, its cost beyond a value's, the table with the entries that the formula gives marked) for each candidate.

    Args:
        axes: variables of the table.
        codes: the table.
        numbers: whether the answers are numbers.
        keys: the values that answers are compared with: any other one will do where the table has NEVER.
    """
    if not 1 <= len(axes) <= 2 or not codes.size:
        return
    occurring = np.array(sorted(keys or ()), dtype=np.int64)
    if any(axis.ordered != numbers for axis in axes):
        return  # a token is no number
    valued = codes >= 0
    for text, extra, values in _formulas(axes, codes):
        right = (values == codes) & valued
        if keys is not None:
            right |= (codes == _NEVER) & ~np.isin(values, occurring) & (values != _NOTHING)
        whole = bool(right[valued].all())
        if not whole and len(axes) == 1 and "//" in text:
            continue  # a fraction with exceptions says less than thresholds do
        if right.sum() >= max(3, valued.sum() / 2):
            yield text, extra if whole else extra + 1, np.where(right, _FORMULA, codes)


def _formulas(axes: Sequence[Axis], codes: np.ndarray) -> Iterator[tuple[str, int, np.ndarray]]:
    if len(axes) == 1:
        yield from _of_one(axes[0], codes)
    elif axes[0].ordered:
        yield from _of_two(axes[0], axes[1], codes)


def _of_one(axis: Axis, codes: np.ndarray) -> Iterator[tuple[str, int, np.ndarray]]:
    x = np.array(axis.values)
    yield axis.name, 0, x
    if not axis.ordered:
        return
    shift = _most_common(codes, codes - x)
    if shift:
        yield _shifted(axis.name, shift), 1, x + shift
    total = _most_common(codes, codes + x)
    name = f"({axis.name})" if " " in axis.name else axis.name
    yield f"{total} - {name}", 1, total - x
    for divisor in (2, 3, 4):
        shift = _most_common(codes, codes - x // divisor)
        yield _shifted(f"{name} // {divisor}", shift), 2 if shift else 1, x // divisor + shift


def _of_two(first: Axis, second: Axis, codes: np.ndarray) -> Iterator[tuple[str, int, np.ndarray]]:
    a, b = np.array(first.values)[:, None], np.array(second.values)[None, :]
    p, q = first.name, second.name
    for text, values in ((f"{p} - {q}", a - b), (f"{q} - {p}", b - a), (f"{p} + {q}", a + b)):
        shift = _most_common(codes, codes - values)
        yield _shifted(text, shift), 2 if shift else 1, values + shift
        modulus = int(codes.max()) + 1
        if modulus > 1 and (values.min() < 0 or values.max() >= modulus):
            shift = _most_common(codes, (codes - values) % modulus)
            yield f"({_shifted(text, shift)}) % {modulus}", 3 if shift else 2, (values + shift) % modulus
    yield f"max({p}, {q})", 2, np.maximum(a, b)
    yield f"min({p}, {q})", 2, np.minimum(a, b)
    for text, over, under in ((f"{p} // {q}", a, b), (f"{q} // {p}", b, a)):
        yield text, 1, np.where(under > 0, over // np.maximum(under, 1), _NOTHING)


def _most_common(codes: np.ndarray, differences: np.ndarray) -> int:
    """The difference that occurs most often where the table has values; of equal ones the nearest to 0."""
    found, counts = np.unique(differences[codes >= 0], return_counts=True)
    if not len(found):
        return 0
    ranked = sorted(zip(counts.tolist(), found.tolist(), strict=True), key=lambda pair: (-pair[0], abs(pair[1]), pair))
    return int(ranked[0][1])


def _shifted(text: str, shift: int) -> str:
    if not shift:
        return text
    return f"{text} {'+' if shift > 0 else '-'} {abs(shift)}"
