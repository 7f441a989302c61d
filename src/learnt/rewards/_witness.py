"""Two policies side by side: where they part ways, as a table, and as a picture of where each spends its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from learnt.core.panels import Chart
from learnt.rewards._aim import Behaviour
from learnt.rewards.mdp import TabularMDP

SHOWN = 10  # rows in the table of the largest differences
KEPT = 2000  # cells of a grid, or state-action pairs, up to which details hold the time spent in each
COLUMNS = ("state", "action", "probability under A's policy", "under B's", "visits under A's policy", "under B's")


def disagreement(first: Behaviour, second: Behaviour, mdp: TabularMDP) -> dict[str, Any]:
    """Details of two policies: the one that A prefers, and the one that B is content with.

    Returns:
        witness: rows of `columns`, largest difference of discounted visits first, terminal states left out.
        time_a, time_b: share of discounted time: (rows, columns) in a grid world, else (S A,) with names in `places`;
            left out beyond 2,000 numbers.
    """
    gap = np.abs(first.occupancy - second.occupancy)
    gap[mdp.terminal] = 0.0
    order = np.argsort(-gap, axis=None, kind="stable")[:SHOWN]
    floor = 1e-9 * float(first.occupancy.sum())
    chosen = [divmod(int(i), mdp.n_actions) for i in order if gap.flat[i] > floor]
    details: dict[str, Any] = {
        "columns": list(COLUMNS),
        "witness": [
            [
                _named(mdp.states, s, "state"),
                _named(mdp.actions, a, "action"),
                *(float(x[s, a]) for x in (first.policy, second.policy, first.occupancy, second.occupancy)),
            ]
            for s, a in chosen
        ],
    }
    times = [x.occupancy / x.occupancy.sum() for x in (first, second)]  # on fixed places: drivers average over replicas
    if mdp.grid is not None and mdp.n_states <= KEPT:
        details |= dict(zip(("time_a", "time_b"), (time.sum(1).reshape(mdp.grid) for time in times), strict=True))
    elif mdp.grid is None and gap.size <= KEPT:
        details |= {"time_a": times[0].ravel(), "time_b": times[1].ravel(), "places": _places(mdp)}
    return details


def picture(details: Mapping[str, Mapping[str, Any]], labels: tuple[str, str, str]) -> Chart | None:
    """Where both policies spend their time: maps of a grid world, else bars at the places where they differ most.

    Args:
        details: of ``"b"`` and ``"control"``, from `disagreement`.
        labels: what the two policies are called, and the second one of the control.
    """
    found, control = details.get("b"), details.get("control", {})
    if not found or not (len(found["witness"]) or "time_a" in found):  # merged over replicas, an empty list is an array
        return None
    if "time_a" not in found:
        where = [f"{state}, {action}" for state, action, *_ in found["witness"]]
        visits = np.array([row[4:6] for row in found["witness"]], dtype=np.float64)
        series = dict(zip(labels, visits.T, strict=False))
        return _bars(series, where, "discounted visits")
    first, second = (np.asarray(found[key], dtype=np.float64) for key in ("time_a", "time_b"))
    maps = dict(zip(labels, (first, second), strict=False))
    if np.shape(control.get("time_b", ())) == second.shape:
        maps[labels[2]] = np.asarray(control["time_b"], dtype=np.float64)
    if first.ndim == 2:
        row, column = divmod(int(np.abs(first - second).argmax()), first.shape[1])
        return Chart(
            kind="heatmap",
            series=maps,
            x=[str(i) for i in range(first.shape[1])],
            y=[str(i) for i in range(first.shape[0])],
            x_label="column",
            y_label="row",
            low=0.0,
            high=max(float(cells.max()) for cells in maps.values()),
            alt="Share of discounted time in each cell of the grid under both policies; they differ most at "
            f"row {row}, column {column}.",
        )
    top = np.argsort(-np.abs(first - second), kind="stable")[:SHOWN]
    series = {label: time[top] for label, time in maps.items()}
    return _bars(series, [str(found["places"][i]) for i in top], "share of discounted time")


def _bars(series: dict[str, np.ndarray], where: list[str], y_label: str) -> Chart:
    return Chart(
        kind="bars",
        series=series,
        x=where,
        x_label="state and action, largest differences first",
        y_label=y_label,
        alt=f"Visits of both policies where they differ most; the first place is {where[0]}.",
    )


def _places(mdp: TabularMDP) -> list[str]:
    return [
        f"{_named(mdp.states, s, 'state')}, {_named(mdp.actions, a, 'action')}"
        for s in range(mdp.n_states)
        for a in range(mdp.n_actions)
    ]


def _named(names: tuple[str, ...], index: int, kind: str) -> str:
    return names[index] if names else f"{kind} {index}"
