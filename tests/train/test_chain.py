"""The short way for chains of linear layers is the same training, and is taken only where it is."""

import pytest
import torch
from tests.train.worlds import blobs, difference, tiny
from torch import nn
from torch.nn import functional as F

from learnt.distill.kd import KD
from learnt.train import CrossEntropy, Population, SquaredError, fit
from learnt.train._bundle import Bundle
from learnt.train._chain import Chain

SGD = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)  # noqa: E731
DATA = blobs()
WIDTH, CLASSES = DATA.inputs[0].numel(), int(DATA.labels.max()) + 1


def deep():
    """Nested, without a bias, one layer frozen, one layer used twice, tied weights."""
    square, first = nn.Linear(8, 8), nn.Linear(WIDTH, 8, bias=False)
    twin = nn.Linear(8, 8)
    twin.weight = square.weight
    frozen = nn.Linear(8, 8).requires_grad_(False)
    return nn.Sequential(
        nn.Flatten(), first, nn.Sequential(nn.Tanh(), square, nn.GELU(), square), twin, frozen, nn.Linear(8, CLASSES)
    )


@pytest.mark.parametrize("order", ["own", "shared"])
@pytest.mark.parametrize("objective", [CrossEntropy(), CrossEntropy(0.1), KD(tiny()), KD(tiny(), gamma=0.0, form="ce")])
def test_a_chain_moves_as_the_loop_moves_it(objective, order):
    ends = []
    for engine in ("vmap", "loop"):
        population = Population(deep, 3, seed=1)
        fit(population, DATA, objective, epochs=2, batch_size=16, optimizer=SGD, engine=engine, seed=4, order=order)
        ends.append(population)
    assert max(difference(a, b) for a, b in zip(*ends)) < 2e-5
    assert difference(ends[0][0], Population(deep, 3, seed=1)[0]) > 0.01  # it moved at all


def test_regression_takes_the_short_way_too():
    data = blobs().take(torch.arange(40))
    data = type(data)(inputs=data.inputs, labels=data.inputs.flatten(1).sum(1))
    ends = []
    for engine in ("vmap", "loop"):
        population = Population(
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(WIDTH, 4), nn.Tanh(), nn.Linear(4, 1)), 2, seed=0
        )
        fit(population, data, SquaredError(), epochs=2, optimizer=SGD, engine=engine)
        ends.append(population)
    assert max(difference(a, b) for a, b in zip(*ends)) < 2e-5


def test_outputs_and_gradients_of_a_chain_are_those_of_its_modules():
    modules = [deep().double() for _ in range(3)]
    inputs = torch.randn(3, 5, WIDTH, dtype=torch.float64)
    stacked = {
        f"model.{name}": torch.stack([dict(m.named_parameters())[name].detach() for m in modules]).requires_grad_()
        for name, _ in modules[0].named_parameters()
    }
    chain = Chain.of(Bundle(modules[0], None))
    outputs = chain(stacked, inputs)
    for output, module, x in zip(outputs, modules, inputs):
        torch.testing.assert_close(output, module(x))
    slopes = torch.autograd.grad(outputs.square().sum(), list(stacked.values()))
    for name, slope in zip(stacked, slopes):
        for i, module in enumerate(modules):
            parameter = dict(module.named_parameters())[name.removeprefix("model.")]
            if parameter.requires_grad:
                expected = torch.autograd.grad(module(inputs[i]).square().sum(), parameter)[0]
                torch.testing.assert_close(slope[i], expected)
        assert slope.is_contiguous()


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * F.linear(x, self.weight, self.bias)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)),
        nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)),
        nn.Sequential(nn.Linear(3, 3), nn.Softmax(-1)),
        nn.Sequential(nn.Flatten(2), nn.Linear(3, 3)),
        Doubled(3, 3),
    ],
)
def test_what_is_not_a_plain_chain_is_not_taken_for_one(module):
    assert Chain.of(Bundle(module, None)) is None


def test_a_companion_needs_the_ordinary_way():
    assert Chain.of(Bundle(nn.Linear(3, 3), None)) is not None
    assert Chain.of(Bundle(nn.Linear(3, 3), nn.Linear(3, 3))) is None


def test_hooks_on_layers_are_called():
    seen = []

    def watched():
        module = tiny()
        next(m for m in module.modules() if isinstance(m, nn.Linear)).register_forward_hook(lambda *_: seen.append(1))
        return module

    fit(Population(watched, 2, seed=0), DATA, CrossEntropy(), steps=3, engine="vmap")
    assert len(seen) >= 3
