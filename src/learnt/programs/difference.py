"""How do two programs differ: in what they answer, in how they work, and in which votes decide?

    diff(a, b, task)            a, b: programs; b may be any function from tokens to labels, or a network

* Behaviour: the share of inputs and of tokens answered differently, exact on a list or a whole domain, else with an
  interval; the shortest inputs answered differently, then in the order of their tokens; which labels.
* Structure: modules matched by what they write (`learnt.programs._match`); gates, predicates, tables and votes that
  changed, once the values of b are read as those of a. "Equal up to renaming" is decided without running anything
  (`learnt.programs._isomorphism`), so that it needs no inputs.
* Decision: the change of the margin at positions answered differently, variable by variable
  (`learnt.programs._swing`).

The tools named in the specification (Tracr, ALTA, D-RASP) compare no two programs; matching by variation of information
follows Meilă 2007. Labels and tokens are compared by name. Inputs that one program cannot take are left out, and
counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError
from learnt.core.estimate import Estimate
from learnt.core.measure import Sums, ratio
from learnt.core.statistics import Resampler
from learnt.programs._edits import Edits, Sides, module_edits, vote_edits
from learnt.programs._inputs import tokens_of
from learnt.programs._isomorphism import renaming
from learnt.programs._match import Match, match
from learnt.programs._swing import Swing, swings
from learnt.programs.answers import Aligned, Answerer, aligned, shortest
from learnt.programs.evaluator import Batch, encode, evaluate
from learnt.programs.program import PAD, UNKNOWN, Program
from learnt.programs.sequences import Sequences
from learnt.programs.task import Task
from learnt.programs.task_domain import ENUMERABLE, Domain

STRUCTURE = 20_000  # inputs on which modules are matched
_RESAMPLES = 1000

Status = Literal["same", "changed", "added", "removed"]


class Disagreement(NamedTuple):
    """One input answered differently: its tokens, the answers, and the positions (from 0) where they differ."""

    tokens: tuple[str, ...]
    a: tuple[str, ...]
    b: tuple[str, ...]
    positions: tuple[int, ...]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ModuleDiff:
    """A module of a, a module of b, or both.

    Attributes:
        status: ``"same"`` (no difference that is reached), ``"changed"``, ``"added"`` (only b), ``"removed"`` (only a).
        a, b: their names, or None.
        likeness: of what they write, 0 to 1.
        edits: the differences.
    """

    status: Status
    a: str | None
    b: str | None
    likeness: float
    edits: Edits


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ProgramDiff:
    """How two programs differ; see `diff`.

    Attributes:
        names: of the two.
        inputs: number of inputs; 0 if equality up to renaming was all that was asked.
        scope: ``"exhaustive"`` (a whole domain), ``"given"`` (these inputs), ``"sampled"``, ``"structure"`` (none).
        left_out: inputs that one of the two cannot take.
        sequences, tokens: shares answered differently.
        apart: number of inputs answered differently.
        examples: the shortest of them.
        confusion: (label of a, label of b, how often), where they differ.
        equal: whether the two are the same up to names and order of modules; None if b is no program.
        modules: in the order of a, then those only b has; empty if b is no program.
        votes: differences of the classifier at variables that correspond.
        swings: whose votes moved the margin where the answers differ; `swing_positions`: at how many positions.
    """

    names: tuple[str, str]
    inputs: int
    scope: Literal["exhaustive", "given", "sampled", "structure"]
    left_out: int
    sequences: Estimate
    tokens: Estimate
    apart: int
    examples: tuple[Disagreement, ...]
    confusion: tuple[tuple[str, str, int], ...]
    equal: bool | None
    modules: tuple[ModuleDiff, ...] = ()
    votes: Edits = Edits()
    swings: tuple[Swing, ...] = ()
    swing_positions: int = 0

    @property
    def distance(self) -> float:
        """Share of inputs answered differently: 0 for the same behaviour."""
        return self.sequences.value

    def count(self, status: Status) -> int:
        """How many modules are ``"same"``, ``"changed"``, ``"added"`` or ``"removed"``.

        Args:
            status: one of these four.
        """
        return sum(module.status == status for module in self.modules)

    def explain(self) -> str:
        """Everything as text."""
        from learnt.programs._difference_text import explanation

        return explanation(self)

    def __str__(self) -> str:
        from learnt.programs._difference_text import summary

        return "\n".join(summary(self))

    def __repr__(self) -> str:
        return f"ProgramDiff({self.names[1]} against {self.names[0]}, distance {self.distance:.4g})"

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        from learnt.programs._difference_text import fields

        return fields(self)


def diff(
    a: Program,
    b: Any,
    domain: Domain | Task | Sequences | Batch | Sequence[Sequence[str]] | None = None,
    *,
    samples: int = 10_000,
    seed: int = 0,
    shown: int = 10,
    most: int = ENUMERABLE,
    level: float = 0.95,
    names: tuple[str, str] = ("a", "b"),
) -> ProgramDiff:
    """How two programs differ in behaviour, structure and decision.

    Args:
        a: the program that is taken as the reference.
        b: another; or a function from tokens to labels, or a network (behaviour only), which reads and gives the ids
            of a unless it has a `vocab` and `labels` of its own.
        domain: the inputs: a task (positions without a right answer are then not compared), a domain, token lists, or a
            batch of ids of a. None is enough for two programs that are equal up to renaming.
        samples, seed: how many inputs are drawn from a domain larger than `most`, and from which stream.
        shown: how many of the shortest inputs answered differently to keep.
        most: the largest domain that is taken whole.
        level: coverage of the intervals of a sample.
        names: how texts call the two.

    Raises:
        InputError: no inputs, programs without common tokens or without an input that both can take.
        ShapeError: one gives one label a token, the other one an input.
    """
    if not isinstance(a, Program):
        raise InputError("a", found=type(a).__name__, expected="a Program")
    same = renaming(a, b) if isinstance(b, Program) else None
    if isinstance(b, Program) and not (set(a.vocab) & set(b.vocab)) - {PAD, UNKNOWN}:
        raise InputError(
            "b", found=f"a vocabulary that shares no token with a's ({', '.join(map(repr, b.vocab[:8]))})",
            expected="at least one common token",
        )  # fmt: skip
    if domain is None:
        return _without_inputs(a, same, names)
    data, left_out = _taken([p for p in (a, b) if isinstance(p, Program)], _data(a, domain, most, samples, seed))
    one, other = Answerer(a, data, name=names[0]), Answerer(b, data, name=names[1])
    found = aligned(one.answers, other.answers, data, names)
    sequences, tokens = _shares(found, data.sampled, level, seed)
    rows = shortest(found.apart, data.inputs, shown)
    parts: dict[str, Any] = {}
    if isinstance(b, Program):
        parts = _structure(a, b, data, same)
        worst = np.flatnonzero(found.apart.any(1))[:STRUCTURE]
        if len(worst):
            few = data.take(worst).inputs
            kept = [evaluate(p, encode(p, few), keep=True) for p in (a, b)]
            moved, where = swings(kept[0], kept[1], parts["match"], found.apart[worst])
            parts |= {"swings": moved, "swing_positions": where}
        del parts["match"]
    return ProgramDiff(
        names=names, inputs=len(data), left_out=left_out,
        scope="sampled" if data.sampled else "exhaustive" if data.exhaustive else "given",
        sequences=sequences, tokens=tokens, apart=int(found.apart.any(1).sum()),
        examples=tuple(
            Disagreement(
                tuple(data.inputs[row]), one.answers.of(row), other.answers.of(row),
                tuple(np.flatnonzero(found.apart[row]).tolist()),
            )
            for row in rows
        ),
        confusion=tuple(found.confusion()), equal=(same is not None) if isinstance(b, Program) else None, **parts,
    )  # fmt: skip


def _without_inputs(a: Program, same: Mapping[str, str] | None, names: tuple[str, str]) -> ProgramDiff:
    if same is None:
        raise InputError(
            "domain", found="none", expected="inputs to compare on: a task, a domain, or lists of tokens",
            remedy="Only programs that are equal up to renaming can do without.",
        )  # fmt: skip
    zero = Estimate.exact(0.0)
    modules = tuple(
        ModuleDiff(status="same", a=m.name, b=same[m.name], likeness=1.0, edits=Edits()) for _, _, m in a.modules()
    )
    return ProgramDiff(
        names=names, inputs=0, scope="structure", left_out=0, sequences=zero, tokens=zero, apart=0, examples=(),
        confusion=(), equal=True, modules=modules,
    )  # fmt: skip


def _data(a: Program, domain: Any, most: int, samples: int, seed: int) -> Sequences:
    if isinstance(domain, Batch):
        domain = [tokens_of(a, domain, row) for row in range(len(domain))]
    data = Sequences.of(domain, most=most, samples=samples, seed=seed)
    return replace(data, vocab=a.vocab, labels=a.labels)  # what a network reads and says, as in `verify`


def _taken(programs: Sequence[Program], data: Sequences) -> tuple[Sequences, int]:
    """The inputs that all programs can take, and how many were left out."""
    keep = np.ones(len(data), dtype=bool)
    for program in programs:
        keep &= data.lengths <= program.n_ctx
        known = {*program.vocab} - {PAD}
        if UNKNOWN not in known and not known.issuperset(set().union(*data.inputs)):
            keep &= np.fromiter((known.issuperset(row) for row in data.inputs), bool, len(data))
    if not keep.any():
        limits = " and ".join(f"{p.n_ctx} of {len(p.vocab)} tokens" for p in programs)
        raise InputError(
            "domain", found=f"{len(data)} inputs, none of which {'both can' if len(programs) > 1 else 'a can'} take",
            expected=f"tokens of the vocabulary and no more than n_ctx of them ({limits})",
        )  # fmt: skip
    if keep.all():
        return data, 0
    return data.take(np.flatnonzero(keep)), int((~keep).sum())


def _shares(found: Aligned, sampled: bool, level: float, seed: int) -> tuple[Estimate, Estimate]:
    """Shares of inputs and of tokens answered differently."""
    n = len(found.counts)
    wrong, counted = found.apart.sum(1).astype(np.float64), found.counts.sum(1).astype(np.float64)
    whole = float((wrong > 0).mean())
    share = float(wrong.sum() / counted.sum()) if counted.any() else 0.0
    if not sampled:
        return Estimate.exact(whole, n=n, level=level), Estimate.exact(share, n=n, level=level)
    evidence = [
        Sums(columns=np.stack([(wrong > 0).astype(np.float64), np.ones(n)], 1), combine=ratio),
        Sums(columns=np.stack([wrong, counted], 1), combine=ratio),
    ]
    drawn = Resampler(_RESAMPLES, seed).draws(evidence, np.arange(n))
    one, two = (Estimate.from_draws(v, draws, level=level, n=n, low=0.0, high=1.0) for v, draws in drawn)
    return one, two


def _structure(a: Program, b: Program, data: Sequences, same: Mapping[str, str] | None) -> dict[str, Any]:
    if len(data) > STRUCTURE:
        data = data.take(np.linspace(0, len(data) - 1, STRUCTURE).astype(int))
    in_a, in_b = (Answerer(p, data, name=name).variables for p, name in ((a, "a"), (b, "b")))
    found: Match = match(a, b, in_a, in_b, names=same)
    sides = Sides(a=a, b=b, in_a=in_a, in_b=in_b, match=found)
    modules = []
    for pair in found.pairs:
        if pair.a is None or pair.b is None:
            status: Status = "added" if pair.a is None else "removed"
            modules.append(ModuleDiff(status=status, a=pair.a, b=pair.b, likeness=0.0, edits=Edits()))
            continue
        edits = Edits() if same is not None else module_edits(sides, a.module(pair.a), b.module(pair.b))
        status = "changed" if edits.reached else "same"
        modules.append(ModuleDiff(status=status, a=pair.a, b=pair.b, likeness=pair.likeness, edits=edits))
    votes = Edits() if same is not None else vote_edits(sides)
    return {"modules": tuple(modules), "votes": votes, "match": found}
