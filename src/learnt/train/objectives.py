"""What one replica minimises: the protocol, the views of model and batch, and the two plain objectives.

An objective is a callable `(Model, Batch) -> scalar`. It is written for ONE replica and one batch, with ordinary
torch operations; the engine runs it for all replicas at once (inside `torch.func.vmap`) or one by one. Five hooks
are optional methods of the object:

    prepare(data: Examples) -> {name: tensor (n, ...)}     computed once, delivered row by row as `batch.extra`
    companion(model: nn.Module, data: Examples) -> Module  a helper per replica, trained with it: a regressor, a
                                                           projection head, a memory bank kept in buffers
    check(outputs: Tensor, data: Examples) -> None         called once with the model's first outputs; raises if
                                                           outputs and labels cannot belong together
    of_outputs(outputs: Tensor, batch: Batch) -> Tensor    the same loss from the network's outputs (..., b, c) alone,
                                                           with any leading axes: chains of linear layers then need no
                                                           vmap. NotImplemented if it cannot be had this way
    stacked(model: nn.Module, tensors, batch) -> Tensor    the same losses (N,) of all replicas at once, where the
                                                           author knows better than vmap: stacked parameters and
                                                           buffers (N, ...) of the network by name, a batch with a
                                                           leading axis N; `model` is the architecture, in the mode
                                                           (training or evaluation) that is meant

Buffers of model and companion may be written in place or assigned anew; both are kept per replica.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, Protocol, final

import torch
from torch import nn
from torch.nn import functional as F

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.core.subject import tap


class Batch(NamedTuple):
    """The examples of one step, as one replica sees them.

    Attributes:
        inputs: (b, ...).
        labels: (b,) int64 classes or float targets; None if the data has none.
        index: (b,) int64 positions in the data.
        extra: (b, ...) rows of what `prepare` returned, by name.
    """

    inputs: torch.Tensor
    labels: torch.Tensor | None
    index: torch.Tensor
    extra: Mapping[str, torch.Tensor]

    def targets(self) -> torch.Tensor:
        """The labels; raises NotApplicable if there are none."""
        if self.labels is None:
            raise NotApplicable("data.labels", found="no labels", expected="labels for this objective")
        return self.labels


@final
class Model:
    """One replica as an objective sees it."""

    __slots__ = ("companion", "module")

    def __init__(self, module: nn.Module, companion: nn.Module | None) -> None:
        self.module = module
        self.companion: Any = companion
        """The helper of `objective.companion`; call it like any module."""

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs (b, ...) of the network; what a Hugging Face model wraps as `.logits` is unwrapped."""
        out = self.module(inputs)
        return out if isinstance(out, torch.Tensor) else unwrap(out)

    def tap(self, inputs: torch.Tensor, layers: Sequence[str]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Outputs of the network and of the named layers; raises InputError with the nearest names."""
        known = dict(self.module.named_modules())
        for layer in layers:
            if layer.split("#")[0] not in known:
                near = get_close_matches(layer, list(known), n=3, cutoff=0.3) or [n for n in known if n][:3]
                raise InputError(
                    "layers",
                    found=f"{layer!r}, which is not a layer of {type(self.module).__name__}",
                    expected="one of its layers",
                    remedy=f"Nearest names: {', '.join(near)}.",
                )
        with tap(self.module, list(dict.fromkeys(layer.split("#")[0] for layer in layers))) as outputs:
            logits = self(inputs)
            return logits, {layer: outputs[layer] for layer in layers}


def unwrap(out: Any) -> torch.Tensor:
    """The logits inside what a module returned; raises InputError if there are none."""
    if isinstance(out, Mapping) and "logits" in out:
        out = out["logits"]
    out = getattr(out, "logits", out)
    if not isinstance(out, torch.Tensor):
        raise InputError("model", found=f"outputs of type {type(out).__name__}", expected="a tensor of outputs")
    return out


class Objective(Protocol):
    """Loss of one replica on one batch, a scalar; see the module's text for the optional hooks."""

    def __call__(self, model: Model, batch: Batch, /) -> torch.Tensor:
        """The loss to minimise, a scalar."""
        ...


@final
@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross-entropy of the logits with the class labels.

    Args:
        label_smoothing: in [0, 1]; weight of the uniform distribution in the target (Szegedy et al. 2016).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing <= 1.0:
            raise InputError("label_smoothing", found=str(self.label_smoothing), expected="a number in [0, 1]")

    def __call__(self, model: Model, batch: Batch) -> torch.Tensor:
        """Mean over the batch."""
        return F.cross_entropy(model(batch.inputs), batch.targets(), label_smoothing=self.label_smoothing)

    def of_outputs(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Mean over the batch: (..., b, c) -> (...,)."""
        logs = outputs.log_softmax(-1)
        right = logs.gather(-1, batch.targets().unsqueeze(-1)).mean((-2, -1)).neg()
        if self.label_smoothing == 0.0:
            return right
        return (1 - self.label_smoothing) * right - self.label_smoothing * logs.mean((-2, -1))

    def check(self, outputs: torch.Tensor, data: Examples) -> None:
        """Raise if the labels are not classes of the outputs."""
        check_classes(outputs, data)


@final
@dataclass(frozen=True)
class SquaredError:
    """Mean of (output - label)^2; outputs are (b,) or (b, 1)."""

    def __call__(self, model: Model, batch: Batch) -> torch.Tensor:
        """Mean over the batch."""
        out = model(batch.inputs)
        targets = batch.targets()
        return F.mse_loss(out.reshape(targets.shape), targets.to(out.dtype))

    def of_outputs(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Mean over the batch: (..., b) or (..., b, 1) -> (...,)."""
        targets = batch.targets()
        return (outputs.reshape(targets.shape) - targets.to(outputs.dtype)).square().mean(-1)

    def check(self, outputs: torch.Tensor, data: Examples) -> None:
        """Raise if the outputs are not one number an example."""
        if data.labels is None:
            raise NotApplicable(f"{data.name}.labels", found="no labels", expected="one target an example")
        if outputs.numel() != len(outputs):
            raise ShapeError(
                "model",
                found=f"outputs of shape {tuple(outputs.shape)} for {len(outputs)} examples",
                expected="one number an example",
            )


def check_classes(outputs: torch.Tensor, data: Examples) -> None:
    """Raise unless the outputs are logits (b, c), every label is a class index below c, and there are two classes.

    Raises:
        NotApplicable: no class labels. ShapeError: outputs of another shape. InputError: a label of c or more, or one
            class only.
    """
    if not data.is_classification or data.labels is None:
        found = "no labels" if data.labels is None else "labels that are not integers"
        raise NotApplicable(f"{data.name}.labels", found=found, expected="class indices")
    if outputs.ndim != 2:
        raise ShapeError("model", found=f"outputs of shape {tuple(outputs.shape)}", expected="logits (batch, classes)")
    if int(data.labels.max()) >= outputs.shape[1]:
        raise InputError(
            f"{data.name}.labels",
            found=f"class index {int(data.labels.max())}",
            expected=f"indices below {outputs.shape[1]}, the number of outputs of the model",
            remedy="Model and data use different label sets.",
        )
    if len(data) > 1 and bool((data.labels == data.labels[0]).all()):
        raise InputError(
            f"{data.name}.labels", found=f"one class only ({int(data.labels[0])})", expected="at least two classes"
        )
