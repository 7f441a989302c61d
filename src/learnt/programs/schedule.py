"""How fast do the choices become discrete? A temperature that falls geometrically, step by step.

    t_e = geomspace(start, end, epochs);  in epoch e: geomspace(t_e, t_{e+1}, batches);  in the last epoch: end

Both ends of an epoch are included, so that values at the boundaries repeat, as in the authors' code (arXiv 2306.01128,
section 3.2 names only the two ends, 3 and 0.01).
"""

from __future__ import annotations

import math

import numpy as np

from learnt.core.errors import InputError


def temperatures(start: float, end: float, *, epochs: int, batches: int) -> np.ndarray:
    """(epochs, batches) float64 temperatures.

    Args:
        start, end: temperatures above 0, start at least end.
        epochs, batches: positive numbers of epochs, and of steps in each.

    Raises:
        InputError: a temperature that is not positive or rises, a number below 1.
    """
    for name, value in (("start", start), ("end", end)):
        if not (isinstance(value, (int, float)) and value > 0 and math.isfinite(value)):
            raise InputError(f"temperature {name}", found=repr(value), expected="a positive number")
    if start < end:
        raise InputError("temperature", found=f"{start} to {end}", expected="a schedule that does not rise")
    for name, value in (("epochs", epochs), ("batches", batches)):
        if value < 1:
            raise InputError(name, found=str(value), expected="at least 1")
    ends = np.append(np.geomspace(start, end, epochs), end) if epochs > 1 else np.array([end, end])
    ends[-2:] = end
    return np.stack([np.geomspace(ends[e], ends[e + 1], batches) for e in range(epochs)])
