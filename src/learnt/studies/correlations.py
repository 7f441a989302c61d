"""How closely do many metrics follow a regret, and how sure is that? Correlations over rows from many environments.

    Pearson's r from the sums n, x, y, xx, yy, xy of each environment; Spearman's is Pearson's of the ranks of all rows

Rows of one environment share its dynamics, and rows of one pair share their rewards. Intervals therefore resample
environments (a bootstrap of clusters): the counts of environments times their sums, for all metrics at once. The same
resamples serve every metric, so that differences of two metrics have intervals too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.run.seeds import numpy_generator

RESAMPLES = 1000
CONFIDENCE = 0.95
FLAT = 1e-13  # a variance this small beside the square of the largest value is rounding noise


@dataclass(frozen=True, eq=False, kw_only=True)
class Correlations:
    """Correlations of M metrics with one target.

    Attributes:
        pearson: (M,); NaN where one of the two does not vary.
        low, high: (M,) ends of 95 % intervals, NaN with fewer than two environments.
        spearman: (M,).
        draws: (B, M) resampled Pearson correlations.
    """

    pearson: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spearman: np.ndarray
    draws: np.ndarray


def correlations(
    values: np.ndarray,
    target: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int = 0,
) -> Correlations:
    """Correlations of every column of `values` with `target`, with intervals over `groups`.

    Args:
        values: (rows, M) metrics.
        target: (rows,) what they should follow.
        groups: (rows,) which environment each row comes from.
        seed: of the resamples.

    Raises:
        ShapeError: arrays that do not fit. InputError: fewer than two rows.
    """
    n = len(values)
    if target.shape != (n,) or groups.shape != (n,):
        raise ShapeError("target, groups", found=f"{target.shape}, {groups.shape}", expected=f"({n},), one a row")
    if n < 2:
        raise InputError("values", found=f"{n} rows", expected="at least two")
    from scipy.stats import rankdata

    whole = pearson(_sums(values, target, np.zeros(n, dtype=np.int64)))[0]
    ranks = pearson(_sums(rankdata(values, axis=0), rankdata(target), np.zeros(n, dtype=np.int64)))[0]
    kinds, inverse = np.unique(groups, return_inverse=True)
    draws = np.empty((0, values.shape[1]))
    low = high = np.full(values.shape[1], np.nan)
    if len(kinds) > 1:
        sums = _sums(values, target, inverse)
        rng = numpy_generator("correlations", seed)
        counts = rng.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), RESAMPLES).astype(np.float64)
        mixed = (counts @ sums.reshape(len(kinds), -1)).reshape(RESAMPLES, *sums.shape[1:])
        draws = pearson(mixed)
        seen = np.isfinite(whole)
        tails = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)
        ends = np.full((2, values.shape[1]), np.nan)
        ends[:, seen] = np.nanquantile(draws[:, seen], tails, axis=0)
        low, high = ends
    return Correlations(pearson=whole, low=low, high=high, spearman=ranks, draws=draws)


def pearson(sums: np.ndarray) -> np.ndarray:
    """(B, 6, M) sums n, x, y, xx, yy, xy of deviations -> (B, M) correlations; NaN where one does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_x, of_y, both = xx - x * x / n, yy - y * y / n, xy - x * y / n
        varies = (of_x > FLAT * n) & (of_y > FLAT * n)
        return np.where(varies, np.clip(both / np.sqrt(of_x * of_y), -1.0, 1.0), np.nan)


def _sums(values: np.ndarray, target: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """(G, 6, M) sums of each group, of deviations from the mean in units of the largest: safe for any scale."""
    order = np.argsort(inverse, kind="stable")
    starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
    x, y = _scaled(values)[order], _scaled(target[:, None])[order]
    out = np.empty((len(starts), 6, values.shape[1]))
    for i, part in enumerate(
        (lambda: np.ones_like(y), lambda: x, lambda: y, lambda: x * x, lambda: y * y, lambda: x * y)
    ):
        out[:, i] = np.add.reduceat(part(), starts, axis=0)  # one product at a time: they are as large as the rows
    return out


def _scaled(values: np.ndarray) -> np.ndarray:
    off = values - values.mean(0)
    top = np.abs(values).max(0)
    return off / np.where(top > 0, top, 1.0)
