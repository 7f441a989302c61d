"""Gates of rectified networks: what is read, what is refused, and why exact and effective gates differ."""

import time

import numpy as np
import pytest
import torch
from tests.gated.rectified import XOR, net, xor_losses, xor_run
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated.rectified_gates import relu_gates
from learnt.train.nets import mlp


def test_gates_are_the_signs_of_the_pre_activations():
    model, x = net((5, 7, 6, 3), seed=0), np.random.default_rng(0).normal(size=(40, 5))
    found = relu_gates(model, x)
    h = torch.from_numpy(x)
    for layer, on, margin in zip((model[0], model[2]), found.on, found.margins, strict=True):
        z = layer(h)
        assert np.array_equal(on, (z > 0).numpy())
        size = (layer.weight.square().sum(1) + layer.bias.square()).sqrt() * (
            h.square().sum(1, keepdim=True) + 1
        ).sqrt()
        np.testing.assert_allclose(margin, (z / size).detach().numpy(), atol=1e-6)
        h = torch.relu(z)
    assert [c.tolist() for c in found.counts] == [on.sum(0).tolist() for on in found.on]


@pytest.mark.parametrize("kind", ["module", "function", "method", "clamp"])
def test_it_does_not_matter_how_the_rectifier_is_written(kind):
    rectify = {
        "module": nn.ReLU(),
        "function": torch.relu,
        "method": lambda z: z.relu(),
        "clamp": lambda z: z.clamp(min=0),
    }

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(6, 2), nn.Linear(4, 6)

        def forward(self, x):
            return self.last(rectify[kind](self.first(x.flatten(1))))

    torch.manual_seed(0)
    found = relu_gates(Own(), np.random.default_rng(0).normal(size=(30, 2, 2)))
    assert found.layers == ("first",) and found.slopes == (0.0,)


def test_the_slope_of_leaky_units_is_read():
    x = np.random.default_rng(0).normal(size=(30, 5))
    found = relu_gates(net((5, 7, 6, 3), seed=0, act=nn.LeakyReLU(0.2)), x)
    assert found.slopes == (0.2, 0.2)
    assert set(np.unique(found.values(0))) == {0.2, 1.0}
    assert relu_gates(net((5, 7, 3), seed=0, act=nn.Identity()), x).on[0].all()  # a linear layer has open gates


def test_dropout_counts_as_in_evaluation_and_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    relu_gates(model, torch.rand(20, 2, 2))
    torch.manual_seed(3)
    assert torch.equal(state, torch.get_rng_state())
    assert model.training and all(m.training for m in model.modules())
    assert all(torch.equal(v, before[k]) and v.dtype == torch.float32 for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.b(torch.relu(self.a(x))) + x


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)),
        nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)),
        nn.Sequential(nn.Linear(4, 6), nn.ReLU6(), nn.Linear(6, 2), nn.Softmax(1)),
        nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2)),
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2), nn.ReLU()),
        Skip(),
        nn.Linear(4, 2),
        nn.Sequential(nn.ReLU()),
        lambda x: x,
    ],
)
def test_anything_else_than_linear_layers_with_rectifiers_is_refused(model):
    with pytest.raises(NotApplicable):
        relu_gates(model, np.random.default_rng(0).normal(size=(20, 4)))


def test_bad_input_is_an_error():
    model, x = net((5, 4, 2), seed=0), np.ones((3, 5))
    with pytest.raises(InputError, match="kind"):
        relu_gates(model, x, kind="soft")
    with pytest.raises(InputError, match="threshold"):
        relu_gates(model, x, threshold=1.5)
    with pytest.raises(NonFiniteError):
        relu_gates(model, x * np.nan)
    with pytest.raises(ShapeError):
        relu_gates(model, np.ones(5))
    model[0].weight.data[0, 0] = torch.nan
    with pytest.raises(NonFiniteError):
        relu_gates(model, x)


def test_inputs_and_units_of_zeros_have_margin_zero_and_are_off():
    model = net((3, 4, 2), seed=0, bias=False)
    model[0].weight.data[1] = 0.0
    found = relu_gates(model, np.array([[0.0, 0, 0], [1, 2, 3]]))
    assert not found.on[0][0].any() and not found.on[0][:, 1].any() and (found.margins[0][0] == 0).all()


def test_patterns_are_the_different_columns_and_parts_of_the_data_give_the_whole():
    model, x = net((2, 50, 3), seed=1), np.random.default_rng(0).normal(size=(9, 2))
    found = relu_gates(model, x)
    patterns, which = found.patterns(0)
    assert np.array_equal(patterns[:, which], found.on[0]) and patterns.shape[1] < 50
    assert len({tuple(c) for c in found.on[0].T}) == patterns.shape[1]
    halves = [relu_gates(model, part).on[0] for part in (x[:4], x[4:])]
    assert np.array_equal(np.concatenate(halves), found.on[0])
    counts, edges = found.histogram(10)
    assert counts[0].sum() == 9 * 50 and len(edges) == 11 and "patterns" in str(found)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_check_19_effective_gates_of_relu_xor_give_four_pathways_of_one_example_each_already_at_step_400(seed):
    early, late = xor_run(seed=seed)
    for model in (early, late):
        for threshold in (0.05, 0.1):
            found = relu_gates(model, XOR, kind="effective", threshold=threshold)
            patterns, which = found.patterns(0, faint=0.02)
            assert sorted(patterns.T.tolist()) == sorted(np.eye(4, dtype=bool).tolist())
            left = found.strengths[0][which < 0].sum() / found.strengths[0].sum()
            assert left < 0.02  # units that learning never touched
    exact = relu_gates(early, XOR)
    assert (exact.counts[0] == 2).all()  # the second example is never switched off cleanly
    _, heard = exact.patterns(0, faint=0.02)
    assert ((exact.on[0] & exact.flagged[0]).sum(0)[heard >= 0] == 1).all()  # and the report flags it
    assert exact.flagged_share[0] > 0.4


@pytest.mark.parametrize(("seed", "half"), [(0, 6.96), (1, 7.06), (2, 7.16)])
def test_check_19_the_calibrated_race_of_the_four_pathways_is_the_loss_of_relu_xor(seed, half):
    loss = xor_losses(seed=seed)
    t = 0.02 * np.arange(len(loss))
    crossed = t[np.argmax(loss < 0.25)]
    assert crossed == pytest.approx(half, abs=0.03)
    rate, u = np.sqrt(2) / 2, 1 - np.sqrt(0.5)
    theory = 0.5 * (1 - 1 / (1 + (1 / u - 1) * np.exp(-rate * (t - crossed)))) ** 2
    assert np.abs(loss - theory).max() < 0.01


def test_check_24_gates_of_three_layers_of_512_units_on_ten_thousand_samples_take_less_than_two_seconds():
    model, x = mlp(256, 10, widths=(512, 512, 512)), torch.randn(10_000, 256)
    taken = []
    for _ in range(2):
        start = time.process_time()
        relu_gates(model, x)
        taken.append(time.process_time() - start)
    assert min(taken) < 2.0
