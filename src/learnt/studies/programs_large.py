"""What happens with longer inputs and more tokens? Tasks at N = V = 16, where the paper's figure 10 shows a collapse.

The figure has no table; the numbers beside ours are those of a replication (one seed, two runs). With N = V = 16 the
inputs cannot be listed, so that wrong inputs are counted on a sample.
"""

from __future__ import annotations

from collections.abc import Sequence

from learnt.studies.programs_cells import about_machine, grown_note, method, outcome_cells
from learnt.studies.programs_plan import (
    Entry,
    Item,
    Options,
    arguments,
    growing,
    halves,
    published,
    recipes_of,
    shape_name,
    size_name,
    training,
)
from learnt.studies.programs_tables import Sheet

TASKS = ("reverse", "sort", "hist", "double_hist", "most_freq")
CHOSEN = ("reverse", "sort")  # unless others are asked for
SIZES = ((16, 16),)


def items(options: Options) -> list[Item]:
    """One training (or search) for each task, size and recipe."""
    small = options.scale == "small"
    found = []
    for task in options.of(TASKS, "large") if options.tasks else CHOSEN:
        known = published()["table1"][task]
        size = (2 if small else known["layers"], known["heads"], known["mlps"])
        asked = (options.layers, options.heads, options.mlps)
        config = halves(*(own if other is None else other for own, other in zip(size, asked, strict=True)))
        for pair in options.sizes or SIZES:
            given = arguments(task, options, pair)
            if options.trains:
                found += [
                    training(
                        options, "large", task, config, recipe, label=label, seeds=4 if small else 5,
                        epochs=60 if small else 250, given=given,
                    )
                    for label, recipe in recipes_of(options)
                ]  # fmt: skip
            if options.grows:
                found.append(growing(options, "large", task, config, given=given))
    return found


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Accuracies beside those of the replication."""
    rows = []
    for item, result in entries:
        size = size_name(item)
        there = published()["large"][item["task"]].get(size, "")
        rows.append((item["task"], size, method(item), shape_name(item), there, *outcome_cells(item, result)))
    return [
        Sheet(
            title="Longer inputs, more tokens",
            columns=(
                "task", "N x V", "method", "L, H, M", "replication", "tokens", "sequences", "all seeds",
                "wrong inputs", "modules", "live", "by hand", "time",
            ),
            rows=tuple(rows),
            notes=(
                "Replication: A-Menon/TransformerProgramsExtendedStudy, test token accuracy, one seed, two runs where "
                "there are two numbers; the paper has a figure only. ~: of a random sample.",
                *grown_note(entries),
                *about_machine(entries),
            ),
        )
    ]  # fmt: skip
