"""The bases of a task, class by class, and how far its statistics, or given weights, are from diagonal in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.gated._bases import common_bases, polar
from learnt.gated._fill import completed
from learnt.gated._ports import classes, interactions, ports
from learnt.gated.path_stats import PathStats


class Bases(NamedTuple):
    """What the analysis of a task finds; N modes, E edges, P paths.

    Attributes:
        classes: paths by class.
        pairs: interactions (j, p), sorted by p.
        read, write: (|s|, N) by first edge, (|t|, N) by last edge; columns of 0 for modes that an end lacks.
        middle: (|v|, N) by (hidden node, class); empty without weights.
        S: (P, N).
        D: (len(pairs), N).
        present: (E, N) whether a mode passes an edge.
        defects: by open path, the largest off-diagonal share (a square root) of its statistics.
        weight_defects: by trained edge, the same of given weights.
        B: (E, N) the weights in these bases; zeros without weights.
    """

    classes: tuple[tuple[int, ...], ...]
    pairs: tuple[tuple[int, int], ...]
    read: dict[str, np.ndarray]
    write: dict[str, np.ndarray]
    middle: dict[tuple[str, int], np.ndarray]
    S: np.ndarray
    D: np.ndarray
    present: np.ndarray
    defects: dict[int, float]
    weight_defects: dict[str, float]
    B: np.ndarray


def analyse(
    stats: PathStats, tol: float, *, strict: bool, modes: int | None, weights: Mapping[str, np.ndarray] | None = None
) -> Bases:
    """Bases from the statistics alone, or from statistics and weights together.

    Raises:
        NotApplicable: a hidden node has fewer units than modes pass it.
    """
    rank = min(max(tol / 10, 1e-12), 1e-6)
    pairs = interactions(stats)
    groups = [stats.open] if strict and stats.open else classes(stats, pairs)
    of = {p: c for c, some in enumerate(groups) for p in some}
    read: dict[str, np.ndarray] = {}
    write: dict[str, np.ndarray] = {}
    middle: dict[tuple[str, int], np.ndarray] = {}
    by_class: list[list[tuple[int, int]]] = [[] for _ in groups]
    for j, p in pairs:
        by_class[of[p]].append((j, p))
    defects: dict[int, float] = {}
    for c, some in enumerate(groups):
        around = ports(stats, some, by_class[c], strict=strict, weights=weights)
        frames = common_bases(around.dims, around.links, around.ends, rank)
        read_ = {e: frames[q] for e, q in around.read.items()}
        write_ = {e: frames[q] for e, q in around.write.items()}
        _measure(stats, some, by_class[c], read_, write_, defects)
        room = _room(stats, some, read_, write_, modes)
        if weights is None:
            frames = completed(frames, around, room, rank)
        frames = [frame[:, :modes] for frame in frames]
        read |= {e: frames[q] for e, q in around.read.items()}
        write |= {e: frames[q] for e, q in around.write.items()}
        middle |= {(v, c): frames[q] for v, q in around.middle.items()}
    width = max((frame.shape[1] for frame in (*read.values(), *write.values())), default=0)
    read, write = ({e: _wide(f, width) for e, f in ends.items()} for ends in (read, write))
    middle = {key: _wide(f, width) for key, f in middle.items()}
    pairs.sort(key=lambda pair: (pair[1], pair[0]))
    s, d, present = _diagonals(stats, pairs, read, write, width)
    found = Bases(
        tuple(map(tuple, groups)), tuple(pairs), read, write, middle, s, d, present, defects, {},
        np.zeros((len(stats.graph.edges), width)),
    )  # fmt: skip
    return found if weights is None else in_bases(stats, found, weights)


def in_bases(stats: PathStats, bases: Bases, weights: Mapping[str, np.ndarray]) -> Bases:
    """The weights in given bases, those of hidden nodes chosen to suit them where there are none."""
    b, defects, middle = bases.B.copy(), {}, dict(bases.middle)
    for c, some in enumerate(bases.classes):
        edges = {e: None for p in some for e in stats.paths[p].edges}
        if not any(key[1] == c for key in middle):
            middle |= {(v, c): frame for v, frame in _hidden(stats, bases, list(edges), weights).items()}
        for e in edges:
            source, target = stats.graph.edges[e]
            left = bases.write[e] if e in bases.write else middle[target, c]
            right = bases.read[e] if e in bases.read else middle[source, c]
            size = float(np.linalg.norm(weights[e]))
            on = ((weights[e] @ right) * left).sum(0)
            b[list(stats.graph.edges).index(e)] = on
            if size > 0:
                defects[e] = _coupling(weights[e], left, right) / size
    return bases._replace(middle=middle, weight_defects=defects, B=b * bases.present)


def _hidden(
    stats: PathStats, bases: Bases, edges: list[str], weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """(|v|, N) by hidden node of a class: the bases in which weights between known bases are nearest to diagonal."""
    graph = stats.graph
    found: dict[str, np.ndarray] = {}
    width = bases.S.shape[1]
    for _ in range(3):
        for v in graph.order:
            if v in graph.inputs or v in graph.outputs:
                continue
            total = np.zeros((graph.nodes[v], width))
            for e in edges:
                source, target = graph.edges[e]
                if target == v and (e in bases.read or source in found):
                    total += weights[e] @ (bases.read[e] if e in bases.read else found[source])
                if source == v and (e in bases.write or target in found):
                    total += weights[e].T @ (bases.write[e] if e in bases.write else found[target])
            if total.any():
                found[v] = polar(total, 1e-12 * float(np.linalg.norm(total)))
    for e in edges:
        for v in graph.edges[e]:
            if v not in found and v not in graph.inputs and v not in graph.outputs:
                found[v] = np.zeros((graph.nodes[v], width))
    return found


def _measure(
    stats: PathStats, some: tuple[int, ...], pairs: list[tuple[int, int]], read: dict[str, np.ndarray],
    write: dict[str, np.ndarray], defects: dict[int, float],
) -> None:  # fmt: skip
    """Adds the defect of each path of a class: the larger of those of its Sigma_yx and its Sigma_x."""
    first = {p: stats.paths[p].edges[0] for p in some}
    for p in some:
        left, right, m = write[stats.paths[p].edges[-1]], read[first[p]], stats.Sigma_yx[p]
        diagonal = ((m @ right) * left).sum(0)
        size = float(np.linalg.norm(m))
        defects[p] = float(np.linalg.norm(m - (left * diagonal) @ right.T)) / size if size > 0 else 0.0
    known: dict[tuple[str, str, int], float] = {}
    for j, p in pairs:
        if j > p:
            continue
        m = stats.Sigma_x[j, p]
        key = (first[j], first[p], id(m))
        if key not in known:
            known[key] = _coupling(m, read[first[j]], read[first[p]]) / float(np.linalg.norm(m))
        defects[j], defects[p] = max(defects[j], known[key]), max(defects[p], known[key])


def _coupling(m: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """Norm of what couples modes with each other and with what is outside of them; the outside itself is left alone."""
    ahead, back = m @ right, left.T @ m
    inner = left.T @ ahead
    off = inner - np.diag(np.diag(inner))
    outside = np.linalg.norm(ahead - left @ inner) ** 2 + np.linalg.norm(back - inner @ right.T) ** 2
    return float(np.sqrt(np.linalg.norm(off) ** 2 + outside))


def _room(
    stats: PathStats, some: tuple[int, ...], read: dict[str, np.ndarray], write: dict[str, np.ndarray],
    modes: int | None,
) -> int:  # fmt: skip
    """How many modes may be added without passing the width of a hidden node; NotApplicable if there are too many."""
    graph, passing = stats.graph, {}
    width = next(iter(read.values())).shape[1]
    for p in some:
        path = stats.paths[p]
        both = read[path.edges[0]].any(0) & write[path.edges[-1]].any(0)
        for e in path.edges[:-1]:
            v = graph.edges[e][1]
            passing[v] = passing[v] | both if v in passing else both
    room = np.iinfo(np.int64).max if modes is None else max(modes - width, 0)
    for v, which in passing.items():
        count = int(which[:modes].sum())
        if count > graph.nodes[v]:
            raise NotApplicable(
                "graph", found=f"{count} modes through the hidden node {v!r}, which has {graph.nodes[v]} units",
                expected=f"at least {count} units, one a mode",
                remedy=f"Widen it, or keep the {graph.nodes[v]} strongest modes: modes={graph.nodes[v]}.",
            )  # fmt: skip
        room = min(room, graph.nodes[v] - count)
    return int(room)


def _wide(frame: np.ndarray, width: int) -> np.ndarray:
    out = np.zeros((len(frame), width))
    out[:, : frame.shape[1]] = frame
    return out


def _diagonals(
    stats: PathStats,
    pairs: list[tuple[int, int]],
    read: dict[str, np.ndarray],
    write: dict[str, np.ndarray],
    width: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, N) S, (pairs, N) D, (E, N) present."""
    paths = stats.paths
    number = {e: k for k, e in enumerate(stats.graph.edges)}
    s, present = np.zeros((len(paths), width)), np.zeros((len(number), width), dtype=bool)
    for p in stats.open:
        left, right = write[paths[p].edges[-1]], read[paths[p].edges[0]]
        s[p] = ((stats.Sigma_yx[p] @ right) * left).sum(0)
        both = left.any(0) & right.any(0)
        for e in paths[p].edges:
            present[number[e]] |= both
    d = np.zeros((len(pairs), width))
    known: dict[tuple[str, str, int], np.ndarray] = {}
    for k, (j, p) in enumerate(pairs):
        m = stats.Sigma_x[j, p] if j <= p else stats.Sigma_x[p, j]
        a, b = (paths[j].edges[0], paths[p].edges[0]) if j <= p else (paths[p].edges[0], paths[j].edges[0])
        if (a, b, id(m)) not in known:
            known[a, b, id(m)] = ((m @ read[b]) * read[a]).sum(0)
        d[k] = known[a, b, id(m)]
    return s, d, present
