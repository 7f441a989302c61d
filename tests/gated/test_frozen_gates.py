"""Frozen gates: the same answers at first, a linear network after, and what moving gates change of XOR."""

import numpy as np
import pytest
import torch
from tests.gated.rectified import XOR, XOR_Y, net, xor_losses, xor_run
from torch import nn

from learnt.core.errors import NotApplicable
from learnt.gated.frozen_gates import freeze_gates
from learnt.gated.rectified_gates import relu_gates


@pytest.mark.parametrize("act", [nn.ReLU(), nn.LeakyReLU(0.2)])
def test_the_answers_at_first_are_those_of_the_network_and_gates_stay(act):
    model, x = net((4, 6, 5, 2), seed=0, act=act), torch.randn(20, 4, dtype=torch.float64)
    frozen = freeze_gates(model, x)
    torch.testing.assert_close(frozen(x), model(x), atol=1e-12, rtol=0)
    before = [g.clone() for g in frozen.gates(x)]
    assert np.array_equal((before[0] == 1).numpy(), relu_gates(model, x).on[0])
    with torch.no_grad():
        for p in frozen.parameters():
            p.mul_(-2.0)
    assert all(torch.equal(a, b) for a, b in zip(before, frozen.gates(x), strict=True))
    assert torch.equal(model(x), net((4, 6, 5, 2), seed=0, act=act)(x))  # nothing is shared


def test_the_answers_are_linear_in_the_weights_of_each_layer():
    x = torch.randn(9, 4, dtype=torch.float64)
    frozen = freeze_gates(net((4, 6, 2), seed=0, bias=False), x)
    once = frozen(x).detach()
    with torch.no_grad():
        frozen.weights[0].mul_(-3.0)
    torch.testing.assert_close(frozen(x), -3.0 * once, atol=1e-12, rtol=0)
    assert [p.requires_grad for p in frozen.biases] == [False, False]  # biases of zero stay zero


def test_frozen_exact_gates_of_xor_at_step_400_change_the_later_loss_a_little():
    frozen = freeze_gates(xor_run()[0], XOR)
    x, y = torch.from_numpy(XOR), torch.from_numpy(XOR_Y)
    optimiser = torch.optim.SGD([p for p in frozen.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(300):
        loss = 0.5 * (frozen(x) - y).square().sum(1).mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    gap = np.abs(np.array(losses) - xor_losses()[400:700]).max()
    assert losses[0] == pytest.approx(xor_losses()[400], abs=1e-12)
    assert gap < 0.022 + 5e-4


def test_a_linear_model_has_no_gates_to_freeze():
    with pytest.raises(NotApplicable):
        freeze_gates(nn.Linear(3, 2), np.ones((4, 3)))
