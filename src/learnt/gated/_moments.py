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
Weights = tuple[np.ndarray, np.ndarray]  # contexts in ascending order, and what each of them weighs there
_SLICE = 1 << 22  # numbers that a slice of samples may hold: 32 MB
_LARGEST = 1 << 29  # numbers that all matrices of one pair of nodes may hold: 4 GB
_DENSE = 10_000_000  # entries of a table of weights that are compared column by column
_ADDING = 8  # what adding a matrix costs, in units of a sample's share of a product


class Weighting:
    """Distinct weights by context of paths and of pairs of paths.

    Args:
        gates: (paths, C) CSR, the gates of the paths, indices sorted.
    """

    def __init__(self, gates: Any) -> None:
        seen: dict[tuple[bytes, bytes], int] = {}
        self._kinds: list[Weights] = []
        self._kind: list[int] = []
        for p in range(gates.shape[0]):
            inside = slice(gates.indptr[p], gates.indptr[p + 1])
            self._kind.append(_noted((gates.indices[inside], gates.data[inside]), seen, self._kinds))

    def singles(self, paths: list[int]) -> tuple[list[Weights], list[int]]:
        """Distinct weights of these paths, and which of them each has."""
        kinds = list(dict.fromkeys(self._kind[p] for p in paths))
        place = {kind: k for k, kind in enumerate(kinds)}
        return [self._kinds[kind] for kind in kinds], [place[self._kind[p]] for p in paths]

    def products(self, pairs: list[tuple[int, int]]) -> tuple[list[Weights], list[int]]:
        """Distinct products of weights of these pairs of paths, and which of them each has."""
        seen: dict[tuple[bytes, bytes], int] = {}
        made: dict[tuple[int, int], int] = {}
        distinct: list[Weights] = []
        which = []
        for j, p in pairs:
            kinds = (self._kind[j], self._kind[p]) if self._kind[j] <= self._kind[p] else (self._kind[p], self._kind[j])
            if kinds not in made:
                (where, gate), (others, other) = (self._kinds[kind] for kind in kinds)
                if kinds[0] != kinds[1]:
                    where, mine, theirs = np.intersect1d(where, others, assume_unique=True, return_indices=True)
                    gate, other = gate[mine], other[theirs]
                made[kinds] = _noted((where, gate * other), seen, distinct)
            which.append(made[kinds])
        return distinct, which


def _noted(weights: Weights, seen: dict[tuple[bytes, bytes], int], distinct: list[Weights]) -> int:
    """The place of these weights among the distinct ones, to which they are added if they are new."""
    key = weights[0].tobytes(), weights[1].tobytes()
    if key not in seen:
        seen[key] = len(distinct)
        distinct.append(weights)
    return seen[key]


def second_moment(task: GatedTask, v: str) -> np.ndarray:
    """(|v|, |v|): < y_v y_v^T > of an output node, whatever the gates."""
    return frozen(_product(task, ("y", v), ("y", v), np.arange(len(task)), _prob(task)))


def moments(task: GatedTask, left: Side, right: Side, weights: list[Weights]) -> list[np.ndarray]:
    """< w left right^T > for each of these weights; read-only (|left|, |right|).

    Raises:
        NotApplicable: the matrices would not fit into memory.
    """
    shape = task.graph.nodes[left[1]], task.graph.nodes[right[1]]
    if len(weights) * shape[0] * shape[1] > _LARGEST:
        raise NotApplicable(
            "task",
            found=f"{len(weights):,} matrices of {shape[0]:,} x {shape[1]:,} between {left[1]!r} and {right[1]!r}",
            expected="matrices of 4 GB at most",
            remedy="Project the inputs on fewer dimensions, or use gates that more paths share.",
        )
    prob = _prob(task)
    if len(weights) > 1:
        members, share = _groups(weights)
        count = task.samples_of_context
        alone = sum(int(count[where].sum()) for where, _ in weights)
        if alone > sum(int(count[contexts].sum()) for contexts in members) + _ADDING * share.nnz:
            sums = [np.zeros(shape) for _ in weights]
            for k, contexts in enumerate(members):
                samples = task.samples_in(contexts)
                part = _product(task, left, right, samples, prob[samples])
                for n in range(share.indptr[k], share.indptr[k + 1]):
                    sums[share.indices[n]] += share.data[n] * part
            return [frozen(matrix) for matrix in sums]
    found = []
    for where, gate in weights:
        samples = task.samples_in(where)
        by_sample = gate[0] if (gate == gate[:1]).all() else np.repeat(gate, task.samples_of_context[where])
        found.append(frozen(_product(task, left, right, samples, prob[samples] * by_sample)))
    return found


def _groups(weights: list[Weights]) -> tuple[list[np.ndarray], Any]:
    """Contexts that weigh alike in all of these, and (U, groups) CSC: what each group weighs."""
    from scipy.sparse import csc_array, csr_array

    contexts, column = np.unique(np.concatenate([where for where, _ in weights]), return_inverse=True)
    starts = np.cumsum([0, *(len(where) for where, _ in weights)])
    gates = np.concatenate([gate for _, gate in weights])
    table = csr_array((gates, column.reshape(-1), starts), shape=(len(weights), len(contexts)))
    if len(weights) * len(contexts) > _DENSE:
        return [contexts[k : k + 1] for k in range(len(contexts))], table.tocsc()
    dense = table.toarray()
    first, code = _distinct(dense.T + 0.0)
    order = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[order], np.arange(1, len(first)))
    return [contexts[part] for part in np.split(order, edges)], csc_array(dense[:, first])


def _product(task: GatedTask, left: Side, right: Side, which: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of weights[i] left_i right_i^T over the samples `which`, (|left|, |right|)."""
    nodes = task.graph.nodes
    total = np.zeros((nodes[left[1]], nodes[right[1]]))
    # Rows in place need no copy.
    in_place = len(which) > 0 and which[-1] - which[0] == len(which) - 1 and bool((np.diff(which) == 1).all())
    step = max(1, _SLICE // max(total.shape))
    for begin in range(0, len(which), step):
        rows: Any = which[begin : begin + step]
        w = weights[begin : begin + step]
        if in_place:
            rows = slice(int(rows[0]), int(rows[-1]) + 1)
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
