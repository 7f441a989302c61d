"""Constants between distance and regret: golden numbers, the theorem they belong to, and where they are attained."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NotApplicable
from learnt.rewards import bounds
from learnt.rewards.bounds import regret_bounds
from learnt.rewards.canonical import canonical
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.norms import NORMS, norm_of
from learnt.rewards.regret import worst_case_regret
from learnt.rewards.starc import starc_distance

from .worlds import TOY, processes, reward_for, toy3

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_regret.json").read_text())["bounds_val_uniform_linf"]


def test_check_09_the_golden_constants_of_the_sup_norm_come_out():
    found = regret_bounds(toy3())
    assert found.exact
    assert found.smallest == pytest.approx(GOLDEN["a_min_range_over_norm_LP"], rel=1e-9)
    assert found.largest == pytest.approx(GOLDEN["b_max_range_over_norm"], rel=1e-9)
    assert found.upper == pytest.approx(GOLDEN["U_exact_constants"], rel=1e-9)
    assert found.lower == pytest.approx(GOLDEN["L_exact_constants"], rel=1e-9)


def test_check_09_the_golden_closed_form_comes_out():
    found = regret_bounds(toy3(), exact=False)
    assert not found.exact
    np.testing.assert_allclose(found.hitting, GOLDEN["discounted_hitting_h"], rtol=1e-9)
    assert found.smallest == pytest.approx(GOLDEN["closed_form_a_lower"], rel=1e-9)
    assert found.upper == pytest.approx(GOLDEN["U_closed_form"], rel=1e-9)
    assert found.lower == pytest.approx(found.smallest / (2 * found.largest))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("exact", "count"), [(True, 6), (False, 9)])
def test_check_09_regret_lies_between_the_constants_times_the_distance(norm, exact, count):
    for seed in range(count):
        mdp = TabularMDP.random(2 + seed % 3, 2 + seed % 2, seed=seed, discount=(0.5, 0.9, 0.97)[seed % 3])
        policy = np.random.default_rng(seed).dirichlet(np.ones(mdp.n_actions), mdp.n_states)
        policy = [None, policy, policy.argmax(1)][seed % 3]
        found = regret_bounds(mdp, policy=policy, norm=norm, exact=exact)
        assert 0.0 <= found.lower <= found.upper
        true = reward_for(mdp, seed)
        for like in (0.0, 1.0, 30.0, -1.0):
            proxy = like * true + reward_for(mdp, seed + 1)
            d = starc_distance(true, proxy, mdp, canonicalisation="val", normalisation=norm, policy=policy)
            w = worst_case_regret(true, proxy, mdp).normalised
            assert found.lower * d <= w + 1e-9
            assert w <= found.upper * d + 1e-9


@given(mdp=processes(), seed=st.integers(0, 999), norm=st.sampled_from(NORMS))
@settings(max_examples=30, deadline=None)
def test_no_canonical_form_has_a_range_outside_the_two_extremes(mdp, seed, norm):
    if mdp.n_actions == 1 or not mdp.reachable[~mdp.terminal].any():
        with pytest.raises(NotApplicable, match="no state with a choice"):
            regret_bounds(mdp, norm=norm)
        return
    found = regret_bounds(mdp, norm=norm)
    rng = np.random.default_rng(seed)
    for k in range(5):
        c = canonical(reward_for(mdp, seed + k) * rng.random((mdp.n_states, 1, 1)) ** 4, mdp, "val")
        ratio = mdp.return_range(mdp.expected(c)) / norm_of(c, mdp, norm)
        assert found.smallest <= ratio * (1 + 1e-9)
        assert ratio <= found.largest * (1 + 1e-9)


@pytest.mark.parametrize(
    ("norm", "policy", "actions"), [("linf", None, 3), ("linf", "some", 2), ("weighted_linf", "some", 2)]
)
def test_exact_constants_are_attained(norm, policy, actions, monkeypatch):
    """By the form that minimises one of the linear programs, and by a corner of the set of forms."""
    from scipy import optimize

    mdp = TabularMDP.random(3, actions, seed=3, discount=0.9)
    if policy:
        policy = np.random.default_rng(1).dirichlet(np.full(actions, 2.0), 3)
    solved, linprog = [], optimize.linprog
    monkeypatch.setattr(optimize, "linprog", lambda *a, **k: solved.append(linprog(*a, **k)) or solved[-1])
    found = regret_bounds(mdp, policy=policy, norm=norm)
    assert found.exact
    pi = mdp.as_policy(policy)

    def ratio(c):
        np.testing.assert_allclose((pi * c).sum(1), 0.0, atol=1e-9)
        return mdp.return_range(c) / norm_of(c[..., None], mdp, norm)

    forms = [solution.x[: 3 * actions].reshape(3, actions) for solution in solved]
    assert min(ratio(c) for c in forms) == pytest.approx(found.smallest, rel=1e-8)
    weights = np.ones((3, actions)) if norm == "linf" else mdp.transitions.max(-1)
    corners = [bounds._corners(p, w) for p, w in zip(pi, weights, strict=True)]
    assert max(ratio(np.stack(c)) for c in product(*corners)) == pytest.approx(found.largest, rel=1e-9)


def test_without_an_even_choice_the_range_of_the_sup_norm_is_smaller():
    found = regret_bounds(toy3(), policy=np.array(TOY["pi_s"]))
    assert found.exact
    assert found.largest < 19.0
    assert regret_bounds(toy3(), policy=np.array(TOY["pi_s"]), exact=False).largest == pytest.approx(20.0)


def test_the_hitting_probability_is_that_of_a_chain_stopped_at_the_state():
    mdp = TabularMDP.random(7, 3, seed=1, discount=0.9)
    found = regret_bounds(mdp, exact=False)
    moves = mdp.transitions.mean(1)
    for s in range(7):
        stopped = 0.9 * moves
        stopped[s] = 0.0
        hit = mdp.initial @ np.linalg.solve(np.eye(7) - stopped, np.eye(7)[s])
        assert found.hitting[s] == pytest.approx(hit, rel=1e-10)


def test_large_processes_get_closed_forms_from_bounds_on_the_way_back(monkeypatch):
    mdp = TabularMDP.random(60, 4, seed=1)
    whole = regret_bounds(mdp)
    assert not whole.exact  # 240 linear programs are more than "auto" solves
    monkeypatch.setattr(bounds, "INVERTED", 10)
    rough = regret_bounds(mdp)
    assert (rough.hitting <= whole.hitting + 1e-12).all()
    assert (rough.hitting > 0.9 * whole.hitting).all()
    assert whole.upper <= rough.upper < 1.2 * whole.upper
    monkeypatch.setattr(bounds, "FILL", 0)
    rougher = regret_bounds(mdp)
    assert (rougher.hitting <= rough.hitting + 1e-12).all()
    assert 1.2 * whole.upper < rougher.upper < np.inf


def test_a_policy_that_never_comes_somewhere_guarantees_nothing_in_closed_form():
    p = np.zeros((2, 2, 2))
    p[0, 0, 0] = p[0, 1, 1] = p[1, 0, 0] = p[1, 1, 1] = 1.0
    mdp = TabularMDP(p, [1.0, 0.0], 0.9)
    stay = np.array([0, 0])
    closed, exact = regret_bounds(mdp, policy=stay, exact=False), regret_bounds(mdp, policy=stay)
    assert (closed.upper, closed.lower) == (np.inf, 0.0)
    assert 0.0 < exact.lower < exact.upper < np.inf


def test_an_episode_that_ends_shortens_the_horizon():
    p = np.zeros((2, 2, 2))
    p[0, :, 1] = p[1, :, 1] = 1.0
    one_step = TabularMDP(p, [1.0, 0.0], 0.9, terminal=[False, True])
    found = regret_bounds(one_step)  # a bandit: the range of c = (x, -x) is 2 x
    assert (found.smallest, found.largest) == (pytest.approx(2.0), pytest.approx(2.0))
    assert (found.lower, found.upper, found.exact) == (pytest.approx(0.5), pytest.approx(1.0), True)


def test_the_return_range_needs_no_constants():
    found = regret_bounds(toy3(), norm="return_range")
    assert (found.lower, found.upper, found.exact, found.hitting) == (0.5, 1.0, True, None)


def test_linear_programs_only_improve_the_bounds_of_other_norms():
    for norm in ("l1", "l2", "weighted_l1", "weighted_l2"):
        exact, closed = (regret_bounds(toy3(), norm=norm, exact=e) for e in (True, False))
        assert not exact.exact
        assert exact.upper < closed.upper
        assert exact.lower > closed.lower


def test_bad_input_is_an_error():
    with pytest.raises(InputError, match="one of l1, l2"):
        regret_bounds(toy3(), norm="sup")
    with pytest.raises(InputError, match='"auto"'):
        regret_bounds(toy3(), exact="yes")
    with pytest.raises(NotApplicable, match="no state with a choice"):
        regret_bounds(TabularMDP.random(3, 1, seed=0))
