"""Langevin flow: each replica follows its gradient under noise, and so samples exp(-loss / T) instead of minimising.

    theta' = theta - h grad l(theta) + sqrt(2 h T) xi,    xi ~ N(0, I)      (unadjusted Langevin algorithm)

With l the mean negative log-likelihood over n examples and T = 1/n this is sampling from the posterior; T = 0 is
gradient descent. N replicas give N independent end points (deep Langevin ensemble, arXiv 2305.15027 section 4.2).

For the quadratic loss l = a theta^2 / 2 the chain is an AR(1) process and its law is known at every step size:
variance T * 2 / (a (2 - h a)) per eigenvalue a, against T / a for the continuous flow; `stationary_variance` gives
it. Mini-batches add noise of their own, which is not counted here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch

from learnt.core.errors import InputError

StepSize = float | Callable[[int], float]


@final
@dataclass(frozen=True, kw_only=True)
class Langevin:
    """Gradient steps with noise.

    Args:
        step_size: h, or a function from the step (from 0) to it.
        temperature: T >= 0, in units of the loss.

    Raises:
        InputError: a step size that is not positive or a negative temperature.
    """

    step_size: StepSize
    temperature: float

    def __post_init__(self) -> None:
        check_motion(self.step_size, self.temperature)

    def __call__(
        self, parameters: torch.Tensor, gradients: torch.Tensor, step: int, rng: Sequence[torch.Generator], /
    ) -> torch.Tensor:
        """(N, D) parameters after one step."""
        h = size_at(self.step_size, step)
        return diffuse(parameters - h * gradients, h, self.temperature, rng)


def diffuse(
    parameters: torch.Tensor, step_size: float, temperature: float, rng: Sequence[torch.Generator]
) -> torch.Tensor:
    """(N, D) + sqrt(2 h T) N(0, I), row i drawn from generator i; nothing is drawn at T = 0."""
    if temperature == 0:
        return parameters
    shape, like = parameters.shape[1:], {"dtype": parameters.dtype, "device": parameters.device}
    noise = torch.stack([torch.randn(shape, generator=g, **like) for g in rng])
    return parameters.add(noise, alpha=math.sqrt(2 * step_size * temperature))


def stationary_variance(curvature: float, step_size: float, temperature: float) -> float:
    """Variance of the chain along an eigenvector of a quadratic loss: 2 T / (a (2 - h a)).

    Raises:
        InputError: h a >= 2, where the chain has no stationary law.
    """
    if not 0 < step_size * curvature < 2:
        raise InputError(
            "step_size", found=f"h a = {step_size * curvature:g}", expected="a value between 0 and 2, for stability"
        )
    return 2 * temperature / (curvature * (2 - step_size * curvature))


def size_at(step_size: StepSize, step: int) -> float:
    """The step size at a step; raises InputError if a schedule returns one that is not positive."""
    h = float(step_size(step) if callable(step_size) else step_size)
    if not 0 < h < math.inf:
        raise InputError("step_size", found=f"{h} at step {step}", expected="a positive number")
    return h


def check_motion(step_size: StepSize, temperature: float) -> None:
    """Raise InputError unless the step size is positive (or a function) and the temperature not negative."""
    if not callable(step_size):
        size_at(step_size, 0)
    if not 0 <= temperature < math.inf:
        raise InputError("temperature", found=repr(temperature), expected="a number from 0")
