import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.compare import compare
from learnt.core.errors import NotApplicable
from learnt.core.examples import Conflict, Examples
from learnt.core.measure import Undefined
from learnt.invariance.texture import ShapePreference
from learnt.testing.conformance import check_measure

RNG = np.random.default_rng(0)


class Reads(nn.Module):
    """Answers with the class written in one column of its input (0 shape, 1 texture, 2 neither)."""

    def __init__(self, columns):
        super().__init__()
        self.columns = columns  # which column it reads, by the tenth of the number in column 3

    def forward(self, x):
        column = torch.tensor(self.columns)[(x[:, 3] * len(self.columns)).long()]
        answer = x.gather(1, column[:, None])[:, 0].round().long()
        return nn.functional.one_hot(answer, 4).float() * 5 + 1


@pytest.fixture
def data():
    n = 40
    shape = torch.arange(n) % 3
    texture = (shape + 1) % 3
    neither = torch.full((n,), 3.0)
    inputs = torch.stack([shape.float(), texture.float(), neither, (torch.arange(n) + 0.5) / n], 1)
    return Examples(inputs=inputs, conflict=Conflict(inputs=inputs, shape=shape, texture=texture))


def preference(model, data):
    measure = ShapePreference()
    evidence = measure.describe(measure.prepare(data.subject(model, name="m"), data, rng=RNG))
    return evidence if isinstance(evidence, Undefined) else float(evidence.combine(evidence.columns.mean(0)))


def test_preference_is_the_share_of_shape_among_shape_and_texture_answers(data):
    assert preference(Reads([0]), data) == 1.0
    assert preference(Reads([1]), data) == 0.0
    assert preference(Reads([0, 1, 1, 2]), data) == pytest.approx(
        1 / 3
    )  # the last quarter says neither and does not count


def test_a_model_that_names_neither_has_no_preference(data):
    found = preference(Reads([2]), data)
    assert isinstance(found, Undefined)
    assert found.details["neither"] == 1.0


def test_compare_is_the_difference_and_undefined_if_either_side_is(data):
    measure = ShapePreference()
    states = [measure.prepare(data.subject(Reads(c), name="m"), data, rng=RNG) for c in ([0, 1], [1, 1, 1, 0], [2])]
    evidence = measure.compare(states[0], states[1], rng=RNG)
    assert float(evidence.combine(evidence.columns.mean(0))) == pytest.approx(0.25 - 0.5)
    assert isinstance(measure.compare(states[0], states[2], rng=RNG), Undefined)
    assert isinstance(measure.compare(states[2], states[0], rng=RNG), Undefined)


def test_evidence_rests_on_the_keys_of_the_cue_conflict_images(data):
    measure = ShapePreference()
    evidence = measure.describe(measure.prepare(data.subject(Reads([0, 2]), name="m"), data, rng=RNG))
    assert (evidence.keys == Examples(inputs=data.conflict.inputs).keys).all()
    assert np.isnan(evidence.per_example).sum() == 20


def test_transfer_is_directed_and_the_picture_has_every_side(data):
    (answer,) = compare(
        Reads([0]), Reads([0, 1]), data, measures=[ShapePreference()], controls=[Reads([1, 1, 1, 0])], resamples=200
    ).answers
    assert answer.transfer.value == pytest.approx((0.5 - 0.25) / (1 - 0.25))
    assert answer.chart.series["shape"] == pytest.approx([1.0, 0.5, 0.25])
    assert answer.chart.x == ["A", "B", "control"]


def test_data_without_conflicts_are_not_asked(data):
    bare = Examples(inputs=data.inputs)
    with pytest.raises(NotApplicable, match="conflict"):
        ShapePreference().prepare(bare.subject(Reads([0]), name="m"), bare, rng=RNG)


def test_every_claim_holds():
    check_measure(ShapePreference())
