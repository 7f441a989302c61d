import numpy as np
import pytest
import torch
from torch import nn

from learnt.attribution.localisation import Localisation, mass_inside, points_inside
from learnt.core.compare import compare
from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.core.measure import Undefined

RNG = np.random.default_rng(0)


class Looking(nn.Module):
    """Scores every class by the brightness of one channel; its Grad-CAM map is that channel."""

    def __init__(self, channel: int):
        super().__init__()
        self.pick = nn.Conv2d(2, 1, 1, bias=False)
        self.pick.weight.data = torch.eye(2)[channel].reshape(1, 2, 1, 1)
        self.act = nn.ReLU()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x):
        return self.act(self.pick(x)).mean((2, 3)) * self.scale + torch.tensor([2.0, 1.0, 0.0])


@pytest.fixture
def lit(images):
    """Channel 0 is bright on the object only, channel 1 on the background only."""
    mask = images.masks.float()
    noise = 0.5 + 0.5 * images.inputs[:, 0]
    return Examples(
        inputs=torch.stack([mask * noise, (1 - mask) * noise], 1),
        labels=images.labels,
        masks=images.masks,
        low=0.0,
        high=1.0,
    )


def level(model, data, **options):
    measure = Localisation(**options)
    evidence = measure.describe(measure.prepare(data.subject(model, name="m"), data, rng=RNG))
    return evidence if isinstance(evidence, Undefined) else float(evidence.combine(evidence.columns.mean(0)))


def test_mass_and_pointing_by_hand():
    maps = np.array([[[1.0, 3.0], [0.0, 4.0]], [[2.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    masks = np.array([[[True, False], [False, True]]] * 3)
    assert mass_inside(maps, masks)[:2] == pytest.approx([5 / 8, 1 / 2])
    assert points_inside(maps, masks)[:2] == pytest.approx([1.0, 0.5])
    assert np.isnan(mass_inside(maps, masks)[2])
    assert np.isnan(points_inside(maps, masks)[2])


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients"])
@pytest.mark.parametrize("statistic", ["mass", "pointing"])
def test_a_network_that_looks_at_the_object_has_one_and_at_the_background_zero(lit, method, statistic):
    options = {"method": method, "statistic": statistic, "steps": 2}
    assert level(Looking(0), lit, **options) == pytest.approx(1.0, abs=1e-6)
    assert level(Looking(1), lit, **options) == pytest.approx(0.0, abs=1e-6)


def test_a_map_without_structure_reaches_the_share_of_the_image_that_the_object_covers():
    maps = np.ones((4, 6, 6))
    masks = np.random.default_rng(1).random((4, 6, 6)) < 0.3
    assert mass_inside(maps, masks) == pytest.approx(masks.mean((1, 2)))
    assert points_inside(maps, masks) == pytest.approx(masks.mean((1, 2)))


def test_a_copy_transfers_completely_and_the_picture_shows_chance(lit):
    result = compare(Looking(0), Looking(0), lit, measures=[Localisation()], controls=[Looking(1)], resamples=200)
    (answer,) = result.answers
    assert answer.transfer.value == pytest.approx(1.0, abs=1e-6)
    assert answer.chart.x == ["A", "B", "control"]
    assert answer.chart.series["inside the object"] == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)
    assert answer.chart.series["chance (area of the object)"] == pytest.approx([0.16] * 3)


def test_compare_is_the_difference_of_the_two_levels(lit):
    measure = Localisation()
    states = [measure.prepare(lit.subject(Looking(c), name="m"), lit, rng=RNG) for c in (0, 1)]
    evidence = measure.compare(*states, rng=RNG)
    assert float(evidence.combine(evidence.columns.mean(0))) == pytest.approx(-1.0, abs=1e-6)


def test_order_and_batches_do_not_matter(net, images):
    expected = level(net(1), images, max_examples=9)
    assert level(net(1), images.take(np.arange(20)[::-1].copy()), max_examples=9) == pytest.approx(expected, abs=1e-6)


def test_a_dead_network_has_no_level(net, images):
    dead = net(1)
    nn.init.zeros_(dead[-1].weight)
    assert isinstance(level(dead, images), Undefined)


def test_data_without_masks_or_with_masks_of_another_size_are_refused(net, images):
    bare = Examples(inputs=images.inputs, labels=images.labels)
    with pytest.raises(NotApplicable, match="masks"):
        Localisation().prepare(bare.subject(net(), name="m"), bare, rng=RNG)
    odd = Examples(inputs=images.inputs, labels=images.labels, masks=images.masks[:, :5])
    with pytest.raises(ShapeError, match="height"):
        Localisation().prepare(odd.subject(net(), name="m"), odd, rng=RNG)
    with pytest.raises(InputError):
        Localisation(method="occlusion")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        Localisation(statistic="iou")  # type: ignore[arg-type]
    with pytest.raises(ShapeError):
        mass_inside(np.ones((1, 2, 2)), np.ones((1, 3, 3)))
