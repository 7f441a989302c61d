"""How the laws ask a measure, and how they say that it broke one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from learnt.core.measure import Evidence, Measure, Sums, Undefined
from learnt.testing.worlds import Case, World, seeds

AnyMeasure = Measure[Any, Any]


class Broken(Exception):
    """A law does not hold; the text says what was expected and what was seen."""


def rng(*parts: int) -> np.random.Generator:
    """The generator handed to measures in checks."""
    return np.random.default_rng([7, *parts])


def evidence(measure: AnyMeasure, case: Case, *, first: Any = None, second: Any = None, salt: int = 0) -> Evidence:
    """The evidence of one comparison, prepared afresh."""
    a = case.view(case.a if first is None else first, "a")
    b = case.view(case.b if second is None else second, "b")
    states = [measure.prepare(x, case.data, rng=rng(salt)) for x in (a, b)]
    return measure.compare(states[0], states[1], rng=rng(salt, 1))


def number(found: Evidence) -> float:
    """The value of a piece of evidence; NaN if undefined."""
    if isinstance(found, Sums):
        with np.errstate(all="ignore"):
            return float(found.combine(np.asarray(found.columns, dtype=np.float64).mean(0)))
    return math.nan if isinstance(found, Undefined) else float(found.value)


def value(measure: AnyMeasure, case: Case, **options: Any) -> float:
    """The value of one comparison; NaN if undefined."""
    return number(evidence(measure, case, **options))


def cases(world: World, count: int = 3) -> Iterator[Case]:
    """The cases a law looks at."""
    for seed in seeds(count):
        yield world.case(seed)


def close(found: float, wanted: float, tolerance: float = 1e-6) -> bool:
    """Equality to a tolerance relative to the larger of 1 and the numbers; two undefined values are equal."""
    if math.isnan(found) or math.isnan(wanted):
        return math.isnan(found) and math.isnan(wanted)
    return abs(found - wanted) <= tolerance * max(1.0, abs(found), abs(wanted))


def same(found: float, wanted: float, what: str, tolerance: float = 1e-6) -> None:
    """Raise Broken unless two numbers are equal to a tolerance."""
    if not close(found, wanted, tolerance):
        raise Broken(f"{what}: {found!r} instead of {wanted!r}")
