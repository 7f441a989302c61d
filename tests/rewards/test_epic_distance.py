"""EPIC's distance: golden numbers, laws over random processes, and what it gets wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.rewards.canonical import canonical
from learnt.rewards.dard import dard
from learnt.rewards.dard_distance import dard_distance
from learnt.rewards.epic import epic
from learnt.rewards.epic_distance import epic_distance
from learnt.rewards.gridworld import hand_picked_rewards, hand_picked_world
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import Minimal
from learnt.rewards.norms import norm_of
from learnt.rewards.pearson import coverage_of, form_distance, pearson_distance
from learnt.rewards.regret import worst_case_regret
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.starc import starc_distance
from learnt.rewards.val import Val, ValPotential

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

PEERS = json.loads((Path(__file__).parents[1] / "golden" / "starc_peers.json").read_text())
GOLDEN = PEERS["toy3"]
R1, R2 = toy_reward("R1"), toy_reward("R2")
K = np.array(TOY["K_redistribution"])


def seen_by(policy, mdp):
    return (1 - mdp.discount) * mdp.occupancy(np.array(policy))


def correlated(x, y, weight):
    """The textbook formula, for comparison."""
    x, y, w = (np.broadcast_to(v, weight.shape).ravel() for v in (x, y, weight))
    x, y = x - w @ x, y - w @ y
    return (w @ (x * y)) / np.sqrt((w @ (x * x)) * (w @ (y * y)))


@pytest.mark.parametrize("pair", ["R1|R2", "R1|R5_redist", "R1|R4_neg"])
def test_check_12_epic_golden_distances_come_out_for_uniform_coverage_and_for_what_a_policy_sees(pair):
    mdp = toy3()
    first, second = (toy_reward(name) for name in pair.split("|"))
    golden = GOLDEN[pair]
    assert epic_distance(first, second, mdp) == pytest.approx(golden["epic_pearson_uniform"]["distance"], rel=1e-10)
    found = epic_distance(first, second, mdp, coverage=seen_by(TOY["pi_s"], mdp))
    assert found == pytest.approx(golden["epic_pearson_coverage_pi_s_tau"]["distance"], rel=1e-10)


def test_check_12_epic_numbers_of_the_specification():
    mdp = toy3()
    assert epic_distance(R1, R2, mdp) == pytest.approx(0.8747734126, rel=1e-9)
    assert epic_distance(R1, R2, mdp, coverage=seen_by(TOY["pi_s"], mdp)) == pytest.approx(0.5667979720, rel=1e-9)
    assert 1 - 2 * epic_distance(R1, R2, mdp) ** 2 == pytest.approx(-0.5304570466, rel=1e-9)


def test_check_14_epic_distances_of_the_hand_picked_grid_worlds():
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    for pair, value in PEERS["grid3x3"]["epic"].items():
        first, second = (rewards[name] for name in pair.split("|"))
        assert epic_distance(first, second, world) == pytest.approx(value, abs=5e-7)
    assert epic_distance(rewards["sparse"], rewards["dense"], world) < 1e-9
    assert epic_distance(rewards["sparse"], rewards["penalty"], world) == pytest.approx(1.0, abs=1e-12)


def test_check_06_epic_and_dard_are_near_zero_for_opposite_rewards_whose_regret_is_1():
    mdp = toy3()
    first, second = R1 + 100 * K, -R1 + 100 * K
    golden = GOLDEN["epic_unsound_R1+100K|-R1+100K"]
    assert epic_distance(first, second, mdp) == pytest.approx(golden["epic_pearson_uniform"]["distance"], rel=1e-10)
    assert dard_distance(first, second, mdp) == pytest.approx(golden["dard_pearson"]["distance"], rel=1e-10)
    assert starc_distance(first, second, mdp) == pytest.approx(2.0, abs=1e-9)
    assert worst_case_regret(first, second, mdp).normalised == pytest.approx(1.0, abs=1e-9)


def test_check_06_epic_and_dard_are_far_from_zero_for_rewards_that_no_policy_can_tell_apart():
    mdp = toy3()
    assert epic_distance(R1, R1 + K, mdp) == pytest.approx(0.8145161623, rel=1e-9)
    assert dard_distance(R1, R1 + K, mdp) == pytest.approx(0.8148573872, rel=1e-9)
    for form in ("val", "minimal", "minimal_l2"):
        assert starc_distance(R1, R1 + K, mdp, canonicalisation=form) < 1e-12
    assert worst_case_regret(R1, R1 + K, mdp).normalised < 1e-12


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_check_11_with_the_same_successors_everywhere_epic_is_the_potential_form_of_val(mdp, seed):
    s, a = mdp.n_states, mdp.n_actions
    rng = np.random.default_rng([seed, 5])
    successors, actions = rng.dirichlet(np.ones(s)), rng.dirichlet(np.ones(a))
    same = TabularMDP(np.broadcast_to(successors, (s, a, s)), rng.dirichlet(np.ones(s)), mdp.discount)
    reward = rng.standard_normal((s, a, s))
    policy = np.broadcast_to(actions, (s, a))
    form = epic(reward, same, state_dist=successors, action_dist=actions)
    atol = 1e-12 / (1 - mdp.discount)
    np.testing.assert_allclose(form, canonical(reward, same, ValPotential(policy=policy)), atol=atol)
    np.testing.assert_allclose(same.expected(form)[..., None], canonical(reward, same, Val(policy=policy)), atol=atol)


@given(a=st.integers(2, 5), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_check_11_with_one_state_every_form_is_the_reward_minus_its_mean_and_starc_is_twice_epic(a, seed):
    rng = np.random.default_rng([seed, a])
    mdp = TabularMDP(np.ones((1, a, 1)), np.ones(1), 0.9)
    r1, r2 = rng.standard_normal((2, 1, a, 1))
    for name in ("epic", "dard", "val", "val_potential", "minimal", "minimal_l2", "minimal_potential"):
        np.testing.assert_allclose(canonical(r1, mdp, name), r1 - r1.mean(), atol=1e-12)
    twice = 2 * epic_distance(r1, r2, mdp)
    for name in ("epic", "dard", "val", "val_potential", "minimal"):
        found = starc_distance(r1, r2, mdp, canonicalisation=name, normalisation="l2")
        assert found == pytest.approx(twice, abs=1e-12)


@given(mdp=processes(), seed=st.integers(0, 999), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
@settings(max_examples=100, deadline=None)
def test_epic_is_a_pseudometric_in_0_to_1_that_ignores_shaping_shift_and_scale(mdp, seed, scale, shift):
    assume(not mdp.terminal.any())
    rng = np.random.default_rng([seed, 9])
    coverage = [None, rng.dirichlet(np.ones(mdp.uniform.size)).reshape(mdp.uniform.shape)][seed % 2]
    options = {
        "coverage": coverage,
        "state_dist": [None, rng.dirichlet(np.ones(mdp.n_states))][seed % 3 // 2],
        "action_dist": rng.dirichlet(np.ones(mdp.n_actions)),
    }
    r1, r2, r3 = (reward_for(mdp, seed + i) for i in range(3))
    d12, d23, d13 = (epic_distance(x, y, mdp, **options) for x, y in ((r1, r2), (r2, r3), (r1, r3)))
    assert 0.0 <= d12 <= 1.0
    assert d12 == epic_distance(r2, r1, mdp, **options)
    assert d13 <= d12 + d23 + 1e-12
    shaped = scale * potential_shaping(r1, potential_for(mdp, seed), mdp) + shift
    size = np.abs(shaped).max() / scale / max(spread(r1, mdp, options), 1e-6)
    assert epic_distance(shaped, r2, mdp, **options) == pytest.approx(d12, abs=1e-13 * (1 + size))
    assert epic_distance(shaped, r1, mdp, **options) <= 1e-13 * (1 + size)
    assert epic_distance(shaped, -r1, mdp, **options) in (0.0, pytest.approx(1.0, abs=1e-13 * (1 + size)))


def spread(reward, mdp, options):
    """Deviation of the canonical form under the coverage."""
    weight = coverage_of(options["coverage"], mdp)
    form = epic(reward, mdp, state_dist=options["state_dist"], action_dist=options["action_dist"])
    return np.sqrt((weight * (form - (weight * form).sum()) ** 2).sum())


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_the_distance_is_that_of_the_textbook_correlation(mdp, seed):
    weight = np.random.default_rng(seed).dirichlet(np.ones(mdp.transitions.size)).reshape(mdp.transitions.shape)
    assume(not mdp.terminal.any() and mdp.reachable.all() and weight.size > 1)
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 1)
    rng = np.random.default_rng([seed, 9])
    means = {"action_dist": rng.dirichlet(np.ones(mdp.n_actions))}
    rho = correlated(dard(r1, mdp, **means), dard(r2, mdp, **means), weight)
    assert dard_distance(r1, r2, mdp, coverage=weight, **means) == pytest.approx(np.sqrt((1 - rho) / 2), abs=1e-7)
    means["state_dist"] = rng.dirichlet(np.ones(mdp.n_states))
    rho = correlated(epic(r1, mdp, **means), epic(r2, mdp, **means), weight)
    assert epic_distance(r1, r2, mdp, coverage=weight, **means) == pytest.approx(np.sqrt((1 - rho) / 2), abs=1e-7)


def test_half_the_l2_starc_distance_of_centred_forms_is_the_pearson_distance():
    mdp = toy3()
    forms = [epic(r, mdp) for r in (R1, R2)]
    centred = [form - form.mean() for form in forms]
    units = [form / norm_of(form, mdp, "l2") for form in centred]
    weight = coverage_of(None, mdp)
    assert norm_of(units[0] - units[1], mdp, "l2") == pytest.approx(2 * epic_distance(R1, R2, mdp), rel=1e-12)
    assert pearson_distance(forms[0], forms[1], weight, scales=(1.0, 1.0)) == epic_distance(R1, R2, mdp)


def test_nearly_equal_rewards_keep_their_digits():
    mdp = toy3()
    distances = [epic_distance(R1, R1 + step * K, mdp) / step for step in (1e-5, 1e-7, 1e-9)]
    np.testing.assert_allclose(distances, distances[0], rtol=1e-3)  # 1 - rho alone would be rounding noise


def test_huge_and_tiny_rewards_have_the_same_distance():
    mdp = toy3()
    for size in (1e-200, 1e200):
        assert epic_distance(size * R1, R2 / size, mdp) == pytest.approx(epic_distance(R1, R2, mdp), rel=1e-12)


def test_rewards_that_are_shapings_of_zero_are_at_distance_0_from_each_other_and_root_half_from_others():
    mdp = toy3()
    zero = np.zeros((3, 2, 3))
    potential = potential_shaping(zero, 1e6 * np.array(TOY["phi"]), mdp)
    assert epic_distance(zero, potential, mdp) == 0.0
    assert epic_distance(potential, R1, mdp) == pytest.approx(np.sqrt(0.5), abs=1e-15)
    assert epic_distance(R1, zero, mdp) == pytest.approx(np.sqrt(0.5), abs=1e-15)


def test_redistribution_moves_epic_wherever_there_is_a_choice_of_next_states():
    for seed in range(20):
        mdp = TabularMDP.random(5, 3, seed=seed)
        r = reward_for(mdp, seed)
        other = redistribution(r, change_for(mdp, seed), mdp)
        assert epic_distance(r, other, mdp) > 0.01
        assert starc_distance(r, other, mdp) < 1e-12


def test_shaping_moves_epic_where_episodes_end():
    p = np.random.default_rng(0).dirichlet(np.ones(3), (3, 2))
    p[2] = np.eye(3)[2]
    mdp = TabularMDP(p, np.array([0.5, 0.5, 0.0]), 0.9, terminal=np.array([False, False, True]))
    r = reward_for(mdp, 0)
    shaped = potential_shaping(r, np.array([3.0, -1.0, 0.0]), mdp)
    assert epic_distance(r, shaped, mdp) > 0.01
    assert starc_distance(r, shaped, mdp) < 1e-12


def test_transitions_from_terminal_states_are_not_covered():
    p = np.random.default_rng(0).dirichlet(np.ones(3), (3, 2))
    p[2] = np.eye(3)[2]
    mdp = TabularMDP(p, np.array([0.5, 0.5, 0.0]), 0.9, terminal=np.array([False, False, True]))
    r1, r2 = reward_for(mdp, 0), reward_for(mdp, 1)
    alive = np.where(mdp.terminal[:, None, None], 0.0, np.full((3, 2, 3), 1 / 12))
    rho = correlated(epic(r1, mdp), epic(r2, mdp), alive)
    assert epic_distance(r1, r2, mdp) == pytest.approx(np.sqrt((1 - rho) / 2), rel=1e-12)
    assert abs(correlated(epic(r1, mdp), epic(r2, mdp), np.full((3, 2, 3), 1 / 18)) - rho) > 1e-3
    assert epic_distance(r1, r2, mdp, coverage=np.full((3, 2, 3), 1 / 18)) == epic_distance(r1, r2, mdp)


def test_an_unreachable_state_changes_no_distance():
    mdp = toy3()
    p = np.zeros((4, 2, 4))
    p[:3, :, :3] = mdp.transitions
    p[3] = np.random.default_rng(1).dirichlet(np.ones(4), 2)
    larger = TabularMDP(p, np.append(mdp.initial, 0.0), mdp.discount)
    changed = []
    for i, reward in enumerate((R1, R2)):
        more = 100 * np.random.default_rng(i).standard_normal((4, 2, 4))
        more[:3, :, :3] = reward
        changed.append(more)
    for distance in (epic_distance, dard_distance):
        assert distance(changed[0], changed[1], larger) == pytest.approx(distance(R1, R2, mdp), rel=1e-12)
        coverage = np.full((4, 2), 0.1)
        coverage[3] = 0.2
        found = distance(changed[0], changed[1], larger, coverage=coverage)
        assert found == pytest.approx(distance(R1, R2, mdp, coverage=np.full((3, 2), 1 / 6)), rel=1e-12)


def test_the_minimal_forms_under_uniform_coverage_give_half_their_starc_distance():
    mdp = toy3()
    found = form_distance(Minimal(), R1, R2, mdp, coverage=np.full((3, 2), 1 / 6))
    assert found == pytest.approx(starc_distance(R1, R2, mdp, canonicalisation="minimal") / 2, rel=1e-12)


@pytest.mark.parametrize("distance", [epic_distance, dard_distance])
def test_check_21_coverage_that_is_no_distribution_over_transitions_is_refused(distance):
    mdp = toy3()
    uniform = np.full((3, 2, 3), 1 / 18)
    with pytest.raises(ShapeError, match=r"coverage: found shape \(2, 3\); expected \[S, A, S\] = \(3, 2, 3\) or"):
        distance(R1, R2, mdp, coverage=np.full((2, 3), 1 / 6))
    with pytest.raises(InputError, match=r"sum to 2.*Divide it by its sum"):
        distance(R1, R2, mdp, coverage=2 * uniform)
    with pytest.raises(InputError, match=r"sum to 10.*multiply by 1 - discount"):
        distance(R1, R2, mdp, coverage=mdp.occupancy())
    negative = uniform.copy()
    negative[0, 1, 2] *= -1
    negative[0, 0, 0] *= 3
    with pytest.raises(InputError, match=r"negative number at \(0, 1, 2\)"):
        distance(R1, R2, mdp, coverage=negative)
    uniform[1, 1, 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"coverage.*\(1, 1, 1\)"):
        distance(R1, R2, mdp, coverage=uniform)
    with pytest.raises(InputError, match="coverage"):
        distance(R1, R2, mdp, coverage="uniform")


def test_check_21_coverage_of_states_that_do_not_count_only_is_refused():
    p = np.zeros((2, 1, 2))
    p[:, :, 1] = 1.0
    mdp = TabularMDP(p, np.array([1.0, 0.0]), 0.9, terminal=np.array([False, True]))
    with pytest.raises(InputError, match="unreachable or terminal"):
        epic_distance(np.zeros((2, 1)), np.zeros((2, 1)), mdp, coverage=np.array([[0.0], [1.0]]))


def test_check_21_bad_rewards_and_distributions_are_refused():
    mdp = toy3()
    bad = R1.copy()
    bad[0, 0, 0] = np.nan
    with pytest.raises(NonFiniteError, match="r1"):
        epic_distance(bad, R2, mdp)
    with pytest.raises(ShapeError, match=r"r2.*\[S, A, S\]"):
        epic_distance(R1, R2[:2], mdp)
    with pytest.raises(ShapeError, match="state_dist"):
        epic_distance(R1, R2, mdp, state_dist=np.ones(2) / 2)
    with pytest.raises(InputError, match="action_dist"):
        epic_distance(R1, R2, mdp, action_dist=np.array([0.5, 0.6]))


@pytest.mark.parametrize("distance", [epic_distance, dard_distance])
def test_in_a_sparse_process_rewards_of_state_and_action_are_compared_and_averaged_ones_refused(distance):
    mdp = toy3()
    thin = TabularMDP(sparse.csr_array(mdp.transitions.reshape(6, 3)), mdp.initial, mdp.discount)
    r1, r2 = R1[..., 0], R2[..., 0]
    assert distance(r1, r2, thin) == pytest.approx(distance(r1, r2, mdp), rel=1e-12)
    with pytest.raises(NotApplicable, match=r"r2.*mean over the next state.*sparse=False"):
        distance(r1, R2, thin)


def test_a_sparse_process_too_large_to_unfold_is_refused():
    n = 10_000
    moves = sparse.csr_array((np.ones(n), (np.arange(n), (np.arange(n) + 1) % n)), shape=(n, n))
    mdp = TabularMDP(moves, np.full(n, 1 / n), 0.9)
    with pytest.raises(NotApplicable, match="10,000 states"):
        epic_distance(np.arange(n), np.ones(n), mdp)
