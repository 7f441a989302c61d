"""Stein variational gradient descent (Liu & Wang 2016): replicas share gradients and repel, without any noise.

    theta_i' = theta_i + h (1/N) sum_j [ -kappa(theta_j, theta_i) grad l(theta_j) + T grad_1 kappa(theta_j, theta_i) ]

The replicas become a deterministic sample of exp(-loss / T). For a quadratic loss, a Gaussian target, and the linear
kernel, every fixed point that spans the space has the exact mean and covariance of the target (Liu & Wang,
NeurIPS 2018) for any N > D. At T = 0 nothing repels and all replicas drift to the mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from learnt.train.kernels import Kernel
from learnt.train.langevin import StepSize, check_motion, size_at


@final
@dataclass(frozen=True, kw_only=True)
class Stein:
    """Kernel-averaged gradient steps with repulsion.

    Args:
        step_size: h, or a function from the step (from 0) to it.
        kernel: `Gaussian(bandwidth)`, `Linear()`, or anything with their methods.
        temperature: T >= 0 in units of the loss.

    Raises:
        InputError: a value out of range.
    """

    step_size: StepSize
    kernel: Kernel
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_motion(self.step_size, self.temperature)

    def __call__(
        self, parameters: torch.Tensor, gradients: torch.Tensor, step: int, rng: Sequence[torch.Generator], /
    ) -> torch.Tensor:
        """(N, D) parameters after one step."""
        h = size_at(self.step_size, step)
        shared = self.kernel.matrix(parameters) @ gradients / len(parameters)
        return parameters + h * (self.temperature * self.kernel.there(parameters) - shared)
