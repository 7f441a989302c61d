"""What the invariance measures share: which answers a model keeps under a transform, asked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from learnt.core.errors import NotApplicable, ShapeError
from learnt.core.examples import Examples, check_finite
from learnt.core.measure import Reference
from learnt.core.panels import Chart
from learnt.core.subject import Subject

if TYPE_CHECKING:
    from learnt.data.transforms import Transform

SALT = 0x1BA5
"""One salt for all invariance measures, so that they look at the same inputs."""

OJHA = Reference(
    cite="Ojha et al., What knowledge gets distilled in knowledge distillation?, NeurIPS 2023",
    identifier="arXiv:2205.16004",
    where="section 4.3",
)


_NOUNS = {
    "gaussian noise": "Gaussian noise",
    "rotate": "rotation",
    "translate": "translation",
    "crop-resize": "cropping",
}


@dataclass(frozen=True, eq=False)
class Kept:
    """Whether a model keeps its answer: (k,) bool for the examples at `index` of `size`."""

    index: np.ndarray
    keeps: np.ndarray
    size: int

    def scatter(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k,) values as (n,) values over the data and (n,) whether each was measured."""
        full, measured = np.zeros(self.size), np.zeros(self.size, dtype=bool)
        full[self.index], measured[self.index] = values, True
        return full, measured


def kept(subject: Subject, transform: Transform | None, max_examples: int | None) -> Kept:
    """Ask a model about its data before and after a transform; computed once for each transform.

    Raises:
        NotApplicable: no transform is named, or it cannot change inputs of this shape (tables are no images).
        ShapeError, NonFiniteError: the transform changes the shape of the inputs, or produces NaN or infinity.
    """
    if transform is None:
        raise NotApplicable("transform", found="none", expected="a transform such as those of learnt.data.transforms")
    data = subject.data

    def compute() -> Kept:
        index = data.subset(max_examples, salt=SALT)
        changed = changed_inputs(data, transform, index)
        answers = subject.answer(changed).argmax(1)
        return Kept(index, (answers == subject.predictions[index]).numpy(), len(data))

    return subject.cached(("kept", transform, max_examples), compute)


def changed_inputs(data: Examples, transform: Transform, index: np.ndarray) -> torch.Tensor:
    """(k, ...) the examples at `index` after the transform; the data are left as they were.

    Image transforms work on pixels in [0, 1]: where the data say that theirs lie in another range, they are brought
    there and back.
    """
    inputs = data.inputs[index]  # a copy
    span = (data.low, data.high) if data.is_images and data.low is not None and data.high is not None else (0.0, 1.0)
    low, width = span[0], span[1] - span[0]
    scaled = inputs if span == (0.0, 1.0) else (inputs - low) / width
    try:
        with torch.no_grad():
            changed = transform(scaled, data.keys[index])
    except ShapeError as error:
        raise NotApplicable(
            data.name,
            found=f"inputs of shape {tuple(data.inputs.shape)}",
            expected=f"what {transform.name!r} can change",
        ) from error
    if changed.shape != inputs.shape:
        raise ShapeError(
            transform.name,
            found=f"outputs of shape {tuple(changed.shape)}",
            expected=f"that of the inputs, {tuple(inputs.shape)}",
        )
    changed = changed if span == (0.0, 1.0) else low + width * changed
    check_finite(changed, f"{data.name} under {transform.name}")
    return changed


def transforms_for(data: Examples) -> tuple[Transform, ...]:
    """The usual transforms for this kind of data; none for data that are no images.

    Colour (contrast for images without colour) and noise, where the range of the pixels is known or is [0, 1]; rotation
    by up to 15 degrees; translation by up to a sixteenth of the shorter side, at least a pixel.
    """
    if not data.is_images:
        return ()
    from learnt.data.transforms import ColourJitter, Contrast, GaussianNoise, Rotate, Translate

    side = min(data.inputs.shape[2:])
    moves = (Rotate(), Translate(strength=max(1, side // 16)))
    ranged = data.low is not None and data.high is not None
    if not ranged and (float(data.inputs.min()) < 0 or float(data.inputs.max()) > 1):
        return moves
    return (ColourJitter() if data.inputs.shape[1] == 3 else Contrast(), GaussianNoise(), *moves)


def named(name: str, transform: Transform | None) -> str:
    """`name[transform]`, with the settings that are not the transform's own defaults; or the bare name."""
    if transform is None:
        return name
    settings = []
    for f in fields(transform) if is_dataclass(transform) else ():
        value = getattr(transform, f.name)
        if isinstance(value, (int, float, str)) and value != f.default:
            settings.append(f"{f.name} {value:g}" if isinstance(value, float) else f"{f.name} {value}")
    return f"{name}[{', '.join([transform.name, *settings])}]"


def words(transform: Transform) -> str:
    """The name of a transform as it reads in a sentence."""
    return _NOUNS.get(transform.name, transform.name.replace("_", " "))


def bars(levels: Mapping[str, Any], label: str) -> Chart | None:
    """One bar for each side that has a level in [0, 1]; None if B has none."""
    names = {"a": "A", "b": "B", "control": "control"}
    held = {names[side]: float(level) for side, level in levels.items() if level is not None}
    if "B" not in held:
        return None
    return Chart(
        kind="bars",
        series={label: np.asarray(list(held.values()))},
        x=list(held),
        y_label="share of examples",
        low=0.0,
        high=1.0,
        alt=f"{label.capitalize()}: " + ", ".join(f"{name} {level:.2f}" for name, level in held.items()) + ".",
    )
