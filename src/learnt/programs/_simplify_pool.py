"""What a shorter program may be made of: the modules of a program, and its heads with simpler questions.

A trained head asks what training happened to leave: "2 everywhere, but 6 at position 2". Beside every head stand
others that could do the same work and are easier to read: the same head asking one of its questions everywhere; the
same head with the one-line rule nearest to its predicate; and each of these carrying the input variable that its value
came from. All of them are written into one program, so that one evaluation gives every column a selection needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np

from learnt.programs._simplify_edit import reads
from learnt.programs._simplify_size import branches, rules
from learnt.programs.program import KINDS, Head, Module, Program


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Pool:
    """Modules to choose from.

    Attributes:
        program: all of them; its classifier is the original's.
        origins: which head of the original each simpler head is made of.
    """

    program: Program
    origins: dict[str, str]

    @cached_property
    def simpler(self) -> frozenset[str]:
        """The heads that are not in the original."""
        return frozenset(self.origins)

    @cached_property
    def modules(self) -> dict[str, Module]:
        """By name, in stream order."""
        return {module.name: module for _, _, module in self.program.modules()}

    @cached_property
    def closures(self) -> dict[str, frozenset[str]]:
        """What each module needs to exist: itself and all it reads, directly or not."""
        found: dict[str, frozenset[str]] = {}
        for name, module in self.modules.items():
            needed = (found[read] for read in reads(module) if read in self.modules)
            found[name] = frozenset({name}).union(*needed)
        return found

    @cached_property
    def branches(self) -> dict[str, int]:
        """The cases in each module."""
        return {name: branches(self.program, module) for name, module in self.modules.items()}

    def voters(self, chosen: frozenset[str]) -> list[str]:
        """The variables of a program with these modules, in stream order."""
        stream = (*self.program.categorical, *self.program.numerical)
        return [name for name in stream if name in chosen or name not in self.modules]

    def without(self, chosen: frozenset[str], name: str) -> frozenset[str]:
        """The chosen modules that do not need this one."""
        return frozenset(other for other in chosen if name not in self.closures[other])


def pool(program: Program, *, simpler: bool = True) -> Pool:
    """The modules of a program, with simpler heads beside them."""
    known = {_content(kind, module) for _, kind, module in program.modules()}
    roots = _roots(program)
    layers = [{kind: list(getattr(layer, kind)) for kind in KINDS} for layer in program.layers]
    written = {module.name for _, _, module in program.modules()}
    origins: dict[str, str] = {}
    for index, kind, module in program.modules():
        if not simpler or not isinstance(module, Head):
            continue
        for head in _variants(program, module, roots):
            content = _content(kind, head)
            if content in known:
                continue
            known.add(content)
            name = f"simpler_{len(origins)}"
            while name in written:
                name += "_"
            origins[name] = module.name
            layer = index if written & set(reads(head)) else 0
            layers[layer][kind].append(replace(head, name=name))
    bigger = replace(
        program, layers=tuple(replace(old, **new) for old, new in zip(program.layers, layers, strict=True))
    )
    return Pool(program=bigger, origins=origins)


def named(pool: Pool, program: Program) -> tuple[Program, dict[str, str]]:
    """(program, origins) with the simpler heads in it named by what they do, or like others of their kind."""
    taken = {module.name for _, _, module in program.modules()} | {"ones", "positions", *program.input_variables}
    new: dict[str, str] = {}
    for index, kind, module in program.modules():
        if module.name not in pool.origins or not isinstance(module, Head):
            continue
        name, number = _plain(program, module), 0
        while name is None or name in taken:
            name = f"{KINDS[kind]}_{index}_{number}"
            number += 1
        new[module.name] = name
        taken.add(name)
    return program.renamed(new) if new else program, {name: pool.origins[old] for old, name in new.items()}


def _plain(program: Program, head: Head) -> str | None:
    """A name for a head that counts one token."""
    if head.value != "ones" or head.key != "tokens" or len(set(head.predicate)) > 1:
        return None
    token = program.vocab[head.predicate[0]] if head.predicate[0] < len(program.vocab) else ""
    return f"count_{token}" if token.isascii() and token.isalnum() else None


def _variants(program: Program, head: Head, roots: dict[str, str]) -> list[Head]:
    """Simpler heads, the simplest first."""
    predicate = np.array(head.predicate)
    keys, counts = np.unique(predicate, return_counts=True)
    positions = program.cardinality["positions"]
    questions = [
        replace(head, query="positions", predicate=(int(key),) * positions) for key in keys[np.argsort(-counts)]
    ]
    shifts = rules(len(predicate), program.cardinality[head.key])[program.cardinality[head.key] :]
    wrong = [int((shift != predicate).sum()) for shift in shifts]
    nearest = int(np.argmin(wrong))
    if wrong[nearest] <= len(predicate) // 2:
        questions.append(replace(head, predicate=tuple(shifts[nearest].tolist())))
    questions.append(head)
    return [replace(q, value=value) for q in questions for value in dict.fromkeys((roots[head.value], head.value))]


def _roots(program: Program) -> dict[str, str]:
    """The input variable that a head carries, through other heads; MLPs and inputs stand for themselves."""
    roots = {name: name for name in (*program.categorical, *program.numerical)}
    for _, _, module in program.modules():
        if isinstance(module, Head):
            root = roots[module.value]
            if module.value not in program.cardinality or program.cardinality[root] == program.cardinality[module.name]:
                roots[module.name] = root
    return roots


def _content(kind: str, module: Module) -> tuple[object, ...]:
    if isinstance(module, Head):
        return kind, module.query, module.key, module.value, tuple(module.predicate)
    return (kind, module.name)
