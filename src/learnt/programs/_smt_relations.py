"""What a program may be asked to be: relations between its input and its answers, as z3 constraints.

    sorted     no answer comes after a later one in the order of text, and each letter is answered as often as it occurs
    reversed   the answer at the p-th letter is the p-th letter from the end
    count      the answer at a letter is how often it occurs among the letters

Letters are what stands between the marks: `<s>` first and `</s>` last, where the vocabulary has them. Answers at the
marks are not asked about. A relation of your own is a function of `Symbols`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

from learnt.core.errors import InputError
from learnt.programs.program import PAD, UNKNOWN, Program

START, END = "<s>", "</s>"
Allowed = tuple[tuple[str, ...], ...]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Symbols:
    """An input of unknown tokens and a program's answers to it, as z3 expressions.

    Attributes:
        program: that answers.
        allowed: the tokens that each position may have.
        tokens: ids in the vocabulary, a bit-vector a position.
        answers: ids in `labels`, a bit-vector a position (one, if the program pools).
    """

    program: Program
    allowed: Allowed
    tokens: Sequence[Any]
    answers: Sequence[Any]

    @property
    def letters(self) -> range:
        """Positions between the marks."""
        first = int(self.allowed[0] == (START,))
        return range(first, len(self.allowed) - int(self.allowed[-1] == (END,) and len(self.allowed) > first))

    def is_token(self, position: int, token: str) -> Any:
        """That this token stands at a position; false for one that may not stand there."""
        import z3

        if token not in self.allowed[position]:
            return z3.BoolVal(False)
        return self.tokens[position] == self.program.vocab.index(token)

    def answers_with(self, position: int, label: str) -> Any:
        """That the program's answer at a position is this label; false for one that it does not have."""
        import z3

        if label not in self.program.labels:
            return z3.BoolVal(False)
        return self.answers[position] == self.program.labels.index(label)


Relation = Callable[[Symbols], Any]


def layout(program: Program, length: int) -> Allowed:
    """The tokens of each position of a marked input: `<s>`, letters, `</s>`, as far as the vocabulary has the marks.

    Raises:
        InputError: no room for a letter, or no letter in the vocabulary.
    """
    letters = tuple(token for token in program.vocab if token not in (PAD, START, END, UNKNOWN))
    first = (START,) if START in program.vocab else ()
    last = (END,) if END in program.vocab else ()
    inner = length - len(first) - len(last)
    if inner < 1 or not letters:
        raise InputError(
            "length", found=str(length), expected=f"at least {1 + len(first) + len(last)}, marks and one letter"
        )
    return (*((mark,) for mark in first), *[letters] * inner, *((mark,) for mark in last))


def is_sorted(symbols: Symbols) -> Any:
    """The answers are the letters in the order of text."""
    import z3

    places = symbols.letters
    letters = sorted({token for i in places for token in symbols.allowed[i]})
    parts = []
    for i, j in pairwise(places):
        for rank, late in enumerate(letters):
            early = [symbols.answers_with(j, letter) for letter in letters[:rank]]
            parts.append(z3.Not(z3.And(symbols.answers_with(i, late), z3.Or(early))))
    for letter in letters:
        asked = _totals([symbols.is_token(i, letter) for i in places])
        given = _totals([symbols.answers_with(i, letter) for i in places])
        parts += [a == b for a, b in zip(asked, given, strict=True)]
    return z3.And(parts)


def is_reversed(symbols: Symbols) -> Any:
    """The answers are the letters from the last to the first."""
    import z3

    places = symbols.letters
    return z3.And(
        [
            z3.Implies(symbols.is_token(j, token), symbols.answers_with(i, token))
            for i, j in zip(places, reversed(places), strict=True)
            for token in symbols.allowed[j]
        ]
    )


def is_count(symbols: Symbols) -> Any:
    """The answer at each letter is how often it occurs."""
    import z3

    places = symbols.letters
    parts = []
    for i in places:
        alike = [
            z3.Or([z3.And(symbols.is_token(i, letter), symbols.is_token(j, letter)) for letter in symbols.allowed[i]])
            for j in places
        ]
        for number, condition in enumerate(_totals(alike)[1:], 1):
            parts.append(z3.Implies(condition, symbols.answers_with(i, str(number))))
    return z3.And(parts)


def relation(name: str) -> Relation:
    """A relation by name.

    Raises:
        InputError: there is no such relation.
    """
    if name == "sorted":
        return is_sorted
    if name == "reversed":
        return is_reversed
    if name == "count":
        return is_count
    raise InputError(
        "specification", found=repr(name)[:60], expected='"sorted", "reversed", "count", a Program or a function'
    )


def _totals(conditions: Sequence[Any]) -> list[Any]:
    """That none, exactly one, two, ... of the conditions hold: a running sum, as programs write theirs."""
    import z3

    totals = [z3.BoolVal(True)]
    for condition in conditions:
        more = [z3.And(total, condition) for total in totals]
        same = [z3.And(total, z3.Not(condition)) for total in totals]
        totals = [same[0], *[z3.Or(a, b) for a, b in zip(same[1:], more, strict=False)], more[-1]]
    return totals
