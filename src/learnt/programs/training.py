"""Which program does the data teach? Many relaxed networks, trained together, made discrete, chosen by validation.

    min over Phi of  E over theta ~ p(. | Phi)  of  -log p(y | w; theta)          [arXiv 2306.01128, section 3.2]

Whether a seed finds the program is a lottery, so all seeds are one population (`learnt.train`), all are reported,
and the best on the validation part is the result; the test part chooses nothing. Nothing is evaluated in between but
the discrete programs, by the integer evaluator, a few times a run. The authors' code evaluates three parts with the
network at every epoch, trains one seed a process, and keeps the last epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from learnt.core.errors import DivergedError, InputError
from learnt.core.examples import Examples
from learnt.programs._loss import ProgramLoss
from learnt.programs.config import Config, Factored, Shape
from learnt.programs.discretise import CERTAIN, compiled, discretised
from learnt.programs.fitted import FitResult, Part, Seed, ranked
from learnt.programs.local_search import local_search
from learnt.programs.module import ProgramModule, Relaxation, logits
from learnt.programs.program import Program
from learnt.programs.recipe import Recipe
from learnt.programs.refit import refit
from learnt.programs.schedule import temperatures
from learnt.programs.task import Task
from learnt.programs.word_vectors import embedding_logits
from learnt.run.seeds import derive
from learnt.train._random import fenced, sow
from learnt.train.fit import fit as train
from learnt.train.history import Callback, Event
from learnt.train.population import Population

LOOKS = 20  # how often the discrete programs are evaluated in a run
Fixed = Mapping[str, Mapping[str, Any]]


def fit(
    task: Task,
    config: Config | None = None,
    *,
    seeds: int = 8,
    epochs: int = 60,
    recipe: Recipe | Literal["ours", "paper"] = "ours",
    seed: int = 0,
    split: int = 0,
    fixed: Fixed | None = None,
    start: Program | FitResult | None = None,
    extra: Any = None,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    callbacks: Iterable[Callback] = (),
) -> FitResult:
    """Train many programs on a task at once and choose one by validation.

    Args:
        task: what to learn.
        config: size of the programs; two layers of two heads of each kind and an MLP of each kind by default.
        seeds: number of replicas R.
        epochs: walks through the training part (250 in the paper).
        recipe: "ours", "paper" or your own.
        seed: from which initial values, orders and noise are derived.
        split: seed of the task's split.
        fixed: choices that are not learnt, by module: of heads "query", "key", "value" (names) and "predicate" (k
            key values), of MLPs "inputs" (names).
        start: a program of at most this size from which every replica starts, its choices easily changed; or an
            earlier training of the same size, whose best networks go on.
        extra: (inputs, targets, weight): further training sequences, as `Task.answer` gives them, and their weight.
        device: where to train; the processor by default.
        checkpoint: a directory; run again with the same arguments to resume.
        callbacks: functions of an `Event` of `learnt.train`.

    Raises:
        InputError: an argument that has no meaning for this task.
        DivergedError: a loss that is not finite; names step, temperature and batch.
        Interrupted: SIGINT or SIGTERM; with a checkpoint, run again to continue.
    """
    config = config or Config()
    recipe = _recipe(recipe)
    for name, value in (("seeds", seeds), ("epochs", epochs)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(name, found=repr(value), expected="a positive integer")
    began = time.perf_counter()
    shape = config.shape(task)
    drawn = task.split(split)
    parts = {
        "train": Part.of(task, drawn.train),
        "validation": Part.of(task, drawn.validation),
        "test": Part.of(task, drawn.test),
    }
    data, targets, weights = _examples(task, shape, parts["train"], extra)
    loss = ProgramLoss(
        shape, targets, weights=weights, complexity=recipe.complexity, aggregate=recipe.aggregate
    )  # fmt: skip
    population = Population(_maker(shape, config, seed), seeds, seed=seed)
    if isinstance(start, FitResult):
        population = _continued(population, start)
    _begin(population, shape, fixed or {}, start if isinstance(start, Program) else None)
    run = _Run(
        task=task, shape=shape, recipe=recipe, population=population, loss=loss, parts=parts, epochs=epochs, seed=seed
    )
    with _fast_denormals():
        for phase, (first, last) in enumerate(_phases(epochs, seeds, recipe)):
            run.train(data, phase, first, last, device=device, checkpoint=checkpoint, callbacks=tuple(callbacks))
            if last < epochs:
                run.halve(last)
        finished = [*run.given_up, *run.results(epochs)]
    if recipe.refit:
        finished = [_refitted(s, task, split, parts) for s in finished]
    if recipe.search and not task.pool:
        order = [s.seed for s in ranked(finished)][: recipe.searched]
        finished = [_searched(s, task, split, parts, recipe, seed) if s.seed in order else s for s in finished]
    return FitResult(
        task=task, config=config, recipe=recipe, seeds=ranked(finished), curves=run.curves(),
        seconds=time.perf_counter() - began, notes=(*run.notes, *_unseen(task, parts)),
        networks={n: run.population[i] for i, n in enumerate(run.numbers)},
    )  # fmt: skip


def _recipe(recipe: Any) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in ("ours", "paper"):
        raise InputError("recipe", found=repr(recipe), expected='"ours", "paper" or a Recipe')
    return Recipe.paper() if recipe == "paper" else Recipe()


def _maker(shape: Shape, config: Config, seed: int) -> Callable[[], ProgramModule]:
    logits_of_words = None
    if isinstance(config.embed, Factored) and config.embed.vectors is not None:
        logits_of_words = embedding_logits(np.asarray(config.embed.vectors), shape.embeddings, shape.k)
    return lambda: ProgramModule(shape, start=logits_of_words)


def _phases(epochs: int, seeds: int, recipe: Recipe) -> Iterator[tuple[int, int]]:
    """(first, last) epochs between which the population keeps its size."""
    ends = []
    for share in recipe.halving:
        end = round(share * epochs)
        if 0 < end < epochs and end not in ends and seeds // 2 ** (len(ends) + 1) >= 1:
            ends.append(end)
    yield from zip([0, *ends], [*ends, epochs], strict=True)


def _examples(task: Task, shape: Shape, part: Part, extra: Any) -> tuple[Examples, torch.Tensor, torch.Tensor]:
    ids, targets = torch.as_tensor(part.batch.ids), torch.as_tensor(part.targets)
    weights = torch.ones(len(ids))
    if extra is not None:
        pairs, weight = extra
        more_ids, more_targets = task.encode(pairs)
        ids = torch.cat([ids, torch.as_tensor(more_ids)])
        targets = torch.cat([targets, torch.as_tensor(more_targets)])
        weights = torch.cat([weights, torch.full((len(more_ids),), float(weight))])
    if not bool((targets >= 0).any()):
        raise InputError("task", found="no scored position in the training part", expected="at least one")
    return Examples(inputs=ids, name=task.name), targets, weights


def _unseen(task: Task, parts: Mapping[str, Part]) -> list[str]:
    """Labels that the test part asks for and training never showed."""
    known = set(np.unique(parts["train"].targets).tolist())
    notes = []
    for name in ("validation", "test"):
        wanted, counts = np.unique(parts[name].targets[parts[name].targets >= 0], return_counts=True)
        for label, count in zip(wanted.tolist(), counts.tolist(), strict=True):
            if label not in known:
                notes.append(
                    f"note: label {task.labels[label]!r} occurs {count} times in the {name} part and never in the "
                    "training part; it is scored all the same"
                )
    return notes


# -- where the replicas start --------------------------------------------------------------------------


def _begin(population: Population, shape: Shape, fixed: Fixed, start: Program | None) -> None:
    tensors = population.parameters
    with torch.no_grad():
        if start is not None:
            for name, values in compiled(start, shape).items():
                if name.startswith(("mlp_in", "mlp_out", "num_mlp_in", "num_mlp_out")):
                    continue  # a network with a unit for each key has no room to move: MLPs are learnt anew
                given = torch.as_tensor(np.asarray(values, dtype=np.float32))
                if name in ("votes", "num_votes"):
                    tensors[name].copy_(given.expand_as(tensors[name]))
                else:
                    tensors[name].add_(given.expand_as(tensors[name]) * (3.0 / CERTAIN))
        for module, choices in fixed.items():
            _fix(tensors, shape, module, choices)


def _continued(fresh: Population, earlier: FitResult) -> Population:
    """The best networks of an earlier training, as many as there are fresh ones."""
    networks = [earlier.networks[s.seed] for s in earlier.seeds if s.seed in earlier.networks][: len(fresh)]
    shapes = [{name: tuple(p.shape) for name, p in m.named_parameters()} for m in (fresh.template, *networks[:1])]
    if len(networks) < len(fresh) or shapes[0] != shapes[1]:
        raise InputError(
            "start",
            found=f"{len(networks)} networks" + (" of another size" if networks and shapes[0] != shapes[1] else ""),
            expected=f"at least {len(fresh)} of the same task and configuration",
        )
    return Population.of(networks)


def _fix(tensors: Mapping[str, torch.Tensor], shape: Shape, module: str, choices: Mapping[str, Any]) -> None:
    kind, _, place = module.rpartition("_")[0].rpartition("_")
    try:
        layer, index = int(place), int(module.rpartition("_")[2])
        count = {"attn": shape.cat_heads, "num_attn": shape.num_heads, "mlp": shape.cat_mlps, "num_mlp": shape.num_mlps}
        known = 0 <= layer < shape.layers and 0 <= index < count[kind]
    except (KeyError, ValueError):
        known = False
    if not known:
        raise InputError("fixed", found=repr(module), expected="names of modules such as 'attn_0_0' or 'mlp_1_0'")
    mlp = kind.endswith("mlp")
    names, numbers = shape.mlp_names(layer) if mlp else shape.names(layer)
    heads = shape.cat_heads + shape.num_heads
    head = index if kind == "attn" else shape.cat_heads + index
    for what, value in choices.items():
        if mlp and what == "inputs":
            gates = f"{'num_' if kind == 'num_mlp' else ''}mlp_gates_{layer}"
            for j, name in enumerate(value):
                _gate(tensors[gates], index * shape.mlp_inputs + j, numbers if kind == "num_mlp" else names, name)
        elif not mlp and what in ("query", "key"):
            _gate(tensors[f"head_gates_{layer}"], head + (heads if what == "key" else 0), names, value)
        elif not mlp and what == "value" and kind == "attn":
            _gate(tensors[f"head_gates_{layer}"], 2 * heads + index, names, value)
        elif not mlp and what == "value":
            _gate(tensors[f"value_gates_{layer}"], index, numbers, value)
        elif not mlp and what == "predicate":
            rows = torch.as_tensor(list(value))
            if rows.shape != (shape.k,) or int(rows.min()) < 0 or int(rows.max()) >= shape.k:
                raise InputError(
                    f"fixed[{module!r}].predicate", found=str(list(value)), expected=f"{shape.k} key values"
                )
            tensors[f"predicates_{layer}"][:, head] = CERTAIN * torch.nn.functional.one_hot(rows, shape.k).float()
        else:
            raise InputError(
                f"fixed[{module!r}]", found=repr(what), expected="inputs" if mlp else "query, key, value or predicate"
            )


def _gate(gates: torch.Tensor, row: int, names: list[str], name: str) -> None:
    if name not in names:
        raise InputError("fixed", found=repr(name), expected=f"one of {', '.join(names)}")
    gates[:, row] = 0.0
    gates[:, row, names.index(name)] = CERTAIN


# -- the run -------------------------------------------------------------------------------------------


class _Run:
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
            history = train(
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
        )

    def program(self, i: int, **meta: Any) -> Program:
        """The discrete program of replica i."""
        tensors = {name: p[i] for name, p in self.population.parameters.items()}
        known = {"task": self.task.name, "seed": self.numbers[i], "recipe": self.recipe.to_fields()}
        return discretised(tensors, self.shape, meta={**known, **meta})

    def _look(self, epoch: int, temperature: float, event: Event) -> None:
        soft = self._soft(epoch)
        seen = {}
        for i, number in enumerate(self.numbers):
            discrete = self.parts["validation"].score(self.program(i)).tokens
            seen[number] = (float(event.losses[i]) if event.losses is not None else np.nan, soft[i], discrete)
        self._looks.append((epoch, temperature, seen))

    @torch.no_grad()
    def _soft(self, epoch: int) -> list[float]:
        """Validation accuracy of the relaxed networks, sampled as in the last step."""
        part = self.parts["validation"]
        device = self.population.device
        ids = torch.as_tensor(part.batch.ids[:2000], device=device)
        targets = torch.as_tensor(part.targets[:2000], device=device)
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
def _fast_denormals() -> Iterator[None]:
    """Numbers below 1e-38 count as 0: sharp softmaxes are full of them, and a processor is slow on them."""
    changed = torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if changed:
            torch.set_flush_denormal(False)


def _refitted(seed: Seed, task: Task, split: int, parts: Mapping[str, Part]) -> Seed:
    return _better(seed, refit(seed.program, task, seed=split), parts, refitted=True)


def _searched(seed: Seed, task: Task, split: int, parts: Mapping[str, Part], recipe: Recipe, own: int) -> Seed:
    found = local_search(
        seed.program, task, rounds=recipe.search, seed=derive(own, "search", seed.seed) % 2**32, split_seed=split
    )  # fmt: skip
    return _better(seed, found.program, parts, searched=True)


def _better(seed: Seed, program: Program, parts: Mapping[str, Part], **how: Any) -> Seed:
    """The seed with another program, if that is better on the validation part."""
    if program == seed.program:
        return seed
    scores = {name: part.score(program) for name, part in parts.items()}
    before, after = seed.validation, scores["validation"]
    if (after.tokens, after.sequences) <= (before.tokens, before.sequences):
        return seed
    return replace(seed, program=program, **how, **scores)
