"""Which gating learns XOR, when, and which one does a ReLU network find? Slides 10 to 17, checks 6 and 19.

    L = 1/2 <(y - f(x))^2> over the four corners; 1/2 for no answer        time = step size x steps

Given gates: four pathways of one corner each, two half-planes, one pathway always open, and two pathways open on a
diagonal (both corners of a class at once), the control: like the single one they see no correlation to learn. The
prediction starts from the weights of the simulation; random starts have it calibrated by one number.

ReLU: 2-128-1 without biases. The four-pathway law has one number fitted to the time at which the loss crosses 1/4; the
control is the half-plane law, fitted alike. Which corners a unit is for is read with exact and effective gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.run.seeds import derive
from learnt.studies import gated_relu
from learnt.studies.gated_ink import HUES, PREDICTED, SEED, legend, named, panels, simulated
from learnt.studies.gated_plan import (
    Claim,
    Entry,
    Figure,
    Item,
    Options,
    mean_of,
    parts,
    rounded,
    thinned,
)
from learnt.studies.programs_tables import Sheet

GATINGS = {
    "four": ("four pathways, one corner each", "four"),
    "halves": ("two, x1 > 0 and x1 < 0", "halves"),
    "single": ("one, always open", "single"),
    "diagonals": ("two, one for each diagonal (control)", [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]),
}


def items(options: Options) -> list[Item]:
    """Each gating, and each seed of a ReLU network."""
    given = [
        options.item(
            "xor", "given", gating=name, seeds=options.count(5, 20), steps=1200, lr=0.02, b0=0.1, gain=0.1, hidden=4
        )
        for name in GATINGS
    ]
    return given + gated_relu.items(options)


def work(item: Item, data: str | None) -> dict[str, Any]:
    """Curves of one gating, or of one ReLU network."""
    return _given(item) if item["part"] == "given" else gated_relu.work(item)


def _given(item: Item) -> dict[str, Any]:
    from learnt.core.errors import NotApplicable
    from learnt.gated.gated_tasks import xor
    from learnt.gated.gdln_training import train_gdln
    from learnt.gated.reduction import reduce

    task = xor(GATINGS[item["gating"]][1], hidden=item["hidden"])
    reduction = reduce(task)
    settings = {"lr": item["lr"], "steps": item["steps"]}
    shown = thinned(item["steps"] + 1)
    predicted = reduction.solve(item["b0"], "gd", **settings)
    wrong = reduction.solve(1.1 * item["b0"], "gd", **settings)
    own = derive(item["seed"], "simulation", "decoupled")
    aligned = train_gdln(task, initial=reduction.weights(item["b0"], seed=own), seed=own, **settings).losses[:, 0]
    random = train_gdln(task, initial=item["gain"], seeds=item["seeds"], seed=item["seed"], **settings).losses
    fitted, errors = [], []
    for curve in random.T:
        try:
            b0 = reduction.calibrate(curve, item["lr"], level=0.25)
        except NotApplicable:
            continue  # nothing to learn: no first drop
        fitted.append(b0)
        errors.append(float(np.abs(reduction.solve(b0, "gd", **settings).loss - curve).max()))
    mode = reduction.S[list(reduction.classes[0]), 0]
    return {
        "exact": predicted.exact,
        "s": float(np.abs(mode).max()),
        "difference": float(np.abs(aligned - predicted.loss).max()),
        "wrong_start": float(np.abs(aligned - wrong.loss).max()),
        "t_half": _when(predicted.time_to_loss(0.25)),
        "fitted": fitted,
        "calibrated_error": errors,
        "time": rounded(predicted.time[shown]),
        "aligned": rounded(aligned[shown]),
        "predicted": rounded(predicted.loss[shown]),
        "random": rounded(random[shown].T),
    }


def _when(time: float) -> float | None:
    return float(time) if np.isfinite(time) else None


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """What must hold."""
    found = []
    given = {item["gating"]: result for item, result in parts(entries, "given")}
    worst = max(r["difference"] for r in given.values())
    exact = all(r["exact"] for r in given.values())
    found.append(
        Claim(
            "6", "aligned start: largest |simulation - prediction|", "< 1e-10", f"{worst:.1e}", exact and worst < 1e-10
        )
    )
    wrong = min(r["wrong_start"] for name, r in given.items() if name in ("four", "halves"))
    found.append(Claim("", "control: the same with a start that is 10 % off", "> 0.01", f"{wrong:.2g}", wrong > 0.01))
    still = min(min(given[name]["aligned"]) for name in ("single", "diagonals"))
    found.append(
        Claim(
            "6",
            "control: loss of one pathway, and of one a diagonal, at the end",
            ">= 0.5",
            f"{still:.3f}",
            still >= 0.5 - 1e-9,
        )
    )
    times = {name: given[name]["t_half"] or np.inf for name in given}
    order = times["halves"] < times["four"] < times["single"]
    found.append(
        Claim(
            "15",
            "halves learn before four, four before one",
            "in this order",
            " < ".join(f"{times[n]:.3g}" for n in ("halves", "four", "single")),
            order,
        )
    )
    return found + gated_relu.claims(entries)


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Gatings, and ReLU networks by size of the start."""
    rows = []
    for item, r in parts(entries, "given"):
        b0 = mean_of(r["fitted"], "xor", item["gating"]) if r["fitted"] else ""
        rows.append(
            (
                GATINGS[item["gating"]][0],
                f"{r['s']:.4f}",
                f"{2 * r['s']:.4f}",
                "never" if r["t_half"] is None else f"{r['t_half']:.2f}",
                f"{r['difference']:.1e}",
                str(b0),
                f"{max(r['calibrated_error']):.3f}" if r["calibrated_error"] else "",
                f"{len(r['random'])}",
            )
        )
    made = [
        Sheet(
            title="Given gates",
            columns=("gating", "s", "rate 2s", "t half", "aligned: difference", "fitted b0", "random: error", "seeds"),
            rows=tuple(rows),
            notes=(
                "t half: loss 1/4, from b0 = .1. Difference and error: largest |loss - prediction| of the run; random "
                "starts are orthogonal of gain .1, with b0 fitted to the time at which the loss crosses 1/4.",
            ),
        )
    ]
    return [*made, *gated_relu.sheets(entries)]


def draw(entries: Sequence[Entry]) -> Any:
    """Given gates; a ReLU network; its gates."""
    made, (left, middle, right) = panels(3)
    for hue, (item, r) in zip(HUES, parts(entries, "given")):
        for curve in r["random"]:
            left.plot(r["time"], curve, **SEED)
        left.plot(r["time"], r["aligned"], label=GATINGS[item["gating"]][0], **simulated(hue))
        left.plot(r["time"], r["predicted"], **PREDICTED)
    left.plot([], [], label="predicted", **PREDICTED)
    left.plot([], [], label="random starts", **SEED)
    named(left, "Given gates", "time (step size x steps)", "loss, 1/2 <(y - f)$^2$>")
    legend(left, "upper right")
    gated_relu.draw(middle, right, entries)
    for axes in (left, middle):
        axes.set_xlim(0, 16)
        axes.set_ylim(-0.02, 0.95)
        axes.set_yticks([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    return made


def caption(entries: Sequence[Entry]) -> str:
    """Normalisation, seeds, intervals, control."""
    given, relu = parts(entries, "given"), [item for item, _ in parts(entries, "relu") if item["std"] == 0.01]
    return (
        "XOR. Loss: half the mean squared error over the four corners, each with weight 1/4; no answer has 1/2. "
        "Left: full-batch gradient descent (step .02) from aligned weights of strength .1 (coloured) and the "
        f"reduction from the same start (dashed), which is exact; grey: {given[0][0]['seeds']} random orthogonal "
        "starts of gain .1 each. Control: one pathway, and one for each diagonal, see no correlation and stay at "
        f"1/2. Middle: {len(relu)} ReLU networks (normal weights, std .01); the law of four pathways with one number "
        "fitted where the loss crosses 1/4; control: the law of two half-planes, fitted alike. Right: share of "
        "units, weighted by |w_in| |w_out|, that are on for exactly one corner. Single seeds are drawn ("
        f"{min(len(relu), gated_relu.DRAWN)} of the ReLU networks' losses), not intervals."
    )


FIGURE = Figure(
    "xor", "XOR: which gating learns it, and which one a ReLU network finds", items, work, claims, sheets, draw, caption
)
