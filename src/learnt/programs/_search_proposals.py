"""What could be added to a program next? Single modules, and small chains that only help together.

A head whose query is computed by an MLP (reverse: the position to read from), a table on a count, a head that reads a
variable of a head that is not there yet (induction: the previous token): each is one proposal, with its best
predicate or table and its gain.
All take a stream, the slope of the loss there, and names of variables to read.
With `whole=False` tables of numbers stay empty: enough to compare gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import final

import numpy as np

from learnt.programs._search_gain import (
    Slope,
    added,
    best_predicate,
    best_table,
    cell_by_cell,
    structured,
    table_of_sums,
)
from learnt.programs._search_stream import Stream
from learnt.programs.program import Head, Module, NumMLP, TableMLP

CELLS = 40_000  # entries (key value, query value, value) that one proposal may compare
TABLE = 70_000  # entries of a numerical table


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Proposal:
    """Modules that would be added, in order of computation, with cardinalities of their outputs.

    Attributes:
        kind: which function below made it.
        reads: the names it was made from.
        gain: of the log-likelihood, in nats, over all examples of the stream.
        modules: with provisional names.
    """

    kind: str
    reads: tuple[str, ...]
    gain: float
    modules: tuple[tuple[Module, int | None], ...]


def cat_head(stream: Stream, at: Slope, reads: Sequence[str], free: bool = True, *, tried: int = 3) -> Proposal | None:
    """A categorical head; reads query, key, value."""
    query, key, value = reads
    n_q, k, v = _size(stream, query), _size(stream, key), _size(stream, value)
    if k * n_q * v > CELLS:
        return None
    sums = table_of_sums(stream.rows(query), n_q, stream.seen(key, value), v, at)
    starts = structured(n_q, k)
    if free:
        starts = np.concatenate([starts, cell_by_cell(*sums)[None]])
    gain, predicate = best_predicate(*sums, starts, free=free, tried=tried)
    head = Head(query=query, key=key, value=value, predicate=tuple(predicate.tolist()), name="_head")
    return Proposal(kind="cat_head", reads=tuple(reads), gain=gain, modules=((head, v),))


def cat_head_mlp(
    stream: Stream, at: Slope, reads: Sequence[str], free: bool = True, *, outputs: int = 8, tried: int = 3
) -> Proposal | None:
    """A head and a table that compares what it copies with what is here; reads query, key, value, then the other."""
    query, key, value, other = reads
    n_q, k, v, n_o = (_size(stream, name) for name in reads)
    if k * n_q * v * n_o > 4 * CELLS:
        return None
    codes = stream.seen(key, value) * n_o + stream.rows(other)[:, None]
    sums = table_of_sums(stream.rows(query), n_q, codes, v * n_o, at)
    starts = structured(n_q, k)
    if free:
        starts = np.concatenate([starts, cell_by_cell(*sums)[None]])
    _, predicate = best_predicate(*sums, starts, free=free, tried=tried)
    row = np.arange(n_q)
    gain, table = best_table(sums[0][predicate, row].sum(0), sums[1][predicate, row].sum(0), outputs)
    head = Head(query=query, key=key, value=value, predicate=tuple(predicate.tolist()), name="_head")
    mlp = TableMLP(inputs=("_head", other), table=tuple(table.tolist()), name="_mlp")
    return Proposal(kind="cat_head_mlp", reads=tuple(reads), gain=gain, modules=((head, v), (mlp, outputs)))


def mlp_head(stream: Stream, at: Slope, reads: Sequence[str], free: bool = True) -> Proposal | None:
    """An MLP that computes what a head looks for; reads the MLP's inputs, then key and value."""
    *inputs, key, value = reads
    k, v = _size(stream, key), _size(stream, value)
    n_q = prod(_size(stream, name) for name in inputs)
    if k * n_q * v > 8 * CELLS:
        return None
    queries = stream.entries(inputs).ravel().take(stream.data.places)
    sums = table_of_sums(queries, n_q, stream.seen(key, value), v, at)
    gain, table = best_predicate(*sums, cell_by_cell(*sums)[None])
    mlp = TableMLP(inputs=tuple(inputs), table=tuple(table.tolist()), name="_mlp")
    head = Head(query="_mlp", key=key, value=value, predicate=tuple(range(k)), name="_head")
    return Proposal(kind="mlp_head", reads=tuple(reads), gain=gain, modules=((mlp, k), (head, v)))


def num_head(stream: Stream, at: Slope, reads: Sequence[str], free: bool = True) -> Proposal | None:
    """A numerical head that votes in proportion to its sum; reads query, key, value."""
    query, key, value = reads
    n_q, k = _size(stream, query), _size(stream, key)
    counts = stream.counted(key, value)
    centred = counts - counts.mean(0)
    codes = np.arange(k) * n_q + stream.rows(query)[:, None]
    g = added(codes, k * n_q, at.both[:, : at.n_labels], centred)
    h = added(codes, k * n_q, at.both[:, at.n_labels :], centred**2)
    shape = (k, n_q, 1, at.n_labels)
    gain, predicate = best_predicate(g.reshape(shape), h.reshape(shape), structured(n_q, k), free=free)
    head = Head(query=query, key=key, value=value, predicate=tuple(predicate.tolist()), name="_count")
    return Proposal(kind="num_head", reads=tuple(reads), gain=gain, modules=((head, None),))


def num_head_mlp(
    stream: Stream, at: Slope, reads: Sequence[str], free: bool = True, *, outputs: int = 8, whole: bool = True
) -> Proposal | None:
    """A numerical head and a table on its sum; reads query, key, value, then other inputs of the table."""
    query, key, value, *others = reads
    n_q, k = _size(stream, query), _size(stream, key)
    counts = stream.counted(key, value)
    box = [int(counts.max()) + 1, *(int(stream.array(name).max()) + 1 for name in others)]
    cells = prod(box)
    limits = [stream.data.ids.shape[1] * stream.top(value), *(stream.top(name) for name in others)]
    if k * n_q * cells > 4 * CELLS or prod(limit + 1 for limit in limits) > TABLE:
        return None
    codes = counts
    for name, edge in zip(others, box[1:], strict=True):
        codes = codes * edge + stream.rows(name)[:, None]
    sums = table_of_sums(stream.rows(query), n_q, codes, cells, at)
    gain, predicate = best_predicate(*sums, structured(n_q, k), free=free)
    row = np.arange(n_q)
    gain, table = best_table(sums[0][predicate, row].sum(0), sums[1][predicate, row].sum(0), outputs)
    head = Head(query=query, key=key, value=value, predicate=tuple(predicate.tolist()), name="_count")
    mlp = NumMLP(inputs=("_count", *others), name="_class")
    if whole:
        real = stream.data.real
        values = [stream.output(head)[real], *(stream.array(name)[real] for name in others)]
        mlp = filled(("_count", *others), values, box, table, limits)
    return Proposal(kind="num_head_mlp", reads=tuple(reads), gain=gain, modules=((head, None), (mlp, outputs)))


def cat_mlp(stream: Stream, at: Slope, reads: Sequence[str], *, outputs: int = 8) -> Proposal | None:
    """A table over categorical variables that votes."""
    cells = prod(_size(stream, name) for name in reads)
    both = added(stream.entries(reads).ravel().take(stream.data.places), cells, at.both)
    gain, table = best_table(both[:, : at.n_labels], both[:, at.n_labels :], outputs)
    mlp = TableMLP(inputs=tuple(reads), table=tuple(table.tolist()), name="_mlp")
    return Proposal(kind="cat_mlp", reads=tuple(reads), gain=gain, modules=((mlp, outputs),))


def num_mlp(
    stream: Stream, at: Slope, reads: Sequence[str], *, outputs: int = 8, whole: bool = True
) -> Proposal | None:
    """A table over numerical variables that votes."""
    box = [int(stream.array(name).max()) + 1 for name in reads]
    limits = [stream.top(name) for name in reads]
    if prod(limit + 1 for limit in limits) > TABLE:
        return None
    codes = np.zeros_like(stream.rows(reads[0]))
    for name, edge in zip(reads, box, strict=True):
        codes = codes * edge + stream.rows(name)
    both = added(codes, prod(box), at.both)
    gain, table = best_table(both[:, : at.n_labels], both[:, at.n_labels :], outputs)
    mlp = NumMLP(inputs=tuple(reads), name="_class")
    if whole:
        real = stream.data.real
        mlp = filled(tuple(reads), [stream.array(name)[real] for name in reads], box, table, limits)
    return Proposal(kind="num_mlp", reads=tuple(reads), gain=gain, modules=((mlp, outputs),))


def filled(
    inputs: tuple[str, ...], values: Sequence[np.ndarray], box: Sequence[int], table: np.ndarray, limits: Sequence[int]
) -> NumMLP:
    """A numerical MLP that answers every value its inputs can have; what was never seen answers as the nearest seen.

    Args:
        inputs: names.
        values: of each input, where they occur.
        box: edges of `table`.
        table: answers, row-major.
        limits: the largest possible value of each input.
    """
    from scipy.ndimage import distance_transform_edt

    sizes = [limit + 1 for limit in limits]
    inside = np.logical_and.reduce([v < edge for v, edge in zip(values, box, strict=True)])
    seen = np.zeros(sizes, dtype=bool)
    seen[tuple(v[inside] for v in values)] = True
    answers = np.zeros(sizes, dtype=np.int64)
    corner = tuple(slice(0, min(edge, size)) for edge, size in zip(box, sizes, strict=True))
    answers[corner] = np.asarray(table).reshape(box)[tuple(slice(0, size) for size in sizes)]
    nearest = distance_transform_edt(~seen, return_distances=False, return_indices=True)
    whole = answers[tuple(nearest)]  # pyright: ignore[reportArgumentType]
    return NumMLP(inputs=inputs, sizes=tuple(sizes), table=tuple(whole.ravel().tolist()), name="_class")


def _size(stream: Stream, name: str) -> int:
    size = stream.sizes[name]
    return 1 if size is None else size
