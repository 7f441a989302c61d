"""How far apart are two rewards, up to shaping and scale? EPIC, the distance that STARC improves on.

    D_EPIC(R1, R2) = sqrt((1 - rho) / 2),   rho = Pearson correlation of canonical forms under a coverage D(s, a, s')

with the canonical form of `learnt.rewards.epic`. In [0, 1]; 1 between R and -R.

What it does not tell: EPIC keeps S'-redistribution, of which no policy can notice anything, so it is neither sound nor
complete as a bound on regret. With a redistribution K that is large beside R, D_EPIC(R + K, -R + K) is near 0 for two
rewards that order all policies in opposite ways, and D_EPIC(R, R + K) can be near 1 for two that order them alike.
`learnt.rewards.starc` has no such pairs. Shaping leaves the distance alone in processes without terminal states; where
episodes end, potentials are 0 at the end, and the mean over states that the form subtracts no longer cancels them.

Source: Gleave et al., Quantifying Differences in Reward Functions, ICLR 2021. Its code estimates the three means from
samples, or from a mesh; here they are sums. Terminal and unreachable states: as in `learnt.rewards.pearson`, and D_S is
uniform over reachable states unless it is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Real

from learnt.rewards.epic import Epic
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.pearson import form_distance


def epic_distance(
    r1: Any,
    r2: Any,
    mdp: TabularMDP,
    *,
    coverage: Real[np.ndarray, "s a ..."] | None = None,
    state_dist: Real[np.ndarray, "s"] | None = None,
    action_dist: Real[np.ndarray, "a"] | None = None,
) -> float:
    """EPIC distance of two rewards in one MDP, in [0, 1].

    Args:
        r1, r2: arrays (S, A, S), (S, A), (S,), or functions of (s, a, s'); see `learnt.rewards.view`.
        mdp: where they are compared.
        coverage: D (S, A, S), or D (S, A) with s' from the process; None for uniform over all (s, a, s').
        state_dist, action_dist: D_S (S,) and D_A (A,) of the canonical form; None for uniform (over reachable states).

    Returns:
        0 if both canonical forms are constant under the coverage, sqrt(1/2) if one is.

    Raises:
        InputError, ShapeError, NonFiniteError: on wrong shapes, distributions that are none, NaN or infinity.
        NotApplicable: rewards of which a sparse process kept the means, or a sparse process too large to unfold.

    Source: Gleave et al. 2021.
    """
    d_s = mdp.reachable / mdp.reachable.sum() if state_dist is None else state_dist
    form = Epic(state_dist=d_s, action_dist=action_dist)
    return form_distance(form, r1, r2, mdp, coverage=coverage)
