"""Nested state as JSON plus named tensors, and back: what optimisers and schedules keep between steps.

Numbers keep every bit (Python writes floats so that they read back equal), tuples stay tuples, integer keys stay
integers; tensors go to the safetensors file under their path. Nothing else is accepted, so nothing is ever pickled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from learnt.core.errors import InputError, ResumeError


def encode(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON for `value`; its tensors are put into `tensors`. Raises InputError for what cannot be kept."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach()
        return {"tensor": path}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [encode(v, f"{path}.{i}", tensors) for i, v in enumerate(value)]}
    if isinstance(value, Mapping):
        return {"dict": [[k, encode(v, f"{path}.{k}", tensors)] for k, v in value.items() if _key(k, path)]}
    raise InputError(
        path,
        found=f"a {type(value).__name__}",
        expected="numbers, text, tensors and containers of them",
        remedy="This optimiser or schedule cannot be checkpointed; train without checkpoint=.",
    )


def _key(key: Any, path: str) -> bool:
    if not isinstance(key, (str, int)):
        raise InputError(path, found=f"a key of type {type(key).__name__}", expected="text or integers")
    return True


def decode(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """What `encode` was given; raises ResumeError if it is not of that form."""
    if value is None or isinstance(value, (bool, int, str, float)):
        return value
    if isinstance(value, dict) and len(value) == 1:
        (kind, inner), *_ = value.items()
        if kind == "float" and inner in ("inf", "-inf", "nan"):
            return float(inner)
        if kind == "tensor" and inner in tensors:
            return tensors[inner].clone()
        if kind in ("list", "tuple") and isinstance(inner, list):
            parts = [decode(v, tensors) for v in inner]
            return tuple(parts) if kind == "tuple" else parts
        if kind == "dict" and isinstance(inner, list):
            return {k: decode(v, tensors) for k, v in inner}
    raise ResumeError("checkpoint", found=f"state of an unknown form ({str(value)[:60]})", expected="what learnt wrote")
