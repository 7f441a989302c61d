"""STARC distances in torch: equal to the exact ones, batched, in both precisions, with gradients that are right."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.rewards.canonical import canonical
from learnt.rewards.differentiable import canonical_torch, starc_distance_torch
from learnt.rewards.gridworld import grid_world
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.starc import starc_distance

from .worlds import TOY, potential_for, processes, reward_for, toy3, toy_reward

FORMS = ("val", "minimal")
NORMS = ("weighted_l2", "l2", "weighted_l1", "l1", "linf")


def tensor(array, dtype=torch.float64):
    return torch.tensor(np.asarray(array), dtype=dtype)


def states(mdp):
    return {"reachable": torch.tensor(mdp.reachable), "terminal": torch.tensor(mdp.terminal)}


def in_torch(r1, r2, mdp, dtype=torch.float64, **options):
    tensors = (tensor(x, dtype) for x in (r1, r2, mdp.transitions))
    return starc_distance_torch(*tensors, mdp.discount, **states(mdp), **options)


@given(mdp=processes(), seed=st.integers(0, 999), form=st.sampled_from(FORMS), norm=st.sampled_from(NORMS))
@settings(max_examples=60, deadline=None)
def test_check_23_the_torch_path_agrees_with_the_exact_one_to_1e_10(mdp, seed, form, norm):
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 5000)
    exact = starc_distance(r1, r2, mdp, canonicalisation=form, normalisation=norm)
    assert float(in_torch(r1, r2, mdp, canonicalisation=form, norm=norm)) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("policy", ["pi_s", "pi_det"])
def test_any_fixed_policy_gives_the_exact_number(policy):
    mdp, pi = toy3(), np.array(TOY[policy], dtype=float)
    exact = starc_distance(toy_reward("R1"), toy_reward("R2"), mdp, policy=pi)
    found = in_torch(toy_reward("R1"), toy_reward("R2"), mdp, policy=tensor(pi))
    assert float(found) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("discount", [0.5, 0.95, 0.99])
def test_check_23_float32_agrees_with_float64_to_1e_4(form, discount):
    for seed in range(5):
        mdp = TabularMDP.random(32, 4, discount=discount, seed=seed)
        r1, r2 = 3 * reward_for(mdp, seed), reward_for(mdp, seed + 1) + 2.0
        near = r1 + 0.05 * r2
        for other in (r2, near, -r1):
            exact = starc_distance(r1, other, mdp, canonicalisation=form)
            found = in_torch(r1, other, mdp, torch.float32, canonicalisation=form)
            assert found.dtype == torch.float32
            assert float(found) == pytest.approx(exact, abs=1e-4)


def test_float32_still_sees_through_shaping_in_a_grid_world():
    world = grid_world(5, 5, slip=0.1, terminal=[(4, 4)])
    reward, phi = reward_for(world, 0), potential_for(world, 0)
    shaped = np.where(world.terminal[:, None, None], 0.0, reward + world.discount * phi - phi[:, None, None])
    for form in FORMS:
        assert float(in_torch(reward, 2 * shaped, world, torch.float32, canonicalisation=form)) < 1e-4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("norm", ["weighted_l2", "l2"])
def test_check_23_gradients_pass_gradcheck_in_both_rewards(form, norm):
    mdp = toy3()
    r1, r2 = (tensor(toy_reward(name)).requires_grad_() for name in ("R1", "R2"))
    p = tensor(mdp.transitions)

    def distance(a, b):
        return starc_distance_torch(a, b, p, mdp.discount, canonicalisation=form, norm=norm)

    assert torch.autograd.gradcheck(distance, (r1, r2))


@given(mdp=processes(), seed=st.integers(0, 999), form=st.sampled_from(FORMS))
@settings(max_examples=25, deadline=None)
def test_check_23_gradients_pass_gradcheck_over_random_processes(mdp, seed, form):
    r1, r2 = (tensor(reward_for(mdp, seed + k)).requires_grad_() for k in (0, 5000))
    p = tensor(mdp.transitions)
    options = {**states(mdp), "canonicalisation": form}
    with torch.no_grad():
        d = starc_distance_torch(r1, r2, p, mdp.discount, **options)
        sizes = [float(canonical_torch(r, p, mdp.discount, **options).norm()) for r in (r1, r2)]
    if float(d) > 1e-2 and min(sizes) > 1e-2:  # away from trivial rewards and from d's kink at 0
        assert torch.autograd.gradcheck(
            lambda a, b: starc_distance_torch(a, b, p, mdp.discount, **options), (r1, r2), atol=1e-4
        )


def test_the_transitions_have_gradients_too():
    p = tensor(toy3().transitions).requires_grad_()
    for form in FORMS:
        d = starc_distance_torch(tensor(toy_reward("R1")), tensor(toy_reward("R2")), p, 0.9, canonicalisation=form)
        (slope,) = torch.autograd.grad(d, p)
        assert torch.isfinite(slope).all() and slope.abs().max() > 0


@pytest.mark.parametrize("form", FORMS)
def test_equal_and_trivial_rewards_have_finite_gradients(form):
    p = tensor(toy3().transitions)
    r1 = tensor(toy_reward("R1"))
    for other, expected in ((r1, 0.0), (torch.zeros_like(r1), 1.0), (tensor(toy_reward("R6_pure_potential")), 1.0)):
        a, b = r1.clone().requires_grad_(), other.clone().requires_grad_()
        d = starc_distance_torch(a, b, p, 0.9, canonicalisation=form)
        d.backward()
        assert float(d.detach()) == pytest.approx(expected, abs=1e-12)
        assert a.grad is not None and b.grad is not None
        assert torch.isfinite(a.grad).all() and torch.isfinite(b.grad).all()
        assert b.grad.abs().max() == 0


@pytest.mark.parametrize("form", FORMS)
def test_no_gradient_leads_along_what_no_policy_can_notice(form):
    mdp, r1 = toy3(), tensor(toy_reward("R1")).requires_grad_()
    d = starc_distance_torch(r1, tensor(toy_reward("R2")), tensor(mdp.transitions), 0.9, canonicalisation=form)
    (slope,) = torch.autograd.grad(d, r1)
    shaping = tensor(toy_reward("R6_pure_potential"))
    nothing = tensor(TOY["K_redistribution"])
    for direction in (shaping, nothing, r1.detach()):
        assert float((slope * direction).sum()) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_batches_of_rewards_and_processes_give_the_single_numbers(form):
    worlds = [TabularMDP.random(5, 3, seed=seed) for seed in range(3)]
    p = torch.stack([tensor(w.transitions) for w in worlds])[:, None]
    rewards = torch.stack([tensor(reward_for(worlds[0], k)) for k in range(4)])
    other = tensor(reward_for(worlds[0], 99))
    found = starc_distance_torch(rewards, other, p, 0.95, canonicalisation=form)
    assert found.shape == (3, 4)
    for i, world in enumerate(worlds):
        assert world.reachable.all()
        for k in range(4):
            exact = starc_distance(rewards[k].numpy(), other.numpy(), world, canonicalisation=form)
            assert float(found[i, k]) == pytest.approx(exact, abs=1e-10)
    flat = canonical_torch(rewards[..., :1], p, 0.95, canonicalisation=form)
    assert flat.shape == (3, 4, 5, 3)
    unfolded = canonical(rewards[1, ..., :1].numpy(), worlds[2], form)
    np.testing.assert_allclose(flat[2, 1].numpy(), unfolded[..., 0], atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_stands_on_impossible_transitions_is_no_scale(dtype):
    world = grid_world(3, 3)
    reward = reward_for(world, 0)
    filled = np.where(world.transitions > 0, reward, float(np.finfo(np.float32).min))
    assert float(in_torch(filled, reward, world, dtype)) < 1e-6


DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", FORMS)
def test_check_23_the_number_is_the_same_on_every_device(device, form):
    mdp = toy3()
    for dtype, close in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        r1, r2, p = (tensor(x, dtype).to(device) for x in (toy_reward("R1"), toy_reward("R2"), mdp.transitions))
        r1.requires_grad_()
        d = starc_distance_torch(r1, r2, p, 0.9, canonicalisation=form)
        d.backward()
        exact = starc_distance(toy_reward("R1"), toy_reward("R2"), mdp, canonicalisation=form)
        assert d.device.type == device and float(d.detach()) == pytest.approx(exact, abs=close)
        assert r1.grad is not None and r1.grad.device.type == device


def test_a_reward_descends_to_another_ones_order_of_policies():
    mdp = toy3()
    target, p = tensor(toy_reward("R1")), tensor(mdp.transitions)
    learnt = tensor(toy_reward("R2")).requires_grad_()
    optimizer = torch.optim.Adam([learnt], lr=0.05)
    start = float(starc_distance_torch(learnt, target, p, 0.9).detach())
    for _ in range(150):
        optimizer.zero_grad()
        d = starc_distance_torch(learnt, target, p, 0.9)
        (d * d).backward()
        optimizer.step()
    assert start > 0.5 and starc_distance(learnt.detach().numpy(), toy_reward("R1"), mdp) < 0.01


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"r1": torch.zeros(3, 2)}, ShapeError, "r1"),
        ({"r1": torch.full((3, 2, 3), float("nan"), dtype=torch.float64)}, NonFiniteError, "r1"),
        ({"r2": torch.zeros(3, 2, 3)}, InputError, "float32"),
        ({"transitions": torch.ones(3, 2, 3, dtype=torch.float64)}, InputError, "transitions"),
        ({"transitions": torch.ones(3, 2, 2, dtype=torch.float64)}, ShapeError, "transitions"),
        ({"transitions": torch.ones(3, 2, 3, dtype=torch.int64)}, InputError, "int64"),
        ({"transitions": torch.ones(3, 2, 3, dtype=torch.float16)}, InputError, "float16"),
        ({"discount": 1.0}, InputError, "discount"),
        ({"canonicalisation": "epic"}, InputError, "epic"),
        ({"norm": "l3"}, InputError, "l3"),
        ({"policy": torch.ones(3, 2, dtype=torch.float64)}, InputError, "policy"),
        ({"policy": torch.ones(2, dtype=torch.float64)}, ShapeError, "policy"),
        ({"policy": torch.ones(3, 2), "canonicalisation": "minimal"}, InputError, "only with 'val'"),
        ({"reachable": torch.ones(2, dtype=torch.bool)}, ShapeError, "reachable"),
    ],
)
def test_bad_input_is_named(change, error, text):
    reward = tensor(toy_reward("R1"))
    given = {"r1": reward, "r2": reward, "transitions": tensor(toy3().transitions), "discount": 0.9} | change
    r1, r2, p, gamma = (given.pop(key) for key in ("r1", "r2", "transitions", "discount"))
    with pytest.raises(error, match=text):
        starc_distance_torch(r1, r2, p, gamma, **given)
