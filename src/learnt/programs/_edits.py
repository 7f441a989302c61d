"""What changed between two modules that do the same work, and between two classifiers? A list of edits.

Values of b are read as the values of a that they stand for (`learnt.programs._match`): a table that merely calls its
outputs by other numbers has no edit. An edit at values that never occur on the inputs is marked as not reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError
from learnt.programs._isomorphism import reads
from learnt.programs._match import Match, occurring
from learnt.programs.program import Head, Module, NumMLP, Program, TableMLP

LISTED = 100  # edits of one module that are listed; all are counted
Part = Literal["kind", "query", "key", "value", "input", "predicate", "table", "network", "votes"]


class Edit(NamedTuple):
    """One difference.

    Attributes:
        part: of the module: a gate (``"query"``, ``"key"``, ``"value"``, ``"input"``), ``"predicate"``, ``"table"``,
            ``"network"``, ``"kind"``; or ``"votes"`` of the classifier.
        where: the entry, for instance the query value.
        a, b: what stands there.
        reached: whether the entry occurs on the inputs; gates always do.
    """

    part: Part
    where: str
    a: str
    b: str
    reached: bool = True

    def __str__(self) -> str:
        place = f"{self.part} of {self.where}" if self.where else self.part
        return f"{place}: {self.a} -> {self.b}{'' if self.reached else ' (never occurs)'}"


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Edits:
    """Differences in one place.

    Attributes:
        listed: up to 100, those that are reached first.
        reached, unreached: how many there are.
    """

    listed: tuple[Edit, ...] = ()
    reached: int = 0
    unreached: int = 0


def collected(found: Iterator[Edit]) -> Edits:
    """The edits, counted."""
    every = sorted(found, key=lambda edit: not edit.reached)
    reached = sum(edit.reached for edit in every)
    return Edits(listed=tuple(every[:LISTED]), reached=reached, unreached=len(every) - reached)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sides:
    """Two programs, the values of their variables at the same positions, and what corresponds to what."""

    a: Program
    b: Program
    in_a: Mapping[str, np.ndarray]
    in_b: Mapping[str, np.ndarray]
    match: Match


def value_name(program: Program, name: str, value: int) -> str:
    """A value of a categorical variable as text: the token if it is one, else the number."""
    copied = {head.name: head.value for layer in program.layers for head in layer.cat_heads}
    while name in copied:
        name = copied[name]
    if name == "tokens" and value < len(program.vocab):
        return repr(program.vocab[value])
    return str(value)


def module_edits(sides: Sides, mine: Module, theirs: Module) -> Edits:
    """What differs between a module of a and its partner in b."""
    if isinstance(mine, Head) and isinstance(theirs, Head):
        if (mine.value in sides.a.cardinality) == (theirs.value in sides.b.cardinality):
            return collected(_head_edits(sides, mine, theirs))
    elif isinstance(mine, TableMLP) and isinstance(theirs, TableMLP):
        return collected(_table_edits(sides, mine, theirs))
    elif isinstance(mine, NumMLP) and isinstance(theirs, NumMLP):
        return collected(_number_edits(sides, mine, theirs))
    return collected(iter([Edit("kind", "", _kind(sides.a, mine), _kind(sides.b, theirs))]))


def _kind(program: Program, module: Module) -> str:
    if isinstance(module, Head):
        what = "head" if module.value in program.cardinality else "counting head"
    else:
        what = "table" if isinstance(module, TableMLP) else "table of numbers"
    return f"{what} of {', '.join(reads(module))}"


def _head_edits(sides: Sides, mine: Head, theirs: Head) -> Iterator[Edit]:
    partner = sides.match.partner
    roles: tuple[Literal["query", "key", "value"], ...] = ("query", "key", "value")
    for role in roles:
        x, y = getattr(mine, role), getattr(theirs, role)
        if partner.get(x) != y:
            yield Edit(role, "", x, y)
    if partner.get(mine.query) != theirs.query or partner.get(mine.key) != theirs.key:
        return
    queries, keys = sides.match.values[mine.query], sides.match.values[mine.key]
    seen = occurring(sides.in_a[mine.query], len(queries))
    found = occurring(sides.in_a[mine.key], len(keys))
    found_b = occurring(sides.in_b[theirs.key], sides.b.cardinality[theirs.key])
    for q, key in enumerate(mine.predicate):
        if queries[q] < 0:
            continue
        other = theirs.predicate[queries[q]]
        if keys[key] != other:
            reached = bool(seen[q] and (found[key] or found_b[other]))  # keys that never occur are never found
            yield Edit(
                "predicate", value_name(sides.a, mine.query, q), value_name(sides.a, mine.key, key),
                value_name(sides.b, theirs.key, other), reached,
            )  # fmt: skip


def _order(sides: Sides, mine: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[int, ...] | None:
    """For each input of a's MLP the input of b's that corresponds; None if they read other variables."""
    wanted = [sides.match.partner.get(name) for name in mine]
    if len(mine) == len(theirs) and wanted == list(theirs):
        return tuple(range(len(mine)))
    if len(mine) != len(theirs) or len(mine) > 5:
        return None
    return next((p for p in permutations(range(len(mine))) if [theirs[i] for i in p] == wanted), None)


def _input_edits(mine: tuple[str, ...], theirs: tuple[str, ...], partner: Mapping[str, str]) -> Iterator[Edit]:
    if len(mine) != len(theirs):
        yield Edit("input", "", ", ".join(mine), ", ".join(theirs))
        return
    for i, (x, y) in enumerate(zip(mine, theirs, strict=True)):
        if partner.get(x) != y:
            yield Edit("input", str(i), x, y)


def _table_edits(sides: Sides, mine: TableMLP, theirs: TableMLP) -> Iterator[Edit]:
    order = _order(sides, tuple(mine.inputs), tuple(theirs.inputs))
    if order is None:
        yield from _input_edits(tuple(mine.inputs), tuple(theirs.inputs), sides.match.partner)
        return
    shape = [sides.a.cardinality[name] for name in mine.inputs]
    table = np.array(mine.table)
    entries = np.stack(np.unravel_index(np.arange(len(table)), shape), 1)  # (entries, inputs)
    mapped = np.stack([sides.match.values[name][entries[:, i]] for i, name in enumerate(mine.inputs)], 1)
    known = np.asarray((mapped >= 0).all(1))
    there = np.zeros_like(mapped)
    there[:, list(order)] = np.where(known[:, None], mapped, 0)
    other = np.array(theirs.table)[
        np.ravel_multi_index(tuple(there.T), tuple(sides.b.cardinality[name] for name in theirs.inputs))
    ]
    wrong = np.flatnonzero(known & (sides.match.values[mine.name][table] != other))
    seen = np.zeros(len(table), dtype=bool)
    seen[np.ravel_multi_index(tuple(sides.in_a[name] for name in mine.inputs), shape)] = True
    back = _inverse(sides.match.values[mine.name], sides.b.cardinality[theirs.name])
    for entry in wrong.tolist():
        values = ", ".join(value_name(sides.a, n, int(v)) for n, v in zip(mine.inputs, entries[entry], strict=True))
        yield Edit("table", f"({values})", str(table[entry]), back[int(other[entry])], bool(seen[entry]))


def _inverse(values: np.ndarray, size: int) -> list[str]:
    """Values of b as those of a; of one without counterpart, its own number."""
    names = [f"{v} (of b)" for v in range(size)]
    for here, there in enumerate(values.tolist()):
        if there >= 0:
            names[there] = str(here)
    return names


def _number_edits(sides: Sides, mine: NumMLP, theirs: NumMLP) -> Iterator[Edit]:
    order = _order(sides, tuple(mine.inputs), tuple(theirs.inputs))
    if order is None:
        yield from _input_edits(tuple(mine.inputs), tuple(theirs.inputs), sides.match.partner)
        return
    seen = {tuple(row) for row in np.unique(np.stack([sides.in_a[n] for n in mine.inputs], 1), axis=0).tolist()}
    there = np.unique(np.stack([sides.in_b[theirs.inputs[i]] for i in order], 1), axis=0)
    values, back = (
        sides.match.values[mine.name],
        _inverse(sides.match.values[mine.name], sides.b.cardinality[theirs.name]),
    )
    found = False
    for entry in sorted(seen | {tuple(row) for row in there.tolist()}):
        moved = [0] * len(entry)
        for i, place in enumerate(order):
            moved[place] = entry[i]
        x, y = _answer(mine, entry), _answer(theirs, moved)
        if (None if x is None else int(values[x])) != y:
            found = True
            name = ", ".join(map(str, entry))
            yield Edit(
                "table", f"({name})", "none" if x is None else str(x), "none" if y is None else back[y], entry in seen
            )
    same = (mine.sizes, mine.table) == (theirs.sizes, theirs.table)
    if not found and not (same and mine.weights == theirs.weights):
        part = "table" if mine.weights == theirs.weights else "network"
        yield Edit(part, "values that never occur", "one answer", "another", False)


def _answer(mlp: NumMLP, values: Any) -> int | None:
    try:
        return mlp(values)
    except InputError:
        return None


def vote_edits(sides: Sides) -> Edits:
    """What differs between the votes of variables that correspond; missing votes are votes of 0."""
    return collected(_vote_edits(sides))


def _vote_edits(sides: Sides) -> Iterator[Edit]:
    a, b = sides.a, sides.b
    common = [label for label in a.labels if label in b.labels]
    columns = [a.labels.index(label) for label in common]
    others = [b.labels.index(label) for label in common]
    for name in (*a.categorical, *a.numerical):
        other = sides.match.partner.get(name)
        if other is None or (name in a.cardinality) != (other in b.cardinality):
            continue
        if name not in a.cardinality:
            mine, theirs = _rows(a, name)[:, columns], _rows(b, other)[:, others]
            values, seen = np.zeros(1, dtype=int), np.ones(1, dtype=bool)
        else:
            values = sides.match.values[name]
            mine, theirs = _rows(a, name)[:, columns], _rows(b, other)[np.maximum(values, 0)][:, others]
            seen = occurring(sides.in_a[name], len(values))
        for value, column in np.argwhere((mine != theirs) & (values >= 0)[:, None]).tolist():
            shown = f"{name} = {value_name(a, name, value)}" if name in a.cardinality else name
            where = f"{shown} for {common[column]!r}"
            yield Edit("votes", where, f"{mine[value, column]:.6g}", f"{theirs[value, column]:.6g}", bool(seen[value]))


def _rows(program: Program, name: str) -> np.ndarray:
    """(cardinality, labels) votes of a variable, (1, labels) of a numerical one."""
    rows = program.cardinality.get(name, 1)
    votes = program.classifier.get(name)
    return np.zeros((rows, len(program.labels))) if votes is None else np.array(votes).reshape(rows, -1)
