"""Early stopping, replica by replica: each ends with the weights of its own best epoch.

A replica stops when its validation value has not fallen for `patience` epochs; the others go on. What the engine
still does to a stopped replica is thrown away when the best weights are put back.
"""

from __future__ import annotations

from typing import final

import torch

from learnt.train._bundle import Stack


@final
class Stopping:
    """The state of early stopping.

    Attributes:
        best: (N,) float64 lowest validation value so far.
        best_epoch: (N,) int64, from 1; 0 before any.
        active: (N,) bool, on the CPU.
        snapshot: stacked copies of the model's tensors at each replica's best epoch.
    """

    def __init__(self, stack: Stack, patience: int) -> None:
        self._stack = stack
        self._patience = patience
        self.best = torch.full((stack.size,), torch.inf, dtype=torch.float64)
        self.best_epoch = torch.zeros(stack.size, dtype=torch.int64)
        self.active = torch.ones(stack.size, dtype=torch.bool)
        self.snapshot = {k: v.detach().clone() for k, v in stack.tensors().items() if k.startswith("model.")}

    def update(self, values: torch.Tensor, epoch: int) -> None:
        """Take the (N,) validation values after `epoch` (from 1)."""
        better = self.active & (values.cpu().double() < self.best)
        self.best = torch.where(better, values.cpu().double(), self.best)
        self.best_epoch = torch.where(better, epoch, self.best_epoch)
        rows = better.nonzero().flatten().to(self._stack.device)
        tensors = self._stack.tensors()
        for name, kept in self.snapshot.items():
            kept[rows] = tensors[name].detach()[rows]
        self.active &= epoch - self.best_epoch < self._patience

    def restore(self) -> None:
        """Put each replica's best weights and buffers back."""
        tensors = self._stack.tensors()
        with torch.no_grad():
            for name, kept in self.snapshot.items():
                tensors[name].copy_(kept)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything a checkpoint needs, by name."""
        own = {"stop.best": self.best, "stop.best_epoch": self.best_epoch, "stop.active": self.active}
        return own | {f"stop.snapshot.{k}": v for k, v in self.snapshot.items()}

    def take(self, tensors: dict[str, torch.Tensor]) -> None:
        """Back to the state that `tensors` described."""
        self.best, self.best_epoch = tensors["stop.best"], tensors["stop.best_epoch"]
        self.active = tensors["stop.active"]
        for name, kept in self.snapshot.items():
            kept.copy_(tensors[f"stop.snapshot.{name}"])
