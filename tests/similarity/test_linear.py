"""Layers made ready: groups by key, digits kept at any mean and scale, constants recognised, inputs untouched."""

import numpy as np
import pytest
import torch

from learnt.core.errors import NonFiniteError, ShapeError
from learnt.similarity.hsic import cka_of, group_bounds
from learnt.similarity.linear import centred, group_order, linear_kernel


def sample(n, p, q):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, p, generator=g, dtype=torch.float64)
    return x, torch.randn(n, q, generator=g, dtype=torch.float64) + x[:, :q]


def test_groups_follow_keys_and_not_positions():
    keys = np.array([50, 10, 40, 30, 20], dtype=np.uint64)
    order = group_order(keys, 2)
    assert keys[order].tolist() == [10, 30, 50, 20, 40]
    assert group_bounds(5, 2).tolist() == [0, 3, 5]


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_neither_a_large_mean_nor_an_extreme_scale_loses_digits(scale, shift):
    x, y = sample(40, 5, 5)
    reference = cka_of(linear_kernel(x), linear_kernel(y))[0]
    moved = cka_of(linear_kernel((x + shift) * scale), linear_kernel(y))[0]
    assert moved == pytest.approx(reference, abs=1e-9 if shift else 1e-14)


def test_inputs_are_left_as_they_were():
    x, _ = sample(20, 3, 3)
    before = x.clone()
    linear_kernel(x)
    assert torch.equal(x, before)


def test_features_are_centred_and_scaled_to_one():
    x, _ = sample(30, 4, 2)
    values, scale = centred(100 + 7 * x)
    torch.testing.assert_close(values.mean(0), torch.zeros(4, dtype=torch.float64), atol=1e-14, rtol=0)
    assert float(values.abs().max()) == 1.0
    torch.testing.assert_close(values * scale, 7 * (x - x.mean(0)), atol=1e-11, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e8])
def test_a_constant_layer_is_recognised_whatever_its_value(value):
    for dtype in (torch.float32, torch.float64):
        kernel = linear_kernel(torch.full((70, 3), value, dtype=dtype))
        assert (kernel.reason[:14], kernel.scale) == ("layer constant", 0.0)


def test_small_variation_around_a_large_mean_is_not_called_constant():
    x, _ = sample(30, 4, 2)
    assert linear_kernel(1e6 + 1e-3 * x).reason == ""


def test_wrong_shapes_and_nan_are_errors_that_name_the_layer():
    with pytest.raises(ShapeError, match="conv.*examples, features"):
        linear_kernel(torch.zeros(4, 3, 2), name="conv")
    with pytest.raises(NonFiniteError, match="conv"):
        linear_kernel(torch.full((4, 3), torch.nan), name="conv")
