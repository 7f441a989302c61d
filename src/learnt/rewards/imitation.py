"""What process is behind a tabular environment of the package `imitation`? Its arrays, as a `TabularMDP`.

    transition_matrix (S, A, S),  initial_state_dist (S,),  reward_matrix (S,), (S, A) or (S, A, S),  horizon

These environments stop after `horizon` steps and have no discount; the theory here needs one. Two ways are offered:
the process without its horizon, discounted; or, with ``unroll=True``, the exact one, whose state is (step, state) and
which ends in a terminal state after `horizon` steps, discounted as little as wanted.

Nothing of `imitation` is imported: any object with these attributes will do.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.rewards._checks import distributions, finite
from learnt.rewards.mdp import Axes, TabularMDP

AXES: dict[int, Axes] = {1: "s", 2: "sa", 3: "sas"}


def from_imitation(env: Any, *, discount: float, unroll: bool = False, name: str | None = None) -> TabularMDP:
    """The process of a tabular environment of `imitation`.

    Args:
        env: an object with `transition_matrix`, `initial_state_dist` and, to unroll, `horizon`.
        discount: gamma.
        unroll: keep the horizon: horizon * S states and a terminal one, sparse.
        name: for reports; the type of the environment if None.

    Raises:
        NotApplicable: an object without these arrays, or without a horizon to unroll.
        InputError, ShapeError, NonFiniteError: arrays that are no process.
    """
    moves, start = _arrays(env)
    title = name or type(getattr(env, "unwrapped", env)).__name__
    if not unroll:
        return TabularMDP(moves, start, discount, name=title)
    from scipy.sparse import block_array, csr_array

    s, a = moves.shape[:2]
    steps = _horizon(env)
    flat = csr_array(distributions(moves, "transition_matrix").reshape(s * a, s))
    over = csr_array(np.ones((s * a, 1)))
    blocks: list[list[Any]] = [[None] * (steps + 1) for _ in range(steps + 1)]
    for t in range(steps - 1):
        blocks[t][t] = csr_array((s * a, s))  # nothing leads back; it says how wide the column is
        blocks[t][t + 1] = flat
    blocks[steps - 1][steps - 1], blocks[steps - 1][steps] = csr_array((s * a, s)), over
    blocks[steps][steps] = csr_array(np.ones((a, 1)))
    first = np.concatenate([start, np.zeros((steps - 1) * s + 1)])
    return TabularMDP(
        block_array(blocks).tocsr(),
        first,
        discount,
        name=f"{title}, {steps} steps",
        terminal=np.arange(len(first)) == len(first) - 1,
        states=(*(f"step {t}, state {i}" for t in range(steps) for i in range(s)), "end"),
    )


def reward_from_imitation(env: Any, mdp: TabularMDP) -> np.ndarray:
    """The reward of such an environment in the process that `from_imitation` made of it.

    Returns:
        (S, A, S); of an unrolled process (S, A), the mean over the next state.

    Raises:
        NotApplicable, InputError, ShapeError: no reward, or the process of another environment.
    """
    moves, _ = _arrays(env)
    table = getattr(env, "reward_matrix", None)
    if table is None:
        raise NotApplicable("env", found=f"{type(env).__name__} without `reward_matrix`", expected="one")
    array = finite(table, "reward_matrix")
    s, a = moves.shape[:2]
    wanted = {1: (s,), 2: (s, a), 3: (s, a, s)}
    if wanted.get(array.ndim) != array.shape:
        raise ShapeError("reward_matrix", found=f"shape {array.shape}", expected=f"one of {list(wanted.values())}")
    if mdp.n_actions == a and mdp.n_states == s:
        return mdp.as_reward(array, axes=AXES[array.ndim], name="reward_matrix")
    steps = (mdp.n_states - 1) // s
    if mdp.n_actions != a or mdp.n_states != steps * s + 1 or steps != _horizon(env):
        raise InputError(
            "mdp",
            found=f"{mdp.n_states} states and {mdp.n_actions} actions",
            expected=f"the process of this environment: {s} states, or {s} a step and one, and {a} actions",
        )
    index_of = {1: np.s_[:, None], 2: np.s_[:, :]}
    once = (moves * array).sum(-1) if array.ndim == 3 else np.broadcast_to(array[index_of[array.ndim]], (s, a))
    return np.concatenate([np.tile(once, (steps, 1)), np.zeros((1, a))])


def _arrays(env: Any) -> tuple[np.ndarray, np.ndarray]:
    moves, start = (getattr(env, name, None) for name in ("transition_matrix", "initial_state_dist"))
    if moves is None or start is None:
        raise NotApplicable(
            "env",
            found=f"{type(env).__name__} without `transition_matrix` and `initial_state_dist`",
            expected="a tabular environment of the package imitation",
        )
    p, mu = finite(moves, "transition_matrix"), finite(start, "initial_state_dist")
    if p.ndim != 3 or p.shape[0] != p.shape[2] or 0 in p.shape:
        raise ShapeError("transition_matrix", found=f"shape {p.shape}", expected="(S, A, S)")
    if mu.shape != p.shape[:1]:
        raise ShapeError("initial_state_dist", found=f"shape {mu.shape}", expected=f"({p.shape[0]},)")
    return p, mu


def _horizon(env: Any) -> int:
    steps = getattr(env, "horizon", None)
    try:
        steps = index(steps)  # type: ignore[arg-type]
    except TypeError:
        raise NotApplicable("env", found=f"horizon {steps!r}", expected="a number of steps to unroll") from None
    if steps < 1:
        raise InputError("env.horizon", found=str(steps), expected="at least 1")
    return steps
