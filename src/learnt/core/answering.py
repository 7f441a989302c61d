"""From evidence to answers: values, controls, differences, transfer, tests and verdicts (distill spec 1.7)."""

from __future__ import annotations

import math
from dataclasses import asdict, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from learnt.core.comparison import Answer, Verdict
from learnt.core.estimate import Estimate, Kind
from learnt.core.measure import Evidence, Exact, Facts, Groups, Measure, Undefined
from learnt.core.statistics import Resampler, holm, replica_noise, seed_permutation_p, two_sided_p, welch_freedom

_ROUNDING = 1e-9  # transfers of exact numbers below this are differences of rounding


def answer(
    measure: Measure[Any, Any], states: dict[str, list[Any]], setting: Any, resampler: Resampler, level: float
) -> Answer:
    """Ask one question of prepared things and turn the evidence into an `Answer`, not yet corrected.

    Args:
        states: prepared states by side: "a" (references), "b", "control" (possibly empty).
        setting: the data; its `keys` fix the order of resampling and its `size` is reported.
    """
    facts, notes = measure.facts, []
    is_property = facts.kind == "property"

    def ask(a: Any, b: Any) -> Evidence:
        evidence = (
            measure.describe(b) if is_property else measure.compare(a, b, rng=resampler.rng(measure.name, "pair"))
        )
        return Undefined(reason="the measure gave no evidence") if evidence is None else evidence

    references = states["a"][:1] if is_property else states["a"]
    found = {side: [[ask(a, x) for x in states[side]] for a in references] for side in ("b", "control")}
    found["a"] = [[ask(a, a) for a in states["a"]]] if is_property else []
    drawn = {side: _drawn(table, setting, resampler) for side, table in found.items()}
    origin = None if is_property else facts.identical
    alone, paired = (_noise(drawn, resampler, origin, together=together) for together in (False, True))
    centre = {side: (float(v.mean()), d.mean((0, 1))) for side, (v, d) in drawn.items() if v.size}
    own = {side: (v, d + alone[side]) for side, (v, d) in centre.items()}
    totals = {side: (v, d + paired[side]) for side, (v, d) in centre.items()}
    one = found["b"][0][0]
    details = _details(found)

    def estimate(side: str) -> Estimate:
        given = estimate_of(found[side][0][0], *own[side], setting.size, level, bounds=facts)
        return _or_reason(given, found[side])

    def gap_to(side: str, raw: float, draws: np.ndarray) -> Estimate:
        return _or_reason(estimate_of(one, raw, draws, setting.size, level), found["b"] + found[side])

    value = estimate("b")
    control = estimate("control") if "control" in own else None
    if is_property:
        reference, target = estimate("a"), totals["a"]
        gap = gap_to("a", own["b"][0] - own["a"][0], own["b"][1] - own["a"][1])
    else:
        reference, gap = Estimate.exact(facts.identical, n=setting.size, level=level), None
        target = (facts.identical, np.full(resampler.repetitions, facts.identical))
    difference, transfer = None, Estimate.undefined("no control was given", level=level)
    p = seeds_p = smallest = None
    verdict: Verdict = "no control"
    if control is not None:
        delta = totals["b"][1] - totals["control"][1]
        raw = own["b"][0] - own["control"][0]
        difference = gap_to("control", raw, delta)
        transfer = _transfer(raw, delta, target, totals["control"], one, setting.size, level)
        p = two_sided_p(delta, _freedom(drawn, one)) if difference.defined else None
        if p is None and difference.defined and not isinstance(one, Exact):
            p = 2 / (resampler.repetitions + 1)  # no resample varies: the least that so many resamples can show
        first, second = (list(drawn[s][0].mean(0)) for s in ("b", "control"))
        if len(second) >= 2 and difference.defined and not isinstance(one, Exact):
            seeds_p, smallest = seed_permutation_p(first, second)
        notes += _seed_notes(len(first), len(second), exact=isinstance(one, Exact))
        verdict = _verdict(transfer, p)
    return Answer(
        name=measure.name, group=facts.name, family=facts.family, question=measure.question, unit=facts.unit,
        kind=facts.kind, closer=facts.closer, low=facts.low, high=facts.high, value=value, reference=reference,
        control=control, difference=difference, gap=gap, transfer=transfer, verdict=verdict, p=p, seeds_p=seeds_p,
        seeds_p_smallest=smallest,
        replicas={side: tuple(float(x) for x in v.mean(0)) for side, (v, _) in drawn.items() if v.size},
        chart=measure.chart(details) if details else None, details=details,
        how=facts.how, caveat=facts.caveat, cost=facts.cost,
        references=tuple((r.cite, r.identifier, r.where) for r in facts.references),
        params=asdict(measure) if is_dataclass(measure) else {}, notes=tuple(notes),
    )  # fmt: skip


def _drawn(table: list[list[Evidence]], setting: Any, resampler: Resampler) -> tuple[np.ndarray, np.ndarray]:
    """Values (M, K) and draws (M, K, B) of a table of evidence: M references times K things."""
    if not table or not table[0]:
        return np.zeros((1, 0)), np.zeros((1, 0, resampler.repetitions))
    flat = resampler.draws([evidence for row in table for evidence in row], setting.keys)
    shape = (len(table), len(table[0]))
    return np.array([v for v, _ in flat]).reshape(shape), np.array([d for _, d in flat]).reshape(*shape, -1)


def _freedom(drawn: dict[str, tuple[np.ndarray, np.ndarray]], evidence: Evidence) -> float:
    """Degrees of freedom behind the difference of b and the controls: of seeds, and of jackknife groups."""
    first, second = (drawn[side][0].mean(0) for side in ("b", "control"))
    seeds = math.inf
    if min(len(first), len(second)) >= 2:
        seeds = welch_freedom(first, second)
    elif max(len(first), len(second)) >= 2:
        seeds = max(len(first), len(second)) - 1.0
    return min(seeds, len(evidence.left_out) - 1.0) if isinstance(evidence, Groups) else seeds


def _noise(
    drawn: dict[str, tuple[np.ndarray, np.ndarray]], resampler: Resampler, origin: float | None, *, together: bool
) -> dict[str, np.ndarray]:
    """Seed noise (B,) of each side's mean: of its own replicas, and of the replicas of the reference.

    With `together`, noise is for the difference of b and the controls: both have one scale (Welch), and a side of one
    thing takes the spread of the other: in proportion to its distance from `origin`, the value of identical things
    (distances between trainings are skewed, and no mean over replicas evens that out).
    """
    rng, noise = resampler.rng, {}
    counts = {side: v.shape[1] for side, (v, _) in drawn.items()}
    other = {"b": "control", "control": "b"}
    pair = [drawn[side][0].mean(0) for side in ("b", "control")]
    freedom = welch_freedom(pair[0], pair[1]) if together and min(map(len, pair)) >= 2 else None
    for side, (values, draws) in drawn.items():
        total = np.zeros(draws.shape[-1])
        if counts[side]:
            lender, nu, stream = side, None, side
            if together and side in other:
                nu, stream = freedom, "pair"
                if counts[side] == 1 and counts[other[side]] >= 2:
                    lender = other[side]
            noise_of = partial(
                replica_noise, k=counts[side], weights=rng("replicas", side), scale=rng("scale", stream), freedom=nu
            )
            pool = drawn[lender][1].mean(0)
            away = None if lender == side or origin is None else np.abs(pool - origin)
            if away is not None and away.min() > 0:
                total += (draws.mean((0, 1)) - origin) * np.expm1(np.minimum(noise_of(np.log(away)), 50.0))
            else:
                total += noise_of(pool)
            total += replica_noise(
                draws.mean(1), len(values), weights=rng("replicas", "ref"), scale=rng("scale", "ref")
            )
        noise[side] = total
    return noise


def estimate_of(
    evidence: Evidence, value: float, draws: np.ndarray, n: int, level: float, *, bounds: Facts | None = None
) -> Estimate:
    """A value with its interval, clipped to the range of a measure's values if `bounds` are given."""
    if isinstance(evidence, Undefined):
        return Estimate.undefined(evidence.reason, n=n, level=level)
    low, high = (-np.inf, np.inf) if bounds is None else (bounds.low, bounds.high)
    return Estimate.from_draws(value, draws, level=level, n=n, kind=_kind(evidence, draws), low=low, high=high)


def _kind(evidence: Evidence, draws: np.ndarray) -> Kind:
    if isinstance(evidence, Exact):
        return "exact" if np.ptp(draws) == 0 else "bootstrap"
    return "jackknife" if isinstance(evidence, Groups) else "bootstrap"


def _or_reason(estimate: Estimate, table: list[list[Evidence]]) -> Estimate:
    """Undefined with the measure's own reason if any replica has no number."""
    for row in table:
        for evidence in row:
            if isinstance(evidence, Undefined):
                return Estimate.undefined(evidence.reason, n=estimate.n, level=estimate.level)
    return estimate


def _transfer(
    raw: float,
    delta: np.ndarray,
    target: tuple[float, np.ndarray],
    control: tuple[float, np.ndarray],
    evidence: Evidence,
    n: int,
    level: float,
) -> Estimate:
    """(b - control) / (reference - control), spec 1.7; undefined where the controls are already at the reference."""
    room, rooms = target[0] - control[0], target[1] - control[1]
    if math.isnan(raw) or math.isnan(room):
        return Estimate.undefined("the value or its control is undefined", n=n, level=level)
    if abs(room) < max(1e-3, 2 * _spread(rooms)):
        return Estimate.undefined(
            "the controls are as close to the reference as can be measured, so there is nothing left to transfer",
            n=n,
            level=level,
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(rooms * room > 0, delta / rooms, np.nan)
    return Estimate.from_draws(raw / room, ratios, level=level, n=n, kind=_kind(evidence, delta))


def _spread(draws: np.ndarray) -> float:
    """Half the width of the middle 68 %: a standard error that exists for the heavy tails of few replicas too."""
    low, high = np.nanpercentile(draws, [15.87, 84.13])
    return float(high - low) / 2


def _verdict(transfer: Estimate, p: float | None) -> Verdict:
    """Before correction: `_corrected` turns verdicts that do not survive it into "not detected"."""
    if not transfer.defined:
        return "not measurable"
    if p is None:  # nothing varies: the numbers are exact, up to the rounding of their arithmetic
        if abs(transfer.value) < _ROUNDING:
            return "not detected"
        return "transferred" if transfer.value > 0 else "reversed"
    if p >= 1 - transfer.level:
        return "not detected"
    return "transferred" if transfer.value > 0 else "reversed"


def corrected(answers: list[Answer]) -> list[Answer]:
    """The answers with Holm-adjusted p-values; a verdict that does not survive becomes "not detected"."""
    tested = [i for i, answer in enumerate(answers) if answer.p is not None and answer.transfer.defined]
    adjusted = dict(zip(tested, holm([answers[i].p or 0.0 for i in tested]), strict=True))
    done = []
    for i, answer in enumerate(answers):
        if i in adjusted:
            lost = adjusted[i] >= 1 - answer.value.level and answer.verdict in ("transferred", "reversed")
            verdict = "not detected" if lost else answer.verdict
            notes = answer.notes + (("does not survive the correction for asking many questions",) if lost else ())
            answer = replace(answer, p_adjusted=adjusted[i], verdict=verdict, notes=notes)
        done.append(answer)
    return done


def _seed_notes(k: int, j: int, *, exact: bool) -> list[str]:
    if exact and k == j == 1:
        return []
    if j == 1 and k == 1:
        return ["one model against one control: the interval covers the choice of examples, not of seeds"]
    if j == 1:
        return ["a single control: its seed variation is taken from the replicas of b"]
    if k == 1:
        return ["a single model: its seed variation is taken from the controls"]
    return []


def _details(found: dict[str, list[list[Evidence]]]) -> dict[str, dict[str, Any]]:
    """Details by side; numeric arrays of one shape are averaged over replicas, the rest is taken from the first."""
    merged: dict[str, dict[str, Any]] = {}
    for side, table in found.items():
        every = [dict(e.details) for row in table for e in row if e.details]
        if not every:
            continue
        merged[side] = {key: _merge([d[key] for d in every if key in d]) for key in every[0]}
    return merged


def _merge(values: list[Any]) -> Any:
    try:
        found = [np.asarray(v) for v in values]
    except (TypeError, ValueError):
        return values[0]
    if any(x.dtype.kind not in "biuf" for x in found):  # class names such as "0" and "1" are no numbers
        return values[0]
    arrays = [x.astype(np.float64) for x in found]
    return np.mean(arrays, axis=0) if all(x.shape == arrays[0].shape for x in arrays) else values[0]
