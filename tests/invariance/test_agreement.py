from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from torch import nn

from learnt.core.compare import compare
from learnt.core.errors import NonFiniteError, NotApplicable, ShapeError
from learnt.core.examples import Examples, uniform
from learnt.data.transforms import ColourJitter, Rotate
from learnt.invariance.agreement import Invariance, kappa
from learnt.testing.conformance import check_measure

RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Darken:
    """Sets channel 0 to zero for the share of examples whose key says so."""

    share: float = 0.5
    name: str = "darken"

    def __call__(self, inputs, keys):
        hit = torch.from_numpy(uniform(keys, 3) < self.share)
        inputs[hit, 0] = 0.0  # in place on purpose: the data must not notice
        return inputs


class Bright(nn.Module):
    """Says class 1 if a channel is brighter than a threshold, else class 0."""

    def __init__(self, channel: int, threshold: float = 0.5):
        super().__init__()
        self.channel, self.threshold = channel, nn.Parameter(torch.tensor(threshold))

    def forward(self, x):
        score = x[:, self.channel].mean((1, 2)) - self.threshold
        return torch.stack([torch.zeros_like(score), score], 1)


def ask(measure, one, two, data, **options):
    states = [measure.prepare(data.subject(x, name=n, **options), data, rng=RNG) for x, n in ((one, "A"), (two, "B"))]
    return measure.compare(*states, rng=RNG)


def value(evidence):
    return float(evidence.combine(evidence.columns.mean(0)))


def test_models_that_ignore_different_channels_differ_exactly_on_the_inputs_that_change(images):
    measure = Invariance(transform=Darken())
    hit = uniform(images.keys, 3) < 0.5
    lit = images.inputs[:, 0].mean((1, 2)).numpy() > 0.5
    evidence = ask(measure, Bright(0), Bright(1), images)
    assert evidence.per_example == pytest.approx(1 - (hit & lit))
    assert evidence.details["level_a"] == pytest.approx(1 - (hit & lit).mean())
    assert evidence.details["level_b"] == 1.0
    assert value(evidence) == pytest.approx(1 - (hit & lit).mean())


def test_two_models_may_have_equal_levels_on_different_inputs():
    inputs = torch.zeros(4, 2, 2, 2)
    inputs[:2, 0], inputs[2:, 1] = 1.0, 1.0

    @dataclass(frozen=True)
    class Blacken:
        name: str = "blacken"

        def __call__(self, x, keys):
            return 0 * x

    evidence = ask(Invariance(transform=Blacken()), Bright(0), Bright(1), Examples(inputs=inputs))
    assert evidence.details["level_a"] == evidence.details["level_b"] == 0.5
    assert evidence.details["kappa"] == pytest.approx(-1.0)
    assert value(evidence) == 0.0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_kappa_equals_scikit_learn_and_is_none_where_chance_is_certain(pairs):
    first, second = (np.array(x) for x in zip(*pairs))
    if len(set(first) | set(second)) < 2:
        assert kappa(first, second) is None
    else:
        assert kappa(first, second) == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_a_model_is_invariant_on_the_same_inputs_as_itself(net, images):
    assert value(ask(Invariance(transform=Darken()), net(1), net(1), images)) == 1.0


def test_the_usual_transforms_of_colour_images_grey_images_and_tables(images):
    colour = Examples(inputs=torch.rand(4, 3, 8, 8))
    names = [m.name for m in Invariance().variants(colour)]
    assert names == [
        "invariance[colour jitter]",
        "invariance[gaussian noise]",
        "invariance[rotate]",
        "invariance[translate, strength 1]",
    ]
    grey = Examples(inputs=torch.rand(4, 1, 32, 32))
    assert [m.transform.name for m in Invariance().variants(grey)][0] == "contrast"
    unknown = Examples(inputs=3 * torch.randn(4, 3, 8, 8))
    assert [m.transform.name for m in Invariance().variants(unknown)] == ["rotate", "translate"]
    assert Invariance().variants(Examples(inputs=torch.rand(4, 6))) == ()
    one = Invariance(transform=Rotate())
    assert one.variants(images) == (one,)


def test_settings_that_are_not_the_usual_ones_are_in_the_name():
    assert Invariance(transform=ColourJitter()).name == "invariance[colour jitter]"
    assert Invariance(transform=ColourJitter(strength=0.6)).name == "invariance[colour jitter, strength 0.6]"
    assert Invariance(transform=Rotate()).question == "Does rotation change their answers on the same images?"


def test_pixels_in_another_range_are_brought_to_the_unit_range_and_back(images):
    seen = []

    @dataclass(frozen=True)
    class Look:
        name: str = "look"

        def __call__(self, x, keys):
            seen.append((float(x.min()), float(x.max())))
            return x

    far = Examples(inputs=10 * images.inputs - 4, low=-4.0, high=6.0)
    evidence = ask(Invariance(transform=Look()), Bright(0, 0.3), Bright(1, 1.4), far)
    assert all(-1e-6 <= low and high <= 1 + 1e-6 for low, high in seen)
    assert evidence.details["level_a"] == evidence.details["level_b"] == 1.0


def test_order_batch_size_and_subsample_do_not_depend_on_positions(net, images):
    measure = Invariance(transform=Darken(), max_examples=9)
    expected = value(ask(measure, net(1), Bright3(), images))
    backwards = images.take(np.arange(20)[::-1].copy())
    assert value(ask(measure, net(1), Bright3(), backwards)) == expected
    assert value(ask(measure, net(1), Bright3(), images, batch_size=3)) == expected


class Bright3(nn.Module):
    def forward(self, x):
        return torch.stack([x[:, 0].mean((1, 2)), x[:, 1].mean((1, 2)), x.mean((1, 2, 3))], 1) * 5 + 1.5


def test_transforms_that_break_the_inputs_are_named(net, images):
    @dataclass(frozen=True)
    class Bad:
        kind: str
        name: str = "bad"

        def __call__(self, x, keys):
            return x[1:] if self.kind == "fewer" else x / 0

    with pytest.raises(ShapeError, match="bad"):
        Invariance(transform=Bad("fewer")).prepare(images.subject(net(), name="m"), images, rng=RNG)
    with pytest.raises(NonFiniteError, match="under bad"):
        Invariance(transform=Bad("nan")).prepare(images.subject(net(), name="m"), images, rng=RNG)


def test_tables_are_not_asked_about_image_transforms_and_no_transform_is_no_question(net, images):
    table = Examples(inputs=images.inputs.flatten(1))
    with pytest.raises(NotApplicable, match="rotate"):
        Invariance(transform=Rotate()).prepare(table.subject(nn.Linear(200, 3), name="m"), table, rng=RNG)
    with pytest.raises(NotApplicable, match="transform"):
        Invariance().prepare(images.subject(net(), name="m"), images, rng=RNG)


def test_model_and_data_are_left_as_they_were_also_when_the_transform_fails(net, images, untouched):
    @dataclass(frozen=True)
    class Failing:
        name: str = "failing"

        def __call__(self, x, keys):
            x += 1
            raise RuntimeError("inside")

    model = net(1)
    with untouched(model, images.inputs):
        ask(Invariance(transform=Darken()), model, Bright3(), images)
    with untouched(model, images.inputs), pytest.raises(RuntimeError, match="inside"):
        ask(Invariance(transform=Failing()), model, Bright3(), images)


def test_a_student_that_ignores_colour_as_its_teacher_does_transfers_completely():
    data = Examples(inputs=torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0)), low=0.0, high=1.0)
    bright, red = Bright(1, 0.5), Bright(0, 0.5)
    (answer,) = compare(
        bright, Bright(1, 0.5), data, measures=[Invariance(transform=Darken())], controls=[red], resamples=200
    ).answers
    assert answer.transfer.value == pytest.approx(1.0)
    assert answer.chart.x == ["A", "B", "control"]


def test_every_claim_holds():
    check_measure(Invariance(transform=ColourJitter()))
