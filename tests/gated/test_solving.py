"""The reduced dynamics equal the network's: flow, descent with momentum and decay, closed forms, refusals."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gated.made import GOLDEN, random_weights
from tests.gated.test_reduction import MINE, xor_task

from learnt.core.errors import InputError, LearntError, ShapeError
from learnt.gated import GatedTask, Graph, tasks
from learnt.gated.path_stats import loss, path_gradient
from learnt.gated.reduction import reduce
from learnt.gated.solving import UnsupportedOptimizer, solve
from learnt.gated.two_layers import two_layer_strength, two_layer_time_to

NOTEBOOK = reduce(tasks.routing(7, 4, weight="notebook"))


def descended(stats, weights, steps: int, **sgd) -> np.ndarray:
    """The loss of the full network under torch.optim.SGD, with the gradient by paths."""
    parameters = {e: torch.nn.Parameter(torch.tensor(w)) for e, w in weights.items()}
    optimiser = torch.optim.SGD(parameters.values(), **sgd)
    out = []
    for _ in range(steps + 1):
        now = {e: p.detach().numpy() for e, p in parameters.items()}
        out.append(loss(stats, now))
        for e, g in path_gradient(stats, now).items():
            parameters[e].grad = torch.tensor(g)
        optimiser.step()
    return np.array(out)


@pytest.mark.parametrize("case", GOLDEN["xor_family"]["cases"], ids=lambda c: c["name"])
def test_check_06_xor_reduction_and_full_flow_agree_with_the_golden_curves(case):
    r = reduce(xor_task(case))
    grid = np.array(case["t"])
    by_weights = r.solve({e: np.array(w) for e, w in case["init"].items()}, t=grid)
    assert by_weights.exact
    np.testing.assert_allclose(by_weights.loss, case["loss_flow"], atol=1e-8)
    np.testing.assert_allclose(r.solve(case["b0"], t=grid).loss, case["loss_theory"], atol=1e-8)
    np.testing.assert_allclose(r.solve(case["b0"], t=20.0).time_to(0.5)[:, 0], case["t_half_loss"], atol=1e-8)


def test_check_06_xor_without_gates_stays_at_one_half_for_ever():
    run = reduce(tasks.xor("single")).solve(1e-3, t=1e4)
    np.testing.assert_allclose(run.loss, 0.5, atol=1e-9)
    assert np.isinf(run.time_to(0.5)).all() and np.isfinite(run.loss).all()
    assert run.winner() == ()


def test_two_layers_of_a_chain_agree_with_the_golden_curve_and_the_sigmoid():
    case = MINE["dln2_full"]
    graph = Graph.chain([3, 5, 4])
    r = reduce(GatedTask(graph, {"x": np.array(case["X"])}, {"y": np.array(case["Y"])}, prob=case["prob"]))
    np.testing.assert_allclose(r.S[0], case["modes"], atol=1e-8)
    grid = np.array(case["t"])
    run = r.solve({"w1": np.array(case["W1"]), "w2": np.array(case["W2"])}, t=grid, require_exact=True)
    np.testing.assert_allclose(run.loss, case["loss_flow"], atol=1e-8)
    run = r.solve(case["b0"], t=grid)
    exact = two_layer_strength(grid[:, None], r.S[0], r.D.values[0], case["b0"] ** 2)
    np.testing.assert_allclose(run.path_strength[:, 0], exact, atol=1e-9)
    np.testing.assert_allclose(run.time_to(0.9)[0], two_layer_time_to(0.9, r.S[0], r.D.values[0], 0.01), rtol=1e-7)


def test_check_07_explicit_routing_agrees_with_the_full_flow_and_conserves():
    case = GOLDEN["routing_M3_K2_explicit"]
    task = tasks.routing(
        gate=np.array(case["gate_rows_input_cols_output"]),
        y=np.array(case["Y_T"]).T,
        hidden=4,
        weight=case["per_path_weight"],
    )
    r = reduce(task)
    grid = np.array(case["t"])
    run = r.solve({e: np.array(w) for e, w in case["init"].items()}, t=grid)
    assert run.exact and run.drift < 1e-9
    np.testing.assert_allclose(run.loss, case["loss_flow"], atol=1e-7)
    plain = r.solve(case["b0"], t=grid)
    np.testing.assert_allclose(plain.strength["in0"], case["b1"], atol=1e-7)
    np.testing.assert_allclose(plain.strength["hid"], case["b2"], atol=1e-7)
    kept = 3 * plain.strength["in0"] ** 2 - plain.strength["hid"] ** 2
    assert np.abs(kept - kept[0]).max() <= 1e-9


def test_check_08_authors_network_drops_when_it_did():
    run = NOTEBOOK.solve(0.08, "gd", lr=0.02, steps=500)
    np.testing.assert_allclose(run.loss[[50, 80, 160, 350]], [243.6163, 59.5499, 31.3946, 0.3947], atol=1e-3)
    assert [run.step_to_loss(level) for level in (151.5, 38.5, 9.0)] == [77, 158, 328]
    np.testing.assert_allclose(run.strength["hid"][-1], [4.56, 3.55, 2.75, 2.75], atol=0.01)


@pytest.mark.parametrize("symmetric", [True, False])
def test_check_08_full_simulation_from_a_decoupled_start_is_the_reduction(symmetric):
    w = NOTEBOOK.weights(0.08, 1)
    full = descended(NOTEBOOK.stats, w, 40, lr=0.02)
    run = NOTEBOOK.solve(w, "gd", lr=0.02, steps=40, symmetric=symmetric)
    assert run.exact
    assert np.abs(run.loss - full).max() < 1e-10


@pytest.mark.parametrize(
    "sgd",
    [
        {"lr": 0.01},
        {"lr": 0.005, "momentum": 0.9},
        {"lr": 0.005, "momentum": 0.9, "weight_decay": 0.01},
        {"lr": 0.005, "momentum": 0.8, "weight_decay": 0.01, "nesterov": True},
    ],
    ids=lambda sgd: "-".join(sgd),
)
def test_check_09_momentum_and_decay_are_those_of_torch(sgd):
    for task in (tasks.routing(3, 2, weight="paper", hidden=5, rotations=1), tasks.random_dag(4)):
        r = reduce(task)
        rng = np.random.default_rng(2)
        w = r.weights({e: rng.uniform(0.1, 0.4, r.N) for e in r.edges}, 3)
        run = r.solve(w, "gd", steps=60, **sgd)
        assert run.exact
        assert np.abs(run.loss - descended(r.stats, w, 60, **sgd)).max() < 1e-10


@pytest.mark.parametrize("name", ["adam", "AdamW", "rmsprop", "something"])
def test_check_09_other_optimisers_are_refused_with_the_reason(name):
    with pytest.raises(UnsupportedOptimizer, match="rotation.equivarian"):
        NOTEBOOK.solve(0.1, "gd", lr=0.01, steps=1, optimizer=name)
    assert LearntError in UnsupportedOptimizer.__bases__


def test_check_09_adam_as_a_method_is_refused_too():
    with pytest.raises(UnsupportedOptimizer, match="rotation"):
        NOTEBOOK.solve(0.1, "adam")


@settings(max_examples=8)
@given(st.integers(0, 60))
def test_check_10_descent_on_random_dags_is_the_reduction(seed):
    r = reduce(tasks.random_dag(seed))
    rng = np.random.default_rng(seed)
    w = r.weights({e: rng.uniform(0.1, 0.5, r.N) for e in r.edges}, seed)
    run = r.solve(w, "gd", lr=0.01, steps=12)
    assert run.exact
    assert np.abs(run.loss - descended(r.stats, w, 12, lr=0.01)).max() < 1e-8


def test_flow_is_the_limit_of_small_steps():
    r = reduce(tasks.random_dag(0))
    flow = r.solve(0.3, t=np.array([0.0, 1.0])).loss[-1]
    misses = [abs(r.solve(0.3, "gd", lr=lr, steps=round(1 / lr)).loss[-1] - flow) for lr in (0.01, 0.005)]
    assert misses[0] / misses[1] == pytest.approx(2.0, rel=0.1)


@settings(max_examples=10)
@given(st.integers(0, 40), st.booleans())
def test_orbits_change_nothing(seed, equal):
    r = reduce(tasks.random_dag(seed) if seed % 2 else tasks.routing(4, 2, weight="mean", rotations=seed))
    rng = np.random.default_rng(seed)
    init = 0.3 if equal else {e: rng.choice([0.2, 0.3]) for e in r.edges}
    a, b = (r.solve(init, "gd", lr=0.01, steps=30, symmetric=symmetric) for symmetric in (True, False))
    np.testing.assert_allclose(a.loss, b.loss, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(a.B, b.B, atol=1e-10)
    np.testing.assert_allclose(a.path_strength, b.path_strength, atol=1e-10)
    np.testing.assert_allclose(a.fraction, b.fraction, atol=1e-7)


def test_check_23_gates_that_are_not_biregular_fall_back_to_more_orbits():
    gate = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    r = reduce(tasks.routing(gate=gate, hidden=5))
    w = r.weights(0.2, 0)
    run = r.solve(w, "gd", lr=0.01, steps=40)
    assert run.exact and len(run._engine.first) > 3
    assert np.abs(run.loss - descended(r.stats, w, 40, lr=0.01)).max() < 1e-10
    assert len(NOTEBOOK.solve(0.1, "gd", lr=0.01, steps=1)._engine.first) == 3


def test_check_23_zero_start_is_named_a_saddle():
    with pytest.warns(RuntimeWarning, match="saddle"):
        run = NOTEBOOK.solve(0.0, "gd", lr=0.02, steps=20)
    assert (run.loss == run.loss[0]).all() and np.isinf(run.time_to(0.5)).all()
    one = {e: 0.0 if e == "hid" else 0.1 for e in NOTEBOOK.edges}  # one zero factor is no saddle
    assert NOTEBOOK.solve(one, "gd", lr=0.02, steps=200).loss[-1] < 244


@pytest.mark.parametrize("method", ["gd", "flow"])
def test_check_14_divergence_is_flagged_and_nothing_is_nan(method):
    if method == "gd":
        run = reduce(tasks.routing(20, 18, weight=2 / 28)).solve(0.08, "gd", lr=0.1, steps=300)
        assert run.diverged is not None and len(run.loss) < 301
    else:  # without variance a mode of three layers reaches infinity in finite time
        task = tasks.hierarchy(hidden=(4, 4))
        r = reduce(task)
        object.__setattr__(r, "D", r.D._replace(values=np.zeros_like(r.D.values)))
        run = r.solve(0.5, t=50.0)
        assert run.diverged is not None and run.diverged < 50
    assert any("diverges" in note for note in run.caveats)
    assert np.isfinite(run.loss).all() and np.isfinite(run.B).all()


def test_random_start_is_solved_but_not_called_exact():
    run = NOTEBOOK.solve(random_weights(NOTEBOOK.stats.graph, 0, 0.05), "gd", lr=0.02, steps=10)
    assert not run.exact and any("decoupled" in note for note in run.caveats)
    assert not NOTEBOOK.solve(0.1, "gd", lr=0.02, steps=5, full_batch=False).exact


def test_winner_is_the_shared_route_when_it_is_as_deep_as_the_private_ones():
    """Table of spec 1.9: M = 2, K = 1, depth 3, b0 = .1: share .995 of the final map."""
    nodes = {v: 1 for v in ("x0", "x1", "h1", "h2", "y0", "y1")} | {f"p{i}{k}": 1 for i in (0, 1) for k in (1, 2)}
    edges = {"in0": ("x0", "h1"), "in1": ("x1", "h1"), "hid": ("h1", "h2"), "out0": ("h2", "y0"), "out1": ("h2", "y1")}
    for i in (0, 1):
        edges |= {f"a{i}": (f"x{i}", f"p{i}1"), f"b{i}": (f"p{i}1", f"p{i}2"), f"c{i}": (f"p{i}2", f"y{i}")}
    s = 13.5
    gates = {v: np.array([1.0, 0.0]) if v.endswith("0") else np.array([0.0, 1.0]) for v in ("x0", "x1", "y0", "y1")}
    one = np.ones((2, 1))
    task = GatedTask(Graph(nodes, edges), {"x0": one, "x1": one}, {"y0": s * one * gates["y0"][:, None], "y1": s * one * gates["y1"][:, None]}, gates, prob=[1.0, 1.0], prob_sums_to=2.0)  # fmt: skip
    run = reduce(task).solve(0.1, t=10.0)
    winners = run.winner()
    assert [("hid" in w.name) for w in winners] == [True]
    paths = [p for p, path in enumerate(task.graph.paths()) if path.source == "x0" and path.target == "y0"]
    strengths = run.path_strength[-1, paths, 0]
    shared = next(k for k, p in enumerate(paths) if "hid" in task.graph.paths()[p].edges)
    assert strengths[shared] / strengths.sum() == pytest.approx(0.995, abs=5e-4)


def test_check_24_the_notebook_curve_is_a_hundred_times_faster_than_its_cell():
    def seconds(symmetric: bool) -> float:
        best = np.inf
        for _ in range(10):
            start = time.process_time()
            NOTEBOOK.solve(0.08, "gd", lr=0.02, steps=500, symmetric=symmetric)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(False) < 3.26 / 100
    assert seconds(True) < 3.26 / 200


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="steps and lr"):
        NOTEBOOK.solve(0.1, "gd", t=1.0)
    with pytest.raises(InputError):
        NOTEBOOK.solve(0.1, "gd", steps=3)
    with pytest.raises(InputError):
        NOTEBOOK.solve(0.1, t=[1.0, 0.5])
    with pytest.raises(InputError, match="gd"):
        NOTEBOOK.solve(0.1, t=1.0, lr=0.1)
    with pytest.raises(InputError):
        NOTEBOOK.solve(0.1, "newton", t=1.0)
    with pytest.raises(ShapeError):
        NOTEBOOK.solve(np.ones(3), t=1.0)
    with pytest.raises(InputError):
        solve("reduction", 0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError):
        NOTEBOOK.solve(0.1, t=1.0).time_to(1.0)
