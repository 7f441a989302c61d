"""How does a mode grow in one layer of weights? An exponential approach to its target.

    a' = s - d a,        a(t) = s/d + (a0 - s/d) e^(-d t)                                  (spec 1.6, item 1)

s is the mode's strength in the correlation of inputs and targets, d the eigenvalue of the input correlation on the same
direction, a the mode's strength in the network. Written with (1 - e^(-d t)) / d, which is t at d = 0, so that a
direction without variance needs no case of its own. Everything broadcasts over modes and times.

Source: linear regression by gradient flow; used as the shallow case of Saxe, McClelland and Ganguli, ICLR 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.gated._numbers import curvatures, expm1_over, finite, fractions, log1p_over, times, together


def one_layer_strength(t: Any, s: Any, d: Any, a0: Any = 0.0) -> Any:
    """Strength of modes at times t in one layer.

    Args:
        t: times >= 0, in units of the time constant of the flow (step size times steps for gradient descent).
        s: correlation strengths, of any sign.
        d: input curvatures >= 0.
        a0: strengths at time 0, of any sign.

    Returns:
        a(t), of the broadcast shape.

    Raises:
        InputError, NonFiniteError, ShapeError: negative t or d, NaN or infinity, shapes that do not broadcast.
    """
    t_, s_, d_, a_ = together(t=times(t), s=finite(s, "s"), d=curvatures(d), a0=finite(a0, "a0"))
    with np.errstate(over="ignore", under="ignore"):
        return (a_ * np.exp(-d_ * t_) + s_ * expm1_over(d_, t_))[()]


def one_layer_time(a: Any, s: Any, d: Any, a0: Any = 0.0) -> Any:
    """When modes of one layer pass strength a: 0 if they start there, inf if they never do.

    Args:
        a: strengths to reach.
        s, d, a0: as in `one_layer_strength`.

    Raises:
        InputError, NonFiniteError, ShapeError: as `one_layer_strength`.
    """
    a_, s_, d_, start = together(a=finite(a, "a"), s=finite(s, "s"), d=curvatures(d), a0=finite(a0, "a0"))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        x = (a_ - start) / (s_ - d_ * start)
        ahead = (x > 0) & (d_ * x < 1)  # on the way from a0 to s/d, and before its end
        t = log1p_over(-d_, np.where(ahead, x, 0.0))
    return np.where(a_ == start, 0.0, np.where(ahead, t, np.inf))[()]


def one_layer_time_to(fraction: Any, s: Any, d: Any, a0: Any = 0.0) -> Any:
    """When modes of one layer first have this fraction of their target s/d: 0 if from the start, inf if never.

    Never, that is a mode without a target: s = 0, or d = 0 (it grows without end).

    Args:
        fraction: above 0, at most 1.
        s, d, a0: as in `one_layer_strength`.

    Raises:
        InputError, NonFiniteError, ShapeError: a fraction outside (0, 1], and as `one_layer_strength`.
    """
    f, s_, d_, start = together(fraction=fractions(fraction), s=finite(s, "s"), d=curvatures(d), a0=finite(a0, "a0"))
    learns = (s_ != 0) & (d_ > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        lacking = np.where(learns, 1 - d_ * start / s_, 1.0)  # share of the target missing at the start
        t = np.log(lacking / (1 - f)) / d_
    return np.where(~learns, np.inf, np.where(lacking <= 1 - f, 0.0, t))[()]
