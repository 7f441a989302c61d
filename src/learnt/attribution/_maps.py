"""What the attribution measures share: the maps of one model on a subsample, and how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnt.core.panels import Chart
from learnt.core.subject import Subject

SALT = 0x6CA3
"""One salt for all attribution measures, so that they look at the same images."""


@dataclass(frozen=True, eq=False)
class Maps:
    """Where one model looks: (k, ...) maps of the examples of its data at the positions `index`.

    `gap` is (k,), the completeness error where the method has one.
    """

    subject: Subject
    index: np.ndarray
    values: np.ndarray
    gap: np.ndarray | None = None

    def scatter(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k,) values, NaN where undefined, as (n,) values over the data and (n,) whether each counts."""
        n = len(self.subject.data)
        full, measured = np.zeros(n), np.zeros(n, dtype=bool)
        defined = np.isfinite(values)
        full[self.index[defined]] = values[defined]
        measured[self.index[defined]] = True
        return full, measured


def empty_share(maps: np.ndarray) -> float:
    """Share of (k, ...) maps that are zero everywhere."""
    return float(np.mean(~maps.reshape(len(maps), -1).any(1)))


def to_unit(maps: np.ndarray) -> np.ndarray:
    """(k, H, W) maps divided by their own maximum; an empty map stays empty."""
    peak = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(peak > 0, peak, 1.0)


def mean_maps(details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Heat maps of where A, B and the control look on average, each divided by its maximum."""
    series: dict[str, np.ndarray] = {}
    for side, key, text in (("b", "mean_map_a", "A"), ("b", "mean_map_b", "B"), ("control", "mean_map_b", "control")):
        grid = np.asarray(details.get(side, {}).get(key, 0.0), dtype=np.float64)
        if grid.ndim == 2:
            series[text] = grid / grid.max() if grid.max() > 0 else grid
    if not series:
        return None
    rows, columns = next(iter(series.values())).shape
    return Chart(
        kind="heatmap",
        series=series,
        x=[str(i + 1) for i in range(columns)],
        y=[str(i + 1) for i in range(rows)],
        x_label="column",
        y_label="row",
        low=0.0,
        high=1.0,
        alt="Average attribution map of " + ", ".join(series) + ", each divided by its maximum.",
    )
