"""Votes and modules that decide nothing: dropped one by one, those that save most first.

Three kinds of attempts, each exact: a variable's votes are dropped and biases chosen anew; its votes move into those
of another variable, with a bias for each of that variable's values; a module is taken for a constant by all its
readers, and biases chosen anew. Whether biases exist is decided by `learnt.programs._simplify_judge`.
"""

from __future__ import annotations

import numpy as np

from learnt.programs._simplify_edit import Draft
from learnt.programs._simplify_judge import Judge, bias_that_keeps, hopeless, leads, leads_by_value
from learnt.programs._simplify_size import size
from learnt.programs._simplify_view import View, view
from learnt.programs.program import Program

_CONSTANTS = 2  # most frequent outputs that a module is taken for
_QUICK = 2048  # predictions that every attempt meets first


def without_votes(seen: View, judge: Judge) -> tuple[Program, tuple[str, ...]]:
    """(program, notes) after dropping all votes that biases can replace."""
    draft, notes = Draft(seen.program, seen), []
    wanted, total = judge.flat_wanted, seen.logits()
    for name in _order(draft):
        rest = total - seen.votes(name, draft.votes[name])
        bias = _bias(rest, wanted, judge)
        if bias is None:
            continue
        trial = draft.copy()
        del trial.votes[name]
        trial.add_bias(bias)
        candidate = trial.done()
        if size(candidate) < size(draft.done()) and judge.keeps(candidate):
            draft, total = trial, rest + bias
            notes.append(f"the votes of {name} decide nothing")
    return (draft.done(), tuple(notes)) if notes else (seen.program, ())


def moved_votes(seen: View, judge: Judge) -> tuple[Program, tuple[str, ...]]:
    """(program, notes) after moving votes of one variable into those of another, with a bias for each of its values."""
    draft, notes = Draft(seen.program, seen), []
    if seen.program.pool:
        return seen.program, ()
    wanted, total = judge.flat_wanted, seen.logits()
    for name in _order(draft):
        rest = total - seen.votes(name, draft.votes[name])
        for other in draft.votes:
            if other == name or other not in seen.program.cardinality:
                continue
            table = _biases(rest, wanted, seen.variables[other], seen.program.cardinality[other], judge)
            if table is None:
                continue
            trial = draft.copy()
            del trial.votes[name]
            trial.votes[other] = trial.votes[other] + table
            candidate = trial.done()
            if size(candidate) < size(draft.done()) and judge.keeps(candidate):
                draft, total = trial, rest + seen.votes(other, table)
                notes.append(f"{other} votes for {name}")
                break
    return (draft.done(), tuple(notes)) if notes else (seen.program, ())


def without_modules(seen: View, judge: Judge) -> tuple[Program, tuple[str, ...]]:
    """(program, notes) after each module that can be taken for a constant has gone."""
    notes = []
    for name, value in foldings(seen):
        draft = Draft(seen.program, seen)
        if name not in draft.modules or not draft.fold(name, value):
            continue
        settled = judge.settled(draft.done())
        if settled is not None and size(settled) < size(seen.program):
            seen = view(settled, seen.batch)
            notes.append(f"{name} may as well always be {value}")
    return seen.program, tuple(notes)


def foldings(seen: View) -> list[tuple[str, int]]:
    """(module, constant) for modules that all readers can do without, those that save most first.

    The constants are the most frequent outputs; a numerical head that another head reads may only be 0 or 1.
    """
    found = []
    for index, (_, _, module) in enumerate(seen.program.modules()):
        values, counts = seen.occurring(module.name)
        for value in values[np.argsort(-counts, kind="stable")][:_CONSTANTS].tolist():
            draft = Draft(seen.program, seen)
            if draft.fold(module.name, value):
                found.append((len(draft.live() & draft.modules.keys()), -index, module.name, value))
    found.sort(key=lambda entry: entry[:2])
    return [(name, value) for *_, name, value in found]


def _order(draft: Draft) -> list[str]:
    """The variables that vote, those first whose silence leaves fewest modules to read; then the last written ones."""

    def left(name: str) -> tuple[int, int]:
        trial = draft.copy()
        rows = np.atleast_2d(trial.votes.pop(name))
        return len(trial.live() & trial.modules.keys()), -int(rows.any(1).sum())

    stream = (*draft.program.categorical, *draft.program.numerical)
    voters = [name for name in stream if name in draft.votes and name != "ones"]
    return sorted(reversed(voters), key=left)


def _bias(rest: np.ndarray, wanted: np.ndarray, judge: Judge) -> np.ndarray | None:
    step = max(1, len(rest) // _QUICK)
    if hopeless(leads(rest[::step], wanted[::step]).least):
        return None
    return bias_that_keeps(leads(rest, wanted).least, judge.labels)


def _biases(rest: np.ndarray, wanted: np.ndarray, values: np.ndarray, n: int, judge: Judge) -> np.ndarray | None:
    """(n, n_labels) biases for each value of a variable."""
    for few in (_QUICK, 16 * _QUICK):
        step = max(1, len(rest) // few)
        if step > 1 and hopeless(leads_by_value(rest[::step], wanted[::step], values[::step], n)):
            return None
    least = leads_by_value(rest, wanted, values, n)
    if hopeless(least):
        return None
    table = np.zeros((n, rest.shape[1]))
    for value in range(n):
        bias = bias_that_keeps(least[value], judge.labels)
        if bias is None:
            return None
        table[value] = bias
    return table
