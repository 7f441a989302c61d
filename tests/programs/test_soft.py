"""Relaxed choices against worked numbers, their limits, and plain formulas."""

import json
from pathlib import Path

import pytest
import torch

from learnt.core.errors import InputError
from learnt.programs.schedule import temperatures
from learnt.programs.soft import Mixture, Scores, attention, gumbel, gumbel_softmax, relative_bias

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "programs_soft.json").read_text(encoding="utf-8"))


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def test_check_02_the_soft_head_gives_the_worked_scores_weights_and_outputs():
    g = GOLDEN["soft_categorical_head"]
    k, n, tau = g["k"], g["n_ctx"], g["tau"]
    eye = torch.eye(k, dtype=torch.float64)
    x = torch.stack([eye[g["tokens"]], eye[[min(i, k - 1) for i in range(n)]]])  # (m, N, k)
    query, key, value = (
        torch.einsum("m,mnk->kn", gumbel_softmax(double(g["phi"][side]), tau, dim=0, noise=False), x).view(1, k, n, 1)
        for side in "QKV"
    )
    psi = gumbel_softmax(double(g["psi"]), tau, dim=1, noise=False)
    scores = Scores.apply(torch.einsum("qk,gqnb->gknb", psi, query), key)
    torch.testing.assert_close(scores[0, :, :, 0], double(g["scores"]), rtol=0, atol=1e-9)
    weights = attention(
        scores,
        torch.ones(1, 1, n, 1, dtype=torch.bool),
        relative_bias(n, dtype=torch.float64),
        k=k,
        temperature=tau,
        noise=False,
    )
    torch.testing.assert_close(weights[0, :, :, 0], double(g["attention"]), rtol=0, atol=1e-6)
    out = Mixture.apply(weights, value)
    torch.testing.assert_close(out[0, :, :, 0].T, double(g["output"]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [4, 8])
def test_check_03_the_bias_prefers_near_left_and_last_of_all_self(n):
    worked = double(GOLDEN["fixed_relative_position_bias"][str(n)])
    torch.testing.assert_close(relative_bias(n, dtype=torch.float64), worked, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_bias_of_short_inputs_is_finite_and_puts_self_last(n):
    bias = relative_bias(n)
    assert torch.isfinite(bias).all()
    assert (bias.diagonal() == -2).all()
    assert n == 1 or bias.fill_diagonal_(0).min() >= -1


def test_check_04_the_temperature_falls_geometrically_and_ends_constant():
    g = GOLDEN["temperature_schedule_geomspace"]
    found = temperatures(g["tau_init"], g["tau_end"], epochs=g["epochs"], batches=g["batches_per_epoch"])
    torch.testing.assert_close(torch.tensor(found), double(g["per_step"]), rtol=1e-12, atol=0)
    long = temperatures(3.0, 0.01, epochs=250, batches=32)
    assert long.size == 250 * 32
    assert (long[1:].ravel() <= long[:-1].ravel().max()).all()
    assert (abs(long[-1] - 0.01) < 1e-12).all()
    assert (long.ravel()[1:] <= long.ravel()[:-1] + 1e-12).all()


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.0), (3.0, 0.0), (-1.0, -2.0), (0.01, 3.0), (float("nan"), 1.0)])
def test_check_23_a_temperature_schedule_with_zero_or_a_rise_is_refused(start, end):
    with pytest.raises(InputError, match="temperature"):
        temperatures(start, end, epochs=3, batches=2)


@pytest.mark.parametrize("tau", ["3.0", "1.0", "0.5", "0.1", "0.01"])
def test_check_05_gumbel_softmax_gives_the_worked_samples(tau):
    g = GOLDEN["gumbel_softmax"]
    noise = -(-double(g["uniform"]).log()).log()
    torch.testing.assert_close(noise, double(g["gumbel"]), rtol=0, atol=1e-12)
    sample = gumbel_softmax(double(g["logits"]), float(tau), dim=0, noise=noise)
    torch.testing.assert_close(sample, double(g["samples"][tau]), rtol=0, atol=1e-9)
    assert int(sample.argmax()) == g["argmax_index"]
    hard = gumbel_softmax(double(g["logits"]), float(tau), dim=0, noise=noise, hard=True)
    assert hard.tolist() == [0.0, 0.0, 1.0]


def test_gumbel_samples_choose_with_the_probabilities_of_the_logits():
    torch.manual_seed(0)
    logits = torch.tensor([1.0, 2.0, 0.5])
    chosen = gumbel_softmax(logits.expand(40_000, 3), 0.01, dim=1).argmax(1).bincount(minlength=3) / 40_000
    expected = logits.softmax(0)
    # four standard errors of a share; samples without noise would all choose index 1
    assert ((chosen - expected).abs() < 4 * (expected * (1 - expected) / 40_000).sqrt()).all()


def test_gumbel_numbers_are_finite_with_the_mean_and_variance_of_the_law():
    torch.manual_seed(1)
    noise = gumbel(torch.empty(200_000))
    assert torch.isfinite(noise).all()
    assert abs(float(noise.mean()) - 0.57722) < 0.012  # four standard errors
    assert abs(float(noise.var()) - torch.pi**2 / 6) < 0.04


def test_check_23_a_temperature_of_zero_is_refused():
    with pytest.raises(InputError, match="temperature"):
        gumbel_softmax(torch.zeros(3), 0.0, dim=0)


def test_check_06_a_certain_gate_copies_its_variable_and_a_soft_one_has_a_gradient():
    certain = gumbel_softmax(torch.tensor([-9.0, 9.0, -9.0]), 1e-2, dim=0, noise=False, hard=True)
    assert certain.tolist() == [0.0, 1.0, 0.0]
    phi = torch.randn(3, requires_grad=True)
    soft = gumbel_softmax(phi, 1.0, dim=0, noise=False)
    assert float(soft.detach().sum()) == pytest.approx(1.0)
    (soft * torch.tensor([1.0, 2.0, 5.0])).sum().backward()
    assert phi.grad is not None and (phi.grad != 0).all()


def test_a_hard_sample_has_the_gradient_of_the_soft_one():
    x = torch.randn(5, 4, dtype=torch.float64)
    w = torch.randn(5, 4, dtype=torch.float64)
    grads = []
    for hard in (False, True):
        leaf = x.clone().requires_grad_()
        (gumbel_softmax(leaf, 0.7, dim=1, noise=False, hard=hard) * w).sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 8, 8, 2), (3, 2, 1, 1)])
def test_scores_and_mixture_are_the_einsums_with_their_gradients(shape):
    torch.manual_seed(0)
    g, k, n, b = shape
    q, key, v = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(3))
    w = torch.randn(g, n, n, b, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(Scores.apply(q, key), torch.einsum("gaib,gajb->gijb", q, key))
    torch.testing.assert_close(Mixture.apply(w, v), torch.einsum("gijb,gajb->gaib", w, v))
    assert torch.autograd.gradcheck(Scores.apply, (q, key))
    assert torch.autograd.gradcheck(Mixture.apply, (w, v))


def test_the_two_defaults_agree_for_discrete_scores_and_differ_for_soft_ones():
    allowed = torch.ones(1, 1, 3, 1, dtype=torch.bool)
    hard = torch.tensor([[0.0, 0, 1], [0, 0, 0], [1, 1, 0]]).view(1, 3, 3, 1)
    options = {"k": 3, "temperature": 1e-3, "noise": False}
    places = [
        attention(hard, allowed, relative_bias(3), default=d, **options).argmax(2).flatten().tolist()
        for d in ("reference", "max")
    ]
    assert places[0] == places[1] == [2, 0, 1]  # row 1 matches nothing; row 2 ties at distances 2 and 1
    soft = torch.full((1, 3, 3, 1), 0.2)
    warm = {"k": 3, "temperature": 1.0, "noise": False}
    first = [
        float(attention(soft, allowed, relative_bias(3), default=d, **warm)[0, 2, 0, 0]) for d in ("reference", "max")
    ]
    assert first[1] > first[0] + 0.1


def test_nothing_is_attended_that_is_not_allowed():
    allowed = torch.tensor([True, True, False, False]).view(1, 1, 4, 1)
    weights = attention(torch.rand(2, 4, 4, 1), allowed, relative_bias(4), k=4, temperature=0.5)
    assert float(weights[:, :, 2:].abs().max()) == 0.0
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 4, 1))
