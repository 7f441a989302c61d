"""Which synthetic tasks can be learnt? Tables 1 and 3 of the paper: seven tasks, with and without counting.

Paper: the best of five seeds by validation over a grid of sizes, 250 epochs; token accuracy on the test part. Here:
the published size of each task, or a smaller one at scale "small"; all seeds; sequence accuracy; and how many inputs
of the whole domain are wrong, which a headline of 99.8 % hides.
"""

from __future__ import annotations

from collections.abc import Sequence

from learnt.programs.config import Config
from learnt.studies.programs_cells import about_machine, grown_note, method, outcome_cells
from learnt.studies.programs_plan import (
    Entry,
    Item,
    Options,
    growing,
    halves,
    published,
    recipes_of,
    shape_name,
    training,
)
from learnt.studies.programs_tables import Sheet, number

TASKS = ("reverse", "hist", "double_hist", "sort", "most_freq", "dyck1", "dyck2")
SMALL = {  # layers, heads, MLPs: as small as the replications found them to do
    "reverse": (2, 8, 2), "hist": (1, 4, 2), "double_hist": (2, 8, 4), "sort": (1, 8, 4), "most_freq": (2, 8, 4),
    "dyck1": (2, 8, 2), "dyck2": (3, 4, 4),
}  # fmt: skip


def items(options: Options) -> list[Item]:
    """Table 1: categorical and numerical modules."""
    return _items(options, "table1")


def categorical_items(options: Options) -> list[Item]:
    """Table 3: categorical modules only."""
    return _items(options, "table3")


def size_of(options: Options, experiment: str, task: str) -> Config:
    """The size of a task's programs: published, or smaller; with what `options` say instead."""
    known = published()[experiment][task]
    size = (known["layers"], known["heads"], known["mlps"])
    if options.scale == "small" and experiment == "table1":
        size = SMALL[task]
    layers, heads, mlps = (
        own if asked is None else asked
        for own, asked in zip(size, (options.layers, options.heads, options.mlps), strict=True)
    )
    if experiment == "table3":
        return Config(layers=layers, cat_heads=heads, num_heads=0, cat_mlps=mlps, num_mlps=0)
    return halves(layers, heads, mlps)


def _items(options: Options, experiment: str) -> list[Item]:
    small = options.scale == "small"
    found = []
    for task in options.of(TASKS, experiment):
        config = size_of(options, experiment, task)
        if options.trains:
            found += [
                training(
                    options, experiment, task, config, recipe, label=label, seeds=8 if small else 5,
                    epochs=60 if small else 250,
                )
                for label, recipe in recipes_of(options)
            ]  # fmt: skip
        if options.grows:
            found.append(growing(options, experiment, task, config))
    return found


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Table 1, published beside ours."""
    rows = []
    for item, result in entries:
        known = published()["table1"][item["task"]]
        rows.append(
            (
                item["task"], method(item), shape_name(item), number(known["accuracy"]), number(known["a"]),
                number(known["a_best"]), number(known["b"]), *outcome_cells(item, result),
            )
        )  # fmt: skip
    columns = ("task", "method", "L, H, M", "published", "A", "A, best", "B", *OUTCOME)
    return [Sheet(title=TITLE, columns=columns, rows=tuple(rows), notes=_notes(entries, PUBLISHED))]


def categorical_sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Table 3, published beside ours."""
    rows = []
    for item, result in entries:
        known = published()["table3"][item["task"]]
        there = f"{known['layers']}, {known['heads']}, {known['mlps']}"
        rows.append(
            (
                item["task"], method(item), shape_name(item), there, number(known["accuracy"]),
                *outcome_cells(item, result),
            )
        )  # fmt: skip
    columns = ("task", "method", "L, H, M", "published L, H, M", "published", *OUTCOME)
    return [Sheet(title=CATEGORICAL, columns=columns, rows=tuple(rows), notes=_notes(entries, ()))]


TITLE = "Table 1: categorical and numerical modules"
CATEGORICAL = "Table 3: categorical modules only"
OUTCOME = ("tokens", "sequences", "all seeds", "wrong inputs", "modules", "live", "by hand", "time")
PUBLISHED = (
    "Published: L, H, M of the paper are those of scale paper. A and B are replications by others: A of the published "
    "size (5 seeds) and the best of a wider grid, B one seed, or two.",
)


def _notes(entries: Sequence[Entry], first: tuple[str, ...]) -> tuple[str, ...]:
    what = (
        "L, H, M: layers, categorical + numerical heads, categorical + numerical MLPs of each layer. Tokens, "
        "sequences: test accuracy, %, of the seed chosen by validation; all seeds: median and range of tokens. Wrong "
        "inputs: of the whole domain, or of a sample (~). By hand: modules of the smallest exact program known "
        "(`learnt.programs.library`).",
    )
    return (*first, *what, *grown_note(entries), *about_machine(entries))
