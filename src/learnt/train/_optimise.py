"""Any torch optimiser on stacked parameters, as if each replica had its own.

Optimisers whose update of a number depends on that number's own history only (SGD, Adam and their kin) may run on
the stacks directly: one call for all replicas. Every other class (Adafactor, Muon, one of your own) is built once
per replica on views of its rows. Clipping is by each replica's own global norm.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch import nn, optim

from learnt.core.errors import InputError
from learnt.train._bundle import Stack

OptimizerFactory = Callable[[list[torch.Tensor]], optim.Optimizer]
ScheduleFactory = Callable[[optim.Optimizer, int], Any]
ELEMENTWISE = (
    optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Adadelta, optim.Adamax, optim.NAdam,
    optim.RAdam, optim.Rprop, optim.ASGD,
)  # fmt: skip
FUSED = (optim.SGD, optim.Adam, optim.AdamW)


def adam(parameters: Iterable[torch.Tensor]) -> optim.Optimizer:
    """The default: Adam with learning rate 1e-3 (Kingma & Ba 2015)."""
    return optim.Adam(parameters, lr=1e-3)


@final
class Optimisation:
    """The optimisers and schedules of a run.

    Args:
        stack: what is trained.
        factory: a class of `torch.optim`, or a function from parameters to an optimiser.
        schedule: `(optimizer, steps) -> scheduler`, or None.
        steps: how often the scheduler will be stepped.

    Raises:
        InputError: not an optimiser or scheduler, or one that cannot work here.
    """

    def __init__(
        self, stack: Stack, factory: OptimizerFactory, schedule: ScheduleFactory | None = None, steps: int = 0
    ) -> None:
        self._stack = stack
        probe = _built(factory, _rows(stack, 0))
        self.stacked = type(probe) in ELEMENTWISE
        self._rows: list[list[nn.Parameter]] = []
        if self.stacked:
            self.optimizers = [_built(factory, list(stack.parameters.values()))]
            _fuse(self.optimizers[0])
        else:
            self._rows = [_rows(stack, i) for i in range(stack.size)]
            self.optimizers = [_built(factory, rows) for rows in self._rows]
        self.schedulers = [] if schedule is None else [_scheduled(schedule, o, steps) for o in self.optimizers]

    def step(self) -> None:
        """Move all replicas by the gradients in the stacks."""
        for i, rows in enumerate(self._rows):
            for row, parameter in zip(rows, self._stack.parameters.values(), strict=True):
                row.grad = None if parameter.grad is None else parameter.grad[i]
        for optimizer in self.optimizers:
            optimizer.step()

    def advance(self) -> None:
        """Step the schedules."""
        for scheduler in self.schedulers:
            scheduler.step()

    def describe(self) -> dict[str, Any]:
        """Class and options of the optimiser, for comparison with a checkpoint."""
        optimizer = self.optimizers[0]
        groups = [
            {k: v for k, v in group.items() if isinstance(v, (int, float, str, tuple)) and k != "fused"}
            for group in ({k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups)
        ]
        return {"class": type(optimizer).__qualname__, "groups": [{k: repr(v) for k, v in g.items()} for g in groups]}


def clip(stack: Stack, limit: float) -> torch.Tensor:
    """Scale each replica's gradients to a global norm of at most `limit`; returns the norms before, (N,)."""
    gradients = [p.grad for p in stack.parameters.values() if p.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    total = torch.linalg.vector_norm(norms, dim=0)
    scale = (limit / (total + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))
    return total


def _rows(stack: Stack, i: int) -> list[nn.Parameter]:
    return [nn.Parameter(p.detach()[i]) for p in stack.parameters.values()]


def _built(factory: OptimizerFactory, parameters: list[Any]) -> optim.Optimizer:
    optimizer = factory(parameters)
    if not isinstance(optimizer, optim.Optimizer):
        raise InputError(
            "optimizer",
            found=f"a {type(optimizer).__name__}",
            expected="a torch.optim class or a function from parameters to an optimiser",
            remedy="For example: optimizer=lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9).",
        )
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise InputError(
            "optimizer",
            found=f"{type(optimizer).__name__}, which evaluates the loss several times a step",
            expected="an optimiser that takes one gradient a step",
        )
    given, used = {id(p) for p in parameters}, {id(p) for g in optimizer.param_groups for p in g["params"]}
    if not used <= given:
        raise InputError("optimizer", found="other parameters than it was given", expected="the ones it was given")
    return optimizer


def _fuse(optimizer: optim.Optimizer) -> None:
    """Ask for the one-kernel implementation where the optimiser has one and the user did not choose."""
    if type(optimizer) not in FUSED:
        return
    for group in optimizer.param_groups:
        plain = group.get("fused") is None and group.get("foreach") is None and isinstance(group["lr"], float)
        special = group.get("differentiable") or group.get("capturable")
        fit = all(p.device.type in ("cpu", "cuda") and p.dtype in _FLOATS for p in group["params"])
        if plain and not special and fit:
            group["fused"] = True


_FLOATS = (torch.float32, torch.float64)


def _scheduled(schedule: ScheduleFactory, optimizer: optim.Optimizer, steps: int) -> Any:
    scheduler = schedule(optimizer, steps)
    if isinstance(scheduler, optim.lr_scheduler.ReduceLROnPlateau):
        raise InputError(
            "schedule",
            found="ReduceLROnPlateau, which would tie the replicas together by one metric",
            expected="a schedule of the step number",
        )
    if not hasattr(scheduler, "step") or not hasattr(scheduler, "state_dict"):
        raise InputError("schedule", found=f"a {type(scheduler).__name__}", expected="a torch learning-rate scheduler")
    return scheduler
