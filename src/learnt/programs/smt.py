"""Is a program right on every input of a length, too many to list? Text for solvers, and proofs with Z3.

    to_smt    the program on all inputs of exactly n tokens, as SMT-LIB 2 in the logic QF_BV; needs no solver
    prove     "proved"          no such input breaks the specification: program and negated specification together
                                have no solution
              "counterexample"  an input that does, run through the evaluator before it is reported; the first in the
                                order of the vocabulary where the time allows
              "unknown"         the time ran out

Everything in a program is finite but its votes, which are sums of floats. `learnt.programs._smt_votes` puts them on a
grid of integers: exact where float sums are exact, as for weights that are small multiples of a power of two. Where
float sums round, as for most trained classifiers, the text allows each label within a proven bound of the highest,
and an input on which only such a label breaks the specification is tried on the program and put aside. So "proved"
and "counterexample" are statements about the program as it is evaluated, ties and rounding included.

Others parse the printed Python to reach a solver (github.com/greshnikovps/TransformerProgramsVerification); here
the representation is translated, and the translation is what is proved about. The solver itself is trusted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, final

from learnt.core.errors import InputError
from learnt.programs import _smt_terms as terms
from learnt.programs._smt_encoding import Encoding, unknown_tokens
from learnt.programs._smt_relations import Relation, layout, relation
from learnt.programs._smt_relations import Symbols as Symbols
from learnt.programs._smt_search import Answer, Case, against_program, against_relation, search, solver_module
from learnt.programs.program import Program
from learnt.programs.tokens import Vocabulary


@final
@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a solver found out.

    Attributes:
        answer: "proved", "counterexample" or "unknown".
        length: of the inputs, in tokens, marks included.
        inputs: how many inputs the statement is about.
        counterexample: tokens of one that breaks the specification, as the evaluator confirmed.
        found: the program's answers to it; None if the program has none (a numerical MLP without an answer).
        expected: the other program's answers to it, if the specification is a program.
        first: whether no counterexample comes before it in the order of the vocabulary.
        put_aside: inputs with nearly tied votes that only the bound on rounding suspected.
        seconds: spent.
        reason: in words.
    """

    answer: Answer
    length: int
    inputs: int
    counterexample: tuple[str, ...] | None = None
    found: tuple[str, ...] | None = None
    expected: tuple[str, ...] | None = None
    first: bool = False
    put_aside: int = 0
    seconds: float = 0.0
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.answer}: {self.reason} ({self.seconds:.2f} s)"

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        tokens = {name: getattr(self, name) for name in ("counterexample", "found", "expected")}
        return {
            "answer": self.answer,
            "length": self.length,
            "inputs": self.inputs,
            **{name: None if value is None else list(value) for name, value in tokens.items()},
            "first": self.first,
            "put_aside": self.put_aside,
            "seconds": self.seconds,
            "reason": self.reason,
        }


def to_smt(
    program: Program,
    length: int,
    *,
    path: str | os.PathLike[str] | None = None,
    allowed: Sequence[Sequence[str]] | None = None,
) -> str:
    """The program on all inputs of `length` tokens as SMT-LIB 2, logic QF_BV; the same text for equal programs.

    Unknowns are `token.i`, ids in the vocabulary; `prediction.i` are ids of labels, `answered` is false where the
    evaluator has no answer. Add a negated specification and `(check-sat)`. Where votes are not exact (a comment says
    so), a prediction is any label that rounding could make the highest.

    Args:
        program: to translate.
        length: of the inputs, in tokens, marks included.
        path: also write it to this file, atomically.
        allowed: the tokens that each position may have; by default the whole vocabulary without padding.

    Raises:
        InputError: a length that the program does not take, tokens that it does not know.
        NotApplicable: a numerical MLP with too many values to tabulate.
        StorageError: the file cannot be written.
    """
    script = terms.Script()
    rows = _allowed(program, length, allowed)
    for line in _heading(program, length):
        script.comment(line)
    script.lines.append("(set-logic QF_BV)")
    encoding = Encoding(script, program, unknown_tokens(script, program, rows))
    script.comment(f"votes are {_exactness(encoding)}")
    text = "\n".join(script.lines) + "\n"
    if path is not None:
        from learnt.io.atomic import write_text

        write_text(path, text)
    return text


def prove(
    program: Program,
    specification: Program | str | Relation,
    length: int,
    *,
    timeout: float = 60.0,
    allowed: Sequence[Sequence[str]] | None = None,
) -> Proof:
    """Whether a program meets a specification on every input of `length` tokens.

    Args:
        program: to prove something about.
        specification: another program (the same answers), ``"sorted"``, ``"reversed"`` or ``"count"`` (see
            `learnt.programs._smt_relations`), or a function that takes `Symbols` and returns a z3 constraint.
        length: of the inputs, in tokens, marks included.
        timeout: seconds for everything; the answer is "unknown" when they are over.
        allowed: the tokens that each position may have; by default the marks and letters between them for a named
            relation, and the whole vocabulary without padding for the others.

    Raises:
        InputError: arguments without meaning; programs with different tokens, unless `allowed` names common ones.
        NotApplicable: as `to_smt`. MissingExtra: z3 is not installed (extra ``smt``).
    """
    begin = time.monotonic()
    z3 = solver_module()
    if isinstance(timeout, bool) or not timeout > 0:
        raise InputError("timeout", found=repr(timeout), expected="a positive number of seconds")
    if allowed is None and isinstance(specification, str):
        relation(specification)
        allowed = layout(program, length)
    rows = _allowed(program, length, allowed)
    if isinstance(specification, Program):
        case: Case = against_program(z3, program, specification, rows, named=allowed is not None)
    else:
        case = against_relation(z3, program, _relation(specification), rows)
    found = search(z3, case, begin + timeout)
    return Proof(
        answer=found.answer,
        length=length,
        inputs=prod(len(ids) for ids in rows),
        counterexample=None if found.ids is None else tuple(program.vocab[v] for v in found.ids),
        found=found.answers,
        expected=found.expected,
        first=found.first,
        put_aside=found.put_aside,
        seconds=time.monotonic() - begin,
        reason=found.reason,
    )


def _relation(specification: Any) -> Relation:
    return specification if callable(specification) else relation(specification)


def _allowed(program: Program, length: int, allowed: Sequence[Sequence[str]] | None) -> list[list[int]]:
    """Ids of the tokens that each position may have, ascending."""
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= program.n_ctx:
        raise InputError("length", found=repr(length), expected=f"1 to n_ctx = {program.n_ctx}")
    if allowed is None:
        return [list(range(1 if program.padded else 0, len(program.vocab)))] * length
    if isinstance(allowed, str) or len(allowed) != length:
        raise InputError("allowed", found=f"{len(allowed)} positions", expected=f"{length}, one a token")
    vocabulary, rows = Vocabulary(program, unknown="error"), []
    for i, row in enumerate(allowed):
        if isinstance(row, str) or not row:
            raise InputError(f"allowed[{i}]", found=repr(row)[:60], expected="a list of at least one token")
        rows.append(sorted({vocabulary.ids([token], name=f"allowed[{i}]")[0] for token in row}))
    return rows


def _heading(program: Program, length: int) -> list[str]:
    shown = [
        f"{kind} {json.dumps(list(names))}" for kind, names in (("tokens", program.vocab), ("labels", program.labels))
    ]
    return [f"a transformer program on inputs of {length} tokens; ids count from 0", *shown]


def _exactness(encoding: Encoding) -> str:
    grid = encoding.votes
    if not grid.slack:
        return f"exact, in steps of {grid.unit}"
    near = float(grid.slack * grid.unit)
    return f"rounded, in steps of {grid.unit}; labels within {near:.3g} of the highest are all possible predictions"
