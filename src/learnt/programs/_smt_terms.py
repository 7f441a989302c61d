"""SMT-LIB 2 text over truth values and bit-vectors: folded while it is written, and never the same term twice.

A term is a string. `true`, `false` and names fold; a defined name stands for every later term with the same text, so
that heads with one predicate for all positions, or MLPs on equal inputs, are written and solved once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

TRUE, FALSE = "true", "false"
Values = Mapping[int, str]  # possible value -> the condition under which a variable has it


def conjunction(terms: Iterable[str]) -> str:
    """All of them."""
    parts = list(dict.fromkeys(term for term in terms if term != TRUE))
    if FALSE in parts:
        return FALSE
    return TRUE if not parts else parts[0] if len(parts) == 1 else f"(and {' '.join(parts)})"


def disjunction(terms: Iterable[str]) -> str:
    """Any of them."""
    parts = list(dict.fromkeys(term for term in terms if term != FALSE))
    if TRUE in parts:
        return TRUE
    return FALSE if not parts else parts[0] if len(parts) == 1 else f"(or {' '.join(parts)})"


def negation(term: str) -> str:
    """Not this."""
    return {TRUE: FALSE, FALSE: TRUE}.get(term, f"(not {term})")


def within(values: Values, wanted: Iterable[int]) -> str:
    """That a variable has one of these values; `true` if it can have no other."""
    among = set(wanted)
    chosen = [value for value in values if value in among]
    return TRUE if len(chosen) == len(values) else disjunction(values[value] for value in chosen)


def bits(value: int, width: int) -> str:
    """An integer as a bit-vector, in two's complement."""
    return f"#b{value % (1 << width):0{width}b}"


def choice(cases: Iterable[tuple[str, str]]) -> str:
    """The term of the first condition that holds; the last condition is taken to hold."""
    rows = list(cases)
    text = rows[-1][1]
    for condition, term in reversed(rows[:-1]):
        if term != text and condition != FALSE:
            text = term if condition == TRUE else f"(ite {condition} {term} {text})"
    return text


def addition(terms: Iterable[str], width: int) -> str:
    """The sum, modulo 2^width; zeros are left out."""
    zero = bits(0, width)
    parts = [term for term in terms if term != zero]
    return zero if not parts else parts[0] if len(parts) == 1 else f"(bvadd {' '.join(parts)})"


class Script:
    """Definitions in order, each name once, each term once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._known: dict[str, str] = {}
        self._written: dict[str, str] = {}

    def comment(self, text: str) -> None:
        """A line that solvers skip."""
        self.lines.append(f"; {text}")

    def declare(self, name: str, sort: str) -> str:
        """A new unknown."""
        self.lines.append(f"(declare-const {name} {sort})")
        return name

    def claim(self, term: str) -> None:
        """Something that holds."""
        if term != TRUE:
            self.lines.append(f"(assert {term})")

    def once(self, key: str, write: Callable[[], str]) -> str:
        """The name that `write` returned when it was first called for this key."""
        if key not in self._written:
            self._written[key] = write()
        return self._written[key]

    def define(self, name: str, term: str, sort: str = "Bool", *, always: bool = False) -> str:
        """A name for a term, or what is already called so; constants and names stay what they are.

        Args:
            name: to use; must be new.
            term: to be named.
            sort: of the term.
            always: write the definition even where a shorter text would do, because readers look for the name.
        """
        if not always:
            if not term.startswith("("):
                return term
            if term in self._known:
                return self._known[term]
        self.lines.append(f"(define-fun {name} () {sort} {term})")
        self._known.setdefault(term, name)
        return name
