"""Will a network share its pathways, or will every pair of domains learn on its own? A race inside one network.

A routing network with its shared chain (`learnt.gated.routing_theory`) also has a private chain of D layers for each
trained pair. Both explain the same target, so that the error is common, and by symmetry each mode is

    encoder' = K w e a/encoder,  shared' = K M w e a/shared,  decoder' = K w e a/decoder,  p' = w e p^(D-1)
    a = encoder^n1 shared^n2 decoder^n3,   e = s - d (a + p^D)                                             (spec 1.9)

Sharing multiplies the gradient of an edge by the pathways through it; a shallow route leaves a small start faster. The
error only sets the pace: divided by it, strengths depend on the common map A = a + p^D alone, and are followed over
ln A from the start to s/d, where no pole is met. Time is one more integral, dt = dA / (e dA/d tau).

Who loses does not decay: it keeps the strength that it had when the error vanished. w and d change the time but not the
shares, for a given s/d.

Source: Saxe, Sodhani and Lewallen, ICML 2022, for the idea; the equations of the joint race follow from its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._numbers import at_least, whole


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SharedVsPrivate:
    """Shares of the final map, and times, by depth of the private chain and by start.

    Attributes:
        domains, pairs: M, and K, the trained outputs for each input.
        layers: weight layers of an encoder, of the shared chain, of a decoder.
        private_depth: (R,) weight layers of the private chain.
        init: (C,) strength of every layer at time 0.
        shared: (R, C) the share of the final map that the shared chain carries, 0 to 1; the private chain has the rest.
        t_half, t_90: (R, C) when half and nine tenths of the target are reached, in time constants of the flow.
        s, d, weight: of the mode, and of one trained pair in the loss.
    """

    domains: int
    pairs: int
    layers: tuple[int, int, int]
    private_depth: tuple[int, ...]
    init: tuple[float, ...]
    shared: np.ndarray
    t_half: np.ndarray
    t_90: np.ndarray
    s: float
    d: float
    weight: float

    @property
    def shares(self) -> np.ndarray:
        """(R, C) whether the shared chain carries more than half of the map."""
        return self.shared > 0.5

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "domains": self.domains,
            "pairs": self.pairs,
            "layers": list(self.layers),
            "private_depth": list(self.private_depth),
            "init": list(self.init),
            "shared": self.shared.tolist(),
            "t_half": self.t_half.tolist(),
            "t_90": self.t_90.tolist(),
            "s": self.s,
            "d": self.d,
            "weight": self.weight,
        }

    def __str__(self) -> str:
        depth = sum(self.layers)
        lines = [
            f"Share of the final map on the shared chain of {depth} layers; {self.domains} domains, "
            f"{self.pairs} trained outputs for each input",
            f"{'private layers':<15}" + "".join(f"{f'start {b:g}':>14}" for b in self.init),
        ]
        for layers, row in zip(self.private_depth, self.shared, strict=True):
            lines.append(f"{layers:<15}" + "".join(f"{share:>14.4f}" for share in row))
        return "\n".join(lines)


def shared_vs_private(
    M: int,
    K: int,
    private_depth: int | Sequence[int] = (3, 2, 1),
    init: float | Sequence[float] = (0.3, 0.1, 0.03),
    *,
    s: float = 13.5,
    d: float = 1.0,
    weight: float = 1.0,
    layers: tuple[int, int, int] = (1, 1, 1),
) -> SharedVsPrivate:
    """Shared chain against a private chain for each trained pair, all layers from the same strength.

    Args:
        M, K: domains, and trained outputs for each input and inputs for each output, 1 to M.
        private_depth: weight layers of the private chain, at least 1; 1 is a skip connection or a linear adapter.
        init: strengths of all layers at time 0, above 0.
        s, d: the mode: strength and curvature, above 0.
        weight: w, of one trained pair in the loss, above 0.
        layers: weight layers of an encoder, of the shared chain (at least 1), of a decoder.

    Raises:
        InputError, ShapeError, NonFiniteError: numbers outside these ranges.
    """
    from learnt.gated.routing_theory import SymmetricRouting

    net = SymmetricRouting(domains=M, pairs=K, weight=weight, layers=layers)
    given = private_depth if isinstance(private_depth, Sequence) else (private_depth,)
    depths = tuple(whole(n, "private_depth", 1, 1000) for n in given)
    starts = _row(init, "init", "a product of layers that start at 0 never moves")
    if not depths:
        raise ShapeError("private_depth", found="no depth", expected="at least one")
    strength = _row(s, "s", "the strength of the mode")
    curvature = _row(d, "d", "the curvature of the mode")
    if len(strength) != 1 or len(curvature) != 1:
        raise ShapeError("s, d", found="arrays", expected="one number each, of one mode")
    with np.errstate(all="ignore"):
        found = np.array([[_raced(net, n, b, strength[0], curvature[0]) for b in starts] for n in depths])
    if np.isnan(found).any():
        raise InputError("init, s, d, weight", found="products beyond float64", expected="numbers nearer to 1")
    return SharedVsPrivate(
        domains=net.domains, pairs=net.pairs, layers=net.layers, private_depth=depths, init=tuple(starts),
        shared=found[..., 0], t_half=found[..., 1], t_90=found[..., 2], s=strength[0], d=curvature[0],
        weight=float(net.weight),
    )  # fmt: skip


def _row(values: Any, name: str, why: str) -> list[float]:
    array = at_least(values, name, 0.0, why=why, strictly=True)
    if array.ndim > 1 or not array.size:
        raise ShapeError(name, found=f"shape {array.shape}", expected="one number, or a row of them")
    return [float(v) for v in np.atleast_1d(array)]


def _raced(net: Any, depth: int, b0: float, s: float, d: float) -> tuple[float, float, float]:
    """(share of the shared chain, time to half, time to nine tenths) of one network."""
    from scipy.integrate import solve_ivp

    count = np.array([*net.layers, depth], dtype=np.float64)
    pull = np.array([net.pairs, net.pairs * net.domains, net.pairs, 1.0])
    used = count > 0  # the weight is left out: it only divides times

    def maps(b: np.ndarray) -> np.ndarray:
        """The shared map and the private one."""
        powers = b**count
        return np.array([powers[0] * powers[1] * powers[2], powers[3]])

    def rates(b: np.ndarray) -> tuple[np.ndarray, float]:
        """B' / e of each kind of layer, and A' / e."""
        a = maps(b)[[0, 0, 0, 1]] / b
        speed = np.where(used, pull * a, 0.0)
        return speed, float((count * a) @ speed)

    def by_size(x: float, state: np.ndarray) -> np.ndarray:
        size = np.exp(x)
        speed, total = rates(state[:4])
        out = np.zeros(5)
        out[:4] = size * speed / total
        out[4] = size / (total * (s - d * size)) if timed else 0.0
        return out

    target = s / d
    state = np.array([b0] * 4 + [0.0])
    size, times = float(maps(state[:4]).sum()), []
    if not np.isfinite(size) or size == 0:
        raise InputError(
            "init", found=f"{b0:g}", expected="strengths whose products float64 can tell from 0 and infinity"
        )
    for share in (0.5, 0.9, None):
        goal, timed = (target if share is None else share * target), share is not None
        if timed and size >= goal:
            times.append(0.0)
            continue
        if goal != size:
            done = solve_ivp(
                by_size, (np.log(size), np.log(goal)), state, method="DOP853", rtol=1e-11, atol=1e-13 * min(b0, 1.0)
            )
            state, size = done.y[:, -1], goal
        times.append(float(state[4]))
    shared, private = maps(state[:4])
    return shared / (shared + private), times[0] / net.weight, times[1] / net.weight
