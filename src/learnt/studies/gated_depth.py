"""What does depth change? Longer plateaus, sharper steps: closed form over simulated chains; spec 1.6 (4), check 4.

    chain of L layers, one mode with s = 1.7, d = .6, L weights of strength b0 = .3:  b' = b^(L-1) (s - d b^L),  a = b^L
    loss = 1/2 <(y - f x)^2> = (s - d a)^2 / (2 d): in units of its start in the picture

The simulation is gradient descent of real networks with hidden layers of four units from aligned weights; the discrete
reduction is exact, and the closed form of gradient flow differs from descent by an error of the order of the step,
which halves with it: the control. A single layer has no plateau.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.run.seeds import derive
from learnt.studies.gated_ink import HUES, PREDICTED, dots, legend, named, panels, simulated
from learnt.studies.gated_plan import Claim, Entry, Figure, Item, Options, parts, rounded, thinned
from learnt.studies.programs_tables import Sheet

S, D, B0 = 1.7, 0.6, 0.3
ENDS = {1: 12.0, 2: 4.0, 3: 5.0, 4: 8.0, 6: 26.0}
SPECIFIED = {2: 1.432, 3: 1.759, 4: 3.240, 6: 18.18}  # times to nine tenths of the final layer strength
STARTS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)


def items(options: Options) -> list[Item]:
    """One chain for each depth."""
    lr = 0.01 if options.scale == "small" else 0.002
    return [options.item("depth", "chain", layers=layers, lr=lr, steps=round(end / lr)) for layers, end in ENDS.items()]


def work(item: Item, data: str | None) -> dict[str, Any]:
    """Simulation, discrete reduction and closed form of one depth."""
    from learnt.gated.deep import deep_layer_strength, deep_time, deep_time_to
    from learnt.gated.gated_task import GatedTask
    from learnt.gated.gdln_training import train_gdln
    from learnt.gated.graph import Graph
    from learnt.gated.reduction import reduce

    layers, lr, steps = item["layers"], item["lr"], item["steps"]
    graph = Graph.chain([1, *[4] * (layers - 1), 1])
    task = GatedTask(graph, {"x": [[np.sqrt(D)]]}, {"y": [[S / np.sqrt(D)]]})
    reduction = reduce(task)
    own = derive(item["seed"], "simulation", layers)
    simulation = train_gdln(task, initial=reduction.weights(B0, seed=own), seed=own, lr=lr, steps=steps).losses[:, 0]
    predicted = reduction.solve(B0, "gd", lr=lr, steps=steps)
    half = reduction.solve(B0, "gd", lr=lr / 2, steps=2 * steps).loss[::2]
    b = np.asarray(deep_layer_strength(predicted.time, S, D, B0, layers))
    flow = (S - D * b**layers) ** 2 / (2 * D)
    shown = thinned(steps + 1, 240)
    final = (S / D) ** (1 / layers)
    return {
        "exact": predicted.exact,
        "difference": float(np.abs(simulation - predicted.loss).max()),
        "step_error": float(np.abs(predicted.loss - flow).max()),
        "half_step_error": float(np.abs(half - flow).max()),
        "t_90_layer": float(deep_time(0.9 * final, S, D, B0, layers)),
        "times": [float(deep_time_to(f, S, D, B0, layers)) for f in (0.1, 0.5, 0.9)],
        "seen": [_reached(simulation, f, lr) for f in (0.1, 0.5, 0.9)],
        "by_start": [float(deep_time_to(0.5, S, D, b0, layers)) for b0 in STARTS],
        "time": rounded(predicted.time[shown]),
        "simulation": rounded(simulation[shown]),
        "flow": rounded(flow[shown]),
    }


def _reached(loss: np.ndarray, fraction: float, lr: float) -> float | None:
    """When a = f s/d: the loss is then (1 - f)^2 of that of no answer."""
    from learnt.gated.calibration import crossing

    at = crossing(loss, (1 - fraction) ** 2 * S**2 / (2 * D))
    return None if at is None else lr * at


def _said(time: float | None) -> str:
    return "never" if time is None else f"{time:.3f}"


def _sharpness(times: Sequence[float]) -> float:
    """How much of the time to one half the step from a tenth to nine tenths takes."""
    return (times[2] - times[0]) / times[1]


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """What must hold."""
    found = {item["layers"]: r for item, r in parts(entries, "chain")}
    worst = max(r["difference"] for r in found.values())
    exact = all(r["exact"] for r in found.values())
    ratios = [r["step_error"] / r["half_step_error"] for r in found.values()]
    off = max(abs(found[n]["t_90_layer"] / t - 1) for n, t in SPECIFIED.items())
    deep = sorted(n for n in found if n > 1)
    longer = all(found[a]["times"][1] < found[b]["times"][1] for a, b in zip(deep, deep[1:]))
    sharper = all(
        _sharpness(found[a]["times"]) > _sharpness(found[b]["times"]) for a, b in zip(sorted(found), sorted(found)[1:])
    )
    pairs = [(a, b) for r in found.values() for a, b in zip(r["seen"], r["times"], strict=True) if b > 0.1]
    seen = max(np.inf if a is None else abs(a - b) / b for a, b in pairs)
    return [
        Claim(
            "4",
            "closed form: times to .9 of the layer strength, L = 2, 3, 4, 6",
            "1.432, 1.759, 3.240, 18.18",
            ", ".join(f"{found[n]['t_90_layer']:.4g}" for n in SPECIFIED),
            off < 5e-4,
        ),
        Claim(
            "",
            "largest |simulation - discrete reduction| of the loss",
            "< 1e-10",
            f"{worst:.1e}",
            exact and worst < 1e-10,
        ),
        Claim(
            "",
            "simulated times to .1, .5, .9 of the strength, largest error of the closed form",
            "< 3 %",
            f"{100 * seen:.2g} %",
            seen < 0.03,
        ),
        Claim(
            "",
            "control: error of the closed form falls with the step, ratio at half the step",
            "1.8 to 2.2",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            1.8 < min(ratios) and max(ratios) < 2.2,
        ),
        Claim("", "time to one half is longer with each layer from L = 2 on", "yes", "yes" if longer else "no", longer),
        Claim("", "the step takes less of that time with each layer", "yes", "yes" if sharper else "no", sharper),
    ]


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Times by depth."""
    rows = [
        (
            f"{item['layers']}",
            *[f"{a:.3f} / {_said(b)}" for a, b in zip(r["times"], r["seen"], strict=True)],
            f"{_sharpness(r['times']):.2f}",
            f"{r['t_90_layer']:.4f}",
            f"{r['difference']:.1e}",
            f"{r['step_error']:.1e}",
        )
        for item, r in parts(entries, "chain")
    ]
    lr = entries[0][0]["lr"]
    return [
        Sheet(
            title="Time to a share of the strength, s = 1.7, d = .6, b0 = .3",
            columns=(
                "layers",
                "a tenth",
                "half",
                "nine tenths",
                "(t90 - t10) / t50",
                "t to .9 of b",
                "descent",
                "flow",
            ),
            rows=tuple(rows),
            notes=(
                f"Closed form / simulation with step {lr:g}. Descent: largest |loss of the simulation - discrete "
                "reduction|; flow: largest |discrete reduction - closed form|, an error of the step.",
            ),
        )
    ]


def draw(entries: Sequence[Entry]) -> Any:
    """Loss over time; the same in units of the time to half; time to half by size of the start."""
    made, (left, middle, right) = panels(3)
    for hue, (item, r) in zip(HUES, parts(entries, "chain")):
        name = f"L = {item['layers']}"
        time, none = np.array(r["time"]), S**2 / (2 * D)
        for axes, unit in ((left, 1.0), (middle, r["times"][1])):
            axes.plot(time / unit, np.array(r["simulation"]) / none, label=name, **simulated(hue))
            axes.plot(time / unit, np.array(r["flow"]) / none, **PREDICTED)
        right.plot(STARTS, r["by_start"], color=hue, linewidth=1.4, marker=".", label=name)
        if r["seen"][1] is not None:
            dots(right, [B0], [r["seen"][1]], hue, s=60, alpha=0.8)
    left.plot([], [], label="closed form", **PREDICTED)
    named(left, "Loss of chains of L layers", "time (step size x steps)", "loss / loss of no answer")
    legend(left, "upper right")
    named(middle, "... in units of the time to one half", "time / time to a = s/(2d)", "loss / loss of no answer")
    middle.set_xlim(0, 2.5)
    legend(middle, "upper right")
    named(
        right, "Time to one half by size of the start", "strength of each layer at the start, b0", "time to a = s/(2d)"
    )
    right.set_yscale("log")
    right.scatter([], [], s=60, color="#555555", label="simulated")
    legend(right, "upper right", ncols=2)
    return made


def caption(entries: Sequence[Entry]) -> str:
    """Normalisation, seeds, intervals, control."""
    lr = entries[0][0]["lr"]
    return (
        "Depth: chains of L layers with one mode, s = 1.7, d = .6, all layers from strength .3. Loss: half the mean "
        f"squared error over that of no answer. Coloured: full-batch gradient descent, step {lr:g}, of networks with "
        "four hidden units a layer from aligned weights (one seed: the loss does not depend on it); dashed: the "
        "closed form of gradient flow, which descent meets as its step goes to 0. Middle: the same in units of the "
        "time to one half: deeper is sharper. Right: closed form for other starts, large dots simulated. Control: "
        "one layer, without a plateau; and the error of the closed form, which halves with the step."
    )


FIGURE = Figure("depth", "Depth: longer plateaus, sharper steps", items, work, claims, sheets, draw, caption)
