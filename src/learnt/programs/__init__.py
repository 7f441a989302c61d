"""Programs: transformers that turn into readable Python (Friedman, Wettig, Chen 2023, arXiv 2306.01128), and beyond.

A `Program` is the one representation from which everything else is made; running one needs no torch. Names are
imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnt.programs import library as library
    from learnt.programs import tasks as tasks
    from learnt.programs.behaviour import ProgramAgreement as ProgramAgreement
    from learnt.programs.checking import Check as Check
    from learnt.programs.checking import check as check
    from learnt.programs.circuits import Circuit as Circuit
    from learnt.programs.circuits import circuit as circuit
    from learnt.programs.config import Config as Config
    from learnt.programs.config import Factored as Factored
    from learnt.programs.counterexamples import Guided as Guided
    from learnt.programs.counterexamples import counterexample_guided as counterexample_guided
    from learnt.programs.coverage import Coverage as Coverage
    from learnt.programs.coverage import branch_coverage as branch_coverage
    from learnt.programs.difference import ProgramDiff as ProgramDiff
    from learnt.programs.difference import diff as diff
    from learnt.programs.discretise import to_torch as to_torch
    from learnt.programs.evaluator import Batch as Batch
    from learnt.programs.evaluator import Evaluation as Evaluation
    from learnt.programs.evaluator import encode as encode
    from learnt.programs.evaluator import evaluate as evaluate
    from learnt.programs.fitted import FitResult as FitResult
    from learnt.programs.interchanges import interchange as interchange
    from learnt.programs.interpreter import Attended as Attended
    from learnt.programs.interpreter import Run as Run
    from learnt.programs.interpreter import attend as attend
    from learnt.programs.interpreter import run as run
    from learnt.programs.length import length_generalisation as length_generalisation
    from learnt.programs.module import ProgramModule as ProgramModule
    from learnt.programs.modules import ModuleAgreement as ModuleAgreement
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
    from learnt.programs.python_export import to_python as to_python
    from learnt.programs.reachability import Reachable as Reachable
    from learnt.programs.reachability import reachable as reachable
    from learnt.programs.recipe import Recipe as Recipe
    from learnt.programs.refitting import refit as refit
    from learnt.programs.refitting import retabulate as retabulate
    from learnt.programs.search import Searched as Searched
    from learnt.programs.search import grow as grow
    from learnt.programs.search import local_search as local_search
    from learnt.programs.sequences import Sequences as Sequences
    from learnt.programs.simplification import Simplified as Simplified
    from learnt.programs.simplification import simplify as simplify
    from learnt.programs.size import Stats as Stats
    from learnt.programs.size import stats as stats
    from learnt.programs.smt import prove as prove
    from learnt.programs.smt import to_smt as to_smt
    from learnt.programs.standard import StandardTransformer as StandardTransformer
    from learnt.programs.standard import train_standard as train_standard
    from learnt.programs.task import Task as Task
    from learnt.programs.tracing import Trace as Trace
    from learnt.programs.tracing import trace as trace
    from learnt.programs.training import fit as fit
    from learnt.programs.transformer import to_transformer as to_transformer
    from learnt.programs.verification import Equivalence as Equivalence
    from learnt.programs.verification import verify as verify
    from learnt.programs.votes import why as why

_WHERE = {
    "Attended": "interpreter",
    "Batch": "evaluator",
    "Check": "checking",
    "Circuit": "circuits",
    "Config": "config",
    "Coverage": "coverage",
    "Equivalence": "verification",
    "Evaluation": "evaluator",
    "Factored": "config",
    "FitResult": "fitted",
    "Guided": "counterexamples",
    "Head": "program",
    "Layer": "program",
    "ModuleAgreement": "modules",
    "NumMLP": "program",
    "Program": "program",
    "ProgramAgreement": "behaviour",
    "ProgramDiff": "difference",
    "ProgramModule": "module",
    "Reachable": "reachability",
    "Recipe": "recipe",
    "ReluNet": "program",
    "Run": "interpreter",
    "Searched": "search",
    "Sequences": "sequences",
    "Simplified": "simplification",
    "StandardTransformer": "standard",
    "Stats": "size",
    "TableMLP": "program",
    "Task": "task",
    "Trace": "tracing",
    "attend": "interpreter",
    "branch_coverage": "coverage",
    "check": "checking",
    "circuit": "circuits",
    "counterexample_guided": "counterexamples",
    "diff": "difference",
    "encode": "evaluator",
    "evaluate": "evaluator",
    "fit": "training",
    "from_fields": "program_json",
    "from_json": "program_json",
    "grow": "search",
    "interchange": "interchanges",
    "length_generalisation": "length",
    "load": "program_json",
    "local_search": "search",
    "prove": "smt",
    "reachable": "reachability",
    "refit": "refitting",
    "retabulate": "refitting",
    "run": "interpreter",
    "save": "program_json",
    "simplify": "simplification",
    "stats": "size",
    "to_fields": "program_json",
    "to_json": "program_json",
    "to_python": "python_export",
    "to_smt": "smt",
    "to_torch": "discretise",
    "to_transformer": "transformer",
    "trace": "tracing",
    "train_standard": "standard",
    "verify": "verification",
    "why": "votes",
}
_ROOMS = ("library", "tasks")

__all__ = [*_WHERE, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"learnt.programs.{name}")
    if name in _WHERE:
        return getattr(import_module(f"learnt.programs.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'learnt.programs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
