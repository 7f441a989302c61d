"""Small changes that leave what a program computes alone: fold a constant, read another variable, drop the unread.

A `Draft` is a program taken apart. `fold(x, c)` makes every reader of x do without it, given that x = c everywhere;
`substitute(x, y, f)` lets every reader of x read y instead, given that x = f[y] everywhere. Both say False where the
readers cannot be rewritten (one key value for many, a key that must match always); the draft is then useless.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import numpy as np

from learnt.programs._simplify_view import View
from learnt.programs.program import KINDS, UNANSWERED, Head, Layer, Module, NumMLP, Program, TableMLP


@final
class Draft:
    """A program whose modules and votes can be changed one by one.

    Args:
        program: where to begin.
        seen: its variables on the domain; without them every value counts as occurring.
    """

    def __init__(self, program: Program, seen: View | None = None) -> None:
        self.program, self._seen = program, seen
        self.modules: dict[str, Module] = {m.name: m for _, _, m in program.modules()}
        self.kinds = {m.name: kind for _, kind, m in program.modules()}
        self.votes: dict[str, np.ndarray] = {name: np.array(v) for name, v in program.classifier.items()}
        self._changed: dict[str, int] = {}  # cardinality of variables whose values are not those of `seen` any more

    def copy(self) -> Draft:
        """The same, to be changed separately."""
        other = Draft(self.program, self._seen)
        other.modules, other.votes, other._changed = dict(self.modules), dict(self.votes), dict(self._changed)
        return other

    def cardinality(self, name: str) -> int:
        """Of a categorical variable, as its readers know it."""
        return self._changed.get(name, 0) or self.program.cardinality[name]

    def stage(self, name: str) -> tuple[int, int]:
        """When a variable is written: inputs before heads before MLPs, layer by layer."""
        for index, kind, module in self.program.modules():
            if module.name == name:
                return index, int(kind in ("cat_mlps", "num_mlps"))
        return -1, 0

    def values(self, name: str) -> list[int]:
        """The values of a categorical variable that occur."""
        if self._seen is None or name in self._changed:
            return list(range(self.cardinality(name)))
        return self._seen.occurring(name)[0].tolist()

    def readers(self, name: str) -> list[Module]:
        """The modules that read a variable, in stream order."""
        return [m for m in self.modules.values() if name in reads(m)]

    def add_bias(self, votes: np.ndarray) -> None:
        """The same votes everywhere, on top of what is there."""
        self.votes["ones"] = self.votes.get("ones", np.zeros(len(self.program.labels))) + votes

    def live(self) -> set[str]:
        """The variables that vote, directly or through others."""
        needed = {name for name, votes in self.votes.items() if votes.any()}
        for module in reversed(list(self.modules.values())):
            if module.name in needed:
                needed |= set(reads(module))
        return needed

    def done(self) -> Program:
        """The program, without modules that nobody reads."""
        needed = self.live()
        layers = []
        for layer in self.program.layers:
            parts: dict[str, Any] = {
                kind: tuple(
                    self.modules[m.name] for m in getattr(layer, kind) if m.name in self.modules.keys() & needed
                )
                for kind in KINDS
            }
            if any(parts.values()):
                layers.append(Layer(**parts))
        gone = {m.name for _, _, m in self.program.modules()} - {
            m.name for layer in layers for kind in KINDS for m in getattr(layer, kind)
        }
        return replace(
            self.program,
            layers=tuple(layers),
            classifier={name: votes for name, votes in self.votes.items() if votes.any() and name not in gone},
            cardinalities={name: size for name, size in self.program.cardinalities.items() if name not in gone},
        )

    # -- the two changes -------------------------------------------------------------------------------

    def fold(self, name: str, value: int) -> bool:
        """Whether all readers of a module's output now do without it, as if it were `value` everywhere."""
        if name in self.votes:
            votes = self.votes.pop(name)
            self.add_bias(votes[value] if votes.ndim == 2 else votes * value)
        self.modules.pop(name, None)
        for reader in self.readers(name):
            module = self.modules.get(reader.name)  # it may have changed, or gone, with another one
            if module is None or name not in reads(module):
                continue
            if isinstance(module, Head):
                done = self._fold_head(module, name, value)
            elif isinstance(module, TableMLP):
                done = self._fold_table(module, name, value)
            else:
                done = self._fold_numerical(module, name, value)
            if not done:
                return False
        return True

    def substitute(self, name: str, by: str, function: np.ndarray) -> bool:
        """Whether all readers of a module's output now read `by`, where name = function[by]; -1 where `by` never is."""
        if not {name, by}.isdisjoint(self._changed) or by not in (
            *self.modules,
            *self.program.input_variables,
            "positions",
        ):
            return False
        whole = np.full(self.cardinality(by), -1)
        whole[: len(function)] = function[: len(whole)]
        self.modules.pop(name, None)
        return self._reread(name, by, whole, self.values(by))

    def _reread(self, name: str, by: str, function: np.ndarray, occurring: list[int]) -> bool:
        filled = np.where(function < 0, function[occurring[0]], function)
        if name in self.votes:
            moved = self.votes.pop(name)[filled]
            self.votes[by] = moved + (self.votes.get(by, 0.0) if by != name else 0.0)
        back: dict[int, int | None] = {}  # value of `name` -> value of `by`, None where there are several
        for value in occurring:
            back[int(function[value])] = None if int(function[value]) in back else value
        same = len(function) == self.cardinality(name) and all(function[v] == v for v in occurring)
        for reader in self.readers(name):
            module = self.modules[reader.name]
            if isinstance(module, Head):
                changes: dict[str, Any] = {}
                predicate = list(module.predicate)
                if module.key == name:
                    absent = [v for v in range(len(function)) if v not in occurring]
                    queries = set(self.values(module.query))
                    for q, key in enumerate(predicate):
                        other = back.get(key, absent[0] if absent else None)
                        if other is None and q in queries:
                            return False
                        predicate[q] = occurring[0] if other is None else other
                    changes["key"] = by
                if module.query == name:
                    predicate = [predicate[v] for v in filled]
                    changes["query"] = by
                if module.value == name:
                    changes["value"] = by
                new = replace(module, predicate=tuple(predicate), **changes)
                self.modules[module.name] = new
                if "value" in changes and not same:
                    if not self._reread(module.name, module.name, function, occurring):
                        return False
                    self._changed[module.name] = len(function)
            elif isinstance(module, TableMLP):
                table = np.array(module.table).reshape([self.cardinality(read) for read in module.inputs])
                for axis, read in enumerate(module.inputs):
                    if read == name:
                        table = table.take(filled, axis=axis)
                inputs = tuple(by if read == name else read for read in module.inputs)
                self.modules[module.name] = replace(module, inputs=inputs, table=tuple(table.ravel().tolist()))
        return True

    def substitute_number(self, name: str, by: str) -> None:
        """Let all readers of one numerical variable read another that is equal to it."""
        self.modules.pop(name, None)
        if name in self.votes:
            votes = self.votes.pop(name)
            self.votes[by] = votes + self.votes.get(by, 0.0)
        for module in self.readers(name):
            if isinstance(module, Head):
                self.modules[module.name] = replace(module, value=by)
            else:
                inputs = tuple(by if read == name else read for read in module.inputs)
                self.modules[module.name] = replace(module, inputs=inputs)

    # -- one reader ------------------------------------------------------------------------------------

    def _fold_head(self, head: Head, name: str, value: int) -> bool:
        if head.value == name:
            if self.kinds[head.name] == "cat_heads":
                return self.fold(head.name, value)
            if value == 0:
                return self.fold(head.name, 0)
            if value != 1:
                return False
            head = replace(head, value="ones")
        if head.key == name:
            queries = [value] if head.query == name else self.values(head.query)
            matching = {head.predicate[q] == value for q in queries}
            if len(matching) > 1:
                return False
            if self.kinds[head.name] == "num_heads":
                return matching == {False} and self.fold(head.name, 0)
            # everything matches: the nearest other token is the one before, for the first one the one after;
            # nothing does: the first token
            n = self.cardinality("positions")
            before = (0 if self.program.causal else min(1, n - 1), *range(n - 1))
            predicate = before if matching == {True} else (0,) * n
            head = replace(head, query="positions", key="positions", predicate=predicate)
        elif head.query == name:
            asked = (head.predicate[value],) * self.cardinality("positions")
            head = replace(head, query="positions", predicate=asked)
        self.modules[head.name] = head
        return True

    def _fold_table(self, mlp: TableMLP, name: str, value: int) -> bool:
        table = np.array(mlp.table).reshape([self.cardinality(read) for read in mlp.inputs])
        for axis in reversed(range(len(mlp.inputs))):
            if mlp.inputs[axis] == name:
                table = table.take(value, axis=axis)
        inputs = tuple(read for read in mlp.inputs if read != name)
        if not inputs:
            return self.fold(mlp.name, int(table))
        self.modules[mlp.name] = replace(mlp, inputs=inputs, table=tuple(table.ravel().tolist()))
        return True

    def _fold_numerical(self, mlp: NumMLP, name: str, value: int) -> bool:
        kept = [axis for axis, read in enumerate(mlp.inputs) if read != name]
        if not kept:
            return self.fold(mlp.name, mlp([value] * len(mlp.inputs)))
        sizes = table = weights = None
        if mlp.table is not None and mlp.sizes is not None:
            left = np.array(mlp.table).reshape(mlp.sizes)
            if all(value < mlp.sizes[axis] for axis in range(len(mlp.inputs)) if axis not in kept):
                for axis in reversed(range(len(mlp.inputs))):
                    if axis not in kept:
                        left = left.take(value, axis=axis)
            elif mlp.weights is None:
                return False
            else:
                left = np.full([1] * len(kept), UNANSWERED)
            sizes, table = left.shape, tuple(left.ravel().tolist())
        if mlp.weights is not None:
            inward = np.array(mlp.weights.W_in)
            others = [axis for axis in range(len(mlp.inputs)) if axis not in kept]
            bias = np.array(mlp.weights.b_in) + inward[:, others].sum(1) * value
            weights = replace(mlp.weights, W_in=inward[:, kept].tolist(), b_in=bias.tolist())
        inputs = tuple(mlp.inputs[axis] for axis in kept)
        self.modules[mlp.name] = replace(mlp, inputs=inputs, sizes=sizes, table=table, weights=weights)
        return True


def reads(module: Module) -> tuple[str, ...]:
    """The variables that a module reads, with repetitions."""
    if isinstance(module, Head):
        return module.query, module.key, module.value
    return tuple(module.inputs)


def with_modules(program: Program, modules: dict[str, Module]) -> Program:
    """The program with some modules exchanged for others of the same name."""
    draft = Draft(program)
    draft.modules |= modules
    return draft.done()


def with_votes(program: Program, votes: dict[str, np.ndarray]) -> Program:
    """The program with another classifier; variables that then have no vote, and modules nobody reads, go."""
    draft = Draft(program)
    draft.votes = dict(votes)
    return draft.done()
