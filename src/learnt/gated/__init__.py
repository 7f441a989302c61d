"""Gated deep linear networks and the neural race reduction (Saxe, Sodhani, Lewallen 2022, arXiv 2207.10430).

A `Graph` and a `GatedTask` (data with gates, given) say everything: what will be learned, how fast, and what is shared.
The theory is numpy; names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnt.gated import gated_tasks as gated_tasks
    from learnt.gated.calibration import calibrate as calibrate
    from learnt.gated.context_race import context_strengths as context_strengths
    from learnt.gated.frozen_gates import freeze_gates as freeze_gates
    from learnt.gated.gate_feasibility import relu_feasible as relu_feasible
    from learnt.gated.gated_task import GatedTask as GatedTask
    from learnt.gated.gates import Gates as Gates
    from learnt.gated.gdln import GDLN as GDLN
    from learnt.gated.gdln_training import train_gdln as train_gdln
    from learnt.gated.graph import Graph as Graph
    from learnt.gated.graph import Path as Path
    from learnt.gated.learning_rate import lr_max as lr_max
    from learnt.gated.learning_rate import regime as regime
    from learnt.gated.linear_form import to_gdln as to_gdln
    from learnt.gated.matrix_solution import balance as balance
    from learnt.gated.mode_profiles import ModeProfile as ModeProfile
    from learnt.gated.mode_profiles import mode_profile as mode_profile
    from learnt.gated.modes import Modes as Modes
    from learnt.gated.pair_design import design_pairs as design_pairs
    from learnt.gated.path_kernels import path_kernel as path_kernel
    from learnt.gated.path_stats import PathStats as PathStats
    from learnt.gated.path_stats import correlations as correlations
    from learnt.gated.path_stats import path_errors as path_errors
    from learnt.gated.path_stats import path_gradient as path_gradient
    from learnt.gated.racing import Race as Race
    from learnt.gated.racing import race as race
    from learnt.gated.rectified_gates import GatePatterns as GatePatterns
    from learnt.gated.rectified_gates import relu_gates as relu_gates
    from learnt.gated.reduction import AssumptionError as AssumptionError
    from learnt.gated.reduction import Reduction as Reduction
    from learnt.gated.reduction import reduce as reduce
    from learnt.gated.routing_theory import SymmetricRouting as SymmetricRouting
    from learnt.gated.routing_training import train_routing as train_routing
    from learnt.gated.shared_private import shared_vs_private as shared_vs_private
    from learnt.gated.trajectory import Trajectory as Trajectory
    from learnt.gated.untrained_pairs import untrained_error as untrained_error
    from learnt.gated.zero_shot_risk import ZeroShot as ZeroShot
    from learnt.gated.zero_shot_risk import spectral_ratio as spectral_ratio
    from learnt.gated.zero_shot_risk import zero_shot as zero_shot

_WHERE = {
    "AssumptionError": "reduction",
    "GDLN": "gdln",
    "GatePatterns": "rectified_gates",
    "GatedTask": "gated_task",
    "Gates": "gates",
    "Graph": "graph",
    "ModeProfile": "mode_profiles",
    "Modes": "modes",
    "Path": "graph",
    "PathStats": "path_stats",
    "Race": "racing",
    "Reduction": "reduction",
    "SymmetricRouting": "routing_theory",
    "Trajectory": "trajectory",
    "ZeroShot": "zero_shot_risk",
    "balance": "matrix_solution",
    "calibrate": "calibration",
    "context_strengths": "context_race",
    "correlations": "path_stats",
    "design_pairs": "pair_design",
    "freeze_gates": "frozen_gates",
    "lr_max": "learning_rate",
    "mode_profile": "mode_profiles",
    "path_errors": "path_stats",
    "path_gradient": "path_stats",
    "path_kernel": "path_kernels",
    "race": "racing",
    "reduce": "reduction",
    "regime": "learning_rate",
    "relu_feasible": "gate_feasibility",
    "relu_gates": "rectified_gates",
    "shared_vs_private": "shared_private",
    "spectral_ratio": "zero_shot_risk",
    "to_gdln": "linear_form",
    "train_gdln": "gdln_training",
    "train_routing": "routing_training",
    "untrained_error": "untrained_pairs",
    "zero_shot": "zero_shot_risk",
}
_ROOMS = {"closed_forms": "closed_forms", "tasks": "gated_tasks"}

__all__ = [*_WHERE, *_ROOMS]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"learnt.gated.{_ROOMS[name]}")
    if name in _WHERE:
        return getattr(import_module(f"learnt.gated.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'learnt.gated' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *_ROOMS})
