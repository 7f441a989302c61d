"""What is the angle between two rewards, seen from what policies can do? The angle of Goodhart's law.

    angle(R1, R2) = arccos( <c1, c2> / (|c1| |c2|) ),   <x, y> = sum_sa D(s, a) x(s, a) y(s, a)

with c the smallest equivalent reward in that norm (`learnt.rewards.minimal`); for D = 1 it is the projection of the
expected reward on the directions in which occupancies can move. While the angle between the proxy and the true reward
is small, optimising the proxy a little is safe; the further it is, the earlier optimisation begins to hurt.

One angle, four names. On the same pair of forms, in the same L2 norm,

    STARC distance              d = 2 sin(angle / 2)
    Pearson distance (EPIC's)   D = sin(angle / 2)          the forms have mean 0 where no state is terminal
    NPEC, normalised                sin(angle), and 1 from 90 degrees on

The first holds for `starc_distance` with ``"minimal"`` and ``"weighted_l2"``. EPIC and NPEC themselves use forms that
keep redistribution; where dynamics are deterministic, NPEC with coverage D of (s, a) has the same form and angle.

Source: Karwowski et al., Goodhart's Law in Reinforcement Learning, ICLR 2024; Skalse et al. 2024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Real

from learnt.rewards._scale import largest_read
from learnt.rewards.canonical import canonical
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import Minimal
from learnt.rewards.starc import TRIVIAL, reward_for


def goodhart_angle(r1: Any, r2: Any, mdp: TabularMDP, *, weight: Real[np.ndarray, "s a"] | None = None) -> float:
    """Angle between the smallest rewards equivalent to two rewards of one MDP, in radians, 0 to pi.

    Args:
        r1, r2: arrays (S, A, S), (S, A), (S,), or functions of (s, a, s'); see `learnt.rewards.view`.
        mdp: where they are compared, dense or sparse.
        weight: D (S, A), positive; None for 1.

    Returns:
        0 if both rewards are trivial, pi / 2 if one is.

    Raises:
        InputError, ShapeError, NonFiniteError: on wrong shapes, weights that are not positive, NaN or infinity.

    Source: Karwowski et al. 2024.
    """
    form = Minimal(weight=weight)
    root = 1.0 if weight is None else np.sqrt(np.asarray(weight, dtype=np.float64))
    units = []
    for r, name in ((r1, "r1"), (r2, "r2")):
        reward = reward_for(form, r, mdp, name)
        top = float(largest_read(reward, mdp, possible=True)) or 1.0  # squares of tiny or huge rewards stay in range
        c = root * canonical(mdp.expected(reward)[..., None] / top, mdp, form)[..., 0]
        size = float(np.linalg.norm(c))
        units.append(np.zeros_like(c) if size <= TRIVIAL * float(np.max(root)) else c / size)
    first, second = units
    if not (first.any() and second.any()):
        return 0.0 if first.any() == second.any() else float(np.pi / 2)
    return float(2 * np.arctan2(np.linalg.norm(first - second), np.linalg.norm(first + second)))
