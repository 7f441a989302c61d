"""How certain are means over sampled transitions? Resampling of points, or of whole episodes, for many means at once.

    mean_b = sum_c n_bc sum_{i in c} w_i x_i / sum_c n_bc sum_{i in c} w_i,     n_b multinomial over C clusters

One set of counts serves all columns x, so everything computed from the resampled means stays paired. Points of one
episode depend on each other; without episodes each point is a cluster of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from learnt.core.errors import InputError
from learnt.data.transitions import Transitions
from learnt.run.seeds import numpy_generator

BLOCK = 64 * 2**20  # bytes of counts at a time
LOST = 0.1  # share of resamples without a number from which there is no interval


@dataclass(frozen=True, eq=False)
class Part:
    """One set of transitions to resample.

    Attributes:
        weight: (N,) of the points.
        cluster: (N,) index of each point's cluster, or None if each is its own.
        count: number of clusters C.
        seed: of the counts.
        repetitions: B.
    """

    weight: np.ndarray
    cluster: np.ndarray | None
    count: int
    seed: tuple[object, ...]
    repetitions: int

    def sums(self, columns: Float[np.ndarray, "p n"]) -> Float[np.ndarray, "c p"]:
        """Weighted sum of each column over each cluster."""
        weighted = columns * self.weight
        if self.cluster is None:
            return weighted.T
        return np.stack([np.bincount(self.cluster, row, self.count) for row in weighted], axis=1)

    def counts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks (rows of B, (b, C) float64) of how often each cluster is in each resample."""
        rng = numpy_generator(*self.seed, self.count)
        size = max(1, min(self.repetitions, BLOCK // (8 * self.count)))
        for start in range(0, self.repetitions, size):
            stop = min(start + size, self.repetitions)
            drawn = rng.integers(0, self.count, (stop - start, self.count))
            drawn += self.count * np.arange(stop - start)[:, None]
            flat = np.bincount(drawn.ravel(), minlength=drawn.size)
            yield slice(start, stop), flat.reshape(drawn.shape).astype(np.float64)

    def means(self, columns: Float[np.ndarray, "p n"]) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "b p"]]:
        """The weighted mean of each column, and in each resample; NaN in a resample without any weight."""
        sums = np.concatenate([self.sums(columns), self.sums(np.ones((1, columns.shape[1])))], axis=1)
        drawn = np.empty((self.repetitions, sums.shape[1]))
        for rows, counts in self.counts():
            drawn[rows] = counts @ sums
        whole = sums.sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return whole[:-1] / whole[-1], drawn[:, :-1] / drawn[:, -1:]


def part_of(data: Transitions, name: str, seed: int, repetitions: int) -> Part:
    """What is to be resampled of `data`; `name` sets its random stream apart.

    Raises:
        InputError: fewer than two points, or a single episode.
    """
    weight = np.ones(len(data)) if data.weight is None else data.weight
    if data.episode is None:
        cluster, count = None, len(data)
    else:
        labels, cluster = np.unique(data.episode, return_inverse=True)
        count = len(labels)
    if count < 2:
        raise InputError(
            "batch" if data.episode is None else "episode", found=f"1 {'point' if data.episode is None else 'episode'}",
            expected="at least two independent units, for an interval",
            remedy="" if data.episode is None else "Give episode=None if the points are independent of each other.",
        )  # fmt: skip
    return Part(weight, cluster, count, (seed, "sampled rewards", name), repetitions)


def ends(draws: Float[np.ndarray, "b p"], level: float) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p"]]:
    """Percentile interval of each column; NaN where more than a tenth of the resamples have no number."""
    tail = 100 * (1 - level) / 2
    lost = np.isnan(draws).mean(0)
    low, high = np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    whole, some = lost == 0, (lost > 0) & (lost <= LOST)
    if whole.any():
        low[whole], high[whole] = np.percentile(draws[:, whole], [tail, 100 - tail], axis=0)
    if some.any():
        low[some], high[some] = np.nanpercentile(draws[:, some], [tail, 100 - tail], axis=0)
    return low, high
