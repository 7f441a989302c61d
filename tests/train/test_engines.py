from __future__ import annotations

import copy

import pytest
import torch
from tests.train.worlds import (
    blobs,
    by_hand,
    convolutional,
    difference,
    pictures,
    tiny,
    with_batch_norm,
    with_dropout,
)
from torch import nn
from torch.nn import functional as F

from learnt.core.errors import InputError, ShapeError
from learnt.train import CrossEntropy, Population, fit

SGD = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)  # noqa: E731


@pytest.mark.parametrize("engine", ["vmap", "loop"])
@pytest.mark.parametrize(("make", "data"), [(tiny, blobs()), (with_batch_norm, blobs()), (convolutional, pictures())])
def test_every_replica_moves_as_a_plain_loop_would_move_it(engine, make, data):
    population = Population(make, 3, seed=1)
    start = [copy.deepcopy(m) for m in population]
    fit(population, data, CrossEntropy(), epochs=3, batch_size=16, optimizer=SGD, engine=engine, seed=4)
    for i, module in enumerate(start):
        by_hand(module, data, F.cross_entropy, SGD, epochs=3, batch=16, seed=4, replica=i)
        assert difference(population[i], module) < 2e-5
    assert difference(start[0], start[1]) > 0.01


def test_training_moves_at_all():  # the control of the test above
    population = Population(tiny, 2, seed=1)
    before = population[0]
    fit(population, blobs(), CrossEntropy(), epochs=1, optimizer=SGD)
    assert difference(before, population[0]) > 0.01


def test_batch_norm_statistics_are_each_replicas_own():
    population = Population(with_batch_norm, 2, seed=1)
    fit(population, blobs(), CrossEntropy(), epochs=2, batch_size=35, engine="vmap")
    means = population.buffers["1.running_mean"]
    assert not torch.allclose(means[0], means[1], atol=1e-3)
    assert population.buffers["1.num_batches_tracked"].tolist() == [4, 4]


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_dropout_differs_between_replicas_and_repeats_with_the_seed(engine):
    def run(seed):
        twins = Population.of([with_dropout()] * 2)
        with torch.no_grad():
            for value in twins.parameters.values():
                value.copy_(torch.linspace(-1, 1, value[0].numel()).view_as(value[0]))
        fit(twins, blobs(), CrossEntropy(), steps=4, engine=engine, order="shared", seed=seed)
        return twins

    first, again, other = run(0), run(0), run(1)
    assert difference(first[0], first[1]) > 1e-4  # same start, same batches: only dropout tells them apart
    assert difference(first[0], again[0]) == difference(first[1], again[1]) == 0
    assert difference(first[0], other[0]) > 1e-4


@pytest.mark.parametrize("make", [tiny, with_dropout])
def test_training_leaves_the_global_random_state_alone(make):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(Population(make, 2, seed=0), blobs(), CrossEntropy(), epochs=1)
    assert torch.equal(before, torch.get_rng_state())


class Reassigning(nn.Module):
    """Counts its calls in a buffer that it assigns anew, and remembers inputs in one that it writes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(6))

    def forward(self, x):
        if self.training:
            self.calls = self.calls + 1
            self.last.copy_(x.mean(0))
        return self.linear(x)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_buffers_are_kept_whether_written_in_place_or_assigned(engine):
    population = Population(Reassigning, 2, seed=0)
    fit(population, blobs(), CrossEntropy(), steps=3, engine=engine)
    assert population.buffers["calls"].tolist() == [3, 3]
    last = population.buffers["last"]
    assert float(last[0].abs().sum()) > 0
    assert not torch.equal(last[0], last[1])


class Branching(nn.Module):
    """A network whose path depends on its values: torch.func cannot run it for all replicas at once."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x):
        out = self.linear(x)
        return out if float(out.detach().sum()) > 0 else 2 * out


def test_what_cannot_be_vectorised_is_trained_in_a_loop_and_said_so():
    history = fit(Population(Branching, 2, seed=0), blobs(), CrossEntropy(), epochs=1)
    assert history.engine == "loop"
    assert "cannot be vectorised" in history.notes[0]


def test_asking_for_vmap_where_it_cannot_work_is_an_error():
    with pytest.raises(InputError, match='engine="loop"'):
        fit(Population(Branching, 2, seed=0), blobs(), CrossEntropy(), epochs=1, engine="vmap")


def test_convolutions_are_decided_by_a_measured_trial_that_leaves_no_trace():
    histories, ends = [], []
    for engine in ("auto", "loop"):
        population = Population(convolutional, 3, seed=0)
        histories.append(fit(population, pictures(), CrossEntropy(), epochs=1, engine=engine))
        ends.append(population[2])
    assert "a trial took" in histories[0].notes[0]
    assert difference(*ends) < 1e-5


def test_a_trial_leaves_batch_norm_statistics_alone():
    def make():
        return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))

    population = Population(make, 2, seed=0)
    fit(population, pictures(), CrossEntropy(), steps=1, engine="auto")
    assert population.buffers["1.num_batches_tracked"].tolist() == [1, 1]


def test_matrix_products_are_vectorised_without_a_trial_and_one_replica_is_looped():
    assert fit(Population(tiny, 2, seed=0), blobs(), CrossEntropy(), steps=1).engine == "vmap"
    history = fit(tiny(), blobs(), CrossEntropy(), steps=1)
    assert (history.engine, history.notes) == ("loop", ("engine loop: one replica",))


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_frozen_parameters_stay_and_the_others_move(engine):
    def make():
        net = tiny()
        net[0].weight.requires_grad_(False)
        return net

    population = Population(make, 2, seed=0)
    before = {k: v.clone() for k, v in population.parameters.items()}
    fit(population, blobs(), CrossEntropy(), steps=2, engine=engine)
    assert torch.equal(population.parameters["0.weight"], before["0.weight"])
    assert not torch.equal(population.parameters["0.bias"], before["0.bias"])


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_a_loss_that_is_no_scalar_or_ignores_the_parameters_is_refused(engine):
    population = Population(tiny, 2, seed=0)
    with pytest.raises(ShapeError, match="scalar"):
        fit(population, blobs(), lambda m, b: m(b.inputs).sum(1), steps=1, engine=engine)
    with pytest.raises(InputError, match="does not depend"):
        fit(population, blobs(), lambda m, b: b.inputs.sum(), steps=1, engine=engine)


def test_an_unknown_engine_is_refused():
    with pytest.raises(InputError, match="engine"):
        fit(tiny(), blobs(), CrossEntropy(), steps=1, engine="fast")  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_shared_weights_stay_shared(engine):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 6)
            self.b = nn.Linear(6, 6)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(torch.tanh(self.a(x)))[:, :3]

    population = Population(Tied, 2, seed=0)
    start = [copy.deepcopy(m) for m in population]
    assert start[0].a.weight is start[0].b.weight
    fit(population, blobs(), CrossEntropy(), epochs=2, optimizer=SGD, engine=engine)
    by_hand(start[1], blobs(), F.cross_entropy, SGD, epochs=2, batch=128, seed=0, replica=1)
    assert difference(population[1], start[1]) < 1e-5


def test_an_operation_without_a_batching_rule_sends_the_model_to_the_loop_without_a_warning():
    def make():
        return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))

    history = fit(Population(make, 2, seed=0), blobs(), CrossEntropy(), epochs=1)
    assert history.engine == "loop"
    assert "would run row by row" in history.notes[0]


def test_recurrent_networks_train():
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.output = nn.GRU(1, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, x):
            return self.output(self.gru(x[..., None])[0][:, -1])

    population = Population(Recurrent, 2, seed=0)
    before = population[1]
    history = fit(population, blobs(), CrossEntropy(), epochs=1)
    assert history.engine == "loop"
    assert difference(before, population[1]) > 1e-4
