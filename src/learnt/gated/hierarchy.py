"""Which modes has a tree of categories, and at which heights does its loss rest?

n = 2^D items; at level k = 0 .. D there are 2^k features, each shared by the n / 2^k items of one branch, with weight
w_k. The modes are the splits of the tree, and

    s_l^2 = sum_{k >= l} w_k^2 n / 2^k,   once for l = 0 (all items) and 2^(l-1) times for l >= 1           (spec 1.8)

Broader splits are stronger, so they are learned first. With the inputs of the notebooks, X = I and d = 1, the sum of
squared errors rests at the sum of the s^2 not yet learned.

Source: the data of the notebooks of Saxe, Sodhani and Lewallen 2022.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.core.errors import ShapeError
from learnt.gated._numbers import finite, whole


def hierarchy_strengths(weights: Any) -> np.ndarray:
    """Singular values of the features-by-items matrix of a binary tree, falling.

    Args:
        weights: (D + 1,) the weight of the features of each level, the root first.

    Returns:
        (2^D,) strengths; weights (6, 4, 3) give 13.60147, 6.40312, 3, 3.

    Raises:
        ShapeError, InputError, NonFiniteError: weights that are no row of at most 25 finite numbers.
    """
    w = _row(weights)
    items = 2.0 ** (len(w) - 1)
    energy = w**2 * items / 2.0 ** np.arange(len(w))
    strengths = np.sqrt(np.cumsum(energy[::-1])[::-1])
    return np.repeat(strengths, hierarchy_multiplicities(len(w)))


def hierarchy_multiplicities(levels: int) -> np.ndarray:
    """How often each strength occurs, (levels,), for a tree with its root: 1, 1, 2, 4, ...

    Raises:
        InputError: no integer from 1 to 25.
    """
    return np.array([1, *(2 ** np.arange(whole(levels, "levels", 1, 25) - 1))], dtype=np.int64)


def hierarchy_plateaus(weights: Any) -> np.ndarray:
    """Sum of squared errors before training and after each level of splits is learned; the last is 0.

    Weights (6, 4, 3) give 244, 59, 18, 0. Arguments and errors as `hierarchy_strengths`.
    """
    strengths = hierarchy_strengths(weights)
    ends = np.cumsum(hierarchy_multiplicities(len(_row(weights))))
    left = np.concatenate([np.cumsum((strengths**2)[::-1])[::-1], [0.0]])
    return left[np.concatenate([[0], ends])]


def _row(weights: Any) -> np.ndarray:
    w = finite(weights, "weights")
    if w.ndim != 1 or not 1 <= len(w) <= 25:
        raise ShapeError("weights", found=f"shape {w.shape}", expected="one weight for each of 1 to 25 levels")
    return w
