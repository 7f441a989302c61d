from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from tests.train.worlds import blobs, difference, tiny, with_batch_norm

from learnt.train import CrossEntropy, Independent, Population, fit


@dataclass(frozen=True)
class Descent:
    rate: float

    def __call__(self, parameters, gradients, step, rng):
        return parameters - self.rate * gradients


@pytest.mark.parametrize("engine", ["vmap", "loop"])
@pytest.mark.parametrize("make", [tiny, with_batch_norm])
def test_a_flow_of_ones_own_moves_as_the_optimiser_that_does_the_same(engine, make):
    ends = []
    for options in ({"flow": Descent(0.1)}, {"optimizer": lambda p: torch.optim.SGD(p, lr=0.1)}):
        population = Population(make, 3, seed=0)
        fit(population, blobs(), CrossEntropy(), epochs=2, batch_size=32, engine=engine, **options)
        ends.append(population)
    assert all(difference(ends[0][i], ends[1][i]) < 1e-6 for i in range(3))


def test_a_flow_sees_all_replicas_flattened_and_one_generator_each():
    seen = []

    def look(parameters, gradients, step, rng):
        seen.append((parameters.shape, gradients.shape, step, [g.initial_seed() for g in rng]))
        return parameters

    fit(Population(tiny, 3, seed=0), blobs(), CrossEntropy(), steps=2, flow=look)
    count = sum(p.numel() for p in tiny().parameters())
    assert [s[:3] for s in seen] == [((3, count), (3, count), k) for k in (0, 1)]
    seeds = seen[0][3] + seen[1][3]
    assert len(set(seeds)) == 6


def test_independent_called_by_hand_is_a_gradient_step():
    assert torch.equal(Independent()(torch.ones(2, 3), torch.ones(2, 3), 0, []), torch.zeros(2, 3))
