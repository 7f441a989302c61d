"""The decision process: exact quantities against golden numbers and brute force; every malformed input has its error."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.rewards.mdp import TabularMDP

from .worlds import TOY, processes, reward_for, toy3, toy_reward

HALF = np.full((2, 2, 2), 0.5)
START = np.array([1.0, 0.0])


def expected(mdp, reward):
    return mdp.subject(reward, name="r").expected


def test_expected_rewards_values_and_occupancies_are_the_golden_ones():
    mdp = toy3()
    for name, golden in TOY["expected_reward"].items():
        np.testing.assert_allclose(expected(mdp, toy_reward(name)), golden, atol=1e-12)
    for name, golden in TOY["V_uniform"].items():
        np.testing.assert_allclose(mdp.evaluate(expected(mdp, toy_reward(name))), golden, atol=1e-12)
    np.testing.assert_allclose(mdp.occupancy(), TOY["occupancy"]["uniform"], atol=1e-12)
    np.testing.assert_allclose(mdp.occupancy(np.array(TOY["pi_s"])), TOY["occupancy"]["pi_s"], atol=1e-12)


def test_optimal_policies_and_return_ranges_are_the_golden_ones():
    mdp = toy3()
    for name, actions in TOY["optimal_policy"].items():
        assert mdp.solve(expected(mdp, toy_reward(name))).actions.tolist() == actions
    np.testing.assert_allclose(mdp.returns(expected(mdp, toy_reward("R1"))), TOY["returns"]["R1"], rtol=1e-10)
    assert mdp.return_range(expected(mdp, toy_reward("R1"))) == pytest.approx(9.5216848734, rel=1e-10)
    assert mdp.return_range(expected(mdp, toy_reward("R2"))) == pytest.approx(TOY["returns"]["range R2"], rel=1e-10)
    assert mdp.return_range(expected(mdp, toy_reward("R6_pure_potential"))) == pytest.approx(0.0, abs=1e-12)


@given(mdp=processes(), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_policy_iteration_finds_the_best_of_all_deterministic_policies(mdp, seed):
    s, a = mdp.n_states, mdp.n_actions
    if a**s > 300:
        return
    r = expected(mdp, reward_for(mdp, seed))
    returns = [mdp.initial @ mdp.evaluate(r, np.array(p)) for p in product(range(a), repeat=s)]
    np.testing.assert_allclose(mdp.returns(r), (min(returns), max(returns)), atol=1e-9)


@given(mdp=processes(), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_return_is_the_inner_product_of_occupancy_and_reward(mdp, seed):
    rng = np.random.default_rng(seed)
    policy = rng.dirichlet(np.ones(mdp.n_actions), mdp.n_states)
    r = expected(mdp, reward_for(mdp, seed))
    eta = mdp.occupancy(policy)
    assert eta.sum() == pytest.approx(1 / (1 - mdp.discount))
    assert (eta * r).sum() == pytest.approx(float(mdp.initial @ mdp.evaluate(r, policy)), abs=1e-9)
    flow = eta.sum(1) - mdp.discount * np.einsum("sa,sak->k", eta, mdp.transitions)
    np.testing.assert_allclose(flow, mdp.initial, atol=1e-9)
    assert (eta[~mdp.reachable] == 0).all()


def test_many_rewards_are_evaluated_at_once():
    mdp = toy3()
    batch = np.stack([expected(mdp, toy_reward(n)) for n in ("R1", "R2")])[:, None]
    values = mdp.evaluate(batch)
    assert values.shape == (2, 1, 3)
    np.testing.assert_allclose(values[1, 0], TOY["V_uniform"]["R2"])


def test_a_reward_may_be_given_in_every_form():
    mdp = TabularMDP.random(4, 3, seed=1)
    r = np.arange(4.0)
    full = mdp.as_reward(lambda s, a, k: s)
    np.testing.assert_array_equal(full, mdp.as_reward(r))
    np.testing.assert_array_equal(full, mdp.as_reward(np.tile(r[:, None], (1, 3))))
    np.testing.assert_array_equal(full, mdp.as_reward(torch.from_numpy(full.copy()).float()))
    np.testing.assert_array_equal(mdp.as_reward(lambda s, a, k: k), mdp.as_reward(np.tile(r, (4, 1)), axes="ss"))
    view = mdp.subject(r, name="by state")
    assert (view.name, view.reward.shape, view.expected.shape) == ("by state", (4, 3, 4), (4, 3))
    again = mdp.subject(view, name="other")
    np.testing.assert_array_equal(again.reward, view.reward)


def test_a_square_matrix_needs_its_meaning_said():
    mdp = TabularMDP(HALF, START, 0.9)
    with pytest.raises(InputError, match="axes='sa' or axes='ss'"):
        mdp.as_reward(np.eye(2))
    assert mdp.as_reward(np.eye(2), axes="sa")[0, 0].tolist() == [1.0, 1.0]
    assert mdp.as_reward(np.eye(2), axes="ss")[0, 0].tolist() == [1.0, 0.0]
    with pytest.raises(InputError, match="'auto'"):
        mdp.as_reward(np.eye(2), axes="as")


def test_rewards_that_do_not_fit_are_refused():
    mdp = toy3()
    with pytest.raises(ShapeError, match=r"proxy.*\[S, A, S\] = \(3, 2, 3\)"):
        mdp.subject(np.zeros((3, 3)), name="proxy")
    with pytest.raises(ShapeError):
        mdp.subject(np.zeros((2, 3, 3)), name="proxy")
    with pytest.raises(NonFiniteError, match=r"first at index \(2, 1\)"):
        mdp.subject(np.where(np.arange(6).reshape(3, 2) == 5, np.nan, 0.0), name="proxy")
    with pytest.raises(InputError, match="not numeric"):
        mdp.subject("go left", name="proxy")
    with pytest.raises(ShapeError, match="one number"):
        mdp.subject(lambda s, a, k: np.zeros(2), name="proxy")


def test_rewards_are_copied_and_read_only():
    mdp = toy3()
    mine = toy_reward("R1")
    view = mdp.subject(mine, name="r")
    mine[:] = 0
    np.testing.assert_array_equal(view.reward, toy_reward("R1"))
    with pytest.raises(ValueError, match="read-only"):
        view.reward[0] = 1.0


def test_there_are_no_examples():
    mdp = toy3()
    assert mdp.size == 0
    assert (mdp.keys.shape, mdp.keys.dtype) == ((0,), np.uint64)


def test_terminal_states_end_everything():
    p = HALF.copy()
    p[1] = [[0.0, 1.0], [0.0, 1.0]]
    mdp = TabularMDP(p, START, 0.9, terminal=np.array([False, True]))
    with pytest.raises(InputError, match="terminal state 1.*transition into"):
        mdp.subject(np.array([0.0, 1.0]), name="goal")
    goal = np.zeros((2, 2, 2))
    goal[0, :, 1] = 1.0
    assert mdp.evaluate(mdp.subject(goal, name="goal").expected)[1] == 0.0
    with pytest.raises(InputError, match="terminal state 1, which can be left"):
        TabularMDP(HALF, START, 0.9, terminal=np.array([False, True]))
    with pytest.raises(ShapeError, match="bool"):
        TabularMDP(p, START, 0.9, terminal=np.array([0, 1]))


def test_reachable_states_are_those_some_policy_visits():
    p = np.zeros((4, 2, 4))
    p[0, 0, 0] = p[0, 1, 1] = p[1, :, 0] = p[2, :, 3] = p[3, :, 0] = 1.0
    mdp = TabularMDP(p, np.eye(4)[0], 0.9)
    assert mdp.reachable.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"transitions": HALF[0]}, ShapeError, r"\(S, A, S\)"),
        ({"transitions": HALF * 1.01}, InputError, r"sum to 1.01 at \(0, 0\)"),
        ({"transitions": HALF * np.array([3.0, -1.0])}, InputError, r"negative probability at \(0, 0, 1\)"),
        ({"transitions": HALF * np.nan}, NonFiniteError, "8 values"),
        ({"transitions": "P"}, InputError, "not numeric"),
        ({"initial": np.ones(2)}, InputError, "sum to 2"),
        ({"initial": np.ones(3) / 3}, ShapeError, r"\(2,\)"),
        ({"discount": 1.0}, InputError, "never ends"),
        ({"discount": 1.5}, InputError, "from 0 to 1"),
        ({"discount": -0.5}, InputError, "from 0 to 1"),
        ({"discount": float("nan")}, NonFiniteError, "discount"),
        ({"discount": [0.9, 0.9]}, InputError, "discount"),
        ({"states": ("only one",)}, ShapeError, "2"),
    ],
)
def test_a_malformed_process_is_refused(change, error, text):
    good = {"transitions": HALF, "initial": START, "discount": 0.9}
    with pytest.raises(error, match=text):
        TabularMDP(**{**good, **change})


def test_rows_that_miss_one_by_rounding_are_renormalised():
    mdp = TabularMDP(HALF * (1 + 5e-7), START, 0.9)
    np.testing.assert_array_equal(mdp.transitions, HALF)


@pytest.mark.parametrize(
    ("policy", "error", "text"),
    [
        (lambda reward: reward, InputError, "depends on the reward"),
        (np.array([0, 2]), InputError, "0 to 1"),
        (np.ones((2, 3)) / 3, ShapeError, r"\(2, 2\)"),
        (np.ones((2, 2)), InputError, "sum to 2 at 0"),
        (np.array([[1.5, -0.5], [1.0, 0.0]]), InputError, "negative"),
    ],
)
def test_a_malformed_policy_is_refused(policy, error, text):
    with pytest.raises(error, match=text):
        TabularMDP(HALF, START, 0.9).as_policy(policy)


def test_solve_refuses_what_is_not_an_expected_reward():
    with pytest.raises(ShapeError, match="expected rewards"):
        toy3().solve(toy_reward("R1"))


def test_random_processes_are_reproducible_sparse_and_seeded():
    first, again, other = (TabularMDP.random(32, 4, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.transitions, again.transitions)
    assert (first.transitions != other.transitions).any()
    assert 3 < (first.transitions > 0).sum(-1).mean() < 8
    assert (TabularMDP.random(8, 2, deterministic=True).transitions.max(-1) == 1.0).all()
    state = np.random.get_state()[1].copy()
    TabularMDP.random(3, 2)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    with pytest.raises(InputError, match="positive"):
        TabularMDP.random(0, 2)


def test_what_a_sparse_process_writes_it_reads():
    dense = TabularMDP.random(5, 2, seed=0)
    thin = TabularMDP(dense.kernel, dense.initial, dense.discount)
    r = np.random.default_rng(0).standard_normal((5, 2))
    written = thin.as_reward(r)
    assert written.shape == (5, 2, 1)
    for mdp in (thin, dense):
        np.testing.assert_array_equal(mdp.as_reward(written)[..., 0], r)
