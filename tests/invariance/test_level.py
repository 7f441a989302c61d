import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.compare import compare
from learnt.core.examples import Examples
from learnt.data.transforms import GaussianNoise, HorizontalFlip
from learnt.invariance.level import InvarianceLevel
from learnt.testing.conformance import check_measure

RNG = np.random.default_rng(0)


class Side(nn.Module):
    """Says which half is brighter (not invariant under mirroring), or whether the whole is (invariant), by a mixture."""

    def __init__(self, mirror: float):
        super().__init__()
        self.mirror = nn.Parameter(torch.tensor(mirror))

    def forward(self, x):
        left, right = x[..., :4].mean((1, 2, 3)), x[..., 4:].mean((1, 2, 3))
        score = (1 - self.mirror) * (left - right) + self.mirror * (left + right - 1)
        return torch.stack([score, torch.zeros_like(score)], 1)


@pytest.fixture
def data():
    return Examples(inputs=torch.rand(300, 3, 8, 8, generator=torch.Generator().manual_seed(0)), low=0.0, high=1.0)


def level(model, data, measure):
    evidence = measure.describe(measure.prepare(data.subject(model, name="m"), data, rng=RNG))
    return float(evidence.combine(evidence.columns.mean(0)))


def test_levels_are_one_for_a_symmetric_model_and_zero_for_an_antisymmetric_one(data):
    measure = InvarianceLevel(transform=HorizontalFlip())
    assert level(Side(1.0), data, measure) == 1.0
    assert level(Side(0.0), data, measure) == 0.0


def test_transfer_is_the_directed_one_of_the_paper(data):
    measure = InvarianceLevel(transform=HorizontalFlip())
    teacher, student, control = Side(1.0), Side(0.5), Side(0.0)
    t, s, i = (level(m, data, measure) for m in (teacher, student, control))
    assert 0.1 < s < 0.9
    (answer,) = compare(teacher, student, data, measures=[measure], controls=[control], resamples=200).answers
    assert answer.transfer.value == pytest.approx((s - i) / (t - i))
    assert answer.reference.value == pytest.approx(t)
    assert answer.chart.series["answers kept"] == pytest.approx([t, s, i])


@dataclass(frozen=True)
class Mark:
    """Sets the second channel to one."""

    name: str = "mark"

    def __call__(self, inputs, keys):
        return torch.cat([inputs[:, :1], torch.ones_like(inputs[:, 1:])], 1)


class Keeps(nn.Module):
    """Keeps its answer under `Mark` on the share `level` of images whose first channel lies below it."""

    def __init__(self, level):
        super().__init__()
        self.level = level

    def forward(self, x):
        changes = x[:, 1, 0, 0] * (x[:, 0, 0, 0] > self.level)
        return torch.stack([0.5 - changes, changes - 0.5], 1)


@pytest.mark.published
def test_the_published_colour_levels_give_the_published_transfers():
    """Levels of table 7 of arXiv 2205.16004 in percent; the transfers are the golden ones of the spec."""
    golden = json.loads((Path(__file__).parents[1] / "golden" / "robustness.json").read_text())["published_colour"]
    grid = (torch.arange(10_000) + 0.5) / 10_000
    data = Examples(inputs=torch.stack([grid, 0 * grid], 1)[:, :, None, None])
    measure = InvarianceLevel(transform=Mark(), max_examples=None)
    levels = {name: Keeps(percent / 100) for name, percent in golden["levels"].items()}
    for method, transfer in golden["transfer"].items():
        (answer,) = compare(
            levels["teacher"], levels[method], data, measures=[measure], controls=[levels["independent"]], resamples=100
        ).answers
        assert answer.transfer.value == pytest.approx(transfer, abs=1e-9)


def test_answers_under_a_transform_are_asked_once_for_both_questions(data):
    from learnt.invariance.agreement import Invariance

    calls = []

    class Counting(Side):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    subject = data.subject(Counting(0.5), name="m")
    _ = subject.predictions
    asked = len(calls)
    for measure in (Invariance(transform=GaussianNoise()), InvarianceLevel(transform=GaussianNoise())):
        measure.prepare(subject, data, rng=RNG)
    assert len(calls) == 2 * asked


def test_questions_name_the_transform(data):
    assert (
        InvarianceLevel(transform=GaussianNoise()).question == "How often does it keep its answer under Gaussian noise?"
    )
    assert len({m.name for m in InvarianceLevel().variants(data)}) == 4


def test_every_claim_holds():
    check_measure(InvarianceLevel(transform=GaussianNoise()))
