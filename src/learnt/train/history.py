"""What happened during training: events for callbacks while it runs, and the record at the end.

A callback is any function of an `Event`. Loggers need no support from here; one line each:

    TensorBoard   lambda e: e.losses is not None and writer.add_scalar("loss", e.losses.mean(), e.step)
    W&B           lambda e: e.kind == "epoch" and run.log({"loss": e.losses.mean().item()}, step=e.step)
    MLflow        lambda e: e.kind == "epoch" and mlflow.log_metric("loss", e.losses.mean().item(), step=e.step)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

import torch


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Event:
    """One moment of a training run.

    Attributes:
        kind: "start", "step" (after each), "epoch" (after each), "checkpoint" (one was written), "end".
        step, steps: finished steps, and steps in all.
        epoch, epochs: finished epochs, and epochs in all (the last may be cut short by `steps`).
        seconds: since the start, earlier parts of a resumed run included.
        losses: (N,) at "step" of that batch, at "epoch" the mean over it; None otherwise.
        validation: (N,) at "epoch" if there is a validation set; None otherwise.
    """

    kind: Literal["start", "step", "epoch", "checkpoint", "end"]
    step: int
    steps: int
    epoch: int
    epochs: int
    seconds: float
    losses: torch.Tensor | None = None
    validation: torch.Tensor | None = None


Callback = Callable[[Event], Any]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class History:
    """The record of a training run.

    Attributes:
        losses: (epochs, N) float64 mean training loss; NaN for a replica that had stopped.
        validation: (epochs, N) float64, or None without a validation set.
        best_epoch: (N,) int64 epoch (from 1) whose weights each replica ended with; None without early stopping.
        steps: number of steps made.
        seconds: wall time, earlier parts of a resumed run included.
        engine: "vmap" (all replicas at once) or "loop" (one by one).
        notes: what the engine decided and why, and whether the run was resumed.
    """

    losses: torch.Tensor
    validation: torch.Tensor | None
    best_epoch: torch.Tensor | None
    steps: int
    seconds: float
    engine: str
    notes: tuple[str, ...]

    @property
    def epochs(self) -> int:
        """Number of epochs made, a last part of one included."""
        return len(self.losses)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers, ready for strict JSON; NaN becomes None."""
        return {
            "losses": _plain(self.losses),
            "validation": None if self.validation is None else _plain(self.validation),
            "best_epoch": None if self.best_epoch is None else self.best_epoch.tolist(),
            "steps": self.steps,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "engine": self.engine,
            "notes": list(self.notes),
        }


def _plain(values: torch.Tensor) -> list[list[float | None]]:
    return [[v if math.isfinite(v) else None for v in row] for row in values.tolist()]
