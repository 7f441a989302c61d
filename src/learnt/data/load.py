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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from learnt.core.errors import InputError, StorageError
from learnt.core.examples import Examples, as_examples
from learnt.data import bundled
from learnt.data.arrays import npz
from learnt.data.cifar import cifar10, cifar100
from learnt.data.folders import image_folder
from learnt.data.huggingface import hugging_face
from learnt.data.mnist import CLASSES, mnist
from learnt.data.shapes import shapes
from learnt.data.splits import SPLITS, Parts, part
from learnt.data.tables import csv_table
from learnt.run.seeds import derive

BUNDLED = ("digits", *bundled.TABLES)
ON_DISK = ("mnist", "fashion_mnist", "cifar10", "cifar100")
NAMES = (*BUNDLED, *ON_DISK, "shapes")
TABLE_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


def load(
    name: str | os.PathLike[str] | torch.utils.data.Dataset[Any] | Examples | Any,
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
        name: one of `NAMES`; the path of a folder of images, a .npz, .csv or .tsv file (also gzipped tables); hf:NAME
            for a set of the Hugging Face hub; or what `learnt.core.examples.as_examples` takes: a torch `Dataset`,
            `Examples`, (inputs, labels). What has no official parts is split.
        root: folder that holds the files of a named set; paths are relative to it.
        split: "train", "validation", "test" or "all".
        seed: of the parts that are not official.
        validation, test: fractions carved out where the source has no such part.
        limit: keep at most this many examples, chosen by the hash of their input.
        **options: of the source: `standardise` (bundled tables), `coarse` (cifar100), `size`, `grey` (folders),
            `target`, `categories`, `ignore`, `delimiter`, `task`, `standardise` (.csv), `configuration`, `inputs`,
            `target` (hf:), anything `shapes` takes, with `n` (4000 for training, 1000 for the other parts).

    Raises:
        InputError: unknown name (nearest ones offered), split, option or target.
        StorageError: a file that is missing, with where it was looked for and how to get it.
        UntrustedFileError: a file that is not of its format.
    """
    if split not in SPLITS:
        raise InputError("split", found=repr(split), expected=f"one of {', '.join(SPLITS)}")
    if limit is not None and limit < 1:
        raise InputError("limit", found=repr(limit), expected="at least 1, or None for everything")
    if isinstance(name, str) and name == "shapes":
        chosen = _generated(split, seed, options)
    else:
        chosen = part(_source(name, root, options), split, seed=seed, validation=validation, test=test)
    return chosen if limit is None else chosen.take(chosen.subset(limit))


def _generated(split: str, seed: int, options: dict[str, Any]) -> Examples:
    if split == "all":
        raise InputError(
            "split", found="'all' of shapes, which has no end", expected="train, validation or test, with n=..."
        )
    _check_options("shapes", shapes, options, ("seed",))
    return shapes(**{"n": 4000 if split == "train" else 1000, **options}, seed=derive("data", "shapes", split, seed))


def _source(name: Any, root: Any, options: dict[str, Any]) -> Parts:
    if not isinstance(name, (str, os.PathLike)):
        whole = as_examples(name)
        return _with(lambda: Parts(train=lambda: whole), "this data set", options)
    text = os.fspath(name)
    if text == "digits":
        return _with(bundled.digits, text, options)
    if text in bundled.TABLES:
        return _with(bundled.table, text, options, name=text)
    if text in CLASSES:
        return _with(mnist, text, options, name=text, root=root)
    if text == "cifar10":
        return _with(cifar10, text, options, root=root)
    if text == "cifar100":
        return _with(cifar100, text, options, root=root)
    if text.startswith("hf:"):
        local = None if root is None else Path(root).expanduser() / text[3:]
        return _with(hugging_face, text, options, name=str(local) if local and local.is_dir() else text[3:])
    return _from_path(text, root, options)


def _from_path(text: str, root: Any, options: dict[str, Any]) -> Parts:
    path = Path(text).expanduser() if root is None else Path(root).expanduser() / text
    lower = path.name.lower()
    if path.is_dir():
        return _with(image_folder, str(path), options, path=path)
    if lower.endswith(".npz"):
        return _with(npz, str(path), options, path=_present(path))
    if lower.endswith(TABLE_SUFFIXES):
        if lower.endswith((".tsv", ".tsv.gz")):
            options = {"delimiter": "\t", **options}
        return _with(csv_table, str(path), options, path=_present(path))
    if path.is_file():
        raise InputError(
            str(path),
            found="a file of another kind",
            expected="a folder of images, .npz, .csv or .tsv",
            remedy="Save the arrays with numpy.savez(path, inputs=..., labels=...).",
        )
    if os.sep in text or path.suffix:
        _present(path)
    near = difflib.get_close_matches(text.lower(), NAMES, n=3, cutoff=0.5)
    raise InputError(
        "name",
        found=repr(text),
        expected=f"one of {', '.join(NAMES)}, hf:NAME, or the path of a folder of images, a .npz or a .csv file",
        remedy=f"Did you mean {' or '.join(near)}?" if near else "",
    )


def _present(path: Path) -> Path:
    if path.is_file():
        return path
    siblings = sorted(child.name for child in path.parent.iterdir()) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=3)
    raise StorageError(
        str(path),
        found="no such file" if path.parent.is_dir() else f"no folder {path.parent}",
        expected="a data file or a folder of images",
        remedy=f"Did you mean {' or '.join(near)}?" if near else "",
    )


def _with(source: Callable[..., Parts], title: str, options: dict[str, Any], **given: Any) -> Parts:
    _check_options(title, source, options, given)
    return source(**given, **options)


def _check_options(name: str, function: Callable[..., Any], options: Iterable[str], given: Iterable[str]) -> None:
    hidden = set(given)
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
