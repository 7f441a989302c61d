"""Pictures of what carries the signal: the graph with its gates, pathways by strength, trained pairs, units.

Columns of the graph are layers: the longest way from an input. The width of an edge is the strength that it has at the
end, sqrt(sum over modes of B_e^2), as a share of the largest. Beside a gated node or edge stands a row of cells, one a
context: filled where the gate is open, grey for a fraction, empty where it is closed; where contexts are many, the
share of the samples that it is open for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.gated._frozen import finite
from learnt.gated.curve_pictures import ABOVE
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph
from learnt.io.figures import axes, shown, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnt.gated.rectified_gates import GatePatterns
    from learnt.gated.trajectory import Trajectory
    from learnt.gated.zero_shot_risk import ZeroShot

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#767676"
MOST_EDGES = 3_000
_CELLS = 8  # contexts up to which each has a cell
_NAMED = 120  # nodes up to which names fit
_SAMPLES, _UNITS = 240, 400  # of a layer in a picture


def draw_graph(
    task_or_graph: GatedTask | Graph, *, strengths: Any = None, names: bool = True, ax: Axes | None = None
) -> Axes:
    """The graph from left to right, edges as wide as they are strong, gates by context.

    Args:
        task_or_graph: a task, whose gates are shown, or a graph alone.
        strengths: by edge a number or an array, whose length counts; or a trajectory, whose last strengths are taken.
        names: write the names of edges where there is room.
        ax: axes to draw on.

    Raises:
        NotApplicable: more edges than a picture can show.
        InputError, NonFiniteError: strengths of unknown edges, NaN.
    """
    graph = task_or_graph.graph if isinstance(task_or_graph, GatedTask) else task_or_graph
    if not isinstance(graph, Graph):
        raise InputError("task_or_graph", found=type(graph).__name__, expected="a GatedTask or a Graph")
    if len(graph.edges) > MOST_EDGES:
        raise NotApplicable("graph", found=f"{len(graph.edges):,} edges", expected=f"at most {MOST_EDGES:,} to draw")
    size = _sizes(graph, strengths)
    at = _places(graph)
    columns = 1 + max(x for x, _ in at.values())
    rows = [y for _, y in at.values()]
    tall = max(rows) - min(rows) + 1
    ax = (
        axes(max(5.0, 1.9 * columns + 0.6), min(12.0, max(3.6, 0.66 * tall + 1.0, min(tall + 1.4, 4.4))))
        if ax is None
        else ax
    )
    top = max(size.values(), default=0.0)
    small = len(graph.nodes) > 24
    curves = _curves(graph, at)
    for e, curve in curves.items():
        _edge(ax, curve, None if not size else size[e] / top if top > 0 else 0.0)
        if names and len(graph.edges) <= 16:
            text = shown(e, 10) + (f" {size[e]:.2g}" if size else "")
            ax.text(
                *_on(curve, 0.36), text, fontsize="x-small", ha="center", va="center", parse_math=False, zorder=3,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6},
            )  # fmt: skip
    for v, (x, y) in at.items():
        named = len(graph.nodes) <= _NAMED
        text = f"{shown(v, 12)}{' · ' if tall > 5 else chr(10)}{graph.nodes[v]}" if not small else shown(v, 8)
        text = text if named else ""
        ax.text(
            x, y, text, ha="center", va="center", fontsize=6 if small else "small", parse_math=False, zorder=4,
            bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "black", "linewidth": 1.0},
        )  # fmt: skip
    gated = _gates(ax, task_or_graph, at, curves, small=small) if isinstance(task_or_graph, GatedTask) else ""
    ax.set_xlim(-0.5, columns - 0.5)
    high = min(min(rows), *(y for c in curves.values() for _, y in c)) - 0.5
    room = max(0.0, 2.8 - (max(rows) + 0.8 - high)) / 2
    ax.set_ylim(max(rows) + 0.8 + room, high - room)
    ax.set_axis_off()
    said = [f"Edges as wide as they are strong, up to {top:.3g}"] if size else [f"{graph}"]
    titled(ax, ". ".join([*said, gated] if gated else said), 70)
    return ax


def draw_pathways(trajectory: Trajectory, *, most: int = 12, ax: Axes | None = None) -> Axes:
    """The pathways with the largest strengths at the end, as bars: sqrt(sum over modes of B_p^2); open paths only."""
    r = trajectory.reduction
    strength = np.linalg.norm(trajectory.last_path_strength, axis=1)
    target = np.linalg.norm(np.where(np.isfinite(r.target), r.target, 0.0), axis=1)
    order = sorted(r.stats.open, key=lambda p: (-strength[p], p))
    kept = order[:most]
    ax = axes(6.4, 1.3 + 0.3 * len(kept)) if ax is None else ax
    ax.barh(range(len(kept)), strength[kept], height=0.62, color=BLUE, label="at the end")
    ax.scatter(target[kept], range(len(kept)), marker="|", s=120, color=VERMILLION, zorder=3, label="best, s / d")
    ax.set_yticks(range(len(kept)), [shown(r.stats.paths[p], 26) for p in kept], fontsize="x-small", parse_math=False)
    ax.set_ylim(max(len(kept), 4) - 0.4, -0.6)
    more = f"; {len(kept)} of {len(order):,} open pathways" if len(order) > len(kept) else ""
    ax.set_xlabel(f"strength of the pathway{more}")
    ax.legend(**ABOVE)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    titled(ax, "Pathways, strongest first")
    return ax


def draw_gate(found: ZeroShot, *, ax: Axes | None = None) -> Axes:
    """Trained pairs of domains as a matrix; of the others, how long the chain of trained pairs is that joins them."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    rows, columns = found.gate.shape
    side = float(np.clip(0.34 * max(rows, columns), 2.6, 8.0))
    ax = axes(side + 2.7, side + 0.9) if ax is None else ax
    kinds = np.where(found.gate == 1, 0, np.where(found.steps == 3, 1, np.where(found.steps > 3, 2, 3)))
    colours = (BLUE, "#9CC7E2", "#DCEAF4", "#F2C9A8")
    words = ("trained", "joined by a chain of 3", "joined by a longer chain", "not joined: cannot transfer")
    ax.imshow(kinds, cmap=ListedColormap(colours), vmin=-0.5, vmax=3.5, interpolation="nearest")
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    if max(rows, columns) <= 60:
        ax.grid(which="minor", color="white", linewidth=1.0)
    ax.tick_params(which="both", length=0)
    step = max(1, max(rows, columns) // 12)
    ax.set_xticks(range(0, columns, step), [str(k) for k in range(0, columns, step)], fontsize="small")
    ax.set_yticks(range(0, rows, step), [str(k) for k in range(0, rows, step)], fontsize="small")
    if max(rows, columns) <= 30:
        for i, j in np.argwhere(found.gate == 1):
            ax.plot(j, i, "o", color="white", markersize=3)  # so that it reads without colour
    ax.set_xlabel("output domain")
    ax.set_ylabel("input domain")
    present = [k for k in range(4) if (kinds == k).any()]
    ax.legend(
        handles=[Patch(facecolor=colours[k], edgecolor="0.6", label=words[k]) for k in present], frameon=False,
        fontsize="small", loc="upper left", bbox_to_anchor=(1.02, 1.0),
    )  # fmt: skip
    for spine in ax.spines.values():
        spine.set_visible(False)
    titled(ax, f"Pairs to train: spectral ratio {found.spectral_ratio:.3f}, risk {found.risk}", 54)
    return ax


def draw_patterns(patterns: GatePatterns, layer: int = 0, *, ax: Axes | None = None) -> Axes:
    """Which units of a layer each sample switches on, equal patterns side by side; small margins in another colour."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    on, flagged = patterns.on[layer], patterns.flagged[layer]
    code = patterns.patterns(layer)[1]
    strongest = np.argsort(-patterns.strengths[layer], kind="stable")[:_UNITS]
    order = strongest[np.lexsort((code[strongest], -on[:, strongest].sum(0)))]
    rows = np.linspace(0, len(on) - 1, min(len(on), _SAMPLES)).round().astype(int)
    kinds = (on[np.ix_(rows, order)] + 2 * flagged[np.ix_(rows, order)]).astype(int)
    ax = axes(6.4, 3.4) if ax is None else ax
    colours = ("#F2F2F2", BLUE, "#F2C9A8", VERMILLION)
    words = ("off", "on", "off, margin within the threshold", "on, margin within the threshold")
    ax.imshow(kinds, cmap=ListedColormap(colours), vmin=-0.5, vmax=3.5, aspect="auto", interpolation="nearest")
    if len(rows) <= 12:
        ax.set_yticks(range(len(rows)), [str(r) for r in rows], fontsize="small")
    else:
        ax.set_yticks([])
    shown_units = f"the {len(order)} strongest of {len(code)} units" if len(order) < len(code) else f"{len(code)} units"
    ax.set_xlabel(f"{shown_units}, equal patterns side by side")
    ax.set_ylabel("sample" if len(rows) == len(on) else f"{len(rows)} of {len(on):,} samples")
    present = [k for k in range(4) if (kinds == k).any()]
    ax.legend(
        handles=[Patch(facecolor=colours[k], edgecolor="0.6", label=words[k]) for k in present], frameon=False,
        fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2,
    )  # fmt: skip
    titled(ax, f"Layer {layer + 1} ({shown(patterns.layers[layer], 24)}): {patterns.kind} gates")
    return ax


def draw_margins(patterns: GatePatterns, *, bins: int = 40, ax: Axes | None = None) -> Axes:
    """Histogram of the margins z / (|w| |x|) by layer, and the threshold within which gates are flagged."""
    ax = axes(6.4, 3.0) if ax is None else ax
    counts, edges = patterns.histogram(bins)
    for k, (name, values) in enumerate(zip(patterns.layers, counts, strict=True)):
        colour = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")[k % 6]
        share = values / max(int(values.sum()), 1)
        ax.stairs(
            share,
            edges,
            color=colour,
            linewidth=1.8,
            linestyle=("-", "--", ":", "-.")[k % 4],
            label=f"layer {k + 1} ({shown(name, 24)})",
        )
    ax.axvspan(-patterns.threshold, patterns.threshold, color=GREY, alpha=0.2, label="within the threshold")
    ax.set_xlim(-1.05, 1.05)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("margin z / (|w| |x|)")
    ax.set_ylabel("share of the gates")
    for text in ax.legend(**ABOVE).get_texts():
        text.set_parse_math(False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    titled(ax, "How clearly units are on or off")
    return ax


# -- the graph -------------------------------------------------------------------------------------------


def _sizes(graph: Graph, strengths: Any) -> dict[str, float]:
    if strengths is None:
        return {}
    given = strengths if isinstance(strengths, Mapping) else getattr(strengths, "strength", None)
    if not isinstance(given, Mapping):
        raise InputError("strengths", found=type(strengths).__name__, expected="numbers by edge, or a Trajectory")
    if unknown := [e for e in given if e not in graph.edges]:
        raise InputError("strengths", found=f"the unknown edge {unknown[0]!r}", expected="edges of the graph")
    last = (lambda v: v[-1]) if given is not strengths else (lambda v: v)
    return {
        e: float(np.linalg.norm(finite(last(given[e]), f"strengths[{e!r}]"))) if e in given else 0.0
        for e in graph.edges
    }


def _places(graph: Graph) -> dict[str, tuple[int, float]]:
    """Column and row of each node: the longest way from an input; rows by the mean row of what feeds it."""
    column: dict[str, int] = {}
    for v in graph.order:
        column[v] = max((column[graph.edges[e][0]] + 1 for e in graph.incoming[v]), default=0)
    last = max(column.values())
    column |= {v: last for v in graph.outputs}
    layers = [[v for v in graph.nodes if column[v] == c] for c in range(last + 1)]
    tall = max(len(layer) for layer in layers)
    row: dict[str, float] = {}
    for _ in range(3):
        for layer in layers:
            known = {
                v: [row[graph.edges[e][0]] for e in graph.incoming[v] if graph.edges[e][0] in row]
                + [row[graph.edges[e][1]] for e in graph.outgoing[v] if graph.edges[e][1] in row]
                for v in layer
            }
            if any(known.values()):
                layer.sort(key=lambda v: float(np.mean(known[v])) if known[v] else row.get(v, 0.0))
            gap = tall / len(layer)
            for k, v in enumerate(layer):
                row[v] = (k + 0.5) * gap - 0.5
    for c, layer in enumerate(layers):  # what edges skip stands aside, up and down in turn
        if any(column[s] < c < column[t] for s, t in graph.edges.values()):
            for v in layer:
                row[v] += 0.4 if c % 2 else -0.4
    return {v: (column[v], row[v]) for v in graph.nodes}


def _curves(graph: Graph, at: Mapping[str, tuple[int, float]]) -> dict[str, tuple[tuple[float, float], ...]]:
    """Start, control point and end of each edge: straight, unless it has a twin or would pass through a node."""
    out, twins = {}, {}
    for e, ends in graph.edges.items():
        (x0, y0), (x1, y1) = (at[v] for v in ends)
        bend = 1.1 * twins.get(ends, 0)
        twins[ends] = twins.get(ends, 0) + 1
        for x, y in at.values():
            if x0 < x < x1 and abs(y0 + (y1 - y0) * (x - x0) / (x1 - x0) - y) < 0.45 and not bend:
                bend = 1.6 if y0 + (y1 - y0) * (x - x0) / (x1 - x0) <= y else -1.6
        out[e] = ((x0, y0), (0.5 * (x0 + x1), 0.5 * (y0 + y1) - bend), (x1, y1))
    return out


def _on(curve: tuple[tuple[float, float], ...], t: float) -> tuple[float, float]:
    """A point of a quadratic curve."""
    (x0, y0), (xc, yc), (x1, y1) = curve
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
    return a * x0 + b * xc + c * x1, a * y0 + b * yc + c * y1


def _edge(ax: Any, curve: tuple[tuple[float, float], ...], share: float | None) -> None:
    """One edge; without a strength all are alike, and those of hardly any are dashed and grey."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    faint = share is not None and share <= 0.02
    ax.add_patch(PathPatch(
        Path(curve, [Path.MOVETO, Path.CURVE3, Path.CURVE3]), fill=False, zorder=1, capstyle="butt",
        linewidth=1.4 if share is None else 1.0 + 7.0 * share, edgecolor="#9A9A9A" if faint else BLUE,
        alpha=0.7 if share is None or faint else 0.35 + 0.5 * share, linestyle=(0, (3, 3)) if faint else "-",
    ))  # fmt: skip


def _gates(
    ax: Any,
    task: GatedTask,
    at: Mapping[str, tuple[int, float]],
    curves: Mapping[str, tuple[tuple[float, float], ...]],
    *,
    small: bool,
) -> str:
    """Draws the gates as cells; returns what they mean."""
    from matplotlib.patches import Rectangle

    if all((values == 1).all() for values in task.contexts.values()):
        return ""
    if len(at) > _NAMED:
        return f"Gates in {task.n_contexts:,} contexts, too many to show"
    weight = np.bincount(task.context_of, weights=task.prob, minlength=task.n_contexts)
    weight = weight / weight.sum()
    wide, high = (0.36, 0.1) if small else (0.42, 0.13)

    def cell(x: float, y: float, width: float, shade: float, edge: float = 0.6) -> None:
        face = str(round(1.0 - 0.88 * float(np.clip(abs(shade), 0, 1)), 3))
        ax.add_patch(Rectangle((x, y), width, high, facecolor=face, edgecolor="black", linewidth=edge, zorder=5))

    for name, values in task.contexts.items():
        x, y = (at[name][0], at[name][1] + (0.3 if small else 0.4)) if name in at else _on(curves[name], 0.68)
        x, y = x - wide / 2, y - high / 2
        if task.n_contexts <= _CELLS:
            for k, gate in enumerate(values):
                cell(x + k * wide / len(values), y, wide / len(values), float(gate))
        else:
            cell(x, y, wide, 0.0)
            cell(x, y, wide * float((weight * (values != 0)).sum()), 1.0, 0.0)
    if task.n_contexts <= _CELLS:
        return f"Gates in {task.n_contexts} contexts, dark where open"
    return f"Bars: share of samples with an open gate ({task.n_contexts:,} contexts)"
