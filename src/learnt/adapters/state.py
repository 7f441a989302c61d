"""Weights into a module, strictly: every name and shape must agree, and every number must be finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from learnt.core.errors import InputError, ShapeError
from learnt.core.examples import check_finite
from learnt.io.reading import printable

_WRAPPING = ("module.", "_orig_mod.", "model.")  # DataParallel and DDP, torch.compile, Lightning


def unwrapped(tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, object]) -> dict[str, torch.Tensor]:
    """`tensors` without a common prefix that a wrapper put before every name, if `wanted` does not have it."""
    out = dict(tensors)
    for prefix in _WRAPPING:
        bare = any(not name.startswith(prefix) for name in wanted)
        if out and bare and all(name.startswith(prefix) for name in out):
            out = {name.removeprefix(prefix): tensor for name, tensor in out.items()}
    return out


def fill(module: nn.Module, tensors: Mapping[str, torch.Tensor], *, name: str) -> nn.Module:
    """Copy `tensors` into `module` and return it in evaluation mode.

    Args:
        module: the architecture; changed in place.
        tensors: its state dict; a common prefix of DataParallel, torch.compile or Lightning is taken off.
        name: what errors call the weights.

    Raises:
        InputError: missing or unexpected names; the first of each is named.
        ShapeError: a tensor of another shape. NonFiniteError: NaN or infinity among the weights.
    """
    wanted = module.state_dict()
    given = unwrapped(tensors, wanted)
    match(given, {key: tuple(value.shape) for key, value in wanted.items()}, name=name)
    for key, value in given.items():
        check_finite(value, f"{name}[{printable(key)}]")
    module.load_state_dict(given, strict=False)  # strictness was checked above, with better words
    return module.eval()


def match(given: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]], *, name: str) -> None:
    """Raise unless `given` has exactly the names and shapes of `shapes` (counters of batch norm may be missing)."""
    missing = [key for key in shapes if key not in given and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in shapes]
    if missing or unexpected:
        parts = []
        if missing:
            parts.append(f"no {_shown(missing[0], shapes[missing[0]])}{_more(missing)}")
        if unexpected:
            first = unexpected[0]
            parts.append(
                f"{_shown(first, tuple(given[first].shape))}{_more(unexpected)}, which the model does not have"
            )
        raise InputError(
            name, found=", and ".join(parts), expected="the names of the model's own state dict",
            remedy="Are these the weights of this architecture?",
        )  # fmt: skip
    for key, shape in shapes.items():
        if key in given and tuple(given[key].shape) != shape:
            raise ShapeError(
                name, found=_shown(key, tuple(given[key].shape)), expected=f"shape {shape}, as the model has it",
                remedy="Are the sizes (classes, widths) those the weights were trained with?",
            )  # fmt: skip


def _shown(key: str, shape: tuple[int, ...]) -> str:
    return f"{printable(key)!r} of shape {shape}"


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
