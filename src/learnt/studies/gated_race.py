"""Who wins: shared or private pathways, and which gating? Prediction over simulation; checks 15, spec 1.7 and 1.9.

    shared route of three layers (K, K M, K trained pairs through each) against a private chain for each trained pair,
    all layers from strength b0;  w = 1 for each pair, s = 13.5, d = 1;  share = of the final map, on the shared route

Simulations are whole networks, in which both routes sum in the same output, by gradient descent from aligned weights.
Control: one domain and one pair, where sharing gives nothing and the shares are one half.

Gatings of XOR and of y = x1: predicted times, and a network that has all pathways of all gatings of XOR at once, from
small random weights: what each gating carries in the end. Losers keep the strength they had when the error vanished.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.run.seeds import derive
from learnt.studies.gated_ink import CONTROL, HUES, INK, bars, dots, legend, named, panels
from learnt.studies.gated_plan import Claim, Entry, Figure, Item, Options, mean_of, parts
from learnt.studies.programs_tables import Sheet

S, STARTS, DEPTHS = 13.5, (0.3, 0.1, 0.03), (3, 2, 1)
TABLE = {
    (1, 1): ((0.500, 0.500, 0.500), (0.107, 0.0003, 0.000), (0.765, 0.298, 0.000)),
    (2, 1): ((0.937, 0.995, 0.9998), (0.469, 0.0005, 0.000), (0.810, 0.443, 0.000)),
    (3, 2): ((0.994, 0.9998, 1.00), (0.953, 0.554, 0.000), (0.906, 0.754, 0.183)),
    (7, 1): ((0.990, 0.9995, 1.00), (0.894, 0.006, 0.000), (0.876, 0.654, 0.001)),
    (7, 4): ((0.997, 0.9999, 1.00), (0.987, 0.993, 0.814), (0.952, 0.907, 0.704)),
    (10, 1): ((0.992, 0.9997, 1.00), (0.928, 0.038, 0.000), (0.890, 0.700, 0.022)),
}
SIMULATED = ((1, 1), (2, 1), (3, 2))
GATINGS = ("halves", "four", "single")


def items(options: Options) -> list[Item]:
    """The table, its simulations, and the race of gatings."""
    lr, end = (0.002, 2.5) if options.scale == "small" else (0.0005, 2.5)
    starts = (0.3, 0.1)
    simulated = [
        options.item("race", "simulated", M=m, K=k, depth=depth, b0=b0, lr=lr, steps=round(end / lr / (b0 / 0.1)))
        for m, k in SIMULATED
        for depth in DEPTHS
        for b0 in starts
    ]
    return [
        options.item("race", "table"),
        *simulated,
        options.item("race", "gatings", b0=0.1),
        options.item("race", "together", seeds=options.count(6, 30), std=0.01, lr=0.02, steps=2500, hidden=4),
    ]


def work(item: Item, data: str | None) -> dict[str, Any]:
    """The result of one part."""
    if item["part"] == "table":
        return _table()
    if item["part"] == "simulated":
        return _simulated(item)
    return _gatings(item) if item["part"] == "gatings" else _together(item)


def _table() -> dict[str, Any]:
    from learnt.gated.shared_private import shared_vs_private

    fine = np.geomspace(0.02, 0.5, 25)
    return {
        "shares": {
            f"{m},{k}": shared_vs_private(m, k, DEPTHS, STARTS, s=S).shared.tolist() for m, k in TABLE
        },
        "starts": fine.tolist(),
        "curves": {
            f"{m},{k}": shared_vs_private(m, k, DEPTHS, fine.tolist(), s=S).shared.tolist() for m, k in SIMULATED
        },
    }  # fmt: skip


def _task(M: int, K: int, depth: int) -> Any:
    """A routing network of width 2 with a private chain for each trained pair, one item, weight 1 a pair."""
    from learnt.gated.gate_patterns import band
    from learnt.gated.gated_task import GatedTask
    from learnt.gated.graph import Graph

    pairs = [(int(i), int(j)) for i, j in zip(*np.nonzero(band(M, K)), strict=True)]
    base = Graph.routing(M, 1, 2, 1)
    nodes, edges = dict(base.nodes), dict(base.edges)
    for i, j in pairs:
        inner = [f"p{i}_{j}_{n}" for n in range(1, depth)]
        nodes |= dict.fromkeys(inner, 2)
        way = [f"x{i}", *inner, f"y{j}"]
        edges |= {f"e{i}_{j}_{n}": ends for n, ends in enumerate(zip(way, way[1:]))}
    count = len(pairs)
    x = {f"x{i}": np.ones((count, 1)) for i in range(M)}
    y = {f"y{j}": np.array([[S if pair[1] == j else 0.0] for pair in pairs]) for j in range(M)}
    gates = {f"x{i}": np.array([float(pair[0] == i) for pair in pairs]) for i in range(M)}
    gates |= {f"y{j}": np.array([float(pair[1] == j) for pair in pairs]) for j in range(M)}
    return GatedTask(Graph(nodes, edges), x, y, gates, prob_sums_to=count)


def _simulated(item: Item) -> dict[str, Any]:
    from learnt.gated.gdln_training import train_gdln
    from learnt.gated.reduction import reduce
    from learnt.gated.shared_private import shared_vs_private

    task = _task(item["M"], item["K"], item["depth"])
    reduction = reduce(task)
    settings = {"lr": item["lr"], "steps": item["steps"]}
    own = derive(item["seed"], "simulation", item["M"], item["K"], item["depth"], item["b0"])
    trained = train_gdln(task, initial=reduction.weights(item["b0"], seed=own), seed=own, **settings)
    predicted = reduction.solve(item["b0"], "gd", **settings)
    weights = trained.weights(0)
    first = min((e for e in weights if e.startswith("e")), key=len)
    i, j = first[1:].split("_")[:2]
    shared = float((weights[f"out{j}"] @ weights["hid"] @ weights[f"in{i}"])[0, 0])
    chain = np.eye(1)
    for n in range(item["depth"]):
        chain = weights[f"e{i}_{j}_{n}"] @ chain
    private = float(chain[0, 0])
    said = shared_vs_private(item["M"], item["K"], item["depth"], item["b0"], s=S)
    return {
        "exact": predicted.exact,
        "difference": float(np.abs(predicted.loss - trained.losses[:, 0]).max()) / float(predicted.loss[0]),
        "share": shared / (shared + private),
        "left": float(trained.losses[-1, 0] / trained.losses[0, 0]),
        "flow": float(said.shared[0, 0]),
    }


def _gatings(item: Item) -> dict[str, Any]:
    from learnt.gated.gated_tasks import separable, xor
    from learnt.gated.racing import race

    out: dict[str, Any] = {}
    for name, make in (("y = x1 x2", xor), ("y = x1", separable)):
        found = race({gating: make(gating) for gating in GATINGS}, item["b0"])
        out[name] = found.to_fields()
    return {"tasks": out}


def _together(item: Item) -> dict[str, Any]:
    """What each gating of XOR carries, in networks that have the pathways of all three."""
    from learnt.gated.gated_tasks import xor
    from learnt.gated.gdln_training import train_gdln
    from learnt.gated.path_stats import correlations
    from learnt.run.seeds import numpy_generator

    rows = {"halves": [[1, 0, 1, 0], [0, 1, 0, 1]], "four": np.eye(4).tolist(), "single": [[1, 1, 1, 1]]}
    gates = np.array([row for name in GATINGS for row in rows[name]], dtype=float)
    of = [name for name in GATINGS for _ in rows[name]]
    task = xor(gates, hidden=item["hidden"])

    def start(seed: int) -> dict[str, np.ndarray]:
        rng = numpy_generator(seed, "together")
        return {e: item["std"] * rng.normal(size=shape) for e, shape in task.graph.shapes.items()}

    trained = train_gdln(
        task, initial=start, seeds=item["seeds"], seed=item["seed"], lr=item["lr"], steps=item["steps"]
    )
    stats = correlations(task)
    shares = []
    for r in range(item["seeds"]):
        weights = trained.weights(r)
        carried: dict[str, float] = {name: 0.0 for name in GATINGS}
        for k, name in enumerate(of):
            path = weights[f"out{k}"] @ weights[f"in{k}"]
            carried[name] += float((path * stats.Sigma_yx[k]).sum())
        total = sum(carried.values())
        shares.append([carried[name] / total for name in GATINGS])
    return {"shares": shares, "left": float(trained.losses[-1].max() / trained.losses[0].max())}


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """What must hold."""
    _, table = parts(entries, "table")[0]
    off = max(
        abs(value - round_)
        for (m, k), rows in TABLE.items()
        for found, printed in zip(table["shares"][f"{m},{k}"], rows, strict=True)
        for value, round_ in zip(found, printed, strict=True)
    )
    runs = parts(entries, "simulated")
    worst = max(r["difference"] for _, r in runs)
    exact = all(r["exact"] for _, r in runs)
    apart = max(abs(r["share"] - r["flow"]) for _, r in runs)
    even = [r["share"] for item, r in runs if (item["M"], item["depth"]) == (1, 3)]
    gatings = parts(entries, "gatings")[0][1]["tasks"]
    orders = {name: [c["name"] for c in found["candidates"]] for name, found in gatings.items()}
    _, together = parts(entries, "together")[0]
    share = np.array(together["shares"])
    wins = int((share.argmax(1) == 0).sum())
    return [
        Claim(
            "15",
            "shares of the shared route, 54 cells: largest difference from the printed table",
            "<= 6e-4 (its digits)",
            f"{off:.1e}",
            off <= 6e-4,
        ),
        Claim(
            "",
            "whole networks: largest |simulation - discrete reduction| of the loss, share of its start",
            "< 1e-10",
            f"{worst:.1e}",
            exact and worst < 1e-10,
        ),
        Claim("", "whole networks: final share less that of the flow, largest", "< 0.02", f"{apart:.4f}", apart < 0.02),
        Claim(
            "",
            "control: one domain, one pair, three layers each: shares",
            "0.5",
            ", ".join(f"{x:.4f}" for x in even),
            all(abs(x - 0.5) < 1e-6 for x in even),
        ),
        Claim(
            "15",
            "XOR: order of the gatings",
            "halves, four, single",
            ", ".join(orders["y = x1 x2"]),
            orders["y = x1 x2"] == ["halves", "four", "single"],
        ),
        Claim(
            "15",
            "y = x1: order of the gatings",
            "single, halves, four",
            ", ".join(orders["y = x1"]),
            orders["y = x1"] == ["single", "halves", "four"],
        ),
        Claim(
            "15",
            "XOR: first of the gatings that a ReLU can have",
            "four",
            str(gatings["y = x1 x2"]["relu_winner"]),
            gatings["y = x1 x2"]["relu_winner"] == "four",
        ),
        Claim(
            "",
            "all gatings in one network: the halves carry most",
            "all seeds",
            f"{wins} of {len(share)}",
            wins == len(share),
        ),
    ]


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Shares, printed and found; times of the gatings."""
    _, table = parts(entries, "table")[0]
    runs = {(i["M"], i["K"], i["depth"], i["b0"]): r["share"] for i, r in parts(entries, "simulated")}
    rows = []
    for (m, k), printed in TABLE.items():
        for depth, said, found in zip(DEPTHS, printed, table["shares"][f"{m},{k}"], strict=True):
            seen = [runs.get((m, k, depth, b0)) for b0 in STARTS]
            rows.append(
                (
                    f"{m}, {k}",
                    f"{depth}",
                    *[f"{x:.4f}" for x in found],
                    *["" if x is None else f"{x:.4f}" for x in seen[:2]],
                    " / ".join(f"{x:g}" for x in said),
                )
            )
    first = Sheet(
        title="Share of the final map on the shared route",
        columns=(
            "M, K",
            "private layers",
            "b0 = .3",
            "b0 = .1",
            "b0 = .03",
            "simulated, .3",
            "simulated, .1",
            "specification",
        ),
        rows=tuple(rows),
        notes=("Flow of the reduction; simulated: whole networks by gradient descent, which differs by its step.",),
    )
    gatings = parts(entries, "gatings")[0][1]["tasks"]
    rows = [
        (
            task,
            c["name"],
            f"{c['s1']:.4f}",
            f"{c['rate']:.4f}",
            *["never" if c[t] is None else f"{c[t]:.3f}" for t in ("t_half", "t_90")],
            "yes" if c["relu_feasible"] else "no",
        )
        for task, found in gatings.items()
        for c in found["candidates"]
    ]
    _, together = parts(entries, "together")[0]
    share = np.array(together["shares"])
    said = "; ".join(f"{name} {mean_of(share[:, k], 'race', name)}" for k, name in enumerate(GATINGS))
    second = Sheet(
        title="Gatings, each alone, from b0 = .1",
        columns=("task", "gating", "s", "rate", "t half", "t 90 %", "ReLU can have it"),
        rows=tuple(rows),
        notes=(f"In one network from random weights, XOR, {len(share)} seeds, share of what is explained: {said}.",),
    )
    return [first, second]


def draw(entries: Sequence[Entry]) -> Any:
    """Share by size of the start, two networks; gatings together."""
    made, (left, middle, right) = panels(3)
    _, table = parts(entries, "table")[0]
    runs = parts(entries, "simulated")
    for axes, (m, k) in ((left, (3, 2)), (middle, (1, 1))):
        for hue, depth, curve in zip(HUES, DEPTHS, table["curves"][f"{m},{k}"], strict=False):
            name = f"private: {depth} layer{'s' * (depth > 1)}"
            axes.plot(table["starts"], curve, color=hue, linewidth=1.5, label=f"{name}, predicted")
            mine = [(i["b0"], r["share"]) for i, r in runs if (i["M"], i["K"], i["depth"]) == (m, k, depth)]
            dots(
                axes,
                [b0 for b0, _ in mine],
                [share for _, share in mine],
                hue,
                s=48,
                alpha=0.9,
                edgecolors=INK,
                linewidths=0.8,
                zorder=5,
            )
        axes.axhline(0.5, color=CONTROL["color"], linestyle=CONTROL["linestyle"], linewidth=1, zorder=1)
        axes.set_xscale("log")
        axes.set_xticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
        axes.minorticks_off()
        axes.set_ylim(-0.03, 1.03)
    middle.scatter([], [], s=48, color="white", edgecolors=INK, linewidths=0.8, label="simulated")
    named(
        left,
        "Shared route of three layers, M = 3, K = 2",
        "strength of each layer at the start, b0",
        "share of the map on the shared route",
    )
    named(
        middle,
        "Control: one domain, one pair",
        "strength of each layer at the start, b0",
        "share of the map on the shared route",
    )
    legend(middle, "upper left")
    _, together = parts(entries, "together")[0]
    share = np.array(together["shares"])
    for k, name in enumerate(GATINGS):
        dots(right, np.full(len(share), k) + np.linspace(-0.15, 0.15, len(share)), share[:, k], HUES[k], s=18)
        bars(right, [k], [mean_of(share[:, k], "race", name)], INK, None)
    gatings = parts(entries, "gatings")[0][1]["tasks"]
    rates = {c["name"]: c["rate"] for c in gatings["y = x1 x2"]["candidates"]}
    right.set_xticks(range(3), [f"{name}\nrate {rates[name]:.3g}" for name in GATINGS])
    right.set_xlim(-0.5, 2.5)
    right.set_ylim(-0.05, 1.05)
    named(right, "XOR: all gatings in one network", "gating and predicted rate of growth", "share of what is explained")
    return made


def caption(entries: Sequence[Entry]) -> str:
    """Normalisation, seeds, intervals, control."""
    lr = parts(entries, "simulated")[0][0]["lr"]
    count = parts(entries, "together")[0][0]["seeds"]
    return (
        "Races. Left: M = 3 domains, K = 2: share of the final map that runs on the shared route when each trained "
        "pair also has a private chain of 3, 2 or 1 layers; one mode, s = 13.5, d = 1, w = 1 for each pair. Lines: "
        f"reduction (flow); dots: whole networks, gradient descent of step {lr:g} from aligned weights, one run each. "
        "A shallower private route wins from small starts. Middle, control: one domain and one pair, where the "
        "shared route has no advantage and equal depth gives one half. Right: XOR by a network with the pathways of "
        f"three gatings at once, {count} random starts of std .01 (dots; means with 95 % intervals): the fastest "
        "carries most, the others keep what they had when the error vanished."
    )


FIGURE = Figure("race", "Races: shared against private, and gatings", items, work, claims, sheets, draw, caption)
