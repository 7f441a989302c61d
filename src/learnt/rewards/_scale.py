"""How large is a reward where it counts? The scale beside which a canonical form is rounding noise.

A form of STARC reads R only through its mean over next states that can follow, so what stands on impossible transitions
(tables are often filled with huge negative numbers there) must not decide whether the reward is trivial.
"""

from __future__ import annotations

import numpy as np

from learnt.rewards.mdp import TabularMDP


def largest_read(reward: np.ndarray, mdp: TabularMDP, *, possible: bool) -> np.ndarray:
    """(...) largest |R| of rewards (..., S, A, S or 1); with `possible`, on transitions that some policy can meet."""
    size = np.abs(reward)
    if possible:
        size = np.where(mdp.reachable[:, None, None], size, 0.0)
        if reward.shape[-1] != 1:
            size = np.where(mdp.transitions > 0, size, 0.0)
    return size.max((-3, -2, -1))
