"""What is the shortest program that still says the same? Passes over a program, each verified on the whole domain.

Removed are constants, modules that say what another variable says, modules and votes that decide nothing, modules
nobody reads; rewritten are predicates, tables and votes (spec 6.5; arXiv 2306.01128, appendix A.3, only prints more
briefly). Every pass is checked against the original on every input of the domain, or on a sample where it cannot be
listed, and undone if one prediction differs. The passes repeat until none of them changes anything; each must lower
`Size`, so a program never grows and simplifying twice is simplifying once.

`keep="predictions"` changes no prediction on the domain. `keep="accuracy"` asks which few modules are enough for the
accuracy there was, less `budget`, on training and on validation examples, with the votes fitted again and heads that
may ask simpler questions (`_simplify_select`, `_simplify_prune`); then come the passes. Test examples are not looked
at, unless `repair` lets counterexamples from the whole domain correct the short program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.programs._frozen import short
from learnt.programs._inputs import Inputs, asked
from learnt.programs._simplify_ablate import moved_votes, without_modules, without_votes
from learnt.programs._simplify_constants import constants
from learnt.programs._simplify_edits import Edit, applied
from learnt.programs._simplify_judge import Judge
from learnt.programs._simplify_merge import merges
from learnt.programs._simplify_predicates import predicates
from learnt.programs._simplify_size import Size, size
from learnt.programs._simplify_tables import tables
from learnt.programs._simplify_view import View, distinct, view
from learnt.programs._simplify_votes import clean_votes, rounded_votes
from learnt.programs._verify_bits import bits
from learnt.programs.evaluator import Batch
from learnt.programs.program import Program
from learnt.programs.task import Task
from learnt.programs.task_domain import ENUMERABLE

if TYPE_CHECKING:
    from learnt.programs._simplify_prune import Accuracy, Examples

Pass = Callable[[View, Judge], tuple[Program, tuple[str, ...]]]


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """One pass that changed something.

    Attributes:
        name: of the pass.
        notes: what it did.
        inputs: on how many inputs the result was compared with the original.
        exhaustive: whether these are all inputs of the domain.
        accuracy: token accuracy on training and validation examples afterwards, where the step may cost some.
    """

    name: str
    notes: tuple[str, ...]
    inputs: int
    exhaustive: bool
    accuracy: float | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Simplified:
    """A program, and the shorter one made of it.

    Attributes:
        original, program: before and after.
        before, after: their sizes.
        bits: the lengths of their descriptions (`learnt.programs.size.Stats.bits`).
        steps: what was done, in order.
        inputs: how many inputs the claim is about.
        exhaustive: whether these are all inputs of the domain.
        keep: what was kept.
        accuracy: with ``keep="accuracy"``, token accuracy on training and validation examples before and after.
        known: modules of the program for the same task in `learnt.programs.library`; None if it has none.
    """

    original: Program
    program: Program
    before: Size
    after: Size
    bits: tuple[float, float]
    steps: tuple[Step, ...]
    inputs: int
    exhaustive: bool
    keep: str
    accuracy: tuple[float, float] | None = None
    known: int | None = None

    @cached_property
    def lines(self) -> tuple[int, int]:
        """Lines of code in the exported Python files, before and after (`learnt.programs.size.Stats.lines`)."""
        from learnt.programs.python_export import count_lines, to_python

        return count_lines(to_python(self.original)), count_lines(to_python(self.program))

    def __str__(self) -> str:
        b, a = self.before, self.after
        by_hand = "" if self.known is None else f" (by hand: {self.known})"
        lines = [
            f"modules {b.modules} -> {a.modules}{by_hand}, branches {b.branches:,} -> {a.branches:,}, "
            f"lines {self.lines[0]:,} -> {self.lines[1]:,}, layers {b.layers} -> {a.layers}, "
            f"classifier rows {b.rows} -> {a.rows}, votes {b.votes:,} -> {a.votes:,}, "
            f"bits {self.bits[0]:,.0f} -> {self.bits[1]:,.0f}"
        ]
        how = f"all {self.inputs:,} inputs of the domain" if self.exhaustive else f"{self.inputs:,} inputs"
        if self.keep == "predictions":
            lines.append(f"every prediction kept on {how}")
        elif self.accuracy is not None:
            lines.append(
                f"accuracy {self.accuracy[0]:.4f} -> {self.accuracy[1]:.4f} (training and validation examples)"
            )
        for step in self.steps:
            shown = "; ".join(step.notes[:4]) + (f"; and {len(step.notes) - 4} more" if len(step.notes) > 4 else "")
            lines.append(f"  {step.name}: {shown}")
        return "\n".join(lines)

    def to_fields(self) -> dict[str, Any]:
        """Everything but the programs, as JSON can hold it."""
        return {
            "before": asdict(self.before),
            "after": asdict(self.after),
            "lines": list(self.lines),
            "bits": list(self.bits),
            "steps": [asdict(step) | {"notes": list(step.notes)} for step in self.steps],
            "inputs": self.inputs,
            "exhaustive": self.exhaustive,
            "keep": self.keep,
            "accuracy": None if self.accuracy is None else list(self.accuracy),
            "known": self.known,
        }


def simplify(
    program: Program,
    domain: Inputs,
    *,
    keep: str = "predictions",
    budget: float = 0.0,
    rewrite: bool = True,
    repair: bool = False,
    split_seed: int = 0,
    task: Task | None = None,
    scored: bool = True,
    digits: bool = True,
    most: int = ENUMERABLE,
    samples: int = 10_000,
    seed: int = 0,
    unknown: str = "auto",
) -> Simplified:
    """A shorter program that answers alike on a domain.

    Args:
        program: to simplify.
        domain: the inputs on which it must answer alike.
        keep: ``"predictions"``, or ``"accuracy"`` (which needs a task, as `task` or as `domain`).
        budget: with ``"accuracy"``, how much token accuracy may be lost on training and validation examples.
        rewrite: with ``"accuracy"``, whether heads may ask simpler questions; without, modules stay or go.
        repair: with ``"accuracy"`` and a task with an oracle, whether inputs of the domain that the shorter program
            gets wrong may correct its votes (`learnt.programs.counterexamples`); test inputs may be among them.
        split_seed: of the task's split into training, validation and test.
        task: says with `scored` which positions count, and with ``"accuracy"`` what is right.
        scored: whether predictions at positions that `task` does not score may change.
        digits: whether votes become small whole numbers.
        most: the largest domain that is run whole.
        samples, seed: how many inputs are drawn from a larger one, and from which stream.
        unknown: what to do with tokens outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError: inputs that the program cannot take, another `keep`, a budget outside 0 to 1, no task.
    """
    if keep not in ("predictions", "accuracy"):
        raise InputError("keep", found=short(keep), expected='"predictions" or "accuracy"')
    if not 0.0 <= budget < 1.0:
        raise InputError("budget", found=short(budget), expected="a share from 0 to 1")
    if keep == "predictions" and (budget or repair):
        raise InputError(
            "budget, repair", found=f"{short(budget)}, {repair}", expected='neither with keep="predictions"'
        )
    if keep == "accuracy" and task is None:
        if not isinstance(domain, Task):
            raise InputError("task", found="none", expected='a task, with keep="accuracy"')
        task = domain
    if repair and (task is None or task.oracle is None):
        raise NotApplicable("repair", found="a task without an oracle", expected="one that answers any input")
    from learnt.programs.library import known_size

    question = asked(program, domain, most=most, samples=samples, seed=seed, unknown=unknown)
    batch = distinct(question.batch)
    counted = None
    if task is not None and scored:
        counted = scored_positions(program, task, batch)
    loop = _Loop(batch=batch, counted=counted, exhaustive=question.exhaustive, digits=digits)
    accuracy, about = None, domain if isinstance(domain, Task) else task
    if keep == "accuracy" and task is not None:
        from learnt.programs._simplify_prune import examples

        known = examples(program, task, seed=split_seed)
        result, steps, accuracy = loop.prune(program, known, budget, rewrite=rewrite, repair=task if repair else None)
    else:
        result, steps = loop.run(program, digits=digits)
    return Simplified(
        original=program,
        program=result,
        before=size(program),
        after=size(result),
        bits=(sum(bits(program).values()), sum(bits(result).values())),
        steps=tuple(steps),
        inputs=len(batch),
        exhaustive=question.exhaustive,
        keep=keep,
        accuracy=accuracy,
        known=None if about is None else known_size(about),
    )


def scored_positions(program: Program, task: Task, batch: Batch) -> np.ndarray:
    """(B, N) bool: the positions that a task scores; by its oracle, else by its examples (all of an unknown input).

    Args:
        program: that encoded the inputs.
        task: that scores them.
        batch: B inputs of at most N tokens.
    """
    words = [tuple(program.vocab[i] for i in row[:n]) for row, n in zip(batch.ids, batch.lengths.tolist(), strict=True)]
    known = {} if task.oracle is not None else dict(zip(task.inputs, task.targets, strict=True))
    out = np.zeros(batch.ids.shape, bool)
    for row, tokens in enumerate(words):
        target = task.oracle(tokens) if task.oracle is not None else known.get(tokens)
        out[row, : len(tokens)] = True if target is None else [label in task.labels for label in target]
    return out


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Loop:
    batch: Batch
    counted: np.ndarray | None
    exhaustive: bool
    digits: bool  # in the end

    def passes(self, digits: bool) -> list[tuple[str, Pass]]:
        """In this order: what removes modules first, what only makes them read better last."""
        listed: list[tuple[str, Pass]] = [
            ("unread modules", _unread),
            ("constants", lambda seen, judge: applied(seen, constants(seen), judge)),
            ("equal modules", lambda seen, judge: applied(seen, merges(seen), judge)),
            ("votes without effect", without_votes),
            ("modules without effect", without_modules),
            ("votes of other variables", moved_votes),
            ("tables", lambda seen, judge: applied(seen, tables(seen, exhaustive=self.exhaustive), judge)),
            ("predicates", lambda seen, judge: applied(seen, predicates(seen), judge)),
            ("votes", clean_votes),
        ]
        return [*listed, ("digits", rounded_votes)] if digits else listed

    def run(self, program: Program, *, digits: bool) -> tuple[Program, list[Step]]:
        """The passes, again from the first after every change, until none changes anything."""
        judge = Judge(program, self.batch, self.counted)
        seen, steps, at = view(program, self.batch), [], 0
        passes = self.passes(digits)
        unchanged = 0
        while unchanged < len(passes):
            name, change = passes[at % len(passes)]
            result, notes = change(seen, judge)
            if result != seen.program:
                seen, unchanged = view(result, self.batch), 0
                steps.append(Step(name=name, notes=notes, inputs=len(self.batch), exhaustive=self.exhaustive))
            else:
                unchanged += 1
            at += 1
        return seen.program, steps

    def prune(
        self, program: Program, known: Examples, budget: float, *, rewrite: bool, repair: Task | None
    ) -> tuple[Program, list[Step], tuple[float, float]]:
        """A selection of modules, then single ones out and the passes, in turn, until nothing changes any more."""
        from learnt.programs._simplify_prune import Accuracy, pruned
        from learnt.programs._simplify_select import selected

        before = known.accuracy(program)
        floor = Accuracy(before.train - budget, before.validation - budget)
        steps: list[Step] = []

        def noted(name: str, changed: Program, notes: tuple[str, ...]) -> Program:
            accuracy = known.overall(changed)
            steps.append(Step(name=name, notes=notes, inputs=len(known), exhaustive=False, accuracy=accuracy))
            return changed

        current = program
        few = selected(program, known, floor, rewrite=rewrite)
        if few is not None and known.reaches(few.program, floor) and size(few.program) < size(program):
            current = noted("selection", few.program, few.notes(program))
        current = self._within(current, known, floor, steps, digits=False)  # fits do not begin at large numbers
        while True:
            before_round = current
            while True:
                shorter, notes = pruned(view(current, self.batch), known, floor)
                if not notes:
                    break
                current = noted("pruning", shorter, notes)
            if current is before_round:
                break
            current = self._within(current, known, floor, steps, digits=False)
        if repair is not None:
            from learnt.programs.counterexamples import counterexample_guided

            guided = counterexample_guided(current, repair, steps=("refit",))
            if guided.program != current and known.reaches(guided.program, floor):
                wrong = f"wrong on {guided.rounds[0].wrong:,} of {guided.n:,} inputs before, on {guided.wrong:,} after"
                current = noted("counterexamples", guided.program, (wrong,))
        if self.digits:
            current = self._within(current, known, floor, steps, digits=True)
        return current, steps, (known.overall(program), known.overall(current))

    def _within(
        self, program: Program, known: Examples, floor: Accuracy, steps: list[Step], *, digits: bool
    ) -> Program:
        """`run`, if accuracy stays at the floor, which it may not on examples outside the domain."""
        result, more = self.run(program, digits=digits)
        if not known.reaches(result, floor):
            return program
        steps += more
        return result


def _unread(seen: View, judge: Judge) -> tuple[Program, tuple[str, ...]]:
    edits = [Edit("modules that nobody reads are gone", lambda draft: True)]
    result, notes = applied(seen, edits, judge)
    if not notes:
        return result, notes
    left = {module.name for _, _, module in result.modules()}
    return result, tuple(f"nobody reads {m.name}" for _, _, m in seen.program.modules() if m.name not in left)
