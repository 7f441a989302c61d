"""Rules as the body of a Python function, and tables as constants before it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from learnt.programs._python_text import pieces
from learnt.programs._rules import FREE, NEVER, OUTSIDE, Branch, Condition, Grid, Leaf, Node, Rules, counted

Answer = Callable[[int], str]  # the source text of a value


def value_body(rules: Rules, answer: Answer, table: str, fault: str, *, indent: int = 4) -> list[str]:
    """Statements that return the value of an MLP.

    Args:
        rules: of its table.
        answer: a value as source text.
        table: the name of the table, if the rules are one.
        fault: an expression for the error where there is no answer.
    """

    def statement(leaf: Leaf) -> str:
        if leaf.code in (OUTSIDE, FREE):
            return f"raise {fault}"
        return f"return {leaf.formula or answer(leaf.code)}"

    margin = " " * indent
    if not isinstance(rules.body, Grid):
        return _nested(rules.body, statement, indent)
    entry = table + "".join(f"[{axis.name}]" for axis in rules.body.axes)
    if (rules.body.codes >= 0).all():
        return [f"{margin}return {entry}"]
    return [
        f"{margin}answer = {entry}",
        f"{margin}if answer is None:",
        f"{margin}    raise {fault}",
        f"{margin}return answer",
    ]


def predicate_body(rules: Rules, answer: Answer, table: str) -> list[str]:
    """Statements that return whether `key` is what `query` looks for."""

    def matches(leaf: Leaf) -> str:
        return "False" if leaf.code == NEVER else f"key == {leaf.formula or answer(leaf.code)}"

    body = rules.body
    if isinstance(body, Grid):
        return [f"    return key == {table}[query]"]
    if isinstance(body, Branch) and len(body.tests) == 1 and body.otherwise == Leaf(NEVER):
        test, below = body.tests[0]
        text = f"    return {_joined(test)} and {matches(below)}" if isinstance(below, Leaf) else ""
        if text and len(text) <= 100:
            return [text]
    if isinstance(body, Branch) and len(body.tests) == 1 and body.tests[0][1] == Leaf(NEVER):
        refused = _refused(body.tests[0][0])
        text = f"    return {refused} and {matches(body.otherwise)}" if isinstance(body.otherwise, Leaf) else ""
        if refused and text and len(text) <= 100:
            return [text]
    return _nested(body, lambda leaf: f"return {matches(leaf)}", 4)


def table_lines(name: str, rules: Rules, answer: Answer) -> list[str]:
    """The table of rules that are one, as a constant with a comment on what its places mean; else nothing."""
    if not isinstance(rules.body, Grid):
        return []
    axes, codes = rules.body.axes, rules.body.codes
    along = " ".join(f"[{axis.name}]" for axis in axes)
    return [f"# {name}{along.replace('] [', '][')}", *_literal(f"{name} = ", rules.body, codes, 0, answer, "")]


def _literal(opening: str, grid: Grid, codes: np.ndarray, depth: int, answer: Answer, end: str) -> list[str]:
    axis, indent = grid.axes[depth], 4 * depth
    if depth == len(grid.axes) - 1:
        texts = [answer(code) if code >= 0 else "None" for code in codes.tolist()]
        if depth and counted(axis):
            return pieces(f"{opening}(", texts, f"{',' * (len(texts) == 1)}){end}", indent=indent)
        entries = [f"{key}: {text}" for key, text in zip(axis.texts, texts, strict=True)]
        return pieces(f"{opening}{{", entries, f"}}{end}", indent=indent)
    lines = [f"{' ' * indent}{opening}{{"]
    for key, below in zip(axis.texts, codes, strict=True):
        lines += _literal(f"{key}: ", grid, below, depth + 1, answer, ",")
    return [*lines, f"{' ' * indent}}}{end}"]


def _nested(node: Node, statement: Callable[[Leaf], str], indent: int) -> list[str]:
    if isinstance(node, Leaf):
        return [" " * indent + statement(node)]
    lines: list[str] = []
    for test, below in node.tests:
        if test.listed:
            lines += pieces(f"if {test.before} {{", test.listed, "}:", indent=indent)
        else:
            lines.append(f"{' ' * indent}if {test.before}:")
        lines += _nested(below, statement, indent + 4)
    return lines + _nested(node.otherwise, statement, indent)


_OPPOSITE = {"==": "!=", "!=": "==", "<=": ">", ">=": "<", "in": "not in"}


def _refused(test: Condition) -> str:
    """The opposite of a test of `query`, or nothing."""
    words = test.before.split(" ", 2)
    if words[0] != "query" or words[1] not in _OPPOSITE:
        return ""
    listed = [f"{{{', '.join(test.listed)}}}"] if test.listed else []
    return " ".join([words[0], _OPPOSITE[words[1]], *words[2:], *listed])


def _joined(test: Condition) -> str:
    return f"{test.before} {{{', '.join(test.listed)}}}" if test.listed else test.before
