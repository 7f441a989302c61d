"""Why this label and not that one? Each variable's vote, and the margin as a sum over variables.

    logit_y = sum over variables v of vote_v(y)         vote_v(y) = classifier[v][v_i][y], or classifier[v][y] v_i
    margin(y, z) = logit_y - logit_z = sum over v of (vote_v(y) - vote_v(z))

The classifier of arXiv 2306.01128 (section 3.1) is linear in the variables, so this decomposition is the program's
own arithmetic and no approximation. It says what each variable added; what would happen without the variable's
module is another question, because other modules may read it too. A program that pools averages votes over tokens,
and its margin is also a sum over positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from learnt.core.errors import InputError
from learnt.programs._frozen import FrozenMap, integer, short
from learnt.programs._typed import columns, kinds, number, shown, spelled
from learnt.programs.interpreter import Run, predicted, run
from learnt.programs.program import Program


@final
@dataclass(frozen=True, kw_only=True)
class Votes:
    """What each variable adds to each logit, for an input of n tokens.

    Attributes:
        labels: of the columns.
        pool: whether the program averages over the tokens.
        by_variable: (n, n_labels) for each variable that votes, in the order in which they are summed.
    """

    labels: tuple[str, ...]
    pool: bool
    by_variable: FrozenMap[tuple[tuple[float, ...], ...]]

    def at(self, variable: str, position: int | None) -> tuple[float, ...]:
        """(n_labels,) votes of a variable at a position, or their mean (None).

        Args:
            variable: that votes.
            position: counted from 0; None: the mean over the input.
        """
        rows = self.by_variable[variable]
        if position is not None:
            return rows[position]
        return tuple(math.fsum(column) / len(rows) for column in zip(*rows, strict=True))


class Part(NamedTuple):
    """What one variable adds to a margin.

    Attributes:
        variable: its name.
        value: its token, position or number; None where it is averaged over an input.
        label, instead: its votes for the two labels.
        difference: label - instead.
    """

    variable: str
    value: str | int | None
    label: float
    instead: float
    difference: float


@final
@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a label, and not another one.

    Attributes:
        position: of the token that is labelled; None if the program pools.
        token: there, as the program read it; empty if the program pools.
        label, instead: the two labels.
        logits: theirs.
        margin: how much `label` leads: the sum of the differences of `parts`, rounded once.
        parts: of the variables that vote, in stream order.
        by_position: of a program that pools, what each token adds to the margin; else empty.
        masked: those of the two labels that are never predicted, whatever their votes.
    """

    position: int | None
    token: str
    label: str
    instead: str
    logits: tuple[float, float]
    margin: float
    parts: tuple[Part, ...]
    by_position: tuple[float, ...] = ()
    masked: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The parts as a table, those that speak most for the label first."""
        where = "" if self.position is None else f" at position {self.position} ({shown(self.token, 30)})"
        first, second = number(self.logits[0]), number(self.logits[1])
        lines = [f"Why {shown(self.label, 30)} and not {shown(self.instead, 30)}{where}?"]
        lines += [f"{shown(label, 30)} is masked: never predicted, whatever its votes." for label in self.masked]
        rows = [
            (
                part.variable,
                "mean" if part.value is None else shown(part.value, 24),
                number(part.difference, signed=True),
                f"{number(part.label)} against {number(part.instead)}",
            )
            for part in sorted(self.parts, key=lambda part: -part.difference)
        ]
        rows.append(("margin", "", number(self.margin, signed=True), f"{first} against {second}"))
        widths = [max(columns(row[i]) for row in rows) for i in range(3)]
        for name, value, difference, both in rows:
            left = name + " " * (widths[0] - columns(name)) + "  " + value + " " * (widths[1] - columns(value))
            lines.append(f"  {left}  {' ' * (widths[2] - columns(difference))}{difference}  ({both})")
        return "\n".join(lines)

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "position": self.position,
            "token": self.token,
            "label": self.label,
            "instead": self.instead,
            "logits": list(self.logits),
            "margin": self.margin,
            "parts": [part._asdict() for part in self.parts],
            "by_position": list(self.by_position),
            "masked": list(self.masked),
        }


def votes(program: Program, run: Run) -> Votes:
    """What each variable adds to each logit.

    Args:
        program: to ask.
        run: of this program (`learnt.programs.interpreter.run`).

    Summed in order from 0.0, the votes at a position have the bits of its logits.

    Raises:
        InputError: a run of a program with other variables.
    """
    names = (*program.categorical, *program.numerical)
    if set(run.variables) != set(names):
        odd = sorted(set(run.variables) ^ set(names))
        raise InputError(
            "run", found=f"a run that differs in the variables {short(odd)}", expected="a run of this program"
        )
    found = {}
    for name, table in program.classifier.items():
        if name in program.cardinality:
            found[name] = tuple(tuple(table[value]) for value in run.variables[name])
        else:
            found[name] = tuple(tuple(weight * value for weight in table) for value in run.variables[name])
    return Votes(labels=program.labels, pool=program.pool, by_variable=FrozenMap(found))


def top_two(program: Program, logits: Sequence[float]) -> tuple[int, ...]:
    """The ids of the predicted label and of the next best; one id if no other may be predicted.

    Args:
        program: whose labels these are.
        logits: (n_labels,).
    """
    best = predicted(program, logits)
    rest = [label for label in range(len(program.labels)) if label != best and label not in program.masked_labels]
    return (best, max(rest, key=lambda label: logits[label])) if rest else (best,)


def why(
    program: Program,
    tokens: Sequence[str],
    position: int | None,
    label: str | None = None,
    instead: str | None = None,
    *,
    unknown: str = "auto",
) -> Why:
    """Why `label` and not `instead`: the margin between them, by variable.

    Args:
        program: to ask.
        tokens: the input, beginning-of-sequence token included.
        position: of the token that is labelled; None if the program pools.
        label: by default the predicted one.
        instead: by default the next best, or the best if that is not `label`.
        unknown: what to do with a token outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError: an input that the program cannot take, a position outside it, labels that do not exist or are one.
    """
    ran = run(program, tokens, unknown=unknown)
    return why_of(program, ran, votes(program, ran), position, label, instead)


def why_of(
    program: Program, run: Run, votes: Votes, position: int | None, label: str | None = None, instead: str | None = None
) -> Why:
    """`why` for an input that has been run; errors as there."""
    if program.pool and position is not None:
        raise InputError(
            "position", found=f"{short(position)}, and a program that pools", expected="None: one answer an input"
        )
    if not program.pool:
        position = integer(position, "position", 0, len(run.tokens) - 1)
    row = run.logits[position or 0]
    best = top_two(program, row)
    first = best[0] if label is None else _label(program, label, "label")
    if instead is not None:
        second = _label(program, instead, "instead")
    elif first != best[0]:
        second = best[0]
    elif len(best) > 1:
        second = best[1]
    else:
        raise InputError("instead", found="no other label that may be predicted", expected="a label, masked or not")
    if first == second:
        raise InputError("instead", found=f"{short(program.labels[first])} twice", expected="two different labels")

    kind = kinds(program)
    parts = []
    for name in votes.by_variable:
        at = votes.at(name, position)
        value = None if position is None else spelled(program, kind[name], run.variables[name][position])
        parts.append(Part(name, value, at[first], at[second], at[first] - at[second]))
    by_position: tuple[float, ...] = ()
    if position is None:
        n = len(run.tokens)
        tables = votes.by_variable.values()
        by_position = tuple(math.fsum(t[i][first] - t[i][second] for t in tables) / n for i in range(n))
    return Why(
        position=position,
        token="" if position is None else run.tokens[position],
        label=program.labels[first],
        instead=program.labels[second],
        logits=(row[first], row[second]),
        margin=math.fsum(part.difference for part in parts),
        parts=tuple(parts),
        by_position=by_position,
        masked=tuple(program.labels[y] for y in (first, second) if y in program.masked_labels),
    )


def _label(program: Program, label: str, name: str) -> int:
    if label not in program.labels:
        from difflib import get_close_matches

        near = get_close_matches(str(label)[:60], program.labels, n=3, cutoff=0.0)
        raise InputError(name, found=short(label), expected=f"a label, such as {', '.join(map(short, near))}")
    return program.labels.index(label)
