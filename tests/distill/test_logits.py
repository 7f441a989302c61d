"""Claims about matching raw outputs: enough points fix a linear teacher, too few do not (spec 1.5, check 5)."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from learnt.core.errors import InputError, ShapeError
from learnt.core.examples import Examples
from learnt.distill.logits import OUTPUTS, LogitMSE, logit_mse, recover_linear
from learnt.train.objectives import Batch

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "distill_objectives.json").read_text())["linear_recovery"]
X = torch.tensor(GOLDEN["X"], dtype=torch.float64)
Z = torch.tensor(GOLDEN["z"], dtype=torch.float64)[:, None]
W, B = torch.tensor(GOLDEN["W_teacher"], dtype=torch.float64), GOLDEN["b_teacher"]


def batch_of(inputs, extra):
    return Batch(inputs, None, torch.arange(len(inputs)), extra)


def test_four_points_in_three_dimensions_recover_the_linear_teacher():
    found = recover_linear(X, Z)
    assert found.unique
    assert found.rank == 4
    assert found.residual < 1e-12
    assert (found.weight[0] - W).abs().max() < 1e-12
    assert found.bias.item() == pytest.approx(B, abs=1e-12)


def test_three_points_give_the_smallest_map_and_claim_nothing():
    found = recover_linear(X[:3], Z[:3])
    assert not found.unique
    assert found.rank == GOLDEN["rank_3"] == 3
    assert torch.cat([found.weight[0], found.bias]).tolist() == pytest.approx(
        GOLDEN["min_norm_solution_with_3_points"], abs=1e-12
    )
    assert (found.weight[0] - W).abs().max() > 0.01


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 10**6))
def test_any_linear_teacher_is_recovered_from_one_more_point_than_dimensions(m, c, seed):
    rng = torch.Generator().manual_seed(seed)
    x = torch.cat([torch.zeros(1, m), torch.eye(m)]).double() + torch.randn(1, m, generator=rng).double()
    w, b = torch.randn(c, m, generator=rng).double(), torch.randn(c, generator=rng).double()
    found = recover_linear(x, x @ w.T + b)
    assert found.unique
    assert torch.allclose(found.weight, w, atol=1e-9)
    assert torch.allclose(found.bias, b, atol=1e-8)
    assert not recover_linear(x[:-1], (x @ w.T + b)[:-1]).unique


def test_points_on_a_line_do_not_count_as_many():
    x = torch.stack([torch.arange(9.0), 2 * torch.arange(9.0)], 1)
    assert not recover_linear(x, x.sum(1, keepdim=True)).unique


def descend(points, steps=600):
    student = nn.Linear(3, 1).double()
    nn.init.zeros_(student.weight)
    nn.init.zeros_(student.bias)
    teacher = nn.Linear(3, 1).double()
    teacher.weight.data.copy_(W[None])
    teacher.bias.data.fill_(B)
    objective = LogitMSE(teacher)
    batch = batch_of(points, objective.prepare(Examples(inputs=points)))
    optimiser = torch.optim.SGD(student.parameters(), lr=1.0, momentum=0.88)  # heavy ball near its optimum here
    for _ in range(steps):
        optimiser.zero_grad()
        objective(student, batch).backward()
        optimiser.step()
    return torch.cat([student.weight[0], student.bias]).detach()


def test_gradient_descent_on_logits_ends_at_the_teacher_with_four_points_and_not_with_three():
    truth = torch.cat([W, torch.tensor([B], dtype=torch.float64)])
    assert (descend(X) - truth).abs().max() < 1e-5
    ended = descend(X[:3])
    assert ended.tolist() == pytest.approx(GOLDEN["min_norm_solution_with_3_points"], abs=1e-5)
    assert (ended - truth).abs().max() > 0.01


def test_loss_is_half_the_squared_distance_and_refuses_other_shapes():
    a, b = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert logit_mse(a, b).item() == 0.5 * (5 + 25) / 2
    with pytest.raises(ShapeError):
        logit_mse(a, b[:, :1])
    with pytest.raises(ShapeError):
        recover_linear(a, b[:1])


def test_live_and_precomputed_outputs_are_the_same_objective():
    teacher, data = nn.Linear(3, 2).double(), Examples(inputs=X)
    stored, live, fixed = LogitMSE(teacher), LogitMSE(teacher, live=True), LogitMSE(teacher(X).detach())
    student = nn.Linear(3, 2).double()
    losses = {o(student, batch_of(X, o.prepare(data))).item() for o in (stored, live, fixed)}
    assert len(losses) == 1
    assert OUTPUTS not in live.prepare(data)
    with pytest.raises(InputError, match="2 models"):
        LogitMSE([teacher, teacher]).prepare(data)
