"""What may a gated network be? A directed acyclic graph of linear maps, whose nodes and edges have gates.

    h_v = g_v x_v                                       for inputs v: nodes without incoming edges
    h_v = g_v sum_{e: t(e)=v} g_e W_e h_{s(e)}          otherwise;  W_e has shape |t(e)| x |s(e)|, no biases
    path p = consecutive edges from an input s(p) to an output t(p);  W_p = product of its W_e, last edge leftmost
    g_p = g_{s(p)} prod_{e in p} g_e g_{t(e)}           h_v = sum_{p ending in v} g_p W_p x_{s(p)}   at outputs v

Saxe, Sodhani, Lewallen 2022 (arXiv 2207.10430), slides 4 to 8 of the authors' repository. A bias is an input of width 1
that is always 1. Gates belong to the data (`GatedTask`), not to the graph. Several edges may join the same two nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.gated._frozen import FrozenMap, finite, whole

MAX_PATHS = 100_000


@final
@dataclass(frozen=True)
class Path:
    """Consecutive edges from an input to an output, in the order in which a signal takes them."""

    edges: tuple[str, ...]
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}:{'>'.join(self.edges)}:{self.target}"


@final
@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph of linear maps.

    Args:
        nodes: the number of units of each node.
        edges: the source and the target of each edge; a mapping, or pairs of a name and (source, target).

    Raises:
        InputError: an unknown node, two edges of one name, a name that a node and an edge share, a cycle, or a node
            that lies on no path from an input to an output.
    """

    nodes: Mapping[str, int]
    edges: Mapping[str, tuple[str, str]]

    def __post_init__(self) -> None:
        nodes = {_name(v, "nodes"): whole(size, f"nodes[{v!r}]", 1) for v, size in _items(self.nodes, "nodes")}
        edges: dict[str, tuple[str, str]] = {}
        for name, ends in _items(self.edges, "edges"):
            edges[_name(name, "edges")] = _ends(ends, name, nodes)
        if shared := [name for name in edges if name in nodes]:
            raise InputError(
                "edges", found=f"{shared[0]!r}, which is a node too", expected="names of their own",
                remedy="Gates go by name."
            )  # fmt: skip
        joined = {end for ends in edges.values() for end in ends}
        if alone := [v for v in nodes if v not in joined]:
            raise InputError(
                "nodes", found=f"{alone[0]!r} without any edge: there is no path from it to an output",
                expected="nodes on paths from inputs to outputs"
            )  # fmt: skip
        if not nodes:
            raise InputError("nodes", found="none", expected="at least an input, an output and an edge")
        object.__setattr__(self, "nodes", FrozenMap(nodes))
        object.__setattr__(self, "edges", FrozenMap(edges))
        _ = self.order

    # -- usual graphs ------------------------------------------------------------------------------------

    @classmethod
    def chain(cls, dims: Iterable[int]) -> Graph:
        """A deep linear network: nodes x, h1, h2, ..., y of these widths; edges w1, w2, ...

        Raises:
            InputError: fewer than two widths, or one that is no integer of at least 1.
        """
        if not isinstance(dims, Iterable) or isinstance(dims, str | bytes | Mapping) or getattr(dims, "ndim", 1) == 0:
            raise InputError("dims", found=repr(dims)[:60], expected="widths, input first: [4, 16, 3]")
        sizes = [whole(d, f"dims[{i}]", 1) for i, d in enumerate(dims)]
        if len(sizes) < 2:
            raise InputError(
                "dims", found=f"{len(sizes)} width(s)", expected="at least that of the input and the output"
            )
        names = ["x", *(f"h{i}" for i in range(1, len(sizes) - 1)), "y"]
        steps = zip(names, names[1:], strict=False)
        return cls(dict(zip(names, sizes, strict=True)), {f"w{i}": ends for i, ends in enumerate(steps, 1)})

    @classmethod
    def parallel(cls, k: int, d_in: int, h: int, d_out: int) -> Graph:
        """Pathways of two layers that share nothing: x -in0-> h0 -out0-> y, x -in1-> h1 -out1-> y, ...

        Args:
            k: pathways.
            d_in, h, d_out: units of the input, of each hidden node, of the output.

        Raises:
            InputError: a number below 1.
        """
        k = whole(k, "k", 1, MAX_PATHS)
        nodes = {"x": d_in, **{f"h{i}": h for i in range(k)}, "y": d_out}
        edges = {
            name: ends for i in range(k) for name, ends in ((f"in{i}", ("x", f"h{i}")), (f"out{i}", (f"h{i}", "y")))
        }
        return cls(nodes, edges)

    @classmethod
    def routing(
        cls, M: int, d_in: int, h: int, d_out: int, shared_layers: int = 1, *, in_layers: int = 1, out_layers: int = 1
    ) -> Graph:
        """M encoders, one shared chain, M decoders: x{i} -in{i}-> h1 -hid-> h2 -out{j}-> y{j}.

        Args:
            M: input domains x0, x1, ... and output domains y0, y1, ...
            d_in, h, d_out: widths of inputs, of all hidden nodes, and of outputs.
            shared_layers: weight layers of the shared chain; with several of them edges are called hid1, hid2, ...
            in_layers, out_layers: weight layers of each encoder and decoder; then in{i}_1, in{i}_2, ..., out{j}_1, ...

        Raises:
            InputError: a number below 1 (shared_layers: below 0).
        """
        M, shared = whole(M, "M", 1, 10_000), whole(shared_layers, "shared_layers", 0, 10_000)
        before, after = whole(in_layers, "in_layers", 1, 10_000), whole(out_layers, "out_layers", 1, 10_000)
        nodes: dict[str, int] = {f"x{i}": d_in for i in range(M)}
        nodes |= {f"x{i}_{k}": h for i in range(M) for k in range(1, before)}
        nodes |= {f"h{k}": h for k in range(1, shared + 2)}
        nodes |= {f"y{j}_{k}": h for j in range(M) for k in range(1, after)}
        nodes |= {f"y{j}": d_out for j in range(M)}
        edges: dict[str, tuple[str, str]] = {}
        for i in range(M):
            edges |= _steps(f"in{i}", "_", [f"x{i}", *(f"x{i}_{k}" for k in range(1, before)), "h1"])
        edges |= _steps("hid", "", [f"h{k}" for k in range(1, shared + 2)])
        for j in range(M):
            edges |= _steps(f"out{j}", "_", [f"h{shared + 1}", *(f"y{j}_{k}" for k in range(1, after)), f"y{j}"])
        return cls(nodes, edges)

    # -- structure ---------------------------------------------------------------------------------------

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Nodes without incoming edges."""
        fed = {target for _, target in self.edges.values()}
        return tuple(v for v in self.nodes if v not in fed)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Nodes without outgoing edges."""
        read = {source for source, _ in self.edges.values()}
        return tuple(v for v in self.nodes if v not in read)

    @cached_property
    def incoming(self) -> Mapping[str, tuple[str, ...]]:
        """The edges into each node."""
        return _by_node(self, 1)

    @cached_property
    def outgoing(self) -> Mapping[str, tuple[str, ...]]:
        """The edges out of each node."""
        return _by_node(self, 0)

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, int]]:
        """The shape of the weights of each edge: units of the target, units of the source."""
        return FrozenMap({e: (self.nodes[t], self.nodes[s]) for e, (s, t) in self.edges.items()})

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All nodes, each after those that feed it."""
        missing = {v: len(self.incoming[v]) for v in self.nodes}
        done = [v for v in self.nodes if not missing[v]]
        for v in done:  # grows while it is read
            for e in self.outgoing[v]:
                target = self.edges[e][1]
                missing[target] -= 1
                if not missing[target]:
                    done.append(target)
        if len(done) < len(self.nodes):
            raise InputError(
                "edges", found=f"a cycle through {' -> '.join(_cycle(self, set(done)))}",
                expected="a directed acyclic graph",
                remedy="Weights that a signal passes more than once (recurrence, tied layers) are not covered.",
            )  # fmt: skip
        return tuple(done)

    @cached_property
    def n_paths(self) -> int:
        """The number of paths from inputs to outputs, counted without listing them."""
        count: dict[str, int] = {}
        for v in reversed(self.order):
            count[v] = sum(count[self.edges[e][1]] for e in self.outgoing[v]) if self.outgoing[v] else 1
        return sum(count[v] for v in self.inputs)

    def paths(self, max_paths: int = MAX_PATHS) -> tuple[Path, ...]:
        """All paths, listed once: by input, then by the edges in the order in which they were given.

        Raises:
            NotApplicable: the graph has more than `max_paths` of them.
        """
        if self.n_paths > whole(max_paths, "max_paths", 1):
            raise NotApplicable(
                "graph", found=f"{self.n_paths:,} paths", expected=f"at most {max_paths:,}",
                remedy="Use learnt.gated.context_reduction, which lists none, or state a larger max_paths.",
            )  # fmt: skip
        return self._paths

    @cached_property
    def _paths(self) -> tuple[Path, ...]:
        found: list[Path] = []
        for source in self.inputs:
            stack: list[tuple[str, tuple[str, ...]]] = [(source, ())]
            while stack:
                v, taken = stack.pop()
                if not self.outgoing[v]:
                    found.append(Path(taken, source, v))
                stack.extend((self.edges[e][1], (*taken, e)) for e in reversed(self.outgoing[v]))
        return tuple(found)

    # -- what it computes --------------------------------------------------------------------------------

    def checked_weights(self, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The weights as float64 arrays (|t|, |s|) of all edges; InputError, ShapeError or NonFiniteError otherwise."""
        _same_names(weights, self.edges, "weights", "an array for each edge")
        out = {}
        for e, shape in self.shapes.items():
            out[e] = finite(weights[e], f"weights[{e!r}]")
            if out[e].shape != shape:
                source, target = self.edges[e]
                raise ShapeError(
                    f"weights[{e!r}]", found=f"shape {out[e].shape}",
                    expected=f"{shape}, units of {target!r} x units of {source!r}",
                )  # fmt: skip
        return out

    def path_weights(self, weights: Mapping[str, np.ndarray], path: Path) -> np.ndarray:
        """(|t|, |s|): the product of the weights along a path, last edge leftmost; weights by edge, as checked."""
        product = weights[path.edges[0]]
        for e in path.edges[1:]:
            product = weights[e] @ product
        return product

    def forward(
        self, weights: Mapping[str, Any], x: Mapping[str, Any], gates: Mapping[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """The activity (P, |v|) of every node, float64.

        Args:
            weights: (|t|, |s|) by edge.
            x: (P, |v|) by input node.
            gates: (P,) or one number, by node or edge; 1 where none is given.

        Raises:
            InputError, ShapeError, NonFiniteError: on anything else.
        """
        w = self.checked_weights(weights)
        _same_names(x, self.inputs, "x", "an array for each input node")
        data = {v: finite(x[v], f"x[{v!r}]") for v in self.inputs}
        n = len(data[self.inputs[0]]) if data[self.inputs[0]].ndim else 0
        for v, values in data.items():
            if values.shape != (n, self.nodes[v]):
                raise ShapeError(
                    f"x[{v!r}]", found=f"shape {values.shape}", expected=f"({n}, {self.nodes[v]}), samples x units"
                )
        if not isinstance(gates, Mapping | None):
            raise InputError("gates", found=type(gates).__name__, expected="a mapping by node or edge")
        on = {name: _gate(self, name, values, n) for name, values in (gates or {}).items()}
        out: dict[str, np.ndarray] = {}
        for v in self.order:
            if v in data:
                h = data[v]
            else:
                h = np.zeros((n, self.nodes[v]))
                for e in self.incoming[v]:
                    part = out[self.edges[e][0]] @ w[e].T
                    h += part * on[e] if e in on else part
            out[v] = h * on[v] if v in on else h
        return out

    def __str__(self) -> str:
        return f"{len(self.nodes)} nodes, {len(self.edges)} edges, {self.n_paths:,} path{'s' * (self.n_paths != 1)}"


def _items(given: Any, argument: str) -> list[tuple[Any, Any]]:
    """Names and values of a mapping or of pairs; no name twice."""
    try:
        pairs = [(name, value) for name, value in (given.items() if isinstance(given, Mapping) else given)]
    except (TypeError, ValueError) as error:
        raise InputError(
            argument, found=repr(given)[:60], expected="a mapping by name, or pairs of name and value"
        ) from error
    seen: set[Any] = set()
    for name, _ in pairs:
        if not isinstance(name, str) or name in seen:
            found = f"{name!r} twice" if name in seen else f"the name {name!r}"
            raise InputError(argument, found=found, expected="text, each name once")
        seen.add(name)
    return pairs


def _name(name: str, argument: str) -> str:
    if not name:
        raise InputError(argument, found="an empty name", expected="text")
    return name


def _ends(ends: Any, name: str, nodes: Mapping[str, int]) -> tuple[str, str]:
    if isinstance(ends, str) or not isinstance(ends, tuple | list) or len(ends) != 2:
        raise InputError(f"edges[{name!r}]", found=repr(ends)[:60], expected="(source, target)")
    for end in ends:
        if not isinstance(end, str) or end not in nodes:
            raise InputError(f"edges[{name!r}]", found=f"the unknown node {end!r}", expected=f"one of {_listed(nodes)}")
    return ends[0], ends[1]


def _by_node(graph: Graph, end: int) -> FrozenMap[tuple[str, ...]]:
    """The edges that have each node as their source (0) or target (1)."""
    found: dict[str, list[str]] = {v: [] for v in graph.nodes}
    for e, ends in graph.edges.items():
        found[ends[end]].append(e)
    return FrozenMap({v: tuple(edges) for v, edges in found.items()})


def _steps(stem: str, joint: str, nodes: list[str]) -> dict[str, tuple[str, str]]:
    """Edges from node to node; numbered if there are several."""
    steps = list(zip(nodes, nodes[1:], strict=False))
    return {stem if len(steps) == 1 else f"{stem}{joint}{k}": ends for k, ends in enumerate(steps, 1)}


def _cycle(graph: Graph, done: set[str]) -> list[str]:
    """Nodes of one cycle, the first again at the end: walk backwards until a node comes again."""
    v = next(v for v in graph.nodes if v not in done)
    walk: list[str] = []
    while v not in walk:
        walk.append(v)
        v = next(s for s in (graph.edges[e][0] for e in graph.incoming[v]) if s not in done)
    return [v, *reversed(walk[walk.index(v) :])]


def _same_names(given: Any, wanted: Iterable[str], argument: str, expected: str) -> None:
    """InputError unless the mapping has exactly these names."""
    wanted = tuple(wanted)
    if not isinstance(given, Mapping):
        raise InputError(argument, found=type(given).__name__, expected=f"a mapping with {expected}")
    unknown, missing = [n for n in given if n not in wanted], [n for n in wanted if n not in given]
    if unknown or missing:
        found = f"the unknown name {unknown[0]!r}" if unknown else f"nothing for {missing[0]!r}"
        raise InputError(argument, found=found, expected=f"{expected}: {_listed(wanted)}")


def _gate(graph: Graph, name: str, values: Any, n: int) -> np.ndarray | float:
    """(n, 1) or a number."""
    if name not in graph.nodes and name not in graph.edges:
        raise InputError("gates", found=f"the unknown name {name!r}", expected="nodes or edges of the graph")
    gate = finite(values, f"gates[{name!r}]")
    if gate.shape not in ((), (n,)):
        raise ShapeError(f"gates[{name!r}]", found=f"shape {gate.shape}", expected=f"({n},), one number a sample")
    return float(gate) if gate.ndim == 0 else gate[:, None]


def _listed(names: Iterable[str], most: int = 8) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f", ... ({len(names)})" if len(names) > most else "")
