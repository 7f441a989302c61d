"""What does a program answer when some of its variables are made to hold other values?

The evaluator of `learnt.programs.evaluator` with interventions: where a variable is set, everything that reads it or
counts its votes sees the set values. Without interventions, the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from learnt.programs._circuit_slice import upstream
from learnt.programs._verify_answers import pieces
from learnt.programs.evaluator import CHUNK, Batch, _numerical, nearest, sums
from learnt.programs.program import Program


class Set(NamedTuple):
    """What a variable is made to hold.

    Attributes:
        values: one for everywhere, or (B, N).
        where: (B, N) bool; None: everywhere.
    """

    values: int | np.ndarray
    where: np.ndarray | None = None


def predictions_with(
    program: Program, batch: Batch, changes: Mapping[str, Set], votes: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Ids of labels, (B, N), -1 behind the end; (B, 1) if the program pools.

    Args:
        program: the program.
        batch: the inputs.
        changes: what variables are made to hold.
        votes: (n_labels,) votes that a variable gives whatever it holds.
    """
    fixed = frozenset(name for name, change in changes.items() if change.where is None)
    needed = frozenset(upstream(program, tuple(program.classifier), cut=fixed))
    found = []
    for rows, part in pieces(batch, CHUNK):
        local = {
            name: Set(
                change.values[rows] if isinstance(change.values, np.ndarray) else change.values,
                None if change.where is None else change.where[rows],
            )
            for name, change in changes.items()
        }
        found.append(_predictions(program, part, local, votes or {}, needed))
    return np.concatenate(found)


def _predictions(
    program: Program,
    batch: Batch,
    changes: Mapping[str, Set],
    votes: Mapping[str, np.ndarray],
    needed: frozenset[str],
) -> np.ndarray:
    n, b = int(batch.lengths.max()), len(batch)
    real = np.arange(n)[:, None] < batch.lengths
    variables = _stream(program, np.where(real, batch.ids[:, :n].T, 0), real, changes, needed)
    logits = np.zeros((n, b, len(program.labels)))
    for name, table in program.classifier.items():
        rows = np.array(table)
        if name in votes:
            logits += votes[name]
        elif name in program.cardinality:
            logits += rows.take(variables[name], axis=0)
        else:
            logits += variables[name][..., None] * rows
    if program.pool:
        total = np.zeros((b, len(program.labels)))
        for i in range(n):
            total += np.where(real[i][:, None], logits[i], 0.0)
        logits = total / batch.lengths[:, None]
    if program.masked_labels:
        logits[..., list(program.masked_labels)] = -np.inf
    best = logits.argmax(-1)
    if program.pool:
        return best[:, None]
    out = np.full(batch.ids.shape, -1)
    out[:, :n] = np.where(real, best, -1).T
    return out


def _stream(
    program: Program, ids: np.ndarray, real: np.ndarray, changes: Mapping[str, Set], needed: frozenset[str]
) -> dict[str, np.ndarray]:
    n, b = ids.shape
    column = np.arange(b)
    variables: dict[str, np.ndarray] = {}

    def put(name: str, values: np.ndarray | None, into: dict[str, np.ndarray]) -> None:
        change = changes.get(name)
        if change is not None:
            fresh = change.values.T[:n] if isinstance(change.values, np.ndarray) else np.full((n, b), change.values)
            values = fresh if change.where is None or values is None else np.where(change.where.T[:n], fresh, values)
        if values is not None:
            into[name] = np.ascontiguousarray(values)

    put("positions", np.repeat(np.arange(n)[:, None], b, 1), variables)
    put("ones", np.ones((n, b), dtype=np.int64), variables)
    if program.embeddings is None:
        put("tokens", ids, variables)
    else:
        table = np.array(program.embeddings).T
        for e, name in enumerate(program.input_variables):
            put(name, table[e].take(ids), variables)
    for layer in program.layers:
        written: dict[str, np.ndarray] = {}
        for head in (*layer.cat_heads, *layer.num_heads):
            if head.name not in needed:
                put(head.name, None, written)
                continue
            wanted = np.array(head.predicate).take(variables[head.query])
            keys, values = variables[head.key], variables[head.value]
            options: dict[str, Any] = {"n_keys": program.cardinality[head.key], "causal": program.causal}
            if head.value in program.cardinality:
                place = nearest(wanted, keys, real, **options)
                put(head.name, values.ravel().take(place * b + column), written)
            else:
                put(head.name, sums(wanted, keys, values, real, **options), written)
        variables |= written
        written = {}
        for mlp in layer.cat_mlps:
            entry = None
            if mlp.name in needed:
                entry = variables[mlp.inputs[0]]
                for name in mlp.inputs[1:]:
                    entry = entry * program.cardinality[name] + variables[name]
            put(mlp.name, None if entry is None else np.array(mlp.table).take(entry), written)
        for mlp in layer.num_mlps:
            inputs = [variables[name] for name in mlp.inputs] if mlp.name in needed else None
            put(mlp.name, None if inputs is None else _numerical(mlp, inputs, real), written)
        variables |= written
    return variables
