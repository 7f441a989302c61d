from __future__ import annotations

import os
import signal

import pytest
import torch
from tests.train.worlds import blobs, difference, pictures, tiny, with_batch_norm
from torch import nn

from learnt.core.errors import DivergedError, InputError, Interrupted, NonFiniteError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.train import CrossEntropy, Langevin, Population, SquaredError, fit

LOSS = CrossEntropy()


def test_training_learns_and_each_replica_starts_near_the_uniform_guess():
    population = Population(tiny, 3, seed=0)
    history = fit(population, blobs(), LOSS, epochs=30, batch_size=16, optimizer=lambda p: torch.optim.Adam(p, lr=0.02))
    assert history.losses.shape == (30, 3)
    assert torch.all(history.losses[0] > 0.8)
    assert torch.all(history.losses[-1] < 0.4)
    assert history.steps == 150
    data = blobs()
    assert all((m(data.inputs).argmax(1) == data.labels).float().mean() > 0.9 for m in population)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    def run(seed):
        population = Population(tiny, 2, seed=0)
        fit(population, blobs(), LOSS, epochs=2, batch_size=16, seed=seed)
        return population[1]

    assert difference(run(0), run(0)) == 0
    assert difference(run(0), run(1)) > 1e-5


def test_a_replica_does_not_depend_on_how_many_others_train_with_it():
    few, many = Population(tiny, 2, seed=0), Population(tiny, 6, seed=0)
    for population in (few, many):
        fit(population, blobs(), LOSS, epochs=3, batch_size=16, engine="loop")
    assert difference(few[1], many[1]) == 0


def test_a_single_module_is_trained_in_place_and_keeps_its_mode_hooks_and_gradients():
    module = with_batch_norm().eval()
    parameters = list(module.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    before = [p.clone() for p in parameters]
    fit(module, blobs(), LOSS, epochs=1)
    assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))
    assert not any(m.training for m in module.modules())
    assert torch.equal(parameters[0].grad, torch.ones_like(parameters[0]))
    assert len(module._forward_hooks) == 1
    assert float(module[1].num_batches_tracked) == 1


def test_steps_may_end_within_an_epoch_or_run_over_many():
    module = tiny()
    history = fit(module, blobs(70), LOSS, steps=7, batch_size=16)  # 5 steps an epoch
    assert (history.steps, history.epochs) == (7, 2)
    assert fit(tiny(), blobs(), LOSS, steps=1).epochs == 1


def test_the_last_smaller_batch_counts_and_the_epoch_loss_is_the_mean_over_examples():
    data = blobs(5)
    module = tiny()
    with torch.no_grad():
        expected = nn.functional.cross_entropy(module(data.inputs), data.labels)
    history = fit(module, data, LOSS, epochs=1, batch_size=2, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    assert history.losses.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_batch_larger_than_the_data_is_the_data():
    assert fit(tiny(), blobs(10), LOSS, epochs=3, batch_size=1000).steps == 3


def test_regression_fits_a_line():
    x = torch.linspace(-1, 1, 50)[:, None]
    data = Examples(inputs=x, labels=3 * x[:, 0] + 0.5)
    population = Population(lambda: nn.Linear(1, 1), 3, seed=0)
    fit(population, data, SquaredError(), epochs=200, optimizer=lambda p: torch.optim.Adam(p, lr=0.1))
    assert torch.allclose(population.parameters["weight"].flatten(), torch.full((3,), 3.0), atol=0.02)
    assert torch.allclose(population.parameters["bias"].flatten(), torch.full((3,), 0.5), atol=0.02)


def test_a_double_precision_model_takes_single_precision_data():
    module = tiny().double()
    fit(module, blobs(), LOSS, epochs=1)
    assert next(module.parameters()).dtype == torch.float64


def test_augmentation_is_applied_per_replica_with_its_own_stream():
    seen = []

    def augment(inputs, g):
        noise = torch.randn(inputs.shape, generator=g)
        seen.append(noise)
        return inputs + noise

    ends = []
    for engine in ("vmap", "loop"):
        population = Population(tiny, 2, seed=0)
        fit(population, blobs(), LOSS, steps=2, engine=engine, augment=augment)
        ends.append(population[1])
    assert difference(*ends) < 1e-5
    assert not torch.equal(seen[0], seen[1])
    plain = Population(tiny, 2, seed=0)
    fit(plain, blobs(), LOSS, steps=2)
    assert difference(plain[1], ends[0]) > 1e-4


def test_callbacks_hear_start_steps_epochs_and_end_in_order():
    events = []
    fit(Population(tiny, 2, seed=0), blobs(70), LOSS, epochs=2, batch_size=35, callbacks=[events.append])
    assert [e.kind for e in events] == ["start", "step", "step", "epoch", "step", "step", "epoch", "end"]
    assert [e.step for e in events] == [0, 1, 2, 2, 3, 4, 4, 4]
    assert events[-1].epoch == events[-1].epochs == 2
    assert events[1].losses.shape == (2,)
    assert torch.allclose(events[3].losses, (events[1].losses + events[2].losses).double() / 2)


# -- NaN and infinity ----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_a_loss_that_is_not_finite_names_step_and_replica(engine):
    population = Population(tiny, 3, seed=0)
    with torch.no_grad():
        population.parameters["2.bias"][1] = 3e38

    def loss(model, batch):
        return LOSS(model, batch) + (model(batch.inputs) ** 2).sum()

    with pytest.raises(DivergedError, match=r"loss inf at step 1 in replica 1.*No checkpoint"):
        fit(population, blobs(), loss, epochs=1, engine=engine)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_gradient_that_is_not_finite_names_its_step_although_the_loss_was_fine(engine, steps, clip_norm):
    population = Population(lambda: nn.Linear(6, 3), 2, seed=0)
    with torch.no_grad():
        population.parameters["bias"][1] = 0.0

    def loss(model, batch):  # the square root has an infinite slope at 0, where the second replica's bias stands
        return LOSS(model, batch) + model.module.bias.abs().sum().sqrt()

    with pytest.raises(DivergedError, match=r"gradients not finite at step 1 in replica 1"):
        fit(population, blobs(), loss, steps=steps, engine=engine, clip_norm=clip_norm, optimizer=torch.optim.SGD)


def test_a_learning_rate_that_is_too_large_is_noticed_and_the_remedy_given():
    x = torch.randn(20, 1, generator=torch.Generator().manual_seed(0))
    with pytest.raises(DivergedError, match="smaller learning rate"):
        fit(nn.Linear(1, 1), Examples(inputs=x, labels=x[:, 0]), SquaredError(), epochs=500,
            optimizer=lambda p: torch.optim.SGD(p, lr=100.0))  # fmt: skip


# -- signals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_at_a_step_and_handlers_are_put_back(number, tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    send = lambda e: os.kill(os.getpid(), number) if e.kind == "step" and e.step == 3 else None  # noqa: E731
    undisturbed, module = tiny(), tiny()
    module.load_state_dict(undisturbed.state_dict())
    start = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(Interrupted, match=r"step 3 of 10.*same command"):
        fit(module, blobs(), LOSS, epochs=10, callbacks=[send], checkpoint=tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    module.load_state_dict(start)
    history = fit(module, blobs(), LOSS, epochs=10, checkpoint=tmp_path)
    fit(undisturbed, blobs(), LOSS, epochs=10)
    assert difference(module, undisturbed) == 0
    assert "resumed after step 3" in history.notes
    assert history.losses.shape == (10, 1)


def test_an_interruption_without_a_checkpoint_says_that_nothing_was_kept():
    with pytest.raises(Interrupted, match="Nothing was kept"):
        fit(tiny(), blobs(), LOSS, epochs=3, callbacks=[lambda e: e.kind == "step" and os.kill(os.getpid(), 2)])


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"epochs": None}, InputError, "neither"),
        ({"steps": 3}, InputError, "both"),
        ({"epochs": 0}, InputError, "epochs"),
        ({"epochs": True}, InputError, "epochs"),
        ({"batch_size": 0}, InputError, "batch_size"),
        ({"batch_size": 1.5}, InputError, "batch_size"),
        ({"clip_norm": 0.0}, InputError, "clip_norm"),
        ({"order": "random"}, InputError, "order"),
        ({"schedule_every": "minute"}, InputError, "schedule_every"),
        ({"patience": 2}, InputError, "validation"),
        ({"validation": torch.randn(4, 6)}, InputError, "labels"),
        ({"device": "cuda:99"}, InputError, "device"),
        ({"device": "nonsense"}, InputError, "device"),
        ({"optimizer": lambda p: 3}, InputError, "optimizer"),
        ({"flow": Langevin(step_size=0.1, temperature=0.0), "optimizer": torch.optim.SGD}, InputError, "optimizer"),
        ({"flow": 3}, InputError, "flow"),
    ],
)
def test_arguments_without_meaning_are_refused_by_name(changes, error, text):
    with pytest.raises(error, match=text):
        fit(tiny(), blobs(), LOSS, **{"epochs": 1, **changes})


def test_things_that_cannot_be_trained_are_refused():
    with pytest.raises(InputError, match="Population or an nn.Module"):
        fit(lambda x: x, blobs(), LOSS, epochs=1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="objective"):
        fit(tiny(), blobs(), "cross-entropy", epochs=1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Call it"):
        fit(tiny(), blobs(), CrossEntropy, epochs=1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="require gradients"):
        fit(tiny().requires_grad_(False), blobs(), LOSS, epochs=1)
    with pytest.raises(InputError, match="require gradients"):
        fit(nn.ReLU(), blobs(), LOSS, epochs=1)


def test_data_without_meaning_are_refused():
    with pytest.raises(InputError, match="no examples"):
        fit(tiny(), (torch.zeros(0, 6), torch.zeros(0)), LOSS, epochs=1)
    with pytest.raises(NonFiniteError):
        fit(tiny(), (torch.full((2, 6), torch.nan), torch.zeros(2, dtype=torch.int64)), LOSS, epochs=1)
    with pytest.raises(ShapeError, match=r"shape \(2, 8, 8\).*cannot take"):
        fit(tiny(), pictures(), LOSS, epochs=1)
    with pytest.raises(InputError, match="class index 3"):
        fit(tiny(), (torch.zeros(4, 6), torch.arange(4)), LOSS, epochs=1)
    with pytest.raises(NotApplicable, match="no labels"):
        fit(tiny(), torch.zeros(4, 6), LOSS, epochs=1)
    with pytest.raises(NotApplicable, match="not integers"):
        fit(tiny(), (torch.zeros(4, 6), torch.rand(4)), LOSS, epochs=1)
    with pytest.raises(ShapeError, match="one number an example"):
        fit(tiny(), (torch.zeros(4, 6), torch.rand(4)), SquaredError(), epochs=1)


def test_weights_that_are_not_finite_are_refused_by_name():
    module = tiny()
    with torch.no_grad():
        module[2].bias[1] = torch.nan
    with pytest.raises(NonFiniteError, match=r"parameter 2\.bias.*index \(0, 1\)"):
        fit(module, blobs(), LOSS, epochs=1)


def test_refused_arguments_leave_the_model_untouched():
    module = tiny()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    for changes in ({"epochs": 0}, {"batch_size": 0}, {"optimizer": torch.optim.LBFGS}):
        with pytest.raises(InputError):
            fit(module, blobs(), LOSS, **{"epochs": 1, **changes})
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_on_an_accelerator_the_numbers_are_those_of_the_cpu_and_the_weights_come_back(engine):
    ends = []
    state = torch.cuda.get_rng_state()
    for device in ("cpu", "cuda"):
        population = Population(with_batch_norm, 2, seed=0)
        history = fit(population, blobs(), LOSS, epochs=3, batch_size=16, device=device, engine=engine,
                      validation=blobs(20, seed=2), patience=2, clip_norm=1.0)  # fmt: skip
        ends.append(population)
        assert history.losses.device.type == population.device.type == "cpu"
    assert all(difference(ends[0][i], ends[1][i]) < 1e-3 for i in range(2))
    assert torch.equal(state, torch.cuda.get_rng_state())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
def test_on_an_accelerator_a_loss_that_is_not_finite_is_named_by_its_step_too():
    population = Population(tiny, 3, seed=0)
    with torch.no_grad():
        population.parameters["2.bias"][1] = 3e38
    with pytest.raises(DivergedError, match=r"at step 1 in replica 1"):
        fit(population, blobs(), lambda m, b: (m(b.inputs) ** 2).sum(), epochs=4, batch_size=16, device="cuda")
