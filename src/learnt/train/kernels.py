"""Kernels between replicas, as the flows that couple them need them.

For particles x (N, D), flattened replicas, a kernel gives

    matrix(x)_ij = kappa(x_i, x_j)                              (N, N)
    here(x)_i    = (1/N) sum_j  grad_1 kappa(x_i, x_j)          (N, D)   how the mean kernel changes where i stands
    there(x)_i   = (1/N) sum_j  grad_1 kappa(x_j, x_i)          (N, D)   how it changes where the others stand

`here` enters the gradient flow of a squared maximum mean discrepancy (`Repulsive`), `there` Stein variational
gradient descent (`Stein`). All cost O(N^2 D) time and O(N^2 + N D) memory: no (N, N, D) array is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, final

import torch

from learnt.core.errors import InputError


class Kernel(Protocol):
    """A symmetric function of two replicas."""

    def matrix(self, x: torch.Tensor, /) -> torch.Tensor:
        """(N, D) -> (N, N) values."""
        ...

    def here(self, x: torch.Tensor, /) -> torch.Tensor:
        """(N, D) -> (N, D) mean gradient in the first argument at x_i, others in the second."""
        ...

    def there(self, x: torch.Tensor, /) -> torch.Tensor:
        """(N, D) -> (N, D) mean gradient in the first argument at the others, x_i in the second."""
        ...


@final
@dataclass(frozen=True)
class Gaussian:
    """kappa(a, b) = exp(-|a - b|^2 / (2 s^2)).

    Args:
        bandwidth: s, a length in parameter space; or "median", the median distance between the current replicas
            (the lower one of an even number), computed anew at each step. A fixed one keeps the flow the gradient
            of something.

    Raises:
        InputError: a bandwidth that is not positive; at run time, "median" while the replicas coincide.
    """

    bandwidth: float | Literal["median"]

    def __post_init__(self) -> None:
        if self.bandwidth != "median" and not (isinstance(self.bandwidth, (int, float)) and 0 < self.bandwidth < 1e300):
            raise InputError("bandwidth", found=repr(self.bandwidth), expected='a positive number or "median"')

    def matrix(self, x: torch.Tensor) -> torch.Tensor:
        """(N, D) -> (N, N) values."""
        return self._values(x)[0]

    def here(self, x: torch.Tensor) -> torch.Tensor:
        """(N, D): -(1 / N s^2) sum_j kappa_ij (x_i - x_j); its negative pushes replicas apart."""
        values, variance = self._values(x)
        centred = x - x.mean(0)
        return -(values.sum(1, keepdim=True) * centred - values @ centred) / (len(x) * variance)

    def there(self, x: torch.Tensor) -> torch.Tensor:
        """(N, D): the opposite of `here`, as the kernel depends on the difference only."""
        return -self.here(x)

    def _values(self, x: torch.Tensor) -> tuple[torch.Tensor, float]:
        squares = squared_distances(x)
        if self.bandwidth == "median":
            variance = _median(squares)
        else:
            variance = float(self.bandwidth) ** 2
        return torch.exp(squares / (-2 * variance)), variance


@final
@dataclass(frozen=True)
class Linear:
    """kappa(a, b) = a . b + 1: replicas feel each other's mean and covariance, and nothing else."""

    def matrix(self, x: torch.Tensor) -> torch.Tensor:
        """(N, D) -> (N, N) values."""
        return x @ x.T + 1

    def here(self, x: torch.Tensor) -> torch.Tensor:
        """(N, D): the mean of all replicas."""
        return x.mean(0).expand_as(x)

    def there(self, x: torch.Tensor) -> torch.Tensor:
        """(N, D): x_i itself."""
        return x


def squared_distances(x: torch.Tensor) -> torch.Tensor:
    """(N, D) -> (N, N), through the Gram matrix of the centred rows, so that a common offset costs no digits."""
    centred = x - x.mean(0)
    gram = centred @ centred.T
    norms = gram.diagonal()
    squares = (norms[:, None] + norms[None, :] - 2 * gram).clamp_min(0)
    return squares.fill_diagonal_(0)


def _median(squares: torch.Tensor) -> float:
    n = len(squares)
    if n == 1:
        return 1.0  # nobody else to feel
    above = squares[torch.triu_indices(n, n, 1).unbind()]
    variance = float(above.median())
    if variance <= 0:
        raise InputError(
            "bandwidth",
            found='"median" while most replicas coincide',
            expected="replicas that differ, or a bandwidth in numbers",
        )
    return variance
