"""A gated deep linear network as a torch module, and the weights that it may start from.

    h_v = g_v sum_{e: t(e)=v} g_e W_e h_{s(e)},   W_e of shape |t(e)| x |s(e)|, no biases     (see `learnt.gated.graph`)

Two starts: `orthogonal`, random W_e with all singular values equal to a gain (the paper's simulations), and
`decoupled`, the aligned start under which the reduction is exact,

    W_e(0) = R_{t(e)} B_e R_{s(e)}^T,   B_e diagonal,  R_v^T R_v = I,   R_v = V_v at inputs, U_v at outputs,

random R_v at hidden nodes. Modes of pathways that do not meet may have bases of their own, so that bases are given by
interaction class. Saxe, Sodhani, Lewallen 2022 (arXiv 2207.10430), slide 9 and notebook 1 of the authors' repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch import nn

from learnt.core.errors import InputError, ShapeError
from learnt.gated._asked import dtype_of
from learnt.gated._frozen import finite, number
from learnt.gated.graph import Graph, _listed
from learnt.run.seeds import numpy_generator

Weights = Mapping[str, np.ndarray]


@final
class GDLN(nn.Module):
    """A gated deep linear network.

    Args:
        graph: its nodes and edges.
        weights: (|t|, |s|) by edge; orthogonal with gain 1 and seed 0 if None.
        dtype: of the weights.

    Raises:
        InputError, ShapeError, NonFiniteError: weights that are not those of the graph.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Any] | None = None, *, dtype: torch.dtype = torch.float64):
        nn.Module.__init__(self)
        if not isinstance(graph, Graph):
            raise InputError("graph", found=type(graph).__name__, expected="a Graph")
        self.graph = graph
        dtype = dtype_of(dtype)
        start = orthogonal(graph) if weights is None else graph.checked_weights(weights)
        # a list, because the name of an edge may be no name of an attribute
        self.edges = nn.ParameterList([nn.Parameter(torch.tensor(start[e], dtype=dtype)) for e in graph.edges])

    def __deepcopy__(self, memo: dict[int, Any]) -> GDLN:
        """A copy of the weights; the graph cannot change and is shared."""
        first = next(iter(self.edges))
        copied = GDLN(self.graph, self.weights(), dtype=first.dtype).to(first.device)
        copied.training = self.training
        for mine, theirs in zip(copied.edges, self.edges, strict=True):
            mine.requires_grad_(theirs.requires_grad)
        memo[id(self)] = copied
        return copied

    def weights(self) -> dict[str, np.ndarray]:
        """(|t|, |s|) float64 copies by edge, as the theory takes them."""
        return {e: p.detach().cpu().double().numpy().copy() for e, p in zip(self.graph.edges, self.edges, strict=True)}

    def forward(
        self, x: Mapping[str, torch.Tensor], gates: Mapping[str, torch.Tensor | float] | None = None
    ) -> dict[str, torch.Tensor]:
        """What the network answers.

        Args:
            x: (B, |v|) by input node, tensors or arrays, of any device.
            gates: (B,) or one number, by node or edge; 1 where none is given.

        Returns:
            (B, |v|) by output node, of the type and on the device of the weights.

        Raises:
            InputError, ShapeError: unknown or missing names, lengths that differ.
        """
        graph, first = self.graph, next(iter(self.edges))
        x = {v: _tensor(values, f"x[{v!r}]") for v, values in x.items()} if isinstance(x, Mapping) else x
        n = _batch(graph, x)
        if not isinstance(gates, Mapping | None):
            raise InputError("gates", found=type(gates).__name__, expected="a mapping by node or edge")
        on = {name: _gate(graph, name, g, n, first) for name, g in (gates or {}).items()}
        w = dict(zip(graph.edges, self.edges, strict=True))
        h: dict[str, torch.Tensor] = {}
        for v in graph.order:
            if v in x:
                total = x[v].to(first)
            else:
                parts = []
                for e in graph.incoming[v]:
                    part = h[graph.edges[e][0]] @ w[e].mT
                    parts.append(part * on[e] if e in on else part)
                total = sum(parts[1:], parts[0])
            h[v] = total * on[v] if v in on else total
        return {v: h[v] for v in graph.outputs}

    def extra_repr(self) -> str:
        """The graph in words."""
        return str(self.graph)


def orthogonal(graph: Graph, gain: float = 1.0, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights by edge, (|t|, |s|), each with all singular values equal to `gain`.

    Args:
        graph: the network.
        gain: at least 0.
        seed: each edge draws from (seed, "orthogonal", edge), so that another edge changes none.

    Raises:
        InputError, NonFiniteError: no graph, or a gain below 0.
    """
    if not isinstance(graph, Graph):
        raise InputError("graph", found=type(graph).__name__, expected="a Graph")
    size, found = number(gain, "gain", least=0.0), {}
    for e, (rows, columns) in graph.shapes.items():
        rng = numpy_generator(seed, "orthogonal", e)
        found[e] = size * (_columns(rng, rows, columns) if rows >= columns else _columns(rng, columns, rows).T)
    return found


def decoupled(graph: Graph, bases: Any, strength: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights under which every mode runs by itself from the start (A2 of the reduction).

    Args:
        graph: the network.
        bases: (|v|, N) orthonormal columns by input and output node, if all paths share them; hidden nodes may be
            among them, and are drawn at random if not. Or pairs of (edges, bases by node), one for each class of edges
            whose paths meet; or a `Reduction`.
        strength: the diagonal of B_e, one number or (N,) for all edges, or a mapping by edge.
        seed: of the bases of hidden nodes.

    Returns:
        (|t|, |s|) by edge; zeros for an edge in no class.

    Raises:
        InputError, ShapeError: bases that are missing, of the wrong shape or not orthonormal; a hidden node with fewer
            units than modes.
    """
    if not isinstance(graph, Graph):
        raise InputError("graph", found=type(graph).__name__, expected="a Graph")
    classes = _classes(graph, bases)
    if isinstance(strength, Mapping) and (missing := [e for edges, _ in classes for e in edges if e not in strength]):
        raise InputError(
            "strength", found=f"nothing for {missing[0]!r}", expected="a strength for each edge of a class"
        )
    weights = {e: np.zeros(shape) for e, shape in graph.shapes.items()}
    seen: set[str] = set()
    for k, (edges, given) in enumerate(classes):
        if again := [e for e in edges if e in seen]:
            raise InputError("bases", found=f"the edge {again[0]!r} in two classes", expected="each edge in one class")
        seen.update(edges)
        full = _completed(graph, edges, given, numpy_generator(seed, "decoupled", k))
        modes = next(iter(full.values())).shape[1]
        for e in edges:
            source, target = graph.edges[e]
            diagonal = finite(strength[e] if isinstance(strength, Mapping) else strength, f"strength of {e!r}")
            if diagonal.shape not in ((), (modes,)):
                raise ShapeError(
                    f"strength of {e!r}", found=f"shape {diagonal.shape}", expected=f"one number or ({modes},), by mode"
                )
            weights[e] = (full[target] * diagonal) @ full[source].T
    return weights


def _columns(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """(size, count) random orthonormal columns, uniformly distributed."""
    q, r = np.linalg.qr(rng.normal(size=(size, count)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def _classes(graph: Graph, bases: Any) -> list[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Edges and bases by node of each class."""
    if hasattr(bases, "edge_classes"):
        bases = bases.edge_classes()
    if isinstance(bases, Mapping):
        return [(tuple(graph.edges), bases)]
    pairs: list[Any] = list(bases) if isinstance(bases, tuple | list) else [None]
    if not all(isinstance(p, tuple | list) and len(p) == 2 and isinstance(p[1], Mapping) for p in pairs):
        raise InputError(
            "bases", found=type(bases).__name__, expected="bases by node, pairs of edges and bases, or a Reduction"
        )
    found = []
    for edges, by_node in pairs:
        if unknown := [e for e in edges if e not in graph.edges]:
            raise InputError("bases", found=f"the unknown edge {unknown[0]!r}", expected=_listed(graph.edges))
        found.append((tuple(edges), by_node))
    return found


def _completed(
    graph: Graph, edges: tuple[str, ...], given: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """(|v|, N) by node of these edges: the given ones, checked, and random ones for hidden nodes."""
    nodes = list(dict.fromkeys(v for e in edges for v in graph.edges[e]))
    ends = {*graph.inputs, *graph.outputs}
    full: dict[str, np.ndarray] = {}
    for v in nodes:
        if v in given:
            full[v] = finite(given[v], f"bases[{v!r}]")
        elif v in ends:
            raise InputError("bases", found=f"none for {v!r}", expected="a basis for each input and output node")
    counts = {basis.shape[1] if basis.ndim == 2 else -1 for basis in full.values()}
    if len(counts) != 1 or -1 in counts:
        shapes = ", ".join(f"{v} {basis.shape}" for v, basis in full.items())
        raise ShapeError("bases", found=f"shapes {shapes or 'none'}", expected="(|v|, N) with one N for all nodes")
    modes = counts.pop()
    for v in nodes:
        if v not in full:
            if graph.nodes[v] < modes:
                raise InputError(
                    "graph", found=f"the hidden node {v!r} with {graph.nodes[v]} unit(s)",
                    expected=f"at least {modes}, one for each mode",
                )  # fmt: skip
            full[v] = _columns(rng, graph.nodes[v], modes)
        basis = full[v]
        if basis.shape != (graph.nodes[v], modes) or not np.allclose(basis.T @ basis, np.eye(modes), atol=1e-8):
            raise ShapeError(
                f"bases[{v!r}]", found=f"shape {basis.shape}, or columns that are not orthonormal",
                expected=f"({graph.nodes[v]}, {modes}) with orthonormal columns",
            )  # fmt: skip
    return full


def _batch(graph: Graph, x: Any) -> int:
    """B; raises unless x has an array for each input node and all agree."""
    given = list(x) if isinstance(x, Mapping) else None
    if given is None or set(given) != set(graph.inputs):
        raise InputError(
            "x", found=type(x).__name__ if given is None else f"the names {_listed(map(str, given))}",
            expected=f"a tensor for each input node: {_listed(graph.inputs)}",
        )  # fmt: skip
    n = len(x[graph.inputs[0]]) if x[graph.inputs[0]].ndim else 0
    for v in graph.inputs:
        if tuple(x[v].shape) != (n, graph.nodes[v]):
            raise ShapeError(f"x[{v!r}]", found=f"shape {tuple(x[v].shape)}", expected=f"({n}, {graph.nodes[v]})")
    return n


def _tensor(values: Any, name: str) -> torch.Tensor:
    """Tensors as they are, anything else copied: arrays of a task cannot be written to, which torch warns of."""
    return values if isinstance(values, torch.Tensor) else torch.from_numpy(finite(values, name).copy())


def _gate(graph: Graph, name: str, values: Any, n: int, like: torch.Tensor) -> torch.Tensor:
    """(n, 1), or a number without axes."""
    if name not in graph.nodes and name not in graph.edges:
        raise InputError("gates", found=f"the unknown name {name!r}", expected="nodes or edges of the graph")
    gate = _tensor(values, f"gates[{name!r}]").to(like)
    if tuple(gate.shape) not in ((), (n,)):
        raise ShapeError(f"gates[{name!r}]", found=f"shape {tuple(gate.shape)}", expected=f"({n},), one an example")
    return gate.unsqueeze(-1) if gate.ndim else gate
