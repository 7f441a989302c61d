"""Modes without a target: directions of the inputs that no pathway correlates with its targets, but that have variance.

Weights on them can only decay. They complete the bases so that a start on all modes means what it says: as many as the
narrowest of inputs, outputs and hidden nodes leaves room for, those of most variance first.
"""

from __future__ import annotations

import numpy as np

from learnt.gated._bases import complement, joint_diagonaliser, orthonormal, polar
from learnt.gated._ports import Ports

_COUPLED = 1e-9


def completed(frames: list[np.ndarray], around: Ports, room: int, tol: float) -> list[np.ndarray]:
    """(dim, N') by port: the bases with missing columns filled, and at most `room` modes added."""
    reads = list(dict.fromkeys(around.read.values()))
    writes = [q for q in dict.fromkeys(around.write.values()) if q not in reads]
    within: dict[int, list[np.ndarray]] = {q: [] for q in reads}
    between: dict[int, list[tuple[int, np.ndarray]]] = {q: [] for q in reads}
    for link in around.links:
        if link.a == link.b and link.a in within:
            within[link.a].append(link.matrix)
        elif link.a in within and link.b in within:
            between[link.a].append((link.b, link.matrix))
            between[link.b].append((link.a, link.matrix.T))
    frames = [frame.copy() for frame in frames]
    for q in reads:
        _inputs(frames, q, within[q], between[q], tol)
    for q in writes:
        _any(frames, q)

    spare = {q: _alone(frames[q], within[q], tol) for q in reads}
    best = max(reads, key=lambda q: spare[q].shape[1])
    added = min(room, spare[best].shape[1], max(len(frames[q]) - int(frames[q].any(0).sum()) for q in writes))
    if added <= 0:
        return frames
    frames = [np.concatenate([frame, np.zeros((len(frame), added))], 1) for frame in frames]
    frames[best][:, -added:] = spare[best][:, :added]
    for q in reads:
        _inputs(frames, q, within[q], between[q], tol)
    for q in writes:
        _any(frames, q)
    return frames


def _inputs(
    frames: list[np.ndarray], q: int, within: list[np.ndarray], between: list[tuple[int, np.ndarray]], tol: float
) -> None:
    """Fills missing columns of an input port: along correlations with other inputs, then by variance."""
    frame = frames[q]
    missing = ~frame.any(0)
    if not missing.any():
        return
    rest = complement(frame)
    for other, matrix in between:
        size = np.linalg.norm(matrix)
        columns = missing & frames[other].any(0)
        if rest.shape[1] and columns.any() and size > 0:
            frame[:, columns] = rest @ orthonormal(polar(rest.T @ matrix @ frames[other][:, columns] / size, tol))
            missing, rest = ~frame.any(0), complement(frame)
    spare = _alone(frame, within, tol)
    for column, k in zip(np.flatnonzero(missing), range(spare.shape[1]), strict=False):
        frame[:, column] = spare[:, k]


def _alone(frame: np.ndarray, within: list[np.ndarray], tol: float) -> np.ndarray:
    """(dim, k): directions outside a frame that have variance and are coupled to nothing, most variance first."""
    rest = complement(frame)
    parts = [rest.T @ m @ rest / size for m in within if (size := np.linalg.norm(m)) > 0]
    if not parts or not rest.shape[1]:
        return rest[:, :0]
    family = np.array([(g + g.T) / 2 for g in parts])
    w = joint_diagonaliser(family, np.random.default_rng(1))
    turned = w.T @ family @ w
    variance = np.einsum("knn->n", turned)
    apart = np.abs(turned)
    apart[:, np.arange(len(w)), np.arange(len(w))] = 0.0
    coupled = apart.sum((0, 1)) > _COUPLED if len(parts) > 1 else np.zeros(len(w), dtype=bool)
    keep = (variance > tol) & ~coupled
    order = np.argsort(-variance[keep], kind="stable")
    return (rest @ w)[:, keep][:, order]


def _any(frames: list[np.ndarray], q: int) -> None:
    """Fills missing columns of an output port by any directions that are left."""
    frame = frames[q]
    missing = np.flatnonzero(~frame.any(0))
    rest = complement(frame)
    for column, k in zip(missing, range(rest.shape[1]), strict=False):
        frame[:, column] = rest[:, k]
