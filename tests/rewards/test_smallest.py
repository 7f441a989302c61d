"""The smallest rewards of a class are in the class, and nothing in it is smaller."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.rewards.norms import norm_of
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.smallest import smallest_equivalent
from learnt.rewards.starc import starc_distance

from .worlds import change_for, potential_for, processes, reward_for, toy3, toy_reward

NORMS = ("weighted_l1", "essential_linf", "l1", "linf")


@given(mdp=processes(), seed=st.integers(0, 99), norm=st.sampled_from(NORMS))
@settings(max_examples=60, deadline=None)
def test_the_result_is_equivalent_and_does_not_depend_on_where_in_the_class_one_starts(mdp, seed, norm):
    r = reward_for(mdp, seed)
    found = smallest_equivalent(r, mdp, norm)
    full = np.broadcast_to(found.reward, mdp.transitions.shape)
    assert starc_distance(full, r, mdp) == pytest.approx(0.0, abs=1e-6)
    assert found.size == pytest.approx(norm_of(found.reward, mdp, norm), rel=1e-9, abs=1e-9)
    assert found.size <= found.before + 1e-9
    moved = potential_shaping(r, potential_for(mdp, seed), mdp)
    if norm in ("weighted_l1", "essential_linf"):
        moved = redistribution(moved, change_for(mdp, seed), mdp)
    again = smallest_equivalent(moved, mdp, norm)
    assert again.size == pytest.approx(found.size, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("norm", NORMS)
def test_no_other_reward_of_the_class_is_smaller(norm):
    mdp, rng = toy3(), np.random.default_rng(0)
    found = smallest_equivalent(toy_reward("R1"), mdp, norm)
    full = np.broadcast_to(found.reward, (3, 2, 3))
    for _ in range(300):
        other = potential_shaping(full, 10.0 ** rng.uniform(-4, 1) * rng.standard_normal(3), mdp)
        assert norm_of(other, mdp, norm) >= found.size - 1e-9 or norm in ("weighted_l1", "essential_linf")
        assert norm_of(mdp.expected(other)[..., None], mdp, norm) >= found.size - 1e-9 or norm in ("l1", "linf")


def test_a_potential_has_nothing_left():
    mdp = toy3()
    for norm in NORMS:
        found = smallest_equivalent(toy_reward("R6_pure_potential"), mdp, norm)
        assert found.size == pytest.approx(0, abs=1e-9) and found.before > 1


def test_an_unknown_norm_is_an_error():
    with pytest.raises(InputError, match="one of weighted_l1"):
        smallest_equivalent(toy_reward("R1"), toy3(), "l2")
