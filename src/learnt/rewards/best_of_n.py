"""What would be lost by picking the best of N by another reward model?

    V_q(N) = sum_i C(i-1, N-1) / C(K, N) r1(response of q-rank i),    regret(N) = V_r1(N) - V_q(N)

V_q(N) is the mean true score r1 of the response that q ranks highest among N of the K scored ones, drawn without
replacement: an unbiased estimate of best-of-N sampling from the distribution that the responses come from. Ties of q
are averaged exactly, as if broken at random. Beside it stands the certificate, in units of sigma1 = n(c1),

    regret(N) / sigma1 <= N sqrt(2 / (2N - 1)) d(r1, q)

since the density of best-of-N against pi_ref has second moment at most N^2 / (2N - 1), and q's own pick is best for q.
For jointly normal scores the regret is (1 - rho) E[max of N standard normals]. A regret that grows while V_q falls is
over-optimisation (Gao et al. 2023): more selection by the proxy makes the true score worse.

The weights are a running product from the highest rank down, p_K = N / K, p_{i-1} = p_i (i - N) / (i - 1): no binomial
coefficient is formed, so that thousands of responses neither overflow nor cancel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from learnt.core.errors import InputError, NotApplicable
from learnt.core.estimate import Estimate
from learnt.core.measure import Sums, ratio
from learnt.core.statistics import Resampler
from learnt.rewards.responses import check_level, few_notes, interval
from learnt.rewards.score_forms import Canonical, canonical_scores, distance_sums
from learnt.rewards.scores import Responses, ScoreView

MANY = 256  # numbers N that a curve has at most


def pick_weights(k: int, n: Sequence[int] | np.ndarray) -> Float[np.ndarray, "m k"]:
    """(len(n), k) probability that the best of N out of k has rank 1 ... k (k the highest); zeros if N > k."""
    wanted = np.asarray(n, dtype=np.float64)[:, None]
    rank = np.arange(k, 1, -1, dtype=np.float64)[None, :]  # k ... 2
    steps = np.concatenate([wanted / k, np.maximum(rank - wanted, 0.0) / np.maximum(rank - 1.0, 1.0)], 1)
    return np.where(wanted <= k, np.cumprod(steps, 1)[:, ::-1], 0.0)


def picked_values(
    true: Float[np.ndarray, "p k"], proxy: Float[np.ndarray, "p k"], n: Sequence[int] | np.ndarray
) -> Float[np.ndarray, "p m"]:
    """(P, len(n)) V_proxy(N) for P prompts with K scored responses each; N must not exceed K.

    Args:
        true: (P, K) scores that count.
        proxy: (P, K) scores that pick.
        n: numbers of responses to pick from.
    """
    p, k = true.shape
    mean = true.mean(1, keepdims=True)
    order = np.argsort(proxy, axis=1, kind="stable")
    ranked, keys = np.take_along_axis(true - mean, order, 1), np.take_along_axis(proxy, order, 1)
    new = np.ones((p, k), dtype=bool)
    new[:, 1:] = keys[:, 1:] != keys[:, :-1]
    block = np.cumsum(new.ravel()) - 1  # ties of the proxy form a block, which shares its mean
    sums = np.bincount(block, weights=ranked.ravel()) / np.bincount(block)
    gain = sums[block].reshape(p, k) @ pick_weights(k, n).T
    return np.where(np.asarray(n) == 1, 0.0, gain) + mean  # one response leaves nothing to pick: no rounding either


def best_of_n_bound(distance: float, n: Any) -> np.ndarray:
    """The largest regret of best-of-N, in units of sigma1, for models at this response distance."""
    count = np.asarray(n, dtype=np.float64)
    return count * np.sqrt(2.0 / (2.0 * count - 1.0)) * distance


def expected_maximum(n: Any) -> np.ndarray:
    """Mean of the largest of N independent standard normals."""
    from scipy.stats import norm

    x = np.linspace(-12.0, 12.0, 4801)
    counts = np.atleast_1d(np.asarray(n, dtype=np.float64))[:, None]
    density = counts * np.exp(norm.logpdf(x) + (counts - 1) * norm.logcdf(x))
    return (density * x).sum(1) * (x[1] - x[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class Picks:
    """Best-of-N values of one pair of models, prompt by prompt; NaN where a prompt has fewer than N responses.

    Attributes:
        n: (m,) numbers of responses to pick from.
        by_true, by_proxy: (P, m) mean true score of the pick.
        weight: (P,) weights of the prompts, mean 1.
        prompts: (P,) their identifiers.
    """

    n: Int[np.ndarray, "m"]
    by_true: Float[np.ndarray, "p m"]
    by_proxy: Float[np.ndarray, "p m"]
    weight: Float[np.ndarray, "p"]
    prompts: tuple[str, ...]

    @property
    def regret(self) -> np.ndarray:
        """(P, m) what is lost; never negative, as no order of the responses beats the true one."""
        return np.maximum(self.by_true - self.by_proxy, 0.0)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(m,) weighted mean over the prompts that have enough responses."""
        there = ~np.isnan(values)
        weight = self.weight[:, None] * there
        return (weight * np.where(there, values, 0.0)).sum(0) / weight.sum(0)


def picks(true: ScoreView, proxy: ScoreView, data: Responses, n: Sequence[int] | np.ndarray) -> Picks:
    """Best-of-N values for every prompt of the data.

    Raises:
        NotApplicable: responses with weights of their own, which are no sample to pick from.
    """
    if data.reference is not None:
        raise NotApplicable(
            data.name, found="responses with reference weights", expected="responses drawn from the reference itself",
            remedy="Best of N draws responses at random; weighted ones cannot stand for that.",
        )  # fmt: skip
    inside, counts = data.layout, np.asarray(n, dtype=np.int64)
    shape = (len(inside.starts), len(counts))
    by_true, by_proxy = np.full(shape, np.nan), np.full(shape, np.nan)
    for k in np.unique(inside.counts):
        which = np.flatnonzero(inside.counts == k)
        fits = np.flatnonzero(counts <= k)
        rows = inside.rows[inside.starts[which][:, None] + np.arange(k)]
        r, q = true.scores[rows], proxy.scores[rows]
        by_true[np.ix_(which, fits)] = picked_values(r, r, counts[fits])
        by_proxy[np.ix_(which, fits)] = picked_values(r, q, counts[fits])
    names = tuple(data.prompt(i) for i in range(shape[0]))
    return Picks(n=counts, by_true=by_true, by_proxy=by_proxy, weight=inside.weight, prompts=names)


@dataclass(frozen=True, eq=False, kw_only=True)
class BestOfN:
    """What picking by a proxy loses, for each N.

    Attributes:
        true, proxy: names of the models.
        n: (m,) numbers of responses to pick from.
        regret: true-by-true minus true-by-proxy, in units of the true scores.
        relative: the same in units of sigma1.
        by_true, by_proxy: (m,) mean true score of the pick.
        certificate: (m,) bound on `relative` from the distance.
        normal: (m,) what `relative` would be for jointly normal scores of this cosine.
        n_prompts: (m,) prompts with at least N responses.
        sigma: n(c1), pooled standard deviation of the true scores within prompts.
        distance: d between the two models.
        picks: the values of single prompts.
        notes: what a reader must know.
    """

    true: str
    proxy: str
    n: Int[np.ndarray, "m"]
    regret: tuple[Estimate, ...]
    relative: tuple[Estimate, ...]
    by_true: Float[np.ndarray, "m"]
    by_proxy: Float[np.ndarray, "m"]
    certificate: Float[np.ndarray, "m"]
    normal: Float[np.ndarray, "m"]
    n_prompts: Int[np.ndarray, "m"]
    sigma: float
    distance: float
    picks: Picks
    notes: tuple[str, ...]

    @property
    def peak(self) -> int:
        """The N at which picking by the proxy has the highest true score; below the largest N, it over-optimises."""
        return int(self.n[int(self.by_proxy.argmax())])

    def at(self, n: int) -> Estimate:
        """The regret of one N, in units of the true scores; raises InputError for an N that was not asked for."""
        found = np.flatnonzero(self.n == n)
        if not len(found):
            raise InputError("n", found=str(n), expected=f"one of the numbers asked for, {self.n[0]} to {self.n[-1]}")
        return self.regret[int(found[0])]

    def __str__(self) -> str:
        from learnt.rewards.score_report import report_lines

        return "\n".join(report_lines(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the values of single prompts."""
        data: dict[str, Any] = {k: getattr(self, k) for k in ("true", "proxy", "sigma", "distance", "peak")}
        for key in ("n", "by_true", "by_proxy", "certificate", "normal", "n_prompts"):
            data[key] = getattr(self, key).tolist()
        data |= {k: [e.to_dict() for e in getattr(self, k)] for k in ("regret", "relative")}
        return data | {"notes": list(self.notes)}


def best_of_n_regret(
    true: Any,
    proxy: Any,
    groups: Any,
    n: int | Sequence[int] | None = None,
    *,
    weights: Any = None,
    level: float = 0.95,
    n_boot: int = 1000,
    seed: int = 0,
    names: tuple[str, str] = ("true", "proxy"),
) -> BestOfN:
    """What is lost, in true score, by picking the best of N responses by a proxy.

    Args:
        true, proxy: (n,) scores of the same responses; or what `Responses.subject` takes.
        groups: (n,) prompt of each response, or `Responses`.
        n: numbers of responses to pick from; None for 1, 2, ... up to the most that a prompt has (at most 256 of them,
            spread evenly on a log scale, beyond). Each N rests on the prompts that have as many.
        weights: of prompts, see `Responses`.
        level, n_boot, seed: of the intervals, which resample whole prompts.
        names: how the two are called.

    Raises:
        InputError: N below 1 or above every prompt's number of responses. NotApplicable: weighted responses.
        ShapeError, NonFiniteError: bad scores.
    """
    data = groups if isinstance(groups, Responses) else Responses(groups, weights=weights)
    if isinstance(groups, Responses) and weights is not None:
        raise InputError("weights", found="a second set beside that of the responses", expected="none with Responses")
    check_level(level)
    views = [data.subject(x, name=name) for x, name in ((true, names[0]), (proxy, names[1]))]
    found = picks(views[0], views[1], data, numbers(n, data))
    ready = [canonical_scores(v, data) for v in views]
    resampler = Resampler(n_boot, seed)
    columns = [regret_columns(found, j, ready[0]) for j in range(len(found.n))]
    plain = resampler.draws([Sums(columns=c[:, :2], combine=ratio) for c in columns], data.keys)
    units = resampler.draws([relative_sums(c, ready[0].size) for c in columns], data.keys)
    distance = distance_sums(ready[0], ready[1])
    d = float(distance.combine(distance.columns.mean(0)))
    rho = 0.0 if ready[0].trivial != ready[1].trivial else 1.0 - d * d / 2.0
    there = (~np.isnan(found.by_true)).sum(0)
    reason = f"{names[0]} gives all responses of a prompt the same score"
    return BestOfN(
        true=names[0], proxy=names[1], n=found.n,
        by_true=found.mean(found.by_true), by_proxy=found.mean(found.by_proxy),
        regret=tuple(interval(v, x, int(c), level, 0.0, np.inf) for (v, x), c in zip(plain, there, strict=True)),
        relative=tuple(
            Estimate.undefined(reason, n=int(c), level=level) if ready[0].trivial
            else interval(v, x, int(c), level, 0.0, np.inf)
            for (v, x), c in zip(units, there, strict=True)
        ),
        certificate=best_of_n_bound(d, found.n), normal=(1.0 - rho) * expected_maximum(found.n), n_prompts=there,
        sigma=ready[0].size, distance=d, picks=found,
        notes=(*data.notes, *_uneven(found.n, there), *few_notes(data.size)),
    )  # fmt: skip


def numbers(n: int | Sequence[int] | np.ndarray | None, data: Responses) -> np.ndarray:
    """(m,) the numbers N to ask for, ascending; raises InputError unless they are in 1 ... the largest K."""
    most = int(data.layout.counts.max())
    if n is None:
        every = np.arange(1, most + 1)
        return every if most <= MANY else np.unique(np.rint(np.geomspace(1, most, MANY)).astype(np.int64))
    wanted = np.unique(np.atleast_1d(np.asarray(n)))
    if wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer) or wanted[0] < 1 or wanted[-1] > most:
        raise InputError(
            "n", found=str(np.asarray(n).tolist()), expected=f"whole numbers from 1 to {most}, the most responses a "
            "prompt has",
        )  # fmt: skip
    return wanted.astype(np.int64)


def relative_sums(columns: np.ndarray, sigma: float) -> Sums:
    """Regret in units of sigma1 from the columns of `regret_columns`; sigma1 is resampled with it."""

    def combine(means: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(means[..., 2] / means[..., 3]) * sigma
            return np.where(spread > 0, ratio(means[..., :2]) / spread, np.nan)

    return Sums(columns=columns, combine=combine)


def regret_columns(found: Picks, j: int, truth: Canonical) -> np.ndarray:
    """(P, 4): weighted regret at the j-th N, weight of the prompts that have one, variance of s1, weight."""
    values = found.regret[:, j]
    there = ~np.isnan(values)
    variance = truth.data.layout.moments(truth.form, truth.form)
    return np.stack([found.weight * np.where(there, values, 0.0), found.weight * there, variance, found.weight], 1)


def _uneven(n: np.ndarray, there: np.ndarray) -> tuple[str, ...]:
    if there.min() == there.max():
        return ()
    first = int(n[int((there < there.max()).argmax())])
    return (
        f"prompts have different numbers of responses: from N = {first} on, the numbers rest on fewer prompts "
        f"({int(there.min())} of {int(there.max())} at N = {int(n[-1])})",
    )


def shown_numbers(n: np.ndarray) -> list[int]:
    """Positions of the N worth a row: 1, 2, 4, 8 ... and the last."""
    last = len(n) - 1
    powers = {int(np.abs(n - 2**i).argmin()) for i in range(int(math.log2(max(int(n[-1]), 1))) + 1)}
    return sorted(powers | {0, last})


def worst_prompts(found: Picks, j: int, shown: int = 10) -> list[tuple[str, float]]:
    """(prompt, regret in units of the true scores) of the prompts that lose most at the j-th N, worst first."""
    loss: Mapping[int, float] = {i: float(x) for i, x in enumerate(found.regret[:, j]) if x > 0}
    return [(found.prompts[i], loss[i]) for i in sorted(loss, key=lambda i: (-loss[i], i))[:shown]]
