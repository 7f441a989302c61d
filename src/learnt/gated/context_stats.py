"""Loss and gradient of a gated network whose paths are too many to list, from statistics by context.

In context c (samples with equal gates) the network is linear: h_v = sum_i A_vi x_i, with i the inputs and A_vi the sum
over all paths from i to v, each with its gates. One pass forward makes A, one pass backward the gradient:

    A_ii = g_i I,   A_vi = g_v sum_{e: t(e)=v} g_e W_e A_{s(e) i}
    Err_vi = Sigma_yx(v,i) - sum_j A_vj Sigma_x(j,i)                  at outputs v; Sigma of this context alone
    H_vi = g_v Err_vi at outputs,   g_v sum_{e: s(e)=v} g_e W_e^T H_{t(e) i} elsewhere
    -dL/dW_e = sum_c sum_i g_e H_{t(e) i} A_{s(e) i}^T
    L = 1/2 <sum_v ||y_v||^2> - 1/2 sum_c sum_{v,i} <A_vi, Sigma_yx(v,i) + Err_vi>

Time and memory go as contexts x edges x inputs, whatever the number of paths: a network of k layers with all skips has
2^(k - 1) of them. Where paths can be listed, `learnt.gated.path_stats` says the same path by path (tested). The form
with one number a mode in place of each matrix is that of `learnt.gated.context_reduction`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError
from learnt.gated._frozen import FrozenMap, frozen
from learnt.gated._moments import moments, second_moment
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph

Blocks = dict[tuple[str, str], np.ndarray]  # by (node, input), contexts in the first axis


@final
@dataclass(frozen=True, eq=False)
class ContextStats:
    """All that descent on the squared loss sees of a task, by context.

    Attributes:
        graph: the network.
        gates: (C,) by node and edge; 1 where none is given.
        Sigma_yx: (C, |v|, |i|) by (output, input); 0 in contexts in which no path joins them.
        Sigma_x: (C, |j|, |i|) by (input, input), both orders, where some output hears both.
        energy: < sum_v ||y_v||^2 >.
    """

    graph: Graph
    gates: Mapping[str, np.ndarray]
    Sigma_yx: Mapping[tuple[str, str], np.ndarray]
    Sigma_x: Mapping[tuple[str, str], np.ndarray]
    energy: float

    @property
    def contexts(self) -> int:
        """C."""
        return len(next(iter(self.gates.values())))

    def __str__(self) -> str:
        return f"{self.contexts} context{'s' * (self.contexts != 1)} of {self.graph}"


def context_correlations(task: GatedTask) -> ContextStats:
    """The statistics of a task by context.

    Raises:
        InputError: no task.
        NotApplicable: matrices that would not fit into memory.
    """
    if not isinstance(task, GatedTask):
        raise InputError("task", found=type(task).__name__, expected="a GatedTask")
    graph, count = task.graph, task.n_contexts
    gates = {name: np.array(task.contexts.get(name, np.ones(count)), float) for name in (*graph.nodes, *graph.edges)}
    heard = _heard(graph, gates)

    def by_context(left: tuple[str, str], right: tuple[str, str], where: np.ndarray) -> np.ndarray:
        out = np.zeros((count, graph.nodes[left[1]], graph.nodes[right[1]]))
        one = np.ones(1)
        for c, m in zip(where, moments(task, left, right, [(where[k : k + 1], one) for k in range(len(where))]),
                        strict=True):  # fmt: skip
            out[c] = m
        return frozen(out)

    yx, xx = {}, {}
    for v in graph.outputs:
        for i in graph.inputs:
            where = np.flatnonzero(heard[v, i]) if (v, i) in heard else np.zeros(0, dtype=np.int64)
            if len(where):
                yx[v, i] = by_context(("y", v), ("x", i), where)
    for k, j in enumerate(graph.inputs):
        for i in graph.inputs[k:]:
            both = [heard[v, j] & heard[v, i] for v in graph.outputs if (v, i) in heard and (v, j) in heard]
            where = np.flatnonzero(np.any(both, axis=0)) if both else np.zeros(0, dtype=np.int64)
            if len(where):
                xx[j, i] = by_context(("x", j), ("x", i), where)
                xx[i, j] = xx[j, i] if i == j else frozen(np.ascontiguousarray(xx[j, i].transpose(0, 2, 1)))
    energy = float(sum(np.trace(second_moment(task, v)) for v in graph.outputs))
    return ContextStats(graph, FrozenMap(gates), MappingProxyType(yx), MappingProxyType(xx), energy)


def _heard(graph: Graph, gates: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """(C,) bool by (node, input): whether an open path joins them."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for v in graph.order:
        if not graph.incoming[v]:
            found[v, v] = gates[v] != 0
        for e in graph.incoming[v]:
            source = graph.edges[e][0]
            for i in graph.inputs:
                if (source, i) in found:
                    on = found[source, i] & (gates[e] != 0) & (gates[v] != 0)
                    found[v, i] = found[v, i] | on if (v, i) in found else on
    return found


def context_loss(stats: ContextStats, weights: Mapping[str, Any]) -> float:
    """L at these weights, (|t|, |s|) by edge; equal to the loss on the data.

    Raises:
        InputError, ShapeError, NonFiniteError: no statistics, or weights that are not those of the graph.
    """
    _known(stats)
    return passes(stats, stats.graph.checked_weights(weights), MATRICES)[0]


def context_gradient(stats: ContextStats, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """dL/dW_e, (|t|, |s|) by edge; gradient flow is minus this. Arguments and errors as `context_loss`."""
    _known(stats)
    return {e: -down for e, down in passes(stats, stats.graph.checked_weights(weights), MATRICES)[1].items()}


def _known(stats: Any) -> None:
    if not isinstance(stats, ContextStats):
        raise InputError("stats", found=type(stats).__name__, expected="ContextStats, made by context_correlations")


# -- the passes, for matrices or for one number a mode --------------------------------------------------------


class Algebra(NamedTuple):
    """What a weight is, and how it acts on blocks with contexts in their first axis.

    Attributes:
        one: the block of an input itself, before its gate, from the statistics and the name of the input.
        ahead: weight, block -> weight times block.
        back: weight, block -> transposed weight times block.
        slope: block, block -> sum over contexts of the first times the second transposed.
        then: block, statistics -> their product, context by context.
    """

    one: Callable[[Any, str], np.ndarray]
    ahead: Callable[[np.ndarray, np.ndarray], np.ndarray]
    back: Callable[[np.ndarray, np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray, np.ndarray], np.ndarray]
    then: Callable[[np.ndarray, np.ndarray], np.ndarray]


MATRICES = Algebra(
    one=lambda stats, i: np.broadcast_to(np.eye(stats.graph.nodes[i]), (stats.contexts, *2 * (stats.graph.nodes[i],))),
    ahead=np.matmul,
    back=lambda w, h: np.matmul(w.T, h),
    slope=lambda h, a: np.tensordot(h, a, ((0, 2), (0, 2))),
    then=np.matmul,
)


def passes(stats: Any, weights: Mapping[str, np.ndarray], algebra: Algebra) -> tuple[float, dict[str, np.ndarray]]:
    """L, and -dL/dW by edge.

    Args:
        stats: `graph`, `gates`, `Sigma_yx`, `Sigma_x`, `energy` as in ContextStats, in the terms of the algebra.
        weights: by edge.
        algebra: what weights and blocks are.
    """
    graph = stats.graph
    a: Blocks = {}
    for v in graph.order:
        if not graph.incoming[v]:
            a[v, v] = _gated(algebra.one(stats, v), stats.gates[v])
            continue
        for i in graph.inputs:
            parts = [
                _gated(algebra.ahead(weights[e], a[graph.edges[e][0], i]), stats.gates[e])
                for e in graph.incoming[v]
                if (graph.edges[e][0], i) in a
            ]
            if parts:
                a[v, i] = _gated(sum(parts[1:], parts[0]), stats.gates[v])
    loss = 0.5 * stats.energy
    h: Blocks = {}
    for (v, i), target in stats.Sigma_yx.items():
        error = target - sum(
            algebra.then(a[v, j], stats.Sigma_x[j, i]) for j in graph.inputs if (v, j) in a and (j, i) in stats.Sigma_x
        )
        loss -= 0.5 * float(np.vdot(a[v, i], target + error))
        h[v, i] = _gated(error, stats.gates[v])
    down = {e: np.zeros_like(w) for e, w in weights.items()}
    for v in reversed(graph.order):
        for i in graph.inputs:
            for e in graph.outgoing[v]:
                beyond = h.get((graph.edges[e][1], i))
                if beyond is None or (v, i) not in a:
                    continue
                beyond = _gated(beyond, stats.gates[e])
                down[e] += algebra.slope(beyond, a[v, i])
                if graph.incoming[v]:
                    part = _gated(algebra.back(weights[e], beyond), stats.gates[v])
                    h[v, i] = h[v, i] + part if (v, i) in h else part
    return loss, down


def _gated(block: np.ndarray, gate: np.ndarray) -> np.ndarray:
    return block if (gate == 1).all() else block * gate.reshape(-1, *[1] * (block.ndim - 1))
