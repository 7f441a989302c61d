"""Do they look at the same place? Grad-CAM maps of two networks, compared by cosine.

For the ground-truth class y and the activations A_k of one convolutional layer (Selvaraju et al. 2017, eq. 1, 2):

    w_k = mean_{u,v} d z_y / d A_k[u, v]        CAM = ReLU( sum_k w_k A_k )

The similarity of two networks on an image is the cosine of their maps (arXiv 2205.16004, section 4.1), after the
finer map has been resized bilinearly to the grid of the coarser. The value is the mean over images.

Where we differ. The paper only publishes the win rate against one independent network; that is
`learnt.attribution.similarity.win_rate`, and the control of a comparison gives the transfer (how the two relate is
said there). An all-zero map has no cosine: the paper is silent, we leave the image out of the mean, count it as a tie
in the win rate, and report the share of such maps. Captum's `LayerGradCam` keeps negative values unless told
otherwise; ours is `relu_attributions=True`. The layer is the last one with a spatial output that is no pooling layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from learnt.attribution._maps import SALT, Maps, empty_share, mean_maps, to_unit
from learnt.attribution.similarity import cosine, resize
from learnt.core.errors import InputError, NonFiniteError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Reference, Undefined, mean
from learnt.core.panels import Chart
from learnt.core.subject import Subject


def cam(
    activations: Float[Tensor, "n channels h w"], gradients: Float[Tensor, "n channels h w"]
) -> Float[Tensor, "n h w"]:
    """Class activation maps from a layer's output and its gradient.

    Args:
        activations: (n, channels, h, w).
        gradients: (n, channels, h, w), derivative of the class score.

    Returns:
        (n, h, w), not negative.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(1).relu()


def spatial_layer(subject: Subject, layer: str | None = None) -> str:
    """Name of the layer to look at: `layer` if given, else the last spatial one that is no pooling layer.

    Raises:
        NotApplicable: the model is no `nn.Module`, or none of its layers has an output (channels, h, w).
        InputError: `layer` is not a layer of this model, or its output is not spatial.
    """
    modules = dict(subject.differentiable().named_modules())
    spatial = [name for name, shape in subject.layers.items() if len(shape) == 3 and shape[1] * shape[2] > 1]
    if layer is not None:
        subject.require_layers([layer])
        if layer not in spatial:
            raise InputError(
                "layer",
                found=f"{layer!r} of {subject.name} with output shape {subject.layers[layer]}",
                expected="a layer with output (channels, height, width)",
                remedy=f"Spatial layers: {', '.join(spatial) or 'none'}.",
            )
        return layer
    if not spatial:
        raise NotApplicable(
            subject.name, found="no layer with a spatial output", expected="a convolutional network for Grad-CAM"
        )
    fine = [name for name in spatial if "Pool" not in type(modules[name.split("#")[0]]).__name__]
    return (fine or spatial)[-1]


def gradcam(
    subject: Subject, inputs: Float[Tensor, "n *shape"], classes: Int[Tensor, "n"], layer: str | None = None
) -> Float[np.ndarray, "n h w"]:
    """Grad-CAM maps, one backward pass a batch, from the score to the layer and no further.

    Args:
        subject: the model; it is left as it was.
        inputs: (n, C, H, W).
        classes: (n,) int64, the class whose score is explained.
        layer: name of a layer with spatial output; None for the last one.

    Returns:
        (n, h, w) float64 on the grid of the layer; all zero where the score does not grow with any activation.

    Raises:
        NotApplicable, InputError: as `spatial_layer`; NonFiniteError if a map holds NaN or infinity.
    """
    name = spatial_layer(subject, layer)
    module = subject.differentiable()
    maps, start = [], 0
    with subject.evaluating(gradients=True) as model, _leaf_at(module, name) as held:
        for batch in subject.batches(inputs):
            logits = model(batch.detach().clone())
            activations = held[0]
            chosen = classes[start : start + len(batch)].to(logits.device)
            start += len(batch)
            # A sum, not a mean: the gradient of one example must not depend on its batch.
            score = logits.gather(1, chosen[:, None]).sum()
            gradients = None
            if score.requires_grad:
                (gradients,) = torch.autograd.grad(score, [activations], allow_unused=True)
            if gradients is None:  # the score does not depend on this layer
                gradients = torch.zeros_like(activations)
            maps.append(cam(activations.detach().double(), gradients.double()).cpu())
    values = torch.cat(maps).numpy()
    if not np.isfinite(values).all():
        raise NonFiniteError(
            f"Grad-CAM of {subject.name} at {name}", found="NaN or infinite values", expected="finite gradients"
        )
    return values


@contextmanager
def _leaf_at(module: nn.Module, name: str) -> Iterator[list[torch.Tensor]]:
    """Start the graph at the output of a layer: nothing before it is kept or differentiated.

    The list holds that output of the latest pass. `name` may be ``layer#2``: its second run in a pass.
    """
    path, _, run = name.partition("#")
    held: list[torch.Tensor] = []
    runs = 0

    def start(*_: Any) -> None:
        nonlocal runs
        runs = 0
        held.clear()

    def swap(_module: nn.Module, _inputs: Any, out: Any) -> Any:
        nonlocal runs
        runs += 1
        if runs != int(run or 1):
            return None
        first = out[0] if isinstance(out, (tuple, list)) else out
        held.append(first.detach().requires_grad_())
        onward = held[0].clone()  # a following in-place layer may overwrite it
        return (onward, *out[1:]) if isinstance(out, (tuple, list)) else onward

    handles = [module.register_forward_pre_hook(start)]
    try:
        handles.append(dict(module.named_modules())[path].register_forward_hook(swap))
        yield held
    finally:
        for handle in handles:
            handle.remove()


def cam_maps(subject: Subject, *, layer: str | None, max_examples: int | None) -> Maps:
    """Grad-CAM maps for the true class on at most `max_examples` images of the subject's data, computed once.

    Raises:
        NotApplicable: as `spatial_layer`, or the data holds no images or no class labels.
    """
    data = subject.data
    if not data.is_images:
        raise NotApplicable(data.name, found=f"inputs of shape {tuple(data.inputs.shape)}", expected="images")

    def compute() -> Maps:
        index = data.subset(max_examples, salt=SALT)
        return Maps(subject, index, gradcam(subject, data.inputs[index], subject.labels[index], layer))

    return subject.cached(("gradcam", layer, max_examples), compute)


@final
@dataclass(frozen=True, kw_only=True)
class CAMSimilarity(Measure[Subject, Examples]):
    """Mean cosine of the Grad-CAM maps of two networks for the true class.

    Args:
        layer: a layer that both networks have; None takes the last spatial layer of each.
        max_examples: images looked at, chosen by key; None for all.
    """

    layer: str | None = None
    max_examples: int | None = 500

    facts: ClassVar[Facts] = Facts(
        name="gradcam",
        family="attribution",
        question="Do they look at the same place?",
        unit="cosine",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=1.0,
        closer="higher",
        symmetric=True,
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale"),
        needs=("logits", "labels", "gradients", "images"),
        references=(
            Reference(cite="Selvaraju et al., Grad-CAM, ICCV 2017", identifier="arXiv:1610.02391", where="eq. 1 and 2"),
            Reference(
                cite="Ojha et al., What knowledge gets distilled in knowledge distillation?, NeurIPS 2023",
                identifier="arXiv:2205.16004",
                where="section 4.1",
            ),
        ),
        how="Grad-CAM maps for the true class at the last spatial layer, on the coarser of the two grids; "
        "mean cosine over the images on which both maps are not empty.",
        caveat="Grad-CAM shows what raises one class score at one layer, on a coarse grid.",
        cost="one forward and backward pass an image",
    )

    @property
    def name(self) -> str:
        """`gradcam`, with the layer if one was chosen."""
        return "gradcam" if self.layer is None else f"gradcam[{self.layer}]"

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Maps:
        """Grad-CAM maps of one network."""
        return cam_maps(thing, layer=self.layer, max_examples=self.max_examples)

    def compare(self, a: Maps, b: Maps, *, rng: np.random.Generator) -> Evidence:
        """Mean cosine of the maps of `a` and `b`, on the coarser of the two grids."""
        size = (min(a.values.shape[1], b.values.shape[1]), min(a.values.shape[2], b.values.shape[2]))
        one, two = resize(a.values, size), resize(b.values, size)
        details = {
            "empty_a": empty_share(a.values),
            "empty_b": empty_share(b.values),
            "mean_map_a": one.mean(0),
            "mean_map_b": two.mean(0),
        }
        full, measured = a.scatter(cosine(one, two))
        if not measured.any():
            return Undefined(reason="on every image one of the two Grad-CAM maps is zero everywhere", details=details)
        return mean(full, measured=measured, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Average maps."""
        return mean_maps(details)

    def look(self, state: Maps, index: np.ndarray) -> np.ndarray:
        """(k, H, W) maps in [0, 1] at the size of the images."""
        data = state.subject.data
        maps = gradcam(state.subject, data.inputs[index], state.subject.labels[index], self.layer)
        return to_unit(resize(maps, (data.inputs.shape[2], data.inputs.shape[3])))
