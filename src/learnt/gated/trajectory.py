"""What was predicted: strengths of edges and pathways over time, the loss, and when each mode is learned.

How much of a mode is learned is its distance to the best strengths of its paths, measured by the loss:

    fraction = 1 - sqrt( (best - gained) / best )        gained = sum_p B_p S(p) - 1/2 sum_{j,p} B_j B_p D(j, p)

For one path it is B_p d / s, the share of its target s/d, up to the target. A path that loses a race keeps the strength
it had when the error vanished; nothing in this theory decays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError
from learnt.gated import _engine
from learnt.gated._frozen import finite, number
from learnt.gated.reduction import Reduction


class Winner(NamedTuple):
    """The path that explains most of a mode.

    Attributes:
        class_, mode: which mode.
        path: its index in `Reduction.stats.paths`.
        name: the path in words.
        share: its part of what is explained of the mode, B_p S(p) over the sum; 1 if it explains it alone.
    """

    class_: int
    mode: int
    path: int
    name: str
    share: float


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Trajectory:
    """A solution of the reduced dynamics. Made by `Reduction.solve`.

    Attributes:
        reduction: in the bases that were used.
        method: "flow" or "gd".
        time: (T,) t; for descent, the step size times the number of steps.
        steps: (T,) steps of descent; None for flow.
        loss: (T,).
        exact: whether this is the loss of the network itself, to rounding.
        caveats: what holds it back from that, and what else to know.
        diverged: the time from which on the strengths are out of range; None if they never are. The arrays end before.
        settings: of the optimiser.
        drift: largest relative change of the conserved quantities of flow; 0 for descent, where they are not conserved.
    """

    reduction: Reduction
    method: str
    time: np.ndarray
    steps: np.ndarray | None
    loss: np.ndarray
    exact: bool
    caveats: tuple[str, ...]
    diverged: float | None
    settings: Mapping[str, Any]
    drift: float
    _engine: Any = field(repr=False)
    _kinds: np.ndarray = field(repr=False)  # (T, E', N)
    _idle: np.ndarray = field(repr=False)  # (T, edges that are never trained, N)
    _between: Callable[[float], np.ndarray] | None = field(repr=False, default=None)

    @cached_property
    def B(self) -> np.ndarray:
        """(T, edges, N) the strengths of all edges, in the order of `Reduction.edges`."""
        which = self._engine.edge
        out = np.empty((len(self.time), len(which), self.reduction.N))
        out[:, which >= 0] = self._kinds[:, which[which >= 0]]
        out[:, which < 0] = self._idle
        out.flags.writeable = False
        return out

    @cached_property
    def strength(self) -> dict[str, np.ndarray]:
        """(T, N) by edge."""
        return {e: self.B[:, k] for k, e in enumerate(self.reduction.edges)}

    @cached_property
    def path_strength(self) -> np.ndarray:
        """(T, paths, N): products along paths; 0 for paths that are never open."""
        which = self._engine.path
        out = np.zeros((len(self.time), len(which), self.reduction.N))
        out[:, which >= 0] = _engine.strengths(self._engine, self._kinds)[:, which[which >= 0]]
        out.flags.writeable = False
        return out

    @cached_property
    def last_path_strength(self) -> np.ndarray:
        """(paths, N): `path_strength` at the end, without making it for all times."""
        which = self._engine.path
        out = np.zeros((len(which), self.reduction.N))
        out[which >= 0] = _engine.strengths(self._engine, self._kinds[-1:])[0, which[which >= 0]]
        out.flags.writeable = False
        return out

    @cached_property
    def fraction(self) -> np.ndarray:
        """(T, classes, N): how much of each mode is learned; nan for modes without a target."""
        return self._fractions(self._kinds)

    def _fractions(self, kinds: np.ndarray) -> np.ndarray:
        r = self.reduction
        gained = _engine.gains(self._engine, _engine.strengths(self._engine, kinds))
        best = r.gain
        total = np.zeros((*kinds.shape[:-2], *best.shape))
        which = self._engine.path
        first = np.unique(which[which >= 0], return_index=True)[1]  # an orbit may span classes that are alike
        members = np.flatnonzero(which >= 0)[first]
        share = np.zeros((len(r.classes), len(members)))
        for kind in range(len(members)):
            for p in np.flatnonzero(which == kind):
                share[r.class_of[p], kind] += 1.0 / self._engine.count[kind]
        total = np.einsum("ck,...kn->...cn", share, gained)
        missing = np.maximum(best - total, 0.0)
        taught = best > (r.tol**2) * max(float(best.max(initial=0.0)), 1e-300)
        return np.where(taught, 1 - np.sqrt(missing / np.where(taught, best, 1.0)), np.nan)

    def time_to(self, fraction: float = 0.5) -> np.ndarray:
        """(classes, N): when each mode has been learned to this fraction; inf if not in this time, or never.

        Args:
            fraction: above 0 and below 1.

        Raises:
            InputError: another fraction.
        """
        f = finite(fraction, "fraction")
        if f.shape != () or not 0 < float(f) < 1:
            raise InputError("fraction", found=repr(fraction), expected="a number between 0 and 1")
        out = np.full(self.fraction.shape[1:], np.inf)
        for c, n in np.ndindex(*out.shape):
            curve = self.fraction[:, c, n]
            if not np.isnan(curve).any():

                def over(at: np.ndarray, c: int = c, n: int = n) -> float:
                    return float(self._fractions(at)[c, n]) - float(f)

                out[c, n] = self._first(curve >= float(f), over, curve - float(f))
        return out

    def time_to_loss(self, level: float) -> float:
        """When the loss first falls below a level; inf if it does not in this time.

        Raises:
            InputError, NonFiniteError: a level that is no number.
        """
        value = number(level, "level")

        def below(at: np.ndarray) -> float:
            return value - float(self._loss_at(at))

        return self._first(self.loss < value, below, value - self.loss)

    def step_to_loss(self, level: float) -> int | None:
        """The first step of descent after which the loss is below a level; None if there is none.

        Raises:
            InputError: a trajectory of flow, which has no steps.
        """
        if self.steps is None:
            raise InputError("method", found="flow", expected="descent, which has steps", remedy="Use time_to_loss.")
        hit = np.flatnonzero(self.loss < number(level, "level"))
        return int(self.steps[hit[0]]) if len(hit) else None

    def winner(self) -> tuple[Winner, ...]:
        """For each mode that is learned at all, the path that explains most of it at the end."""
        r, found = self.reduction, []
        parts = self.last_path_strength * r.S
        for c, some in enumerate(r.classes):
            for n in range(r.N):
                explained = parts[list(some), n]
                total = float(explained.sum())
                if r.gain[c, n] > 0 and total > 0:
                    k = int(explained.argmax())
                    path = some[k]
                    found.append(Winner(c, n, path, str(r.stats.paths[path]), float(explained[k]) / total))
        return tuple(found)

    def _loss_at(self, kinds: np.ndarray) -> np.ndarray:
        gained = _engine.gains(self._engine, _engine.strengths(self._engine, kinds))
        return 0.5 * self.reduction.stats.energy - gained.sum((-1, -2))

    def _first(self, hit: np.ndarray, over: Callable[[np.ndarray], float], curve: np.ndarray) -> float:
        """The first time at which `hit`, refined between stored times: by the solution of flow, else linearly."""
        where = np.flatnonzero(hit)
        if not len(where):
            return float("inf")
        k = int(where[0])
        if k == 0:
            return float(self.time[0])
        low, high = float(self.time[k - 1]), float(self.time[k])
        if self._between is not None:
            from scipy.optimize import brentq

            between = self._between
            if over(between(low)) < 0 < over(between(high)):
                return float(brentq(lambda t: over(between(t)), low, high, xtol=1e-12 * max(high, 1.0), rtol=1e-14))  # pyright: ignore[reportArgumentType]
        a, b = float(curve[k - 1]), float(curve[k])
        return high if b == a else low + (high - low) * (0 - a) / (b - a)

    def __str__(self) -> str:
        kind = "exact" if self.exact else "approximate"
        how = "gradient flow" if self.method == "flow" else f"gradient descent, {len(self.time) - 1} steps"
        end = f"loss {self.loss[0]:.6g} to {self.loss[-1]:.6g} by t = {self.time[-1]:.6g}"
        gone = f"; diverges at t = {self.diverged:.6g}" if self.diverged is not None else ""
        return f"{how}, {kind}: {end}{gone}" + "".join(f"\n  {note}" for note in self.caveats)
