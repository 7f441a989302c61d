"""Pictures of answers: on matplotlib axes for people who make figures, as SVG for reports.

Matplotlib is used through its objects: no pyplot, no change of backend or of settings, no figure that stays open.
Text from users is never read as mathematics.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.core.comparison import Answer, Comparison
from learnt.core.matrix import ComparisonMatrix
from learnt.core.panels import Chart
from learnt.report import drawings, palette
from learnt.report.numbers import scale_of
from learnt.report.palette import Ink
from learnt.report.sentences import asked, picture_named
from learnt.report.strip import axis_title, limits, rows, strip
from learnt.report.text import neutral

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def svg_panels(answer: Answer, comparison: Comparison) -> list[tuple[str, str]]:
    """The picture of an answer as (name, SVG) pieces that a page may put side by side."""
    chart = answer.chart
    if chart is None or not chart.series:
        return [("", strip([answer], comparison))]
    named, names = picture_named(chart, comparison)
    if chart.kind == "heatmap":
        return drawings.heatmap(named, names, title=answer.question)
    if chart.kind == "bars":
        return [("", drawings.bars(named, names, palette.bar_inks(chart), title=answer.question))]
    return [("", drawings.lines(named, names, title=answer.question))]


def svg(answer: Answer, comparison: Comparison) -> str:
    """The picture of an answer as one SVG: text stays text, colours adapt to light and dark, equal data equal bytes."""
    from learnt.report._svg import drawing, element, label

    panels = svg_panels(answer, comparison)
    if len(panels) == 1 and not panels[0][0]:
        return panels[0][1]
    body, y = [], 0.0
    for name, piece in panels:
        body += [
            label(name, 0, y + 13, weight="600"),
            element("svg", piece, y=y + 20, x="0", width="100%", overflow="visible"),
        ]
        y += 32 + float(piece.split(' height="', 1)[1].split('"', 1)[0])
    chart = answer.chart
    return drawing(y, "".join(body), title=answer.question, alt=chart.alt if chart else "")


def draw(answer: Answer, comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the picture of an answer on matplotlib axes.

    Args:
        answer: what to draw: its chart, or replicas against controls where it has none.
        comparison: where the names of the sides come from.
        ax: axes to draw on; a new figure without a window if None (`.figure.savefig(path)` saves it).

    Returns:
        the axes. Heat maps of several sides are drawn side by side on one colour scale, in one image.
    """
    chart = answer.chart
    if ax is None:
        ax = _axes(wide=chart is not None and chart.kind == "heatmap" and len(chart.series) > 1)
    if chart is None or not chart.series:
        _draw_strip(answer, comparison, ax)
    elif chart.kind == "heatmap":
        _draw_heatmaps(*picture_named(chart, comparison), ax)
    elif chart.kind == "bars":
        _draw_bars(*picture_named(chart, comparison), palette.bar_inks(chart), ax)
    else:
        _draw_lines(*picture_named(chart, comparison), ax)
    named = chart is not None and chart.kind == "heatmap" and any(picture_named(chart, comparison)[1])
    _title(ax, str(asked(answer, comparison)), above_names=named)
    return ax


def draw_matrix(matrix: ComparisonMatrix, ax: Axes | None = None) -> Axes:
    """Draw a matrix of pairwise answers as a heat map: rows are references."""
    ax = _axes() if ax is None else ax
    names = list(matrix.names)
    values = matrix.values
    chart = Chart(kind="heatmap", series={"": values}, x=names, y=names, x_label="compared", y_label="reference")
    _draw_heatmaps(chart, [""], ax)
    if len(names) <= 12:
        low, high = drawings.colour_limits(chart)
        for (i, j), value in np.ndenumerate(values):
            if math.isfinite(value):
                dark = (value - low) / (high - low) > 0.6
                ax.text(
                    j, i, f"{value:.2f}", ha="center", va="center", fontsize="small", color="white" if dark else "black"
                )
    _title(ax, matrix.question)
    return ax


def _axes(*, wide: bool = False) -> Axes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5 if wide else 6.4, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def _title(ax: Axes, text: str, *, above_names: bool = False) -> None:
    """The question above the picture, in lines that fit, clear of the names of heat maps."""
    from textwrap import wrap

    lines = wrap(neutral(text, 160), 60) or [""]
    ax.set_title("\n".join(lines), parse_math=False, loc="left", fontsize="medium", pad=22 if above_names else 8)


def _bare(ax: Axes) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _draw_strip(answer: Answer, comparison: Comparison, ax: Axes) -> None:
    here, scale = rows(answer, comparison), scale_of(answer)
    for place, row in enumerate(reversed(here)):
        shown = scale.factor * np.asarray([x for x in row.replicas if math.isfinite(x)])
        colour = row.ink.plain
        face: Any = colour if row.ink.filled else "none"
        if row.estimate.defined:
            low, mid, high = (scale.factor * x for x in (row.estimate.low, row.estimate.value, row.estimate.high))
            ax.hlines(place, low, high, color=colour, linewidth=7, alpha=0.28)
            ax.vlines(mid, place - 0.2, place + 0.2, color=colour, linewidth=2.5)
        marker = "o" if row.ink.filled else "s"
        places = np.full(len(shown), place)
        ax.scatter(shown, places, marker=marker, s=28, facecolors=face, edgecolors=colour, alpha=0.8)
    if answer.reference.defined and answer.kind == "pairwise":
        ax.axvline(scale.factor * answer.reference.value, color="0.4", linestyle=":", linewidth=1.2)
    low, high = limits([answer], comparison)
    ax.set_xlim(scale.factor * low, scale.factor * high)
    ax.set_ylim(-0.6, len(here) - 0.4)
    ax.set_yticks(range(len(here)), [neutral(row.name, 30) for row in reversed(here)], parse_math=False)
    ax.set_xlabel(neutral(axis_title(answer, scale), 60), parse_math=False)
    ax.tick_params(left=False)
    _bare(ax)
    ax.spines["left"].set_visible(False)


def _draw_heatmaps(chart: Chart, names: list[str], ax: Axes) -> None:
    low, high = drawings.colour_limits(chart)
    matrices = [np.atleast_2d(np.asarray(m, dtype=np.float64)) for m in chart.series.values()]
    tall = max(m.shape[0] for m in matrices)
    gap = max(1, round(0.08 * matrices[0].shape[1]))
    joined, starts, at = [], [], 0
    for i, matrix in enumerate(matrices):
        starts.append(at)
        joined.append(
            np.pad(
                matrix, ((0, tall - matrix.shape[0]), (0, gap if i + 1 < len(matrices) else 0)), constant_values=np.nan
            )
        )
        at += matrix.shape[1] + gap
    signed = low < 0 < high
    top = max(abs(low), abs(high))
    image = ax.imshow(
        np.ma.masked_invalid(np.hstack(joined)), cmap="RdBu" if signed else "Blues", vmin=-top if signed else low,
        vmax=top if signed else high, aspect="auto", interpolation="nearest",
    )  # fmt: skip
    for name, start, matrix in zip(names, starts, matrices, strict=True):
        if name:
            place = start + matrix.shape[1] / 2 - 0.5
            ax.text(place, -0.7, neutral(name, 40), ha="center", va="bottom", fontsize="small", parse_math=False)
    columns = [neutral(x, 14) for x in chart.x]
    if columns and all(len(columns) == m.shape[1] for m in matrices):
        places = [start + j for start in starts for j in range(len(columns))]
        tilt = 60 if max(len(c) for c in columns) > 2 else 0
        ax.set_xticks(places, columns * len(starts), rotation=tilt, fontsize="small", parse_math=False)
    else:
        ax.set_xticks([])
    if len(chart.y) == tall:
        ax.set_yticks(range(tall), [neutral(y, 14) for y in chart.y], fontsize="small", parse_math=False)
    else:
        ax.set_yticks([])
    ax.set_xlabel(neutral(chart.x_label, 60), parse_math=False)
    ax.set_ylabel(neutral(chart.y_label, 60), parse_math=False)
    if any(names):
        ax.margins(y=0.02)
    ax.figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _draw_bars(chart: Chart, names: list[str], looks: list[list[Ink]], ax: Axes) -> None:
    categories = [neutral(x, 30) for x in chart.x]
    thick, count = 0.8 / max(len(names), 1), 0
    for k, (values, inks) in enumerate(zip(chart.series.values(), looks, strict=True)):
        values = np.asarray(values, dtype=np.float64).ravel()
        faces = [ink.plain if ink.filled else "none" for ink in inks][: len(values)]
        edges = [ink.plain for ink in inks][: len(values)]
        count = max(count, len(values))
        ax.barh(
            np.arange(len(values)) + (k - (len(names) - 1) / 2) * thick, np.nan_to_num(values), height=0.9 * thick,
            facecolor=faces, edgecolor=edges, label=_legible(names[k]),
        )  # fmt: skip
    ax.set_yticks(range(count), categories or [str(i) for i in range(count)], parse_math=False)
    ax.invert_yaxis()
    ax.set_xlim(chart.low, chart.high)
    ax.set_xlabel(neutral(chart.y_label or chart.x_label, 60), parse_math=False)
    _legend(ax, names)
    _bare(ax)


def _draw_lines(chart: Chart, names: list[str], ax: Axes) -> None:
    x = list(chart.x)
    texts = bool(x) and isinstance(x[0], str)
    for name, values, ink in zip(names, chart.series.values(), palette.inks(list(chart.series)), strict=True):
        values = np.asarray(values, dtype=np.float64).ravel()
        places = np.arange(len(values)) if texts or not x else np.asarray(x, dtype=np.float64)
        marker = "" if ink is palette.MUTED or len(values) > 30 else "o" if ink.filled else "s"
        ax.plot(
            places, values, color=ink.plain, linestyle=ink.dashes, linewidth=1.2 if ink is palette.MUTED else 2,
            marker=marker, markersize=4, markerfacecolor=ink.plain if ink.filled else "none", label=_legible(name),
        )  # fmt: skip
    if texts:
        ax.set_xticks(range(len(x)), [neutral(t, 14) for t in x], parse_math=False)
    ax.set_ylim(chart.low, chart.high)
    ax.set_xlabel(neutral(chart.x_label, 60), parse_math=False)
    ax.set_ylabel(neutral(chart.y_label, 60), parse_math=False)
    _legend(ax, names)
    _bare(ax)


def _legible(name: str) -> str:
    """A label that a legend neither drops (a leading underscore) nor leaves out."""
    text = neutral(name, 40)
    return f" {text}" if text.startswith("_") or not text else text


def _legend(ax: Axes, names: list[str]) -> None:
    if len(names) > 1:
        for text in ax.legend(frameon=False, fontsize="small").get_texts():
            text.set_parse_math(False)
