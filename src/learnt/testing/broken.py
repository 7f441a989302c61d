"""Measures that are wrong on purpose, each with the law that must catch it: the conformance kit's own test.

Every one is top-1 agreement with a single, realistic fault.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch

from learnt.agreement.divergence import js_divergence, kl_divergence
from learnt.agreement.top1 import Agreement
from learnt.core.measure import Evidence, Exact, Measure, Sums, mean
from learnt.core.subject import Subject

Ask = Callable[[Subject, Subject, np.random.Generator], Evidence]


@dataclass(frozen=True)
class Fault:
    """A broken measure and the name of the law that must catch it."""

    measure: Measure[Any, Any]
    law: str


def _fault(
    law: str, ask: Ask, *, prepare: Callable[[Subject], Any] | None = None, closed: bool = True, **claims: Any
) -> Fault:
    facts = replace(Agreement.facts, **{"invariances": (), "name": ask.__name__.strip("_"), **claims})

    def prepare_(self: Any, thing: Subject, data: Any, *, rng: np.random.Generator) -> Subject:
        thing.logits  # noqa: B018
        if prepare is not None:
            prepare(thing)
        return thing

    def compare_(self: Any, a: Subject, b: Subject, *, rng: np.random.Generator) -> Evidence:
        return ask(a, b, rng)

    body = {"facts": facts, "prepare": prepare_, "compare": compare_, "__doc__": ask.__doc__}
    cls: Any = dataclass(frozen=True, kw_only=True)(type(facts.name, (Measure,), body))
    return Fault(measure=(final(cls) if closed else cls)(), law=law)


def _equal(a: Subject, b: Subject) -> np.ndarray:
    return (a.predictions == b.predictions).double().numpy()


def _asymmetric(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """How probable b finds a's answer, claimed symmetric."""
    own = a.log_probabilities.max(1).values
    given = b.log_probabilities.gather(1, a.predictions[:, None])[:, 0]
    return mean((given - own).exp().clamp(0, 1).numpy())


def _unscaled(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Counts equal answers instead of averaging them."""
    return mean(_equal(a, b) * len(a.data))


def _leaks_nan(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Correlation of confidences, which does not exist when one does not vary."""
    x, y = (s.log_probabilities.exp().max(1).values.numpy() for s in (a, b))
    x, y = x - x.mean(), y - y.mean()
    with np.errstate(all="ignore"):
        return Exact(value=float(x @ y / np.sqrt((x @ x) * (y @ y))))


def _agrees(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    return mean(_equal(a, b))


def _mutates(thing: Subject) -> None:
    with torch.no_grad():
        if thing.module is not None:
            next(thing.module.parameters()).add_(1e-3)


def _changes_weights(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Moves the weights of the models it looks at."""
    return _agrees(a, b, rng)


def _leaves_a_hook(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Registers a hook and forgets it."""
    return _agrees(a, b, rng)


def _hooks(thing: Subject) -> None:
    if thing.module is not None:
        thing.module.register_forward_hook(lambda *_: None)


def _global_random(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Blurs its answer with the global generator."""
    return mean(_equal(a, b) * (1 - 1e-3 * np.random.random(len(a.data))))  # noqa: NPY002


def _undeclared_randomness(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Blurs its answer with the stream it is given but claims not to be stochastic."""
    return mean(_equal(a, b) * (1 - 1e-3 * rng.random(len(a.data))))


def _mean_of_batch_means(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Averages batches, not examples, so a short last batch counts too much."""
    equal = _equal(a, b)
    parts = [equal[i : i + a.batch_size].mean() for i in range(0, len(equal), a.batch_size)]
    return Exact(value=float(np.mean(parts)))


def _first_half(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Looks at the first half of the data, whatever is there."""
    return mean(_equal(a, b)[: (len(a.data) + 1) // 2])


def _off_by_one(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Divides by n - 1."""
    n = len(a.data)
    return mean(_equal(a, b) * n / max(1, n - 1))


def _false_invariance(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """KL divergence, claimed not to care about the scale of logits."""
    return mean(kl_divergence(a.log_probabilities, b.log_probabilities).numpy())


def _secret_need(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Uses labels without saying so."""
    return mean((a.correct == b.correct).double().numpy())


def _always_one(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Says 1 to everything."""
    return mean(np.ones(len(a.data)))


def _wrong_direction(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Minus a divergence, claimed to be smaller for things that are more alike."""
    return mean(-js_divergence(a.log_probabilities, b.log_probabilities).numpy())


_calls: list[int] = []


def _remembers(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Keeps state between calls."""
    _calls.append(1)
    return mean(_equal(a, b) * (1 - 1e-3 * (len(_calls) % 5)))


def _scalar_combine(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Its combine works for one vector of means only."""
    return Sums(columns=_equal(a, b)[:, None], combine=lambda m: m.reshape(-1)[0])


def _warns(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Prints a warning on good input."""
    warnings.warn("this is fine", stacklevel=1)
    return _agrees(a, b, rng)


def _open_class(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Can be subclassed."""
    return _agrees(a, b, rng)


def _too_much_detail(a: Subject, b: Subject, rng: np.random.Generator) -> Evidence:
    """Puts whole matrices into the report."""
    return mean(_equal(a, b), details={"all": np.random.default_rng(0).random((300, 300))})


FAULTS: tuple[Fault, ...] = (
    _fault("symmetry_is_as_claimed", _asymmetric),
    _fault("values_are_in_range", _unscaled),
    _fault("degenerate_cases_are_numbers_or_reasons", _leaks_nan, low=-1.0),
    _fault("nothing_is_changed", _changes_weights, prepare=_mutates),
    _fault("nothing_is_changed", _leaves_a_hook, prepare=_hooks),
    _fault("global_randomness_is_untouched", _global_random, stochastic=True),
    _fault("stochastic_is_as_claimed", _undeclared_randomness),
    _fault("example_order_and_batch_size_never_matter", _mean_of_batch_means),
    _fault("example_order_and_batch_size_never_matter", _first_half),
    _fault("a_thing_is_identical_to_itself", _off_by_one),
    _fault(
        "invariances_hold",
        _false_invariance,
        invariances=("logit scale",),
        high=np.inf,
        identical=0.0,
        closer="lower",
        symmetric=False,
    ),
    _fault("needs_are_as_claimed", _secret_need),
    _fault("different_things_differ", _always_one),
    _fault("more_noise_is_less_alike", _wrong_direction, low=-1.0, high=0.0, identical=0.0, closer="lower"),
    _fault("preparation_is_per_thing", _remembers),
    _fault("evidence_is_well_formed", _scalar_combine),
    _fault("no_warnings", _warns),
    _fault("is_final_and_frozen", _open_class, closed=False),
    _fault("details_are_small_data", _too_much_detail),
    _fault("facts_are_complete", _agrees, caveat=""),
)
