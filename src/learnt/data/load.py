"""Real sets by name: `load("digits")`, `load("mnist", root=...)`, `load("photos/")`, `load("table.csv", target="y")`.

Whatever the source, the result is an `Examples` with inputs as float32 (images (n, C, H, W) in [0, 1], tables
standardised with statistics of the training part) and one of four parts:

* "train", "validation", "test": disjoint. Official test parts are used where they exist; otherwise a stratified
  fifth, chosen by seed. Validation is a stratified tenth of the training part unless the source brings its own.
* "all": everything.
"""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable
from typing import Any

import torch

from learnt.core.errors import InputError
from learnt.core.examples import Examples, as_examples
from learnt.data import bundled
from learnt.data.shapes import shapes
from learnt.data.splits import SPLITS, Parts, part
from learnt.run.seeds import derive

BUNDLED = ("digits", *bundled.TABLES)
NAMES = (*BUNDLED, "shapes")


def load(
    name: str | os.PathLike[str] | torch.utils.data.Dataset[Any] | Examples,
    *,
    root: str | os.PathLike[str] | None = None,
    split: str = "test",
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
    limit: int | None = None,
    **options: Any,
) -> Examples:
    """Load one part of a data set.

    Args:
        name: one of `NAMES`, or a torch `Dataset` or `Examples`, which are split like a set without official parts.
        root: folder that holds the files of a named set.
        split: "train", "validation", "test" or "all".
        seed: of the parts that are not official.
        validation, test: fractions carved out where the source has no such part.
        limit: keep at most this many examples, chosen by the hash of their input.
        **options: of the source: `standardise` (tables), anything `shapes` takes, with `n` (4000 for training,
            1000 for the other parts).

    Raises:
        InputError: unknown name (nearest ones offered), split, option or target.
        StorageError: a file that is missing, with where it was looked for and how to get it.
        UntrustedFileError: a file that is not of its format.
    """
    if split not in SPLITS:
        raise InputError("split", found=repr(split), expected=f"one of {', '.join(SPLITS)}")
    if limit is not None and limit < 1:
        raise InputError("limit", found=repr(limit), expected="at least 1, or None for everything")
    if name == "shapes":
        chosen = _generated(split, seed, options)
    else:
        chosen = part(_source(name, root, options), split, seed=seed, validation=validation, test=test)
    return chosen if limit is None else chosen.take(chosen.subset(limit))


def _generated(split: str, seed: int, options: dict[str, Any]) -> Examples:
    if split == "all":
        raise InputError(
            "split", found="'all' of shapes, which has no end", expected="train, validation or test, with n=..."
        )
    _check_options("shapes", shapes, {"n": 0, **options}, hidden={"seed"})
    return shapes(**{"n": 4000 if split == "train" else 1000, **options}, seed=derive("data", "shapes", split, seed))


def _source(name: Any, root: Any, options: dict[str, Any]) -> Parts:
    if isinstance(name, (Examples, torch.utils.data.Dataset)):
        whole = as_examples(name)
        return _with(lambda: Parts(train=lambda: whole), "this data set", options)
    if name == "digits":
        return _with(bundled.digits, "digits", options)
    if name in bundled.TABLES:
        return _with(lambda *, standardise=True: bundled.table(name, standardise=standardise), name, options)
    near = difflib.get_close_matches(str(name), NAMES, n=3, cutoff=0.5)
    raise InputError(
        "name",
        found=repr(str(name)),
        expected=f"one of {', '.join(NAMES)}",
        remedy=f"Did you mean {' or '.join(near)}?" if near else "",
    )


def _with(source: Callable[..., Parts], name: str, options: dict[str, Any]) -> Parts:
    _check_options(name, source, options)
    return source(**options)


def _check_options(
    name: str, function: Callable[..., Any], options: dict[str, Any], hidden: frozenset[str] | set[str] = frozenset()
) -> None:
    known = [key for key in inspect.signature(function).parameters if key not in hidden]
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            raise InputError(
                option,
                found=f"an option that {name} does not have",
                expected=f"one of {', '.join(known)}" if known else "no options",
                remedy=f"Did you mean {near[0]}?" if near else "",
            )
