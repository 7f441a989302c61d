"""Pictures of rewards on matplotlib axes: matrices, trees, maps of the plane, grid worlds with policies.

Matplotlib is used through its objects: no pyplot, no figure that stays open. Names from users are never read as
mathematics. Colours run from light to dark in one hue, so that they read without colour; cells of small matrices carry
their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.io.figures import axes, figure, shown, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnt.rewards.mdp import TabularMDP

NUMBERED = 12  # rows of a matrix up to which cells carry numbers
MARKED = 40  # names that still fit beside each other
BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#767676"  # Okabe and Ito: told apart without seeing red or green
STEPS = {"right": (1, 0), "down": (0, 1), "left": (-1, 0), "up": (0, -1)}
WORTH_DRAWING = 0.05  # probability of an action below which it gets no arrow


class Panel(NamedTuple):
    """One picture of a grid world: a title, values of its cells (S,) or None, a policy (S, A) or None, a unit."""

    title: str
    values: np.ndarray | None = None
    policy: np.ndarray | None = None
    unit: str = ""


def heatmap(values: np.ndarray, names: Sequence[str], title: str, ax: Axes | None = None) -> Axes:
    """A matrix (K, K) of distances."""
    k = len(names)
    side = min(10.0, 2.5 + 0.4 * k)
    ax = axes(side + 1.0, side) if ax is None else ax
    top = max(float(values.max()), 1e-300)
    image = ax.imshow(values, cmap="Blues", vmin=0.0, vmax=top, interpolation="nearest")
    if k <= MARKED:
        labels = [shown(name) for name in names]
        tilt = 60 if max(map(len, labels)) > 3 else 0
        ax.set_xticks(range(k), labels, rotation=tilt, fontsize="small", parse_math=False)
        ax.set_yticks(range(k), labels, fontsize="small", parse_math=False)
    if k <= NUMBERED:
        for (i, j), value in np.ndenumerate(values):
            ink = "white" if value > 0.6 * top else "black"
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize="small", color=ink)
    ax.figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02)
    for spine in ax.spines.values():
        spine.set_visible(False)
    titled(ax, title)
    return ax


def tree(found: Mapping[str, Any], title: str, ax: Axes | None = None) -> Axes:
    """A dendrogram from its coordinates, names at the left, distance to the right."""
    names = [shown(name) for name in found["ivl"]]
    ax = axes(6.4, min(20.0, 1.5 + 0.25 * len(names))) if ax is None else ax
    for x, y in zip(found["icoord"], found["dcoord"], strict=True):
        ax.plot(y, x, color=BLUE, linewidth=1.5)
    size = "small" if len(names) <= MARKED else 4
    ax.set_yticks([5.0 + 10.0 * i for i in range(len(names))], names, fontsize=size, parse_math=False)
    ax.set_xlim(left=0.0)
    ax.set_ylim(0.0, 10.0 * len(names))
    ax.tick_params(axis="y", left=False)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.set_xlabel(title, parse_math=False)
    return ax


def plane(points: np.ndarray, names: Sequence[str], title: str, ax: Axes | None = None) -> Axes:
    """Points (K, 2) with their names, one scale on both axes."""
    ax = axes(5.6, 4.6) if ax is None else ax
    ax.scatter(points[:, 0], points[:, 1], s=30, color=BLUE, zorder=3)
    if len(names) <= MARKED:
        near = 0.02 * max(float(np.ptp(points, axis=0).max()), 1e-300)
        placed: list[tuple[np.ndarray, list[str]]] = []
        for point, name in zip(points, names, strict=True):  # names of points that coincide share a line
            here = [group for at, group in placed if np.linalg.norm(at - point) <= near]
            if here:
                here[0].append(shown(name))
            else:
                placed.append((point, [shown(name)]))
        for (x, y), group in placed:
            text = shown(", ".join(group), 60)
            ax.annotate(text, (x, y), xytext=(5, 4), textcoords="offset points", fontsize="small", parse_math=False)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.2)
    ax.grid(color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    titled(ax, title)
    return ax


def bars(labels: Sequence[str], series: Mapping[str, np.ndarray], title: str, ax: Axes | None = None) -> Axes:
    """Values of one or two series for each label, largest at the top; the second series is hollow."""
    ax = axes(6.4, 1.2 + 0.42 * len(labels)) if ax is None else ax
    thick = 0.8 / max(1, len(series))
    for k, (name, values) in enumerate(series.items()):
        places = np.arange(len(labels)) + (k - (len(series) - 1) / 2) * thick
        look: dict[str, Any] = (
            {"color": BLUE} if k == 0 else {"facecolor": "none", "edgecolor": VERMILLION, "hatch": "//"}
        )
        ax.barh(places, values, height=thick * 0.9, label=shown(name), **look)
    ax.set_yticks(range(len(labels)), [shown(x, 40) for x in labels], fontsize="small", parse_math=False)
    ax.invert_yaxis()
    ax.axvline(0.0, color="0.4", linewidth=0.8)
    for text in ax.legend(frameon=False, fontsize="small").get_texts():
        text.set_parse_math(False)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    titled(ax, title)
    return ax


def grids(mdp: TabularMDP, panels: Sequence[Panel]) -> Any:
    """A figure of a grid world, one picture beside the other.

    Raises:
        NotApplicable: a process that is no grid.
    """
    if mdp.grid is None:
        raise NotApplicable("mdp", found=repr(mdp), expected="a grid world", remedy="Make one with grid_world.")
    rows, columns = mdp.grid
    wide, tall = max(2.4, 0.55 * columns), max(1.8, 0.55 * rows)
    made = figure(len(panels) * (wide + 0.7), tall + 1.0)
    for ax, panel in zip(made.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _grid(ax, mdp, panel)
    return made


def _grid(ax: Axes, mdp: TabularMDP, panel: Panel) -> None:
    from matplotlib.patches import Rectangle

    if mdp.grid is None:
        return
    rows, columns = mdp.grid
    if panel.values is not None:
        cells = np.ma.masked_where(~mdp.reachable.reshape(rows, columns), panel.values.reshape(rows, columns))
        top = max(float(np.abs(cells.filled(0.0)).max()), 1e-300)
        signed = float(cells.filled(0.0).min()) < 0
        options: dict[str, Any] = {"cmap": "PuOr", "vmin": -top} if signed else {"cmap": "Blues", "vmin": 0.0}
        image = ax.imshow(cells, vmax=1.6 * top if not signed else top, interpolation="nearest", **options)
        bar = ax.figure.colorbar(image, ax=ax, fraction=0.04, pad=0.03, boundaries=None)
        bar.ax.set_ylim(-top if signed else 0.0, top)
        bar.set_label(shown(panel.unit, 40), fontsize="small", parse_math=False)
        bar.ax.tick_params(labelsize="small")
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(rows - 0.5, -0.5)
    ax.set_aspect("equal")
    for i in range(mdp.n_states):
        row, column = divmod(i, columns)
        closed = not mdp.reachable[i]
        look: dict[str, Any] = {"facecolor": "0.85", "hatch": "xxx"} if closed else {"facecolor": "none"}
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, edgecolor="0.6", linewidth=0.8, **look))
        if mdp.terminal[i]:
            ax.text(column, row, "end", ha="center", va="center", fontsize="small", style="italic")
        elif panel.policy is not None and not closed:
            _arrows(ax, column, row, panel.policy[i], mdp.actions)
    for i in np.flatnonzero(mdp.initial) if (mdp.initial > 0).sum() <= 3 else ():
        row, column = divmod(int(i), columns)
        ax.text(column - 0.44, row - 0.3, "start", ha="left", va="center", fontsize="x-small")
    ax.set_xticks(range(columns), [str(c) for c in range(columns)], fontsize="small")
    ax.set_yticks(range(rows), [str(r) for r in range(rows)], fontsize="small")
    ax.tick_params(length=0)
    titled(ax, panel.title, 34)


def _arrows(ax: Axes, column: int, row: int, chances: np.ndarray, actions: Sequence[str]) -> None:
    """One arrow for each likely action, longer if likelier; a ring for staying."""
    for chance, action in zip(chances, actions, strict=True):
        if chance < WORTH_DRAWING:
            continue
        if action in STEPS:
            x, y = STEPS[action]
            reach = 0.12 + 0.26 * math.sqrt(float(chance))
            ax.annotate(
                "", (column + reach * x, row + reach * y), (column, row),
                arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
        else:
            ax.plot(column, row, marker="o", markersize=7, markerfacecolor="none", markeredgecolor="black")
