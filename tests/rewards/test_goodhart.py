"""The Goodhart angle: one angle, four names."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.rewards.goodhart import goodhart_angle
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import Minimal, minimal
from learnt.rewards.npec import npec_distance
from learnt.rewards.pearson import form_distance
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.starc import starc_distance

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

NORMS = json.loads((Path(__file__).parents[1] / "golden" / "starc_peers.json").read_text())["min_w2_D norms"]
R1, R2 = toy_reward("R1"), toy_reward("R2")
D = np.array(TOY["coverage_D_sa"])


def projected_cosine(r1, r2, mdp, weight):
    """By the orthogonal projection of sqrt(D) r on what occupancies can do, X'v = 0: an SVD, nothing of the library."""
    s, a = mdp.n_states, mdp.n_actions
    x = (mdp.discount * mdp.transitions - np.eye(s)[:, None, :]).reshape(s * a, s)
    root = np.sqrt(weight).ravel()
    left, size, _ = np.linalg.svd(root[:, None] * x, full_matrices=True)
    free = left[:, len(size) :].T
    u, v = (free @ (root * np.einsum("sak,sak->sa", mdp.transitions, r).ravel()) for r in (r1, r2))
    return u @ v / np.linalg.norm(u) / np.linalg.norm(v)


def test_the_angle_of_toy3():
    assert 2 * np.sin(goodhart_angle(R1, R2, toy3()) / 2) == pytest.approx(0.6247712335, abs=1e-10)


@pytest.mark.parametrize("weight", [None, D])
def test_the_angle_is_that_of_projections_on_the_directions_of_occupancies(weight):
    mdp = toy3()
    cosine = projected_cosine(R1, R2, mdp, np.ones((3, 2)) if weight is None else weight)
    assert np.cos(goodhart_angle(R1, R2, mdp, weight=weight)) == pytest.approx(cosine, abs=1e-12)


def test_the_weighted_forms_have_their_golden_size():
    mdp = toy3()
    for name, reward in (("R1", R1), ("R2", R2)):
        form = minimal(mdp.expected(reward), mdp, weight=D)[..., 0]
        assert np.linalg.norm(form) == pytest.approx(NORMS[name], rel=1e-10)
    assert abs(goodhart_angle(R1, R2, mdp, weight=D) - goodhart_angle(R1, R2, mdp)) > 1e-3


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_one_angle_has_four_names(mdp, seed):
    assume(mdp.n_actions > 1 and mdp.reachable.all() and not mdp.terminal.any())
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 1)
    angle = goodhart_angle(r1, r2, mdp)
    atol = 1e-10 / (1 - mdp.discount)
    starc = starc_distance(r1, r2, mdp, canonicalisation="minimal")
    assert starc == pytest.approx(2 * np.sin(angle / 2), abs=atol)
    assert starc_distance(r1, r2, mdp, canonicalisation="minimal", metric="angle") == pytest.approx(
        angle, abs=1e-7
    )  # an arcsin
    epic_type = form_distance(Minimal(), r1, r2, mdp, coverage=mdp.uniform / mdp.n_states)
    assert epic_type == pytest.approx(np.sin(angle / 2), abs=atol)
    if (mdp.transitions == 1).any(-1).all():  # one successor: NPEC has no redistribution to keep
        npec = npec_distance(r1, r2, mdp, coverage=mdp.uniform / mdp.n_states).normalised
        assert npec == pytest.approx(np.sin(angle) if angle < np.pi / 2 else 1.0, abs=atol)


@pytest.mark.parametrize("acute", [True, False])
def test_the_fourth_name_holds_where_every_action_has_one_successor(acute):
    mdp = TabularMDP.random(6, 3, deterministic=True, seed=4)
    mdp = TabularMDP(mdp.transitions, mdp.initial, mdp.discount)
    weight = np.random.default_rng(0).dirichlet(np.ones(18)).reshape(6, 3)
    r1, r2 = reward_for(mdp, 0), reward_for(mdp, 1)
    r2 = r1 + r2 if acute else r2 - 2 * r1
    angle = goodhart_angle(r1, r2, mdp, weight=weight)
    assert (angle < np.pi / 2) == acute
    npec = npec_distance(r1, r2, mdp, coverage=weight).normalised
    assert npec == pytest.approx(np.sin(angle) if acute else 1.0, abs=1e-10)


@given(mdp=processes(), seed=st.integers(0, 999), scale=st.floats(0.01, 100))
@settings(max_examples=100, deadline=None)
def test_the_angle_is_symmetric_and_ignores_shaping_redistribution_and_scale(mdp, seed, scale):
    weight = np.random.default_rng([seed, 9]).uniform(0.1, 1.0, mdp.uniform.shape)
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 1)
    angle = goodhart_angle(r1, r2, mdp, weight=weight)
    assert 0.0 <= angle <= np.pi
    assert angle == goodhart_angle(r2, r1, mdp, weight=weight)
    same = scale * redistribution(potential_shaping(r1, potential_for(mdp, seed), mdp), change_for(mdp, seed), mdp)
    atol = 1e-9 / (1 - mdp.discount)
    assert goodhart_angle(same, r2, mdp, weight=weight) == pytest.approx(angle, abs=atol)
    assert goodhart_angle(same, r1, mdp, weight=weight) <= atol
    assert goodhart_angle(same, -r1, mdp, weight=weight) in (0.0, pytest.approx(np.pi, abs=atol))


def test_trivial_rewards_are_at_0_from_each_other_and_a_right_angle_from_others():
    mdp, zero = toy3(), np.zeros((3, 2, 3))
    potential = potential_shaping(zero, 1e6 * np.array(TOY["phi"]), mdp)
    assert goodhart_angle(zero, potential, mdp) == 0.0
    assert goodhart_angle(R1, potential, mdp) == goodhart_angle(potential, R1, mdp) == np.pi / 2


def test_sparse_processes_and_huge_rewards_give_the_same_angle():
    mdp = toy3()
    thin = TabularMDP(sparse.csr_array(mdp.transitions.reshape(6, 3)), mdp.initial, mdp.discount)
    angle = goodhart_angle(R1, R2, mdp, weight=D)
    assert goodhart_angle(R1, R2, thin, weight=D) == pytest.approx(angle, abs=1e-12)
    assert goodhart_angle(1e200 * R1, 1e-200 * R2, mdp, weight=D) == pytest.approx(angle, abs=1e-12)


def test_check_21_bad_input_is_refused():
    mdp = toy3()
    with pytest.raises(ShapeError, match="weight"):
        goodhart_angle(R1, R2, mdp, weight=np.ones((2, 3)))
    with pytest.raises(InputError, match="weight"):
        goodhart_angle(R1, R2, mdp, weight=np.zeros((3, 2)))
    with pytest.raises(NonFiniteError, match="r1"):
        goodhart_angle(np.full((3, 2, 3), np.nan), R2, mdp)
