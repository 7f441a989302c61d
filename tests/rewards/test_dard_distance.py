"""DARD's distance: golden numbers, laws over random processes, and memory. Bad input: test_epic_distance.py."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, ShapeError
from learnt.rewards.dard import dard
from learnt.rewards.dard_distance import dard_distance
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.pearson import coverage_of, standard_scores
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.starc import starc_distance

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_peers.json").read_text())["toy3"]
R1, R2 = toy_reward("R1"), toy_reward("R2")


@pytest.mark.parametrize("pair", ["R1|R2", "R1|R5_redist", "R1|R4_neg"])
def test_check_12_dard_golden_distances_come_out(pair):
    first, second = (toy_reward(name) for name in pair.split("|"))
    golden = GOLDEN[pair]["dard_pearson_uniform_coverage"]["distance"]
    assert dard_distance(first, second, toy3()) == pytest.approx(golden, rel=1e-10)


def test_check_12_dard_number_of_the_specification():
    assert dard_distance(R1, R2, toy3()) == pytest.approx(0.8936637468, rel=1e-9)


@given(mdp=processes(), seed=st.integers(0, 999), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
@settings(max_examples=100, deadline=None)
def test_dard_is_a_pseudometric_in_0_to_1_that_ignores_shaping_shift_and_scale(mdp, seed, scale, shift):
    assume(not mdp.terminal.any())
    rng = np.random.default_rng([seed, 9])
    coverage = [None, rng.dirichlet(np.ones(mdp.transitions.size)).reshape(mdp.transitions.shape)][seed % 2]
    options = {"coverage": coverage, "action_dist": rng.dirichlet(np.ones(mdp.n_actions))}
    r1, r2, r3 = (reward_for(mdp, seed + i) for i in range(3))
    d12, d23, d13 = (dard_distance(x, y, mdp, **options) for x, y in ((r1, r2), (r2, r3), (r1, r3)))
    assert 0.0 <= d12 <= 1.0
    assert d12 == dard_distance(r2, r1, mdp, **options)
    assert d13 <= d12 + d23 + 1e-12
    shaped = scale * potential_shaping(r1, potential_for(mdp, seed), mdp) + shift
    form, weight = dard(r1, mdp, action_dist=options["action_dist"]), coverage_of(coverage, mdp)
    deviation = np.sqrt((weight * (form - (weight * form).sum()) ** 2).sum())
    size = np.abs(shaped).max() / scale / max(deviation, 1e-6)
    assert dard_distance(shaped, r2, mdp, **options) == pytest.approx(d12, abs=1e-13 * (1 + size))
    assert dard_distance(shaped, -r1, mdp, **options) in (0.0, pytest.approx(1.0, abs=1e-13 * (1 + size)))


def test_redistribution_moves_dard_wherever_there_is_a_choice_of_next_states():
    for seed in range(20):
        mdp = TabularMDP.random(5, 3, seed=seed)
        r = reward_for(mdp, seed)
        other = redistribution(r, change_for(mdp, seed), mdp)
        assert dard_distance(r, other, mdp) > 0.01
        assert starc_distance(r, other, mdp) < 1e-12


def test_with_one_action_dard_sees_differences_that_no_policy_can_act_on():
    mdp = TabularMDP.random(4, 1, seed=3)
    r1, r2 = (np.random.default_rng(i).standard_normal(mdp.transitions.shape) for i in range(2))
    assert dard_distance(r1, r2, mdp) > 0.1
    assert starc_distance(r1, r2, mdp) == 0.0


def test_the_coverage_matters():
    mdp = toy3()
    seen = (1 - mdp.discount) * mdp.occupancy(np.array(TOY["pi_s"]))
    assert abs(dard_distance(R1, R2, mdp, coverage=seen) - dard_distance(R1, R2, mdp)) > 0.1
    full = seen[..., None] * mdp.transitions
    assert dard_distance(R1, R2, mdp, coverage=full) == dard_distance(R1, R2, mdp, coverage=seen)


def test_check_22_dard_at_128_states_and_16_actions_needs_megabytes():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(128), (128, 16))
    mdp = TabularMDP(p, np.full(128, 1 / 128), 0.95)
    r1, r2 = rng.standard_normal((2, 128, 16, 128))
    tracemalloc.start()
    distance = dard_distance(r1, r2, mdp)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.0 < distance < 1.0
    assert peak < 64 * 2**20  # the S^4 A array of the reference code is 32 GiB


def test_check_21_bad_distributions_are_refused():
    mdp = toy3()
    with pytest.raises(ShapeError, match="action_dist"):
        dard_distance(R1, R2, mdp, action_dist=np.ones(3) / 3)
    with pytest.raises(InputError, match="action_dist"):
        dard_distance(R1, R2, mdp, action_dist=np.array([-0.5, 1.5]))


def test_standard_scores_have_mean_0_and_norm_1_unless_the_values_are_constant():
    weight = np.random.default_rng(0).dirichlet(np.ones(18)).reshape(3, 2, 3)
    values = np.random.default_rng(1).standard_normal((3, 2, 3))
    scores = standard_scores(5 + 3 * values, weight, scale=5.0)
    assert (np.sqrt(weight) * scores).sum() == pytest.approx(0.0, abs=1e-14)
    assert np.linalg.norm(scores) == pytest.approx(1.0, abs=1e-14)
    assert not standard_scores(7 + 1e-11 * values, weight, scale=7.0).any()
