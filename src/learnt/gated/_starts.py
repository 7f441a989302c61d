"""Starts of a reduced network: strengths given by the user, and weights of decoupled form that have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import finite, whole

if TYPE_CHECKING:
    from learnt.gated.reduction import Reduction


def started(reduction: Reduction, init: Any) -> tuple[Reduction, np.ndarray]:
    """A reduction that suits the start, and its strengths (edges, N).

    Args:
        reduction: of the task.
        init: a number; strengths by edge; weights (|t|, |s|) by edge; or a model with `weights` by edge.
    """
    weights = _weights_of(init)
    suited = reduction if weights is None else reduction.with_weights(weights)
    b = strengths(reduction, init) if weights is None else np.array(suited.B)
    deepest = max(len(path.edges) for path in reduction.stats.paths)
    if b.size and not float(np.abs(b).max()) < (most := 1e50 ** (1 / deepest)):
        raise InputError(
            "init", found=f"a strength of {np.abs(b).max():.3g}", expected=f"strengths below {most:.3g}",
            remedy="Products along the longest path would leave the range of float64.",
        )  # fmt: skip
    return suited, b


def _weights_of(init: Any) -> Mapping[str, Any] | None:
    """Matrices by edge, if that is what was given."""
    for name in ("weights", "edge_weights"):
        held = getattr(init, name, None)
        if held is not None and not isinstance(init, Mapping):
            held = held() if callable(held) else held
            if isinstance(held, Mapping):
                return {str(e): w for e, w in held.items()}
    if isinstance(init, Mapping) and init and all(getattr(_plain(w), "ndim", 0) == 2 for w in init.values()):
        return init
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return finite(value, "init")
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def strengths(reduction: Reduction, init: Any) -> np.ndarray:
    """(edges, N) strengths; see `Reduction.strengths`."""
    edges, n = reduction.edges, reduction.N
    out = np.zeros((len(edges), n))
    if isinstance(init, Mapping):
        unknown, missing = [e for e in init if e not in edges], [e for e in edges if e not in init]
        if unknown or missing:
            found = f"the unknown edge {unknown[0]!r}" if unknown else f"nothing for {missing[0]!r}"
            raise InputError("init", found=found, expected=f"strengths for each edge: {', '.join(edges[:8])}")
        for k, e in enumerate(edges):
            values = finite(init[e], f"init[{e!r}]")
            if values.shape not in ((), (n,)):
                raise ShapeError(
                    f"init[{e!r}]", found=f"shape {values.shape}", expected=f"one number or ({n},), one a mode",
                    remedy="Give matrices for all edges, or for none.",
                )  # fmt: skip
            out[k] = values
    else:
        if init is None or isinstance(init, str) or callable(init):
            found = "nothing" if init is None else repr(init) if isinstance(init, str) else type(init).__name__
            raise InputError(
                "init", found=found, expected="a strength, strengths or weights by edge, or a GDLN",
                remedy="One number such as 0.1 starts every edge and mode there.",
            )  # fmt: skip
        value = finite(init, "init")
        if value.shape != ():
            raise ShapeError("init", found=f"shape {value.shape}", expected="one number, or a mapping by edge")
        out[:] = value
    trained = reduction.present.any(1)
    out[trained] *= reduction.present[trained]
    return out


def decoupled(reduction: Reduction, b: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """R_t diag(b_e) R_s^T by edge, with random bases of hidden nodes where the reduction has none."""
    rng = np.random.default_rng(whole(seed, "seed", 0))
    graph, edges = reduction.stats.graph, reduction.edges
    middle = dict(reduction.middle)
    out = {e: np.zeros(shape) for e, shape in graph.shapes.items()}
    number = {e: k for k, e in enumerate(edges)}
    for c, some in enumerate(reduction.classes):
        inside = dict.fromkeys(e for p in some for e in reduction.stats.paths[p].edges)
        for e in inside:
            for v in graph.edges[e]:
                if v in graph.inputs or v in graph.outputs or (v, c) in middle:
                    continue
                passing = np.any([reduction.present[number[f]] for f in inside if v in graph.edges[f]], axis=0)
                frame = np.zeros((graph.nodes[v], reduction.N))
                frame[:, passing] = np.linalg.qr(rng.normal(size=(graph.nodes[v], graph.nodes[v])))[0][
                    :, : passing.sum()
                ]
                middle[v, c] = frame
        for e in inside:
            source, target = graph.edges[e]
            left = reduction.write[e] if e in reduction.write else middle[target, c]
            right = reduction.read[e] if e in reduction.read else middle[source, c]
            out[e] = (left * b[number[e]]) @ right.T
    return out
