"""Statistics by path: the definition, sample by sample, and autograd are the references."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gated.made import random_task, random_weights

from learnt.core.errors import InputError, NotApplicable
from learnt.gated import GatedTask, Graph, correlations
from learnt.gated.path_stats import loss, path_errors, path_gradient

KINDS = st.sampled_from(["mixed", "real"])


def autograd(task, weights):
    """Loss and gradients by torch, written from the definition."""
    g = task.graph
    w = {e: torch.tensor(a, requires_grad=True) for e, a in weights.items()}
    gate = {name: torch.tensor(np.array(task.gates[name]))[:, None] for name in task.gates}
    h = {}
    for v in g.order:
        if v in task.x:
            h[v] = torch.tensor(np.array(task.x[v]))
        else:
            h[v] = sum(gate.get(e, 1.0) * (h[g.edges[e][0]] @ w[e].T) for e in g.incoming[v])
        h[v] = h[v] * gate.get(v, 1.0)
    prob = torch.tensor(np.array(task.prob))
    total = sum(0.5 * prob @ ((torch.tensor(np.array(task.y[v])) - h[v]) ** 2).sum(1) for v in g.outputs)
    total.backward()
    return total.item(), {e: np.zeros(g.shapes[e]) if a.grad is None else a.grad.numpy() for e, a in w.items()}


@settings(max_examples=25)
@given(st.integers(0, 1000), KINDS)
def test_check_01_path_gradient_and_loss_are_those_of_autograd(seed, kind):
    task = random_task(seed, kind=kind)
    w = random_weights(task.graph, seed)
    stats = correlations(task)
    expected, gradient = autograd(task, w)
    assert abs(loss(stats, w) - expected) <= 1e-12 * max(1.0, expected)
    found = path_gradient(stats, w)
    for e in task.graph.edges:
        scale = max(1.0, np.abs(gradient[e]).max())
        assert np.abs(found[e] - gradient[e]).max() <= 1e-12 * scale


@settings(max_examples=12)
@given(st.integers(0, 300), KINDS)
def test_statistics_are_those_of_their_definition(seed, kind):
    task = random_task(seed, 12, kind=kind)
    stats = correlations(task)
    ones = np.ones(12)
    gates = []
    for path in stats.paths:
        g = task.gates.get(path.source, ones).copy()
        for e in path.edges:
            g *= task.gates.get(e, ones) * task.gates.get(task.graph.edges[e][1], ones)
        gates.append(g)
    for p, path in enumerate(stats.paths):
        np.testing.assert_allclose(stats.g.toarray()[p][task.context_of], gates[p], rtol=1e-13)
        weighted = (task.prob * gates[p])[:, None]
        np.testing.assert_allclose(
            stats.Sigma_yx[p], (weighted * task.y[path.target]).T @ task.x[path.source], atol=1e-12
        )
        for j, other in enumerate(stats.paths):
            expected = (weighted * gates[j][:, None] * task.x[other.source]).T @ task.x[path.source]
            if other.target == path.target:
                np.testing.assert_allclose(stats.Sigma_x.get((j, p), 0.0), expected, atol=1e-12)
            else:
                assert (j, p) not in stats.Sigma_x
    assert all(m.any() for m in stats.Sigma_x.values())
    for v in task.graph.outputs:
        np.testing.assert_allclose(stats.Sigma_yy[v], (task.prob[:, None] * task.y[v]).T @ task.y[v], atol=1e-12)
    assert stats.total == pytest.approx(1.0) and stats.context_prob.shape == (task.n_contexts,)


@pytest.mark.parametrize("limits", [(1 << 22, 8), (30, 8), (30, -1000)])
@pytest.mark.parametrize("kind", ["mixed", "real"])
def test_slices_and_either_way_of_summing_give_the_same_numbers(limits, kind, monkeypatch):
    """A cost of adding below zero forces groups, which a large one forbids; both with many slices."""
    task = random_task(11, 60, kind=kind)
    monkeypatch.setattr("learnt.gated._moments._ADDING", 10**6)
    reference = correlations(task)
    monkeypatch.setattr("learnt.gated._moments._SLICE", limits[0])
    monkeypatch.setattr("learnt.gated._moments._ADDING", limits[1])
    monkeypatch.setattr("learnt.gated._moments._DENSE", 10_000_000 if limits[1] > 0 else 0)
    found = correlations(task)
    assert found.Sigma_x.keys() == reference.Sigma_x.keys()
    for pair, matrix in found.Sigma_x.items():
        np.testing.assert_allclose(matrix, reference.Sigma_x[pair], atol=1e-13)
    for ours, theirs in zip(found.Sigma_yx, reference.Sigma_yx, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-13)


def test_check_23_an_edge_whose_gate_is_always_closed_is_never_trained():
    g = Graph({"x": 2, "h": 3, "y": 1}, {"in": ("x", "h"), "out": ("h", "y"), "skip": ("x", "y")})
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(9, 2))}, {"y": rng.normal(size=(9, 1))}
    stats = correlations(GatedTask(g, *data, {"in": np.zeros(9)}))
    assert stats.never_trained == ("in", "out") and stats.open == (1,)
    assert "never trained: in, out" in str(stats)
    gradient = path_gradient(stats, random_weights(g, 0))
    assert not gradient["in"].any() and not gradient["out"].any() and gradient["skip"].any()
    unseen = np.ones(9)
    unseen[:4] = 0  # open only where samples weigh nothing
    assert correlations(GatedTask(g, *data, {"in": unseen}, 1 - unseen)).never_trained == ("in", "out")


def test_paths_that_are_never_open_together_do_not_meet():
    of = np.arange(8) % 4
    task = GatedTask(
        Graph.parallel(4, 3, 2, 1), {"x": np.random.default_rng(0).normal(size=(8, 3))}, {"y": np.ones((8, 1))}, {f"h{k}": of == k for k in range(4)}
    )  # fmt: skip
    assert set(correlations(task).Sigma_x) == {(k, k) for k in range(4)}


def test_errors_vanish_at_the_least_squares_solution():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 3))
    stats = correlations(GatedTask(Graph.chain([4, 3]), {"x": x}, {"y": y}))
    solution = {"w1": np.linalg.lstsq(x, y, rcond=None)[0].T}
    assert np.abs(path_errors(stats, solution)[0]).max() < 1e-12
    assert loss(stats, solution) == pytest.approx(0.5 * ((y - x @ solution["w1"].T) ** 2).sum(1).mean())
    assert loss(stats, {"w1": np.zeros((3, 4))}) == pytest.approx(0.5 * stats.energy)


def test_the_graph_may_come_first():
    task = random_task(0)
    assert correlations(task.graph, task).paths == correlations(task).paths
    with pytest.raises(InputError, match="another graph"):
        correlations(Graph.chain([1, 1]), task)
    with pytest.raises(InputError, match="a GatedTask"):
        correlations(task.graph)


def test_check_23_what_would_not_fit_into_memory_is_refused(monkeypatch):
    task = random_task(0)
    with pytest.raises(NotApplicable, match="at most 3"):
        correlations(task, max_paths=3)
    n = 40
    crowd = Graph({"x": 1, "y": 1}, {f"e{k}": ("x", "y") for k in range(n)})
    full = GatedTask(crowd, {"x": np.ones((2, 1))}, {"y": np.ones((2, 1))})
    assert len(correlations(full).Sigma_x) == n * n
    for limit in (100, 800):
        monkeypatch.setattr("learnt.gated.path_stats.MAX_PAIRS", limit)
        with pytest.raises(NotApplicable, match="pairs of paths open at once"):
            correlations(full)
    monkeypatch.undo()
    monkeypatch.setattr("learnt.gated._moments._LARGEST", 3)
    with pytest.raises(NotApplicable, match="4 GB at most"):
        correlations(task)
    monkeypatch.undo()
    monkeypatch.setattr("learnt.gated.path_stats.MAX_OPEN", 3)
    with pytest.raises(NotApplicable, match="path and a context"):
        correlations(task)


def test_equal_statistics_share_their_memory():
    g = Graph({"x": 3, "h": 2, "y": 1}, {"a": ("x", "h"), "b": ("x", "h"), "out": ("h", "y")})
    rng = np.random.default_rng(0)
    stats = correlations(
        GatedTask(g, {"x": rng.normal(size=(9, 3))}, {"y": rng.normal(size=(9, 1))}, {"a": [1, 0, 1] * 3})
    )
    assert stats.Sigma_x[0, 0] is stats.Sigma_x[0, 1]  # a gate of 0 and 1, and its square
    assert not stats.Sigma_x[0, 1].flags.writeable


@pytest.mark.slow
def test_check_24_sixty_thousand_images_cost_at_most_two_products_of_the_data():
    rng = np.random.default_rng(0)
    x, of = rng.normal(size=(60_000, 784)), rng.integers(0, 10, 60_000)
    x.flags.writeable = False
    tasks = [
        GatedTask(Graph.chain([784, 20, 10]), {"x": x}, {"y": np.eye(10)[of]}, prob=rng.random(60_000)),
        GatedTask(Graph.parallel(10, 784, 20, 10), {"x": x}, {"y": np.eye(10)[of]}, {f"h{k}": of == k for k in range(10)}),
    ]  # fmt: skip

    def least(work):
        times = []
        for _ in range(3):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return min(times)

    one = least(lambda: x.T @ x)
    for task in tasks:
        assert least(lambda task=task: correlations(task)) <= 2 * one
