"""Distances under other policies, weights, discounts and dynamics."""

import numpy as np
import pytest

from learnt.core.errors import InputError, ShapeError
from learnt.rewards.gridworld import grid_world, hand_picked_rewards, hand_picked_world
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.regret import worst_case_regret
from learnt.rewards.sensitivity import at_discount, sensitivity
from learnt.rewards.starc import starc_distance

from .worlds import TOY, toy3, toy_reward

R1, R2 = toy_reward("R1"), toy_reward("R2")


def test_rows_are_the_distances_of_the_settings():
    rows = sensitivity(
        R1,
        R2,
        toy3(),
        normalisation="l2",
        policies={"pi_s": np.array(TOY["pi_s"]), "greedy": np.array([0, 1, 1])},
        weights={"coverage": np.array(TOY["coverage_D_sa"])},
        discounts=[0.5],
    )
    assert [(row.varied, row.name) for row in rows] == [
        ("nothing", "toy3"), ("policy", "pi_s"), ("policy", "greedy"), ("weight", "coverage"), ("discount", "0.5"),
    ]  # fmt: skip
    assert [row.distance for row in rows[:3]] == pytest.approx([0.5846542904, 0.6375829766, 0.6846989947], rel=1e-8)
    shorter = TabularMDP(toy3().transitions, toy3().initial, 0.5)
    assert rows[4].distance == pytest.approx(starc_distance(R1, R2, shorter, normalisation="l2"))
    assert rows[4].worst_case_regret == pytest.approx(worst_case_regret(R1, R2, shorter).normalised)
    assert rows[0].worst_case_regret == pytest.approx(0.5001055352, rel=1e-8)
    assert rows[1].worst_case_regret is None  # the policy of the form changes no regret


def test_other_dynamics_change_the_answer_and_equivalent_rewards_stay_at_zero():
    world, slippery = hand_picked_world(), hand_picked_world(slip=0.1)
    rewards = hand_picked_rewards(world)
    rows = sensitivity(rewards["sparse"], rewards["cliff"], world, processes=[slippery])
    assert rows[0].distance == pytest.approx(0.840610, abs=5e-7) and rows[1].varied == "dynamics"
    assert abs(rows[1].distance - rows[0].distance) > 0.01
    same = sensitivity(
        rewards["sparse"], rewards["dense"], world, processes=[slippery], policies={"right": np.zeros(9, dtype=int)}
    )
    assert max(row.distance for row in same) < 1e-9


def test_the_same_process_at_another_discount_keeps_everything_else():
    world = grid_world(3, 4, walls=[(1, 1)], terminal=[(2, 3)], start=(0, 0))
    other = at_discount(world, 0.5)
    assert other.discount == 0.5 and other.grid == (3, 4) and other.states == world.states
    assert (other.terminal == world.terminal).all() and (other.transitions == world.transitions).all()
    large = at_discount(grid_world(40, 40), 0.5)
    assert large.is_sparse


def test_bad_processes_are_named():
    with pytest.raises(ShapeError, match="processes"):
        sensitivity(R1, R2, toy3(), processes=[hand_picked_world()])
    with pytest.raises(InputError, match="processes"):
        sensitivity(R1, R2, toy3(), processes=[toy3(), toy3()])
    with pytest.raises(InputError, match="discount"):
        sensitivity(R1, R2, toy3(), discounts=[1.0])
