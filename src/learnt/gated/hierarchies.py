"""A tree of items: which features do they share, and how strong is each of its distinctions?

    n = 2^D items; level k = 0..D has 2^k features, each true of the n / 2^k items below one node, and worth w_k
    singular values of the n x (2n - 1) table: s_l^2 = sum_{k >= l} w_k^2 n / 2^k, once for l = 0, else 2^(l-1) times

Saxe, McClelland, Ganguli 2019; the weights (6, 4, 3) with D = 2 are those of the routing notebooks of arXiv 2207.10430.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from learnt.core.errors import ShapeError
from learnt.gated._frozen import finite, whole


class Strengths(NamedTuple):
    """Singular values of a tree by level, (D + 1,), and how often each occurs, (D + 1,)."""

    s: np.ndarray
    multiplicity: np.ndarray


def tree(levels: int, weights: Sequence[float]) -> np.ndarray:
    """(n, 2 n - 1) features of the n = 2^levels items: those of level 0 first.

    Args:
        levels: D, the depth of the tree.
        weights: (D + 1,) what a feature of each level is worth.

    Raises:
        ShapeError, InputError, NonFiniteError: not one finite weight for each level.
    """
    depth, w = _checked(levels, weights)
    n = 2**depth
    item = np.arange(n)[:, None]
    return np.concatenate([w[k] * (item // (n >> k) == np.arange(2**k)) for k in range(depth + 1)], axis=1)


def tree_strengths(levels: int, weights: Sequence[float]) -> Strengths:
    """The singular values of `tree(levels, weights)`, by the formula above."""
    depth, w = _checked(levels, weights)
    share = w**2 * 2.0 ** (depth - np.arange(depth + 1))
    multiplicity = np.array([1, *(2 ** (level - 1) for level in range(1, depth + 1))])
    return Strengths(np.sqrt(np.cumsum(share[::-1])[::-1]), multiplicity)


def _checked(levels: int, weights: Sequence[float]) -> tuple[int, np.ndarray]:
    depth, w = whole(levels, "levels", 0), finite(weights, "weights")
    if w.shape != (depth + 1,):
        raise ShapeError("weights", found=f"shape {w.shape}", expected=f"({depth + 1},), one for each level 0..{depth}")
    return depth, w
