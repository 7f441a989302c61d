"""Would both reward models prefer the same responses? Distances between learned rewards of text and trajectories.

    c(x, y) = r(x, y) - E_{y' ~ pi_ref(.|x)} r(x, y'),    rho = sum_x w_x Cov(r1, r2|x) / (n(c1) n(c2)),
    n(c)^2 = sum_x w_x Var(r|x),    d = || c1/n(c1) - c2/n(c2) || = sqrt(2 - 2 rho)

The prompt x is a state, the whole response y an action, after which nothing follows: c is the advantage under pi_ref
and, at once, the smallest equivalent reward in L2 (Skalse et al. 2024, Definition 3, in a contextual bandit). d is 0
exactly if the two models agree up to an offset of each prompt and one positive factor for all prompts; preference data
never determine the offsets. A global correlation over all scores is not invariant to them.

Covariances are unbiased in each prompt (K - 1) and pooled over prompts before the ratio is taken: correlations of
single prompts are not averaged. Intervals resample whole prompts. c/n(c) is subtracted before squaring, so that equal
models are at 0 and not at the square root of rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from learnt.core.errors import InputError
from learnt.core.estimate import Estimate
from learnt.core.measure import Sums
from learnt.core.statistics import Resampler
from learnt.rewards.score_forms import (
    SHOWN,
    Canonical,
    Witness,
    canonical_scores,
    distance_sums,
    length_cosines,
    length_sums,
    witnesses,
)  # fmt: skip
from learnt.rewards.scores import Responses, ScoreTable

FEW = 20  # prompts below which resampling them gives intervals that are too narrow


@dataclass(frozen=True, eq=False, kw_only=True)
class PairDistance:
    """How far apart two reward models are.

    Attributes:
        a, b: their names.
        distance: d, 0 to 2.
        cosine: rho, pooled within prompts, -1 to 1; of a trivial model 0 with others and 1 with its like.
        angle: arccos rho, in degrees.
        norm_a, norm_b: n(c), pooled standard deviations within prompts, in units of the scores.
        unnormalised: ||c1 - c2|| in units of the scores: what counts where scale matters, as in training with a fixed
            KL penalty.
        length_partial: the cosine with length projected out of both: a diagnostic; None without lengths.
        prompts, responses: where the two differ most.
    """

    a: str
    b: str
    distance: Estimate
    cosine: Estimate
    angle: Estimate
    norm_a: float
    norm_b: float
    unnormalised: Estimate
    length_partial: Estimate | None
    prompts: tuple[Witness, ...]
    responses: tuple[Witness, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        estimates = ("distance", "cosine", "angle", "unnormalised")
        data: dict[str, Any] = {k: getattr(self, k) for k in ("a", "b", "norm_a", "norm_b")}
        data |= {k: getattr(self, k).to_dict() for k in estimates}
        data["length_partial"] = None if self.length_partial is None else self.length_partial.to_dict()
        data |= {k: [vars(w).copy() for w in getattr(self, k)] for k in ("prompts", "responses")}
        return data


@dataclass(frozen=True, eq=False, kw_only=True)
class ResponseDistances:
    """Distances between all pairs of reward models.

    Attributes:
        names: of the models.
        pairs: one entry for each two models, in the order of their names.
        norms: n(c) by name.
        trivial: names of models that give all responses of a prompt the same score.
        length_cosine: cosine of each model with length, by name; empty without lengths.
        n_prompts, n_responses: what the numbers rest on; dropped: prompts with fewer than two responses.
        level, resamples, seed: of the intervals.
        notes: what a reader must know.
    """

    names: tuple[str, ...]
    pairs: tuple[PairDistance, ...]
    norms: Mapping[str, float]
    trivial: tuple[str, ...]
    length_cosine: Mapping[str, float]
    n_prompts: int
    n_responses: int
    dropped: int
    level: float
    resamples: int
    seed: int
    notes: tuple[str, ...]

    def __getitem__(self, names: tuple[str, str]) -> PairDistance:
        for pair in self.pairs:
            if {pair.a, pair.b} == set(names):
                return pair
        raise InputError("names", found=repr(names), expected=f"two different ones of {', '.join(self.names)}")

    @property
    def matrix(self) -> np.ndarray:
        """(models, models) distances."""
        place = {name: i for i, name in enumerate(self.names)}
        out = np.zeros((len(self.names), len(self.names)))
        for pair in self.pairs:
            i, j = place[pair.a], place[pair.b]
            out[i, j] = out[j, i] = pair.distance.value
        return out

    def __str__(self) -> str:
        from learnt.rewards.score_report import report_lines

        return "\n".join(report_lines(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        data = vars(self) | {"pairs": [pair.to_dict() for pair in self.pairs]}
        return {
            k: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v for k, v in data.items()
        }


def response_distance(
    scores: ScoreTable | Mapping[str, Any],
    groups: Any = None,
    *,
    weights: Any = None,
    length: Any = None,
    reference: Any = None,
    level: float = 0.95,
    n_boot: int = 1000,
    seed: int = 0,
    shown: int = SHOWN,
) -> ResponseDistances:
    """Distances between reward models that scored the same responses, for all pairs of models.

    Args:
        scores: a table; or (n,) scores by name of the model, with `groups`.
        groups: (n,) prompt of each response.
        weights, length, reference: see `Responses`.
        level: coverage of the intervals.
        n_boot: resamples of whole prompts, at least 100.
        seed: of the resampling.
        shown: how many prompts and responses to name where two models differ most.

    Raises:
        InputError: fewer than two models, no prompt with two responses. ShapeError, NonFiniteError: bad scores.

    Source: Skalse et al. 2024 (arXiv 2309.15257), Definition 3, in a contextual bandit.
    """
    table = as_table(scores, groups, weights=weights, length=length, reference=reference)
    if len(table.names) < 2:
        raise InputError("scores", found="one model", expected="at least two")
    check_level(level)
    data = table.data
    resampler = Resampler(n_boot, seed)
    ready = {name: canonical_scores(table.view(name), data) for name in table.names}
    pairs = list(combinations(ready.values(), 2))
    drawn = resampler.draws([distance_sums(a, b) for a, b in pairs], data.keys)
    apart = resampler.draws([_gap_sums(a, b) for a, b in pairs], data.keys)
    found = []
    for (a, b), (value, draws), (gap, gaps) in zip(pairs, drawn, apart, strict=True):
        d = interval(value, draws, data.size, level, 0.0, 2.0)
        cosine, angle = _cosine(d), _angle(d)
        if a.trivial != b.trivial:  # d = 1 is then the length of the other, and no angle
            cosine, angle = (Estimate.exact(x, n=data.size, level=level) for x in (0.0, 90.0))
        where = witnesses(a, b, shown)
        found.append(
            PairDistance(
                a=a.name, b=b.name, distance=d, cosine=cosine, angle=angle, norm_a=a.size, norm_b=b.size,
                unnormalised=interval(gap, gaps, data.size, level, 0.0, np.inf),
                length_partial=_length_partial(a, b, resampler, level), prompts=where[0], responses=where[1],
            )
        )  # fmt: skip
    trivial = tuple(name for name, c in ready.items() if c.trivial)
    return ResponseDistances(
        names=table.names, pairs=tuple(found), norms={name: c.size for name, c in ready.items()}, trivial=trivial,
        length_cosine=length_cosines(ready), n_prompts=data.size, n_responses=len(data.layout.rows),
        dropped=data.layout.dropped, level=level, resamples=n_boot, seed=seed,
        notes=(*data.notes, *_trivial_notes(trivial), *few_notes(data.size)),
    )  # fmt: skip


def as_table(
    scores: ScoreTable | Mapping[str, Any],
    groups: Any,
    *,
    weights: Any = None,
    length: Any = None,
    reference: Any = None,
) -> ScoreTable:
    """A table from what people have: a table (then nothing else may be given), or scores by name with their groups."""
    if isinstance(scores, ScoreTable):
        given = {"groups": groups, "weights": weights, "length": length, "reference": reference}
        twice = [key for key, value in given.items() if value is not None]
        if twice:
            raise InputError(twice[0], found="a second set beside that of the table", expected="none with a ScoreTable")
        return scores
    if groups is None:
        raise InputError("groups", found="none", expected="(n,) the prompt of each response")
    if isinstance(groups, Responses):
        return ScoreTable(scores, groups)
    return ScoreTable(scores, Responses(groups, weights=weights, length=length, reference=reference))


def interval(value: float, draws: np.ndarray, prompts: int, level: float, low: float, high: float) -> Estimate:
    """A value with the percentile interval of resampled prompts; of a single prompt, the whole range."""
    if prompts < 2 and not math.isnan(value):
        return Estimate(value=value, low=low, high=high, level=level, n=prompts)
    return Estimate.from_draws(value, draws, level=level, n=prompts, low=low, high=high)


def check_level(level: float) -> None:
    """Raise InputError unless a coverage is between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise InputError("level", found=str(level), expected="a number between 0 and 1, such as 0.95")


def few_notes(prompts: int) -> tuple[str, ...]:
    """A warning about intervals from few prompts."""
    if prompts == 1:
        return ("one prompt: nothing is known about others, so the intervals are the whole range",)
    return (f"only {prompts} prompts: intervals from so few are too narrow",) if prompts < FEW else ()


def _trivial_notes(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name} gives all responses of a prompt the same score, so it prefers none" for name in names)


def _gap_sums(a: Canonical, b: Canonical) -> Sums:
    """||c1 - c2||, in units of the scores."""
    top = max(a.size, b.size) or 1.0
    gap = a.form * (a.size / top) - b.form * (b.size / top)
    moments = a.data.layout.moments(gap, gap)
    weight = a.data.layout.weight
    return Sums(
        columns=np.stack([moments, weight], 1),
        combine=lambda m: top * np.sqrt(np.maximum(m[..., 0], 0.0) / np.where(m[..., 1] > 0, m[..., 1], np.nan)),
    )


def _length_partial(a: Canonical, b: Canonical, resampler: Resampler, level: float) -> Estimate | None:
    sums = length_sums(a, b)
    if sums is None:
        return None
    [(value, draws)] = resampler.draws([sums], a.data.keys)
    if math.isnan(value):
        return Estimate.undefined("length, or nothing, explains one of the models entirely", n=a.data.size, level=level)
    return interval(value, draws, a.data.size, level, -1.0, 1.0)


def _cosine(distance: Estimate) -> Estimate:
    return _mapped(distance, lambda d: 1.0 - d * d / 2.0)


def _angle(distance: Estimate) -> Estimate:
    return _mapped(distance, lambda d: math.degrees(2.0 * math.asin(min(1.0, d / 2.0))))


def _mapped(e: Estimate, f: Any) -> Estimate:
    """An estimate under a monotone function of the value."""
    ends = sorted((f(e.low), f(e.high)))
    return Estimate(value=f(e.value), low=ends[0], high=ends[1], level=e.level, n=e.n, kind=e.kind)
