from __future__ import annotations

import math

import pytest
import torch
from tests.train.worlds import Point, nothing, quadratic

from learnt.core.errors import InputError
from learnt.train import Gaussian, Linear, Population, Repulsive, fit
from learnt.train.langevin import stationary_variance

# bandwidth, strength, place where two replicas come to rest on l = theta^2 / 2 (closed form, independently tabulated)
AT_REST = [(1.0, 4.0, 0.832555), (1.0, 2.0, 0.588705), (0.5, 4.0, 0.588705), (0.5, 1.0, 0.416277)]


def rest(n: int, strength: float, kernel, *, steps=400, temperature=0.0, seed=0, step_size=0.1, curvature=1.0):
    population = Population(lambda: Point(torch.randn(1)), n, seed=seed)
    flow = Repulsive(step_size=step_size, strength=strength, kernel=kernel, temperature=temperature)
    fit(population, nothing(), quadratic(torch.tensor([curvature])), steps=steps, flow=flow, engine="vmap")
    return population.parameters["theta"].flatten()


@pytest.mark.parametrize(("bandwidth", "strength", "place"), AT_REST)
def test_two_replicas_come_to_rest_where_repulsion_balances_the_loss(bandwidth, strength, place):
    theta = rest(2, strength, Gaussian(bandwidth), step_size=0.05 if bandwidth < 1 else 0.1).sort().values
    assert theta.tolist() == pytest.approx([-place, place], abs=1e-4)
    assert place == pytest.approx(bandwidth * math.sqrt(math.log(strength / bandwidth**2) / 2), abs=1e-6)


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_without_enough_repulsion_they_collapse_to_the_minimum(strength):
    assert float(rest(2, strength, Gaussian(1.0)).abs().max()) < 1e-4


def test_more_replicas_spread_with_strength_and_stay_symmetric_in_the_mean():
    spreads = [float(rest(10, s, Gaussian(0.5)).std()) for s in (0.0, 1.0, 4.0)]
    assert spreads[0] < 1e-4 < spreads[1] < spreads[2]


def test_under_noise_a_linear_kernel_gives_the_known_variance_for_a_finite_number_of_replicas():
    h, t, s, a, n, runs = 0.2, 0.5, 2.0, 1.0, 5, 400
    flow = Repulsive(step_size=h, strength=s, kernel=Linear(), temperature=t)
    rng = [torch.Generator().manual_seed(i) for i in range(n)]
    g = torch.Generator().manual_seed(99)
    theta = torch.randn(n, runs, generator=g)  # D = runs coordinates are as many independent experiments
    kept = []
    for k in range(400):
        theta = flow(theta, a * theta, k, rng)
        if k >= 100 and k % 10 == 0:
            kept.append(theta)
    values = torch.stack(kept)
    alone, together = stationary_variance(a, h, t), stationary_variance(a + s, h, t)
    expected = (1 - 1 / n) * alone + together / n
    effective = values.numel() / 3
    assert float(values.var()) == pytest.approx(expected, abs=4 * expected * (2 / effective) ** 0.5)
    assert float(values.mean(1).var()) == pytest.approx(together / n, rel=0.1)
    assert abs(float(values.var()) - alone) > 4 * expected * (2 / effective) ** 0.5  # replicas alone would differ


def test_strength_zero_is_plain_descent_for_each_replica():
    theta, slope = torch.randn(4, 3), torch.randn(4, 3)
    flow = Repulsive(step_size=0.1, strength=0.0, kernel=Gaussian("median"))
    assert torch.equal(flow(theta, slope, 0, []), theta - 0.1 * slope)


def test_one_replica_feels_no_repulsion():
    theta = torch.randn(1, 3)
    for kernel in (Gaussian(1.0), Gaussian("median")):
        flow = Repulsive(step_size=0.1, strength=5.0, kernel=kernel)
        assert torch.allclose(flow(theta, torch.zeros(1, 3), 0, []), theta)


def test_the_order_of_the_replicas_does_not_matter():
    theta, slope = torch.randn(6, 3), torch.randn(6, 3)
    flow = Repulsive(step_size=0.1, strength=5.0, kernel=Gaussian("median"))
    order = torch.randperm(6)
    assert torch.allclose(flow(theta, slope, 0, [])[order], flow(theta[order], slope[order], 0, []), atol=1e-6)


@pytest.mark.parametrize("bad", [{"strength": -1.0}, {"step_size": 0.0}, {"temperature": -0.1}])
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(InputError):
        Repulsive(**{"step_size": 0.1, "strength": 1.0, "kernel": Linear(), **bad})
