"""What is the smallest reward that orders policies in the same way? Orthogonal projections, in closed form.

With r the expected reward and X Phi the change by shaping (`learnt.rewards.shaping`),

    Minimal     c(s, a)     = r + X Phi*,   Phi* = argmin sum_sa D(s, a) (r + X Phi)^2
                              smallest in (sum_sa D sum_s' P R^2)^(1/2); with D = 1 it is r projected on the
                              directions in which occupancies can move
    MinimalL2   c(s, a, s') = (r + X Phi*) w P(s'|s, a),   Phi* = argmin sum_sa w (r + X Phi)^2
                              w = 1 / ||P(.|s, a)||^2; smallest in plain L2 over all (s, a, s')

Both are linear and STARC canonical forms. One QR of X for a process and a weight serves all its rewards (the normal
matrix would square the condition number, which grows like 1 / (1 - gamma)); large sparse processes use LSMR. The
reference code finds them by gradient descent, and its `minimal` leaves the equivalence class through a slip of
operator precedence (it computes shaped / p - others where (shaped - others) / p is meant).

Source: Skalse et al. 2024, Definition of minimal canonicalisation; closed forms derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Float, Real

from learnt.core.errors import InputError, ShapeError
from learnt.rewards._checks import finite
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.shaping import expected_rewards, live, shaped

DENSE = 500  # states up to which X is factored at once; beyond, least squares are solved iteratively
FACTORED = 4000  # states up to which X is factored if that fails: 4 actions need 0.5 GB


def minimal(
    expected: Real[np.ndarray, "*batch s a"], mdp: TabularMDP, *, weight: Real[np.ndarray, "s a"] | None = None
) -> Float[np.ndarray, "*batch s a 1"]:
    """The smallest equivalent reward in transition-weighted L2: (..., S, A) -> (..., S, A, 1).

    Args:
        expected: mean of R over the next state.
        weight: (S, A) positive weights D(s, a); None for 1.
    """
    r = expected_rewards(expected, mdp)
    d = np.ones(r.shape[-2:]) if weight is None else _positive(weight, mdp)
    return shaped(r, _projection(r, mdp, d), mdp)


def minimal_l2(expected: Real[np.ndarray, "*batch s a"], mdp: TabularMDP) -> Float[np.ndarray, "*batch s a s"]:
    """The smallest equivalent reward in plain L2 over (s, a, s'): (..., S, A) -> (..., S, A, S)."""
    r = expected_rewards(expected, mdp)
    w = 1.0 / np.square(mdp.transitions).sum(-1)
    return shaped(r, _projection(r, mdp, w), mdp) * (w[..., None] * mdp.transitions)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Minimal:
    """Smallest equivalent reward in L2 weighted by D(s, a) P(s'|s, a); D (S, A) positive, None for 1."""

    weight: np.ndarray | None = None

    name: ClassVar[str] = "minimal"
    is_starc: ClassVar[bool] = True

    def __call__(self, reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
        """(..., S, A, S or 1) -> (..., S, A, 1)."""
        return minimal(mdp.expected(reward), mdp, weight=self.weight)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class MinimalL2:
    """Smallest equivalent reward in plain L2 over all (s, a, s')."""

    name: ClassVar[str] = "minimal_l2"
    is_starc: ClassVar[bool] = True

    def __call__(self, reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
        """(..., S, A, S or 1) -> (..., S, A, S)."""
        return minimal_l2(mdp.expected(reward), mdp)


def _projection(r: np.ndarray, mdp: TabularMDP, weight: np.ndarray) -> np.ndarray:
    """(..., S) potential that minimises sum weight (r + X Phi)^2 over reachable states that are not terminal."""
    free = live(mdp)
    phi = np.zeros(r.shape[:-1])
    if not free.any():
        return phi
    root = np.sqrt(weight[free])
    target = -(root * r[..., free, :]).reshape(-1, root.size)
    key, count = ("projection", weight.tobytes()), int(free.sum())
    found = None if count <= DENSE else _by_iteration(mdp, free, root, target, key=("design", weight.tobytes()))
    if found is None:
        if count > FACTORED:
            raise InputError(
                "discount", found=f"{mdp.discount:g}, at which least squares over {count:,} states do not converge",
                expected="a smaller one",
            )  # fmt: skip
        found = _by_factors(mdp, free, root, target, key=key)
    phi[..., free] = found.reshape(*r.shape[:-2], -1)
    return phi


def _design(mdp: TabularMDP, free: np.ndarray, root: np.ndarray) -> Any:
    """Sparse sqrt(weight) X on the free states: (free A, free)."""
    from scipy import sparse

    rows = np.repeat(free, mdp.n_actions)
    count = int(free.sum())
    stay = sparse.csr_array(
        (np.ones(count * mdp.n_actions), (np.arange(count * mdp.n_actions), np.repeat(np.arange(count), mdp.n_actions)))
    )
    return sparse.diags_array(root.ravel()) @ (mdp.discount * mdp.kernel[rows][:, np.flatnonzero(free)] - stay)


def _by_factors(mdp: TabularMDP, free: np.ndarray, root: np.ndarray, target: np.ndarray, *, key: Any) -> np.ndarray:
    from scipy.linalg import solve_triangular

    q, upper = mdp.cached(key, lambda: np.linalg.qr(_design(mdp, free, root).toarray()))
    return solve_triangular(upper, (target @ q).T).T


def _by_iteration(
    mdp: TabularMDP, free: np.ndarray, root: np.ndarray, target: np.ndarray, *, key: Any
) -> np.ndarray | None:
    """The potentials, or None where LSMR has not come to rest."""
    from scipy.sparse.linalg import lsmr

    design = mdp.cached(key, lambda: _design(mdp, free, root).tocsr())
    found = []
    for row in target:
        phi, stop, *_ = lsmr(design, row, atol=1e-15, btol=1e-15, conlim=0.0, maxiter=2000)
        if stop == 7:
            return None
        found.append(phi)
    return np.stack(found)


def _positive(weight: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    array = finite(weight, "weight")
    if array.shape != (mdp.n_states, mdp.n_actions):
        raise ShapeError("weight", found=f"shape {array.shape}", expected=f"({mdp.n_states}, {mdp.n_actions})")
    if (array <= 0).any():
        raise InputError(
            "weight", found="a weight that is not positive", expected=f"({mdp.n_states}, {mdp.n_actions}) > 0"
        )
    return array
