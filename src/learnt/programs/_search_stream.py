"""The variables of a program that is being searched, on given examples: one module at a time, computed when asked for.

For a head with any predicate it is enough to know, at each position and for each key value, what a head that looks
for this key value would give (`seen`, `counted`): a predicate then chooses one of these columns for each query value.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np

from learnt.programs._search_data import Data
from learnt.programs.evaluator import _numerical, nearest, sums
from learnt.programs.program import Head, Module, NumMLP, TableMLP

_FAR = 1 << 20


@final
class Stream:
    """Arrays (N, B) of the variables of a growing set of modules.

    Args:
        data: the examples.
        sizes: cardinality by name of the variables that are there from the start.
        arrays: their values.
        causal: whether position i sees j <= i only.
    """

    def __init__(self, data: Data, sizes: dict[str, int], arrays: dict[str, np.ndarray], *, causal: bool) -> None:
        self.data, self.causal = data, causal
        self.sizes: dict[str, int | None] = {**sizes, "ones": None}
        n, b = data.real.shape
        self.arrays = {**arrays, "ones": np.ones((n, b), dtype=np.int64)}
        self.modules: dict[str, tuple[Module, int | None]] = {}
        self._rows: dict[str, np.ndarray] = {}
        self._places: dict[str, np.ndarray] = {}
        self._counts: dict[tuple[str, str], np.ndarray] = {}

    def declare(self, module: Module, size: int | None = None) -> None:
        """Make a module's output known; it is computed when it is first read."""
        if isinstance(module, Head):
            size = self.sizes[module.value]
        self.modules[module.name] = (module, size)
        self.sizes[module.name] = size

    def forget(self, name: str) -> None:
        """Drop what was computed for a variable."""
        self.arrays.pop(name, None)
        self._rows.pop(name, None)
        self._places.pop(name, None)
        for pair in [pair for pair in self._counts if name in pair]:
            del self._counts[pair]

    def top(self, name: str) -> int:
        """The largest value that interval analysis allows a numerical variable."""
        if name == "ones":
            return 1
        head = self.modules[name][0]
        return self.data.ids.shape[1] * self.top(head.value) if isinstance(head, Head) else 0

    def array(self, name: str) -> np.ndarray:
        """(N, B) values."""
        if name not in self.arrays:
            self.arrays[name] = self.output(self.modules[name][0])
        return self.arrays[name]

    def rows(self, name: str) -> np.ndarray:
        """(T,) values at the scored positions."""
        if name not in self._rows:
            self._rows[name] = self.array(name).ravel().take(self.data.places)
        return self._rows[name]

    def output(self, module: Module) -> np.ndarray:
        """What a module writes, (N, B)."""
        real = self.data.real
        if isinstance(module, Head):
            wanted = np.array(module.predicate).take(self.array(module.query))
            keys, values = self.array(module.key), self.array(module.value)
            options: dict[str, Any] = {"n_keys": self.sizes[module.key], "causal": self.causal}
            if self.sizes[module.value] is None:
                return sums(wanted, keys, values, real, **options)
            place = nearest(wanted, keys, real, **options)
            return values.ravel().take(place * real.shape[1] + np.arange(real.shape[1]))
        if isinstance(module, TableMLP):
            return np.array(module.table).take(self.entries(module.inputs))
        return self._from_numbers(module)

    def entries(self, inputs: Any) -> np.ndarray:
        """(N, B) entry of a table over categorical variables."""
        entry = self.array(inputs[0])
        for name in inputs[1:]:
            entry = entry * self.sizes[name] + self.array(name)
        return entry

    def seen(self, key: str, value: str) -> np.ndarray:
        """(T, K): the value that a head would copy at each scored position, for each key value it may look for."""
        if key not in self._places:
            self._places[key] = self._nearest(self.array(key), int(self.sizes[key] or 1))
        return self.array(value).ravel().take(self._places[key])

    def counted(self, key: str, value: str) -> np.ndarray:
        """(T, K): the sum that a numerical head would give at each scored position, for each key value."""
        if (key, value) not in self._counts:
            self._counts[key, value] = self._sums(self.array(key), self.array(value), int(self.sizes[key] or 1))
        return self._counts[key, value]

    def counts_of(self, keys: np.ndarray, size: int) -> np.ndarray:
        """(T, size): how many positions that a head may see hold each key, for keys (N, B)."""
        return self._sums(keys, self.arrays["ones"], size)

    def _nearest(self, keys: np.ndarray, size: int) -> np.ndarray:
        """(T, K) flat places into (N, B) arrays that a head attends to, for each key value."""
        n, b = keys.shape
        column = np.arange(b)
        stored = np.where(self.data.real, keys, size)
        left, right = np.empty((n, b, size), np.int32), np.full((n, b, size), _FAR, np.int32)
        last = np.full((b, size + 1), -_FAR, np.int32)
        for i in range(n):
            left[i] = last[:, :size]
            last[column, stored[i]] = i
        if not self.causal:
            last.fill(_FAR)
            for i in range(n - 1, -1, -1):
                right[i] = last[:, :size]
                last[column, stored[i]] = i
        places = self.data.places
        here = (places // b).astype(np.int32)[:, None]
        left, right = left.reshape(n * b, size)[places], right.reshape(n * b, size)[places]
        found = np.where(here - left <= right - here, left, right)
        alone = (found < 0) | (found >= _FAR)
        itself = stored.ravel()[places][:, None] == np.arange(size)
        return np.where(alone, np.where(itself, here, 0), found).astype(np.int64) * b + (places % b)[:, None]

    def _sums(self, keys: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
        n, b = keys.shape
        column = np.arange(b)
        stored = np.where(self.data.real, keys, size)
        total = np.zeros((b, size + 1), np.int64)
        history = np.empty((n if self.causal else 0, b, size), np.int64)
        for i in range(n):
            total[column, stored[i]] += values[i]
            if self.causal:
                history[i] = total[:, :size]
        places = self.data.places
        if self.causal:
            return history.reshape(n * b, size)[places]
        return total[:, :size][places % b]

    def _from_numbers(self, module: NumMLP) -> np.ndarray:
        return _numerical(module, [self.array(name) for name in module.inputs], self.data.real)
