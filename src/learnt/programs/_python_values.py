"""Which values can the variables take, so that rules need to speak of no others? By analysis, or on a domain.

By analysis: tokens that an input may hold, positions below n_ctx, what tables can answer for what they can read,
numbers up to the bound of interval analysis. That is never less than what occurs. On a domain: what does occur when
the program runs on it, counted in pieces so that memory does not grow with the domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from learnt.programs._inputs import Inputs, asked
from learnt.programs._rules import OUTSIDE
from learnt.programs.evaluator import Batch, evaluate, net_outputs
from learnt.programs.program import UNANSWERED, NumMLP, Program, TableMLP

BOX = 20_000  # tuples of numbers that are still written as rules or as a table
_PIECE = 8192  # inputs of a domain at once


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Occurring:
    """What the rules must be right about.

    Attributes:
        values: of each categorical variable, ascending; the largest value alone of a numerical one.
        tuples: (t, n_in) of each categorical MLP, inputs as they are listed, and of each numerical one that is a table
            and nothing else, unless there are very many; without a domain empty.
        inputs: how many inputs of a domain were run; None without one.
        exhaustive: whether they are the whole domain.
    """

    values: dict[str, tuple[int, ...]]
    tuples: dict[str, np.ndarray]
    inputs: int | None
    exhaustive: bool


def possible(program: Program) -> Occurring:
    """What can occur for any input that the program takes."""
    first = 1 if program.padded and len(program.vocab) > 1 else 0
    values: dict[str, tuple[int, ...]] = {}
    if program.embeddings is None:
        values["tokens"] = tuple(range(first, len(program.vocab)))
    else:
        rows = program.embeddings[first:]
        values |= {name: tuple(sorted({r[e] for r in rows})) for e, name in enumerate(program.input_variables)}
    values["positions"] = tuple(range(program.n_ctx))
    for layer in program.layers:
        values |= {head.name: values[head.value] for head in layer.cat_heads}
        written = {mlp.name: _outputs(program, mlp, values) for mlp in layer.cat_mlps}
        written |= {mlp.name: _answers(program, mlp) for mlp in layer.num_mlps}
        values |= written
    values |= {name: (bound,) for name, bound in program.highest.items()}
    return Occurring(values=values, tuples={}, inputs=None, exhaustive=False)


def on_domain(program: Program, domain: Inputs) -> Occurring:
    """What does occur on a domain; errors as `learnt.programs._inputs.asked` and `evaluate`."""
    question = asked(program, domain)
    batch = question.batch
    values: dict[str, set[int]] = {name: set() for name in program.cardinality}
    highest = dict.fromkeys(program.highest, 0)
    mlps = [m for _, _, m in program.modules() if isinstance(m, TableMLP | NumMLP)]
    mlps = [m for m in mlps if isinstance(m, TableMLP) or m.weights is None]  # a network answers whatever comes
    sizes = {**program.cardinality, **{name: bound + 1 for name, bound in program.highest.items()}}
    sides = {mlp.name: tuple(sizes[name] for name in mlp.inputs) for mlp in mlps}
    seen = {name: np.zeros(0, dtype=np.int64) for name, side in sides.items() if math.prod(side) < 1 << 62}
    for start in range(0, len(batch), _PIECE):
        part = Batch(ids=batch.ids[start : start + _PIECE], lengths=batch.lengths[start : start + _PIECE])
        found = evaluate(program, part, keep=True)
        columns = {name: array[found.real] for name, array in found.variables.items()}
        for name in values:
            values[name].update(np.unique(columns[name]).tolist())
        for name in highest:
            highest[name] = max(highest[name], int(columns[name].max()))
        for mlp in mlps:
            if mlp.name in seen:
                entry = np.ravel_multi_index(tuple(columns[name] for name in mlp.inputs), sides[mlp.name])
                seen[mlp.name] = np.unique(np.concatenate([seen[mlp.name], entry]))
                if isinstance(mlp, NumMLP) and len(seen[mlp.name]) > BOX:
                    del seen[mlp.name]
    tuples = {name: np.stack(np.unravel_index(entry, sides[name]), 1) for name, entry in seen.items()}
    listed = {name: tuple(sorted(found)) for name, found in values.items()} | {n: (v,) for n, v in highest.items()}
    return Occurring(values=listed, tuples=tuples, inputs=len(batch), exhaustive=question.exhaustive)


def entries(program: Program, mlp: TableMLP, names: tuple[str, ...], columns: np.ndarray) -> np.ndarray:
    """(t,) outputs of a categorical MLP for (t, n) values of its distinct inputs `names`."""
    entry = np.zeros(len(columns), dtype=np.int64)
    for name in mlp.inputs:
        entry = entry * program.cardinality[name] + columns[:, names.index(name)]
    return np.array(mlp.table).take(entry)


def numerical(mlp: NumMLP, names: tuple[str, ...], columns: np.ndarray) -> np.ndarray:
    """(t,) outputs of a numerical MLP for (t, n) values of its distinct inputs; OUTSIDE where it has no answer."""
    values = columns[:, [names.index(name) for name in mlp.inputs]]
    out = np.full(len(values), OUTSIDE, dtype=np.int64)
    if mlp.table is not None and mlp.sizes is not None:
        inside = (values < np.array(mlp.sizes)).all(1)
        at = np.ravel_multi_index(tuple(values[inside].T), tuple(mlp.sizes))
        found = np.array(mlp.table).take(at)
        out[inside] = np.where(found == UNANSWERED, OUTSIDE, found)
    open_ = out == OUTSIDE
    if mlp.weights is not None and open_.any():
        out[open_] = net_outputs(mlp.weights, values[open_])
    return out


def spans(program: Program, mlp: NumMLP, highest: dict[str, int]) -> dict[str, range]:
    """The numbers that each distinct input of a numerical MLP may take, from 0 (`ones` is 1)."""
    return {name: range(1 if name == "ones" else 0, highest[name] + 1) for name in dict.fromkeys(mlp.inputs)}


def combinations(sides: Iterable[Sequence[int]]) -> np.ndarray:
    """(t, n) all tuples of values, row-major."""
    return np.stack([grid.ravel() for grid in np.meshgrid(*map(np.array, sides), indexing="ij")], 1)


def _outputs(program: Program, mlp: TableMLP, values: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    names = tuple(dict.fromkeys(mlp.inputs))
    columns = combinations(values[name] for name in names)
    return tuple(np.unique(entries(program, mlp, names, columns)).tolist())


def _answers(program: Program, mlp: NumMLP) -> tuple[int, ...]:
    sides = spans(program, mlp, dict(program.highest))
    if math.prod(side.stop - side.start for side in sides.values()) > BOX:
        return tuple(range(program.cardinality[mlp.name]))
    found = np.unique(numerical(mlp, tuple(sides), combinations(sides.values())))
    return tuple(found[found >= 0].tolist()) or (0,)
