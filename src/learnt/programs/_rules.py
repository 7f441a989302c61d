"""What is the shortest exact way to write a finite table as rules that a person can follow?

A table over a few variables is written as nested `if`s on groups of values that lead to the same answer, as
thresholds where values are numbers and their runs are short to tell, as a comparison of two variables, as arithmetic
(`query - 1`, `a - b`) with its exceptions, or as the table itself. Every candidate is exact; the one with the least
cost is taken, cost being 3 for a line and 1 for each value or variable in it, and of equal ones the first in the
order tried. Entries that cannot occur are free, and join whatever is shortest.

Grouping is the reduction of multi-valued decision diagrams: two values of a variable belong together when what is
left of the table after fixing it is the same. arXiv 2306.01128 (appendix A.3) groups the values of single predicates
and omits the most common output of an MLP; nothing here is omitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from learnt.programs._arithmetic import candidates

FREE, OUTSIDE, FORMULA, NEVER = -1, -2, -3, -4  # entries that are no values
_INNER = -5  # what a formula of one variable gives, while it is being tried
LARGEST_TREE = 40_000  # entries; a larger table is written as it is
LARGEST_SPLIT = 400  # entries; in a larger table a comparison must settle one side at once to be tried
_LINE = 3


@final
@dataclass(frozen=True, kw_only=True)
class Axis:
    """One variable of a table.

    Attributes:
        name: how the text calls it.
        values: that can occur, ascending.
        texts: each value as source text.
        ordered: whether the values are numbers, so that they can be compared and counted with.
    """

    name: str
    values: tuple[int, ...]
    texts: tuple[str, ...]
    ordered: bool


class Condition(NamedTuple):
    """`before`, the values in braces if there are any, and how many values and variables are in it."""

    before: str
    listed: tuple[str, ...]
    cost: int


@final
@dataclass(frozen=True)
class Leaf:
    """An answer: a value, one of the marks above, or what a formula gives."""

    code: int
    formula: str = ""


@final
@dataclass(frozen=True)
class Branch:
    """The first condition that holds decides; `otherwise` if none does."""

    tests: tuple[tuple[Condition, Node], ...]
    otherwise: Node


@final
@dataclass(frozen=True, eq=False)
class Grid:
    """The table itself, (values of the first axis, values of the second, ...), which may have -1 in it for free."""

    axes: tuple[Axis, ...]
    codes: np.ndarray


Node = Leaf | Branch
Solved = tuple[int, Node]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Rules:
    """How a table is written.

    Attributes:
        axes: the variables that are read, in the order of the table.
        body: nested conditions, or the table.
        cost: 3 a line and 1 a value.
    """

    axes: tuple[Axis, ...]
    body: Node | Grid
    cost: int

    @property
    def branches(self) -> int:
        """The number of places where an answer is given: leaves, or entries of a table."""
        if isinstance(self.body, Grid):
            return int((self.body.codes != FREE).sum())
        return sum(1 for _ in leaves(self.body))


def leaves(node: Node) -> Iterator[int]:
    """The codes of all answers, in the order of the text."""
    if isinstance(node, Leaf):
        yield node.code
        return
    for _, below in node.tests:
        yield from leaves(below)
    yield from leaves(node.otherwise)


def shortest(
    axes: Sequence[Axis], codes: np.ndarray, *, numbers: bool = True, keys: frozenset[int] | None = None
) -> Rules:
    """The cheapest exact rules for a table.

    Args:
        axes: its variables.
        codes: one entry for each combination of values: a value, or one of the marks.
        numbers: whether the answers are numbers; else they are values of the kind of variables that are not ordered.
        keys: values that the answers are compared with; a formula may give any other one where the table has NEVER.
    """
    axes, codes = _read(tuple(axes), np.asarray(codes))
    best: Rules | None = None
    if codes.size <= LARGEST_TREE:
        search = _Search(numbers=numbers, keys=keys, memo={})
        cost, node = _solve(axes, codes, True, search)
        best = Rules(axes=axes, body=node, cost=cost)
        if len(axes) == 2:
            for text, extra, relabelled in candidates(axes, codes, numbers, keys):
                cost, node = _solve(axes, relabelled, True, search)
                if cost + extra < best.cost:
                    best = Rules(axes=axes, body=_spelled(node, text), cost=cost + extra)
            best = _of_one_number(axes, codes, best, search)
    grid = Rules(axes=axes, body=Grid(axes, codes), cost=_grid_cost(axes, codes))
    return grid if best is None or (axes and grid.cost < best.cost) else best


def _read(axes: tuple[Axis, ...], codes: np.ndarray) -> tuple[tuple[Axis, ...], np.ndarray]:
    """Without the variables on which nothing depends."""
    position = 0
    while position < len(axes):
        groups = _groups(codes, position)
        if len(groups) == 1:
            codes, axes = groups[0][1], axes[:position] + axes[position + 1 :]
        else:
            position += 1
    return axes, codes


@dataclass(frozen=True, eq=False, kw_only=True)
class _Search:
    """What stays the same while one table is written: arguments of `shortest`, and parts that are solved."""

    numbers: bool
    keys: frozenset[int] | None
    memo: dict[tuple[tuple[str, ...], tuple[int, ...], bytes, bool], Solved]


def _spelled(node: Node, formula: str, code: int = FORMULA) -> Node:
    """The node with `formula` at the leaves that are marked with `code` and have none yet."""
    if isinstance(node, Leaf):
        return Leaf(FORMULA, formula) if node == Leaf(code) else node
    tests = tuple((test, _spelled(below, formula, code)) for test, below in node.tests)
    return Branch(tests, _spelled(node.otherwise, formula, code))


def _of_one_number(axes: tuple[Axis, ...], codes: np.ndarray, best: Rules, search: _Search) -> Rules:
    """The same, if a sum or difference of two numbers alone decides and that is shorter."""
    if not all(axis.ordered for axis in axes):
        return best
    a, b = axes
    left, right = np.array(a.values)[:, None], np.array(b.values)[None, :]
    for name, number in ((f"{a.name} + {b.name}", left + right), (f"{a.name} - {b.name}", left - right)):
        decided: dict[int, int] = {}
        defined = codes != FREE
        pairs = sorted(set(zip(number[defined].tolist(), codes[defined].tolist(), strict=True)))
        for value, code in pairs:
            decided[value] = code
        if len(decided) < len(pairs):
            continue  # one number, two answers
        axis = Axis(name=name, values=tuple(decided), texts=tuple(map(str, decided)), ordered=True)
        cost, node = _solve((axis,), np.array(list(decided.values())), False, search)
        cost += 2 * sum(1 for _ in leaves(node))  # two variables in every condition
        if cost < best.cost:
            best = Rules(axes=axes, body=node, cost=cost)
    return best


def _solve(axes: tuple[Axis, ...], codes: np.ndarray, compare: bool, search: _Search) -> Solved:
    """The cheapest tree."""
    first = codes.flat[0] if codes.size == 1 or not codes.ndim else None
    if first is None:
        present = np.unique(codes)
        present = present[present != FREE]
        first = int(present[0]) if len(present) == 1 else FREE if not len(present) else None
    if first is not None:
        return _LINE + 1, Leaf(int(first))
    key = (tuple(axis.name for axis in axes), codes.shape, codes.tobytes(), compare)
    if key not in search.memo:
        search.memo[key] = min(
            _forms(axes, codes, compare, search), key=lambda solved: solved[0]
        )  # the first of equals
    return search.memo[key]


def _forms(axes: tuple[Axis, ...], codes: np.ndarray, compare: bool, search: _Search) -> Iterator[Solved]:
    """Trees, and for one variable trees with a formula of it."""
    yield from _trees(axes, codes, compare, search)
    if len(axes) != 1 or (codes == _INNER).any():
        return
    for text, extra, relabelled in candidates(axes, codes, search.numbers, search.keys):
        inner = np.where((relabelled == FORMULA) & (codes != FORMULA), _INNER, relabelled)
        cost, node = _solve(axes, inner, compare, search)
        yield cost + extra, _spelled(node, text, _INNER)


def _trees(axes: tuple[Axis, ...], codes: np.ndarray, compare: bool, search: _Search) -> Iterator[Solved]:
    for position, axis in enumerate(axes):
        rest = axes[:position] + axes[position + 1 :]
        groups = _groups(codes, position)
        if len(groups) == 1:
            yield _solve(rest, groups[0][1], compare, search)
            return
        solved = [(rows, *_solve(rest, left, compare, search)) for rows, left in groups]
        forms = [_by_groups(axis, solved)]
        if axis.ordered and len(groups) < len(axis.values):
            forms.insert(0 if len(groups) > 2 else 1, _by_thresholds(axis, solved))  # of equal ones, ascending order
        yield from forms
    if compare:
        for a in range(len(axes)):
            for b in range(a + 1, len(axes)):
                yield from _by_comparison(axes, a, b, codes, search)


def _groups(codes: np.ndarray, position: int) -> list[tuple[list[int], np.ndarray]]:
    """(indices of values, what is left of the table) for values of one variable that can be told the same."""
    slices = np.moveaxis(codes, position, 0)
    found: list[tuple[list[int], np.ndarray]] = []
    if (codes != FREE).all():
        seen: dict[bytes, list[int]] = {}
        for index, left in enumerate(slices):
            rows = seen.setdefault(left.tobytes(), [])
            if not rows:
                found.append((rows, np.ascontiguousarray(left)))
            rows.append(index)
        return found
    for index, left in enumerate(slices):
        for at, (rows, merged) in enumerate(found):
            if ((left == merged) | (left == FREE) | (merged == FREE)).all():
                found[at] = ([*rows, index], np.where(merged == FREE, left, merged))
                break
        else:
            found.append(([index], np.ascontiguousarray(left)))
    return found


def _by_groups(axis: Axis, solved: list[tuple[list[int], int, Node]]) -> Solved:
    """One test for each group, but for the one whose test would be longest."""
    tests = [condition(axis, rows) for rows, _, _ in solved]
    last = max(range(len(solved)), key=lambda g: (tests[g].cost, len(solved[g][0]), g))
    order = [g for g in range(len(solved)) if g != last]
    cost = solved[last][1] + sum(_LINE + tests[g].cost + solved[g][1] for g in order)
    return _branch(cost, [(tests[g], solved[g][2]) for g in order], solved[last][2])


def _by_thresholds(axis: Axis, solved: list[tuple[list[int], int, Node]]) -> Solved:
    """Upper ends of runs of values, from the lowest."""
    group_of = {row: g for g, (rows, _, _) in enumerate(solved) for row in rows}
    runs = [0]
    for row in range(1, len(axis.values)):
        if group_of[row] != group_of[row - 1]:
            runs.append(row)
    tests, cost = [], solved[group_of[runs[-1]]][1]
    for start, following in zip(runs, runs[1:], strict=False):
        sign = "==" if following == start + 1 else "<="
        _, below, node = solved[group_of[start]]
        cost += _LINE + 2 + below
        tests.append((Condition(f"{axis.name} {sign} {axis.texts[following - 1]}", (), 2), node))
    return _branch(cost, tests, solved[group_of[runs[-1]]][2])


def _by_comparison(axes: tuple[Axis, ...], a: int, b: int, codes: np.ndarray, search: _Search) -> Iterator[Solved]:
    """Tests of two variables against each other: equal or not, and for numbers less and greater."""
    first, second = axes[a], axes[b]
    shape = [1] * codes.ndim
    if first.ordered != second.ordered:
        return
    left = np.array(first.values).reshape([-1 if i == a else 1 for i in range(len(shape))])
    right = np.array(second.values).reshape([-1 if i == b else 1 for i in range(len(shape))])
    signs = [((left == right), "=="), ((left != right), "!=")]
    splits = [signs]
    if first.ordered:
        less, more = ((left < right), "<"), ((left > right), ">")
        splits += [[less, ((left >= right), ">=")], [more, ((left <= right), "<=")], [signs[0], less, more]]
    for split in splits:
        if codes.size > LARGEST_SPLIT and not any(
            len(np.unique(codes[mask & (codes != FREE)])) == 1 for mask, _ in split
        ):
            continue
        solved = []
        for mask, sign in split:
            part = np.where(mask, codes, FREE)
            if (part == FREE).all():
                continue  # this cannot occur
            test = Condition(f"{first.name} {sign} {second.name}", (), 2)
            solved.append((test, *_solve(axes, part, False, search)))
        if len(solved) > 1:
            cost = solved[-1][1] + sum(_LINE + test.cost + below for test, below, _ in solved[:-1])
            yield _branch(cost, [(test, node) for test, _, node in solved[:-1]], solved[-1][2])


def _branch(cost: int, tests: list[tuple[Condition, Node]], otherwise: Node) -> Solved:
    """A branch; the last test and one below it become one where both end in what follows."""
    test, below = tests[-1]
    if isinstance(below, Branch) and len(below.tests) == 1 and below.otherwise == otherwise:
        inner, node = below.tests[0]
        if not inner.listed and isinstance(otherwise, Leaf) and not test.listed:
            both = Condition(f"{test.before} and {inner.before}", (), test.cost + inner.cost)
            return cost - 2 * _LINE - 1, Branch((*tests[:-1], (both, node)), otherwise)
    return cost, Branch(tuple(tests), otherwise)


def condition(axis: Axis, rows: Sequence[int]) -> Condition:
    """The shortest test that exactly these values of a variable pass, among those that occur."""
    name, last, texts = axis.name, len(axis.values) - 1, axis.texts
    chosen = sorted(rows)
    if len(chosen) == 1:
        return Condition(f"{name} == {texts[chosen[0]]}", (), 2)
    low, high = chosen[0], chosen[-1]
    if axis.ordered and high - low + 1 == len(chosen):
        if low == 0:
            return Condition(f"{name} <= {texts[high]}", (), 2)
        if high == last:
            return Condition(f"{name} >= {texts[low]}", (), 2)
        if len(chosen) > 2:
            return Condition(f"{texts[low]} <= {name} <= {texts[high]}", (), 3)
    others = [row for row in range(last + 1) if row not in set(chosen)]
    if len(others) == 1:
        return Condition(f"{name} != {texts[others[0]]}", (), 2)
    if len(others) < len(chosen):
        return Condition(f"{name} not in", tuple(texts[row] for row in others), 1 + len(others))
    return Condition(f"{name} in", tuple(texts[row] for row in chosen), 1 + len(chosen))


def _grid_cost(axes: tuple[Axis, ...], codes: np.ndarray) -> int:
    """Of a literal with one line for each combination of all variables but the last."""
    if not axes:
        return 2 * _LINE
    width = len(axes[-1].values)
    rows = codes.size // width
    wide = sum(map(len, axes[-1].texts)) + 4 * width if len(axes) == 1 or not counted(axes[-1]) else 4 * width
    cells = codes.size * (2 if len(axes) == 1 or not counted(axes[-1]) else 1)
    return _LINE * (4 + rows * (1 + wide // 90)) + cells + 2


def counted(axis: Axis) -> bool:
    """Whether the values are 0, 1, 2, ..., so that a tuple can be indexed by them."""
    return axis.ordered and axis.values == tuple(range(len(axis.values)))
