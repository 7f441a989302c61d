"""The pictures that measures ask for, as SVG: heat maps, bars and lines over percent-wide, pixel-high ground."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from learnt.core.panels import Chart
from learnt.report import palette
from learnt.report._svg import dot, drawing, element, label, line, pct, short, span, tick_texts, ticks, words
from learnt.report.palette import Ink

CELLS, NUMBERED, CATEGORIES, POINTS = 1024, 110, 40, 240


def heatmap(chart: Chart, names: Sequence[str], *, title: str) -> list[tuple[str, str]]:
    """One (name, SVG) for each matrix, on one colour scale; more than 1,024 cells are averaged in blocks."""
    matrices = [blocks(np.asarray(m, dtype=np.float64)) for m in chart.series.values()]
    low, high = colour_limits(chart)
    return [
        (name, _grid(chart, matrix, low, high, title=f"{title} {name}"))
        for name, matrix in zip(names, matrices, strict=True)
    ]


def colour_limits(chart: Chart) -> tuple[float, float]:
    """Limits of the common colour scale; it holds 0 where values have both signs."""
    known = np.concatenate([np.asarray(m, dtype=np.float64).ravel() for m in chart.series.values()] or [np.zeros(1)])
    known = known[np.isfinite(known)]
    low = chart.low if chart.low is not None else float(known.min(initial=0.0))
    high = chart.high if chart.high is not None else float(known.max(initial=low))
    return low, high if high > low else low + 1.0


def blocks(matrix: np.ndarray, most: int = CELLS) -> np.ndarray:
    """The matrix, averaged over square blocks until it has at most `most` cells."""
    matrix = np.atleast_2d(matrix)
    size = max(1, math.ceil(math.sqrt(matrix.size / most)))
    if size == 1:
        return matrix
    rows, columns = (math.ceil(n / size) for n in matrix.shape)
    padded = np.full((rows * size, columns * size), np.nan)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    tiles = padded.reshape(rows, size, columns, size)
    known = np.isfinite(tiles)
    count = known.sum(axis=(1, 3))
    return np.where(count > 0, np.where(known, tiles, 0).sum(axis=(1, 3)) / np.maximum(count, 1), np.nan)


def _grid(chart: Chart, matrix: np.ndarray, low: float, high: float, *, title: str) -> str:
    rows, columns = matrix.shape
    whole = next(iter(chart.series.values())).shape if chart.series else matrix.shape
    row_names = [str(y) for y in chart.y] if len(chart.y) == rows and whole[0] == rows else []
    column_names = [str(x) for x in chart.x] if len(chart.x) == columns and whole[1] == columns else []
    if not (row_names or column_names) or (chart.y_label, chart.x_label) == ("row", "column"):
        return _image(chart, matrix, low, high, title=title)
    gutter = 100 * min(0.3, 0.035 + 0.022 * max((len(n) for n in row_names), default=0))
    cell = min(max(240 / rows, 7.0), 30.0)
    bottom, y0 = cell * rows, 16.0 if chart.y_label else 4.0
    body = [
        element(
            "svg", _cells(matrix, low, high), x=pct(gutter), y=y0, width=pct(100 - gutter), height=bottom,
            viewBox=f"0 0 {columns} {rows}", preserveAspectRatio="none",
        )
    ]  # fmt: skip
    wide = (100 - gutter) / columns
    if rows * columns <= NUMBERED and wide >= 7:
        for i in range(rows):
            for j in range(columns):
                if math.isfinite(matrix[i, j]) and (abs(matrix[i, j]) >= 0.005 or max(abs(low), abs(high)) > 1):
                    text = _cell_text(float(matrix[i, j]), low, high)
                    body.append(
                        label(text, gutter + (j + 0.5) * wide, y0 + (i + 0.5) * cell + 3.5, anchor="middle", size=10)
                    )
    keep = max(1, math.ceil(13 / cell))
    for i, name in enumerate(row_names):
        if i % keep == 0:
            body.append(label(name, gutter - 1, y0 + (i + 0.5) * cell + 4, anchor="end", size=11, limit=12))
    y = y0 + bottom
    if column_names:
        longest = max(len(n) for n in column_names)
        tilted = longest > max(2, wide / 2.2)
        room = min(longest, 14) * 4.6 + 8 if tilted else 14
        keep = max(1, math.ceil(5.0 / wide)) if tilted else max(1, math.ceil(longest * 2.2 / wide))
        for j, name in enumerate(column_names):
            if j % keep:
                continue
            x = gutter + (j + 0.5) * wide
            if tilted:  # rotation needs an origin in pixels: a nested svg moves the origin to the column
                inner = element(
                    "text", words(name, 14), x=0, y=0, text_anchor="end", font_size=11, transform="rotate(-50)"
                )
                body.append(element("svg", inner, x=pct(x), y=y + 10, overflow="visible"))
            else:
                body.append(label(name, x, y + 13, anchor="middle", size=11, limit=14))
        y += room
    body.append(label(chart.x_label, gutter, y + 13, size=11, faint=True))
    if chart.y_label:
        body.append(label(f"rows: {chart.y_label}", 0, 10, size=11, faint=True))
    body.append(_key(low, high, y + 4))
    return drawing(y + 20, "".join(body), title=title, alt=chart.alt)


def _image(chart: Chart, matrix: np.ndarray, low: float, high: float, *, title: str) -> str:
    rows, columns = matrix.shape
    body = element(
        "svg", _cells(matrix, low, high), x="0", y="0", width="100%", height=160,
        viewBox=f"0 0 {columns} {rows}", preserveAspectRatio="xMinYMin meet",
    )  # fmt: skip
    return drawing(184, body + _key(low, high, 168, 8), title=title, alt=chart.alt)


def _cells(matrix: np.ndarray, low: float, high: float) -> str:
    """All cells: one path for each of 20 strengths of colour, which keeps large grids small."""
    signed = low < 0 < high
    top = max(abs(low), abs(high)) if signed else high - low
    paths: dict[tuple[str, int], list[str]] = {}
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if not math.isfinite(value):
                continue
            part = value / top if signed else (value - low) / top
            step = round(20 * min(abs(part), 1.0))
            paths.setdefault((palette.COLD if signed and part < 0 else palette.HEAT, step), []).append(
                f"M{j} {i}h1v1h-1z"
            )
    frame = element("rect", width=matrix.shape[1], height=matrix.shape[0], fill="currentColor", fill_opacity="0.04")
    return frame + "".join(
        element("path", d="".join(d), fill=colour, fill_opacity=short(0.8 * step / 20))
        for (colour, step), d in sorted(paths.items())
        if step
    )


def _cell_text(value: float, low: float, high: float) -> str:
    if max(abs(low), abs(high)) <= 1.0:
        text = f"{value:.2f}"
        return text.replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.1f}".removesuffix(".0")
    return f"{value:.3g}"


def _key(low: float, high: float, y: float, x: float = 77.5) -> str:
    """The colour scale: five steps between its ends, from x percent on."""
    signed = low < 0 < high
    parts = [label(f"{low:.3g}", x - 1.5, y + 9, anchor="end", size=11, faint=True)]
    for k in range(5):
        value = low + (high - low) * k / 4
        part = abs(value) / max(abs(low), abs(high)) if signed else k / 4
        colour = palette.COLD if signed and value < 0 else palette.HEAT
        parts.append(
            element(
                "rect", x=pct(x + 3 * k), y=y, width="3%", height=10, fill=colour, fill_opacity=short(0.8 * part),
                stroke="currentColor", stroke_opacity="0.25", stroke_width=0.5,
            )
        )  # fmt: skip
    return "".join(parts) + label(f"{high:.3g}", x + 16.5, y + 9, size=11, faint=True)


def bars(chart: Chart, names: Sequence[str], looks: Sequence[Sequence[Ink]], *, title: str) -> str:
    """Horizontal bars in groups, one group a category, the value at the end of each bar; at most 40 categories."""
    series = [np.asarray(values, dtype=np.float64).ravel() for values in chart.series.values()]
    values = np.concatenate([*series, np.zeros(1)])
    finite = values[np.isfinite(values)]
    low = chart.low if chart.low is not None else float(min(finite.min(), 0.0))
    high = chart.high if chart.high is not None else float(max(finite.max(), 0.0))
    high = high if high > low else low + 1.0
    start, wide = 0.0, 86.0

    def at(x: float) -> float:
        return start + wide * (min(max(x, low), high) - low) / (high - low)

    categories = [str(x) for x in chart.x] or [str(i) for i in range(max(len(s) for s in series))]
    body, y = [], 4.0
    if len(series) > 1:
        body, y = legend(names, [inks[0] for inks in looks], 12, filled=True)
    zero = at(min(max(0.0, low), high))
    top = y
    for c, category in enumerate(categories[:CATEGORIES]):
        body.append(label(category, 0, y + 12))
        y += 17
        for values, inks in zip(series, looks, strict=True):
            value, ink = (float(values[c]), inks[c]) if c < len(values) else (math.nan, palette.MUTED)
            if math.isfinite(value):
                x = at(value)
                body.append(
                    element(
                        "rect", x=pct(min(zero, x)), y=y, width=pct(abs(x - zero)), height=9, fill=ink.svg,
                        fill_opacity=None if ink.filled else "0.18", stroke=ink.svg, stroke_width=1,
                    )
                )  # fmt: skip
            text = f"{value:.3g}" if math.isfinite(value) else "none"
            body.append(label(text, (max(zero, at(value)) if math.isfinite(value) else zero) + 1.2, y + 8.5, size=11))
            y += 12
        y += 5
    body.append(line(zero, top, zero, y, stroke="currentColor", opacity="0.4"))
    if len(categories) > CATEGORIES:
        body.append(label(f"the first {CATEGORIES} of {len(categories)}", 0, y + 12, size=11, faint=True))
        y += 14
    if chart.y_label or chart.x_label:
        body.append(label(chart.y_label or chart.x_label, 0, y + 12, size=11, faint=True))
        y += 16
    return drawing(y + 4, "".join(body), title=title, alt=chart.alt)


def legend(names: Sequence[str], looks: Sequence[Ink], y: float, *, filled: bool = False) -> tuple[list[str], float]:
    """Swatches with names, two in a row if they are short; returns the pieces and the place below them."""
    columns = 2 if len(names) > 1 and max(len(name) for name in names) <= 22 else 1
    parts, step = [], 100 / max(columns, 1)
    for k, (name, ink) in enumerate(zip(names, looks, strict=True)):
        x, line_y = (k % columns) * step, y + 16 * (k // columns)
        if filled:
            swatch = element(
                "rect", x=pct(x), y=line_y - 8, width=12, height=8, fill=ink.svg, stroke=ink.svg,
                fill_opacity=None if ink.filled else "0.18",
            )  # fmt: skip
        else:
            stroke = element("line", x1=0, y1=0, x2=22, y2=0, stroke=ink.svg, stroke_width=2, stroke_dasharray=ink.dash)
            swatch = element("svg", stroke, x=pct(x), y=line_y - 4, overflow="visible")
        inner = element("text", words(name, 44), x=18 if filled else 28, y=0, font_size=11)
        parts.append(swatch + element("svg", inner, x=pct(x), y=line_y, overflow="visible"))
    return parts, y + 16 * math.ceil(len(names) / max(columns, 1)) - 4


def lines(chart: Chart, names: Sequence[str], *, title: str) -> str:
    """Lines over x, broken where a value is missing; thick data, thin yardsticks, names in a row above."""
    x = np.asarray(chart.x, dtype=np.float64) if len(chart.x) and not isinstance(chart.x[0], str) else None
    series = [np.asarray(values, dtype=np.float64).ravel() for values in chart.series.values()]
    x = np.arange(max(len(s) for s in series), dtype=np.float64) if x is None else x
    looks = palette.inks(list(chart.series))
    left, right, tall = 11.0, 98.0, 190.0
    body, top = legend(names, looks, 13)
    x_low, x_high = span(list(x), room=0.02)
    room = span([v for s in series for v in s], low=chart.low or -math.inf, high=chart.high or math.inf)
    y_low = room[0] if chart.low is None else chart.low
    y_high = room[1] if chart.high is None else chart.high
    y_high = y_high if y_high > y_low else y_low + 1.0

    def at(value: float) -> float:
        return left + (right - left) * (value - x_low) / (x_high - x_low)

    def up(value: float) -> float:
        return top + tall * (1 - (value - y_low) / (y_high - y_low))

    y_ticks, x_ticks = ticks(y_low, y_high), ticks(x_low, x_high)
    for place, text in zip(y_ticks, tick_texts(y_ticks), strict=True):
        body.append(line(left, up(place), right, up(place), stroke="currentColor", opacity="0.12"))
        body.append(label(text, left - 1.5, up(place) + 4, anchor="end", size=11, faint=True))
    for place, text in zip(x_ticks, tick_texts(x_ticks), strict=True):
        body.append(label(text, at(place), top + tall + 15, anchor="middle", size=11, faint=True))
    drawn = "".join(
        element(
            "path", d=_path(x, values, x_low, x_high, y_low, y_high), fill="none", stroke=ink.svg,
            stroke_width=1.2 if ink is palette.MUTED else 2, stroke_dasharray=ink.dash,
            vector_effect="non-scaling-stroke",
        )
        for values, ink in zip(series, looks, strict=True)
    )  # fmt: skip
    body.append(
        element(
            "svg", drawn, x=pct(left), y=top, width=pct(right - left), height=tall, viewBox="0 0 100 100",
            preserveAspectRatio="none", overflow="visible",
        )
    )  # fmt: skip
    for values, ink in zip(series, looks, strict=True):
        if len(values) <= 30 and ink is not palette.MUTED:
            for value, place in zip(values, x, strict=False):
                if math.isfinite(value):
                    body.append(dot(at(place), up(value), ink.svg, filled=ink.filled, size=2.8))
    y = top + tall + 30
    body.append(label(chart.x_label, right, y, anchor="end", size=11, faint=True))
    body.append(label(f"vertical: {chart.y_label}" if chart.y_label else "", 0, y, size=11, faint=True, limit=36))
    return drawing(y + 6, "".join(body), title=title, alt=chart.alt)


def _path(x: np.ndarray, values: np.ndarray, x_low: float, x_high: float, y_low: float, y_high: float) -> str:
    step = max(1, math.ceil(len(values) / POINTS))
    pen, parts = "M", []
    for place, value in list(zip(x, values, strict=False))[::step]:
        if not math.isfinite(value):
            pen = "M"
            continue
        across, up = 100 * (place - x_low) / (x_high - x_low), 100 * (1 - (value - y_low) / (y_high - y_low))
        parts.append(f"{pen}{short(across)} {short(up)}")
        pen = "L"
    return "".join(parts)
