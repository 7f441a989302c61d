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
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.programs._loss import ProgramLoss
from learnt.programs._starts import Fixed, begin, continued
from learnt.programs._training_run import Run, fast_denormals
from learnt.programs.config import Config, Factored, Shape
from learnt.programs.fitted import FitResult, Part, Seed, ranked
from learnt.programs.module import ProgramModule
from learnt.programs.program import Program
from learnt.programs.recipe import Recipe
from learnt.programs.refitting import refit
from learnt.programs.search import local_search
from learnt.programs.task import Task
from learnt.programs.word_vectors import embedding_logits
from learnt.run.seeds import derive
from learnt.train.history import Callback
from learnt.train.population import Population


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
            key values), of MLPs "inputs" (names). Nothing is searched after training then.
        start: a program of at most this size from which every replica starts, its choices easily changed; or an
            earlier training of the same size, whose best networks go on.
        extra: (pairs, weight): further training sequences, as `Task.answer` gives them, and the weight of each.
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
        population = continued(population, start)
    begin(population, shape, fixed or {}, start if isinstance(start, Program) else None)
    run = Run(
        task=task, shape=shape, recipe=recipe, population=population, loss=loss, parts=parts, epochs=epochs, seed=seed
    )
    with fast_denormals():
        for phase, (first, last) in enumerate(_phases(epochs, seeds, recipe)):
            run.train(data, phase, first, last, device=device, checkpoint=checkpoint, callbacks=tuple(callbacks))
            if last < epochs:
                run.halve(last)
        finished = [*run.given_up, *run.results(epochs)]
    if recipe.refit:
        finished = [_refitted(s, task, split, parts) for s in finished]
    if recipe.search and not task.pool and not fixed:  # a search would change what is fixed
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
