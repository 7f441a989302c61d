"""The generating factors of the `shapes` images: one `Scenes` holds n recipes, each a function of (seed, i) alone.

Lengths are in scene units: an image is 32 units wide whatever its number of pixels, with the origin in the middle
and y pointing down. Every factor is drawn from its own counter stream (see `_counter`), so each is independent of
the others and of n. With `correlation` c, a tied factor takes the value of the example's class with probability
c + (1 - c)/K (K values) and every other value with probability (1 - c)/K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from learnt.core.examples import mix, uniform
from learnt.data._patterns import HELD_OUT_TEXTURES, TEXTURES

COLOURS = ("red", "orange", "yellow", "lime", "green", "mint", "turquoise", "cyan")
BACKGROUNDS = ("gradient", "textured", "clutter")
HELD_OUT_BACKGROUND = len(BACKGROUNDS)  # "fractal": several octaves of colour noise
DISTRACTORS = 5

# one salt a factor; changing a number changes the data set
(S_LABEL, S_TEXTURE, S_COLOUR, S_HUE, S_SATURATION, S_VALUE, S_X, S_Y, S_RADIUS, S_ROTATION, S_POLARITY) = range(1, 12)
(S_PERIOD, S_ANGLE, S_SHIFT_U, S_SHIFT_V, S_BACKGROUND, S_BACKGROUND_VALUE, S_BACKGROUND_HUE) = range(20, 27)
(S_BACKGROUND_SATURATION, S_BACKGROUND_ANGLE, S_BACKGROUND_SPAN, S_BACKGROUND_TEXTURE, S_BACKGROUND_SHIFT) = range(
    27, 32
)
(S_TIE_TEXTURE, S_TIE_COLOUR, S_OTHER, S_NEW_TEXTURE) = range(40, 44)
S_NOISE, S_DISTRACTORS, S_FRACTAL, S_NOISE_DOMAIN = 50, 51, 52, 53


@dataclass(frozen=True, eq=False, kw_only=True)
class Scenes:
    """n recipes for one image each; every array is (n,).

    Attributes:
        keys: uint64, one random stream an image.
        shape: index into `SHAPES`; texture: into `ALL_TEXTURES`; colour: into `COLOURS` (an eighth of the palette).
        hue, saturation, value: colour of the object, each in [0, 1]; the palette spans the hues 0 to 0.5.
        x, y: centre; radius: size; both in scene units; rotation, angle: radians.
        period: of the texture, scene units; shift_u, shift_v: its phase in periods.
        background: index into `BACKGROUNDS`, or `HELD_OUT_BACKGROUND`.
        ground_hue, ground_saturation, ground_value, ground_span, ground_angle, ground_texture, ground_shift: of it.
    """

    keys: np.ndarray
    shape: np.ndarray
    texture: np.ndarray
    colour: np.ndarray
    hue: np.ndarray
    saturation: np.ndarray
    value: np.ndarray
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    rotation: np.ndarray
    period: np.ndarray
    angle: np.ndarray
    shift_u: np.ndarray
    shift_v: np.ndarray
    background: np.ndarray
    ground_hue: np.ndarray
    ground_saturation: np.ndarray
    ground_value: np.ndarray
    ground_span: np.ndarray
    ground_angle: np.ndarray
    ground_texture: np.ndarray
    ground_shift: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, start: int, stop: int) -> Scenes:
        """The recipes from `start` to `stop`."""
        return Scenes(**{name: getattr(self, name)[start:stop] for name in self.__dataclass_fields__})


def draw(n: int, *, seed: int, classes: Sequence[int], correlation: float, tied: Sequence[str]) -> Scenes:
    """Draw n scenes.

    Args:
        n: how many.
        seed: any integer.
        classes: indices into `SHAPES` to draw from, each equally likely.
        correlation: in [0, 1], how strongly the `tied` factors ("texture", "colour") follow the class.
    """
    keys = mix(np.arange(n, dtype=np.uint64), seed)

    def between(salt: int, low: float, high: float) -> np.ndarray:
        return low + (high - low) * uniform(keys, salt)

    def choice(salt: int, count: int) -> np.ndarray:
        return np.minimum((uniform(keys, salt) * count).astype(np.int64), count - 1)

    shape = np.asarray(classes, dtype=np.int64)[choice(S_LABEL, len(classes))]
    texture = choice(S_TEXTURE, len(TEXTURES))
    colour = choice(S_COLOUR, len(COLOURS))
    if "texture" in tied:
        texture = np.where(uniform(keys, S_TIE_TEXTURE) < correlation, shape, texture)
    if "colour" in tied:
        colour = np.where(uniform(keys, S_TIE_COLOUR) < correlation, shape, colour)

    radius = between(S_RADIUS, 8.0, 11.5)
    room = 0.75 * (15.5 - radius)
    bright = uniform(keys, S_POLARITY) < 0.5
    value_position, ground_position = uniform(keys, S_VALUE), uniform(keys, S_BACKGROUND_VALUE)
    return Scenes(
        keys=keys,
        shape=shape,
        texture=texture,
        colour=colour,
        hue=(colour + uniform(keys, S_HUE)) * (0.5 / len(COLOURS)),
        saturation=between(S_SATURATION, 0.55, 1.0),
        value=np.where(bright, 0.75 + 0.25 * value_position, 0.30 + 0.25 * value_position),
        x=room * (2 * uniform(keys, S_X) - 1),
        y=room * (2 * uniform(keys, S_Y) - 1),
        radius=radius,
        rotation=between(S_ROTATION, -0.5, 0.5),
        period=between(S_PERIOD, 4.0, 6.0),
        angle=between(S_ANGLE, 0.0, 2 * np.pi),
        shift_u=uniform(keys, S_SHIFT_U),
        shift_v=uniform(keys, S_SHIFT_V),
        background=choice(S_BACKGROUND, len(BACKGROUNDS)),
        ground_hue=between(S_BACKGROUND_HUE, 0.0, 0.5),
        ground_saturation=between(S_BACKGROUND_SATURATION, 0.05, 0.45),
        ground_value=np.where(bright, 0.1 + 0.25 * ground_position, 0.65 + 0.25 * ground_position),
        ground_span=between(S_BACKGROUND_SPAN, 0.05, 0.25),
        ground_angle=between(S_BACKGROUND_ANGLE, 0.0, 2 * np.pi),
        ground_texture=choice(S_BACKGROUND_TEXTURE, len(TEXTURES)),
        ground_shift=uniform(keys, S_BACKGROUND_SHIFT),
    )


def recolour(scenes: Scenes) -> Scenes:
    """The complementary palette: hues 0.5 to 1, which the data set itself never shows."""
    return replace(scenes, hue=scenes.hue + 0.5, ground_hue=scenes.ground_hue + 0.5)


def retexture(scenes: Scenes) -> Scenes:
    """Each object under a pattern that the data set itself never shows."""
    chosen = np.minimum((uniform(scenes.keys, S_NEW_TEXTURE) * len(HELD_OUT_TEXTURES)).astype(np.int64), 3)
    return replace(scenes, texture=len(TEXTURES) + chosen)


def new_background(scenes: Scenes) -> Scenes:
    """Each object before a kind of background that the data set itself never shows."""
    return replace(scenes, background=np.full(len(scenes), HELD_OUT_BACKGROUND))


def conflicting(
    scenes: Scenes, labels: np.ndarray, *, classes: Sequence[int], tied: Sequence[str]
) -> tuple[Scenes, np.ndarray]:
    """The same scenes with the texture (and colour, if tied) of another class, and the label of that class.

    Args:
        labels: (n,) position in `classes` of each scene's shape.
    """
    step = 1 + np.minimum((uniform(scenes.keys, S_OTHER) * (len(classes) - 1)).astype(np.int64), len(classes) - 2)
    other = (labels + step) % len(classes)
    owner = np.asarray(classes, dtype=np.int64)[other]
    changed = replace(scenes, texture=owner)
    if "colour" in tied:
        hue = (owner + uniform(scenes.keys, S_HUE)) * (0.5 / len(COLOURS))
        changed = replace(changed, colour=owner, hue=hue)
    return changed, other
