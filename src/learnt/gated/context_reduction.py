"""What will a gated network with too many paths to list learn, and how fast?

The reduction of `learnt.gated.reduction` in terms of contexts: where the statistics of every context are diagonal in
one basis for each input and each output,

    Sigma_yx(v,i; c) = U_v s_vi(c) V_i^T,     Sigma_x(j,i; c) = V_j d_ji(c) V_i^T,     W_e(0) = R_t B_e(0) R_s^T,

each mode is a scalar copy of the gated graph, moved by the passes of `learnt.gated.context_stats` with numbers in place
of matrices: contexts x edges x inputs x modes a step, whatever the number of paths. That each context is diagonal is
enough for assumption A1, and more than it asks: sums over contexts only, in bases of their own for each class of paths.
So where paths can be listed, `reduce` finds modes more often. The defect is the largest of all contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.gated._bases import Link, common_bases
from learnt.gated._decouple import _coupling
from learnt.gated._frozen import FrozenMap, finite, frozen, whole
from learnt.gated.context_stats import Algebra, ContextStats, context_correlations, passes
from learnt.gated.graph import Graph

_NUMBERS = Algebra(
    one=lambda modes, i: np.broadcast_to(modes.bases[i].any(0).astype(float), (modes.contexts, modes.N)),
    ahead=np.multiply,
    back=np.multiply,
    slope=lambda h, a: (h * a).sum(0),
    then=np.multiply,
)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ContextReduction:
    """A task in its modes, without its paths. Made by `reduce_contexts`.

    Attributes:
        graph, gates, energy: as in ContextStats.
        tol: defects below this count as none.
        bases: (|v|, N) by input and output; columns of 0 for modes that a node lacks.
        Sigma_yx, Sigma_x: (C, N) by nodes: the diagonals s and d.
        defect: the largest off-diagonal share, as a square root, of a statistic of one context.

    Directions of inputs that no target needs are not among the modes: weights of decoupled form are 0 there.
    """

    graph: Graph
    gates: Mapping[str, np.ndarray]
    energy: float
    tol: float
    bases: Mapping[str, np.ndarray]
    Sigma_yx: Mapping[tuple[str, str], np.ndarray]
    Sigma_x: Mapping[tuple[str, str], np.ndarray]
    defect: float

    @property
    def N(self) -> int:
        """Modes."""
        return next(iter(self.bases.values())).shape[1]

    @property
    def contexts(self) -> int:
        """C."""
        return len(next(iter(self.gates.values())))

    @property
    def exact(self) -> bool:
        """Whether the statistics of all contexts are diagonal, to `tol`."""
        return self.defect < self.tol

    def strengths(self, init: Any) -> dict[str, np.ndarray]:
        """(N,) by edge: strengths at time 0, from one number or from numbers by edge; 0 for modes that an end lacks.

        Raises:
            InputError, ShapeError, NonFiniteError: an unknown or missing edge, another shape, NaN.
        """
        given = init if isinstance(init, Mapping) else dict.fromkeys(self.graph.edges, init)
        if set(given) != set(self.graph.edges):
            odd = sorted(set(given) ^ set(self.graph.edges), key=str)[0]
            raise InputError("init", found=f"{odd!r} unknown or missing", expected="strengths for each edge")
        out = {}
        for e in self.graph.edges:
            values = finite(given[e], f"init[{e!r}]")
            if values.shape not in ((), (self.N,)):
                raise ShapeError(f"init[{e!r}]", found=f"shape {values.shape}", expected=f"one number or ({self.N},)")
            out[e] = np.broadcast_to(values, (self.N,)).copy()
            for v in self.graph.edges[e]:
                if v in self.bases:
                    out[e] *= self.bases[v].any(0)
        return out

    def weights(self, init: Any, seed: int = 0) -> dict[str, np.ndarray]:
        """Weights (|t|, |s|) by edge of decoupled form with these strengths; bases of hidden nodes are drawn."""
        rng, b, frames = np.random.default_rng(whole(seed, "seed", 0)), self.strengths(init), dict(self.bases)
        for v, units in self.graph.nodes.items():
            if v not in frames:
                frames[v] = np.linalg.qr(rng.normal(size=(units, units)))[0][:, : self.N]
        return {e: (frames[t] * b[e]) @ frames[s].T for e, (s, t) in self.graph.edges.items()}

    def solve(
        self, init: Any, method: str = "flow", *, t: Any = None, lr: float | None = None, steps: int | None = None,
        momentum: float = 0.0, weight_decay: float = 0.0,
    ) -> ContextCurve:  # fmt: skip
        """Predicts a training run on the squared loss.

        Args:
            init: as in `strengths`.
            method: "flow", with the time `t` to end at, or increasing times; "gd", with `lr` and `steps`.
            t, lr, steps: see method.
            momentum, weight_decay: of torch.optim.SGD on the full batch; flow takes weight_decay only.

        Raises:
            InputError: settings that have no meaning.
        """
        b = np.stack([self.strengths(init)[e] for e in self.graph.edges])
        decay = _positive(weight_decay, "weight_decay", 0.0)
        if method == "gd":
            rate, beta = _positive(lr, "lr"), _positive(momentum, "momentum", 0.0)
            if t is not None or beta >= 1:
                raise InputError("t, momentum", found=f"{t!r}, {momentum!r}", expected="no times, momentum below 1")
            time = rate * np.arange(whole(steps, "steps", 0) + 1)
            states, loss, diverged = _descend(self._down, b, len(time), rate, beta, decay)
        elif method == "flow":
            if lr is not None or steps is not None or momentum:
                raise InputError("lr, steps, momentum", found="one of them", expected="none with flow")
            ends = finite(t, "t") if t is not None else np.zeros(0)
            time = np.linspace(0.0, float(ends), 201) if ends.shape == () else ends
            if time.ndim != 1 or not len(time) or (time < 0).any() or (np.diff(time) <= 0).any():
                raise InputError("t", found=repr(t)[:60], expected="one positive time, or increasing times >= 0")
            states, diverged = _flow(self._down, b, time, decay)
            loss = np.array([self._down(state)[0] for state in states])
        else:
            raise InputError("method", found=repr(method), expected="'flow' or 'gd'")
        strength = FrozenMap({e: frozen(states[:, k].copy()) for k, e in enumerate(self.graph.edges)})
        return ContextCurve(time[: len(states)], frozen(loss), strength, self.exact, diverged)

    def _down(self, b: np.ndarray) -> tuple[float, np.ndarray]:
        """L and -dL/dB, (E, N)."""
        loss, down = passes(self, dict(zip(self.graph.edges, b, strict=True)), _NUMBERS)
        return loss, np.stack(list(down.values()))

    def __str__(self) -> str:
        kind = "exact" if self.exact else f"approximate, largest off-diagonal share {self.defect:.3g}"
        return f"{self.N} modes in {self.contexts} contexts of {self.graph}; {kind}"


@final
@dataclass(frozen=True, eq=False)
class ContextCurve:
    """A prediction.

    Attributes:
        time: (T,); for descent the step size times the number of steps.
        loss: (T,).
        strength: (T, N) by edge.
        exact: whether this is the loss of a network of decoupled start itself, to rounding.
        diverged: the time from which on strengths are out of range; None if they never are. The arrays end before.
    """

    time: np.ndarray
    loss: np.ndarray
    strength: Mapping[str, np.ndarray]
    exact: bool
    diverged: float | None


def reduce_contexts(task: Any, tol: float = 1e-8) -> ContextReduction:
    """Finds modes in which all contexts of a task are diagonal, and measures whether they are.

    Args:
        task: a GatedTask, or its statistics by context.
        tol: defects below this count as none.

    Raises:
        NotApplicable: a hidden node has fewer units than modes pass it, or no sample opens a path.
        InputError: settings that have no meaning.
    """
    stats = task if isinstance(task, ContextStats) else context_correlations(task)
    share = finite(tol, "tol")
    if share.shape != () or not 0 < float(share) < 1:
        raise InputError("tol", found=repr(tol), expected="a number between 0 and 1")
    graph = stats.graph
    ends = [*graph.inputs, *graph.outputs]
    port = {v: k for k, v in enumerate(ends)}
    links = [Link(port[v], port[i], m, True, True) for (v, i), some in stats.Sigma_yx.items() for m in some if m.any()]
    if not links:
        raise NotApplicable("task", found="no target that an open path could learn", expected="at least one")
    once = {pair: some for pair, some in stats.Sigma_x.items() if port[pair[0]] <= port[pair[1]]}
    links += [Link(port[j], port[i], m, False, False) for (j, i), some in once.items() for m in some if m.any()]
    frames = common_bases([graph.nodes[v] for v in ends], links, range(len(ends)), min(max(tol / 10, 1e-12), 1e-6))
    bases = dict(zip(ends, frames, strict=True))
    _check_room(graph, bases)
    defect = 0.0
    for (v, i), some in stats.Sigma_yx.items():
        for m in some[some.any((1, 2))]:
            rest = m - (bases[v] * ((m @ bases[i]) * bases[v]).sum(0)) @ bases[i].T
            defect = max(defect, float(np.linalg.norm(rest) / np.linalg.norm(m)))
    for (j, i), some in once.items():
        for m in some[some.any((1, 2))]:
            defect = max(defect, _coupling(m, bases[j], bases[i]) / float(np.linalg.norm(m)))

    def diagonals(given: Mapping[tuple[str, str], np.ndarray]) -> Mapping[tuple[str, str], np.ndarray]:
        return MappingProxyType({(a, b): frozen(((m @ bases[b]) * bases[a]).sum(1)) for (a, b), m in given.items()})

    return ContextReduction(
        graph=graph, gates=stats.gates, energy=stats.energy, tol=float(share), bases=FrozenMap(bases),
        Sigma_yx=diagonals(stats.Sigma_yx), Sigma_x=diagonals(stats.Sigma_x), defect=defect,
    )  # fmt: skip


def _check_room(graph: Graph, bases: Mapping[str, np.ndarray]) -> None:
    """NotApplicable if a hidden node has too few units."""
    count = next(iter(bases.values())).shape[1]
    for v, units in graph.nodes.items():
        if v not in bases and units < count:
            raise NotApplicable(
                "graph", found=f"{count} modes, and {units} units in the hidden node {v!r}",
                expected=f"at least {count} units, one a mode", remedy="Widen it.",
            )  # fmt: skip


# -- the two dynamics ------------------------------------------------------------------------------------------

Down = Callable[[np.ndarray], tuple[float, np.ndarray]]
_LOST = 1e6  # strengths beyond are counted as diverged


def _descend(
    down: Down, b: np.ndarray, count: int, lr: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """(T, E, N) strengths, (T,) losses, and when the strengths leave the range, if they do."""
    states, losses, velocity = [b], [], np.zeros_like(b)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(1, count + 1):
            loss, g = down(b)
            losses.append(loss)
            if k == count:
                break
            velocity = momentum * velocity + g - decay * b
            b = b + lr * velocity
            if not np.abs(b).max() < _LOST:
                return np.stack(states), np.array(losses), lr * k
            states.append(b)
    return np.stack(states), np.array(losses), None


def _flow(down: Down, b: np.ndarray, times: np.ndarray, decay: float) -> tuple[np.ndarray, float | None]:
    from scipy.integrate import solve_ivp

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        now = flat.reshape(b.shape)
        return (down(now)[1] - decay * now).ravel()

    if times[-1] == 0:
        return b[None], None
    found = solve_ivp(slope, (0.0, float(times[-1])), b.ravel(), method="DOP853", t_eval=times, rtol=1e-10, atol=1e-13)
    states = found.y.T.reshape(-1, *b.shape)
    return states, None if found.success else float(found.t[-1])


def _positive(value: Any, name: str, low: float | None = None) -> float:
    number = finite(np.nan if value is None else value, name) if value is not None else None
    if number is None or number.shape != () or number < 0 or (low is None and number == 0):
        raise InputError(name, found=repr(value), expected=f"a number {'above' if low is None else 'of at least'} 0")
    return float(number)
