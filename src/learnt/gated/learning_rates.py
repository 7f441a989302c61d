"""Which step size survives? Twice the inverse of the largest curvature where training ends.

    chain of L layers:       lambda = L w d (s/d)^(2 - 2/L)                                              (spec 1.10)
    routing, three layers:   lambda = 3 w K d M^(1/3) (s/d)^(4/3)

and lr_max = 2 / lambda. It is the largest step for which full-batch gradient descent stays at the optimum of the modes,
and an upper bound for the whole network: directions of the input that no mode uses may be steeper. The second line is
`SymmetricRouting.lr_max` of `learnt.gated.routing_theory`, for any numbers of layers and any start.

Source: derived for the specification from the Hessian of the reduced loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.gated._numbers import MAX_LAYERS, at_least, curvatures, finite, together, whole


def chain_curvature(s: Any, d: Any, layers: int, weight: Any = 1.0) -> Any:
    """Largest curvature of the loss of modes in a balanced chain, at its optimum.

    Args:
        s: correlation strengths; their sign does not matter.
        d: input curvatures >= 0.
        layers: L, the number of weight layers, from 1.
        weight: w > 0, the factor of the mode's loss w |y - W x|^2 / 2.

    Returns:
        lambda, of the broadcast shape; 0 where s or d is 0 and L > 1 (nothing to learn, or no optimum).

    Raises:
        InputError, NonFiniteError, ShapeError: negative d, weight or L, NaN or infinity, shapes that do not broadcast.
    """
    n = whole(layers, "layers", 1, MAX_LAYERS)
    s_, d_, w = together(
        s=np.abs(finite(s, "s")),
        d=curvatures(d),
        weight=at_least(weight, "weight", 0.0, why="a share of the loss", strictly=True),
    )
    power = 2 - 2 / n
    with np.errstate(all="ignore"):
        safe = np.where(d_ > 0, d_, 1.0)
        return np.where(d_ > 0, n * w * safe ** (1 - power) * s_**power, 0.0)[()]


def chain_lr_max(s: Any, d: Any, layers: int, weight: Any = 1.0) -> Any:
    """Largest stable step 2 / lambda for each mode; inf where lambda is 0. Take the smallest over the modes.

    Arguments and errors as `chain_curvature`.
    """
    with np.errstate(divide="ignore", over="ignore"):
        return (2 / np.asarray(chain_curvature(s, d, layers, weight)))[()]
