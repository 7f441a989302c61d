"""Each module as a small Python function: what a head looks for, what an MLP answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import numpy as np

from learnt.programs._python_body import predicate_body, table_lines, value_body
from learnt.programs._python_text import literal, net_lines, network_lines, pieces
from learnt.programs._python_values import BOX, Occurring, combinations, entries, numerical, spans
from learnt.programs._rules import FREE, NEVER, Axis, Rules, shortest
from learnt.programs._typed import kinds, spelled
from learnt.programs.program import Head, NumMLP, Program, ReluNet, TableMLP


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Written:
    """What one module became.

    Attributes:
        lines: its constants and its function.
        branches: the number of places where its function gives an answer.
        net: whether it calls `relu_net`.
        faults: whether it can raise `outside`.
    """

    lines: tuple[str, ...]
    branches: int
    net: bool = False
    faults: bool = False


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Writer:
    """Writes the modules of a program.

    Attributes:
        program: whose modules they are.
        names: the Python name of each variable.
        occurring: the values that rules must be right about.
    """

    program: Program
    names: dict[str, str]
    occurring: Occurring
    _kinds: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kinds", kinds(self.program))

    def text(self, variable: str, value: int) -> str:
        """A value of a variable as source text."""
        return literal(spelled(self.program, self._kinds[variable], value))  # pyright: ignore[reportArgumentType]

    def kind(self, variable: str) -> str:
        """What the values of a categorical variable are: "token", "position" or "value"."""
        return self._kinds[variable]

    def axis(self, variable: str, name: str) -> Axis:
        """A categorical variable as one side of a table."""
        values = self.occurring.values[variable]
        texts = tuple(self.text(variable, value) for value in values)
        return Axis(name=name, values=values, texts=texts, ordered=self._kinds[variable] != "token")

    def head_rules(self, head: Head) -> Rules:
        """What each query value of a head looks for."""
        keys = frozenset(self.occurring.values[head.key])
        axis = self.axis(head.query, "query")
        wanted = [head.predicate[q] if head.predicate[q] in keys else NEVER for q in axis.values]
        return shortest((axis,), np.array(wanted), numbers=self._kinds[head.key] != "token", keys=keys)

    def head(self, head: Head, unread: bool) -> Written:
        """`<name>_matches(query, key)`."""
        rules, name = self.head_rules(head), self.names[head.name]
        answer = lambda value: self.text(head.key, value)
        query, key, value = (self.names[v] for v in (head.query, head.key, head.value))
        does = f"reads {value}" if head.value in self.program.cardinality else f"sums {value}"
        does = "counts positions" if head.value == "ones" else does
        to = f"matches {query} (query)" if rules.axes else "matches, whatever the query"
        said = f"{name} {does} where {key} (key) {to}."
        lines = [
            *table_lines(f"{name}_table", rules, answer),
            f"def {name}_matches(query, key):",
            *_docstring(said, unread),
            *predicate_body(rules, answer, f"{name}_table"),
        ]
        return Written(lines=tuple(_apart(lines)), branches=rules.branches)

    def table_rules(self, mlp: TableMLP) -> Rules:
        """The table of a categorical MLP over its distinct inputs; on a domain, over the tuples that occur."""
        names = tuple(dict.fromkeys(mlp.inputs))
        axes = [self.axis(name, self._argument(name)) for name in names]
        shape = [len(axis.values) for axis in axes]
        if self.occurring.inputs is None:
            columns = combinations(axis.values for axis in axes)
            codes = entries(self.program, mlp, names, columns).reshape(shape)
        else:
            columns = self.occurring.tuples[mlp.name][:, [mlp.inputs.index(name) for name in names]]
            codes = np.full(shape, FREE)
            at = tuple(np.searchsorted(axis.values, columns[:, i]) for i, axis in enumerate(axes))
            codes[at] = entries(self.program, mlp, names, columns)
        return shortest(axes, codes)

    def table(self, mlp: TableMLP, unread: bool) -> Written:
        """`<name>_value(inputs)` of a categorical MLP."""
        rules, name = self.table_rules(mlp), self.names[mlp.name]
        fault, signature = self._signature(mlp)
        body = value_body(rules, str, f"{name}_table", fault)
        lines = [
            *table_lines(f"{name}_table", rules, str),
            *signature,
            *_docstring(f"{name} is a function of {_listed(self._inputs(mlp))}.", unread),
            *body,
        ]
        return Written(lines=tuple(_apart(lines)), branches=rules.branches, faults=any(fault in b for b in body))

    def numbers(self, mlp: NumMLP, unread: bool) -> Written:
        """`<name>_value(inputs)` of a numerical MLP: rules if they are shorter, the network elsewhere."""
        name, found = self.names[mlp.name], self.number_rules(mlp)
        fault, signature = self._signature(mlp)
        lines: list[str] = []
        limited = found is not None and bool(found[1])
        otherwise = [f"{' ' * (8 if limited else 4)}raise {fault}"]
        if mlp.weights is not None and (found is None or limited):
            lines += net_lines(name, mlp.weights)
            otherwise = network_lines(name, [self.names[v] for v in mlp.inputs], indent=8 if limited else 4)
            signature = ["@lru_cache(maxsize=65536)", *signature]
        net, branches, body = bool(lines), 1, otherwise
        if found is not None:
            rules, limits = found
            body = value_body(rules, str, f"{name}_table", fault)
            branches = rules.branches + bool(limits)
            if limits:
                body = [f"    if {' or '.join(limits)}:", *otherwise, *body]
            lines += table_lines(f"{name}_table", rules, str)
        lines += [
            *signature,
            *_docstring(f"{name} is a function of the {_numbers(self._inputs(mlp))}.", unread),
            *body,
        ]
        return Written(lines=tuple(_apart(lines)), branches=branches, net=net, faults=any(fault in b for b in body))

    def number_rules(self, mlp: NumMLP) -> tuple[Rules, list[str]] | None:
        """(rules, tests for numbers that they are not about); None if the network is shorter or all there is."""
        everything = spans(self.program, mlp, dict(self.program.highest))
        seen = spans(self.program, mlp, {name: self.occurring.values[name][0] for name in self.program.numerical})
        rules = self._rules_within(mlp, seen, known=self.occurring.tuples.get(mlp.name))
        if rules is None or (mlp.weights is not None and rules.cost > _net_cost(mlp.weights)):
            if mlp.sizes is None:
                return None
            stored: dict[str, range] = {}
            for variable, size in zip(mlp.inputs, mlp.sizes, strict=True):
                now = stored.get(variable, seen[variable])
                stored[variable] = range(now.start, max(min(now.stop, size), now.start + 1))
            seen = stored
            rules = self._rules_within(mlp, seen, most=1 << 22)
        if rules is None:
            return None
        limits = [f"{self.names[v]} > {span.stop - 1}" for v, span in seen.items() if span.stop < everything[v].stop]
        return rules, limits

    def _rules_within(
        self, mlp: NumMLP, sides: dict[str, range], most: int = BOX, known: np.ndarray | None = None
    ) -> Rules | None:
        """Rules within a box of numbers; of `known` tuples (t, n_in), all there are, if given."""
        if math.prod(side.stop - side.start for side in sides.values()) > most:
            return None
        codes = numerical(mlp, tuple(sides), combinations(sides.values())).reshape([len(s) for s in sides.values()])
        if known is not None:
            at = tuple(known[:, mlp.inputs.index(v)] - span.start for v, span in sides.items())
            kept = np.full_like(codes, FREE)
            kept[at] = codes[at]
            codes = kept
        axes = [
            Axis(name=self.names[v], values=tuple(span), texts=tuple(map(str, span)), ordered=True)
            for v, span in sides.items()
        ]
        return shortest(axes, codes)

    def _inputs(self, mlp: TableMLP | NumMLP) -> list[str]:
        return [self._argument(variable) for variable in dict.fromkeys(mlp.inputs)]

    def _argument(self, variable: str) -> str:
        """What a function that gets one value calls it: `tokens` is the list of all tokens."""
        one = {"tokens": "token", "positions": "position"}.get(variable, self.names[variable])
        return self.names[variable] if one in self.names.values() else one

    def _signature(self, mlp: TableMLP | NumMLP) -> tuple[str, list[str]]:
        inputs = self._inputs(mlp)
        return (
            f"outside({literal(mlp.name)}, {', '.join(inputs)})",
            pieces(f"def {self.names[mlp.name]}_value(", inputs, "):"),
        )


def _net_cost(net: ReluNet) -> int:
    """As the costs of rules."""
    across = len(net.W_in[0]) + 1 + len(net.b_out) if net.W_in else 1
    return len(net.b_in) * (across + 3 * (1 + 22 * across // 100)) + len(net.b_out) + 3


def _docstring(text: str, unread: bool) -> list[str]:
    from textwrap import wrap

    text += " Nothing reads it." * unread
    lines = wrap(text, 88, break_long_words=False)
    if len(lines) == 1:
        return [f'    """{lines[0]}"""']
    return [f'    """{lines[0]}', *(f"    {line}" for line in lines[1:]), '    """']


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _numbers(names: list[str]) -> str:
    return f"number{'s' * (len(names) > 1)} {_listed(names)}"


def _apart(lines: list[str]) -> list[str]:
    """Two blank lines before the function if constants precede it."""
    start = next(i for i, line in enumerate(lines) if line.startswith(("def ", "@")))
    return [*lines[:start], "", "", *lines[start:]] if start else lines
