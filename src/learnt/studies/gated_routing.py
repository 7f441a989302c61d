"""When does a routing network learn what? M encoders and decoders around a shared layer; checks 7, 8 and 25.

    L = w/2 sum over trained pairs of ||Y - W_out(j) W_hid W_in(i) X||^2,  w = 2/28 as in the notebook: 244 at start

M = 7, K = 4, widths 64, full-batch gradient descent of step .02: from aligned weights of strength .08 the discrete
reduction is the simulation; from random orthogonal weights of gain .2 one number is fitted to the first drop of the
loss, and the other drops are predicted. Controls: a start 1 % off, and predictions without calibration, from b0 = gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.run.seeds import derive
from learnt.studies.gated_ink import CONTROL, HUES, INK, PREDICTED, SEED, dots, legend, named, panels, simulated
from learnt.studies.gated_plan import Claim, Entry, Figure, Item, Options, mean_of, parts, rounded, thinned
from learnt.studies.programs_tables import Sheet

LEVELS = (151.5, 38.5, 9.0)  # the loss in the middle of each drop: 244, 59, 18, 0
OBSERVED = 120  # steps of a run that calibration may see


def items(options: Options) -> list[Item]:
    """Aligned runs of two networks, and random ones of the large one."""
    large = {"M": 7, "K": 4, "hidden": 64, "steps": 500, "lr": 0.02, "b0": 0.08}
    small = {"M": 3, "K": 2, "hidden": 16, "steps": 700, "lr": 0.02, "b0": 0.08}
    return [
        options.item("routing", "aligned", **large),
        options.item("routing", "aligned", **small),
        options.item("routing", "random", seeds=options.count(10, 40), gain=0.2, **large),
    ]


def work(item: Item, data: str | None) -> dict[str, Any]:
    """Aligned: simulation and prediction. Random: curves, fitted starts, and drops observed and predicted."""
    from learnt.gated.gated_tasks import routing
    from learnt.gated.gdln_training import train_gdln
    from learnt.gated.reduction import reduce

    task = routing(item["M"], item["K"], hidden=item["hidden"], weight="notebook")
    reduction = reduce(task)
    settings = {"lr": item["lr"], "steps": item["steps"]}
    shown = thinned(item["steps"] + 1, 220)
    if item["part"] == "aligned":
        own = derive(item["seed"], "simulation", "aligned")
        predicted = reduction.solve(item["b0"], "gd", **settings)
        wrong = reduction.solve(1.01 * item["b0"], "gd", **settings)
        loss = train_gdln(task, initial=reduction.weights(item["b0"], seed=own), seed=own, **settings).losses[:, 0]
        return {
            "exact": predicted.exact,
            "difference": float(np.abs(loss - predicted.loss).max()),
            "wrong_start": float(np.abs(loss - wrong.loss).max()),
            "drops": [predicted.step_to_loss(level) for level in LEVELS],
            "lr_max": reduction.lr_max(item["b0"]),
            "step": shown.tolist(),
            "predicted": rounded(predicted.loss[shown]),
            "aligned": rounded(loss[shown]),
        }
    trained = train_gdln(
        task, initial=item["gain"], seeds=item["seeds"], seed=item["seed"], record_every=10, **settings
    )
    return _calibrated(item, reduction, trained, shown)


def _calibrated(item: Item, reduction: Any, trained: Any, shown: np.ndarray) -> dict[str, Any]:
    from learnt.gated.calibration import crossing

    settings = {"lr": item["lr"], "steps": 2 * item["steps"]}
    plain = reduction.solve(item["gain"], "gd", **settings)
    rows = []
    for curve in trained.losses.T:
        b0 = reduction.calibrate(curve[: OBSERVED + 1], item["lr"], level=LEVELS[0])
        path = reduction.solve(b0, "gd", **settings)
        rows.append(
            {
                "b0": b0,
                "observed": [crossing(curve, level) for level in LEVELS],
                "predicted": [crossing(path.loss, level) for level in LEVELS],
            }
        )
    path = reduction.solve(rows[0]["b0"], "gd", lr=item["lr"], steps=item["steps"])
    most = min(4, trained.strength["hid"].shape[2])
    return {
        "rows": rows,
        "uncalibrated": [crossing(plain.loss, level) for level in LEVELS],
        "step": shown.tolist(),
        "random": rounded(trained.losses[shown].T, 6),
        "calibrated": rounded(path.loss[shown]),
        "at": trained.at.tolist(),
        "singular": rounded(trained.strength["hid"][:, :, :most].transpose(1, 2, 0), 6),
        "strength": rounded(-np.sort(-path.strength["hid"][trained.at], axis=1)[:, :most].T, 6),
    }


def _errors(result: dict[str, Any], key: str) -> np.ndarray:
    """(seeds, 2) relative errors of the predicted second and third drop."""
    said = result["uncalibrated"] if key == "uncalibrated" else None
    return np.array(
        [
            [
                abs((row["predicted"] if said is None else said)[k] - row["observed"][k]) / row["observed"][k]
                for k in (1, 2)
            ]
            for row in result["rows"]
            if None not in row["observed"]
        ]
    )


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """What must hold."""
    found = []
    for item, r in parts(entries, "aligned"):
        where = f"M = {item['M']}, K = {item['K']}"
        found.append(
            Claim(
                "8" if item["M"] == 7 else "7",
                f"{where}, aligned: largest |simulation - prediction| of 244",
                "< 1e-10",
                f"{r['difference']:.1e}",
                r["exact"] and r["difference"] < 1e-10,
            )
        )
        found.append(
            Claim(
                "",
                f"{where}, control: the same with a start that is 1 % off",
                "> 0.1",
                f"{r['wrong_start']:.2g}",
                r["wrong_start"] > 0.1,
            )
        )
        if item["M"] == 7:
            found.append(
                Claim(
                    "8",
                    "M = 7, K = 4: steps at which the loss crosses 151.5, 38.5, 9",
                    "77, 158, 328",
                    ", ".join(map(str, r["drops"])),
                    r["drops"] == [77, 158, 328],
                )
            )
            found.append(
                Claim(
                    "14",
                    "M = 7, K = 4: largest stable step",
                    "0.03757",
                    f"{r['lr_max']:.5f}",
                    abs(r["lr_max"] - 0.0375690) < 5e-4,
                )
            )
    for _, r in parts(entries, "random"):
        errors, plain = _errors(r, "predicted"), _errors(r, "uncalibrated")
        fits = [row["b0"] for row in r["rows"]]
        found += [
            Claim(
                "25",
                "random starts: mean error of the predicted 2nd and 3rd drop",
                "<= 10 %",
                f"{100 * errors.mean():.1f} %",
                bool(errors.mean() <= 0.1),
            ),
            Claim(
                "25",
                "random starts: largest of these errors",
                "<= 20 %",
                f"{100 * errors.max():.1f} %",
                bool(errors.max() <= 0.2),
            ),
            Claim(
                "25",
                "random starts: fitted b0",
                "in [.065, .09]",
                f"{min(fits):.4f} to {max(fits):.4f}",
                0.065 <= min(fits) and max(fits) <= 0.09,
            ),
            Claim(
                "",
                "control: mean error without calibration, b0 = gain",
                "> 50 %",
                f"{100 * plain.mean():.0f} %",
                bool(plain.mean() > 0.5),
            ),
        ]
    return found


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Drops: predicted from the aligned start, observed from random ones, predicted without calibration."""
    rows = []
    for item, r in parts(entries, "aligned"):
        if item["M"] == 7:
            rows.append((f"reduction, b0 = {item['b0']:g}", "", *[str(step) for step in r["drops"]]))
    for item, r in parts(entries, "random"):
        seen = np.array([row["observed"] for row in r["rows"] if None not in row["observed"]])
        means = [mean_of(seen[:, k], "routing", "drop", k) for k in range(3)]
        rows.append((f"random orthogonal, gain {item['gain']:g}", f"{len(seen)}", *map(str, means)))
        said = np.array([row["predicted"] for row in r["rows"]])
        means = [mean_of(said[:, k], "routing", "said", k) for k in range(3)]
        rows.append(("predicted, calibrated on the first", f"{len(said)}", *map(str, means)))
        rows.append(
            (f"control: reduction, b0 = {item['gain']:g}", "", *[f"{np.ceil(x):.0f}" for x in r["uncalibrated"]])
        )
    return [
        Sheet(
            title="Steps at which the loss crosses 151.5, 38.5 and 9 (M = 7, K = 4)",
            columns=("start", "seeds", "1st", "2nd", "3rd"),
            rows=tuple(rows),
            notes=(
                "Mean over seeds with a 95 % interval. The specification has 77, 158, 328 and, over 10 seeds, 78.9, "
                "160.0, 323.6; with b0 = .2 it has 30, 58, 116.",
            ),
        )
    ]


def draw(entries: Sequence[Entry]) -> Any:
    """The loss; drops predicted against observed; strengths of the shared layer."""
    made, (left, middle, right) = panels(3)
    _, aligned = next(e for e in parts(entries, "aligned") if e[0]["M"] == 7)
    item, random = parts(entries, "random")[0]
    for k, curve in enumerate(random["random"]):
        left.plot(random["step"], curve, label="random starts" if not k else None, **SEED)
    left.plot(aligned["step"], aligned["aligned"], label="aligned start", **simulated(HUES[0]))
    left.plot(aligned["step"], aligned["predicted"], label="predicted", **PREDICTED)
    for level in (59, 18):
        left.axhline(level, color="#bbbbbb", linewidth=0.7, zorder=1)
    named(
        left, "Loss of the trained pairs (M = 7, K = 4)", "step of gradient descent", "loss, w = 2/28 (no answer: 244)"
    )
    legend(left, "upper right")
    observed = np.array([row["observed"] for row in random["rows"] if None not in row["observed"]])
    predicted = np.array([row["predicted"] for row in random["rows"] if None not in row["observed"]])
    ends = np.array([50.0, 430.0])
    middle.fill_between(ends, 0.9 * ends, 1.1 * ends, color="#dddddd", zorder=0, label="within 10 %")
    middle.plot(ends, ends, color=INK, linewidth=0.8, zorder=1)
    for k, (name, mark) in enumerate((("first (fitted)", "o"), ("second", "s"), ("third", "^"))):
        dots(middle, predicted[:, k], observed[:, k], HUES[k], s=22, marker=mark, alpha=0.8, label=name)
    plain = random["uncalibrated"]
    for k in (1, 2):
        dots(middle, [plain[k]] * len(observed), observed[:, k], CONTROL["color"], s=20, marker="x", linewidths=0.8,
             label="control: not calibrated" if k == 1 else None)  # fmt: skip
    named(middle, "When the loss drops, random starts", "predicted step", "observed step")
    middle.set_xlim(20, 430)
    middle.set_ylim(20, 430)
    legend(middle, "lower right")
    for k in range(len(random["strength"])):
        right.plot(random["at"], random["singular"][0][k], **simulated(HUES[min(k, 2)]))
        right.plot(random["at"], random["strength"][k], **PREDICTED)
    right.plot([], [], label="singular values, one seed", **simulated(HUES[0]))
    right.plot([], [], label="predicted, calibrated", **PREDICTED)
    named(right, "Strengths of the shared layer", "step of gradient descent", "strength")
    right.set_ylim(0, 5.6)
    legend(right, "upper left")
    return made


def caption(entries: Sequence[Entry]) -> str:
    """Normalisation, seeds, intervals, control."""
    item, _ = parts(entries, "random")[0]
    return (
        "Routing network with M = 7 input and output domains, K = 4 trained outputs for each input, the authors' "
        "tree of 4 items and 7 features. Loss: w/2 times the squared error summed over trained pairs and items, w = "
        "2/28, 244 for no answer. Full-batch gradient descent, step .02, widths 64. Left: aligned weights of "
        f"strength .08 (blue) and the discrete reduction (dashed), which is exact there; grey: {item['seeds']} random "
        "orthogonal starts of gain .2. Middle: for each of these, b0 is fitted to the first drop, of which "
        f"{OBSERVED} steps are seen, and the second and third are predicted; control: predictions from b0 = .2 "
        "without calibration. Right: the four largest singular values of the shared layer in one random run, and the "
        "calibrated prediction; with random starts this is an approximation. Dots are single seeds."
    )


FIGURE = Figure("routing", "Routing: when each mode is learned", items, work, claims, sheets, draw, caption)
