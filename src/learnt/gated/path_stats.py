"""What does each pathway see of the task? Its effective data set, and how pathways get in each other's way.

    Sigma_yx(p)  = < g_p y_{t(p)} x_{s(p)}^T >          |t(p)| x |s(p)|
    Sigma_x(j,p) = < g_j x_{s(j)} x_{s(p)}^T g_p >      |s(j)| x |s(p)|, for t(j) = t(p);  Sigma_x(p,j) = Sigma_x(j,p)^T
    Err(p)   = Sigma_yx(p) - sum_{j: t(j)=t(p)} W_j Sigma_x(j,p)
    -dL/dW_e = sum_{p through e} W_after^T Err(p) W_before^T
    L = 1/2 <sum_v ||y_v||^2> - sum_p <W_p, Sigma_yx(p)> + 1/2 sum_{t(j)=t(p)} <W_j Sigma_x(j,p), W_p>

Saxe, Sodhani, Lewallen 2022 (arXiv 2207.10430), slide 8 of the authors' repository. < > is the sum over samples with
their weights. Both the gradient and the loss are exact for any weights and gates; no data are needed after this.
Samples whose gates weigh alike in every statistic of a pair of nodes are summed in one product of matrices, so that the
cost is that of few passes over the data, however many paths there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.gated._frozen import frozen
from learnt.gated._moments import Weighting, moments, second_moment
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import MAX_PATHS, Graph, Path

MAX_PAIRS = 2_000_000  # pairs of paths open at once: about 1 GB of entries
MAX_OPEN = 50_000_000  # (path, context) pairs: 800 MB


@final
@dataclass(frozen=True, eq=False)
class PathStats:
    """All that gradient descent on the squared loss sees of a task.

    Attributes:
        graph: the network.
        paths: its paths; the indices below refer to them.
        Sigma_yx: (|t(p)|, |s(p)|) for each path; zeros if it is never open.
        Sigma_x: (|s(j)|, |s(p)|) by (j, p), both orders, only for pairs with one target whose matrix is not all zero.
        Sigma_yy: (|v|, |v|) by output node; gates play no part in it.
        g: (paths, C) scipy CSR: the gate of each path in each context.
        context_prob: (C,) weights of the contexts.
    """

    graph: Graph
    paths: tuple[Path, ...]
    Sigma_yx: tuple[np.ndarray, ...]
    Sigma_x: Mapping[tuple[int, int], np.ndarray]
    Sigma_yy: Mapping[str, np.ndarray]
    g: Any
    context_prob: np.ndarray

    @property
    def energy(self) -> float:
        """< sum_v ||y_v||^2 >: twice the loss of a network that answers 0."""
        return float(sum(np.trace(m) for m in self.Sigma_yy.values()))

    @property
    def total(self) -> float:
        """The sum of the weights of the samples."""
        return float(self.context_prob.sum())

    @cached_property
    def open(self) -> tuple[int, ...]:
        """The paths that pass a signal on some sample of positive weight; the others are never trained."""
        return tuple(p for p in range(len(self.paths)) if (p, p) in self.Sigma_x)

    @cached_property
    def never_trained(self) -> tuple[str, ...]:
        """The edges on no open path: their weights never move."""
        trained = {e for p in self.open for e in self.paths[p].edges}
        return tuple(e for e in self.graph.edges if e not in trained)

    def __str__(self) -> str:
        never = f"; never trained: {', '.join(self.never_trained)}" if self.never_trained else ""
        pairs = sum(j < p for j, p in self.Sigma_x)
        return f"{len(self.open)} of {len(self.paths)} paths open, {pairs} pairs of them open together{never}"


def correlations(task: GatedTask | Graph, data: GatedTask | None = None, *, max_paths: int = MAX_PATHS) -> PathStats:
    """The statistics of a task by path.

    Args:
        task: the task; or its graph, followed by the task.
        data: the task, if its graph came first.
        max_paths: the largest number of paths to list.

    Raises:
        NotApplicable: too many paths, too many pairs of them open at once, or matrices that would not fit into memory.
        InputError: no task, or one for another graph.
    """
    if data is not None:
        if not isinstance(data, GatedTask) or not isinstance(task, Graph) or data.graph != task:
            raise InputError("task", found="a task for another graph", expected="the graph of the task")
        task = data
    if not isinstance(task, GatedTask):
        raise InputError("task", found=type(task).__name__, expected="a GatedTask")
    graph, paths = task.graph, task.graph.paths(max_paths)
    gates = path_gates(task, paths)
    pairs = _open_pairs(gates, paths)
    shown = Weighting(gates)

    by_nodes: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for j, p in pairs:
        by_nodes.setdefault((paths[j].source, paths[p].source), []).append((j, p))
    found_x: dict[tuple[int, int], np.ndarray] = {}
    for (a, b), some in by_nodes.items():
        weights, which = shown.products(some)
        matrices = moments(task, ("x", a), ("x", b), weights)
        for (j, p), k in zip(some, which, strict=True):
            if matrices[k].any():
                found_x[j, p] = matrices[k]
                found_x[p, j] = matrices[k] if j == p else matrices[k].T

    by_ends: dict[tuple[str, str], list[int]] = {}
    for p in sorted({j for j, _ in pairs}):
        by_ends.setdefault((paths[p].target, paths[p].source), []).append(p)
    found_yx: dict[int, np.ndarray] = {}
    for (v, a), some in by_ends.items():
        weights, which = shown.singles(some)
        matrices = moments(task, ("y", v), ("x", a), weights)
        found_yx |= {p: matrices[k] for p, k in zip(some, which, strict=True)}
    nothing: dict[tuple[int, int], np.ndarray] = {}
    for p, path in enumerate(paths):
        if p not in found_yx:
            shape = graph.nodes[path.target], graph.nodes[path.source]
            found_yx[p] = nothing.setdefault(shape, frozen(np.zeros(shape)))
    return PathStats(
        graph=graph,
        paths=paths,
        Sigma_yx=tuple(found_yx[p] for p in range(len(paths))),
        Sigma_x=dict(sorted(found_x.items())),
        Sigma_yy={v: second_moment(task, v) for v in graph.outputs},
        g=gates,
        context_prob=frozen(np.bincount(task.context_of, weights=task.prob, minlength=task.n_contexts)),
    )


def path_gates(task: GatedTask, paths: tuple[Path, ...]) -> Any:
    """(paths, C) scipy CSR: g_p, the product of the gates along each path, in each context.

    Raises:
        NotApplicable: more than 50 million pairs of a path and a context in which it is open.
    """
    from scipy.sparse import csr_array

    table, count = task.contexts, task.n_contexts
    known: dict[tuple[str, tuple[str, ...]], tuple[np.ndarray, np.ndarray]] = {}

    def along(source: str, edges: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Contexts in which the beginning of a path is open, and its gate there."""
        if (source, edges) not in known:
            if edges:
                where, gate = along(source, edges[:-1])
                new = (edges[-1], task.graph.edges[edges[-1]][1])
            else:
                where, gate, new = np.arange(count), np.ones(count), (source,)
            for name in new:
                if name in table:
                    gate = gate * table[name][where]
                    where, gate = where[gate != 0], gate[gate != 0]
            known[source, edges] = where, gate
        return known[source, edges]

    parts, size = [], 0
    for path in paths:
        parts.append(along(path.source, path.edges))
        size += len(parts[-1][0])
        if size > MAX_OPEN:
            raise NotApplicable(
                "task",
                found=f"{len(paths):,} paths and {count:,} contexts, most of them open",
                expected=f"at most {MAX_OPEN:,} pairs of a path and a context in which it is open",
                remedy="Use fewer different gates, or divide the graph.",
            )
    starts = np.cumsum([0, *(len(where) for where, _ in parts)])
    where, gate = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return csr_array((gate, where, starts), shape=(len(paths), count))


def _open_pairs(gates: Any, paths: tuple[Path, ...]) -> list[tuple[int, int]]:
    """Pairs j <= p of paths to one target that are open at once in some context."""
    pattern = gates.copy()
    pattern.data = np.ones(len(pattern.data), dtype=np.float32)
    rows: dict[str, list[int]] = {}
    for p, path in enumerate(paths):
        rows.setdefault(path.target, []).append(p)
    found: list[tuple[int, int]] = []
    count = 0
    for some in rows.values():
        index = np.array(some)
        part = pattern[index]
        if len(some) ** 2 > MAX_PAIRS:  # count before making them
            always = int((np.diff(part.indptr) == part.shape[1]).sum())
            count = max(count, always**2 // 2)
        if count <= MAX_PAIRS:
            both = (part @ part.T).tocoo()
            j, p = index[both.row], index[both.col]
            found.extend(zip(j[j <= p].tolist(), p[j <= p].tolist(), strict=True))
            count = len(found)
        if count > MAX_PAIRS:
            raise NotApplicable(
                "task", found=f"at least {count:,} pairs of paths open at once", expected=f"at most {MAX_PAIRS:,}",
                remedy="Paths cost the square of their number: use a smaller graph, or gates that close more of them.",
            )  # fmt: skip
    return sorted(found)


# -- loss and gradient ------------------------------------------------------------------------------------


def loss(stats: PathStats, weights: Mapping[str, Any]) -> float:
    """L at these weights, (|t|, |s|) by edge; equal to the loss on the data.

    Raises:
        InputError, ShapeError, NonFiniteError: no statistics, or weights that are not those of the graph.
    """
    _known(stats)
    w = stats.graph.checked_weights(weights)
    maps = _maps(stats, w)
    explained = sum(float(np.vdot(maps[p], stats.Sigma_yx[p])) for p in stats.open)
    quadratic = sum(float(np.vdot(maps[j] @ m, maps[p])) for (j, p), m in stats.Sigma_x.items())
    return 0.5 * stats.energy - explained + 0.5 * quadratic


def path_errors(stats: PathStats, weights: Mapping[str, Any]) -> dict[int, np.ndarray]:
    """Err(p), (|t(p)|, |s(p)|), of the paths that are open; arguments and errors as `loss`."""
    _known(stats)
    return _errors(stats, _maps(stats, stats.graph.checked_weights(weights)))


def path_gradient(stats: PathStats, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """dL/dW_e, (|t|, |s|) by edge, summed over paths; gradient flow is minus this. Arguments and errors as `loss`."""
    _known(stats)
    w = stats.graph.checked_weights(weights)
    gradient = {e: np.zeros(shape) for e, shape in stats.graph.shapes.items()}
    for p, error in _errors(stats, _maps(stats, w)).items():
        edges = stats.paths[p].edges
        before = [np.eye(error.shape[1])]
        for e in edges[:-1]:
            before.append(w[e] @ before[-1])
        for e, first in zip(reversed(edges), reversed(before), strict=True):
            gradient[e] -= error @ first.T  # here the error has come back to the target of e
            error = w[e].T @ error
    return gradient


def _known(stats: Any) -> None:
    if not isinstance(stats, PathStats):
        raise InputError("stats", found=type(stats).__name__, expected="PathStats, made by correlations")


def _maps(stats: PathStats, w: Mapping[str, np.ndarray]) -> dict[int, np.ndarray]:
    """W_p of the open paths; products of common beginnings are made once."""
    known: dict[tuple[str, ...], np.ndarray] = {}
    for p in stats.open:
        edges = stats.paths[p].edges
        for end in range(1, len(edges) + 1):
            if edges[:end] not in known:
                last = w[edges[end - 1]]
                known[edges[:end]] = last if end == 1 else last @ known[edges[: end - 1]]
    return {p: known[stats.paths[p].edges] for p in stats.open}


def _errors(stats: PathStats, maps: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    errors = {p: stats.Sigma_yx[p].copy() for p in stats.open}
    for (j, p), m in stats.Sigma_x.items():
        errors[p] -= maps[j] @ m
    return errors
