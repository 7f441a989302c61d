from __future__ import annotations

import pytest
import torch
from tests.train.worlds import Point, nothing, quadratic

from learnt.core.errors import InputError
from learnt.train import Langevin, Population, fit
from learnt.train.langevin import stationary_variance

CURVATURE = torch.tensor([2.0, 0.5, 1.0])
H, T = 0.3, 0.5


def sample(temperature: float, steps: int = 50, n: int = 800, engine: str = "vmap") -> torch.Tensor:
    population = Population(lambda: Point(torch.randn(3)), n, seed=0)
    flow = Langevin(step_size=H, temperature=temperature)
    fit(population, nothing(), quadratic(CURVATURE, centre=1.0), steps=steps, flow=flow, engine=engine)
    return population.parameters["theta"]


def test_the_stationary_law_on_a_quadratic_is_the_known_one_of_the_discrete_chain():
    theta = sample(T)
    expected = torch.tensor([stationary_variance(float(a), H, T) for a in CURVATURE])
    standard_error = expected * (2 / (len(theta) - 1)) ** 0.5
    assert torch.all((theta.var(0) - expected).abs() < 4 * standard_error)
    assert torch.all((theta.mean(0) - 1).abs() < 4 * (expected / len(theta)).sqrt())
    covariance = torch.corrcoef(theta.T) - torch.eye(3)
    assert float(covariance.abs().max()) < 4 / len(theta) ** 0.5
    # the test is fine enough to tell the discrete law from the continuous one, T / a = 0.25 against 0.357
    assert abs(float(theta.var(0)[0]) - T / 2.0) > 4 * float(standard_error[0])


def test_without_temperature_all_replicas_collapse_to_the_minimum():
    theta = sample(0.0, n=20)
    assert float((theta - 1).abs().max()) < 5e-3


def test_the_transient_variance_is_the_known_one_too():
    theta = sample(T, steps=3)
    keep = (1 - H * CURVATURE) ** 2
    variance = torch.ones(3)
    for _ in range(3):
        variance = keep * variance + 2 * H * T
    assert torch.all((theta.var(0) - variance).abs() < 4 * variance * (2 / 799) ** 0.5)


def test_the_noise_of_a_replica_does_not_depend_on_how_many_there_are_or_on_the_engine():
    assert torch.equal(sample(T, n=4)[:2], sample(T, n=2))
    assert torch.allclose(sample(T, n=4, engine="loop"), sample(T, n=4), atol=1e-5)


def test_at_temperature_zero_a_step_is_a_gradient_step():
    theta, slope = torch.randn(3, 2), torch.randn(3, 2)
    assert torch.equal(Langevin(step_size=0.1, temperature=0.0)(theta, slope, 0, []), theta - 0.1 * slope)


def test_the_step_size_may_depend_on_the_step():
    flow = Langevin(step_size=lambda k: 1 / (k + 1), temperature=0.0)
    ones = torch.ones(1, 1)
    assert flow(ones, ones, 3, []).item() == 0.75
    with pytest.raises(InputError, match="at step 0"):
        Langevin(step_size=lambda k: 0.0, temperature=0.0)(ones, ones, 0, [])


@pytest.mark.parametrize("bad", [{"step_size": 0.0}, {"step_size": float("nan")}, {"temperature": -1.0}])
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(InputError):
        Langevin(**{"step_size": 0.1, "temperature": 1.0, **bad})


def test_an_unstable_step_size_has_no_stationary_variance():
    with pytest.raises(InputError, match="between 0 and 2"):
        stationary_variance(4.0, 0.5, 1.0)
