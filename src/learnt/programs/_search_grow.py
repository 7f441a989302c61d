"""A program that grows: at each step the proposal that explains most of what is still wrong.

The classifier is fitted again after every step, so that the next proposals look at what is left. Screening looks at
a few hundred examples, the best dozen are measured on a few thousand. A pool of simple variables that the program
does not have (heads with constant or shifted predicates, counts) takes part in the proposals, and comes along with
the one that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np

from learnt.programs import _search_proposals as proposals
from learnt.programs._search_gain import Slope, added, gain_of_votes, value_of
from learnt.programs._search_growth import Growth
from learnt.programs._search_proposals import Proposal
from learnt.programs._search_relation import relation, unique
from learnt.programs._search_stream import Stream
from learnt.programs._search_walk import previous_head, returns, walk
from learnt.programs._search_walk import skeleton as skeleton_of_walk
from learnt.programs.program import Head, Module, NumMLP, TableMLP


def fill_pool(growth: Growth, rng: np.random.Generator, most: int, *, walks: bool = False) -> None:
    """Simple variables that the program does not have, at most so many of each kind, no two alike.

    With `walks`, beside these, what each categorical variable was one position earlier.
    """
    for name in growth.pool:
        for stream in (growth.wide, growth.narrow):
            stream.forget(name)
    growth.pool = {}
    known = {growth.narrow.array(name).tobytes() for name in (*growth.categorical(), *growth.numerical())}
    if growth.shape.some("num_mlps"):
        for name in growth.numerical()[1:]:
            _add_class(growth, name, [])
    for number in (False, True):
        specs = _simple_heads(growth, number)
        early = [] if number or not walks else _previous_heads(growth)
        specs = [*early, *specs]
        added = 0
        for index in [*range(len(early)), *(len(early) + rng.permutation(len(specs) - len(early)))]:
            if added >= most + len(early):
                break
            head = replace(specs[index], name=f"p{growth.counter}_{int(number)}_{index}")
            modules: list[tuple[Module, int | None]] = [(head, None if number else growth.narrow.sizes[head.value])]
            if growth.fit_in(modules) is None:
                continue
            array = growth.narrow.output(head)
            array = np.where(growth.narrow.data.real, array, 0)
            if array.tobytes() in known or (array == array[0, 0])[growth.narrow.data.real].all():
                continue
            known.add(array.tobytes())
            added += 1
            _declare(growth, head, modules[0][1])
            growth.pool[head.name] = tuple(modules)
            if number and growth.shape.some("num_mlps"):
                _add_class(growth, head.name, modules)


def _add_class(growth: Growth, number: str, modules: list[tuple[Module, int | None]]) -> None:
    """The value of a count as a categorical variable, into the pool."""
    k, top = growth.frame.k, growth.narrow.top(number)
    if top >= proposals.TABLE:
        return
    table = tuple(min(value, k - 1) for value in range(top + 1))
    mlp = NumMLP(inputs=(number,), sizes=(top + 1,), table=table, name=f"p{growth.counter}_{number}c")
    chain = [*modules, (mlp, k)]
    if growth.fit_in(chain) is not None:
        _declare(growth, mlp, k)
        growth.pool[mlp.name] = tuple(chain)


def _add_tables(growth: Growth, rng: np.random.Generator, at: Slope, width: int, *, most: int = 8) -> None:
    """Tables that would explain most if they voted, into the pool: where only numbers vote, others may read them."""
    cat = [*growth.categorical(), *(n for n in growth.pool if growth.narrow.sizes[n] is not None)]
    num = [*growth.numerical()[1:], *(n for n in growth.pool if growth.narrow.sizes[n] is None)]
    for kind, names in (("cat_mlp", cat), ("num_mlp", num)):
        if not growth.shape.some(kind + "s"):
            continue
        names = informative(growth, names, at, 16) if kind == "cat_mlp" else names
        pairs = sampled([(a, b) for i, a in enumerate(names) for b in names[:i]], width, rng)
        made = (make(growth, growth.narrow, at, kind, reads, True) for reads in pairs if _fits(growth, kind, reads))
        best = sorted((one for one in made if one is not None), key=lambda one: -one.gain)[:most]
        for index, one in enumerate(best):
            module, size = one.modules[0]
            module = replace(module, name=f"p{growth.counter}_{kind}_{index}")
            chain = growth.chain(replace(one, modules=((module, size),)))
            _declare(growth, module, size)
            growth.pool[module.name] = tuple(chain)


def informative(growth: Growth, names: Sequence[str], at: Slope, most: int) -> list[str]:
    """The categorical variables that would explain most if they voted, best first."""
    gains, known = [], set()
    for name in names:
        rows = growth.narrow.rows(name)
        if rows.tobytes() not in known:
            known.add(rows.tobytes())
            sums = added(rows, int(growth.narrow.sizes[name] or 1), at.both)
            gains.append((float(value_of(sums[:, : at.n_labels], sums[:, at.n_labels :])), name))
    return [name for _, name in sorted(gains, key=lambda one: -one[0])[:most]]


def _declare(growth: Growth, module: Module, size: int | None) -> None:
    for stream in (growth.wide, growth.narrow):
        stream.forget(module.name)
        stream.declare(module, size)


def _previous_heads(growth: Growth) -> list[Head]:
    positions = int(growth.narrow.sizes["positions"] or 1)
    return [previous_head(name, positions) for name in growth.categorical() if name != "positions"]


def _simple_heads(growth: Growth, number: bool) -> list[Head]:
    names, values = growth.categorical(), growth.numerical() if number else growth.categorical()
    heads = []
    for key in names:
        k = int(growth.narrow.sizes[key] or 1)
        for value in values:
            for constant in range(k):
                query = names[0]
                size = int(growth.narrow.sizes[query] or 1)
                heads.append(Head(query=query, key=key, value=value, predicate=(constant,) * size))
            for query in names:
                size = int(growth.narrow.sizes[query] or 1)
                for shift in (0, -1, 1):
                    row = tuple(min(max(q + shift, 0), k - 1) for q in range(size))
                    heads.append(Head(query=query, key=key, value=value, predicate=row))
    return heads


def specs(
    growth: Growth, rng: np.random.Generator, width: int, at: Slope, *, walks: bool = False
) -> list[tuple[str, tuple[str, ...]]]:
    """(kind, reads) of what will be proposed: at most `width` of each kind, drawn where there are more."""
    cat, num = growth.categorical(), growth.numerical()
    pool_cat = [n for n in growth.pool if growth.narrow.sizes[n] is not None]
    pool_num = [n for n in growth.pool if growth.narrow.sizes[n] is None]
    new: dict[str, list[Any]] = {}
    triples = [(q, k, v) for q in cat for k in cat for v in cat]
    far = [(q, k, v) for p in pool_cat for a in cat for b in cat for q, k, v in ((a, p, b), (p, a, b), (a, b, p))]
    new["cat_head"] = sampled(triples, width, rng) + sampled(far, width, rng)
    if walks:
        new["walk"] = [(name,) for name in cat]
        new["cat_head_mlp"] = sampled(returns(growth), 4 * width, rng)
    values = [*growth.inputs, *(n for n in cat if n not in growth.inputs)]
    new["mlp_head"] = sampled(
        [(a, b, k, v) for a in (*cat, *pool_cat) for b in cat if a != b for k in cat for v in values], width, rng
    )
    pairs = [(q, k) for q in cat for k in cat]
    pairs_far = [pair for p in pool_cat for a in cat for pair in ((p, a), (a, p))] + [(p, p) for p in pool_cat]
    heads = sampled([(*p, v) for p in pairs for v in num], width, rng)
    heads += sampled([(*p, v) for p in pairs_far for v in num], width, rng)
    new["num_head"] = heads
    new["num_head_mlp"] = heads + sampled(
        [(*h, y) for h in heads for y in (*num[1:], *_sources(growth, h))], width, rng
    )  # fmt: skip
    new["cat_mlp"] = sampled(
        [(a, b) for i, a in enumerate(cat) for b in cat[:i]] + [(a, b) for a in pool_cat for b in cat],
        2 * width,
        rng,
    )
    new["num_mlp"] = [(x,) for x in num[1:]] + sampled(
        [(x, y) for i, x in enumerate(num[1:]) for y in num[1 : i + 1]]
        + [(x, y) for x in pool_num for y in num[1:]]
        + [(x, y) for i, x in enumerate(pool_num) for y in pool_num[:i]],
        width, rng,
    )  # fmt: skip
    both = informative(growth, [*cat, *pool_cat], at, 12) if growth.numbers else [*cat, *pool_cat]
    tables = [(a, b) for i, a in enumerate(both) for b in both[: i + 1]]
    new["relation"] = sampled(
        [(*pair, *held) for pair in tables for held in dict.fromkeys((pair, (pair[0],) * 2, (pair[1],) * 2))],
        width if growth.numbers else width // 4, rng,
    )  # fmt: skip
    possible = {
        "cat_head": ("cat_heads",), "mlp_head": ("cat_heads", "cat_mlps"), "cat_head_mlp": ("cat_heads", "cat_mlps"),
        "walk": ("cat_mlps", "num_heads", "num_mlps"), "num_head": ("num_heads",),
        "num_head_mlp": ("num_heads", "num_mlps"), "cat_mlp": ("cat_mlps",), "num_mlp": ("num_mlps",),
        "relation": ("num_heads", "cat_mlps"),
    }  # fmt: skip
    if growth.numbers:
        new = {kind: new[kind] for kind in ("num_head", "relation")}
    return [
        (kind, reads)
        for kind, many in new.items()
        if all(map(growth.shape.some, possible[kind]))
        for reads in many
        if _fits(growth, kind, reads)
    ]


def _sources(growth: Growth, reads: Sequence[str]) -> list[str]:
    """Counts that the categorical variables of the pool are made of."""
    return [m.name for n in reads for m, s in growth.pool.get(n, ()) if s is None]


def _fits(growth: Growth, kind: str, reads: tuple[str, ...]) -> bool:
    """Whether there is room; asked with modules that only have the right places."""
    return (
        growth.fit_in(growth.chain(Proposal(kind=kind, reads=reads, gain=0.0, modules=skeleton(kind, reads))))
        is not None
    )


def make(
    growth: Growth, stream: Stream, at: Slope, kind: str, reads: tuple[str, ...], free: bool, whole: bool = True
) -> Proposal | None:
    """One proposal on one stream; only roughly, and without tables of numbers, if not `whole`."""
    k = growth.frame.k
    if kind == "cat_head":
        return proposals.cat_head(stream, at, reads, free, tried=3 if whole else 1)
    if kind == "walk":
        return walk(stream, at, reads[0], outputs=k, whole=whole)
    if kind == "relation":
        return relation(stream, at, reads, outputs=k)
    if kind == "cat_head_mlp":
        return proposals.cat_head_mlp(stream, at, reads, free, outputs=k, tried=3 if whole else 1)
    if kind == "mlp_head":
        return proposals.mlp_head(stream, at, reads, free)
    if kind == "num_head":
        return proposals.num_head(stream, at, reads, free)
    if kind == "num_head_mlp":
        return proposals.num_head_mlp(stream, at, reads, free, outputs=k, whole=whole)
    if kind == "cat_mlp":
        return proposals.cat_mlp(stream, at, reads, outputs=k)
    return proposals.num_mlp(stream, at, reads, outputs=k, whole=whole)


def step(
    growth: Growth,
    rng: np.random.Generator,
    *,
    width: int,
    pool: int,
    dear: float,
    free: bool,
    until: float,
    short: int = 12,
    adds: int = 1,
    walks: bool = False,
) -> list[Proposal]:
    """Add the best proposals and fit the classifier after each; nothing if nothing helps or nothing has room.

    Args:
        rng: draws what is proposed.
        width, pool: how many proposals of each kind, and variables of the pool.
        dear: exponent of the number of modules that a gain is divided by.
        free: whether predicates may be anything; else only what a person would write.
        until: `time.monotonic` at which to stop screening.
        short: how many proposals are measured on all examples.
        adds: additions after one screening at most; each after the first is measured again, and must gain at least
            half of what it would have gained at first.
        walks: whether heights of walks, and what was there when one returns to them, are proposed.
    """
    fill_pool(growth, rng, pool, walks=walks)
    at = growth.slope(growth.narrow)
    if growth.numbers:
        _add_tables(growth, rng, at, width)
    found: list[tuple[float, str, tuple[str, ...]]] = []
    for kind, reads in specs(growth, rng, width, at, walks=walks):
        proposal = make(growth, growth.narrow, at, kind, reads, free, whole=False)
        growth.tried += 1
        if proposal is not None and proposal.gain > 0:
            found.append((proposal.gain / len(growth.chain(proposal)) ** dear, kind, reads))
        if monotonic() > until:
            break
    found.sort(key=lambda one: -one[0])
    at = growth.slope(growth.wide)
    waiting = []
    rest = [[one for one in found[short:] if one[1] == kind][:3] for kind in ("walk", "cat_head_mlp")]
    for _, kind, reads in [*found[:short], *(one for few in rest for one in few)]:
        gain, proposal = _weighed(growth, at, kind, reads, free, dear)
        if proposal is not None and gain >= 2.0:
            waiting.append((gain, proposal))
    waiting.sort(key=lambda one: -one[0])
    taken: list[Proposal] = []
    known: dict[str, str] = {}
    for first, proposal in waiting:
        if taken:
            at = growth.slope(growth.wide)
            reads = tuple(known[name] if name in known else name for name in proposal.reads)
            gain, again = _weighed(growth, at, proposal.kind, reads, free, dear)
            if again is None or gain < max(2.0, 0.5 * first):
                continue
            proposal = again
        chain = growth.chain(proposal)
        places = growth.fit_in(chain)
        if places is None:
            continue
        names = growth.add(chain, places)
        growth.refit()
        taken.append(proposal)
        if len(taken) == adds:
            break
        known |= {
            module.name: name for (module, _), name in zip(chain, names, strict=True) if module.name in growth.pool
        }
        growth.settle(known)
    return taken


def _weighed(
    growth: Growth, at: Slope, kind: str, reads: tuple[str, ...], free: bool, dear: float
) -> tuple[float, Proposal | None]:
    """A proposal on all examples, and its measured gain by what it costs."""
    proposal = make(growth, growth.wide, at, kind, reads, free)
    if proposal is None:
        return 0.0, None
    return measured(growth, proposal, at) / len(growth.chain(proposal)) ** dear, proposal


def measured(growth: Growth, proposal: Proposal, at: Slope) -> float:
    """The rise of the log-likelihood on the wide stream with the votes of the last module; numbers: as proposed."""
    last, size = proposal.modules[-1]
    if size is None:
        return proposal.gain
    for module, own in proposal.modules:
        growth.wide.forget(module.name)
        growth.wide.declare(module, own)
    return gain_of_votes(growth.wide.rows(last.name), size, at)


def skeleton(kind: str, reads: tuple[str, ...]) -> tuple[tuple[Module, int | None], ...]:
    """Modules of a proposal without contents: enough to ask whether there is room."""

    def head(query: str, key: str, value: str, name: str) -> Head:
        return Head(query=query, key=key, value=value, predicate=(), name=name)

    if kind == "cat_head":
        query, key, value = reads
        return ((head(query, key, value, "_head"), 1),)
    if kind == "relation":
        tables = [
            TableMLP(inputs=unique(r), table=(), name=n) for r, n in ((reads[:2], "_asked"), (reads[2:], "_held"))
        ]
        return ((tables[0], 1), (tables[1], 1), (head("_asked", "_held", "ones", "_count"), None))
    if kind == "walk":
        return skeleton_of_walk(reads[0])
    if kind == "cat_head_mlp":
        query, key, value, other = reads
        mlp = TableMLP(inputs=("_head", other), table=(), name="_mlp")
        return ((head(query, key, value, "_head"), 1), (mlp, 1))
    if kind == "mlp_head":
        *inputs, key, value = reads
        mlp = TableMLP(inputs=tuple(inputs), table=(), name="_mlp")
        return ((mlp, 1), (head("_mlp", key, value, "_head"), 1))
    if kind == "num_head":
        query, key, value = reads
        return ((head(query, key, value, "_count"), None),)
    if kind == "num_head_mlp":
        query, key, value, *others = reads
        return ((head(query, key, value, "_count"), None), (NumMLP(inputs=("_count", *others), name="_class"), 1))
    if kind == "cat_mlp":
        return ((TableMLP(inputs=reads, table=(), name="_mlp"), 1),)
    return ((NumMLP(inputs=reads, name="_class"), 1),)


def sampled(many: list[Any], most: int, rng: np.random.Generator) -> list[Any]:
    """At most so many, in their order."""
    if len(many) <= most:
        return many
    return [many[i] for i in np.sort(rng.permutation(len(many))[:most])]
