"""Regret of the best policy for the proxy: golden numbers, both tie rules against a linear program and enumeration."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, ShapeError
from learnt.rewards._live import live
from learnt.rewards._program import OPTIONS, flow
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.optimal_regret import optimal_policy_regret
from learnt.rewards.regret import worst_case_regret

from .worlds import processes, reward_for, toy3, toy_reward

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_regret.json").read_text())["regret"]
R1, R2 = toy_reward("R1"), toy_reward("R2")


def with_ties(mdp, seed):
    """A process with every action twice, a true reward that tells the two apart, and a proxy that does not."""
    double = TabularMDP(np.repeat(mdp.transitions, 2, axis=1), mdp.initial, mdp.discount, terminal=mdp.terminal)
    true = reward_for(double, seed)
    proxy = np.repeat(reward_for(mdp, seed + 1).round(0), 2, axis=1)  # whole numbers tie more often still
    return double, true, proxy


def by_program(true, proxy, mdp):
    """(lowest, highest) true return on the face of occupancies where the proxy returns its most."""
    from scipy.optimize import linprog

    part = live(mdp)
    r1, r2 = (mdp.expected(r)[part.states].ravel() for r in (true, proxy))
    least = mdp.returns(mdp.expected(proxy))[1] - 1e-11
    found = [
        linprog(sign * r1, A_ub=-r2[None], b_ub=[-least], A_eq=flow(part), b_eq=part.start, options=OPTIONS)
        for sign in (1.0, -1.0)
    ]
    assert all(f.status == 0 for f in found)
    return found[0].fun, -found[1].fun


@pytest.mark.parametrize("names", ["R1|R2", "R2|R1"])
def test_check_07_golden_optimal_policy_regrets_come_out(names):
    found = optimal_policy_regret(*(toy_reward(n) for n in names.split("|")), toy3())
    golden = GOLDEN[names]["optimal_policy_regret"]
    assert found.value == pytest.approx(golden, rel=1e-9)
    assert found.optimistic == pytest.approx(golden, rel=1e-9)  # no ties here
    assert found.pessimistic == pytest.approx(golden, rel=1e-9)


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_both_tie_rules_equal_a_second_linear_program_on_the_face_of_best_occupancies(mdp, seed):
    mdp, true, proxy = with_ties(mdp, seed)
    found = optimal_policy_regret(true, proxy, mdp)
    if mdp.reachable[~mdp.terminal].any() and found.true_range > 1e-6:
        low, high = by_program(true, proxy, mdp)
        most = mdp.returns(mdp.expected(true))[1]
        assert (most - high) / found.true_range == pytest.approx(found.optimistic, abs=1e-7)
        assert (most - low) / found.true_range == pytest.approx(found.pessimistic, abs=1e-7)


@given(seed=st.integers(0, 9999), n=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_both_tie_rules_equal_enumeration_of_deterministic_policies(seed, n):
    plain = TabularMDP(np.random.default_rng(seed).dirichlet(np.ones(n), (n, 2)), np.full(n, 1 / n), 0.9)
    mdp, true, proxy = with_ties(plain, seed)
    every = [mdp.occupancy(np.array(x)) for x in product(range(4), repeat=n)]
    j1, j2 = (np.array([(eta * mdp.expected(r)).sum() for eta in every]) for r in (true, proxy))
    best = j1[j2 >= j2.max() - 1e-9]
    found = optimal_policy_regret(true, proxy, mdp)
    assert found.pessimistic - found.optimistic > 1e-9 or np.ptp(best) < 1e-7
    assert found.optimistic == pytest.approx((j1.max() - best.max()) / np.ptp(j1), abs=1e-9)
    assert found.pessimistic == pytest.approx((j1.max() - best.min()) / np.ptp(j1), abs=1e-9)


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_the_policies_reproduce_the_regret_and_the_worst_case_is_no_smaller(mdp, seed):
    true = reward_for(mdp, seed)
    proxy = true + reward_for(mdp, seed + 1)
    found = optimal_policy_regret(true, proxy, mdp)
    j = lambda behaviour, r: mdp.initial @ mdp.evaluate(mdp.expected(r), behaviour.policy)
    most = mdp.returns(mdp.expected(proxy))[1]
    for policy, value in ((found.luckiest, found.optimistic), (found.unluckiest, found.pessimistic)):
        assert j(policy, proxy) == pytest.approx(most, abs=1e-8)
        assert j(found.best, true) - j(policy, true) == pytest.approx(value * found.true_range, abs=1e-8)
    assert 0.0 <= found.optimistic <= found.pessimistic + 1e-9
    assert found.pessimistic <= worst_case_regret(true, proxy, mdp).normalised + 1e-9


def test_with_a_trivial_proxy_every_policy_is_best_and_with_a_trivial_true_reward_none_loses():
    nothing = toy_reward("R6_pure_potential")
    found = optimal_policy_regret(R1, nothing, toy3())
    assert (found.optimistic, found.trivial_proxy) == (pytest.approx(0.0, abs=1e-12), True)
    assert found.pessimistic == pytest.approx(1.0, abs=1e-12)
    found = optimal_policy_regret(nothing, R1, toy3())
    assert (found.optimistic, found.pessimistic, found.trivial_true) == (0.0, 0.0, True)


def test_the_value_is_that_of_the_rule_asked_for():
    mdp, true, proxy = with_ties(toy3(), 5)
    both = optimal_policy_regret(true, proxy, mdp)
    assert both.pessimistic > both.optimistic
    assert both.value == both.pessimistic
    assert optimal_policy_regret(true, proxy, mdp, ties="pessimistic").value == both.pessimistic
    assert optimal_policy_regret(true, proxy, mdp, ties="optimistic").value == both.optimistic


def test_sparse_and_dense_processes_give_the_same_regret():
    from scipy.sparse import csr_array

    dense = TabularMDP.random(200, 3, seed=0)
    sparse = TabularMDP(csr_array(dense.transitions.reshape(-1, 200)), dense.initial, dense.discount)
    r1 = np.random.default_rng(0).standard_normal((200, 3))
    r2 = r1 + np.random.default_rng(1).standard_normal((200, 3))
    found = [optimal_policy_regret(r1, r2, m).value for m in (dense, sparse)]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert found[0] > 0.01


def test_bad_input_is_an_error():
    with pytest.raises(InputError, match="one of both, optimistic, pessimistic"):
        optimal_policy_regret(R1, R2, toy3(), ties="worst")
    with pytest.raises(ShapeError, match="true"):
        optimal_policy_regret(R1[:, :1], R2, toy3())
