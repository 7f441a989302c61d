"""Votes and modules that decide nothing: dropped one by one, those that save most first.

Three kinds of attempts, each exact: a variable's votes are dropped and biases chosen anew; its votes move into those
of another variable, with a bias for each of that variable's values; a module is taken for a constant by all its
readers, and biases chosen anew. Whether biases exist is decided by `learnt.programs._simplify_judge`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from learnt.programs._simplify_edit import Draft, reads
from learnt.programs._simplify_judge import Judge, bias_that_keeps, leads
from learnt.programs._simplify_size import size
from learnt.programs._simplify_view import View
from learnt.programs.program import Program

_CONSTANTS = 3  # most frequent outputs that a module is taken for
_QUICK = 2048  # predictions that every attempt meets first


def without_votes(seen: View, judge: Judge) -> tuple[Program, tuple[str, ...]]:
    """(program, notes) after dropping all votes that biases can replace."""
    draft, notes = Draft(seen.program, seen), []
    wanted, total = judge.flat_wanted, seen.logits()
    for name in _order(seen.program):
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
    for name in _order(seen.program):
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
    """(program, notes) after the first module that can be taken for a constant; the original if there is none."""
    for name, value, candidate in foldings(seen):
        settled = judge.settled(candidate)
        if settled is not None and size(settled) < size(seen.program):
            return settled, (f"{name} may as well always be {value}",)
    return seen.program, ()


def foldings(seen: View) -> Iterator[tuple[str, int, Program]]:
    """(module, constant, program without it), those that save most first; a numerical head may only be 0 or 1."""
    found = []
    before = len(list(seen.program.modules()))
    for index, (_, _, module) in enumerate(seen.program.modules()):
        values, counts = seen.occurring(module.name)
        for value in values[np.argsort(-counts, kind="stable")][:_CONSTANTS].tolist():
            draft = Draft(seen.program, seen)
            if draft.fold(module.name, value):
                candidate = draft.done()
                found.append((before - len(list(candidate.modules())), index, module.name, value, candidate))
    found.sort(key=lambda entry: (-entry[0], -entry[1]))
    for _, _, name, value, candidate in found:
        yield name, value, candidate


def _order(program: Program) -> list[str]:
    """The variables that vote, those first whose silence leaves most modules unread; then the last written ones."""
    whole = size(program)

    def saving(name: str) -> tuple[int, int]:
        draft = Draft(program)
        del draft.votes[name]
        left = size(draft.done())
        return whole.modules - left.modules, whole.rows - left.rows

    voters = [name for name in program.classifier if name != "ones"]
    own = {module.name: len(reads(module)) for _, _, module in program.modules()}
    return sorted(reversed(voters), key=lambda name: (*(-s for s in saving(name)), name not in own))


def _bias(rest: np.ndarray, wanted: np.ndarray, judge: Judge) -> np.ndarray | None:
    step = max(1, len(rest) // _QUICK)
    if bias_that_keeps(leads(rest[::step], wanted[::step]).least, judge.labels) is None:
        return None
    return bias_that_keeps(leads(rest, wanted).least, judge.labels)


def _biases(rest: np.ndarray, wanted: np.ndarray, values: np.ndarray, n: int, judge: Judge) -> np.ndarray | None:
    table = np.zeros((n, rest.shape[1]))
    step = max(1, len(rest) // _QUICK)
    for every in (step, 1):
        for value in range(n):
            rows = np.flatnonzero(values[::every] == value) * every
            bias = bias_that_keeps(leads(rest[rows], wanted[rows]).least, judge.labels)
            if bias is None:
                return None
            table[value] = bias
        if step == 1:
            break
    return table
