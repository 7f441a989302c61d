"""The routing benchmark on images: are pairs right that were never trained? Part of the figure `zeroshot`; check 18.

10 input domains, each with pixels in an order of its own, 10 output domains, each with names of classes of its own;
a linear network 64-64-64-10 (or with ReLU), cross-entropy over the trained pairs, SGD with momentum. Accuracy on test
images, mean over trained and untrained pairs; chance is 1/10. Cross-entropy and batches are outside of the theory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learnt.run.seeds import derive
from learnt.studies.gated_ink import CONTROL, HUES, bars, dots, legend, named
from learnt.studies.gated_plan import Claim, Entry, Item, Mean, Options, mean_of, parts
from learnt.studies.programs_tables import Sheet, seconds

SPECIFIED = {
    (1.0, False): {1: 0.098, 2: 0.219, 3: 0.491, 5: 0.948, 8: 0.970},
    (0.1, False): {1: 0.104, 2: 0.564, 3: 0.903, 5: 0.945, 8: 0.950},
    (1.0, True): {2: 0.195, 3: 0.355, 5: 0.955},
    (0.3, True): {2: 0.353, 3: 0.741, 5: 0.973},
}
KS = (1, 2, 3, 5, 8)


def items(options: Options) -> list[Item]:
    """One item a cell and seed: the ten cells of check 18, the controls, and at scale paper ReLU; then other images."""
    cells = [("band", k, gain, False) for gain in (1.0, 0.1) for k in KS]
    cells += [("blocks", 5, 1.0, False), ("designed", 3, 1.0, False)]
    if options.scale == "paper":
        cells += [("blocks", 5, 0.1, False), ("designed", 3, 0.1, False), ("designed", 2, 0.1, False)]
        cells += [("band", k, gain, True) for gain in (1.0, 0.3) for k in (2, 3, 5)]
    found = [
        _item(options, "digits", kind, k, gain, relu, number, 1200)
        for kind, k, gain, relu in cells
        for number in range(options.count(1, 3))
    ]
    if options.images is not None:
        more = [("band", k, gain, False) for gain in (1.0, 0.1) for k in (2, 3, 5)] + [("blocks", 5, 1.0, False)]
        found += [
            _item(options, options.images, kind, k, gain, relu, number, 1500)
            for kind, k, gain, relu in more
            for number in range(options.count(1, 2))
        ]
    return found


def _item(options: Options, images: str, gate: str, k: int, gain: float, relu: bool, number: int, steps: int) -> Item:
    return options.item(
        "zeroshot", "images", images=images, gate=gate, K=k, draw=0, gain=gain, relu=relu, number=number, steps=steps,
        hidden=64, lr=0.1, momentum=0.9, batch=64,
    )  # fmt: skip


def work(item: Item, data: str | None, gate: np.ndarray) -> dict[str, Any]:
    """Test accuracy of trained and untrained pairs of one network."""
    from learnt.gated.routing_domains import routing_data
    from learnt.gated.routing_training import train_routing

    own = derive(item["seed"], "images", item["number"])
    root = data if item["images"] != "digits" else None
    found = train_routing(
        routing_data(item["images"], len(gate), root=root, seed=own), gate, seed=own, relu=item["relu"],
        **{name: item[name] for name in ("steps", "hidden", "gain", "lr", "momentum", "batch")},
    )  # fmt: skip
    return {"trained": float(found.trained()[0]), "untrained": float(found.untrained()[0])}


def _values(
    entries: Sequence[Entry], images: str, gate: str, k: int, gain: float, relu: bool, which: str
) -> list[float]:
    return [
        r[which]
        for item, r in parts(entries, "images")
        if (item["images"], item["gate"], item["K"], item["gain"], item["relu"]) == (images, gate, k, gain, relu)
    ]


def _sets(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(item["images"] for item, _ in parts(entries, "images")))


def claims(entries: Sequence[Entry]) -> list[Claim]:
    """What must hold on digits."""
    if "digits" not in _sets(entries):
        return []

    def of(k: int, gain: float, which: str = "untrained", gate: str = "band") -> float:
        return float(np.mean(_values(entries, "digits", gate, k, gain, False, which)))

    rise, help_ = of(8, 1.0) - of(2, 1.0), of(3, 0.1) - of(3, 1.0)
    least = min(of(k, gain, "trained") for k in KS for gain in (1.0, 0.1))
    apart = of(5, 1.0, gate="blocks")
    return [
        Claim("18", "digits, gain 1: untrained accuracy, K = 8 less K = 2", ">= 0.5", f"{rise:.3f}", rise >= 0.5),
        Claim("18", "digits, K = 3: untrained accuracy, gain .1 less gain 1", ">= 0.2", f"{help_:.3f}", help_ >= 0.2),
        Claim("18", "digits: smallest trained accuracy of the ten cells", ">= 0.90", f"{least:.3f}", least >= 0.9),
        Claim(
            "",
            "digits, gain .1, K = 3: untrained accuracy, table of the specification",
            "0.90 +- 0.03",
            f"{of(3, 0.1):.3f}",
            abs(of(3, 0.1) - 0.903) <= 0.03,
        ),
        Claim(
            "", "control, digits: two blocks of 5: untrained accuracy (chance .1)", "< 0.2", f"{apart:.3f}", apart < 0.2
        ),
    ]


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Accuracy by set, gate, start and K."""
    made = []
    for images in _sets(entries):
        mine = [item for item, _ in parts(entries, "images") if item["images"] == images]
        rows = []
        for gate, gain, relu, k in dict.fromkeys((i["gate"], i["gain"], i["relu"], i["K"]) for i in mine):
            both = [_values(entries, images, gate, k, gain, relu, which) for which in ("trained", "untrained")]
            known = SPECIFIED.get((gain, relu), {}).get(k) if (images, gate) == ("digits", "band") else None
            stream = ("zeroshot", images, gate, gain, relu, k)
            rows.append(
                (
                    "ReLU" if relu else "linear",
                    gate,
                    f"{gain:g}",
                    f"{k}",
                    f"{len(both[0])}",
                    *[str(mean_of(v, *stream, n, floor=0.0, top=1.0)) for n, v in enumerate(both)],
                    "" if known is None else f"{known:.3f}",
                )
            )
        ten = [
            r["seconds"]
            for item, r in parts(entries, "images")
            if item["images"] == images and item["gate"] == "band" and not item["relu"] and item["number"] == 0
        ]
        made.append(
            Sheet(
                title=f"Accuracy on test images of {images}, M = 10",
                columns=("network", "gate", "gain", "K", "seeds", "trained pairs", "untrained pairs", "specification"),
                rows=tuple(rows),
                notes=(
                    f"Mean over seeds with a 95 % interval where there are several. The {len(ten)} linear cells with a "
                    f"band took {seconds(sum(ten))} for one seed. Specification: its seed 0.",
                ),
            )
        )
    return made


def draw(axes: Any, entries: Sequence[Entry]) -> None:
    """Accuracy on digits against K."""
    lines = [(1.0, False, HUES[0], "o", "untrained, gain 1"), (0.1, False, HUES[1], "s", "untrained, gain .1")]
    for gain, relu, hue, mark, label in lines:
        values = {k: _values(entries, "digits", "band", k, gain, relu, "untrained") for k in KS}
        means = [mean_of(v, "zeroshot", "draw", gain, relu, k) for k, v in values.items()]
        bars(axes, list(KS), [Mean(m.mean, max(m.low, 0), min(m.high, 1)) for m in means], hue, label, marker=mark)
        for k, v in values.items():
            dots(axes, [k] * len(v), v, hue)
    top = [float(np.mean(_values(entries, "digits", "band", k, 1.0, False, "trained"))) for k in KS]
    axes.plot(KS, top, color="#777777", linewidth=1, marker=".", label="trained, gain 1")
    designed = _values(entries, "digits", "designed", 3, 1.0, False, "untrained")
    axes.plot(
        [3], [float(np.mean(designed))], color=HUES[3], marker="D", linestyle="none", label="designed pairs, gain 1"
    )
    apart = _values(entries, "digits", "blocks", 5, 1.0, False, "untrained")
    axes.plot([5], [float(np.mean(apart))], color=CONTROL["color"], marker="x", linestyle="none", markersize=7,
              label="control: two blocks")  # fmt: skip
    axes.axhline(0.1, color="#777777", linewidth=0.9, linestyle=(0, (5, 3)))
    axes.text(8.2, 0.115, "chance", fontsize="small", ha="right")
    named(axes, "Digits: linear network, cross-entropy", "trained outputs for each input, K", "accuracy on test images")
    axes.set_ylim(0, 1.02)
    axes.set_xticks(KS)
    legend(axes, "center right", bbox_to_anchor=(1.0, 0.42))


def caption(entries: Sequence[Entry]) -> str:
    """Seeds and intervals of the benchmark."""
    count = len(_values(entries, "digits", "band", 3, 1.0, False, "trained"))
    return (
        "Right: images of digits, 10 x 10 domains of permuted pixels and class names, linear network 64-64-64-10, "
        f"cross-entropy, 1,200 steps of 64 images, {count} seed{'s' * (count != 1)}; mean accuracy on test images; "
        "control: two blocks of 5 x 5 pairs. The theory does not cover cross-entropy or batches: nothing is predicted "
        "here but the order."
    )
