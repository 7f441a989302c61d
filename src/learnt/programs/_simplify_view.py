"""Which values did the variables of a program take, everywhere on a domain? One flat array a variable.

Only positions inside inputs are kept, in the smallest integers that hold the values: 335,922 inputs of up to eight
tokens and 36 variables are some 100 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from learnt.programs.evaluator import CHUNK, Batch, evaluate
from learnt.programs.program import Program

_LARGEST_MAP = 1 << 22  # a function of a variable with larger values is not looked for
_QUICK = 4096  # positions on which most claims already fail


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """The values of all variables on B inputs with T tokens together.

    Attributes:
        program: whose variables they are.
        batch: the inputs.
        variables: (T,) integers by name, input after input.
    """

    program: Program
    batch: Batch
    variables: dict[str, np.ndarray]

    def __len__(self) -> int:
        return int(self.batch.lengths.sum())

    @cached_property
    def starts(self) -> np.ndarray:
        """(B,) where each input begins in the flat arrays."""
        return np.concatenate([[0], self.batch.lengths.cumsum()[:-1]])

    @cached_property
    def _quick(self) -> np.ndarray:
        return np.linspace(0, len(self) - 1, min(len(self), _QUICK)).astype(np.int64)

    def occurring(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(values, counts) of a variable, ascending."""
        values = self.variables[name]
        if int(values.max()) > _LARGEST_MAP:
            return np.unique(values, return_counts=True)
        counts = np.bincount(values)
        present = np.flatnonzero(counts)
        return present, counts[present]

    def function(self, name: str, of: str) -> np.ndarray | None:
        """The array f with name = f[of] at every position, -1 where `of` never is; None if there is none."""
        left, right = self.variables[name], self.variables[of]
        quick = self._quick
        if _function(left[quick], right[quick]) is None:
            return None
        return _function(left, right)

    def tuples(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """(tuples, counts): the (U, n) combinations of values that occur, in lexicographic order, and how often."""
        edges = [int(self.variables[name].max()) + 1 for name in names]
        if np.prod([float(edge) for edge in edges]) > _LARGEST_MAP:
            table = np.stack([self.variables[name] for name in names], 1).astype(np.int64)
            return np.unique(table, axis=0, return_counts=True)
        code = np.zeros(len(self), np.int64)
        for name, edge in zip(names, edges, strict=True):
            code = code * edge + self.variables[name]
        counts = np.bincount(code)
        present = np.flatnonzero(counts)
        return np.stack(np.unravel_index(present, edges), 1), counts[present]

    def votes(self, name: str, table: np.ndarray) -> np.ndarray:
        """What a variable adds to the logits: (T, n_labels), or (B, n_labels) if the program pools.

        Args:
            name: of the variable.
            table: (cardinality, n_labels), or (n_labels,) for a numerical one.
        """
        values = self.variables[name]
        found = table[values] if table.ndim == 2 else values[:, None] * table
        if not self.program.pool:
            return found
        return np.add.reduceat(found, self.starts, axis=0) / self.batch.lengths[:, None]

    def logits(self) -> np.ndarray:
        """(T, n_labels), or (B, n_labels) if the program pools."""
        rows = len(self.batch) if self.program.pool else len(self)
        total = np.zeros((rows, len(self.program.labels)))
        for name, table in self.program.classifier.items():
            total += self.votes(name, np.array(table))
        return total


def view(program: Program, batch: Batch) -> View:
    """The values of all variables on these inputs; errors as `evaluate`."""
    sizes = {name: size - 1 for name, size in program.cardinality.items()} | dict(program.highest)
    total = int(batch.lengths.sum())
    variables = {name: np.empty(total, _dtype(most)) for name, most in sizes.items()}
    at = 0
    for part in chunks(batch):
        found = evaluate(program, part, keep=True)
        end = at + int(part.lengths.sum())
        for name, out in variables.items():
            out[at:end] = found.variables[name][found.real]
        at = end
    return View(program=program, batch=batch, variables=variables)


def chunks(batch: Batch, size: int = CHUNK) -> Iterator[Batch]:
    """The inputs, some thousands at a time."""
    for start in range(0, len(batch), size):
        rows = slice(start, start + size)
        yield Batch(ids=batch.ids[rows], lengths=batch.lengths[rows])


def distinct(batch: Batch) -> Batch:
    """Every input once, in the order of their first places."""
    table = np.concatenate([batch.lengths[:, None], batch.ids], 1)
    _, first = np.unique(table, axis=0, return_index=True)
    rows = np.sort(first)
    return batch if len(rows) == len(batch) else Batch(ids=batch.ids[rows], lengths=batch.lengths[rows])


def _function(left: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    size = int(right.max()) + 1
    if size > _LARGEST_MAP:
        return None
    found = np.full(size, -1, np.int64)
    found[right] = left
    return found if np.array_equal(found[right], left) else None


def _dtype(most: int) -> type[np.signedinteger]:
    return np.int8 if most < 1 << 7 else np.int16 if most < 1 << 15 else np.int32 if most < 1 << 31 else np.int64
