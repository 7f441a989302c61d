"""What a question is: a `Measure`, the `Facts` claimed about it, and the `Evidence` it returns.

A measure never decides how certain its number is. It returns evidence in one of four forms, and the one
driver (`learnt.core.compare`) turns every form into a value with an interval, for the pair that was asked
about and for each control alike:

* `Sums`: a smooth function of means over examples (agreement, kappa, ECE, fooling rates ...). The driver
  re-weights the examples (paired bootstrap): one matrix product for all repetitions.
* `Groups`: a statistic that duplicates would bias (CKA, any Gram estimator): the value with each of G groups of
  examples left out (delete-a-group jackknife).
* `Exact`: no sampling is involved (a distance between two rewards in a known MDP).
* `Undefined`: the number does not exist here, and why. Never NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np

from learnt.core.panels import Chart

Thing = TypeVar("Thing")
Data = TypeVar("Data")
State = Any


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A source: short citation, identifier (arXiv or DOI), and the section or equation used."""

    cite: str
    identifier: str = ""
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is claimed about a measure, as data; `learnt.testing.check_measure` verifies every claim.

    Attributes:
        name: short identifier, unique in the catalogue, e.g. ``"agreement"``.
        family: the room it lives in, e.g. ``"agreement"``.
        question: the plain-language question, e.g. ``"Do they give the same answer?"``.
        unit: unit of the value, e.g. ``"share of examples"`` or ``"nats"``.
        low, high: range of the value (infinite ends allowed).
        identical: value when a thing is compared with itself; for a property, 0 (the difference).
        closer: whether a higher or a lower value means more alike.
        kind: ``"pairwise"`` needs two things; ``"property"`` is defined for one, and the comparison is
            the difference (b minus a).
        symmetric: whether compare(a, b) equals compare(b, a) (for a property: up to sign).
        invariances: names of transformations of the things or data that leave the value unchanged; the worlds
            in `learnt.testing.worlds` know how to apply each name.
        stochastic: whether the value depends on `rng`.
        needs: capabilities required, of ``"logits" "labels" "features" "gradients" "images" "masks" "domains"
            "conflict"``; used to say why a question was left out.
        data: the type of data the question is asked on (an `isinstance` test).
        references: sources.
        how: one or two sentences: how the number is computed.
        caveat: what the number cannot tell.
        cost: how the work grows, in words or O-notation.
    """

    name: str
    family: str
    question: str
    unit: str
    data: type
    low: float = -np.inf
    high: float = np.inf
    identical: float = 0.0
    closer: Literal["higher", "lower"] = "higher"
    kind: Literal["pairwise", "property"] = "pairwise"
    symmetric: bool = True
    invariances: tuple[str, ...] = ()
    stochastic: bool = False
    needs: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    how: str = ""
    caveat: str = ""
    cost: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Sums:
    """A function of weighted means: value(w) = combine( sum_i w_i columns[i] / sum_i w_i ).

    Attributes:
        columns: (n, q) float64, one row per example in the order of the data.
        combine: maps (..., q) means to (...) values; must be vectorised; may return NaN where it is undefined.
        per_example: (n,) or None: the contribution shown in galleries (1 = alike for a similarity).
        keys: (n,) uint64 example keys if these are not the examples of the data itself (a shifted domain).
        details: small arrays for pictures and tables.
    """

    columns: np.ndarray
    combine: Callable[[np.ndarray], np.ndarray]
    per_example: np.ndarray | None = None
    keys: np.ndarray | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Groups:
    """A statistic with its delete-a-group jackknife.

    Attributes:
        value: the statistic on all examples.
        left_out: (G,) the statistic without each group; group of an example = rank of its key modulo G.
        n: number of examples.
        details: small arrays for pictures and tables.
    """

    value: float
    left_out: np.ndarray
    n: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Exact:
    """A number without sampling error."""

    value: float
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Undefined:
    """No number exists here, and the reason in words."""

    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


Evidence = Sums | Groups | Exact | Undefined


def mean(
    values: np.ndarray,
    *,
    measured: np.ndarray | None = None,
    keys: np.ndarray | None = None,
    details: Mapping[str, Any] | None = None,
) -> Sums:
    """Evidence for a plain mean of per-example values.

    Args:
        values: (n,) one value per example.
        measured: (n,) bool, False where the example was not measured (a subsample) and must not count.
        keys: (n,) keys of the examples if they are not those of the data itself.
    """
    values = np.asarray(values, dtype=np.float64)
    if measured is None:
        return Sums(columns=values[:, None], combine=_first, per_example=values, keys=keys, details=details or {})
    mask = np.asarray(measured, dtype=np.float64)
    shown = np.where(mask > 0, values, np.nan)
    columns = np.stack([np.where(mask > 0, values, 0.0), mask], axis=1)
    return Sums(columns=columns, combine=ratio, per_example=shown, keys=keys, details=details or {})


def _first(means: np.ndarray) -> np.ndarray:
    return means[..., 0]


def ratio(means: np.ndarray) -> np.ndarray:
    """First column over second; NaN where the second is 0. Shapes (..., 2) -> (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(means[..., 1] > 0, means[..., 0] / means[..., 1], np.nan)


def difference(b: Evidence, a: Evidence) -> Evidence:
    """Evidence for (b minus a) on the same examples: what a property measure returns from `compare`."""
    for side in (b, a):
        if isinstance(side, Undefined):
            return side
    if isinstance(b, Sums) and isinstance(a, Sums):
        q = b.columns.shape[1]
        return Sums(
            columns=np.concatenate([b.columns, a.columns], axis=1),
            combine=lambda m: b.combine(m[..., :q]) - a.combine(m[..., q:]),
            keys=b.keys,
            details=b.details,
        )
    if isinstance(b, Groups) and isinstance(a, Groups):
        return Groups(value=b.value - a.value, left_out=b.left_out - a.left_out, n=b.n, details=b.details)
    if isinstance(b, Exact) and isinstance(a, Exact):
        return Exact(value=b.value - a.value, details=b.details)
    raise TypeError(f"cannot subtract {type(a).__name__} from {type(b).__name__}")


class Measure(ABC, Generic[Thing, Data]):
    """One question. Subclasses are `@final @dataclass(frozen=True, kw_only=True)`; fields are hyper-parameters.

    `prepare` does what depends on one thing only, so that K things cost K preparations; `compare` asks the
    question of two prepared things. A property measure also defines `describe`, and its `compare` returns
    `difference(self.describe(b), self.describe(a))`.
    """

    facts: ClassVar[Facts]

    @property
    def name(self) -> str:
        """Identifier of this instance: the name of the facts, plus the hyper-parameters that set it apart."""
        return self.facts.name

    @property
    def question(self) -> str:
        """The plain-language question of this instance."""
        return self.facts.question

    def variants(self, data: Data) -> tuple[Measure[Thing, Data], ...]:
        """The instances to ask on this data: itself, or for instance one for each domain that the data has."""
        return (self,)

    @abstractmethod
    def prepare(self, thing: Thing, data: Data, *, rng: np.random.Generator) -> State:
        """Everything about one thing that the comparison needs. Raises NotApplicable if it cannot be asked."""

    @abstractmethod
    def compare(self, a: State, b: State, *, rng: np.random.Generator) -> Evidence:
        """Ask the question of two prepared things; `a` is the reference (the teacher)."""

    def describe(self, state: State) -> Evidence | None:
        """The property of one thing, for property measures; None for pairwise ones."""
        return None

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """The picture, from the details of ``"a"``, ``"b"`` and ``"control"``; None for the default one."""
        return None

    def look(self, state: State, index: np.ndarray) -> np.ndarray | None:
        """(k, H, W) maps of where a thing looks at the examples `index`, for the gallery; None if it has none."""
        return None
