"""What process is behind a small Gymnasium environment? The table `env.unwrapped.P`, as a `TabularMDP`.

    P[s][a] = [(probability, s', reward, done), ...]

A transition that is `done` ends the episode: nothing is paid after it. Its s' becomes a terminal state, which leads to
itself with reward 0, whatever the table says about leaving it. If s' can also be entered without ending, or an episode
can start there, endings lead to an added terminal state "end" instead. A time limit (truncation) is not part of the
table: the process goes on where the environment would be cut off.

`reward_from_toy_text` is the environment's own reward. The table may pay different rewards on the way from s by a to
the same s'; R(s, a, s') is then their mean, which changes no return.

Nothing of Gymnasium is imported: any object with such a table and `initial_state_distrib` will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Literal

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.rewards._checks import distributions, finite
from learnt.rewards.mdp import TabularMDP

DENSE = 5_000_000  # triples (s, a, s') up to which transitions are kept dense: 40 MB
ACTIONS = {
    "FrozenLakeEnv": ("left", "down", "right", "up"),
    "CliffWalkingEnv": ("up", "right", "down", "left"),
    "TaxiEnv": ("south", "north", "east", "west", "pick up", "drop off"),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """The transitions of an environment, one row each, endings redirected.

    Attributes:
        source, action, target: (N,) indices of s, a, s'.
        probability, reward: (N,).
        n_actions: A.
        initial: (S,) probabilities of the first state.
        terminal: (S,) bool.
        added: whether the last state was added for endings.
    """

    source: np.ndarray
    action: np.ndarray
    target: np.ndarray
    probability: np.ndarray
    reward: np.ndarray
    n_actions: int
    initial: np.ndarray
    terminal: np.ndarray
    added: bool


def from_toy_text(
    env: Any,
    *,
    discount: float,
    initial: Any = None,
    sparse: bool | Literal["auto"] = "auto",
    name: str | None = None,
) -> TabularMDP:
    """The process of an environment with a table `P`: FrozenLake, CliffWalking, Taxi and their like.

    Args:
        env: a Gymnasium environment, wrapped or not.
        discount: gamma; the table has none.
        initial: (S,) probabilities of the first state, instead of `initial_state_distrib`.
        sparse: keep the transitions sparse; ``"auto"``: above five million triples (s, a, s').
        name: for reports; the name of the environment if None.

    Raises:
        NotApplicable: an environment without such a table.
        InputError, NonFiniteError: a table that is no process.
    """
    from scipy.sparse import coo_array

    table = _table(env, initial)
    s, a = len(table.initial), table.n_actions
    rows = table.source * a + table.action
    kernel = coo_array((table.probability, (rows, table.target)), shape=(s * a, s)).tocsr()
    keep = s * a * s > DENSE if sparse == "auto" else sparse
    base = getattr(env, "unwrapped", env)
    grid = None if table.added else _grid(base, s)
    names = ACTIONS.get(type(base).__name__, ())
    return TabularMDP(
        kernel if keep else kernel.toarray().reshape(s, a, s),
        table.initial,
        discount,
        name=name or _name(env),
        terminal=table.terminal,
        states=_states(base, s, grid, table.added),
        actions=names if len(names) == a else (),
        grid=grid,
    )


def reward_from_toy_text(env: Any, mdp: TabularMDP, *, initial: Any = None) -> Any:
    """The reward of an environment in the process that `from_toy_text` made of it.

    Args:
        env: the environment.
        mdp: its process.
        initial: the same as for `from_toy_text`.

    Returns:
        (S, A, S) array, or a scipy sparse matrix (S A, S) for a sparse process; 0 where nothing can happen.

    Raises:
        NotApplicable, InputError: no table, or the process of another environment.
    """
    from scipy.sparse import coo_array, csr_array

    table = _table(env, initial)
    s, a = len(table.initial), table.n_actions
    if (s, a) != (mdp.n_states, mdp.n_actions) or (table.terminal != mdp.terminal).any():
        raise InputError(
            "mdp",
            found=f"{mdp.n_states} states and {mdp.n_actions} actions, {int(mdp.terminal.sum())} states terminal",
            expected=f"the process of this environment: {s}, {a}, {int(table.terminal.sum())}",
        )
    where = (table.source * a + table.action, table.target)
    share: Any = coo_array((table.probability, where), shape=(s * a, s)).tocsr()
    paid: Any = coo_array((table.probability * table.reward, where), shape=(s * a, s)).tocsr()
    paid.data = paid.data / share.data  # both have the same places, in the same order
    return csr_array(paid) if mdp.is_sparse else paid.toarray().reshape(s, a, s)


def _table(env: Any, initial: Any) -> Table:
    base = getattr(env, "unwrapped", env)
    rows = getattr(base, "P", None)
    if not isinstance(rows, Mapping | Sequence) or not len(rows):
        raise NotApplicable(
            "env",
            found=f"{type(base).__name__}, which has no table `P` of its transitions",
            expected="a tabular environment such as FrozenLake-v1, CliffWalking-v1 or Taxi",
            remedy="Give TabularMDP the transition probabilities, or compare rewards on sampled transitions.",
        )
    source, action, target, numbers, done, n_actions = _unrolled(rows)
    s = len(rows)
    start = getattr(base, "initial_state_distrib", None) if initial is None else initial
    if start is None:
        raise InputError("initial", found="none, and none in the environment", expected=f"({s},) probabilities")
    start = finite(start, "initial")
    if start.shape != (s,):
        raise InputError("initial", found=f"shape {start.shape}", expected=f"({s},), one probability a state")
    start = distributions(start, "initial")
    ends, mixed = _endings(source, target, done, start)
    if mixed:
        target = np.where(done & ~ends[target], s, target)
        ends, start = np.append(ends, True), np.append(start, 0.0)
    terminal = np.flatnonzero(ends)
    stays = ~ends[source]  # what a terminal state does is replaced by staying there
    loops = np.repeat(terminal, n_actions)
    return Table(
        source=np.concatenate([source[stays], loops]),
        action=np.concatenate([action[stays], np.tile(np.arange(n_actions), len(terminal))]),
        target=np.concatenate([target[stays], loops]),
        probability=np.concatenate([numbers[stays, 0], np.ones(len(loops))]),
        reward=np.concatenate([numbers[stays, 1], np.zeros(len(loops))]),
        n_actions=n_actions,
        initial=start,
        terminal=ends,
        added=mixed,
    )


def _unrolled(rows: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """s, a, s' (N,), probability and reward (N, 2), done (N,) of all transitions that can happen, and A."""
    indices, numbers, done, s = [], [], [], len(rows)
    counts = set()
    try:
        for i in range(s):
            counts.add(len(rows[i]))
            for j in range(len(rows[i])):
                for probability, following, reward, end in rows[i][j]:
                    indices.append((i, j, index(following)))
                    numbers.append((float(probability), float(reward)))
                    done.append(bool(end))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            "env.P",
            found=f"a table that cannot be read ({type(error).__name__}: {error})",
            expected="P[s][a] = [(probability, next state, reward, done), ...] for s and a from 0",
        ) from error
    if len(counts) != 1 or 0 in counts:
        raise InputError("env.P", found=f"{sorted(counts)} actions a state", expected="the same actions in every state")
    where, values = np.array(indices, dtype=np.int64).reshape(-1, 3), finite(numbers, "env.P").reshape(-1, 2)
    if len(where) and (where[:, 2].min() < 0 or where[:, 2].max() >= s):
        raise InputError("env.P", found="a next state that does not exist", expected=f"0 to {s - 1}")
    happens = values[:, 0] != 0.0  # negative ones are for TabularMDP to refuse
    where = where[happens]
    return where[:, 0], where[:, 1], where[:, 2], values[happens], np.array(done, dtype=bool)[happens], counts.pop()


def _endings(source: np.ndarray, target: np.ndarray, done: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, bool]:
    """(S,) bool: states that only endings enter; and whether some ending leads to another state."""
    visited = start > 0
    while True:  # what a policy can enter without an ending, and leave again
        more = visited.copy()
        more[target[visited[source] & ~done]] = True
        if (more == visited).all():
            break
        visited = more
    ends = np.zeros(len(start), dtype=bool)
    ends[target[done]] = True
    mixed = bool((ends & visited)[target[done & visited[source]]].any())
    return ends & ~visited, mixed


def _grid(base: Any, n_states: int) -> tuple[int, int] | None:
    desc = getattr(base, "desc", None)
    shape = np.shape(desc) if desc is not None else getattr(base, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] * shape[1] != n_states:
        return None  # Taxi has a map too, but more states than places
    return int(shape[0]), int(shape[1])


def _states(base: Any, n_states: int, grid: tuple[int, int] | None, added: bool) -> tuple[str, ...]:
    if grid is None:
        return (*(f"state {i}" for i in range(n_states - 1)), "end") if added else ()
    desc = getattr(base, "desc", None)
    kinds = {"S": ", start", "H": ", hole", "G": ", goal"} if type(base).__name__ == "FrozenLakeEnv" else {}
    marks = [""] * n_states if desc is None else [kinds.get(_letter(cell), "") for cell in np.ravel(desc)]
    return tuple(f"row {i // grid[1]}, column {i % grid[1]}{mark}" for i, mark in enumerate(marks))


def _letter(cell: Any) -> str:
    return cell.decode("ascii", "replace") if isinstance(cell, bytes) else str(cell)


def _name(env: Any) -> str:
    spec = getattr(env, "spec", None)
    return str(getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__)
