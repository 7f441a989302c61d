"""Architectures of timm as modules; their published weights only as safetensors, never through torch.hub's pickles."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from learnt.core.errors import InputError, StorageError, require_extra
from learnt.io.reading import printable


def load_timm(name: str, *, weights: str | os.PathLike[str] | None = None, classes: int | None = None) -> nn.Module:
    """Open an architecture of timm.

    Args:
        name: as timm lists it, with or without the tag of its weights: ``resnet18``, ``resnet18.a1_in1k``.
        weights: file of weights; None takes the published ones from the hub (the only case that uses the network).
        classes: number of outputs; with the published weights it must be theirs.

    Raises:
        MissingExtra: timm is not installed. InputError: no such architecture (nearest names are given), or weights that
        do not fit. StorageError: no published weights, or they cannot be fetched.
    """
    try:
        import timm
    except ImportError as error:
        raise require_extra("timm", "vision") from error
    except RuntimeError as error:  # timm imports torchvision
        from learnt.adapters.torchvision import unfit

        raise unfit(error) from error
    plain = name.partition(".")[0]
    if not timm.is_model(plain):
        near = get_close_matches(plain, timm.list_models(), n=3, cutoff=0.5)
        raise InputError(
            f"timm:{printable(name)}", found="no architecture of this name", expected="a name from timm.list_models()",
            remedy=f"Nearest names: {', '.join(near)}." if near else "",
        )  # fmt: skip
    options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    try:
        with torch.random.fork_rng(devices=[]):
            model = timm.create_model(name, pretrained=False, **options)
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"timm:{printable(name)}", found=f"no such tag ({printable(error)})", expected="a tag that timm knows",
            remedy=f"Known: {', '.join(timm.list_pretrained(f'{plain}.*')[:5])}.",
        ) from error  # fmt: skip
    from learnt.adapters.state import fill
    from learnt.io.weights import load_weights

    path = _published(model, name) if weights is None else weights
    return fill(model, load_weights(path), name=printable(os.fspath(path), 200))


def _published(model: nn.Module, name: str) -> str:
    """Path of the published model.safetensors, fetched into the hub's own cache."""
    identifier = getattr(model, "pretrained_cfg", {}).get("hf_hub_id")
    if not identifier:
        raise StorageError(
            f"timm:{printable(name)}", found="an architecture without published safetensors", expected="weights",
            remedy="Give a file: weights=... or --weights.",
        )  # fmt: skip
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise require_extra("huggingface_hub", "hf") from error
    try:
        return hf_hub_download(identifier, "model.safetensors")
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise StorageError(
            f"timm:{printable(name)}", found="weights that cannot be fetched",
            expected=f"model.safetensors of {printable(identifier)} on the hub",
            remedy="Check the network, or give a file: weights=... or --weights.",
        ) from error  # fmt: skip
