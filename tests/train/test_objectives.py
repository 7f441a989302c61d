from __future__ import annotations

import pytest
import torch
from tests.train.worlds import blobs, difference, tiny
from torch import nn
from torch.nn import functional as F

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.run.seeds import generator
from learnt.train import Batch, CrossEntropy, Model, Population, fit
from learnt.train.objectives import check_classes

ENGINES = pytest.mark.parametrize("engine", ["vmap", "loop"])
SGD = lambda p: torch.optim.SGD(p, lr=0.1)  # noqa: E731


class Teaching:
    """Match a teacher's prepared outputs through a regressor head: the shape of every hint-based distillation."""

    def __init__(self, teacher: nn.Module) -> None:
        self.teacher = teacher
        self.companions: list[nn.Module] = []

    def prepare(self, data: Examples) -> dict[str, torch.Tensor]:
        return {"wanted": self.teacher(data.inputs).detach()}

    def companion(self, model: nn.Module, data: Examples) -> nn.Module:
        self.companions.append(nn.Linear(8, 5))
        return self.companions[-1]

    def __call__(self, model: Model, batch: Batch) -> torch.Tensor:
        logits, layers = model.tap(batch.inputs, ["1"])
        hint = F.mse_loss(model.companion(layers["1"]), batch.extra["wanted"])
        return hint + F.cross_entropy(logits, batch.targets())


@ENGINES
def test_a_regressor_head_per_replica_is_trained_with_the_student(engine):
    objective = Teaching(nn.Linear(6, 5))
    data = blobs()
    population = Population(tiny, 2, seed=0)
    students = list(population)
    fit(population, data, objective, epochs=3, batch_size=32, optimizer=SGD, engine=engine, seed=9)
    assert set(population.parameters) == {"0.weight", "0.bias", "2.weight", "2.bias"}  # companions are gone
    first, second = objective.companions
    assert difference(first, second) > 0.01  # drawn per replica
    wanted = objective.prepare(data)["wanted"]
    fresh = Teaching(objective.teacher)  # draws the same companions again: seeds come from (seed, "companion", replica)
    for i, student in enumerate(students):
        again = Population(tiny, 2, seed=0)
        fit(again, data, fresh, steps=1, optimizer=lambda p: torch.optim.SGD(p, lr=0.0), engine=engine, seed=9)
        head = fresh.companions[i]
        moving = SGD([*student.parameters(), *head.parameters()])
        for epoch in range(3):
            order = torch.randperm(len(data), generator=generator(9, "order", i, epoch))
            for index in order.split(32):
                moving.zero_grad()
                hidden = torch.tanh(student[0](data.inputs[index]))
                loss = F.mse_loss(head(hidden), wanted[index])
                (loss + F.cross_entropy(student[2](hidden), data.labels[index])).backward()
                moving.step()
        assert difference(population[i], student) < 1e-5


class Remembering:
    """Pulls outputs towards a memory bank that each replica keeps and updates in place (contrastive distillation)."""

    class Bank(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.register_buffer("rows", torch.zeros(n, 3))
            self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

        def forward(self, index: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
            old = self.rows[index]
            with torch.no_grad():
                self.rows[index] = 0.5 * old + 0.5 * outputs.detach()
                self.calls = self.calls + 1
            return old

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def companion(self, model: nn.Module, data: Examples) -> nn.Module:
        return self.Bank(len(data))

    def __call__(self, model: Model, batch: Batch) -> torch.Tensor:
        outputs = model(batch.inputs)
        return F.cross_entropy(outputs, batch.targets()) + F.mse_loss(outputs, model.companion(batch.index, outputs))


@ENGINES
def test_a_memory_bank_in_buffers_is_each_replicas_own(engine):
    data, population = blobs(), Population(tiny, 2, seed=0)
    students = list(population)
    fit(population, data, Remembering(), epochs=3, batch_size=32, optimizer=SGD, engine=engine)
    for i, student in enumerate(students):
        bank, moving = Remembering.Bank(len(data)), SGD(student.parameters())
        for epoch in range(3):
            order = torch.randperm(len(data), generator=generator(0, "order", i, epoch))
            for index in order.split(32):
                moving.zero_grad()
                out = student(data.inputs[index])
                (F.cross_entropy(out, data.labels[index]) + F.mse_loss(out, bank(index, out))).backward()
                moving.step()
        assert float(bank.rows.abs().sum()) > 0.1
        assert difference(population[i], student) < 1e-5


def test_a_memory_bank_survives_a_resume(tmp_path):
    def stop(event):
        if event.kind == "step" and event.step == 4:
            raise KeyError("stopped by the test")

    from learnt.train import Checkpoint

    ends = []
    for disturbed in (False, True):
        population = Population(tiny, 2, seed=0)
        where = Checkpoint(directory=tmp_path / str(disturbed), every_steps=3)
        options = {"epochs": 3, "batch_size": 32, "optimizer": SGD, "checkpoint": where}
        if disturbed:
            with pytest.raises(KeyError):
                fit(Population(tiny, 2, seed=0), blobs(), Remembering(), callbacks=[stop], **options)
        history = fit(population, blobs(), Remembering(), **options)
        ends.append(population[1])
    assert "resumed after step 3" in history.notes
    assert difference(*ends) == 0


@ENGINES
def test_the_batch_carries_positions_in_the_data(engine):
    data = blobs(20)
    table = {"again": data.inputs.clone()}

    class Checking:
        def prepare(self, data):
            return table

        def __call__(self, model, batch):
            gap = (batch.extra["again"] - batch.inputs).abs().sum() + (
                data.inputs[batch.index] - batch.inputs
            ).abs().sum()
            return CrossEntropy()(model, batch) + 1e6 * gap

    history = fit(Population(tiny, 2, seed=0), data, Checking(), epochs=1, batch_size=8, engine=engine)
    assert float(history.losses.max()) < 10


def test_prepared_tensors_must_have_a_row_for_each_example_and_be_finite():
    class Short:
        def __init__(self, values):
            self.values = values

        def prepare(self, data):
            return {"x": self.values}

        def __call__(self, model, batch):
            return CrossEntropy()(model, batch)

    with pytest.raises(ShapeError, match=r"'x'.*3 rows"):
        fit(tiny(), blobs(), Short(torch.zeros(3)), epochs=1)
    with pytest.raises(NonFiniteError, match="'x'"):
        fit(tiny(), blobs(), Short(torch.full((70,), torch.inf)), epochs=1)


def test_an_unknown_layer_is_refused_with_the_nearest_names():
    model = Model(nn.Sequential(), None)
    model.module.add_module("linear1", nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"Nearest names: linear1"):
        model.tap(torch.zeros(1, 2), ["linaer1"])


def test_outputs_wrapped_as_logits_are_unwrapped():
    class Wrapped(nn.Module):
        def __init__(self, form):
            super().__init__()
            self.inner, self.form = tiny(), form

        def forward(self, x):
            return self.form(self.inner(x))

    class Answer:
        def __init__(self, logits):
            self.logits = logits

    for form in (Answer, lambda z: {"logits": z}):
        assert fit(Wrapped(form), blobs(), CrossEntropy(), epochs=1).steps == 1
    with pytest.raises(InputError, match="type NoneType"):
        fit(Wrapped(lambda z: None), blobs(), CrossEntropy(), epochs=1)


def test_label_smoothing_is_torchs_and_its_range_is_checked():
    x, y = torch.randn(5, 6), torch.arange(5) % 3
    net = tiny()
    batch = Batch(x, y, torch.arange(5), {})
    got = CrossEntropy(0.2)(Model(net, None), batch)
    assert torch.equal(got, F.cross_entropy(net(x), y, label_smoothing=0.2))
    with pytest.raises(InputError, match="label_smoothing"):
        CrossEntropy(1.5)


def test_classes_are_checked_against_outputs():
    with pytest.raises(ShapeError, match="logits"):
        check_classes(torch.zeros(2, 3, 4), blobs())
    with pytest.raises(NotApplicable):
        Batch(torch.zeros(1), None, torch.zeros(1), {}).targets()
    check_classes(torch.zeros(2, 3), blobs())


def test_an_objective_without_a_check_gets_the_one_for_classes():
    with pytest.raises(InputError, match="class index 4"):
        fit(tiny(), (torch.zeros(5, 6), torch.arange(5)), lambda m, b: F.cross_entropy(m(b.inputs), b.labels), epochs=1)


def test_a_companion_that_is_no_module_is_refused():
    class Wrong:
        def companion(self, model, data):
            return 3

        def __call__(self, model, batch):
            return model(batch.inputs).sum()

    with pytest.raises(InputError, match="companion"):
        fit(tiny(), blobs(), Wrong(), epochs=1)
