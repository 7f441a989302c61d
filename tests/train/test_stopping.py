from __future__ import annotations

import copy

import pytest
import torch
from tests.train.worlds import blobs, difference, tiny, with_batch_norm
from torch import nn
from torch.nn import functional as F

from learnt.core.examples import Examples
from learnt.train import CrossEntropy, Population, SquaredError, fit

ENGINES = pytest.mark.parametrize("engine", ["vmap", "loop"])


def noisy(n: int, seed: int) -> Examples:
    """Labels that are half noise, so that training too long makes validation worse."""
    data = blobs(n, seed=seed)
    labels = data.labels.clone()
    g = torch.Generator().manual_seed(seed + 100)
    labels[::2] = torch.randint(3, (len(labels[::2]),), generator=g)
    return Examples(inputs=data.inputs, labels=labels)


def wide() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3))


def run(engine, *, patience=3, epochs=40, keep=None):
    population = Population(wide, 4, seed=0)
    callbacks = [] if keep is None else [keep(population)]
    history = fit(
        population, noisy(40, 0), CrossEntropy(), epochs=epochs, batch_size=16, validation=noisy(60, 1), patience=patience,
        optimizer=lambda p: torch.optim.Adam(p, lr=0.02), engine=engine, callbacks=callbacks,
    )  # fmt: skip
    return population, history


@ENGINES
def test_each_replica_ends_with_the_weights_of_its_own_best_epoch(engine):
    seen: list[list[nn.Module]] = []

    def keep(population):
        return lambda e: seen.append([copy.deepcopy(m) for m in population]) if e.kind == "epoch" else None

    population, history = run(engine, keep=keep)
    assert history.epochs < 40  # it did stop
    assert len(set(history.best_epoch.tolist())) > 1  # and not all replicas at the same time
    judged = noisy(60, 1)
    for i in range(4):
        best = int(history.best_epoch[i])
        assert difference(population[i], seen[best - 1][i]) == 0
        values = history.validation[:, i]
        assert int(values.nan_to_num(torch.inf).argmin()) == best - 1
        with torch.no_grad():
            assert F.cross_entropy(population[i](judged.inputs), judged.labels).item() == pytest.approx(
                float(values[best - 1]), rel=1e-5
            )
        assert values.isnan().tolist() == [epoch >= best + 3 for epoch in range(history.epochs)]  # patience 3
        assert torch.equal(history.losses[:, i].isnan(), values.isnan())


def test_both_engines_stop_at_the_same_epochs_with_the_same_weights():
    (a, first), (b, second) = run("vmap", epochs=15), run("loop", epochs=15)
    assert torch.equal(first.best_epoch, second.best_epoch)
    assert all(difference(a[i], b[i]) < 1e-3 for i in range(4))


def test_without_patience_validation_is_recorded_and_the_last_weights_stay():
    population, history = run("vmap", patience=None, epochs=5)
    assert history.validation.shape == (5, 4)
    assert history.best_epoch is None
    judged = noisy(60, 1)
    with torch.no_grad():
        last = F.cross_entropy(population[2](judged.inputs), judged.labels).item()
    assert last == pytest.approx(float(history.validation[-1, 2]), rel=1e-5)


@ENGINES
def test_validation_uses_running_statistics_and_does_not_change_them(engine):
    ends = []
    for validation in (None, blobs(30, seed=3)):
        population = Population(with_batch_norm, 2, seed=0)
        fit(population, blobs(), CrossEntropy(), epochs=3, engine=engine, validation=validation)
        ends.append(population[1])
    assert difference(*ends) == 0


def test_validation_of_real_valued_labels_is_squared_error_and_another_may_be_given():
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    data = Examples(inputs=x, labels=x[:, 0])
    module = nn.Linear(6, 1)
    history = fit(module, data, SquaredError(), epochs=2, validation=data)
    with torch.no_grad():
        assert float(history.validation[-1]) == pytest.approx(
            float(((module(x)[:, 0] - x[:, 0]) ** 2).mean()), rel=1e-5
        )
    own = lambda m, b: m(b.inputs).mean() * 0 + 7.0  # noqa: E731
    assert (
        fit(tiny(), blobs(), CrossEntropy(), epochs=1, validation=blobs(), validation_objective=own).validation.item()
        == 7.0
    )
