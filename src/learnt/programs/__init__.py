"""Programs: transformers that turn into readable Python (Friedman, Wettig, Chen 2023, arXiv 2306.01128), and beyond.

A `Program` is the one representation from which everything else is made; running one needs no torch. Names are
imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnt.programs import tasks as tasks
    from learnt.programs.evaluator import Batch as Batch
    from learnt.programs.evaluator import Evaluation as Evaluation
    from learnt.programs.evaluator import encode as encode
    from learnt.programs.evaluator import evaluate as evaluate
    from learnt.programs.interpreter import Attended as Attended
    from learnt.programs.interpreter import Run as Run
    from learnt.programs.interpreter import attend as attend
    from learnt.programs.interpreter import run as run
    from learnt.programs.program import Head as Head
    from learnt.programs.program import Layer as Layer
    from learnt.programs.program import NumMLP as NumMLP
    from learnt.programs.program import Program as Program
    from learnt.programs.program import ReluNet as ReluNet
    from learnt.programs.program import TableMLP as TableMLP
    from learnt.programs.program_json import from_fields as from_fields
    from learnt.programs.program_json import from_json as from_json
    from learnt.programs.program_json import load as load
    from learnt.programs.program_json import save as save
    from learnt.programs.program_json import to_fields as to_fields
    from learnt.programs.program_json import to_json as to_json
    from learnt.programs.task import Task as Task

_WHERE = {
    "Attended": "interpreter",
    "Batch": "evaluator",
    "Evaluation": "evaluator",
    "Head": "program",
    "Layer": "program",
    "NumMLP": "program",
    "Program": "program",
    "ReluNet": "program",
    "Run": "interpreter",
    "TableMLP": "program",
    "Task": "task",
    "attend": "interpreter",
    "encode": "evaluator",
    "evaluate": "evaluator",
    "from_fields": "program_json",
    "from_json": "program_json",
    "load": "program_json",
    "run": "interpreter",
    "save": "program_json",
    "to_fields": "program_json",
    "to_json": "program_json",
}

__all__ = [*_WHERE, "tasks"]


def __getattr__(name: str) -> Any:
    if name == "tasks":
        return import_module("learnt.programs.tasks")
    if name in _WHERE:
        return getattr(import_module(f"learnt.programs.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'learnt.programs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
