"""How far apart are two rewards, if shaping is levelled on transitions that can happen? DARD.

    D_DARD(R1, R2) = sqrt((1 - rho) / 2),   rho = Pearson correlation of canonical forms under a coverage D(s, a, s')

with the canonical form of `learnt.rewards.dard`, which needs the transition probabilities. In [0, 1]; 1 between R and
-R.

What it does not tell: the form keeps S'-redistribution and is not even equivalent to R, so the distance is, like
EPIC's, neither sound nor complete: see `learnt.rewards.epic_distance`, whose counter-examples hold here too. Shaping
leaves the distance alone in processes without terminal states.

Source: Wulfe et al., Dynamics-Aware Comparison of Learned Reward Functions, ICLR 2022. S^3 A time, S^2 A memory; the
code of Skalse et al. (2024) needs S^4 A. Terminal and unreachable states: as in `learnt.rewards.pearson`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Real

from learnt.rewards.dard import Dard
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.pearson import form_distance


def dard_distance(
    r1: Any,
    r2: Any,
    mdp: TabularMDP,
    *,
    coverage: Real[np.ndarray, "s a ..."] | None = None,
    action_dist: Real[np.ndarray, "a"] | None = None,
) -> float:
    """DARD distance of two rewards in one MDP, in [0, 1].

    Args:
        r1, r2: arrays (S, A, S), (S, A), (S,), or functions of (s, a, s'); see `learnt.rewards.view`.
        mdp: where they are compared.
        coverage: D (S, A, S), or D (S, A) with s' from the process; None for uniform over all (s, a, s').
        action_dist: D_A (A,) of the canonical form; None for uniform.

    Returns:
        0 if both canonical forms are constant under the coverage, sqrt(1/2) if one is.

    Raises:
        InputError, ShapeError, NonFiniteError: on wrong shapes, distributions that are none, NaN or infinity.
        NotApplicable: rewards of which a sparse process kept the means, or a sparse process too large to unfold.

    Source: Wulfe et al. 2022.
    """
    form = Dard(action_dist=action_dist)
    return form_distance(form, r1, r2, mdp, coverage=coverage)
