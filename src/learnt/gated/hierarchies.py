"""A tree of items: which features do they share?

    n = 2^D items; level k = 0..D has 2^k features, each true of the n / 2^k items below one node, and worth w_k

Saxe, McClelland, Ganguli 2019; the weights (6, 4, 3) with D = 2 are those of the routing notebooks of arXiv 2207.10430.
Their singular values are in `learnt.gated.hierarchy`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learnt.core.errors import ShapeError
from learnt.gated._frozen import finite, whole


def tree(levels: int, weights: Sequence[float]) -> np.ndarray:
    """(n, 2 n - 1) features of the n = 2^levels items of a binary tree, those of the root first (spec 1.8).

    Level k has 2^k features, each true of the n / 2^k items below one node, and worth weights[k]. Singular values:
    `learnt.gated.hierarchy.hierarchy_strengths`.

    Args:
        levels: D, the depth of the tree.
        weights: (D + 1,) what a feature of each level is worth.

    Raises:
        ShapeError, InputError, NonFiniteError: not one finite weight for each level.
    """
    depth, w = whole(levels, "levels", 0), finite(weights, "weights")
    if w.shape != (depth + 1,):
        raise ShapeError("weights", found=f"shape {w.shape}", expected=f"({depth + 1},), one for each level 0..{depth}")
    n = 2**depth
    item = np.arange(n)[:, None]
    return np.concatenate([w[k] * (item // (n >> k) == np.arange(2**k)) for k in range(depth + 1)], axis=1)
