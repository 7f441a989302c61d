"""How does a mode grow in two layers? A sigmoid from a balanced start, anything up to an exponential from another.

    b1' = b2 (s - d a),   b2' = b1 (s - d a),   a = b1 b2;   lam = b2^2 - b1^2 never changes
    a' = sqrt(lam^2 + 4 a^2) (s - d a)                                                     (spec 1.6, items 2 and 3)
    lam = 0:   a(t) = (s/d) / (1 + (s/(d a0) - 1) e^(-2 s t))

The solution usually printed for lam != 0 divides by lam, s and d. Here p = |b1 + b2| and q = |b1 - b2| are followed:

    p(t)^2 = p0^2 A/B,   q(t)^2 = q0^2 B/A,   a = (p^2 - q^2) / 4,   R = sqrt(4 s^2 + d^2 lam^2),   E = e^(-R t)
    A = (1 + 2s/R)/2 + (1 - 2s/R)/2 E + d q0^2 (1 - E)/(2R)
    B = (1 - 2s/R)/2 + (1 + 2s/R)/2 E + d p0^2 (1 - E)/(2R)

All terms are positive, nothing overflows, and lam = 0, s = 0, d = 0 and negative strengths are no special cases. It is
the same function: w = p/q is the variable exp(asinh(2a/|lam|)) of the specification.

How lazy the mode is: k = d |lam| / (2 |s|). Far below 1 a sigmoid of rate 2s ("rich"), far above an exponential of
rate d |lam| ("lazy").

Source: Saxe, McClelland and Ganguli, ICLR 2014 (balanced); the form in p and q is derived here and tested against the
differential equation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.gated._numbers import curvatures, expm1_over, finite, fractions, times, together


def two_layer_strength(t: Any, s: Any, d: Any, a0: Any, lam: Any = 0.0) -> Any:
    """Strength of modes at times t in two layers.

    Args:
        t: times >= 0.
        s: correlation strengths, of any sign.
        d: input curvatures >= 0; with d = 0 a mode grows without end, at last to inf.
        a0: strengths b1 b2 at time 0, of any sign.
        lam: b2^2 - b1^2 at time 0; 0 is a balanced start. A balanced mode never leaves 0 nor crosses it.

    Returns:
        a(t), of the broadcast shape.

    Raises:
        InputError, NonFiniteError, ShapeError: negative t or d, NaN or infinity, shapes that do not broadcast.
    """
    t_, s_, d_, a_, lam_ = together(
        t=times(t), s=finite(s, "s"), d=curvatures(d), a0=finite(a0, "a0"), lam=finite(lam, "lam")
    )
    p2, q2 = _squares(a_, lam_)
    a_over_b, b_over_a = _growth(t_, s_, d_, p2, q2, np.abs(lam_))
    with np.errstate(over="ignore", under="ignore"):
        return np.where(t_ == 0, a_, (_times(p2, a_over_b) - _times(q2, b_over_a)) / 4)[()]


def two_layer_weights(t: Any, s: Any, d: Any, b1: Any, b2: Any) -> tuple[Any, Any]:
    """The two factors of modes at times t.

    Args:
        t, s, d: as in `two_layer_strength`.
        b1, b2: strengths of the first and second layer at time 0, of any sign.

    Returns:
        (b1(t), b2(t)), of the broadcast shape; their product is `two_layer_strength(t, s, d, b1 b2, b2^2 - b1^2)`.

    Raises:
        InputError, NonFiniteError, ShapeError: as `two_layer_strength`.
    """
    t_, s_, d_, first, second = together(
        t=times(t), s=finite(s, "s"), d=curvatures(d), b1=finite(b1, "b1"), b2=finite(b2, "b2")
    )
    total, difference = second + first, second - first
    with np.errstate(over="ignore", under="ignore"):
        a_over_b, b_over_a = _growth(t_, s_, d_, total**2, difference**2, np.abs(total * difference))
        total, difference = _times(total, np.sqrt(a_over_b)), _times(difference, np.sqrt(b_over_a))
        return ((total - difference) / 2)[()], ((total + difference) / 2)[()]


def two_layer_time(a: Any, s: Any, d: Any, a0: Any, lam: Any = 0.0) -> Any:
    """When modes of two layers pass strength a: 0 if they start there, inf if they never do.

    Args:
        a: strengths to reach.
        s, d, a0, lam: as in `two_layer_strength`.

    Raises:
        InputError, NonFiniteError, ShapeError: as `two_layer_strength`.
    """
    end, s_, d_, start, lam_ = together(
        a=finite(a, "a"), s=finite(s, "s"), d=curvatures(d), a0=finite(a0, "a0"), lam=finite(lam, "lam")
    )
    mirror = np.where(s_ < 0, -1.0, 1.0)  # (s, a) and (-s, -a) obey the same law
    s_, start, end, lam_ = np.abs(s_), mirror * start, mirror * end, np.abs(lam_)
    with np.errstate(all="ignore"):
        upwards = (start < end) & (d_ * end < s_)
        ahead = upwards | ((end < start) & (s_ < d_ * end))
        (x0, y0), (x1, y1) = _squares(start, lam_), _squares(end, lam_)
        r = np.hypot(2 * s_, d_ * lam_)
        top = r + 2 * s_
        # ln of p^2 at the end over p^2 at the start, also where p^2 itself underflows
        grown = np.where(end >= 0, np.log(x1), 2 * np.log(lam_) - np.log(y1)) - np.where(
            start >= 0, np.log(x0), 2 * np.log(lam_) - np.log(y0)
        )
        grown = np.where((start < 0) & (end < 0), np.log(y0 / y1), grown)
        far = (grown + np.log((top + d_ * y1) / (top + d_ * y0)) + np.log((top - d_ * x0) / (top - d_ * x1))) / r
        below = (start < 0) & (end < 0)
        u = np.where(below, y0 - y1, x1 - x0)
        v = np.where(
            below, s_ * (y0 + y1) + d_ / 2 * (y0 * y1 - lam_**2), s_ * (x0 + x1) + d_ / 2 * (lam_**2 - x0 * x1)
        )
        x = r / 2 * u / v
        near = u / v * np.where(np.abs(x) < 1e-8, 1.0, np.arctanh(np.where(np.abs(x) < 0.5, x, 0.5)) / x)
        t = np.where(np.abs(x) < 0.5, near, far)
    return np.where(end == start, 0.0, np.where(ahead & ~np.isnan(t), t, np.inf))[()]


def two_layer_time_to(fraction: Any, s: Any, d: Any, a0: Any, lam: Any = 0.0) -> Any:
    """When modes of two layers first have this fraction of their target s/d: 0 if from the start, inf if never.

    Never: s = 0 or d = 0 (no target), and a balanced start at 0 or on the other side of 0. For a balanced start and one
    half it is ln(s/(d a0) - 1) / (2 s).

    Args:
        fraction: above 0, at most 1.
        s, d, a0, lam: as in `two_layer_strength`.

    Raises:
        InputError, NonFiniteError, ShapeError: a fraction outside (0, 1], and as `two_layer_strength`.
    """
    f, s_, d_, start, lam_ = together(
        fraction=fractions(fraction), s=finite(s, "s"), d=curvatures(d), a0=finite(a0, "a0"), lam=finite(lam, "lam")
    )
    with np.errstate(all="ignore"):
        target = s_ / d_
        learns = (s_ != 0) & (d_ > 0) & np.isfinite(target)
        goal = np.where(learns, f * target, 0.0)
        there = start * np.sign(s_) >= goal * np.sign(s_)
    t = two_layer_time(goal, s_, d_, start, lam_)
    return np.where(~learns, np.inf, np.where(there, 0.0, t))[()]


def lazy_index(s: Any, d: Any, lam: Any) -> Any:
    """How lazily two layers learn a mode: k = d |lam| / (2 |s|); 0: rich (a sigmoid), large: lazy (an exponential).

    Args:
        s, d, lam: as in `two_layer_strength`.

    Returns:
        k >= 0; 0 for a balanced start, inf where s is 0 and the start is not balanced.

    Raises:
        InputError, NonFiniteError, ShapeError: as `two_layer_strength`.
    """
    s_, d_, lam_ = together(s=np.abs(finite(s, "s")), d=curvatures(d), lam=np.abs(finite(lam, "lam")))
    with np.errstate(all="ignore"):
        return np.where(d_ * lam_ == 0, 0.0, d_ * lam_ / (2 * s_))[()]


def _squares(a: np.ndarray, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(b1 + b2)^2 and (b1 - b2)^2 from the strength and the imbalance, each without cancellation."""
    with np.errstate(under="ignore", over="ignore"):
        h = np.hypot(2 * a, lam)
        large = h + 2 * np.abs(a)
        small = np.abs(lam) * (np.abs(lam) / np.where(large > 0, large, 1.0))
    return np.where(a >= 0, large, small), np.where(a >= 0, small, large)


def _growth(
    t: np.ndarray, s: np.ndarray, d: np.ndarray, p2: np.ndarray, q2: np.ndarray, lam: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A/B and B/A of the module's formula."""
    with np.errstate(all="ignore"):
        m = d * lam
        r = np.hypot(2 * s, m)
        less = np.where(r > 0, m * (m / (r + 2 * np.abs(s))) / np.where(r > 0, r, 1.0), 1.0)  # 1 - 2|s|/R
        plus, minus = np.where(s >= 0, 2 - less, less) / 2, np.where(s >= 0, less, 2 - less) / 2
        gone, spent = np.exp(-r * t), expm1_over(r, t)
        a = plus + minus * gone + d * q2 * spent / 2
        b = minus + plus * gone + d * p2 * spent / 2
        return a / b, b / a


def _times(start: np.ndarray, growth: np.ndarray) -> np.ndarray:
    """Start * growth, where 0 stays 0 however large the growth."""
    with np.errstate(invalid="ignore"):
        return np.where(start == 0, 0.0, start * growth)
