"""Which bases make many matrices between a few spaces diagonal at once?

    L_k = F_a(k) diag_k F_b(k)^T   for links k between ports a(k) and b(k); one F with orthonormal columns for each port

The ports are the ends of pathways, the links their correlations. One port is the root. The polar factor of a link (a
partial isometry, which repeated singular values leave well defined) carries the root's coordinates to its neighbours;
a random combination of all links that arrive is used, so that a mode which one of them misses is carried by another.
In these coordinates every link is W diag W^T with one orthogonal W, the joint diagonaliser of symmetric matrices that
commute: eigenvectors of a random combination, then rotations of Jacobi's kind for what that leaves (Cardoso and
Souloumiac 1996). Modes that the root does not see are found from another root in what is left. If the links do not
hang together, the k-th strongest modes of the parts become one mode.

With noise there are no such bases; these are then near the best ones, and the caller measures what they miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_SWEEPS = 60
_JACOBI = 160  # modes beyond which rotating every pair of them would take minutes


class Link(NamedTuple):
    """A matrix between two ports.

    Attributes:
        a, b: ports of its rows and columns.
        matrix: (dim a, dim b).
        makes: whether modes are where this matrix is not 0; others only tell modes apart.
        counts: whether the strength of a mode is measured on it.
    """

    a: int
    b: int
    matrix: np.ndarray
    makes: bool
    counts: bool


def common_bases(dims: Sequence[int], links: Sequence[Link], roots: Sequence[int], tol: float) -> list[np.ndarray]:
    """(dim, N) for each port: the bases above, strongest mode first; a column of zeros where a port lacks a mode.

    Args:
        dims: the dimension of each port.
        links: matrices between ports.
        roots: ports from which modes are looked for.
        tol: singular values below this share of a matrix are none.
    """
    scaled = [link._replace(matrix=link.matrix / size) for link in links if (size := np.linalg.norm(link.matrix)) > 0]
    parts = []
    for ports in _components(len(dims), scaled):
        inside = [link for link in scaled if link.a in ports]
        starts = [q for q in roots if q in ports]
        frames = _part(dims, ports, inside, starts, tol)
        original = [link for link in links if link.a in ports and link.counts]
        parts.append(_sorted(frames, original))
    width = max((frame.shape[1] for frames in parts for frame in frames.values()), default=0)
    out = [np.zeros((dim, width)) for dim in dims]
    for frames in parts:
        for q, frame in frames.items():
            out[q][:, : frame.shape[1]] = frame
    return out


def joint_diagonaliser(family: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(r, r) orthogonal W such that all W^T G W are as diagonal as can be.

    Args:
        family: (K, r, r) symmetric.
        rng: for the random combination.
    """
    count, r = family.shape[:2]
    if r <= 1 or not count:
        return np.eye(r)
    _, w = np.linalg.eigh(np.tensordot(rng.uniform(0.5, 1.5, count), family, 1))
    turned = w.T @ family @ w
    off = ~np.eye(r, dtype=bool)
    if r > _JACOBI or np.linalg.norm(turned[:, off]) <= 1e-15 * np.linalg.norm(turned):
        return w
    if count > r * (r + 1) // 2:  # the same sum of squares from fewer matrices
        turned = np.linalg.qr(turned.reshape(count, r * r))[1].reshape(-1, r, r)
    for _ in range(_SWEEPS):
        largest = 0.0
        for p in range(r - 1):
            for q in range(p + 1, r):
                h = np.stack([turned[:, p, p] - turned[:, q, q], turned[:, p, q] + turned[:, q, p]])
                gram = h @ h.T
                on, across = gram[0, 0] - gram[1, 1], 2 * gram[0, 1]
                angle = 0.5 * np.arctan2(across, on + np.hypot(on, across)) if across or on < 0 else 0.0
                if abs(angle) < 1e-15:
                    continue
                largest = max(largest, abs(angle))
                c, s = np.cos(angle), np.sin(angle)
                turn = np.array([[c, -s], [s, c]])
                pair = [p, q]
                w[:, pair] = w[:, pair] @ turn
                turned[:, :, pair] = turned[:, :, pair] @ turn
                turned[:, pair, :] = turn.T @ turned[:, pair, :]
        if largest < 1e-13:
            break
    return w


def polar(matrix: np.ndarray, tol: float) -> np.ndarray:
    """The partial isometry of a matrix: its singular values above `tol` (absolute) become 1, the others 0."""
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    keep = s > tol
    return u[:, keep] @ v[keep]


def complement(frame: np.ndarray) -> np.ndarray:
    """(dim, k): an orthonormal basis of what the columns of a frame (orthonormal, or 0) leave."""
    dim = len(frame)
    used = frame[:, frame.any(0)]
    return np.linalg.qr(np.concatenate([used, np.eye(dim)], 1))[0][:, used.shape[1] :] if used.shape[1] else np.eye(dim)


def _components(count: int, links: Sequence[Link]) -> list[set[int]]:
    near: list[set[int]] = [set() for _ in range(count)]
    for link in links:
        near[link.a].add(link.b)
        near[link.b].add(link.a)
    found, seen = [], set()
    for q in range(count):
        if q not in seen:
            group, stack = {q}, [q]
            while stack:
                for other in near[stack.pop()] - group:
                    group.add(other)
                    stack.append(other)
            seen |= group
            found.append(group)
    return found


def _part(
    dims: Sequence[int], ports: set[int], links: Sequence[Link], roots: Sequence[int], tol: float
) -> dict[int, np.ndarray]:
    """Frames of ports that hang together; roots until nothing is left."""
    rng = np.random.default_rng(0)
    near: dict[int, list[tuple[int, np.ndarray, bool]]] = {q: [] for q in ports}
    for link in links:
        near[link.a].append((link.b, link.matrix, link.makes))
        if link.a != link.b:
            near[link.b].append((link.a, link.matrix.T, link.makes))
    frames = {q: np.zeros((dims[q], 0)) for q in sorted(ports)}
    for _ in range(sum(dims[q] for q in ports)):
        best, root, seen = 0.0, -1, np.zeros((0, 0))
        for q in roots:
            pieces = [_left(frames[q], _left(frames[o], m.T).T) for o, m, makes in near[q] if makes]
            stacked = np.concatenate(pieces, 1) if pieces else np.zeros((dims[q], 0))
            size = float(np.linalg.norm(stacked))
            if size > best * (1 + 1e-12):
                best, root, seen = size, q, stacked
        if root < 0:
            break
        u, s, _ = np.linalg.svd(seen, full_matrices=False)
        start = u[:, s > tol * max(1.0, float(s[0]))]
        if not start.shape[1]:
            break
        carried = _carry(dims, near, frames, root, start, tol, rng)
        family = []
        for link in links:
            if link.a in carried and link.b in carried:
                g = carried[link.a].T @ link.matrix @ carried[link.b]
                if (size := np.linalg.norm(g)) > tol:
                    family.append((g + g.T) / (2 * size))
        r = start.shape[1]
        w = joint_diagonaliser(np.array(family).reshape(-1, r, r), rng)
        w = w * np.where(np.take_along_axis(first := start @ w, np.abs(first).argmax(0)[None], 0)[0] < 0, -1.0, 1.0)
        for q in frames:
            new = orthonormal(carried[q] @ w) if q in carried else np.zeros((dims[q], r))
            frames[q] = np.concatenate([frames[q], new], 1)
    return frames


def _left(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """What the frame's span leaves of the columns of a matrix."""
    return matrix - frame @ (frame.T @ matrix) if frame.shape[1] else matrix


def _carry(
    dims: Sequence[int], near: dict, frames: dict[int, np.ndarray], root: int, start: np.ndarray, tol: float,
    rng: np.random.Generator,
) -> dict[int, np.ndarray]:  # fmt: skip
    """(dim, r) by port: the root's coordinates carried along links, as far as they reach; partial isometries."""
    r = start.shape[1]
    carried = {root: start}
    rank = {root: r}
    moved = True
    while moved:
        moved = False
        for q in _outwards(near, root):
            room = min(r, dims[q] - int(frames[q].any(0).sum()))
            if rank.get(q, 0) >= room:
                continue
            arriving = [rng.uniform(0.5, 1.5) * (m @ carried[o]) for o, m, _ in near[q] if o in carried and o != q]
            if not arriving:
                continue
            total = _left(frames[q], np.sum(arriving, axis=0))
            have = carried.get(q)
            if have is not None:
                total = total - have @ (have.T @ total)
                total = total - (total @ have.T) @ have
            new = polar(total, tol)
            if new.any():
                carried[q] = new if have is None else have + new
                rank[q] = round(float(np.linalg.norm(carried[q]) ** 2))
                moved = True
    return carried


def _outwards(near: dict, root: int) -> list[int]:
    """Ports by their distance from the root, without it."""
    order, seen = [root], {root}
    for q in order:
        for o, _, _ in near[q]:
            if o not in seen:
                seen.add(o)
                order.append(o)
    return order[1:]


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """The nearest orthonormal columns, no more than there is room for; 0 where a column is mostly missing.

    Args:
        columns: a partial isometry.
    """
    out = np.zeros_like(columns)
    size = np.linalg.norm(columns, axis=0)
    rank = round(float(size @ size))
    keep = (size > 0.5) & (np.argsort(np.argsort(-size, kind="stable")) < rank)
    if keep.any():
        u, _, v = np.linalg.svd(columns[:, keep], full_matrices=False)
        out[:, keep] = u @ v
    return out


def _sorted(frames: dict[int, np.ndarray], links: Sequence[Link]) -> dict[int, np.ndarray]:
    """Modes by their total strength; equal ones, to rounding, stay in their order."""
    if not frames or not next(iter(frames.values())).shape[1]:
        return frames
    strength = np.zeros(next(iter(frames.values())).shape[1])
    for link in links:
        strength += ((link.matrix @ frames[link.b]) * frames[link.a]).sum(0) ** 2
    size = np.sqrt(strength)
    rounded = np.round(size / size.max(), 9) if size.max() > 0 else size
    order = np.argsort(-rounded, kind="stable")
    return {q: frame[:, order] for q, frame in frames.items()}
