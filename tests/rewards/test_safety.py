"""The regrets in the common comparison: values, witnesses as table and picture, and the laws of measures."""

import json

import numpy as np
import pytest

import learnt
from learnt.core.comparison import plain
from learnt.core.errors import InputError
from learnt.core.measure import Exact
from learnt.rewards.gridworld import grid_world, hand_picked_rewards, hand_picked_world
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.optimal_regret import optimal_policy_regret
from learnt.rewards.regret import worst_case_regret
from learnt.rewards.safety import OptimalRegret, Safety
from learnt.testing import check_measure

from .worlds import reward_for, toy3, toy_reward

R1, R2 = toy_reward("R1"), toy_reward("R2")
RNG = np.random.default_rng(0)


def ask(measure, a, b, mdp):
    states = [measure.prepare(mdp.subject(r, name=n), mdp, rng=RNG) for r, n in ((a, "a"), (b, "b"))]
    return measure.compare(*states, rng=RNG)


@pytest.mark.parametrize("measure", [Safety(), OptimalRegret()])
def test_the_measures_keep_every_law(measure):
    check_measure(measure)


def test_the_value_is_the_regret_and_the_reverse_direction_is_in_the_details():
    mdp = toy3()
    for solver in ("auto", "dual", "lp"):
        found = ask(Safety(solver=solver), R1, R2, mdp)
        assert isinstance(found, Exact)
        assert found.value == pytest.approx(0.5001055352, abs=1e-10)
        assert found.details["reverse"] == pytest.approx(0.5974630527, abs=1e-10)
        assert found.details["gap"] < 1e-9
    found = ask(OptimalRegret(), R1, R2, mdp)
    assert found.value == pytest.approx(0.1239707608, abs=1e-10)
    assert found.details["optimistic"] == pytest.approx(0.1239707608, abs=1e-10)
    assert found.details["reverse"] == pytest.approx(0.2289673928, abs=1e-10)


def test_the_value_is_the_pessimistic_rule_and_the_optimistic_one_is_in_the_details():
    mdp = toy3()
    found = ask(OptimalRegret(), R1, 0 * R1, mdp)
    assert (found.value, found.details["optimistic"]) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))
    assert (found.details["trivial_a"], found.details["trivial_b"]) == (False, True)
    rule = optimal_policy_regret(0 * R1, R1, mdp)
    assert found.details["reverse"] == rule.pessimistic == 0.0


def test_the_witness_names_where_the_two_policies_part():
    base = toy3()
    mdp = TabularMDP(base.transitions, base.initial, 0.9, states=("hall", "kitchen", "roof"), actions=("stay", "go"))
    details = ask(Safety(), R1, R2, mdp).details
    regret = worst_case_regret(R1, R2, mdp)
    assert details["columns"][:2] == ["state", "action"]
    for state, action, p_a, p_b, visits_a, visits_b in details["witness"]:
        s, a = mdp.states.index(state), mdp.actions.index(action)
        assert p_a == regret.better_by_truth.policy[s, a]
        assert p_b == regret.better_by_proxy.policy[s, a]
        assert visits_a == regret.better_by_truth.occupancy[s, a]
        assert visits_b == regret.better_by_proxy.occupancy[s, a]
    gaps = [abs(row[4] - row[5]) for row in details["witness"]]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 1.0
    assert details["places"][5] == "roof, go"
    assert details["time_a"].sum() == pytest.approx(1.0)
    assert details["returns_of_b"][1] >= details["returns_of_b"][0] - 1e-12
    assert details["returns_of_a"][0] - details["returns_of_a"][1] == pytest.approx(details["lost"])
    json.dumps(plain(details), allow_nan=False)


def test_equal_rewards_have_no_witness_and_no_picture_of_one():
    for measure in (Safety(), OptimalRegret()):
        found = ask(measure, R1, R1, toy3())
        assert found.value == 0.0
        assert found.details["witness"] == []


def test_terminal_states_are_no_places_of_disagreement():
    world = grid_world(2, 3, terminal=[(0, 2), (1, 2)], discount=0.9, start=(0, 0))
    paid = np.zeros((6, 5, 6))
    paid[:, :, 2], paid[:, :, 5] = 1.0, 0.2
    paid[[2, 5]] = 0.0
    found = ask(Safety(), paid, -paid, world)
    assert found.value == pytest.approx(1.0)
    assert not {row[0] for row in found.details["witness"]} & {"0,2", "1,2"}
    assert found.details["time_a"].shape == (2, 3)
    assert found.details["time_a"][0, 2] > 0.5  # but the map shows where it ends


def test_a_grid_world_is_shown_as_maps_of_where_both_policies_are():
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    b, control = (ask(Safety(), rewards["sparse"], rewards[name], world).details for name in ("cliff", "penalty"))
    chart = Safety().chart({"b": b, "control": control})
    assert chart.kind == "heatmap"
    assert list(chart.series) == ["better for A", "as good for B", "as good for control"]
    assert all(cells.shape == (3, 3) for cells in chart.series.values())
    assert chart.series["as good for B"][0, 0] == pytest.approx(1.0)  # it stays at the start for ever
    assert "row 0, column 0" in chart.alt
    assert "places" not in b
    assert OptimalRegret().chart({"b": ask(OptimalRegret(), R1, R2, toy3()).details}).kind == "bars"


def test_elsewhere_bars_show_the_places_that_differ_most():
    b, control = (ask(Safety(), R1, r, toy3()).details for r in (R2, -R1))
    chart = Safety().chart({"b": b, "control": control})
    assert (chart.kind, len(chart.x)) == ("bars", 6)
    assert chart.x[0] == ", ".join(b["witness"][0][:2])
    first = chart.series["better for A"][0] - chart.series["as good for B"][0]
    assert abs(first) == pytest.approx(0.1 * abs(b["witness"][0][4] - b["witness"][0][5]))
    assert Safety().chart({"a": {}, "b": {}, "control": {}}) is None


def test_a_large_process_keeps_only_the_places_that_differ_most():
    mdp = TabularMDP.random(60, 40, seed=0, discount=0.8)
    details = ask(Safety(), reward_for(mdp, 0), reward_for(mdp, 0) + reward_for(mdp, 1), mdp).details
    assert "time_a" not in details
    chart = Safety().chart({"b": details})
    assert (len(chart.x), list(chart.series)) == (10, ["better for A", "as good for B"])
    same = ask(Safety(), reward_for(mdp, 0), reward_for(mdp, 0), mdp).details
    assert Safety().chart({"b": same}) is None


def test_the_question_is_answered_in_a_comparison_with_a_control():
    mdp = toy3()
    found = learnt.compare(R1, 2 * R1 + 0.3 * R2, mdp, measures=[Safety(), OptimalRegret()], controls=[-R1])
    safety, optimal = found.answers
    assert safety.question == "Would optimising B be safe for A?"
    assert 0.0 < safety.value.value < 0.3
    assert safety.control.value == pytest.approx(1.0)
    assert safety.value.kind == "exact"
    assert optimal.value.value <= safety.value.value
    assert "Would optimising b be safe for a?" in " ".join(str(found).split())


def test_an_unknown_solver_is_an_error():
    with pytest.raises(InputError, match="one of auto, lp, dual"):
        Safety(solver="simplex")
    assert (Safety().name, Safety(solver="lp").name) == ("worst_case_regret", "worst_case_regret(lp)")
