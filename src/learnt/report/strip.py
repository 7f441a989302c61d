"""The default picture of a question: every replica as a mark, the interval as a bar, against control and reference.

One block a variant; one row a side. The words and the number of a row stand above its marks, so that the drawing is
its own table and needs no legend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from learnt.core.comparison import Answer, Comparison
from learnt.core.estimate import Estimate
from learnt.report import palette
from learnt.report._svg import dot, drawing, label, line, span, tick_texts, ticks
from learnt.report.numbers import Scale, scale_of
from learnt.report.palette import Ink

ROW, HEAD, MIDDLE, LEFT, WIDTH = 41, 20, 28, 1.5, 97.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One side of one answer: its name, its number, the values of its replicas, and how they look."""

    name: str
    estimate: Estimate
    replicas: tuple[float, ...]
    ink: Ink


def rows(answer: Answer, comparison: Comparison) -> list[Row]:
    """The rows of one answer: a for properties, b, the control where there is one."""
    sides: list[tuple[str, str, Estimate | None, Ink]] = [
        ("b", comparison.b.label, answer.value, palette.B),
        ("control", comparison.control.label if comparison.control else "", answer.control, palette.CONTROL),
    ]
    if answer.kind == "property":
        sides.insert(0, ("a", comparison.a.label, answer.reference, palette.A))
    return [
        Row(name=name, estimate=estimate, replicas=tuple(answer.replicas.get(side, ())), ink=ink)
        for side, name, estimate, ink in sides
        if estimate is not None
    ]


def limits(answers: Sequence[Answer], comparison: Comparison) -> tuple[float, float]:
    """Limits of the common axis: all replicas, intervals and references, inside the range of the measure."""
    values: list[float] = []
    for answer in answers:
        values.append(answer.reference.value)
        for row in rows(answer, comparison):
            values += [row.estimate.value, row.estimate.low, row.estimate.high, *row.replicas]
    return span(values, low=min(a.low for a in answers), high=max(a.high for a in answers))


def axis_title(answer: Answer, scale: Scale) -> str:
    """The unit along the axis: percent for shares."""
    return answer.unit.replace("share", "%", 1) if scale.suffix == " %" else answer.unit


def strip(answers: Sequence[Answer], comparison: Comparison, *, titles: Sequence[str] = ()) -> str:
    """The default picture of one or several answers in the same unit, as SVG.

    Args:
        titles: what sets each answer apart, shown above its rows; none for a single answer.
    """
    low, high = limits(answers, comparison)

    def at(x: float) -> float:
        return LEFT + WIDTH * (x - low) / (high - low)

    body, y, scale = [], 0.0, scale_of(answers[0])
    named = False
    for i, answer in enumerate(answers):
        if titles:
            body.append(label(titles[i], 0, y + 13, weight="600"))
            y += HEAD
        top, here = y, rows(answer, comparison)
        own = scale_of(answer)
        for row in here:
            body.append(_row(row, own, at, y))
            y += ROW
        if answer.reference.defined and answer.kind == "pairwise":
            x = at(answer.reference.value)
            for k in range(len(here)):
                middle = top + ROW * k + MIDDLE
                body.append(
                    line(x, middle - 8, x, middle + 9, stroke="currentColor", stroke_dasharray="3 2", opacity="0.75")
                )
            named = True
        y += 6 if titles else 0
    body.append(_axis(low, high, at, y, scale, axis_title(answers[0], scale), dashed=named))
    return drawing(y + 36, "".join(body), title=answers[0].question, alt=description(answers, comparison))


def _row(row: Row, scale: Scale, at, y: float) -> str:
    middle, ink = y + MIDDLE, row.ink
    parts = [
        label(row.name, 0, y + 14, limit=30),
        label(scale.full(row.estimate), 100, y + 14, anchor="end", weight="600"),
        line(LEFT, middle, LEFT + WIDTH, middle, stroke="currentColor", opacity="0.14"),
    ]
    if row.estimate.defined and row.estimate.high > row.estimate.low:
        low, high = at(row.estimate.low), at(row.estimate.high)
        parts.append(line(low, middle, high, middle, stroke=ink.svg, stroke_width=7, stroke_opacity="0.28"))
    parts += [
        dot(at(x), middle, ink.svg, filled=ink.filled, opacity=0.65) for x in row.replicas[:200] if math.isfinite(x)
    ]
    if row.estimate.defined:
        x = at(row.estimate.value)
        parts.append(line(x, middle - 7, x, middle + 7, stroke=ink.svg, stroke_width=2.5))
    return "".join(parts)


def _axis(low: float, high: float, at, y: float, scale: Scale, title: str, *, dashed: bool) -> str:
    places = ticks(low, high)
    parts = [line(LEFT, y + 3, LEFT + WIDTH, y + 3, stroke="currentColor", opacity="0.4")]
    for place, text in zip(places, tick_texts(places, scale.factor), strict=True):
        x = at(place)
        anchor = "start" if x < 4 else "end" if x > 96 else "middle"
        parts.append(line(x, y + 3, x, y + 7, stroke="currentColor", opacity="0.4"))
        parts.append(label(text, x, y + 18, anchor=anchor, size=11, faint=True))
    parts.append(label(title, 0, y + 32, size=11, faint=True, limit=36))
    if dashed:
        parts.append(label("dashed: identical", 100, y + 32, anchor="end", size=11, faint=True))
    return "".join(parts)


def description(answers: Sequence[Answer], comparison: Comparison) -> str:
    """What is to be seen, in words, for readers who cannot see it."""
    told = []
    for answer in answers:
        scale = scale_of(answer)
        sides = "; ".join(f"{row.name} {scale.full(row.estimate)}" for row in rows(answer, comparison))
        told.append(f"{answer.question} {sides}.")
    return "Each mark is one replica, each bar an interval. " + " ".join(told)
