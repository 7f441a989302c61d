"""What an MLP of a program does, as a short list: its table's entries, or steps along one integer.

A numerical MLP is a function of a few integers. One hidden layer can follow it along any integer combination c of
its inputs on which it depends: a sum, what its own network computes, or else the position in a table of all tuples.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.programs._inputs import Inputs, asked
from learnt.programs.evaluator import Batch, evaluate, net_outputs
from learnt.programs.program import UNANSWERED, NumMLP, Program, TableMLP

MOST_TUPLES = 1 << 19  # two sums of counts of counts, for N = 8
_CHUNK = 8192  # inputs whose variables are kept at once

Step = tuple[int, int, int]  # (threshold, output below, output from there on)


def occurring(program: Program, inputs: Inputs) -> dict[str, np.ndarray]:
    """By MLP: the (T, n_in) tuples of values that it meets on these inputs."""
    batch = asked(program, inputs).batch
    sizes = dict(program.cardinality) | {name: top + 1 for name, top in program.highest.items()}
    mlps = {m.name: m for _, _, m in program.modules() if isinstance(m, TableMLP | NumMLP)}
    boxes = {name: tuple(sizes[variable] for variable in mlp.inputs) for name, mlp in mlps.items()}
    for name, box in boxes.items():
        if prod(box) >= 1 << 62:
            raise NotApplicable(name, found=f"input values up to {box}", expected="products below 2^62")
    found = {name: np.zeros(0, dtype=np.int64) for name in mlps}
    for start in range(0, len(batch), _CHUNK):
        rows = slice(start, start + _CHUNK)
        piece = evaluate(program, Batch(ids=batch.ids[rows], lengths=batch.lengths[rows]), keep=True)
        for name, mlp in mlps.items():
            met = tuple(piece.variables[variable][piece.real] for variable in mlp.inputs)
            found[name] = np.union1d(found[name], np.ravel_multi_index(met, boxes[name]))
    return {name: np.stack(np.unravel_index(codes, boxes[name]), 1) for name, codes in found.items()}


def table_entries(program: Program, mlp: TableMLP, given: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(T, n_in) tuples of values and their (T,) outputs; without tuples that contradict themselves."""
    sizes = tuple(program.cardinality[name] for name in mlp.inputs)
    values = _box(mlp.name, sizes) if given is None else given
    first = [mlp.inputs.index(name) for name in mlp.inputs]  # a variable read twice has one value
    values = values[(values == values[:, first]).all(1)]
    return values, np.array(mlp.table)[np.ravel_multi_index(tuple(values.T), sizes)]


def number_steps(program: Program, mlp: NumMLP, given: np.ndarray | None) -> tuple[tuple[int, ...], int, list[Step]]:
    """(integer weights of the inputs, output of the least code, steps) of a numerical MLP.

    Raises:
        NotApplicable: too many tuples of values.
    """
    sizes = tuple(program.highest[name] + 1 for name in mlp.inputs)
    along = _along_own_net(mlp, sizes)
    if along is not None:
        weights, codes, outputs = along
        return weights, int(outputs[0]), _steps(codes, outputs)
    values = _box(mlp.name, sizes) if given is None else given
    outputs = _outputs(mlp, values)
    values, outputs = values[outputs != UNANSWERED], outputs[outputs != UNANSWERED]
    if not len(values):
        return (0,) * len(sizes), 0, []
    best = None
    for weights in _codes(mlp, values):
        codes, where = np.unique(values @ np.array(weights), return_inverse=True)
        by_code = np.full(len(codes), UNANSWERED)
        by_code[where.ravel()] = outputs
        if (by_code[where.ravel()] == outputs).all():
            steps = _steps(codes, by_code)
            if best is None or len(steps) < len(best[2]):
                best = weights, int(by_code[0]), steps
    if best is None:
        raise InputError(mlp.name, found="two outputs for one tuple of values", expected="one")
    return best


def _box(name: str, sizes: tuple[int, ...]) -> np.ndarray:
    if prod(sizes) > MOST_TUPLES:
        raise NotApplicable(
            name,
            found=f"{prod(sizes):,} tuples of input values that interval analysis allows",
            expected=f"at most {MOST_TUPLES:,}",
            remedy="Give a domain, so that only the tuples that occur on it are compiled.",
        )
    return np.stack(np.unravel_index(np.arange(prod(sizes)), sizes), 1)


def _outputs(mlp: NumMLP, values: np.ndarray) -> np.ndarray:
    """(T,) outputs; -1 where the MLP has no answer."""
    out = np.full(len(values), UNANSWERED)
    if mlp.table is not None and mlp.sizes is not None:
        inside = (values < np.array(mlp.sizes)).all(1)
        out[inside] = np.array(mlp.table)[np.ravel_multi_index(tuple(values[inside].T), tuple(mlp.sizes))]
    if mlp.weights is not None:
        missing = out == UNANSWERED
        out[missing] = net_outputs(mlp.weights, values[missing])
    return out


def _along_own_net(mlp: NumMLP, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], np.ndarray, np.ndarray] | None:
    """(weights, codes, outputs) of an MLP that is a network with one hidden unit and integer weights."""
    net = mlp.weights
    if mlp.table is not None or net is None or len(net.W_in) != 1 or not all(w == int(w) for w in net.W_in[0]):
        return None
    weights = tuple(int(w) for w in net.W_in[0])
    low = sum(min(0, w * (size - 1)) for w, size in zip(weights, sizes, strict=True))
    high = sum(max(0, w * (size - 1)) for w, size in zip(weights, sizes, strict=True))
    if high - low > MOST_TUPLES:
        return None
    codes = np.arange(low, high + 1)
    hidden = np.maximum(codes + net.b_in[0], 0.0)
    return weights, codes, (hidden[:, None] * np.array(net.W_out)[:, 0] + np.array(net.b_out)).argmax(1)


def _codes(mlp: NumMLP, values: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Integer combinations to try; the last tells all tuples apart."""
    n_in = values.shape[1]
    yield (1,) * n_in
    for i in range(n_in):
        yield tuple(int(i == j) for j in range(n_in))
    if n_in == 2:
        yield (1, -1)
    box = values.max(0) + 1
    yield tuple(prod(int(edge) for edge in box[i + 1 :]) for i in range(n_in))


def _steps(codes: np.ndarray, outputs: np.ndarray) -> list[Step]:
    """Where the output changes along increasing codes."""
    changes = np.flatnonzero(outputs[1:] != outputs[:-1]) + 1
    return [(int(codes[i]), int(outputs[i - 1]), int(outputs[i])) for i in changes]
