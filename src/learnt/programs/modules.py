"""Do they work by the same modules? The variation of information of matched modules, over all that they hold.

    likeness(a, b) = sum of I(X; Y) over matched modules / (sum of H(X) over a + sum of H(Y) over b - the same sum)

X, Y: what a module of a, of b writes at the positions of the inputs; modules are matched one to one so that the sum
of I is largest (a linear assignment). As I = (H(X) + H(Y) - VI(X, Y)) / 2, this is 1 minus the total variation of
information (Meilă 2007), in which a module without a partner counts as matched with a constant, over the total joint
entropy. It is 1 exactly if the modules of the two divide the positions in the same ways, whatever their names, their
order and the numbers they write; a module counts by the information it holds, so that constants count nothing. Modules
that no vote can depend on are left out. Intervals: each of G groups of inputs left out in turn, the matching kept.
"""
# ruff: noqa: F722, F821  (shapes are no forward references)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Float, Int

from learnt.core.errors import InputError
from learnt.core.measure import Evidence, Exact, Facts, Groups, Measure, Reference, Undefined
from learnt.core.panels import Chart
from learnt.programs._isomorphism import reads
from learnt.programs._match import HALF, Partition, assigned, live, partition, shared
from learnt.programs.answers import Answerer
from learnt.programs.behaviour import PROGRAMS, RENAMING
from learnt.programs.sequences import Sequences

GROUPS = 20
SHOWN = 60  # modules that the picture shows
_NONE = 1e-12  # nats that are rounding

VARIATION = Reference(
    cite="Meilă, Comparing clusterings: an information based distance, Journal of Multivariate Analysis 98, 2007",
    where="the variation of information and its properties",
)
NORMALISED = Reference(
    cite="Vinh, Epps, Bailey, Information Theoretic Measures for Clusterings Comparison, JMLR 11, 2010",
    where="the variation of information over the joint entropy",
)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Modules:
    """The modules of one program that its votes can depend on, and how they divide the positions of the inputs.

    Attributes:
        name: of the program.
        parts: partition by name of the module, in stream order.
        reads: kind, and the variables that it reads, by name of the module.
        group: (T,) jackknife group of each position's input.
        groups: number of groups.
        n: number of inputs.
        exhaustive: whether the inputs are a whole domain, so that nothing is a sample.
    """

    name: str
    parts: Mapping[str, Partition]
    reads: Mapping[str, tuple[str, tuple[str, ...]]]
    group: Int[np.ndarray, " t"]
    groups: int
    n: int
    exhaustive: bool


@final
@dataclass(frozen=True, kw_only=True)
class ModuleAgreement(Measure[Answerer, Sequences]):
    """Share of the information in two programs' modules that matched modules have in common.

    Attributes:
        groups: number of jackknife groups.
    """

    groups: int = GROUPS

    facts: ClassVar[Facts] = Facts(
        name="module_agreement",
        family="programs",
        question="Do they work by the same modules?",
        unit="share of information",
        data=Sequences,
        low=0.0,
        high=1.0,
        identical=1.0,
        invariances=("example order", "class permutation", *RENAMING),
        references=(VARIATION, NORMALISED, PROGRAMS),
        how="Modules are matched one to one by what they write at each position of the inputs; the information that "
        "partners share is divided by all the information that the modules of both hold. Names, order and numbering do "
        "not matter, and modules that no vote depends on do not count.",
        caveat="It compares what modules write, not how they vote: programs with the same modules may answer "
        "differently, and one function can be computed in many ways. Modules that all read positions are alike "
        "without having learnt anything, which is what the control is for.",
        cost="T m m' for T tokens and m, m' modules",
    )

    def __post_init__(self) -> None:
        if isinstance(self.groups, bool) or not isinstance(self.groups, int) or self.groups < 2:
            raise InputError("groups", found=repr(self.groups), expected="an integer of at least 2")

    def prepare(self, thing: Answerer, data: Sequences, *, rng: np.random.Generator) -> Modules:
        """Partitions of the modules that votes can depend on.

        Raises:
            NotApplicable: a function or a network, which has no modules.
        """
        names = live(thing.program)
        variables = thing.variables
        groups = min(self.groups, len(data))
        rank = np.empty(len(data), dtype=np.int64)
        rank[np.argsort(data.keys, kind="stable")] = np.arange(len(data))
        return Modules(
            name=thing.name, parts={name: partition(variables[name]) for name in names},
            reads={m.name: (kind, reads(m)) for _, kind, m in thing.program.modules()},
            group=np.repeat(rank % groups, data.lengths), groups=groups, n=len(data), exhaustive=data.exhaustive,
        )  # fmt: skip

    def compare(self, a: Modules, b: Modules, *, rng: np.random.Generator) -> Evidence:
        """The share, with a delete-a-group jackknife; exact on a whole domain."""
        pairs, found = _matched(a, b)
        details = _details(a, b, pairs)
        full = _value(found, _own(a), _own(b))
        if np.isnan(full):
            return Undefined(reason="no module of either program varies on these inputs", details=details)
        if a.exhaustive:
            return Exact(value=float(full), details=details)
        if a.n < 2:
            return Undefined(reason="a single input shows no variation", details=details)
        common = sum((_shared_without(a, b, x, y) for x, y, _ in pairs), np.zeros(a.groups))
        left_out = _value(common, _own_without(a), _own_without(b))
        if np.isnan(left_out).any():
            return Undefined(reason="without one group of inputs no module varies: too few inputs", details=details)
        return Groups(value=float(full), left_out=left_out, n=a.n, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """How much of each module of a is found again in its partner."""
        found = details.get("b")
        if not found or not len(found["modules"]):
            return None
        names = [str(name) for name in found["modules"]][:SHOWN]
        series = {
            side: np.ravel(details[side]["likeness"])[:SHOWN]
            for side in ("b", "control")
            if side in details and len(np.ravel(details[side]["likeness"])) == len(np.ravel(found["likeness"]))
        }
        kept = np.ravel(found["likeness"])
        return Chart(
            kind="bars", series=series, x=names, x_label="module of A", y_label="likeness of its partner", low=0.0,
            high=1.0,
            alt=f"For each module of A, how alike its partner writes, 0 to 1: B writes the same as "
            f"{int((kept > 1 - 1e-9).sum())} of {len(kept)} modules.",
        )  # fmt: skip


def module_agreement(a: Mapping[str, Partition], b: Mapping[str, Partition]) -> float:
    """The share of information in common of two sets of partitions of the same positions; NaN if none varies.

    Args:
        a, b: the partition of positions that each module makes, by name.
    """
    _, common = _pairs(a, b)
    return float(_value(common, sum(p.entropy for p in a.values()), sum(p.entropy for p in b.values())))


def _matched(a: Modules, b: Modules) -> tuple[list[tuple[str, str, float]], float]:
    return _pairs(a.parts, b.parts)


def _pairs(a: Mapping[str, Partition], b: Mapping[str, Partition]) -> tuple[list[tuple[str, str, float]], float]:
    """Partners with the likeness of what they write, and the information that all of them share."""
    mine, theirs = list(a), list(b)
    both = np.array([[shared(a[x], b[y]) for y in theirs] for x in mine]).reshape(len(mine), len(theirs), 2)
    most = float(both[..., 0].max(initial=0.0)) + 1.0
    found, common = [], 0.0
    for i, j in assigned(most - both[..., 0], lone=most):  # any partner is better than none
        information, joint = both[i, j].tolist()
        if information > _NONE:
            found.append((mine[i], theirs[j], min(1.0, information / joint)))
            common += information
    return found, common


def _value(common: Any, own_a: Any, own_b: Any) -> Any:
    """Information in common over all the information; NaN where there is none."""
    below = np.asarray(own_a + own_b - common, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > _NONE, np.clip(common / below, 0.0, 1.0), np.nan)


def _own(x: Modules) -> float:
    return sum(p.entropy for p in x.parts.values())


def _own_without(x: Modules) -> Float[np.ndarray, " groups"]:
    """Sum of the entropies of all modules, without each group."""
    total = np.zeros(x.groups)
    for p in x.parts.values():
        total += _entropies(p.codes, p.classes, x)
    return total


def _shared_without(a: Modules, b: Modules, x: str, y: str) -> Float[np.ndarray, " groups"]:
    """I(X; Y) without each group."""
    p, q = a.parts[x], b.parts[y]
    cells, codes = np.unique(p.codes * q.classes + q.codes, return_inverse=True)
    joint = _entropies(codes.ravel(), len(cells), a)
    return np.maximum(_entropies(p.codes, p.classes, a) + _entropies(q.codes, q.classes, a) - joint, 0.0)


def _entropies(codes: np.ndarray, classes: int, x: Modules) -> Float[np.ndarray, " groups"]:
    """Entropy of a partition without each group of inputs, in nats."""
    counts = np.bincount(codes * x.groups + x.group, minlength=classes * x.groups).reshape(classes, x.groups)
    left = (counts.sum(1, keepdims=True) - counts).astype(np.float64)
    total = left.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(left > 0, left * np.log(np.where(left > 0, left, 1.0)), 0.0).sum(0)
        return np.maximum(np.where(total > 0, np.log(np.maximum(total, 1.0)) - terms / total, 0.0), 0.0)


def _details(a: Modules, b: Modules, pairs: list[tuple[str, str, float]]) -> dict[str, Any]:
    """The aligned modules.

    Partners that share less than half of their information, and do not read the same either, are two modules and not
    one that changed.
    """
    partner = {x: (y, alike) for x, y, alike in pairs}
    names = {x: y for x, y, _ in pairs}
    rows: list[list[Any]] = []
    kept = set()
    for x, part in a.parts.items():
        y, alike = partner.get(x, ("", 0.0))
        if y and (alike >= HALF or _read_alike(a.reads[x], b.reads[y], names)):
            kept.add(y)
            rows.append(["same" if alike > 1 - 1e-9 else "changed", x, y, alike])
        else:
            rows.append(["constant" if part.classes == 1 else "removed", x, "", 0.0])
    for y, part in b.parts.items():
        if y not in kept:
            rows.append(["constant" if part.classes == 1 else "added", "", y, 0.0])
    return {
        "modules": list(a.parts),
        "likeness": np.array([partner.get(x, ("", 0.0))[1] for x in a.parts]),
        "aligned": rows,
    }


def _read_alike(
    mine: tuple[str, tuple[str, ...]], theirs: tuple[str, tuple[str, ...]], names: Mapping[str, str]
) -> bool:
    return mine[0] == theirs[0] and tuple(names.get(x, x) for x in mine[1]) == theirs[1]
