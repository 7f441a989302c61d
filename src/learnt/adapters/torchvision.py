"""Architectures of torchvision as modules; published weights pass the same gate and sandbox as any foreign `.pt`."""

from __future__ import annotations

import os
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from learnt.core.errors import InputError, StorageError, require_extra
from learnt.io.reading import printable


def load_torchvision(
    name: str, *, weights: str | os.PathLike[str] | None = None, classes: int | None = None
) -> nn.Module:
    """Open a classifier of torchvision.

    Args:
        name: as `torchvision.models.list_models` gives it: ``resnet18``.
        weights: file of weights; None fetches the default published ones (the only case that uses the network).
        classes: number of outputs; with the published weights it must be theirs (1,000).

    Raises:
        MissingExtra: torchvision is not installed, or was built for another torch. InputError: no such architecture
        (nearest names are given), or weights that do not fit. StorageError: weights that cannot be fetched.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise require_extra("torchvision", "vision") from error
    except RuntimeError as error:
        raise unfit(error) from error
    known = models.list_models(module=models)
    if name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        raise InputError(
            f"torchvision:{printable(name)}", found="no classifier of this name",
            expected="a name from torchvision.models.list_models()",
            remedy=f"Nearest names: {', '.join(near)}." if near else "",
        )  # fmt: skip
    options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    with torch.random.fork_rng(devices=[]):
        model = models.get_model(name, weights=None, **options)
    from learnt.adapters.state import fill
    from learnt.io.weights import load_weights

    if weights is not None:
        return fill(model, load_weights(weights), name=printable(os.fspath(weights), 200))
    with tempfile.TemporaryDirectory(prefix="learnt-") as room:
        tensors = load_weights(_fetched(models, name, Path(room)))
    return fill(model, tensors, name=f"torchvision:{name}")


def unfit(error: RuntimeError) -> InputError:
    """The error for a torchvision compiled for another torch ("operator torchvision::nms does not exist")."""
    return InputError(
        "torchvision", found=f"a build that does not fit this torch ({printable(error)})",
        expected="the build for this version of torch", remedy="Install both from one index, or remove torchvision.",
    )  # fmt: skip


def _fetched(models: Any, name: str, room: Path) -> Path:
    """The default weights, downloaded with the checksum that their name carries."""
    url = str(models.get_model_weights(name).DEFAULT.url)
    path = room / Path(url).name
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rpartition("-")[2], progress=False)
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"torchvision:{name}", found="weights that cannot be fetched", expected=f"the file {printable(url, 200)}",
            remedy="Check the network, or give a file: weights=... or --weights.",
        ) from error  # fmt: skip
    return path
