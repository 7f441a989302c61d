"""What is one piece of work of the study of gated networks, and what is said of a figure? Plain data.

    {"figure": "xor", "part": "gated", "gating": "four", "seeds": 5, "steps": 1000, ..., "seed": 123}

An item says everything that its result depends on, so that it is also the name of that result in the journal. Each
has a seed derived from the study's seed and its figure; seeds of simulations are derived from that by their number, so
that more of them leave the first ones as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError
from learnt.core.statistics import replica_noise
from learnt.run.seeds import derive, numpy_generator
from learnt.studies.programs_tables import Sheet

Item = dict[str, Any]
Entry = tuple[Item, dict[str, Any]]  # an item and its result
SCALES = ("small", "paper")
RESAMPLES = 4000


@final
@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked of all figures.

    Attributes:
        seeds: simulations of each cell, instead of the figure's own number.
        scale: "small", minutes on one thread, or "paper": more seeds, longer runs, more cells.
        images: name of a further set of images for the routing benchmark, such as "mnist"; None for digits only.
        seed: from which every item derives its own.
    """

    seeds: int | None = None
    scale: Literal["small", "paper"] = "small"
    images: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise InputError("scale", found=repr(self.scale), expected=f"one of {', '.join(SCALES)}")
        for name, value, low in (("seeds", self.seeds, 1), ("seed", self.seed, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < low):
                raise InputError(name, found=repr(value), expected=f"an integer of at least {low}")

    def count(self, small: int, paper: int) -> int:
        """The number of seeds of a cell: as asked, or by scale."""
        if self.seeds is not None:
            return self.seeds
        return small if self.scale == "small" else paper

    def item(self, figure: str, part: str, **settings: Any) -> Item:
        """One item, with the seed of its figure."""
        return {"figure": figure, "part": part, **settings, "seed": derive("gated study", self.seed, figure)}


class Claim(NamedTuple):
    """A statement that a figure must bear out.

    Attributes:
        check: number of the acceptance check of the specification; "" if it is ours.
        statement: what is measured.
        expected: the bound.
        found: the value here.
        holds: whether it is within the bound.
    """

    check: str
    statement: str
    expected: str
    found: str
    holds: bool


class Figure(NamedTuple):
    """One figure: what it computes, and what is made of the results.

    Attributes:
        name, title: "xor", and one line.
        items: the work for some options.
        work: the result of one item; the second argument is the folder of image files, or None.
        claims, sheets, draw, caption: of the results. A caption says normalisation, seeds, intervals and control.
    """

    name: str
    title: str
    items: Callable[[Options], list[Item]]
    work: Callable[[Item, str | None], dict[str, Any]]
    claims: Callable[[Sequence[Entry]], list[Claim]]
    sheets: Callable[[Sequence[Entry]], list[Sheet]]
    draw: Callable[[Sequence[Entry]], Any]
    caption: Callable[[Sequence[Entry]], str]


class Mean(NamedTuple):
    """Mean over seeds with its 95 % interval; the ends are the mean itself if there is one seed."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        mean, low, high = (f"{x:.3g}" if abs(x) < 1000 else f"{x:.0f}" for x in self)
        return mean if self.low == self.high else f"{mean} [{low}, {high}]"


def mean_of(values: Any, *stream: object, floor: float = -np.inf, top: float = np.inf) -> Mean:
    """Mean over seeds and its interval: a multiplier bootstrap with the tails of Student's t (`replica_noise`).

    Args:
        values: (R,) one number a seed.
        stream: names the random stream.
        floor, top: what the quantity cannot be below or above; the interval is cut there.
    """
    pool = np.asarray(values, dtype=np.float64)
    mean = float(pool.mean())
    if len(pool) < 2 or np.ptp(pool) == 0:
        return Mean(mean, mean, mean)
    rngs = [numpy_generator("gated study", *stream, part) for part in ("weights", "scale")]
    table = np.repeat(pool[:, None], RESAMPLES, 1)
    low, high = np.percentile(
        mean + replica_noise(table, len(pool), weights=rngs[0], scale=rngs[1]), [2.5, 97.5]
    )  # fmt: skip
    return Mean(mean, max(float(low), floor), min(float(high), top))


def seeds_of(item: Item) -> list[int]:
    """The seeds of the simulations of an item."""
    return [derive(item["seed"], "simulation", i) for i in range(item["seeds"])]


def thinned(count: int, most: int = 160) -> np.ndarray:
    """At most `most` positions of a curve of `count` points, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def rounded(values: Any, digits: int = 7) -> Any:
    """Nested lists of a curve, to so many significant digits: enough for a picture, and small in a file."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        return float(f"{float(array):.{digits - 1}e}")
    return [rounded(row, digits) for row in array]


def parts(entries: Sequence[Entry], part: str) -> list[Entry]:
    """The entries of one part of a figure."""
    return [entry for entry in entries if entry[0]["part"] == part]
