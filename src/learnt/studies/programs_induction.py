"""Does a sharper tie bias find the induction head? In-context learning with two layers of one head.

Two hard attentions in a row: find the previous token, then the nearest place whose previous token is this letter. The
paper reports 100 % for a chosen seed; how often a seed finds it is the question here. 22 seeds with the published
tie bias (1) and with ours (8), everything else as published; Fisher's exact test between the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from learnt.programs.config import Config
from learnt.studies.programs_cells import about_machine, wrong_inputs
from learnt.studies.programs_plan import Entry, Item, Options, published, recipe_of, training
from learnt.studies.programs_tables import Sheet, fisher, per_cent, rate, seconds, spread

TASKS = ("induction",)
SIZE = Config(layers=2, cat_heads=1, num_heads=0, cat_mlps=0, num_mlps=0)
BIASES = (1.0, 8.0)


def items(options: Options) -> list[Item]:
    """One training for each tie bias."""
    small = options.scale == "small"
    return [
        training(
            options, "induction", task, SIZE, recipe_of("paper", tie_bias=bias), label=f"tie bias {bias:g}", seeds=22,
            epochs=32 if small else 250,
        )
        for task in options.of(TASKS, "induction")
        for bias in BIASES
    ]  # fmt: skip


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Success rates with intervals, and the test between them."""
    rows, counts = [], {}
    for item, result in entries:
        bias = f"{item['recipe']['tie_bias']:g}"
        accuracies = [seed["test_tokens"] for seed in result["seeds"]]
        hits, of = sum(share == 1.0 for share in accuracies), len(accuracies)
        counts.setdefault((item["epochs"], bias), []).append((hits, of))
        there = published()["induction"]["prototype"].get(bias)
        rows.append(
            (
                bias, f"{of} x {item['epochs']}", rate(hits, of), rate(*there) if there else "", spread(accuracies),
                per_cent(accuracies[0]), wrong_inputs(result), ", ".join(result["circuit"]),
                seconds(result["training_seconds"]),
            )
        )  # fmt: skip
    notes = []
    for (epochs, bias), found in sorted(counts.items()):
        base = counts.get((epochs, "1"))
        if bias != "1" and base:
            one, other = (tuple(map(sum, zip(*many, strict=True))) for many in (found, base))
            p = fisher(*one, *other)
            notes.append(f"Fisher's exact test, tie bias {bias} against 1, {epochs} epochs: p = {p:.2g}.")
    return [
        Sheet(
            title="In-context induction: how many seeds find the two heads",
            columns=(
                "tie bias", "seeds x epochs", "at 100 %", "prototype of the specification", "all seeds", "chosen",
                "wrong inputs", "circuit of the chosen", "time",
            ),
            rows=tuple(rows),
            notes=(
                *notes,
                "In brackets: Wilson's 95 % interval. Paper: 100 % for one chosen seed, tie bias 1. The prototype had "
                "32 epochs.",
                *about_machine(entries),
            ),
        )
    ]  # fmt: skip
