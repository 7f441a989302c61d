"""What both trainers are asked for: a device, a floating type, callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from learnt.core.errors import InputError


def device_of(device: Any) -> torch.device:
    """The device of torch; the CPU if None; InputError if there is none of that name."""
    try:
        return torch.device("cpu" if device is None else device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            "device", found=repr(device)[:60], expected="a device of torch, such as 'cpu' or 'cuda'"
        ) from error


def dtype_of(dtype: Any) -> torch.dtype:
    """A floating type of torch, or InputError."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError("dtype", found=repr(dtype)[:60], expected="torch.float64 or another floating type")
    return dtype


def called(callbacks: Any) -> None:
    """InputError unless these are functions."""
    if not isinstance(callbacks, Sequence) or not all(callable(c) for c in callbacks):
        raise InputError("callbacks", found=repr(callbacks)[:60], expected="functions of an Event of learnt.train")
