"""Changes of a program that exists: one gate, one predicate, one table, or a part taken out and grown again.

A change is judged by the loss after a short refit of the classifier on the screening examples, not with the old
classifier, which fits the old variables. Only what depends on the changed module is computed again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from learnt.programs._search_gain import best_predicate, cell_by_cell, slope, structured, table_of_sums
from learnt.programs._search_growth import Growth, inputs_of
from learnt.programs._search_linear import fitted, logits_of, mean_loss
from learnt.programs.program import Head, Module, NumMLP, TableMLP


def changed_gate(growth: Growth, rng: np.random.Generator) -> Module | None:
    """A module that reads another variable of the same cardinality in one place; None if there is none to change."""
    names = list(growth.modules)
    name = names[int(rng.integers(len(names)))]
    module = growth.modules[name]
    known = inputs_of(module)
    slot = int(rng.integers(len(known)))
    old = known[slot]
    layer, _ = growth.placed[name]
    head = isinstance(module, Head)
    sizes = growth.wide.sizes
    others = growth.numerical() if sizes[old] is None else growth.categorical()
    late = {name, *growth.downstream(name)}
    free = [
        other for other in others
        if other != old and other not in late and growth.ready(other, head=head) <= layer and sizes[other] == sizes[old]
    ]  # fmt: skip
    if not free or isinstance(module, NumMLP):
        return None
    new = free[int(rng.integers(len(free)))]
    if isinstance(module, Head):
        return replace(module, **{("query", "key", "value")[slot]: new})
    return replace(module, inputs=tuple(new if i == slot else n for i, n in enumerate(known)))


def changed_predicate(growth: Growth, rng: np.random.Generator) -> Module | None:
    """A head with another predicate: the best by statistics, one that a person would write, or one row changed."""
    heads = [m for m in growth.modules.values() if isinstance(m, Head)]
    if not heads:
        return None
    head = heads[int(rng.integers(len(heads)))]
    n_q, k = int(growth.wide.sizes[head.query] or 1), int(growth.wide.sizes[head.key] or 1)
    draw = rng.random()
    if draw < 0.34 and growth.wide.sizes[head.value] is not None:
        return best_by_statistics(growth, head)
    predicate = np.array(head.predicate)
    if draw < 0.67:
        table = structured(n_q, k)
        row = table[int(rng.integers(len(table)))]
        new = np.where(row >= 0, row, predicate)
    else:
        new = predicate.copy()
        new[int(rng.integers(n_q))] = int(rng.integers(k))
    return None if (new == predicate).all() else replace(head, predicate=tuple(new.tolist()))


def best_by_statistics(growth: Growth, head: Head) -> Module | None:
    """The head with the predicate that explains most of what the program without its votes gets wrong."""
    stream = growth.narrow
    votes = {name: table for name, table in growth.votes.items() if name != head.name}
    z = logits_of(growth.voters(stream), votes, len(growth.frame.labels))
    z[:, list(growth.frame.masked)] = -1e30
    at = slope(z, stream.data.labels, stream.data.row_weights)
    n_q, k, v = (int(stream.sizes[name] or 1) for name in (head.query, head.key, head.value))
    sums = table_of_sums(stream.rows(head.query), n_q, stream.seen(head.key, head.value), v, at)
    starts = np.concatenate([np.array(head.predicate)[None], structured(n_q, k), cell_by_cell(*sums)[None]])
    _, predicate = best_predicate(*sums, starts)
    found = tuple(predicate.tolist())
    return None if found == tuple(head.predicate) else replace(head, predicate=found)


def changed_table(growth: Growth, rng: np.random.Generator) -> Module | None:
    """An MLP with one entry of its table changed: one that occurs."""
    mlps = [m for m in growth.modules.values() if isinstance(m, TableMLP)]
    if not mlps:
        return None
    mlp = mlps[int(rng.integers(len(mlps)))]
    entries = growth.narrow.entries(mlp.inputs)[growth.narrow.data.real]
    entry = int(entries[int(rng.integers(len(entries)))])
    table = list(mlp.table)
    value = int(rng.integers(int(growth.wide.sizes[mlp.name] or 1)))
    if table[entry] == value:
        return None
    table[entry] = value
    return replace(mlp, table=tuple(table))


def parts_to_rebuild(growth: Growth, rng: np.random.Generator) -> list[str]:
    """One to three modules to take out, in one case of eight all; what reads them goes with them."""
    names = list(growth.modules)
    if rng.random() < 0.125:
        return names
    count = min(len(names), int(rng.integers(1, 4)))
    return [names[i] for i in rng.permutation(len(names))[:count]]


def quick_loss(growth: Growth, *, most: int = 12) -> float:
    """The loss on the screening examples after a short refit there."""
    stream = growth.narrow
    voters = growth.voters(stream)
    votes = fitted(
        voters, stream.data.labels, stream.data.row_weights, n_labels=len(growth.frame.labels),
        masked=growth.frame.masked, l2=growth.l2, start=growth.votes, most=most,
    )  # fmt: skip
    z = logits_of(voters, votes, len(growth.frame.labels))
    z[:, list(growth.frame.masked)] = -1e30
    return mean_loss(z, stream.data.labels, stream.data.row_weights)
