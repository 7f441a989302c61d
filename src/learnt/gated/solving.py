"""What will a gated network learn, and how fast? The reduced dynamics, solved.

    flow      dB/dt = -dL/dB - weight_decay B                          DOP853, relative tolerance 1e-11
    descent   g = dL/dB + weight_decay B;  v = momentum v + g;  B = B - lr v          (v = g at the first step)
              with Nesterov's momentum B = B - lr (g + momentum v): torch.optim.SGD, full batch

Gradients, momentum and decay act alike on every entry of a weight matrix and are sums of products of matrices: they
keep the form R_t B R_s^T: the recursion in B is the network's own, step by step (spec 1.5, derived there). Steps
scaled for each coordinate (Adam, RMSprop, Adagrad, sign descent, clipping by value) depend on the coordinates: they
turn with no rotation of the weights, and the modes mix. Flow conserves, at each hidden node and in each mode, the sum
of B^2 of incoming edges minus that of outgoing ones; the solution is checked against it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from learnt.core.errors import InputError, LearntError, NotApplicable
from learnt.gated import _engine
from learnt.gated._frozen import FrozenMap, finite, flag, frozen, whole
from learnt.gated._starts import started
from learnt.gated.reduction import Reduction
from learnt.gated.trajectory import Trajectory

_LOST = 1e100  # strengths beyond are counted as diverged
MAX_KEPT = 500_000_000  # strengths of all steps of descent: 4 GB
_LOOK = 64  # steps between looks at them
_IMPLICIT = 500  # strengths at once for which an implicit step is cheap
_PIECES = 50  # times that flow may begin anew
_SETTLED = 1e-9  # share of every S that may still be missing when flow is called finished


class UnsupportedOptimizer(LearntError, ValueError):
    """An optimiser under which the modes do not stay apart."""


def solve(
    reduction: Reduction,
    init: Any,
    method: str = "flow",
    *,
    t: Any = None,
    lr: float | None = None,
    steps: int | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    optimizer: str = "sgd",
    full_batch: bool = True,
    require_exact: bool = False,
    symmetric: bool = True,
) -> Trajectory:
    """Predicts a training run on the squared loss.

    Args:
        reduction: of the task.
        init: the start: one strength for all edges and modes, strengths by edge ((N,) or a number), weights (|t|, |s|)
            by edge, or a model that has them (`weights` by edge). Weights are decoupled if they can be.
        method: "flow" or "gd".
        t: flow: the time to end at, or increasing times from 0 on.
        lr: descent: the step size.
        steps: descent: the number of steps.
        momentum, weight_decay, nesterov: of torch.optim.SGD; flow takes weight_decay only.
        optimizer: "sgd"; others are refused.
        full_batch: False if the run will use batches: the prediction then is one of the mean, to first order.
        require_exact: refuse where the prediction is not exact.
        symmetric: move one of all edges that start and stay equal; the same numbers, sooner.

    Raises:
        UnsupportedOptimizer: an optimiser whose steps depend on the coordinates.
        AssumptionError: `require_exact`, and an assumption does not hold.
        InputError, ShapeError, NonFiniteError: settings that have no meaning.
        NotApplicable: more steps than memory holds.

    Warns:
        RuntimeWarning: from this start some modes can never be learned.
    """
    if not isinstance(reduction, Reduction):
        raise InputError("reduction", found=type(reduction).__name__, expected="a Reduction, made by reduce")
    _known_optimiser(method, optimizer)
    decay = _number(weight_decay, "weight_decay")
    nesterov, full_batch = flag(nesterov, "nesterov"), flag(full_batch, "full_batch")
    require_exact, symmetric = flag(require_exact, "require_exact"), flag(symmetric, "symmetric")
    suited, b0 = started(reduction, init)
    if require_exact:
        suited.require_exact()
        if not full_batch:
            raise InputError("full_batch", found="False with require_exact", expected="the full batch")
    notes = [*suited.caveats]
    if not full_batch:
        notes.append("batches: only the mean of many runs is predicted, to first order in the step")
    if saddle := _stuck(suited, b0):
        notes.append(saddle)
        warnings.warn(saddle, RuntimeWarning, stacklevel=2)
    paths = _numbered(suited)
    pairs = np.column_stack([suited.D.j, suited.D.p])
    e = _engine.engine(paths, suited.stats.open, pairs, suited.S, suited.D.values, b0, symmetric=symmetric)
    idle = b0[e.edge < 0]
    steps_: np.ndarray | None = None
    between: Callable[[float], np.ndarray] | None = None
    if method == "gd":
        if t is not None:
            raise InputError(
                "t", found="a time, with descent", expected="steps and lr", remedy="Time is lr times steps."
            )
        rate = _number(lr, "lr", positive=True)
        beta = _number(momentum, "momentum")
        if beta >= 1 or (nesterov and beta == 0):
            raise InputError("momentum", found=f"{beta:g}", expected="below 1, and above 0 with nesterov")
        count = whole(steps, "steps", 0)
        if (count + 1) * len(e.first) * suited.N > MAX_KEPT:
            raise NotApplicable(
                "steps", found=f"{count:,} steps of {len(e.first) * suited.N:,} strengths",
                expected=f"at most {MAX_KEPT:,} strengths over all steps, 4 GB",
                remedy="Take fewer steps, and start the next solution from the last strengths.",
            )  # fmt: skip
        kinds, lost = _descend(e, b0[e.first], rate, beta, decay, nesterov, count)
        steps_ = np.arange(len(kinds))
        time = rate * steps_
        fade = _faded(rate, beta, decay, nesterov, len(kinds))[:, None, None]
        diverged = None if lost is None else rate * lost
        settings = {"lr": rate, "momentum": beta, "weight_decay": decay, "nesterov": nesterov}
        drift = 0.0
    else:
        for name, given in (
            ("lr", lr),
            ("steps", steps),
            ("momentum", _number(momentum, "momentum") or None),
            ("nesterov", nesterov or None),
        ):
            if given is not None:
                raise InputError(name, found=repr(given), expected="nothing with flow", remedy="Use method='gd'.")
        time = _times(t)
        kinds, between, lost_at = _flow(e, b0[e.first], time, decay)
        time = time[: len(kinds)]
        with np.errstate(over="ignore"):
            gone = np.exp(-(decay * time))
        fade = gone[:, None, None]
        diverged, settings = lost_at, {"weight_decay": decay}
        drift = _drift(suited, e, kinds, gone**2)
        if drift > 1e-6:
            notes.append(f"flow: conserved quantities drift by {drift:.2g}; take shorter times")
    loss = 0.5 * suited.stats.energy - _engine.explained(e, kinds)
    loss[(loss < 0) & (loss > -1e-12 * suited.stats.energy)] = 0.0  # rounding of the difference
    if diverged is not None:
        notes.append(f"diverges: out of range at t = {diverged:.6g}" + (f", step {lost}" if method == "gd" else ""))
    return Trajectory(
        reduction=suited, method=method, time=frozen(time), steps=None if steps_ is None else frozen(steps_),
        loss=frozen(loss), exact=suited.exact and full_batch, caveats=tuple(notes), diverged=diverged,
        settings=FrozenMap(settings), drift=drift, _engine=e, _kinds=frozen(kinds), _idle=frozen(idle[None] * fade),
        _between=between,
    )  # fmt: skip


# -- the two dynamics -------------------------------------------------------------------------------------


def _descend(
    e: Any, b0: np.ndarray, lr: float, momentum: float, decay: float, nesterov: bool, steps: int
) -> tuple[np.ndarray, int | None]:
    """(steps + 1, E', N) strengths, cut before they leave the range, and the step at which they do."""
    down = _engine.descent_direction(e)
    out = np.empty((steps + 1, *b0.shape))
    out[0] = b = b0.copy()
    velocity = np.zeros_like(b)
    work = np.empty_like(b)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(steps):
            g = down(b)
            if decay:
                g = g - decay * b
            if momentum:
                velocity *= momentum
                velocity += g
                g = g + momentum * velocity if nesterov else velocity
            np.multiply(g, lr, out=work)
            b = np.add(b, work, out=out[k + 1])
            if k % _LOOK == 0 and not np.abs(b).max(initial=0.0) < _LOST:
                out = out[: k + 2]
                break
        good = np.abs(out).max(axis=(1, 2), initial=0.0) < _LOST ** (1 / (2 * e.index.shape[0]))
    if good.all():
        return out, None
    bad = int(np.argmin(good))
    return out[:bad], bad


def _faded(lr: float, momentum: float, decay: float, nesterov: bool, count: int) -> np.ndarray:
    """(count,) what weight decay alone leaves of a weight that has no gradient."""
    out = np.ones(count)
    b, velocity = 1.0, 0.0
    if decay:
        for k in range(1, count):
            g = decay * b
            velocity = momentum * velocity + g
            b -= lr * (g + momentum * velocity if nesterov else velocity)
            out[k] = b
    return out


def _flow(
    e: Any,
    b0: np.ndarray,
    times: np.ndarray,
    decay: float,
    *,
    rtol: float = 1e-11,
    first: bool = False,
    stiff: bool = False,
) -> tuple[np.ndarray, Callable[[float], np.ndarray], float | None]:
    """(T, E', N) at these times, a function for the times between, and when the strengths leave the range if they do.

    With `first` it stops as soon as one mode has been learned; the state then is held for all later times.
    With `stiff` steps are implicit where that is sooner.
    """
    from scipy.integrate import solve_ivp

    down = _engine.descent_direction(e)
    shape = b0.shape

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        b = flat.reshape(shape)
        g = down(b)
        return (g - decay * b if decay else g.copy()).ravel()

    settled = _settled(e, shape, decay, first)
    limit = _LOST ** (1 / (2 * e.index.shape[0]))

    def lost(_: float, flat: np.ndarray) -> float:
        return limit - float(np.abs(flat).max(initial=0.0))

    settled.terminal = lost.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    end = float(times[-1])
    if end == 0 or not b0.size:
        return np.repeat(b0[None], len(times), 0), lambda _: b0, None
    pieces: list[Any] = []
    starts = [0.0]
    b, ended, gone = b0.ravel(), False, False
    with np.errstate(over="ignore", invalid="ignore"):
        while not ended and starts[-1] < end and len(pieces) < _PIECES:
            method = "LSODA" if stiff and b0.size <= _IMPLICIT else "DOP853"
            found = solve_ivp(
                slope, (0.0, end - starts[-1]), b, method=method, rtol=rtol,
                atol=1e-14 * max(float(np.abs(b0).max()), 1e-3), events=(settled, lost), dense_output=True,
            )  # fmt: skip
            if len(found.t) < 2:
                gone = True
                break
            # steps below the resolution of a long time are no failure: time begins anew
            b, ended = found.y[:, -1], bool(found.success)
            gone = bool(len(found.t_events[1]))
            pieces.append(found.sol)
            starts.append(starts[-1] + float(found.t[-1]))
    gone = gone or not ended
    last = starts[-1]

    def between(t: float) -> np.ndarray:
        k = min(max(int(np.searchsorted(starts, t, side="right")) - 1, 0), len(pieces) - 1)
        if k < 0:
            return b0
        return pieces[k](min(t - starts[k], starts[k + 1] - starts[k])).reshape(shape)

    kept = times[times < last] if gone else times
    kept = kept if len(kept) else times[:1]
    values = np.empty((len(kept), *shape))
    which = np.clip(np.searchsorted(starts, kept, side="right") - 1, 0, max(len(pieces) - 1, 0))
    for k, piece in enumerate(pieces):
        mine = which == k
        if mine.any():
            values[mine] = piece(np.minimum(kept[mine] - starts[k], starts[k + 1] - starts[k])).T.reshape(-1, *shape)
    values[kept == 0] = b0
    return values, between, last if gone else None


def _settled(e: Any, shape: tuple[int, ...], decay: float, first: bool) -> Any:
    """An event: all that can be learned (of one mode, if `first`) has been, but for a share that no longer matters."""
    driven = _engine.driver(e)
    scale = np.abs(e.S).max(initial=0.0)

    def event(_: float, flat: np.ndarray) -> float:
        if decay:
            return 1.0
        missing = np.abs(e.S - driven(_engine.strengths(e, flat.reshape(shape))))
        over = (missing - _SETTLED * np.maximum(np.abs(e.S), 1e-6 * scale)).max(0, initial=-1.0)
        return float(over.min(initial=1.0) if first else over.max(initial=-1.0))

    return event


# -- checks -----------------------------------------------------------------------------------------------


def _drift(reduction: Reduction, e: Any, kinds: np.ndarray, fade: np.ndarray) -> float:
    """The largest change of a conserved quantity, as a share of the largest B^2."""
    graph, number = reduction.stats.graph, {name: k for k, name in enumerate(reduction.edges)}
    largest = 0.0
    scale = max(float((kinds**2).max(initial=0.0)), 1e-300)
    done: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for some in reduction.classes:
        inside = {f for p in some for f in reduction.stats.paths[p].edges}
        for v in {end for f in inside for end in graph.edges[f]} - {*graph.inputs, *graph.outputs}:
            into, out = (
                tuple(sorted(int(e.edge[number[f]]) for f in side if f in inside))
                for side in (graph.incoming[v], graph.outgoing[v])
            )
            if (into, out) in done:
                continue
            done.add((into, out))
            kept = (kinds[:, into] ** 2).sum(1) - (kinds[:, out] ** 2).sum(1)
            largest = max(largest, float(np.abs(kept - kept[0] * fade[:, None]).max(initial=0.0)) / scale)
    return largest


def _stuck(reduction: Reduction, b0: np.ndarray) -> str:
    """Names modes with two or more zero factors on every path that could teach them; empty if there are none."""
    number = {name: k for k, name in enumerate(reduction.edges)}
    zero = b0 == 0
    alive = np.zeros((len(reduction.classes), reduction.N), dtype=bool)
    for c, some in enumerate(reduction.classes):
        for p in some:
            alive[c] |= (reduction.S[p] != 0) & (
                sum(zero[number[e]].astype(int) for e in reduction.stats.paths[p].edges) < 2
            )
    taught = reduction.gain > reduction.tol**2 * max(float(reduction.gain.max(initial=0.0)), 1e-300)
    stuck = int((taught & ~alive).sum())
    if not stuck:
        return ""
    start = "start with two or more zero strengths on each of their paths and are never learned"
    return f"saddle: {stuck} of {int(taught.sum())} modes {start}"


def _numbered(reduction: Reduction) -> list[tuple[int, ...]]:
    number = {name: k for k, name in enumerate(reduction.edges)}
    return [tuple(number[e] for e in path.edges) for path in reduction.stats.paths]


def _known_optimiser(method: str, optimizer: str) -> None:
    if not isinstance(method, str):
        raise InputError("method", found=repr(method)[:60], expected="'flow' or 'gd'")
    if method not in ("flow", "gd") or str(optimizer).lower() not in ("sgd", "gd"):
        other = optimizer if method in ("flow", "gd") else method
        if str(other).lower() in (
            "adam",
            "adamw",
            "rmsprop",
            "adagrad",
            "adadelta",
            "adamax",
            "nadam",
            "radam",
            "sign",
            "signsgd",
            "lion",
        ):
            raise UnsupportedOptimizer(
                "optimizer", found=f"{other!r}, which is not rotation-equivariant",
                expected="flow, or full-batch gradient descent with momentum and weight decay",
                remedy="Steps scaled for each coordinate change when weights are rotated: modes do not stay apart.",
            )  # fmt: skip
        if method in ("flow", "gd"):
            raise UnsupportedOptimizer(
                "optimizer", found=repr(other), expected="'sgd': the theory needs rotation equivariance"
            )
        raise InputError("method", found=repr(method), expected="'flow' or 'gd'")


def _number(value: Any, name: str, *, positive: bool = False) -> float:
    low = "above 0" if positive else "at least 0"
    if value is None:
        raise InputError(name, found="nothing", expected=f"a number {low}")
    number = finite(value, name)
    if number.shape != () or float(number) < 0 or (positive and float(number) == 0):
        raise InputError(name, found=repr(value), expected=f"a number {low}")
    return float(number)


def _times(t: Any) -> np.ndarray:
    if t is None:
        raise InputError("t", found="nothing", expected="the time to end at, or increasing times")
    times = finite(t, "t")
    if times.ndim == 0 and float(times) >= 0:
        return np.linspace(0.0, float(times), 501)
    if times.ndim != 1 or not len(times) or (times < 0).any() or (np.diff(times) <= 0).any():
        raise InputError("t", found=f"shape {times.shape}", expected="one time, or increasing times >= 0")
    return times
