"""What does a reward say about behaviour, once everything that no policy can notice is taken away?

Two rewards order all policies alike iff they differ by potential shaping, S'-redistribution and positive scaling
(Skalse et al. 2024). With r the expected reward and X[(s,a),k] = gamma P(k|s,a) - 1[k = s], so that shaping by Phi
adds X Phi to r, a canonical form removes the first two:

    val      c = r + X V^pi                                   the advantage of a fixed policy pi (Proposition 2)
    minimal  c = r + X Phi*,  Phi* = argmin sum_sa D(s,a) (r + X Phi)^2             smallest in transition-weighted L2
    minimal_l2   Phi* = argmin sum_sa w (r + X Phi)^2,  w = 1 / ||P(.|s,a)||^2,  c(s,a,s') = (r + X Phi*) w P(s'|s,a)
                                                               smallest in plain L2 over all (s, a, s')
    none     c = R                                            not a canonical form; for comparison only

The first three depend on R through r only, are linear, and cost one factorisation of an S x S matrix for any number of
rewards; the reference code finds the minimal ones by gradient descent (seconds to minutes, and its `minimal` leaves
the equivalence class through an operator precedence slip). Potentials of terminal states are zero, and states
that no policy reaches count for nothing.

Shapes: (..., S, A, 1) for forms that are constant in the next state, (..., S, A, S) for the others.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Real

from learnt.core.errors import InputError, ShapeError
from learnt.rewards._checks import finite as _finite
from learnt.rewards.mdp import TabularMDP

Canonicalisation = Literal["val", "minimal", "minimal_l2", "none"]
VALID: tuple[Canonicalisation, ...] = ("val", "minimal", "minimal_l2")  # these satisfy Definition 1 of the paper


def val(
    expected: Real[np.ndarray, "*batch s a"], mdp: TabularMDP, policy: np.ndarray | None = None
) -> Float[np.ndarray, "*batch s a 1"]:
    """Value-adjusted levelling of expected rewards (..., S, A) -> (..., S, A, 1).

    Args:
        expected: mean of R over the next state.
        policy: (S, A) or (S,), the same for all rewards; None for the uniform one.

    Source: Skalse et al. 2024, Proposition 2.
    """
    r = _expected(expected, mdp)
    return _shaped(r, mdp.evaluate(r, policy), mdp)


def minimal(
    expected: Real[np.ndarray, "*batch s a"], mdp: TabularMDP, *, weight: Real[np.ndarray, "s a"] | None = None
) -> Float[np.ndarray, "*batch s a 1"]:
    """The smallest equivalent reward in transition-weighted L2: (..., S, A) -> (..., S, A, 1).

    With equal weights this is the orthogonal projection of r onto the directions in which occupancies can move.

    Args:
        expected: mean of R over the next state.
        weight: (S, A) positive weights D(s, a); None for 1.
    """
    r = _expected(expected, mdp)
    d = np.ones(r.shape[-2:]) if weight is None else _positive(weight, mdp)
    return _shaped(r, _projection(r, mdp, d), mdp)


def minimal_l2(expected: Real[np.ndarray, "*batch s a"], mdp: TabularMDP) -> Float[np.ndarray, "*batch s a s"]:
    """The smallest equivalent reward in plain L2 over (s, a, s'): (..., S, A) -> (..., S, A, S)."""
    r = _expected(expected, mdp)
    w = 1.0 / np.square(mdp.transitions).sum(-1)
    return _shaped(r, _projection(r, mdp, w), mdp) * (w[..., None] * mdp.transitions)


def canonical(
    reward: Real[np.ndarray, "*batch s a s"],
    mdp: TabularMDP,
    canonicalisation: Canonicalisation = "val",
    *,
    policy: np.ndarray | None = None,
    weight: Real[np.ndarray, "s a"] | None = None,
) -> Float[np.ndarray, "*batch s a k"]:
    """Canonical form of rewards (..., S, A, S): (..., S, A, 1) or (..., S, A, S), zero in unreachable states.

    Raises:
        InputError: on an unknown canonicalisation, or a policy or weight that it has no use for.
    """
    if canonicalisation not in get_args(Canonicalisation):
        raise InputError(
            "canonicalisation",
            found=f"{canonicalisation!r}",
            expected=f"one of {', '.join(get_args(Canonicalisation))}",
        )
    for what, given, user in (("policy", policy, "val"), ("weight", weight, "minimal")):
        if given is not None and canonicalisation != user:
            raise InputError(what, found=f"one for {canonicalisation!r}", expected=f"it only with {user!r}")
    full = _finite(reward, "reward")
    if full.shape[-3:] != mdp.transitions.shape:
        raise ShapeError(
            "reward", found=f"shape {full.shape}", expected=f"[S, A, S] = {mdp.transitions.shape} at the end"
        )
    if canonicalisation == "none":
        form = full
    else:
        expected = np.einsum("sak,...sak->...sa", mdp.transitions, full)
        if canonicalisation == "val":
            form = val(expected, mdp, policy)
        elif canonicalisation == "minimal":
            form = minimal(expected, mdp, weight=weight)
        else:
            form = minimal_l2(expected, mdp)
    return np.where(mdp.reachable[:, None, None], form, 0.0)


def potential_shaping(
    reward: Real[np.ndarray, "s a s"], potential: Real[np.ndarray, "s"], mdp: TabularMDP
) -> Float[np.ndarray, "s a s"]:
    """R + gamma Phi(s') - Phi(s) for a reward (S, A, S) and a potential (S,): the same order of policies.

    Raises:
        InputError: if the potential is not zero in terminal states.
    """
    phi = _finite(potential, "potential")
    if phi.shape != (mdp.n_states,):
        raise ShapeError("potential", found=f"shape {phi.shape}", expected=f"({mdp.n_states},)")
    if mdp.terminal is not None and phi[mdp.terminal].any():
        raise InputError("potential", found="a value other than 0 in a terminal state", expected="0 there")
    shaped = reward + mdp.discount * phi[None, None, :] - phi[:, None, None]
    return shaped if mdp.terminal is None else np.where(mdp.terminal[:, None, None], 0.0, shaped)


def redistribution(
    reward: Real[np.ndarray, "s a s"], change: Real[np.ndarray, "s a s"], mdp: TabularMDP
) -> Float[np.ndarray, "s a s"]:
    """R plus the part of `change` (S, A, S) that has mean zero over the next state: the same order of policies."""
    moved = change - np.einsum("sak,sak->sa", mdp.transitions, change)[..., None]
    return reward + (moved if mdp.terminal is None else np.where(mdp.terminal[:, None, None], 0.0, moved))


def _shaped(r: np.ndarray, potential: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    """R + X Phi: (..., S, A), (..., S) -> (..., S, A, 1), zero in terminal states."""
    ahead = np.einsum("sak,...k->...sa", mdp.transitions, potential)
    form = r + mdp.discount * ahead - potential[..., None]
    if mdp.terminal is not None:
        form = np.where(mdp.terminal[:, None], 0.0, form)
    return form[..., None]


def _projection(r: np.ndarray, mdp: TabularMDP, weight: np.ndarray) -> np.ndarray:
    """(..., S) potential that minimises sum weight (r + X Phi)^2 over reachable states that are not terminal."""
    from scipy.linalg import solve_triangular

    live = mdp.reachable & ~(mdp.terminal if mdp.terminal is not None else np.zeros(mdp.n_states, dtype=bool))
    root = np.sqrt(weight[live])[..., None]

    phi = np.zeros(r.shape[:-1])
    count = int(live.sum())
    if count == 0:
        return phi

    def factor() -> tuple[np.ndarray, np.ndarray]:
        x = mdp.discount * mdp.transitions[live][:, :, live] - np.eye(count)[:, None, :]
        q, upper = np.linalg.qr((root * x).reshape(-1, count))  # the normal matrix would square the condition number,
        return q, upper  # which grows like 1 / (1 - gamma)

    q, upper = mdp.cached(("projection", weight.tobytes()), factor)
    target = (root[..., 0] * r[..., live, :]).reshape(*r.shape[:-2], -1)
    phi[..., live] = solve_triangular(upper, -(target @ q).reshape(-1, q.shape[1]).T).T.reshape(*r.shape[:-2], -1)
    return phi


def _expected(values: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    array = _finite(values, "expected")
    if array.shape[-2:] != (mdp.n_states, mdp.n_actions) or array.ndim < 2:
        raise ShapeError("expected", found=f"shape {array.shape}", expected=f"(..., {mdp.n_states}, {mdp.n_actions})")
    return array


def _positive(weight: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    array = _expected(weight, mdp)
    if array.ndim != 2 or (array <= 0).any():
        raise InputError(
            "weight", found="a weight that is not positive", expected=f"({mdp.n_states}, {mdp.n_actions}) > 0"
        )
    return array
