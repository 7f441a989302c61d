"""What all transforms share: numbers drawn from keys, and the checks of their arguments."""

from __future__ import annotations

import math

import numpy as np
import torch

from learnt.core.errors import InputError, ShapeError
from learnt.core.examples import uniform
from learnt.data._pixels import check_images
from learnt.run.seeds import derive


def draw(keys: np.ndarray, name: str, parameter: str, seed: int) -> np.ndarray:
    """(n,) uniform numbers in [0, 1) for one parameter of one transform."""
    return uniform(as_keys(keys), derive("transform", name, parameter, seed))


def as_keys(keys: np.ndarray) -> np.ndarray:
    """`keys` as (n,) uint64.

    Raises:
        ShapeError: not one axis. InputError: not whole numbers.
    """
    array = np.asarray(keys)
    if array.ndim != 1:
        raise ShapeError("keys", found=f"shape {array.shape}", expected="(n,), one key an example")
    if array.dtype.kind not in "iu":
        raise InputError("keys", found=str(array.dtype), expected="uint64, as Examples.keys gives them")
    return array.astype(np.uint64)


def check_call(
    strength: float, inputs: torch.Tensor, keys: np.ndarray, *, unit: bool = False, most: float = math.inf
) -> None:
    """Raise unless `strength` is in [0, most], `inputs` are images (in [0, 1] if `unit`) and there is a key for each.

    Raises:
        InputError, ShapeError: as said.
    """
    if not (0.0 <= strength <= most and math.isfinite(strength)):  # NaN fails the first test
        limit = "at least 0" if math.isinf(most) else f"from 0 to {most:g}"
        raise InputError("strength", found=repr(strength), expected=limit)
    check_images(inputs, unit=unit)
    if len(as_keys(keys)) != len(inputs):
        raise ShapeError("keys", found=f"{len(keys)} keys", expected=f"{len(inputs)}, one for each input")
