"""How high does a walk stand, and what was there when it last stood here? Counts of two sets of values, compared.

    height_i = #{j seen by i: x_j in A} - #{j seen by i: x_j in B},    kept in -1 .. k - 2, and 1 added

A table puts each value of a variable into A, B or neither, two heads count, and a numerical MLP subtracts: four modules
that explain nothing one by one. A height is more than what it votes for: a head that looks for it in what stood one
position earlier (`previous`) finds where the walk last left this height, as a closing bracket finds its partner.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from learnt.programs._search_gain import Slope, added, value_of
from learnt.programs._search_growth import Growth
from learnt.programs._search_proposals import Proposal
from learnt.programs._search_stream import Stream
from learnt.programs.program import Head, Module, NumMLP, TableMLP

LISTED = 2_000  # choices of two sets that are all compared


def walk(stream: Stream, at: Slope, name: str, *, outputs: int, whole: bool = True) -> Proposal | None:
    """The height that votes best, over all or many choices of the two sets of values; None for a constant variable.

    Args:
        stream: the variables.
        at: the slope of the loss there.
        name: the categorical variable whose values are put into sets.
        outputs: k, cardinality of the height; at least 3.
        whole: whether the modules get their contents.
    """
    size = int(stream.sizes[name] or 1)
    used = np.unique(stream.array(name)[stream.data.real])
    if outputs < 3 or len(used) < 2:
        return None
    counts = stream.counts_of(stream.array(name), size)[:, used]
    c = at.n_labels

    def heights_of(signs: tuple[int, ...]) -> np.ndarray:
        return np.clip(counts @ np.array(signs), -1, outputs - 2) + 1

    def gain(signs: tuple[int, ...]) -> float:
        if min(signs) >= 0 or max(signs) <= 0:
            return 0.0
        sums = added(heights_of(signs), outputs, at.both)
        return float(value_of(sums[:, :c], sums[:, c:]))

    best, signs = _best_signs(gain, len(used))
    if best <= 0:
        return None
    opposite = tuple(-s for s in signs)  # votes hardly differ, but all heights below -1 are one
    if gain(opposite) > 0.98 * best and len(np.unique(heights_of(opposite))) > len(np.unique(heights_of(signs))):
        best, signs = gain(opposite), opposite
    modules = skeleton(name)
    if whole:
        sets = np.zeros(size, dtype=np.int64)
        sets[used] = np.array([0, 1, 2])[list(signs)]  # -1 is the last: set 2
        n = stream.data.ids.shape[1]
        heights = [min(max(a - b, -1), outputs - 2) + 1 for a in range(n + 1) for b in range(n + 1)]
        kind = TableMLP(inputs=(name,), table=tuple(sets.tolist()), name="_set")
        heads = [Head(query="_set", key="_set", value="ones", predicate=(s,) * 3, name=f"_count{s}") for s in (1, 2)]
        height = NumMLP(inputs=("_count1", "_count2"), sizes=(n + 1, n + 1), table=tuple(heights), name="_height")
        modules = ((kind, 3), (heads[0], None), (heads[1], None), (height, outputs))
    return Proposal(kind="walk", reads=(name,), gain=best, modules=modules)


def _best_signs(gain: Callable[[tuple[int, ...]], float], n: int) -> tuple[float, tuple[int, ...]]:
    """The signs with the greatest gain, the fewest that are not 0 among nearly equal ones."""
    if 3**n <= LISTED:
        many = sorted(product((0, 1, -1), repeat=n), key=lambda signs: sum(map(abs, signs)))
        best, chosen = 0.0, many[0]
        for signs in many:
            value = gain(signs)
            if value > 1.001 * best:
                best, chosen = value, signs
        return best, chosen
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b][:LISTED]
    starts = [tuple(1 if i == a else -1 if i == b else 0 for i in range(n)) for a, b in pairs]
    chosen = max(starts, key=gain)
    best = gain(chosen)
    for _ in range(2 * n):
        near = [(*chosen[:i], s, *chosen[i + 1 :]) for i in range(n) for s in (-1, 0, 1) if s != chosen[i]]
        other = max(near, key=gain)
        if gain(other) <= 1.001 * best:
            break
        best, chosen = gain(other), other
    return best, chosen


def skeleton(name: str) -> tuple[tuple[Module, int | None], ...]:
    """The modules without contents."""
    heads = [Head(query="_set", key="_set", value="ones", predicate=(), name=f"_count{s}") for s in (1, 2)]
    return (
        (TableMLP(inputs=(name,), table=(), name="_set"), 3),
        (heads[0], None),
        (heads[1], None),
        (NumMLP(inputs=("_count1", "_count2"), name="_height"), 1),
    )


def previous_head(name: str, positions: int) -> Head:
    """The head that copies a variable from one position earlier; the first position copies its own."""
    return Head(
        query="positions", key="positions", value=name, predicate=tuple(max(q - 1, 0) for q in range(positions))
    )


def returns(growth: Growth) -> list[tuple[str, str, str, str]]:
    """(query, key, value, other) of heads whose query and key tell of the same variable, now and one earlier."""
    cat = growth.categorical()
    earlier: dict[str, str] = {}
    made = {**{n: chain[-1][0] for n, chain in growth.pool.items()}, **growth.modules}
    for name, module in made.items():
        if isinstance(module, Head) and module.query == module.key == "positions" and module.value in cat:
            if module.predicate == previous_head(module.value, len(module.predicate)).predicate:
                earlier[module.value] = name
    pairs = [pair for a in cat if a in earlier for pair in ((a, earlier[a]), (earlier[a], a))]
    return [(q, k, v, o) for q, k in pairs for v in cat for o in cat]
