"""The replicas in motion: what is trained, what is frozen and what is carried, stacked over replicas.

A bundle is the network and, if the objective asks for one, its companion, as one module; `Stack` holds the tensors
of N bundles. The stacked tensors share memory with the population (or the module) that is trained, so optimisers
that work in place move the user's object itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, final

import torch
from torch import nn

from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.run.seeds import derive
from learnt.train._random import fenced, sow
from learnt.train.objectives import Model
from learnt.train.population import Population


@final
class Bundle(nn.Module):
    """A network and its companion under one roof, so that `functional_call` swaps the tensors of both."""

    def __init__(self, model: nn.Module, companion: nn.Module | None) -> None:
        nn.Module.__init__(self)
        self.model = model
        self.companion = companion

    def forward(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run `function(Model, *args)` on whatever tensors are in place."""
        return function(Model(self.model, self.companion), *args)


class Stack:
    """Tensors of N bundles.

    Attributes:
        bundle: the architecture; its own tensors mean nothing.
        parameters: (N, ...) leaves that are trained, by name (``model.`` or ``companion.`` first).
        frozen: (N, ...) parameters that do not require gradients.
        buffers: (N, ...).
    """

    def __init__(self, bundle: Bundle, tensors: dict[str, torch.Tensor]) -> None:
        trained = {k for k, p in bundle.named_parameters() if p.requires_grad}
        fixed = {k for k, p in bundle.named_parameters() if not p.requires_grad}
        self.bundle = bundle
        self.parameters = {k: v.detach().requires_grad_() for k, v in tensors.items() if k in trained}
        self.frozen = {k: v.detach() for k, v in tensors.items() if k in fixed}
        self.buffers = {k: v.detach() for k, v in tensors.items() if k not in trained and k not in fixed}
        if not self.parameters:
            raise InputError("model", found="no parameters that require gradients", expected="something to train")
        first = next(iter(self.parameters.values()))
        self.size, self.device = len(first), first.device
        if not all(t.device == first.device for t in self.tensors().values()):
            raise InputError("model", found="tensors on several devices", expected="one device")
        self.dtype = next((t.dtype for t in self.parameters.values() if t.is_floating_point()), torch.float32)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything by name, as stored (no copies)."""
        return {**self.parameters, **self.frozen, **self.buffers}

    def scratch(self) -> Stack:
        """The same parameters with copies of the buffers: for trials that must leave no trace."""
        tensors = {**self.parameters, **self.frozen, **{k: v.clone() for k, v in self.buffers.items()}}
        return Stack(copy.deepcopy(self.bundle), tensors)


def assemble(thing: Population | nn.Module, objective: Any, data: Examples, seed: int, device: torch.device) -> Stack:
    """The stack of a population or a single module on `device`, with the objective's companions if it has any.

    Each companion is made for its replica under the seed derived from (seed, "companion", replica).
    """
    if isinstance(thing, Population):
        model = thing.template.to(device)
        tensors = {f"model.{k}": v.to(device) for k, v in {**thing.parameters, **thing.buffers}.items()}
        size = thing.size
    else:
        model = copy.deepcopy(thing).to(device)
        size = 1
        named = (*thing.named_parameters(), *thing.named_buffers())
        tensors = {f"model.{k}": v.detach().to(device).unsqueeze(0) for k, v in named}
    make = getattr(objective, "companion", None)
    if make is None:
        return Stack(Bundle(model, None), tensors)
    companions: list[nn.Module] = []
    with fenced(device):
        for i in range(size):
            replica = thing[i] if isinstance(thing, Population) else copy.deepcopy(thing).eval()
            sow(torch.device("cpu"), derive(seed, "companion", i))
            sow(device, derive(seed, "companion", i))
            companions.append(make(replica, data))
    if not all(isinstance(c, nn.Module) for c in companions):
        raise InputError("objective.companion", found=f"a {type(companions[0]).__name__}", expected="an nn.Module")
    for name, _ in (*companions[0].named_parameters(), *companions[0].named_buffers()):
        parts = [dict((*c.named_parameters(), *c.named_buffers()))[name].detach() for c in companions]
        tensors[f"companion.{name}"] = torch.stack(parts).to(device)
    return Stack(Bundle(model, companions[0].to(device)), tensors)


def disband(stack: Stack, thing: Population | nn.Module) -> None:
    """Put the trained tensors back where they came from, where they are not the same memory already."""
    with torch.no_grad():
        if isinstance(thing, Population):
            homes = {f"model.{k}": v for k, v in {**thing.parameters, **thing.buffers}.items()}
        else:
            named = (*thing.named_parameters(), *thing.named_buffers())
            homes = {f"model.{k}": v.detach().unsqueeze(0) for k, v in named}
        for name, home in homes.items():
            moved = stack.tensors()[name]
            if moved.data_ptr() != home.data_ptr():
                home.copy_(moved)
