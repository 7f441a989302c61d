"""Which step size survives, and is learning rich or lazy? The curvature where training ends, and how far it moved.

    lr_max = 2 (1 + momentum) / (lambda + weight_decay);   lambda = the largest second derivative of the reduced loss
    chain of L layers: lambda = L w d (s/d)^(2 - 2/L);  routing in three layers: 3 w K d M^(1/3) (s/d)^(4/3) (spec 1.10)

Modes do not touch each other, so that the Hessian is one small matrix a mode. This is an upper bound for the step of
the whole network: directions that are no modes may curve more.

How lazily a mode is learned is how little its tangent kernel K(t) = sum_e (d gain / d B_e)^2, here of what its paths
explain, changes from the start to the end:  k = c / sqrt(1 - c^2), c = K(0) / K(end). For two layers that start near
zero strength this is the index k = d |lam| / (2 s) of spec 1.6: far below 1 a sigmoid (rich), far above an exponential.

Source: derived for the specification; the bound is the usual one for quadratic losses, with momentum after Polyak 1964.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.gated import _engine
from learnt.gated._starts import started
from learnt.gated.reduction import Reduction
from learnt.gated.solving import _flow, _number, _numbered

_SMALL = 4.0  # a small start is 10^-4 of the final strengths
_PLATEAU = 10.0  # but no smaller than makes a plateau of 10^10 in units of the time to learn
_RICH, _LAZY = 0.1, 10.0
_DOUBLINGS = 80
_FADED = 1e-12


@final
@dataclass(frozen=True, eq=False)
class Regime:
    """How modes will be learned from a start.

    Attributes:
        index: (classes, N) from 0 (rich) to inf (lazy); nan for modes without a target or that never learn.
        words: (classes, N) "rich" below 0.1, "lazy" above 10, "between", or "" where the index is nan.
    """

    index: np.ndarray
    words: np.ndarray


def lr_max(reduction: Reduction, init: Any = None, *, momentum: float = 0.0, weight_decay: float = 0.0) -> float:
    """The largest step with which gradient descent stays where flow ends.

    Args:
        reduction: of the task.
        init: the start, as for `Reduction.solve`; a small one if None.
        momentum, weight_decay: of the descent; Nesterov's momentum has another bound.

    Returns:
        lr; inf if nothing curves.

    Raises:
        NotApplicable: flow does not come to an end.
        InputError: settings that have no meaning.
    """
    beta, decay = _number(momentum, "momentum"), _number(weight_decay, "weight_decay")
    if beta >= 1:
        raise InputError("momentum", found=f"{beta:g}", expected="below 1")
    top = float(curvatures(reduction, init, weight_decay=decay).max(initial=0.0)) + decay
    return 2 * (1 + beta) / top if top > 0 else float("inf")


def curvatures(reduction: Reduction, init: Any = None, *, weight_decay: float = 0.0) -> np.ndarray:
    """(N,) the largest second derivative of the reduced loss where flow ends, over all classes, by mode.

    Arguments and errors as `lr_max`.
    """
    suited, b0 = started(reduction, _small(reduction) if init is None else init)
    e, end = _end(suited, b0, _number(weight_decay, "weight_decay"))
    full = _built(suited, end, symmetric=False)
    matrices = _engine.hessians(full, end[full.first])
    if not np.isfinite(matrices).all():
        raise NotApplicable("init", found="strengths whose products underflow", expected="a larger start")
    return np.linalg.eigvalsh(matrices)[:, -1] if matrices.shape[1] else np.zeros(suited.N)


def regime(reduction: Reduction, init: Any = None) -> Regime:
    """Whether modes will be learned richly or lazily from this start.

    Args:
        reduction: of the task.
        init: the start, as for `Reduction.solve`; None for the weights that the reduction was made with
            (`Reduction.with_weights`), or, without any, for a small start, which is rich wherever layers multiply.

    Raises:
        NotApplicable: flow does not come to an end.
    """
    if init is None and reduction.weight_defects:
        suited, b0 = reduction, np.array(reduction.B)
    else:
        suited, b0 = started(reduction, _small(reduction) if init is None else init)
    _, end = _end(suited, b0, 0.0)
    before, after = _kernel(suited, b0), _kernel(suited, end)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.minimum(before / after, 1.0)
        index = share / np.sqrt(1 - share**2)
    index = np.where((suited.gain > 0) & (after > 0), index, np.nan)
    words = np.select([np.isnan(index), index < _RICH, index > _LAZY], ["", "rich", "lazy"], "between")
    return Regime(index, words)


def _kernel(reduction: Reduction, b: np.ndarray) -> np.ndarray:
    """(classes, N): sum over edges of the squared slope of sum_p B_p S(p)."""
    out = np.zeros((len(reduction.classes), reduction.N))
    number = {e: k for k, e in enumerate(reduction.edges)}
    for c, some in enumerate(reduction.classes):
        slope = np.zeros_like(b)
        for p in some:
            edges = [number[e] for e in reduction.stats.paths[p].edges]
            for k, e in enumerate(edges):
                slope[e] += reduction.S[p] * np.prod(b[edges[:k] + edges[k + 1 :]], axis=0)
        out[c] = (slope**2).sum(0)
    return out


def _small(reduction: Reduction) -> float:
    """A strength far below those at which training ends."""
    lengths = np.array([len(path.edges) for path in reduction.stats.paths], dtype=np.float64)
    final = (np.abs(reduction.target) ** (1 / lengths[:, None])).max(initial=0.0)
    power = min(_SMALL, _PLATEAU / max(float(lengths.max()) - 2, 1.0))
    return 10.0**-power * (float(final) if final > 0 else 1.0)


def _built(reduction: Reduction, b0: np.ndarray, *, symmetric: bool) -> Any:
    pairs = np.column_stack([reduction.D.j, reduction.D.p])
    return _engine.engine(
        _numbered(reduction), reduction.stats.open, pairs, reduction.S, reduction.D.values, b0, symmetric=symmetric
    )


def _end(reduction: Reduction, b0: np.ndarray, decay: float) -> tuple[Any, np.ndarray]:
    """The engine and (edges, N) the strengths at which flow ends: later and later times, until nothing moves.

    Modes without a target are put to 0, which they approach as a power of time, more and more slowly.
    """
    b0 = np.where(_taught(reduction), b0, 0.0)
    e = _built(reduction, b0, symmetric=True)
    b, span = b0[e.first], _span(reduction)
    going = np.asarray(b.any(0))  # modes that still move; one that has ended no longer holds the others back
    for tries in range(_DOUBLINGS + reduction.N):
        if not going.any():
            return e, np.where(e.edge[:, None] >= 0, b[e.edge], b0)
        part = e._replace(S=e.S[:, going], D=e.D[:, going])
        values, _, lost = _flow(part, b[:, going], np.array([0.0, span]), decay, rtol=1e-9, first=True, stiff=tries > 0)
        if lost is not None:
            raise NotApplicable(
                "task", found="strengths that grow without end", expected="modes whose inputs have variance",
                remedy="Take a target from directions in which the input varies.",
            )  # fmt: skip
        if decay:  # what decay takes to nothing shrinks for ever
            values[-1][:, np.abs(values[-1]).max(0) < _FADED * np.abs(b0).max()] = 0.0
        moved = np.abs(values[-1] - b[:, going]).max(0) > 1e-5 * np.abs(values[-1]).max(0)
        b[:, going] = values[-1]
        ended = _ended(reduction, part, b[:, going], decay, moved)
        span = span if ended.any() else 2 * span
        going[going] = ~ended
    raise NotApplicable(
        "init", found="a start from which flow has not ended in any time tried", expected="one that is no saddle",
        remedy="Start all strengths above 0.",
    )  # fmt: skip


def _ended(reduction: Reduction, e: Any, b: np.ndarray, decay: float, moved: np.ndarray) -> np.ndarray:
    """(N,) whether the terms of every slope cancel, or nothing moved; on a plateau nothing cancels."""
    slope = _engine.descent_direction(e)(b) - decay * b
    apart = _engine.descent_direction(e._replace(S=-np.abs(e.S), D=np.abs(e.D)))(np.abs(b))
    size = np.abs(apart) + decay * np.abs(b)
    growing = ((slope * b > 0) & (np.abs(slope) > 1e-3 * size)).any(0)
    out = np.asarray(~growing)
    paths, number = reduction.stats.paths, {f: k for k, f in enumerate(reduction.edges)}
    for kinds in {
        tuple(sorted({int(e.edge[number[f]]) for p in some for f in paths[p].edges})) for some in reduction.classes
    }:
        at = list(kinds)
        out = out & (np.abs(slope[at]) <= 1e-7 * size[at].max(0, initial=0.0)).all(0)
    return out | (~moved & ~growing)


def _taught(reduction: Reduction) -> np.ndarray:
    """(edges, N) whether a mode has a target on a path through an edge."""
    out = np.zeros((len(reduction.edges), reduction.N), dtype=bool)
    number = {e: k for k, e in enumerate(reduction.edges)}
    size = np.abs(reduction.S).max(initial=0.0)
    for p in reduction.stats.open:
        for e in reduction.stats.paths[p].edges:
            out[number[e]] |= np.abs(reduction.S[p]) > 1e-9 * size
    return out


def _span(reduction: Reduction) -> float:
    """A first guess of how long learning takes: the inverse of the smallest strength to be learned."""
    size = np.array([np.abs(reduction.S[list(some)]).max(0) for some in reduction.classes])
    kept = size[size > 1e-9 * size.max(initial=0.0)]
    return 10.0 / float(kept.min()) if kept.size else 1.0
