"""The laws of a measure: one function each, that raises `Broken` with what happened.

Laws read `measure.facts` and hold the measure to it: a claimed invariance, range, symmetry or need is tested,
and so is what no measure may do (change a model, leak NaN, depend on global randomness).
"""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch

from learnt.core.comparison import plain
from learnt.core.errors import LearntError, NotApplicable
from learnt.core.measure import Evidence, Exact, Groups, Measure, Sums, Undefined
from learnt.testing.worlds import Case, World, seeds

AnyMeasure = Measure[Any, Any]


class Broken(Exception):
    """A law does not hold; the text says what was expected and what was seen."""


def rng(*parts: int) -> np.random.Generator:
    """The generator handed to measures in checks."""
    return np.random.default_rng([7, *parts])


def evidence(measure: AnyMeasure, case: Case, *, first: Any = None, second: Any = None, salt: int = 0) -> Evidence:
    """The evidence of one comparison, prepared afresh."""
    a = case.view(case.a if first is None else first, "a")
    b = case.view(case.b if second is None else second, "b")
    states = [measure.prepare(x, case.data, rng=rng(salt)) for x in (a, b)]
    return measure.compare(states[0], states[1], rng=rng(salt, 1))


def number(found: Evidence) -> float:
    """The value of a piece of evidence; NaN if undefined."""
    if isinstance(found, Sums):
        with np.errstate(all="ignore"):
            return float(found.combine(np.asarray(found.columns, dtype=np.float64).mean(0)))
    return math.nan if isinstance(found, Undefined) else float(found.value)


def value(measure: AnyMeasure, case: Case, **options: Any) -> float:
    """The value of one comparison; NaN if undefined."""
    return number(evidence(measure, case, **options))


def cases(world: World, count: int = 3) -> Iterator[Case]:
    """The cases a law looks at."""
    for seed in seeds(count):
        yield world.case(seed)


def close(found: float, wanted: float, tolerance: float = 1e-6) -> bool:
    """Equality to a tolerance relative to the larger of 1 and the numbers; two undefined values are equal."""
    if math.isnan(found) or math.isnan(wanted):
        return math.isnan(found) and math.isnan(wanted)
    return abs(found - wanted) <= tolerance * max(1.0, abs(found), abs(wanted))


def _same(found: float, wanted: float, what: str, tolerance: float = 1e-6) -> None:
    if not close(found, wanted, tolerance):
        raise Broken(f"{what}: {found!r} instead of {wanted!r}")


# -- what is claimed -----------------------------------------------------------------------------------------


def facts_are_complete(measure: AnyMeasure, world: World) -> None:
    """Every text of the facts is there, and the question is a question."""
    f = measure.facts
    missing = [k for k in ("name", "family", "question", "unit", "how", "caveat", "cost") if not getattr(f, k).strip()]
    if missing or not f.references:
        raise Broken(f"facts without {', '.join(missing) or 'references'}")
    if not measure.question.endswith("?"):
        raise Broken(f"the question {measure.question!r} does not end in a question mark")


def facts_are_coherent(measure: AnyMeasure, world: World) -> None:
    """The range is an interval that holds the value of identical things; properties differ by 0 from themselves."""
    f = measure.facts
    if not f.low < f.high:
        raise Broken(f"range [{f.low}, {f.high}] is empty")
    if f.kind == "pairwise" and not f.low <= f.identical <= f.high:
        raise Broken(f"identical value {f.identical} outside the range [{f.low}, {f.high}]")
    if f.kind == "property" and f.identical != 0:
        raise Broken("a property compares by difference, so identical must be 0")
    unknown = [name for name in f.invariances if name not in world.transformations()]
    if unknown:
        raise Broken(f"claims invariances that this world cannot test: {unknown}")


def is_final_and_frozen(measure: AnyMeasure, world: World) -> None:
    """The class is a final frozen dataclass, a direct child of Measure."""
    cls = type(measure)
    if not is_dataclass(measure) or Measure not in cls.__bases__ or not getattr(cls, "__final__", False):
        raise Broken(f"{cls.__name__} must be a @final frozen dataclass directly below Measure")
    try:
        measure.anything = 1  # type: ignore[attr-defined]
    except (FrozenInstanceError, AttributeError):
        return
    raise Broken(f"{cls.__name__} can be changed after construction")


def hyperparameters_are_data(measure: AnyMeasure, world: World) -> None:
    """Fields can be written as JSON, and an equal copy is equal."""
    json.dumps(plain({f.name: getattr(measure, f.name) for f in fields(measure)}), allow_nan=False)  # type: ignore[arg-type]
    if replace(measure) != measure:  # type: ignore[type-var]
        raise Broken("a copy with equal fields is not equal")


def variants_are_stable(measure: AnyMeasure, world: World) -> None:
    """Variants have names of their own, and a variant has no variants but itself."""
    data = world.case(0).data
    found = measure.variants(data)
    if len({m.name for m in found}) != len(found):
        raise Broken("two variants share a name")
    for m in found:
        if m.variants(data) != (m,):
            raise Broken(f"the variant {m.name} has variants")


def kind_matches_methods(measure: AnyMeasure, world: World) -> None:
    """A property describes one thing; a pairwise measure does not."""
    case = world.case(0)
    state = measure.prepare(case.view(case.a), case.data, rng=rng())
    if (measure.describe(state) is None) == (measure.facts.kind == "property"):
        raise Broken(f"kind is {measure.facts.kind!r} but describe() says otherwise")


# -- values --------------------------------------------------------------------------------------------------


def a_thing_is_identical_to_itself(measure: AnyMeasure, world: World) -> None:
    """compare(x, x) gives the identical value, whether x is the same object or an equal copy."""
    for case in cases(world):
        for other, how in ((case.a, "itself"), (world.drift(case, 0.0, 1), "an equal copy")):
            found = value(measure, case, second=other)
            if not math.isnan(found):
                _same(found, measure.facts.identical, f"compared with {how}")


def identity_is_usually_defined(measure: AnyMeasure, world: World) -> None:
    """On ordinary cases a thing can be compared with itself."""
    if all(math.isnan(value(measure, case, second=case.a)) for case in cases(world)):
        raise Broken("undefined for a thing and itself on every ordinary case")


def different_things_differ(measure: AnyMeasure, world: World) -> None:
    """On ordinary cases two different things do not get the identical value every time."""
    found = [value(measure, case) for case in cases(world, 5)]
    if all(math.isnan(x) or close(x, measure.facts.identical, 1e-9) for x in found):
        raise Broken(f"different things get the identical value {measure.facts.identical}")


def symmetry_is_as_claimed(measure: AnyMeasure, world: World) -> None:
    """compare(a, b) equals compare(b, a) if and only if the facts say so; properties change sign."""
    sign = -1 if measure.facts.kind == "property" else 1
    gaps = []
    for case in cases(world, 5):
        forth, back = value(measure, case), value(measure, case, first=case.b, second=case.a)
        if measure.facts.symmetric:
            _same(forth, sign * back, "compare(a, b) against compare(b, a)")
        gaps.append(0.0 if math.isnan(forth) or math.isnan(back) else abs(forth - sign * back))
    if not measure.facts.symmetric and max(gaps) < 1e-9:
        raise Broken("claims not to be symmetric, but always was")


def values_are_in_range(measure: AnyMeasure, world: World) -> None:
    """Values and properties lie in the claimed range."""
    f = measure.facts
    for case in cases(world, 6):
        found = value(measure, case)
        if f.kind == "property":
            own = measure.describe(measure.prepare(case.view(case.b), case.data, rng=rng()))
            found = number(own) if own is not None else math.nan
        if not math.isnan(found) and not f.low - 1e-9 <= found <= f.high + 1e-9:
            raise Broken(f"value {found} outside [{f.low}, {f.high}]")


def more_noise_is_less_alike(measure: AnyMeasure, world: World) -> None:
    """As the thing drifts away from itself by growing noise, the value leaves `identical` in the claimed direction."""
    if measure.facts.kind == "property":
        return
    levels = np.linspace(0, 1, 9)
    away = []
    for seed in seeds(4):
        case = world.case(seed)
        found = [value(measure, case, second=world.drift(case, float(x), seed)) for x in levels]
        away.append([np.nan if math.isnan(x) else abs(x - measure.facts.identical) for x in found])
        signed = [x - measure.facts.identical for x in found if not math.isnan(x)]
        wrong = max(signed, default=0.0) if measure.facts.closer == "higher" else -min(signed, default=0.0)
        if wrong > 1e-6:
            raise Broken(f"drifting away made the value more than identical by {wrong}")
    curve = np.nanmean(np.array(away), axis=0)
    near, far = np.nanmean(curve[:3]), np.nanmean(curve[-3:])
    if not far > near:
        raise Broken(f"mean distance from identical is {near:.4g} at little noise and {far:.4g} at much")


def invariances_hold(measure: AnyMeasure, world: World) -> None:
    """Every claimed transformation leaves the value unchanged to 1e-5 (float32 models)."""
    for name in measure.facts.invariances:
        change = world.transformations().get(name)
        for seed in seeds(3) if change else []:
            case = world.case(seed)
            before, after = value(measure, case), value(measure, change(case, seed))  # type: ignore[misc]
            _same(after, before, f"under {name!r}", 1e-5)


def example_order_and_batch_size_never_matter(measure: AnyMeasure, world: World) -> None:
    """Order of examples, batch size and names of classes change no number beyond 1e-6, claimed or not."""
    for name in ("example order", "batch size", "class permutation"):
        change = world.transformations().get(name)
        for seed in seeds(3) if change else []:
            case = world.case(seed)
            before, after = value(measure, case), value(measure, change(case, seed))  # type: ignore[misc]
            _same(after, before, f"under {name!r}", 1e-6)


# -- randomness ----------------------------------------------------------------------------------------------


def equal_seeds_give_equal_bits(measure: AnyMeasure, world: World) -> None:
    """The same random stream gives the same number, bit for bit."""
    for case in cases(world):
        first, second = value(measure, case), value(measure, case)
        if first != second and not (math.isnan(first) and math.isnan(second)):
            raise Broken(f"{first!r} and then {second!r} from the same stream")


def stochastic_is_as_claimed(measure: AnyMeasure, world: World) -> None:
    """A measure that claims not to be stochastic ignores its random stream."""
    if measure.facts.stochastic:
        return
    for case in cases(world):
        _same(value(measure, case, salt=1), value(measure, case, salt=2), "with another random stream", 0.0)


def global_randomness_is_untouched(measure: AnyMeasure, world: World) -> None:
    """Neither reads nor moves the global generators of torch, numpy and random."""
    case = world.case(0)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (to catch measures that use it)
        random.seed(seed)
        before = (torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), random.getstate())  # type: ignore[index,union-attr]  # noqa: NPY002
        found.append(value(measure, case))
        after = (torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), random.getstate())  # type: ignore[index,union-attr]  # noqa: NPY002
        if before != after:
            raise Broken("a global random generator was moved")
    _same(found[0], found[1], "with another global seed", 0.0)


# -- manners -------------------------------------------------------------------------------------------------


def nothing_is_changed(measure: AnyMeasure, world: World) -> None:
    """Things and data are the same before and after: weights, buffers, gradients, training flags, hooks, inputs."""
    for case in cases(world):
        before = world.fingerprint(case)
        value(measure, case)
        if world.fingerprint(case) != before:
            raise Broken("a thing or the data was changed")


def preparation_is_per_thing(measure: AnyMeasure, world: World) -> None:
    """Preparing or comparing other things in between changes nothing."""
    case = world.case(0)
    alone = value(measure, case)
    a, b = case.view(case.a, "a"), case.view(case.b, "b")
    state_b = measure.prepare(b, case.data, rng=rng(0))
    state_a = measure.prepare(a, case.data, rng=rng(0))
    measure.compare(state_b, state_a, rng=rng(0, 1))
    measure.compare(state_a, state_a, rng=rng(0, 1))
    again = number(measure.compare(state_a, state_b, rng=rng(0, 1)))
    _same(again, alone, "after other comparisons with the same states", 0.0)


def no_warnings(measure: AnyMeasure, world: World) -> None:
    """Ordinary and degenerate cases raise no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for case in (world.case(0), *world.degenerate(0).values()):
            try:
                value(measure, case)
            except LearntError:
                continue
    if caught:
        raise Broken(f"warns: {caught[0].message}")


def degenerate_cases_are_numbers_or_reasons(measure: AnyMeasure, world: World) -> None:
    """At the edge a measure gives a finite number, `Undefined` with a reason, or an error of ours; never NaN."""
    for name, case in world.degenerate(1).items():
        try:
            found = evidence(measure, case)
        except LearntError:
            continue
        except Exception as error:
            raise Broken(f"on {name!r}: {type(error).__name__}: {error}") from error
        if isinstance(found, Undefined):
            if not found.reason.strip():
                raise Broken(f"on {name!r}: undefined without a reason")
        elif not math.isfinite(number(found)):
            raise Broken(f"on {name!r}: {number(found)} instead of Undefined")


def needs_are_as_claimed(measure: AnyMeasure, world: World) -> None:
    """Without a claimed need the measure says NotApplicable; without any other capability it works."""
    case = world.case(0)
    for capability in ("labels", "features", "gradients", "images", "masks", "domains", "conflict"):
        less = world.without(case, capability)
        if less is None:
            continue
        linked = {capability} | ({"gradients", "features"} if capability in ("features", "gradients") else set())
        needed = bool(linked & set(measure.facts.needs))
        if capability == "images" and {"masks", "domains", "conflict"} & set(measure.facts.needs):
            continue
        try:
            for m in measure.variants(less.data) or (measure,):
                value(m, less)
        except NotApplicable:
            if not needed:
                raise Broken(f"does not work without {capability!r}, which is not among its needs") from None
        else:
            if needed and measure.variants(less.data):
                raise Broken(f"works without {capability!r}, which is among its needs")


# -- evidence ------------------------------------------------------------------------------------------------


def evidence_is_well_formed(measure: AnyMeasure, world: World) -> None:
    """Columns are finite (n, q) float64, combine is vectorised, left-out values are finite."""
    for case in cases(world):
        found = evidence(measure, case)
        if isinstance(found, Sums):
            c = found.columns
            if not isinstance(c, np.ndarray) or c.ndim != 2 or not np.isfinite(c).all():
                raise Broken("columns must be a finite (n, q) array")
            if found.keys is not None and len(found.keys) != len(c):
                raise Broken("keys and columns differ in length")
            means = np.stack([c.mean(0), c[: max(1, len(c) // 2)].mean(0)])
            with np.errstate(all="ignore"):
                together = np.asarray(found.combine(means[:, None, :]))
                apart = [np.asarray(found.combine(row)) for row in means]
            if together.shape != (2, 1) or not all(
                close(float(t), float(s), 1e-12) for t, s in zip(together[:, 0], apart, strict=True)
            ):
                raise Broken("combine is not vectorised over leading axes")
            if found.per_example is not None and found.per_example.shape != (len(c),):
                raise Broken("per_example must be (n,)")
        elif isinstance(found, Groups):
            if found.left_out.ndim != 1 or len(found.left_out) < 2 or not np.isfinite(found.left_out).all():
                raise Broken("left_out must be at least two finite numbers")
        elif not isinstance(found, (Exact, Undefined)):
            raise Broken(f"compare returned {type(found).__name__}, which is not evidence")


def repeating_every_example_changes_nothing(measure: AnyMeasure, world: World) -> None:
    """For a function of means, doubling the weight of every example leaves the value; n must not enter."""
    for case in cases(world):
        found = evidence(measure, case)
        if isinstance(found, Sums):
            twice = replace(found, columns=np.concatenate([found.columns, found.columns]))
            _same(number(twice), number(found), "with every example twice", 1e-9)


def details_are_small_data(measure: AnyMeasure, world: World) -> None:
    """Details can be written as JSON and stay below 200 kB."""
    text = json.dumps(plain(evidence(measure, world.case(0)).details), allow_nan=False)
    if len(text) > 200_000:
        raise Broken(f"details take {len(text)} characters")


def chart_is_drawable(measure: AnyMeasure, world: World) -> None:
    """The chart, if there is one, has series that fit its axes and a sentence for those who cannot see it."""
    details = dict(evidence(measure, world.case(0)).details)
    chart = measure.chart({"a": details, "b": details, "control": details}) if details else None
    if chart is None:
        return
    for label, series in chart.series.items():
        shape = np.asarray(series).shape
        wanted = (len(chart.y), len(chart.x)) if chart.kind == "heatmap" else (len(chart.x),)
        if shape != wanted:
            raise Broken(f"series {label!r} has shape {shape} for axes {wanted}")
    if not chart.alt.strip():
        raise Broken("a chart without an alt text")


LAWS: tuple[Callable[[AnyMeasure, World], None], ...] = (
    facts_are_complete,
    facts_are_coherent,
    is_final_and_frozen,
    hyperparameters_are_data,
    variants_are_stable,
    kind_matches_methods,
    a_thing_is_identical_to_itself,
    identity_is_usually_defined,
    different_things_differ,
    symmetry_is_as_claimed,
    values_are_in_range,
    more_noise_is_less_alike,
    invariances_hold,
    example_order_and_batch_size_never_matter,
    equal_seeds_give_equal_bits,
    stochastic_is_as_claimed,
    global_randomness_is_untouched,
    nothing_is_changed,
    preparation_is_per_thing,
    no_warnings,
    degenerate_cases_are_numbers_or_reasons,
    needs_are_as_claimed,
    evidence_is_well_formed,
    repeating_every_example_changes_nothing,
    details_are_small_data,
    chart_is_drawable,
)
