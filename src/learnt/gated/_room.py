"""Encoders that read one batch, and the place where their gradients are written.

    z_i = x_i W_i^T,      dL/dW_i = (dL/dz_i)^T x_i

With small batches a step of a routing network costs what it moves through memory: M h d numbers of weights, momentum
and gradient. Autograd of a product asks the system for fresh memory for the gradient, which is handed out page by page
above 32 MiB, and leaves it transposed, so that the optimiser needs a copy. Both together cost more than all arithmetic.
Here the gradient is written, in the order of the weights, where that of the step before was.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch.autograd.function import once_differentiable


@final
class Room:
    """Memory for one gradient, kept from step to step: each gradient overwrites the one before."""

    def __init__(self) -> None:
        self._kept: torch.Tensor | None = None

    def like(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor like `x`, without definite contents."""
        kept = self._kept
        if kept is None or kept.shape != x.shape or kept.dtype != x.dtype or kept.device != x.device:
            kept = self._kept = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        return kept


def encoded(x: torch.Tensor, weight: torch.Tensor, room: Room) -> torch.Tensor:
    """(R, M, b, h) of inputs (R, M, b, d) and weights (R, M, h, d), without biases.

    Args:
        x: may be expanded along M; nothing is copied then. Its own derivative is not offered.
        weight: of the encoders.
        room: where the gradient of the weights is written. It is good until the next backward pass.
    """
    z: torch.Tensor = _Encoded.apply(x, weight, room)  # pyright: ignore[reportAssignmentType]
    return z


class _Encoded(torch.autograd.Function):
    """The products replica by replica, so that an expanded `x` stays so."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, room: Room) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.room, ctx.weight = room, weight.detach()
        z = weight.new_empty(*x.shape[:3], weight.shape[2])
        for r in range(len(z)):
            torch.bmm(x[r], weight[r].mT, out=z[r])
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[None, torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        slopes = ctx.room.like(ctx.weight)
        for r in range(len(x)):
            torch.bmm(slope[r].mT, x[r], out=slopes[r])
        return None, slopes, None
