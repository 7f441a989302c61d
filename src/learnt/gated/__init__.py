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
    from learnt.gated.context_reduction import reduce_contexts as reduce_contexts
    from learnt.gated.context_stats import context_correlations as context_correlations
    from learnt.gated.context_stats import context_gradient as context_gradient
    from learnt.gated.context_stats import context_loss as context_loss
    from learnt.gated.curve_pictures import draw_modes as draw_modes
    from learnt.gated.curve_pictures import draw_profile as draw_profile
    from learnt.gated.curve_pictures import draw_race as draw_race
    from learnt.gated.curve_pictures import draw_trajectory as draw_trajectory
    from learnt.gated.expert_units import unit_pathways as unit_pathways
    from learnt.gated.frozen_gates import freeze_gates as freeze_gates
    from learnt.gated.gate_feasibility import relu_feasible as relu_feasible
    from learnt.gated.gate_learning import learn_gates as learn_gates
    from learnt.gated.gated_task import GatedTask as GatedTask
    from learnt.gated.gates import Gates as Gates
    from learnt.gated.gdln import GDLN as GDLN
    from learnt.gated.gdln_training import train_gdln as train_gdln
    from learnt.gated.graph import Graph as Graph
    from learnt.gated.graph import Path as Path
    from learnt.gated.graph_pictures import draw_gate as draw_gate
    from learnt.gated.graph_pictures import draw_graph as draw_graph
    from learnt.gated.graph_pictures import draw_margins as draw_margins
    from learnt.gated.graph_pictures import draw_pathways as draw_pathways
    from learnt.gated.graph_pictures import draw_patterns as draw_patterns
    from learnt.gated.learned_gates import LearnedGates as LearnedGates
    from learnt.gated.learning_rate import lr_max as lr_max
    from learnt.gated.learning_rate import regime as regime
    from learnt.gated.linear_form import to_gdln as to_gdln
    from learnt.gated.matrix_flow import MatrixSolution as MatrixSolution
    from learnt.gated.matrix_flow import balance as balance
    from learnt.gated.matrix_flow import matrix_solution as matrix_solution
    from learnt.gated.mode_profiles import ModeProfile as ModeProfile
    from learnt.gated.mode_profiles import compare_profiles as compare_profiles
    from learnt.gated.mode_profiles import mode_profile as mode_profile
    from learnt.gated.modes import Modes as Modes
    from learnt.gated.pair_design import design_pairs as design_pairs
    from learnt.gated.path_kernels import path_kernel as path_kernel
    from learnt.gated.path_stats import PathStats as PathStats
    from learnt.gated.path_stats import correlations as correlations
    from learnt.gated.path_stats import path_errors as path_errors
    from learnt.gated.path_stats import path_gradient as path_gradient
    from learnt.gated.pathway_strength import PathwayStrengths as PathwayStrengths
    from learnt.gated.pathway_strength import pathway_strengths as pathway_strengths
    from learnt.gated.prediction import Prediction as Prediction
    from learnt.gated.prediction import predict as predict
    from learnt.gated.racing import Race as Race
    from learnt.gated.racing import race as race
    from learnt.gated.rectified_gates import GatePatterns as GatePatterns
    from learnt.gated.rectified_gates import relu_gates as relu_gates
    from learnt.gated.reduction import AssumptionError as AssumptionError
    from learnt.gated.reduction import Reduction as Reduction
    from learnt.gated.reduction import reduce as reduce
    from learnt.gated.router_recording import Routing as Routing
    from learnt.gated.router_recording import record_router as record_router
    from learnt.gated.routing_domains import RoutingData as RoutingData
    from learnt.gated.routing_domains import routing_data as routing_data
    from learnt.gated.routing_theory import SymmetricRouting as SymmetricRouting
    from learnt.gated.routing_training import train_routing as train_routing
    from learnt.gated.shared_private import shared_vs_private as shared_vs_private
    from learnt.gated.solving import UnsupportedOptimizer as UnsupportedOptimizer
    from learnt.gated.solving import solve as solve
    from learnt.gated.task_files import load_task as load_task
    from learnt.gated.task_files import save_task as save_task
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
    "LearnedGates": "learned_gates",
    "MatrixSolution": "matrix_flow",
    "ModeProfile": "mode_profiles",
    "Modes": "modes",
    "Path": "graph",
    "PathStats": "path_stats",
    "PathwayStrengths": "pathway_strength",
    "Prediction": "prediction",
    "Race": "racing",
    "Reduction": "reduction",
    "Routing": "router_recording",
    "RoutingData": "routing_domains",
    "SymmetricRouting": "routing_theory",
    "Trajectory": "trajectory",
    "UnsupportedOptimizer": "solving",
    "ZeroShot": "zero_shot_risk",
    "balance": "matrix_flow",
    "calibrate": "calibration",
    "compare_profiles": "mode_profiles",
    "context_correlations": "context_stats",
    "context_gradient": "context_stats",
    "context_loss": "context_stats",
    "context_strengths": "context_race",
    "correlations": "path_stats",
    "design_pairs": "pair_design",
    "draw_gate": "graph_pictures",
    "draw_graph": "graph_pictures",
    "draw_margins": "graph_pictures",
    "draw_modes": "curve_pictures",
    "draw_pathways": "graph_pictures",
    "draw_patterns": "graph_pictures",
    "draw_profile": "curve_pictures",
    "draw_race": "curve_pictures",
    "draw_trajectory": "curve_pictures",
    "freeze_gates": "frozen_gates",
    "learn_gates": "gate_learning",
    "load_task": "task_files",
    "lr_max": "learning_rate",
    "matrix_solution": "matrix_flow",
    "mode_profile": "mode_profiles",
    "path_errors": "path_stats",
    "path_gradient": "path_stats",
    "path_kernel": "path_kernels",
    "pathway_strengths": "pathway_strength",
    "predict": "prediction",
    "race": "racing",
    "record_router": "router_recording",
    "reduce": "reduction",
    "reduce_contexts": "context_reduction",
    "regime": "learning_rate",
    "relu_feasible": "gate_feasibility",
    "relu_gates": "rectified_gates",
    "routing_data": "routing_domains",
    "save_task": "task_files",
    "shared_vs_private": "shared_private",
    "solve": "solving",
    "spectral_ratio": "zero_shot_risk",
    "to_gdln": "linear_form",
    "train_gdln": "gdln_training",
    "train_routing": "routing_training",
    "unit_pathways": "expert_units",
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
