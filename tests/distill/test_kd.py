"""Claims about softened-probability distillation: golden numbers, gradients, limits, teachers of every kind."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.distill.kd import KD, LOGITS, ensemble_logits, kd_loss
from learnt.train.objectives import Batch

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "distill_objectives.json").read_text())["kd_kl"]
TEMPERATURES = (1, 4, 8)


def batch_of(inputs, labels=None, extra=None):
    return Batch(inputs, labels, torch.arange(len(inputs)), extra or {})


def golden_logits(dtype):
    return (torch.tensor(GOLDEN[k], dtype=dtype) for k in ("student_logits", "teacher_logits"))


def small_data(n=12, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return Examples(inputs=torch.randn(n, 5, generator=rng), labels=torch.arange(n) % 3)


def teacher_net(seed=0, dropout=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_loss_and_gradient_equal_the_golden_numbers(temperature, dtype, tolerance):
    student, teacher = golden_logits(dtype)
    student.requires_grad_()
    loss = kd_loss(student, teacher, temperature)
    loss.backward()
    expected = GOLDEN[f"T={temperature}"]
    assert loss.item() == pytest.approx(expected["kl_loss_T2_batchmean"], abs=tolerance)
    grad = torch.tensor(expected["grad_wrt_student_logits"], dtype=dtype)
    assert (student.grad - grad).abs().max() < tolerance


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_cross_entropy_form_is_larger_by_the_teachers_entropy_and_has_the_same_gradient(temperature):
    student, teacher = golden_logits(torch.float64)
    student.requires_grad_()
    kl, ce = (kd_loss(student, teacher, temperature, form) for form in ("kl", "ce"))
    expected = GOLDEN[f"T={temperature}"]
    assert ce.item() == pytest.approx(expected["cross_entropy_form_T2_batchmean"], abs=1e-12)
    assert (ce - kl).item() == pytest.approx(expected["teacher_entropy_T2_batchmean"], abs=1e-12)
    (g_kl,), (g_ce,) = torch.autograd.grad(kl, student), torch.autograd.grad(ce, student)
    assert (g_kl - g_ce).abs().max() < 1e-14


def test_weighted_total_equals_the_golden_number():
    student, teacher = golden_logits(torch.float64)
    labels = torch.tensor(GOLDEN["labels"])
    objective = KD(teacher, temperature=4.0, alpha=0.5, gamma=0.5)
    data = Examples(inputs=torch.zeros(3, 1, dtype=torch.float64), labels=labels)
    batch = batch_of(student, labels, objective.prepare(data))
    assert objective(lambda x: x, batch).item() == pytest.approx(GOLDEN["total_gamma0.5_alpha0.5_T4"], abs=1e-12)


def test_high_temperature_approaches_the_squared_distance_of_centred_logits():
    student, teacher = golden_logits(torch.float64)
    limit = (teacher - student) - (teacher - student).mean(1, keepdim=True)
    limit = limit.square().sum(1).mean() / (2 * student.shape[1])
    key = next(k for k in GOLDEN if k.startswith("limit_T_inf"))
    assert limit.item() == pytest.approx(GOLDEN[key], abs=1e-12)
    assert kd_loss(student, teacher, 1000.0).item() == pytest.approx(GOLDEN["KL_loss_T=1000"], abs=1e-9)
    assert kd_loss(student, teacher, 1e5).item() == pytest.approx(limit.item(), abs=1e-5)


logits = st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@given(logits, st.floats(-50, 50), st.floats(0.5, 20))
def test_a_constant_added_to_each_row_costs_nothing_and_pulls_nowhere(rows, constant, temperature):
    teacher = torch.tensor(rows, dtype=torch.float64)
    student = (teacher + constant).requires_grad_()
    loss = kd_loss(student, teacher, temperature)
    loss.backward()
    assert abs(loss.item()) < 1e-10
    assert student.grad.abs().max() < 1e-12 * temperature


@settings(deadline=None, max_examples=60)
@given(logits, st.integers(0, 1000), st.floats(0.5, 20))
def test_loss_is_never_negative_and_its_gradient_is_the_difference_of_probabilities(rows, seed, temperature):
    teacher = torch.tensor(rows, dtype=torch.float64)
    student = torch.randn(teacher.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 5
    student.requires_grad_()
    loss = kd_loss(student, teacher, temperature)
    loss.backward()
    expected = (student / temperature).softmax(1) - (teacher / temperature).softmax(1)
    assert loss.item() >= -1e-12
    assert (student.grad - expected.detach() * temperature / len(rows)).abs().max() < 1e-12


@pytest.mark.parametrize("form", ["kl", "ce"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_enormous_logits_give_finite_loss_and_gradient(form, temperature):
    student = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], requires_grad=True)
    loss = kd_loss(student, -student.detach(), temperature, form)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_ensemble_logits_are_the_log_of_the_mean_probability():
    members = torch.randn(4, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mean = members.softmax(-1).mean(0)
    assert (ensemble_logits(members).exp() - mean).abs().max() < 1e-14
    shifted = members + torch.arange(4.0, dtype=torch.float64)[:, None, None]
    assert (ensemble_logits(shifted) - ensemble_logits(members)).abs().max() < 1e-13
    assert torch.isfinite(ensemble_logits(torch.tensor([[[1e4, -1e4]], [[-1e4, 1e4]]]))).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda z: kd_loss(z, z, 0.0),
        lambda z: kd_loss(z, z, math.nan),
        lambda z: kd_loss(z, z, 4.0, "js"),  # pyright: ignore[reportArgumentType]
        lambda z: KD(z, alpha=-1.0),
        lambda z: KD(z, temperature=-4.0),
        lambda z: KD(3).prepare(small_data()),
        lambda z: KD([]).prepare(small_data()),
        lambda z: KD(z, live=True).prepare(small_data()),
    ],
)
def test_settings_without_meaning_are_refused(call):
    with pytest.raises(InputError):
        call(torch.zeros(12, 3))


def test_two_label_sets_are_refused_naming_both_shapes():
    with pytest.raises(ShapeError, match=r"student \(2, 10\) and teacher \(2, 3\)"):
        kd_loss(torch.zeros(2, 10), torch.zeros(2, 3))
    with pytest.raises(ShapeError, match="precomputed"):
        KD(torch.zeros(5, 3)).prepare(small_data(12))


def test_a_teacher_that_returns_nan_or_probabilities_is_refused_before_training():
    with pytest.raises(NonFiniteError):
        KD(lambda x: x[:, :3] * math.nan).prepare(small_data())
    with pytest.raises(InputError, match="probabilities"):
        KD(lambda x: x[:, :3].softmax(1)).prepare(small_data())
    told = KD(lambda x: x[:, :3].softmax(1), outputs="probabilities").prepare(small_data())[LOGITS]
    plain = KD(lambda x: x[:, :3]).prepare(small_data())[LOGITS]
    assert (told.softmax(1) - plain.softmax(1)).abs().max() < 1e-6


def test_labels_are_needed_only_if_they_have_a_weight():
    bare = Examples(inputs=small_data().inputs)
    with pytest.raises(NotApplicable, match="gamma=0"):
        KD(teacher_net()).prepare(bare)
    objective = KD(teacher_net(), gamma=0.0)
    loss = objective(teacher_net(1).eval(), batch_of(bare.inputs, None, objective.prepare(bare)))
    assert loss.item() > 0


@pytest.mark.parametrize("live", [False, True])
def test_the_teacher_answers_in_evaluation_mode_and_is_left_as_it_was(live):
    teacher = teacher_net(dropout=0.5)
    teacher[1].eval()
    modes = [m.training for m in teacher.modules()]
    state = {k: v.clone() for k, v in teacher.state_dict().items()}
    objective, data = KD(teacher, live=live), small_data()
    student = teacher_net(1)
    losses = [
        objective(student.eval(), batch_of(data.inputs, data.labels, objective.prepare(data))).item() for _ in range(2)
    ]
    assert losses[0] == losses[1]
    assert [m.training for m in teacher.modules()] == modes
    assert all(torch.equal(v, state[k]) for k, v in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())


def test_a_live_teacher_gives_the_loss_of_stored_answers_on_the_same_view():
    data, student = small_data(), teacher_net(1).eval()
    for teacher in (teacher_net(), [teacher_net(2), teacher_net(3)], lambda x: x[:, :3] * 2):
        stored, live = KD(teacher), KD(teacher, live=True)
        a = stored(student, batch_of(data.inputs, data.labels, stored.prepare(data)))
        assert live.prepare(data) == {}
        b = live(student, batch_of(data.inputs, data.labels))
        assert a.item() == pytest.approx(b.item(), abs=1e-6)


def test_an_ensemble_teaches_with_its_mean_probability():
    members = [teacher_net(s) for s in range(3)]
    data = small_data()
    taught = KD(members).prepare(data)[LOGITS].softmax(1)
    mean = torch.stack([m.eval()(data.inputs).detach().softmax(1) for m in members]).mean(0)
    assert (taught - mean).abs().max() < 1e-6


def test_live_works_under_vmap_and_agrees_with_a_loop():
    from torch.func import functional_call, grad_and_value, stack_module_state, vmap

    students = [teacher_net(s).eval() for s in (4, 5, 6)]
    params, buffers = stack_module_state(students)  # pyright: ignore[reportArgumentType]
    data = small_data(24)
    inputs, labels = data.inputs.reshape(3, 8, 5), data.labels.reshape(3, 8)
    objective = KD(teacher_net(), live=True)

    def loss(p, b, x, y):
        return objective(lambda z: functional_call(students[0], (p, b), (z,)), batch_of(x, y))

    grads, values = vmap(grad_and_value(loss))(params, buffers, inputs, labels)
    for i, student in enumerate(students):
        value = objective(student, batch_of(inputs[i], labels[i]))
        value.backward()
        assert value.item() == pytest.approx(values[i].item(), abs=1e-6)
        assert (student[0].weight.grad - grads["0.weight"][i]).abs().max() < 1e-6
