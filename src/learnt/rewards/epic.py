"""The canonical form of EPIC (Gleave et al., ICLR 2021): shaping is levelled with a coverage distribution.

    c(s, a, s') = R(s, a, s') + gamma m(s') - m(s) - gamma mbar
    m(s) = E_{A ~ D_A, S' ~ D_S} R(s, A, S'),   mbar = E_{S ~ D_S} m(S)

It removes potential shaping and nothing else: m reads transitions that cannot happen, so redistribution moves it
without bound, and it is NOT a STARC canonical form. Distances built on it can be near 0 between opposite rewards.
Our rewards are 0 on every transition out of a terminal state, possible or not; EPIC and DARD read those too, so with
terminal states they remove shaping only approximately.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float, Real

from learnt.core.errors import ShapeError
from learnt.rewards._checks import distributions, finite
from learnt.rewards.mdp import TabularMDP


def epic(
    reward: Real[np.ndarray, "*batch s a k"],
    mdp: TabularMDP,
    *,
    state_dist: Real[np.ndarray, "s"] | None = None,
    action_dist: Real[np.ndarray, "a"] | None = None,
) -> Float[np.ndarray, "*batch s a s"]:
    """EPIC's canonically shaped reward: (..., S, A, S or 1) -> (..., S, A, S).

    Args:
        reward: R(s, a, s').
        state_dist, action_dist: D_S (S,) and D_A (A,); None for uniform.

    Source: Gleave et al. 2021, Definition 4.1.
    """
    d_s = distribution(state_dist, mdp.n_states, "state_dist")
    d_a = distribution(action_dist, mdp.n_actions, "action_dist")
    full = np.broadcast_to(reward, (*reward.shape[:-1], mdp.n_states))
    mean = (full @ d_s) @ d_a
    ahead = mdp.discount * (mean - (mean @ d_s)[..., None])
    return full + ahead[..., None, None, :] - mean[..., :, None, None]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Epic:
    """EPIC's canonical form with coverage D_S (S,) and D_A (A,), None for uniform: not a STARC canonical form."""

    state_dist: np.ndarray | None = None
    action_dist: np.ndarray | None = None

    name: ClassVar[str] = "epic"
    is_starc: ClassVar[bool] = False

    def __call__(self, reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
        """(..., S, A, S or 1) -> (..., S, A, S)."""
        return epic(reward, mdp, state_dist=self.state_dist, action_dist=self.action_dist)


def distribution(values: np.ndarray | None, count: int, name: str) -> np.ndarray:
    """(count,) probabilities, uniform for None; raises ShapeError or InputError otherwise."""
    if values is None:
        return np.full(count, 1.0 / count)
    array = finite(values, name)
    if array.shape != (count,):
        raise ShapeError(name, found=f"shape {array.shape}", expected=f"({count},) probabilities")
    return distributions(array, name)
