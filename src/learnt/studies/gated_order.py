"""Are strong modes learned first, on images and with ReLU? Half-times on digits; part of `hierarchy`, check 21.

modes of the task: Sigma_yx C = U diag(s) V^T, centred digits and classes;  half-time of mode a: the first step at
which u_a^T M v_a / s_a of the network's answers is 1/2 (`mode_profile`);   loss 1/2 <||y - f||^2>, full batch
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.run.seeds import numpy_generator
from learnt.studies.gated_ink import CONTROL, HUES, INK, dots, legend, named
from learnt.studies.gated_plan import Claim, Entry, Item, Options, mean_of, parts
from learnt.studies.programs_tables import Sheet

NETS = (("linear", "whitened"), ("ReLU", "whitened"), ("linear", "raw"), ("ReLU", "raw"))
SPECIFIED = {
    ("linear", "whitened"): -0.96,
    ("ReLU", "whitened"): -0.96,
    ("linear", "raw"): -1.0,
    ("ReLU", "raw"): -0.80,
}
HIDDEN, COMPONENTS = 64, 40
TICKS = (30, 50, 75, 100, 150, 200, 300, 500, 1000)


def items(options: Options) -> list[Item]:
    """One item for each network and seed, and the control."""
    found = []
    for number in range(options.count(2, 5)):
        for kind, inputs in NETS:
            steps = {"raw": 3000, "whitened": 600}[inputs]
            found.append(_item(options, kind, inputs, number, steps, False))
    return [*found, _item(options, "linear", "whitened", 0, 600, True)]


def _item(options: Options, kind: str, inputs: str, number: int, steps: int, shuffled: bool) -> Item:
    return options.item(
        "hierarchy", "digits", kind=kind, inputs=inputs, number=number, std=0.01,
        lr={"raw": 0.2, "whitened": 0.1}[inputs], steps=steps, shuffled=shuffled,
    )  # fmt: skip


def images(inputs: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) centred digits, raw or as 40 whitened principal components, and (n, 10) centred classes."""
    from learnt.gated.routing_domains import routing_data

    data = routing_data("digits", 1, inputs="same", outputs="same")
    x = np.concatenate([data.train_x.numpy(), data.test_x.numpy()]).astype(np.float64)
    y = np.eye(10)[np.concatenate([data.train_y.numpy(), data.test_y.numpy()])]
    x, y = x - x.mean(0), y - y.mean(0)
    if inputs == "whitened":
        values, vectors = np.linalg.eigh(x.T @ x / len(x))
        x = x @ vectors[:, ::-1][:, :COMPONENTS] / np.sqrt(values[::-1][:COMPONENTS])
    return x, y


def work(item: Item) -> dict[str, Any]:
    """Strengths and half-times of the modes, and for whitened linear networks the predicted ones."""
    x, y = images(item["inputs"])
    rng = numpy_generator(item["seed"], "digits", item["number"])
    first, second = (item["std"] * rng.normal(size=shape) for shape in ((HIDDEN, x.shape[1]), (10, HIDDEN)))
    taught = y[rng.permutation(len(y))] if item["shuffled"] else y
    u, s, vt = np.linalg.svd(y.T @ x / len(x), full_matrices=False)
    u, s, vt = u[:, :9], s[:9], vt[:9]  # classes are centred: nine modes
    n, relu, lr, fractions, losses = len(x), item["kind"] == "ReLU", item["lr"], [], []
    for _ in range(item["steps"] + 1):
        z = x @ first.T
        h = np.maximum(z, 0.0) if relu else z
        answers = h @ second.T
        fractions.append((u * (answers.T @ x / n @ vt.T)).sum(0) / s)
        miss = taught - answers
        losses.append(0.5 * float((miss**2).sum()) / n)
        back = miss @ second
        back = back * (z > 0) if relu else back
        second, first = second + lr * miss.T @ h / n, first + lr * back.T @ x / n
    learned = np.array(fractions)
    half = [_first(curve) for curve in learned.T]
    out: dict[str, Any] = {
        "strength": s.tolist(),
        "half": half,
        "most": float(learned.max()),
        "rank": _rank(half, s),
    }
    if (item["kind"], item["inputs"], item["shuffled"]) == ("linear", "whitened", False):
        out["predicted"] = _predicted(item, x, y, np.array(losses))
    return out


def _first(curve: np.ndarray) -> float | None:
    over = np.flatnonzero(curve >= 0.5)
    if not len(over) or over[0] == 0:
        return None
    k = int(over[0])
    return k - 1 + float((0.5 - curve[k - 1]) / (curve[k] - curve[k - 1]))


def _rank(half: Sequence[float | None], strength: np.ndarray) -> float | None:
    from scipy.stats import spearmanr

    if None in half:
        return None
    found: Any = spearmanr(half, strength)
    return float(found[0])


def _predicted(item: Item, x: np.ndarray, y: np.ndarray, loss: np.ndarray) -> list[float]:
    """Half-times of the reduction, calibrated when the loss has fallen by 15 % of what can be learned."""
    from learnt.gated.gated_task import GatedTask
    from learnt.gated.graph import Graph
    from learnt.gated.reduction import reduce

    task = GatedTask(Graph.chain([x.shape[1], HIDDEN, 10]), {"x": x}, {"y": y})
    reduction = reduce(task, tol=1e-6)
    level = float(loss[0] - 0.15 * reduction.gain.sum())
    b0 = reduction.calibrate(loss, item["lr"], level=level)
    times = reduction.solve(b0, "gd", lr=item["lr"], steps=2 * item["steps"]).time_to(0.5)[0] / item["lr"]
    order = np.argsort(-np.abs(reduction.S[0]))[:9]
    return [float(t) for t in times[order]]


def _of(entries: Sequence[Entry], kind: str, inputs: str) -> list[dict[str, Any]]:
    return [
        r
        for item, r in parts(entries, "digits")
        if (item["kind"], item["inputs"], item["shuffled"]) == (kind, inputs, False)
    ]


def _control(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [r for item, r in parts(entries, "digits") if item["shuffled"]]


def _ranks(entries: Sequence[Entry], kind: str, inputs: str) -> list[float]:
    return [r["rank"] for r in _of(entries, kind, inputs) if r["rank"] is not None]


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """What must hold on digits."""
    raw, white, rectified = (
        _ranks(entries, *net) for net in (("linear", "raw"), ("linear", "whitened"), ("ReLU", "whitened"))
    )
    errors = [
        abs(a - b) / b
        for r in _of(entries, "linear", "whitened")
        for a, b in zip(r["predicted"], r["half"], strict=True)
    ]
    most = max(r["most"] for r in _control(entries))
    return [
        Claim(
            "21",
            "digits, raw, linear: rank correlation of half-time and strength, worst seed",
            "<= -0.95",
            _worst(raw),
            bool(raw) and max(raw) <= -0.95,
        ),
        Claim("", "digits, whitened, linear: the same, mean over seeds", "<= -0.8", *_middle(white)),
        Claim("", "digits, whitened, ReLU: the same, mean over seeds", "<= -0.8", *_middle(rectified)),
        Claim(
            "",
            "digits, whitened, linear: mean error of the predicted half-times",
            "<= 15 %",
            f"{100 * np.mean(errors):.1f} %",
            bool(np.mean(errors) <= 0.15),
        ),
        Claim("", "control: shuffled labels, largest share learned of any mode", "< 0.5", f"{most:.2f}", most < 0.5),
    ]


def _middle(ranks: Sequence[float]) -> tuple[str, bool]:
    """Mean rank correlation, and whether it is strong; near-equal modes change places from seed to seed."""
    return (f"{np.mean(ranks):.3f}", bool(np.mean(ranks) <= -0.8)) if ranks else ("not all learned", False)


def _worst(ranks: Sequence[float]) -> str:
    return f"{max(ranks):.3f}" if ranks else "not all learned"


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Rank correlations."""
    rows = [
        (
            f"{kind}, {inputs}",
            f"{len(_of(entries, kind, inputs))}",
            f"{len(_ranks(entries, kind, inputs))}",
            str(mean_of(_ranks(entries, kind, inputs), "order", kind, inputs, floor=-1.0))
            if _ranks(entries, kind, inputs)
            else "",
            f"{SPECIFIED[kind, inputs]:g}",
        )
        for kind, inputs in NETS
    ]
    return [
        Sheet(
            title="Digits: rank correlation (Spearman) of half-time and strength of nine modes",
            columns=("network", "seeds", "all modes learned", "rank correlation", "specification"),
            rows=tuple(rows),
            notes=("Mean over seeds with a 95 % interval, cut at -1. The specification has one seed each.",),
        )
    ]


def draw(axes: Sequence[Any], entries: Sequence[Entry]) -> None:
    """Half-times against strengths, whitened and raw."""
    for ax, inputs in zip(axes, ("whitened", "raw"), strict=True):
        for hue, mark, kind in ((HUES[0], "o", "linear"), (HUES[2], "s", "ReLU")):
            for k, r in enumerate(_of(entries, kind, inputs)):
                both = [(a, b) for a, b in zip(r["strength"], r["half"], strict=True) if b is not None]
                dots(ax, [a for a, _ in both], [b for _, b in both], hue, s=20, marker=mark, alpha=0.7,
                     label=kind if not k else None)  # fmt: skip
                if "predicted" in r and not k:
                    dots(ax, r["strength"], r["predicted"], INK, s=42, marker="_", linewidths=1.6, alpha=1.0,
                         label="predicted, calibrated (one seed)", zorder=6)  # fmt: skip
        seen = [
            b for kind in ("linear", "ReLU") for r in _of(entries, kind, inputs) for b in r["half"] if b is not None
        ]
        ax.set_yscale("log")
        ax.set_ylim(0.85 * min(seen), 2.2 * max(seen))  # room for the legend
        ticks = [tick for tick in TICKS if 0.85 * min(seen) < tick < 2.2 * max(seen)]
        ax.set_yticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        named(ax, f"Digits, {inputs} inputs", "strength s of the mode", "step at which half of the mode is learned")
    most = max(r["most"] for r in _control(entries))
    axes[0].plot([], [], color=CONTROL["color"], linestyle="none", marker="x",
                 label=f"control, shuffled labels: none\n(at most {most:.0%} of a mode)")  # fmt: skip
    for ax in axes:
        legend(ax, "upper right")


def caption(entries: Sequence[Entry]) -> str:
    """Seeds and control on digits."""
    return (
        "Middle and right: networks of two layers with 64 hidden units on bundled digits, "
        f"{len(_of(entries, 'linear', 'raw'))} seeds, normal weights of std .01, full-batch gradient descent on half "
        "the mean squared distance to the centred class: when half of each mode is learned. Whitened inputs (40 "
        "components) satisfy the assumption on the data, and the calibrated reduction predicts the times of the "
        "linear network; raw pixels do not, and only the order is claimed; ReLU networks are outside of the theory. "
        "Control: a network trained on shuffled labels."
    )
