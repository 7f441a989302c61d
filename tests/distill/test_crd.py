"""Claims about contrastive distillation, against a plain float64 numpy version written from the formula."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.distill._negatives import negative_ranks, rank_by_class, sample_keys
from learnt.distill.crd import (
    CRD,
    FEATURES,
    ContrastMemory,
    contrast_loss,
    log_normaliser,
    memory_scores,
    updated_rows,
)
from learnt.train.objectives import Batch, Model


def numpy_crd(v1, v2, y, index, bank1, bank2, temperature, momentum, z=(None, None), eps=1e-7):
    """One step as the formula reads: exponentials, no logarithms; student 1, teacher 2. Returns losses, Z, banks."""
    size, n = len(bank1), index.shape[1] - 1
    losses, normalisers = [], []
    for anchor, bank, fixed in ((v1, bank2, z[0]), (v2, bank1, z[1])):
        p = np.exp(np.stack([bank[index[i]] @ anchor[i] for i in range(len(anchor))]) / temperature)
        normaliser = p.mean() * size if fixed is None else fixed
        p, c = p / normaliser, n / size
        losses.append(-(np.log(p[:, 0] / (p[:, 0] + c + eps)).sum() + np.log(c / (p[:, 1:] + c + eps)).sum()) / len(v1))
        normalisers.append(normaliser)
    banks = []
    for bank, v in ((bank1, v1), (bank2, v2)):
        new = bank.copy()
        for i, row in enumerate(y):
            m = momentum * bank[row] + (1 - momentum) * v[i]
            new[row] = m / np.linalg.norm(m)
        banks.append(new)
    return losses, normalisers, banks


def memory(size=12, negatives=4, seed=0, dtype=torch.float64, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = ContrastMemory(6, 5, size, dim=3, negatives=negatives, temperature=0.1, **options)
    for name, value in list(made.named_buffers()):
        if value.is_floating_point() and options.get("bank_dtype") is None:
            setattr(made, name, value.to(dtype))
    return made.to(dtype) if options.get("bank_dtype") is None else made


LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1, 2, 0, 1, 2])


def batch(index, seed=0, dtype=torch.float64, labels=LABELS):
    rng = torch.Generator().manual_seed(seed)
    rank, start, count = rank_by_class(labels)
    features = (
        torch.randn(len(index), 6, generator=rng, dtype=dtype),
        torch.randn(len(index), 5, generator=rng, dtype=dtype),
    )
    return *features, rank[index], start[index], count[index]


def heads_in_numpy(made, student, teacher):
    out = []
    for head, x in ((made.student_head, student), (made.teacher_head, teacher)):
        v = x.numpy() @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        out.append(v / np.linalg.norm(v, axis=1, keepdims=True))
    return out


@pytest.mark.parametrize("normalise", ["first_batch", "none"])
@pytest.mark.parametrize("negatives", [4, 8])
def test_three_steps_equal_the_plain_formula_in_both_directions_with_memory_and_z(normalise, negatives):
    made = memory(negatives=negatives, normalise=normalise)
    banks = [made.student_bank.numpy().copy(), made.teacher_bank.numpy().copy()]
    z = (None, None) if normalise == "first_batch" else (1.0, 1.0)
    for step, index in enumerate(([0, 3, 5, 8], [1, 0, 4, 11], [2, 6, 7, 9])):
        student, teacher, rank, start, count = batch(index, step)
        drawn = negative_ranks(sample_keys(made.stream, torch.tensor(step), rank), start, count, size=12, n=negatives)
        full = torch.cat([rank[:, None], drawn], 1).numpy()
        v1, v2 = heads_in_numpy(made, student, teacher)
        losses, z, banks = numpy_crd(v1, v2, rank.numpy(), full, *banks, 0.1, 0.5, z)
        assert made(student, teacher, rank, start, count).item() == pytest.approx(sum(losses), abs=1e-10)
        assert np.abs(made.student_bank.numpy() - banks[0]).max() < 1e-14
        assert np.abs(made.teacher_bank.numpy() - banks[1]).max() < 1e-14
        assert made.log_z.numpy() == pytest.approx(np.log(z), abs=1e-12)
    assert int(made.step) == 3


def test_without_z_and_epsilon_the_loss_is_the_papers_equation_three():
    rng = np.random.default_rng(0)
    scores, size = rng.normal(size=(5, 7)), 40
    h = np.exp(scores) / (np.exp(scores) + 6 / size)
    expected = (-np.log(h[:, 0]) - np.log(1 - h[:, 1:]).sum(1)).mean()
    assert contrast_loss(torch.tensor(scores), 0.0, size=size, epsilon=0.0).item() == pytest.approx(expected, abs=1e-12)


def test_the_memory_update_is_the_normalised_mean_of_old_and_new():
    old, new = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert updated_rows(old, new, 0.5)[0].tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    assert updated_rows(old, new, 0.75)[0].tolist() == pytest.approx([3 / math.sqrt(10), 1 / math.sqrt(10)])


def test_a_small_temperature_does_not_overflow():
    scores = torch.tensor([[900.0, -900.0, 500.0], [0.0, 1000.0, -1000.0]], requires_grad=True)
    for log_z in (log_normaliser(scores.detach(), 100), 0.0):
        (gradient,) = torch.autograd.grad(contrast_loss(scores, log_z, size=100), scores)
        assert torch.isfinite(contrast_loss(scores, log_z, size=100))
        assert torch.isfinite(gradient).all()


def test_gathered_and_dense_scores_and_their_gradients_are_equal():
    rng = torch.Generator().manual_seed(0)
    bank = torch.randn(400, 8, generator=rng, dtype=torch.float64)
    index = torch.randint(400, (5, 30), generator=rng)
    results = []
    for width in (30, 3):  # 30 of 400 rows is a dense product, 3 of 400 a gather
        anchors = torch.randn(5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
        parts = [memory_scores(bank, anchors, part, 0.3) for part in index.split(width, 1)]
        scores = torch.cat(parts, 1)
        scores.square().sum().backward()
        results.append((scores.detach(), anchors.grad))
    assert torch.allclose(results[0][0], results[1][0], atol=1e-12)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-10)
    expected = (bank[index] * anchors.detach()[:, None]).sum(-1) / 0.3
    assert torch.allclose(results[0][0], expected, atol=1e-12)


@pytest.mark.parametrize("negatives", [1, 4])
def test_gradients_pass_a_finite_difference_check(negatives):
    made = memory(size=48, negatives=negatives, normalise="none").eval()
    student, teacher, *places = batch([0, 5], labels=LABELS.repeat(4))
    assert torch.autograd.gradcheck(
        lambda s, t: made(s, t, *places), (student.requires_grad_(), teacher.requires_grad_())
    )


def test_evaluation_changes_no_buffer():
    made = memory().eval()
    before = {k: v.clone() for k, v in made.state_dict().items()}
    made(*batch([0, 1, 2]))
    assert all(torch.equal(v, before[k]) for k, v in made.state_dict().items())


@pytest.mark.parametrize("mode", ["exact", "relax"])
def test_saved_and_loaded_the_next_loss_has_the_same_bits(mode, tmp_path):
    from safetensors.torch import load_file, save_file

    made = memory(mode=mode, dtype=torch.float32)
    for step in range(3):
        made(*batch([step, 4, 8], step, torch.float32))
    save_file({k: v.contiguous() for k, v in made.state_dict().items()}, tmp_path / "state.safetensors")
    other = memory(mode=mode, seed=99, dtype=torch.float32)
    assert other(*batch([1, 2, 3], 7, torch.float32)) != made(*batch([1, 2, 3], 7, torch.float32))
    other.load_state_dict(load_file(tmp_path / "state.safetensors"))
    fresh = memory(mode=mode, seed=99, dtype=torch.float32)
    fresh.load_state_dict(load_file(tmp_path / "state.safetensors"))
    losses = [m(*batch([1, 2, 3], 7, torch.float32)) for m in (other, fresh)]
    assert torch.equal(*losses)
    assert torch.equal(other.student_bank, fresh.student_bank)
    for forgotten in ("log_z", "student_bank", "step"):
        partial = memory(mode=mode, seed=99, dtype=torch.float32)
        state = load_file(tmp_path / "state.safetensors")
        state[forgotten] = partial.state_dict()[forgotten].clone()
        partial.load_state_dict(state)
        assert not torch.equal(partial(*batch([1, 2, 3], 7, torch.float32)), losses[0])


def test_relaxed_positives_are_uniform_over_the_anchors_class_and_exact_ones_are_the_anchor(monkeypatch):
    import learnt.distill.crd as room

    seen = []

    def spy(bank, anchors, index, temperature):
        seen.append(index)
        return memory_scores(bank, anchors, index, temperature)

    monkeypatch.setattr(room, "memory_scores", spy)
    by_rank = LABELS[torch.argsort(rank_by_class(LABELS)[0])]
    for mode in ("exact", "relax"):
        seen.clear()
        made = memory(mode=mode)
        for step in range(60):
            student, teacher, rank, start, count = batch(list(range(12)), step)
            made(student, teacher, rank, start, count)
        drawn = torch.stack(seen[::2])
        assert (by_rank[drawn[..., 0]] == LABELS).all()
        assert (by_rank[drawn[..., 1:]] != LABELS[:, None]).all()
        own = (drawn[..., 0] == rank).float().mean().item()
        assert own == 1.0 if mode == "exact" else abs(own - 0.25) < 0.06  # four examples a class


def test_half_precision_memories_change_the_loss_little():
    full, half = memory(dtype=torch.float32), memory(bank_dtype=torch.float16)
    half.load_state_dict(full.state_dict())
    assert half.student_bank.dtype == torch.float16
    for step in range(4):
        b = batch([step, 4, 8], step, torch.float32)
        assert half(*b).item() == pytest.approx(full(*b).item(), rel=2e-3)


@pytest.mark.parametrize("negatives", [1, 6])
def test_stacked_replicas_give_the_losses_gradients_and_buffers_of_a_loop(negatives):
    size = 64
    labels = torch.arange(size) % 4
    replicas = [memory(size=size, negatives=negatives, seed=s) for s in range(3)]
    base = memory(size=size, negatives=negatives)
    params, buffers = stack_module_state(replicas)  # pyright: ignore[reportArgumentType]
    buffers = {k: v.clone() for k, v in buffers.items()}
    for step in range(3):
        batches = [batch([step, 9 + r, 30 - r], 10 * step + r, labels=labels) for r in range(3)]
        stacked = [torch.stack(parts) for parts in zip(*batches, strict=True)]
        grads, losses = vmap(grad_and_value(lambda p, b, *x: functional_call(base, {**p, **b}, x)))(
            params, buffers, *stacked
        )
        for r, replica in enumerate(replicas):
            replica.zero_grad()
            loss = replica(*batches[r])
            loss.backward()
            assert loss.item() == pytest.approx(losses[r].item(), abs=1e-10)
            assert torch.allclose(replica.teacher_head.weight.grad, grads["teacher_head.weight"][r], atol=1e-10)
            for name, value in replica.named_buffers():
                assert torch.allclose(value, buffers[name][r], atol=1e-13), name


def net(seed=0, width=6):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 3))


def data(labels):
    rng = torch.Generator().manual_seed(0)
    return Examples(inputs=torch.randn(len(labels), 5, generator=rng), labels=labels)


def batch_of(examples, extra):
    return Batch(examples.inputs, examples.labels, torch.arange(len(examples)), extra)


@pytest.mark.parametrize("live", [False, True])
def test_the_objective_adds_the_labels_and_trains_both_heads(live):
    teacher, student, examples = net(0, 7), net(1), data(LABELS)
    objective = CRD(teacher, "1", "1", negatives=4, beta=0.5, gamma=2.0, live=live)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        helper, twin = objective.companion(student, examples), objective.companion(student, examples)
    twin.load_state_dict(helper.state_dict())
    extra = objective.prepare(examples)
    assert (FEATURES in extra) is not live
    loss = objective(Model(student, helper), batch_of(examples, extra))
    rank, start, count = rank_by_class(LABELS)
    contrast = twin(student[:2](examples.inputs), teacher[:2](examples.inputs), rank, start, count)
    expected = 0.5 * contrast + 2.0 * nn.functional.cross_entropy(student(examples.inputs), LABELS)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in helper.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_more_negatives_than_others_warns_and_draws_with_replacement():
    examples = data(LABELS)
    with pytest.warns(UserWarning, match="only 8 other examples"):
        helper = CRD(net(), "1", "1", negatives=9).companion(net(1), examples)
    assert helper.may_repeat
    assert not CRD(net(), "1", "1", negatives=8).companion(net(1), examples).may_repeat


def test_data_without_classes_or_with_one_class_is_refused():
    objective = CRD(net(), "1", "1", negatives=2)
    with pytest.raises(NotApplicable, match="no class labels"):
        objective.prepare(Examples(inputs=torch.randn(4, 5)))
    with pytest.raises(InputError, match="one class only"):
        objective.prepare(data(torch.zeros(4, dtype=torch.int64)))


@pytest.mark.parametrize(
    "options",
    [
        {"negatives": 0},
        {"temperature": 0.0},
        {"momentum": 1.0},
        {"mode": "hard"},
        {"normalise": "batch"},
        {"beta": math.nan},
    ],
)
def test_settings_without_meaning_are_refused(options):
    with pytest.raises(InputError):
        CRD(net(), "1", "1", **options)


def test_unknown_layers_are_refused_with_the_nearest_names():
    with pytest.raises(InputError, match="teacher_layer.*Nearest names"):
        CRD(net(), "1", "7")
    with pytest.raises(InputError, match="student_layer.*Nearest names"):
        CRD(net(), "7", "1", negatives=2).companion(net(), data(LABELS))
