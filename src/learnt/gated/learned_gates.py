"""What a network with learned gates did block by block: did its gates adapt, or were its weights written over?

    f(x) = M x,   M = sum_p c_p W^p            after each step M changes by gates and by weights:
    dM = sum_p dc_p mean(W^p) + sum_p mean(c_p) dW^p         mean: of before and after; the two parts add up to dM
    gate share of a block = <sum over its steps of the part of the gates, change of M> / |change of M|^2
    specialisation        = mean |cos(W^p, W*_m)| of the best one-to-one match of paths and tasks, less that of the rest
    retained of task m    = 1 - min_c |sum_p c_p W^p - W*_m|^2 / |W*_m|^2

A *flexible* network has gate shares near 1, paths that are specialised, and retains tasks while it does another; a
*forgetful* one has gate shares near 0 and learns each task anew. With as many paths as tasks, paths that span all
teachers without being aligned with any retain everything and are not specialised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError
from learnt.core.panels import Chart
from learnt.gated._frozen import finite


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class LearnedGates:
    """A run of `learn_gates`: R replicas, B blocks, N records a block, M tasks, K paths.

    Losses are 1/2 |M - W*|^2 over 1/2 |W*|^2 of the task of the block: 1 for a network that answers 0, and above 1 for
    one that does the wrong task.

    Attributes:
        tasks: (B,) the task of each block.
        time: (B, N + 1) of the records; the first of a block is that after the switch and before any step.
        loss: (B, N + 1, R).
        c: (B, N + 1, R, K) gates.
        cosine: (B, R, M, K) of each teacher and each path, at the end of each block.
        retained: (B, R, M) at the end of each block.
        gate_share: (B, R).
        paths: (R, K, outputs, inputs) W at the end.
        settings: the arguments of the run.
    """

    tasks: np.ndarray
    time: np.ndarray
    loss: np.ndarray
    c: np.ndarray
    cosine: np.ndarray
    retained: np.ndarray
    gate_share: np.ndarray
    paths: np.ndarray
    settings: dict[str, Any]

    @property
    def mean_loss(self) -> np.ndarray:
        """(B, R) mean over each block: how much adapting cost."""
        return self.loss.mean(1)

    @property
    def specialisation(self) -> np.ndarray:
        """(B, R) at the end of each block; 1 for paths that are the teachers, 0 for paths that are all alike."""
        from scipy.optimize import linear_sum_assignment

        found = np.zeros(self.cosine.shape[:2])
        for b, r in np.ndindex(found.shape):
            size = np.abs(self.cosine[b, r])
            matched = np.zeros(size.shape, dtype=bool)
            matched[linear_sum_assignment(-size)] = True
            found[b, r] = size[matched].mean() - (size[~matched].mean() if not matched.all() else 0.0)
        return found

    @property
    def retained_others(self) -> np.ndarray:
        """(B, R) mean of `retained` over the tasks that have been shown but are not those of the block; NaN if none."""
        found = np.full(self.retained.shape[:2], np.nan)
        for b, task in enumerate(self.tasks):
            others = [m for m in set(self.tasks[:b].tolist()) if m != task]
            if others:
                found[b] = self.retained[b][:, others].mean(1)
        return found

    def time_to(self, level: float = 0.5) -> np.ndarray:
        """(B, R) time from the switch until the loss is at most `level`, as recorded; infinity if not in the block."""
        value = finite(level, "level")
        if value.shape != () or not 0 < value < 1:
            raise InputError("level", found=repr(level), expected="a number above 0 and below 1")
        below = self.loss <= float(value)
        first = below.argmax(1)
        since = self.time - self.time[:, :1]
        times = np.take_along_axis(np.broadcast_to(since[:, :, None], self.loss.shape), first[:, None], axis=1)[:, 0]
        return np.where(below.any(1), times, np.inf)

    def table(self) -> str:
        """Block by block, medians over the replicas."""
        heads = ("block  task", "after switch", "mean", "at the end", "t half", "gates", "specialised", "retained")
        lines = ["  ".join(heads)]
        special, half, mean, others = self.specialisation, self.time_to(0.5), self.mean_loss, self.retained_others
        for b, task in enumerate(self.tasks):
            t = float(np.median(half[b]))
            kept = f"{float(np.median(others[b])):8.2f}" if np.isfinite(others[b]).all() else "       -"
            lines.append(
                f"{b + 1:5d}  {task:4d}  {np.median(self.loss[b, 0]):12.3f}  {np.median(mean[b]):.2f}  "
                f"{np.median(self.loss[b, -1]):10.3f}  {f'{t:.3f}' if np.isfinite(t) else 'never':>6}  "
                f"{np.median(self.gate_share[b]):5.2f}  {np.median(special[b]):11.2f}  {kept}"
            )
        count = self.loss.shape[2]
        lines.append(f"loss over that of no answer; medians of {count} replica{'s' * (count != 1)}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def chart(self, replica: int = 0) -> Chart:
        """The gates of one replica over time."""
        if isinstance(replica, bool) or not isinstance(replica, int) or not 0 <= replica < self.loss.shape[2]:
            raise InputError("replica", found=repr(replica), expected=f"from 0 to {self.loss.shape[2] - 1}")
        c = self.c[:, :, replica].reshape(-1, self.c.shape[3])
        return Chart(
            kind="lines", series={f"gate {p}": c[:, p] for p in range(c.shape[1])}, x=self.time.ravel(),
            x_label="time (in the unit of `block`)", y_label="gate c",
            alt=f"The {c.shape[1]} gates of replica {replica} over {len(self.tasks)} blocks.",
        )  # fmt: skip

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data by block and replica; times that are not reached and what is undefined are None."""
        return {
            "settings": dict(self.settings),
            "tasks": self.tasks.tolist(),
            "loss_after_switch": self.loss[:, 0].tolist(),
            "loss_at_end": self.loss[:, -1].tolist(),
            "mean_loss": self.mean_loss.tolist(),
            "time_to_half": _plain(self.time_to(0.5)),
            "gate_share": _plain(self.gate_share),
            "specialisation": self.specialisation.tolist(),
            "retained_others": _plain(self.retained_others),
        }


def _plain(values: np.ndarray) -> list[list[float | None]]:
    return [[float(v) if np.isfinite(v) else None for v in row] for row in values]
