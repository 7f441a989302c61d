"""How fast does a routing network learn, with its shared middle and one encoder and decoder for each domain?

M input and M output domains; K of the M outputs are trained with each input, and K inputs with each output. An encoder
sees K trained pathways, a decoder K, the shared layer K M. From equal starts each mode is three numbers (spec 1.8):

    b1' = K w b2 b3 e,   b2' = K M w b1 b3 e,   b3' = K w b1 b2 e,   e = s - d b1 b2 b3
    c0 = M b1^2 - b2^2 and b1^2 - b3^2 never change;   with b1 = b3:   b2' = K w (b2^2 + c0)(s - (d/M) b2 (b2^2 + c0))

w is the weight of one trained pair in the loss L = w sum_pairs <|y - W x|^2> / 2; state it. A mean over the trained
pairs is w = 1/(K M), and then K drops out; with w fixed the time scales as 1/K. The time from b2(0) to b2 is
elementary. With C = M s/d, rho the positive root of x^3 + c0 x = C, q = rho^2 + c0, r = rho/(3 rho^2 + c0), and J_c
the integral of dx/(x^2 + c) (an arctangent, 1/x, or an inverse hyperbolic tangent, one smooth function of c),

    K w s t = J_c0 - r ln|rho - x| + (r/2) ln(x^2 + rho x + q) - r (q/rho + rho/2) J_(c0 + 3 rho^2/4)(x + rho/2)

between the two ends: the partial fractions of the specification with its five roots, in real numbers and continuous at
c0 = 0. For small starts t ~ 1/(K w s b2(0)). With balanced starts, private = shared/sqrt M, any number of layers is a
single chain with s' = K M w c s, d' = K M w c^2 d, c = M^(-(encoder + decoder layers)/2); see `learnt.gated.deep`.

The reduction assumes that all domains are aligned from the start. Untrained pairs then have the output of
trained ones: it always predicts perfect transfer, whether or not the trained pairs hang together.

Source: Saxe, Sodhani and Lewallen, ICML 2022 (arXiv 2207.10430), slides and notebook; the closed form is derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import number
from learnt.gated._numbers import (
    at_least,
    curvatures,
    finite,
    quotient_integral,
    times,
    together,
    where_time_is,
    whole,
)
from learnt.gated.deep import deep_layer_strength, deep_time


class Factors(NamedTuple):
    """Strengths of the three kinds of layers: one encoder layer, one shared layer, one decoder layer."""

    encoder: Any
    shared: Any
    decoder: Any


@final
@dataclass(frozen=True, kw_only=True)
class SymmetricRouting:
    """A routing network in which all domains are alike, and its laws.

    Attributes:
        domains: M.
        pairs: K, the trained outputs for each input, 1 to M.
        weight: w > 0, the weight of one trained pair in the loss.
        layers: weight layers of an encoder, of the shared part (at least 1), of a decoder.
    """

    domains: int
    pairs: int
    weight: float
    layers: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        """Refuses what is no such network."""
        whole(self.domains, "domains", 1)
        if whole(self.pairs, "pairs", 1) > self.domains:
            raise InputError(
                "pairs",
                found=f"{self.pairs} trained outputs for each input",
                expected=f"at most {self.domains} domains",
            )
        if at_least(self.weight, "weight", 0.0, why="the weight of a pair in the loss", strictly=True).shape != ():
            raise InputError("weight", found="an array", expected="one number")
        if not isinstance(self.layers, tuple) or len(self.layers) != 3:
            raise InputError("layers", found=repr(self.layers), expected="(encoder, shared, decoder) numbers of layers")
        for count, name, least in zip(self.layers, ("encoder", "shared", "decoder"), (0, 1, 0), strict=True):
            whole(count, f"layers ({name})", least)

    @property
    def depth(self) -> int:
        """Weight layers from input to output."""
        return sum(self.layers)

    def chain(self, s: Any, d: Any) -> tuple[Any, Any]:
        """(s', d') of the chain of `depth` layers whose strength is that of a shared layer; balanced starts.

        Args:
            s: (N,) strengths of the modes of one pair.
            d: (N,) their input curvatures.

        Raises:
            InputError, ShapeError, NonFiniteError: a negative d, NaN, shapes that do not fit.
        """
        s_, d_ = together(s=finite(s, "s"), d=curvatures(d))
        m, k, w, c = self.domains, self.pairs, self.weight, self._alignment
        return (k * m * w * c * s_)[()], (k * m * w * c**2 * d_)[()]

    def rates(self, factors: Factors, s: Any, d: Any) -> Factors:
        """Time derivatives of the three strengths, any start and any number of layers (equal within each kind).

        Arguments and errors as `loss`.
        """
        b1, b2, b3, s_, d_ = self._together(factors, s, d)
        n1, n2, n3 = self.layers
        error = s_ - d_ * b1**n1 * b2**n2 * b3**n3
        scale = self.pairs * self.weight * error

        def others(drop: tuple[int, int, int]) -> np.ndarray:
            return b1 ** (n1 - drop[0]) * b2 ** (n2 - drop[1]) * b3 ** (n3 - drop[2])

        still = np.zeros_like(error)
        return Factors(
            (scale * others((1, 0, 0)) if n1 else still)[()],
            (scale * self.domains * others((0, 1, 0)))[()],
            (scale * others((0, 0, 1)) if n3 else still)[()],
        )

    def fixed_point(self, s: Any, d: Any, start: Factors | None = None) -> Factors:
        """Strengths after training from a small, or the given, start; (M s/d)^(1/3) and (s/d)^(1/3) M^(-1/6) if small.

        Args:
            s: (N,) strengths > 0.
            d: (N,) curvatures > 0.
            start: strengths at time 0; only for one layer of each kind and equal encoder and decoder.

        Raises:
            InputError, NonFiniteError, ShapeError: s or d not positive, or a start that this law does not cover.
        """
        s_ = at_least(s, "s", 0.0, why="a mode without a target has no fixed point to reach", strictly=True)
        d_ = at_least(d, "d", 0.0, why="without variance a mode grows without end", strictly=True)
        s_, d_ = together(s=s_, d=d_)
        if start is None:
            with np.errstate(over="ignore"):
                shared = (s_ / (d_ * self._alignment)) ** (1 / self.depth)
            private = shared / np.sqrt(self.domains)
            return Factors(private[()], shared[()], private[()])
        b1, b2, c0 = self._equal(start)
        b1, b2, c0, s_, d_ = together(encoder=b1, shared=b2, c0=c0, s=s_, d=d_)
        root = _root(c0, self.domains * s_ / d_)
        private = np.sqrt(np.maximum(root**2 + c0, 0.0) / self.domains)
        return Factors(private[()], root[()], private[()])

    def time(self, shared: Any, s: Any, d: Any, start: Factors) -> Any:
        """When the shared strength of modes passes `shared`: 0 if it starts there, inf if never.

        Args:
            shared: strengths b2 to reach.
            s: correlation strengths >= 0.
            d: input curvatures >= 0.
            start: strengths at time 0. One layer of each kind: encoder = decoder >= 0, and b2 of any sign if
                M b1^2 > b2^2, else positive. Other depths: encoder = decoder = shared / sqrt M > 0.

        Raises:
            InputError, NonFiniteError, ShapeError: negative s or d, a start that this law does not cover, NaN, shapes.
        """
        s_ = at_least(s, "s", 0.0, why="turn the mode's basis so that its strength is positive")
        if self.layers != (1, 1, 1):
            b0 = self._balanced(start)
            return deep_time(shared, *self.chain(s_, d), b0, self.depth)
        b1, b2, c0 = self._equal(start)
        x, s_, d_, x0, c0 = together(shared=finite(shared, "shared"), s=s_, d=curvatures(d), start=b2, c0=c0)
        with np.errstate(all="ignore"):
            pull = s_ - d_ / self.domains * x * (x**2 + c0)
            pull0 = s_ - d_ / self.domains * x0 * (x0**2 + c0)
            moves = x0**2 + c0 > 0
            ahead = moves & (((x0 < x) & (pull > 0)) | ((x < x0) & (pull0 < 0) & (pull < 0)))
            c = np.where(ahead, c0, 0.0)
            rho = _root(c, self.domains * s_ / np.where(d_ > 0, d_, 1.0))
            t = self._elapsed(np.where(ahead, x, 1.0), np.where(ahead, x0, 1.0), s_, d_, c, rho)
        return np.where(x == x0, 0.0, np.where(ahead & ~np.isnan(t), t, np.inf))[()]

    def strengths(self, t: Any, s: Any, d: Any, start: Factors) -> Factors:
        """The three strengths at times t; arguments and errors as `time`, with times t >= 0."""
        s_ = at_least(s, "s", 0.0, why="turn the mode's basis so that its strength is positive")
        if self.layers != (1, 1, 1):
            shared = deep_layer_strength(t, *self.chain(s_, d), self._balanced(start), self.depth)
            return Factors(shared / np.sqrt(self.domains), shared, shared / np.sqrt(self.domains))
        _, b2, c0 = self._equal(start)
        arrays = together(t=times(t), s=s_, d=curvatures(d), start=b2, c0=c0)
        flat = [np.array(a, dtype=np.float64).ravel() for a in arrays]
        with np.errstate(all="ignore"):
            shared = self._forward(*flat).reshape(arrays[0].shape)
            private = np.sqrt(np.maximum(shared**2 + arrays[4], 0.0) / self.domains)
        return Factors(private[()], shared[()], private[()])

    def loss(self, factors: Factors, s: Any, d: Any, energy: float) -> Any:
        """L = w K M [energy / 2 - sum over modes (s a - d a^2 / 2)], modes in the last axis.

        Args:
            factors: strengths, (..., N).
            s, d: (N,) modes of one pair.
            energy: <|y|^2> of one pair, with what lies outside the modes.

        Raises:
            InputError, ShapeError, NonFiniteError: other than three strengths, negative d or energy, NaN, shapes.
        """
        b1, b2, b3, s_, d_ = self._together(factors, s, d)
        n1, n2, n3 = self.layers
        a = np.atleast_1d(b1**n1 * b2**n2 * b3**n3)
        learned = (s_ * a - d_ * a**2 / 2).sum(-1)
        return (self.weight * self.pairs * self.domains * (number(energy, "energy", least=0.0) / 2 - learned))[()]

    def curvature(self, s: Any, d: Any, start: Factors | None = None) -> Any:
        """Largest curvature of the reduced loss at the fixed point; 3 w K d M^(1/3) (s/d)^(4/3) for small starts.

        Arguments and errors as `fixed_point`.
        """
        at = self.fixed_point(s, d, start)
        b1, b2, b3, _, d_ = self._together(at, s, d)
        n1, n2, n3 = self.layers
        a = b1**n1 * b2**n2 * b3**n3
        total = self.domains * n2 * (a / b2) ** 2
        for count, b in ((n1, b1), (n3, b3)):
            total = total + (count * (a / b) ** 2 if count else 0.0)
        return (self.pairs * self.weight * d_ * total)[()]

    def lr_max(self, s: Any, d: Any, start: Factors | None = None) -> float:
        """Largest stable step of full-batch gradient descent, 2 / curvature, over all modes.

        An upper bound for the whole network: other directions may curve more. Arguments and errors as `fixed_point`.
        """
        top = np.asarray(self.curvature(s, d, start))
        if not top.size:
            raise ShapeError("s", found="no mode", expected="at least one")
        with np.errstate(divide="ignore", over="ignore"):
            return float(2 / top.max())

    @property
    def _alignment(self) -> float:
        return float(self.domains ** (-(self.layers[0] + self.layers[2]) / 2))

    def _together(self, factors: Factors, s: Any, d: Any) -> tuple[np.ndarray, ...]:
        arrays = {name: finite(v, name) for name, v in zip(Factors._fields, _three(factors, "factors"), strict=True)}
        return together(**arrays, s=finite(s, "s"), d=curvatures(d))

    def _equal(self, start: Factors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(b1, b2, c0) of a start with encoder = decoder >= 0."""
        start = _three(start, "start")
        b1, b2, b3 = together(
            encoder=at_least(start[0], "encoder", 0.0, why="turn the basis so that it is positive"),
            shared=finite(start[1], "shared"),
            decoder=finite(start[2], "decoder"),
        )
        if self.layers != (1, 1, 1):
            raise InputError("start", found=f"layers {self.layers}", expected="one layer of each kind for a start")
        if not np.allclose(b1, b3, rtol=1e-12, atol=0):
            raise InputError("start", found="encoder and decoder that differ", expected="equal strengths, b1 = b3")
        c0 = self.domains * b1**2 - b2**2
        c0 = np.where(np.abs(c0) <= 4e-16 * b2**2, 0.0, c0)  # a balanced start, but for rounding
        if ((b2 < 0) & (c0 <= 0)).any():
            raise InputError("start", found="a negative shared strength", expected="b2 > 0 where M b1^2 <= b2^2")
        return b1, b2, c0

    def _balanced(self, start: Factors) -> np.ndarray:
        arrays = [
            at_least(value, name, 0.0, why="a strength")
            for name, value in zip(Factors._fields, _three(start, "start"), strict=True)
        ]
        b1, b2, b3 = together(encoder=arrays[0], shared=arrays[1], decoder=arrays[2])
        kinds = [b for b, count in ((b1, self.layers[0]), (b3, self.layers[2])) if count]
        if not all(np.allclose(b * np.sqrt(self.domains), b2, rtol=1e-9, atol=0) for b in kinds):
            raise InputError(
                "start",
                found=f"another ratio of strengths with layers {self.layers}",
                expected="encoder = decoder = shared / sqrt(domains)",
                remedy="Use the general reduction for other starts.",
            )
        return b2

    def _elapsed(
        self, x: np.ndarray, x0: np.ndarray, s: np.ndarray, d: np.ndarray, c0: np.ndarray, rho: np.ndarray
    ) -> np.ndarray:
        """The formula of the module, and its limits at d = 0 and s = 0."""
        scale = self.pairs * self.weight
        plain = quotient_integral(c0, x0, x)
        q = rho**2 + c0
        r = rho / (3 * rho**2 + c0)
        logs = np.log(np.abs((rho - x0) / (rho - x))) + np.log((x**2 + rho * x + q) / (x0**2 + rho * x0 + q)) / 2
        bend = quotient_integral(c0 + 0.75 * rho**2, x0 + rho / 2, x + rho / 2)
        t = (plain + r * logs - r * (q / rho + rho / 2) * bend) / (scale * s)
        t = np.where(d == 0, plain / (scale * s), t)
        if (s == 0).any():
            t = np.where(s == 0, self.domains / (scale * d) * (_fading(x, c0) - _fading(x0, c0)), t)
        return t

    def _forward(self, t: np.ndarray, s: np.ndarray, d: np.ndarray, x0: np.ndarray, c0: np.ndarray) -> np.ndarray:
        """The shared strength at times t; 1-D arrays."""
        scale = self.pairs * self.weight
        out = x0.copy()
        d = np.where(self.domains * s / np.where(d > 0, d, 1.0) < 1e300, d, 0.0)  # a target beyond float64 is none
        end = np.where(d > 0, _root(c0, self.domains * s / np.where(d > 0, d, 1.0)), np.inf)
        moving = (t > 0) & (x0**2 + c0 > 0) & (end != x0)
        free = moving & (d == 0)
        if free.any():
            c, angle = c0[free], np.sqrt(np.abs(c0[free]))
            grown = scale * s[free] * t[free]
            tangent = np.where(c > 0, np.tan(angle * grown), np.tanh(angle * grown)) / np.where(angle > 0, angle, 1.0)
            tangent = np.where(angle * grown < 1e-8, grown, tangent)
            left = 1 - x0[free] * tangent
            over = (left <= 0) | ((c > 0) & (angle * grown >= np.pi / 2 - np.arctan2(x0[free], angle)))
            out[free] = np.where(over, np.inf, (x0[free] + c * tangent) / np.where(over, 1.0, left))
        bound = moving & (d > 0)
        if bound.any():
            t_, s_, d_, a, c, b = (z[bound] for z in (t, s, d, x0, c0, end))
            everywhere = np.arange(len(t_))
            m = self.domains

            def place(q: np.ndarray, at: np.ndarray) -> np.ndarray:
                way = b[at] - a[at]
                return np.where(q < 0, a[at] + way / (1 + np.exp(-q)), b[at] - way / (1 + np.exp(q)))

            def time(q: np.ndarray, at: np.ndarray) -> np.ndarray:
                return self._elapsed(place(q, at), a[at], s_[at], d_[at], c[at], b[at])

            def slope(q: np.ndarray, at: np.ndarray) -> np.ndarray:
                x, way = place(q, at), (b[at] - a[at]) / (2 + np.exp(q) + np.exp(-q))
                private = x**2 + c[at]
                return way / (scale * private * (s_[at] - d_[at] / m * x * private))

            low, high = np.full_like(t_, -700.0), np.full_like(t_, 34.0)  # beyond: the start, the end
            there = time(high, everywhere) <= t_
            out[bound] = np.where(there, b, place(where_time_is(t_, time, slope, low, high), everywhere))
        return out


def _three(factors: Any, name: str) -> Factors:
    if not isinstance(factors, tuple | list | np.ndarray) or getattr(factors, "ndim", 1) == 0 or len(factors) != 3:
        raise ShapeError(name, found=repr(factors)[:60], expected="(encoder, shared, decoder) strengths")
    return Factors(*factors)


def _fading(x: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Integral of dz / (z (z^2 + c)^2) from x to infinity: how a mode without a target decays."""
    v = x**2
    share = c / v
    series = np.zeros_like(v)
    for k in reversed(range(14)):
        series = series * -share + (k + 1) / (k + 2)
    series /= 2 * v**2
    exact = (np.log1p(share) / c - 1 / (v + c)) / (2 * c)
    return np.where(np.abs(share) < 0.05, series, exact)


def _root(c0: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The largest x >= 0 with x^3 + c0 x = target >= 0: Newton's method from above, where the cubic is convex."""
    x = np.cbrt(target) + np.sqrt(np.maximum(-c0, 0.0))
    for _ in range(80):
        slope = 3 * x**2 + c0
        step = np.where(slope > 0, (x * (x**2 + c0) - target) / np.where(slope > 0, slope, 1.0), 0.0)
        x = x - step
        if (np.abs(step) <= 1e-15 * x).all():
            break
    return np.maximum(x, 0.0)
