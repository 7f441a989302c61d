"""A scikit-learn classifier as a function from inputs to logits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.io.reading import printable

FLOOR = 1e-12  # trees and nearest neighbours answer with exact zeros, whose logarithm is not a number


def as_logits(
    estimator: Any, *, classes: Sequence[Any] | None = None, floor: float = FLOOR
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The logarithm of `predict_proba`, clipped from below: logits up to a constant that no softmax sees.

    Args:
        estimator: a fitted classifier with `predict_proba`, which takes (n, d) arrays; inputs are flattened for it.
        classes: the class each output stands for, in order; None: if the estimator was fitted on whole numbers
            from 0, output j stands for class j (one it never saw gets the floor); otherwise `classes_` as it is.
        floor: smallest probability, in (0, 1).

    Returns:
        A function from (n, ...) tensors to (n, c) float64 logits on the CPU of the caller's device.

    Raises:
        InputError: no `predict_proba`, not fitted, or more than one output; ShapeError, NonFiniteError when called.
    """
    name = type(estimator).__name__
    if not hasattr(estimator, "predict_proba"):
        raise InputError(
            name, found="an estimator without predict_proba", expected="a classifier that gives probabilities",
            remedy="Wrap it: sklearn.calibration.CalibratedClassifierCV(estimator).",
        )  # fmt: skip
    if not 0 < floor < 1:
        raise InputError("floor", found=str(floor), expected="a probability between 0 and 1")
    known = getattr(estimator, "classes_", None)
    if known is None or isinstance(known, list):
        raise InputError(
            name,
            found="no classes_" if known is None else "several outputs",
            expected="a fitted single-label classifier",
        )
    columns, count = _columns(np.asarray(known), classes, name)

    def logits(inputs: torch.Tensor) -> torch.Tensor:
        rows = inputs.detach().flatten(1).cpu().double().numpy()
        wanted = getattr(estimator, "n_features_in_", rows.shape[1])
        if rows.shape[1] != wanted:
            raise ShapeError(
                name, found=f"inputs of shape {tuple(inputs.shape)}, {rows.shape[1]} values each", expected=f"{wanted}"
            )
        with warnings.catch_warnings():
            # a classifier fitted on a data frame mentions it on every call with an array
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            probabilities = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
        if probabilities.shape != (len(rows), len(columns)):
            raise ShapeError(
                name, found=f"probabilities of shape {probabilities.shape}", expected=f"({len(rows)}, {len(columns)})"
            )
        bad = ~np.isfinite(probabilities)
        if bad.any():
            first = int(bad.any(1).argmax())
            raise NonFiniteError(
                name,
                found=f"{int(bad.sum())} probabilities that are NaN or infinite, the first in row {first}",
                expected="finite probabilities",
            )
        out = np.full((len(rows), count), floor)
        out[:, columns] = np.clip(probabilities, floor, 1.0)
        return torch.from_numpy(np.log(out)).to(inputs.device)

    return logits


def _columns(known: np.ndarray, classes: Sequence[Any] | None, name: str) -> tuple[np.ndarray, int]:
    """Where each column of `predict_proba` goes, and the number of outputs."""
    if classes is not None:
        order = list(classes)
        missing = [value for value in known.tolist() if value not in order]
        if missing or len(set(order)) != len(order):
            raise InputError(
                "classes", found=f"no place for {printable(missing[0])!r}" if missing else "a class twice",
                expected=f"every class of {name} once", remedy=f"It knows {printable(known.tolist(), 120)}.",
            )  # fmt: skip
        return np.asarray([order.index(value) for value in known.tolist()]), len(order)
    if known.dtype.kind in "iu" and len(known) and int(known.min()) >= 0 and int(known.max()) < 100_000:
        return known.astype(np.int64), max(int(known.max()) + 1, 2)
    return np.arange(len(known)), len(known)
