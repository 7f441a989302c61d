"""How large is a program? Modules, branches, lines, bits; and how much of it does nothing.

    live         a prediction can depend on it: its votes differ between values, or a live module reads it
    constant     one value at all positions of the inputs
    duplicate    functions of each other on the inputs: the same partition of the positions, under other names
    branches     rules with their exceptions, cases of tables, as `learnt.programs._simplify_size` counts
    lines        of code in the exported Python file, without comments, docstrings and blank lines
    bits         of the code stated in `learnt.programs._verify_bits`

arXiv 2306.01128 counts lines (table 4) and nothing else; constant and duplicate modules stay in its programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError
from learnt.programs._circuit_slice import live
from learnt.programs._frozen import FrozenMap, short
from learnt.programs._inputs import Inputs, asked
from learnt.programs._verify_answers import predictions
from learnt.programs._verify_bits import bits, exact_digits
from learnt.programs.evaluator import Batch
from learnt.programs.program import KINDS, Program
from learnt.programs.task_domain import ENUMERABLE


@final
@dataclass(frozen=True, kw_only=True)
class Stats:
    """The size of a program.

    Attributes:
        layers: how many.
        modules: how many of each kind: ``"attn"``, ``"num_attn"``, ``"mlp"``, ``"num_mlp"``.
        live: modules that a prediction can depend on, in stream order.
        dead: the others.
        constant: modules with one value at all positions of the inputs; None without inputs.
        duplicates: groups of modules that induce the same partition, constants apart; None without inputs.
        branches: of predicates and tables.
        vote_rows: rows of the classifier that are not 0; a numerical variable has one.
        lines: of code in the exported Python file; None if that was not asked.
        digits: decimals of the votes: the fewest that keep every prediction on the inputs, or that write them exactly
            (None: more than 17).
        parts: bits of each part of the description.
        inputs: how many inputs were looked at; 0 without.
        exhaustive: whether these are all inputs of a domain.
    """

    layers: int
    modules: Mapping[str, int]
    live: tuple[str, ...]
    dead: tuple[str, ...]
    constant: tuple[str, ...] | None
    duplicates: tuple[tuple[str, ...], ...] | None
    branches: int
    vote_rows: int
    lines: int | None
    digits: int | None
    parts: Mapping[str, float]
    inputs: int
    exhaustive: bool

    @property
    def total(self) -> int:
        """The number of modules."""
        return sum(self.modules.values())

    @property
    def repeated(self) -> int | None:
        """How many modules could be replaced by an earlier one with the same partition; None without inputs."""
        return None if self.duplicates is None else sum(len(group) - 1 for group in self.duplicates)

    @property
    def bits(self) -> float:
        """The length of the description."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.modules.items() if n)
        layers = f"{self.layers} layer{'s' * (self.layers != 1)}"
        rows = [("modules", f"{self.total}" + (f" ({kinds}) in {layers}" if kinds else ""))]
        rows.append(("live", f"{len(self.live)}" + (f"; dead: {', '.join(self.dead)}" if self.dead else "")))
        if self.constant is not None and self.duplicates is not None:
            groups = "; ".join(" = ".join(group) for group in self.duplicates)
            rows.append(("constant", f"{len(self.constant)}" + (f": {', '.join(self.constant)}" * bool(self.constant))))
            rows.append(("duplicates", f"{self.repeated}" + (f": {groups}" if groups else "")))
        rows.append(("branches", f"{self.branches:,}"))
        if self.lines is not None:
            rows.append(("lines", f"{self.lines:,}"))
        decimals = "more than 17" if self.digits is None else self.digits
        rows.append(("vote rows", f"{self.vote_rows:,} ({decimals} decimals)"))
        listed = ", ".join(f"{name} {value:.0f}" for name, value in self.parts.items() if value)
        rows.append(("bits", f"{self.bits:,.0f} ({listed})"))
        if self.inputs:
            rows.append(("inputs", f"{self.inputs:,}" + (", all of the domain" if self.exhaustive else "")))
        return "\n".join(f"{name:<11}{value}" for name, value in rows)

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "layers": self.layers,
            "modules": dict(self.modules),
            "live": list(self.live),
            "dead": list(self.dead),
            "constant": None if self.constant is None else list(self.constant),
            "duplicates": None if self.duplicates is None else [list(group) for group in self.duplicates],
            "branches": self.branches,
            "vote_rows": self.vote_rows,
            "lines": self.lines,
            "digits": self.digits,
            "bits": self.bits,
            "parts": dict(self.parts),
            "inputs": self.inputs,
            "exhaustive": self.exhaustive,
        }


def stats(
    program: Program,
    domain: Inputs | None = None,
    *,
    lines: bool = True,
    most: int = ENUMERABLE,
    samples: int = 10_000,
    seed: int = 0,
) -> Stats:
    """The size of a program.

    Args:
        program: the program.
        domain: inputs on which constants, duplicates and decimals of votes are judged: a domain, a task, token lists or
            a `Batch`.
        lines: whether to export the program in order to count its lines.
        most: the largest domain that is taken whole.
        samples, seed: how many inputs are drawn from a larger one, and from which stream.

    Raises:
        InputError, ShapeError: inputs that the program cannot take.
    """
    from learnt.programs._simplify_size import branches

    if not isinstance(program, Program):
        raise InputError("program", found=short(program), expected="a Program")
    names = [module.name for _, _, module in program.modules()]
    alive = set(live(program))
    votes = [np.atleast_2d(np.array(table)) for table in program.classifier.values()]
    digits = exact_digits(np.concatenate([table.ravel() for table in votes])) if votes else 0
    constant = duplicates = None
    inputs, exhaustive = 0, False
    if domain is not None:
        from learnt.programs.reachability import reachable

        question = asked(program, domain, most=most, samples=samples, seed=seed)
        found = reachable(program, question.batch)
        constant = tuple(name for name in names if name in found.constants)
        groups = (tuple(name for name in group if name in names) for group in found.partitions)
        duplicates = tuple(group for group in groups if len(group) > 1 and group[0] not in constant)
        digits = needed_digits(program, question.batch)
        inputs, exhaustive = len(question), question.exhaustive
    return Stats(
        layers=len(program.layers),
        modules=FrozenMap({stem: sum(k == kind for _, k, _ in program.modules()) for kind, stem in KINDS.items()}),
        live=tuple(name for name in names if name in alive),
        dead=tuple(name for name in names if name not in alive),
        constant=constant,
        duplicates=duplicates,
        branches=sum(branches(program, module) for _, _, module in program.modules()),
        vote_rows=sum(int(table.any(1).sum()) for table in votes),
        lines=_lines_of(program) if lines else None,
        digits=digits,
        parts=FrozenMap(bits(program, digits)),
        inputs=inputs,
        exhaustive=exhaustive,
    )


def needed_digits(program: Program, batch: Batch) -> int | None:
    """The fewest decimals of the votes that keep every prediction; None if even 17 do not.

    Args:
        program: whose votes are rounded.
        batch: the inputs whose predictions must stay.
    """
    before = predictions(program, batch)
    tables = {name: np.array(votes) for name, votes in program.classifier.items()}
    enough = exact_digits(np.concatenate([table.ravel() for table in tables.values()])) if tables else 0
    for digits in range(18 if enough is None else enough):
        rounded = replace(program, classifier={name: np.round(table, digits) for name, table in tables.items()})
        if (predictions(rounded, batch) == before).all():
            return digits
    return enough


def _lines_of(program: Program) -> int:
    from learnt.programs.python_export import count_lines, to_python

    return count_lines(to_python(program))
