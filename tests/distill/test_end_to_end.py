"""Students trained by `fit` on real digits, with independently trained students as the control."""

import math
import warnings

import pytest
import torch
from scipy import stats
from torch import nn

from learnt.core.errors import InputError, ResumeError, ShapeError
from learnt.core.examples import Examples
from learnt.distill import CRD, KD, Hint, LogitMSE, recover_linear
from learnt.train import Checkpoint, CrossEntropy, Population, fit
from learnt.train.nets import mlp, small_cnn

STUDENTS = 5


def quick(parameters):
    return torch.optim.Adam(parameters, lr=1e-2)


def make():
    return mlp(64, 10, (48,))


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = torch.randperm(len(bunch.data), generator=torch.Generator().manual_seed(0))
    inputs, labels = torch.tensor(bunch.data / 16, dtype=torch.float32)[order], torch.tensor(bunch.target)[order]
    return Examples(inputs=inputs[:200], labels=labels[:200]), inputs[800:]


@pytest.fixture(scope="module")
def teacher(digits):
    population = Population(lambda: mlp(64, 10, (64,)), 1, seed=100)
    fit(population, digits[0], CrossEntropy(), epochs=60, batch_size=64, optimizer=quick, seed=100)
    return population[0]


def students_of(objective, digits, epochs=100, seed=1):
    population = Population(make, STUDENTS, seed=seed)
    history = fit(population, digits[0], objective, epochs=epochs, batch_size=64, optimizer=quick, seed=seed)
    return population, history


def agreement(population, teacher, inputs):
    with torch.no_grad():
        answers = teacher(inputs).argmax(1)
        return [(m(inputs).argmax(1) == answers).double().mean().item() for m in population]


@pytest.fixture(scope="module")
def independents(digits):
    return students_of(CrossEntropy(), digits)[0]


def interval(a, b):
    """95 % interval of mean(a) - mean(b), unequal variances (Welch)."""
    return stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)


def test_students_distilled_by_kl_agree_with_the_teacher_more_than_independent_ones(digits, teacher, independents):
    distilled, _ = students_of(KD(teacher), digits)
    found = interval(agreement(distilled, teacher, digits[1]), agreement(independents, teacher, digits[1]))
    assert found.low > 0


def test_students_of_an_unrelated_teacher_do_not_agree_more_with_this_one(digits, teacher, independents):
    stranger = Population(lambda: mlp(64, 10, (64,)), 1, seed=7)
    fit(stranger, digits[0], CrossEntropy(), epochs=60, batch_size=64, optimizer=quick, seed=7)
    placebo, _ = students_of(KD(stranger[0]), digits)
    real, _ = students_of(KD(teacher), digits)
    found = interval(agreement(real, teacher, digits[1]), agreement(placebo, teacher, digits[1]))
    assert found.low > 0


def test_hints_bring_the_hidden_layer_closer_to_the_teachers(digits, teacher, independents):
    hinted, history = students_of(Hint(teacher, "relu1", "relu1", beta=5.0), digits)
    assert (history.losses[-1] < history.losses[0]).all()

    def unexplained(student):
        with torch.no_grad():
            s, t = student[:3](digits[1]).double(), teacher[:3](digits[1]).double()
        s = torch.cat([s, torch.ones(len(s), 1, dtype=torch.float64)], 1)
        half = len(s) // 2  # fitted on one half, judged on the other
        solution = torch.linalg.lstsq(
            s[:half].T @ s[:half] + 0.1 * torch.eye(s.shape[1]), s[:half].T @ t[:half]
        ).solution
        return ((s[half:] @ solution - t[half:]).square().sum() / (t[half:] - t[half:].mean(0)).square().sum()).item()

    found = interval([unexplained(m) for m in hinted], [unexplained(m) for m in independents])
    assert found.high < 0


def test_contrast_learns_which_image_is_which_and_not_only_which_class(digits, teacher):
    train = digits[0]
    with torch.no_grad():
        features = teacher[:3](train.inputs)
    # the control gets each image the features of another image of its class: classes fit, images do not
    within = torch.arange(len(train))
    for c in range(10):
        block = (train.labels == c).nonzero().flatten()
        within[block] = block.roll(1)
    ended = {}
    for name, rows in (("real", features), ("shuffled", features[within])):
        objective = CRD(rows, "relu1", negatives=64, temperature=0.1, gamma=0.0, beta=1.0)
        _, history = students_of(objective, digits, epochs=25)
        ended[name] = history.losses[-1].tolist()
    assert interval(ended["real"], ended["shuffled"]).high < 0


def test_the_teacher_is_left_as_it_was(digits, teacher):
    state, modes = {k: v.clone() for k, v in teacher.state_dict().items()}, [m.training for m in teacher.modules()]
    for objective in (
        KD(teacher, live=True), Hint(teacher, "relu1", "relu1"), CRD(teacher, "relu1", "relu1", negatives=8), LogitMSE(teacher),
    ):  # fmt: skip
        fit(Population(make, 2, seed=0), digits[0], objective, steps=2)
    assert all(torch.equal(v, state[k]) for k, v in teacher.state_dict().items())
    assert [m.training for m in teacher.modules()] == modes
    assert all(p.grad is None for p in teacher.parameters())


def objectives(teacher):
    return {
        "kd": KD(teacher),
        "kd live": KD(teacher, live=True),
        "kd ensemble": KD([teacher, teacher]),
        "hint": Hint(teacher, "conv1", "conv2"),
        "hint live": Hint(teacher, "relu1", "relu1", live=True),
        "crd": CRD(teacher, "flatten", "flatten", negatives=12),
        "crd half": CRD(teacher, "flatten", "flatten", negatives=3, mode="relax", bank_dtype=torch.float16),
        "crd live": CRD(teacher, "flatten", "flatten", negatives=12, live=True),
    }


NAMES = tuple(objectives(small_cnn(1, 10, 4, 8)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", ["own", "shared"])
def test_both_engines_give_the_same_students(name, order, digits):
    images = Examples(inputs=digits[0].inputs.reshape(-1, 1, 8, 8), labels=digits[0].labels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective = objectives(small_cnn(1, 10, 4, 8))[name]
    ended = {}
    for engine in ("vmap", "loop"):
        population = Population(lambda: small_cnn(1, 10, 4, 8), 2, seed=2)
        fit(population, images, objective, steps=6, batch_size=32, engine=engine, order=order, seed=4)
        ended[engine] = population
    for key, value in ended["vmap"].parameters.items():
        assert torch.allclose(value, ended["loop"].parameters[key], atol=2e-4), key


class Stop(Exception):
    """Raised by a callback to end a run in the middle of an epoch."""


@pytest.mark.parametrize("name", ["kd", "hint", "crd", "crd half"])
@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_a_run_stopped_within_an_epoch_goes_on_with_the_same_bits(name, engine, digits, tmp_path):
    images = Examples(inputs=digits[0].inputs.reshape(-1, 1, 8, 8), labels=digits[0].labels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective = objectives(small_cnn(1, 10, 4, 8))[name]

    def run(folder, stop_after=None):
        seen = []

        def watch(event):
            if event.kind == "step":
                seen.append((event.step, event.losses.clone()))
            if stop_after is not None and event.kind == "checkpoint" and event.step == stop_after:
                raise Stop

        population = Population(lambda: small_cnn(1, 10, 4, 8), 2, seed=2)
        plan = Checkpoint(directory=tmp_path / folder, every_steps=5, every_seconds=None)
        try:
            fit(
                population, images, objective, steps=18, batch_size=32, seed=4, checkpoint=plan, engine=engine,
                callbacks=[watch],
            )  # fmt: skip
        except Stop:
            return None, seen
        return population, seen

    whole, losses = run("whole")
    assert run("broken", stop_after=10)[0] is None
    resumed, rest = run("broken")
    assert rest[0][0] == 11  # batches of 32 from 200 examples: step 11 is in the middle of the second epoch
    assert [s for s, _ in rest] == [s for s, _ in losses[10:]]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(rest, losses[10:], strict=True))
    assert all(torch.equal(v, resumed.parameters[k]) for k, v in whole.parameters.items())


def test_a_checkpoint_of_another_teacher_or_temperature_is_not_continued(digits, teacher, tmp_path):
    fit(make(), digits[0], KD(teacher), steps=2, checkpoint=tmp_path)
    with pytest.raises(ResumeError, match="objective"):
        fit(make(), digits[0], KD(teacher, temperature=2.0), steps=2, checkpoint=tmp_path)


def test_a_linear_student_of_logits_becomes_the_teacher_with_enough_points_only():
    points = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0], [2.0, 1.0, 0.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    truth = torch.tensor([2.0, -1.0, 0.5, 0.3], dtype=torch.float64)
    teacher = nn.Linear(3, 1).double()
    teacher.load_state_dict({"weight": truth[None, :3], "bias": truth[3:]})
    for count, recovered in ((4, True), (3, False)):
        student = nn.Linear(3, 1).double()
        data = Examples(inputs=points[:count])
        fit(
            student, data, LogitMSE(teacher), steps=600, batch_size=count,
            optimizer=lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.88),
        )  # fmt: skip
        found = torch.cat([student.weight[0], student.bias]).detach()
        assert (student(points[:count]) - teacher(points[:count])).abs().max() < 1e-5
        assert bool((found - truth).abs().max() < 1e-5) is recovered
        assert recover_linear(points[:count], teacher(points[:count]).detach()).unique is recovered


def test_wrong_pairs_of_teacher_and_student_are_refused_before_training(digits, teacher):
    before = make()
    kept = {k: v.clone() for k, v in before.state_dict().items()}
    with pytest.raises(ShapeError, match=r"student \(128, 10\) and teacher \(128, 7\)"):
        fit(before, digits[0], KD(mlp(64, 7)), steps=1)
    with pytest.raises(ShapeError, match="teacher"):
        fit(before, digits[0], KD(mlp(32, 10)), steps=1)
    with pytest.raises(InputError, match="Nearest names: relu1"):
        fit(before, digits[0], Hint(teacher, "relu9", "relu1"), steps=1)
    with pytest.raises(InputError, match="class index 9"):
        fit(mlp(64, 5), digits[0], CRD(teacher, "relu1", "relu1", negatives=4), steps=1)
    assert all(torch.equal(v, kept[k]) for k, v in before.state_dict().items())


def test_an_objective_that_needs_preparation_is_refused_as_a_judge(digits, teacher):
    with pytest.raises(InputError, match="needs no preparation"):
        fit(make(), digits[0], KD(teacher), epochs=1, validation=digits[0], validation_objective=KD(teacher))
    history = fit(make(), digits[0], KD(teacher), epochs=1, validation=digits[0])
    assert math.isfinite(history.validation[0, 0])
    fit(make(), digits[0], KD(teacher), epochs=1, validation=digits[0], validation_objective=KD(teacher, live=True))


def test_no_warning_is_hidden_and_no_random_state_leaks(digits, teacher):
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(Population(make, 2, seed=0), digits[0], CRD(teacher, "relu1", "relu1", negatives=8), steps=2, engine="vmap")
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.warns(UserWarning, match="with replacement"):
        fit(make(), digits[0], CRD(teacher, "relu1", "relu1", negatives=300), steps=2)
