"""Weighted second moments of a task: few products of large matrices instead of one a path.

A statistic is < w y x^T > with weights w(c) by context. For all statistics of one pair of nodes, contexts that weigh
alike in each of them form a group; either groups are summed once and combined, or each statistic is summed by itself,
whichever costs less. Samples pass in slices of bounded size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.gated._frozen import _distinct, frozen

if TYPE_CHECKING:
    from learnt.gated.gated_task import GatedTask

Side = tuple[str, str]  # "x" or "y", and the node
_SLICE = 1 << 22  # numbers that a slice of samples may hold: 32 MB
_LARGEST = 1 << 29  # numbers that all matrices of one pair of nodes may hold: 4 GB
_DENSE = 10_000_000  # entries of a table of weights that are compared column by column
_ADDING = 8  # what adding a matrix costs, in units of a sample's share of a product


class Weighting:
    """Distinct weights by context of paths and of pairs of paths.

    Args:
        gates: (paths, C) CSR, the gates of the paths.
    """

    def __init__(self, gates: Any) -> None:
        self._gates = gates
        code: dict[tuple[bytes, bytes], int] = {}
        self._first: list[int] = []
        self._code = np.empty(gates.shape[0], dtype=np.int64)
        for p in range(gates.shape[0]):
            key = _row(gates, p)
            if key not in code:
                code[key] = len(self._first)
                self._first.append(p)
            self._code[p] = code[key]

    def singles(self, paths: list[int]) -> tuple[Any, list[int]]:
        """Distinct weights (U, C), CSR, of these paths, and which of them each has."""
        kinds, which = np.unique(self._code[paths], return_inverse=True)
        return self._gates[[self._first[k] for k in kinds]], which.reshape(-1).tolist()

    def products(self, pairs: list[tuple[int, int]]) -> tuple[Any, list[int]]:
        """Distinct products of weights (U, C), CSR, of these pairs of paths, and which of them each has."""
        codes = np.sort(self._code[np.array(pairs)], axis=1)
        kinds, which = np.unique(codes, axis=0, return_inverse=True)
        left, right = (self._gates[[self._first[k] for k in kinds[:, side]]] for side in (0, 1))
        both = left.multiply(right).tocsr()
        both.sort_indices()
        seen: dict[tuple[bytes, bytes], int] = {}
        same = [seen.setdefault(_row(both, k), len(seen)) for k in range(both.shape[0])]
        keep = [same.index(k) for k in range(len(seen))] if len(seen) < len(same) else list(range(len(same)))
        return both[keep], [same[k] for k in which.reshape(-1)]


def _row(matrix: Any, k: int) -> tuple[bytes, bytes]:
    inside = slice(matrix.indptr[k], matrix.indptr[k + 1])
    return matrix.indices[inside].tobytes(), matrix.data[inside].tobytes()


def second_moment(task: GatedTask, v: str) -> np.ndarray:
    """(|v|, |v|): < y_v y_v^T > of an output node, whatever the gates."""
    return frozen(_product(task, ("y", v), ("y", v), slice(0, len(task)), _prob(task)))


def moments(task: GatedTask, left: Side, right: Side, weights: Any) -> list[np.ndarray]:
    """< w left right^T > for each of (U, C) weights by context, CSR; read-only (|left|, |right|).

    Raises:
        NotApplicable: the matrices would not fit into memory.
    """
    shape = task.graph.nodes[left[1]], task.graph.nodes[right[1]]
    if weights.shape[0] * shape[0] * shape[1] > _LARGEST:
        raise NotApplicable(
            "task",
            found=f"{weights.shape[0]:,} matrices of {shape[0]:,} x {shape[1]:,} between {left[1]!r} and {right[1]!r}",
            expected="matrices of 4 GB at most",
            remedy="Project the inputs on fewer dimensions, or use gates that more paths share.",
        )
    prob = _prob(task)
    contexts = np.unique(weights.indices)  # the others weigh nothing
    group = np.full(task.n_contexts, -1)
    if weights.shape[0] * len(contexts) <= _DENSE:
        first, code = _distinct(weights[:, contexts].toarray().T + 0.0)
        group[contexts] = code
        share = weights[:, contexts[first]]
    else:
        group[contexts] = np.arange(len(contexts))
        share = weights[:, contexts]
    of = group[task.context_of]
    alone = _sizes(weights, task)
    if alone <= (of >= 0).sum() + _ADDING * share.nnz:
        found = []
        for k in range(weights.shape[0]):
            inside = slice(weights.indptr[k], weights.indptr[k + 1])
            by_context = np.zeros(task.n_contexts)
            by_context[weights.indices[inside]] = weights.data[inside]
            by_sample = by_context[task.context_of]
            found.append(frozen(_product(task, left, right, np.flatnonzero(by_sample), prob * by_sample)))
        return found
    sums = [np.zeros(shape) for _ in range(weights.shape[0])]
    order = np.argsort(of, kind="stable")
    edges = np.searchsorted(of[order], np.arange(share.shape[1] + 1))
    share = share.tocsc()
    for k in range(share.shape[1]):
        part = _product(task, left, right, order[edges[k] : edges[k + 1]], prob)
        for n in range(share.indptr[k], share.indptr[k + 1]):
            sums[share.indices[n]] += share.data[n] * part
    return [frozen(matrix) for matrix in sums]


def _sizes(weights: Any, task: GatedTask) -> int:
    """Samples that all statistics see, counted once for each."""
    samples = np.bincount(task.context_of, minlength=task.n_contexts)
    return int(samples[weights.indices].sum())


def _product(task: GatedTask, left: Side, right: Side, which: Any, weights: np.ndarray) -> np.ndarray:
    """Sum of weights[i] left_i right_i^T over some samples, (|left|, |right|)."""
    nodes = task.graph.nodes
    total = np.zeros((nodes[left[1]], nodes[right[1]]))
    if isinstance(which, np.ndarray) and len(which) and which[-1] - which[0] == len(which) - 1:
        if (np.diff(which) == 1).all():
            which = slice(int(which[0]), int(which[-1]) + 1)  # rows in place need no copy
    start, stop = (which.start, which.stop) if isinstance(which, slice) else (0, len(which))
    step = max(1, _SLICE // max(total.shape))
    for begin in range(start, stop, step):
        part = slice(begin, min(begin + step, stop))
        rows = part if isinstance(which, slice) else which[part]
        w = weights[rows]
        a = np.asarray(task._rows(*left, rows), dtype=np.float64)
        one = bool((w == w[0]).all())
        if left == right and (one or (w >= 0).all()):
            if not one:
                a = a * np.sqrt(w)[:, None]
            total += (w[0] if one else 1.0) * (a.T @ a)
        else:
            b = np.asarray(task._rows(*right, rows), dtype=np.float64)
            if a.shape[1] <= b.shape[1]:
                a = a * w[:, None]
            else:
                b = b * w[:, None]
            total += a.T @ b
    return total


def _prob(task: GatedTask) -> np.ndarray:
    prob: Any = task.prob
    return prob
