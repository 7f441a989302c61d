"""The reduction: bases found from data alone, assumptions measured, exactness claimed only where it holds."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gated.made import GOLDEN, random_graph, random_task, random_weights

from learnt.core.errors import InputError, LearntError, NotApplicable
from learnt.gated import GatedTask, Graph, correlations, tasks
from learnt.gated.reduction import AssumptionError, Reduction, reduce

MINE = json.loads((Path(__file__).parents[1] / "golden" / "gated_reduction.json").read_text(encoding="utf-8"))


def rotation(seed: int, size: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def xor_task(case: dict) -> GatedTask:
    gates = np.array(case["gates"], dtype=float)
    graph = Graph.parallel(len(gates), 2, case["hidden_per_path"], 1)
    x, y = np.array(GOLDEN["xor_family"]["inputs"]), np.array(case["y"])[:, None]
    return GatedTask(graph, {"x": x}, {"y": y}, {f"h{k}": gates[k] for k in range(len(gates))})


@pytest.mark.parametrize("case", GOLDEN["xor_family"]["cases"], ids=lambda c: c["name"])
def test_check_06_bases_by_class_make_xor_exact_with_the_modes_of_the_golden_numbers(case):
    r = reduce(xor_task(case))
    assert r.exact and r.defect < 1e-12
    assert len(r.classes) == len(case["gates"])
    found = sorted((float(r.S[p, 0]), float(d)) for p, d in zip(r.D.p, r.D.values[:, 0], strict=True))
    np.testing.assert_allclose(found, sorted(map(tuple, case["modes_s_d"])), atol=1e-9)


@pytest.mark.parametrize("name", ["xor_diag4", "linsep_diag4"])
def test_check_06_one_basis_a_node_fails_for_four_pathways(name):
    case = next(c for c in GOLDEN["xor_family"]["cases"] if c["name"] == name)
    r = reduce(xor_task(case), per="node")
    assert r.defect > 0.5 and not r.exact


def test_xor_without_gates_has_one_mode_without_a_target():
    r = reduce(tasks.xor("single"))
    assert r.exact and r.N == 1
    np.testing.assert_allclose([r.S[0, 0], r.D.values[0, 0]], [0.0, 1.0], atol=1e-12)
    assert r.floor == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(6))
def test_check_10_modes_of_a_random_dag_are_found_from_its_data(seed):
    r = reduce(tasks.random_dag(seed))
    assert r.exact and r.defect < 1e-10 and r.N == 3


@pytest.mark.parametrize("seed", range(3))
def test_check_11_noise_on_the_inputs_is_measured_and_ends_exactness(seed):
    task = tasks.random_dag(seed)
    rng = np.random.default_rng(seed)
    x = {v: np.array(a) + 0.05 * np.array(a).std() * rng.normal(size=a.shape) for v, a in task.x.items()}
    noisy = reduce(GatedTask(task.graph, x, task.y, task.gates, task.prob))
    assert 0.02 < noisy.defect < 0.2
    assert not noisy.exact and any("leak" in note for note in noisy.caveats)
    with pytest.raises(AssumptionError, match="off-diagonal share") as error:
        noisy.require_exact()
    assert noisy.worst is not None and str(noisy.stats.paths[noisy.worst]) in str(error.value)
    with pytest.raises(AssumptionError):
        noisy.solve(0.1, t=1.0, require_exact=True)


def test_assumption_error_is_a_direct_child_of_the_common_error():
    assert LearntError in AssumptionError.__bases__


@settings(max_examples=10)
@given(st.integers(0, 200))
def test_loss_of_decoupled_weights_is_the_reduced_loss_at_once(seed):
    task = tasks.random_dag(seed % 20)
    r = reduce(task)
    rng = np.random.default_rng(seed)
    b = {e: rng.normal(size=r.N) for e in r.edges}
    predicted = r.solve(b, t=np.array([0.0])).loss[0]
    assert predicted == pytest.approx(task.loss(r.weights(b, seed)), rel=1e-11)


def test_weights_read_back_as_the_strengths_they_were_made_of():
    r = reduce(tasks.random_dag(2))
    rng = np.random.default_rng(0)
    b = {e: rng.uniform(0.1, 1.0, r.N) for e in r.edges}
    back = r.with_weights(r.weights(b, 5))
    assert back.exact and back.weight_defect < 1e-10
    np.testing.assert_allclose(back.S, r.S, atol=1e-10)
    np.testing.assert_allclose(np.abs(back.B), np.array([b[e] for e in r.edges]), atol=1e-10)


def test_weights_choose_among_modes_of_equal_strength():
    """s3 = s4 = 3 leaves any rotation of two modes; the weights have their own, with different strengths."""
    task = tasks.routing(3, 2, hidden=6)
    r = reduce(task)
    turn = np.eye(4)
    turn[2:, 2:] = rotation(3, 2)
    b = np.array([0.1, 0.2, 0.3, 0.4])
    hidden = [rotation(7, 6)[:, :4], rotation(8, 6)[:, :4]]
    w = {}
    for e, (s, t) in task.graph.edges.items():
        left = r.write[e] @ turn if e in r.write else hidden[int(t == "h2")]
        right = r.read[e] @ turn if e in r.read else hidden[int(s == "h2")]
        w[e] = (left * b) @ right.T
    suited = r.with_weights(w)
    assert suited.exact
    np.testing.assert_allclose(np.sort(np.abs(suited.B[0])), b, atol=1e-10)


def test_random_weights_are_measured_to_be_not_of_decoupled_form():
    r = reduce(tasks.routing(3, 2, hidden=6))
    suited = r.with_weights(random_weights(r.stats.graph, 0))
    assert suited.weight_defect > 0.1 and not suited.exact and suited.defect < 1e-10
    with pytest.raises(AssumptionError, match="in the weights of edge"):
        suited.require_exact()


def test_check_12_rotated_inputs_and_targets_have_the_same_modes():
    task = tasks.random_dag(1)
    turned = GatedTask(
        task.graph,
        {v: np.array(a) @ rotation(i, a.shape[1]) for i, (v, a) in enumerate(task.x.items())},
        {v: np.array(a) @ rotation(9 + i, a.shape[1]) for i, (v, a) in enumerate(task.y.items())},
        task.gates,
        task.prob,
    )
    a, b = reduce(task), reduce(turned)
    np.testing.assert_allclose(np.abs(a.S), np.abs(b.S), atol=1e-10)
    np.testing.assert_allclose(np.abs(a.D.values), np.abs(b.D.values), atol=1e-10)
    grid = np.linspace(0, 3, 7)
    np.testing.assert_allclose(a.solve(0.2, t=grid).loss, b.solve(0.2, t=grid).loss, atol=1e-10)


def test_pathways_of_one_class_may_read_one_input_in_different_bases():
    """The four pathways of XOR with a common second layer: no basis of the input suits them all, yet each has its own."""
    corners = np.array(GOLDEN["xor_family"]["inputs"])
    graph = Graph({"x": 2, "h": 2, "y": 1}, {**{f"in{k}": ("x", "h") for k in range(4)}, "out": ("h", "y")})
    y = np.prod(corners, axis=1, keepdims=True)
    task = GatedTask(graph, {"x": corners}, {"y": y}, {f"in{k}": np.eye(4)[k] for k in range(4)})
    r = reduce(task)
    assert len(r.classes) == 1 and r.exact
    assert reduce(task, per="node").defect > 0.5
    w = r.weights(0.1)
    assert r.solve(w, "gd", lr=0.05, steps=0).loss[0] == pytest.approx(task.loss(w), abs=1e-12)


def test_trained_pairs_that_do_not_hang_together_are_matched_by_strength():
    r = reduce(tasks.routing(gate=np.eye(3), rotations=4))
    assert r.exact and len(r.classes) == 1 and r.N == 4
    np.testing.assert_allclose(r.S[list(r.stats.open)] * 3, np.tile([13.60147051, 6.40312424, 3, 3], (3, 1)), rtol=1e-8)


def test_narrow_hidden_node_is_refused_and_the_strongest_modes_can_be_kept():
    task = tasks.hierarchy(hidden=(2,), weight=1.0)
    with pytest.raises(NotApplicable, match="4 modes through the hidden node 'h1', which has 2 units"):
        reduce(task)
    r = reduce(task, modes=2)
    np.testing.assert_allclose(r.S[0], [13.60147051, 6.40312424], rtol=1e-9)
    assert r.floor == pytest.approx(9.0) and r.exact


def test_check_12_names_order_weights_and_splits_of_samples_do_not_matter():
    task = tasks.random_dag(3)
    names = {v: f"n{9 - i}" for i, v in enumerate(task.graph.nodes)} | {
        e: f"w{i}" for i, e in enumerate(task.graph.edges)
    }
    rng = np.random.default_rng(0)
    order = rng.permutation(len(task))
    twice = np.concatenate([order, order[:5]])
    prob = np.array(task.prob)[twice]
    prob[:5] /= 2
    prob[-5:] = prob[:5]
    edges = [(names[e], (names[s], names[t])) for e, (s, t) in task.graph.edges.items()]
    graph = Graph({names[v]: size for v, size in reversed(list(task.graph.nodes.items()))}, dict(edges[::-1]))
    other = GatedTask(
        graph,
        {names[v]: np.array(a)[twice] for v, a in task.x.items()},
        {names[v]: np.array(a)[twice] for v, a in task.y.items()},
        {names[v]: np.array(task.gates[v])[twice] for v in task.gates},
        3.0 * prob,
        prob_sums_to=3.0,
    )
    grid = np.linspace(0, 3, 7)
    a, b = reduce(task).solve(0.3, t=grid), reduce(other).solve(0.3, t=grid / 3)
    np.testing.assert_allclose(3 * a.loss, b.loss, rtol=1e-10)


@pytest.mark.parametrize("seed", range(8))
def test_any_task_gets_orthonormal_bases_and_a_measured_defect(seed):
    graph = random_graph(seed)
    wide = Graph({v: n if v in (*graph.inputs, *graph.outputs) else 24 for v, n in graph.nodes.items()}, graph.edges)
    r = reduce(correlations(random_task(seed, graph=wide)))
    assert not r.exact and 0.0 < r.defect <= 1.5
    for basis in r.bases.values():
        used = basis[:, basis.any(0)]
        np.testing.assert_allclose(used.T @ used, np.eye(used.shape[1]), atol=1e-10)
    assert np.isfinite(r.solve(0.2, t=2.0).loss).all()


def test_edges_that_no_open_path_passes_are_named():
    task = tasks.xor("halves")
    gates = {"h0": np.array([1.0, 0, 1, 0]), "h1": np.zeros(4)}
    r = reduce(GatedTask(task.graph, task.x, task.y, gates))
    assert r.never_trained == ("in1", "out1")
    assert any("never trained" in note for note in r.caveats)
    run = r.solve(0.3, t=5.0)
    np.testing.assert_array_equal(run.strength["in1"], 0.3)


def test_bad_settings_are_refused():
    with pytest.raises(InputError):
        reduce(tasks.xor(), tol=0)
    with pytest.raises(InputError):
        reduce(tasks.xor(), per="path")
    with pytest.raises(InputError):
        reduce("xor")
    task = tasks.xor("single")
    with pytest.raises(NotApplicable, match="no path"):
        reduce(GatedTask(task.graph, task.x, task.y, {"h0": np.zeros(4)}))
    with pytest.raises(InputError, match="nothing for"):
        reduce(task).strengths({"in0": 1.0})


def test_a_reduction_says_what_it_is():
    r: Reduction = reduce(tasks.routing(3, 2))
    assert str(r) == "4 modes in 1 class of 6 open paths; exact"
