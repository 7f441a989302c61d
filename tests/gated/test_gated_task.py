"""The task: data, gates, contexts and weights, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.gated.made import random_task, random_weights

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.gated import GatedTask, Graph, correlations
from learnt.gated.path_stats import loss

CHAIN = Graph.chain([2, 3, 1])
X, Y = np.arange(8.0).reshape(4, 2), np.ones((4, 1))


def task(**changes):
    fields = {"graph": CHAIN, "x": {"x": X}, "y": {"y": Y}, "gates": None, "prob": None}
    return GatedTask(**(fields | changes))


def test_weights_sum_to_one_unless_another_sum_is_stated():
    assert task().prob.tolist() == [0.25] * 4
    assert task(prob=[1, 1, 2, 0]).prob.tolist() == [0.25, 0.25, 0.5, 0]
    assert task(prob=[1, 1, 2, 0], prob_sums_to=2).total == 2
    assert task(prob=[1, 1, 2, 0], prob_sums_to=None).prob.tolist() == [1, 1, 2, 0]
    assert task(prob_sums_to=8).prob.tolist() == [2.0] * 4


def test_arrays_cannot_be_changed_and_later_changes_outside_do_not_reach_them():
    mine = X.copy()
    t = task(x={"x": mine}, gates={"h1": [1, 0, 1, 0]})
    mine[0] = 99
    assert t.x["x"][0, 0] == 0
    for array in (t.x["x"], t.y["y"], t.gates["h1"], t.prob, t.context_of, t.contexts["h1"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_samples_with_equal_gates_form_a_context():
    t = task(gates={"h1": [0.5, 0, 0.5, 1], "w2": [1, 1, 1, 1], "x": 1.0})
    assert t.n_contexts == 3 and t.context_of.tolist() == [0, 1, 0, 2]
    assert t.contexts["h1"].tolist() == [0.5, 0, 1] and t.contexts["w2"].tolist() == [1, 1, 1]
    assert t.gates["h1"].tolist() == [0.5, 0, 0.5, 1] and list(t.gates) == ["h1", "w2", "x"]
    assert task().n_contexts == 1 and not task().contexts
    assert task(gates={"h1": [0.0, -0.0, 0, -0.0]}).n_contexts == 1


def test_every_context_shows_every_item():
    t = GatedTask.from_contexts(
        CHAIN, {"x": X}, {"y": np.stack([Y, 2 * Y])}, [{"h1": 0}, {"w1": 0.5}], prob=[1, 1, 1, 3], context_prob=[1, 2]
    )
    assert len(t) == 8 and t.x["x"].tolist() == [*X.tolist()] * 2
    assert t.y["y"].ravel().tolist() == [1] * 4 + [2] * 4
    assert t.gates["h1"].tolist() == [0] * 4 + [1] * 4 and t.gates["w1"].tolist() == [1] * 4 + [0.5] * 4
    np.testing.assert_allclose(t.prob, np.array([1, 1, 1, 3, 2, 2, 2, 6]) / 18)
    same = GatedTask(CHAIN, t.x, t.y, {"h1": t.gates["h1"], "w1": t.gates["w1"]}, t.prob)
    assert same.n_contexts == t.n_contexts == 2
    by_name = GatedTask.from_contexts(CHAIN, {"x": X}, {"y": Y}, {"h1": [0, 1, 0]})
    assert len(by_name) == 12 and by_name.n_contexts == 2  # contexts with equal gates are one
    stated = GatedTask.from_contexts(CHAIN, {"x": X}, {"y": Y}, {"h1": [0, 1]}, prob=[1, 1, 1, 1], prob_sums_to=None)
    assert stated.total == 4


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_that_of_its_definition(seed):
    t = random_task(seed, 30)
    w = random_weights(t.graph, seed)
    out = t.outputs(w)
    expected = sum(0.5 * t.prob @ ((t.y[v] - out[v]) ** 2).sum(1) for v in t.graph.outputs)
    assert t.loss(w) == pytest.approx(expected, abs=1e-14)


def test_the_loss_passes_over_slices(monkeypatch):
    t = random_task(3, 50)
    w = random_weights(t.graph, 0)
    whole = t.loss(w)
    monkeypatch.setattr("learnt.gated.gated_task._SLICE", 40)
    assert len(t.slices()) > 5 and t.loss(w) == pytest.approx(whole, abs=1e-14)


def test_tensors_and_float32_are_taken():
    t = task(x={"x": torch.tensor(X)}, y={"y": Y.astype(np.float32)})
    assert t.x["x"].dtype == np.float64 and t.y["y"].dtype == np.float32
    assert correlations(t).Sigma_yx[0].dtype == np.float64


def test_a_task_can_be_moved_to_another_graph():
    wide = replace(task(gates={"h1": [1, 0, 1, 0]}), graph=Graph.chain([2, 9, 1]))
    assert wide.gates["h1"].tolist() == [1, 0, 1, 0] and wide.graph.nodes["h1"] == 9
    with pytest.raises(InputError, match="unknown name 'h1'"):
        replace(wide, graph=Graph.chain([2, 1]))


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"gates": {"h1": [1, 0, 1]}}, ShapeError, "gates['h1']: found shape (3,); expected (4,), one number for each of the 4 samples"),
        ({"gates": {"nowhere": [1, 0, 1, 1]}}, InputError, "the unknown name 'nowhere'; expected a node or edge: x, h1, y, w1, w2"),
        ({"gates": [1, 0, 1, 1]}, InputError, "a mapping by node or edge"),
        ({"gates": {"h1": [1, 0, np.nan, 1]}}, NonFiniteError, "gates['h1']"),
        ({"x": {"x": [[1, 2], [3, np.nan]]}}, NonFiniteError, "x['x']: found 1 NaN or infinite value(s), the first at (1, 1)"),
        ({"y": {"y": [[np.inf]] * 4}}, NonFiniteError, "y['y']"),
        ({"prob": [1, 1, -1, 1]}, InputError, "prob: found -1 at 2; expected weights of at least 0"),
        ({"prob": [0, 0, 0, 0]}, InputError, "only zeros"),
        ({"prob": [1, 1]}, ShapeError, "(4,)"),
        ({"prob": [1, 1, np.nan, 1]}, NonFiniteError, "prob"),
        ({"prob_sums_to": 0}, InputError, "a number above 0"),
        ({"prob_sums_to": None}, InputError, "None without weights"),
        ({"y": {}}, InputError, "no targets for 'y': there is no path from it to an output"),
        ({"x": {}}, InputError, "nothing for 'x'"),
        ({"x": {"x": X, "h1": X}}, InputError, "the unknown name 'h1'"),
        ({"x": {"x": X[:, :1]}}, ShapeError, "(P, 2)"),
        ({"x": {"x": X[0]}}, ShapeError, "(P, 2)"),
        ({"y": {"y": Y[:3]}}, ShapeError, "y['y']: found 3 samples; expected 4, like x['x']"),
        ({"x": {"x": X[:0]}, "y": {"y": Y[:0]}}, ShapeError, "no samples"),
        ({"x": {"x": [["a", "b"]] * 4}}, InputError, "real numbers"),
        ({"graph": 3}, InputError, "a Graph"),
    ],
)  # fmt: skip
def test_check_23_a_task_that_does_not_fit_is_refused_by_its_fault(changes, error, text):
    with pytest.raises(error) as caught:
        task(**changes)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("x", "contexts", "text"),
    [
        (X, [], "no gates"),
        (X, [{"z": 1}], "unknown name 'z'"),
        (X, {"h1": [1, 0], "w1": [1]}, "(C,)"),
        (np.zeros((3, 4, 2)), [{"h1": 1}], "(4, units) for 4 items, or (1, 4, units)"),
        (np.zeros((0, 2)), [{"h1": 1}], "no items"),
    ],
)
def test_check_23_contexts_that_do_not_fit_are_refused(x, contexts, text):
    with pytest.raises((InputError, ShapeError)) as caught:
        GatedTask.from_contexts(CHAIN, {"x": x}, {"y": Y}, contexts)
    assert text in str(caught.value)


def test_splitting_a_sample_into_two_of_half_its_weight_changes_no_statistic():
    t = random_task(4, 20)
    twice = [*range(20), 7]
    prob = t.prob[twice].copy()
    prob[[7, 20]] /= 2
    split = GatedTask(
        t.graph, {v: t.x[v][twice] for v in t.x}, {v: t.y[v][twice] for v in t.y}, {g: t.gates[g][twice] for g in t.gates}, prob
    )  # fmt: skip
    w = random_weights(t.graph, 1)
    assert loss(correlations(split), w) == pytest.approx(loss(correlations(t), w), abs=1e-13)
