"""The canonical form of DARD (Wulfe et al., ICLR 2022): EPIC with the means taken under the dynamics.

    c(s, a, s') = R(s, a, s') + E_{A ~ D_A}[ gamma R(s', A, S'') - R(s, A, S') - gamma R(S', A, S'') ]
    S' ~ P(.|s, A),   S'' ~ P(.|s', A) in the first term and R(S', A, S'') in the last reads the S' and S'' drawn

The same A is meant everywhere, and S'' follows s'. The form removes shaping, but it is NOT equivalent to R: it
changes the order of policies, is not idempotent, and is no STARC canonical form. The reference code builds an
S^4 A array (32 GiB at 128 x 16); matrix products by action need S^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float, Real

from learnt.rewards.epic import distribution
from learnt.rewards.mdp import TabularMDP


def dard(
    reward: Real[np.ndarray, "*batch s a k"], mdp: TabularMDP, *, action_dist: Real[np.ndarray, "a"] | None = None
) -> Float[np.ndarray, "*batch s a s"]:
    """DARD's canonical reward: (..., S, A, S or 1) -> (..., S, A, S); S^3 A time, S^2 A memory.

    Args:
        reward: R(s, a, s').
        action_dist: D_A (A,); None for uniform.

    Source: Wulfe et al. 2022, Definition of the dynamics-aware transformation.
    """
    d_a = distribution(action_dist, mdp.n_actions, "action_dist")
    p = mdp.transitions
    full = np.broadcast_to(reward, (*reward.shape[:-1], mdp.n_states))
    mean = mdp.expected(full) @ d_a  # E_A r(s, A)
    both = np.zeros((*full.shape[:-3], mdp.n_states, mdp.n_states))
    for a, weight in enumerate(d_a):
        if weight:
            both += weight * (p[:, a] @ full[..., :, a, :] @ p[:, a].T)  # E R(S', a, S''), S' ~ P(s, a), S'' ~ P(s', a)
    change = mdp.discount * (mean[..., None, :] - both) - mean[..., :, None]
    return full + change[..., :, None, :]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Dard:
    """DARD's canonical form with action coverage D_A (A,), None for uniform: not a STARC canonical form."""

    action_dist: np.ndarray | None = None

    name: ClassVar[str] = "dard"
    is_starc: ClassVar[bool] = False

    def __call__(self, reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
        """(..., S, A, S or 1) -> (..., S, A, S)."""
        return dard(reward, mdp, action_dist=self.action_dist)
