"""NPEC: golden numbers, the closed form against least squares with a sign constraint, and its laws."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import nnls

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.rewards.gridworld import hand_picked_rewards, hand_picked_world
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.npec import npec_distance
from learnt.rewards.pearson import coverage_of
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.starc import starc_distance

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

PEERS = json.loads((Path(__file__).parents[1] / "golden" / "starc_peers.json").read_text())
R1, R2 = toy_reward("R1"), toy_reward("R2")


def by_least_squares(r1, r2, mdp, weight):
    """||lambda R1 + gamma Phi(s') - Phi(s) - R2||, lambda >= 0, all unknowns at once: SciPy's NNLS, +Phi and -Phi."""
    s, a = mdp.n_states, mdp.n_actions
    shaping = np.zeros((s, a, s, s))
    for k in range(s):
        shaping[:, :, k, k] += mdp.discount
        shaping[k, :, :, k] -= 1.0
    shaping = np.where(mdp.terminal[:, None, None, None], 0.0, shaping).reshape(-1, s)[:, ~mdp.terminal]
    root = np.sqrt(weight).ravel()
    columns = np.concatenate([r1.reshape(-1, 1), shaping, -shaping], 1)
    found, residual = nnls(root[:, None] * columns, root * r2.ravel(), maxiter=10_000)
    return residual, found[0]


@pytest.mark.parametrize("pair", ["R1|R2", "R1|R5_redist", "R1|R4_neg"])
def test_check_12_npec_golden_distances_come_out(pair):
    first, second = (toy_reward(name) for name in pair.split("|"))
    for a, b, key in ((first, second, "npec_uniform"), (second, first, "npec_reverse")):
        found = npec_distance(a, b, toy3())
        assert found.unnormalised == pytest.approx(PEERS["toy3"][pair][key]["unnormalised"], rel=1e-10)
        assert found.normalised == PEERS["toy3"][pair][key]["normalised"]
        assert found.lambda_ == 0.0


def test_check_13_npec_of_the_hand_picked_grid_worlds():
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    for pair, value in PEERS["grid3x3"]["npec"].items():
        first, second = (rewards[name] for name in pair.split("|"))
        assert npec_distance(first, second, world).normalised == pytest.approx(value, abs=5e-7)
        residual, scale = by_least_squares(first, second, world, np.full((9, 5, 9), 1 / 405))
        found = npec_distance(first, second, world)
        assert found.unnormalised == pytest.approx(residual, abs=1e-9)
        assert found.lambda_ == pytest.approx(scale, abs=1e-9)
    assert npec_distance(rewards["sparse"], rewards["dense"], world).normalised < 1e-9


@given(mdp=processes(), seed=st.integers(0, 999), mix=st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_check_13_the_closed_form_is_the_joint_least_squares(mdp, seed, mix):
    assume(mdp.reachable.all())  # the closed form leaves out what is unreachable
    rng = np.random.default_rng([seed, 9])
    coverage = [None, rng.dirichlet(np.ones(mdp.transitions.size)).reshape(mdp.transitions.shape)][seed % 2]
    r1 = reward_for(mdp, seed)
    r2 = mix * r1 + (1 - mix) * reward_for(mdp, seed + 1)
    weight = coverage_of(coverage, mdp)
    found = npec_distance(r1, r2, mdp, coverage=coverage)
    residual, _ = by_least_squares(r1, r2, mdp, weight)
    assert found.unnormalised == pytest.approx(residual, abs=1e-9)
    nearest = found.lambda_ * r1 + potential_shaping(np.zeros_like(r1), found.potential, mdp)
    attained = np.sqrt((weight * (nearest - r2) ** 2).sum())
    assert found.unnormalised == pytest.approx(attained, abs=1e-9)
    assert found.lambda_ >= 0.0


@given(mdp=processes(), seed=st.integers(0, 999), scale=st.floats(0.01, 100))
@settings(max_examples=100, deadline=None)
def test_npec_ignores_shaping_and_scale_of_the_first_and_its_normalised_value_those_of_the_second(mdp, seed, scale):
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 1)
    phi = potential_for(mdp, seed)
    found = npec_distance(r1, r2, mdp)
    assert 0.0 <= found.normalised <= 1.0
    size = 1e-11 / (1 - mdp.discount) * (1 + 1 / scale) / (1e-3 + found.unnormalised)
    other = npec_distance(scale * potential_shaping(r1, phi, mdp), potential_shaping(r2, phi, mdp), mdp)
    assert other.unnormalised == pytest.approx(found.unnormalised, abs=size)
    assert other.normalised == pytest.approx(found.normalised, abs=size)
    assert other.lambda_ * scale == pytest.approx(found.lambda_, abs=size)
    both = npec_distance(r1, scale * potential_shaping(r1, phi, mdp), mdp)
    assert both.unnormalised <= scale * size
    assert npec_distance(r1, -r1, mdp).normalised in (0.0, 1.0)


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_the_normalised_value_of_two_rewards_that_are_not_trivial_is_symmetric(mdp, seed):
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed) + reward_for(mdp, seed + 1)
    forth, back = npec_distance(r1, r2, mdp), npec_distance(r2, r1, mdp)
    assume(min(forth.unnormalised, back.unnormalised) > 1e-9)
    assert forth.normalised == pytest.approx(back.normalised, abs=1e-9)


def test_npec_is_not_symmetric():
    mdp = toy3()
    assert npec_distance(R1, R1 / 2 + R2, mdp).unnormalised > 1.2 * npec_distance(R1 / 2 + R2, R1, mdp).unnormalised
    zero = np.zeros((3, 2, 3))
    assert npec_distance(zero, R1, mdp).normalised == 1.0
    assert npec_distance(R1, zero, mdp).normalised == 0.0


def test_a_target_that_is_a_shaping_of_zero_is_at_distance_0():
    mdp = toy3()
    potential = potential_shaping(np.zeros((3, 2, 3)), 1e6 * np.array(TOY["phi"]), mdp)
    found = npec_distance(R1, potential, mdp)
    assert (found.normalised, found.unnormalised, found.lambda_) == (0.0, 0.0, 0.0)
    np.testing.assert_allclose(found.potential, 1e6 * np.array(TOY["phi"]), rtol=1e-9)
    other = npec_distance(potential, R1, mdp)
    assert (other.normalised, other.lambda_) == (1.0, 0.0)


@pytest.mark.parametrize("discount", [0.999, 0.99999])
def test_a_discount_near_1_does_not_spoil_the_least_squares(discount):
    mdp = TabularMDP(toy3().transitions, toy3().initial, discount)
    found = npec_distance(R1, R1 + R2, mdp)
    residual, scale = by_least_squares(R1, R1 + R2, mdp, coverage_of(None, mdp))
    assert found.unnormalised == pytest.approx(residual, abs=1e-9)
    assert found.lambda_ == pytest.approx(scale, abs=1e-9)
    assert npec_distance(R1, potential_shaping(np.zeros_like(R1), 100 * np.array(TOY["phi"]), mdp), mdp).normalised == 0


def test_a_shift_of_the_reward_is_a_shaping_unless_episodes_end():
    mdp = toy3()
    assert npec_distance(R1, R1 + 3.0, mdp).normalised < 1e-12
    p = np.array(mdp.transitions)
    p[2] = np.eye(3)[2]
    ends = TabularMDP(p, mdp.initial, 0.9, terminal=np.array([False, False, True]))
    paid = np.where(ends.terminal[:, None, None], 0.0, R1)
    shifted = np.where(ends.terminal[:, None, None], 0.0, R1 + 3.0)
    assert npec_distance(paid, shifted, ends).normalised > 0.01
    assert starc_distance(paid, shifted, ends) > 0.01  # policies that end later or sooner are worth more


def test_redistribution_moves_npec():
    for seed in range(10):
        mdp = TabularMDP.random(5, 3, seed=seed)
        r = reward_for(mdp, seed)
        assert npec_distance(r, redistribution(r, change_for(mdp, seed), mdp), mdp).normalised > 0.01


def test_huge_and_tiny_rewards_have_the_same_normalised_distance():
    mdp = toy3()
    reference = npec_distance(R1, R1 + R2, mdp).normalised
    for size in (1e-200, 1e150):
        found = npec_distance(size * R1, (R1 + R2) / size, mdp)
        assert found.normalised == pytest.approx(reference, rel=1e-12)


def test_an_unreachable_state_changes_nothing():
    mdp = toy3()
    p = np.zeros((4, 2, 4))
    p[:3, :, :3] = mdp.transitions
    p[3] = 0.25
    larger = TabularMDP(p, np.append(mdp.initial, 0.0), mdp.discount)
    more = [np.full((4, 2, 4), 50.0 + 9 * i) for i in range(2)]
    for reward, big in ((R1, more[0]), (R1 + R2, more[1])):
        big[:3, :, :3] = reward
        big[1, 1, 3] = -77.0
    found, reference = npec_distance(more[0], more[1], larger), npec_distance(R1, R1 + R2, mdp)
    assert found.normalised == pytest.approx(reference.normalised, rel=1e-12)
    assert found.unnormalised == pytest.approx(reference.unnormalised, rel=1e-12)
    np.testing.assert_allclose(found.potential, [*reference.potential, 0.0], atol=1e-11)


def test_check_21_bad_input_is_refused():
    mdp = toy3()
    with pytest.raises(ShapeError, match="coverage"):
        npec_distance(R1, R2, mdp, coverage=np.ones(3) / 3)
    with pytest.raises(InputError, match="sum to 18"):
        npec_distance(R1, R2, mdp, coverage=np.ones((3, 2, 3)))
    with pytest.raises(NonFiniteError, match="r2"):
        npec_distance(R1, np.where(R2 > 4, np.inf, R2), mdp)
    thin = TabularMDP(sparse.csr_array(mdp.transitions.reshape(6, 3)), mdp.initial, mdp.discount)
    assert npec_distance(R1[..., 0], R2[..., 0], thin).unnormalised == pytest.approx(
        npec_distance(R1[..., 0], R2[..., 0], mdp).unnormalised, rel=1e-12
    )
    with pytest.raises(NotApplicable, match="minimal_potential"):
        npec_distance(R1, R2, thin)
