import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.stats import kstest

from learnt.core.errors import InputError
from learnt.data import _pixels
from learnt.data._draws import draw
from learnt.data.transforms import CropResize, Cutout, HorizontalFlip, Rotate, Translate

IMAGES = torch.rand(40, 3, 10, 10, generator=torch.Generator().manual_seed(0))
KEYS = np.arange(40, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


@pytest.mark.parametrize("quarter", [-2, -1, 0, 1, 2, 3])
def test_rotation_by_right_angles_is_rot90(quarter):
    out = _pixels.rotate(IMAGES, np.full(40, 90.0 * quarter))
    torch.testing.assert_close(out, torch.rot90(IMAGES, quarter, (2, 3)), atol=1e-5, rtol=0)


def test_rotation_agrees_with_bilinear_interpolation_by_scipy():
    images = torch.rand(4, 1, 12, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    degrees = np.array([10.0, -33.0, 71.0, 180.0])
    y, x = np.mgrid[:12, :9].astype(float)
    y, x = y - 5.5, x - 4.0
    for i, angle in enumerate(np.radians(degrees)):
        rows, columns = np.sin(angle) * x + np.cos(angle) * y + 5.5, np.cos(angle) * x - np.sin(angle) * y + 4.0
        expected = map_coordinates(images[i, 0].numpy(), [rows, columns], order=1, mode="nearest")
        np.testing.assert_allclose(_pixels.rotate(images, degrees)[i, 0], expected, atol=1e-9)


def test_angles_are_uniform_within_the_strength():
    keys = np.arange(3000, dtype=np.uint64)
    angles = 15 * (2 * draw(keys, "rotate", "angle", 0) - 1)
    assert kstest((angles + 15) / 30, "uniform").pvalue > 1e-3
    torch.testing.assert_close(Rotate(strength=15)(IMAGES, keys[:40]), _pixels.rotate(IMAGES, angles[:40]))


@given(down=st.integers(-3, 3), right=st.integers(-3, 3))
def test_translation_away_from_the_edge_is_a_roll(down, right):
    out = _pixels.translate(IMAGES, np.full(40, down), np.full(40, right))
    rolled = torch.roll(IMAGES, (down, right), (2, 3))
    inner = (slice(None), slice(None), slice(max(down, 0), 10 + min(down, 0)), slice(max(right, 0), 10 + min(right, 0)))
    assert torch.equal(out[inner], rolled[inner])
    if down > 0:
        inside = slice(max(right, 0), 10 + min(right, 0))
        assert torch.equal(out[:, :, 0, inside], out[:, :, down, inside])  # the edge repeats


def test_moves_are_whole_pixels_each_equally_likely():
    spot = torch.zeros(2500, 1, 11, 11)
    spot[:, :, 5, 5] = 1
    moved = Translate(strength=2)(spot, np.arange(2500, dtype=np.uint64)).flatten(1).argmax(1)
    rows, columns = moved // 11 - 5, moved % 11 - 5
    counts = torch.bincount((rows + 2) * 5 + columns + 2, minlength=25)
    assert counts.min() > 60
    assert counts.max() < 145
    with pytest.raises(InputError, match="whole number"):
        Translate(strength=1.5)(IMAGES, KEYS)  # pyright: ignore[reportArgumentType]


def test_a_crop_of_everything_is_the_identity():
    one, zero = np.ones(40), np.zeros(40)
    torch.testing.assert_close(_pixels.crop(IMAGES, zero, zero, one, one), IMAGES, atol=1e-6, rtol=0)


def test_a_crop_of_one_quarter_is_that_quarter_enlarged():
    half = np.full(40, 0.5)
    out = _pixels.crop(IMAGES, half * 0, half, half, half)
    expected = torch.nn.functional.interpolate(IMAGES[:, :, :5, 5:], (10, 10), mode="bilinear", align_corners=False)
    torch.testing.assert_close(out[:, :, :8, 2:], expected[:, :, :8, 2:], atol=1e-5, rtol=0)  # at cuts the crop sees on


@pytest.mark.parametrize("strength", [0.3, 0.5, 0.7])
def test_crops_have_the_area_and_lie_inside(strength):
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    ramp = torch.stack([y, x])[None].expand(40, -1, -1, -1).contiguous()
    out = CropResize(strength=strength)(ramp, KEYS)
    high = (out[:, 0, 62, 5] - out[:, 0, 1, 5]) / 61
    wide = (out[:, 1, 5, 62] - out[:, 1, 5, 1]) / 61
    torch.testing.assert_close(high * wide, torch.full((40,), 1 - strength), atol=2e-3, rtol=0)
    assert out.min() >= 0
    assert out.max() <= 63
    assert len(torch.unique((high / wide).round(decimals=3))) > 20
    other = CropResize(strength=strength, seed=1)(ramp, KEYS)
    assert (other - out).abs().amax((1, 2, 3)).min() > 0


def test_flip_mirrors_every_image_or_a_share():
    assert torch.equal(HorizontalFlip()(IMAGES, KEYS), IMAGES.flip(3))
    keys = np.arange(1000, dtype=np.uint64)
    ramp = torch.arange(4.0).expand(1000, 1, 2, 4)
    share = (HorizontalFlip(strength=0.3)(ramp, keys)[:, 0, 0, 0] == 3).float().mean()
    assert 0.25 < share < 0.35


def test_cutout_paints_one_square_with_the_mean_colour():
    out = Cutout(strength=0.4)(IMAGES, KEYS)
    changed = (out != IMAGES).any(1)
    assert (changed.sum((1, 2)) == 16).all()
    for i in range(40):
        rows, columns = changed[i].nonzero(as_tuple=True)
        assert rows.max() - rows.min() == 3
        assert columns.max() - columns.min() == 3
        torch.testing.assert_close(out[i][:, changed[i]], IMAGES[i].mean((1, 2))[:, None].expand(-1, 16))
    assert len({tuple(c.nonzero()[0].tolist()) for c in changed}) > 10
    flat = Cutout(strength=1.0)(IMAGES, KEYS)
    assert flat.flatten(2).std(2).max() < 1e-6


@pytest.mark.parametrize(
    "transform", [Rotate(strength=200), CropResize(strength=1.0), HorizontalFlip(strength=1.1), Cutout(strength=2)]
)
def test_strengths_beyond_their_range_are_refused(transform):
    with pytest.raises(InputError):
        transform(IMAGES, KEYS)
