"""Does it look at the object? The share of a network's attribution that falls inside the true object mask.

For an attribution map A >= 0 resized bilinearly to the image and the true mask M in {0, 1}:

    mass     = sum_p M_p A_p / sum_p A_p           (attribution inside the object)
    pointing = [ argmax_p A_p lies inside M ]      (the pointing game of Zhang et al. 2018)

Chance is the share of the image that the mask covers: a map without structure has mass equal to it; it is reported.
The value of a comparison is phi(B) - phi(A). An empty map points nowhere: the image is left out, the share reported.

Where we differ: the pointing game allows 15 pixels of tolerance on photographs; here the masks are exact and there is
none. Where several cells share the maximum the share of them inside the mask counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from jaxtyping import Float, Shaped

from learnt.attribution._maps import Maps, empty_share
from learnt.attribution.gradcam import cam_maps
from learnt.attribution.integrated_gradients import ig_maps
from learnt.attribution.similarity import resize
from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Reference, Undefined, difference, mean
from learnt.core.panels import Chart
from learnt.core.subject import Subject

_SIDES = (("a", "A"), ("b", "B"), ("control", "control"))


def mass_inside(maps: Float[np.ndarray, "n h w"], masks: Shaped[np.ndarray, "n h w"]) -> Float[np.ndarray, "n"]:
    """Share of each map's mass inside its mask.

    Args:
        maps: (n, H, W), not negative.
        masks: (n, H, W) bool.

    Returns:
        (n,) in [0, 1]; NaN for an empty map.
    """
    _check(maps, masks)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (maps * masks).sum((1, 2)) / maps.sum((1, 2))


def points_inside(maps: Float[np.ndarray, "n h w"], masks: Shaped[np.ndarray, "n h w"]) -> Float[np.ndarray, "n"]:
    """Whether each map's maximum lies inside its mask; tied maxima share. Shapes as `mass_inside`."""
    _check(maps, masks)
    peak = maps.max(axis=(1, 2), keepdims=True)
    top = maps >= peak * (1 - 1e-12)
    share = (top & masks.astype(bool)).sum((1, 2)) / top.sum((1, 2))
    return np.where(peak[:, 0, 0] > 0, share, np.nan)


def _check(maps: np.ndarray, masks: np.ndarray) -> None:
    if maps.shape != masks.shape or maps.ndim != 3:
        raise ShapeError("masks", found=f"shape {masks.shape}", expected=f"(n, H, W) as the maps, {maps.shape}")


def _masks(data: Examples) -> np.ndarray:
    if data.masks is None:
        raise NotApplicable(data.name, found="no object masks", expected="data with masks (n, H, W)")
    if data.masks.shape[1:] != data.inputs.shape[2:]:
        raise ShapeError(
            f"{data.name}.masks", found=f"{tuple(data.masks.shape)}", expected="the height and width of the images"
        )
    return data.masks.cpu().numpy()


@final
@dataclass(frozen=True, kw_only=True)
class Localisation(Measure[Subject, Examples]):
    """How much of a network's attribution falls on the object (a property; needs object masks).

    Args:
        method: "gradcam" or "integrated_gradients".
        statistic: "mass" or "pointing".
        layer: for Grad-CAM, the layer; None takes the last spatial one.
        steps: for integrated gradients, the number of nodes.
        max_examples: images looked at, chosen by key; None for all.
    """

    method: Literal["gradcam", "integrated_gradients"] = "gradcam"
    statistic: Literal["mass", "pointing"] = "mass"
    layer: str | None = None
    steps: int = 64
    max_examples: int | None = 500

    facts: ClassVar[Facts] = Facts(
        name="localisation",
        family="attribution",
        question="Does it look at the object itself?",
        unit="share of attribution",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=0.0,
        kind="property",
        symmetric=True,
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale"),
        needs=("logits", "labels", "gradients", "images", "masks"),
        references=(
            Reference(
                cite="Zhang et al., Top-down neural attention by excitation backprop, IJCV 2018",
                identifier="arXiv:1608.00507",
                where="section 4.1, pointing game",
            ),
        ),
        how="Attribution for the true class, resized to the image; the share that falls inside the known object mask, "
        "mean over images.",
        caveat="A coarse Grad-CAM grid cannot follow the outline of a small object: compare with the share of the "
        "image that the object covers, which is what a map without structure reaches.",
        cost="that of the attribution maps",
    )

    def __post_init__(self) -> None:
        if self.method not in ("gradcam", "integrated_gradients"):
            raise InputError("method", found=repr(self.method), expected="'gradcam' or 'integrated_gradients'")
        if self.statistic not in ("mass", "pointing"):
            raise InputError("statistic", found=repr(self.statistic), expected="'mass' or 'pointing'")

    @property
    def name(self) -> str:
        """`localisation`, with method and statistic if they are not the usual ones."""
        plain = self.method == "gradcam" and self.statistic == "mass"
        return "localisation" if plain else f"localisation[{self.method}, {self.statistic}]"

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Maps:
        """Attribution maps of one network."""
        _masks(data)
        if self.method == "gradcam":
            return cam_maps(thing, layer=self.layer, max_examples=self.max_examples)
        return ig_maps(thing, steps=self.steps, max_examples=self.max_examples)

    def describe(self, state: Maps) -> Evidence:
        """Mean share of the attribution of one network that falls on the object."""
        masks = _masks(state.subject.data)[state.index]
        maps = resize(state.values, (masks.shape[1], masks.shape[2]))
        inside = mass_inside(maps, masks) if self.statistic == "mass" else points_inside(maps, masks)
        details: dict[str, Any] = {"empty": empty_share(state.values), "chance": float(masks.mean())}
        full, measured = state.scatter(inside)
        if not measured.any():
            return Undefined(reason=f"every map of {state.subject.name} is zero everywhere", details=details)
        details["level"] = float(full[measured].mean())
        return mean(full, measured=measured, details=details)

    def compare(self, a: Maps, b: Maps, *, rng: np.random.Generator) -> Evidence:
        """phi(b) - phi(a)."""
        return difference(self.describe(b), self.describe(a))

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Share inside the object beside the share that chance would reach."""
        names = [(side, text) for side, text in _SIDES if "level" in details.get(side, {})]
        if not names:
            return None
        levels = [float(details[side]["level"]) for side, _ in names]
        return Chart(
            kind="bars",
            series={
                "inside the object": np.asarray(levels),
                "chance (area of the object)": np.asarray([float(details[side]["chance"]) for side, _ in names]),
            },
            x=[text for _, text in names],
            y_label="share of attribution" if self.statistic == "mass" else "share of images",
            low=0.0,
            high=1.0,
            alt="Attribution inside the object: "
            + ", ".join(f"{text} {level:.2f}" for (_, text), level in zip(names, levels, strict=True)),
        )
