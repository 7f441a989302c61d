"""What is there to learn, and which pathways does each sample open? Data with gates.

    L = 1/2 sum_i prob_i sum_{v in outputs} ||y_v(i) - h_v(i)||^2      with gates g_v(i), g_e(i) given by sample

Weights of samples sum to 1 unless another sum is stated: every time in this theory scales with their inverse, so a
sum over pathways (the paper's routing) and a mean over samples differ in their speed. Arrays are read-only. Samples
with equal gates form a context; everything about gates is kept by context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import Columns, Gates, finite, frozen, number
from learnt.gated.graph import Graph, _listed, _same_names

_SLICE = 1 << 22  # numbers of one array that a pass over the data holds at a time: 32 MB


@final
@dataclass(frozen=True, eq=False)
class GatedTask:
    """Inputs, targets and gates of P samples for a graph.

    Args:
        graph: the network that is to learn it.
        x: (P, |v|) by input node. float32 stays float32; all else becomes float64.
        y: (P, |v|) by output node. A target counts where the gate of its node is 0, too: make it 0 if there is none.
        gates: (P,) real numbers by node or edge, usually 0 or 1, or one number for all samples; 1 where none is given.
        prob: (P,) weights of the samples, at least 0; equal if None.
        prob_sums_to: the sum that the weights are scaled to; None leaves `prob` as it is.

    Raises:
        InputError, ShapeError, NonFiniteError: unknown or missing names, lengths that differ, NaN, negative weights.
    """

    graph: Graph
    x: Mapping[str, Any]
    y: Mapping[str, Any]
    gates: Any = None
    prob: Any = None
    prob_sums_to: float | None = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.graph, Graph):
            raise InputError("graph", found=type(self.graph).__name__, expected="a Graph")
        _same_names(self.x, self.graph.inputs, "x", "an array for each input node")
        missing = [v for v in self.graph.outputs if isinstance(self.y, Mapping) and v not in self.y]
        if missing:
            raise InputError(
                "y", found=f"no targets for {missing[0]!r}: there is no path from it to an output",
                expected=f"an array for each node without outgoing edges: {_listed(self.graph.outputs)}",
                remedy="Give it targets, or take it out of the graph.",
            )  # fmt: skip
        _same_names(self.y, self.graph.outputs, "y", "an array for each output node")
        x, y = _data(self.graph, self.x, "x"), _data(self.graph, self.y, "y")
        first = self.graph.inputs[0]
        n = x.shape(first)[0]
        for what, v, count in [(k, v, c.shape(v)[0]) for k, c in (("x", x), ("y", y)) for v in c]:
            if count != n:
                raise ShapeError(f"{what}[{v!r}]", found=f"{count} samples", expected=f"{n}, like x[{first!r}]")
        if n == 0:
            raise ShapeError("x", found="no samples", expected="at least one")
        gates = _gates(self.graph, self.gates, n)
        for name, value in (("x", x), ("y", y), ("gates", gates), ("prob", _prob(self.prob, n, self.prob_sums_to))):
            object.__setattr__(self, name, value)

    @classmethod
    def from_contexts(
        cls,
        graph: Graph,
        x: Mapping[str, Any],
        y: Mapping[str, Any],
        contexts: Sequence[Mapping[str, float]] | Mapping[str, Any],
        *,
        prob: Any = None,
        context_prob: Any = None,
        prob_sums_to: float | None = 1.0,
    ) -> GatedTask:
        """Every context shows every item: gates are independent of items; P = C n samples, contexts outermost.

        Args:
            graph: as above.
            x, y: by node, (n, |v|) if the items are the same in all contexts, (C, n, |v|) if not.
            contexts: the gates of each context, by node or edge, 1 where none is given; or (C,) arrays by name.
            prob: (n,) weights of the items; equal if None.
            context_prob: (C,) weights of the contexts; equal if None.
            prob_sums_to: as above; None keeps the products of both.

        Raises:
            InputError, ShapeError, NonFiniteError: as above, and contexts without gates or of different lengths.
        """
        if not isinstance(graph, Graph):
            raise InputError("graph", found=type(graph).__name__, expected="a Graph")
        for what, arrays in (("x", x), ("y", y)):
            if not isinstance(arrays, Mapping):
                raise InputError(what, found=type(arrays).__name__, expected="a mapping by node")
        x = {v: finite(values, f"x[{v!r}]", single=True) for v, values in x.items()}
        table = _context_table(graph, contexts)
        count = len(next(iter(table.values())))
        n = max((values.shape[-2] for values in x.values() if values.ndim > 1), default=0)
        if n == 0:
            raise ShapeError("x", found="no items", expected="(n, units) by input node")
        item = np.tile(np.arange(n), count)
        given = {
            what: Columns({v: _shown(values, f"{what}[{v!r}]", count, n, item) for v, values in arrays.items()})
            for what, arrays in (("x", x), ("y", y))
        }
        weights: Any = None
        if prob is not None or context_prob is not None:
            weights = np.outer(
                np.full(count, 1.0 / count) if context_prob is None else _vector(context_prob, "context_prob", count),
                np.full(n, 1.0 / n) if prob is None else _vector(prob, "prob", n),
            ).ravel()
        gates: Any = Gates(table, np.repeat(np.arange(count), n))
        return cls(graph, given["x"], given["y"], gates, weights, prob_sums_to)

    # -- its size and gates ------------------------------------------------------------------------------

    def __len__(self) -> int:
        """P, the number of samples."""
        return len(self._prob)

    @property
    def total(self) -> float:
        """The sum of the weights of the samples: 1, or what was stated."""
        return float(self._prob.sum())

    @property
    def contexts(self) -> Mapping[str, np.ndarray]:
        """(C,) by node or edge: the gates of each context; empty if no gate was given."""
        return self._gates.table

    @property
    def context_of(self) -> np.ndarray:
        """(P,) the context of each sample, from 0 to C - 1."""
        return self._gates.of

    @property
    def n_contexts(self) -> int:
        """C, the number of different rows of gates; 1 without gates."""
        return self._gates.count

    @cached_property
    def samples_of_context(self) -> np.ndarray:
        """(C,) how many samples each context has."""
        return frozen(np.bincount(self.context_of, minlength=self.n_contexts))

    def samples_in(self, contexts: np.ndarray) -> np.ndarray:
        """Indices of the samples of some contexts: context by context, in ascending order within each."""
        order, starts = self._by_context
        if len(contexts) == self.n_contexts == 1:
            return order
        return np.concatenate([order[starts[c] : starts[c + 1]] for c in contexts])

    @cached_property
    def _by_context(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples by context, and where each context starts among them."""
        return np.argsort(self.context_of, kind="stable"), np.cumsum([0, *self.samples_of_context])

    @property
    def _gates(self) -> Gates:
        gates: Any = self.gates
        return gates

    @property
    def _prob(self) -> np.ndarray:
        prob: Any = self.prob
        return prob

    # -- what a network makes of it ----------------------------------------------------------------------

    def outputs(self, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """(P, |v|) by output node: what the graph answers with these weights; errors as `Graph.forward`."""
        h = self.graph.forward(weights, self.x, self.gates)
        return {v: h[v] for v in self.graph.outputs}

    def loss(self, weights: Mapping[str, Any]) -> float:
        """L at weights (|t|, |s|) by edge, from the samples in bounded memory; errors as `Graph.checked_weights`."""
        w = self.graph.checked_weights(weights)
        total = 0.0
        for part in self.slices():
            x = {v: self._rows("x", v, part) for v in self.graph.inputs}
            gates = {name: values[self.context_of[part]] for name, values in self.contexts.items()}
            h = self.graph.forward(w, x, gates)
            for v in self.graph.outputs:
                miss = self._rows("y", v, part) - h[v]
                total += 0.5 * float(self._prob[part] @ np.einsum("pd,pd->p", miss, miss))
        return total

    def slices(self) -> list[slice]:
        """Parts of the samples, such that the arrays of one part are small."""
        step = max(1, _SLICE // max(self.graph.nodes.values()))
        return [slice(start, min(start + step, len(self))) for start in range(0, len(self), step)]

    def _rows(self, what: str, v: str, which: Any) -> np.ndarray:
        """Rows of x or y of a node, without making the whole array."""
        columns: Any = self.x if what == "x" else self.y
        return columns.rows(v, which)

    def __str__(self) -> str:
        total = f"weights that sum to {self.total:g}"
        return f"{len(self):,} samples in {self.n_contexts:,} contexts, {total}; graph of {self.graph}"


def _data(graph: Graph, given: Mapping[str, Any], what: str) -> Columns:
    """(P, |v|) of each node, checked."""
    if isinstance(given, Columns):
        columns = given
    else:
        columns = Columns({v: (finite(a, f"{what}[{v!r}]", single=True), None) for v, a in given.items()})
    for v in columns:
        shape = columns.shape(v)
        if len(shape) != 2 or shape[1] != graph.nodes[v]:
            raise ShapeError(
                f"{what}[{v!r}]", found=f"shape {shape}", expected=f"(P, {graph.nodes[v]}), samples x units"
            )
    return columns


def _gates(graph: Graph, given: Any, n: int) -> Gates:
    if not isinstance(given, Mapping | None):
        raise InputError("gates", found=type(given).__name__, expected="a mapping by node or edge")
    if isinstance(given, Gates) and len(given.of) == n:
        for name in given:
            _known(graph, name, "gates")
        return given
    table = {}
    for name, values in (given or {}).items():
        _known(graph, name, "gates")
        gate = finite(values, f"gates[{name!r}]")
        if gate.shape not in ((), (n,)):
            raise ShapeError(
                f"gates[{name!r}]",
                found=f"shape {gate.shape}",
                expected=f"({n},), one number for each of the {n} samples",
            )
        table[name] = np.broadcast_to(gate, (n,))
    return Gates(table, np.arange(n) if table else np.zeros(n, dtype=np.int64))


def _context_table(graph: Graph, contexts: Any) -> dict[str, np.ndarray]:
    """(C,) by name, from one mapping of arrays or from a mapping for each context."""
    if isinstance(contexts, Mapping):
        table = {name: finite(values, f"contexts[{name!r}]") for name, values in contexts.items()}
    else:
        listed = isinstance(contexts, Sequence) and not isinstance(contexts, str | bytes)
        given: Any = contexts if listed else (None,)
        if not all(isinstance(context, Mapping) for context in given):
            raise InputError("contexts", found=repr(contexts)[:60], expected="mappings by node or edge, one a context")
        names = list(dict.fromkeys(name for context in given for name in context))
        for name in names:
            for context in given:
                if finite(context.get(name, 1.0), f"contexts: {name!r}").shape != ():
                    raise InputError(f"contexts: {name!r}", found="several numbers", expected="one number a context")
        table = {name: np.array([float(c.get(name, 1.0)) for c in given]) for name in names}
    if not table:
        raise InputError("contexts", found="no gates", expected="gates of at least one node or edge")
    count = np.shape(next(iter(table.values())))
    for name, values in table.items():
        _known(graph, name, "contexts")
        if values.ndim != 1 or values.shape != count or not len(values):
            raise ShapeError(
                f"contexts[{name!r}]", found=f"shape {values.shape}", expected="(C,), one number a context"
            )
    return table


def _known(graph: Graph, name: Any, argument: str) -> None:
    if name not in graph.nodes and name not in graph.edges:
        names = _listed((*graph.nodes, *graph.edges))
        raise InputError(argument, found=f"the unknown name {name!r}", expected=f"a node or edge: {names}")


def _shown(values: Any, name: str, count: int, n: int, item: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows of a node over all contexts and items."""
    array = finite(values, name, single=True)
    if array.ndim == 2 and len(array) == n:
        return array, item
    if array.ndim == 3 and array.shape[:2] == (count, n):
        return array.reshape(count * n, -1), None
    raise ShapeError(
        name, found=f"shape {array.shape}", expected=f"({n}, units) for {n} items, or ({count}, {n}, units)"
    )


def _vector(values: Any, name: str, n: int) -> np.ndarray:
    """(n,) weights, at least 0 and not all 0."""
    array = finite(values, name)
    if array.shape != (n,):
        raise ShapeError(name, found=f"shape {array.shape}", expected=f"({n},), one weight each")
    if (array < 0).any():
        raise InputError(name, found=f"{array.min():g} at {int(array.argmin())}", expected="weights of at least 0")
    if not array.any():
        raise InputError(name, found="only zeros", expected="at least one weight above 0")
    return array


def _prob(given: Any, n: int, total: float | None) -> np.ndarray:
    if total is None:
        if given is None:
            raise InputError("prob_sums_to", found="None without weights", expected="a sum, or prob")
        return frozen(_vector(given, "prob", n))
    if isinstance(total, bool):
        raise InputError("prob_sums_to", found=repr(total), expected="a number above 0, or None")
    wanted = number(total, "prob_sums_to", above=0.0)
    weights = np.full(n, 1.0) if given is None else _vector(given, "prob", n)
    return frozen(weights * (wanted / weights.sum()))
