"""Tasks with known answers: XOR and a separable task under every gating, trees, routing between domains, random graphs.

Users import this module as `learnt.gated.tasks`. Every function states how its samples are weighted, because all times
scale with the inverse of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import Columns, Gates, finite, whole
from learnt.gated.gate_patterns import ahead, band, diagonal, gate_matrix, permuted, random_regular
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph
from learnt.gated.hierarchies import tree
from learnt.run.seeds import numpy_generator

__all__ = [
    "ahead", "band", "diagonal", "gate_matrix", "hierarchy", "permuted", "random_dag", "random_regular", "routing",
    "separable", "tree", "xor",
]  # fmt: skip

Gating = Literal["single", "halves", "four"]
CORNERS = ((1.0, 1.0), (-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0))
_GATINGS: dict[str, list[list[float]]] = {
    "single": [[1, 1, 1, 1]],
    "halves": [[1, 0, 1, 0], [0, 1, 0, 1]],  # x1 > 0, x1 < 0
    "four": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
}


def xor(gating: Gating | Any = "four", *, hidden: int = 2) -> GatedTask:
    """The task y = x1 x2 on the four corners (1,1), (-1,-1), (1,-1), (-1,1), each with weight 1/4 (slides 10 to 17).

    Args:
        gating: ``"four"`` pathways, each open for one corner; ``"halves"``: two, for x1 > 0 and x1 < 0; ``"single"``:
            one, always open; or (pathways, 4) gates.
        hidden: units of each pathway.

    Raises:
        InputError, ShapeError, NonFiniteError: another gating, gates of another shape, no units.
    """
    return _corners(np.prod(CORNERS, axis=1), gating, hidden)


def separable(gating: Gating | Any = "four", *, hidden: int = 2) -> GatedTask:
    """The task y = x1 on the same corners and with the same gatings as `xor`; arguments and errors as there."""
    return _corners(np.array(CORNERS)[:, 0], gating, hidden)


def hierarchy(
    levels: int = 2,
    weights: Sequence[float] = (6.0, 4.0, 3.0),
    *,
    hidden: Sequence[int] = (16,),
    weight: float | None = None,
) -> GatedTask:
    """Items of a tree, one-hot, to their features, by a chain of layers without gates; see `learnt.gated.hierarchy`.

    Args:
        levels, weights: depth of the tree, and the worth of a feature of each level.
        hidden: widths of the hidden nodes.
        weight: of each item; None for 1 / items. With 1, s and d are those of the table of features.

    Raises:
        InputError, ShapeError, NonFiniteError: levels and weights that do not fit, widths or a weight not above 0.
    """
    y = tree(levels, weights)
    if not isinstance(hidden, Sequence) or isinstance(hidden, str | bytes):
        raise InputError("hidden", found=repr(hidden)[:60], expected="widths, one for each hidden node: (16,)")
    graph = Graph.chain([len(y), *hidden, y.shape[1]])
    total = 1.0 if weight is None else _positive(weight, "weight") * len(y)
    return GatedTask(graph, {"x": np.eye(len(y))}, {"y": y}, prob_sums_to=total)


def routing(
    M: int | None = None,
    K: Any = None,
    y: Any = None,
    *,
    gate: Any = None,
    x: Any = None,
    hidden: int = 64,
    shared_layers: int = 1,
    in_layers: int = 1,
    out_layers: int = 1,
    weight: float | Literal["mean", "paper", "notebook"] = "mean",
    rotations: int | None = None,
) -> GatedTask:
    """M input domains and M output domains around a shared chain; some pairs of them are trained (slides 18 to 21).

        L = 1/2 w sum_{trained pairs (i, j)} sum_{items} ||y - h_{y_j}||^2        given input domain i

    A sample is a trained pair and an item; the node gates of its two domains are 1, those of the others 0.

    Args:
        M: domains; None if a gate is given.
        K: trained outputs for each input, a band (`band`); or the gate itself.
        y: (n, d_out) targets of the items; if None the tree of the authors' notebooks, 4 items with 7 features.
        gate: (M, M) 0/1, the trained pairs, rows input domains; instead of K.
        x: (n, d_in) items, the same in all domains; one-hot if None.
        hidden: width of all hidden nodes.
        shared_layers, in_layers, out_layers: weight layers of the shared chain, of each encoder, of each decoder.
        weight: w; or ``"mean"`` over trained pairs, 1 / pairs; ``"paper"``: 1 / M^2; ``"notebook"``: 2 / (n d_out),
            the loss of the authors' notebook, a mean over entries. Weights of all samples sum to w n pairs.
        rotations: seed of an orthogonal matrix for each domain, which turns its items or targets; None for none.

    Raises:
        InputError, ShapeError, NonFiniteError: K above M, a gate that is none, both K and a gate, or neither.
    """
    open_pairs = _trained(M, K, gate)
    M = len(open_pairs)
    targets = tree(2, (6.0, 4.0, 3.0)) if y is None else finite(y, "y")
    items = np.eye(len(targets)) if x is None else finite(x, "x")
    if targets.ndim != 2 or items.ndim != 2 or len(items) != len(targets) or not items.size or not targets.size:
        raise ShapeError("x, y", found=f"shapes {items.shape} and {targets.shape}", expected="(n, d_in) and (n, d_out)")
    n = len(items)
    i, j = np.nonzero(open_pairs)
    pairs = len(i)
    if isinstance(weight, str):
        known = {"mean": 1.0 / pairs, "paper": 1.0 / M**2, "notebook": 2.0 / targets.size}
        if weight not in known:
            raise InputError("weight", found=repr(weight), expected="a number, 'mean', 'paper' or 'notebook'")
        w = known[weight]
    else:
        w = _positive(weight, "weight")
    graph = Graph.routing(
        M, items.shape[1], hidden, targets.shape[1], shared_layers, in_layers=in_layers, out_layers=out_layers
    )
    # Targets of the other output domains are 0 as their gates are: one row of zeros serves them all.
    silent = np.concatenate([targets, np.zeros((1, targets.shape[1]))])
    item = np.tile(np.arange(n, dtype=np.int32), pairs)
    item.flags.writeable = False  # so that all domains share it
    target_of = np.repeat(j, n)
    turn = [None] * (2 * M)
    if rotations is not None:
        rng = numpy_generator(rotations, "rotations of domains", M)
        turn = [_rotation(rng, size) for size in [items.shape[1]] * M + [targets.shape[1]] * M]
    xs = {f"x{k}": (_turned(items, turn[k]), item) for k in range(M)}
    ys = {f"y{k}": (_turned(silent, turn[M + k]), np.where(target_of == k, item, n).astype(np.int32)) for k in range(M)}
    table = {f"x{k}": (i == k).astype(float) for k in range(M)} | {f"y{k}": (j == k).astype(float) for k in range(M)}
    gates = Gates(table, np.repeat(np.arange(pairs), n))
    return GatedTask(graph, Columns(xs), Columns(ys), gates, prob_sums_to=w * n * pairs)


def random_dag(seed: int = 0, *, modes: int = 3, contexts: int = 4, items: int = 8) -> GatedTask:
    """A random graph with two inputs, two outputs and skips, whose gates depend on a context and not on the item.

        x_v = V_v z,   y_v = U_v T_v z,   < z z^T > diagonal,   gates of nodes and edges in {0, 1/2, 1} by context

    V_v, U_v random orthogonal, T_v random diagonal: the reduction is exact, whatever the graph and the gates. In
    context 0 everything is open, so that every edge is trained. Weights of samples sum to 1.

    Args:
        seed: of graph, data and gates.
        modes: the dimension of z, and the width of inputs and outputs; hidden nodes are one wider.
        contexts: how many rows of gates.
        items: how many z, at least `modes`.

    Raises:
        InputError: sizes below 1, or fewer items than modes.
    """
    modes, contexts = whole(modes, "modes", 1, 10_000), whole(contexts, "contexts", 1, 1_000_000)
    n = whole(items, "items", modes, 1_000_000)
    rng = numpy_generator(seed, "random dag", modes, contexts, n)
    nodes = {"x0": modes, "x1": modes, "h1": modes + 1, "h2": modes + 1, "h3": modes + 1, "y0": modes, "y1": modes}
    edges = {
        "a": ("x0", "h1"), "b": ("x1", "h1"), "c": ("x1", "h2"), "d": ("h1", "h2"),
        "e": ("h1", "h3"), "f": ("h2", "h3"), "g": ("h3", "y0"), "h": ("h2", "y1"),
    }  # fmt: skip
    skips = {"s1": ("x0", "h3"), "s2": ("h1", "y0"), "s3": ("x1", "y1"), "s4": ("h3", "y1"), "s5": ("x0", "y0")}
    edges |= {name: skips[name] for name in sorted(rng.choice(list(skips), 3, replace=False))}
    graph = Graph(nodes, edges)
    orthonormal = np.linalg.qr(rng.normal(size=(n, modes)))[0]
    z = orthonormal * np.sqrt(n) * rng.uniform(0.5, 1.5, modes)  # < z z^T > is diagonal to the last bit but one
    x = {v: z @ _rotation(rng, modes).T for v in graph.inputs}
    y = {v: (z * rng.uniform(0.5, 3.0, modes)) @ _rotation(rng, modes).T for v in graph.outputs}
    gated = [str(name) for name in rng.choice([*nodes, *edges], 8, replace=False)]
    table = {name: rng.choice([0.0, 0.5, 1.0], contexts, p=[0.35, 0.25, 0.4]) for name in gated}
    for values in table.values():
        values[0] = 1.0
    if contexts > 1:
        table[gated[0]][1] = 0.5  # at least one gate is a fraction
    return GatedTask.from_contexts(graph, x, y, table, context_prob=rng.uniform(0.5, 1.5, contexts))


def _corners(y: np.ndarray, gating: Any, hidden: int) -> GatedTask:
    if isinstance(gating, str):
        if gating not in _GATINGS:
            raise InputError(
                "gating", found=repr(gating), expected=f"one of {', '.join(_GATINGS)}, or (pathways, 4) gates"
            )
        gates = np.array(_GATINGS[gating], dtype=float)
    else:
        gates = finite(gating, "gating")
        if gates.ndim != 2 or gates.shape[1] != 4 or not len(gates):
            raise ShapeError("gating", found=f"shape {gates.shape}", expected="(pathways, 4), a column for each corner")
    graph = Graph.parallel(len(gates), 2, whole(hidden, "hidden", 1), 1)
    return GatedTask(graph, {"x": CORNERS}, {"y": y[:, None]}, {f"h{k}": row for k, row in enumerate(gates)})


def _trained(M: int | None, K: Any, gate: Any) -> np.ndarray:
    if gate is None and K is not None and not isinstance(K, int | float | np.number | str):
        K, gate = None, K
    if (gate is None) == (K is None) or (gate is None and M is None):
        raise InputError("gate", found="neither or both of K and a gate", expected="M and K, or a gate (M, M)")
    if gate is None:
        return band(M, K)  # pyright: ignore[reportArgumentType]
    matrix = gate_matrix(gate)
    if M is not None and whole(M, "M", 1) != len(matrix):
        raise ShapeError("gate", found=f"{len(matrix)} domains", expected=f"{M}")
    return matrix


def _rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random orthogonal matrix, uniformly distributed."""
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    return q * np.sign(np.diag(r))


def _turned(rows: np.ndarray, rotation: np.ndarray | None) -> np.ndarray:
    return rows if rotation is None else rows @ rotation.T


def _positive(value: Any, name: str) -> float:
    number = finite(value, name)
    if number.shape != () or not number > 0:
        raise InputError(name, found=repr(value), expected="a number above 0")
    return float(number)
