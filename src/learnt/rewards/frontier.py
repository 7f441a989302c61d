"""If the proxy is optimised only so far, how much true return is at stake?

    lowest(q), highest(q) = min, max { J1(pi) : J2(pi) >= min J2 + q range(J2) },   as shares of the range of J1

The pairs (J1, J2) of all policies fill a convex polygon, and these are its two sides seen from the top of the proxy.
Corners are found by solving for weighted sums of both rewards: for each quantile the chord across it is pushed
outwards until no policy lies beyond (dichotomic search), so that the numbers are exact, and corners found for one
quantile serve all others. At q = 1 the two are the tie rules of `learnt.rewards.optimal_regret`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnt.core.errors import InputError
from learnt.rewards._aim import Aim, Pair, aim, pair
from learnt.rewards._checks import finite
from learnt.rewards._live import EPS, Plan
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.optimal_regret import face

BEYOND = 64 * EPS  # how far beyond a chord a corner must lie, on the common scale


@dataclass(frozen=True, eq=False, kw_only=True)
class ProxyFrontier:
    """True return among the policies that reach a quantile of the proxy's range.

    Attributes:
        quantiles: (Q,) of the proxy's range, 0 its worst and 1 its best policy.
        lowest, highest: (Q,) share of the range of the true return, 0 its worst and 1 its best policy.
        true_range, proxy_range: highest minus lowest return of each reward.
        trivial_true, trivial_proxy: whether a reward cares about no policy. A trivial proxy excludes none; with a
            trivial true reward nothing can be lost, and both shares are 1.
    """

    quantiles: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    true_range: float
    proxy_range: float
    trivial_true: bool
    trivial_proxy: bool


def proxy_frontier(
    true: Any, proxy: Any, mdp: TabularMDP, quantiles: Sequence[float] | np.ndarray = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
) -> ProxyFrontier:
    """Lowest and highest true return of the policies that reach given quantiles of the proxy's range.

    Args:
        true, proxy: rewards, as anything `TabularMDP.subject` takes.
        mdp: the process, dense or sparse.
        quantiles: (Q,) numbers in [0, 1].

    Raises:
        InputError, ShapeError, NonFiniteError: on bad rewards or quantiles.
    """
    q = finite(quantiles, "quantiles")
    if q.ndim != 1 or not ((q >= 0.0) & (q <= 1.0)).all():
        raise InputError("quantiles", found=f"{quantiles!r}"[:80], expected="a list of numbers in [0, 1]")
    return frontier_of(aim(true, mdp, name="true"), aim(proxy, mdp, name="proxy"), q)


def frontier_of(true: Aim, proxy: Aim, quantiles: np.ndarray) -> ProxyFrontier:
    """The frontier of two prepared rewards of one process."""
    both = pair(true, proxy)
    sides = np.zeros((2, len(quantiles)))
    if true.trivial:
        sides[:] = 1.0
    elif proxy.trivial:
        sides[1] = 1.0
    else:
        starts = both.plan(true.bottom), both.plan(true.top)
        floor = np.array([starts[0].returns[0], both.plan(proxy.bottom).returns[1]])
        for row, (sign, start, end) in enumerate(zip((-1.0, 1.0), starts, face(both), strict=True)):
            sides[row] = _side(both, quantiles, sign, start, end, floor)
    return ProxyFrontier(
        quantiles=quantiles,
        lowest=sides[0],
        highest=sides[1],
        true_range=true.size,
        proxy_range=proxy.size,
        trivial_true=true.trivial,
        trivial_proxy=proxy.trivial,
    )


def _side(both: Pair, quantiles: np.ndarray, sign: float, start: Plan, end: Plan, floor: np.ndarray) -> np.ndarray:
    """(Q,) furthest true return in the direction `sign`, where the proxy returns at least each quantile.

    Args:
        start: a policy that is furthest in that direction; `end`: the furthest of the best for the proxy.
        floor: (2,) lowest returns of both rewards.
    """
    corners = [start, end]

    def place(plan: Plan) -> tuple[float, float]:
        return sign * float(plan.returns[0] - floor[0]), float(plan.returns[1] - floor[1])

    def reach(q: float) -> float:
        while True:
            above = next((i for i, corner in enumerate(corners) if place(corner)[1] >= q), len(corners) - 1)
            if above == 0:
                return place(corners[0])[0]
            (x0, y0), (x1, y1) = place(corners[above - 1]), place(corners[above])
            across, up = x0 - x1, y1 - y0
            if across <= 0.0:  # nothing is given up for the proxy
                return x1
            chord = x1 + across * max(0.0, y1 - q) / up
            found = both.furthest((sign * up, across), (corners[above - 1], corners[above]))
            x, y = place(found)
            if up * (x - x1) + across * (y - y1) <= BEYOND * (up + across) or not y0 < y < y1:
                return chord
            corners.insert(above, found)

    return np.clip([sign * reach(float(q)) for q in quantiles], 0.0, 1.0)
