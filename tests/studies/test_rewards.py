"""Rewards learnt from more preferences are nearer and safer; rewards that drift are farther and less safe."""

import json

import numpy as np
import pytest

from learnt.core.errors import InputError
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.regret import worst_case_regret
from learnt.studies.rewards import misspecification, preference_learning

MDP = TabularMDP.random(6, 3, seed=3, discount=0.9, name="six states")
TRUE, OTHER = (np.random.default_rng(i).standard_normal((6, 3)) for i in (0, 1))


@pytest.fixture(scope="module")
def learned():
    return preference_learning(TRUE, MDP, comparisons=(100, 1_000, 10_000), seeds=(0, 1, 2))


def test_more_comparisons_give_a_nearer_and_safer_reward(learned):
    distances, regrets = zip(*(learned.mean(n) for n in (100, 1_000, 10_000)))
    assert distances[0] > distances[1] > distances[2] and regrets[0] > regrets[1] > regrets[2]
    assert distances[2] < 0.2 and -0.65 < learned.slope < -0.35


def test_labels_thrown_by_a_coin_teach_nothing(learned):
    distance, regret = learned.mean(10_000, control=True)
    assert distance > 0.9 and regret > 0.7  # an unrelated reward is at sqrt(2) on average


def test_the_study_is_plain_data_and_the_same_for_the_same_seeds(learned):
    again = preference_learning(TRUE, MDP, comparisons=(100,), seeds=(1,))
    rows = [r for r in json.loads(json.dumps(learned.to_dict()))["rows"] if (r["seed"], r["comparisons"]) == (1, 100)]
    assert len(rows) == 2 and len(again.rows) == 2
    assert [r["control"] for r in rows] == [r.control for r in again.rows]
    assert again == preference_learning(TRUE, MDP, comparisons=(100,), seeds=(1,))


def test_a_drifting_reward_is_ever_farther_and_its_witnesses_are_feasible():
    steps = misspecification(TRUE, OTHER, MDP, shares=(0.0, 0.25, 0.5, 0.75, 1.0))
    assert steps[0].distance == pytest.approx(0, abs=1e-9) and steps[0].regret.normalised == pytest.approx(0, abs=1e-9)
    assert all(a.distance < b.distance for a, b in zip(steps, steps[1:]))
    assert all(a.regret.normalised <= b.regret.normalised + 1e-9 for a, b in zip(steps, steps[1:]))
    for step in steps:
        assert 0 <= step.optimal_regret <= step.regret.normalised + 1e-9
    assert steps[-1].regret.normalised == pytest.approx(worst_case_regret(TRUE, OTHER, MDP).normalised)


def test_bad_input_has_its_own_error(learned):
    with pytest.raises(InputError, match="comparisons"):
        preference_learning(TRUE, MDP, comparisons=())
    with pytest.raises(InputError, match="all trajectories return the same"):
        preference_learning(np.zeros((6, 3)), MDP, comparisons=(5,))
    with pytest.raises(InputError, match="a number that was studied"):
        learned.mean(7)
