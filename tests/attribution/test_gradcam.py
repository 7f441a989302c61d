import json
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from learnt.attribution.gradcam import CAMSimilarity, cam, gradcam, spatial_layer
from learnt.core.compare import compare
from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Undefined
from learnt.core.subject import Subject

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "attribution.json").read_text())["gradcam"]
RNG = np.random.default_rng(0)


def value(measure, one, two, data, batch_size=256):
    states = [
        measure.prepare(data.subject(x, name=str(i), batch_size=batch_size), data, rng=RNG)
        for i, x in enumerate((one, two))
    ]
    evidence = measure.compare(*states, rng=RNG)
    return evidence if isinstance(evidence, Undefined) else float(evidence.combine(evidence.columns.mean(0)))


def permuted(net: nn.Module, order: list[int]) -> nn.Module:
    head = nn.Linear(len(order), len(order), bias=False).requires_grad_(False)
    head.weight.copy_(torch.eye(len(order))[order])
    return nn.Sequential(*net, head)


def test_maps_equal_the_golden_ones():
    activations = torch.tensor([GOLDEN["activations"]], dtype=torch.float64)
    for side in ("teacher", "student"):
        gradients = torch.tensor([GOLDEN[f"grad_{side}"]], dtype=torch.float64)
        assert cam(activations, gradients)[0].numpy() == pytest.approx(np.array(GOLDEN[f"cam_{side}"]), abs=1e-12)


@pytest.mark.parametrize("layer", ["0", "2", "3", "4"])
def test_maps_equal_captum(net, images, layer):
    model = net(1).eval()
    ours = gradcam(images.subject(model, name="m", batch_size=7), images.inputs, images.labels, layer)
    reference = LayerGradCam(model, model[int(layer)]).attribute(images.inputs, images.labels, relu_attributions=True)
    assert ours == pytest.approx(reference.detach().numpy()[:, 0], abs=1e-6)


def test_the_default_layer_is_the_last_spatial_one_before_pooling(net, images):
    subject = images.subject(net(), name="m")
    assert spatial_layer(subject) == "5"  # dropout after the last ReLU; the pooling layer is 6


def test_a_layer_that_runs_twice_is_told_apart(images):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act, self.head = nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Linear(2, 3)

        def forward(self, x):
            return self.head(self.act(self.conv(self.act(self.conv(x)))).mean((2, 3)))

    subject = images.subject(Twice(), name="m")
    assert spatial_layer(subject) == "act#2"
    assert gradcam(subject, images.inputs, images.labels).shape == (20, 10, 10)


def test_only_the_part_after_the_layer_is_differentiated(net, images):
    class NoGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("differentiated too far")

    class Wall(nn.Module):
        def forward(self, x):
            return NoGradient.apply(x)

    plain = net(1)
    walled = nn.Sequential(plain[0], Wall(), *plain[1:])
    one = gradcam(images.subject(plain, name="m"), images.inputs, images.labels)
    assert gradcam(images.subject(walled, name="m"), images.inputs, images.labels) == pytest.approx(one)


def test_a_layer_that_returns_several_things_is_taken_by_its_first(net, images):
    class Pair(nn.Module):
        def forward(self, x):
            return x.relu(), "more"

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pair, self.head = nn.Conv2d(2, 4, 3), Pair(), nn.Linear(4, 3)

        def forward(self, x):
            x, more = self.pair(self.conv(x))
            return self.head(x.mean((2, 3))) + len(more)

    model = Net()
    subject = images.subject(model, name="m")
    assert spatial_layer(subject) == "pair"
    activations = model.conv(images.inputs).relu()
    weights = model.head.weight[images.labels] / 64
    expected = (weights[:, :, None, None] * activations).sum(1).relu().detach().numpy()
    assert gradcam(subject, images.inputs, images.labels) == pytest.approx(expected, abs=1e-6)


def test_an_in_place_layer_and_frozen_weights_change_nothing(net, images):
    plain, changed = net(2), net(2, frozen=True)
    changed[4] = nn.ReLU(inplace=True)
    maps = [gradcam(images.subject(m, name="m"), images.inputs, images.labels) for m in (plain, changed)]
    assert maps[0] == pytest.approx(maps[1], abs=1e-7)


def test_identical_models_have_similarity_one_and_different_ones_less(net, images):
    assert value(CAMSimilarity(), net(1), net(1), images) == pytest.approx(1.0, abs=1e-9)
    assert value(CAMSimilarity(), net(1), net(2), images) < 0.99


def test_maps_on_different_grids_meet_on_the_coarser_one_whoever_is_first(net, images):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        other = nn.Sequential(nn.Conv2d(2, 3, 3, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 3))
    forth, back = value(CAMSimilarity(), net(1), other, images), value(CAMSimilarity(), other, net(1), images)
    assert 0 < forth < 1
    assert forth == pytest.approx(back, abs=1e-12)


def test_order_batch_size_and_class_names_do_not_matter(net, images):
    measure = CAMSimilarity(max_examples=9)
    a, b = net(1).eval(), net(2).eval()
    expected = value(measure, a, b, images)
    assert value(
        measure, a, b, images.take(torch.randperm(20, generator=torch.Generator().manual_seed(0)))
    ) == pytest.approx(expected, abs=1e-6)
    assert value(measure, a, b, images, batch_size=3) == pytest.approx(expected, abs=1e-6)
    order = [2, 0, 1]
    renamed = Examples(inputs=images.inputs, labels=torch.argsort(torch.tensor(order))[images.labels])
    assert value(measure, permuted(a, order), permuted(b, order), renamed) == pytest.approx(expected, abs=1e-6)


def test_images_with_an_empty_map_are_left_out_and_counted(images):
    class Half(nn.Module):  # only looks at bright images, and only for class 0
        def __init__(self):
            super().__init__()
            self.conv, self.act = nn.Conv2d(2, 1, 1), nn.ReLU()
            nn.init.constant_(self.conv.weight, 1.0)
            nn.init.constant_(self.conv.bias, -1.0)

        def forward(self, x):
            score = self.act(self.conv(x)).mean((2, 3))[:, 0]
            return torch.stack([score, 0 * score, -score], 1)

    subject = images.subject(Half(), name="half")
    measure = CAMSimilarity()
    state = measure.prepare(subject, images, rng=RNG)
    evidence = measure.compare(state, state, rng=RNG)
    empty = (images.labels != 0).double().mean().item()
    assert evidence.details["empty_a"] == pytest.approx(empty)
    assert float(evidence.combine(evidence.columns.mean(0))) == pytest.approx(1.0)
    assert np.isnan(evidence.per_example).mean() == pytest.approx(empty)


def test_a_dead_network_has_no_similarity_and_no_nan(net, images):
    dead = net(1)
    nn.init.zeros_(dead[-1].weight)
    evidence = value(CAMSimilarity(), net(1), dead, images)
    assert isinstance(evidence, Undefined)
    assert "zero" in evidence.reason


def test_a_score_without_any_path_to_the_layer_gives_empty_maps(images):
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bias = nn.Conv2d(2, 2, 3), nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

        def forward(self, x):
            self.conv(x)
            return self.bias.expand(len(x), 3)

    assert not gradcam(images.subject(Blind(), name="m"), images.inputs, images.labels).any()


def test_things_without_spatial_layers_or_labels_are_not_asked(net, images):
    with pytest.raises(NotApplicable, match="nn.Module"):
        CAMSimilarity().prepare(images.subject(lambda x: x.flatten(1)[:, :3] + 2, name="f"), images, rng=RNG)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(200, 3))
    with pytest.raises(NotApplicable, match="spatial"):
        CAMSimilarity().prepare(images.subject(flat, name="mlp"), images, rng=RNG)
    unlabelled = Examples(inputs=images.inputs)
    with pytest.raises(NotApplicable, match="labels"):
        CAMSimilarity().prepare(unlabelled.subject(net(), name="m"), unlabelled, rng=RNG)
    table = Examples(inputs=images.inputs.flatten(1), labels=images.labels)
    with pytest.raises(NotApplicable, match="images"):
        CAMSimilarity().prepare(table.subject(nn.Linear(200, 3), name="m"), table, rng=RNG)


def test_an_unknown_layer_offers_the_nearest_names_and_a_flat_one_the_spatial_ones(net, images):
    with pytest.raises(InputError, match="Nearest names"):
        CAMSimilarity(layer="conv1").prepare(images.subject(net(), name="m"), images, rng=RNG)
    with pytest.raises(InputError, match="Spatial layers: 0, 1, 2"):
        CAMSimilarity(layer="8").prepare(images.subject(net(), name="m"), images, rng=RNG)


def test_the_model_is_left_as_it_was(net, images, untouched):
    model = net(3)
    nn.functional.cross_entropy(model(images.inputs), images.labels).backward()
    model[1].eval()
    with untouched(model, images.inputs):
        gradcam(images.subject(model, name="m"), images.inputs, images.labels)


def test_the_model_is_left_as_it_was_when_something_fails_inside(net, images, untouched):
    class Failing(nn.Module):
        def forward(self, x):
            if len(x) > 2:  # the look at the layers passes, the maps do not
                raise RuntimeError("inside")
            return x

    model = nn.Sequential(*net(3), Failing())
    with untouched(model, images.inputs), pytest.raises(RuntimeError, match="inside"):
        gradcam(Subject(model, images, name="m"), images.inputs, images.labels)


def test_gallery_maps_have_the_size_of_the_images_and_reach_one(net, images):
    measure = CAMSimilarity(max_examples=5)
    state = measure.prepare(images.subject(net(1), name="m"), images, rng=RNG)
    maps = measure.look(state, np.array([0, 13, 19]))
    assert maps.shape == (3, 10, 10)
    assert set(np.round(maps.max((1, 2)), 12)) <= {0.0, 1.0}
    assert maps.min() >= 0


def test_a_copy_transfers_completely_and_the_answer_has_a_picture(net, images):
    teacher = net(1)
    result = compare(
        teacher, net(1), images, measures=[CAMSimilarity()], controls=[net(i) for i in range(2, 7)], resamples=200
    )
    (answer,) = result.answers
    assert answer.transfer.value == pytest.approx(1.0, abs=1e-9)
    assert answer.chart.kind == "heatmap"
    assert list(answer.chart.series) == ["A", "B", "control"]
