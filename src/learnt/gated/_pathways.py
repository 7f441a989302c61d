"""Which pathways of a layered gated network are the strongest? |W_p|, without listing them all.

    W_p = W_L[:, g_{L-1}] ... W_2[g_2, g_1] W_1[g_1, :]        for groups of units g_1, g_2, ... one of each layer

Only the Frobenius norm is wanted, so a part of a path is kept as the factor R of its transpose, at most as large as its
group. Where there are more paths than asked for, the search keeps the most promising beginnings, judged by products of
the norms of blocks; what is left out is bounded by the sum of those products over all paths, which is exact for groups
of one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True, kw_only=True)
class Pathway:
    """A path through groups of units: the groups in order, its Frobenius norm, and how often it is open."""

    nodes: tuple[str, ...]
    norm: float
    open: float


def block_norms(weights: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(row groups, column groups) Frobenius norms of the blocks of (units, units) weights; labels (units,) from 0."""
    squares = weights**2
    by_row = np.zeros((int(rows.max()) + 1, squares.shape[1]))
    np.add.at(by_row, rows, squares)
    found = np.zeros((int(columns.max()) + 1, len(by_row)))
    np.add.at(found, columns, by_row.T)
    return np.sqrt(found.T)


def strongest(
    weights: Sequence[np.ndarray], labels: Sequence[np.ndarray], most: int
) -> tuple[list[tuple[tuple[int, ...], float]], float]:
    """The strongest paths, and a bound on the share of the norm of all paths that is left out.

    Args:
        weights: (out, in) by layer, restricted to the units that are kept.
        labels: the group of each unit, by hidden layer.
        most: paths to keep.

    Returns:
        [(groups by hidden layer, norm)], largest first, and the share in [0, 1]; 0 if no path is left out.
    """
    ends = [np.zeros(weights[0].shape[1], dtype=np.int64), *labels, np.zeros(len(weights[-1]), dtype=np.int64)]
    norms = [block_norms(w, ends[i + 1], ends[i]) for i, w in enumerate(weights)]
    ahead = [np.ones(1)]  # by layer from the last: sum over the rest of all paths from each group
    for norm in reversed(norms):
        ahead.append(norm.T @ ahead[-1])
    ahead.reverse()
    units = [[np.flatnonzero(group == g) for g in range(int(group.max()) + 1)] for group in ends]
    parts: list[tuple[tuple[int, ...], np.ndarray]] = [((), np.eye(weights[0].shape[1]))]
    count = 1
    for i, w in enumerate(weights):
        last = np.array([path[-1] if path else 0 for path, _ in parts])
        size = np.array([np.linalg.norm(r) if i else 1.0 for _, r in parts])
        promise = size[:, None] * norms[i][:, last].T * ahead[i + 1]
        count *= promise.shape[1]
        chosen = np.argsort(-promise, axis=None, kind="stable")[:most] if promise.size > most else range(promise.size)
        longer = []
        for flat in chosen:
            k, g = divmod(int(flat), promise.shape[1])
            path, r = parts[k]
            block = w[np.ix_(units[i + 1][g], units[i][last[k]])]
            longer.append(((*path, g), _factor(block if i == 0 else block @ r)))
        parts = longer
    found = sorted(((path[:-1], float(np.linalg.norm(r))) for path, r in parts), key=lambda p: (-p[1], p[0]))
    whole = float(ahead[0][0])
    kept = sum(norm for _, norm in found)
    return found, 0.0 if count <= most or whole == 0 else max(0.0, 1.0 - kept / whole)


def _factor(part: np.ndarray) -> np.ndarray:
    """A matrix of the same norm, and of the same norm after any product from the left, no wider than it is high."""
    if part.shape[1] <= part.shape[0]:
        return part
    if len(part) == 1:
        return np.array([[np.linalg.norm(part)]])
    _, factor = np.linalg.qr(part.T)
    return factor.T
