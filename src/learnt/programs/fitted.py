"""What did a training give? The program of every seed, how good each is, and which one validation chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np

from learnt.programs.evaluator import Batch, evaluate
from learnt.programs.program import Program
from learnt.programs.task_metrics import sequence_accuracy, token_accuracy

if TYPE_CHECKING:
    from learnt.programs.config import Config
    from learnt.programs.recipe import Recipe
    from learnt.programs.task import Task
    from learnt.programs.task_split import Pairs


@final
@dataclass(frozen=True, kw_only=True)
class Score:
    """How well one program does on one part of the data: shares of right positions and of right sequences."""

    tokens: float
    sequences: float


@final
@dataclass(frozen=True, kw_only=True)
class Seed:
    """One replica of a training.

    Attributes:
        seed: its number.
        program: the discrete program.
        train, validation, test: its scores.
        epochs: how long it was trained.
        soft: validation accuracy (tokens) of the relaxed network at the end, sampled as in training.
        trained: validation accuracy (tokens) of the discrete program as training left it.
        refitted: whether the classifier was fitted anew.
        searched: whether a local search made it better.
    """

    seed: int
    program: Program
    train: Score
    validation: Score
    test: Score
    epochs: int
    soft: float
    trained: float
    refitted: bool = False
    searched: bool = False


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class FitResult:
    """All programs of a training.

    Attributes:
        task, config, recipe: what was trained, and how.
        seeds: one entry for each replica, best validation first.
        curves: by name ("epoch", "temperature", "loss", "soft", "argmax"): numbers by checkpoint of the training, and
            by seed for the last three; NaN where a seed had been given up.
        seconds: wall time.
        notes: what the engine decided, labels that never occur in training, and the like.
        networks: the `ProgramModule` at the end by number of the seed; those given up are not kept.
    """

    task: Task
    config: Config
    recipe: Recipe
    seeds: tuple[Seed, ...]
    curves: Mapping[str, np.ndarray]
    seconds: float
    notes: tuple[str, ...]
    networks: Mapping[int, Any] = field(repr=False)

    @property
    def best(self) -> Program:
        """The program that is best on the validation part (positions, then sequences, then the lower seed)."""
        return self.seeds[0].program

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs of all seeds, best validation first."""
        return tuple(seed.program for seed in self.seeds)

    def success(self, tokens: float = 1.0) -> float:
        """Share of all seeds whose test accuracy (positions) is at least `tokens`.

        Args:
            tokens: from 0 to 1.
        """
        return float(np.mean([seed.test.tokens >= tokens for seed in self.seeds]))

    def table(self) -> str:
        """All seeds as text, best validation first."""
        lines = [
            f"{self.task.name}: {len(self.seeds)} seeds, {self.config.modules} modules each, {self.seconds:.0f} s",
            "seed  epochs     soft  discrete   then      validation           test",
            "                                         tokens  sequences  tokens  sequences",
        ]
        for s in self.seeds:
            then = "search" if s.searched else "refit" if s.refitted else ""
            lines.append(
                f"{s.seed:4d}  {s.epochs:6d}  {s.soft:7.2%}   {s.trained:7.2%}   {then:6s}  {s.validation.tokens:7.2%}"
                f"    {s.validation.sequences:7.2%}  {s.test.tokens:7.2%}    {s.test.sequences:7.2%}"
            )
        tests = np.array([s.test.tokens for s in self.seeds])
        lines.append(
            f"chosen by validation: seed {self.seeds[0].seed}. Test accuracy of all seeds (tokens): median "
            f"{np.median(tests):.2%}, {tests.min():.2%} to {tests.max():.2%}."
        )
        return "\n".join([*lines, *self.notes])

    def __str__(self) -> str:
        return self.table()

    def to_fields(self) -> dict[str, Any]:
        """Everything but the programs, as JSON can hold it."""
        return {
            "task": self.task.name,
            "config": self.config.to_fields(),
            "recipe": self.recipe.to_fields(),
            "seconds": self.seconds,
            "notes": list(self.notes),
            "seeds": [
                {
                    "seed": s.seed,
                    "epochs": s.epochs,
                    "soft": s.soft,
                    "trained": s.trained,
                    "refitted": s.refitted,
                    "searched": s.searched,
                    **{
                        f"{part}_{what}": getattr(getattr(s, part), what)
                        for part in ("train", "validation", "test")
                        for what in ("tokens", "sequences")
                    },
                }
                for s in self.seeds
            ],
        }


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """One part of a split as arrays: a batch for the evaluator and (n, N) targets, -1 where nothing is scored."""

    batch: Batch
    targets: np.ndarray

    @classmethod
    def of(cls, task: Task, pairs: Pairs) -> Part:
        """The part of `task` that `pairs` are."""
        ids, targets = task.encode(pairs)
        return cls(batch=Batch(ids=ids, lengths=np.array([len(x) for x in pairs.inputs])), targets=targets)

    def score(self, program: Program) -> Score:
        """Accuracy of a program on this part."""
        predicted = evaluate(program, self.batch).predictions
        if program.pool:
            predicted = np.pad(predicted[:, None], ((0, 0), (0, self.targets.shape[1] - 1)), constant_values=-1)
        return Score(
            tokens=token_accuracy(predicted, self.targets), sequences=sequence_accuracy(predicted, self.targets)
        )


def ranked(seeds: Sequence[Seed]) -> tuple[Seed, ...]:
    """Best validation first; equals in the order of their numbers."""
    return tuple(sorted(seeds, key=lambda s: (-s.validation.tokens, -s.validation.sequences, s.seed)))
