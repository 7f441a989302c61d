"""Which task, program size and recipe does an item of the study mean? From plain data to objects, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from learnt.core.errors import InputError
from learnt.programs import tasks
from learnt.programs.config import Config, Factored
from learnt.programs.recipe import Recipe
from learnt.programs.task import Task
from learnt.programs.task_split import Pairs, Split
from learnt.run.seeds import numpy_generator

SYNTHETIC = tuple(make.__name__ for make in tasks.SYNTHETIC)
TEXT = ("trec", "mr", "subj", "ag_news")
TAGGING = ("wikiann", "conll")
LANGUAGE = (*TEXT, *TAGGING)


def task_of(item: Mapping[str, Any], data: str | None = None) -> Task:
    """The task of an item.

    Args:
        item: with "task" and "arguments".
        data: the folder of the corpora, or one with the folders `text` and `ner` in it.

    Raises:
        InputError: a language task without a folder. StorageError: a file is missing there.
    """
    name, given = item["task"], dict(item["arguments"])
    if name in SYNTHETIC:
        return getattr(tasks, name)(**given)
    if data is None:
        raise InputError(
            "data", found="none", expected=f"the folder with the files of {name}",
            remedy="Pass --data FOLDER; `learnt.programs.tasks_text` says which files.",
        )  # fmt: skip
    most = given.pop("examples", None)
    inner = Path(data) / ("ner" if name in TAGGING else "text")
    found = getattr(tasks, name)(inner if inner.is_dir() else Path(data), **given)
    return found if most is None else shortened(found, most)


def shortened(task: Task, most: int) -> Task:
    """The task with at most so many training pairs, drawn without order (corpora are sorted by class)."""
    whole = task.split()
    rows = numpy_generator("study programs", task.name, most).permutation(len(whole.train))[:most]
    part: Pairs = whole.train.take(sorted(rows.tolist()))
    split = Split(train=part, validation=whole.validation, test=whole.test)
    return replace(task, parts=lambda seed: split)


def config_of(fields: Mapping[str, Any]) -> Config:
    """The size of `Config.to_fields`."""
    embed = fields.get("embed", "one_hot")
    rest = {name: value for name, value in fields.items() if name != "embed"}
    return Config(embed="one_hot" if embed == "one_hot" else Factored(n=int(embed.split()[1])), **rest)


def recipe_from(fields: Mapping[str, Any]) -> Recipe:
    """The recipe of `Recipe.to_fields`."""
    first, last = fields["temperature"]
    return Recipe(**{**fields, "temperature": (first, last), "halving": tuple(fields["halving"])})
