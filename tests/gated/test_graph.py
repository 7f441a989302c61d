"""The graph: what it refuses, its usual forms, its paths, and the network it computes."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gated.made import random_graph, random_task, random_weights

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated import Graph

SMALL = {"x": 2, "h": 8, "y": 1}


def test_the_graph_of_the_documentation():
    g = Graph(nodes=SMALL, edges={"in": ("x", "h"), "out": ("h", "y")})
    assert g.inputs == ("x",) and g.outputs == ("y",) and g.order == ("x", "h", "y")
    assert dict(g.shapes) == {"in": (8, 2), "out": (1, 8)}
    assert [str(p) for p in g.paths()] == ["x:in>out:y"]


@pytest.mark.parametrize(
    ("nodes", "edges", "text"),
    [
        ({"x": 1, "a": 1, "b": 1, "y": 1}, {"i": ("x", "a"), "p": ("a", "b"), "q": ("b", "a"), "o": ("b", "y")}, "a cycle through (a -> b -> a|b -> a -> b)"),
        ({"x": 1, "y": 1}, {"i": ("x", "y"), "r": ("x", "x")}, "a cycle through x -> x"),
        ({"x": 1, "y": 1}, {"i": ("x", "z")}, "the unknown node 'z'; expected one of x, y"),
        ({"x": 1, "y": 1}, [("i", ("x", "y")), ("i", ("x", "y"))], "'i' twice"),
        ({"x": 1, "y": 1, "h": 2}, {"i": ("x", "y")}, "'h' without any edge: there is no path from it to an output"),
        ({"x": 1}, {}, "no path from it to an output"),
        ({}, {}, "at least an input"),
        ({"x": 0, "y": 1}, {"i": ("x", "y")}, "an integer of at least 1"),
        ({"x": True, "y": 1}, {"i": ("x", "y")}, "an integer of at least 1"),
        ({"x": 1, "y": 1}, {"x": ("x", "y")}, "'x', which is a node too"),
        ({"x": 1, "y": 1}, {"i": "xy"}, "(source, target)"),
        ({"x": 1, "y": 1}, {1: ("x", "y")}, "the name 1"),
        ({"x": 1, "y": 1}, {"": ("x", "y")}, "an empty name"),
        (3, {"i": ("x", "y")}, "a mapping by name"),
    ],
)  # fmt: skip
def test_check_23_a_graph_that_is_none_is_refused_by_its_fault(nodes, edges, text):
    with pytest.raises(InputError) as caught:
        Graph(nodes, edges)
    parts = text.replace("(a -> b -> a|b -> a -> b)", "|").split("|")
    assert all(part in str(caught.value) for part in parts)


def test_graphs_are_equal_and_hash_alike_whatever_the_order_of_their_names():
    a = Graph({"x": 2, "h": 3, "y": 1}, {"in": ("x", "h"), "out": ("h", "y")})
    b = Graph({"y": 1, "h": 3, "x": 2}, [("out", ("h", "y")), ("in", ("x", "h"))])
    assert a == b and hash(a) == hash(b) and deepcopy(a) == a
    assert a != Graph.chain([2, 3, 1])
    with pytest.raises(AttributeError):
        a.nodes = {}  # pyright: ignore[reportAttributeAccessIssue]


def test_the_usual_graphs():
    chain = Graph.chain([4, 3, 2, 5])
    assert tuple(chain.nodes) == ("x", "h1", "h2", "y") and tuple(chain.edges) == ("w1", "w2", "w3")
    parallel = Graph.parallel(3, 2, 4, 1)
    assert [p.edges for p in parallel.paths()] == [(f"in{i}", f"out{i}") for i in range(3)]
    routing = Graph.routing(3, 4, 8, 7)
    assert [p.edges for p in routing.paths()] == [(f"in{i}", "hid", f"out{j}") for i in range(3) for j in range(3)]
    deep = Graph.routing(2, 4, 8, 7, shared_layers=2, in_layers=2, out_layers=3)
    assert deep.paths()[1].edges == ("in0_1", "in0_2", "hid1", "hid2", "out1_1", "out1_2", "out1_3")
    assert Graph.routing(2, 4, 8, 7, shared_layers=0).paths()[3].edges == ("in1", "out1")
    with pytest.raises(InputError, match="dims"):
        Graph.chain([3])


def test_paths_are_counted_before_they_are_listed():
    nodes = {f"v{i}": 1 for i in range(41)}
    edges = {f"{k}{i}": (f"v{i}", f"v{i + 1}") for i in range(40) for k in "ab"}
    g = Graph(nodes, edges)
    assert g.n_paths == 2**40
    with pytest.raises(NotApplicable, match="1,099,511,627,776 paths"):
        g.paths()
    small = Graph(dict(list(nodes.items())[:4]), {e: ends for e, ends in edges.items() if int(e[1:]) < 3})
    assert len(small.paths()) == len(set(small.paths())) == small.n_paths == 8
    with pytest.raises(NotApplicable, match="at most 7"):
        small.paths(max_paths=7)


@settings(max_examples=20)
@given(st.integers(0, 200))
def test_outputs_are_sums_over_paths(seed):
    task = random_task(seed, 7, kind="real")
    g, w = task.graph, random_weights(task.graph, seed)
    h = g.forward(w, task.x, task.gates)
    assert set(h) == set(g.nodes)
    total = {v: np.zeros((7, g.nodes[v])) for v in g.outputs}
    ones = np.ones(7)
    for path in g.paths():
        gate = task.gates.get(path.source, ones).copy()
        for e in path.edges:
            gate *= task.gates.get(e, ones) * task.gates.get(g.edges[e][1], ones)
        total[path.target] += gate[:, None] * (task.x[path.source] @ g.path_weights(w, path).T)
    for v in g.outputs:
        np.testing.assert_allclose(h[v], total[v], atol=1e-12)


def test_a_gate_may_be_one_number_for_all_samples():
    g = Graph.chain([1, 1, 1])
    w = {"w1": [[2.0]], "w2": [[3.0]]}
    h = g.forward(w, {"x": [[1.0], [2.0]]}, {"h1": 0.5, "x": [1.0, 0.0]})
    assert h["y"].tolist() == [[3.0], [0.0]] and h["x"].tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(
    ("weights", "x", "gates", "error", "text"),
    [
        ({"w1": [[1.0]]}, {"x": [[1.0]]}, None, InputError, "nothing for 'w2'"),
        ({"w1": [[1.0]], "w2": [[1.0]], "w3": [[1.0]]}, {"x": [[1.0]]}, None, InputError, "the unknown name 'w3'"),
        ({"w1": [[1.0]], "w2": [[1.0, 2.0]]}, {"x": [[1.0]]}, None, ShapeError, "units of 'y' x units of 'h1'"),
        ({"w1": [[1.0]], "w2": [[np.nan]]}, {"x": [[1.0]]}, None, NonFiniteError, "w2"),
        ({"w1": [[1.0]], "w2": [[1.0]]}, {"x": [[1.0, 2.0]]}, None, ShapeError, "(1, 1), samples x units"),
        ({"w1": [[1.0]], "w2": [[1.0]]}, {"h1": [[1.0]]}, None, InputError, "the unknown name 'h1'"),
        ({"w1": [[1.0]], "w2": [[1.0]]}, {"x": [[1.0]]}, {"z": 1}, InputError, "the unknown name 'z'"),
        ({"w1": [[1.0]], "w2": [[1.0]]}, {"x": [[1.0]]}, {"h1": [1, 2]}, ShapeError, "(1,), one number a sample"),
        ({"w1": [["a"]], "w2": [[1.0]]}, {"x": [[1.0]]}, None, InputError, "real numbers"),
        ({"w1": [[1j]], "w2": [[1.0]]}, {"x": [[1.0]]}, None, InputError, "real numbers"),
        ([1], {"x": [[1.0]]}, None, InputError, "a mapping with"),
    ],
)
def test_check_23_forward_refuses_what_does_not_fit(weights, x, gates, error, text):
    with pytest.raises(error) as caught:
        Graph.chain([1, 1, 1]).forward(weights, x, gates)
    assert text in str(caught.value)


def test_random_graphs_have_skips_and_several_ends():
    lengths = {len(p.edges) for seed in range(20) for p in random_graph(seed).paths()}
    assert {1, 2, 3} <= lengths
    assert all(set(g.outputs) == {"ya", "yb"} for g in map(random_graph, range(20)))
