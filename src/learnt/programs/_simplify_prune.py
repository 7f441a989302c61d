"""Modules that a program can do without, if its votes are fitted again and a little accuracy may go.

Each module in turn is taken for a constant by all its readers; the candidates are ranked by the loss that is left after
a short fit of the votes on a part of the training examples, per module that is saved, and then tried in that order with
a full fit. One is kept if token accuracy stays above the floor on the training examples and on the validation examples,
each by itself. When no module can go any more, variables lose their votes in the same way. Pruning without refit hardly
shortens the authors' programs (spec 3.4): every module carries a little weight, which here the others take over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, final

import numpy as np

from learnt.programs._search_data import Data, encoded, joined
from learnt.programs._simplify_ablate import foldings
from learnt.programs._simplify_edit import Draft
from learnt.programs._simplify_view import View
from learnt.programs.evaluator import evaluate
from learnt.programs.program import Program
from learnt.programs.refitting import accuracy_of, loss_of, votes_for
from learnt.programs.task import Task

_QUICK, _QUICK_STEPS = 1500, 25  # examples and steps of the short fit
_STEPS = 200  # of the full one
_PATIENCE = 6  # candidates in a row that fail before a round ends
_L2 = 1e-6


class Accuracy(NamedTuple):
    """Token accuracy on training and on validation examples."""

    train: float
    validation: float


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """What pruning looks at: never the test part.

    Attributes:
        train, validation: encoded for one program.
    """

    train: Data
    validation: Data

    @cached_property
    def quick(self) -> Data:
        """A part of the training examples, the same every time."""
        return self.train.part(_QUICK, np.random.default_rng(0))

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    def overall(self, program: Program) -> float:
        """Token accuracy on all these examples together."""
        return accuracy_of(program, joined(self.train, self.validation))

    def accuracy(self, program: Program) -> Accuracy:
        """Of a program that has the vocabulary and the labels of the one these are encoded for."""
        return Accuracy(accuracy_of(program, self.train), accuracy_of(program, self.validation))

    def reaches(self, program: Program, floor: Accuracy) -> bool:
        """Whether neither accuracy is below its floor."""
        found = self.accuracy(program)
        return found.train >= floor.train and found.validation >= floor.validation


def examples(program: Program, task: Task, *, seed: int = 0) -> Examples:
    """The training and validation part of a task; errors as `encoded`."""
    split = task.split(seed)
    train, validation = (
        encoded(pairs, program.vocab, program.labels, program.n_ctx, masked=program.masked_labels)
        for pairs in (split.train, split.validation)
    )
    return Examples(train=train, validation=validation)


def pruned(seen: View, known: Examples, floor: Accuracy) -> tuple[Program, tuple[str, ...]]:
    """(program, notes) after one round: modules go as long as accuracy stays at the floor, or, if none can, votes."""
    for round_ in (_without_modules, _without_votes):
        program, notes = round_(seen, known, floor)
        if notes:
            return program, notes
    return seen.program, ()


def fitted(program: Program, data: Data, *, steps: int = _STEPS) -> Program:
    """The program with votes fitted again to these examples, of the variables that vote now and `ones`."""
    before = evaluate(program, data.batch, keep=True)
    known = (*program.categorical, *program.numerical)
    names = [name for name in known if name == "ones" or name in program.classifier]
    return replace(program, classifier=votes_for(program, before, data, names, l2=_L2, most=steps))


def _without_modules(seen: View, known: Examples, floor: Accuracy) -> tuple[Program, tuple[str, ...]]:
    candidates: dict[str, tuple[float, int]] = {}
    start = loss_of(evaluate(fitted(seen.program, known.quick, steps=_QUICK_STEPS), known.quick.batch), known.quick)
    before = len(list(seen.program.modules()))
    for name, value in foldings(seen):
        draft = Draft(seen.program, seen)
        draft.fold(name, value)
        candidate = draft.done()
        tried = fitted(candidate, known.quick, steps=_QUICK_STEPS)
        loss = loss_of(evaluate(tried, known.quick.batch), known.quick)
        saved = before - len(list(candidate.modules()))
        price = (loss - start) / max(saved, 1) if loss > start else loss - start
        if name not in candidates or price < candidates[name][0]:
            candidates[name] = (price, value)
    order = sorted(candidates, key=lambda name: candidates[name][0])
    program, notes, failed = seen.program, [], 0
    for name in order:
        if name not in {m.name for _, _, m in program.modules()}:
            continue
        draft = Draft(program, None if notes else seen)  # after a change, which values occur is not known
        better = _kept(draft.done(), known, floor) if draft.fold(name, candidates[name][1]) else None
        if better is None:
            failed += 1
            if failed == _PATIENCE:
                break
            continue
        program, failed = better, 0
        notes.append(f"without {name}")
    return program, tuple(notes)


def _without_votes(seen: View, known: Examples, floor: Accuracy) -> tuple[Program, tuple[str, ...]]:
    program, notes = seen.program, []
    for name in reversed([n for n in seen.program.classifier if n != "ones"]):
        draft = Draft(program)
        if name not in draft.votes or len(draft.votes) == 1:
            continue
        del draft.votes[name]
        better = _kept(draft.done(), known, floor)
        if better is not None:
            program = better
            notes.append(f"without the votes of {name}")
    return program, tuple(notes)


def _kept(candidate: Program, known: Examples, floor: Accuracy) -> Program | None:
    """The candidate with fitted votes if its accuracy stays at the floor."""
    makes: tuple[Callable[[], Program], ...] = (lambda: candidate, lambda: fitted(candidate, known.train))
    for make in makes:
        program = make()
        if accuracy_of(program, known.validation) < floor.validation:
            continue
        if accuracy_of(program, known.train) >= floor.train:
            return program
    return None
