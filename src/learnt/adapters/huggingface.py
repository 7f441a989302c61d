"""Hugging Face classifiers for images or sequences as ordinary modules from a tensor to logits.

Weights are safetensors only (`use_safetensors`), code in a repository is never run (`trust_remote_code` stays off),
and a revision can be pinned: a name alone can mean other weights tomorrow.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn

from learnt.core.errors import InputError, StorageError, require_extra
from learnt.io.reading import printable


class HuggingFace(nn.Module):
    """A Hugging Face model called with one tensor.

    Args:
        model: any module that returns `.logits`, for `pixel_values` or `input_ids`.

    Images are (n, C, H, W), prepared as the model's own processor does; token ids are (n, t) int64, and positions
    that hold the padding id of the model are masked out.
    """

    def __init__(self, model: nn.Module) -> None:
        nn.Module.__init__(self)
        self.model = model
        self.padding: int | None = getattr(getattr(model, "config", None), "pad_token_id", None)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, c) logits."""
        if inputs.is_floating_point():
            return self.model(pixel_values=inputs).logits
        if self.padding is None:
            return self.model(input_ids=inputs).logits
        return self.model(input_ids=inputs, attention_mask=(inputs != self.padding).long()).logits


def load_hf(
    identifier: str,
    *,
    revision: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    classes: int | None = None,
) -> HuggingFace:
    """Open a classifier of the hub, or of a local folder.

    Args:
        identifier: ``owner/name`` on the hub (the only case that uses the network), or a folder with config.json.
        revision: commit, tag or branch; give a commit to get the same weights for ever.
        weights: a file that replaces the published weights; nothing else is downloaded then but the configuration.
        classes: number of outputs, for an architecture filled from `weights`.

    Raises:
        MissingExtra: transformers is not installed. InputError: no such model, not a classifier, weights that do not
        fit. StorageError: it cannot be fetched or read.
    """
    try:
        import transformers
    except ImportError as error:
        raise require_extra("transformers", "hf") from error
    name = f"hf:{printable(identifier, 120)}"
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(identifier, **options)
        maker = _maker(transformers, config, name)
        if weights is not None:
            if classes is not None:
                config.num_labels = classes
            with torch.random.fork_rng(devices=[]):
                model = maker.from_config(config)
        elif classes is not None and classes != config.num_labels:
            raise InputError("classes", found=str(classes), expected=f"{config.num_labels}, as {name} was trained")
        else:
            model = maker.from_pretrained(identifier, config=config, use_safetensors=True, **options)
    except (InputError, StorageError):
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "torchvision" in str(error):  # transformers imports it where it exists
            from learnt.adapters.torchvision import unfit

            raise unfit(error) from error
        raise StorageError(
            name, found=f"nothing that can be opened ({_first_line(error)})",
            expected="a model with config.json and model.safetensors",
            remedy="Check the name and the network. For a model that has only pickled weights, pass its folder here "
            "and its file of weights as --weights; it is then read in the sandbox.",
        ) from error  # fmt: skip
    if weights is not None:
        from learnt.adapters.state import fill
        from learnt.io.weights import load_weights

        model = fill(model, load_weights(weights), name=printable(os.fspath(weights), 200))
    return HuggingFace(model).eval()


def _maker(transformers: Any, config: Any, name: str) -> Any:
    """The factory for the kind of classifier that the configuration names, or can be given a head of."""
    named = " ".join(getattr(config, "architectures", None) or ())
    kinds = (
        ("ForImageClassification", transformers.AutoModelForImageClassification),
        ("ForSequenceClassification", transformers.AutoModelForSequenceClassification),
    )
    for suffix, maker in kinds:
        if suffix in named and type(config) in maker._model_mapping:
            return maker
    raise InputError(
        name, found=f"a model of kind {printable(named) or 'unknown'}",
        expected="a classifier of images or sequences (...ForImageClassification, ...ForSequenceClassification)",
    )  # fmt: skip


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0] if lines else type(error).__name__, 160)
