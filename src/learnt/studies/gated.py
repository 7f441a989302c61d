"""What do gated networks learn, when, and what comes for free? The figures of arXiv 2207.10430, theory over simulation.

    xor         which gating learns XOR, and a ReLU network that finds one
    routing     encoders and decoders around a shared layer: when does each mode drop
    zeroshot    how wrong are the pairs that were not trained, by how many were, and how they hang together
    init        small and large starts: rich and lazy
    depth       longer plateaus, sharper steps
    hierarchy   broad distinctions before fine ones
    race        shared against private pathways, and gatings against each other

Each cell is one item of a resumable study; seeds are derived from the study's seed, and numbers do not depend on the
number of processes. Every figure has its control, and statements that must hold, with the number of the acceptance
check they come from. Predictions are exact only where the reduction says so and training is by full batches.

Source: Saxe, Sodhani, Lewallen 2022, slides and notebooks of the authors' repository.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Sequence
from typing import Any, Literal

from learnt.core.errors import InputError, Interrupted
from learnt.studies import (
    gated_depth,
    gated_hierarchy,
    gated_init,
    gated_race,
    gated_routing,
    gated_xor,
    gated_zeroshot,
)
from learnt.studies.gated_plan import Entry, Figure, Item, Options
from learnt.studies.gated_record import GatedStudy, recorded

FIGURES: tuple[Figure, ...] = (
    gated_xor.FIGURE,
    gated_routing.FIGURE,
    gated_zeroshot.FIGURE,
    gated_init.FIGURE,
    gated_depth.FIGURE,
    gated_hierarchy.FIGURE,
    gated_race.FIGURE,
)
NAMES = tuple(figure.name for figure in FIGURES)


def gated_study(
    out: str | os.PathLike[str],
    *,
    only: Sequence[str] = NAMES,
    seeds: int | None = None,
    scale: Literal["small", "paper"] = "small",
    data: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    seed: int = 0,
    quiet: bool | None = None,
) -> GatedStudy:
    """Compute figures, or go on with them, in a directory; writes figures/, figures.html, record.* and gated.json.

    Args:
        out: a new or empty directory, or that of an earlier run with the same seed; a figure asked for again replaces
            its earlier version, the others stay.
        only: names of figures.
        seeds: simulations of each cell, instead of the figure's own number.
        scale: "small", minutes on one thread, or "paper": more seeds, longer runs, more cells.
        data: folder of the MNIST files; with it the routing benchmark runs on them too.
        jobs: number of processes, -1 for one a core. The numbers do not depend on it.
        seed: from which every item derives its own.
        quiet: True shows no progress.

    Raises:
        InputError: an unknown figure, settings without meaning.
        ResumeError: the directory belongs to another seed or study. BusyError: another process is at work in it.
        Interrupted: a signal came; finished items are kept.

    Source: arXiv 2207.10430.
    """
    from learnt.run.study import Study

    options = Options(seeds=seeds, scale=scale, images=None if data is None else "mnist", seed=seed)
    items = planned(only, options)
    study = Study.open(out, config={"study": "gated", "seed": seed}, threads=1)
    work = functools.partial(worked, data=None if data is None else os.path.abspath(data))
    with study:
        results = study.map(work, items, jobs=jobs, name="gated", quiet=quiet)
        found: list[Entry] = list(zip(items, results, strict=True))
        return recorded(study.directory, seed, study.command, found, FIGURES)


def planned(only: Sequence[str], options: Options) -> list[Item]:
    """The items of some figures, in the order of the study.

    Raises:
        InputError: an unknown figure, one twice, or none.
    """
    if isinstance(only, str) or not only or len(set(only)) != len(only):
        found = repr(only) if isinstance(only, str) else "none" if not only else "one twice"
        raise InputError("only", found=found, expected=f"some of {', '.join(NAMES)}")
    for name in only:
        if name not in NAMES:
            raise InputError("only", found=repr(name), expected=f"some of {', '.join(NAMES)}")
    return [item for figure in FIGURES if figure.name in only for item in figure.items(options)]


def worked(item: Item, *, data: str | None) -> dict[str, Any]:
    """The result of one item, with its seconds and where it was made."""
    from learnt.studies.programs_work import made

    began = time.perf_counter()
    figure = next(figure for figure in FIGURES if figure.name == item["figure"])
    try:
        found = figure.work(item, data)
    except Interrupted as stopped:  # of a training inside; the study says what is kept and how to go on
        raise KeyboardInterrupt from stopped
    return {**found, "seconds": time.perf_counter() - began, "made": made()}
