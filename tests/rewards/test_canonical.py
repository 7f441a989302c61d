"""Canonical forms: golden numbers, and Definition 1 of the paper as properties over random processes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.rewards.canonical import VALID, canonical
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import minimal, minimal_l2
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.val import val

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

FORMS = st.sampled_from(VALID)


def expected(mdp, reward):
    return np.einsum("sak,...sak->...sa", mdp.transitions, reward)


def design(mdp):
    """X of shape (S A, S): what potentials of live states add to expected rewards."""
    s, a = mdp.n_states, mdp.n_actions
    x = mdp.discount * mdp.transitions - np.eye(s)[:, None, :]
    x = np.where(mdp.terminal[:, None, None], 0.0, x)
    return x.reshape(s * a, s)[:, ~mdp.terminal]


def test_golden_forms_come_out():
    mdp, golden = toy3(), TOY["canonical"]
    r1, r2 = (expected(mdp, toy_reward(n)) for n in ("R1", "R2"))
    for r, name in ((r1, "R1"), (r2, "R2")):
        form = val(r, mdp)[..., 0]
        np.testing.assert_allclose(form[:, 0], golden[f"val uniform {name}"], atol=1e-10)
        np.testing.assert_allclose(form[:, 1], np.negative(golden[f"val uniform {name}"]), atol=1e-10)
    np.testing.assert_allclose(val(r1, mdp, np.array(TOY["pi_s"]))[..., 0], golden["val pi_s R1"], atol=1e-10)
    np.testing.assert_allclose(minimal(r1, mdp)[..., 0], golden["minimal R1"], atol=1e-10)


@given(mdp=processes(), form=FORMS, seed=st.integers(0, 999), scale=st.floats(0.01, 100))
@settings(max_examples=200, deadline=None)
def test_check_04_shaping_redistribution_and_scale_pass_through_as_they_must(mdp, form, seed, scale):
    r = reward_for(mdp, seed)
    changed = scale * redistribution(potential_shaping(r, potential_for(mdp, seed), mdp), change_for(mdp, seed), mdp)
    reference = scale * canonical(r, mdp, form)
    size = scale * (1 + np.abs(changed).max() / scale) / (1 - mdp.discount)
    np.testing.assert_allclose(canonical(changed, mdp, form), reference, atol=1e-12 * size, rtol=0)


@given(mdp=processes(), form=FORMS, seed=st.integers(0, 999))
@settings(max_examples=200, deadline=None)
def test_check_04_forms_are_linear_idempotent_and_stay_in_their_class(mdp, form, seed):
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 1)
    shape = mdp.transitions.shape
    c1, c2 = (np.broadcast_to(canonical(r, mdp, form), shape) for r in (r1, r2))
    atol = 1e-12 / (1 - mdp.discount)
    np.testing.assert_allclose(canonical(2 * r1 - 3 * r2, mdp, form) + 0 * c1, 2 * c1 - 3 * c2, atol=10 * atol)
    np.testing.assert_allclose(canonical(c1, mdp, form) + 0 * c1, c1, atol=10 * atol)
    if mdp.reachable.all():  # elsewhere the form is zero by definition
        change = (expected(mdp, c1) - expected(mdp, r1)).ravel()
        x = design(mdp)
        left = change - x @ np.linalg.lstsq(x, change)[0]
        np.testing.assert_allclose(left, 0.0, atol=1e-9)


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_val_has_mean_zero_under_its_policy_and_is_the_advantage(mdp, seed):
    policy = np.random.default_rng(seed).dirichlet(np.ones(mdp.n_actions), mdp.n_states)
    r = expected(mdp, reward_for(mdp, seed))
    form = val(r, mdp, policy)[..., 0]
    np.testing.assert_allclose((policy * form).sum(1), 0.0, atol=1e-11 / (1 - mdp.discount))


@pytest.mark.parametrize("form", ["minimal", "minimal_l2"])
def test_minimal_forms_are_the_smallest_of_their_class(form):
    mdp, rng = toy3(), np.random.default_rng(0)
    c = np.broadcast_to(canonical(toy_reward("R1"), mdp, form), (3, 2, 3))
    weight = mdp.transitions if form == "minimal" else np.ones((3, 2, 3))
    size = (weight * c**2).sum()
    for _ in range(1000):
        step = 10.0 ** rng.uniform(-4, 1)
        other = potential_shaping(c, step * rng.standard_normal(3), mdp)
        other = redistribution(other, step * rng.standard_normal((3, 2, 3)), mdp)
        assert (weight * other**2).sum() >= size - 1e-12


def test_minimal_is_orthogonal_to_every_potential_under_its_weight():
    mdp = toy3()
    r, weight = expected(mdp, toy_reward("R1")), np.array(TOY["coverage_D_sa"])
    np.testing.assert_allclose(design(mdp).T @ minimal(r, mdp).ravel(), 0.0, atol=1e-12)
    np.testing.assert_allclose(
        design(mdp).T @ (weight[..., None] * minimal(r, mdp, weight=weight)).ravel(), 0.0, atol=1e-12
    )
    size = np.sqrt((mdp.transitions * minimal(r, mdp, weight=weight) ** 2).sum())
    assert size == pytest.approx(TOY["norms"]["min_w2_D"]["R1"]["w2"], rel=1e-10)


@pytest.mark.parametrize("form", [val, minimal, minimal_l2])
def test_a_batch_of_rewards_gives_what_each_gives_alone(form):
    mdp = TabularMDP.random(7, 3, seed=2)
    batch = np.random.default_rng(0).standard_normal((2, 4, 7, 3))
    whole = form(batch, mdp)
    for i in np.ndindex(2, 4):
        np.testing.assert_allclose(whole[i], form(batch[i], mdp), atol=1e-12)


def test_many_rewards_share_one_factorisation():
    mdp = TabularMDP.random(7, 3, seed=2)
    for _ in range(3):
        for form in VALID:
            canonical(reward_for(mdp, 0), mdp, form)
    assert sorted(key[0] for key in mdp._factors) == ["policy", "projection", "projection"]


def test_none_changes_nothing_and_is_not_declared_a_canonical_form():
    np.testing.assert_array_equal(canonical(toy_reward("R1"), toy3(), "none"), toy_reward("R1"))
    assert "none" not in VALID


@given(mdp=processes(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_shaping_moves_every_return_by_the_same_constant_and_redistribution_moves_none(mdp, seed):
    r, phi = reward_for(mdp, seed), potential_for(mdp, seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(mdp.n_actions), mdp.n_states)
    j = lambda x: float(mdp.initial @ mdp.evaluate(expected(mdp, x), policy))
    size = (1 + np.abs(phi).max()) / (1 - mdp.discount)
    assert j(potential_shaping(r, phi, mdp)) - j(r) == pytest.approx(-float(mdp.initial @ phi), abs=1e-10 * size)
    assert j(redistribution(r, change_for(mdp, seed), mdp)) == pytest.approx(j(r), abs=1e-10 * size)


def test_bad_input_is_an_error():
    mdp, r = toy3(), toy_reward("R1")
    with pytest.raises(InputError, match="one of val, minimal, minimal_l2, epic"):
        canonical(r, mdp, "vall")
    with pytest.raises(InputError, match="only with 'val' or 'val_potential'"):
        canonical(r, mdp, "minimal", policy=mdp.uniform)
    with pytest.raises(InputError, match="only with 'minimal' or 'minimal_potential'"):
        canonical(r, mdp, "val", weight=np.ones((3, 2)))
    with pytest.raises(InputError, match="depends on the reward"):
        canonical(r, mdp, "val", policy=lambda reward: reward)
    with pytest.raises(InputError, match="not positive"):
        canonical(r, mdp, "minimal", weight=np.zeros((3, 2)))
    with pytest.raises(ShapeError, match=r"\[S, A, S\] = \(3, 2, 3\)"):
        canonical(r[0], mdp)
    with pytest.raises(ShapeError, match="3, 2"):
        val(r, mdp)
    with pytest.raises(NonFiniteError):
        val(np.full((3, 2), np.inf), mdp)
    with pytest.raises(ShapeError, match="potential"):
        potential_shaping(r, np.zeros(4), mdp)
    p = np.full((2, 1, 2), 0.5)
    p[1] = [[0.0, 1.0]]
    ends = TabularMDP(p, np.array([1.0, 0.0]), 0.9, terminal=np.array([False, True]))
    with pytest.raises(InputError, match="terminal"):
        potential_shaping(np.zeros((2, 1, 2)), np.ones(2), ends)
