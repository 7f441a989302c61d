"""The certified gain is never above the true one, and is not empty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import NotApplicable
from learnt.rewards.improvement import improvement
from learnt.rewards.mdp import TabularMDP

from .worlds import toy3, toy_reward


def test_no_random_policy_gains_less_than_certified():
    mdp, rng = toy3(), np.random.default_rng(0)
    naive = 0
    for _ in range(2000):
        policy = rng.dirichlet(np.ones(2) * rng.choice([0.1, 1, 10]), 3)
        found = improvement(toy_reward("R1"), toy_reward("R2"), mdp, policy)
        assert found.gain >= found.certified - 1e-10
        naive += found.gain < found.cosine * found.proxy_gain - 1e-10
    assert naive > 100  # the control: without its second term the bound would be wrong


@given(seed=st.integers(0, 500))
@settings(max_examples=100, deadline=None)
def test_equal_rewards_are_certified_to_the_full_gain_and_noise_takes_away(seed):
    mdp, rng = TabularMDP.random(5, 3, seed=seed, discount=0.9), np.random.default_rng(seed)
    r, noise = rng.standard_normal((2, 5, 3))
    best = mdp.solve(r).actions
    same = improvement(r, 3 * r + 1, mdp, best)
    assert same.certified == pytest.approx(same.gain, abs=1e-5) and same.gain > 0
    other = improvement(r, r + 0.1 * noise, mdp, best)
    assert other.certified <= other.gain + 1e-9 and other.cosine < 1
    zero = improvement(r, r + noise, mdp, mdp.uniform)
    assert (zero.gain, zero.divergence, zero.certified) == pytest.approx((0, 0, 0), abs=1e-6)


def test_the_true_gain_is_the_difference_in_return():
    mdp, r = toy3(), toy_reward("R1")
    reference = np.array([0, 1, 0])
    found = improvement(r, r, mdp, mdp.uniform, reference=np.full((3, 2), 0.5))
    assert found.gain == pytest.approx(0, abs=1e-12)
    with pytest.raises(NotApplicable, match="wherever the reference policy goes"):
        improvement(r, r, mdp, mdp.uniform, reference=reference)  # a deterministic policy has no advantage of its own


def test_going_where_the_reference_never_goes_is_certified_for_nothing():
    mdp, r = toy3(), toy_reward("R1")
    reference = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    found = improvement(r, toy_reward("R2"), mdp, mdp.uniform, reference=reference)
    assert found.divergence == np.inf and found.certified == -np.inf
    with pytest.raises(NotApplicable):
        improvement(np.zeros((3, 2)), r, mdp, mdp.uniform)
