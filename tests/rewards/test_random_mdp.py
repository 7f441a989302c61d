"""Random processes and rewards: the authors' numbers to the last digit, the law of ours, bad input."""

import json
from pathlib import Path

import numpy as np
import pytest

from learnt.core.errors import InputError, ShapeError
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.random_mdp import fractions, interpolation, random_mdp, random_reward
from learnt.rewards.starc import starc_distance

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_random.json").read_text())


@pytest.fixture(scope="module")
def authors():
    rng = np.random.RandomState(GOLDEN["seed"])
    mdp = TabularMDP.random(GOLDEN["states"], GOLDEN["actions"], discount=GOLDEN["discount"], legacy_rng=rng)
    return mdp, random_reward(mdp, rng), random_reward(mdp, rng)


def optimal_policy_regret(mdp, true, proxy):
    low, high = mdp.returns(true)
    return (high - mdp.initial @ mdp.evaluate(true, mdp.solve(proxy).actions)) / (high - low)


def test_check_15_the_authors_stream_gives_the_authors_process_and_rewards(authors):
    mdp, r1, r2 = authors
    assert np.square(mdp.transitions).sum() == pytest.approx(GOLDEN["sum_p_squared"], rel=1e-14)
    assert np.abs(r1).sum() == pytest.approx(GOLDEN["sum_abs_r1"], rel=1e-14)
    assert np.abs(r2).sum() == pytest.approx(GOLDEN["sum_abs_r2"], rel=1e-14)
    assert 0 < mdp.transitions.min() < 1e-9


def test_check_15_distances_and_regrets_of_the_authors_rewards_are_the_golden_ones(authors):
    mdp, r1, r2 = authors
    assert starc_distance(r1, r2, mdp, normalisation="l2") == pytest.approx(GOLDEN["val_l2_l2"], rel=1e-9)
    epic = starc_distance(r1, r2, mdp, canonicalisation="epic", normalisation="l2")
    assert epic == pytest.approx(GOLDEN["epic_l2_l2"], rel=1e-9)
    by_range = starc_distance(r1, r2, mdp, normalisation="return_range")
    assert by_range == pytest.approx(GOLDEN["return_range"], rel=1e-9)
    one, two = mdp.expected(r1), mdp.expected(r2)
    assert optimal_policy_regret(mdp, one, two) == pytest.approx(GOLDEN["optimal_regret_1"], rel=1e-9)
    assert optimal_policy_regret(mdp, two, one) == pytest.approx(GOLDEN["optimal_regret_2"], rel=1e-9)


def test_the_authors_stream_is_an_object_and_leaves_the_global_one_alone():
    state = np.random.get_state()[1].copy()
    rng = np.random.RandomState(7)
    mdp = random_mdp(5, 2, legacy_rng=rng)
    random_reward(mdp, rng)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_an_episodic_process_of_the_authors_loops_in_its_last_state_and_is_not_terminal():
    mdp = random_mdp(6, 3, legacy_rng=np.random.RandomState(1), episodic=True)
    assert ((mdp.transitions == 1.0).all(1).sum(-1) == 1).sum() == 1
    assert not mdp.terminal.any()
    plain = random_mdp(6, 3, legacy_rng=np.random.RandomState(1))
    loops = (mdp.transitions == 1.0).all(1).any(-1)
    np.testing.assert_array_equal(mdp.transitions[~loops], plain.transitions[~loops])


def test_ours_follows_the_same_law_but_what_is_impossible_is_impossible():
    rng = np.random.RandomState(3)
    logits = np.random.RandomState(3).standard_normal((32, 4, 32))
    theirs = random_mdp(32, 4, legacy_rng=rng).transitions
    ours = np.where(logits > 1.0, np.exp(logits), 0.0)
    some = ours.any(-1)  # where no logit passes, theirs is uniform
    assert some.mean() > 0.98
    np.testing.assert_allclose(theirs[some], ours[some] / ours[some].sum(-1, keepdims=True), atol=3e-8)
    np.testing.assert_allclose(theirs[~some], 1 / 32)
    mdp = random_mdp(32, 4, seed=3)
    successors = (mdp.transitions > 0).sum(-1)
    assert 4.5 < successors.mean() < 5.7  # of 32, by P(z > 1) = .159
    assert mdp.transitions[mdp.transitions > 0].min() > 1e-3
    for states, share in ((60, 0.0668), (120, 0.0359)):  # P(z > 1.5), P(z > 1.8)
        density = (random_mdp(states, 2).transitions > 0).mean()
        assert density == pytest.approx(share, rel=0.1)


def test_our_stream_is_the_one_it_always_was():
    mdp = random_mdp(3, 2, seed=5)
    rng = np.random.default_rng([5, 3, 2])
    logits = rng.standard_normal((3, 2, 3))
    kept = (logits > 1.0) | (logits == logits.max(-1, keepdims=True))
    weights = np.where(kept, np.exp(logits - logits.max(-1, keepdims=True)), 0.0)
    np.testing.assert_array_equal(
        mdp.transitions, TabularMDP(weights / weights.sum(-1, keepdims=True), mdp.initial, 0.5).transitions
    )
    np.testing.assert_array_equal(mdp.transitions, TabularMDP.random(3, 2, seed=5).transitions)


def test_an_episodic_process_of_ours_has_one_terminal_state_and_rewards_are_zero_there():
    plain, mdp = random_mdp(8, 3, seed=2), random_mdp(8, 3, seed=2, episodic=True)
    assert mdp.terminal.sum() == 1
    np.testing.assert_array_equal(mdp.transitions[~mdp.terminal], plain.transitions[~mdp.terminal])
    for seed in range(20):
        reward = random_reward(mdp, np.random.default_rng(seed))
        assert not reward[mdp.terminal].any() and reward.any()
        mdp.subject(reward, name="r")


def test_rewards_are_sparse_shifted_and_shaped_as_often_as_the_law_says():
    mdp = random_mdp(32, 4, seed=0)
    drawn = [random_reward(mdp, np.random.default_rng([9, i])) for i in range(400)]
    constant = np.array([np.unique(r).size < 60 for r in drawn])  # sparse and unshaped: few values beside one
    assert constant.mean() == pytest.approx(0.2 * 0.5, abs=0.05)
    by_state = np.array([r.mean((1, 2)).std() for r in drawn])
    assert (by_state > 0.9).mean() == pytest.approx(0.5 * 0.9, abs=0.12)  # a potential that is not tiny
    level = np.array([abs(np.median(r)) for r in drawn])
    assert (level > 1.0).mean() == pytest.approx(0.3 * 0.9, abs=0.1)
    np.testing.assert_array_equal(drawn[3], random_reward(mdp, np.random.default_rng([9, 3])))


def test_interpolation_leads_from_the_first_reward_to_the_second():
    mdp = random_mdp(4, 2, seed=1)
    r1, r2 = (random_reward(mdp, np.random.default_rng(s)) for s in (1, 2))
    way = interpolation(r1, r2, 16)
    assert way.shape == (16, 4, 2, 4)
    np.testing.assert_allclose(way[-1], r2, atol=1e-12)
    np.testing.assert_allclose(way[3], 0.75 * r1 + 0.25 * r2, atol=1e-12)
    both = interpolation(np.stack([r1, r2]), np.stack([r2, r1]), 16)
    np.testing.assert_allclose(both[1, 3], 0.75 * r2 + 0.25 * r1, atol=1e-12)
    np.testing.assert_array_equal(fractions(4), [0.25, 0.5, 0.75, 1.0])


def test_check_20_the_distance_never_falls_along_the_way_to_the_second_reward():
    for seed in range(10):
        mdp = random_mdp(8, 3, seed=seed)
        r1, r2 = (random_reward(mdp, np.random.default_rng([seed, i])) for i in (1, 2))
        d = [starc_distance(r1, r, mdp) for r in interpolation(r1, r2, 16)]
        assert (np.diff(d) >= -1e-12).all()
        assert d[-1] == pytest.approx(starc_distance(r1, r2, mdp))


def test_few_random_rewards_are_trivial_and_those_are_sparse_ones():
    mdp = random_mdp(32, 4, seed=4)
    sizes = []
    for i in range(200):
        reward = random_reward(mdp, np.random.default_rng([4, i]))
        sizes.append(mdp.return_range(mdp.expected(reward)) / max(np.abs(reward).max(), 1e-300))
    trivial = np.array(sizes) <= 1e-10
    assert 0.02 < trivial.mean() < 0.15
    assert np.array(sizes)[~trivial].min() > 1e-6  # nothing lies between


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: random_mdp(0, 2), "positive integers"),
        (lambda: random_mdp(1, 2, episodic=True), "a state besides"),
        (lambda: random_mdp(3, 2, deterministic=True, legacy_rng=np.random.RandomState(0)), "one of the two"),
        (lambda: fractions(0), "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(call, text):
    with pytest.raises(InputError, match=text):
        call()


def test_rewards_of_different_shapes_have_no_way_between_them():
    with pytest.raises(ShapeError, match="that of r1"):
        interpolation(np.zeros((2, 1, 2)), np.zeros((2, 1, 1)), 4)
