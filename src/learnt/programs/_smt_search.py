"""The search for an input that breaks a specification, with Z3, each candidate tried on the program itself.

A candidate that the program gets right (two labels were nearly tied, and the bound on rounding could not tell) is
excluded, and the search goes on: it excludes one input, about which nothing is left to prove. Among counterexamples
the first in the order of ids is wanted, so smaller ids are tried place by place while there is time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError, require_extra
from learnt.programs import _smt_terms as terms
from learnt.programs._smt_encoding import Encoding, token_width, unknown_tokens
from learnt.programs._smt_relations import Relation, Symbols
from learnt.programs.evaluator import Batch, evaluate
from learnt.programs.program import Program

Answer = Literal["proved", "counterexample", "unknown"]
Labels = tuple[str, ...]


class Verdict(NamedTuple):
    """What the evaluator says about one input."""

    breaks: bool
    answers: Labels | None
    expected: Labels | None = None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One question.

    Attributes:
        constraints: hold for an input that breaks the specification, and perhaps for others.
        tokens: unknowns, one a position; `rows` the ids that each may have.
        judge: the evaluator's verdict on one input.
    """

    constraints: Sequence[Any]
    tokens: Sequence[Any]
    rows: Sequence[Sequence[int]]
    judge: Callable[[Sequence[int]], Verdict]


@final
@dataclass(frozen=True, kw_only=True)
class Found:
    """What the search ended with; see `learnt.programs.smt.Proof`."""

    answer: Answer
    reason: str
    ids: tuple[int, ...] | None = None
    answers: Labels | None = None
    expected: Labels | None = None
    first: bool = False
    put_aside: int = 0


def solver_module() -> ModuleType:
    """The package z3.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import z3
    except ImportError as error:
        raise require_extra("z3-solver", "smt") from error
    return z3


class Reading:
    """Programs on the same unknown input, read by the solver."""

    def __init__(self, z3: ModuleType, program: Program, rows: Sequence[Sequence[int]]) -> None:
        self.z3 = z3
        self.script = terms.Script()
        self.inputs = unknown_tokens(self.script, program, rows)
        self.tokens = [z3.BitVec(f"token.{i}", token_width(program)) for i in range(len(rows))]

    def add(self, program: Program, inputs: Sequence[terms.Values], prefix: str) -> tuple[list[Any], Any]:
        """(the answers as unknowns, whether there are any) of a program."""
        encoding, answers = Encoding(self.script, program, inputs, prefix), []
        for i, output in enumerate(encoding.outputs):
            sort = f"(_ BitVec {encoding.label_width})"
            self.script.claim(f"(= {self.script.declare(f'{prefix}answer.{i}', sort)} {output})")
            answers.append(self.z3.BitVec(f"{prefix}answer.{i}", encoding.label_width))
        self.script.claim(f"(= {self.script.declare(f'{prefix}answers', 'Bool')} {encoding.answered})")
        return answers, self.z3.Bool(f"{prefix}answers")

    def constraints(self) -> list[Any]:
        """Everything that was written."""
        return list(self.z3.parse_smt2_string("\n".join(self.script.lines)))


def against_program(
    z3: ModuleType, program: Program, other: Program, rows: Sequence[Sequence[int]], *, named: bool
) -> Case:
    """Whether two programs answer alike; `named` says that the user chose the tokens.

    Raises:
        InputError: programs that cannot be compared on these inputs.
    """
    if program.pool != other.pool:
        raise InputError("specification", found="one that pools beside one that does not", expected="the same kind")
    if len(rows) > other.n_ctx:
        raise InputError("length", found=str(len(rows)), expected=f"at most n_ctx = {other.n_ctx} of the specification")
    ids = {token: v for v, token in enumerate(other.vocab) if v or not other.padded}
    missing = sorted({program.vocab[v] for row in rows for v in row} - set(ids))
    if missing or (not named and len(ids) != len(set().union(*rows))):
        raise InputError(
            "specification",
            found=f"a program with other tokens ({', '.join(map(repr, missing[:3])) or 'more of them'})",
            expected="the same vocabulary",
            remedy="Name the tokens that inputs may have with allowed=.",
        )
    reading = Reading(z3, program, rows)
    ones, one_answers = reading.add(program, reading.inputs, "a.")
    renamed = [{ids[program.vocab[v]]: term for v, term in here.items()} for here in reading.inputs]
    twos, two_answers = reading.add(other, renamed, "b.")
    shared = [(y, other.labels.index(label)) for y, label in enumerate(program.labels) if label in other.labels]
    alike = z3.And([z3.Or([z3.And(a == y, b == z) for y, z in shared]) for a, b in zip(ones, twos, strict=True)])
    differ = z3.Or(one_answers != two_answers, z3.And(one_answers, z3.Not(alike)))

    def judge(input_ids: Sequence[int]) -> Verdict:
        answers = answers_to(program, input_ids)
        expected = answers_to(other, [ids[program.vocab[v]] for v in input_ids])
        return Verdict(answers != expected, answers, expected)

    return Case(constraints=[*reading.constraints(), differ], tokens=reading.tokens, rows=rows, judge=judge)


def against_relation(z3: ModuleType, program: Program, wanted: Relation, rows: Sequence[Sequence[int]]) -> Case:
    """Whether a relation holds between inputs and answers.

    Raises:
        InputError: the relation is no constraint, or speaks of other unknowns.
    """
    reading = Reading(z3, program, rows)
    outputs, answered = reading.add(program, reading.inputs, "")
    allowed = tuple(tuple(program.vocab[v] for v in row) for row in rows)
    try:
        holds = wanted(Symbols(program=program, allowed=allowed, tokens=reading.tokens, answers=outputs))
    except (TypeError, AttributeError) as error:  # an oracle of tokens, most likely
        raise InputError(
            "specification",
            found=f"a function that fails on symbols ({str(error):.80})",
            expected="one that takes Symbols and returns a z3 constraint",
            remedy="A function from tokens to labels is compared by `check` or `verify`.",
        ) from error
    if isinstance(holds, bool):
        holds = z3.BoolVal(holds)
    if not z3.is_bool(holds):
        raise InputError("specification", found=f"a function that returns {holds!r:.60}", expected="a z3 constraint")

    def judge(input_ids: Sequence[int]) -> Verdict:
        answers = answers_to(program, input_ids)
        if answers is None:
            return Verdict(True, None)
        labels = [program.labels.index(label) for label in answers]
        values = [*zip(reading.tokens, input_ids, strict=True), *zip(outputs, labels, strict=True)]
        truth = z3.simplify(z3.substitute(holds, *[(x, z3.BitVecVal(v, x.size())) for x, v in values]))
        if not (z3.is_true(truth) or z3.is_false(truth)):
            raise InputError(
                "specification",
                found=f"a constraint with other unknowns ({str(truth):.60})",
                expected="one on symbols.tokens and symbols.answers",
            )
        return Verdict(z3.is_false(truth), answers)

    judge([row[0] for row in rows])  # faults of the relation are told before any search
    broken = z3.Or(z3.Not(answered), z3.Not(holds))
    return Case(constraints=[*reading.constraints(), broken], tokens=reading.tokens, rows=rows, judge=judge)


def answers_to(program: Program, ids: Sequence[int]) -> Labels | None:
    """The evaluator's labels for one input; None if a numerical MLP has no answer."""
    batch = Batch(ids=np.array([ids], dtype=np.int64), lengths=np.array([len(ids)], dtype=np.int64))
    try:
        return evaluate(program, batch).labels[0]
    except InputError:
        return None


def search(z3: ModuleType, case: Case, deadline: float) -> Found:
    """A counterexample, that there is none, or that the time is over; `deadline` on the monotonic clock."""
    solver = z3.SolverFor("QF_BV")
    solver.add(*case.constraints)
    put_aside = 0

    def ask(*wanted: Any) -> tuple[Any, tuple[int, ...], Verdict | None]:
        nonlocal put_aside
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return z3.unknown, (), None
            solver.set("timeout", max(1, int(1000 * left)))
            status = solver.check(*wanted)
            if status != z3.sat:
                return status, (), None
            model = solver.model()
            ids = tuple(model.eval(x, model_completion=True).as_long() for x in case.tokens)
            verdict = case.judge(ids)
            if verdict.breaks:
                return status, ids, verdict
            put_aside += 1
            solver.add(z3.Or([x != v for x, v in zip(case.tokens, ids, strict=True)]))

    status, ids, verdict = ask()
    if status == z3.unsat:
        return Found(answer="proved", reason="no input of this length breaks the specification", put_aside=put_aside)
    if verdict is None:
        reason = f"no answer in the given time ({solver.reason_unknown()})"
        return Found(answer="unknown", reason=reason, put_aside=put_aside)
    first = True
    for place, row in enumerate(case.rows):
        for value in row:
            if value >= ids[place] or not first:
                break
            fixed = [x == v for x, v in zip(case.tokens, (*ids[:place], value), strict=False)]
            status, smaller, better = ask(*fixed)
            first = first and status != z3.unknown
            if better is not None:
                ids, verdict = smaller, better
    return Found(
        answer="counterexample",
        reason="an input breaks the specification, as the evaluator confirms",
        ids=ids,
        answers=verdict.answers,
        expected=verdict.expected,
        first=first,
        put_aside=put_aside,
    )
