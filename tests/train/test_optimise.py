from __future__ import annotations

import copy

import pytest
import torch
from tests.train.worlds import blobs, by_hand, difference, tiny
from torch import nn, optim
from torch.nn import functional as F

from learnt.core.errors import InputError
from learnt.train import CrossEntropy, Population, fit
from learnt.train._optimise import ELEMENTWISE

RATE = {optim.Adadelta: 1.0, optim.Rprop: 1e-3, optim.SGD: 0.1}


@pytest.mark.parametrize("kind", [*ELEMENTWISE, optim.Adafactor], ids=lambda k: k.__name__)
def test_one_optimiser_on_the_stacks_moves_each_replica_as_its_own_would(kind):
    make = lambda p: (
        kind(p, lr=RATE.get(kind, 1e-2), weight_decay=0.01) if kind is not optim.Rprop else kind(p, lr=1e-3)
    )  # noqa: E731
    population = Population(tiny, 3, seed=1)
    start = [copy.deepcopy(m) for m in population]
    before = copy.deepcopy(start[2])
    fit(population, blobs(), CrossEntropy(), epochs=3, batch_size=32, optimizer=make, engine="loop")
    for i, module in enumerate(start):
        by_hand(module, blobs(), F.cross_entropy, make, epochs=3, batch=32, seed=0, replica=i)
        assert difference(population[i], module) < 2e-6
    assert difference(before, start[2]) > 1e-3


def test_an_optimiser_that_couples_numbers_gets_one_instance_a_replica():
    class Normalised(optim.Optimizer):
        """Steps of one length along the gradient of the whole tensor: not elementwise."""

        def __init__(self, params):
            super().__init__(params, {"lr": 0.01})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.data.sub_(group["lr"] * p.grad / p.grad.norm())

    population = Population(tiny, 3, seed=1)
    start = [copy.deepcopy(m) for m in population]
    fit(population, blobs(), CrossEntropy(), epochs=2, batch_size=32, optimizer=Normalised, engine="vmap")
    for i, module in enumerate(start):
        by_hand(module, blobs(), F.cross_entropy, Normalised, epochs=2, batch=32, seed=0, replica=i)
        assert difference(population[i], module) < 1e-6


def test_an_optimiser_that_needs_a_closure_is_refused():
    with pytest.raises(InputError, match="LBFGS"):
        fit(tiny(), blobs(), CrossEntropy(), epochs=1, optimizer=optim.LBFGS)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_clipping_is_by_each_replicas_own_global_norm(engine):
    make = lambda p: optim.SGD(p, lr=0.5)  # noqa: E731
    population = Population(tiny, 3, seed=1)
    with torch.no_grad():
        population.parameters["2.weight"][1] *= 20  # one replica with large gradients must not slow the others
    start = [copy.deepcopy(m) for m in population]
    fit(population, blobs(), CrossEntropy(), epochs=3, batch_size=32, optimizer=make, engine=engine, clip_norm=0.3)
    for i, module in enumerate(start):
        limit = lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.3)  # noqa: E731
        by_hand(module, blobs(), F.cross_entropy, make, epochs=3, batch=32, seed=0, replica=i, after=limit)
        assert difference(population[i], module) < 2e-5


@pytest.mark.parametrize(("every", "counts"), [("step", 6), ("epoch", 2)])
def test_a_schedule_is_told_its_length_and_stepped_that_often(every, counts):
    told, rates = [], []

    def schedule(optimizer, steps):
        told.append(steps)
        rates.append(optimizer.param_groups)
        return optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)

    fit(tiny(), blobs(), CrossEntropy(), epochs=2, batch_size=32, schedule=schedule, schedule_every=every,
        optimizer=lambda p: optim.SGD(p, lr=0.1))  # fmt: skip
    assert told == [counts]
    assert rates[0][0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_a_schedule_changes_the_result_as_in_a_plain_loop():
    module = tiny()
    other = copy.deepcopy(module)
    fit(module, blobs(), CrossEntropy(), epochs=4, optimizer=lambda p: optim.SGD(p, lr=0.5),
        schedule=lambda o, n: optim.lr_scheduler.CosineAnnealingLR(o, n))  # fmt: skip
    holder = []

    def make(p):
        o = optim.SGD(p, lr=0.5)
        holder.append(optim.lr_scheduler.CosineAnnealingLR(o, 4))
        o.register_step_post_hook(lambda *_: holder[0].step())
        return o

    by_hand(other, blobs(), F.cross_entropy, make, epochs=4, batch=128, seed=0, replica=0)
    assert difference(module, other) < 1e-6


@pytest.mark.parametrize("schedule", [lambda o, n: 3, lambda o, n: optim.lr_scheduler.ReduceLROnPlateau(o)])
def test_what_is_no_schedule_of_the_step_is_refused(schedule):
    with pytest.raises(InputError, match="schedule"):
        fit(tiny(), blobs(), CrossEntropy(), epochs=1, schedule=schedule)


def test_an_optimiser_for_other_parameters_is_refused():
    with pytest.raises(InputError, match="other parameters"):
        fit(tiny(), blobs(), CrossEntropy(), epochs=1, optimizer=lambda p: optim.SGD(tiny().parameters(), lr=0.1))
