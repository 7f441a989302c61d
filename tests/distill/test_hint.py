"""Claims about hints: golden numbers, the regressor's shape rules, layers by name."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.distill._teacher import LARGEST_STORE
from learnt.distill.hint import FEATURES, ConvRegressor, Hint, hint_loss, make_regressor, tokens_to_map
from learnt.train.objectives import Batch, Model

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "distill_objectives.json").read_text())["hint"]


def net(seed=0, width=4):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(width * 64, 6),
            nn.ReLU(),
            nn.Linear(6, 3),
        )


def images(n=6):
    return Examples(
        inputs=torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0)), labels=torch.arange(n) % 3
    )


def batch_of(examples, extra):
    return Batch(examples.inputs, examples.labels, torch.arange(len(examples)), extra)


def test_losses_equal_the_golden_numbers():
    student, teacher = (torch.tensor(GOLDEN[k], dtype=torch.float64) for k in ("student_feat", "teacher_feat"))
    regressed = student @ torch.tensor(GOLDEN["regressor_weight_out_by_in_no_bias"], dtype=torch.float64).T
    assert hint_loss(regressed, teacher).item() == GOLDEN["mse_mean_over_elements"] == 2.3125
    assert hint_loss(regressed, teacher, "half_sum").item() == GOLDEN["half_sum_sq_batch_mean"] == 4.625


def test_the_two_reductions_differ_by_half_the_elements_of_an_example():
    a, b = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert hint_loss(a, b, "half_sum").item() == pytest.approx(hint_loss(a, b).item() * 3 * 4 * 4 / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("student", "teacher", "kernel", "stride"),
    [
        ((3, 8, 8), (5, 8, 8), (1, 1), (1, 1)),
        ((3, 8, 8), (5, 4, 4), (3, 3), (2, 2)),
        ((3, 8, 8), (5, 16, 16), (4, 4), (2, 2)),
        ((3, 8, 8), (5, 6, 6), (3, 3), (1, 1)),
        ((3, 8, 6), (5, 3, 5), (6, 2), (1, 1)),
        ((3, 2, 2), (5, 1, 1), (3, 3), (2, 2)),
    ],
)
def test_the_regressor_gives_the_teachers_shape_by_the_stated_rule(student, teacher, kernel, stride):
    regressor = ConvRegressor(student, teacher)
    assert regressor(torch.randn(2, *student)).shape == (2, *teacher)
    assert (regressor.conv.kernel_size, regressor.conv.stride) == (kernel, stride)
    assert isinstance(regressor.conv, nn.ConvTranspose2d) == (teacher[1] == 2 * student[1])


@pytest.mark.parametrize(
    ("student", "teacher"), [((3, 8, 8), (5, 9, 9)), ((3, 8, 8), (5, 16, 8)), ((3, 4, 4), (5, 20, 20))]
)
def test_a_student_map_that_is_too_small_is_refused_naming_both_shapes(student, teacher):
    with pytest.raises(ValueError, match=r"student \(3, \d, \d\) and teacher \(5, \d+, \d+\)"):
        ConvRegressor(student, teacher)


def test_relu_is_an_option_because_features_may_be_negative():
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert ConvRegressor((3, 4, 4), (5, 4, 4))(x).min() == 0
    assert ConvRegressor((3, 4, 4), (5, 4, 4), relu=False)(x).min() < 0


def test_vectors_and_tokens_get_a_linear_regressor_and_nothing_else_is_guessed():
    assert make_regressor((7,), (4,))(torch.zeros(2, 7)).shape == (2, 4)
    assert make_regressor((5, 7), (5, 4))(torch.zeros(2, 5, 7)).shape == (2, 5, 4)
    for student, teacher in (((7,), (4, 4, 4)), ((5, 7), (6, 4)), ((), ())):
        with pytest.raises(ShapeError, match="student"):
            make_regressor(student, teacher)


def test_tokens_become_a_map_in_reading_order_without_the_class_token():
    tokens = torch.arange(10.0)[None, :, None].expand(2, 10, 4)
    assert tokens_to_map(tokens)[0, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    with pytest.raises(ShapeError, match="h \\* h"):
        tokens_to_map(tokens, drop=2)


@pytest.mark.parametrize("live", [False, True])
def test_the_objective_is_the_weighted_sum_of_its_two_losses(live):
    teacher, student, data = net(1, 5), net(2, 4), images()
    teacher.train()
    objective = Hint(teacher, "1", "1", beta=2.0, gamma=0.5, live=live)
    helper = objective.companion(student, data)
    extra = objective.prepare(data)
    assert (FEATURES in extra) is not live
    loss = objective(Model(student, helper), batch_of(data, extra))
    with torch.no_grad():
        fresh = objective.companion(student, data)
        fresh.load_state_dict(
            {**helper.state_dict(), **{k: v for k, v in fresh.state_dict().items() if "running" in k}}
        )
        expected = 2.0 * nn.functional.mse_loss(fresh(student[:2](data.inputs)), teacher[:2](data.inputs))
        expected = expected + 0.5 * nn.functional.cross_entropy(student(data.inputs), data.labels)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert teacher.training
    loss.backward()
    assert all(p.grad is not None for p in helper.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_an_unknown_layer_is_refused_with_the_nearest_names():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(64, 4)

    with pytest.raises(InputError, match="Nearest names: encoder"):
        Hint(Named(), "1", "encodr")
    with pytest.raises(InputError, match="student_layer"):
        Hint(net(), "9", "1").companion(net(), images())
    with pytest.raises(NotApplicable, match="no layers"):
        Hint(lambda x: x, "1", "1")  # pyright: ignore[reportArgumentType]


def test_features_too_large_to_keep_are_refused_with_the_way_out(monkeypatch):
    import learnt.distill._teacher as room

    assert LARGEST_STORE == 2 * 2**30
    monkeypatch.setattr(room, "LARGEST_STORE", 1000)
    with pytest.raises(InputError, match="live=True"):
        Hint(net(), "1", "1").prepare(images())


def test_precomputed_features_and_views_are_used():
    data, student = images(), net(2)
    kept = torch.randn(6, 17, 5, generator=torch.Generator().manual_seed(3))
    objective = Hint(kept, "1", teacher_view=tokens_to_map, student_view=lambda f: f[:, :, ::2, ::2])
    helper = objective.companion(student, data)
    assert objective.prepare(data)[FEATURES].shape == (6, 5, 4, 4)
    assert helper(torch.zeros(2, 4, 4, 4)).shape == (2, 5, 4, 4)
