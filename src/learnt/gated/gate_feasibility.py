"""Could a ReLU have these gates? Which gating wins and which a ReLU can have are two questions.

A ReLU unit is its own gate: on where w.x > 0. A hidden node with a given gate can be made of ReLU units if there is a w

    w.x > 0 on exactly the samples where the gate is open,   w.x <= 0 on the others,
    w in the span that learning selects: the rows of Sigma_yx(p) of the paths p through the node            (spec 1.7)

because read-in weights that grow from a small start lie in that span. For XOR, the pathway open for x1 > 0 reads x2 and
cannot switch at x1 = 0; a pathway open for one corner reads that corner, is 0 on its neighbours, and can. Off means
w.x <= 0: a boundary is reached in the limit only, as in real ReLU networks (`relu_gates`, effective gates).

A node without a gate has to be on for all samples: a linear pathway is no ReLU unless its inputs allow it. A gate with
two open values, or one on an edge that is not the only one into or out of a node, is no ReLU's. Gates of inputs and
outputs are data, and skips from input to output have no unit.

This is linear feasibility, decided by scipy's HiGHS for the largest margin. With one pathway into a node the answer is
that of the definition. With several, their read-in weights are taken as free of each other: "no" is certain, "yes" is
necessary only. Deeper nodes read what gates before them let through, as given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from learnt.core.errors import InputError
from learnt.gated._frozen import frozen
from learnt.gated.gated_task import GatedTask
from learnt.gated.path_stats import PathStats, correlations

_MARGIN = 1e-6  # above the tolerance of the solver; inputs have length 1, w entries of at most 1


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class NodeGate:
    """One hidden node.

    Attributes:
        node: its name.
        on: the number of samples on which its gate is open.
        samples: the number of samples.
        feasible: whether a ReLU unit could have this gate.
        margin: the largest min of w.x / |x| over open samples, entries of w at most 1; 0 if not feasible.
        weights: by pathway into the node ("source:edges"), the read-in weights that do it; empty if not feasible.
        certain: whether a "yes" is more than necessary: one pathway into the node.
        why: what stands against it; empty if feasible.
    """

    node: str
    on: int
    samples: int
    feasible: bool
    margin: float
    weights: dict[str, np.ndarray]
    certain: bool
    why: str

    def __str__(self) -> str:
        answer = f"yes, margin {self.margin:.3g}" if self.feasible else f"no: {self.why}"
        return f"{self.node}: on for {self.on} of {self.samples} samples; a ReLU could have this gate: {answer}"


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ReluFeasibility:
    """All hidden nodes on open paths, and edges whose gates no unit has.

    Attributes:
        nodes: by node.
        edges: gated edges that are no unit's gate.
    """

    nodes: tuple[NodeGate, ...]
    edges: tuple[str, ...]

    @property
    def feasible(self) -> bool:
        """Whether every gate could be a ReLU's."""
        return not self.edges and all(node.feasible for node in self.nodes)

    def __str__(self) -> str:
        lines = [str(node) for node in self.nodes]
        lines += [f"{e}: a gated edge, which no ReLU unit gates" for e in self.edges]
        return "\n".join(lines) if lines else "no hidden units"


def relu_feasible(task: GatedTask, stats: PathStats | None = None, *, tol: float = 1e-9) -> ReluFeasibility:
    """Whether ReLU units could have the gates of a task.

    Args:
        task: data with gates.
        stats: its statistics, if they are at hand.
        tol: directions of Sigma_yx below this share of the largest one are not learned.

    Raises:
        InputError: no task, or statistics of another graph.
    """
    if not isinstance(task, GatedTask):
        raise InputError("task", found=type(task).__name__, expected="a GatedTask: the question is about its samples")
    known = correlations(task) if stats is None else stats
    if known.graph != task.graph:
        raise InputError("stats", found="those of another graph", expected="correlations(task)")
    absorbed, strange = _edge_gates(task, known)
    hidden = [v for v in task.graph.order if v not in task.graph.inputs and v not in task.graph.outputs]
    open_edges = {e for p in known.open for e in known.paths[p].edges}
    used = [v for v in hidden if any(e in open_edges for e in task.graph.incoming[v])]
    return ReluFeasibility(nodes=tuple(_node(task, known, v, absorbed, tol) for v in used), edges=strange)


def _edge_gates(task: GatedTask, stats: PathStats) -> tuple[dict[str, str], tuple[str, ...]]:
    """Gated edges that act as the gate of a hidden node, with that node; and those that do not."""
    graph, open_edges = task.graph, {e for p in stats.open for e in stats.paths[p].edges}
    ends = {*graph.inputs, *graph.outputs}
    absorbed: dict[str, str] = {}
    strange = []
    for e, values in task.contexts.items():
        if e not in graph.edges or e not in open_edges or (values == values[0]).all():
            continue
        source, target = graph.edges[e]
        if target not in ends and len([f for f in graph.incoming[target] if f in open_edges]) == 1:
            absorbed[e] = target
        elif source not in ends and len([f for f in graph.outgoing[source] if f in open_edges]) == 1:
            absorbed[e] = source
        else:
            strange.append(e)
    return absorbed, tuple(strange)


def _node(task: GatedTask, stats: PathStats, v: str, absorbed: dict[str, str], tol: float) -> NodeGate:
    table, count = task.contexts, task.n_contexts
    seen = np.bincount(task.context_of, weights=task.prob, minlength=count) > 0
    own = table.get(v, np.ones(count)) * 1.0
    for e, node in absorbed.items():
        own = own * table[e] if node == v else own
    keep = np.flatnonzero((task.prob > 0) & seen[task.context_of])
    on = own[task.context_of[keep]] != 0
    levels = np.unique(own[seen & (own != 0)])

    def answer(
        why: str, margin: float = 0.0, weights: dict[str, np.ndarray] | None = None, single: bool = True
    ) -> NodeGate:
        return NodeGate(
            node=v, on=int(on.sum()), samples=len(on), feasible=not why, margin=margin, weights=weights or {},
            certain=single, why=why,
        )  # fmt: skip

    if len(levels) > 1 or (levels < 0).any():
        return answer("its gate is neither 0 nor one positive number")
    spans = _spans(stats, v, tol)
    single = len(spans) == 1
    if not on.any():
        return answer("", 0.0, {str_: np.zeros(len(basis)) for str_, (_, _, basis) in spans.items()}, single)
    parts = []
    for source, edges, basis in spans.values():
        gate = np.ones(count)
        for name in (source, *(n for e in edges for n in (e, task.graph.edges[e][1]))):
            if name != v and name in table and absorbed.get(name) != v:
                gate = gate * table[name]
        parts.append(gate[task.context_of[keep], None] * (task._rows("x", source, keep) @ basis))
    z = np.concatenate(parts, 1)
    if not z.shape[1]:
        return answer("its pathways have nothing to learn, so that its weights select no direction", single=single)
    size = np.linalg.norm(z, axis=1)
    silent = size <= 1e-12 * max(float(size.max()), 1e-300)
    if (silent & on).any():
        return answer(
            f"the input is 0, in what its weights can read, on {int((silent & on).sum())} open samples", single=single
        )
    z = z[~silent] / size[~silent, None]
    rows = np.unique(np.column_stack([on[~silent], np.round(z, 12)]), axis=0)
    c, margin = _separated(rows[rows[:, 0] == 1, 1:], rows[rows[:, 0] == 0, 1:])
    if margin <= _MARGIN:
        return answer("no direction that its weights can have is positive on exactly the open samples", single=single)
    weights, at = {}, 0
    for name, (_, _, basis) in spans.items():
        weights[name] = frozen(basis @ c[at : at + basis.shape[1]])
        at += basis.shape[1]
    return answer("", margin, weights, single)


def _spans(stats: PathStats, v: str, tol: float) -> dict[str, tuple[str, tuple[str, ...], np.ndarray]]:
    """By pathway into v: its source, its edges, and an orthonormal basis (|s|, r) of what it learns to read."""
    edges = stats.graph.edges
    through: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for p in stats.open:
        path = stats.paths[p]
        for k, e in enumerate(path.edges):
            if edges[e][1] == v:
                through.setdefault((path.source, path.edges[: k + 1]), []).append(p)
    largest = max((float(np.linalg.norm(m)) for m in stats.Sigma_yx), default=0.0)
    out = {}
    for (source, taken), some in through.items():
        _, s, vh = np.linalg.svd(np.concatenate([stats.Sigma_yx[p] for p in some]), full_matrices=False)
        out[f"{source}:{'>'.join(taken)}"] = (source, taken, vh[s > tol * largest].T)
    return out


def _separated(on: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, float]:
    """C with entries of at most 1, and the largest t with on c >= t, off c <= 0."""
    from scipy.optimize import linprog

    width = on.shape[1]
    above = np.column_stack([-on, np.ones(len(on))])
    below = np.column_stack([off, np.zeros(len(off))])
    goal = np.zeros(width + 1)
    goal[-1] = -1.0
    found = linprog(
        goal, A_ub=np.concatenate([above, below]), b_ub=np.zeros(len(on) + len(off)),
        bounds=[*[(-1.0, 1.0)] * width, (0.0, None)], method="highs",
    )  # fmt: skip
    return (found.x[:-1], float(found.x[-1])) if found.status == 0 else (np.zeros(width), 0.0)
