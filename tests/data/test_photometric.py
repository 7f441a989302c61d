import colorsys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest

from learnt.core.errors import InputError, ShapeError
from learnt.data import _pixels
from learnt.data.transforms import Blur, Brightness, ColourJitter, Contrast, GaussianNoise, Hue, Saturation

IMAGES = torch.rand(50, 3, 9, 7, generator=torch.Generator().manual_seed(0))
KEYS = np.arange(50, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
WEIGHTS = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


def test_brightness_multiplies_by_a_uniform_factor():
    dim = IMAGES * 0.5  # so that nothing is clipped
    keys = np.arange(2000, dtype=np.uint64)
    factor = (Brightness(strength=0.4)(dim[:1].expand(2000, -1, -1, -1), keys) / dim[:1])[:, 0, 0, 0]
    assert kstest((factor - 0.6) / 0.8, "uniform").pvalue > 1e-3
    own = (Brightness(strength=0.4)(dim, KEYS) / dim).flatten(1)
    torch.testing.assert_close(own, own[:, :1].expand_as(own))  # one factor an image


def test_a_strength_above_one_never_gives_a_negative_factor():
    assert (Brightness(strength=3.0)(IMAGES, KEYS) >= 0).all()
    assert Saturation(strength=3.0)(IMAGES, KEYS).max() <= 1


def test_contrast_keeps_the_mean_grey_and_scales_the_rest():
    soft = 0.4 + 0.2 * IMAGES
    out = Contrast(strength=0.5)(soft, KEYS)
    level = (soft * WEIGHTS).sum(1).mean((1, 2))[:, None, None, None]
    ratio = ((out - level) / (soft - level)).flatten(1)
    assert (ratio.median(1).values[:, None] - ratio).abs().median() < 1e-4
    torch.testing.assert_close((out * WEIGHTS).sum(1).mean((1, 2)), level[:, 0, 0, 0])


def test_saturation_keeps_the_grey_value_and_at_factor_zero_gives_grey():
    soft = 0.4 + 0.2 * IMAGES
    out = Saturation(strength=0.5)(soft, KEYS)
    torch.testing.assert_close((out * WEIGHTS).sum(1), (soft * WEIGHTS).sum(1))
    grey = _pixels.blend(IMAGES, _pixels.grey(IMAGES), np.zeros(50))
    torch.testing.assert_close(grey[:, 0], (IMAGES * WEIGHTS).sum(1))
    assert torch.equal(grey[:, 0], grey[:, 2])


def test_hue_agrees_with_colorsys():
    turns = np.random.default_rng(0).uniform(-0.5, 0.5, 50)
    out = _pixels.shift_hue(IMAGES, turns)
    for i in range(50):
        for y, x in ((0, 0), (3, 4), (8, 6)):
            h, s, v = colorsys.rgb_to_hsv(*IMAGES[i, :, y, x].tolist())
            expected = colorsys.hsv_to_rgb((h + turns[i]) % 1.0, s, v)
            np.testing.assert_allclose(out[i, :, y, x], expected, atol=2e-6)


def test_hue_shifts_add_up_and_a_whole_turn_is_the_identity():
    once = _pixels.shift_hue(_pixels.shift_hue(IMAGES, np.full(50, 0.3)), np.full(50, 0.45))
    torch.testing.assert_close(once, _pixels.shift_hue(IMAGES, np.full(50, 0.75)), atol=1e-5, rtol=0)
    torch.testing.assert_close(_pixels.shift_hue(IMAGES, np.ones(50)), IMAGES, atol=1e-5, rtol=0)


def test_grey_pixels_have_no_hue_to_turn():
    grey = IMAGES[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(Hue(strength=0.5)(grey, KEYS), grey)
    assert torch.equal(Hue()(IMAGES[:, :1], KEYS), IMAGES[:, :1])
    assert torch.equal(ColourJitter(strength=0.0)(IMAGES[:, :1], KEYS), IMAGES[:, :1])


def test_colour_jitter_is_its_four_steps_in_order():
    from learnt.data._draws import draw

    factors = [0.7 + 0.6 * draw(KEYS, "colour jitter", part, 0) for part in ("brightness", "contrast", "saturation")]
    x = (IMAGES.double() * torch.tensor(factors[0])[:, None, None, None]).clamp(0, 1)
    for factor, other in (
        (factors[1], lambda x: (x * WEIGHTS).sum(1).mean((1, 2))[:, None, None, None]),
        (factors[2], lambda x: (x * WEIGHTS).sum(1, keepdim=True)),
    ):
        f = torch.tensor(factor)[:, None, None, None]
        x = (f * x + (1 - f) * other(x)).clamp(0, 1)
    turns = 0.1 * (2 * draw(KEYS, "colour jitter", "hue", 0) - 1)
    expected = np.empty((50, 3, 9, 7))
    for i in range(50):
        for y in range(9):
            for z in range(7):
                h, s, v = colorsys.rgb_to_hsv(*x[i, :, y, z].tolist())
                expected[i, :, y, z] = colorsys.hsv_to_rgb((h + turns[i]) % 1.0, s, v)
    np.testing.assert_allclose(ColourJitter(strength=0.3, hue=0.1)(IMAGES, KEYS), expected, atol=1e-5)


def test_noise_is_standard_normal_times_the_strength():
    middle = torch.full((50, 3, 20, 20), 0.5)
    noise = (GaussianNoise(strength=0.05)(middle, KEYS) - 0.5).flatten() / 0.05
    assert kstest(noise.numpy()[:5000], "norm").pvalue > 1e-3
    assert abs(float(noise.mean())) < 0.02
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    double = (GaussianNoise(strength=0.1)(middle, KEYS) - 0.5).flatten() / 0.1
    torch.testing.assert_close(double, noise, atol=1e-4, rtol=0)  # the same path at another strength


@pytest.mark.parametrize("width", [0.4, 1.0, 2.5])
def test_blur_agrees_with_scipy(width):
    images = torch.rand(3, 2, 20, 15, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    reach = int(np.ceil(4 * width))
    expected = gaussian_filter(images.numpy(), (0, 0, width, width), mode="nearest", radius=(0, 0, reach, reach))
    np.testing.assert_allclose(Blur(strength=width)(images, KEYS[:3]), expected, atol=1e-12)


def test_blur_keeps_a_constant_image():
    flat = torch.full((2, 1, 8, 8), 0.3)
    torch.testing.assert_close(Blur(strength=2.0)(flat, KEYS[:2]), flat)


@pytest.mark.parametrize("transform", [Brightness(), Contrast(), Saturation(), Hue(), ColourJitter(), GaussianNoise()])
def test_pixels_outside_the_unit_interval_are_refused(transform):
    with pytest.raises(InputError, match=r"pixels in \[0, 1\]"):
        transform(IMAGES * 255, KEYS)


@pytest.mark.parametrize("transform", [Contrast(), Saturation(), Hue(), ColourJitter()])
def test_two_channels_are_neither_grey_nor_colour(transform):
    with pytest.raises(ShapeError, match="2 channels"):
        transform(IMAGES[:, :2], KEYS)


@pytest.mark.parametrize(
    "transform", [Hue(strength=0.6), ColourJitter(hue=0.7), ColourJitter(hue=-0.1), Blur(strength=1000)]
)
def test_strengths_beyond_their_range_are_refused(transform):
    with pytest.raises(InputError):
        transform(IMAGES, KEYS)
