"""Resampling, tests and corrections: how a piece of evidence becomes an interval and a verdict.

Two things vary between one experiment and the next: which examples were drawn, and which random seeds the models
were trained with. Both are resampled, together (a hierarchical bootstrap, distill spec 1.7):

* Examples. `Sums` are re-weighted by multinomial counts; the same counts serve every measure, model and control,
  so differences are paired. Draws are centred on the value: a statistic with an absolute value in it (ECE) is biased
  upwards by resampling. `Groups` become draws around the value whose covariance is the delete-a-group
  jackknife's, with Student-t tails for the G - 1 degrees of freedom; the same multipliers serve every model.
* Replicas. Drawing K replicas with replacement from K = 5 is too narrow: the variance is (K - 1)/K of the right one,
  the tails are not those of Student's t, and a single thing (K = 1) would only meet the J values of its controls.
  The deviations of replicas from their mean are therefore mixed with normal weights (a multiplier bootstrap), with
  the unbiased variance and, per repetition, the scale sqrt((K - 1)/chi2_{K-1}) of Student's t; a difference of two
  means has one common scale with Welch's degrees of freedom. `benchmarks/calibration.py` measures the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from learnt.core.errors import InputError
from learnt.core.measure import Evidence, Exact, Groups, Sums

_KEEP = 256 * 2**20  # bytes of resampling counts kept between measures


@dataclass(frozen=True, eq=False)
class Resampler:
    """Shared randomness of one comparison: the same resampled examples for every measure and every pair.

    Args:
        repetitions: B, the number of resamples.
        seed: any integer; everything drawn is a function of it.
    """

    repetitions: int
    seed: int
    _counts: dict[int, list[np.ndarray]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.repetitions < 100:
            raise InputError("resamples", found=str(self.repetitions), expected="at least 100")

    def rng(self, *parts: Any) -> np.random.Generator:
        """A generator that depends on the seed and `parts` only."""
        from learnt.run.seeds import numpy_generator

        return numpy_generator(self.seed, *parts)

    def counts(self, n: int) -> np.ndarray:
        """(B, n) uint8 multinomial counts: how often each of n examples is in each resample."""
        return np.concatenate(list(self._blocks(n)))

    def _blocks(self, n: int) -> Iterator[np.ndarray]:
        """The counts in blocks of resamples; kept between measures while they are small, drawn anew otherwise."""
        if n in self._counts:
            yield from self._counts[n]
            return
        rng, keep = self.rng("examples", n), self.repetitions * n <= _KEEP
        size = max(1, min(256, 64 * 2**20 // n))
        blocks = []
        for start in range(0, self.repetitions, size):
            block = np.empty((min(size, self.repetitions - start), n), dtype=np.uint8)
            for row in block:
                row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
            if keep:
                blocks.append(block)
            yield block
        if keep:
            self._counts[n] = blocks

    def draws(self, evidences: Sequence[Evidence], keys: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """(value, (B,) resampled values) of each piece of evidence, all with the same resampled examples.

        Args:
            evidences: what a measure returned for several pairs; `Undefined` gives NaN.
            keys: (n,) example keys; resampling runs in key order, so the order of the data changes nothing.
        """
        found: dict[int, tuple[float, np.ndarray]] = {}
        sums: dict[tuple[int, int], list[int]] = {}
        for i, evidence in enumerate(evidences):
            if isinstance(evidence, Sums):
                sums.setdefault((len(evidence.columns), id(evidence.keys)), []).append(i)
            elif isinstance(evidence, Groups):
                found[i] = (float(evidence.value), self._group_draws(evidence))
            else:
                value = float(evidence.value) if isinstance(evidence, Exact) else math.nan
                found[i] = (value, np.full(self.repetitions, value))
        for members in sums.values():  # one matrix product for all pairs that share examples
            found.update(zip(members, self._sum_draws([evidences[i] for i in members], keys), strict=True))
        return [found[i] for i in range(len(evidences))]

    def _sum_draws(self, evidences: Sequence[Any], keys: np.ndarray) -> list[tuple[float, np.ndarray]]:
        columns = np.concatenate([np.asarray(e.columns, dtype=np.float64) for e in evidences], axis=1)
        n = len(columns)
        own = evidences[0].keys if evidences[0].keys is not None else keys
        if len(own) == n:
            columns = columns[np.argsort(own, kind="stable")]
        means = np.concatenate([block.astype(np.float64) @ columns for block in self._blocks(n)])
        means /= n
        full, done, at = columns.mean(0), [], 0
        for e in evidences:
            part = slice(at, at := at + e.columns.shape[1])
            with np.errstate(divide="ignore", invalid="ignore"):
                value = float(e.combine(full[part]))
                draws = np.asarray(e.combine(means[:, part]), dtype=np.float64)
            lost = np.isnan(draws).all()
            done.append((value, draws if lost else draws + (value - np.nanmean(draws))))
        return done

    def _group_draws(self, evidence: Groups) -> np.ndarray:
        left_out = np.asarray(evidence.left_out, dtype=np.float64)
        groups = len(left_out)
        rng = self.rng("groups", groups)
        normal = rng.standard_normal((self.repetitions, groups))
        scale = np.sqrt((groups - 1) / rng.chisquare(groups - 1, self.repetitions))
        deviations = math.sqrt((groups - 1) / groups) * (left_out - left_out.mean())
        return evidence.value + scale * (normal @ deviations)


def replica_noise(
    pool: Float[np.ndarray, "replicas repetitions"],
    k: int,
    *,
    weights: np.random.Generator,
    scale: np.random.Generator,
    freedom: float | None = None,
) -> Float[np.ndarray, "repetitions"]:
    """(B,) noise of a mean over k replicas, estimated from the spread of a pool of replicas (see the module text).

    Args:
        pool: (J, B) resampled values of J replicas; fewer than 2 carry no information and give zeros.
        k: number of replicas the mean is taken over.
        weights, scale: random streams; two means that share `scale` widen together.
        freedom: degrees of freedom of Student's t; J - 1 if None.
    """
    j, repetitions = pool.shape
    if j < 2:
        return np.zeros(repetitions)
    nu = j - 1 if freedom is None else freedom
    deviations = pool - pool.mean(0)
    mixed = (weights.standard_normal((j, repetitions)) * deviations).sum(0)
    return np.sqrt(nu / scale.chisquare(nu, repetitions)) * mixed / math.sqrt((j - 1) * k)


def welch_freedom(first: Float[np.ndarray, "j"], second: Float[np.ndarray, "k"]) -> float:
    """Welch-Satterthwaite degrees of freedom of a difference of two means of at least 2 values each."""
    sides = [(x.var(ddof=1) / len(x), len(x) - 1) for x in (np.asarray(first), np.asarray(second))]
    below = sum(v * v / nu for v, nu in sides)
    least = float(min(nu for _, nu in sides))
    return max(least, float(sum(v for v, _ in sides) ** 2 / below)) if below > 0 else least


def two_sided_p(draws: Float[np.ndarray, "repetitions"], freedom: float = math.inf) -> float | None:
    """Two-sided p of "the difference is 0" from resampled differences; None if they do not vary.

    The share of draws beyond 0, while at least 10 of them are. Further out resampling has no resolution; there the tail
    is Student's t with these degrees of freedom, fitted to the middle 68 % of the draws.
    """
    from scipy.stats import t

    draws = draws[~np.isnan(draws)]
    if len(draws) == 0:
        return None
    if np.ptp(draws) == 0:
        return 1.0 if draws[0] == 0 else None
    beyond = int(min(np.sum(draws <= 0), np.sum(draws >= 0)))
    counted = min(1.0, 2 * (beyond + 1) / (len(draws) + 1))
    if beyond >= 10:
        return float(counted)
    low, middle, high = np.percentile(draws, [15.87, 50, 84.13])
    error = (high - low) / 2 / float(t.ppf(0.8413, freedom))
    tail = 2 * float(t.sf(abs(middle) / error, freedom)) if error > 0 else 0.0
    return float(min(max(tail, 1e-12), 2 * 11 / (len(draws) + 1)))


def seed_permutation_p(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """(p, smallest p these numbers of seeds can reach): two-sided permutation test of equal means over seed labels.

    Exact up to 20,000 relabellings, by 9,999 random ones beyond.
    """
    k, total = len(first), len(first) + len(second)
    ways = math.comb(total, k)
    smallest = (2 if 2 * k == total else 1) / ways
    values = np.array([*first, *second], dtype=np.float64)
    if ways <= 20_000:
        picks = np.array(list(combinations(range(total), k)))
    else:
        random = np.random.default_rng(0)
        picks = np.array([np.arange(k), *(random.permutation(total)[:k] for _ in range(9_999))])
    sums = values[picks].sum(1)
    gaps = np.abs(sums / k - (values.sum() - sums) / (total - k))
    observed = gaps[0] if ways > 20_000 else abs(np.mean(first) - np.mean(second))
    return float(np.mean(gaps >= observed - 1e-12 * max(1.0, float(np.abs(values).max())))), smallest


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (family-wise error)."""
    order = np.argsort(p_values)
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * float(p_values[i])))
        adjusted[int(i)] = running
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg adjusted p-values, in the order given (false discovery rate)."""
    from scipy.stats import false_discovery_control

    return [float(q) for q in false_discovery_control(np.asarray(p_values, dtype=np.float64))]


def wilson(successes: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def binomial_p(successes: int, trials: int) -> float:
    """Exact two-sided p of "the rate is one half" (win rates)."""
    from scipy.stats import binomtest

    return float(binomtest(successes, trials, 0.5).pvalue)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar p from the two discordant counts of paired yes/no outcomes."""
    return 1.0 if only_first + only_second == 0 else binomial_p(only_first, only_first + only_second)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Exact two-sided sign-flip p of "paired differences are symmetric about 0"."""
    from scipy.stats import permutation_test

    values = np.asarray(differences, dtype=np.float64)
    result = permutation_test(
        (values,),
        lambda x, axis: np.abs(x.mean(axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if len(values) <= 16 else 9999,  # pyright: ignore[reportArgumentType] (exact: see scipy)
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def paired_t(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """(t, two-sided p) of Student's paired test."""
    from scipy.stats import ttest_rel

    result = ttest_rel(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    return float(result.statistic), float(result.pvalue)
