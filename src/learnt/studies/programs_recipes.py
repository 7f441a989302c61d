"""Which change of the recipe helps, and which does not? Success rates over many seeds on small tasks.

Each variant differs from "tie 8" (the published recipe with a tie bias of 8) in one thing; "ours" in two, refit and
local search of every seed. A seed succeeds if the
test accuracy of its program reaches the task's mark. Fisher's exact test of every variant is against "paper".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from learnt.core.errors import InputError
from learnt.programs.config import Config
from learnt.studies.programs_cells import about_machine
from learnt.studies.programs_plan import Entry, Item, Options, published, recipe_of, training
from learnt.studies.programs_tables import Sheet, fisher, per_cent, rate, seconds, spread


def _size(layers: int, cat_heads: int, num_heads: int, cat_mlps: int, num_mlps: int) -> Config:
    return Config(layers=layers, cat_heads=cat_heads, num_heads=num_heads, cat_mlps=cat_mlps, num_mlps=num_mlps)


SIZES = {  # of the prototype of the specification: size, epochs, mark of success
    "induction": (_size(2, 1, 0, 0, 0), 32, 1.0),
    "hist": (_size(1, 2, 2, 1, 1), 60, 0.999),
    "reverse": (_size(2, 2, 0, 1, 0), 35, 0.99),
    "sort": (_size(1, 0, 4, 0, 0), 60, 0.99),
    "double_hist": (_size(2, 1, 2, 1, 1), 50, 0.99),
}
TASKS = tuple(SIZES)
CHANGES: dict[str, dict[str, Any]] = {
    "paper": {"tie_bias": 1.0},
    "tie 3": {"tie_bias": 3.0},
    "tie 8": {},
    "tie 24": {"tie_bias": 24.0},
    "refit": {"refit": True},
    "no noise": {"attention_noise": False, "mlp_noise": False},
    "no sampling": {"sampler": "softmax"},
    "straight-through": {"straight_through": 0.3},
    "calm": {"calm": 0.3},
    "complexity": {"complexity": 0.01},
    "halving": {"halving": (0.25, 0.5)},
    "search": {"search": 40},
    "default max": {"default": "max"},
    "sum over positions": {"aggregate": "per_seq"},
    "ours": {"refit": True, "search": 40},
}
VARIANTS = tuple(CHANGES)


def items(options: Options) -> list[Item]:
    """One training for each task and variant.

    Raises:
        InputError: an unknown variant.
    """
    for name in options.variants:
        if name not in CHANGES:
            raise InputError("variants", found=repr(name), expected=f"some of {', '.join(CHANGES)}")
    found = []
    for task in options.of(TASKS, "recipes"):
        size, epochs, mark = SIZES[task]
        everyone = {"searched": options.seeds or 22}  # a rate is about all seeds
        found += [
            training(
                options, "recipes", task, size, recipe_of("paper", **{"tie_bias": 8.0, **everyone, **CHANGES[name]}),
                label=name, seeds=22, epochs=epochs if options.scale == "small" else 250, mark=mark,
            )
            for name in options.variants or VARIANTS
        ]  # fmt: skip
    return found


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """One table for each task."""
    found = []
    for task in dict.fromkeys(item["task"] for item, _ in entries):
        mine = [(item, result) for item, result in entries if item["task"] == task]
        counted = {}
        for item, result in mine:
            shares = [seed["test_tokens"] for seed in result["seeds"]]
            hits = sum(share >= item["mark"] for share in shares)
            counted[item["label"], item["epochs"]] = (hits, len(shares), shares)
        rows = []
        for item, result in mine:
            hits, of, shares = counted[item["label"], item["epochs"]]
            base = counted.get(("paper", item["epochs"]))
            p = "" if base is None or item["label"] == "paper" else f"{fisher(hits, of, base[0], base[1]):.2g}"
            rows.append(
                (
                    item["label"], f"{of} x {item['epochs']}", rate(hits, of), p, per_cent(max(shares)),
                    per_cent(shares[0]), spread(shares), seconds(result["training_seconds"]),
                )
            )  # fmt: skip
        mark = per_cent(mine[0][0]["mark"], 1)
        found.append(
            Sheet(
                title=f"Recipes on {task}",
                columns=(
                    "recipe", "seeds x epochs", f"at {mark} %", "p against paper", "best seed", "chosen by validation",
                    "all seeds", "time",
                ),
                rows=tuple(rows),
                notes=(
                    f"Prototype of the specification: {published()['recipes'][task]}.",
                    "Test tokens, %. Each recipe but paper, tie 3, 24 and ours is tie 8 with one change. In brackets: "
                    "Wilson's 95 % interval; p: Fisher's exact test.",
                    *about_machine(mine),
                ),
            )
        )  # fmt: skip
    return found
