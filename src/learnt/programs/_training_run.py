"""A population on its way from random networks to programs: temperatures, looks, halving, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from learnt.core.errors import DivergedError
from learnt.core.examples import Examples
from learnt.programs._loss import ProgramLoss
from learnt.programs.config import Shape
from learnt.programs.discretise import discretised
from learnt.programs.fitted import Part, Seed, ranked
from learnt.programs.module import Relaxation, logits
from learnt.programs.program import Program
from learnt.programs.recipe import Recipe
from learnt.programs.schedule import temperatures
from learnt.programs.task import Task
from learnt.run.seeds import derive
from learnt.train._random import fenced, sow
from learnt.train.fit import fit
from learnt.train.history import Event
from learnt.train.population import Population

LOOKS = 20  # how often the discrete programs are evaluated in a run
GLANCE = 512  # inputs of a look at the relaxed networks, which cost as much as a step of training


@final
class Run:
    """A population on its way: its replicas, those given up, and what was seen of them."""

    def __init__(
        self, *, task: Task, shape: Shape, recipe: Recipe, population: Population, loss: ProgramLoss,
        parts: Mapping[str, Part], epochs: int, seed: int,
    ) -> None:  # fmt: skip
        self.task, self.shape, self.recipe, self.population, self.loss = task, shape, recipe, population, loss
        self.parts, self.epochs, self.seed = parts, epochs, seed
        self.numbers = list(range(len(population)))
        self.total = len(population)
        self.given_up: list[Seed] = []
        self.notes: list[str] = []
        self._adam = _Adam(recipe.lr)
        self._looks: list[tuple[int, float, dict[int, tuple[float, float, float]]]] = []

    def train(
        self, data: Examples, phase: int, first: int, last: int, *, device: Any, checkpoint: Any, callbacks: Any
    ) -> None:
        """Epochs `first` to `last` of the whole."""
        batches = -(-len(data.inputs) // min(self.recipe.batch_size, len(data.inputs)))
        heat = temperatures(*self.recipe.temperature, epochs=self.epochs, batches=batches).ravel()
        due = {round(e) for e in np.linspace(0, self.epochs, min(LOOKS, self.epochs) + 1)[1:]}

        def follow(event: Event) -> None:
            step = first * batches + event.step
            if event.kind in ("start", "step") and step < len(heat):
                self.loss.relaxation = self._relaxation(float(heat[step]), step // batches)
            if event.kind == "epoch" and first + event.epoch in due:
                self._look(first + event.epoch, float(heat[step - 1]), event)

        try:
            history = fit(
                self.population, data, self.loss, epochs=last - first, optimizer=self._adam, engine="vmap",
                batch_size=self.recipe.batch_size, seed=derive(self.seed, "phase", phase), device=device,
                checkpoint=None if checkpoint is None else Path(checkpoint) / f"phase-{phase}",
                callbacks=(follow, *callbacks),
            )  # fmt: skip
        except DivergedError as error:
            heat_now = self.loss.relaxation.temperature
            raise DivergedError(
                error.argument,
                found=f"{error.found}, at temperature {heat_now:.3g} (batches of {self.recipe.batch_size}, {batches} "
                "an epoch, in the order derived from the seed)",
                expected=error.expected,
                remedy="Try a smaller lr in the recipe, or a higher last temperature.",
            ) from error
        self.notes = [note for note in history.notes if note.startswith("resumed")]

    def _relaxation(self, temperature: float, epoch: int) -> Relaxation:
        r = self.recipe
        calm = epoch >= round((1 - r.calm) * self.epochs)
        return Relaxation(
            temperature=temperature,
            noise=r.sampler == "gumbel" and not calm,
            attention_noise=r.sampler == "gumbel" and r.attention_noise and not calm,
            mlp_noise=r.sampler == "gumbel" and r.mlp_noise and not calm,
            hard=epoch >= round((1 - r.straight_through) * self.epochs),
            tie_bias=r.tie_bias,
            default=r.default,
            dropout=r.dropout,
        )

    def program(self, i: int, **meta: Any) -> Program:
        """The discrete program of replica i."""
        tensors = {name: p[i] for name, p in self.population.parameters.items()}
        known = {"task": self.task.name, "seed": self.numbers[i], "recipe": self.recipe.to_fields()}
        return discretised(tensors, self.shape, meta={**known, **meta})

    def _look(self, epoch: int, temperature: float, event: Event) -> None:
        soft = self._soft(epoch, GLANCE)
        seen = {}
        for i, number in enumerate(self.numbers):
            discrete = self.parts["validation"].score(self.program(i)).tokens
            seen[number] = (float(event.losses[i]) if event.losses is not None else np.nan, soft[i], discrete)
        self._looks.append((epoch, temperature, seen))

    @torch.no_grad()
    def _soft(self, epoch: int, most: int = 2000) -> list[float]:
        """Validation accuracy of the relaxed networks, sampled as in the last step, on at most so many inputs."""
        part = self.parts["validation"]
        device = self.population.device
        ids = torch.as_tensor(part.batch.ids[:most], device=device)
        targets = torch.as_tensor(part.targets[:most], device=device)
        if self.shape.pool:
            targets = targets[:, 0]
        shares = []
        with fenced(device):
            sow(device, derive(self.seed, "look", epoch))
            for i in range(len(self.numbers)):
                own = {name: p[i : i + 1].detach() for name, p in self.population.parameters.items()}
                out = logits(own, ids.unsqueeze(0), self.shape, self.loss.relaxation)[0].argmax(-1)
                scored = targets >= 0
                shares.append(float((out == targets)[scored].float().mean()))
        return shares

    def halve(self, epoch: int) -> None:
        """Keep the better half of the replicas by the validation accuracy of their discrete programs."""
        results = self.results(epoch)
        order = [seed.seed for seed in ranked(results)]
        kept = sorted(order[: len(order) // 2])
        self.given_up += [seed for seed in results if seed.seed not in kept]
        index = [self.numbers.index(number) for number in kept]
        self.population = Population.of([self.population[i] for i in index])
        self._adam = self._adam.of(index)
        self.numbers = kept

    def results(self, epoch: int) -> list[Seed]:
        """The replicas in motion as programs with their scores."""
        soft = self._soft(epoch)
        found = []
        for i, number in enumerate(self.numbers):
            program = self.program(i, epochs=epoch)
            scores = {name: part.score(program) for name, part in self.parts.items()}
            found.append(
                Seed(
                    seed=number, program=program, epochs=epoch, soft=soft[i], trained=scores["validation"].tokens,
                    train=scores["train"], validation=scores["validation"], test=scores["test"],
                )
            )  # fmt: skip
        return found

    def curves(self) -> dict[str, np.ndarray]:
        """What was seen on the way."""
        rows = np.full((3, len(self._looks), self.total), np.nan)
        for at, (_, _, seen) in enumerate(self._looks):
            for number, values in seen.items():
                rows[:, at, number] = values
        named = dict(zip(("loss", "soft", "argmax"), rows, strict=True))
        return {
            "epoch": np.array([look[0] for look in self._looks]),
            "temperature": np.array([look[1] for look in self._looks]),
            **named,
        }


class _Adam:
    """Makes Adam for stacked parameters, with the moments of some replicas of an earlier one."""

    def __init__(self, lr: float, moments: list[dict[str, torch.Tensor]] | None = None) -> None:
        self._lr, self._moments = lr, moments
        self._made: torch.optim.Optimizer | None = None

    def __call__(self, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        """The optimiser, as `learnt.train` asks for it: once on trial, once for the stacks."""
        self._made = torch.optim.Adam(parameters, lr=self._lr)
        if self._moments is not None and parameters[0].shape == self._moments[0]["exp_avg"].shape:
            for parameter, moments in zip(parameters, self._moments, strict=True):
                self._made.state[parameter] = {name: value.clone() for name, value in moments.items()}
        return self._made

    def of(self, index: list[int]) -> _Adam:
        """A maker whose optimiser goes on for the replicas `index`."""
        made = self._made
        if made is None:
            return _Adam(self._lr)
        moments = [
            {name: v[index] if v.ndim else v for name, v in made.state[p].items()}
            for p in made.param_groups[0]["params"]
        ]
        return _Adam(self._lr, moments)


@contextmanager
def fast_denormals() -> Iterator[None]:
    """Numbers below 1e-38 count as 0: sharp softmaxes are full of them, and a processor is slow on them."""
    changed = torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if changed:
            torch.set_flush_denormal(False)
