"""One training run: the loop over steps, with everything that must survive an interruption in one place."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import torch

from learnt.core.errors import DivergedError, Interrupted
from learnt.run.seeds import derive
from learnt.train._bundle import Stack
from learnt.train._engine_vmap import Loss
from learnt.train._engines import Engine
from learnt.train._feed import Feeder
from learnt.train._optimise import Optimisation, clip
from learnt.train._signals import Request
from learnt.train._state import decode, encode
from learnt.train._stopping import Stopping
from learnt.train.checkpoint import Keeper
from learnt.train.flows import Flow
from learnt.train.history import Callback, Event, History

WINDOW = 20  # steps between looks at the losses on an accelerator, where each look waits for the device


@final
@dataclass(kw_only=True)
class Training:
    """The state and the loop of one run; `fit` builds it.

    Attributes that move: step, epoch_sum (N,) over the running epoch, losses and validation of finished epochs.
    """

    stack: Stack
    engine: Engine
    feeder: Feeder
    loss: Loss
    steps: int
    seed: int
    flow: Flow
    optimisation: Optimisation | None
    schedule_every: Literal["step", "epoch"]
    clip_norm: float | None
    judge: Feeder | None
    verdict: Loss
    stopping: Stopping | None
    keeper: Keeper | None
    callbacks: Sequence[Callback]
    notes: list[str]

    def __post_init__(self) -> None:
        n = self.stack.size
        self.step = 0
        self.seconds = 0.0
        wide = torch.float32 if self.stack.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        self.epoch_sum = torch.zeros(n, dtype=wide, device=self.stack.device)
        self.epoch_count = 0
        self.losses: list[torch.Tensor] = []
        self.validation: list[torch.Tensor] = []
        self._window: list[tuple[int, torch.Tensor]] = []
        self._saved = -1
        self._everyone = torch.ones(n, dtype=torch.bool)
        self._rng: list[torch.Generator] = []
        self._length = 1 if self.stack.device.type == "cpu" else WINDOW

    @property
    def active(self) -> torch.Tensor:
        """(N,) bool on the CPU: replicas that have not stopped early."""
        return self._everyone if self.stopping is None else self.stopping.active

    @property
    def epochs(self) -> int:
        """Epochs in all, a last part of one included."""
        return math.ceil(self.steps / self.feeder.per_epoch)

    def run(self, request: Request) -> History:
        """Make the remaining steps.

        Raises:
            DivergedError: NaN or infinity. Interrupted: SIGINT or SIGTERM, after a checkpoint if there is a keeper.
        """
        self._start = time.perf_counter() - self.seconds
        self._tell("start")
        while self.step < self.steps and (self.stopping is None or bool(self.active.any())):
            batches = self.feeder.at(self.step)
            losses = self.engine.gradients(self.loss, batches, self.step, self.active)
            self._watch(losses)
            self._move()
            self.step += 1
            self.epoch_sum.add_(losses, alpha=len(batches))
            self.epoch_count += len(batches)
            if self.callbacks:
                self._tell("step", losses=losses)
            if self.step % self.feeder.per_epoch == 0 or self.step == self.steps:
                self._end_epoch()
            if request.name:
                self._interrupt(request.name)
            if self.keeper is not None and self.step < self.steps and self.keeper.due(self.step):
                self.save()
        self._inspect()
        self._require_finite_parameters()
        if self.keeper is not None and self._saved != self.step:
            self.save()
        if self.stopping is not None:
            self.stopping.restore()
        self._tell("end")
        return self.history()

    def history(self) -> History:
        """The record so far."""
        none = torch.zeros(0, self.stack.size, dtype=torch.float64)
        return History(
            losses=torch.stack(self.losses) if self.losses else none,
            validation=None if self.judge is None else torch.stack(self.validation) if self.validation else none,
            best_epoch=None if self.stopping is None else self.stopping.best_epoch.clone(),
            steps=self.step,
            seconds=self.seconds,
            engine=self.engine.name,
            notes=tuple(self.notes),
        )

    # -- one step --------------------------------------------------------------------------------------

    def _move(self) -> None:
        if self.clip_norm is not None:
            norms = clip(self.stack, self.clip_norm)
            if self._length == 1 and not math.isfinite(float(norms.sum())):
                self._report("gradients", norms)
        if self.optimisation is not None:
            self.optimisation.step()
            if self.schedule_every == "step":
                self.optimisation.advance()
        else:
            self._flow()

    def _flow(self) -> None:
        stack = self.stack
        if not self._rng:
            self._rng = [torch.Generator(device=stack.device) for _ in range(stack.size)]
        for i, generator in enumerate(self._rng):
            generator.manual_seed(derive(self.seed, "flow", i, self.step))
        parameters = list(stack.parameters.values())
        with torch.no_grad():
            flat = torch.cat([p.flatten(1) for p in parameters], 1)
            slopes = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            moved = self.flow(flat, torch.cat([g.flatten(1) for g in slopes], 1), self.step, self._rng)
            for parameter, part in zip(parameters, moved.split([p[0].numel() for p in parameters], 1), strict=True):
                parameter.copy_(part.view_as(parameter))

    def _end_epoch(self) -> None:
        self._inspect()
        self._require_finite_parameters()
        mean = self.epoch_sum.cpu().double() / self.epoch_count
        self.losses.append(mean)
        self.epoch_sum, self.epoch_count = torch.zeros_like(self.epoch_sum), 0
        if self.optimisation is not None and self.schedule_every == "epoch":
            self.optimisation.advance()
        value = None
        if self.judge is not None:
            value = torch.where(self.active, self._validate(self.judge), torch.nan)
            self.validation.append(value)
            if self.stopping is not None:
                self.losses[-1] = torch.where(self.active, mean, torch.nan)
                self.stopping.update(value, len(self.losses))
        self._tell("epoch", losses=self.losses[-1], validation=value)

    def _validate(self, judge: Feeder) -> torch.Tensor:
        total = torch.zeros_like(self.epoch_sum)
        count = 0
        for k in range(judge.per_epoch):
            batches = judge.at(k)
            total.add_(self.engine.values(self.verdict, batches), alpha=len(batches))
            count += len(batches)
        return total.cpu().double() / count

    def _tell(self, kind: Any, **values: Any) -> None:
        self.seconds = time.perf_counter() - self._start
        if not self.callbacks:
            return
        event = Event(
            kind=kind, step=self.step, steps=self.steps, epoch=self.step // self.feeder.per_epoch, epochs=self.epochs,
            seconds=self.seconds, **values,
        )  # fmt: skip
        for callback in self.callbacks:
            callback(event)

    # -- NaN and infinity ------------------------------------------------------------------------------

    def _watch(self, losses: torch.Tensor) -> None:
        self._window.append((self.step + 1, losses))
        if len(self._window) >= self._length:
            self._inspect()

    def _inspect(self) -> None:
        """Look at the losses since the last look; one number is fetched from the device."""
        window, self._window = self._window, []
        if not window:
            return
        values = window[0][1] if len(window) == 1 else torch.stack([losses for _, losses in window])
        if math.isfinite(float(values.sum())):
            return
        for step, losses in window:
            bad = ~torch.isfinite(losses.cpu()) & self.active
            if not bool(bad.any()):
                continue
            broken = self._broken() & bad
            if self._length == 1 and bool(broken.any()):  # the step before left NaN or infinity behind
                raise self._diverged("gradients", step - 1, broken, "not finite")
            raise self._diverged("loss", step, bad, f"{float(losses[int(bad.nonzero()[0])])}")

    def _report(self, what: str, values: torch.Tensor) -> None:
        bad = ~torch.isfinite(values.cpu()) & self.active
        if bool(bad.any()):
            raise self._diverged(what, self.step + 1, bad, "not finite")

    def _broken(self) -> torch.Tensor:
        """(N,) bool on the CPU: replicas whose parameters hold NaN or infinity."""
        values = [p.detach().flatten(1) for p in self.stack.parameters.values()]
        if math.isfinite(float(sum(v.sum() for v in values))):
            return torch.zeros(self.stack.size, dtype=torch.bool)
        # the sum of large finite numbers may be infinite: only now is the full look worth its time
        return ~torch.stack([torch.isfinite(v).all(1) for v in values]).all(0).cpu()

    def _require_finite_parameters(self) -> None:
        broken = self._broken() & self.active
        if bool(broken.any()):
            raise self._diverged("gradients", self.step, broken, "not finite")

    def _diverged(self, what: str, step: int, bad: torch.Tensor, value: str) -> DivergedError:
        replicas = [int(i) for i in bad.nonzero().flatten()]
        named = f"replica {replicas[0]}" if len(replicas) == 1 else f"replicas {', '.join(map(str, replicas[:8]))}"
        latest = None if self.keeper is None else self.keeper.latest
        kept = "No checkpoint was kept." if latest is None else f"The last good checkpoint is {latest}."
        return DivergedError(
            "training",
            found=f"{what} {value} at step {step} in {named}",
            expected="finite loss and gradients",
            remedy=f"{kept} Try a smaller learning rate or clip_norm=1.0.",
        )

    # -- checkpoints -----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint; first make sure that what is kept is good."""
        if self.keeper is None:
            return
        self._inspect()
        self._require_finite_parameters()
        self.seconds = time.perf_counter() - self._start
        tensors = {f"stack.{k}": v for k, v in self.stack.tensors().items()}
        tensors["epoch.sum"] = self.epoch_sum
        if self.losses:
            tensors["history.losses"] = torch.stack(self.losses)
        if self.validation:
            tensors["history.validation"] = torch.stack(self.validation)
        if self.stopping is not None:
            tensors |= self.stopping.tensors()
        record: dict[str, Any] = {"epoch_count": self.epoch_count, "seconds": self.seconds}
        record["threads"] = torch.get_num_threads()
        if self.optimisation is not None:
            parts = {"optimizers": self.optimisation.optimizers, "schedulers": self.optimisation.schedulers}
            for name, things in parts.items():
                record[name] = [encode(t.state_dict(), f"{name}.{i}", tensors) for i, t in enumerate(things)]
        self.keeper.save(self.step, tensors, record)
        self._saved = self.step
        self._tell("checkpoint")

    def take(self, tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> None:
        """Continue from what a checkpoint holds."""
        with torch.no_grad():
            for name, home in self.stack.tensors().items():
                home.copy_(tensors[f"stack.{name}"])
        self.step, self.seconds = record["step"], record["seconds"]
        self._saved = self.step
        self.epoch_sum, self.epoch_count = tensors["epoch.sum"].to(self.stack.device), record["epoch_count"]
        self.losses = list(tensors.get("history.losses", torch.empty(0)))
        self.validation = list(tensors.get("history.validation", torch.empty(0)))
        if self.stopping is not None:
            self.stopping.take(tensors)
        if self.optimisation is not None:
            for name, things in (
                ("optimizers", self.optimisation.optimizers),
                ("schedulers", self.optimisation.schedulers),
            ):
                for thing, state in zip(things, record[name], strict=True):
                    thing.load_state_dict(decode(state, tensors))
        self.notes.append(f"resumed after step {self.step}")
        if record["threads"] != torch.get_num_threads():
            self.notes.append(
                f"resumed with {torch.get_num_threads()} threads instead of {record['threads']}: "
                "the last bits may differ from an undisturbed run"
            )

    def _interrupt(self, signal: str) -> None:
        kept = "Nothing was kept, as no checkpoint= was given."
        if self.keeper is not None:
            self.save()
            kept = f"Its state is in {self.keeper.latest}; run the same command again to continue."
        raise Interrupted(
            "training", found=f"{signal} at step {self.step} of {self.steps}", expected="the end", remedy=kept
        )
