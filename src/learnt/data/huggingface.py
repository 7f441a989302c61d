"""Sets of the Hugging Face hub, or local copies of them, through the package `datasets` (extra `hf`).

`hf:NAME` goes to `datasets.load_dataset(NAME)`. If NAME is a folder, it is read from there without a network:
written by `save_to_disk`, or in any layout of plain files that `load_dataset` knows (parquet, csv, images). Scripts
that a set brings along are never run. Inputs are the first image column, or else every numeric column; the target is
the first class-label column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learnt.core.errors import InputError, NotApplicable, ShapeError, StorageError, require_extra
from learnt.core.examples import Examples
from learnt.data.splits import Parts

VALIDATION = ("validation", "valid", "val", "dev")


def hugging_face(
    name: str,
    *,
    configuration: str | None = None,
    inputs: str | Sequence[str] | None = None,
    target: str | None = None,
) -> Parts:
    """The parts of the set `name`.

    Args:
        name: on the hub, or a local folder.
        configuration: of the set, where it has several.
        inputs: an image column, or columns of numbers; by default found by their types.
        target: the column to predict; by default the first class-label column.

    Raises:
        MissingExtra: `datasets` is not installed. StorageError: no such set, or the hub cannot be reached.
        NotApplicable: columns of a kind that has no agreed array form (text, audio).
    """
    try:
        import datasets
    except ImportError as error:
        raise require_extra("datasets", "hf") from error
    pieces = _open(datasets, name, configuration)
    if not pieces:
        raise InputError(f"hf:{name}", found="no parts", expected="at least one part with examples")
    title = Path(name).name
    train = pieces.get("train", next(iter(pieces.values())))
    held_out = next((pieces[key] for key in VALIDATION if key in pieces), None)
    test = pieces.get("test")

    def reader(piece: Any) -> Any:
        return None if piece is None or piece is train else lambda: _examples(piece, title, inputs, target)

    return Parts(train=lambda: _examples(train, title, inputs, target), validation=reader(held_out), test=reader(test))


def _open(datasets: Any, name: str, configuration: str | None) -> Mapping[str, Any]:
    local = Path(name).expanduser()
    try:
        if (local / "dataset_dict.json").is_file() or (local / "state.json").is_file():
            opened = datasets.load_from_disk(str(local))
        else:
            opened = datasets.load_dataset(str(local) if local.is_dir() else name, configuration)
    except (OSError, ValueError, RuntimeError) as error:  # the package raises all three for sets it cannot find
        first = str(error).strip().splitlines()
        raise StorageError(
            f"hf:{name}",
            found=first[0][:200] if first else type(error).__name__,
            expected="a set on the hub that can be reached, or a folder with a local copy",
            remedy="Check the name and the connection, or give the path of a folder written by save_to_disk.",
        ) from error
    return opened if isinstance(opened, Mapping) else {"train": opened}


def _examples(piece: Any, title: str, inputs: str | Sequence[str] | None, target: str | None) -> Examples:
    features = piece.features
    label = target if target is not None else _first(features, "ClassLabel")
    if label is not None and label not in features:
        raise InputError("target", found=repr(label), expected=f"one of {', '.join(features)}")
    wanted = _inputs(features, inputs, label)
    classes: tuple[str, ...] = ()
    labels = None
    if label is not None:
        names = getattr(features[label], "names", None)
        labels, classes = _target(np.asarray(piece[label]), names, f"hf:{title}[{label}]")
    if type(features[wanted[0]]).__name__ == "Image":
        pixels = [_pixels(picture, f"hf:{title}[{wanted[0]}][{i}]") for i, picture in enumerate(piece[wanted[0]])]
        shapes = {pixel.shape for pixel in pixels}
        if len(shapes) > 1:
            raise ShapeError(
                f"hf:{title}[{wanted[0]}]",
                found=f"images of {len(shapes)} sizes",
                expected="one size",
                remedy="Bring them to one size with datasets' map first.",
            )
        values, low, high = torch.from_numpy(np.stack(pixels)).float() / 255, 0.0, 1.0
    else:
        columns = [np.asarray(piece[column], np.float32) for column in wanted]
        flat = [column[:, None] if column.ndim == 1 else column for column in columns]
        values = torch.from_numpy(flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1))
        low = high = None
    return Examples(inputs=values, labels=labels, classes=classes, name=title, low=low, high=high)


def _first(features: Mapping[str, Any], kind: str) -> str | None:
    return next((name for name, feature in features.items() if type(feature).__name__ == kind), None)


def _inputs(features: Mapping[str, Any], inputs: str | Sequence[str] | None, label: str | None) -> list[str]:
    if inputs is not None:
        wanted = [inputs] if isinstance(inputs, str) else list(inputs)
        unknown = [name for name in wanted if name not in features]
        if unknown or not wanted:
            raise InputError("inputs", found=repr(unknown or wanted), expected=f"columns from {', '.join(features)}")
    else:
        image = _first(features, "Image")
        wanted = [image] if image else [n for n, f in features.items() if n != label and _is_numeric(f)]
    odd = [name for name in wanted if not (_is_numeric(features[name]) or type(features[name]).__name__ == "Image")]
    if odd or not wanted:
        described = ", ".join(f"{name} ({getattr(f, 'dtype', type(f).__name__)})" for name, f in features.items())
        raise NotApplicable(
            "inputs",
            found=f"the columns {described}",
            expected="an image column, or columns of numbers",
            remedy="Turn text into token numbers or embeddings first, and pass the result as arrays.",
        )
    return wanted


def _is_numeric(feature: Any) -> bool:
    inner = getattr(feature, "feature", feature)  # a sequence of numbers of one length is a vector
    return str(getattr(inner, "dtype", "")).startswith(("int", "uint", "float", "bool")) and not hasattr(inner, "names")


def _target(values: np.ndarray, names: Sequence[str] | None, where: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    if names is not None:
        if values.size and int(values.min()) < 0:
            raise InputError(
                where, found="the index -1, which marks hidden labels", expected="labels", remedy="Use another split."
            )
        return torch.from_numpy(values.astype(np.int64)), tuple(names)
    if values.dtype.kind == "f":
        return torch.from_numpy(values.astype(np.float32)), ()
    levels, index = np.unique(values, return_inverse=True)
    return torch.from_numpy(index.reshape(-1).astype(np.int64)), tuple(str(level) for level in levels)


def _pixels(picture: Any, where: str) -> np.ndarray:
    """(C, H, W) uint8 from a PIL image: grey stays one channel, everything else becomes RGB."""
    if picture is None:
        raise InputError(where, found="no image", expected="an image in every row")
    if picture.mode in ("L", "1"):
        return np.asarray(picture.convert("L"))[None]
    return np.moveaxis(np.asarray(picture.convert("RGB")), 2, 0)
