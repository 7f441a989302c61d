"""Checkpoints: interrupt a training anywhere, run the same command again, and get the same bits.

A directory holds one run. `fit.json` states its settings and the engine chosen at its start; each checkpoint is a
pair `step-K.json` and `step-K.<digest>.safetensors` with everything that moves: parameters, buffers, companions,
optimiser, schedule, early stopping, sums of the running epoch. Data order, augmentation and noise are functions of
seed and step, so they need no state. Files are written atomically, one writer at a time holds the directory, and the
last `keep` checkpoints are kept, so that a damaged newest one costs a few steps and not the run.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, final

import torch
from torch import nn

from learnt.core.errors import InputError, LearntError, ResumeError
from learnt.core.examples import Examples
from learnt.io.atomic import read_json, sweep_temporaries, write_json
from learnt.io.lock import run_lock
from learnt.train._files import commit, digest, discard, read
from learnt.train.population import Population

FORMAT = "learnt.fit/1"


@final
@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where and how often a run saves its state.

    Args:
        directory: one run's directory, created if needed.
        every_steps: save after so many steps, or None.
        every_seconds: save when so many seconds have passed since the last time, or None.
        keep: how many checkpoints stay.

    Raises:
        InputError: a value out of range.
    """

    directory: str | os.PathLike[str]
    every_steps: int | None = None
    every_seconds: float | None = 30.0
    keep: int = 2

    def __post_init__(self) -> None:
        if self.every_steps is not None and self.every_steps < 1:
            raise InputError("every_steps", found=str(self.every_steps), expected="a positive integer or None")
        if self.every_seconds is not None and not self.every_seconds > 0:
            raise InputError("every_seconds", found=str(self.every_seconds), expected="a positive number or None")
        if self.keep < 1:
            raise InputError("keep", found=str(self.keep), expected="at least 1")


@final
class Keeper:
    """The open directory of one run; make it with `opened`."""

    def __init__(self, plan: Checkpoint, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._saved_at = time.monotonic()
        self.latest: Path | None = None

    def due(self, step: int) -> bool:
        """Whether to save after this many steps."""
        plan = self._plan
        if plan.every_steps is not None and step % plan.every_steps == 0:
            return True
        return plan.every_seconds is not None and time.monotonic() - self._saved_at >= plan.every_seconds

    def save(self, step: int, tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]) -> Path:
        """Write the state after `step` steps and drop the oldest; raises StorageError and leaves the earlier ones."""
        commit(self._folder, _name(step), tensors, {**record, "format": FORMAT, "step": step})
        self.latest = self._folder / f"{_name(step)}.json"
        self._saved_at = time.monotonic()
        for old in self._steps()[self._plan.keep :]:
            (self._folder / f"{_name(old)}.json").unlink(missing_ok=True)
            discard(self._folder, _name(old))
        return self.latest

    def engine(self) -> tuple[str, str] | None:
        """Engine and reason noted at the start of the run, or None if this is the start."""
        record = self._settings()
        return None if record is None else (str(record["engine"]), str(record["reason"]))

    def begin(self, settings: Mapping[str, Any], engine: str, reason: str) -> None:
        """Note the settings and the engine before the first step."""
        write_json(
            self._folder / "fit.json", {"format": FORMAT, "settings": settings, "engine": engine, "reason": reason}
        )

    def compare(self, settings: Mapping[str, Any]) -> None:
        """Raise ResumeError, naming every difference, if the directory belongs to a run with other settings."""
        record = self._settings()
        if record is None:
            return
        before = record["settings"]
        differing = [k for k in sorted({*before, *settings}) if before.get(k) != settings.get(k)]
        if differing:
            here = "; ".join(f"{k}: {_short(before.get(k))} before, {_short(settings.get(k))} now" for k in differing)
            raise ResumeError(
                str(self._folder),
                found=f"a run with other settings ({here})",
                expected="the same settings, or an empty directory",
                remedy="Choose another directory, or remove this one to start again.",
            )

    def resume(self) -> tuple[dict[str, torch.Tensor], dict[str, Any], list[str]] | None:
        """The newest whole checkpoint (tensors, record) and notes on damaged ones; None if there is none."""
        notes = []
        for step in self._steps():
            try:
                tensors, record = read(self._folder, _name(step))
            except LearntError as error:
                notes.append(f"checkpoint of step {step} is damaged and was passed over ({error.found})")
                continue
            self.latest = self._folder / f"{_name(step)}.json"
            return tensors, record, notes
        return None if not notes else ({}, {}, notes)

    def _steps(self) -> list[int]:
        names = [p.stem.removeprefix("step-") for p in self._folder.glob("step-*.json")]
        return sorted((int(n) for n in names if n.isdigit()), reverse=True)

    def _settings(self) -> dict[str, Any] | None:
        path = self._folder / "fit.json"
        if not path.exists():
            return None
        record = read_json(path)
        if not isinstance(record, dict) or record.get("format") != FORMAT or not isinstance(record["settings"], dict):
            raise ResumeError(str(path), found="a file of another kind", expected=f"settings in format {FORMAT}")
        return record


def _name(step: int) -> str:
    return f"step-{step:012d}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def opened(plan: Checkpoint | str | os.PathLike[str] | None) -> Iterator[Keeper | None]:
    """Hold the run's directory while the block runs; None in, None out.

    Raises:
        BusyError: another live process holds it. StorageError: it cannot be written to.
    """
    if plan is None:
        yield None
        return
    plan = plan if isinstance(plan, Checkpoint) else Checkpoint(directory=plan)
    with run_lock(plan.directory) as folder:
        sweep_temporaries(folder)
        yield Keeper(plan, Path(folder))


def describe(value: Any) -> Any:
    """What `value` is, in JSON, for the comparison of settings: tensors and modules by digest, functions by name."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, torch.Tensor):
        return f"tensor {tuple(value.shape)} {digest({'': value})[:16]}"
    if isinstance(value, nn.Module):
        return f"{type(value).__qualname__} {digest(dict(value.state_dict()))[:16]}"
    if isinstance(value, Population):
        return f"{len(value)} replicas {digest({**value.parameters, **value.buffers})[:16]}"
    if isinstance(value, Examples):
        known = {"inputs": value.inputs} | ({} if value.labels is None else {"labels": value.labels})
        return f"{len(value)} examples {digest(known)[:16]}"
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, (FunctionType, type)):
        return f"{value.__module__}.{value.__qualname__}"
    kind = type(value).__qualname__
    if dataclasses.is_dataclass(value):
        return {"class": kind} | {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return kind
