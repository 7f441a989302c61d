"""In which order are things learned? Broad distinctions before fine ones, and strong modes before weak; checks 21, 22.

Tree: 8 items of a binary tree with features worth (6, 5, 4, 3) from the root down, a chain of three layers, random
orthogonal weights; the loss rests between levels. One number is fitted to the first drop, the other drops are
predicted. Control: each feature given to as many other items (no tree); its strengths predict other times.

Digits: networks of two layers on bundled images, inputs raw or whitened, with and without ReLU; when half of each mode
(`mode_profile`) is learned, against the strength of the mode. For the whitened linear network the reduction predicts
the times; for raw pixels modes leak, and only the order is claimed. Control: training on shuffled labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.run.seeds import numpy_generator
from learnt.studies import gated_order
from learnt.studies.gated_ink import CONTROL, HUES, PREDICTED, SEED, legend, named, panels, simulated
from learnt.studies.gated_plan import Claim, Entry, Figure, Item, Options, mean_of, parts, rounded, thinned
from learnt.studies.programs_tables import Sheet

WORTH, LEVELS = (6.0, 5.0, 4.0, 3.0), 4


def items(options: Options) -> list[Item]:
    """The tree, its control, and the networks on digits."""
    tree = [
        options.item("hierarchy", part, seeds=options.count(6, 20), gain=0.15, lr=0.002, steps=1500, hidden=32)
        for part in ("tree", "shuffled")
    ]
    return tree + gated_order.items(options)


def _task(item: Item) -> Any:
    from learnt.gated.gated_task import GatedTask
    from learnt.gated.graph import Graph
    from learnt.gated.hierarchies import tree

    y = np.array(tree(LEVELS - 1, WORTH))
    if item["part"] == "shuffled":
        rng = numpy_generator(item["seed"], "shuffled features")
        y = np.stack([rng.permutation(column) for column in y.T], 1)
    graph = Graph.chain([len(y), item["hidden"], item["hidden"], y.shape[1]])
    return GatedTask(graph, {"x": np.eye(len(y))}, {"y": y}, prob_sums_to=len(y))


def work(item: Item, data: str | None) -> dict[str, Any]:
    """Curves, drops and predictions of a tree; or half-times on digits."""
    if item["part"] not in ("tree", "shuffled"):
        return gated_order.work(item)
    from learnt.gated.calibration import crossing
    from learnt.gated.gdln_training import train_gdln
    from learnt.gated.hierarchy import hierarchy_plateaus, hierarchy_strengths
    from learnt.gated.reduction import reduce

    task = _task(item)
    reduction = reduce(task)
    settings = {"lr": item["lr"], "steps": item["steps"]}
    trained = train_gdln(task, initial=item["gain"], seeds=item["seeds"], seed=item["seed"], **settings)
    rests = hierarchy_plateaus(WORTH) / 2  # the loss is half the sum of squares
    middles = [float(x) for x in (rests[:-1] + rests[1:]) / 2]
    rows, curve = [], None
    shown = thinned(item["steps"] + 1, 220)
    for loss in trained.losses.T:
        b0 = reduction.calibrate(loss, item["lr"], level=middles[0])
        path = reduction.solve(b0, "gd", lr=item["lr"], steps=2 * item["steps"])
        curve = curve or rounded(path.loss[shown])
        rows.append(
            {
                "b0": b0,
                "observed": [crossing(loss, level) for level in middles],
                "predicted": [crossing(path.loss, level) for level in middles],
            }
        )
    return {
        "strengths": sorted(np.abs(reduction.S[0]).tolist(), reverse=True),
        "formula": hierarchy_strengths(WORTH).tolist(),
        "rests": rests.tolist(),
        "rows": rows,
        "step": shown.tolist(),
        "loss": rounded(trained.losses[shown].T, 6),
        "calibrated": curve,
    }


def _errors(rows: Sequence[dict[str, Any]], said: Sequence[Sequence[float]]) -> np.ndarray:
    """(seeds, 3) relative errors of the predicted drops of the finer levels."""
    return np.array(
        [
            [abs(b[k] - row["observed"][k]) / row["observed"][k] for k in range(1, LEVELS)]
            for row, b in zip(rows, said, strict=True)
            if None not in row["observed"] and None not in b
        ]
    )


def _mean_error(rows: Sequence[dict[str, Any]], said: Sequence[Sequence[float]]) -> float:
    errors = _errors(rows, said)
    return float(errors.mean()) if errors.size else float("inf")


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """What must hold."""
    found = []
    for _, r in parts(entries, "tree"):
        from learnt.gated.hierarchy import hierarchy_strengths

        notebook = hierarchy_strengths((6.0, 4.0, 3.0))
        off = float(np.abs(np.array(r["strengths"]) - r["formula"]).max())
        seen = [row["observed"] for row in r["rows"]]
        ordered = sum(None not in o and o == sorted(o) for o in seen)
        error = _mean_error(r["rows"], [row["predicted"] for row in r["rows"]])
        found += [
            Claim(
                "22",
                "strengths of the tree (6, 4, 3)",
                "13.60147, 6.40312, 3, 3",
                ", ".join(f"{x:.7g}" for x in notebook),
                bool(np.allclose(notebook, [13.60147, 6.40312, 3, 3], atol=1e-5)),
            ),
            Claim(
                "22", "strengths of the tree (6, 5, 4, 3): formula less reduction", "< 1e-9", f"{off:.1e}", off < 1e-9
            ),
            Claim(
                "",
                "random starts: levels are learned from the root down",
                "all seeds",
                f"{ordered} of {len(seen)}",
                ordered == len(seen),
            ),
            Claim(
                "",
                "random starts: mean error of the predicted drops of levels 2 to 4",
                "<= 15 %",
                f"{100 * error:.1f} %",
                error <= 0.15,
            ),
        ]
        for _, other in parts(entries, "shuffled"):
            value = _mean_error(r["rows"], [row["predicted"] for row in other["rows"]])
            found.append(
                Claim(
                    "",
                    "control: the same from the strengths of shuffled features",
                    "> 3 times that",
                    f"{100 * value:.0f} %",
                    value > 3 * error,
                )
            )
    return found + gated_order.claims(entries)


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Drops by level; half-times on digits."""
    rows = []
    for item, r in [*parts(entries, "tree"), *parts(entries, "shuffled")]:
        for which in ("observed", "predicted"):
            values = [row[which] for row in r["rows"] if None not in row[which]]
            stream = ("hierarchy", item["part"], which)
            means = [str(mean_of([v[k] for v in values], *stream, k)) if values else "" for k in range(LEVELS)]
            rows.append((f"{item['part']}, {which}", f"{len(values)}", *means))
    made = Sheet(
        title="Steps at which the loss is halfway between two rests of the tree",
        columns=("data", "seeds", "level 1", "level 2", "level 3", "level 4"),
        rows=tuple(rows),
        notes=(
            "Mean over seeds with a 95 % interval. Predicted: reduction calibrated on level 1. Shuffled features have "
            "the same energy, and no rests; the same levels of the loss are taken.",
        ),
    )
    return [made, *gated_order.sheets(entries)]


def draw(entries: Sequence[Entry]) -> Any:
    """Loss of the tree and of its control; half-times on digits."""
    made, axes = panels(3)
    left = axes[0]
    _, tree = parts(entries, "tree")[0]
    _, other = parts(entries, "shuffled")[0]
    for level in tree["rests"][1:-1]:
        left.axhline(level, color="#bbbbbb", linewidth=0.7, zorder=1)
    for k, curve in enumerate(tree["loss"]):
        look = simulated(HUES[0]) if not k else SEED
        left.plot(tree["step"], curve, label=("tree, one seed", "other seeds")[min(k, 1)] if k < 2 else None, **look)
    left.plot(tree["step"], tree["calibrated"], label="predicted, calibrated", **PREDICTED)
    left.plot(other["step"], other["loss"][0], label="control: shuffled features", **CONTROL)
    named(left, "A tree of 8 items, three layers", "step of gradient descent", "loss, 1/2 sum of squares")
    left.set_yscale("symlog", linthresh=1.0)
    left.set_ylim(0, 2.2 * tree["rests"][0])
    legend(left, "lower left")
    gated_order.draw(axes[1:], entries)
    return made


def caption(entries: Sequence[Entry]) -> str:
    """Normalisation, seeds, intervals, control."""
    item, _ = parts(entries, "tree")[0]
    return (
        "Order of learning. Left: 8 items of a tree with features worth 6, 5, 4, 3, a chain of three layers of width "
        f"{item['hidden']}, {item['seeds']} random orthogonal starts of gain {item['gain']:g}, full-batch gradient "
        "descent; loss: half the sum of squared errors over items; grey lines: where it rests after each level. The "
        "reduction is calibrated on the first drop of the coloured seed. Control: features dealt to other items. "
        + gated_order.caption(entries)
    )


FIGURE = Figure("hierarchy", "Order of learning: broad before fine", items, work, claims, sheets, draw, caption)
