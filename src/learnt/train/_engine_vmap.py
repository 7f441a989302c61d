"""One forward and one backward pass for all replicas: one call of the module under `vmap`, autograd outside.

The replicas' losses are independent, so the gradient of their sum, taken once, holds every replica's own gradient.
Buffers go in stacked and come out as results, so that what a module writes in place (batch-norm statistics, a memory
bank) and what it assigns anew are both kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch.func import vmap

from learnt.core.errors import InputError, ShapeError
from learnt.run.seeds import derive
from learnt.train._bundle import Bundle, Stack
from learnt.train._chain import Chain
from learnt.train._feed import Batches
from learnt.train._random import sow
from learnt.train.objectives import Batch, Model

Loss = Callable[[Model, Batch], torch.Tensor]
Place = tuple[dict[str, Any], str, str]  # where a tensor sits in a module: the dict, the key, and its name in the stack


@final
class VmapEngine:
    """Losses and gradients of all replicas at once."""

    name = "vmap"

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self._seed = seed
        self._bundle = stack.bundle
        self._places, self._carried = _places(stack.bundle)
        self._own = [home[leaf] for home, leaf, _ in self._places]
        self._chain = Chain.of(stack.bundle)
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
        losses = self._at_once(loss, batches)
        if losses is not None:
            return losses
        stack, labelled = self._stack, batches.labels is not None
        model, names = Model(self._bundle.model, self._bundle.companion), list(batches.extra)

        def one(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            for (home, leaf, _), tensor in zip(self._places, tensors, strict=False):
                home[leaf] = tensor
            inputs, labels, index, *extra = tensors[len(self._places) :]
            batch = Batch(inputs, labels if labelled else None, index, dict(zip(names, extra, strict=True)))
            value = loss(model, batch)
            return value, *(home[leaf] for home, leaf, _ in self._carried)

        stacked = stack.tensors()
        if not keep:
            stacked |= {k: v.clone() for k, v in stack.buffers.items()}
        labels = batches.index if batches.labels is None else batches.labels
        seen = (batches.inputs, labels, batches.index, *batches.extra.values())
        axes = (0,) * len(self._places) + (None if batches.shared else 0,) * len(seen)
        try:
            every = vmap(one, in_dims=axes, randomness="different")
            losses, *after = every(*(stacked[name] for _, _, name in self._places), *seen)
        finally:
            for (home, leaf, _), own in zip(self._places, self._own, strict=True):
                home[leaf] = own
        check_scalar(losses, stacked=1)
        if keep:
            for (_, _, name), buffer in zip(self._carried, after, strict=True):
                if buffer.data_ptr() != stack.buffers[name].data_ptr():
                    stack.buffers[name].copy_(buffer.detach())
        return losses

    def _at_once(self, loss: Loss, batches: Batches) -> torch.Tensor | None:
        """(N,) losses without vmap: by the objective's own `stacked`, or of a chain of plain layers; else None."""
        stack, of_outputs = self._stack, getattr(loss, "of_outputs", None)
        stacked = getattr(loss, "stacked", None)
        if stacked is None and (self._chain is None or self._chain.watched):
            return None
        if stacked is None and (of_outputs is None or torch.is_autocast_enabled(stack.device.type)):
            return None
        batch = Batch(
            *(
                (batches.inputs, batches.labels, batches.index, dict(batches.extra))
                if not batches.shared
                else _for_all(stack.size, batches)
            )
        )
        if stacked is not None:
            own = {k.removeprefix("model."): v for k, v in stack.tensors().items() if k.startswith("model.")}
            losses = stacked(self._bundle.model, own, batch)
            check_scalar(losses, stacked=1)
            return losses
        if self._chain is None or of_outputs is None:
            return None
        losses = of_outputs(self._chain({**stack.parameters, **stack.frozen}, batch.inputs), batch)
        return None if losses is NotImplemented else losses


def _places(bundle: Bundle) -> tuple[list[Place], list[Place]]:
    """Where every tensor of a bundle sits, a shared one at each of its places; and the buffers, once each.

    The engine puts the stacked tensors there itself: `torch.func.functional_call` searches the module anew at every
    step, and with a layer that occurs twice beside tied weights it leaves the tie broken (torch 2.13).
    """
    buffers = dict(bundle.named_buffers())
    names = {id(t): name for name, t in (*bundle.named_parameters(), *buffers.items())}
    homes = [home for module in bundle.modules() for home in (module._parameters, module._buffers)]
    places = [(home, leaf, names[id(t)]) for home in homes for leaf, t in home.items() if t is not None]
    carried = {name: place for place in reversed(places) if (name := place[2]) in buffers}
    return places, list(carried.values())


def _for_all(
    n: int, batches: Batches
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor, dict[str, torch.Tensor]]:
    """What all replicas share, with a leading axis of N and no copy."""

    def spread(x: torch.Tensor) -> torch.Tensor:
        return x.expand(n, *x.shape)

    labels = None if batches.labels is None else spread(batches.labels)
    return spread(batches.inputs), labels, spread(batches.index), {k: spread(v) for k, v in batches.extra.items()}


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
