"""The frontier of the proxy: golden numbers, its ends, and linear programs in between."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError
from learnt.rewards._live import live
from learnt.rewards._program import OPTIONS, flow
from learnt.rewards.frontier import proxy_frontier
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.optimal_regret import optimal_policy_regret

from .worlds import processes, reward_for, toy3, toy_reward

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_regret.json").read_text())
R1, R2 = toy_reward("R1"), toy_reward("R2")


def test_check_07_the_golden_frontier_comes_out():
    rows = GOLDEN["frontier_true_R1_proxy_R2"]
    found = proxy_frontier(R1, R2, toy3(), [row["proxy_fraction"] for row in rows])
    np.testing.assert_allclose(found.lowest, [row["min_true_fraction"] for row in rows], atol=1e-11)
    np.testing.assert_allclose(found.highest, [row["max_true_fraction"] for row in rows], atol=1e-11)
    assert found.true_range == pytest.approx(9.5216848734)
    assert found.proxy_range == pytest.approx(5.5419825357)


@given(mdp=processes(), seed=st.integers(0, 999), q=st.floats(0.0, 0.999), like=st.sampled_from([-1.0, 0.0, 1.0]))
@settings(max_examples=40, deadline=None)
def test_every_quantile_is_the_solution_of_its_linear_program(mdp, seed, q, like):
    from scipy.optimize import linprog

    true = reward_for(mdp, seed)
    proxy = like * true + reward_for(mdp, seed + 1)
    found = proxy_frontier(true, proxy, mdp, [q])
    if found.trivial_true or found.trivial_proxy:
        return
    part = live(mdp)
    r1, r2 = (mdp.expected(r)[part.states].ravel() for r in (true, proxy))
    (low1, high1), (low2, high2) = (mdp.returns(mdp.expected(r)) for r in (true, proxy))
    floor = low2 + q * (high2 - low2)
    for sign, share in ((1.0, found.lowest[0]), (-1.0, found.highest[0])):
        best = linprog(sign * r1, A_ub=-r2[None], b_ub=[-floor], A_eq=flow(part), b_eq=part.start, options=OPTIONS)
        assert best.status == 0
        assert (sign * best.fun - low1) / (high1 - low1) == pytest.approx(share, abs=1e-7)


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_it_narrows_from_everything_to_the_two_tie_rules(mdp, seed):
    true = reward_for(mdp, seed)
    proxy = true + reward_for(mdp, seed + 1)
    found = proxy_frontier(true, proxy, mdp, np.linspace(0, 1, 9))
    if found.trivial_true:
        assert (found.lowest == 1.0).all()
        return
    ends = optimal_policy_regret(true, proxy, mdp)
    assert (found.lowest <= found.highest + 1e-12).all()
    assert (np.diff(found.lowest) >= -1e-12).all()
    assert (np.diff(found.highest) <= 1e-12).all()
    assert (found.lowest[0], found.highest[0]) == (pytest.approx(0.0, abs=1e-9), pytest.approx(1.0))
    assert found.lowest[-1] == pytest.approx(1 - ends.pessimistic, abs=1e-9)
    assert found.highest[-1] == pytest.approx(1 - ends.optimistic, abs=1e-9)


def test_the_order_of_quantiles_changes_nothing():
    q = np.linspace(0, 1, 13)
    mdp = TabularMDP.random(12, 3, seed=4)
    true, proxy = reward_for(mdp, 0), reward_for(mdp, 0) + reward_for(mdp, 1)
    forth, back = proxy_frontier(true, proxy, mdp, q), proxy_frontier(true, proxy, mdp, q[::-1])
    np.testing.assert_allclose(forth.lowest, back.lowest[::-1], atol=1e-12)
    np.testing.assert_allclose(forth.highest, back.highest[::-1], atol=1e-12)
    assert 0.1 < forth.lowest[8] < forth.highest[8]


def test_an_equal_proxy_guarantees_its_quantile_and_an_opposite_one_caps_it():
    q = [0.0, 0.3, 1.0]
    np.testing.assert_allclose(proxy_frontier(R1, toy_reward("R3_equiv"), toy3(), q).lowest, q, atol=1e-10)
    opposite = proxy_frontier(R1, -R1, toy3(), q)
    np.testing.assert_allclose(opposite.highest, [1.0, 0.7, 0.0], atol=1e-10)
    np.testing.assert_allclose(opposite.lowest, 0.0, atol=1e-10)


def test_a_trivial_proxy_excludes_nothing_and_a_trivial_true_reward_loses_nothing():
    found = proxy_frontier(R1, 0 * R1, toy3(), [0.0, 1.0])
    assert (found.lowest.tolist(), found.highest.tolist(), found.trivial_proxy) == ([0.0, 0.0], [1.0, 1.0], True)
    found = proxy_frontier(0 * R1, R2, toy3(), [0.5])
    assert (found.lowest.tolist(), found.highest.tolist(), found.trivial_true) == ([1.0], [1.0], True)


def test_bad_quantiles_are_an_error():
    with pytest.raises(InputError, match=r"numbers in \[0, 1\]"):
        proxy_frontier(R1, R2, toy3(), [0.5, 1.1])
    with pytest.raises(InputError, match=r"numbers in \[0, 1\]"):
        proxy_frontier(R1, R2, toy3(), 0.5)
    with pytest.raises(NonFiniteError, match="quantiles"):
        proxy_frontier(R1, R2, toy3(), [np.nan])
