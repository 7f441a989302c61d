import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError, ShapeError
from learnt.data import load, shapes
from learnt.data.transforms import COLUMN_TRANSFORMS, IMAGE_TRANSFORMS, ColourJitter, GaussianNoise, Rotate

COLOUR = shapes(40, seed=4)
DIGITS = load("digits", limit=40)


@pytest.fixture(params=IMAGE_TRANSFORMS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@given(seed=st.integers(0, 10**6), size=st.integers(1, 40))
@pytest.mark.parametrize("data", [COLOUR, DIGITS], ids=["colour", "grey"])
@pytest.mark.parametrize("transform", IMAGE_TRANSFORMS, ids=lambda kind: kind.__name__)
def test_order_and_batch_size_change_no_bit(transform, data, seed, size):
    g = transform(seed=seed)
    whole = g(data.inputs, data.keys)
    order = np.random.default_rng(seed).permutation(40)
    assert torch.equal(g(data.inputs[order], data.keys[order]), whole[order])
    start = seed % (41 - size)
    assert torch.equal(
        g(data.inputs[start : start + size], data.keys[start : start + size]), whole[start : start + size]
    )


def test_strength_zero_is_the_identity(kind):
    g = kind(strength=0, hue=0.0) if kind is ColourJitter else kind(strength=0)
    for data in (COLOUR, DIGITS):
        assert torch.equal(g(data.inputs, data.keys), data.inputs)


def test_pixels_stay_in_the_unit_interval(kind):
    for strength in (kind.strength, min(1, kind.strength)):
        out = kind(strength=strength)(COLOUR.inputs, COLOUR.keys)
        assert out.shape == COLOUR.inputs.shape
        assert out.dtype == torch.float32
        assert out.min() >= 0
        assert out.max() <= 1


def test_the_default_strength_changes_the_images_and_leaves_the_input(kind):
    before = COLOUR.inputs.clone()
    out = kind()(COLOUR.inputs, COLOUR.keys)
    assert (out != COLOUR.inputs).flatten(1).any(1).float().mean() > 0.9
    assert torch.equal(before, COLOUR.inputs)


def test_a_stronger_change_moves_images_further(kind):
    small, large = (
        kind(strength=s) for s in ((0.1, 1.0) if kind.strength == 1 else (kind.strength / 4, kind.strength))
    )
    if kind.__name__ == "Translate":
        small = kind(strength=1)
    moved = [(g(COLOUR.inputs, COLOUR.keys) - COLOUR.inputs).square().mean() for g in (small, large)]
    assert moved[0] < moved[1]


def test_double_precision_gives_the_same_change(kind):
    single, double = (kind()(COLOUR.inputs.to(dtype), COLOUR.keys) for dtype in (torch.float32, torch.float64))
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=2e-4, rtol=0)


def test_the_seed_gives_another_draw_where_there_is_chance(kind):
    a, b = (kind(seed=seed, strength=0.5 if kind.__name__ == "HorizontalFlip" else kind.strength) for seed in (0, 1))
    same = torch.equal(a(COLOUR.inputs, COLOUR.keys), b(COLOUR.inputs, COLOUR.keys))
    assert same == (kind.__name__ == "Blur")


def test_names_are_unique_and_objects_compare_by_value(kind):
    names = [each.name for each in (*IMAGE_TRANSFORMS, *COLUMN_TRANSFORMS)]
    assert len(set(names)) == len(names)
    assert kind() == kind()
    assert kind(seed=1) != kind()


@pytest.mark.parametrize("strength", [-0.1, math.nan, math.inf])
def test_strengths_without_meaning_are_refused(kind, strength):
    with pytest.raises(InputError):
        kind(strength=strength)(COLOUR.inputs, COLOUR.keys)


def test_inputs_and_keys_must_fit(kind):
    with pytest.raises(ShapeError, match="channels, height, width"):
        kind()(COLOUR.inputs[0], COLOUR.keys)
    with pytest.raises(ShapeError, match="one for each input"):
        kind()(COLOUR.inputs, COLOUR.keys[:-1])
    with pytest.raises(ShapeError, match="one key an example"):
        kind()(COLOUR.inputs, COLOUR.keys[:, None])
    with pytest.raises(InputError, match="uint64"):
        kind()(COLOUR.inputs, np.ones(40))
    with pytest.raises(InputError, match="floating point"):
        kind()(torch.zeros(40, 3, 4, 4, dtype=torch.int64), COLOUR.keys)


def test_every_model_sees_the_same_change_of_the_same_example():
    again = shapes(40, seed=4)
    g = Rotate(strength=20)
    assert torch.equal(g(COLOUR.inputs, COLOUR.keys), g(again.inputs, again.keys))


def test_the_draws_of_an_augmentation_are_unrelated_to_the_split():
    test = load("digits", split="test")
    noise = GaussianNoise(strength=0.01)(torch.full((len(test), 1, 1, 1), 0.5), test.keys)[:, 0, 0, 0] - 0.5
    assert abs(float(noise.mean())) < 0.01 * 4 / math.sqrt(len(test))


def test_global_random_state_is_neither_used_nor_changed(kind):
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    kind()(COLOUR.inputs, COLOUR.keys)
    np.testing.assert_array_equal(before, np.random.get_state()[1])
    assert torch.equal(torch_before, torch.get_rng_state())
