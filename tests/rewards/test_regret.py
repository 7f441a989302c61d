"""Worst-case regret: golden numbers, linear program against dual, brute force, certificates, special values, speed."""

import json
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.rewards import _live, regret
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.random_mdp import random_mdp, random_reward
from learnt.rewards.regret import regret_matrix, worst_case_regret
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.starc import starc_distance

from .worlds import change_for, potential_for, processes, reward_for, toy3, toy_reward

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_regret.json").read_text())
R1, R2 = toy_reward("R1"), toy_reward("R2")
SOLVERS = ("dual", "lp")


def mixed(mdp, seed, like=0.5):
    """A true reward and a proxy that shares part of it."""
    true = reward_for(mdp, seed)
    return true, like * true + reward_for(mdp, seed + 1)


def of(mdp, behaviour, reward):
    """The return of a policy, from the public methods of the process."""
    return float(mdp.initial @ mdp.evaluate(mdp.expected(reward), behaviour.policy))


# -- golden numbers and special values -----------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("names", ["R1|R2", "R2|R1"])
def test_check_07_golden_regret_multiplier_and_witnesses_come_out(names, solver):
    mdp, golden = toy3(), GOLDEN["regret"][names]
    found = worst_case_regret(*(toy_reward(n) for n in names.split("|")), mdp, solver=solver)
    assert found.value == pytest.approx(golden["worst_case_unnormalised"], rel=1e-9)
    assert found.normalised == pytest.approx(golden["worst_case_normalised"], rel=1e-9)
    assert found.lambda_ == pytest.approx(golden["lambda_star"], rel=1e-9)
    assert found.true_range == pytest.approx(golden["range_true"], rel=1e-9)
    np.testing.assert_allclose(found.better_by_truth.occupancy, golden["eta1"], atol=1e-9)
    np.testing.assert_allclose(found.better_by_proxy.occupancy, golden["eta2"], atol=1e-9)
    assert (found.solver, found.gap < 1e-12) == (solver, True)


@pytest.mark.parametrize("solver", SOLVERS)
def test_check_08_regret_is_0_for_the_same_order_and_1_for_opposite_and_trivial_proxies(solver):
    mdp = toy3()
    w = lambda true, proxy: worst_case_regret(true, proxy, mdp, solver=solver)
    for same in ("R1", "R3_equiv", "R5_redist"):
        assert w(R1, toy_reward(same)).normalised == pytest.approx(0.0, abs=1e-12)
    assert w(R1, R1).value == 0.0
    for bad in ("R4_neg", "R6_pure_potential", "R7_zero"):
        found = w(R1, toy_reward(bad))
        assert found.normalised == pytest.approx(1.0, abs=1e-12)
        assert found.trivial_proxy == (bad != "R4_neg")
        assert found.lambda_ == 0.0
    for nothing in ("R6_pure_potential", "R7_zero"):
        found = w(toy_reward(nothing), R1)
        assert (found.value, found.normalised, found.gap, found.trivial_true) == (0.0, 0.0, 0.0, True)
        assert worst_case_regret(toy_reward(nothing), toy_reward(nothing), mdp).trivial_proxy


def test_check_06_regret_sees_through_the_redistributions_that_fool_epic():
    mdp, k = toy3(), np.array(GOLDEN["K"])
    assert worst_case_regret(R1 + 100 * k, -R1 + 100 * k, mdp).normalised == pytest.approx(1.0, abs=1e-12)
    assert worst_case_regret(R1, R1 + k, mdp).normalised == pytest.approx(0.0, abs=1e-12)


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_equivalent_rewards_have_no_regret_and_opposite_ones_lose_everything(mdp, seed):
    r = reward_for(mdp, seed)
    same = redistribution(potential_shaping(r, potential_for(mdp, seed), mdp), change_for(mdp, seed), mdp)
    assert worst_case_regret(r, 2.5 * same, mdp).normalised < 1e-9
    opposite = worst_case_regret(r, -0.3 * same, mdp)
    assert opposite.normalised == pytest.approx(0.0 if opposite.trivial_true else 1.0, abs=1e-9)


# -- the two solvers, and the certificate ----------------------------------------------------------------------


@given(mdp=processes(), seed=st.integers(0, 999), like=st.sampled_from([-0.5, 0.0, 0.5, 3.0]))
@settings(max_examples=200, deadline=None)
def test_check_07_linear_program_and_dual_agree_and_their_witnesses_reproduce_the_regret(mdp, seed, like):
    true, proxy = mixed(mdp, seed, like)
    found = [worst_case_regret(true, proxy, mdp, solver=solver) for solver in SOLVERS]
    scale = found[0].true_range or 1.0
    assert abs(found[0].value - found[1].value) <= 1e-9 * scale
    for w in found:
        assert 0.0 <= w.normalised <= 1.0
        assert 0.0 <= w.gap <= 1e-9 * scale
        better, worse = w.better_by_truth, w.better_by_proxy
        assert of(mdp, worse, proxy) >= of(mdp, better, proxy) - 1e-9
        assert of(mdp, better, true) - of(mdp, worse, true) == pytest.approx(w.value, abs=1e-9)
        for b in (better, worse):
            np.testing.assert_allclose(b.policy.sum(1), 1.0, atol=1e-12)
            np.testing.assert_allclose(b.occupancy, mdp.occupancy(b.policy), atol=1e-9)
            assert b.true_return == pytest.approx(of(mdp, b, true), abs=1e-9)
            assert b.proxy_return == pytest.approx(of(mdp, b, proxy), abs=1e-9)


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_no_random_pair_of_policies_loses_more_than_the_certified_bound(mdp, seed):
    true, proxy = mixed(mdp, seed)
    found = worst_case_regret(true, proxy, mdp)
    policies = np.random.default_rng(seed).dirichlet(np.full(mdp.n_actions, 0.3), (40, mdp.n_states))
    j1, j2 = (np.array([mdp.initial @ mdp.evaluate(mdp.expected(r), p) for p in policies]) for r in (true, proxy))
    accepted = j2[None, :] >= j2[:, None]
    lost = np.where(accepted, j1[:, None] - j1[None, :], 0.0)
    assert lost.max() <= found.value + found.gap + 1e-9


@given(mdp=processes(), seed=st.integers(0, 999), scale=st.sampled_from([1e-20, 0.3, 40.0, 1e20]))
@settings(max_examples=40, deadline=None)
def test_regret_ignores_shaping_redistribution_and_scale_of_both_rewards(mdp, seed, scale):
    true, proxy = mixed(mdp, seed)
    plain = worst_case_regret(true, proxy, mdp)
    change = lambda r, k: redistribution(
        potential_shaping(r, potential_for(mdp, seed + k), mdp), change_for(mdp, seed + k), mdp
    )
    found = worst_case_regret(scale * change(true, 1), change(proxy, 2) / scale, mdp)
    assert found.normalised == pytest.approx(plain.normalised, abs=1e-9)
    assert found.value == pytest.approx(scale * plain.value, rel=1e-6, abs=1e-9 * scale)


@pytest.mark.parametrize("count", [100])
def test_check_09_regret_is_between_half_the_return_range_distance_and_all_of_it(count):
    for seed in range(count):
        mdp = TabularMDP.random(2 + seed % 7, 2 + seed % 3, seed=seed, discount=(0.5, 0.9, 0.99)[seed % 3])
        true, proxy = mixed(mdp, seed, like=(0.0, 0.5, 3.0, -1.0)[seed % 4])
        d = starc_distance(true, proxy, mdp, normalisation="return_range")
        for a, b in ((true, proxy), (proxy, true)):
            w = worst_case_regret(a, b, mdp).normalised
            assert w <= d + 1e-9
            assert d <= 2 * w + 1e-9


def corners(mdp):
    """(N, S, A) occupancies of all deterministic policies: the corners of the polytope of occupancies."""
    return np.array(
        [mdp.occupancy(np.array(actions)) for actions in product(range(mdp.n_actions), repeat=mdp.n_states)]
    )


def test_check_10_regret_equals_brute_force_over_mixtures_of_deterministic_policies():
    from scipy.optimize import linprog

    for seed in range(50):
        n = 1 + seed % 3
        p = np.random.default_rng(seed).dirichlet(np.ones(n), (n, 2))
        mdp = TabularMDP(p, np.full(n, 1 / n), 0.9)
        true, proxy = mixed(mdp, seed)
        j1, j2 = (np.einsum("psa,sa->p", corners(mdp), mdp.expected(r)) for r in (true, proxy))
        k = len(j1)
        halves = np.repeat(np.eye(2), k, axis=1)
        best = linprog(
            np.concatenate([-j1, j1]), A_ub=[np.concatenate([j2, -j2])], b_ub=[0.0], A_eq=halves, b_eq=[1.0, 1.0]
        )
        assert best.status == 0
        assert worst_case_regret(true, proxy, mdp).value == pytest.approx(-best.fun, abs=1e-8)


def test_auto_turns_to_the_linear_program_where_the_dual_is_not_certified(monkeypatch):
    mdp = TabularMDP.random(12, 3, seed=1)
    true, proxy = mixed(mdp, 1)
    whole = worst_case_regret(true, proxy, mdp)
    monkeypatch.setattr(regret, "STEPS", 1)
    loose = worst_case_regret(true, proxy, mdp, solver="dual")
    assert loose.gap > 1e-3 * loose.true_range  # an unfinished search says so
    assert loose.value - 1e-12 <= whole.value <= loose.value + loose.gap + 1e-12
    assert of(mdp, loose.better_by_proxy, proxy) >= of(mdp, loose.better_by_truth, proxy) - 1e-9
    found = worst_case_regret(true, proxy, mdp)
    assert (whole.solver, found.solver) == ("dual", "lp")
    assert found.value == pytest.approx(whole.value, rel=1e-9)


def test_a_linear_program_that_fails_is_an_error(monkeypatch):
    from scipy import optimize

    done = optimize.linprog([1.0], A_ub=[[1.0]], b_ub=[-1.0])  # infeasible
    monkeypatch.setattr(optimize, "linprog", lambda *_, **__: done)
    with pytest.raises(NotApplicable, match="Use 'dual'"):
        worst_case_regret(R1, R2, toy3(), solver="lp")


# -- kinds of processes ----------------------------------------------------------------------------------------


def test_what_happens_in_unreachable_states_counts_for_nothing():
    p = np.full((3, 2, 3), 0.5)
    p[:2, :, 2] = 0.0
    p[2] = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    mdp = TabularMDP(p, np.array([0.5, 0.5, 0.0]), 0.9)
    true, proxy = mixed(mdp, 3)
    changed = true.copy()
    changed[2] += 1e3
    p[0, 0], true[0, 0] = [1.0, 0.0, 0.0], true[0, 0] + 3.0  # so that the actions of the live states differ
    mdp, changed[:2] = TabularMDP(p, mdp.initial, 0.9), true[:2]
    found, other = (worst_case_regret(r, proxy, mdp) for r in (true, changed))
    assert found.true_range > 0.0
    assert other.value == found.value
    assert not found.better_by_truth.occupancy[2].any()


def test_without_discounting_returns_are_counted_to_the_end():
    p = np.zeros((3, 2, 3))
    p[0, 0] = [0.5, 0.5, 0.0]
    p[0, 1] = [0.0, 0.5, 0.5]
    p[1, 0] = [0.2, 0.0, 0.8]
    p[1, 1] = [0.0, 0.0, 1.0]
    p[2, :, 2] = 1.0
    end = np.array([False, False, True])
    whole, nearly = (TabularMDP(p, [0.7, 0.3, 0.0], g, terminal=end) for g in (1.0, 1.0 - 1e-9))
    true, proxy = mixed(whole, 2, like=1.0)
    found, near = (worst_case_regret(true, proxy, m) for m in (whole, nearly))
    assert 0.0 < found.normalised < 1.0
    assert found.normalised == pytest.approx(near.normalised, abs=1e-7)
    assert found.value == pytest.approx(worst_case_regret(true, proxy, whole, solver="lp").value, rel=1e-9)
    np.testing.assert_allclose(
        found.better_by_proxy.occupancy, whole.occupancy(found.better_by_proxy.policy), atol=1e-12
    )


def test_transitions_that_nearly_never_happen_and_rewards_on_them_are_certified():
    """The authors' generator: probabilities of 1e-10, and sparse rewards under large potentials."""
    rng = np.random.RandomState(7)
    mdp = random_mdp(16, 3, discount=0.95, legacy_rng=rng)
    for _ in range(8):
        true, proxy = random_reward(mdp, rng), random_reward(mdp, rng)
        dual, program = (worst_case_regret(true, proxy, mdp, solver=solver) for solver in SOLVERS)
        assert 0.0 <= dual.normalised <= 1.0
        assert dual.gap <= 1e-9 * dual.true_range
        assert dual.normalised == pytest.approx(program.normalised, abs=1e-9)


def test_a_discount_near_one_is_still_certified():
    mdp = TabularMDP.random(8, 3, seed=2, discount=0.9999)
    found = worst_case_regret(*mixed(mdp, 2), mdp)
    other = worst_case_regret(*mixed(mdp, 2), mdp, solver="lp")
    assert found.gap < 1e-9 * found.true_range
    assert found.normalised == pytest.approx(other.normalised, abs=1e-9)


def graph(n, a, successors, seed=0):
    """A random sparse kernel (n a, n)."""
    from scipy.sparse import csr_array

    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(n * a), successors)
    weights = rng.dirichlet(np.ones(successors), n * a).ravel()
    return csr_array((weights, (rows, rng.integers(0, n, len(rows)))), shape=(n * a, n))


@pytest.mark.parametrize("n", [40, 300])
def test_sparse_and_dense_processes_give_the_same_regret(n):
    kernel = graph(n, 3, 3)
    dense = TabularMDP(kernel.toarray().reshape(n, 3, n), np.full(n, 1 / n), 0.95)
    sparse = TabularMDP(kernel, np.full(n, 1 / n), 0.95)
    rng = np.random.default_rng(1)
    true = rng.standard_normal((n, 3))
    proxy = true + rng.standard_normal((n, 3))
    found = [worst_case_regret(true, proxy, m, solver="dual") for m in (dense, sparse)]
    assert sparse.is_sparse
    assert found[0].value == pytest.approx(found[1].value, rel=1e-10)
    assert all(w.gap < 1e-9 * w.true_range for w in found)
    assert of(sparse, found[1].better_by_proxy, proxy[..., None]) >= (
        of(sparse, found[1].better_by_truth, proxy[..., None]) - 1e-9
    )


def test_where_the_iterative_solver_fails_the_process_is_factored(monkeypatch):
    from scipy.sparse import csr_array, linalg

    n, factored = 200, []  # steps to the left and right on a circle, little discounted
    splu = linalg.splu
    monkeypatch.setattr(linalg, "splu", lambda matrix: factored.append(1) or splu(matrix))
    rows = np.arange(2 * n)
    kernel = csr_array((np.ones(2 * n), (rows, (rows // 2 + np.where(rows % 2, 1, -1)) % n)), shape=(2 * n, n))
    mdp = TabularMDP(kernel, np.eye(n)[0], 0.999)
    rng = np.random.default_rng(1)
    true, other = rng.standard_normal((2, n, 2))
    found = worst_case_regret(true, true + other, mdp)
    assert factored
    assert found.gap < 1e-8 * found.true_range
    monkeypatch.setattr(_live, "SMALL", n)
    dense = worst_case_regret(true, true + other, TabularMDP(kernel, np.eye(n)[0], 0.999))
    assert found.normalised == pytest.approx(dense.normalised, rel=1e-9)


def test_ten_thousand_sparse_states_need_little_memory():
    import tracemalloc

    n = 10_000
    mdp = TabularMDP(graph(n, 3, 2), np.full(n, 1 / n), 0.9)
    rng = np.random.default_rng(1)
    true = rng.standard_normal((n, 3))
    proxy = true + rng.standard_normal((n, 3))
    tracemalloc.start()
    found = worst_case_regret(true, proxy, mdp)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.gap < 1e-9 * found.true_range
    assert peak < 200e6  # one dense array of states by states would take 800 MB


# -- many rewards, speed, errors -------------------------------------------------------------------------------


def test_the_matrix_holds_the_regret_of_each_ordered_pair():
    mdp = toy3()
    rewards = [R1, R2, -R1, toy_reward("R3_equiv"), 0 * R1]
    found = regret_matrix(rewards, mdp)
    for (i, a), (j, b) in product(enumerate(rewards), repeat=2):
        assert found[i, j] == pytest.approx(worst_case_regret(a, b, mdp).normalised, abs=1e-12)
    assert found[0, 1] != found[1, 0]
    assert not np.diag(found).any()


def test_check_22_the_regret_of_32_states_and_4_actions_takes_less_than_20_milliseconds():
    mdp = TabularMDP.random(32, 4, seed=0)
    taken = []
    for seed in range(20):
        true, proxy = mixed(mdp, seed)
        start = time.process_time()  # of this process: others share the machine
        worst_case_regret(true, proxy, mdp)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.020


def test_bad_input_is_an_error():
    with pytest.raises(InputError, match="one of auto, lp, dual"):
        worst_case_regret(R1, R2, toy3(), solver="simplex")
    with pytest.raises(ShapeError, match="proxy"):
        worst_case_regret(R1, R2[:2], toy3())
    with pytest.raises(NonFiniteError, match="true"):
        worst_case_regret(R1 * np.nan, R2, toy3())


def test_its_text_says_what_is_lost_and_how_sure_that_is():
    assert "0.500106 of the range" in str(worst_case_regret(R1, R2, toy3()))
    assert "the same for all policies" in str(worst_case_regret(R1, 0 * R1, toy3()))
    assert str(worst_case_regret(0 * R1, R1, toy3())).startswith("worst-case regret 0:")


def test_rewards_are_taken_in_every_form_a_process_takes():
    mdp = toy3()
    plain = worst_case_regret(R1, R2, mdp).value
    assert worst_case_regret(mdp.expected(R1), lambda s, a, k: R2[s, a, k], mdp).value == pytest.approx(plain)
    assert worst_case_regret(mdp.subject(R1, name="x"), R2.tolist(), mdp).value == pytest.approx(plain)


def test_a_process_that_is_over_at_once_and_one_without_a_future_are_no_exceptions():
    over = TabularMDP(np.ones((1, 2, 1)), [1.0], 0.9, terminal=[True])
    found = worst_case_regret(np.zeros((1, 2)), np.zeros((1, 2)), over)
    assert (found.normalised, found.trivial_true, found.trivial_proxy) == (0.0, True, True)
    assert found.better_by_truth.occupancy.sum() == pytest.approx(10.0)
    bandits = TabularMDP.random(4, 3, discount=0.0, seed=1)
    true, proxy = mixed(bandits, 1, like=0.0)
    dual, program = (worst_case_regret(true, proxy, bandits, solver=solver) for solver in SOLVERS)
    assert 0.0 < dual.normalised < 1.0
    assert dual.normalised == pytest.approx(program.normalised, abs=1e-9)
