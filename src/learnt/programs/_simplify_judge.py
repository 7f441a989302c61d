"""Does a changed program still answer as the original does? On every input, and quickly no where the answer is no.

A candidate is run first on a few hundred inputs and on all that ever told a candidate from the original. A candidate
that differs may still be saved by other biases b, exactly decidable: with D[y, l] the least lead of label y over label
l where y is wanted, b keeps every answer iff b_l - b_y < D[y, l] for all pairs. Such difference constraints have a
solution iff the graph with lengths D - t has no negative cycle, shortest paths give one, and the largest t gives the
one with the widest margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from learnt.core.errors import InputError
from learnt.programs._simplify_edit import Draft
from learnt.programs._simplify_view import chunks
from learnt.programs.evaluator import CHUNK, Batch, Evaluation, evaluate
from learnt.programs.program import Program

_SCREEN = 256  # inputs that every candidate meets first


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Leads:
    """How far the wanted labels lead.

    Attributes:
        least: (n_labels, n_labels), the least logit[y] - logit[l] where y is wanted; infinite where it never is.
        where: (n_labels, n_labels), rows of these leads; -1 where there is none.
    """

    least: np.ndarray
    where: np.ndarray


@final
class Judge:
    """Compares candidates with an original on a domain.

    Args:
        program: the original.
        batch: distinct inputs.
        scored: (B, N) bool, positions that count; all by default. Ignored by programs that pool.
    """

    def __init__(self, program: Program, batch: Batch, scored: np.ndarray | None = None) -> None:
        self.batch = batch
        self.labels = [label for label in range(len(program.labels)) if label not in program.masked_labels]
        inside = np.arange(batch.ids.shape[1]) < batch.lengths[:, None]
        self.counts = inside if scored is None or program.pool else inside & scored
        wanted = np.concatenate([evaluate(program, part).predictions for part in chunks(batch)])
        self.wanted = wanted.astype(np.int32) if program.pool else np.where(self.counts, wanted, -1).astype(np.int32)
        step = max(1, len(batch) // _SCREEN)
        self._screen = dict.fromkeys([*range(0, len(batch), step), len(batch) - 1])

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def flat_wanted(self) -> np.ndarray:
        """The wanted labels in the order of a `View`: (T,), -1 where nothing is; (B,) if the program pools."""
        if self.wanted.ndim == 1:
            return self.wanted
        return self.wanted[np.arange(self.batch.ids.shape[1]) < self.batch.lengths[:, None]]

    def keeps(self, candidate: Program) -> bool:
        """Whether no answer changes."""
        for rows in (np.array(list(self._screen)), *self._blocks()):
            answers = self._answers(candidate, rows)
            if answers is None:
                return False
            found, wanted = answers.predictions, self.wanted[rows]
            wrong = (found != wanted) & (wanted >= 0)
            if wrong.any():
                self._remember(rows[np.flatnonzero(wrong if wrong.ndim == 1 else wrong.any(1))[:4]])
                return False
        return True

    def settled(self, candidate: Program) -> Program | None:
        """The candidate with the biases that make it answer as the original, changed only if they must be; or None."""
        bias = None
        for rows in (np.array(list(self._screen)), None):
            found = self._leads(candidate, rows)
            if found is None:
                return None
            if (found.least[np.ix_(self.labels, self.labels)] > 0).all():
                bias = np.zeros(len(found.least))
                continue
            bias = bias_that_keeps(found.least, self.labels)
            if bias is None:
                if rows is None:
                    self._remember(np.unique(found.where[found.where >= 0]))
                return None
        draft = Draft(candidate)
        if bias is not None and bias.any():
            draft.add_bias(bias)
        changed = draft.done()
        return changed if self.keeps(changed) else None

    def _leads(self, candidate: Program, rows: np.ndarray | None) -> Leads | None:
        n = len(candidate.labels)
        total = Leads(least=np.full((n, n), np.inf), where=np.full((n, n), -1))
        for block in [rows] if rows is not None else self._blocks():
            found = self._answers(candidate, block)
            if found is None:
                return None
            wanted, logits = self.wanted[block], found.logits
            place = block if candidate.pool else np.repeat(block, wanted.shape[1])
            part = leads(logits.reshape(-1, n), wanted.ravel(), place)
            nearer = part.least < total.least
            total.least[nearer], total.where[nearer] = part.least[nearer], part.where[nearer]
        return total

    def _answers(self, candidate: Program, rows: np.ndarray) -> Evaluation | None:
        try:
            return evaluate(candidate, Batch(ids=self.batch.ids[rows], lengths=self.batch.lengths[rows]))
        except InputError:  # numerical values outside a table
            return None

    def _blocks(self) -> list[np.ndarray]:
        every = np.arange(len(self.batch))
        return [every[start : start + CHUNK] for start in range(0, len(self.batch), CHUNK)]

    def _remember(self, rows: np.ndarray) -> None:
        self._screen |= dict.fromkeys(rows.tolist())


def leads(logits: np.ndarray, wanted: np.ndarray, place: np.ndarray | None = None) -> Leads:
    """How far the wanted labels lead.

    Args:
        logits: (T, n_labels).
        wanted: (T,) labels, -1 where none is.
        place: (T,) what to call the rows; their indices by default.
    """
    n = logits.shape[1]
    least, where = np.full((n, n), np.inf), np.full((n, n), -1)
    for label in range(n):
        rows = np.flatnonzero(wanted == label)
        if not len(rows):
            continue
        lead = logits[rows, label, None] - logits[rows]
        nearest = lead.argmin(0)
        least[label] = lead[nearest, np.arange(n)]
        where[label] = rows[nearest] if place is None else place[rows[nearest]]
        least[label, label] = np.inf
        where[label, label] = -1
    return Leads(least=least, where=where)


def leads_by_value(logits: np.ndarray, wanted: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """(n, n_labels, n_labels) `leads` of the rows with each value of a variable.

    Args:
        logits: (T, n_labels).
        wanted: (T,) labels, -1 where none is.
        values: (T,) from 0 to n - 1.
    """
    labels = logits.shape[1]
    least = np.full((n * labels, labels), np.inf)
    rows = np.flatnonzero(wanted >= 0)
    group = values[rows].astype(np.int64) * labels + wanted[rows]
    rows = rows[np.argsort(group, kind="stable")]
    if len(rows):
        group.sort()
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        lead = logits[rows, wanted[rows], None] - logits[rows]
        least[group[starts]] = np.minimum.reduceat(lead, starts, axis=0)
    least = least.reshape(n, labels, labels)
    least[:, np.arange(labels), np.arange(labels)] = np.inf
    return least


def hopeless(least: np.ndarray) -> bool:
    """Whether two labels of some (n_labels, n_labels) table of leads contradict each other under every bias."""
    return bool((least + least.swapaxes(-1, -2) <= 0).any())


def bias_that_keeps(least: np.ndarray, labels: list[int]) -> np.ndarray | None:
    """(n_labels,) biases b with b_l - b_y < least[y, l] for all pairs, of the widest margin; None if there are none.

    Args:
        least: (n_labels, n_labels) least leads, infinite where there is no bound.
        labels: those that can be predicted; the others get 0.
    """
    lengths = least[np.ix_(labels, labels)]
    if hopeless(lengths):
        return None
    finite = np.abs(lengths[np.isfinite(lengths)])
    if not finite.size:
        return np.zeros(len(least))
    high = float(finite.max()) + 1.0
    low, best = 0.0, None
    for step in range(40):
        slack = high if step == 0 else (low + high) / 2  # a graph without cycles has room for any slack
        found = _potentials(lengths - slack)
        if found is None:
            high = slack
        else:
            low, best = slack, found
            if step == 0:
                break
        if best is not None and high - low < 1e-3 * high:
            break
        if best is None and high < 1e-9:
            break
    if best is None:
        return None
    bias = np.zeros(len(least))
    bias[labels] = best - best.min()
    return bias


def _potentials(lengths: np.ndarray) -> np.ndarray | None:
    """Shortest distances from a node joined to all with length 0; None if a cycle is negative."""
    distance = np.zeros(len(lengths))
    for _ in range(len(lengths) + 1):
        nearer = np.minimum(distance, (distance[:, None] + lengths).min(0))
        if (nearer == distance).all():
            return distance
        distance = nearer
    return None
