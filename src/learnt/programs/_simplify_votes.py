"""Votes that can be read: no vote where nothing can come of it, few digits elsewhere.

Adding a number to a whole row changes no prediction, nor does moving a row that all values of a variable share into the
bias, nor a positive factor on everything. So rows of values that never occur and columns of masked labels are 0, each
row is moved so that most of its entries are 0, and then the smallest whole numbers are sought that, in proportion,
still lead to every prediction.
"""

from __future__ import annotations

from typing import final

import numpy as np

from learnt.programs._simplify_edit import with_votes
from learnt.programs._simplify_judge import Judge
from learnt.programs._simplify_size import size
from learnt.programs._simplify_view import View
from learnt.programs.program import Program

_QUICK = 4096  # positions that every attempt meets first
LARGEST = (*range(1, 10), *(int(m * 10**e) for e in (1, 2, 3) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 9.9)))


def clean_votes(seen: View, judge: Judge) -> tuple[Program, tuple[str, ...]]:
    """(program, notes) with votes that cannot matter removed and rows moved to have as many zeros as possible."""
    program = seen.program
    votes = {name: np.array(table) for name, table in program.classifier.items()}
    labels = judge.labels
    for name, table in votes.items():
        masked = [label for label in range(len(program.labels)) if label not in labels]
        table[..., masked] = 0.0
        if name in program.cardinality:
            table[np.setdiff1d(np.arange(len(table)), seen.occurring(name)[0])] = 0.0
    shared = {name: table.copy() for name, table in votes.items()}
    bias = shared.get("ones", np.zeros(len(program.labels)))
    for name, table in shared.items():
        if name in program.cardinality:
            bias = bias + _take_out(table, seen.occurring(name)[0], labels)
    shared["ones"] = bias
    for candidate_votes in (shared, votes):
        for table in candidate_votes.values():
            for row in np.atleast_2d(table):
                row[labels] -= _level(row[labels])
        candidate = with_votes(program, candidate_votes)
        if size(candidate) < size(program) and judge.keeps(candidate):
            return candidate, ("fewer votes, without those that cannot matter",)
    return program, ()


def rounded_votes(seen: View, judge: Judge) -> tuple[Program, tuple[str, ...]]:
    """(program, notes) with the smallest whole votes, in proportion to those there are, that keep every answer."""
    program = seen.program
    votes = {name: np.array(table) for name, table in program.classifier.items()}
    largest = max((float(np.abs(table).max()) for table in votes.values()), default=0.0)
    quick = _Quick(seen, judge)
    for target in LARGEST if largest > 0.0 else ():
        rounded = {name: np.rint(table * (target / largest)) for name, table in votes.items()}
        if not quick.keeps(rounded):
            continue
        candidate = with_votes(program, rounded)
        if size(candidate) < size(program) and judge.keeps(candidate):
            return candidate, (f"votes are whole numbers up to {target}",)
    return program, ()


@final
class _Quick:
    """Whether other votes of the same variables keep the answers at some positions; always yes if the program pools."""

    def __init__(self, seen: View, judge: Judge) -> None:
        wanted = judge.flat_wanted
        scored = np.flatnonzero(wanted >= 0)
        self._rows = scored[:: max(1, len(scored) // _QUICK)]
        self._wanted, self._labels, self._pool = wanted[self._rows], np.array(judge.labels), seen.program.pool
        if not self._pool:
            self._values = {name: seen.variables[name][self._rows] for name in seen.program.classifier}

    def keeps(self, votes: dict[str, np.ndarray]) -> bool:
        if self._pool or not len(self._rows):
            return True
        total = np.zeros((len(self._rows), next(iter(votes.values())).shape[-1]))
        for name, table in votes.items():
            values = self._values[name]
            total += table[values] if table.ndim == 2 else values[:, None] * table
        return bool((self._labels[total[:, self._labels].argmax(1)] == self._wanted).all())


def _take_out(table: np.ndarray, occurring: np.ndarray, labels: list[int]) -> np.ndarray:
    """Subtract, in place, the row of `table` that leaves fewest votes in the rows that occur; returns that row."""
    rows = table[occurring]
    best, fewest = np.zeros(table.shape[1]), _entries(rows[:, labels])
    for row in rows:
        left = _entries((rows - row)[:, labels])
        if left < fewest:
            best, fewest = row.copy(), left
    table[occurring] -= best
    return best


def _entries(rows: np.ndarray) -> int:
    """How many entries are not 0 when each row is moved to have as many zeros as possible."""
    return sum(int((row != _level(row)).sum()) for row in rows)


def _level(row: np.ndarray) -> float:
    """The most frequent entry, the smallest of several."""
    values, counts = np.unique(row, return_counts=True)
    return float(values[counts.argmax()])
