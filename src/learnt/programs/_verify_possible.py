"""Which branches of a program could any input reach, as far as its text alone says?

A walk along the stream bounds the values of every variable: tokens that stand for padding never occur, positions stay
below n_ctx, a head copies values of its value variable, a table gives what its reachable entries hold, and a numerical
head lies between 0 and its interval bound. What is ruled out here cannot happen; the rest may still never happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from learnt.programs.evaluator import net_outputs
from learnt.programs.program import UNANSWERED, Head, NumMLP, Program, TableMLP

MATCH, SELF, DEFAULT = range(3)
OUTCOMES = ("match", "self", "default")
_BOX = 1 << 16  # tuples of numerical values that are tried one by one


def possible_values(program: Program) -> dict[str, np.ndarray]:
    """The values that each categorical variable may have, ascending."""
    first = 1 if program.padded and len(program.vocab) > 1 else 0
    values: dict[str, np.ndarray] = {"positions": np.arange(program.n_ctx)}
    if program.embeddings is None:
        values["tokens"] = np.arange(first, len(program.vocab))
    else:
        table = np.array(program.embeddings)[first:]
        values |= {name: np.unique(table[:, e]) for e, name in enumerate(program.input_variables)}
    for layer in program.layers:
        for head in layer.cat_heads:
            values[head.name] = values[head.value]
        written = {
            mlp.name: np.unique(np.array(mlp.table)[table_entries(program, mlp, values)]) for mlp in layer.cat_mlps
        }
        for mlp in layer.num_mlps:
            table = np.array(mlp.table if mlp.table is not None else (), dtype=np.int64)
            answered = table[numerical_entries(program, mlp)]
            written[mlp.name] = np.unique(np.concatenate([answered, network_outputs(program, mlp)]))
        values |= written
    return values


def table_entries(program: Program, mlp: TableMLP, values: dict[str, np.ndarray]) -> np.ndarray:
    """The entries of a table that possible values lead to; an input that is read twice has one value."""
    return _entries(mlp.inputs, [program.cardinality[v] for v in mlp.inputs], values)


def numerical_entries(program: Program, mlp: NumMLP) -> np.ndarray:
    """The entries of a numerical table that possible values lead to, and that it answers."""
    if mlp.table is None or mlp.sizes is None:
        return np.arange(0)
    ranges = {}
    for name in mlp.inputs:
        low, high = _interval(program, name)
        top = min(size for size, other in zip(mlp.sizes, mlp.inputs, strict=True) if other == name)
        ranges[name] = np.arange(low, min(high + 1, top))
    entries = _entries(mlp.inputs, mlp.sizes, ranges)
    return entries[np.array(mlp.table)[entries] != UNANSWERED]


def network_outputs(program: Program, mlp: NumMLP) -> np.ndarray:
    """The values that the network of a numerical MLP may have to give; all of them where there are many inputs."""
    if mlp.weights is None:
        return np.arange(0)
    names = list(dict.fromkeys(mlp.inputs))
    lows, highs = zip(*(_interval(program, name) for name in names), strict=True)
    if prod(high - low + 1 for low, high in zip(lows, highs, strict=True)) > _BOX:
        return np.arange(len(mlp.weights.b_out))
    grid = np.indices([high - low + 1 for low, high in zip(lows, highs, strict=True)]).reshape(len(names), -1)
    grid = grid + np.array(lows)[:, None]
    tuples = grid[[names.index(name) for name in mlp.inputs]].T
    if mlp.table is not None and mlp.sizes is not None:
        inside = (tuples < np.array(mlp.sizes)).all(1)
        answered = np.zeros(len(tuples), dtype=bool)
        where = np.ravel_multi_index(tuple(tuples[inside].T), tuple(mlp.sizes))
        answered[inside] = np.array(mlp.table)[where] != UNANSWERED
        tuples = tuples[~answered]
    return np.unique(net_outputs(mlp.weights, tuples)) if len(tuples) else np.arange(0)


def head_outcomes(program: Program, head: Head, values: dict[str, np.ndarray]) -> np.ndarray:
    """(query cardinality, 3) bool: whether a query value may find a match, only itself, or nothing.

    For a numerical head the first two are one: something matches.
    """
    out = np.zeros((len(head.predicate), 3), dtype=bool)
    keys = set(values[head.key].tolist())
    for q in values[head.query].tolist():
        wanted = head.predicate[q]
        first_only = program.n_ctx == 1 or (program.causal and head.query == "positions" and q == 0)
        if wanted not in keys:
            found = {DEFAULT}
        elif head.query == head.key == "positions":
            if wanted <= q:
                found = {SELF} if wanted == q else {MATCH}
            else:
                found = {DEFAULT} if program.causal else {MATCH, DEFAULT}
        elif head.query == head.key:
            found = {MATCH, SELF} if wanted == q else {MATCH, DEFAULT}
        else:
            found = {MATCH, SELF, DEFAULT}
            if head.key == "positions" and wanted == 0:
                found.discard(DEFAULT)  # position 0 is always there
        if first_only:
            found.discard(MATCH)
        out[q, list(found)] = True
    if head.value not in program.cardinality:
        out[:, MATCH] |= out[:, SELF]
        out[:, SELF] = False
    return out


def _interval(program: Program, name: str) -> tuple[int, int]:
    return (1, 1) if name == "ones" else (0, program.highest[name])


def _entries(inputs: Sequence[str], sizes: Sequence[int], values: dict[str, np.ndarray]) -> np.ndarray:
    """Row-major entries for all combinations of the values of the distinct inputs, ascending."""
    names = list(dict.fromkeys(inputs))
    strides = {name: 0 for name in names}
    stride = 1
    for name, size in zip(reversed(inputs), reversed(sizes), strict=True):
        strides[name] += stride
        stride *= size
    entries = np.zeros(1, dtype=np.int64)
    for name in names:
        entries = (entries[:, None] + strides[name] * values[name]).ravel()
    return np.sort(entries)
