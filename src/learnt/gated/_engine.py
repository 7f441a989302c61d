"""The reduced dynamics of all modes at once, for flow and for descent, on orbits of pathways that are alike.

    -dL/dB_e = sum_{p through e} B_{p without e} [ S(p) - sum_j B_j D(j, p) ]        elementwise in the modes

Products without one factor are products of prefixes and suffixes: no division, so that B = 0 is safe. Edges that start
equal and pathways that see equal statistics stay equal; colour refinement finds such orbits, and one of each is moved,
with multiplicities. A routing network in which all domains are alike comes down to three edges and one pathway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_CACHED = 1 << 15  # numbers of one array that are worked on at a time: 256 KB
_DENSE = 200_000  # entries of an incidence matrix that is faster dense than sparse


class Engine(NamedTuple):
    """Representatives of edges (E') and open pathways (P'), in what way they act on each other; N modes.

    Attributes:
        index: (depth, P') the edges of a pathway; E' stands for none.
        into: (E', depth * P') how many pathways of a kind pass an edge of a kind at a place.
        S: (P', N).
        rows, cols: of D: the pathway that is driven, the one that drives it; rows are sorted.
        D: (len(rows), N), summed over what is alike.
        count: (P',) pathways of a kind.
        edge: (E,) the representative of each edge; -1 if it is on no open pathway.
        path: (P,) the representative of each pathway; -1 if it is never open.
        first: (E',) an edge of each kind.
    """

    index: np.ndarray
    into: Any
    S: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    D: np.ndarray
    count: np.ndarray
    edge: np.ndarray
    path: np.ndarray
    first: np.ndarray


def engine(
    path_edges: list[tuple[int, ...]], which: tuple[int, ...], pairs: Any, S: np.ndarray, D: np.ndarray,
    start: np.ndarray, *, symmetric: bool,
) -> Engine:  # fmt: skip
    """Builds the engine.

    Args:
        path_edges: the edges of all paths, as numbers.
        which: the open paths.
        pairs: (j, p), sorted by p.
        S: (P, N); D: (pairs, N).
        start: (E, N) the strengths at time 0.
        symmetric: whether to look for orbits.
    """
    count = len(start)
    pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    depth = max((len(path_edges[p]) for p in which), default=1)
    table = np.full((len(which), depth), count, dtype=np.int64)
    for k, p in enumerate(which):
        table[k, : len(path_edges[p])] = path_edges[p]
    place = np.full(len(path_edges), -1, dtype=np.int64)
    place[list(which)] = np.arange(len(which))
    drives, driven = place[pairs[:, 0]], place[pairs[:, 1]]
    used = np.unique(table[table < count])
    edge_kind = np.full(count + 1, -1, dtype=np.int64)
    edge_kind[used] = np.arange(len(used))
    path_kind = np.arange(len(which))
    if symmetric and len(which) > 1:
        colour, path_kind = _refined(table, drives, driven, S[list(which)], D, start)
        edge_kind[used] = np.unique(colour[used], return_inverse=True)[1]
    kinds = int(edge_kind.max()) + 1 if len(used) else 0
    edge_kind[count] = kinds
    _, one, many = np.unique(path_kind, return_index=True, return_counts=True)
    first = np.array([int(np.flatnonzero(edge_kind[:count] == k)[0]) for k in range(kinds)], dtype=np.int64)
    lead = np.full(count + 1, False)
    lead[first] = True
    lead[count] = False
    from scipy.sparse import coo_array

    at = np.nonzero(lead[table])
    row, col = edge_kind[table[at]], at[1] * len(one) + path_kind[at[0]]
    shape = kinds, depth * len(one)
    into: Any = coo_array((np.ones(len(row)), (row, col)), shape=shape).tocsr()
    mine = np.isin(driven, one)
    keys = path_kind[driven[mine]] * len(one) + path_kind[drives[mine]]
    found, inverse = np.unique(keys, return_inverse=True)
    d = np.zeros((len(found), D.shape[1]))
    np.add.at(d, inverse, D[mine])
    path = np.full(len(path_edges), -1, dtype=np.int64)
    path[list(which)] = path_kind
    return Engine(
        index=np.ascontiguousarray(edge_kind[table[one]].T), 
        into=into.toarray() if shape[0] * shape[1] <= _DENSE else into,
        S=S[np.array(which, dtype=np.int64)[one]] if len(which) else np.zeros((0, S.shape[1])),
        rows=found // max(len(one), 1), cols=found % max(len(one), 1), D=d,
        count=many.astype(np.float64), edge=edge_kind[:count], path=path, first=first,
    )  # fmt: skip


def descent_direction(e: Engine) -> Callable[[np.ndarray], np.ndarray]:
    """B (E', N) -> -dL/dB (E', N), per representative edge; the result is overwritten by the next call."""
    depth, paths = e.index.shape
    modes = e.S.shape[1]
    flat = e.index.ravel()
    extended = np.ones((len(e.first) + 1, modes))
    factors = np.ones((depth, paths, modes))
    lined = factors.reshape(depth * paths, modes)
    others = np.empty((depth, paths, modes))
    stacked = others.reshape(depth * paths, modes)
    suffix = np.empty((depth, paths, modes))
    error, prefix = np.empty((paths, modes)), np.empty((paths, modes))
    out = np.zeros((len(e.first), modes))
    driven = driver(e)
    dense = isinstance(e.into, np.ndarray)

    def at(b: np.ndarray) -> np.ndarray:
        extended[:-1] = b
        np.take(extended, flat, axis=0, out=lined, mode="clip")
        suffix[-1] = factors[-1]
        for k in range(depth - 2, -1, -1):
            np.multiply(suffix[k + 1], factors[k], out=suffix[k])
        np.subtract(e.S, driven(suffix[0]), out=error)
        if depth == 1:
            others[0] = error
        else:
            np.multiply(error, suffix[1], out=others[0])
            np.multiply(error, factors[0], out=prefix)
            for k in range(1, depth - 1):
                np.multiply(prefix, suffix[k + 1], out=others[k])
                np.multiply(prefix, factors[k], out=prefix)
            others[-1] = prefix
        if dense:
            return np.matmul(e.into, stacked, out=out)
        return e.into @ stacked

    return at


def driver(e: Engine) -> Callable[[np.ndarray], np.ndarray]:
    """Path strengths (..., P', N) -> sum_j B_j D(j, p), of the same shape."""
    paths = len(e.count)
    if len(e.rows) == paths and (e.rows == e.cols).all() and (e.rows == np.arange(paths)).all():
        return lambda a: a * e.D
    starts = np.searchsorted(e.rows, np.arange(paths))
    alone = np.bincount(e.rows, minlength=paths) == 0

    def sums(a: np.ndarray) -> np.ndarray:
        out = np.add.reduceat(a[..., e.cols, :] * e.D, np.minimum(starts, len(e.rows) - 1), axis=-2)
        if alone.any():
            out[..., alone, :] = 0.0
        return out

    return sums if len(e.rows) else np.zeros_like


def strengths(e: Engine, b: np.ndarray) -> np.ndarray:
    """(..., P', N) products along pathways, from (..., E', N)."""
    out = None
    ones = np.ones((*b.shape[:-2], 1, b.shape[-1]))
    extended = np.concatenate([b, ones], axis=-2)
    for k in range(e.index.shape[0]):
        part = np.take(extended, e.index[k], axis=-2, mode="clip")
        out = part if out is None else out * part
    return out if out is not None else ones


def gains(e: Engine, a: np.ndarray) -> np.ndarray:
    """(..., P', N): what each pathway takes off the loss, all of its kind together, from strengths (..., P', N)."""
    return e.count[:, None] * a * (e.S - 0.5 * driver(e)(a))


def explained(e: Engine, kinds: np.ndarray) -> np.ndarray:
    """(T,): what all pathways together take off the loss, from strengths of edges (T, E', N).

    Few times at once, so that products of pathways stay in the cache.
    """
    out = np.empty(len(kinds))
    step, many = max(1, _CACHED // max(1, e.S.size)), np.repeat(e.count, e.S.shape[1])
    for k in range(0, len(kinds), step):
        a = strengths(e, kinds[k : k + step])
        part = driver(e)(a)
        part *= -0.5
        part += e.S
        part *= a
        out[k : k + step] = part.reshape(len(part), -1) @ many
    return out


def hessians(e: Engine, b: np.ndarray) -> np.ndarray:
    """(N, E', E') second derivatives of the loss; e must have been built without orbits."""
    kinds, modes = len(e.first), e.S.shape[1]
    depth, paths = e.index.shape
    extended = np.concatenate([b, np.ones((1, modes))])
    factors = extended[e.index]
    error = e.S - driver(e)(strengths(e, b))
    out = np.zeros((modes, kinds + 1, kinds + 1))
    slope = np.zeros((modes, paths, kinds + 1))
    here = np.arange(paths)
    for k in range(depth):
        rest = np.prod(np.delete(factors, k, 0), axis=0)
        slope[:, here, e.index[k]] += rest.T * (e.index[k] < kinds)  # an edge is on a path once
        for m in range(k):
            twice = np.prod(np.delete(factors, (m, k), 0), axis=0) * error
            for first, second in ((k, m), (m, k)):
                for n in range(modes):
                    np.add.at(out[n], (e.index[first], e.index[second]), -twice[:, n])
    for n in range(modes):
        seen = slope[n]
        moved = np.zeros_like(seen)
        np.add.at(moved, e.rows, e.D[:, n, None] * seen[e.cols])
        out[n] += seen.T @ moved
    return out[:, :kinds, :kinds]


def _refined(
    table: np.ndarray, drives: np.ndarray, driven: np.ndarray, S: np.ndarray, D: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colours of edges (E + 1,) and of pathways: the coarsest partition that the dynamics respects."""
    paths, depth = table.shape
    edges = np.append(_colours(start), -1)
    edges[-1] = edges.max() + 1
    path = _colours(_rounded(S))
    pair = _colours(_rounded(D)) if len(D) else np.zeros(0, dtype=np.int64)
    number = 0
    while True:
        signature = [np.column_stack([path, edges[table]])]
        if len(pair) and not (len(drives) == paths and (drives == driven).all()):
            met = pair * (path.max() + 1) + path[drives]
            order = np.lexsort((met, driven))
            met = met[order]
            split = np.searchsorted(driven[order], np.arange(paths + 1))
            code: dict[bytes, int] = {}
            parts = [met[a:b].tobytes() for a, b in zip(split, split[1:], strict=False)]
            signature.append(np.array([[code.setdefault(part, len(code))] for part in parts]))
        elif len(pair):
            signature.append(pair[np.argsort(driven)][:, None])
        path = _colours(np.column_stack(signature))
        where = table.ravel()
        met = (path[:, None] * depth + np.arange(depth)).ravel()
        order = np.lexsort((met, where))
        split = np.searchsorted(where[order], np.arange(len(edges) + 1))
        met = met[order]
        code = {}
        seen = np.array(
            [code.setdefault(met[a:b].tobytes(), len(code)) for a, b in zip(split, split[1:], strict=False)]
        )
        edges = _colours(np.column_stack([edges, seen]))
        total = int(edges.max()) + int(path.max())
        if total == number:
            return edges, path
        number = total


def _rounded(values: np.ndarray) -> np.ndarray:
    scale = np.abs(values).max(initial=0.0)
    return np.round(values / scale, 11) + 0.0 if scale > 0 else values


def _colours(rows: np.ndarray) -> np.ndarray:
    return np.unique(np.atleast_2d(rows.T).T, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
