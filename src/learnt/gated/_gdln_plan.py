"""A pass of the whole data through a gated network that computes open pathways only, for all replicas at once.

Samples with equal gates stay together, so that which rows reach which node is known beforehand: closed rows are never
made. The network is linear within a context, so its loss there depends on [X Y]^T [X Y] alone; a context with more
samples than columns is replaced by the triangular factor of its rows, weighted by the roots of their weights:

    sum_i p_i ||y_i - W x_i||^2 = ||Y' - X' W^T||^2 for all W,   [X' Y'] = R of the QR of diag(sqrt p) [X Y]

Both are identities, for any gates and weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple, final

import numpy as np
import torch

from learnt.gated.gated_task import GatedTask


class _Gathered(NamedTuple):
    """Rows to take, None for all in order."""

    index: torch.Tensor | None
    counts: list[int]


class _Placed(NamedTuple):
    """Where joined parts belong: `order` if they are a permutation of the rows (None: the identity), else `to`."""

    size: int
    order: torch.Tensor | None
    to: torch.Tensor | None


@final
class Plan:
    """The passes of one task.

    Args:
        task: the data.
        dtype, device: of the computation.
    """

    def __init__(self, task: GatedTask, dtype: torch.dtype, device: torch.device) -> None:
        graph = task.graph
        self.graph = graph
        self._dtype, self._device = dtype, device
        count = task.n_contexts
        on = {name: task.contexts.get(name, np.ones(count)) for name in (*graph.nodes, *graph.edges)}
        need = _needed(task, on)
        starts, self.floor, x, y = _rows(task, on, need)
        length = np.diff(starts)
        first = {v: np.where(need[v], np.cumsum(length * need[v]) - length * need[v], -1) for v in graph.nodes}

        def rows(v: str, contexts: np.ndarray) -> np.ndarray:
            parts = [np.arange(int(first[v][c]), int(first[v][c] + length[c])) for c in contexts]
            return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

        open_in = {e: np.flatnonzero((on[e] != 0) & need[s] & need[t]) for e, (s, t) in graph.edges.items()}
        self.x = {v: self._tensor(values) for v, values in x.items()}
        self.y = {v: self._tensor(values) for v, values in y.items()}
        self.edge_gate = {e: self._gate(np.repeat(on[e][c], length[c])) for e, c in open_in.items()}
        self.node_gate = {
            v: self._gate(np.repeat(on[v][need[v]], length[need[v]])) for v in graph.nodes if v not in graph.inputs
        }
        self.taken = {
            v: self._gathered([rows(v, open_in[e]) for e in graph.outgoing[v]], int(length @ need[v]))
            for v in graph.nodes
        }
        self.placed = {
            v: self._placement([rows(v, open_in[e]) for e in graph.incoming[v]], int(length @ need[v]))
            for v in graph.nodes
        }

    def losses(self, weights: dict[str, torch.Tensor]) -> torch.Tensor:
        """(R,) L of every replica, for weights (R, |t|, |s|) by edge."""
        graph, parts = self.graph, {}
        replicas = len(next(iter(weights.values())))
        total = next(iter(weights.values())).new_full((replicas,), self.floor)
        for v in graph.order:
            h = self.x[v] if v in self.x else self._gathered_in(v, [parts.pop(e) for e in graph.incoming[v]])
            if v in self.y:
                miss = self.y[v] - h
                total = total + 0.5 * miss.square().sum((-2, -1))
            else:
                edges, (index, counts) = graph.outgoing[v], self.taken[v]
                sent = h if index is None else h.index_select(-2, index)
                for e, part in zip(edges, sent.split(counts, -2), strict=True):
                    signal = _times(part, weights[e])
                    gate = self.edge_gate[e]
                    parts[e] = signal if gate is None else signal * gate
        return total

    def _gathered_in(self, v: str, parts: list[torch.Tensor]) -> torch.Tensor:
        size, order, to = self.placed[v]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        if to is not None:
            joined = joined.new_zeros((len(joined), size, joined.shape[-1])).index_add(1, to, joined)
        elif order is not None:
            joined = joined.index_select(-2, order)
        gate = self.node_gate[v]
        return joined if gate is None else joined * gate

    # -- building ----------------------------------------------------------------------------------------

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values).to(self._device, self._dtype)

    def _index(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, device=self._device)

    def _gate(self, values: np.ndarray) -> torch.Tensor | None:
        return None if (values == 1).all() else self._tensor(values).unsqueeze(-1)

    def _gathered(self, parts: list[np.ndarray], size: int) -> _Gathered:
        rows = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        plain = len(rows) == size and (rows == np.arange(size)).all()
        return _Gathered(None if plain else self._index(rows), [len(part) for part in parts])

    def _placement(self, parts: list[np.ndarray], size: int) -> _Placed:
        rows = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        if len(rows) == size and len(np.unique(rows)) == size:
            plain = (rows == np.arange(size)).all()
            return _Placed(size, None if plain else self._index(np.argsort(rows)), None)
        return _Placed(size, None, self._index(rows))


def _times(h: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(R, n, |t|) from rows (n, |s|), which all replicas share, or (R, n, |s|)."""
    if h.ndim == 3:
        return torch.bmm(h, weight.mT)
    replicas, units, _ = weight.shape
    return (h @ weight.reshape(replicas * units, -1).mT).view(-1, replicas, units).movedim(1, 0)


def _needed(task: GatedTask, on: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(C,) bool by node: contexts in which it is on an open path."""
    graph, live, need = task.graph, {}, {}
    for v in graph.order:
        fed = np.zeros(task.n_contexts, dtype=bool)
        for e in graph.incoming[v]:
            fed |= (on[e] != 0) & live[graph.edges[e][0]]
        live[v] = (on[v] != 0) & (fed if graph.incoming[v] else True)
    for v in reversed(graph.order):
        read = np.zeros(task.n_contexts, dtype=bool)
        for e in graph.outgoing[v]:
            read |= (on[e] != 0) & need[graph.edges[e][1]]
        need[v] = live[v] & (read if graph.outgoing[v] else True)
    return need


def _rows(
    task: GatedTask, on: dict[str, np.ndarray], need: dict[str, np.ndarray]
) -> tuple[np.ndarray, float, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """First rows of the contexts (C + 1,), the constant part of L, and the rows of inputs and targets by node."""
    graph = task.graph
    starts, floor = [0], 0.0
    found: dict[tuple[str, str], list[np.ndarray]] = {("x", v): [] for v in graph.inputs}
    found |= {("y", v): [] for v in graph.outputs}
    by_context = np.argsort(task.context_of, kind="stable")
    ends = np.cumsum(np.bincount(task.context_of, minlength=task.n_contexts))
    root = np.sqrt(task._prob)
    for c in range(task.n_contexts):
        index = by_context[(ends[c - 1] if c else 0) : ends[c]]
        scale = root[index, None]
        ends_here = [(what, v) for what, v in found if need[v][c]]
        blocks = [task._rows(what, v, index) * scale for what, v in ends_here]
        for v in graph.outputs:
            if not need[v][c]:
                closed = task._rows("y", v, index) * scale
                floor += 0.5 * float(np.vdot(closed, closed))
        width = sum(block.shape[1] for block in blocks)
        if width and len(index) > width:
            joined: Any = np.linalg.qr(np.concatenate(blocks, 1), mode="r")
            blocks = np.split(joined, np.cumsum([block.shape[1] for block in blocks])[:-1], axis=1)
        for (what, v), block in zip(ends_here, blocks, strict=True):
            found[what, v].append(block * on[v][c] if what == "x" else block)
        starts.append(starts[-1] + (len(blocks[0]) if blocks else 0))
    joined_rows = {
        (what, v): np.concatenate(parts) if parts else np.zeros((0, graph.nodes[v]))
        for (what, v), parts in found.items()
    }
    return (
        np.array(starts),
        floor,
        {v: rows for (what, v), rows in joined_rows.items() if what == "x"},
        {v: rows for (what, v), rows in joined_rows.items() if what == "y"},
    )
