"""Panels are data: what a report shows, before any renderer has touched it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False, kw_only=True)
class Chart:
    """A picture as data; the renderers in `learnt.report` draw it.

    Attributes:
        kind: ``"heatmap"`` (each series is a matrix (rows, columns), drawn side by side on one colour scale),
            ``"bars"`` (each series is (categories,)), ``"lines"`` (each series is (points,) over `x`).
        series: arrays by label, in drawing order; labels are text from users and must be escaped by renderers.
        x: positions (lines) or names (bars, heat-map columns).
        y: names of heat-map rows.
        x_label, y_label: axis titles with units.
        low, high: limits of the value axis or colour scale, None for automatic.
        alt: one sentence that says what is to be seen, for readers who cannot see it.
    """

    kind: Literal["heatmap", "bars", "lines"]
    series: dict[str, np.ndarray]
    x: Sequence[str] | np.ndarray = ()
    y: Sequence[str] = ()
    x_label: str = ""
    y_label: str = ""
    low: float | None = None
    high: float | None = None
    alt: str = ""
