"""Can transformers be trained that turn into programs? The experiments of arXiv 2306.01128, its numbers beside ours.

    table1, table3   seven synthetic tasks, with counting and without
    induction        how many seeds find the two heads, with the published tie bias and with ours
    large            longer inputs and more tokens: N = V = 16
    table5           reverse with parts of a known solution fixed
    recipes          which changes of the recipe help
    text             classes and entities, from local files
    standard         the standard transformer on the synthetic tasks

Each training of R seeds is one item of a resumable study, with a seed of its own, and goes on inside from its
checkpoints; the numbers do not depend on the number of processes. All seeds are reported, the chosen one by validation.
Then, if asked, programs are corrected by the inputs that they get wrong, and simplified.

Source: Friedman, Wettig, Chen 2023; published numbers in programs_published.json.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from learnt.core.errors import InputError
from learnt.studies import (
    programs_induction,
    programs_large,
    programs_recipes,
    programs_standard,
    programs_table1,
    programs_table5,
    programs_text,
)
from learnt.studies.programs_plan import Entry, Item, Options
from learnt.studies.programs_record import ProgramsStudy, recorded
from learnt.studies.programs_tables import Sheet
from learnt.studies.programs_tasks import LANGUAGE
from learnt.studies.programs_work import checkpoints, name_of, program_file, worked


class Experiment(NamedTuple):
    """One experiment: its name, its tasks, its items for some options, and its tables."""

    name: str
    tasks: tuple[str, ...]
    items: Callable[[Options], list[Item]]
    sheets: Callable[[Sequence[Entry]], list[Sheet]]


EXPERIMENTS = (
    Experiment("table1", programs_table1.TASKS, programs_table1.items, programs_table1.sheets),
    Experiment("table3", programs_table1.TASKS, programs_table1.categorical_items, programs_table1.categorical_sheets),
    Experiment("induction", programs_induction.TASKS, programs_induction.items, programs_induction.sheets),
    Experiment("large", programs_large.TASKS, programs_large.items, programs_large.sheets),
    Experiment("table5", programs_table5.TASKS, programs_table5.items, programs_table5.sheets),
    Experiment("recipes", programs_recipes.TASKS, programs_recipes.items, programs_recipes.sheets),
    Experiment("text", programs_text.TASKS, programs_text.items, programs_text.sheets),
    Experiment("standard", programs_standard.TASKS, programs_standard.items, programs_standard.sheets),
)
FINISHED = ("table1", "table3", "large", "table5")  # whose programs can be corrected and simplified


def programs_study(
    directory: str | os.PathLike[str],
    *,
    only: Sequence[str] = ("table1",),
    options: Options | None = None,
    data: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    quiet: bool | None = None,
) -> ProgramsStudy:
    """Run experiments, or go on with them, in a directory; writes programs.json, record.txt, record.md and programs/.

    Args:
        directory: a new or empty one, or that of an earlier run with the same seed; other experiments, tasks and
            settings are added to what is there.
        only: names of experiments.
        options: tasks, numbers of seeds and epochs, scale, methods, recipes.
        data: folder of the corpora, for the experiment on text.
        jobs: number of processes, -1 for one a core. The numbers do not depend on it.
        quiet: True shows no progress.

    Raises:
        InputError: an unknown experiment or task, an experiment on text without `data`.
        ResumeError: the directory belongs to another seed or study. BusyError: another process is at work in it.
        Interrupted: a signal came; finished items are kept, trainings go on from their last checkpoint.

    Source: arXiv 2306.01128.
    """
    from learnt.run.study import Study

    options = options or Options()
    items = planned(only, options)
    if data is None and any(item["task"] in LANGUAGE for item in items):
        raise InputError("data", found="none", expected="the folder with the corpora", remedy="Pass --data FOLDER.")
    study = Study.open(directory, config={"study": "programs", "seed": options.seed}, threads=1)
    place = str(study.directory)
    work = functools.partial(worked, directory=place, data=None if data is None else os.path.abspath(data))
    with study:

        def done(batch: Sequence[Item]) -> list[Entry]:
            results = study.map(work, batch, jobs=jobs, name="programs", quiet=quiet)
            return [(item, _unpacked(place, item, result)) for item, result in zip(batch, results, strict=True)]

        found = done(items)
        found += done(_finishing(found, options))
        shutil.rmtree(checkpoints(place), ignore_errors=True)
        return recorded(study.directory, options.seed, study.command, found)


def planned(only: Sequence[str], options: Options) -> list[Item]:
    """The items of some experiments.

    Raises:
        InputError: an unknown experiment; a task that none of them has.
    """
    names = [experiment.name for experiment in EXPERIMENTS]
    for name in only:
        if name not in names:
            raise InputError("only", found=repr(name), expected=f"some of {', '.join(names)}")
    if not only or len(set(only)) != len(only):
        raise InputError("only", found="none" if not only else "one twice", expected=f"some of {', '.join(names)}")
    chosen = [experiment for experiment in EXPERIMENTS if experiment.name in only]
    known = dict.fromkeys(task for experiment in chosen for task in experiment.tasks)
    for task in options.tasks:
        if task not in known:
            raise InputError("tasks", found=repr(task), expected=f"some of {', '.join(known)}")
    return [
        item
        for experiment in chosen
        if not options.tasks or set(options.tasks) & set(experiment.tasks)
        for item in experiment.items(options)
    ]


def _finishing(found: Sequence[Entry], options: Options) -> list[Item]:
    """Correction and simplification of the best seeds of what was trained and grown."""
    if not options.correct and not options.simplify:
        return []
    return [
        {
            "work": "finish", "experiment": item["experiment"], "task": item["task"], "arguments": item["arguments"],
            "label": item["label"], "of": name_of(item), "program": seed["seed"], "correct": options.correct,
            "search_rounds": options.search_rounds, "simplify": options.simplify, "seed": item["seed"],
        }
        for item, result in found
        if item["experiment"] in FINISHED and item["work"] in ("train", "grow")
        for seed in result["seeds"][: options.corrected]
    ]  # fmt: skip


def _unpacked(place: str, item: Item, result: dict[str, Any]) -> dict[str, Any]:
    """The result without its programs, which are written to files."""
    from learnt.io.atomic import ensure_directory, write_json

    for seed, fields in result.get("programs", {}).items():
        path: Path = program_file(place, name_of(item), seed)
        ensure_directory(path.parent)
        write_json(path, fields)
    return {name: value for name, value in result.items() if name != "programs"}
