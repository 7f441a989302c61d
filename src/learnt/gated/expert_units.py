"""Pathways inside experts: an expert with ReLU units is not one linear map but one for each pattern of open units.

    gate of (expert e, unit h) on token i = g_e(i) G_h(i)          G_h = 1 where the unit is open, or its slope

Units that are open for the same of the expert's tokens are one pathway. What `pathway_strengths` then says is the first
growth of each, with router and rectifiers held as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import finite
from learnt.gated.rectified_gates import GatePatterns


def unit_pathways(
    gates: Any, inside: Sequence[Any], *, layer: int = 0, names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pathways inside experts: the gate of an expert times the gate of its hidden units.

    Args:
        gates: (P, E) of the router.
        inside: for each expert the (P, units) gates of a hidden layer on all tokens, or the `GatePatterns` that
            `relu_gates(expert, tokens)` gives; None for an expert that stays one (linearised) pathway.
        layer: hidden layer of `GatePatterns`.
        names: of the experts; "expert 0", ... if None.

    Returns:
        (P, K) gates and K names. Units that are open for the same of the expert's tokens are one pathway, and units
        that are open for none of them are left out.

    Raises:
        InputError, ShapeError, NonFiniteError: lengths that do not fit, NaN.
    """
    g = finite(gates, "gates")
    if g.ndim != 2:
        raise ShapeError("gates", found=f"shape {g.shape}", expected="(tokens, experts)")
    labels = [f"expert {e}" for e in range(g.shape[1])] if names is None else [str(name) for name in names]
    if len(inside) != g.shape[1] or len(labels) != g.shape[1]:
        raise InputError(
            "inside", found=f"{len(inside)} entries, {len(labels)} names", expected=f"{g.shape[1]}, one an expert"
        )
    columns, found = [], []
    for e, (own, label) in enumerate(zip(inside, labels, strict=True)):
        if own is None:
            columns.append(g[:, [e]])
            found.append(label)
            continue
        units = own.values(layer) if isinstance(own, GatePatterns) else finite(own, f"inside[{e}]")
        if units.ndim != 2 or len(units) != len(g):
            raise ShapeError(f"inside[{e}]", found=f"shape {units.shape}", expected=f"({len(g)}, units)")
        path = g[:, [e]] * units
        path, first, count = np.unique(path, axis=1, return_index=True, return_counts=True)
        for p in np.argsort(first):
            if path[:, p].any():
                columns.append(path[:, [p]])
                more = f" and {count[p] - 1} alike" if count[p] > 1 else ""
                found.append(f"{label}, unit {first[p]}{more}")
    if not columns:
        raise InputError("inside", found="no unit that is open for any token of its expert", expected="at least one")
    return np.concatenate(columns, axis=1), tuple(found)
