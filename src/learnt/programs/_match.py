"""Which module of one program does what a module of another does? Partitions of the positions, matched one to one.

    VI(X, Y) = H(X|Y) + H(Y|X) = 2 H(X, Y) - H(X) - H(Y),   likeness = I(X; Y) / H(X, Y) = 1 - VI(X, Y) / H(X, Y)

The values that a variable takes at the positions of some inputs divide these positions into classes. Two variables
that divide them in the same way do the same work, whatever their values are called; then the variation of
information (Meilă 2007) is 0. Divided by the joint entropy it is a metric between 0 and 1. The likeness of two
constants is 1. Matching is a linear assignment (scipy).
"""
# ruff: noqa: F722, F821  (shapes are no forward references)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float, Int

from learnt.programs._isomorphism import reads
from learnt.programs.program import Program

HALF = 0.5  # likeness from which two modules are the same one, changed
_LONE = 0.75  # cost of a module without a partner; two cost more than the worst pair


@final
@dataclass(frozen=True, eq=False)
class Partition:
    """How one variable divides T positions: (T,) class of each, numbered from 0 without gaps, and the values meant."""

    codes: Int[np.ndarray, " t"]
    values: Int[np.ndarray, " classes"]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.values)

    @cached_property
    def entropy(self) -> float:
        """H in nats."""
        return entropy(np.bincount(self.codes))


def partition(values: Int[np.ndarray, " t"]) -> Partition:
    """The partition of positions by the values of a variable there; values are 0 or more."""
    highest = int(values.max(initial=0))
    if highest < 4 * len(values) + 64:  # counting beats sorting
        seen = np.zeros(highest + 1, dtype=bool)
        seen[values] = True
        return Partition((np.cumsum(seen) - 1)[values], np.flatnonzero(seen))
    found, codes = np.unique(values, return_inverse=True)
    return Partition(codes.ravel(), found)


def entropy(counts: Float[np.ndarray, "... cells"]) -> float:
    """Entropy in nats of the shares of a table of counts."""
    flat = np.ravel(counts)
    flat = flat[flat > 0].astype(np.float64)
    total = flat.sum()
    return max(0.0, float(np.log(total) - (flat @ np.log(flat)) / total)) if total > 0 else 0.0


def joint(x: Partition, y: Partition) -> Int[np.ndarray, " cells"]:
    """Counts of the pairs of classes that occur together, in no particular order."""
    both = x.codes * y.classes + y.codes
    if x.classes * y.classes <= 4 * len(both):
        return np.bincount(both, minlength=x.classes * y.classes)
    return np.unique(both, return_counts=True)[1]


def shared(x: Partition, y: Partition) -> tuple[float, float]:
    """(I(X; Y), H(X, Y)) in nats."""
    both = entropy(joint(x, y))
    return max(0.0, x.entropy + y.entropy - both), both


def likeness(x: Partition, y: Partition) -> float:
    """I(X; Y) / H(X, Y), from 0 to 1; 1 for two constants."""
    common, both = shared(x, y)
    return min(1.0, common / both) if both > 1e-12 else 1.0


def live(program: Program) -> list[str]:
    """Names of the modules that a vote can depend on, in stream order."""
    needed = {name for name, votes in program.classifier.items() if np.any(votes)}
    modules = [module for _, _, module in program.modules()]
    for module in reversed(modules):
        if module.name in needed:
            needed.update(reads(module))
    return [module.name for module in modules if module.name in needed]


class Pair(NamedTuple):
    """A module of a and the module of b that does its work; one of them is missing where nothing does.

    Attributes:
        a, b: names, or None.
        likeness: of what the two write.
    """

    a: str | None
    b: str | None
    likeness: float


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Match:
    """What corresponds to what.

    Attributes:
        pairs: modules, in the order of a, then those that b alone has.
        partner: names in b by names in a, input variables included.
        values: (cardinality in a,) value in b of each value in a, -1 without counterpart, by name in a.
    """

    pairs: tuple[Pair, ...]
    partner: Mapping[str, str]
    values: Mapping[str, np.ndarray]


def match(
    a: Program,
    b: Program,
    in_a: Mapping[str, np.ndarray],
    in_b: Mapping[str, np.ndarray],
    *,
    names: Mapping[str, str] | None = None,
) -> Match:
    """Which modules of two programs correspond, by what they do on the same positions.

    Args:
        a, b: programs.
        in_a, in_b: (T,) values of each variable at the same T positions.
        names: modules of b by those of a, where the correspondence is known.

    Two modules are partners if what they write shares at least half of its information, if they read alike (a changed
    predicate may change all that a head writes), or if they have one name and read at least half alike (a changed
    gate may, too). Ties go to modules of one kind that read alike, then to equal names.
    """
    parts_a = {name: partition(values) for name, values in in_a.items()}
    parts_b = {name: partition(values) for name, values in in_b.items()}
    alike = {(x, y): likeness(p, q) for x, p in parts_a.items() for y, q in parts_b.items()}
    partner = _inputs(a, b, alike)
    mine, theirs = list(a.modules()), list(b.modules())
    if names is None:
        cost = np.full((len(mine), len(theirs)), 10.0)
        for i, (layer, kind, module) in enumerate(mine):
            for j, (other_layer, other_kind, other) in enumerate(theirs):
                same = alike[module.name, other.name]
                apart = _reads_apart(reads(module), reads(other), alike) if kind == other_kind else 1.0
                named = module.name == other.name and apart <= HALF
                if same >= HALF or apart <= 0.01 or named:
                    cost[i, j] = (1 - same) + 1e-3 * apart + 1e-5 * (module.name != other.name)
                    cost[i, j] += 1e-6 * abs(layer - other_layer) + 1e-8 * abs(i - j)
        found = {mine[i][2].name: theirs[j][2].name for i, j in assigned(cost, lone=_LONE)}
    else:
        found = dict(names)
    partner |= found
    pairs = [
        Pair(m.name, found.get(m.name), alike[m.name, found[m.name]] if m.name in found else 0.0) for _, _, m in mine
    ]
    taken = set(found.values())
    pairs += [Pair(None, m.name, 0.0) for _, _, m in theirs if m.name not in taken]
    return Match(pairs=tuple(pairs), partner=partner, values=_values(a, b, partner, in_a, in_b))


def assigned(cost: Float[np.ndarray, "n m"], *, lone: float) -> list[tuple[int, int]]:
    """Pairs (i, j) of least total cost, where whoever stays alone costs `lone`; sources of ties are the caller's."""
    from scipy.optimize import linear_sum_assignment

    n, m = cost.shape
    if not n or not m:
        return []
    square = np.zeros((n + m, n + m))
    square[:n, :m], square[:n, m:], square[n:, :m] = cost, lone, lone
    rows, columns = linear_sum_assignment(square)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if i < n and j < m and cost[i, j] < 2 * lone]


def _reads_apart(mine: Sequence[str], theirs: Sequence[str], alike: Mapping[tuple[str, str], float]) -> float:
    """How unlike the variables are that two modules of one kind read, 0 to 1."""
    if len(mine) != len(theirs):
        return 1.0
    return sum(1 - alike[x, y] for x, y in zip(mine, theirs, strict=True)) / len(mine)


def _inputs(a: Program, b: Program, alike: Mapping[tuple[str, str], float]) -> dict[str, str]:
    """Input variables: tokens, positions and ones by name, embeddings by what they do."""
    partner = {"positions": "positions", "ones": "ones"}
    if a.embeddings is None and b.embeddings is None:
        return partner | {"tokens": "tokens"}
    x, y = a.input_variables, b.input_variables
    cost = np.array([[1 - alike[u, w] + 1e-6 * (u != w) for w in y] for u in x])
    return partner | {x[i]: y[j] for i, j in assigned(cost, lone=_LONE)}


def _values(
    a: Program,
    b: Program,
    partner: Mapping[str, str],
    in_a: Mapping[str, np.ndarray],
    in_b: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Which value of b's variable stands for which value of a's, by variable.

    Tokens correspond by name, what heads copy as its source does, the rest by how often values occur together.
    """
    copied = {head.name: head.value for layer in a.layers for head in layer.cat_heads}
    copied_b = {head.name: head.value for layer in b.layers for head in layer.cat_heads}
    found: dict[str, np.ndarray] = {}
    for name, size in a.cardinality.items():
        other = partner.get(name)
        if other is None or other not in b.cardinality:
            continue
        if name == "tokens" and other == "tokens":
            found[name] = _by_token(a, b)
        elif name == "positions":
            found[name] = np.where(np.arange(size) < b.cardinality[other], np.arange(size), -1)
        elif name in copied and other in copied_b and partner.get(copied[name]) == copied_b[other]:
            found[name] = found[copied[name]]
        else:
            found[name] = bijection(in_a[name], in_b[other], size, b.cardinality[other])
    return found


def bijection(x: np.ndarray, y: np.ndarray, size: int, other: int) -> Int[np.ndarray, " size"]:
    """The one-to-one map of values that is right at most positions; -1 for values left over. Ties keep the number."""
    from scipy.optimize import linear_sum_assignment

    counts = np.bincount(x * other + y, minlength=size * other).reshape(size, other) + 1e-6 * np.eye(size, other)
    out = np.full(size, -1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    out[rows] = columns
    return out


def _by_token(a: Program, b: Program) -> Int[np.ndarray, " size"]:
    place = {token: i for i, token in enumerate(b.vocab)}
    spare = iter(range(len(b.vocab), b.cardinality["tokens"]))
    named = [place.get(token, -1) for token in a.vocab]
    return np.array([*named, *(next(spare, -1) for _ in range(len(a.vocab), a.cardinality["tokens"]))])


def occurring(values: np.ndarray, size: int) -> Bool[np.ndarray, " size"]:
    """Which values of a variable occur."""
    seen = np.zeros(size, dtype=bool)
    seen[values] = True
    return seen
