"""The module: its gradient is that of the paths, and its starts are what they are said to be."""

import copy

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.gated import Graph, correlations, tasks
from learnt.gated.gdln import GDLN, decoupled, orthogonal
from learnt.gated.path_stats import loss, path_gradient

from .made import random_graph, random_task, random_weights


def data_loss(network: GDLN, task) -> torch.Tensor:
    """L from the samples, by autograd."""
    x = {v: torch.tensor(task.x[v]) for v in task.graph.inputs}
    out = network(x, {name: torch.tensor(gate) for name, gate in task.gates.items()})
    prob = torch.tensor(task.prob)
    return sum(0.5 * (prob * (torch.tensor(task.y[v]) - out[v]).square().sum(1)).sum() for v in task.graph.outputs)


@pytest.mark.parametrize("kind", ["mixed", "real"])
def test_check_01_autograd_gives_the_gradient_and_the_loss_of_the_paths(kind):
    for seed in range(12):
        task = random_task(seed, kind=kind)
        weights = random_weights(task.graph, seed, scale=0.4)
        network = GDLN(task.graph, weights)
        value = data_loss(network, task)
        found = torch.autograd.grad(value, list(network.edges), allow_unused=True)
        stats = correlations(task)
        expected = path_gradient(stats, weights)
        size = max(1.0, max(np.abs(g).max() for g in expected.values()))
        for e, gradient in zip(task.graph.edges, found, strict=True):
            seen = np.zeros(task.graph.shapes[e]) if gradient is None else gradient.numpy()
            assert np.abs(seen - expected[e]).max() <= 1e-12 * size
        assert abs(float(value.detach()) - loss(stats, weights)) <= 1e-12 * max(1.0, float(value.detach()))


def test_the_module_answers_as_the_graph_does_and_takes_single_gates():
    for seed in range(6):
        graph = random_graph(seed)
        network = GDLN(graph, random_weights(graph, seed))
        x = {v: np.random.default_rng(seed).normal(size=(3, graph.nodes[v])) for v in graph.inputs}
        gates = {"e0": 0.5, graph.outputs[0]: np.array([0.0, 1.0, 2.0])}
        expected = graph.forward(network.weights(), x, gates)
        found = network({v: torch.tensor(a) for v, a in x.items()}, {k: torch.as_tensor(g) for k, g in gates.items()})
        assert set(found) == set(graph.outputs)
        for v, values in found.items():
            np.testing.assert_allclose(values.detach().numpy(), expected[v], atol=1e-12)


def test_weights_are_copies_and_go_round():
    graph = random_graph(1)
    weights = random_weights(graph, 1)
    network = GDLN(graph, weights)
    network.weights()["e0"][:] = 7.0
    for e, w in network.weights().items():
        np.testing.assert_array_equal(w, weights[e])
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.edges[0].zero_()
    assert other.graph is network.graph
    assert network.weights()["e0"].any()


def test_names_of_edges_need_not_be_names_of_attributes():
    graph = Graph({"x": 2, "y": 1}, {"a.b c": ("x", "y"), "forward": ("x", "y")})
    assert GDLN(graph)({"x": torch.ones(3, 2, dtype=torch.float64)})["y"].shape == (3, 1)


def test_orthogonal_weights_have_one_singular_value_and_depend_on_the_seed_only():
    graph = random_graph(3)
    weights = orthogonal(graph, 0.3, seed=5)
    for w in weights.values():
        np.testing.assert_allclose(np.linalg.svd(w, compute_uv=False), 0.3, atol=1e-12)
    again, other = orthogonal(graph, 0.3, seed=5), orthogonal(graph, 0.3, seed=6)
    assert all((weights[e] == again[e]).all() for e in weights)
    assert any((weights[e] != other[e]).any() for e in weights)


def routing_bases(task):
    u, _, vt = np.linalg.svd(np.asarray(task.y["y0"][:4]).T, full_matrices=False)
    graph = task.graph
    return {v: vt.T if v in graph.inputs else u for v in (*graph.inputs, *graph.outputs)}


def test_decoupled_weights_are_diagonal_in_their_bases():
    task = tasks.routing(3, 3, hidden=9)
    bases = routing_bases(task)
    weights = decoupled(task.graph, bases, np.array([0.4, 0.3, 0.2, 0.1]), seed=2)
    for i in range(3):
        for j in range(3):
            chain = weights[f"out{j}"] @ weights["hid"] @ weights[f"in{i}"]
            inside = bases[f"y{j}"].T @ chain @ bases[f"x{i}"]
            np.testing.assert_allclose(inside, np.diag([0.4, 0.3, 0.2, 0.1]) ** 3, atol=1e-12)
    by_edge = decoupled(task.graph, bases, {e: 1.0 if e == "hid" else 0.5 for e in task.graph.edges}, seed=2)
    np.testing.assert_allclose(np.linalg.svd(by_edge["hid"], compute_uv=False)[:4], 1.0)
    np.testing.assert_allclose(np.linalg.svd(by_edge["in1"], compute_uv=False), 0.5)


def test_pathways_that_do_not_meet_may_have_bases_of_their_own():
    task = tasks.xor("four", hidden=2)
    graph, corners = task.graph, np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]]) / np.sqrt(2)
    classes = [((f"in{k}", f"out{k}"), {"x": corners[k][:, None], "y": np.ones((1, 1))}) for k in range(4)]
    weights = decoupled(graph, classes, 0.1)
    for k in range(4):
        np.testing.assert_allclose(weights[f"out{k}"] @ weights[f"in{k}"], 0.01 * corners[k][None], atol=1e-12)
    with pytest.raises(InputError, match="in0.*in two classes"):
        decoupled(graph, [*classes, classes[0]], 0.1)


def test_check_23_starts_that_cannot_be_are_refused():
    task = tasks.routing(3, 2, hidden=3)
    bases = routing_bases(task)
    with pytest.raises(InputError, match="at least 4, one for each mode"):
        decoupled(task.graph, bases, 0.1)
    wide = tasks.routing(3, 2, hidden=4).graph
    with pytest.raises(InputError, match="none for 'y2'"):
        decoupled(wide, {v: b for v, b in bases.items() if v != "y2"}, 0.1)
    with pytest.raises(ShapeError, match="orthonormal"):
        decoupled(wide, bases | {"x0": 2 * bases["x0"]}, 0.1)
    with pytest.raises(ShapeError, match="strength"):
        decoupled(wide, bases, np.ones(3))
    with pytest.raises(InputError, match="gain"):
        orthogonal(wide, -1.0)


def test_check_23_bad_inputs_and_weights_of_the_module_are_refused():
    graph = Graph.chain([3, 4, 2])
    network = GDLN(graph)
    x = {"x": torch.ones(5, 3, dtype=torch.float64)}
    with pytest.raises(InputError, match="unknown name 'z'"):
        network(x, {"z": torch.ones(5)})
    with pytest.raises(ShapeError, match=r"gates\['w1'\]"):
        network(x, {"w1": torch.ones(4)})
    with pytest.raises(ShapeError, match=r"x\['x'\]"):
        network({"x": torch.ones(5, 2)})
    with pytest.raises(InputError, match="names y"):
        network({"y": torch.ones(5, 3)})
    with pytest.raises(NonFiniteError):
        GDLN(graph, {"w1": np.full((4, 3), np.nan), "w2": np.ones((2, 4))})
