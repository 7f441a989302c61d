"""What a few lines say that describe a gated task: its graph and data by name, or a task of `learnt.gated.tasks`.

    task = "xor"                    or      [nodes]                 [edges]                  [x]
    gating = "halves"                       x = 2                   w1 = ["x", "h"]          x = [[1, 1], [-1, 1]]
                                            h = 2                   w2 = ["h", "y"]          [y]
                                            y = 1                                            y = [[1], [-1]]

Beside `task` stand its arguments. Beside nodes, edges, x and y may stand gates, (P,) by node or edge, or contexts, a
list of gates by node or edge, each of which shows every item; prob, context_prob, prob_sums_to (a number, or "prob" to
take prob as it is); and arrays, the name of a .npz beside the file: text in the place of an array then is a name in it.
A gate of trained pairs may also be a .csv beside the file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from learnt.core.errors import InputError
from learnt.gated import gated_tasks
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph

SCHEMA = "learnt.gated.task/1"
NAMED: Mapping[str, Callable[..., GatedTask]] = {
    "xor": gated_tasks.xor, "separable": gated_tasks.separable, "hierarchy": gated_tasks.hierarchy,
    "routing": gated_tasks.routing, "random_dag": gated_tasks.random_dag,
}  # fmt: skip
MOST_WEIGHTS = 100_000_000  # numbers in all weights of a graph
MOST: Mapping[str, int] = {
    "M": 1_000, "K": 1_000, "levels": 12, "hidden": 10_000, "modes": 500, "contexts": 10_000, "items": 100_000,
    "shared_layers": 100, "in_layers": 100, "out_layers": 100,
}  # fmt: skip
_INTEGER = 2**31
MOST_GATES = 20_000_000  # trained pairs times domains
_DATA = ("nodes", "edges", "x", "y", "gates", "contexts", "prob", "context_prob", "prob_sums_to", "arrays")
_ARRAYS = ("gate", "x", "y")  # arguments of named tasks that are arrays


def task_of(settings: Mapping[str, Any], path: Path) -> GatedTask:
    """The task that a settings file describes; `path` is that file: others lie beside it, and errors name it."""
    where = str(path)
    given = dict(settings)
    schema = given.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise InputError(where, found=f"schema {str(schema)[:60]!r}", expected=repr(SCHEMA))
    arrays = _beside(given.pop("arrays", None), path)
    if "task" in given:
        name = given.pop("task")
        return named_task(name, given, path=path, arrays=arrays)
    if unknown := [key for key in given if key not in _DATA]:
        raise InputError(where, found=f"the key {unknown[0]!r}", expected=f"task, or {', '.join(_DATA)}")
    if missing := [key for key in ("nodes", "edges", "x", "y") if key not in given]:
        raise InputError(
            where, found=f"no {missing[0]!r}", expected="nodes, edges, x and y; or the name of a task under 'task'"
        )
    graph = bounded(Graph(given["nodes"], given["edges"]), where)
    x, y = (_named_arrays(given[key], key, where, arrays) for key in ("x", "y"))
    prob, context_prob = (_array(given.get(key), key, arrays) for key in ("prob", "context_prob"))
    total = given.get("prob_sums_to", 1.0)
    total = None if total == "prob" else total
    if "contexts" not in given:
        if context_prob is not None:
            raise InputError(where, found="context_prob without contexts", expected="contexts")
        gates = _named_arrays(given.get("gates", {}), "gates", where, arrays)
        return GatedTask(graph, x, y, gates, prob, total)
    if "gates" in given:
        raise InputError(where, found="gates and contexts", expected="one of the two")
    contexts = given["contexts"]
    if not isinstance(contexts, list) or not all(isinstance(c, Mapping) for c in contexts) or not contexts:
        raise InputError(where, found="contexts that are no list of gates", expected="[{h1 = 1, h2 = 0}, ...]")
    return GatedTask.from_contexts(graph, x, y, contexts, prob=prob, context_prob=context_prob, prob_sums_to=total)


def named_task(
    name: Any, arguments: Mapping[str, Any], *, path: Path | None = None, arrays: Mapping[str, np.ndarray] | None = None
) -> GatedTask:
    """A task of `learnt.gated.tasks` by its name.

    Raises:
        InputError: an unknown name (with the nearest), an argument that the task does not take, sizes beyond reason.
    """
    if not isinstance(name, str) or name not in NAMED:
        near = get_close_matches(str(name), NAMED, n=2, cutoff=0.4)
        raise InputError(
            "task", found=repr(name), expected=f"one of {', '.join(NAMED)}",
            remedy=f"Nearest: {', '.join(near)}." if near else "",
        )  # fmt: skip
    known = inspect.signature(NAMED[name]).parameters
    values: dict[str, Any] = {}
    for key, value in arguments.items():
        if key not in known:
            raise InputError(name, found=f"the argument {key!r}", expected=f"one of {', '.join(known)}")
        if key in _ARRAYS or (key == "gating" and isinstance(value, list)):
            value = _pairs(value, path) if key == "gate" else _array(value, key, arrays or {})
        elif isinstance(value, int) and not isinstance(value, bool) and value > MOST.get(key, _INTEGER):
            raise InputError(key, found=f"{value:,}", expected=f"at most {MOST.get(key, _INTEGER):,}")
        values[key] = value
    if name == "routing":
        gate, sizes = values.get("gate"), (values.get("M"), values.get("K"))
        gates = np.size(gate) ** 1.5 if gate is not None else _gates(*sizes)
        if gates > MOST_GATES:
            raise InputError("routing", found=f"{gates:,.0f} gates", expected=f"at most {MOST_GATES:,}: fewer domains")
    return NAMED[name](**values)


def bounded(graph: Graph, where: str) -> Graph:
    """The graph, if its weights fit into memory."""
    total = sum(rows * columns for rows, columns in graph.shapes.values())
    if total > MOST_WEIGHTS:
        raise InputError(where, found=f"a graph with {total:,} weights", expected=f"at most {MOST_WEIGHTS:,}")
    return graph


def read_gate(path: str | Path) -> np.ndarray:
    """The gate (M_in, M_out) of a .csv with a header line, or of a .npy file: rows inputs, columns outputs."""
    from learnt.io.arrays import read_npy
    from learnt.io.tables import read_csv

    where = Path(path)
    if where.suffix.lower() == ".npy":
        return read_npy(where)
    if where.suffix.lower() != ".csv":
        raise InputError("gate", found=repr(str(path)), expected="a file .csv or .npy with zeros and ones")
    return read_csv(where).values


def _gates(M: Any, K: Any) -> int:
    return M * M * K if all(isinstance(v, int) and not isinstance(v, bool) for v in (M, K)) else 0


def _pairs(value: Any, path: Path | None) -> Any:
    if not isinstance(value, str):
        return value
    return read_gate(value if path is None else _neighbour(value, path, "gate"))


def _beside(name: Any, path: Path) -> Mapping[str, np.ndarray]:
    from learnt.io.arrays import read_npz

    if name is None:
        return {}
    if not isinstance(name, str) or not name.endswith(".npz"):
        raise InputError(str(path), found=f"arrays {str(name)[:60]!r}", expected="the name of a .npz beside this file")
    return read_npz(_neighbour(name, path, "arrays"))


def _neighbour(name: str, path: Path, key: str) -> Path:
    """A file beside `path`, or below: a description of a task does not reach elsewhere."""
    there = Path(name)
    if there.is_absolute() or ".." in there.parts:
        raise InputError(str(path), found=f"{key} {name[:60]!r}", expected="a file beside this one")
    return path.parent / there


def _named_arrays(given: Any, key: str, where: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(where, found=f"{key} that is a {type(given).__name__}", expected=f"{key} by name")
    return {name: _array(value, f"{key}[{name!r}]", arrays) for name, value in given.items()}


def _array(value: Any, key: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """Numbers as they are; text is the name of an array."""
    if not isinstance(value, str):
        return value
    if value not in arrays:
        names = ", ".join(sorted(arrays)[:8])
        raise InputError(
            key, found=f"the text {value[:60]!r}", expected=f"numbers, or an array of 'arrays': {names or 'none given'}"
        )
    return arrays[value]
