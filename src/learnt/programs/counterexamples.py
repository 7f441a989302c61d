"""How does a program that is nearly right become right? Find where it is wrong, and make that weigh.

    repeat:  E <- E + some inputs of the domain that the program gets wrong, shortest first
             program <- the best classifier, then the best tables, then a local search, on training + weight * E

A learnt program that is right on 99.9 % of a test part is wrong on a few inputs that can be listed: the published
sort on 9 of 19,530, "000000" among them. The set E stays small, and the program is checked on the whole domain at
every round, so that the last check is a proof. Inputs of the test part may get into E; test accuracy after this says
nothing that the check does not say better, and is not reported.

Spec 6.4, item 7; not in arXiv 2306.01128.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.programs.evaluator import Batch, evaluate
from learnt.programs.program import Program, TableMLP
from learnt.programs.refitting import refit, retabulate
from learnt.programs.search import local_search
from learnt.programs.task import Task
from learnt.programs.task_split import Pairs
from learnt.run.seeds import numpy_generator

STEPS = ("refit", "tables", "search")


@final
@dataclass(frozen=True, kw_only=True)
class Round:
    """One round.

    Attributes:
        step: what was done: "check" at first, then "refit", "tables" or "search".
        wrong: inputs of the domain that the program then gets wrong.
        counterexamples: size of E.
        seconds: since the beginning.
    """

    step: str
    wrong: int
    counterexamples: int
    seconds: float


@final
@dataclass(frozen=True, kw_only=True)
class Guided:
    """What counterexamples led to.

    Attributes:
        program: the one with the fewest wrong inputs.
        wrong: how many.
        n: how many inputs were checked.
        exhaustive: whether these are all the inputs there are: then `wrong == 0` is a proof.
        rounds: what happened.
        counterexamples: the inputs that were collected.
    """

    program: Program
    wrong: int
    n: int
    exhaustive: bool
    rounds: tuple[Round, ...]
    counterexamples: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        of = f"all {self.n:,} inputs" if self.exhaustive else f"{self.n:,} sampled inputs"
        lines = [f"wrong on {self.wrong} of {of}, after {len(self.counterexamples)} counterexamples"]
        return "\n".join([*lines, *(f"  {r.seconds:6.1f} s  {r.step:7s} wrong {r.wrong:6d}" for r in self.rounds)])

    def to_fields(self) -> dict[str, Any]:
        """Everything but the program, as JSON can hold it."""
        return {
            "wrong": self.wrong,
            "n": self.n,
            "exhaustive": self.exhaustive,
            "rounds": [asdict(entry) for entry in self.rounds],
            "counterexamples": [list(tokens) for tokens in self.counterexamples],
        }


def counterexample_guided(
    program: Program,
    task: Task,
    *,
    rounds: int = 6,
    steps: Sequence[str] = STEPS,
    most: int = 400,
    weight: float = 10.0,
    search_seconds: float = 20.0,
    search_rounds: int | None = None,
    samples: int = 20_000,
    examples: int | None = None,
    seed: int = 0,
    progress: Callable[[Round], None] | None = None,
) -> Guided:
    """Correct a program by the inputs that it gets wrong.

    Args:
        program: nearly right.
        task: with an oracle.
        rounds: at most so many times through the steps; it ends when nothing is wrong.
        steps: some of "refit" (classifier), "tables" (each categorical MLP), "search" (`local_search`), in order.
        most: counterexamples added at each check, shortest first.
        weight: of each of them, a training input counting 1.
        search_seconds, search_rounds: limits of one local search; for the same result on every run give
            `search_rounds` and a generous time.
        samples: inputs checked where the domain cannot be listed, fresh ones each round, beside those of training.
        examples: training inputs, drawn anew in each round, that classifier and tables are fitted on, beside E; all if
            None. A few thousand are enough where E says where the bounds are, and much faster.
        seed: of samples and searches.
        progress: called after each step.

    Raises:
        NotApplicable: a task without an oracle, or a program that pools.
        InputError: an unknown step, a number below 1.
    """
    for name in steps:
        if name not in STEPS:
            raise InputError("steps", found=repr(name), expected=f"some of {', '.join(STEPS)}")
    if rounds < 1 or most < 1 or weight <= 0 or (examples is not None and examples < 1):
        found = f"{rounds}, {most}, {weight}, {examples}"
        raise InputError("rounds, most, weight, examples", found=found, expected="positive numbers")
    if program.pool:
        raise NotApplicable("program", found="one that pools", expected="one prediction a position")
    began = monotonic()
    judge = _Judge(program, task, samples, seed)
    wrong, failing = judge.failing(program)
    log = [Round(step="check", wrong=wrong, counterexamples=0, seconds=monotonic() - began)]
    best, best_wrong = program, wrong
    collected: dict[tuple[str, ...], None] = {}
    for turn in range(rounds):
        if not best_wrong:
            break
        for step in steps:
            collected |= dict.fromkeys(judge.inputs[i] for i in failing[:most])
            limits = (search_seconds, search_rounds, examples)
            program = _improved(best, task, step, tuple(collected), weight, *limits, seed + turn)
            wrong, found = judge.failing(program)
            if wrong < best_wrong:
                best, best_wrong = program, wrong
            failing = found if wrong else failing
            entry = Round(step=step, wrong=wrong, counterexamples=len(collected), seconds=monotonic() - began)
            log.append(entry)
            if progress is not None:
                progress(entry)
            if not best_wrong:
                break
        if not judge.exhaustive and best_wrong:
            judge = _Judge(program, task, samples, seed + turn + 1)
            best_wrong, failing = judge.failing(best)
    return Guided(
        program=best, wrong=best_wrong, n=len(judge.inputs), exhaustive=judge.exhaustive, rounds=tuple(log),
        counterexamples=tuple(collected),
    )  # fmt: skip


class _Judge:
    """The domain, its right answers, and which of them a program misses."""

    def __init__(self, program: Program, task: Task, samples: int, seed: int) -> None:
        inputs, self.exhaustive = task.domain().cover(samples=samples, seed=seed)
        self.inputs = [tuple(tokens) for tokens in inputs]
        if not self.exhaustive:  # a sample of the domain has few short inputs, the training part has them
            self.inputs += task.split().train.inputs
            self.inputs = sorted(set(self.inputs), key=lambda tokens: (len(tokens), tokens))
        pairs = task.answer(self.inputs)
        ids, self._targets = task.encode(pairs)
        if tuple(program.vocab) != task.vocab or tuple(program.labels) != task.labels:
            raise InputError("program", found="another vocabulary or other labels", expected=f"those of {task.name!r}")
        self._batch = Batch(ids=ids, lengths=np.array([len(tokens) for tokens in self.inputs]))

    def failing(self, program: Program) -> tuple[int, list[int]]:
        """How many inputs are wrong, and which, shortest first."""
        predicted = evaluate(program, self._batch).predictions
        bad = ((predicted != self._targets) & (self._targets >= 0)).any(1)
        rows = np.flatnonzero(bad)
        return len(rows), rows[np.argsort(self._batch.lengths[rows], kind="stable")].tolist()


def _improved(
    program: Program, task: Task, step: str, inputs: tuple[tuple[str, ...], ...], weight: float,
    seconds: float, rounds: int | None, examples: int | None, seed: int,
) -> Program:  # fmt: skip
    if step == "search":
        return local_search(
            program, task, inputs=inputs, weights=weight, seconds=seconds, rounds=rounds, seed=seed
        ).program
    more, train = task.answer(inputs), task.split().train
    if examples is not None and examples < len(train.inputs):
        drawn = numpy_generator(seed, "counterexample guided").permutation(len(train.inputs))[:examples]
        train = train.take(np.sort(drawn).tolist())
    pairs = Pairs(inputs=train.inputs + more.inputs, targets=train.targets + more.targets)
    weights = np.r_[np.ones(len(train.inputs)), np.full(len(more.inputs), weight)]
    if step == "tables":
        for _, _, module in program.modules():
            if isinstance(module, TableMLP):
                program = retabulate(program, module.name, pairs, weights=weights)
    everything = [*program.categorical, *program.numerical]
    return refit(program, pairs, weights=weights, voters=everything, l2=1e-8, most=1000)
