"""Which gating does a ReLU network find for XOR, and when is it readable? Part of the figure `xor`; check 19.

2-128-1 without biases, normal weights, full-batch descent of step .02, L = 1/2 <(y - f(x))^2>. The law of four pathways
has one number fitted to the time at which the loss crosses 1/4. Units are weighted by |w_in| |w_out|.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.run.seeds import numpy_generator
from learnt.studies.gated_ink import CONTROL, HUES, PREDICTED, legend, named, simulated
from learnt.studies.gated_plan import Claim, Entry, Item, Options, mean_of, parts, rounded, thinned
from learnt.studies.programs_tables import Sheet

LOOKED = (0, 100, 200, 300, 400, 600, 1000, 2000, 4000)
UNITS, FAINT, CURVATURE = 128, 0.02, 0.5  # d of a pathway of either gating
DRAWN = 3  # curves, so that dashes can be told apart


def items(options: Options) -> list[Item]:
    """One item for each network."""
    stds = (0.01,) if options.scale == "small" else (0.01, 0.001)
    return [
        options.item("xor", "relu", std=std, number=i, steps=4000, lr=0.02)
        for std in stds
        for i in range(options.count(3, 10))
    ]


def work(item: Item) -> dict[str, Any]:
    """Loss, fitted laws, and gates of one network."""
    from learnt.gated.calibration import crossing
    from learnt.gated.gated_tasks import CORNERS, xor
    from learnt.gated.reduction import reduce

    corners = np.array(CORNERS, dtype=np.float64)
    target = corners[:, :1] * corners[:, 1:]
    rng = numpy_generator(item["seed"], "relu", item["number"])
    w, v = rng.normal(size=(UNITS, 2)) * item["std"], rng.normal(size=(1, UNITS)) * item["std"]
    lr, steps, losses, gates = item["lr"], item["steps"], [], []
    for step in range(steps + 1):
        if step in LOOKED:
            gates.append([step, *_read(w, v, corners)])
        z = corners @ w.T
        h = np.maximum(z, 0.0)
        miss = h @ v.T - target
        losses.append(0.5 * float((miss**2).mean()))
        back = (miss @ v) * (z > 0)
        v, w = v - lr * miss.T @ h / 4, w - lr * back.T @ corners / 4
    loss = np.array(losses)
    half = crossing(loss, 0.25)
    shown = thinned(min(steps, 1200) + 1)
    out: dict[str, Any] = {
        "gates": gates,
        "final": losses[-1],
        "half_time": None if half is None else lr * half,
        "time": rounded(lr * shown),
        "loss": rounded(loss[shown]),
    }
    for name in ("four", "halves"):
        reduction = reduce(xor(name))
        b0 = reduction.calibrate(loss, lr, level=0.25)
        law = reduction.solve(b0, "gd", lr=lr, steps=steps).loss
        out[name] = {
            "u0": b0**2 * CURVATURE / float(np.abs(reduction.S).max()),
            "error": float(np.abs(law - loss).max()),
            "curve": rounded(law[shown]),
        }
    return out


def _read(w: np.ndarray, v: np.ndarray, corners: np.ndarray) -> list[float]:
    """Share of unit mass on for one corner, by exact and by effective gates; whether these are the four pathways."""
    import torch

    from learnt.gated.rectified_gates import relu_gates

    with torch.random.fork_rng(devices=[]):
        first, second = torch.nn.Linear(2, UNITS, bias=False), torch.nn.Linear(UNITS, 1, bias=False)
    model = torch.nn.Sequential(first, torch.nn.ReLU(), second).double()
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(w))
        second.weight.copy_(torch.from_numpy(v))
    exact, effective = (relu_gates(model, corners, kind=kind) for kind in ("exact", "effective"))
    shares = [float(g.strengths[0][g.counts[0] == 1].sum() / g.strengths[0].sum()) for g in (exact, effective)]
    patterns, _ = effective.patterns(0, faint=FAINT)
    four = sorted(patterns.T.tolist()) == sorted(np.eye(4, dtype=bool).tolist())
    return [*shares, float(four)]


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """What must hold of ReLU networks."""
    runs = parts(entries, "relu")
    error = max(r["four"]["error"] for _, r in runs)
    other = min(r["halves"]["error"] for _, r in runs)
    early = [row for item, r in runs if item["std"] == 0.01 for row in r["gates"] if row[0] == 400]
    four, single = sum(row[3] == 1.0 for row in early), max(row[1] for row in early)
    return [
        Claim(
            "19",
            "ReLU: calibrated law of four pathways, largest error of all seeds",
            "<= 0.01",
            f"{error:.4f}",
            error <= 0.01,
        ),
        Claim(
            "",
            "control: calibrated law of halves, smallest error of all seeds",
            "> 0.01",
            f"{other:.3f}",
            other > 0.01,
        ),
        Claim(
            "19",
            "std .01, step 400: effective gates give four pathways of one corner",
            "all seeds",
            f"{four} of {len(early)}",
            four == len(early),
        ),
        Claim(
            "19",
            "std .01, step 400: unit mass on for one corner by exact gates",
            "0",
            f"{single:.2g}",
            single < 0.01,
        ),
    ]


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Networks by size of the start."""
    relu, rows = parts(entries, "relu"), []
    for std in dict.fromkeys(item["std"] for item, _ in relu):
        mine = [r for item, r in relu if item["std"] == std]
        times = [r["half_time"] for r in mine if r["half_time"] is not None]
        rows.append(
            (
                f"{std:g}",
                f"{len(mine)}",
                str(mean_of(times, "relu", std, "t")),
                str(mean_of([r["four"]["u0"] for r in mine], "relu", std, "u")),
                f"{max(r['four']['error'] for r in mine):.4f}",
                f"{min(r['halves']['error'] for r in mine):.3f}",
                f"{max(r['final'] for r in mine):.1e}",
            )
        )
    return [
        Sheet(
            title="ReLU 2-128-1",
            columns=("std", "seeds", "t half", "fitted u0", "four: largest error", "halves: smallest", "final loss"),
            rows=tuple(rows),
            notes=(
                "Mean over seeds with a 95 % interval. u0: fitted start of the law, as a share of the target. "
                "Errors: |loss - law|, largest of the run. The specification has t half 6.96 to 7.16 and 13.52 to "
                "13.72, errors of .0016 to .0035, over three seeds.",
            ),
        )
    ]


def draw(middle: Any, right: Any, entries: Sequence[Entry]) -> None:
    """Loss and laws; when gates can be read."""
    runs = [r for item, r in parts(entries, "relu") if item["std"] == 0.01]
    for k, r in enumerate(runs[:DRAWN]):
        names = ("ReLU networks", "law of four pathways, calibrated", "control: law of halves")
        labels = names if not k else (None,) * 3
        middle.plot(r["time"], r["loss"], label=labels[0], **simulated(HUES[0]))
        middle.plot(r["time"], r["four"]["curve"], label=labels[1], **PREDICTED)
        middle.plot(r["time"], r["halves"]["curve"], label=labels[2], **CONTROL)
    named(middle, "A ReLU network, 2-128-1", "time (step size x steps)", "loss, 1/2 <(y - f)$^2$>")
    legend(middle, "upper right")
    places = np.arange(len(LOOKED))
    for kind, column, hue, mark, style in (("effective gates (threshold .05)", 2, HUES[0], "o", "-"),
                                           ("exact gates (z > 0)", 1, HUES[5], "s", ":")):  # fmt: skip
        for k, r in enumerate(runs):
            shares = [row[column] for row in r["gates"]]
            right.plot(places[: len(shares)], shares, color=hue, marker=mark, markersize=4, linewidth=1.2,
                       linestyle=style, label=kind if not k else None)  # fmt: skip
    named(right, "Units that are on for one corner only", "step of gradient descent", "share of |w_in| |w_out|")
    right.set_xticks(places, [str(step) for step in LOOKED], fontsize="small")
    right.set_ylim(-0.03, 1.25)
    right.set_yticks([0, 0.25, 0.5, 0.75, 1])
    legend(right, "upper left")
