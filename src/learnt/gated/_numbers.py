"""Checked numbers for the closed forms, quotients smooth where their divisor vanishes, and one root finder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import finite as finite
from learnt.gated._frozen import whole as whole

MAX_LAYERS = 1_000_000  # more are the limit `very_deep_time`


def at_least(values: Any, name: str, least: float, *, why: str, strictly: bool = False) -> np.ndarray:
    """`finite`, and InputError where a value is below `least` (or equal to it, if `strictly`)."""
    array = finite(values, name)
    bad = array <= least if strictly else array < least
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f" at index {first}" if first else ""
        raise InputError(
            name, found=f"{array[first]:g}{where}", expected=f"numbers {'>' if strictly else '>='} {least:g}: {why}"
        )
    return array


def times(values: Any) -> np.ndarray:
    """Times t >= 0."""
    return at_least(values, "t", 0.0, why="time runs forward from the start of training")


def curvatures(values: Any) -> np.ndarray:
    """Eigenvalues d >= 0 of an input correlation."""
    return at_least(values, "d", 0.0, why="d is an eigenvalue of an input correlation")


def fractions(values: Any) -> np.ndarray:
    """Fractions of a target, above 0 and at most 1."""
    array = at_least(values, "fraction", 0.0, why="a share of the target s / d", strictly=True)
    if (array > 1).any():
        raise InputError("fraction", found=f"{array.max():g}", expected="numbers up to 1: a share of the target s / d")
    return array


def together(**named: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arrays broadcast against each other; raises ShapeError naming all of them if they do not fit."""
    try:
        return tuple(np.broadcast_arrays(*named.values()))
    except ValueError as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in named.items())
        raise ShapeError(", ".join(named), found=shapes, expected="shapes that broadcast") from error


def expm1_over(rate: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(1 - e^(-rate t)) / rate, for rate >= 0; t where rate is 0."""
    x = rate * t
    small = x < 1e-8  # the next term of the series is below 1e-17
    return np.where(small, t * (1 - x / 2), -np.expm1(-x) / np.where(rate > 0, rate, 1.0))


def log1p_over(rate: np.ndarray, x: np.ndarray) -> np.ndarray:
    """ln(1 + rate x) / rate; x where rate is 0."""
    y = rate * x
    small = np.abs(y) < 1e-8
    return np.where(small, x * (1 - y / 2), np.log1p(np.where(small, 0.0, y)) / np.where(small, 1.0, rate))


def quotient_integral(c: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Integral of dx / (x^2 + c) from `low` to `high`, any sign of c, continuous at c = 0; no pole in between."""
    root = np.sqrt(np.abs(c))
    across, along = high - low, c + low * high
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = np.where(across == 0, 0.0, across / along)
        x = root * slope
        square = c * slope**2
        flat = slope * (1 - square / 3 + square**2 / 5 - square**3 / 7)
        turning = np.arctan2(root * across, along) / root
        growing = np.arctanh(np.where(c < 0, x, 0.0)) / root
    small = ((np.abs(x) < 1e-3) & (along > 0)) | (across == 0)
    return np.where(small, flat, np.where(c > 0, turning, growing))


def where_time_is(
    t: np.ndarray,
    time: Callable[[np.ndarray, np.ndarray], np.ndarray],
    slope: Callable[[np.ndarray, np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Q between `low` and `high` with time(q) = t, elementwise: Newton's method kept inside a shrinking bracket.

    Args:
        t: (N,) times with time(low) <= t <= time(high).
        time, slope: an increasing function of q and its derivative, for the elements at the indices of the second
            argument only.
        low, high: (N,) the bracket.
    """
    low, high = low.copy(), high.copy()
    q, step = (low + high) / 2, high - low
    at = np.arange(len(t))
    for _ in range(200):
        here = q[at]
        miss = time(here, at) - t[at]
        low[at], high[at] = np.where(miss < 0, here, low[at]), np.where(miss < 0, high[at], here)
        with np.errstate(all="ignore"):
            newton = -miss / slope(here, at)
            good = (here + newton >= low[at]) & (here + newton <= high[at]) & (np.abs(newton) <= np.abs(step[at]) / 2)
        step[at] = np.where(good, newton, (low[at] + high[at]) / 2 - here)
        near = (np.abs(newton) <= 1e-14 * np.maximum(np.abs(here), 1.0)) | (miss == 0)
        q[at] = np.where(near, here, here + step[at])
        at = at[~near & (np.abs(step[at]) > 1e-14 * np.maximum(np.abs(here), 1.0))]
        if not len(at):
            break
    return q
