"""Which gated linear network is this rectified network? Its units by gate pattern, as nodes of a graph.

    output(x) = W_L D_{L-1}(x) W_{L-1} ... D_1(x) W_1 x,    D_l(x): the gates of layer l on x, from `relu_gates`

Units of one layer that are on for the same samples are one node: a linear pathway whose gate is part of the data. With
exact gates this is an identity, for any grouping of equal patterns ("none": every unit its own node; "exact": equal
patterns are one). With effective gates, and with groups of similar patterns ("cluster"), it is an approximation, whose
error the report measures on the samples. Units that are never on are left out; a bias is an input "one" that is 1.

Jarvis et al. 2025 (arXiv 2503.06181) call the gated network with the outputs of a rectified one its ReLN, and cluster
units over training to find its gates; here patterns are read from one network, and every approximation is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.gated._frozen import chosen, finite, number, whole
from learnt.gated._mlp import Layered, flat_inputs, read_layers
from learnt.gated._pathways import Pathway, strongest
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph
from learnt.gated.rectified_gates import THRESHOLD, GatePatterns, Kind, distinct_columns, gate_values, gates_of

Merge = Literal["none", "exact", "cluster"]
MAX_EDGES = 200_000
MAX_CLUSTERED = 8_192  # patterns of one layer: 0.5 GB of distances


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Fidelity:
    """How faithful a gated network is to the network it was read from, on the samples.

    Attributes:
        merge, kind, threshold: how gates were read and units merged.
        units, nodes: of each hidden layer.
        dead: units of each layer that no sample switches on; they are left out.
        faint: further units of each layer that were left out because they are weak.
        always_on: nodes of each layer that are on for all samples: linear pathways.
        members: the units of each node, by name.
        changed: share of the gates that differ from the network's own (z > 0).
        flagged: share of the gates whose margin is within the threshold.
        max_error: largest absolute difference of an output.
        relative_error: root mean square of the difference over that of the outputs.
        same_answer: share of the samples with the same largest output; NaN for a single output.
        n_paths: pathways from the inputs, without those of biases.
        pathways: the strongest of them, by Frobenius norm.
        truncated: bound on the share of the norms of all pathways that those left out have.
    """

    merge: Merge
    kind: Kind
    threshold: float
    units: tuple[int, ...]
    nodes: tuple[int, ...]
    dead: tuple[int, ...]
    faint: tuple[int, ...]
    always_on: tuple[int, ...]
    members: Mapping[str, tuple[int, ...]]
    changed: float
    flagged: float
    max_error: float
    relative_error: float
    same_answer: float
    n_paths: int
    pathways: tuple[Pathway, ...]
    truncated: float

    def __str__(self) -> str:
        layers = "; ".join(
            f"layer {i + 1}: {n} nodes of {u} units ({d} never on, {f'{w} faint, ' if w else ''}{a} nodes always on)"
            for i, (n, u, d, w, a) in enumerate(
                zip(self.nodes, self.units, self.dead, self.faint, self.always_on, strict=True)
            )
        )
        left = f"; those not listed hold at most {self.truncated:.1%} of the norms" if self.truncated else ""
        rows = [
            f"{self.kind} gates, merged: {self.merge}. {layers}",
            f"outputs differ by at most {self.max_error:.3g} ({self.relative_error:.3g} of their size); "
            f"{self.changed:.2%} of gates changed, {self.flagged:.2%} within the threshold {self.threshold:g}",
            f"{self.n_paths:,} pathways{left}",
        ]
        rows += [f"  {' > '.join(p.nodes)}: norm {p.norm:.4g}, open for {p.open:.1%}" for p in self.pathways[:10]]
        return "\n".join(rows)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Gdln:
    """A gated linear network: `graph.forward(weights, inputs(X), gates)["y"]` are its answers on the samples.

    It unpacks into three: `graph, gates, report = to_gdln(model, X)`.

    Attributes:
        graph: nodes x (and one, which is 1, if there are biases), h1_0, h1_1, ..., y.
        gates: (P,) by hidden node.
        report: how faithful it is, on the samples.
        weights: (|t|, |s|) by edge.
    """

    graph: Graph
    gates: dict[str, np.ndarray]
    report: Fidelity
    weights: dict[str, np.ndarray]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.graph, self.gates, self.report))

    def inputs(self, X: Any) -> dict[str, np.ndarray]:
        """X by input node: x, and one, which is 1, if there are biases."""
        _, x = flat_inputs(X)
        return {"x": x} | ({"one": np.ones((len(x), 1))} if "one" in self.graph.nodes else {})

    def task(self, X: Any, Y: Any) -> GatedTask:
        """The task that the network's own gates make of targets Y (P, outputs) on the samples X.

        Raises:
            InputError, ShapeError, NonFiniteError: other samples than those it was read on, targets of another shape.
        """
        return GatedTask(self.graph, self.inputs(X), {"y": finite(Y, "Y")}, self.gates)


def to_gdln(
    model: Any,
    X: Any,
    merge: Merge = "exact",
    *,
    kind: Kind = "exact",
    threshold: float = THRESHOLD,
    groups: int | None = None,
    distance: float = 0.1,
    faint: float = 0.0,
    max_paths: int = 1000,
) -> Gdln:
    """The gated linear network of a rectified one on given samples.

    Args:
        model: an `nn.Module` of linear layers, with or without biases, and ReLU or LeakyReLU between them.
        X: (P, ...) inputs in the shape that it takes.
        merge: "none", "exact" (units with equal patterns are one node), or "cluster" (with similar ones).
        kind, threshold: which gates, see `relu_gates`.
        groups: nodes of each layer for "cluster"; None to merge up to `distance`.
        distance: Jaccard distance of patterns up to which "cluster" merges, on average over pairs, in [0, 1].
        faint: units of less than this share of the strongest of their layer are left out too, as in
            `GatePatterns.patterns`: learning has hardly touched them; the report measures what this changes.
        max_paths: pathways to list in the report.

    Raises:
        NotApplicable: another kind of network, or more edges than a graph can hold.
        InputError, ShapeError, NonFiniteError: settings without a meaning, inputs of another shape, NaN.
    """
    chosen(merge, "merge", ("none", "exact", "cluster"))
    if groups is not None:
        whole(groups, "groups", 1)
    if isinstance(distance, bool) or not isinstance(distance, int | float | np.number) or not 0 <= distance <= 1:
        raise InputError("distance", found=repr(distance), expected="a number from 0 to 1")
    faint = number(faint, "faint", least=0.0)
    whole(max_paths, "max_paths", 1)
    tensor, x = flat_inputs(X)
    net = read_layers(model, tensor, x)
    read = gates_of(net, x, kind, threshold)
    units, labels, on = [], [], []
    for i, layer in enumerate(read.on):
        kept = _kept(layer, net.slopes[i], read.strengths[i], faint)
        label, pattern = _merged(layer[:, kept], read.strengths[i][kept], merge, groups, distance)
        units.append(kept)
        labels.append(label)
        on.append(pattern)
    graph, weights = _graph(net, units, labels)
    gates = {
        _node(i, g): gate_values(pattern[:, g], net.slopes[i])
        for i, pattern in enumerate(on)
        for g in range(pattern.shape[1])
    }
    report = _report(net, x, read, units, labels, on, (merge, kind, threshold), max_paths)
    return Gdln(graph=graph, gates=gates, report=report, weights=weights)


def _kept(on: np.ndarray, slope: float, strength: np.ndarray, faint: float) -> np.ndarray:
    """The units that pass anything on, but for faint ones; one if none does, so that the graph stays whole."""
    alive = np.flatnonzero((on.any(0) | (slope != 0.0)) & (strength >= faint * strength.max()))
    return alive if len(alive) else np.zeros(1, dtype=np.int64)


def _merged(
    on: np.ndarray, strength: np.ndarray, merge: Merge, groups: int | None, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """(units,) node of each unit, and (P, nodes) whether each node is on."""
    if merge == "none":
        return np.arange(on.shape[1]), on
    patterns, label = distinct_columns(on)
    count = patterns.shape[1]
    if merge == "exact" or count == 1 or (groups is not None and groups >= count):
        return label, patterns
    if count > MAX_CLUSTERED:
        raise NotApplicable(
            "model", found=f"{count:,} different patterns in a layer", expected=f"at most {MAX_CLUSTERED:,} to cluster"
        )
    from sklearn.cluster import AgglomerativeClustering

    both = patterns.astype(np.float32)
    together = (both.T @ both).astype(np.float64)
    size = np.diagonal(together)
    either = size[:, None] + size - together
    apart = np.where(either > 0, 1.0 - together / np.maximum(either, 1.0), 0.0)
    number: Any = groups  # None: as many as the distance leaves
    cut = None if groups is not None else distance + 1e-12
    found = AgglomerativeClustering(number, metric="precomputed", linkage="average", distance_threshold=cut)
    node = np.unique(found.fit_predict(apart), return_inverse=True)[1][label]
    votes = np.zeros((len(on), int(node.max()) + 1))
    weight = np.zeros(votes.shape[1])
    for g in range(votes.shape[1]):
        members = np.flatnonzero(node == g)
        mass = strength[members] if strength[members].any() else np.ones(len(members))
        votes[:, g], weight[g] = on[:, members] @ mass, mass.sum()
    return node, votes >= 0.5 * weight


def _node(layer: int, group: int) -> str:
    return f"h{layer + 1}_{group}"


def _graph(net: Layered, units: list[np.ndarray], labels: list[np.ndarray]) -> tuple[Graph, dict[str, np.ndarray]]:
    """Nodes x, one, h1_0, h1_1, ..., y; edges named source-target; and the weights of the edges."""
    counts = [int(label.max()) + 1 for label in labels]
    biased = any(b.any() for b in net.biases)
    sizes = [1, *counts, 1]
    n_edges = sum(a * b for a, b in zip(sizes, sizes[1:], strict=False)) + biased * (sum(counts) + 1)
    if n_edges > MAX_EDGES:
        raise NotApplicable(
            "model", found=f"{n_edges:,} edges between {sum(counts):,} nodes", expected=f"at most {MAX_EDGES:,}",
            remedy="Merge more: merge='cluster' with few groups; or give fewer samples.",
        )  # fmt: skip
    every = [np.arange(net.weights[0].shape[1]), *units, np.arange(len(net.weights[-1]))]
    members: list[dict[str, np.ndarray]] = [{"x": every[0]}]
    for i, label in enumerate(labels):
        members.append({_node(i, g): every[i + 1][label == g] for g in range(counts[i])})
    members.append({"y": every[-1]})
    nodes = {v: len(m) for layer in members for v, m in layer.items()} | ({"one": 1} if biased else {})
    edges, weights = {}, {}
    for i, w in enumerate(net.weights):
        for target, rows in members[i + 1].items():
            for source, columns in members[i].items():
                edges[f"{source}-{target}"] = (source, target)
                weights[f"{source}-{target}"] = w[np.ix_(rows, columns)]
            if biased and (net.biases[i].any() or target == "y"):
                edges[f"one-{target}"] = ("one", target)
                weights[f"one-{target}"] = net.biases[i][rows][:, None]
    return Graph(nodes, edges), weights


def _report(
    net: Layered,
    x: np.ndarray,
    read: GatePatterns,
    units: list[np.ndarray],
    labels: list[np.ndarray],
    on: list[np.ndarray],
    how: tuple[Merge, Kind, float],
    max_paths: int,
) -> Fidelity:
    """The gated network's answers against the network's own, in passes of bounded memory, and its pathways."""
    cut = _restricted(net, units)
    largest = error = size = 0.0
    changed, same = 0, 0
    for part in net.parts(len(x)):
        own = net.activities(x[part])
        h = x[part]
        for i, slope in enumerate(net.slopes):
            gate = np.zeros(read.on[i][part].shape, dtype=bool)
            gate[:, units[i]] = on[i][part][:, labels[i]]
            changed += int((gate != (own[i + 1] > 0)).sum()) if slope != 1.0 else 0
            h = (h @ cut.weights[i].T + cut.biases[i]) * gate_values(gate[:, units[i]], slope)
        answer = h @ cut.weights[-1].T + cut.biases[-1]
        miss = answer - own[-1]
        largest = max(largest, float(np.abs(miss).max()))
        error, size = error + float((miss**2).sum()), size + float((own[-1] ** 2).sum())
        same += int((answer.argmax(1) == own[-1].argmax(1)).sum())
    found, truncated = strongest(cut.weights, labels, max_paths)
    pathways = tuple(
        Pathway(
            nodes=tuple(_node(i, g) for i, g in enumerate(path)), norm=norm,
            open=float(np.logical_and.reduce([on[i][:, g] for i, g in enumerate(path)]).mean()),
        )
        for path, norm in found
    )  # fmt: skip
    gates = len(x) * sum(net.widths)
    heard = [int((o.any(0) | (slope != 0.0)).sum()) for o, slope in zip(read.on, net.slopes, strict=True)]
    merge, kind, threshold = how
    return Fidelity(
        merge=merge, kind=kind, threshold=threshold, units=net.widths, nodes=tuple(o.shape[1] for o in on),
        dead=tuple(int((~o.any(0)).sum()) for o in read.on),
        faint=tuple(max(h - len(u), 0) for h, u in zip(heard, units, strict=True)),
        always_on=tuple(int(o.all(0).sum()) for o in on),
        members={
            _node(i, g): tuple(int(u) for u in units[i][label == g])
            for i, label in enumerate(labels)
            for g in range(int(label.max()) + 1)
        },
        changed=changed / gates, flagged=sum(int(f.sum()) for f in read.flagged) / gates,
        max_error=largest, relative_error=float(np.sqrt(error / size)) if size else float(error > 0),
        same_answer=same / len(x) if len(net.weights[-1]) > 1 else float("nan"),
        n_paths=int(np.prod([o.shape[1] for o in on], dtype=object)), pathways=pathways, truncated=truncated,
    )  # fmt: skip


def _restricted(net: Layered, units: list[np.ndarray]) -> Layered:
    """The network without the units that are left out."""
    every = [np.arange(net.weights[0].shape[1]), *units, np.arange(len(net.weights[-1]))]
    return Layered(
        weights=tuple(w[np.ix_(every[i + 1], every[i])] for i, w in enumerate(net.weights)),
        biases=tuple(b[every[i + 1]] for i, b in enumerate(net.biases)),
        slopes=net.slopes,
        names=net.names,
    )
