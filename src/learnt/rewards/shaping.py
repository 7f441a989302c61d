"""Changes of a reward that no policy can notice: potential shaping and redistribution over the next state.

    R'(s, a, s') = R + gamma Phi(s') - Phi(s)          every return moves by the same constant, -mu0' Phi
    R' with sum_s' P(s'|s, a) (R' - R) = 0             no return moves

Potentials of terminal states are zero, as nothing is paid there. In expected rewards r(s, a) the first adds X Phi with
X[(s, a), k] = gamma P(k|s, a) - 1[k = s], and the second adds nothing.

Source: Ng, Harada, Russell 1999 (shaping); Skalse et al. 2024, Definitions of Section 2.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from learnt.core.errors import InputError, ShapeError
from learnt.rewards._checks import finite
from learnt.rewards.mdp import TabularMDP


def potential_shaping(
    reward: Real[np.ndarray, "s a k"], potential: Real[np.ndarray, "s"], mdp: TabularMDP
) -> Float[np.ndarray, "s a s"]:
    """R + gamma Phi(s') - Phi(s) for a reward (S, A, S) and a potential (S,): the same order of policies.

    Raises:
        InputError: if the potential is not zero in terminal states.
    """
    phi = finite(potential, "potential")
    if phi.shape != (mdp.n_states,):
        raise ShapeError("potential", found=f"shape {phi.shape}", expected=f"({mdp.n_states},)")
    if phi[mdp.terminal].any():
        raise InputError("potential", found="a value other than 0 in a terminal state", expected="0 there")
    shaped = reward + mdp.discount * phi[None, None, :] - phi[:, None, None]
    return np.where(mdp.terminal[:, None, None], 0.0, shaped)


def redistribution(
    reward: Real[np.ndarray, "s a k"], change: Real[np.ndarray, "s a s"], mdp: TabularMDP
) -> Float[np.ndarray, "s a s"]:
    """R plus the part of `change` (S, A, S) that has mean zero over the next state: the same order of policies."""
    moved = change - mdp.expected(change)[..., None]
    return reward + np.where(mdp.terminal[:, None, None], 0.0, moved)


def shaped(
    expected: Real[np.ndarray, "*batch s a"], potential: Real[np.ndarray, "*batch s"], mdp: TabularMDP
) -> Float[np.ndarray, "*batch s a 1"]:
    """Add X Phi to r: (..., S, A), (..., S) -> (..., S, A, 1), zero in terminal states."""
    form = expected + mdp.discount * mdp.ahead(potential) - potential[..., None]
    return np.where(mdp.terminal[:, None], 0.0, form)[..., None]


def shaped_apart(
    reward: Real[np.ndarray, "*batch s a k"], potential: Real[np.ndarray, "*batch s"], mdp: TabularMDP
) -> Float[np.ndarray, "*batch s a s"]:
    """R(s, a, s') + gamma Phi(s') - Phi(s) for batches: (..., S, A, S), zero in terminal states."""
    form = reward + mdp.discount * potential[..., None, None, :] - potential[..., :, None, None]
    return np.where(mdp.terminal[:, None, None], 0.0, form)


def live(mdp: TabularMDP) -> np.ndarray:
    """(S,) bool: states that are reached and not terminal, whose potentials are free."""
    return mdp.reachable & ~mdp.terminal


def expected_rewards(values: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    """`values` as finite (..., S, A) float64; raises ShapeError or NonFiniteError otherwise."""
    array = finite(values, "expected")
    if array.shape[-2:] != (mdp.n_states, mdp.n_actions) or array.ndim < 2:
        raise ShapeError("expected", found=f"shape {array.shape}", expected=f"(..., {mdp.n_states}, {mdp.n_actions})")
    return array
