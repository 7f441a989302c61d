"""Gated deep linear networks and the neural race reduction (Saxe, Sodhani, Lewallen 2022, arXiv 2207.10430).

A `Graph` and a `GatedTask` (data with gates, given) say everything: what will be learned, how fast, and what is shared.
The theory is numpy; names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnt.gated import gated_tasks as gated_tasks
    from learnt.gated.gated_task import GatedTask as GatedTask
    from learnt.gated.graph import Graph as Graph
    from learnt.gated.graph import Path as Path
    from learnt.gated.path_stats import PathStats as PathStats
    from learnt.gated.path_stats import correlations as correlations

_WHERE = {
    "GatedTask": "gated_task",
    "Graph": "graph",
    "Path": "graph",
    "PathStats": "path_stats",
    "correlations": "path_stats",
}
_ROOMS = {"tasks": "gated_tasks"}

__all__ = [*_WHERE, *_ROOMS]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"learnt.gated.{_ROOMS[name]}")
    if name in _WHERE:
        return getattr(import_module(f"learnt.gated.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'learnt.gated' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *_ROOMS})
