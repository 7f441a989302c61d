"""An objective that knows how to run all replicas at once is asked to, and moves them as vmap would."""

import torch
from torch import nn

from learnt.core.examples import Examples
from learnt.train import fit
from learnt.train.population import Population


class Squared:
    def __init__(self):
        self.asked = []

    def __call__(self, model, batch):
        return (model(batch.inputs) - batch.inputs.sum(-1, keepdim=True)).square().mean()


class AtOnce(Squared):
    def stacked(self, model, tensors, batch):
        self.asked.append((type(model).__name__, model.training, sorted(tensors), tuple(batch.inputs.shape)))
        out = torch.einsum("rbi,roi->rbo", batch.inputs, tensors["weight"]) + tensors["bias"][:, None]
        return (out - batch.inputs.sum(-1, keepdim=True)).square().mean((1, 2))


def trained(objective, order):
    population = Population(lambda: nn.Linear(3, 1), 4, seed=0)
    data = Examples(inputs=torch.randn(20, 3, generator=torch.Generator().manual_seed(0)))
    fit(population, data, objective, steps=30, batch_size=7, engine="vmap", order=order, seed=1)
    return population.parameters


def test_the_hook_gives_the_weights_that_vmap_gives_for_own_and_shared_orders():
    for order in ("own", "shared"):
        one, two = AtOnce(), Squared()
        a, b = trained(one, order), trained(two, order)
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-6)
        assert one.asked[0] == ("Linear", True, ["bias", "weight"], (4, 7, 3))
