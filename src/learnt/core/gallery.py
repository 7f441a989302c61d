"""Examples worth looking at: where the things disagree, and where one follows the other into a mistake."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.core.examples import Examples
from learnt.core.subject import Subject


@dataclass(frozen=True, eq=False, kw_only=True)
class Card:
    """One example with what each side answers.

    Attributes:
        kind: ``"disagree"`` (b and a differ), ``"follows_mistake"`` (a is wrong, b repeats it, most controls do not),
            ``"shared_mistake"`` (all wrong alike).
        index: position in the data.
        label: the true class in words, "" if unknown.
        answers: what each side says, by side label: (answer in words, mean probability of that answer).
        agree: share of replicas of b, and of the controls, that answer as a does.
        image: (H, W) or (H, W, 3) uint8, or None for data that are not images.
        values: the first few input values as text for data that are not images.
        looks: (H, W) maps in [0, 1] of where each side looks, by side label.
    """

    kind: str
    index: int
    label: str
    answers: Mapping[str, tuple[str, float]]
    agree: Mapping[str, float]
    image: np.ndarray | None = None
    values: str = ""
    looks: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; images as base64 of their bytes with their shape."""
        return {
            "kind": self.kind,
            "index": self.index,
            "label": self.label,
            "answers": {k: [v[0], v[1]] for k, v in self.answers.items()},
            "agree": dict(self.agree),
            "image": None if self.image is None else _pack(self.image),
            "values": self.values,
            "looks": {k: _pack(np.round(255 * v).astype(np.uint8)) for k, v in self.looks.items()},
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Card:
        """The inverse of `to_dict` (maps keep 8 bits)."""
        fields = dict(data)
        fields["answers"] = {k: (v[0], v[1]) for k, v in data["answers"].items()}
        fields["image"] = None if data["image"] is None else _unpack(data["image"])
        fields["looks"] = {k: _unpack(v) / 255.0 for k, v in data["looks"].items()}
        return Card(**fields)


def _pack(array: np.ndarray) -> dict[str, Any]:
    return {"shape": list(array.shape), "bytes": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()}


def _unpack(data: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(data["bytes"]), dtype=np.uint8).reshape(data["shape"])


def choose(a: Subject, bs: Sequence[Subject], controls: Sequence[Subject], k: int) -> dict[str, np.ndarray]:
    """Positions of up to `k` examples of each kind, the most telling first; ties are broken by example key."""
    data = a.data
    says = a.predictions.numpy()
    follows = np.mean([(b.predictions.numpy() == says) for b in bs], axis=0)
    alone = np.mean([(c.predictions.numpy() == says) for c in controls], axis=0) if controls else follows
    kinds = {"disagree": (1 - follows) * (follows < 1)}
    if data.is_classification:
        wrong = ~a.correct.numpy()
        kinds["follows_mistake"] = wrong * np.clip(follows - alone, 0, 1)
        kinds["shared_mistake"] = wrong * (follows * alone)
    return {
        kind: np.array([i for i in np.lexsort((data.keys, -score))[:k] if score[i] > 0], dtype=int)
        for kind, score in kinds.items()
    }


def cards(
    a: Subject,
    bs: Sequence[Subject],
    controls: Sequence[Subject],
    labels: Mapping[str, str],
    looks: Mapping[str, Any],
    k: int = 8,
) -> tuple[Card, ...]:
    """The gallery of a comparison.

    Args:
        labels: label of each side by "a", "b", "control".
        looks: by side, a function from positions to (k, H, W) maps, for one replica of the side.
    """
    made: list[Card] = []
    data = a.data
    sides = {"a": [a], "b": list(bs), "control": list(controls)}
    says = a.predictions.numpy()
    for kind, index in choose(a, bs, controls, k).items():
        if len(index) == 0:
            continue
        maps = {labels[side]: _scaled(look(index)) for side, look in looks.items()}
        for row, i in enumerate(index):
            answers, agree = {}, {}
            for side, subjects in sides.items():
                if not subjects:
                    continue
                mean = np.mean([s.log_probabilities[i].exp().numpy() for s in subjects], axis=0)
                top = int(mean.argmax())
                answers[labels[side]] = (class_name(data, top), float(mean[top]))
                if side != "a":
                    agree[labels[side]] = float(np.mean([int(s.predictions[i]) == says[i] for s in subjects]))
            made.append(
                Card(
                    kind=kind,
                    index=int(i),
                    label=class_name(data, int(data.labels[i]))
                    if data.is_classification and data.labels is not None
                    else "",
                    answers=answers,
                    agree=agree,
                    image=picture(data, int(i)),
                    values=""
                    if data.is_images
                    else ", ".join(f"{x:.3g}" for x in data.inputs[i].flatten()[:6].tolist()),
                    looks={label: m[row] for label, m in maps.items() if m is not None},
                )
            )
    return tuple(made)


def class_name(data: Examples, index: int) -> str:
    """The name of a class, or its number."""
    return data.classes[index] if index < len(data.classes) else str(index)


def picture(data: Examples, i: int) -> np.ndarray | None:
    """(H, W) or (H, W, 3) uint8 of one input, None if inputs are not images of 1 or 3 channels."""
    if not data.is_images or data.inputs.shape[1] not in (1, 3):
        return None
    image = data.inputs[i].detach().cpu().double().numpy()
    low = data.low if data.low is not None else float(image.min())
    high = data.high if data.high is not None else float(image.max())
    scaled = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.round(255 * scaled).astype(np.uint8)
    return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)


def _scaled(maps: np.ndarray | None) -> np.ndarray | None:
    if maps is None:
        return None
    top = maps.max(axis=(1, 2), keepdims=True)
    return np.clip(maps / np.where(top > 0, top, 1), 0, 1)


def looker(measure: Any, state: Any) -> Any:
    """A function from positions to maps of where a thing looks, or None if this measure or thing has none."""

    def look(index: np.ndarray) -> np.ndarray | None:
        try:
            return measure.look(state, index)
        except NotApplicable:
            return None

    return look
