"""What does a distance between rewards mean on a map that one can look at? Grid worlds, and the well-known 3 x 3 ones.

State i is cell (i // columns, i % columns), (0, 0) at the top left. An action moves to the next cell; a move off the
grid or into a wall stays. With slip p the intended cell is reached with probability 1 - p, and

    slip_to="cells"   every other open cell with p / (open cells - 1)        the slippery world of the STARC authors
    slip_to="moves"   where another of the actions leads, each with p / (actions - 1)

A wall remains a state, so that numbers and cells agree, but no policy reaches it, and what is unreachable counts for
nothing. A terminal cell is left by no action, and no reward is paid in it.

`hand_picked_rewards` are the examples of Gleave et al. (ICLR 2021, Section 5): sparse and dense order all policies
alike; path and cliff share an optimal policy with them and still are other rewards. The tables are those that Skalse
et al.'s code gives for that figure (path and cliff pay 4 at the goal). The figure's dense reward pays 2 for a step
nearer to the goal, -4 for a step away, -1 for staying, 3 at the goal; that is 4 sparse - 1 shaped by -3 times the steps
to the goal at discount 1. Here the shaping uses the discount of the world, so that the two are exactly equivalent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.rewards._checks import finite
from learnt.rewards.mdp import LARGEST, TabularMDP
from learnt.rewards.shaping import potential_shaping

MOVES = {"right": (0, 1), "down": (1, 0), "left": (0, -1), "up": (-1, 0), "stay": (0, 0)}
DENSE = 1000  # cells beyond which transitions that are few in each row are kept sparse

Cell = tuple[int, int]
Slip = Literal["cells", "moves"]


def grid_world(
    rows: int,
    columns: int,
    *,
    walls: Iterable[Cell] = (),
    terminal: Iterable[Cell] = (),
    slip: float = 0.0,
    slip_to: Slip = "cells",
    discount: float = 0.99,
    start: Any = None,
    actions: Sequence[str] = tuple(MOVES),
    name: str | None = None,
) -> TabularMDP:
    """A grid world as a process; states are named "row,column".

    Args:
        rows, columns: size of the grid.
        walls: cells (row, column) that cannot be entered.
        terminal: cells (row, column) where everything ends.
        slip: probability of not arriving where the action leads, 0 to below 1.
        slip_to: ``"cells"``: any other open cell; ``"moves"``: where the other actions lead.
        discount: gamma.
        start: a cell, or probabilities (rows, columns); None for the open cells that are not terminal, all alike.
        actions: some of ``right down left up stay``.
        name: shown in reports.

    Raises:
        InputError, ShapeError: on a cell outside the grid, a start in a wall, an unknown action, a slip out of range.
        NotApplicable: so many cells that slipping to any of them does not fit into memory.
    """
    if rows < 1 or columns < 1:
        raise InputError("rows, columns", found=f"{rows}, {columns}", expected="positive integers")
    if not 0.0 <= slip < 1.0:
        raise InputError("slip", found=f"{slip}", expected="a probability of at least 0 and below 1")
    if slip_to not in get_args(Slip):
        raise InputError("slip_to", found=f"{slip_to!r}", expected="'cells' or 'moves'")
    unknown = [a for a in actions if a not in MOVES]
    if unknown or not actions or len(set(actions)) < len(actions):
        raise InputError("actions", found=f"{tuple(actions)}", expected=f"different ones of {', '.join(MOVES)}")
    closed, ends = _mask(walls, rows, columns, "walls"), _mask(terminal, rows, columns, "terminal")
    if (closed & ends).any():
        raise InputError("terminal", found="a cell that is a wall", expected="open cells")
    if closed.all():
        raise InputError("walls", found="every cell", expected="at least one open cell")
    target = _targets(rows, columns, closed, actions)
    target[ends] = np.flatnonzero(ends)[:, None]
    return TabularMDP(
        _transitions(target, closed, ends, slip, slip_to),
        _start(start, rows, columns, closed, ends),
        discount,
        name=name or f"{rows} x {columns} grid" + (f", slip {slip:g}" if slip else ""),
        terminal=ends,
        states=tuple(f"{r},{c}" for r in range(rows) for c in range(columns)),
        actions=tuple(actions),
        grid=(rows, columns),
    )


def cell_rewards(values: Any, world: TabularMDP, *, paid: Literal["leaving", "entering"] = "entering") -> np.ndarray:
    """A reward from a map of cells: (rows, columns) -> (S, A, S), in a sparse process its mean (S, A).

    Args:
        values: (rows, columns), or (S,).
        world: a grid world.
        paid: ``"entering"``: R(s, a, s') = values[s'] (staying enters the same cell again); ``"leaving"``: values[s].

    Raises:
        NotApplicable: a process that is no grid. InputError, ShapeError, NonFiniteError: on another map.
    """
    shape = _grid_of(world)
    flat = finite(values, "values")
    if flat.shape not in (shape, (world.n_states,)):
        raise ShapeError("values", found=f"shape {flat.shape}", expected=f"{shape}, one number a cell")
    if paid not in ("leaving", "entering"):
        raise InputError("paid", found=f"{paid!r}", expected="'leaving' or 'entering'")
    flat = flat.ravel()
    alive = ~world.terminal
    if world.is_sparse:
        mean = world.ahead(flat) if paid == "entering" else np.repeat(flat[:, None], world.n_actions, 1)
        return np.where(alive[:, None], mean, 0.0)
    index = np.s_[None, None, :] if paid == "entering" else np.s_[:, None, None]
    full = np.broadcast_to(flat[index], world.transitions.shape)
    return np.where(alive[:, None, None], full, 0.0)


def draw_grid(world: TabularMDP, values: Any = None, policy: Any = None, *, title: str = "", unit: str = "") -> Any:
    """A new matplotlib figure of a grid world: colours for values, arrows for a policy, walls hatched.

    Args:
        world: a grid world.
        values: (rows, columns) or (S,) numbers to colour the cells by; None for none.
        policy: (S, A) or (S,); an arrow's length grows with the probability of its action, a ring stays; None for none.
        title: above the grid; unit: beside the colours.

    Raises:
        NotApplicable: a process that is no grid. InputError, ShapeError, NonFiniteError: on other values or policies.
    """
    from learnt.rewards._drawings import Panel, grids

    shape = _grid_of(world)
    if values is not None:
        values = finite(values, "values")
        if values.shape not in (shape, (world.n_states,)):
            raise ShapeError("values", found=f"shape {values.shape}", expected=f"{shape}, one number a cell")
        values = values.ravel()
    moves = None if policy is None else world.as_policy(policy)
    return grids(world, [Panel(title, values, moves, unit)])


def hand_picked_world(*, slip: float = 0.0, discount: float = 0.99) -> TabularMDP:
    """The 3 x 3 world of `hand_picked_rewards`, started at the top left."""
    return grid_world(3, 3, slip=slip, discount=discount, start=(0, 0))


def hand_picked_rewards(world: TabularMDP | None = None) -> dict[str, np.ndarray]:
    """The 3 x 3 rewards of the EPIC paper by name, each (S, A, S), with the goal at the bottom right.

    Args:
        world: a 3 x 3 grid world without terminal cells, for its discount; None for `hand_picked_world()`.

    Returns:
        ``sparse`` (1 at the goal), ``dense`` (the same order of policies, shaped), ``path`` (-1 beside the middle
        row, 4 at the goal), ``cliff`` (the same with -4 in the last row), ``center`` (1 in the middle), ``penalty``
        (-1 at the goal).
    """
    world = hand_picked_world() if world is None else world
    if _grid_of(world) != (3, 3) or world.terminal.any():
        raise InputError("world", found=repr(world), expected="a 3 x 3 grid world without terminal cells")
    maps = {
        "sparse": [[0, 0, 0], [0, 0, 0], [0, 0, 1]],
        "path": [[0, -1, -1], [0, 0, 0], [-1, -1, 4]],
        "cliff": [[0, -1, -1], [0, 0, 0], [-4, -4, 4]],
        "center": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        "penalty": [[0, 0, 0], [0, 0, 0], [0, 0, -1]],
    }
    found = {name: cell_rewards(np.array(table), world, paid="leaving") for name, table in maps.items()}
    steps = np.array([4, 3, 2, 3, 2, 1, 2, 1, 0])
    dense = potential_shaping(4 * found["sparse"] - 1, -3.0 * steps, world)
    return {"sparse": found.pop("sparse"), "dense": dense, **found}


def _grid_of(world: TabularMDP) -> tuple[int, int]:
    if world.grid is None:
        raise NotApplicable("world", found=repr(world), expected="a grid world", remedy="Make one with grid_world.")
    return world.grid


def _mask(cells: Iterable[Cell], rows: int, columns: int, what: str) -> np.ndarray:
    """(rows * columns,) bool."""
    mask = np.zeros((rows, columns), dtype=bool)
    for cell in cells:
        mask[_inside(cell, rows, columns, what)] = True
    return mask.ravel()


def _inside(cell: Any, rows: int, columns: int, what: str) -> Cell:
    try:
        r, c = (int(x) for x in cell)
    except (TypeError, ValueError):
        raise InputError(what, found=repr(cell), expected="cells as (row, column)") from None
    if not (0 <= r < rows and 0 <= c < columns):
        raise InputError(what, found=f"({r}, {c})", expected=f"a cell of the {rows} x {columns} grid, from (0, 0)")
    return r, c


def _targets(rows: int, columns: int, closed: np.ndarray, actions: Sequence[str]) -> np.ndarray:
    """(S, A) the state that each action leads to."""
    r, c = np.divmod(np.arange(rows * columns), columns)
    found = np.empty((rows * columns, len(actions)), dtype=np.int64)
    for j, action in enumerate(actions):
        down, right = MOVES[action]
        to = np.clip(r + down, 0, rows - 1) * columns + np.clip(c + right, 0, columns - 1)
        found[:, j] = np.where(closed[to] | closed, np.arange(rows * columns), to)
    return found


def _transitions(target: np.ndarray, closed: np.ndarray, ends: np.ndarray, slip: float, slip_to: Slip) -> Any:
    """(S, A, S) dense, or sparse (S A, S) for a large world whose rows hold few cells."""
    s, a = target.shape
    if slip and slip_to == "cells" and (~closed).sum() > 1:
        if s * a * s > LARGEST:
            raise NotApplicable(
                "slip_to",
                found=f"slipping to any of {s:,} cells",
                expected=f"at most {int((LARGEST / a) ** 0.5):,} cells",
                remedy="Use slip_to='moves', which stays sparse.",
            )
        others = (~closed).sum() - 1
        p = np.where(closed, 0.0, slip / others) + np.zeros((s, a, 1))
        np.put_along_axis(p, target[..., None], 1.0 - slip, axis=-1)
        still = closed | ends
        p[still] = np.eye(s)[still][:, None, :]
        return p
    from scipy.sparse import csr_array

    moving = np.eye(a) if a == 1 or slip_to == "cells" else np.where(np.eye(a) > 0, 1.0 - slip, slip / (a - 1))
    weights = np.broadcast_to(moving, (s, a, a)).ravel()
    places = np.broadcast_to(target[:, None, :], (s, a, a)).ravel()
    kept = weights > 0
    rows = np.repeat(np.arange(s * a), a)
    kernel = csr_array((weights[kept], (rows[kept], places[kept])), shape=(s * a, s))
    kernel.sum_duplicates()
    return kernel if s > DENSE else kernel.toarray().reshape(s, a, s)


def _start(start: Any, rows: int, columns: int, closed: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(S,) probabilities of the first cell."""
    free = ~(closed | ends) if (~(closed | ends)).any() else ~closed
    if start is None:
        return free / free.sum()
    array = np.asarray(start)
    if array.shape == (2,) and np.issubdtype(array.dtype, np.integer):
        r, c = _inside(start, rows, columns, "start")
        first = np.zeros(rows * columns)
        first[r * columns + c] = 1.0
    else:
        first = finite(start, "start")
        if first.shape not in ((rows, columns), (rows * columns,)):
            raise ShapeError("start", found=f"shape {first.shape}", expected=f"a cell, or ({rows}, {columns})")
        first = first.ravel()
    if first[closed].any():
        raise InputError("start", found="a wall", expected="an open cell")
    return first
