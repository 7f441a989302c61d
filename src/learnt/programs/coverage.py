"""Which branches of a program do these inputs reach? What no input reaches, no check has seen.

A branch is

    attention head     one query value with one outcome: another position matches, only itself, or nothing does
    numerical head     one query value with one outcome: something matches, or nothing does
    table MLP          one entry of the table
    numerical MLP      one entry of the table; one output of the network behind it
    votes              one row of the classifier; for a numerical variable, whether it is ever other than 0

and counts as possible unless the text of the program rules it out (`learnt.programs._verify_possible`). Positions
behind the end of an input reach nothing. Others measured the printed programs of arXiv 2306.01128 by fuzzing them for
branches (spec 3.5); on the representation, it is one pass of the evaluator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError
from learnt.programs._frozen import short
from learnt.programs._inputs import Inputs, asked
from learnt.programs._verify_answers import pieces
from learnt.programs._verify_bounds import percent
from learnt.programs._verify_possible import (
    DEFAULT,
    MATCH,
    OUTCOMES,
    SELF,
    head_outcomes,
    network_outputs,
    numerical_entries,
    possible_values,
    table_entries,
)
from learnt.programs.evaluator import CHUNK, Batch, Evaluation, evaluate, sums
from learnt.programs.program import KINDS, UNANSWERED, Head, Module, NumMLP, Program, TableMLP
from learnt.programs.task_domain import ENUMERABLE


class Branch(NamedTuple):
    """One branch of a module.

    Attributes:
        values: of the query; of the inputs of a table; the output of a network; the row of votes.
        outcome: ``"match"``, ``"self"``, ``"default"``, ``"entry"``, ``"network"`` or ``"row"``.
        text: the branch in words, tokens by name.
    """

    values: tuple[int, ...]
    outcome: str
    text: str


@final
@dataclass(frozen=True, kw_only=True)
class ModuleCoverage:
    """The branches of one module, or of the votes of one variable.

    Attributes:
        name: of the module, or of the voting variable.
        kind: ``"attn"``, ``"num_attn"``, ``"mlp"``, ``"num_mlp"`` or ``"votes"``.
        possible: branches that the program's text does not rule out.
        reached: those that an input reaches.
        missed: the others, in order.
    """

    name: str
    kind: str
    possible: int
    reached: int
    missed: tuple[Branch, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The branches of a program that some inputs reach.

    Attributes:
        n: inputs.
        modules: in stream order, then the votes.
    """

    n: int
    modules: tuple[ModuleCoverage, ...]

    @property
    def possible(self) -> int:
        """Branches that the program's text does not rule out."""
        return sum(module.possible for module in self.modules)

    @property
    def reached(self) -> int:
        """Branches that an input reaches."""
        return sum(module.reached for module in self.modules)

    @property
    def share(self) -> float:
        """Reached of possible; 1 for a program without branches."""
        return self.reached / self.possible if self.possible else 1.0

    def __str__(self) -> str:
        lines = [
            f"{self.reached:,} of {self.possible:,} branches ({percent(self.share)}) reached by {self.n:,} inputs."
        ]
        width = max((len(module.name) for module in self.modules), default=0)
        for module in self.modules:
            if module.missed:
                some = "; ".join(branch.text for branch in module.missed[:3])
                rest = "; ..." if len(module.missed) > 3 else ""
                lines.append(
                    f"  {module.name:<{width}}  {module.kind:<8} {module.reached:>6,} of {module.possible:<6,} "
                    f"never: {some}{rest}"
                )
        return "\n".join(lines)

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "n": self.n,
            "possible": self.possible,
            "reached": self.reached,
            "modules": [
                {
                    "name": module.name,
                    "kind": module.kind,
                    "possible": module.possible,
                    "reached": module.reached,
                    "missed": [{"values": list(b.values), "outcome": b.outcome, "text": b.text} for b in module.missed],
                }
                for module in self.modules
            ],
        }


def branch_coverage(
    program: Program,
    inputs: Inputs,
    *,
    most: int = ENUMERABLE,
    samples: int = 10_000,
    seed: int = 0,
    unknown: str = "auto",
) -> Coverage:
    """The branches of a program that some inputs reach.

    Args:
        program: the program.
        inputs: a domain, a task, token lists or a `Batch`.
        most: the largest domain that is taken whole.
        samples, seed: how many inputs are drawn from a larger one, and from which stream.
        unknown: what to do with tokens outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError, ShapeError: inputs that the program cannot take.
    """
    if not isinstance(program, Program):
        raise InputError("program", found=short(program), expected="a Program")
    return coverage_of(program, asked(program, inputs, most=most, samples=samples, seed=seed, unknown=unknown).batch)


def coverage_of(program: Program, batch: Batch) -> Coverage:
    """`branch_coverage` of ids."""
    spaces = list(_spaces(program))
    reached = [np.zeros(len(space.possible), dtype=bool) for space in spaces]
    for _, part in pieces(batch, CHUNK):
        found = evaluate(program, part, keep=True)
        for space, seen in zip(spaces, reached, strict=True):
            seen[_codes(program, space, found)] = True
    return Coverage(
        n=len(batch),
        modules=tuple(
            ModuleCoverage(
                name=space.name,
                kind=space.kind,
                possible=int(space.possible.sum()),
                reached=int(seen.sum()),
                missed=tuple(_branch(program, space, code) for code in np.flatnonzero(space.possible & ~seen).tolist()),
            )
            for space, seen in zip(spaces, reached, strict=True)
        ),
    )


class _Space(NamedTuple):
    """The branches of a module by number: whether each is possible."""

    name: str
    kind: str
    module: Module | None
    possible: np.ndarray


def _spaces(program: Program) -> Iterator[_Space]:
    values = possible_values(program)
    for _, kind, module in program.modules():
        if isinstance(module, Head):
            possible = head_outcomes(program, module, values).ravel()
        elif isinstance(module, TableMLP):
            possible = np.zeros(len(module.table), dtype=bool)
            possible[table_entries(program, module, values)] = True
        else:
            entries = len(module.table or ())
            possible = np.zeros(entries + program.cardinality[module.name], dtype=bool)
            possible[numerical_entries(program, module)] = True
            possible[entries + network_outputs(program, module)] = True
        yield _Space(module.name, KINDS[kind], module, possible)
    for name in program.classifier:
        if name in program.cardinality:
            possible = np.zeros(program.cardinality[name], dtype=bool)
            possible[values[name]] = True
        else:
            possible = np.array([True])
        yield _Space(name, "votes", None, possible)


def _codes(program: Program, space: _Space, found: Evaluation) -> np.ndarray:
    """The numbers of the branches that the positions of some inputs take."""
    real, variables, module = found.real, found.variables, space.module
    if module is None:
        values = variables[space.name][real]
        return values if space.name in program.cardinality else np.zeros_like(values[values != 0])
    if isinstance(module, Head):
        query, key = variables[module.query], variables[module.key]
        wanted = np.array(module.predicate)[query]
        if space.kind == "attn":
            place = found.attended[module.name]
            matched = np.take_along_axis(key, place, 1) == wanted
            itself = place == np.arange(key.shape[1])
            outcome = np.where(matched, np.where(itself, SELF, MATCH), DEFAULT)
        else:
            options: dict[str, Any] = {"n_keys": program.cardinality[module.key], "causal": program.causal}
            matched = sums(wanted.T, key.T, np.ones_like(key.T), real.T, **options).T > 0
            outcome = np.where(matched, MATCH, DEFAULT)
        return (query * len(OUTCOMES) + outcome)[real]
    inputs = [variables[name][real] for name in module.inputs]
    if isinstance(module, TableMLP):
        return np.ravel_multi_index(inputs, [program.cardinality[name] for name in module.inputs])
    return _numerical_codes(module, inputs, variables[module.name][real])


def _numerical_codes(mlp: NumMLP, inputs: list[np.ndarray], outputs: np.ndarray) -> np.ndarray:
    if mlp.table is None or mlp.sizes is None:
        return outputs
    codes = len(mlp.table) + outputs
    inside = np.logical_and.reduce([v < size for v, size in zip(inputs, mlp.sizes, strict=True)])
    entries = np.ravel_multi_index([v[inside] for v in inputs], tuple(mlp.sizes))
    codes[inside] = np.where(np.array(mlp.table)[entries] != UNANSWERED, entries, codes[inside])
    return codes


def _branch(program: Program, space: _Space, code: int) -> Branch:
    module = space.module
    if module is None:
        if space.name not in program.cardinality:
            return Branch((1,), "row", f"{space.name} other than 0")
        return Branch((code,), "row", value_text(program, space.name, code))
    if isinstance(module, Head):
        query, outcome = divmod(code, len(OUTCOMES))
        name = OUTCOMES[outcome]
        return Branch((query,), name, f"{module.query} = {value_text(program, module.query, query)}: {name}")
    sizes = module.sizes if isinstance(module, NumMLP) else [program.cardinality[name] for name in module.inputs]
    if code >= len(module.table or ()):
        output = code - len(module.table or ())
        return Branch((output,), "network", f"network gives {output}")
    entry = tuple(int(v) for v in np.unravel_index(code, tuple(sizes or ())))
    texts = [
        f"{name} = {value_text(program, name, v) if name in program.cardinality else v}"
        for name, v in zip(module.inputs, entry, strict=True)
    ]
    return Branch(entry, "entry", ", ".join(texts))


def value_text(program: Program, variable: str, value: int) -> str:
    """A value as a reader knows it: the token where the variable holds tokens, else the number.

    Args:
        program: that has the variable.
        variable: its name.
        value: one of its values.
    """
    writers = {head.name: head.value for layer in program.layers for head in layer.cat_heads}
    while variable in writers:
        variable = writers[variable]
    return repr(program.vocab[value]) if variable == "tokens" and value < len(program.vocab) else str(value)
