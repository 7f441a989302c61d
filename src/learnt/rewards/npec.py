"""How near can shaping, shift and scale bring one reward to another? NPEC, in closed form.

    unnormalised(R1, R2) = min over lambda >= 0 and Phi of || lambda R1 + gamma Phi(s') - Phi(s) - R2 ||_D
    normalised           = unnormalised(R1, R2) / unnormalised(0, R2),  in [0, 1]

with ||x||_D^2 = E_D x(s, a, s')^2 under a coverage D. With a, b the smallest rewards that differ from R1, R2 by shaping
in that norm (`learnt.rewards.minimal_potential`),

    lambda = max(0, <a, b> / <a, a>),   unnormalised = || b - lambda a ||,
    normalised = sin(angle between a and b) if that is below 90 degrees, else 1.

A shift by a constant k is the potential -k / (1 - gamma) and needs no variable of its own; where episodes end it is
not a shaping, changes what policies are worth, and is not fitted. NPEC is no metric: it is not symmetric (the
normalised value is, unless one of the two is trivial), and it keeps redistribution, so it is neither sound nor
complete.

Source: Gleave et al., ICLR 2021 (Nearest Point in Equivalence Class). Their tabular code alternates between Phi and
(lambda, shift) and is far from the minimum after its 100 sweeps; their deep version descends a gradient. If R2 is a
shaping of zero, its normalised value is 0 by convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Real

from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal_potential import MinimalPotential
from learnt.rewards.pearson import CONSTANT, coverage_of
from learnt.rewards.shaping import live
from learnt.rewards.starc import reward_for


@dataclass(frozen=True, eq=False, kw_only=True)
class NPEC:
    """How near the equivalence class of the first reward comes to the second.

    Attributes:
        normalised: the distance as a share of that of the zero reward, in [0, 1].
        unnormalised: the distance, in units of the second reward.
        lambda_: the scale of the first reward at the nearest point; 0 if no positive one helps.
        potential: (S,) Phi of the nearest point lambda R1 + gamma Phi(s') - Phi(s); 0 in terminal and unreachable
            states.
    """

    normalised: float
    unnormalised: float
    lambda_: float
    potential: np.ndarray


def npec_distance(r1: Any, r2: Any, mdp: TabularMDP, *, coverage: Real[np.ndarray, "s a ..."] | None = None) -> NPEC:
    """Distance from the equivalence class of `r1` to `r2` under a coverage distribution.

    Args:
        r1, r2: arrays (S, A, S), (S, A), (S,), or functions of (s, a, s'); see `learnt.rewards.view`.
        mdp: where they are compared.
        coverage: D (S, A, S), or D (S, A) with s' from the process; None for uniform over all (s, a, s').

    Raises:
        InputError, ShapeError, NonFiniteError: on wrong shapes, a coverage that is none, NaN or infinity.
        NotApplicable: rewards of which a sparse process kept the means, or a sparse process too large to unfold.

    Source: Gleave et al. 2021; closed form derived here.
    """
    weight = coverage_of(coverage, mdp)
    form, root = MinimalPotential(weight=weight), np.sqrt(weight)
    rewards = [reward_for(form, r, mdp, name) for r, name in ((r1, "r1"), (r2, "r2"))]
    full = [np.broadcast_to(reward, weight.shape) for reward in rewards]
    tops = [float(np.abs(reward).max()) or 1.0 for reward in full]  # squares of tiny or huge rewards stay in range
    forms = [form(form(reward / top, mdp), mdp) for reward, top in zip(full, tops)]  # the second takes off rounding
    potentials = [_potential(c - reward / top, mdp) for c, reward, top in zip(forms, full, tops)]
    a, b = (_significant(root * c, root * reward / top) for c, reward, top in zip(forms, full, tops))
    size_a, size_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    scale = max(0.0, float((a * b).sum())) / size_a**2 if size_a else 0.0
    distance = float(np.linalg.norm(b - scale * a))
    return NPEC(
        normalised=min(1.0, distance / size_b) if size_b else 0.0,
        unnormalised=tops[1] * distance,
        lambda_=scale * (tops[1] / tops[0]),
        potential=tops[1] * (scale * potentials[0] - potentials[1]),
    )


def _significant(form: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """A form, or zeros if it is rounding noise beside the reward."""
    return np.zeros_like(form) if np.linalg.norm(form) <= CONSTANT * np.linalg.norm(reward) else form


def _potential(change: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    """(S,) Phi of gamma Phi(s') - Phi(s), read where s' = s."""
    states = np.arange(mdp.n_states)
    return np.where(live(mdp), -change[states, 0, states] / (1.0 - mdp.discount), 0.0)
