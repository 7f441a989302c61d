from __future__ import annotations

import pytest
import torch
from tests.train.worlds import Point, nothing, quadratic

from learnt.train import Gaussian, Linear, Population, Stein, fit

CURVATURE = torch.tensor([2.0, 0.5])


def rest(temperature: float, n: int = 6, steps: int = 800, kernel=Linear()) -> torch.Tensor:  # noqa: B008
    population = Population(lambda: Point(torch.randn(2)), n, seed=0)
    flow = Stein(step_size=0.15, kernel=kernel, temperature=temperature)
    fit(population, nothing(), quadratic(CURVATURE, centre=1.0), steps=steps, flow=flow, engine="vmap")
    return population.parameters["theta"]


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_with_a_linear_kernel_six_replicas_have_the_exact_mean_and_covariance_of_the_target(temperature):
    theta = rest(temperature)
    assert torch.allclose(theta.mean(0), torch.ones(2), atol=1e-3)
    assert torch.allclose(torch.cov(theta.T, correction=0), torch.diag(temperature / CURVATURE), atol=2e-3)


def test_without_temperature_all_replicas_drift_to_the_mode():
    early, late = rest(0.0, steps=40), rest(0.0, steps=400)
    assert torch.allclose(late.mean(0), torch.ones(2), atol=3e-2)
    assert torch.all(late.var(0) < 0.5 * early.var(0))
    assert torch.all(late.var(0) < 0.2 / CURVATURE)


def test_at_rest_the_stein_identity_holds_for_a_gaussian_kernel():
    kernel = Gaussian(1.0)
    theta = rest(1.0, n=12, steps=600, kernel=kernel)
    slope = CURVATURE * (theta - 1)
    force = kernel.there(theta) - kernel.matrix(theta) @ slope / len(theta)
    assert float(force.abs().max()) < 1e-2
    assert float(theta.std(0).min()) > 0.4  # spread out, not collapsed


def test_one_replica_with_a_gaussian_kernel_is_plain_descent():
    theta, slope = torch.randn(1, 4), torch.randn(1, 4)
    flow = Stein(step_size=0.1, kernel=Gaussian(2.0))
    assert torch.allclose(flow(theta, slope, 0, []), theta - 0.1 * slope)
