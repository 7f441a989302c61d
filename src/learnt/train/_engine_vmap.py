"""One forward and one backward pass for all replicas: `torch.func.functional_call` under `vmap`, autograd outside.

The replicas' losses are independent, so the gradient of their sum, taken once, holds every replica's own gradient.
Buffers go in stacked and come out as results, so that what a module writes in place (batch-norm statistics, a memory
bank) and what it assigns anew are both kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch.func import functional_call, vmap

from learnt.core.errors import InputError, ShapeError
from learnt.run.seeds import derive
from learnt.train._bundle import Stack
from learnt.train._feed import Batches
from learnt.train._random import sow
from learnt.train.objectives import Batch, Model

Loss = Callable[[Model, Batch], torch.Tensor]


@final
class VmapEngine:
    """Losses and gradients of all replicas at once."""

    name = "vmap"

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self._seed = seed
        self._bundle = stack.bundle
        _keep_memory()
        self._training: bool | None = None

    def _train(self, mode: bool) -> None:
        if mode != self._training:
            self._bundle.train(mode)
            self._training = mode

    def gradients(self, loss: Loss, batches: Batches, step: int, active: torch.Tensor) -> torch.Tensor:
        """(N,) losses; each stacked parameter's `.grad` is set. Inactive replicas are computed and ignored."""
        self._train(True)
        sow(self._stack.device, derive(self._seed, "noise", step))
        losses = self._run(loss, batches)
        if not losses.requires_grad:
            raise InputError(
                "objective", found="a loss that does not depend on the parameters", expected="one that does"
            )
        parameters = list(self._stack.parameters.values())
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(losses.sum(), parameters, allow_unused=True), strict=True
        ):
            # fused optimisers read gradients in memory order, and vmap hands some out transposed
            parameter.grad = None if gradient is None else gradient.contiguous()
        return losses.detach()

    def values(self, loss: Loss, batches: Batches) -> torch.Tensor:
        """(N,) losses in evaluation mode, without gradients or traces in the buffers."""
        self._train(False)
        with torch.no_grad():
            return self._run(loss, batches, keep=False)

    def _run(self, loss: Loss, batches: Batches, *, keep: bool = True) -> torch.Tensor:
        stack, labelled = self._stack, batches.labels is not None
        names = list(batches.extra)

        def one(state: dict[str, torch.Tensor], inputs: Any, labels: Any, index: Any, extra: Any) -> Any:
            def answer(model: Model) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
                batch = Batch(inputs, labels if labelled else None, index, dict(zip(names, extra, strict=True)))
                return loss(model, batch), dict(self._bundle.named_buffers())

            return functional_call(self._bundle, state, (answer,))

        axis = None if batches.shared else 0
        every = vmap(one, in_dims=(0, axis, axis, axis, axis), randomness="different")
        buffers = stack.buffers if keep else {k: v.clone() for k, v in stack.buffers.items()}
        labels = batches.labels if labelled else batches.index
        losses, after = every(
            {**stack.parameters, **stack.frozen, **buffers}, batches.inputs, labels, batches.index,
            tuple(batches.extra.values()),
        )  # fmt: skip
        check_scalar(losses, stacked=1)
        if keep:
            for name, buffer in after.items():
                if buffer.data_ptr() != stack.buffers[name].data_ptr():
                    stack.buffers[name].copy_(buffer.detach())
        return losses


def _keep_memory() -> None:
    """Let the C library keep the megabytes that every step frees and asks for again.

    glibc hands blocks above a threshold back to the system and takes them anew page by page, which costs a quarter of a
    step of small networks (benchmarks/populations.py). It raises the threshold, up to 32 MiB, to the largest block it
    has seen freed; this one is never written to, so it costs no memory. Elsewhere the call has no effect.
    """
    torch.empty(32 * 2**20 - 2**16, dtype=torch.uint8)


def check_scalar(loss: torch.Tensor, stacked: int = 0) -> None:
    """Raise ShapeError unless each replica's loss is a scalar."""
    if loss.ndim != stacked:
        found = f"a loss of shape {tuple(loss.shape[stacked:])}"
        raise ShapeError("objective", found=found, expected="a scalar for each replica")
