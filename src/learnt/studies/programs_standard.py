"""What does an ordinary transformer reach? The baseline of the paper on the synthetic tasks.

Paper: pre-norm encoder, width 256, Adam 3e-4, batches of 50, at most 100 epochs, best epoch by validation, L in {2, 3}
and H in {4, 8}. Its numbers are in a figure only (figure 10), so that ours stand alone here; beside them are the
published ones of programs.
"""

from __future__ import annotations

from collections.abc import Sequence

from learnt.studies.programs_cells import about_machine
from learnt.studies.programs_plan import Entry, Item, Options, arguments, own_seed, published, size_name
from learnt.studies.programs_table1 import TASKS as SEVEN
from learnt.studies.programs_tables import Sheet, number, per_cent, seconds, spread

TASKS = (*SEVEN, "induction")


def items(options: Options) -> list[Item]:
    """One training for each task and size."""
    small, found = options.scale == "small", []
    for task in options.of(TASKS, "standard"):
        fixed = task == "induction" or task.startswith("dyck")
        for size in (None,) if fixed or not options.sizes else options.sizes:
            given = arguments(task, options, size)
            config = {
                "layers": options.layers or (2 if small else 3), "heads": options.heads or (4 if small else 8),
                "width": 64 if small else 256,
            }  # fmt: skip
            found.append(
                {
                    "work": "standard", "experiment": "standard", "task": task, "arguments": given, "config": config,
                    "label": "standard", "seeds": options.seeds or (1 if small else 5),
                    "epochs": options.epochs or (10 if small else 100),
                    "seed": own_seed(options, "standard", task, given, "standard"),
                }
            )  # fmt: skip
    return found


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Accuracy on the test part, beside the published one of programs."""
    rows = []
    for item, result in entries:
        known = published()["table1"].get(item["task"], published()["induction"])
        default = size_name(item) if "vocab_size" in item["arguments"] else ""
        there = number(known["accuracy"]) if default in ("", "8x8") else ""
        best, c = result["seeds"][0], item["config"]
        rows.append(
            (
                item["task"], default, f"{c['layers']}, {c['heads']}, {c['width']}",
                f"{item['seeds']} x {item['epochs']}", there, per_cent(best["test_tokens"]),
                per_cent(best["test_sequences"]), spread([seed["test_tokens"] for seed in result["seeds"]]),
                f"{result['parameters']:,}", seconds(result["training_seconds"]),
            )
        )  # fmt: skip
    return [
        Sheet(
            title="The standard transformer on the synthetic tasks",
            columns=(
                "task", "N x V", "layers, heads, width", "seeds x epochs", "published, programs", "tokens",
                "sequences", "all seeds", "parameters", "time",
            ),
            rows=tuple(rows),
            notes=(
                "Test accuracy, %, at the epoch and of the seed chosen by validation. The paper shows its own baseline "
                "in a figure only.",
                *about_machine(entries),
            ),
        )
    ]  # fmt: skip
