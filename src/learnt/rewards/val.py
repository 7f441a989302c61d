"""What does each action gain over a fixed policy? Value-adjusted levelling (VAL), Proposition 2 of the STARC paper.

    Val            c(s, a)     = E_{s'}[ R(s, a, s') + gamma V^pi(s') - V^pi(s) ] = r + X V^pi     the advantage of pi
    ValPotential   c(s, a, s') = R(s, a, s') + gamma V^pi(s') - V^pi(s)                      no mean over s'

The first removes shaping and redistribution, and is a canonical form for every FIXED policy; pi must not depend on R,
or the form is not linear. Its image is { f : sum_a pi(a|s) f(s, a) = 0 }. The second keeps redistribution, so it is
none.

Source: Skalse et al. 2024, Proposition 2. Their code iterates values to 1e-8 and knows the uniform policy only; this is
one linear solve, shared by all rewards of a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float, Real

from learnt.rewards.mdp import TabularMDP
from learnt.rewards.shaping import expected_rewards, shaped, shaped_apart


def val(
    expected: Real[np.ndarray, "*batch s a"], mdp: TabularMDP, policy: np.ndarray | None = None
) -> Float[np.ndarray, "*batch s a 1"]:
    """Value-adjusted levelling of expected rewards (..., S, A) -> (..., S, A, 1).

    Args:
        expected: mean of R over the next state.
        policy: (S, A) or (S,), the same for all rewards; None for the uniform one.

    Source: Skalse et al. 2024, Proposition 2.
    """
    r = expected_rewards(expected, mdp)
    return shaped(r, mdp.evaluate(r, policy), mdp)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Val:
    """Value-adjusted levelling with a fixed policy (S, A) or (S,), None for the uniform one: a STARC canonical form."""

    policy: np.ndarray | None = None

    name: ClassVar[str] = "val"
    is_starc: ClassVar[bool] = True

    def __call__(self, reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
        """(..., S, A, S or 1) -> (..., S, A, 1)."""
        return val(mdp.expected(reward), mdp, self.policy)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ValPotential:
    """Shaping by the value of a fixed policy, without the mean over the next state: not a STARC canonical form."""

    policy: np.ndarray | None = None

    name: ClassVar[str] = "val_potential"
    is_starc: ClassVar[bool] = False

    def __call__(self, reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
        """(..., S, A, S or 1) -> (..., S, A, S)."""
        return shaped_apart(reward, mdp.evaluate(mdp.expected(reward), self.policy), mdp)
