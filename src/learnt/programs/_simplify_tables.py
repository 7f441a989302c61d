"""Tables that say only what is asked of them: inputs that do not matter go, entries never read are filled in.

An input goes when the answer is a function of the others on the domain. Entries that no input leads to take the
value that leaves the fewest cases. A numerical MLP gets a table over the values that occur and loses its network,
which only a list of all inputs allows; beyond that table it then refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from learnt.programs._simplify_edit import Draft
from learnt.programs._simplify_edits import Edit
from learnt.programs._simplify_size import branches, common, run_branches, table_branches
from learnt.programs._simplify_view import View
from learnt.programs.program import UNANSWERED, NumMLP, TableMLP

_LARGEST_TABLE = 1 << 14  # entries of a numerical table that a network is turned into


def tables(seen: View, *, exhaustive: bool) -> list[Edit]:
    """One edit an MLP that can lose an input, a network or a case."""
    edits = []
    for _, _, module in seen.program.modules():
        new = None
        if isinstance(module, TableMLP):
            new = _categorical(seen, module)
        elif isinstance(module, NumMLP):
            new = _numerical(seen, module, exhaustive=exhaustive)
        if new is not None:
            edits.append(Edit(f"{module.name} has a shorter table", _exchange(new)))
    return edits


def needed_inputs(tuples: np.ndarray, outputs: np.ndarray) -> list[int]:
    """The inputs that are left when every input that can go has gone, the last ones first.

    Args:
        tuples: (U, n) different combinations of input values.
        outputs: (U,) the answers.
    """
    kept = list(range(tuples.shape[1]))
    for axis in reversed(range(tuples.shape[1])):
        others = [a for a in kept if a != axis]
        if not others:
            break
        _, group = np.unique(tuples[:, others], axis=0, return_inverse=True)
        group = group.ravel()
        answer = np.empty(int(group.max()) + 1, np.int64)
        answer[group] = outputs
        if (answer[group] == outputs).all():
            kept = others
    return kept


def _categorical(seen: View, mlp: TableMLP) -> TableMLP | None:
    sizes = [seen.program.cardinality[name] for name in mlp.inputs]
    tuples, _ = seen.tuples(tuple(mlp.inputs))
    outputs = np.array(mlp.table)[np.ravel_multi_index(tuple(tuples.T), tuple(sizes))]
    kept = needed_inputs(tuples, outputs)
    known = np.full([sizes[axis] for axis in kept], UNANSWERED)
    known[tuple(tuples[:, kept].T)] = outputs
    table = min(_fillings(known), key=table_branches)
    if len(kept) == len(sizes) and table_branches(table) >= table_branches(np.array(mlp.table).reshape(sizes)):
        return None
    inputs = tuple(mlp.inputs[axis] for axis in kept)
    return replace(mlp, inputs=inputs, table=tuple(table.ravel().tolist()))


def _fillings(known: np.ndarray) -> list[np.ndarray]:
    """Tables without gaps: gaps filled with what is most common in the table, or in their slice of one input."""
    usual = common(known[known != UNANSWERED])
    filled = [np.where(known == UNANSWERED, usual, known)]
    for axis in range(known.ndim if known.ndim > 1 else 0):
        table = np.moveaxis(known.copy(), axis, 0)
        for part in table:
            present = part[part != UNANSWERED]
            part[part == UNANSWERED] = common(present) if present.size else usual
        filled.append(np.moveaxis(table, 0, axis))
    return filled


def _numerical(seen: View, mlp: NumMLP, *, exhaustive: bool) -> NumMLP | None:
    program = seen.program
    tuples, _ = seen.tuples(tuple(mlp.inputs))
    outputs = np.array([mlp(values) for values in tuples.tolist()])
    kept = needed_inputs(tuples, outputs)
    inputs = tuple(mlp.inputs[axis] for axis in kept)
    sizes = tuple(int(edge) + 1 for edge in tuples[:, kept].max(0))
    if prod(sizes) > _LARGEST_TABLE or not exhaustive:
        return None
    known = np.full(sizes, UNANSWERED)
    known[tuple(tuples[:, kept].T)] = outputs
    table = min((_carried(known, order) for order in _orders(known.ndim)), key=run_branches)
    new = replace(mlp, inputs=inputs, sizes=sizes, table=tuple(table.ravel().tolist()), weights=None)
    fewer = len(kept) < len(mlp.inputs) or mlp.weights is not None
    return new if fewer or run_branches(table) < branches(program, mlp) else None


def _orders(ndim: int) -> list[list[int]]:
    axes = list(range(ndim))
    return [axes[::-1], axes] if ndim > 1 else [axes]


def _carried(known: np.ndarray, order: list[int]) -> np.ndarray:
    """Gaps filled with the answer for the next smaller value of an input, or the next larger; axes in this order."""
    table = known.copy()
    for axis in order:
        for backwards in (False, True):
            along = np.moveaxis(table, axis, 0)
            along = along[::-1] if backwards else along
            for i in range(1, len(along)):
                here = along[i : i + 1]
                np.copyto(here, along[i - 1 : i], where=here == UNANSWERED)
    return table


def _exchange(new: Any) -> Callable[[Draft], bool]:
    def exchange(draft: Draft) -> bool:
        if draft.modules.get(new.name) != draft.program.module(new.name):
            return False  # changed by another edit: next time
        draft.modules[new.name] = new
        return True

    return exchange
