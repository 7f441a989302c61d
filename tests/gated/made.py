"""Random gated networks for tests, and the golden numbers of the core."""

import json
from pathlib import Path

import numpy as np

from learnt.gated import GatedTask, Graph

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gated_core.json").read_text(encoding="utf-8"))


def random_graph(seed: int) -> Graph:
    """Two inputs, two outputs, skips of every length, and now and then two edges between the same nodes."""
    rng = np.random.default_rng(seed)
    inputs, hidden, outputs = ["xa", "xb"], [f"h{i}" for i in range(int(rng.integers(2, 5)))], ["ya", "yb"]
    nodes = {v: int(rng.integers(2, 6)) for v in (*inputs, *hidden, *outputs)}
    edges: list[tuple[str, str]] = []
    for k, v in enumerate(hidden):
        before = [*inputs, *hidden[:k]]
        edges += [(str(s), v) for s in rng.choice(before, min(len(before), int(rng.integers(1, 4))), replace=False)]
    for v in outputs:
        before = [*inputs, *hidden]
        edges += [(str(s), v) for s in rng.choice(before, int(rng.integers(2, 4)), replace=False)]
    read = {s for s, _ in edges}
    edges += [(v, str(rng.choice(outputs))) for v in (*inputs, *hidden) if v not in read]
    if rng.random() < 0.5:
        edges.append(edges[0])
    rng.shuffle(edges)
    return Graph(nodes, {f"e{k}": (str(s), str(t)) for k, (s, t) in enumerate(edges)})


def random_weights(graph: Graph, seed: int, scale: float = 0.5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {e: scale * rng.normal(size=shape) for e, shape in graph.shapes.items()}


def random_task(seed: int, n: int = 40, graph: Graph | None = None, kind: str = "mixed") -> GatedTask:
    """Random data on a random graph. Gates of nodes and edges: 0, 1 and one half in few contexts, or real numbers."""
    graph = random_graph(seed) if graph is None else graph
    rng = np.random.default_rng((seed, 1))
    x = {v: rng.normal(size=(n, graph.nodes[v])) for v in graph.inputs}
    y = {v: rng.normal(size=(n, graph.nodes[v])) for v in graph.outputs}
    names = [name for name in (*graph.nodes, *graph.edges) if rng.random() < 0.6]
    if kind == "real":
        gates = {name: rng.normal(size=n) for name in names}
    else:
        table = {name: rng.choice([0.0, 0.5, 1.0], size=5, p=[0.3, 0.2, 0.5]) for name in names}
        of = rng.integers(0, 5, n)
        gates = {name: values[of] for name, values in table.items()}
    return GatedTask(graph, x, y, gates, rng.random(n))
