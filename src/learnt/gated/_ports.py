"""The ends of pathways between which correlations are diagonalised, and what they have in common.

Two pathways interact if they share weights or if Sigma_x(j, p) is not 0; the connected parts are classes, each with its
own bases. Inside a class a basis belongs to the first edge of pathways, not to their input node: pathways that leave
one input through different weights may read it in different bases, as those of XOR do. Last edges whose pathways
interact through Sigma_x must write in one basis; others need not.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np

from learnt.gated._bases import Link
from learnt.gated.path_stats import PathStats

_ZERO = 1e-12  # a Sigma_x(j, p) below this share of its bound is rounding


class Ports(NamedTuple):
    """Ports of one class and the links between them.

    Attributes:
        dims: the dimension of each port.
        read: the port from which each first edge reads.
        write: the port to which each last edge writes.
        middle: the port of each hidden node; empty unless weights were given.
        links: between ports; see `Link`.
    """

    dims: list[int]
    read: dict[str, int]
    write: dict[str, int]
    middle: dict[str, int]
    links: list[Link]

    @property
    def ends(self) -> list[int]:
        """The ports of inputs and outputs, inputs first."""
        return list(dict.fromkeys([*self.read.values(), *self.write.values()]))


def interactions(stats: PathStats) -> list[tuple[int, int]]:
    """Pairs (j, p) of open paths, both orders, whose Sigma_x(j, p) is more than rounding."""
    size = {key: float(np.linalg.norm(stats.Sigma_x[key])) for key in stats.Sigma_x}
    return [
        (j, p) for (j, p), s in size.items() if j == p or s > _ZERO * np.sqrt(size.get((j, j), 0) * size.get((p, p), 0))
    ]


def classes(stats: PathStats, pairs: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Open paths by class, in the order of their first path."""
    joined = _Joined()
    for p in stats.open:
        for e in stats.paths[p].edges:
            joined.join(("path", p), ("edge", e))
    for j, p in pairs:
        joined.join(("path", j), ("path", p))
    found: dict[Hashable, list[int]] = {}
    for p in stats.open:
        found.setdefault(joined.of(("path", p)), []).append(p)
    return [tuple(some) for some in found.values()]


def ports(
    stats: PathStats, some: tuple[int, ...], pairs: list[tuple[int, int]], *, strict: bool,
    weights: Mapping[str, np.ndarray] | None = None,
) -> Ports:  # fmt: skip
    """The ports of one class.

    Args:
        stats: of the task.
        some: paths of the class.
        pairs: its interactions.
        strict: one basis for each input and output node, whatever the edges.
        weights: by edge; their matrices then are links, too.
    """
    paths, graph = stats.paths, stats.graph
    tied = _Joined()
    for p in some:
        last = paths[p].edges[-1]
        tied.join(last, ("node", paths[p].target) if strict else last)
    for j, p in pairs:
        tied.join(paths[j].edges[-1], paths[p].edges[-1])
    keys: dict[Hashable, int] = {}
    dims: list[int] = []

    def port(kind: str, key: Hashable, dim: int) -> int:
        if (kind, key) not in keys:
            keys[kind, key] = len(dims)
            dims.append(dim)
        return keys[kind, key]

    read, write, middle = {}, {}, {}
    for p in some:
        path = paths[p]
        first = path.edges[0]
        read[first] = port("read", path.source if strict else first, graph.nodes[path.source])
    for p in some:
        path = paths[p]
        write[path.edges[-1]] = port("write", tied.of(path.edges[-1]), graph.nodes[path.target])

    links = [Link(write[paths[p].edges[-1]], read[paths[p].edges[0]], stats.Sigma_yx[p], True, True) for p in some]
    known: set[tuple[int, int, int]] = set()
    for j, p in pairs:
        a, b = read[paths[j].edges[0]], read[paths[p].edges[0]]
        matrix = stats.Sigma_x[j, p]
        if j <= p and (a, b, id(matrix)) not in known:
            known.add((a, b, id(matrix)))
            links.append(Link(a, b, matrix, False, False))
    if weights is not None:
        for e in dict.fromkeys(e for p in some for e in paths[p].edges):
            source, target = graph.edges[e]
            for v in (source, target):
                if v not in graph.inputs and v not in graph.outputs:
                    middle[v] = port("middle", v, graph.nodes[v])
            a = write[e] if e in write else middle[target]
            b = read[e] if e in read else middle[source]
            links.append(Link(a, b, weights[e], True, False))
    return Ports(dims, read, write, middle, links)


class _Joined:
    """Disjoint sets."""

    def __init__(self) -> None:
        self._up: dict[Hashable, Hashable] = {}

    def of(self, item: Hashable) -> Hashable:
        self._up.setdefault(item, item)
        while self._up[item] != item:
            self._up[item] = self._up[self._up[item]]
            item = self._up[item]
        return item

    def join(self, a: Hashable, b: Hashable) -> None:
        self._up[self.of(a)] = self.of(b)
