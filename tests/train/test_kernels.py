from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.train.kernels import Gaussian, Linear, squared_distances

KERNELS = {
    Gaussian(0.7): lambda a, b: torch.exp(-((a - b) ** 2).sum() / (2 * 0.7**2)),
    Linear(): lambda a, b: a @ b + 1,
}


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@settings(max_examples=15)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 1000))
def test_values_and_gradients_are_those_of_the_formula(kernel, n, d, seed):
    x = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    formula = KERNELS[kernel]
    values = torch.stack([torch.stack([formula(a, b) for b in x]) for a in x])
    assert torch.allclose(kernel.matrix(x), values)
    slope = torch.func.grad(formula)
    here = torch.stack([torch.stack([slope(a, b) for b in x]).mean(0) for a in x])
    there = torch.stack([torch.stack([slope(b, a) for b in x]).mean(0) for a in x])
    assert torch.allclose(kernel.here(x), here, atol=1e-12)
    assert torch.allclose(kernel.there(x), there, atol=1e-12)


def test_distances_keep_their_digits_far_from_the_origin():
    x = torch.randn(5, 3) + 1e4
    assert torch.allclose(squared_distances(x), torch.cdist(x.double(), x.double()).float() ** 2, rtol=1e-3, atol=1e-4)


def test_the_median_bandwidth_is_the_median_distance():
    x = torch.tensor([[0.0], [1.0], [3.0]])  # distances 1, 2, 3
    assert torch.allclose(Gaussian("median").matrix(x), Gaussian(2.0).matrix(x))


def test_the_median_of_replicas_that_coincide_is_refused():
    with pytest.raises(InputError, match="coincide"):
        Gaussian("median").matrix(torch.ones(3, 2))


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan"), float("inf"), "mean"])
def test_a_bandwidth_that_is_no_length_is_refused(bandwidth):
    with pytest.raises(InputError, match="bandwidth"):
        Gaussian(bandwidth)
