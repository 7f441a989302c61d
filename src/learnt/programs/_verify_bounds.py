"""How large may a share still be, when so many of n random inputs showed it? Clopper and Pearson (1934), exact.

    upper(x, n)    = the p with P(Bin(n, p) <= x) = 1 - confidence        one-sided; x = 0: 1 - (1 - confidence)^(1/n)
    interval(x, n) = the same from both sides, with half of 1 - confidence on each

With none of n and 95 %, the bound is close to 3 / n.
"""

from __future__ import annotations

import math
from typing import Any

from learnt.core.errors import InputError
from learnt.programs._frozen import short


def upper(seen: int, n: int, confidence: float) -> float:
    """The one-sided upper bound on a share of which `seen` of `n` independent draws were part."""
    if seen >= n:
        return 1.0
    if seen == 0:
        return -math.expm1(math.log1p(-confidence) / n)
    from scipy.special import betaincinv

    return float(betaincinv(seen + 1, n - seen, confidence))


def interval(seen: int, n: int, confidence: float) -> tuple[float, float]:
    """The two-sided interval for a share of which `seen` of `n` independent draws were part."""
    side = 0.5 + confidence / 2
    return 1.0 - upper(n - seen, n, side), upper(seen, n, side)


def probability(value: Any, name: str) -> float:
    """A number strictly between 0 and 1; InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise InputError(name, found=short(value), expected="a number between 0 and 1, both excluded")
    return float(value)


def percent(share: float) -> str:
    """A share as text, with the digits that a small one needs."""
    return f"{100 * share:.3g} %"
