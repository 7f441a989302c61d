"""ERC: golden numbers, the second-moment equations, simulated episodes, and its laws."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.rewards.erc import erc_distance
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.shaping import potential_shaping, redistribution

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_peers.json").read_text())["toy3"]
R1, R2 = toy_reward("R1"), toy_reward("R2")
PI = np.array(TOY["pi_s"])


def started_at(mdp, state):
    return TabularMDP(mdp.transitions, np.eye(mdp.n_states)[state], mdp.discount, terminal=mdp.terminal)


def moments(r1, r2, mdp, policy):
    """Second moments of returns by first state, and values: the equations of the specification, as they stand."""
    p, gamma = mdp.transitions, mdp.discount
    v1, v2 = (mdp.evaluate(mdp.expected(r), policy) for r in (r1, r2))
    step = np.einsum("sa,sak,sak->s", policy, p, r1 * r2 + gamma * r1 * v2 + gamma * r2 * v1)
    return np.linalg.solve(np.eye(mdp.n_states) - gamma**2 * mdp.policy_moves(policy), step), v1, v2


def by_moments(r1, r2, mdp, policy, within_start=False):
    covariances = {}
    for i, j in ((0, 0), (0, 1), (1, 1)):
        m, v, w = moments((r1, r2)[i], (r1, r2)[j], mdp, policy)
        mean = mdp.initial @ (v * w) if within_start else (mdp.initial @ v) * (mdp.initial @ w)
        covariances[i, j] = mdp.initial @ m - mean
    return np.sqrt((1 - covariances[0, 1] / np.sqrt(covariances[0, 0] * covariances[1, 1])) / 2)


def simulated(r1, r2, mdp, policy, episodes, steps, seed=0):
    """(episodes,) first states, and (2, episodes) discounted returns."""
    rng = np.random.default_rng(seed)
    moves = (policy[..., None] * mdp.transitions).reshape(mdp.n_states, -1).cumsum(1)
    state = first = rng.choice(mdp.n_states, size=episodes, p=mdp.initial)
    returns = np.zeros((2, episodes))
    for t in range(steps):
        drawn = (rng.random(episodes)[:, None] > moves[state]).sum(1)
        action, following = np.divmod(np.minimum(drawn, moves.shape[1] - 1), mdp.n_states)
        returns += mdp.discount**t * np.stack([r[state, action, following] for r in (r1, r2)])
        state = following
    return first, returns


@pytest.mark.parametrize("pair", ["R1|R2", "R1|R5_redist", "R1|R4_neg"])
def test_check_12_erc_golden_distances_come_out(pair):
    first, second = (toy_reward(name) for name in pair.split("|"))
    golden = GOLDEN[pair]["erc_uniform_policy_discounted"]["distance"]
    assert erc_distance(first, second, toy3()) == pytest.approx(golden, rel=1e-10)


def test_check_12_erc_number_of_the_specification():
    assert erc_distance(R1, R2, toy3()) == pytest.approx(0.7034762767, rel=1e-9)


@pytest.mark.parametrize("within_start", [False, True])
def test_the_correlation_is_that_of_the_second_moment_equations(within_start):
    for seed in range(20):
        mdp = TabularMDP.random(6, 3, discount=0.9, seed=seed)
        policy = np.random.default_rng(seed).dirichlet(np.ones(3), 6)
        r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 1)
        found = erc_distance(r1, r2, mdp, policy=policy, within_start=within_start)
        assert found == pytest.approx(by_moments(r1, r2, mdp, policy, within_start), abs=1e-9)


def test_simulated_episodes_correlate_as_computed_and_those_of_another_policy_do_not():
    mdp, r1, r2 = toy3(), R1, R1 + R2
    first, (g1, g2) = simulated(r1, r2, mdp, PI, episodes=40_000, steps=150)
    rho = float(np.corrcoef(g1, g2)[0, 1])
    margin = 5 * (1 - rho**2) / np.sqrt(len(first))
    assert 1 - 2 * erc_distance(r1, r2, mdp, policy=PI) ** 2 == pytest.approx(rho, abs=margin)
    assert abs(1 - 2 * erc_distance(r1, r2, mdp) ** 2 - rho) > 2 * margin  # control: the uniform policy
    shaped = potential_shaping(r1, 4 * np.array(TOY["phi"]), mdp)
    h1 = g1 - 4 * np.array(TOY["phi"])[first]  # up to gamma^150
    inside = [h - np.bincount(first, h)[first] / np.bincount(first)[first] for h in (h1, g2)]
    within = float(np.corrcoef(inside[0], inside[1])[0, 1])
    assert 1 - 2 * erc_distance(shaped, r2, mdp, policy=PI, within_start=True) ** 2 == pytest.approx(within, abs=margin)
    across = float(np.corrcoef(h1, g2)[0, 1])
    assert 1 - 2 * erc_distance(shaped, r2, mdp, policy=PI) ** 2 == pytest.approx(across, abs=2 * margin)
    assert abs(across - within) > 4 * margin


@given(mdp=processes(), seed=st.integers(0, 999), scale=st.floats(0.01, 100), within=st.booleans())
@settings(max_examples=100, deadline=None)
def test_erc_is_a_pseudometric_in_0_to_1_that_ignores_scale(mdp, seed, scale, within):
    policy = np.random.default_rng([seed, 9]).dirichlet(np.ones(mdp.n_actions), mdp.n_states)
    options = {"policy": policy, "within_start": within}
    r1, r2, r3 = (reward_for(mdp, seed + i) for i in range(3))
    d12, d23, d13 = (erc_distance(x, y, mdp, **options) for x, y in ((r1, r2), (r2, r3), (r1, r3)))
    assert 0.0 <= d12 <= 1.0
    assert d12 == erc_distance(r2, r1, mdp, **options)
    assert d13 <= d12 + d23 + 1e-12
    assert erc_distance(scale * r1, r2, mdp, **options) == pytest.approx(d12, abs=1e-9)
    assert erc_distance(r1, scale * r1, mdp, **options) <= 1e-9
    assert erc_distance(r1, -scale * r1, mdp, **options) in (0.0, pytest.approx(1.0, abs=1e-9))


@given(mdp=processes(), seed=st.integers(0, 999), start=st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_shaping_leaves_erc_as_it_is_with_one_first_state_or_within_first_states(mdp, seed, start):
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 1)
    shaped = potential_shaping(r1, potential_for(mdp, seed), mdp)
    one = started_at(mdp, start % mdp.n_states)
    atol = 1e-9 / (1 - mdp.discount)
    for within in (False, True):
        found = erc_distance(shaped, r2, one, within_start=within)
        assert found == pytest.approx(erc_distance(r1, r2, one), abs=atol)
    found = erc_distance(shaped, r2, mdp, within_start=True)
    assert found == pytest.approx(erc_distance(r1, r2, mdp, within_start=True), abs=atol)


def test_shaping_moves_erc_where_episodes_start_in_several_states():
    mdp = toy3()
    shaped = potential_shaping(R1, 4 * np.array(TOY["phi"]), mdp)
    assert erc_distance(R1, shaped, mdp) > 0.1
    assert erc_distance(R1, shaped, mdp, within_start=True) < 1e-12
    assert erc_distance(R1, shaped, started_at(mdp, 1)) < 1e-12


def test_redistribution_moves_erc():
    for seed in range(10):
        p = np.random.default_rng(seed).dirichlet(np.ones(5), (5, 3))
        mdp = TabularMDP(p, np.eye(5)[0], 0.9)
        r = reward_for(mdp, seed)
        assert erc_distance(r, redistribution(r, change_for(mdp, seed), mdp), mdp) > 0.01


def test_impossible_transitions_and_actions_that_are_never_taken_count_for_nothing():
    mdp = toy3()
    changed = np.where(mdp.transitions > 0, R2, 1e9)
    assert erc_distance(R1, changed, mdp) == erc_distance(R1, R2, mdp)
    taken = np.array([0, 1, 0])
    changed = np.where(np.eye(2)[taken][..., None] > 0, R2, -50.0)
    assert erc_distance(R1, changed, mdp, policy=taken) == pytest.approx(erc_distance(R1, R2, mdp, policy=taken))
    assert abs(erc_distance(R1, R2, mdp, policy=taken) - erc_distance(R1, R2, mdp)) > 0.01


def test_returns_that_are_the_same_in_all_episodes_are_at_0_from_each_other_and_root_half_from_others():
    mdp = toy3()
    constant, zero = np.full((3, 2, 3), 1e6 / 3), np.zeros((3, 2, 3))
    assert erc_distance(constant, zero, mdp) == 0.0
    assert erc_distance(constant, R1, mdp) == pytest.approx(np.sqrt(0.5), abs=1e-15)
    shaped = potential_shaping(zero, 1e6 * np.array(TOY["phi"]), mdp)
    assert erc_distance(shaped, R1, started_at(mdp, 0)) == pytest.approx(np.sqrt(0.5), abs=1e-15)
    fixed = TabularMDP.random(4, 2, deterministic=True, seed=1)
    assert erc_distance(reward_for(fixed, 0), reward_for(fixed, 1), started_at(fixed, 2), policy=np.zeros(4, int)) == 0


def test_nearly_equal_rewards_keep_their_digits_and_large_potentials_do_not_drown_them():
    mdp = toy3()
    distances = [erc_distance(R1, R1 + step * R2, mdp) / step for step in (1e-5, 1e-7, 1e-9)]
    np.testing.assert_allclose(distances, distances[0], rtol=1e-3)
    shaped = potential_shaping(R1, 1e6 * np.array(TOY["phi"]), mdp)
    found = erc_distance(shaped, R2, mdp, within_start=True)
    assert found == pytest.approx(erc_distance(R1, R2, mdp, within_start=True), abs=1e-8)


def test_huge_and_tiny_rewards_have_the_same_distance():
    for size in (1e-200, 1e200):
        assert erc_distance(size * R1, R2 / size, toy3()) == pytest.approx(erc_distance(R1, R2, toy3()), rel=1e-12)


def test_a_sparse_process_of_10_000_states_agrees_with_its_dense_part_and_unfolds_nothing():
    n, rng = 300, np.random.default_rng(0)
    near = np.minimum(n - 1, np.arange(n)[:, None, None] + rng.integers(-3, 4, (n, 2, 2)) % 7)
    p = np.zeros((n, 2, n))
    for k in range(2):
        np.add.at(p, (np.arange(n)[:, None], np.arange(2), near[..., k]), 0.5)
    dense = TabularMDP(p, np.full(n, 1 / n), 0.95)
    thin = TabularMDP(sparse.csr_array(p.reshape(2 * n, n)), dense.initial, 0.95)
    r1, r2 = rng.standard_normal((2, n, 2))
    assert erc_distance(r1, r2, thin) == pytest.approx(erc_distance(r1, r2, dense), rel=1e-9)
    n = 10_000
    rows = np.repeat(np.arange(2 * n), 3)
    cols = (rows // 2 + rng.integers(0, 200, rows.size)) % n
    kernel = sparse.csr_array((np.full(rows.size, 1 / 3), (rows, cols)), shape=(2 * n, n))
    large = TabularMDP(kernel, np.eye(n)[0], 0.9)
    r1, r2 = rng.standard_normal((2, n, 2))
    assert erc_distance(r1, r1 + r2, large) == pytest.approx(np.sqrt((1 - np.sqrt(0.5)) / 2), abs=0.05)


def test_check_21_bad_input_is_refused():
    mdp = toy3()
    bad = R1.copy()
    bad[2, 1, 0] = np.nan
    with pytest.raises(NonFiniteError, match="r1"):
        erc_distance(bad, R2, mdp)
    with pytest.raises(ShapeError, match="r2"):
        erc_distance(R1, R2[..., :2], mdp)
    with pytest.raises(ShapeError, match="policy"):
        erc_distance(R1, R2, mdp, policy=np.ones((2, 3)) / 3)
    with pytest.raises(InputError, match="policy"):
        erc_distance(R1, R2, mdp, policy=np.full((3, 2), 0.4))
    thin = TabularMDP(sparse.csr_array(mdp.transitions.reshape(6, 3)), mdp.initial, mdp.discount)
    with pytest.raises(NotApplicable, match=r"r2.*single episodes.*sparse=False"):
        erc_distance(R1[..., 0], R2, thin)
