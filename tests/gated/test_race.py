"""The race between gatings and architectures, and which gates a ReLU can have."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, LearntError, NonFiniteError
from learnt.gated.deep import deep_time_to
from learnt.gated.gate_feasibility import relu_feasible
from learnt.gated.gated_task import GatedTask
from learnt.gated.gated_tasks import CORNERS, random_dag, routing, separable, xor
from learnt.gated.graph import Graph
from learnt.gated.path_stats import correlations
from learnt.gated.racing import race
from learnt.gated.reduction import reduce

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gated_race.json").read_text(encoding="utf-8"))
GATINGS = ("single", "four", "halves")
MAKERS = {"xor": xor, "separable": separable}


@pytest.fixture(scope="module")
def races():
    return {task: race({g: make(g) for g in GATINGS}) for task, make in MAKERS.items()}


def test_check_15_the_orders_of_the_gatings(races):
    assert races["xor"].order == ("halves", "four", "single")
    assert races["separable"].order == ("single", "halves", "four")
    assert races["xor"].winner == "halves" and races["separable"].winner == "single"


@pytest.mark.parametrize("row", GOLDEN["gatings"]["rows"], ids=lambda r: f"{r['task']}-{r['gating']}")
def test_check_15_strengths_rates_and_times_of_the_gatings(races, row):
    found = races[row["task"]][row["gating"]]
    assert found.s1 == pytest.approx(row["s"], abs=1e-9) and found.rate == pytest.approx(2 * row["s"], abs=1e-9)
    assert found.exact
    if row["s"] == 0:
        assert found.t_half == found.t_90 == np.inf and found.final_loss == pytest.approx(0.5, abs=1e-7)
        return
    a0 = 0.01
    for fraction, t in ((0.5, found.t_half), (0.9, found.t_90)):
        closed = np.log((row["s"] / (row["d"] * a0) - 1) * fraction / (1 - fraction)) / (2 * row["s"])
        assert t == pytest.approx(closed, abs=1e-8)
    assert found.t_half == pytest.approx(row["t_half_loss"], abs=1e-8)
    assert found.final_loss < 1e-5


def test_which_gating_wins_and_which_a_relu_can_have_are_two_questions(races):
    feasible = {task: {e.name: e.relu_feasible for e in r} for task, r in races.items()}
    assert feasible["xor"] == {"halves": False, "four": True, "single": False}
    assert feasible["separable"] == {"halves": True, "four": True, "single": False}
    assert races["xor"].relu_winner == "four" and races["separable"].relu_winner == "halves"
    quiet = race({"four": xor("four")}, relu_feasible=False)
    assert quiet["four"].relu_feasible is None and quiet.relu_winner is None and "ReLU can" not in str(quiet)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_times_of_a_chain_are_those_of_the_closed_form_at_any_depth(layers):
    task = GatedTask(Graph.chain([1] * (layers + 1)), {"x": [[1.0], [-1.0]]}, {"y": [[1.7], [-1.7]]})
    found = race({"chain": task}, 0.3)["chain"]
    for fraction, t in ((0.5, found.t_half), (0.9, found.t_90)):
        assert t == pytest.approx(deep_time_to(fraction, 1.7, 1.0, 0.3, layers), rel=1e-7)
    assert found.rate == pytest.approx(layers * 1.7 * 0.3 ** (layers - 2), rel=1e-12)


def test_architectures_that_share_data_race_and_the_shallow_one_is_first_from_a_small_start():
    x, y = np.eye(3), np.diag([3.0, 2.0, 1.0])
    tasks = {
        f"{n} layers": GatedTask(Graph.chain([3] * (n + 1)), {"x": x}, {"y": y}, prob=np.ones(3), prob_sums_to=None)
        for n in (3, 2, 1)
    }
    assert race(tasks, 0.05).order == ("1 layers", "2 layers", "3 layers")


def test_sharing_speeds_up_and_the_reduction_itself_may_be_the_candidate():
    given = {
        "alone": reduce(correlations(routing(1, 1, hidden=6, weight=0.25))),
        "shared": reduce(correlations(routing(4, 2, hidden=6, weight=0.25))),  # pairs of the same weight
    }
    found = race(given, 0.3)
    assert found.winner == "shared" and found["shared"].relu_feasible is None
    assert found["shared"].energy == pytest.approx(8 * found["alone"].energy)
    assert any("differ in their energy" in note for note in found.notes)


def test_the_goal_is_common_so_that_learning_little_early_does_not_win():
    x, y = np.eye(2), np.diag([3.0, 2.0])
    whole = Graph.chain([2, 2, 2])
    both = GatedTask(whole, {"x": x}, {"y": y}, prob=np.ones(2), prob_sums_to=None)
    only_first = GatedTask(whole, {"x": x}, {"y": y}, {"h1": [1.0, 0.0]}, prob=np.ones(2), prob_sums_to=None)
    found = race({"only first": only_first, "both": both}, {"only first": 0.5, "both": 0.01})
    assert found.winner == "both" and found["only first"].t_90 == np.inf
    assert found["only first"].final_loss == pytest.approx(2.0, abs=1e-5)
    assert found.goal == pytest.approx(0.0, abs=1e-5)


def test_a_candidate_that_breaks_the_assumptions_is_called_approximate():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    y = x @ rng.normal(size=(3, 2))
    found = race({"raw": GatedTask(Graph.chain([3, 3, 2]), {"x": x}, {"y": y})}, 0.1, t=20.0)
    assert not found["raw"].exact and found["raw"].defect > 1e-3
    assert any("approximate" in note for note in found.notes)


def test_a_start_at_zero_is_a_saddle_that_no_race_leaves():
    with pytest.warns(RuntimeWarning, match="saddle"):
        found = race({"four": xor("four")}, 0.0)
    assert found.winner is None and found["four"].t_half == np.inf and found["four"].rate == 0


def test_candidates_that_tie_stay_in_their_order_and_it_is_said():
    found = race({"a": xor("four"), "b": xor("four", hidden=3)})
    assert found.order == ("a", "b") and any("same time by: a, b" in note for note in found.notes)


def test_a_list_of_candidates_gets_numbers_as_names():
    assert race([xor("four"), xor("halves")], relu_feasible=False).order == ("2", "1")


def test_the_report_the_chart_and_the_fields(races):
    found = races["xor"]
    text = str(found)
    assert "first of all gatings: halves" in text and "first of those that a ReLU can have: four" in text
    assert "never" in text and "inf" not in text
    fields = json.loads(json.dumps(found.to_fields(), allow_nan=False))
    assert [c["name"] for c in fields["candidates"]] == list(found.order)
    chart = found.chart()
    assert set(chart.series) == set(GATINGS) and len(chart.x) == len(chart.series["four"])
    t, u = np.asarray(chart.x, dtype=float), np.sqrt(chart.series["four"])
    closed = 1 - 1 / (1 + (1 / (0.01 * np.sqrt(2)) - 1) * np.exp(-np.sqrt(0.5) * t))
    assert np.abs(u - closed).max() < 1e-6


@pytest.mark.parametrize(
    ("candidates", "settings_"),
    [
        ({}, {}),
        (xor(), {}),
        ([xor(), 3], {}),
        ({"a": 3}, {}),
        ({"a": xor()}, {"t": -1.0}),
        ({"a": xor()}, {"init": float("nan")}),
        ({"a": xor()}, {"init": {"b": 0.1}}),
    ],
    ids=str,
)
def test_bad_races_are_refused(candidates: Any, settings_: dict[str, Any]):
    with pytest.raises((InputError, NonFiniteError, LearntError)):
        race(candidates, **settings_)
    with pytest.raises(InputError, match="one of"):
        _ = race({"a": xor("four")}, relu_feasible=False)["b"]


# -- which gates a ReLU can have --------------------------------------------------------------------------


def test_the_weights_that_are_found_have_the_sign_pattern():
    for node in relu_feasible(xor("four")).nodes:
        (w,) = node.weights.values()
        z = np.array(CORNERS) @ w
        assert (z > 1e-9).sum() == node.on == 1 and node.margin > 0.5 and node.certain


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_gates_of_a_relu_unit_are_feasible_if_its_direction_is_among_those_learned(seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(20, 3)), rng.normal(size=3)
    on = (x @ w > 0).astype(float)
    if not on.any():
        return
    graph = Graph.parallel(1, 3, 4, 3)
    task = GatedTask(graph, {"x": x}, {"y": x}, {"h0": on})  # three targets: all directions are learned
    found = relu_feasible(task)
    assert found.feasible
    (v,) = found.nodes[0].weights.values()
    assert (((x @ v) > 1e-9) == (on > 0)).all()
    flipped = on.copy()
    flipped[int(np.argmax(x @ w))] = 0.0  # the surest sample is closed, and its positive multiple is open
    harder = GatedTask(
        graph,
        {"x": np.vstack([x, 2 * x[np.argmax(x @ w)]])},
        {"y": np.vstack([x, x[:1]])},
        {"h0": np.append(flipped, 1.0)},
    )
    assert not relu_feasible(harder).feasible


def test_the_span_is_what_decides_the_halves():
    # the same gates and inputs; with a second target that needs x1, a unit may read x1 and the gate is a ReLU's
    gates = {"h0": [1, 0, 1, 0], "h1": [0, 1, 0, 1]}
    graph = Graph.parallel(2, 2, 2, 2)
    x = np.array(CORNERS)
    both = np.column_stack([x.prod(1), x[:, 0]])
    assert relu_feasible(GatedTask(graph, {"x": x}, {"y": both}, gates)).feasible
    assert not relu_feasible(xor("halves")).feasible


def test_gated_edges_are_a_units_gate_only_if_nothing_else_meets_them():
    x, y = np.eye(2), np.eye(2)
    alone = GatedTask(Graph.chain([2, 2, 2]), {"x": x}, {"y": y}, {"w1": [1.0, 0.0]})
    assert relu_feasible(alone).feasible and relu_feasible(alone).nodes[0].on == 1
    skip = Graph({"x": 2, "h": 2, "y": 2}, {"a": ("x", "h"), "b": ("h", "y"), "s": ("x", "y")})
    found = relu_feasible(GatedTask(skip, {"x": x}, {"y": y}, {"s": [1.0, 0.0]}))
    assert found.edges == ("s",) and not found.feasible and "no ReLU unit gates" in str(found)


def test_a_gate_with_two_open_values_is_no_relus():
    task = GatedTask(Graph.chain([2, 2, 2]), {"x": np.eye(2)}, {"y": np.eye(2)}, {"h1": [1.0, 0.5]})
    found = relu_feasible(task)
    assert not found.feasible and "neither 0 nor one positive number" in found.nodes[0].why


def test_skips_need_no_unit_and_statistics_of_another_graph_are_refused():
    linear = GatedTask(Graph.chain([2, 2]), {"x": np.eye(2)}, {"y": np.eye(2)})
    assert relu_feasible(linear).feasible and str(relu_feasible(linear)) == "no hidden units"
    with pytest.raises(InputError):
        relu_feasible(linear, correlations(xor()))
    with pytest.raises(InputError):
        relu_feasible(correlations(xor()))  # pyright: ignore[reportArgumentType]
    assert not relu_feasible(random_dag(1)).feasible
