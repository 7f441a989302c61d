"""The variables of a program on some examples, and what votes of any of them achieve there.

Leaving a module out changes no variable that does not read it. So a program is run once, and each choice of its
variables is a linear classifier on columns that are there already.

The loss that a new variable v could save is estimated without a fit, by one Newton step with a diagonal Hessian:

    gain(v) = 1/2 sum_{x,c} G_xc^2 / H_xc
    G_xc = sum_{r: v_r = x} n_r (1[y_r = c] - p_rc),    H_xc = sum_{r: v_r = x} n_r p_rc (1 - p_rc)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import final

import numpy as np

from learnt.programs._search_data import Data
from learnt.programs._search_linear import Voter, fitted, logits_of, mean_loss
from learnt.programs.evaluator import evaluate
from learnt.programs.program import Program
from learnt.programs.task_encoding import UNSCORED

Votes = dict[str, np.ndarray]


@final
class Columns:
    """All variables of a program at the positions that are scored (pooled: at all positions of scored inputs).

    Args:
        program: to run.
        data: examples.
    """

    def __init__(self, program: Program, data: Data) -> None:
        found = evaluate(program, data.batch, keep=True)
        where = data.targets != UNSCORED
        has = where.any(1)
        self.program = program
        if program.pool:
            where = found.real & has[:, None]
            rows = np.nonzero(where)[0]
            self._groups: np.ndarray | None = np.unique(rows, return_inverse=True)[1].ravel()
            self.labels, self.weights = data.targets[has].max(1), data.weights[has]
        else:
            self._groups = None
            self.labels, self.weights = data.targets[where], data.weights[np.nonzero(where)[0]]
        self._values = {name: values[where] for name, values in found.variables.items()}

    def fit(self, names: Sequence[str], start: Mapping[str, np.ndarray], *, l2: float, most: int) -> Votes:
        """The best votes of these variables."""
        return fitted(
            self._voters(names), self.labels, self.weights, n_labels=len(self.program.labels),
            masked=self.program.masked_labels, l2=l2, groups=self._groups, start=start, most=most,
        )  # fmt: skip

    def loss(self, votes: Mapping[str, np.ndarray]) -> float:
        """Mean cross-entropy."""
        return mean_loss(self._logits(votes), self.labels, self.weights)

    def accuracy(self, votes: Mapping[str, np.ndarray]) -> float:
        """The share that is right."""
        return float((self._logits(votes).argmax(1) == self.labels).mean())

    def gains(self, votes: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, float]:
        """How much lower the mean loss could be if each of these variables voted as well."""
        logits = self._logits(votes)
        e = np.exp(logits - logits.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        share = (self.weights / self.weights.sum())[:, None]
        residual = -p
        residual[np.arange(len(p)), self.labels] += 1.0
        residual, curvature = residual * share, p * (1 - p) * share
        if self._groups is not None:  # the average over an input: each position has its part of the answer
            part = 1.0 / np.bincount(self._groups)[self._groups][:, None]
            residual, curvature = residual[self._groups] * part, curvature[self._groups] * part
        return {name: self._gain(name, residual, curvature) for name in names}

    def _gain(self, name: str, residual: np.ndarray, curvature: np.ndarray) -> float:
        values, size = self._values[name], self.program.cardinality.get(name)
        if size is None:
            x = values - values.mean()
            g, h = x @ residual, (x * x) @ curvature
        else:
            labels = range(residual.shape[1])
            g = np.stack([np.bincount(values, weights=residual[:, c], minlength=size) for c in labels])
            h = np.stack([np.bincount(values, weights=curvature[:, c], minlength=size) for c in labels])
        return float((g * g / (h + 1e-4)).sum()) / 2

    def _voters(self, names: Sequence[str]) -> list[Voter]:
        return [Voter(name=n, values=self._values[n], size=self.program.cardinality.get(n)) for n in names]

    def _logits(self, votes: Mapping[str, np.ndarray]) -> np.ndarray:
        total = logits_of(self._voters(list(votes)), votes, len(self.program.labels))
        if self._groups is not None:
            total = np.add.reduceat(total, self._starts, axis=0) / np.bincount(self._groups)[:, None]
        total[:, list(self.program.masked_labels)] = -1e30
        return total

    @cached_property
    def _starts(self) -> np.ndarray:
        groups = self._groups if self._groups is not None else np.zeros(0, np.int64)
        return np.flatnonzero(np.diff(groups, prepend=-1))
