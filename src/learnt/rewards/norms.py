"""How large is a reward, or the difference of two? The norms that STARC metrics are made of.

    l1, l2, linf              over all entries (s, a, s'), not divided by their number
    weighted_l1, weighted_l2  (sum P |c|^p)^(1/p), without a weight over (s, a)
    weighted_linf             max of P |c|
    essential_linf            max of |c| where P > 0
    return_range              range of the return J over all policies, a norm on what policies can notice

The first six are those of the authors' code, "weighted" meaning by P(s'|s, a). Unreachable states count for
nothing. A form that is constant in the next state is never unfolded: its plain p-norm is S^(1/p) times its norm over
(s, a).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from learnt.core.errors import InputError
from learnt.rewards.mdp import TabularMDP

Norm = Literal["l1", "l2", "linf", "weighted_l1", "weighted_l2", "weighted_linf", "essential_linf", "return_range"]
NORMS: tuple[Norm, ...] = get_args(Norm)


def norm_of(
    form: Float[np.ndarray, "*batch s a k"], mdp: TabularMDP, norm: Norm = "weighted_l2"
) -> float | Float[np.ndarray, "*batch"]:
    """A norm of canonical forms (..., S, A, 1), constant in the next state, or (..., S, A, S).

    Returns:
        A float for one form, an array (...) for a batch.

    Raises:
        InputError: on an unknown norm.
    """
    if norm not in NORMS:
        raise InputError("norm", found=f"{norm!r}", expected=f"one of {', '.join(NORMS)}")
    batch = form.shape[:-3]
    if norm == "return_range":
        rewards = mdp.expected(form).reshape(-1, mdp.n_states, mdp.n_actions)
        return _out(np.array([mdp.return_range(r) for r in rewards]).reshape(batch))
    live = mdp.reachable
    c = np.abs(form[..., live, :, :])
    if c.shape[-1] == 1:
        return _out(_flat(c[..., 0], mdp, live, norm))
    axes = (-3, -2, -1)
    p = mdp.transitions[live]
    if norm == "essential_linf":
        return _out(np.where(p > 0, c, 0.0).max(axes))
    weighted = norm.startswith("weighted_")
    if norm.endswith("linf"):
        return _out((p * c if weighted else c).max(axes))
    return _out(_power_sum(c, p if weighted else None, 1 if norm.endswith("l1") else 2, axes))


def _flat(c: np.ndarray, mdp: TabularMDP, live: np.ndarray, norm: Norm) -> np.ndarray:
    """The norm of forms (..., live, A) that are constant in the next state."""
    if norm in ("linf", "essential_linf"):
        return c.max((-2, -1))
    if norm == "weighted_linf":
        return (c * _likeliest(mdp)[live]).max((-2, -1))
    power = 1 if norm.endswith("l1") else 2
    size = _power_sum(c, None, power, (-2, -1))
    return size if norm.startswith("weighted_") else mdp.n_states ** (1.0 / power) * size


def _likeliest(mdp: TabularMDP) -> np.ndarray:
    """(S, A) probability of the likeliest next state."""
    return mdp.cached("likeliest", lambda: mdp.kernel.max(axis=1).toarray().reshape(mdp.n_states, mdp.n_actions))


def _power_sum(c: np.ndarray, weight: np.ndarray | None, power: int, axes: tuple[int, ...]) -> np.ndarray:
    top = c.max(axes, keepdims=True)
    scaled = c / np.where(top > 0, top, 1.0)  # squares of tiny or huge rewards stay in range
    if power == 2:
        scaled = scaled * scaled
    total = (scaled if weight is None else weight * scaled).sum(axes)
    return np.squeeze(top, axes) * total ** (1.0 / power)


def _out(values: np.ndarray) -> Any:
    return float(values) if np.ndim(values) == 0 else values
