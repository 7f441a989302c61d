"""Tasks with known answers: golden numbers of XOR, of trees and of routing, and properties of gate patterns."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gated.made import GOLDEN, random_weights

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.gated import correlations, tasks
from learnt.gated.hierarchy import hierarchy_strengths
from learnt.gated.path_stats import loss, path_gradient

XOR = {"xor_diag4": (tasks.xor, "four"), "xor_half2": (tasks.xor, "halves"), "linsep_single": (tasks.separable, "single"),
       "linsep_half2": (tasks.separable, "halves"), "linsep_diag4": (tasks.separable, "four")}  # fmt: skip


def flow(stats, weights, times, steps=400):
    """Loss at `times` of gradient flow on the explicit weights: RK4 with equal steps between two times."""
    w, losses = {e: np.array(a) for e, a in weights.items()}, [loss(stats, weights)]
    for before, after in zip(times, times[1:], strict=False):
        h = (after - before) / steps
        for _ in range(steps):
            slopes = []
            for share in (0.0, 0.5, 0.5, 1.0):
                at = w if not slopes else {e: w[e] - share * h * slopes[-1][e] for e in w}
                slopes.append(path_gradient(stats, at))
            w = {e: w[e] - h / 6 * sum(c * k[e] for c, k in zip((1, 2, 2, 1), slopes, strict=True)) for e in w}
        losses.append(loss(stats, w))
    return losses


@pytest.mark.parametrize("case", GOLDEN["xor_family"]["cases"], ids=lambda case: case["name"])
def test_check_06_data_of_the_xor_family_are_the_golden_ones(case):
    make, gating = XOR[case["name"]]
    task = make(gating)
    assert task.x["x"].tolist() == GOLDEN["xor_family"]["inputs"] and task.prob.tolist() == [0.25] * 4
    assert task.y["y"].ravel().tolist() == case["y"]
    gates = [task.gates[f"h{k}"].tolist() for k in range(len(case["gates"]))]
    assert gates == case["gates"]
    stats = correlations(task)
    for p, (s, d) in enumerate(case["modes_s_d"]):
        right = stats.Sigma_yx[p][0] / s
        assert np.linalg.norm(right) == pytest.approx(1, abs=1e-9)
        assert right @ stats.Sigma_x[p, p] @ right == pytest.approx(d, abs=1e-9)
    assert set(stats.Sigma_x) == {(p, p) for p in range(len(stats.paths))}
    assert loss(stats, case["init"]) == pytest.approx(case["loss_flow"][0], abs=1e-9)
    found = flow(stats, case["init"], case["t"][:4], 60)
    np.testing.assert_allclose(found, case["loss_flow"][:4], atol=1e-8)


def test_a_single_path_sees_nothing_of_xor():
    stats = correlations(tasks.xor("single"))
    assert not stats.Sigma_yx[0].any() and stats.energy == 1.0
    assert loss(stats, {e: np.zeros(s) for e, s in stats.graph.shapes.items()}) == 0.5


def test_any_gates_of_the_corners_may_be_given():
    task = tasks.xor([[1, 1, 0, 0.5]], hidden=3)
    assert task.gates["h0"].tolist() == [1, 1, 0, 0.5] and task.graph.nodes["h0"] == 3
    with pytest.raises(InputError, match="single, halves, four"):
        tasks.xor("diagonal")
    with pytest.raises(ShapeError, match="a column for each corner"):
        tasks.separable([[1, 0, 1]])


def test_check_22_strengths_of_a_tree():
    example = GOLDEN["hierarchy_singular_values"]["example"]
    y = tasks.tree(2, example["w"])
    np.testing.assert_allclose(np.linalg.svd(y)[1], example["s"], atol=1e-7)
    assert y.T.tolist() == [[6] * 4, [4, 4, 0, 0], [0, 0, 4, 4], *(3 * np.eye(4)).tolist()] and (y**2).sum() == 244


@settings(max_examples=20)
@given(st.integers(0, 4), st.integers(0, 100))
def test_check_22_the_formula_of_a_tree_is_its_decomposition(levels, seed):
    w = np.random.default_rng(seed).uniform(0.1, 5, levels + 1)
    values = np.linalg.svd(tasks.tree(levels, w))[1]
    np.testing.assert_allclose(values, hierarchy_strengths(w), atol=1e-10)


def test_a_tree_is_learned_by_a_chain():
    mean, whole = (
        correlations(tasks.hierarchy(3, (4, 3, 2, 1))),
        correlations(tasks.hierarchy(3, (4, 3, 2, 1), weight=1)),
    )
    s = hierarchy_strengths((4, 3, 2, 1))
    assert np.linalg.svd(whole.Sigma_yx[0])[1][0] == pytest.approx(s[0])
    np.testing.assert_allclose(whole.Sigma_x[0, 0], np.eye(8))
    np.testing.assert_allclose(mean.Sigma_yx[0] * 8, whole.Sigma_yx[0])
    assert tasks.hierarchy(hidden=(5, 6)).graph.shapes["w2"] == (6, 5)
    with pytest.raises(ShapeError, match="one for each level"):
        tasks.hierarchy(2, (1, 2))


def test_check_07_routing_of_three_domains_is_the_golden_one():
    golden = GOLDEN["routing_M3_K2_explicit"]
    task = tasks.routing(
        gate=golden["gate_rows_input_cols_output"], y=np.array(golden["Y_T"]).T, hidden=golden["hidden"], weight=golden["per_path_weight"]
    )  # fmt: skip
    stats = correlations(task)
    assert len(stats.open) == 6 and not stats.never_trained
    assert stats.total == pytest.approx(6 * 3 / 9)
    found = flow(stats, golden["init"], golden["t"][:4], 40)
    np.testing.assert_allclose(found, golden["loss_flow"][:4], atol=1e-7)
    paper = tasks.routing(gate=golden["gate_rows_input_cols_output"], y=np.array(golden["Y_T"]).T, weight="paper")
    assert paper.total == pytest.approx(task.total)


@pytest.mark.parametrize(
    ("weight", "expected"), [("notebook", 244.0), ("mean", 122.0), ("paper", 122 * 28 / 49), (0.5, 122 * 14)]
)
def test_check_08_the_loss_of_the_notebook_starts_at_244(weight, expected):
    task = tasks.routing(7, 4, weight=weight)
    stats = correlations(task)
    assert 0.5 * stats.energy == pytest.approx(expected, rel=1e-12)
    w = 2 / 28 if weight == "notebook" else task.total / (28 * 4)
    p = stats.open[0]
    np.testing.assert_allclose(
        np.linalg.svd(stats.Sigma_yx[p])[1], w * np.array([13.6014705, 6.4031242, 3, 3]), rtol=1e-7
    )
    np.testing.assert_allclose(stats.Sigma_x[p, p], w * np.eye(4), atol=1e-15)


def test_routing_opens_exactly_the_trained_pairs():
    gate = tasks.random_regular(5, 2, 3)
    task = tasks.routing(gate=gate, rotations=1, hidden=6)
    stats = correlations(task)
    trained = {(f"x{i}", f"y{j}") for i, j in np.argwhere(gate)}
    assert {(stats.paths[p].source, stats.paths[p].target) for p in stats.open} == trained
    assert set(stats.Sigma_x) == {(p, p) for p in stats.open} and task.n_contexts == 10
    w = random_weights(task.graph, 0, 0.3)
    assert task.loss(w) == pytest.approx(loss(stats, w), rel=1e-12)


def test_rotations_turn_each_domain_and_change_no_strength():
    plain, turned = tasks.routing(4, 2), tasks.routing(4, 2, rotations=0)
    assert np.abs(turned.x["x0"] - turned.x["x1"]).max() > 0.1
    for p in correlations(plain).open:
        a, b = (np.linalg.svd(correlations(t).Sigma_yx[p])[1] for t in (plain, turned))
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_array_equal(turned.x["x2"], tasks.routing(4, 2, rotations=0).x["x2"])
    assert not np.array_equal(turned.x["x2"], tasks.routing(4, 2, rotations=1).x["x2"])


def test_routing_may_be_deeper_on_every_side():
    task = tasks.routing(2, 1, shared_layers=2, in_layers=2, out_layers=2, hidden=5)
    assert len(task.graph.paths()[0].edges) == 6
    w = random_weights(task.graph, 0)
    assert task.loss(w) == pytest.approx(loss(correlations(task), w), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"M": 3, "K": 4}, InputError, "K: found 4; expected at most 3, the number of domains"),
        ({"M": 3, "K": 0}, InputError, "an integer of at least 1"),
        ({"M": 3}, InputError, "M and K, or a gate"),
        ({"K": 3}, InputError, "M and K, or a gate"),
        ({"K": 1, "gate": np.eye(3)}, InputError, "M and K, or a gate"),
        ({"M": 4, "gate": np.eye(3)}, ShapeError, "3 domains"),
        ({"gate": np.ones((2, 3))}, ShapeError, "(M, M)"),
        ({"gate": [[0, 0.5], [1, 0]]}, InputError, "the entry 0.5"),
        ({"gate": [[0, 0], [0, 0]]}, InputError, "only zeros"),
        ({"gate": [[np.nan, 0], [0, 0]]}, NonFiniteError, "gate"),
        ({"M": 2, "K": 1, "weight": 0}, InputError, "a number above 0"),
        ({"M": 2, "K": 1, "weight": "sum"}, InputError, "'mean', 'paper' or 'notebook'"),
        ({"M": 2, "K": 1, "x": np.eye(3)}, ShapeError, "(n, d_in) and (n, d_out)"),
    ],
)
def test_check_23_routing_that_is_none_is_refused(arguments, error, text):
    with pytest.raises(error) as caught:
        tasks.routing(**arguments)
    assert text in str(caught.value)


def test_check_16_spectral_ratios_of_bands_are_those_of_the_slide():
    for K, expected in enumerate(GOLDEN["zero_shot_sigma2_over_sigma1"], 1):
        values = np.linalg.svd(tasks.band(10, K))[1]
        assert values[1] / values[0] == pytest.approx(expected, abs=1e-4)


def test_bands_are_those_of_the_reference_code():
    assert tasks.band(7, 4)[0].tolist() == [1, 1, 1, 0, 0, 0, 1]  # -1, 0, 1, 2
    assert tasks.band(5, 3)[2].tolist() == [0, 1, 1, 1, 0]
    assert tasks.ahead(5, 3)[4].tolist() == [1, 1, 0, 0, 1]
    assert tasks.diagonal(4, 2).tolist() == np.diag([1.0, 1, 0, 0]).tolist()
    assert tasks.diagonal(3).tolist() == np.eye(3).tolist()
    moved = tasks.permuted(tasks.band(6, 2), 1)
    assert sorted(map(tuple, moved.T)) == sorted(map(tuple, tasks.band(6, 2).T))
    assert not np.array_equal(moved, tasks.band(6, 2))


@settings(max_examples=40)
@given(st.integers(1, 12), st.data())
def test_random_regular_gates_are_regular(M, data):
    K = data.draw(st.integers(1, M))
    seed = data.draw(st.integers(0, 10))
    gate = tasks.random_regular(M, K, seed)
    assert set(np.unique(gate)) <= {0.0, 1.0} and (gate.sum(0) == K).all() and (gate.sum(1) == K).all()
    np.testing.assert_array_equal(gate, tasks.random_regular(M, K, seed))


def test_random_regular_gates_differ_and_connect_better_than_bands():
    found = {tasks.random_regular(10, 3, seed).tobytes() for seed in range(50)}
    assert len(found) == 50
    ratios = [np.linalg.svd(tasks.random_regular(10, 3, seed))[1][1] / 3 for seed in range(200)]
    assert min(ratios) < 0.75 < 0.8727


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_with_contexts_are_diagonal_in_common_bases(seed):
    task = tasks.random_dag(seed)
    stats = correlations(task)
    assert task.n_contexts == 4 and not stats.never_trained and len(stats.paths) >= 8
    assert any(0.5 in values for values in task.contexts.values())
    assert {len(p.edges) for p in stats.paths} >= {2, 3}
    # The bases of a node: right singular vectors of what its paths see; common to all of them.
    basis = {}
    for p in stats.open:
        source = stats.paths[p].source
        basis.setdefault(source, np.linalg.eigh(stats.Sigma_x[p, p])[1])
        turned = basis[source].T @ stats.Sigma_x[p, p] @ basis[source]
        np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-12)
        energy = basis[source].T @ stats.Sigma_yx[p].T @ stats.Sigma_yx[p] @ basis[source]
        np.testing.assert_allclose(energy, np.diag(np.diag(energy)), atol=1e-12)
    assert not np.allclose(basis["x0"], np.abs(basis["x0"]).round())


def test_random_graphs_differ_by_seed_and_repeat():
    a, b = tasks.random_dag(0), tasks.random_dag(1)
    assert a.graph != b.graph or not np.allclose(a.x["x0"], b.x["x0"])
    np.testing.assert_array_equal(a.y["y1"], tasks.random_dag(0).y["y1"])
    with pytest.raises(InputError, match="items"):
        tasks.random_dag(0, modes=5, items=4)


def test_check_24_a_task_of_a_hundred_domains_is_small_and_quickly_made():
    def make():
        start = time.process_time()
        task = tasks.routing(100, 10, weight="mean", rotations=0)
        return time.process_time() - start, task

    assert min(make()[0] for _ in range(5)) < 0.1
    tracemalloc.start()
    task = make()[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(task) == 4000 and peak < 50e6


def test_check_14_the_notebook_weight_gives_its_largest_learning_rates_at_other_sizes():
    # spec 2.3: .0191 at K = 7 and .0148 at K = 9 of M = 10, by lr_max = 2 / (3 w K d M^(1/3) (s/d)^(4/3))
    for k, expected in ((7, 0.0191), (9, 0.0148)):
        task = tasks.routing(10, k, weight="notebook")
        w = task.total / (10 * k * 4)
        found = 2 / (3 * w * k * 10 ** (1 / 3) * 13.60147 ** (4 / 3))
        assert found == pytest.approx(expected, abs=5e-5)
