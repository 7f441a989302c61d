"""Which modules decide these predictions? The slice of the read graph, and the fewest modules that keep them.

    live          modules that the predictions can depend on at all: a walk back along the reads, exact
    replaced      a module that says the same everywhere: its most frequent output on the inputs, to all that read it
                  and as its vote; with ``replace="mean"``, its vote is its mean vote instead
    circuit       the smallest set of live modules such that replacing all others keeps the predictions: by trying all
                  sets of few modules, smallest first, for up to `exact` live ones; else by replacing one after the
                  other, the least necessary first, until none can be
    necessity     the share of the predictions that change when only this module is replaced
    sufficiency   the share that stays when all but the circuit are replaced

Replacing sets the values of variables in a run, which is exact, because everything that a program reads is a variable.
Friedman, Wettig and Chen read the circuit of their induction program by hand (arXiv 2306.01128, section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError
from learnt.programs._circuit_evaluator import Set, predictions_with
from learnt.programs._circuit_slice import deciding, live, reads, upstream
from learnt.programs._frozen import FrozenMap, integer, short
from learnt.programs._inputs import Inputs
from learnt.programs._verify_answers import Kind, Scored, given, pieces, scored_positions
from learnt.programs._verify_bounds import percent
from learnt.programs.evaluator import CHUNK, Batch, evaluate
from learnt.programs.program import Head, Program
from learnt.programs.task_domain import ENUMERABLE

_HARD = 32  # inputs that are tried first, because sets of modules failed on them before


class Read(NamedTuple):
    """A module reads a variable, as its query, key, value or input."""

    variable: str
    module: str
    role: str


@final
@dataclass(frozen=True, kw_only=True)
class Circuit:
    """The modules behind some predictions.

    Attributes:
        modules: the circuit, in stream order.
        live: all modules that the predictions can depend on, in stream order.
        necessity: by live module, the share of the predictions that change without it.
        sufficiency: the share of the predictions that the circuit alone keeps.
        replaced: what each other live module said instead.
        reads: what the circuit reads.
        votes: the variables of the circuit, and inputs, whose votes can turn a prediction.
        method: ``"exact"``: no smaller set keeps the predictions; ``"greedy"``: no set smaller by one module does.
        kind: whether these were all inputs of the domain, a random sample of it, or a list.
        inputs: how many inputs.
        predictions: how many predictions were to be kept.
        label: the label whose predictions were asked about; None: all.
    """

    modules: tuple[str, ...]
    live: tuple[str, ...]
    necessity: Mapping[str, float]
    sufficiency: float
    replaced: Mapping[str, int]
    reads: tuple[Read, ...]
    votes: tuple[str, ...]
    method: Literal["exact", "greedy"]
    kind: Kind
    inputs: int
    predictions: int
    label: str | None

    def __str__(self) -> str:
        asked = "" if self.label is None else f" of whether it is {self.label!r}"
        scope = {"exhaustive": "all {} inputs", "sampled": "{} random inputs", "given": "{} inputs"}[self.kind]
        scope = scope.format(f"{self.inputs:,}")
        lines = [
            f"{len(self.modules)} of {len(self.live)} live modules keep {percent(self.sufficiency)} of "
            f"{self.predictions:,} predictions{asked} on {scope} ({self.method})."
        ]
        width = max(map(len, self.live), default=0)
        for name in self.modules:
            read = ", ".join(f"{r.role} {r.variable}" for r in self.reads if r.module == name)
            votes = "; votes" if name in self.votes else ""
            lines.append(f"  {name:<{width}}  {percent(self.necessity[name]):>7} change without it; {read}{votes}")
        if self.replaced:
            lines.append("replaced: " + ", ".join(f"{name} by {value}" for name, value in self.replaced.items()))
        return "\n".join(lines)

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "modules": list(self.modules),
            "live": list(self.live),
            "necessity": dict(self.necessity),
            "sufficiency": self.sufficiency,
            "replaced": dict(self.replaced),
            "reads": [list(read) for read in self.reads],
            "votes": list(self.votes),
            "method": self.method,
            "kind": self.kind,
            "inputs": self.inputs,
            "predictions": self.predictions,
            "label": self.label,
        }


def circuit(
    program: Program,
    inputs: Inputs | None = None,
    *,
    tokens: Sequence[str] | None = None,
    label: str | None = None,
    scored: Scored | None = None,
    replace: Literal["mode", "mean"] = "mode",
    keep: float = 1.0,
    exact: int = 15,
    most: int = ENUMERABLE,
    samples: int = 2_000,
    seed: int = 0,
    unknown: str = "auto",
) -> Circuit:
    """The fewest modules that keep the predictions of a program.

    Args:
        program: the program.
        inputs: a domain, a task, token lists or a `Batch`.
        tokens: one input, instead of `inputs`.
        label: ask only whether the prediction is this label; it is kept if the answer stays yes or stays no.
        scored: which positions count: all by default; those that a `Task` scores; or those for which a function from
            tokens to one flag a token says so.
        replace: what stands for a module: ``"mode"``: its most frequent output; ``"mean"``: the same for what reads
            it, its mean vote for the votes.
        keep: the share of the predictions that the circuit must keep.
        exact: the number of live modules up to which the smallest set is found; beyond, a set from which no module can
            be left out.
        most: the largest domain that is taken whole.
        samples, seed: how many inputs are drawn from a larger one, and from which stream.
        unknown: what to do with tokens outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError, ShapeError: inputs that the program cannot take, a label that it does not have, numbers out of
            range. NotApplicable: nothing is scored.
    """
    if not isinstance(program, Program):
        raise InputError("program", found=short(program), expected="a Program")
    if (inputs is None) == (tokens is None):
        raise InputError("inputs", found="both or none", expected="either inputs, or the tokens of one input")
    if label is not None and label not in program.labels:
        raise InputError("label", found=short(label), expected=f"one of {', '.join(map(short, program.labels))}")
    if replace not in ("mode", "mean"):
        raise InputError("replace", found=short(replace), expected='"mode" or "mean"')
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep <= 1:
        raise InputError("keep", found=short(keep), expected="a share above 0, at most 1")
    asked_for: Inputs = [tokens] if tokens is not None else inputs  # pyright: ignore[reportAssignmentType]
    asked = given(
        program,
        asked_for,
        most=integer(most, "most", 0),
        samples=integer(samples, "samples", 1),
        seed=seed,
        unknown=unknown,
    )
    wanted = None if label is None else program.labels.index(label)
    trial = _Trial(program, asked.batch, scored_positions(scored, asked), wanted, replace)
    alive = live(program)
    necessity = {name: trial.changed(frozenset(alive) - {name}) / trial.total for name in alive}
    allowed = int((1 - keep) * trial.total + 1e-9)
    chosen, method = _smallest(program, trial, necessity, allowed, integer(exact, "exact", 0))
    modules = tuple(name for name in alive if name in chosen)
    roles = [Read(name, module, role) for module in modules for name, role in _roles(program, module)]
    return Circuit(
        modules=modules,
        live=alive,
        necessity=FrozenMap(necessity),
        sufficiency=1 - trial.changed(chosen) / trial.total,
        replaced=FrozenMap({name: trial.frequent[name] for name in alive if name not in chosen}),
        reads=tuple(roles),
        votes=tuple(name for name in deciding(program) if name in chosen or name not in alive),
        method=method,
        kind=asked.kind,
        inputs=len(asked),
        predictions=trial.total,
        label=label,
    )


class _Trial:
    """Predictions with some modules replaced, against those of the whole program."""

    def __init__(self, program: Program, batch: Batch, counted: np.ndarray, label: int | None, replace: str) -> None:
        self.program, self.batch, self.counted, self.label = program, batch, counted, label
        self.alive = live(program)
        self.total = int(counted.sum())
        self.frequent, means = _outputs(program, batch)
        self.means = means if replace == "mean" else {}
        self.wanted = self._asked(predictions_with(program, batch, {}))
        self.hard: list[int] = []

    def changed(self, kept: frozenset[str], limit: int | None = None) -> int:
        """How many predictions change if only these live modules are kept; stops above `limit`."""
        if limit is not None and self.hard and self._changed(kept, np.array(self.hard)).sum() > limit:
            return limit + 1
        total = 0
        for rows, _ in pieces(self.batch, CHUNK):
            places = np.arange(len(self.batch))[rows]
            found = self._changed(kept, places)
            total += int(found.sum())
            if limit is not None and total > limit:
                failed = places[np.flatnonzero(found)][:4].tolist()
                self.hard = [*(row for row in self.hard if row not in failed), *failed][-_HARD:]
                return total
        return total

    def _changed(self, kept: frozenset[str], rows: np.ndarray) -> np.ndarray:
        """(rows,) changed predictions of each input."""
        out = [name for name in self.alive if name not in kept]
        changes = {name: Set(self.frequent[name]) for name in out}
        votes = {name: self.means[name] for name in out if name in self.means}
        part = Batch(ids=self.batch.ids[rows], lengths=self.batch.lengths[rows])
        found = self._asked(predictions_with(self.program, part, changes, votes))
        return ((found != self.wanted[rows]) & self.counted[rows]).sum(1)

    def _asked(self, found: np.ndarray) -> np.ndarray:
        return found if self.label is None else found == self.label


def _smallest(
    program: Program, trial: _Trial, necessity: Mapping[str, float], allowed: int, exact: int
) -> tuple[frozenset[str], Literal["exact", "greedy"]]:
    by_need = sorted(necessity, key=lambda name: necessity[name])
    kept = frozenset(necessity)
    before = None
    while kept != before:  # a module may be free to go only after another has gone
        before = kept
        for name in by_need:
            if name in kept and trial.changed(kept - {name}, allowed) <= allowed:
                kept -= {name}
        kept = frozenset(upstream(program, deciding(program), cut=frozenset(necessity) - kept))
    if len(necessity) > exact:
        return kept, "greedy"
    for size in range(len(kept)):
        for chosen in _connected(program, by_need[::-1], size):
            if trial.changed(chosen, allowed) <= allowed:
                return chosen, "exact"
    return kept, "exact"


def _connected(program: Program, names: Sequence[str], size: int) -> Iterator[frozenset[str]]:
    """Sets of modules of which each still matters if all others are replaced."""
    ends, everything = deciding(program), frozenset(names)
    for chosen in combinations(names, size):
        if len(upstream(program, ends, cut=everything - frozenset(chosen))) == size:
            yield frozenset(chosen)


def _outputs(program: Program, batch: Batch) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """The most frequent output of each module (the smallest of several), and its mean vote."""
    names = [module.name for _, _, module in program.modules()]
    counts: dict[str, dict[int, int]] = {name: {} for name in names}
    for _, part in pieces(batch, CHUNK):
        found = evaluate(program, part, keep=True)
        for name in names:
            values, times = np.unique(found.variables[name][found.real], return_counts=True)
            for value, count in zip(values.tolist(), times.tolist(), strict=True):
                counts[name][value] = counts[name].get(value, 0) + count
    frequent = {name: min(seen, key=lambda value: (-seen[value], value)) for name, seen in counts.items()}
    means = {}
    for name, votes in program.classifier.items():
        if name in counts:
            values, times = np.array(list(counts[name])), np.array(list(counts[name].values()), dtype=float)
            table = np.array(votes)
            rows = table[values] if name in program.cardinality else values[:, None] * table
            means[name] = times @ rows / times.sum()
    return frequent, means


def _roles(program: Program, name: str) -> Iterator[tuple[str, str]]:
    module = program.module(name)
    roles = ("query", "key", "value") if isinstance(module, Head) else ("input",) * len(module.inputs)
    return zip(reads(module), roles, strict=True)
