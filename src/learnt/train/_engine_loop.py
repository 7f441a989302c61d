"""Replica after replica: ordinary modules whose tensors are views of the stacks, so nothing is copied in or out.

For one replica this is an ordinary training loop. Convolutions on a CPU are often faster here than as one grouped
convolution over all replicas.
"""

from __future__ import annotations

import copy
from typing import final

import torch
from torch import nn

from learnt.core.errors import InputError
from learnt.run.seeds import derive
from learnt.train._bundle import Bundle, Stack
from learnt.train._engine_vmap import Loss, check_scalar
from learnt.train._feed import Batches
from learnt.train._random import sow
from learnt.train.objectives import Batch, Model


@final
class LoopEngine:
    """Losses and gradients of the replicas one by one."""

    name = "loop"

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self._seed = seed
        self._replicas = [_Replica(stack, i) for i in range(stack.size)]

    def gradients(self, loss: Loss, batches: Batches, step: int, active: torch.Tensor) -> torch.Tensor:
        """(N,) losses; each stacked parameter's `.grad` is set. Inactive replicas are skipped: NaN, gradient 0."""
        stack = self._stack
        losses: list[torch.Tensor] = []
        gradients: list[tuple[torch.Tensor | None, ...]] = []
        everyone = stack.size == 1 or bool(active.all())
        for i, replica in enumerate(self._replicas):
            if not everyone and not bool(active[i]):
                losses.append(torch.full((), torch.nan, device=stack.device))
                gradients.append(tuple(torch.zeros_like(p) for p in replica.parameters))
                continue
            sow(stack.device, derive(self._seed, "noise", step, i))
            replica.train(True)
            value = loss(replica.model, Batch(*batches.of(i)))
            if value.ndim:
                check_scalar(value)
            if not value.requires_grad:
                raise InputError(
                    "objective", found="a loss that does not depend on the parameters", expected="one that does"
                )
            gradients.append(torch.autograd.grad(value, replica.parameters, allow_unused=True))
            losses.append(value.detach())
            replica.return_buffers()
        for parameter, parts in zip(stack.parameters.values(), zip(*gradients, strict=True), strict=True):
            if stack.size == 1:
                parameter.grad = None if parts[0] is None else parts[0].contiguous().unsqueeze(0)
            elif all(p is None for p in parts):
                parameter.grad = None
            else:
                parameter.grad = torch.stack([torch.zeros_like(parameter[0]) if p is None else p for p in parts])
        return losses[0].unsqueeze(0) if stack.size == 1 else torch.stack(losses)

    def values(self, loss: Loss, batches: Batches) -> torch.Tensor:
        """(N,) losses in evaluation mode, without gradients or traces in the buffers."""
        kept = {k: v.clone() for k, v in self._stack.buffers.items()}
        losses = []
        with torch.no_grad():
            for i, replica in enumerate(self._replicas):
                replica.train(False)
                value = loss(replica.model, Batch(*batches.of(i)))
                check_scalar(value)
                losses.append(value)
                replica.return_buffers()
            for name, buffer in kept.items():
                self._stack.buffers[name].copy_(buffer)
        return torch.stack(losses)


class _Replica:
    """One bundle whose parameters and buffers are views of row i of the stacks."""

    def __init__(self, stack: Stack, i: int) -> None:
        bundle: Bundle = copy.deepcopy(stack.bundle)
        self.bundle = bundle
        self.model = Model(bundle.model, bundle.companion)
        self._training: bool | None = None
        tensors = stack.tensors()
        for name, parameter in bundle.named_parameters():
            parameter.data = tensors[name].detach()[i]
        named = dict(bundle.named_parameters())
        self.parameters = [named[name] for name in stack.parameters]
        self._buffers: list[tuple[dict[str, torch.Tensor | None], str, torch.Tensor]] = []
        for name in [n for n, _ in bundle.named_buffers()]:
            path, _, leaf = name.rpartition(".")
            owner: nn.Module = bundle.get_submodule(path)
            view = tensors[name][i]
            owner._buffers[leaf] = view
            self._buffers.append((owner._buffers, leaf, view))

    def train(self, mode: bool) -> None:
        """Training or evaluation mode, set only when it changes."""
        if mode != self._training:
            self.bundle.train(mode)
            self._training = mode

    def return_buffers(self) -> None:
        """Copy buffers that the forward pass assigned anew back into the stack."""
        for owner, leaf, view in self._buffers:
            now = owner[leaf]
            if now is not view and now is not None:
                view.copy_(now.detach())
                owner[leaf] = view
