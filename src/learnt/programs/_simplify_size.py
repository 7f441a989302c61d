"""How much is there to read in a program? A tuple that every simplification must lower.

Counted are, in falling order of what they cost a reader: modules, layers, reads of other modules, stored networks, rows
of the classifier, branches of predicates and tables, votes that are not 0, and the characters of these votes.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import prod
from typing import final

import numpy as np

from learnt.programs._simplify_edit import reads
from learnt.programs.program import Head, NumMLP, Program, TableMLP


@final
@dataclass(frozen=True, kw_only=True, order=True)
class Size:
    """The size of a program; smaller programs compare as less, field by field.

    Attributes:
        modules, layers: how many.
        reads: how many inputs of modules are outputs of others.
        networks: numerical MLPs that keep a network.
        rows: rows of the classifier with a vote.
        branches: of all predicates and tables, as `predicate_branches` and `table_branches` count.
        votes: entries of the classifier that are not 0.
        characters: of these entries as Python writes them.
    """

    modules: int
    layers: int
    reads: int
    networks: int
    rows: int
    branches: int
    votes: int
    characters: int

    def __str__(self) -> str:
        names = ("modules", "layers", "reads", "networks", "rows", "branches", "votes", "characters")
        return ", ".join(f"{value} {name}" for name, value in zip(names, astuple(self), strict=True))


def size(program: Program) -> Size:
    """The size of a program."""
    modules = [module for _, _, module in program.modules()]
    names = {module.name for module in modules}
    votes = [np.atleast_2d(np.array(table)) for table in program.classifier.values()]
    kept = [float(v) for table in votes for v in table[table != 0]]
    return Size(
        modules=len(modules),
        layers=len(program.layers),
        reads=sum(read in names for module in modules for read in reads(module)),
        networks=sum(isinstance(module, NumMLP) and module.weights is not None for module in modules),
        rows=sum(int(table.any(1).sum()) for table in votes),
        branches=sum(branches(program, module) for module in modules),
        votes=len(kept),
        characters=sum(len(repr(v).removesuffix(".0")) for v in kept),
    )


def branches(program: Program, module: Head | TableMLP | NumMLP) -> int:
    """The number of cases in a module."""
    if isinstance(module, Head):
        return predicate_branches(np.array(module.predicate), program.cardinality[module.key])
    if isinstance(module, TableMLP):
        return table_branches(np.array(module.table).reshape([program.cardinality[i] for i in module.inputs]))
    if module.table is None or module.sizes is None:
        return prod(min(program.highest[name] + 1, 1 << 12) for name in module.inputs)
    return run_branches(np.array(module.table).reshape(module.sizes))


def rules(n_queries: int, n_keys: int) -> list[np.ndarray]:
    """Predicates that one line states: a constant for all queries, or the query plus a number, kept in range."""
    queries = np.arange(n_queries)
    shifts = sorted(range(-n_queries + 1, n_keys), key=lambda d: (abs(d), d))
    constants = [np.full(n_queries, key) for key in range(n_keys)]
    return constants + [np.clip(queries + d, 0, n_keys - 1) for d in shifts]


def predicate_branches(predicate: np.ndarray, n_keys: int) -> int:
    """One for the best of the `rules`, and one for each key value that exceptions from it look for."""
    keys = predicate.tolist()
    fewest = len(set(keys)) - 1
    for shift in range(-len(keys) + 1, n_keys):
        if fewest == 0:
            break
        exceptions = {key for q, key in enumerate(keys) if key != min(max(q + shift, 0), n_keys - 1)}
        fewest = min(fewest, len(exceptions))
    return 1 + fewest


def table_branches(table: np.ndarray) -> int:
    """The fewest cases over the ways to write a table: a default with exceptions, or different slices of one input."""
    whole = 1 + int((table != common(table)).sum())
    if table.ndim == 1:
        return min(whole, len(set(table.tolist())))
    by_slice = []
    for axis in range(table.ndim):
        slices = {tuple(part.ravel().tolist()) for part in np.moveaxis(table, axis, 0)}
        by_slice.append(sum(1 + int((np.array(part) != common(np.array(part))).sum()) for part in slices))
    return min(whole, *by_slice)


def run_branches(table: np.ndarray) -> int:
    """The number of runs of equal answers along the last input, over different slices of the others."""
    rows = {tuple(row) for row in table.reshape(-1, table.shape[-1]).tolist()}
    return sum(1 + int(np.count_nonzero(np.diff(row))) for row in rows)


def common(values: np.ndarray) -> int:
    """The most frequent of some non-negative integers, the smallest of several."""
    return int(np.bincount(values.ravel()).argmax())
