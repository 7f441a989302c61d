"""The answers to one question for every pair of many things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.core.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = "learnt.matrix/1"


@dataclass(frozen=True, eq=False, kw_only=True)
class ComparisonMatrix:
    """K x K estimates of one question; row = reference, column = what is compared with it."""

    question: str
    name: str
    unit: str
    names: tuple[str, ...]
    cells: tuple[tuple[Estimate, ...], ...]
    data: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> np.ndarray:
        """(K, K) values; NaN where undefined."""
        return np.array([[cell.value for cell in row] for row in self.cells])

    def __getitem__(self, pair: tuple[str, str]) -> Estimate:
        row, column = (self.names.index(name) for name in pair)
        return self.cells[row][column]

    def __repr__(self) -> str:
        return f"ComparisonMatrix({self.name}, {len(self.names)} x {len(self.names)} on {self.data})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, schema version 1."""
        from learnt.core.comparison import plain

        return {
            "schema": SCHEMA,
            "question": self.question,
            "name": self.name,
            "unit": self.unit,
            "data": self.data,
            "names": list(self.names),
            "cells": [[cell.to_dict() for cell in row] for row in self.cells],
            "provenance": plain(self.provenance),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> ComparisonMatrix:
        """The inverse of `to_dict`."""
        return ComparisonMatrix(
            question=data["question"],
            name=data["name"],
            unit=data["unit"],
            data=data["data"],
            names=tuple(data["names"]),
            cells=tuple(tuple(Estimate.from_dict(cell) for cell in row) for row in data["cells"]),
            provenance=data["provenance"],
        )

    def to_frame(self) -> Any:
        """The values as a pandas DataFrame; raises MissingExtra without pandas."""
        from learnt.report.tables import matrix_frame

        return matrix_frame(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the matrix as a heat map on matplotlib axes (new ones unless given)."""
        from learnt.report.charts import draw_matrix

        return draw_matrix(self, ax)
