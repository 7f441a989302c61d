"""What people have as a reward, as checked numbers: arrays by state, action, next state; functions; sparse matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.rewards._checks import finite, frozen

if TYPE_CHECKING:
    from learnt.rewards.mdp import Axes, RewardView, TabularMDP


def view(mdp: TabularMDP, reward: Any, *, axes: Axes = "auto", name: str = "reward") -> RewardView:
    """The view of a reward in a process.

    Args:
        reward: array or tensor of shape (S, A, S), (S, A), (S,), or a function of (s, a, s') on integers. In a sparse
            process, (S, A, S) only while that is small; a scipy sparse matrix (S A, S) and a function are taken on the
            possible transitions, and only their mean over the next state is kept.
        axes: what the axes of the array are: state, action, next state; ``"ss"`` is (state, next state).
            ``"auto"`` tells by the shape and refuses a square matrix where it could be both.
        name: for error texts.

    Raises:
        ShapeError, InputError, NonFiniteError: on another shape, NaN, infinity, or a reward in a terminal state.
    """
    from scipy.sparse import issparse

    from learnt.rewards.mdp import RewardView

    averaged = False
    if issparse(reward):
        full, averaged = _averaged(mdp, _on_support(mdp, reward, name), name), True
    elif callable(reward) and not hasattr(reward, "__array__"):
        if mdp.is_sparse:
            full, averaged = _averaged(mdp, _called(mdp, reward, name), name), True
        else:
            full = _tabulated(mdp, reward, name)
    else:
        full = _array(mdp, reward, axes, name)
        if mdp.is_sparse and full.shape[-1] != 1:
            full, averaged = mdp.expected(full)[..., None], True
    if full[mdp.terminal].any():
        raise InputError(
            name,
            found=f"a reward in terminal state {int(np.flatnonzero(mdp.terminal)[0])}",
            expected="0 there, where nothing happens any more",
            remedy="Give it on the transition into the state.",
        )
    return RewardView(name=name, reward=frozen(full), expected=frozen(mdp.expected(full)), averaged=averaged)


def _array(mdp: TabularMDP, reward: Any, axes: Axes, name: str) -> np.ndarray:
    s, a = mdp.n_states, mdp.n_actions
    array = finite(reward, name).copy()  # broadcasting below would keep a view of the user's array
    if axes == "auto":
        if array.shape == (s, a) and s == a and s > 1:
            raise InputError(
                name,
                found=f"a square matrix ({s}, {s}), which could be (state, action) or (state, next state)",
                expected="a shape with one meaning",
                remedy="Say axes='sa' or axes='ss', or give the array as (S, A, S).",
            )
        axes = "s" if array.ndim == 1 else "sa" if array.ndim == 2 else "sas"
    if array.shape == (s, a, 1):  # as this room itself writes rewards that are constant in the next state
        array, axes = array[..., 0], "sa"
    shapes = {"s": (s,), "sa": (s, a), "ss": (s, s), "sas": (s, a, s)}
    if axes not in shapes:
        raise InputError("axes", found=f"{axes!r}", expected="'auto', 's', 'sa', 'ss' or 'sas'")
    if array.shape != shapes[axes]:
        raise ShapeError(name, found=f"shape {array.shape}", expected=f"{shapes[axes]}; or [S, A, S] = {shapes['sas']}")
    index = {"s": np.s_[:, None, None], "sa": np.s_[:, :, None], "ss": np.s_[:, None, :], "sas": np.s_[:, :, :]}
    next_states = 1 if mdp.is_sparse and axes in ("s", "sa") else s
    return np.broadcast_to(array[index[axes]], (s, a, next_states))


def _tabulated(mdp: TabularMDP, function: Callable[[int, int, int], Any], name: str) -> np.ndarray:
    s, a = mdp.n_states, mdp.n_actions
    full = finite([[[function(i, j, k) for k in range(s)] for j in range(a)] for i in range(s)], name)
    if full.shape != (s, a, s):
        raise ShapeError(name, found="a function that returns arrays", expected="one number for (s, a, s')")
    return full


def _called(mdp: TabularMDP, function: Callable[[int, int, int], Any], name: str) -> np.ndarray:
    pairs = mdp.kernel.tocoo()
    triples = zip((pairs.row // mdp.n_actions).tolist(), (pairs.row % mdp.n_actions).tolist(), pairs.col.tolist())
    values = finite([function(*triple) for triple in triples], name)
    if values.ndim != 1:
        raise ShapeError(name, found="a function that returns arrays", expected="one number for (s, a, s')")
    return values


def _on_support(mdp: TabularMDP, reward: Any, name: str) -> np.ndarray:
    kernel = mdp.kernel
    if reward.shape != kernel.shape:
        raise ShapeError(name, found=f"a sparse matrix {reward.shape}", expected=f"{kernel.shape}, (S * A, S)")
    finite(reward.tocsr().data, name)
    from scipy.sparse import csr_matrix

    pairs = kernel.tocoo()
    return np.asarray(csr_matrix(reward)[pairs.row, pairs.col], dtype=np.float64).ravel()


def _averaged(mdp: TabularMDP, values: np.ndarray, name: str) -> np.ndarray:
    """(S, A, 1) mean over the next state of values on the stored transitions, in the order of the kernel."""
    kernel = mdp.kernel
    rows = np.repeat(np.arange(kernel.shape[0]), np.diff(kernel.indptr))
    means = np.bincount(rows, weights=kernel.data * values, minlength=kernel.shape[0])
    return means.reshape(mdp.n_states, mdp.n_actions, 1)
