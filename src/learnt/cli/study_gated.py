"""`learnt study gated`: figures of the gated-network paper, prediction over simulation; for the room `study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from learnt.cli.study import app

_Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]


@app.command
def gated(
    *,
    out: Path = Path("runs/gated"),
    only: _Words = (),
    seeds: int | None = None,
    scale: Literal["small", "paper"] = "small",
    data: Path | None = None,
    jobs: int = 1,
    seed: int = 0,
    quiet: bool = False,
) -> None:
    """What do gated networks learn, and when? The figures of arXiv 2207.10430, prediction and simulation overlaid.

    Run the same command again to go on or to see the result; a figure asked for again replaces its earlier version.
    Writes figures/, figures.html, record.txt, record.md and gated.json into OUT.

    Parameters
    ----------
    out
        Directory of the study.
    only
        Figures: xor, routing, zeroshot, init, depth, hierarchy, race; all if not given.
    seeds
        Simulations of each cell, instead of the figure's own number.
    scale
        Minutes on one thread, or more seeds, longer runs and more cells.
    data
        Folder of the MNIST files; with it the routing benchmark runs on them too.
    jobs
        Processes to run at once; the numbers do not depend on it.
    seed
        Seed of everything random.
    quiet
        Print nothing but errors.
    """
    from learnt.studies.gated import NAMES, gated_study

    only = only or NAMES
    found = gated_study(out, only=only, seeds=seeds, scale=scale, data=data, jobs=jobs, seed=seed, quiet=quiet)
    if not quiet:
        print(found)
