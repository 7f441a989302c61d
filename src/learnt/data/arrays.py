"""A `.npz` file of arrays: inputs, labels and, where known, masks and class names.

| array      | names looked for                      |
| inputs     | inputs, x, X, images, data            |
| labels     | labels, y, Y, targets, target         |
| masks      | masks, mask                           |
| classes    | classes, class_names                  |

With the suffixes _train and _test or the same as prefixes (x_train, test_images ...) the file has official parts.
Images of bytes are divided by 255; (n, H, W) becomes (n, 1, H, W), (n, H, W, 1 or 3) becomes (n, C, H, W). Integer
inputs of two axes stay tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from learnt.core.errors import InputError, ShapeError
from learnt.core.examples import Examples
from learnt.data.splits import Parts
from learnt.io.formats import read_npz

INPUTS = ("inputs", "x", "X", "images", "data")
LABELS = ("labels", "y", "Y", "targets", "target")
MASKS = ("masks", "mask")
CLASSES = ("classes", "class_names")

Arrays = Mapping[str, np.ndarray]


def npz(path: Path) -> Parts:
    """The arrays of the file at `path`."""
    arrays = read_npz(path)
    if _find(arrays, INPUTS, "train") is not None and _find(arrays, INPUTS, "test") is not None:
        vocabulary = _vocabulary([_find(arrays, LABELS, end) for end in ("train", "test")])
        return Parts(
            train=lambda: _examples(path, arrays, "train", vocabulary),
            test=lambda: _examples(path, arrays, "test", vocabulary),
        )
    return Parts(train=lambda: _examples(path, arrays, "", _vocabulary([_find(arrays, LABELS, "")])))


def _find(arrays: Arrays, names: Sequence[str], part: str) -> np.ndarray | None:
    wanted = [form for name in names for form in ((f"{name}_{part}", f"{part}_{name}") if part else (name,))]
    return next((arrays[name] for name in wanted if name in arrays), None)


def _vocabulary(labels: Sequence[np.ndarray | None]) -> tuple[str, ...]:
    """Sorted class names if the labels are text."""
    texts = [label for label in labels if label is not None and label.dtype.kind in "US"]
    return tuple(str(t) for t in np.unique(np.concatenate([t.astype(str) for t in texts]))) if texts else ()


def _examples(path: Path, arrays: Arrays, part: str, vocabulary: tuple[str, ...]) -> Examples:
    inputs = _find(arrays, INPUTS, part)
    if inputs is None:
        raise InputError(
            str(path),
            found=f"the arrays {', '.join(sorted(arrays)) or '(none)'}",
            expected=f"inputs under one of {', '.join(INPUTS)}",
        )
    values, low, high = _inputs(inputs, f"{path}, inputs")
    labels = _find(arrays, LABELS, part)
    masks = _find(arrays, MASKS, part)
    names = _find(arrays, CLASSES, "")
    classes = vocabulary if names is None else tuple(str(name) for name in names.astype(str).ravel())
    if masks is not None and (masks.ndim != 3 or masks.shape[1:] != tuple(values.shape[2:])):
        raise ShapeError(
            f"{path}, masks", found=f"shape {masks.shape}", expected=f"(n, H, W) as the inputs {tuple(values.shape)}"
        )
    return Examples(
        inputs=values,
        labels=None if labels is None else _labels(labels, vocabulary, f"{path}, labels"),
        classes=classes,
        name=path.stem,
        masks=None if masks is None else torch.from_numpy(masks != 0),
        low=low,
        high=high,
    )


def _inputs(inputs: np.ndarray, where: str) -> tuple[torch.Tensor, float | None, float | None]:
    """Inputs as the library wants them, with the range if they are bytes of images."""
    if inputs.dtype.kind not in "biuf":
        raise InputError(where, found=f"dtype {inputs.dtype}", expected="real numbers")
    if inputs.ndim < 2:
        raise ShapeError(where, found=f"shape {inputs.shape}", expected="(n, ...), at least two axes")
    if inputs.ndim == 4 and inputs.shape[3] in (1, 3) and inputs.shape[1] not in (1, 3):
        inputs = np.moveaxis(inputs, 3, 1)
    elif inputs.ndim == 3 and inputs.dtype == np.uint8:
        inputs = inputs[:, None]
    if inputs.ndim == 4 and inputs.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(inputs)).float() / 255, 0.0, 1.0
    if inputs.ndim == 2 and inputs.dtype.kind in "iu":
        return torch.from_numpy(inputs.astype(np.int64)), None, None
    unit = inputs.ndim == 4 and inputs.size > 0 and inputs.min() >= 0 and inputs.max() <= 1
    values = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32))
    return values, (0.0 if unit else None), (1.0 if unit else None)


def _labels(labels: np.ndarray, vocabulary: tuple[str, ...], where: str) -> torch.Tensor:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if vocabulary:
        return torch.from_numpy(np.searchsorted(np.asarray(vocabulary), labels.astype(str)).astype(np.int64))
    if labels.dtype.kind in "biu":
        return torch.from_numpy(labels.astype(np.int64))
    if labels.dtype.kind == "f":
        return torch.from_numpy(labels.astype(np.float32))
    raise InputError(where, found=f"dtype {labels.dtype}", expected="class indices, numbers or class names")
