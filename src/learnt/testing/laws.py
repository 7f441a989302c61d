"""The laws of a measure: one function each, that raises `Broken` with what happened.

Laws read `measure.facts` and hold the measure to it: a claimed invariance, range, symmetry or need is tested,
and so is what no measure may do (change a model, leak NaN, depend on global randomness): see `manners`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import numpy as np

from learnt.core.comparison import plain
from learnt.core.measure import Measure
from learnt.testing import manners
from learnt.testing._asking import AnyMeasure, Broken, cases, close, number, rng, same, value
from learnt.testing.worlds import World, seeds

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
                same(found, measure.facts.identical, f"compared with {how}")


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
            same(forth, sign * back, "compare(a, b) against compare(b, a)")
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
            same(after, before, f"under {name!r}", 1e-5)


def example_order_and_batch_size_never_matter(measure: AnyMeasure, world: World) -> None:
    """Order of examples, batch size and names of classes change no number beyond 1e-6, claimed or not."""
    for name in ("example order", "batch size", "class permutation"):
        change = world.transformations().get(name)
        for seed in seeds(3) if change else []:
            case = world.case(seed)
            before, after = value(measure, case), value(measure, change(case, seed))  # type: ignore[misc]
            same(after, before, f"under {name!r}", 1e-6)


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
    manners.equal_seeds_give_equal_bits,
    manners.stochastic_is_as_claimed,
    manners.global_randomness_is_untouched,
    manners.nothing_is_changed,
    manners.preparation_is_per_thing,
    manners.no_warnings,
    manners.degenerate_cases_are_numbers_or_reasons,
    manners.needs_are_as_claimed,
    manners.evidence_is_well_formed,
    manners.repeating_every_example_changes_nothing,
    manners.details_are_small_data,
    manners.chart_is_drawable,
)
