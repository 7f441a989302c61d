"""What is the smallest reward that differs by potential shaping alone?

    c(s, a, s') = R + gamma Phi*(s') - Phi*(s),   Phi* = argmin sum_sas' W (R + gamma Phi(s') - Phi(s))^2

It keeps redistribution, so it is NOT a STARC canonical form. Its L2 form is the divergence-free reward of Jenner et al.
(2022) for W = policy x transitions x stationary distribution. The S x S normal matrix is assembled from marginals of
W; the reference code descends a gradient for 3 to 23 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from jaxtyping import Float, Real

from learnt.core.errors import InputError, ShapeError
from learnt.rewards._checks import finite
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.shaping import shaped_apart

Weight = np.ndarray | Literal["transitions"] | None


def minimal_potential(
    reward: Real[np.ndarray, "*batch s a k"], mdp: TabularMDP, weight: Weight = None
) -> Float[np.ndarray, "*batch s a s"]:
    """The smallest reward that differs by shaping, in weighted L2: (..., S, A, S or 1) -> (..., S, A, S).

    Args:
        reward: R(s, a, s').
        weight: (S, A, S) weights W >= 0; ``"transitions"`` for P; None for 1.
    """
    shape = mdp.transitions.shape
    w = _weights(weight, mdp)
    free = ~mdp.terminal  # impossible transitions have weight too, also those into states that are never reached
    full = np.broadcast_to(reward, (*reward.shape[:-3], *shape))
    phi = np.zeros(full.shape[:-2])
    if not free.any():
        return shaped_apart(full, phi, mdp)
    weighted = np.where(mdp.reachable[:, None, None], w, 0.0) * full
    right = (weighted.sum((-1, -2)) - mdp.discount * weighted.sum((-3, -2)))[..., free]
    inverse = mdp.cached(("minimal potential", w.tobytes()), lambda: _inverse(w, mdp, free))
    if mdp.terminal.any():
        phi[..., free] = right @ inverse
        return shaped_apart(full, phi, mdp)
    right[..., -1] = -weighted.sum((-1, -2, -3))
    found = right @ inverse
    phi[..., :-1] = found[..., :-1]
    return shaped_apart(full, phi, mdp) + found[..., -1][..., None, None, None]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class MinimalPotential:
    """Smallest reward that differs by shaping, in L2 with entry weights (S, A, S), "transitions", or None for 1."""

    weight: Any = None

    name: ClassVar[str] = "minimal_potential"
    is_starc: ClassVar[bool] = False

    def __call__(self, reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
        """(..., S, A, S or 1) -> (..., S, A, S)."""
        return minimal_potential(reward, mdp, self.weight)


def _inverse(w: np.ndarray, mdp: TabularMDP, free: np.ndarray) -> np.ndarray:
    """Inverse of the normal matrix on the free states; pseudo-inverse where weights of 0 leave it singular.

    A constant potential changes every entry by the same small number, 1 - gamma. Where there is no terminal state to
    anchor it, the last potential is therefore replaced by a shift of all entries: digits then survive discounts near 1.
    """
    w = np.where(mdp.terminal[:, None, None] | ~mdp.reachable[:, None, None], 0.0, w)  # nothing is paid there
    flow, into, out = mdp.discount * w.sum(1), w.sum((0, 1)), w.sum((1, 2))
    matrix = np.diag(mdp.discount**2 * into + out) - flow - flow.T
    if not mdp.terminal.any():
        matrix[-1, :-1] = matrix[:-1, -1] = (mdp.discount * into - out)[:-1]
        matrix[-1, -1] = w.sum()
    return np.linalg.pinv(matrix[np.ix_(free, free)], rcond=1e-14, hermitian=True)


def _weights(weight: Weight, mdp: TabularMDP) -> np.ndarray:
    shape = mdp.transitions.shape
    if weight is None:
        return np.ones(shape)
    if isinstance(weight, str):
        if weight != "transitions":
            raise InputError("weight", found=repr(weight), expected='an array (S, A, S), "transitions" or None')
        return mdp.transitions
    array = finite(weight, "weight")
    if array.shape != shape:
        raise ShapeError("weight", found=f"shape {array.shape}", expected=f"{shape}")
    if (array < 0).any():
        raise InputError("weight", found="a negative weight", expected="weights of at least 0")
    return array
