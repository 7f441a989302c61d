"""How does depth change the growth of a mode? L layers from a balanced start: longer plateaus, sharper steps.

    b_i = b in every layer, a = b^L:   b' = b^(L-1) (s - d b^L),   a' = L a^(2 - 2/L) (s - d a)       (spec 1.6, item 4)

Time is a hypergeometric function of strength. With y = d b^L / s and c = (2L - 2) / L two antiderivatives are used,

    f(b) = b^(2-L) / ((2 - L) s)       2F1(1, (2-L)/L; 2/L; y)            where |y0| <= 1: growing from a small start
    g(b) = b^(2-2L) / ((2L - 2) d)     2F1(1, c; c + 1; 1/y)              elsewhere: shrinking from above, s <= 0

so that t = f(b) - f(b0) or g(b) - g(b0). For L = 3 and growth f is elementary, `three_layer_profile`. Strength as a
function of time is the root of the same formula in logit(y), where it is nearly straight. L = 1 and L = 2 are handed to
their own laws. A layer strength b0 < 0 is allowed: the sign stays, and a = b^L.

In the limit of many layers (spec 1.6): t = [ (d/s^2) ln(a (s - d a0) / (a0 (s - d a))) + 1/(s a0) - 1/(s a) ] / L.

Source: Saxe, McClelland and Ganguli, ICLR 2014, for L = 2 and the limit; the general antiderivatives are derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.core.errors import InputError
from learnt.gated._numbers import (
    MAX_LAYERS,
    at_least,
    curvatures,
    finite,
    fractions,
    times,
    together,
    where_time_is,
    whole,
)
from learnt.gated.one_layer import one_layer_strength, one_layer_time
from learnt.gated.two_layers import two_layer_strength, two_layer_time

_REACHED = 40.0  # logit of a share that float64 cannot tell from 1


def deep_layer_strength(t: Any, s: Any, d: Any, b0: Any, layers: int) -> Any:
    """Strength b of one of the L equal factors of modes at times t; the mode's strength is b^L.

    Args:
        t: times >= 0.
        s: correlation strengths, of any sign.
        d: input curvatures >= 0; with d = 0 and three layers or more a mode reaches infinity in finite time.
        b0: layer strengths at time 0, of any sign; with two layers or more a mode never leaves 0 nor crosses it.
        layers: L, the number of weight layers, from 1.

    Returns:
        b(t), of the broadcast shape.

    Raises:
        InputError, NonFiniteError, ShapeError: negative t or d, no whole number of layers, NaN or infinity, shapes.
    """
    n = whole(layers, "layers", 1, MAX_LAYERS)
    t_, s_, d_, b_ = together(t=times(t), s=finite(s, "s"), d=curvatures(d), b0=finite(b0, "b0"))
    if n == 1:
        return one_layer_strength(t_, s_, d_, b_)
    sign = np.where(b_ < 0, -1.0, 1.0)
    s_ = s_ * sign**n  # the size of b obeys the same law, with s turned where the product changes sign
    if n == 2:
        return np.where(t_ == 0, b_, sign * np.sqrt(two_layer_strength(t_, s_, d_, b_**2)))[()]
    flat_t, flat_s, flat_d, flat_b = (np.array(x, dtype=np.float64).ravel() for x in (t_, s_, d_, np.abs(b_)))
    with np.errstate(all="ignore"):
        return (sign * _forward(flat_t, flat_s, flat_d, flat_b, n).reshape(t_.shape))[()]


def deep_time(b: Any, s: Any, d: Any, b0: Any, layers: int) -> Any:
    """When the layer strength of modes passes b: 0 if they start there, inf if they never do.

    Args:
        b: layer strengths to reach; of the mode's strength a the L-th root.
        s, d, b0, layers: as in `deep_layer_strength`.

    Raises:
        InputError, NonFiniteError, ShapeError: as `deep_layer_strength`.
    """
    n = whole(layers, "layers", 1, MAX_LAYERS)
    end, s_, d_, start = together(b=finite(b, "b"), s=finite(s, "s"), d=curvatures(d), b0=finite(b0, "b0"))
    if n == 1:
        return one_layer_time(end, s_, d_, start)
    sign = np.where(start < 0, -1.0, 1.0)
    s_, end_, start_ = s_ * sign**n, sign * end, np.abs(start)
    possible = (end_ > 0) & (start_ > 0)
    with np.errstate(all="ignore"):
        if n == 2:
            t = two_layer_time(np.where(possible, end_**2, 1.0), s_, d_, np.where(possible, start_**2, 1.0))
        else:
            y = d_ * end_**n
            upwards = (start_ < end_) & (y < s_)
            possible &= upwards | ((end_ < start_) & (y > s_))
            t = _between(np.where(possible, end_, 1.0), np.where(possible, start_, 1.0), s_, d_, n)
    return np.where(end == start, 0.0, np.where(possible & ~np.isnan(t), t, np.inf))[()]


def deep_time_to(fraction: Any, s: Any, d: Any, b0: Any, layers: int) -> Any:
    """When modes first have this fraction of their target strength a = s/d: 0 if from the start, inf if never.

    Never: s = 0 or d = 0 (no target), b0 = 0 with two layers or more, and a target whose sign the mode cannot have.

    Args:
        fraction: of a, above 0, at most 1; one half of b is the fraction 1 / 2^L of a.
        s, d, b0, layers: as in `deep_layer_strength`.

    Raises:
        InputError, NonFiniteError, ShapeError: a fraction outside (0, 1], and as `deep_layer_strength`.
    """
    n = whole(layers, "layers", 1, MAX_LAYERS)
    f, s_, d_, start = together(fraction=fractions(fraction), s=finite(s, "s"), d=curvatures(d), b0=finite(b0, "b0"))
    sign = np.where(start < 0, -1.0, 1.0) if n > 1 else np.where(s_ < 0, -1.0, 1.0)
    with np.errstate(all="ignore"):
        pull = s_ * sign**n
        goal = (f * pull / d_) ** (1 / n)
        learns = (pull > 0) & (d_ > 0) & np.isfinite(goal)
    goal = np.where(learns, goal, 1.0)
    t = deep_time(sign * goal, s_, d_, start, n)
    return np.where(~learns, np.inf, np.where(sign * start >= goal, 0.0, t))[()]


def very_deep_time(a: Any, s: Any, d: Any, a0: Any, layers: int) -> Any:
    """When modes of very many layers pass strength a, to first order in 1 / L; inf if they never do.

    Args:
        a: strengths to reach, > 0.
        s: correlation strengths, of any sign.
        d: input curvatures >= 0.
        a0: strengths at time 0, > 0.
        layers: L. `deep_time` is the answer for a given L; this is its limit times L, divided by L.

    Raises:
        InputError, NonFiniteError, ShapeError: a strength that is not positive, and as `deep_layer_strength`.
    """
    n = whole(layers, "layers", 1, MAX_LAYERS)
    positive = "the product of many equal factors"
    end, s_, d_, start = together(
        a=at_least(a, "a", 0.0, why=positive, strictly=True),
        s=finite(s, "s"),
        d=curvatures(d),
        a0=at_least(a0, "a0", 0.0, why=positive, strictly=True),
    )
    from scipy.special import hyp2f1

    with np.errstate(all="ignore"):
        ahead = ((start < end) & (d_ * end < s_)) | ((end < start) & (d_ * end > s_))
        grown = s_ * ((end - start) / start) / (s_ - d_ * end)
        t = d_ / s_**2 * np.log1p(grown) + (end - start) / start / end / s_
        u1, u0 = s_ / (d_ * end), s_ / (d_ * start)
        weak = np.maximum(np.abs(u1), np.abs(u0)) < 0.5  # then the terms above cancel
        series = (
            hyp2f1(1, 2, 3, np.where(weak, u1, 0)) / end**2 - hyp2f1(1, 2, 3, np.where(weak, u0, 0)) / start**2
        ) / (2 * d_)
        t = np.where(weak, series, t)
    return np.where(end == start, 0.0, np.where(ahead & ~np.isnan(t), t / n, np.inf))[()]


def deep_profile(z: Any, layers: int) -> Any:
    """F(z) of growth from below, t = [F(z) - F(z0)] / (s b*^(L-2)) with z = b/b*, for L >= 3 (spec 1.6).

    Args:
        z: strengths of a layer as a share of the final one, above 0 and below 1.
        layers: L.

    Raises:
        InputError, NonFiniteError: shares outside of that range, fewer than three layers.
    """
    from scipy.special import hyp2f1

    n, z_ = whole(layers, "layers", 3, MAX_LAYERS), _inside(z)
    with np.errstate(over="ignore"):
        return (z_ ** float(2 - n) / (2 - n) * hyp2f1(1.0, (2 - n) / n, 2 / n, z_ ** float(n)))[()]


def three_layer_profile(z: Any) -> Any:
    """`deep_profile(z, 3)` but for a constant: -1/z - ln(1-z)/3 + ln(1+z+z^2)/6 - atan((2z+1)/sqrt 3)/sqrt 3."""
    z_ = _inside(z)
    turn = np.arctan((2 * z_ + 1) / np.sqrt(3)) / np.sqrt(3)
    with np.errstate(over="ignore"):
        return (-1 / z_ - np.log1p(-z_) / 3 + np.log1p(z_ * (1 + z_)) / 6 - turn)[()]


def _inside(z: Any) -> np.ndarray:
    """Z strictly between 0 and 1."""
    values = at_least(z, "z", 0.0, why="a share of the target, below 1", strictly=True)
    if (values >= 1).any():
        raise InputError("z", found=f"{values.max():g}", expected="a share of the target, above 0 and below 1")
    return values


def _hyper(b: float, y: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """2F1(1, b; b + 1; y) with rest = 1 - y given, because its logarithm at y = 1 needs every digit of it.

    Near 1 by its own series: scipy 1.17 answers with the wrong sign at b = 4/3, y = 0.999 (b + 1 rounds).
    """
    from scipy.special import hyp2f1, psi

    close = rest < 0.05
    far = hyp2f1(1.0, b, b + 1, np.where(close, 0.0, y))
    if not close.any():
        return far
    x = np.where(close, rest, 0.05)
    log, term, near = np.log(x), np.ones_like(x), np.zeros_like(x)
    for k in range(13):
        near += term * (psi(k + 1) - psi(b + k) - log)
        term = term * x * (b + k) / (k + 1)
    return np.where(close, b * near, far)


def _f(x: np.ndarray, y: np.ndarray, rest: np.ndarray, s: np.ndarray, n: int) -> np.ndarray:
    return x ** (2 - n) / ((2 - n) * s) * _hyper((2 - n) / n, y, rest)


def _g(x: np.ndarray, u: np.ndarray, rest: np.ndarray, d: np.ndarray, n: int) -> np.ndarray:
    return x ** (2 - 2 * n) / ((2 * n - 2) * d) * _hyper((2 * n - 2) / n, u, rest)


def _between(b: np.ndarray, b0: np.ndarray, s: np.ndarray, d: np.ndarray, n: int) -> np.ndarray:
    """Time from b0 to b > 0 on the same side of the target, for n >= 3 layers."""
    y, y0 = d * b**n, d * b0**n
    inner = (s != 0) & (np.abs(y0) <= np.abs(s))
    s1, y1, y01 = np.where(inner, s, 1.0), np.where(inner, y, 0.0), np.where(inner, y0, 0.0)
    grown = _f(b, y1 / s1, (s1 - y1) / s1, s1, n) - _f(b0, y01 / s1, (s1 - y01) / s1, s1, n)
    d2, s2 = np.where(inner, 1.0, d), np.where(inner, 0.0, s)
    y2, y02 = np.where(inner, 1.0, y), np.where(inner, 1.0, y0)
    shrunk = _g(b, s2 / y2, (y2 - s2) / y2, d2, n) - _g(b0, s2 / y02, (y02 - s2) / y02, d2, n)
    return np.where(inner, grown, shrunk)


def _forward(t: np.ndarray, s: np.ndarray, d: np.ndarray, b0: np.ndarray, n: int) -> np.ndarray:
    """b(t) for b0 >= 0 and n >= 3 layers; 1-D arrays."""
    out = b0.copy()
    y0 = d * b0**n
    moving = (t > 0) & (b0 > 0) & (y0 != s)
    d = np.where((s > 0) & ~np.isfinite(s / d), 0.0, d)  # a target beyond float64 is none
    free = moving & (d == 0)
    left = b0 ** (2 - n) - (n - 2) * s * t
    out[free] = np.where(left > 0, left ** (-1 / (n - 2)), np.inf)[free]
    idle = moving & (d > 0) & (s == 0)
    out[idle] = (b0 * (1 + (2 * n - 2) * d * b0 ** (2 * n - 2) * t) ** (-1 / (2 * n - 2)))[idle]
    cases = (
        (moving & (s > y0) & (d > 0), _rising),
        (moving & (s > 0) & (s < y0), _falling),
        (moving & (s < 0) & (d > 0), _fading),
    )
    for case, law in cases:
        if case.any():
            out[case] = law(t[case], s[case], d[case], b0[case], n)
    return out


def _rising(t: np.ndarray, s: np.ndarray, d: np.ndarray, b0: np.ndarray, n: int) -> np.ndarray:
    """b(t) on its way up to the target; q = logit(y)."""
    y0 = d * b0**n / s
    before = _f(b0, y0, (s - d * b0**n) / s, s, n)
    size = lambda q, at: np.exp((np.log(s[at]) - np.log(d[at]) - np.logaddexp(0, -q)) / n)
    time = lambda q, at: _f(size(q, at), _share(q), _share(-q), s[at], n) - before[at]
    slope = lambda q, at: 1 / (n * s[at] * size(q, at) ** (n - 2))
    low = np.log(d) + n * np.log(b0) - np.log(s) - np.log1p(-y0)
    b = _towards(t, time, slope, low, size, np.exp((np.log(s) - np.log(d)) / n))
    return np.where(np.isfinite(before), b, b0)  # not finite: no time that float64 can hold moves it


def _falling(t: np.ndarray, s: np.ndarray, d: np.ndarray, b0: np.ndarray, n: int) -> np.ndarray:
    """b(t) on its way down to the target; q = logit(1/y)."""
    u0 = s / (d * b0**n)
    before = _g(b0, u0, (d * b0**n - s) / (d * b0**n), d, n)
    size = lambda q, at: np.exp((np.log(s[at]) - np.log(d[at]) + np.logaddexp(0, -q)) / n)
    time = lambda q, at: _g(size(q, at), _share(q), _share(-q), d[at], n) - before[at]
    slope = lambda q, at: 1 / (n * d[at] * size(q, at) ** (2 * n - 2))
    low = np.log(s) - np.log(d) - n * np.log(b0) - np.log1p(-u0)
    return _towards(t, time, slope, low, size, np.exp((np.log(s) - np.log(d)) / n))


def _fading(t: np.ndarray, s: np.ndarray, d: np.ndarray, b0: np.ndarray, n: int) -> np.ndarray:
    """b(t) on its way down to 0 where s < 0; q = -ln b, between the two power laws that bound it."""

    def free(pull: np.ndarray) -> np.ndarray:
        return np.log1p(-(n - 2) * pull * b0 ** (n - 2) * t) / (n - 2) - np.log(b0)

    time = lambda q, at: _between(np.exp(-q), b0[at], s[at], d[at], n)
    slope = lambda q, at: 1 / (np.exp(-q) ** (n - 2) * (d[at] * np.exp(-q) ** n - s[at]))
    low, high = np.minimum(free(s), 700.0), np.minimum(free(s - d * b0**n), 700.0)
    b = np.exp(-where_time_is(t, time, slope, low, high))
    return np.where(np.isfinite(_between(b, b0, s, d, n)), b, b0)


def _towards(t: np.ndarray, time: Any, slope: Any, low: np.ndarray, size: Any, target: np.ndarray) -> np.ndarray:
    high = np.maximum(low, _REACHED)
    everywhere = np.arange(len(t))
    there = time(high, everywhere) <= t
    return np.where(there, target, size(where_time_is(t, time, slope, low, high), everywhere))


def _share(q: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-q))
