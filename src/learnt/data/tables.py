"""A `.csv` table with a header: one column is the target, every other one an input.

Numeric columns are standardised with statistics of the training part; columns named in `categories` become one 0/1
column a level (levels sorted). Whole-number or text targets are classes, in the order of their values; targets with
a fraction, or more than 100 different whole numbers, are regression (`task` overrides).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.data.splits import Parts
from learnt.io.formats import read_csv

TASKS = ("auto", "classification", "regression")
MOST_CLASSES = 100


def csv_table(
    path: Path,
    *,
    target: str = "label",
    categories: Sequence[str] = (),
    ignore: Sequence[str] = (),
    delimiter: str = ",",
    task: str = "auto",
    standardise: bool = True,
) -> Parts:
    """The table at `path`.

    Args:
        path: a .csv or .csv.gz file.
        target: name of the column to predict.
        categories: names of text columns to turn into 0/1 columns.
        ignore: names of columns to leave out (identifiers, dates ...).
        delimiter: between cells.
        task: "auto", "classification" or "regression".
        standardise: whether columns are scaled by the mean and deviation of the training part.
    """
    if task not in TASKS:
        raise InputError("task", found=repr(task), expected=f"one of {', '.join(TASKS)}")
    twice = [name for name in (*categories, *ignore) if name == target] + sorted(set(categories) & set(ignore))
    if twice:
        raise InputError("categories", found=f"{twice[0]!r} in two roles", expected="each column in one role")
    return Parts(train=lambda: _read(path, target, categories, ignore, delimiter, task), standardise=standardise)


def _read(
    path: Path, target: str, categories: Sequence[str], ignore: Sequence[str], delimiter: str, task: str
) -> Examples:
    try:
        table = read_csv(path, words=(target, *categories, *ignore), delimiter=delimiter)
    except InputError as error:
        if error.argument != "words":
            raise
        missing = "target" if error.found == repr(target) else "categories"
        raise InputError(
            missing, found=error.found, expected=error.expected, remedy="Name the column with target='...'."
        ) from error
    blocks = [table.values]
    for name in categories:
        levels = sorted(set(table.words[name]))
        blocks.append(np.array([[cell == level for level in levels] for cell in table.words[name]], np.float64))
    inputs = np.concatenate(blocks, axis=1)
    if inputs.shape[1] == 0:
        raise InputError(str(path), found="no column besides the target", expected="at least one input column")
    labels, classes = _target(table.words[target], task, f"{path}, column {target!r}")
    return Examples(
        inputs=torch.from_numpy(inputs.astype(np.float32)), labels=labels, classes=classes, name=path.name.split(".")[0]
    )


def _target(cells: Sequence[str], task: str, where: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    numbers = _numbers(cells)
    whole = numbers is not None and bool(np.all(numbers == np.rint(numbers)))
    fractional = numbers is not None and not (whole and len(np.unique(numbers)) <= MOST_CLASSES)
    if task == "regression" or (task == "auto" and fractional):
        if numbers is None:
            odd = next(cell for cell in cells if _numbers([cell]) is None)
            raise InputError(where, found=repr(odd[:40]), expected="a finite number in every row")
        return torch.from_numpy(numbers.astype(np.float32)), ()
    if any(not cell.strip() for cell in cells):
        raise InputError(where, found="an empty cell", expected="a class in every row")
    if numbers is not None and whole:
        values, index = np.unique(numbers, return_inverse=True)
        names = tuple(str(int(value)) for value in values)
    else:
        values, index = np.unique(np.asarray([cell.strip() for cell in cells]), return_inverse=True)
        names = tuple(str(value) for value in values)
    return torch.from_numpy(index.astype(np.int64).reshape(-1)), names


def _numbers(cells: Sequence[str]) -> np.ndarray | None:
    try:
        values = np.array([float(cell) for cell in cells])
    except ValueError:
        return None
    return values if bool(np.all(np.isfinite(values))) else None
