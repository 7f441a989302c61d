"""Repulsive flow: replicas follow their gradients, push each other apart through a kernel, and may feel noise.

    theta_i' = theta_i - h ( grad l(theta_i) + (s/N) sum_j grad_1 kappa(theta_i, theta_j) ) + sqrt(2 h T) xi_i

The sum runs over all j, i included; all replicas move from the positions of the same step. It is the Euler scheme of
the Wasserstein gradient flow of

    F(Q) = int l dQ + (s/2) int int kappa dQ dQ + T int q log q

(arXiv 2305.15027, equations 4, 5 and 59: deep repulsive Langevin ensemble with a flat reference measure, for which
the squared maximum mean discrepancy and its kernel term differ by a constant).

Known laws on l = theta^2 / 2. Two replicas, Gaussian kernel of bandwidth b, T = 0: they stand at +-a with
a = b sqrt(log(s / b^2) / 2) if s > b^2, and meet at 0 otherwise. Any N, linear kernel, curvature a, T > 0: each
replica has variance (1 - 1/N) v(a) + v(a + s) / N with v of `langevin.stationary_variance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from learnt.core.errors import InputError
from learnt.train.kernels import Kernel
from learnt.train.langevin import StepSize, check_motion, diffuse, size_at


@final
@dataclass(frozen=True, kw_only=True)
class Repulsive:
    """Gradient steps with repulsion between replicas.

    Args:
        step_size: h, or a function from the step (from 0) to it.
        strength: s >= 0 in units of the loss; 0 leaves independent replicas.
        kernel: `Gaussian(bandwidth)`, `Linear()`, or anything with their methods.
        temperature: T >= 0 in units of the loss.

    Raises:
        InputError: a value out of range.
    """

    step_size: StepSize
    strength: float
    kernel: Kernel
    temperature: float = 0.0

    def __post_init__(self) -> None:
        check_motion(self.step_size, self.temperature)
        if not 0 <= self.strength < float("inf"):
            raise InputError("strength", found=repr(self.strength), expected="a number from 0")

    def __call__(
        self, parameters: torch.Tensor, gradients: torch.Tensor, step: int, rng: Sequence[torch.Generator], /
    ) -> torch.Tensor:
        """(N, D) parameters after one step."""
        h = size_at(self.step_size, step)
        force = gradients if self.strength == 0 else gradients + self.strength * self.kernel.here(parameters)
        return diffuse(parameters - h * force, h, self.temperature, rng)
