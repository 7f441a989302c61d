from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.compare import compare
from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Undefined
from learnt.core.subject import Subject
from learnt.robustness.attacks import Attack, adversaries, fooled
from learnt.robustness.transfer import AdversarialTransfer, fooling_rates
from learnt.testing.conformance import check_measure

RNG = np.random.default_rng(0)


def ask(measure, one, two, data, **options):
    subjects = [
        x if isinstance(x, Subject) else data.subject(x, name=name, **options) for x, name in ((one, "A"), (two, "B"))
    ]
    states = [measure.prepare(s, data, rng=RNG) for s in subjects]
    return measure.compare(*states, rng=RNG)


def value(evidence):
    return float(evidence.combine(evidence.columns.mean(0)))


@pytest.fixture(scope="module")
def trained():
    """A teacher that learnt arbitrary labels by heart, five lightly changed copies, five networks of other seeds."""
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.random((150, 20), dtype=np.float32))
    data = Examples(inputs=inputs, labels=torch.from_numpy(rng.integers(0, 3, 150)), low=0.0, high=1.0)

    def train(seed, start=None, steps=250):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = nn.Sequential(nn.Linear(20, 96), nn.ReLU(), nn.Linear(96, 3))
            if start is not None:
                net.load_state_dict(start.state_dict())
            optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
            for _ in range(steps):
                rows = torch.randint(0, 150, (60,))
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(inputs[rows]), data.labels[rows]).backward()
                optimiser.step()
        return net

    teacher = train(0)
    return teacher, [train(10 + i, teacher, 8) for i in range(5)], [train(20 + i) for i in range(5)], data


@pytest.mark.parametrize("direction", ["a->b", "b->a"])
@pytest.mark.parametrize("attack", ["pgd", "fgsm"])
def test_a_model_is_fooled_by_all_images_that_fool_it(trained, direction, attack):
    teacher, _, _, data = trained
    measure = AdversarialTransfer(direction=direction, attack=attack)
    assert value(ask(measure, teacher, deepcopy(teacher), data)) == 1.0
    subject = data.subject(teacher, name="m")
    assert value(ask(measure, subject, subject, data)) == 1.0


def test_a_lightly_changed_copy_is_fooled_more_than_independent_networks(trained):
    teacher, copies, others, data = trained
    for direction in ("a->b", "b->a"):
        measure = AdversarialTransfer(direction=direction)
        (answer,) = compare(teacher, copies, data, measures=[measure], controls=others, resamples=500).answers
        assert answer.difference.value > 0.05
        assert answer.difference.low > 0
        assert answer.transfer.value > 0.5


def test_the_calibrated_radius_fools_the_source_on_85_percent(trained):
    teacher, copies, _, data = trained
    details = ask(AdversarialTransfer(max_examples=None, calibration_examples=None), teacher, copies[0], data).details
    assert details["source_changed"] == pytest.approx(0.85, abs=0.03)
    assert details["alpha"] == pytest.approx(details["eps"] / 4)


def test_the_rate_is_the_share_of_fooled_images_that_fool_the_other_too(trained):
    teacher, copies, _, data = trained
    one, two = data.subject(teacher, name="A"), data.subject(copies[0], name="B")
    index = np.arange(len(data))
    inputs = adversaries(one, index, Attack(eps=0.1))
    (first, _), (second, _) = (fooled(s, index, inputs) for s in (one, two))
    evidence = ask(AdversarialTransfer(eps=0.1, max_examples=None), teacher, copies[0], data)
    assert value(evidence) == pytest.approx(second[first].mean())
    assert value(evidence) == pytest.approx(evidence.details["changed"])
    assert np.isnan(evidence.per_example).sum() == (~first).sum()


def test_the_three_readings_by_hand():
    rates = fooling_rates(
        np.array([True, True, True, True, False]), np.array([1, 1, 2, 0, 0]),
        np.array([True, True, False, True, True]), np.array([1, 2, 2, 0, 1]), np.array([0, 0, 0, 0, 0]),
    )  # fmt: skip
    assert rates == {"changed": 0.75, "wrong": 0.75, "same_wrong": 0.25}
    assert (
        fooling_rates(np.zeros(2, bool), np.zeros(2, int), np.ones(2, bool), np.zeros(2, int), np.zeros(2, int)) == {}
    )


def test_without_a_fooled_image_the_rate_does_not_exist(net, images):
    found = ask(AdversarialTransfer(eps=0.0), net(1), net(2), images)
    assert isinstance(found, Undefined)
    assert "no image fools A" in found.reason
    assert found.details["source_changed"] == 0.0
    dead = net(1)
    nn.init.zeros_(dead[-1].weight)
    assert isinstance(ask(AdversarialTransfer(), dead, net(2), images), Undefined)


def test_images_are_made_once_on_the_source_and_never_on_the_others(net, images):
    calls = []

    class Counting(nn.Module):
        def __init__(self, inner, name):
            super().__init__()
            self.inner, self.label = inner, name

        def forward(self, x):
            calls.append((self.label, torch.is_grad_enabled()))
            return self.inner(x)

    things = [Counting(net(i), f"{i}") for i in range(4)]
    compare(
        things[0],
        things[1],
        images,
        measures=[AdversarialTransfer(eps=0.1)],
        controls=things[2:],
        resamples=100,
        gallery_size=0,
    )
    assert calls.count(("0", True)) == 5
    assert not any(grad for label, grad in calls if label != "0")


def test_a_function_can_be_fooled_but_not_attacked(trained):
    teacher, (copy, *_), _, data = trained

    def function(x):
        return copy(x)

    measure = AdversarialTransfer()
    assert value(ask(measure, teacher, function, data)) == value(ask(measure, teacher, copy, data))
    with pytest.raises(NotApplicable, match="nn.Module"):
        ask(measure, function, teacher, data)
    with pytest.raises(NotApplicable, match="nn.Module"):
        ask(AdversarialTransfer(direction="b->a"), teacher, function, data)


def test_data_without_a_range_or_labels_are_not_asked(net, images):
    for data, what in (
        (Examples(inputs=images.inputs, labels=images.labels), "range"),
        (Examples(inputs=images.inputs, low=0.0, high=1.0), "labels"),
    ):
        with pytest.raises(NotApplicable, match=what):
            AdversarialTransfer().prepare(data.subject(net(), name="m"), data, rng=RNG)


@pytest.mark.parametrize("settings", [{"direction": "both"}, {"attack": "cw"}, {"eps": -0.1}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises(InputError):
        AdversarialTransfer(**settings)


def test_names_tell_directions_and_attacks_apart():
    measures = [AdversarialTransfer(direction=d, attack=a) for d in ("a->b", "b->a") for a in ("pgd", "fgsm")]
    assert len({m.name for m in measures}) == len({m.question for m in measures}) == 4


def test_the_picture_shows_the_source_the_other_and_the_control(trained):
    teacher, copies, others, data = trained
    (answer,) = compare(
        teacher, copies, data, measures=[AdversarialTransfer(eps=0.1)], controls=others, resamples=100
    ).answers
    assert answer.chart.x == ["A (all images)", "B", "control"]
    assert answer.chart.series["answer changed"][1] == pytest.approx(answer.value.value, abs=1e-9)
    assert all(np.isfinite(s).all() for s in answer.chart.series.values())


def test_both_models_are_left_as_they_were(net, images, untouched):
    one, two = net(1), net(2)
    with untouched(one, images.inputs), untouched(two):
        ask(AdversarialTransfer(restart=1), one, two, images)


def test_every_claim_holds():
    check_measure(AdversarialTransfer(direction="b->a", attack="fgsm", restart=2, calibration_examples=32))
