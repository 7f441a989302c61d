"""The laws of manners: what no measure may do to things, data, randomness and its own evidence."""

from __future__ import annotations

import json
import math
import random
import warnings
from dataclasses import replace

import numpy as np
import torch

from learnt.core.comparison import plain
from learnt.core.errors import LearntError, NotApplicable
from learnt.core.measure import Exact, Groups, Sums, Undefined
from learnt.testing._asking import AnyMeasure, Broken, cases, close, evidence, number, rng, same, value
from learnt.testing.worlds import World

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
        same(value(measure, case, salt=1), value(measure, case, salt=2), "with another random stream", 0.0)


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
    same(found[0], found[1], "with another global seed", 0.0)


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
    same(again, alone, "after other comparisons with the same states", 0.0)


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
            same(number(twice), number(found), "with every example twice", 1e-9)


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
