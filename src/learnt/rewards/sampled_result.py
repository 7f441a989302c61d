"""What a sampled comparison of rewards found: for every pair cosine, distance, angle and gap, each with an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from learnt.core.errors import InputError
from learnt.core.estimate import Estimate


class Band(NamedTuple):
    """Values with the ends of their intervals, arrays of one shape; NaN where a number does not exist."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class SampledPair(NamedTuple):
    """Two rewards: distance (0 to 2), cosine, angle in radians, and the distance of the forms before scaling."""

    distance: Estimate
    cosine: Estimate
    angle: Estimate
    gap: Estimate


class Place(NamedTuple):
    """A sampled point: its index in the batch, both standardised rewards, its share of the squared difference."""

    index: int
    first: float
    second: float
    share: float


@dataclass(frozen=True, eq=False, kw_only=True)
class SampledDistances:
    """Distances between M rewards, estimated on the same N points.

    Attributes:
        names: of the rewards.
        distance, cosine, angle: (M, M); d = sqrt(2 - 2 cosine), angle = arccos(cosine).
        gap: (M, M) root mean square of the difference of the canonical forms, in units of the rewards: unlike the
            distance it depends on their scales, as training with a fixed penalty does.
        norm: (M,) root mean square of each canonical form.
        trivial: (M,) bool: nothing but shaping is left of the reward; its standardised form is 0.
        uncertain: (M,) bool: the norm cannot be told from 0 with these samples.
        gram: (M, M) estimated inner products of the canonical forms.
        forms: (M, N) standardised canonical form at each point, averaged over successors.
        points, successors, clusters: N, K and the number of independent units that were resampled.
        method: "val" or "minimal"; `value` says how the potentials were found.
        discount, level: gamma; coverage that intervals aim at.
        rank, condition: of the equations for the values; None where the user gave the values.
        notes: what a reader must know, the texts of all warnings among it.
        provenance: seed, repetitions and the fingerprints of the samples.
    """

    names: tuple[str, ...]
    distance: Band
    cosine: Band
    angle: Band
    gap: Band
    norm: Band
    trivial: np.ndarray
    uncertain: np.ndarray
    gram: np.ndarray
    forms: np.ndarray
    points: int
    successors: int
    clusters: int
    method: str
    value: str
    discount: float
    level: float
    rank: int | None = None
    condition: float | None = None
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, pair: tuple[str, str]) -> SampledPair:
        i, j = (self._index(name) for name in pair)
        return SampledPair(
            *(self._estimate(band, (i, j)) for band in (self.distance, self.cosine, self.angle, self.gap))
        )

    def size_of(self, name: str) -> Estimate:
        """The norm of the canonical form of one reward."""
        return self._estimate(self.norm, (self._index(name),))

    def largest(self, first: str, second: str, count: int = 10) -> tuple[Place, ...]:
        """The points where two standardised rewards differ most, largest first.

        Raises:
            InputError: unknown names.
        """
        a, b = (self.forms[self._index(name)] for name in (first, second))
        square = np.square(a - b)
        total = float(square.sum())
        order = np.argsort(-square, kind="stable")[:count]
        return tuple(Place(int(i), float(a[i]), float(b[i]), float(square[i]) / total if total else 0.0) for i in order)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the forms at each point; null where a number does not exist."""
        return {
            "schema": "learnt.sampled/1",
            "names": list(self.names),
            **{
                name: {end: _plain(getattr(band, end)) for end in Band._fields}
                for name in ("distance", "cosine", "angle", "gap", "norm")
                for band in (getattr(self, name),)
            },
            "gram": _plain(self.gram),
            "trivial": self.trivial.tolist(),
            "uncertain": self.uncertain.tolist(),
            **{
                name: getattr(self, name)
                for name in (
                    "points",
                    "successors",
                    "clusters",
                    "method",
                    "value",
                    "discount",
                    "level",
                    "rank",
                    "condition",
                )
            },
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }

    def table(self) -> Any:
        """A rich table: a row for each pair."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=f"Distances between rewards ({self.method}, {self.points} points x {self.successors})")
        for heading in ("pair", "distance", "cosine", "gap"):
            table.add_column(heading, justify="left" if heading == "pair" else "right")
        for i, a in enumerate(self.names):
            for b in self.names[i + 1 :]:
                pair = self[a, b]
                table.add_row(escape(f"{a} - {b}"), *(_short(e) for e in (pair.distance, pair.cosine, pair.gap)))
        for note in self.notes:
            table.caption = f"{table.caption}\n{escape(note)}" if table.caption else escape(note)
        return table

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise InputError("name", found=repr(name), expected=f"one of {', '.join(self.names)}")
        return self.names.index(name)

    def _estimate(self, band: Band, at: tuple[int, ...]) -> Estimate:
        value, low, high = (float(end[at]) for end in band)
        if math.isnan(value) or math.isnan(low):
            silent = [self.names[i] for i in at if self.trivial[i]]
            lost = [self.names[i] for i in at if self.uncertain[i]]
            return Estimate.undefined(
                f"{silent[0]} is trivial: it has no direction" if silent
                else f"the norm of {lost[0] if lost else 'a reward'} cannot be told from 0 with these samples",
                n=self.points, level=self.level,
            )  # fmt: skip
        if low == high == value:
            return Estimate.exact(value, n=self.points, level=self.level)
        return Estimate(value=value, low=low, high=high, level=self.level, n=self.points, kind="bootstrap")


def _short(estimate: Estimate) -> str:
    return str(estimate) if estimate.defined else "-"


def _plain(values: np.ndarray) -> Any:
    return np.where(np.isfinite(values), values.astype(object), np.array(None)).tolist()
