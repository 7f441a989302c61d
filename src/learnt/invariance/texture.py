"""Does it go by shape or by texture? Answers to images whose shape says one class and whose texture another.

    shape preference = #shape answers / (#shape answers + #texture answers)

on cue-conflict images with shape class != texture class (Geirhos et al. 2019; distill spec A6). Answers that are
neither do not count; if there are only such, the number does not exist. The value of a comparison is B minus A, and as
a directed property transfer is (phi(B) - phi(control)) / (phi(A) - phi(control)).

Where we differ: the published code divides both counts by all images first, which leaves the ratio as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Reference, Sums, Undefined, difference, ratio
from learnt.core.panels import Chart
from learnt.core.subject import Subject

_SIDES = (("a", "A"), ("b", "B"), ("control", "control"))


@dataclass(frozen=True, eq=False)
class Cues:
    """Answers of one model to cue-conflict images: (n,) bool each, and the (n,) keys of the images."""

    name: str
    by_shape: np.ndarray
    by_texture: np.ndarray
    keys: np.ndarray


@final
@dataclass(frozen=True, kw_only=True)
class ShapePreference(Measure[Subject, Examples]):
    """Share of shape answers among shape and texture answers on cue-conflict images (a property)."""

    facts: ClassVar[Facts] = Facts(
        name="shape_preference",
        family="invariance",
        question="Does it go by shape rather than by texture?",
        unit="share of shape answers among shape and texture answers",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=0.0,
        kind="property",
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale", "no labels"),
        needs=("logits", "conflict"),
        references=(
            Reference(
                cite="Geirhos et al., ImageNet-trained CNNs are biased towards texture, ICLR 2019",
                identifier="arXiv:1811.12231",
                where="section 2",
            ),
            Reference(
                cite="Ojha et al., What knowledge gets distilled in knowledge distillation?, NeurIPS 2023",
                identifier="arXiv:2205.16004",
                where="appendix 11.5",
            ),
        ),
        how="On images whose shape belongs to one class and whose texture to another: answers that name the shape, as "
        "a share of the answers that name either.",
        caveat="Says nothing about the images on which it names neither; their share is reported.",
        cost="one forward pass a cue-conflict image",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Cues:
        """Which answers of one model follow the shape and which the texture."""
        conflict = data.conflict
        if conflict is None:
            raise NotApplicable(data.name, found="no cue-conflict images", expected="data with a conflict set")
        images = Examples(inputs=conflict.inputs, name=f"{data.name}.conflict")
        answers = thing.answer(images.inputs).argmax(1)
        by_shape = (answers == conflict.shape.cpu()).numpy()
        by_texture = (answers == conflict.texture.cpu()).numpy() & ~by_shape
        return Cues(thing.name, by_shape, by_texture, images.keys)

    def describe(self, state: Cues) -> Evidence:
        """Shape answers among shape and texture answers."""
        shape, texture = float(state.by_shape.mean()), float(state.by_texture.mean())
        details = {"shape": shape, "texture": texture, "neither": 1 - shape - texture}
        if shape + texture == 0:
            return Undefined(reason=f"{state.name} never names the shape or the texture", details=details)
        columns = np.stack([state.by_shape, state.by_shape | state.by_texture], axis=1).astype(np.float64)
        shown = np.where(columns[:, 1] > 0, columns[:, 0], np.nan)
        return Sums(columns=columns, combine=ratio, per_example=shown, keys=state.keys, details=details)

    def compare(self, a: Cues, b: Cues, *, rng: np.random.Generator) -> Evidence:
        """Preference of b minus preference of a."""
        return difference(self.describe(b), self.describe(a))

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """How often each side names the shape, the texture, or neither."""
        held = [(text, details[s]) for s, text in _SIDES if "shape" in details.get(s, {})]
        if not held:
            return None
        series = {cue: np.asarray([float(d[cue]) for _, d in held]) for cue in ("shape", "texture", "neither")}
        return Chart(
            kind="bars",
            series=series,
            x=[text for text, _ in held],
            y_label="share of cue-conflict images",
            low=0.0,
            high=1.0,
            alt="Answers by shape and by texture: "
            + ", ".join(f"{text} {float(d['shape']):.2f} and {float(d['texture']):.2f}" for text, d in held)
            + ".",
        )
