"""The classifier in integers: on which grid are votes exact, and how far may float sums be from them?

    exact     every weight is an integer multiple of 2^-s, and no sum reaches 2^(51 - s): then every float sum of the
              evaluators is the exact sum, and the first maximum of the integers is the prediction
    rounded   otherwise weights are rounded to a grid of at most `BITS` bits; with m summands and u = 2^-53
              |float sum - exact sum| <= (m + 1) u sum |w| / (1 - (m + 1) u)         [Higham 2002, lemma 3.1]
              |grid sum - exact sum|  <= sum of the rounding of each weight times its largest value
              A label may be the prediction if its grid vote is within twice the sum of both of every other.

Rounded, the text over-approximates: it allows the program's answer on every input, and others only where two labels
are nearly tied. A proof from it holds; a counterexample must be checked on the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, gcd
from typing import final

from learnt.programs.program import Program

BITS = 44  # of a rounded vote: near ties are then those below some 1e-12 of the largest vote
_SAFE = 51  # bits: sums of integers below 2^51 are exact in float64, and so are distinct means over an input


@final
@dataclass(frozen=True, kw_only=True)
class Votes:
    """The classifier on a grid.

    Attributes:
        unit: one step of the grid.
        weights: integers by variable: (cardinality, labels) for a categorical one, (labels,) for a numerical one.
        bound: no partial sum of votes is larger, in steps.
        slack: a label whose vote is this close to the highest may be the prediction, in steps; 0 if votes are exact.
    """

    unit: Fraction
    weights: Mapping[str, list[list[int]]]
    bound: int
    slack: int

    @property
    def width(self) -> int:
        """Bits of a vote in two's complement, with room for the slack."""
        return (self.bound + self.slack).bit_length() + 1


def votes(program: Program, highest: Mapping[str, int], length: int) -> Votes:
    """The classifier of a program on a grid.

    Args:
        program: has the classifier.
        highest: the largest value of each numerical variable.
        length: of the inputs, in tokens.
    """
    exact = {
        name: [[Fraction(w) for w in row] for row in (table if name in program.cardinality else [table])]
        for name, table in program.classifier.items()
    }
    sizes = {name: max((abs(w) for row in rows for w in row), default=Fraction(0)) for name, rows in exact.items()}
    summands = length if program.pool else 1
    total = summands * sum((size * highest.get(name, 1) for name, size in sizes.items()), Fraction(0))
    step = _common_step([w for rows in exact.values() for row in rows for w in row])
    if total / _power_inside(step) < 2**_SAFE:
        return Votes(
            unit=step,
            weights={name: [[int(w / step) for w in row] for row in rows] for name, rows in exact.items()},
            bound=int(total / step),
            slack=0,
        )
    step = _power_of_two(total / 2**BITS)
    weights = {name: [[round(w / step) for w in row] for row in rows] for name, rows in exact.items()}
    m = summands * (len(exact) + 1) + 2  # sums, the product of a numerical variable, the mean of a pooled program
    u = Fraction(1, 2**53)
    floats = total * (m + 1) * u / (1 - (m + 1) * u)
    grid = step / 2 * summands * sum(highest.get(name, 1) for name in exact)
    return Votes(
        unit=step, weights=weights, bound=ceil(total / step + grid / step), slack=ceil(2 * (floats + grid) / step)
    )


def _common_step(weights: list[Fraction]) -> Fraction:
    """The largest number of which all weights are multiples; 1 if all are zero."""
    denominator = max((w.denominator for w in weights), default=1)  # powers of two: the largest is a multiple of all
    step = 0
    for w in weights:
        step = gcd(step, int(w * denominator))
    return Fraction(step, denominator) if step else Fraction(1)


def _power_inside(step: Fraction) -> Fraction:
    """The largest power of two of which a number with a power of two as denominator is a multiple."""
    return Fraction(step.numerator & -step.numerator, step.denominator)


def _power_of_two(value: Fraction) -> Fraction:
    """The least power of two that is at least `value`."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length() - 1
    power = Fraction(2) ** exponent
    while power < value:
        power *= 2
    return power
