"""A gated task in a file: all of it as plain arrays, or a few lines that a person writes.

.npz, as `save_task` writes it; nothing in it is ever unpickled (`learnt.io.arrays`):

    schema             "learnt.gated.task/1"
    nodes, units       (V,) names, (V,) numbers of units
    edges, ends        (E,) names, (E, 2) names of the source and the target
    x.NODE, y.NODE     (P, units) inputs and targets; or (rows, units), and x_row.NODE, y_row.NODE (P,): which row
    gates.NAME         (P,) gates of a node or an edge; or (C,), with context_of: (P,) context of each sample
    prob               (P,) weights of the samples; without it they are equal and sum to 1

.toml, .json, .yaml, see `learnt.gated.task_settings`: the same by name, or a task of `learnt.gated.tasks` with its
arguments.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learnt.core.errors import InputError, LearntError, ShapeError
from learnt.gated._frozen import Columns, Gates, finite
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph
from learnt.gated.task_settings import SCHEMA, bounded, task_of

_KINDS = ("x", "y", "x_row", "y_row", "gates")
_OWN = ("schema", "nodes", "units", "edges", "ends", "prob", "context_of")


def save_task(task: GatedTask, path: str | os.PathLike[str]) -> Path:
    """Write a task atomically, as .npz or, for a small one that people should be able to read, as .json.

    Raises:
        InputError: another suffix, or a name with characters that cannot be printed.
        StorageError: the file cannot be written.
    """
    from learnt.io.arrays import write_npz
    from learnt.io.atomic import write_json

    if not isinstance(task, GatedTask):
        raise InputError("task", found=type(task).__name__, expected="a GatedTask")
    for name in (*task.graph.nodes, *task.graph.edges):
        if not name.isprintable():
            raise InputError("task", found=f"the name {name!r}", expected="names of printable characters")
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        return write_npz(path, _arrays(task))
    if suffix == ".json":
        return write_json(path, _record(task))
    raise InputError("path", found=str(path), expected="a name that ends in .npz or .json")


def load_task(path: str | os.PathLike[str]) -> GatedTask:
    """The task of a .npz, .toml, .json or .yaml file.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: pickled objects, tags, sizes that are not as declared.
        InputError, ShapeError, NonFiniteError: what is there is no task; the text names the file and what is wrong.
    """
    from learnt.io.arrays import read_npz
    from learnt.io.settings import SUFFIXES, read_settings

    where = Path(path)
    suffix = where.suffix.lower()
    if suffix != ".npz" and suffix not in SUFFIXES:
        raise InputError("task", found=repr(str(path)), expected=f"a file that ends in .npz, {', '.join(SUFFIXES)}")
    try:
        return _task(read_npz(where), str(where)) if suffix == ".npz" else task_of(read_settings(where), where)
    except LearntError as error:
        if where.name in str(error):
            raise
        raise type(error)(  # the same error, and which file it is about
            f"{where}, {error.argument}", found=error.found, expected=error.expected, remedy=error.remedy
        ) from error


# -- arrays -----------------------------------------------------------------------------------------------


def _arrays(task: GatedTask) -> dict[str, np.ndarray]:
    graph = task.graph
    out: dict[str, np.ndarray] = {
        "schema": np.array(SCHEMA), "nodes": np.array(list(graph.nodes)), "units": np.array(list(graph.nodes.values())),
        "edges": np.array(list(graph.edges)), "ends": np.array(list(graph.edges.values())),
        "prob": np.asarray(task.prob),
    }  # fmt: skip
    for what, columns in (("x", task.x), ("y", task.y)):
        for v in columns:
            values, row = columns.table(v) if isinstance(columns, Columns) else (columns[v], None)
            out[f"{what}.{v}"] = values
            if row is not None:
                out[f"{what}_row.{v}"] = row
    if task.contexts:
        out |= {f"gates.{name}": values for name, values in task.contexts.items()}
        out["context_of"] = task.context_of
    return out


def _task(arrays: Mapping[str, np.ndarray], where: str) -> GatedTask:
    kinds: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in _KINDS}
    for name, values in arrays.items():
        kind, _, rest = name.partition(".")
        if name not in _OWN and (kind not in kinds or not rest):
            known = f"{', '.join(_OWN)}, {', '.join(f'{k}.NAME' for k in _KINDS)}"
            raise InputError(where, found=f"the array {name!r}", expected=f"arrays of a gated task: {known}")
        if name not in _OWN:
            kinds[kind][rest] = values
    missing = [name for name in ("nodes", "units", "edges", "ends") if name not in arrays]
    if missing:
        raise InputError(
            where, found=f"no array {missing[0]!r}", expected="a gated task",
            remedy="learnt.gated.save_task writes such a file.",
        )  # fmt: skip
    if "schema" in arrays and str(arrays["schema"]) != SCHEMA:
        raise InputError(where, found=f"schema {str(arrays['schema'])[:60]!r}", expected=repr(SCHEMA))
    nodes, edges = _words(arrays["nodes"], "nodes", where), _words(arrays["edges"], "edges", where)
    units, ends = arrays["units"], arrays["ends"]
    if units.shape != (len(nodes),) or units.dtype.kind not in "iu":
        raise ShapeError(
            f"{where}[units]", found=f"{units.dtype} of shape {units.shape}", expected=f"({len(nodes)},) whole numbers"
        )
    if ends.shape != (len(edges), 2) or ends.dtype.kind != "U":
        raise ShapeError(
            f"{where}[ends]", found=f"{ends.dtype} of shape {ends.shape}", expected=f"({len(edges)}, 2) names of nodes"
        )
    pairs: Any = zip(nodes, (int(n) for n in units), strict=True)
    joined: Any = ((e, (str(a), str(b))) for e, (a, b) in zip(edges, ends, strict=True))
    graph = bounded(Graph(pairs, joined), where)
    of = arrays.get("context_of")
    gates: Any = kinds["gates"]
    if of is not None and gates:
        table = {name: finite(values, f"{where}[gates.{name}]") for name, values in gates.items()}
        count = len(next(iter(table.values()))) if next(iter(table.values())).ndim == 1 else -1
        if any(values.shape != (count,) for values in table.values()) or not count:
            raise ShapeError(f"{where}[gates]", found="different shapes", expected="(C,) each, one number a context")
        gates = Gates(table, _index(of, count, f"{where}[context_of]"))
    return GatedTask(
        graph, _columns(kinds["x"], kinds["x_row"], f"{where}[x"), _columns(kinds["y"], kinds["y_row"], f"{where}[y"),
        gates, arrays.get("prob"), None if "prob" in arrays else 1.0,
    )  # fmt: skip


def _columns(values: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray], where: str) -> Any:
    if unknown := [v for v in rows if v not in values]:
        raise InputError(f"{where}_row.{unknown[0]}]", found="rows without values", expected="both")
    table = {}
    for v, array in values.items():
        checked = finite(array, f"{where}.{v}]", single=True)
        if checked.ndim != 2:
            raise ShapeError(f"{where}.{v}]", found=f"shape {checked.shape}", expected="(samples, units)")
        table[v] = (checked, _index(rows[v], len(checked), f"{where}_row.{v}]") if v in rows else None)
    return Columns(table)


def _index(values: np.ndarray, count: int, name: str) -> np.ndarray:
    """(P,) whole numbers from 0 to below `count`."""
    if values.ndim != 1 or values.dtype.kind not in "iu" or not len(values):
        raise ShapeError(name, found=f"{values.dtype} of shape {values.shape}", expected="(P,) whole numbers")
    if int(values.min()) < 0 or int(values.max()) >= count:
        raise InputError(name, found=f"numbers from {values.min()} to {values.max()}", expected=f"0 to {count - 1}")
    return values


def _words(values: np.ndarray, name: str, where: str) -> list[str]:
    if values.ndim != 1 or values.dtype.kind != "U":
        raise ShapeError(f"{where}[{name}]", found=f"{values.dtype} of shape {values.shape}", expected="a row of names")
    return [str(x) for x in values]


# -- text -------------------------------------------------------------------------------------------------


def _record(task: GatedTask) -> dict[str, Any]:
    """The task as plain JSON data, by sample; nodes and edges as pairs, whose order a sorted mapping would lose."""
    graph = task.graph
    return {
        "schema": SCHEMA,
        "nodes": [[v, units] for v, units in graph.nodes.items()],
        "edges": [[e, list(ends)] for e, ends in graph.edges.items()],
        "x": {v: np.asarray(task.x[v], dtype=np.float64).tolist() for v in graph.inputs},
        "y": {v: np.asarray(task.y[v], dtype=np.float64).tolist() for v in graph.outputs},
        "gates": {name: values[task.context_of].tolist() for name, values in task.contexts.items()},
        "prob": np.asarray(task.prob).tolist(),
        "prob_sums_to": "prob",
    }
