import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.robustness.attacks import (
    Attack,
    adversaries,
    calibrate_eps,
    doubt,
    fgsm,
    fooled,
    pgd,
    random_start,
    step_sign,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "robustness.json").read_text())
W1, B1, W2, B2, X, Y = (np.array(GOLDEN[k]) for k in ("W1", "b1", "W2", "b2", "x", "y"))


@pytest.fixture
def foolbox():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports a name that scipy has deprecated
        return pytest.importorskip("foolbox", reason="the reference for the attacks is not installed")


def tanh_net() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    for layer, weight, bias in ((model[0], W1, B1), (model[2], W2, B2)):
        layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    return model


def by_hand(eps: float, alpha: float, steps: int) -> np.ndarray:
    """I-FGSM with the gradient of the plain cross-entropy worked out by hand, in numpy."""
    x = X.copy()
    for _ in range(steps):
        hidden = np.tanh(x @ W1.T + B1)
        z = hidden @ W2.T + B2
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        p[np.arange(len(Y)), Y] -= 1
        x = np.clip(np.clip(x + alpha * np.sign(((p @ W2) * (1 - hidden**2)) @ W1), X - eps, X + eps), 0, 1)
    return x


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"eps={c['eps']}, steps={c['steps']}")
def test_adversarial_inputs_equal_the_golden_ones_and_the_derivation_by_hand(case):
    eps, alpha, steps = case["eps"], case["alpha"], case["steps"]
    ours = pgd(tanh_net(), torch.from_numpy(X), torch.from_numpy(Y), eps=eps, alpha=alpha, steps=steps, low=0, high=1)
    assert np.abs(ours.numpy() - np.array(case["x_adv"])).max() < 1e-12
    assert np.abs(ours.numpy() - by_hand(eps, alpha, steps)).max() < 1e-12
    data = Examples(inputs=torch.from_numpy(X), labels=torch.from_numpy(Y), low=0.0, high=1.0)
    subject = data.subject(tanh_net(), name="golden")
    assert fooled(subject, np.arange(10), ours)[0].tolist() == case["fooled"]


@pytest.mark.parametrize(("eps", "steps"), [(0.03, 5), (0.1, 20)])
def test_iterated_fgsm_equals_foolbox(foolbox, net, images, eps, steps):
    model = net(1).eval()
    attack = foolbox.attacks.LinfBasicIterativeAttack(rel_stepsize=0.25, steps=steps, random_start=False)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    _, reference, _ = attack(wrapped, images.inputs, images.labels, epsilons=[eps])
    ours = pgd(model, images.inputs, images.labels, eps=eps, steps=steps, low=0, high=1)
    assert (ours - reference[0]).abs().max() < 1e-6


def test_fgsm_equals_foolbox(foolbox, net, images):
    model = net(1).eval()
    attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    _, reference, _ = attack(wrapped, images.inputs, images.labels, epsilons=[0.07])
    ours = fgsm(model, images.inputs, images.labels, eps=0.07, low=0, high=1)
    assert (ours - reference[0]).abs().max() < 1e-6


def test_the_loss_is_the_log_odds_of_the_cross_entropy():
    logits, labels = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0, 1])
    p = logits.softmax(1)[torch.arange(6), labels]
    assert torch.allclose(doubt(logits, labels), ((1 - p) / p).log())


def test_a_model_too_sure_for_float32_is_still_attacked():
    weight = torch.tensor([[300.0, -100.0], [-300.0, 100.0]])
    x, y = torch.tensor([[0.9, 0.1]]), torch.tensor([0])
    leaf = x.clone().requires_grad_()
    nn.functional.cross_entropy(leaf @ weight.T, y).backward()
    assert not leaf.grad.any()  # the plain loss has no gradient left
    assert step_sign(lambda v: v @ weight.T, x, y).tolist() == [[-1.0, 1.0]]


@given(
    eps=st.floats(0, 0.5), steps=st.integers(1, 6), seed=st.integers(0, 50), stop=st.booleans(), restart=st.booleans()
)
def test_adversarial_inputs_stay_in_the_ball_and_in_the_range(eps, steps, seed, stop, restart):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(5, 4, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    keys = np.arange(5, dtype=np.uint64)
    start = random_start(keys, x, eps, salt=seed) if restart else None
    moved = pgd(tanh_net(), x, y, eps=eps, steps=steps, low=0, high=1, start=start, stop=stop)
    assert (moved - x).abs().max() <= eps + 1e-12
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_a_radius_of_zero_changes_nothing(images, net):
    assert torch.equal(pgd(net().eval(), images.inputs, images.labels, eps=0.0, low=0, high=1), images.inputs)


@pytest.mark.parametrize(
    "attack",
    [Attack(eps=0.08), Attack(method="fgsm", eps=0.08), Attack(eps=0.08, restart=3), Attack(eps=0.08, stop=True)],
)
def test_batch_size_and_order_do_not_matter(net, images, attack):
    index = np.arange(20)
    whole = adversaries(images.subject(net(1), name="m"), index, attack)
    pieces = adversaries(images.subject(net(1), name="m", batch_size=3), index, attack)
    backwards = adversaries(images.take(index[::-1].copy()).subject(net(1), name="m"), index, attack)
    assert (whole - pieces).abs().max() < 1e-6
    assert (whole - backwards.flip(0)).abs().max() < 1e-6


def test_stopping_freezes_each_example_once_it_is_fooled_and_no_other():
    x, y, model = torch.from_numpy(X), torch.from_numpy(Y), tanh_net()
    clean = model(x).argmax(1)
    settings = {"eps": 0.3, "alpha": 0.1, "low": 0.0, "high": 1.0}
    path = [pgd(model, x, y, steps=k, **settings) for k in range(1, 8)]
    fooled_at = torch.stack([model(p).argmax(1) != clean for p in path])
    stopped = pgd(model, x, y, steps=7, stop=True, **settings)
    assert fooled_at.any()
    for i in range(len(x)):
        first = int(fooled_at[:, i].double().argmax()) if fooled_at[:, i].any() else 6
        assert torch.allclose(stopped[i], path[first][i])


def test_random_starts_depend_on_the_key_and_salt_and_fill_the_ball():
    x, keys = torch.zeros(3, 2, 20, 20), np.array([7, 8, 7], dtype=np.uint64)
    start = random_start(keys, x, 0.1, salt=1)
    assert torch.equal(start[0], start[2])
    assert not torch.equal(start[0], start[1])
    assert not torch.equal(start, random_start(keys, x, 0.1, salt=2))
    assert abs(float(start.mean())) < 0.01
    assert float(start.abs().max()) <= 0.1
    assert float(start[:2].std()) == pytest.approx(0.1 / 3**0.5, rel=0.05)
    assert start[0].unique().numel() == 800


def test_calibration_finds_a_radius_that_fools_the_wanted_share():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(400, 4, generator=generator)
    model = tanh_net().float()
    data = Examples(inputs=x, labels=model(x).argmax(1), low=0.0, high=1.0)
    subject = data.subject(model, name="m")
    for target in (0.3, 0.85):
        eps, rate = calibrate_eps(subject, np.arange(400), Attack(steps=3), target=target)
        assert abs(rate - target) <= 0.03
        again = fooled(subject, np.arange(400), adversaries(subject, np.arange(400), Attack(steps=3, eps=eps)))[0]
        assert again.mean() == pytest.approx(rate)


def test_calibration_gives_the_nearest_radius_where_the_target_is_out_of_reach(images):
    constant = nn.Sequential(nn.Flatten(), nn.Linear(200, 3))
    nn.init.zeros_(constant[1].weight)
    eps, rate = calibrate_eps(images.subject(constant, name="m"), np.arange(20), Attack())
    assert rate == 0.0
    assert 0 < eps <= 0.5


def test_a_frozen_model_is_attacked_and_one_that_ignores_its_input_is_not_moved(net, images):
    one = adversaries(images.subject(net(1), name="m"), np.arange(20), Attack())
    two = adversaries(images.subject(net(1, frozen=True), name="m"), np.arange(20), Attack())
    assert torch.equal(one, two)
    dead = net(1)
    nn.init.zeros_(dead[-1].weight)
    assert torch.equal(adversaries(images.subject(dead, name="m"), np.arange(20), Attack()), images.inputs)


def test_what_cannot_be_attacked_is_said(net, images):
    index = np.arange(20)
    with pytest.raises(NotApplicable, match="nn.Module"):
        adversaries(images.subject(lambda x: x.flatten(1)[:, :3] + 2, name="f"), index, Attack())
    unbounded = Examples(inputs=images.inputs, labels=images.labels)
    with pytest.raises(NotApplicable, match="range"):
        adversaries(unbounded.subject(net(), name="m"), index, Attack())
    unlabelled = Examples(inputs=images.inputs, low=0.0, high=1.0)
    with pytest.raises(NotApplicable, match="labels"):
        adversaries(unlabelled.subject(net(), name="m"), index, Attack())


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"eps": -0.1}, InputError), ({"eps": float("nan")}, InputError), ({"steps": 0}, InputError), ({"low": 1.0}, InputError),
        ({"high": 0.5}, InputError), ({"labels": torch.zeros(3, dtype=torch.int64)}, ShapeError),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(net, images, changed, error):
    settings = {"eps": 0.1, "low": 0.0, "high": 1.0, "labels": images.labels} | changed
    labels = settings.pop("labels")
    with pytest.raises(error):
        pgd(net(), images.inputs, labels, **settings)


def test_an_attack_without_a_name_or_stride_is_refused():
    with pytest.raises(InputError):
        Attack(method="cw")
    with pytest.raises(InputError):
        Attack(stride=0.0)


def test_the_model_is_left_as_it_was_also_when_something_fails_inside(net, images, untouched):
    class Failing(nn.Module):
        def forward(self, x):
            if torch.is_grad_enabled():
                raise RuntimeError("inside")
            return x

    model = net(3)
    nn.functional.cross_entropy(model(images.inputs), images.labels).backward()
    with untouched(model, images.inputs):
        adversaries(images.subject(model, name="m"), np.arange(20), Attack(restart=1))
    model = nn.Sequential(*net(3), Failing())
    with untouched(model, images.inputs), pytest.raises(RuntimeError, match="inside"):
        adversaries(images.subject(model, name="m"), np.arange(20), Attack())
