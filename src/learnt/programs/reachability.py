"""Which values do the variables of a program take on a domain? Counted, not bounded.

Interval analysis says what a numerical variable could be; running the domain once says what it is. From the values
follow the constants, the entries of tables and predicates that nothing ever reads, and which variables carry the same
information: x is a function of y when no value of y comes with two values of x, and x and y induce the same partition
of the positions when each is a function of the other. Positions after the end of an input count nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from learnt.programs._frozen import FrozenMap
from learnt.programs._inputs import Inputs, asked
from learnt.programs._simplify_view import View, distinct, view
from learnt.programs.program import NumMLP, Program, TableMLP
from learnt.programs.task_domain import ENUMERABLE


@final
@dataclass(frozen=True, kw_only=True)
class Reachable:
    """What occurs on a domain; all counts are numbers of positions.

    Attributes:
        inputs: how many distinct inputs were run.
        positions: how many tokens they have together.
        exhaustive: whether they are all inputs of the domain.
        values: counts by value, by variable, in stream order.
        tuples: counts by tuple of input values, by MLP.
        queries: counts by query value, by head.
        keys: counts by key value, by head.
        constants: the one value of each variable that has only one.
        partitions: groups of two or more variables that are functions of each other, in stream order.
    """

    inputs: int
    positions: int
    exhaustive: bool
    values: FrozenMap[dict[int, int]]
    tuples: FrozenMap[dict[tuple[int, ...], int]]
    queries: FrozenMap[dict[int, int]]
    keys: FrozenMap[dict[int, int]]
    constants: FrozenMap[int]
    partitions: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        how = " (all inputs of the domain)" if self.exhaustive else ""
        lines = [f"{self.inputs:,} inputs, {self.positions:,} positions{how}"]
        for name, counts in self.values.items():
            listed = list(counts)
            shown = ", ".join(map(str, listed[:12])) + (f", ... {listed[-1]}" if len(listed) > 12 else "")
            lines.append(f"  {name}: {len(listed)} value{'s' * (len(listed) != 1)} ({shown})")
        lines += [f"  same partition: {', '.join(group)}" for group in self.partitions]
        return "\n".join(lines)

    def to_fields(self) -> dict[str, Any]:
        """As JSON can hold it: counts as pairs [value, count], because JSON has no integer keys."""

        def pairs(counts: FrozenMap[dict[int, int]]) -> dict[str, list[list[int]]]:
            return {name: [list(pair) for pair in found.items()] for name, found in counts.items()}

        return {
            "inputs": self.inputs,
            "positions": self.positions,
            "exhaustive": self.exhaustive,
            "values": pairs(self.values),
            "tuples": {
                name: [[list(key), count] for key, count in found.items()] for name, found in self.tuples.items()
            },
            "queries": pairs(self.queries),
            "keys": pairs(self.keys),
            "constants": dict(self.constants),
            "partitions": [list(group) for group in self.partitions],
        }


def reachable(
    program: Program, inputs: Inputs, *, most: int = ENUMERABLE, samples: int = 10_000, seed: int = 0
) -> Reachable:
    """The values, tuples and partitions that occur when a program runs on a domain.

    Args:
        program: to run.
        inputs: a domain, a task, token lists or a batch.
        most: the largest domain that is run whole.
        samples, seed: how many inputs are drawn from a larger one, and from which stream.

    Raises:
        InputError: no input, or one that the program cannot take.
    """
    question = asked(program, inputs, most=most, samples=samples, seed=seed)
    return summary(view(program, distinct(question.batch)), exhaustive=question.exhaustive)


def summary(seen: View, *, exhaustive: bool) -> Reachable:
    """`Reachable` from values that are already there."""
    program = seen.program
    values: dict[str, dict[int, int]] = {}
    for name in (*program.categorical, *program.numerical):
        found, counts = seen.occurring(name)
        values[name] = dict(zip(found.tolist(), counts.tolist(), strict=True))
    tuples: dict[str, dict[tuple[int, ...], int]] = {}
    queries: dict[str, dict[int, int]] = {}
    keys: dict[str, dict[int, int]] = {}
    for _, _, module in program.modules():
        if isinstance(module, TableMLP | NumMLP):
            rows, counts = seen.tuples(tuple(module.inputs))
            tuples[module.name] = dict(zip(map(tuple, rows.tolist()), counts.tolist(), strict=True))
        else:
            queries[module.name], keys[module.name] = dict(values[module.query]), dict(values[module.key])
    return Reachable(
        inputs=len(seen.batch),
        positions=len(seen),
        exhaustive=exhaustive,
        values=FrozenMap(values),
        tuples=FrozenMap(tuples),
        queries=FrozenMap(queries),
        keys=FrozenMap(keys),
        constants=FrozenMap({name: next(iter(counts)) for name, counts in values.items() if len(counts) == 1}),
        partitions=partitions(seen),
    )


def partitions(seen: View) -> tuple[tuple[str, ...], ...]:
    """Groups of variables related by bijections; being so related is an equivalence, so one member stands for all.

    Args:
        seen: the values that occurred.
    """
    groups: list[list[str]] = []
    sizes = {name: len(seen.occurring(name)[0]) for name in seen.variables}
    for name in (*seen.program.categorical, *seen.program.numerical):
        for group in groups:
            if sizes[group[0]] == sizes[name] and seen.function(name, of=group[0]) is not None:
                group.append(name)  # as many values, and a function: a bijection
                break
        else:
            groups.append([name])
    return tuple(tuple(group) for group in groups if len(group) > 1)
