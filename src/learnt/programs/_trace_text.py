"""A trace as a table for a terminal: variables by positions, votes below, cut into blocks that fit the width."""

from __future__ import annotations

from typing import NamedTuple

from learnt.programs._frozen import integer
from learnt.programs._typed import columns, number, shown
from learnt.programs.tracing import Answer, Look, Trace, TracedVariable

MARKS = {"match": "", "nearest": "*", "self": "=", "default": "!", "sum": ""}
LEGEND = {
    "match": "←j   read at position j, the only match beside itself",
    "nearest": "←j*  read at position j, the nearest of several matches",
    "self": "←j=  read at position j itself, the only match",
    "default": "←0!  nothing matches, so read at position 0",
}
_CELL = 24  # most characters of a token in a cell
_GAP = 2


class Line(NamedTuple):
    """A row of the table; a heading has no cells."""

    name: str
    kind: str
    cells: tuple[str, ...]


def table(trace: Trace, width: int) -> str:
    """The text of `Trace.text`.

    Raises:
        InputError: a width below 40.
    """
    integer(width, "width", 40)
    parts = [_wrapped(_values(trace), width)]
    parts.append(_pooled(trace.answers[0]) if trace.program.pool else _wrapped(_votes(trace), width))
    used = {look.reason for v in trace.variables for look in v.looks}
    legend = [text for reason, text in LEGEND.items() if reason in used]
    return "\n\n".join([*parts, *(["\n".join(legend)] if legend else [])])


def _wrapped(lines: list[Line], width: int) -> str:
    """The lines in blocks of columns, each block with the names."""
    full = [row for row in lines if row.cells]
    left = [max(columns(row.name) for row in full), max(columns(row.kind) for row in full)]
    wide = [max(columns(row.cells[i]) for row in full) for i in range(len(full[0].cells))]
    blocks = []
    for first, last in _blocks(wide, width - left[0] - left[1] - _GAP):
        block = []
        for row in lines:
            cells = [_pad(row.cells[i], wide[i] + _GAP, right=True) for i in range(first, last)] if row.cells else []
            name = f"{_pad(row.name, left[0])}{' ' * _GAP}{_pad(row.kind, left[1])}"
            block.append(f"{name}{''.join(cells)}".rstrip())
        blocks.append("\n".join(block))
    return "\n\n".join(blocks)


def mark(look: Look) -> str:
    """Where a categorical head looked and why, in a few characters; empty for a numerical head."""
    return "" if look.position is None else f"←{look.position}{MARKS[look.reason]}"


def cell(variable: TracedVariable, position: int) -> str:
    """A value, with where it was read."""
    value = shown(variable.values[position], _CELL)
    arrow = mark(variable.looks[position]) if variable.looks else ""
    return f"{value} {arrow}" if arrow else value


def both(numbers: tuple[float, ...]) -> str:
    """Votes for the answer and the runner-up."""
    return " / ".join(map(number, numbers))


def _values(trace: Trace) -> list[Line]:
    n = len(trace.tokens)
    lines = [Line("position", "", tuple(map(str, range(n))))]
    if trace.given != trace.tokens:
        lines.append(Line("given", "token", tuple(shown(token, _CELL) for token in trace.given)))
    if trace.program.embeddings is not None:  # no variable holds the tokens themselves
        name = "read as" if trace.given != trace.tokens else "input"
        lines.append(Line(name, "token", tuple(shown(token, _CELL) for token in trace.tokens)))
    layer: int | None = None
    for variable in trace.variables:
        if variable.layer != layer:
            layer = variable.layer
            lines.append(Line(f"layer {layer}", "", ()))
        if variable.name == "positions":
            continue  # the first line shows them
        lines.append(Line(variable.name, variable.kind, tuple(cell(variable, i) for i in range(n))))
    if not trace.program.pool:
        lines.append(_labels(trace.answers, 0))
    return lines


def _votes(trace: Trace) -> list[Line]:
    answers = trace.answers
    two = max(len(answer.labels) for answer in answers) > 1
    lines = [
        Line("votes for the answer / the runner-up" if two else "votes for the answer", "", ()),
        Line("position", "", tuple(str(answer.position) for answer in answers)),
        _labels(answers, 0),
        *([_labels(answers, 1)] if two else []),
        *(Line(name, "vote", tuple(both(answer.votes[name]) for answer in answers)) for name in answers[0].votes),
        Line("logit", "sum", tuple(both(answer.logits) for answer in answers)),
    ]
    return lines


def _labels(answers: tuple[Answer, ...], rank: int) -> Line:
    name = "runner-up" if rank else "answer"
    return Line(name, "label", tuple(shown(answer.labels[rank], _CELL) for answer in answers))


def _pooled(answer: Answer) -> str:
    rows: list[tuple[str, ...]] = [("mean vote of", *(shown(label, _CELL) for label in answer.labels))]
    rows += [(name, *map(number, votes)) for name, votes in answer.votes.items()]
    rows += [("logit", *map(number, answer.logits))]
    wide = [max(columns(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for name, *cells in rows:
        padded = (_pad(text, w + _GAP, right=True) for text, w in zip(cells, wide[1:], strict=True))
        lines.append(_pad(name, wide[0]) + "".join(padded))
    return "\n".join([*lines, f"answer: {shown(answer.labels[0], _CELL)}"])


def _blocks(wide: list[int], room: int) -> list[tuple[int, int]]:
    """Half-open ranges of columns that fit; a column wider than the room has a block of its own."""
    found, first, used = [], 0, 0
    for i, w in enumerate(wide):
        if i > first and used + w + _GAP > room:
            found.append((first, i))
            first, used = i, 0
        used += w + _GAP
    return [*found, (first, len(wide))]


def _pad(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - columns(text))
    return space + text if right else text + space
