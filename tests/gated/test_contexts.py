"""Networks with too many paths to list: passes by context say what paths say, and what the network does."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.gated.made import random_task, random_weights

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.gated import GDLN, GatedTask, Graph, correlations, path_gradient, reduce, tasks
from learnt.gated.context_reduction import reduce_contexts
from learnt.gated.context_stats import context_correlations, context_gradient, context_loss
from learnt.gated.path_stats import loss

DEEP = 18


def skips(layers: int, units: int = 5, d_in: int = 4, d_out: int = 3) -> Graph:
    """Every layer reads all before it: 2^(layers - 1) paths from the one input to the one output."""
    names = ["x", *(f"h{k}" for k in range(1, layers)), "y"]
    sizes = [d_in, *[units] * (layers - 1), d_out]
    edges = {f"{s}-{t}": (s, t) for k, t in enumerate(names) for s in names[:k]}
    return Graph(dict(zip(names, sizes, strict=True)), edges)


def gated_skips(layers: int, seed: int = 0, white: bool = True) -> GatedTask:
    """Three contexts, gates of nodes and edges, one of them fractional; gates are independent of items."""
    graph, rng = skips(layers), np.random.default_rng(seed)
    x = np.linalg.qr(rng.normal(size=(12, 4)))[0] if white else rng.normal(size=(12, 4))
    y = x @ rng.normal(size=(4, 3))
    contexts = {"h1": [1.0, 0.0, 1.0], "h2": [1.0, 1.0, 0.5], "x-h1": [1.0, 1.0, 0.0], "x-y": [0.0, 1.0, 1.0]}
    return GatedTask.from_contexts(graph, {"x": x}, {"y": y}, contexts)


@pytest.mark.parametrize("kind", ["mixed", "real"])
def test_loss_and_gradient_by_context_are_those_by_path(kind):
    for seed in range(8):
        task = random_task(seed, kind=kind)
        weights = random_weights(task.graph, seed)
        by_path, by_context = correlations(task), context_correlations(task)
        assert context_loss(by_context, weights) == pytest.approx(loss(by_path, weights), abs=1e-12)
        assert context_loss(by_context, weights) == pytest.approx(task.loss(weights), abs=1e-12)
        right = path_gradient(by_path, weights)
        for e, slope in context_gradient(by_context, weights).items():
            np.testing.assert_allclose(slope, right[e], atol=1e-12)


def test_a_hundred_thousand_paths_need_no_list():
    task = gated_skips(DEEP, white=False)
    assert task.graph.n_paths == 2 ** (DEEP - 1) > 100_000
    with pytest.raises(NotApplicable, match="131,072 paths"):
        correlations(task)
    weights = random_weights(task.graph, 1, scale=0.15)
    stats = context_correlations(task)
    assert context_loss(stats, weights) == pytest.approx(task.loss(weights), rel=1e-12)
    model = GDLN(task.graph, weights)
    answers = model(
        {"x": torch.tensor(np.array(task.x["x"]))}, {k: torch.tensor(np.array(g)) for k, g in task.gates.items()}
    )
    missed = torch.tensor(np.array(task.y["y"])) - answers["y"]
    value = 0.5 * (torch.tensor(np.array(task.prob))[:, None] * missed.square()).sum()
    slopes = torch.autograd.grad(value, list(model.edges))
    found = context_gradient(stats, weights)
    for e, slope in zip(task.graph.edges, slopes, strict=True):
        np.testing.assert_allclose(found[e], slope.numpy(), atol=1e-12 * max(1.0, float(slope.abs().max())))


def test_modes_by_context_move_as_modes_by_path():
    for task, init in ((tasks.routing(4, 2, hidden=8, weight="mean"), 0.3), (gated_skips(4), 0.4)):
        by_path, by_context = reduce(task), reduce_contexts(task)
        assert by_context.exact and by_path.exact
        runs: list[dict[str, Any]] = [
            {"method": "gd", "lr": 0.05, "steps": 120},
            {"method": "gd", "lr": 0.02, "steps": 60, "momentum": 0.8, "weight_decay": 0.01},
        ]
        if by_context.contexts == 3:
            runs.append({"method": "flow", "t": [0.5, 2.0, 6.0]})
        for settings in runs:
            right, found = by_path.solve(init, **settings), by_context.solve(init, **settings)
            np.testing.assert_allclose(found.time, right.time)
            np.testing.assert_allclose(found.loss, right.loss, atol=1e-8 * right.loss[0])


def test_the_prediction_for_many_paths_is_the_loss_of_the_network_step_by_step():
    task = gated_skips(DEEP)
    modes = reduce_contexts(task)
    assert modes.exact and modes.N == 3  # of the four directions of the input, three have a target
    weights = modes.weights(0.2, seed=3)
    predicted = modes.solve(0.2, "gd", lr=0.3, steps=8, momentum=0.5, weight_decay=0.01)
    assert predicted.exact and predicted.diverged is None
    assert predicted.loss[-1] < 0.9 * predicted.loss[0]
    stats = context_correlations(task)
    speed = {e: np.zeros_like(w) for e, w in weights.items()}
    for k in range(9):
        assert task.loss(weights) == pytest.approx(float(predicted.loss[k]), rel=1e-10)
        slope = context_gradient(stats, weights)
        for e in weights:
            speed[e] = 0.5 * speed[e] + slope[e] + 0.01 * weights[e]
            weights[e] = weights[e] - 0.3 * speed[e]


def test_contexts_that_are_not_diagonal_together_are_not_called_exact():
    task = gated_skips(5, white=False)
    found = reduce_contexts(task)
    assert not found.exact and found.defect > 0.02 and "approximate" in str(found)
    assert not found.solve(0.2, "gd", lr=0.01, steps=2).exact


def test_steps_that_are_too_long_are_reported_and_no_number_is_lost():
    curve = reduce_contexts(gated_skips(5)).solve(0.5, "gd", lr=50.0, steps=200)
    assert curve.diverged is not None and np.isfinite(curve.loss).all() and len(curve.loss) == len(curve.time)


def test_check_23_requests_without_meaning_are_refused():
    task = gated_skips(4)
    modes = reduce_contexts(task)
    with pytest.raises(InputError, match="GatedTask"):
        reduce_contexts(task.graph)
    with pytest.raises(InputError, match="tol"):
        reduce_contexts(task, tol=2.0)
    with pytest.raises(InputError, match="init"):
        modes.solve({"x-y": 1.0}, "gd", lr=0.1, steps=1)
    with pytest.raises(ShapeError):
        modes.strengths(np.ones(9))
    wrong: Any
    for wrong in ({"method": "gd", "steps": 3}, {"method": "gd", "lr": 0.1, "steps": 3, "t": 1.0},
                     {"method": "adam"}, {"method": "flow"}, {"method": "flow", "t": 1.0, "lr": 0.1},
                     {"method": "flow", "t": [2.0, 1.0]}):  # fmt: skip
        with pytest.raises(InputError):
            modes.solve(0.1, **wrong)
    narrow = GatedTask(Graph.chain([4, 2, 3]), {"x": np.eye(4)}, {"y": np.eye(4, 3)})
    with pytest.raises(NotApplicable, match="2 units in the hidden node"):
        reduce_contexts(narrow)
    closed = GatedTask(Graph.chain([4, 4, 3]), {"x": np.eye(4)}, {"y": np.eye(4, 3)}, {"h1": np.zeros(4)})
    with pytest.raises(NotApplicable, match="open path"):
        reduce_contexts(closed)
