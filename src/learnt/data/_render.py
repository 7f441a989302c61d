"""From recipes to pixels: objects with anti-aliased outlines before gradients, patterns and clutter.

    image = ground + coverage * (surface - ground) + sensor noise,        coverage = clip(1/2 - d / pixel, 0, 1)

with d the signed distance to the outline, so the mask {coverage >= 1/2} is exact to half a pixel. Work goes on in
float32 in blocks of whole images; no operation mixes images, so an image does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from learnt.data import _scenes
from learnt.data._counter import uniforms, words
from learnt.data._outlines import SHAPES, distance
from learnt.data._patterns import ALL_TEXTURES, tone
from learnt.data._scenes import DISTRACTORS, HELD_OUT_BACKGROUND, Scenes

BLOCK = 128
UNITS = 32.0
SENSOR_NOISE = 0.04  # half-width of the uniform noise on every channel

Field = np.ndarray


def render(scenes: Scenes, size: int, draw: Callable[[Scenes, int], tuple[Field, Field]]) -> tuple[Field, Field]:
    """Images (n, 3, size, size) float32 in [0, 1] and masks (n, size, size) bool, by blocks of `draw`."""
    images = np.empty((len(scenes), 3, size, size), dtype=np.float32)
    masks = np.empty((len(scenes), size, size), dtype=bool)
    for start in range(0, len(scenes), BLOCK):
        stop = min(start + BLOCK, len(scenes))
        images[start:stop], masks[start:stop] = draw(scenes.part(start, stop), size)
    return images, masks


def photograph(scenes: Scenes, size: int) -> tuple[Field, Field]:
    """The object with its surface before its background, with sensor noise."""
    outline = object_distance(scenes, size)
    coverage = np.clip(0.5 - outline * np.float32(size / UNITS), 0, 1)
    pixels = background(scenes, size)
    pixels += coverage[:, None] * (surface(scenes, size) - pixels)
    pixels += sensor_noise(scenes, size)
    return np.clip(pixels, 0, 1, out=pixels), coverage >= 0.5


def line_drawing(scenes: Scenes, size: int) -> tuple[Field, Field]:
    """The outline of the object, a dark line about 1.4 units wide on white paper."""
    outline = object_distance(scenes, size)
    coverage = np.clip(0.5 - outline * np.float32(size / UNITS), 0, 1)
    ink = np.clip(0.5 - (np.abs(outline) - np.float32(0.7)) * np.float32(size / UNITS), 0, 1)
    paper = np.float32(1.0) - np.float32(0.9) * ink
    return np.repeat(paper[:, None], 3, axis=1), coverage >= 0.5


def grid(size: int) -> tuple[Field, Field]:
    """Coordinates (size, size) of the pixel centres in scene units, y pointing down."""
    centres = ((np.arange(size) + 0.5) * (UNITS / size) - UNITS / 2).astype(np.float32)
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return x, y


def column(values: Field) -> Field:
    """(n,) -> (n, 1, 1) float32, to meet fields of pixels."""
    return values.astype(np.float32)[:, None, None]


def turned(x: Field, y: Field, angle: Field) -> tuple[Field, Field]:
    """(x, y) seen from a frame turned by `angle` (n,) radians."""
    c, s = column(np.cos(angle)), column(np.sin(angle))
    return c * x + s * y, c * y - s * x


def object_distance(scenes: Scenes, size: int) -> Field:
    """Signed distance (n, size, size) to each object's outline in scene units."""
    x, y = grid(size)
    across, down = turned(x - column(scenes.x), y - column(scenes.y), scenes.rotation)
    radius = column(scenes.radius)
    return by_kind(SHAPES, scenes.shape, distance, across / radius, down / radius) * radius


def surface(scenes: Scenes, size: int) -> Field:
    """Colour (n, 3, size, size) of the object's surface: two tones of one hue, the darker at 30 % of the light."""
    x, y = grid(size)
    u, v = turned(x - column(scenes.x), y - column(scenes.y), scenes.angle)
    period = column(scenes.period)
    tones = pattern(scenes.texture, u, v, period, scenes, size)
    bright = to_rgb(scenes.hue, scenes.saturation, scenes.value)[:, :, None, None]
    return bright * (np.float32(0.3) + np.float32(0.7) * tones[:, None])


def pattern(kind: Field, u: Field, v: Field, period: Field, scenes: Scenes, size: int) -> Field:
    """Tone (n, size, size); concentric rings keep the object's centre, all others their own phase."""
    centred = column(kind == ALL_TEXTURES.index("rings"))
    u = u / period + column(scenes.shift_u) * (1 - centred)
    v = v / period + column(scenes.shift_v) * (1 - centred)
    blur = UNITS / size / 5.0  # a pixel in periods, at the mean period of five units

    def blurred(name: str, a: Field, b: Field) -> Field:
        return tone(name, a, b, blur)

    return by_kind(ALL_TEXTURES, kind, blurred, u, v)


def by_kind(names: tuple[str, ...], kind: Field, field: Callable[..., Field], a: Field, b: Field) -> Field:
    """Evaluate `field(name, a, b)` for each name on the rows of that kind only."""
    result = np.empty_like(a)
    for index in np.unique(kind):
        rows = np.flatnonzero(kind == index)
        result[rows] = field(names[index], a[rows], b[rows])
    return result


def to_rgb(hue: Field, saturation: Field, value: Field) -> Field:
    """(n, 3) float32 colours from hue (any real, period 1), saturation and value."""
    k = (np.array([5.0, 3.0, 1.0]) + 6 * np.asarray(hue)[:, None]) % 6
    fall = np.clip(np.minimum(k, 4 - k), 0, 1)
    return (value[:, None] * (1 - saturation[:, None] * fall)).astype(np.float32)


def background(scenes: Scenes, size: int) -> Field:
    """Background (n, 3, size, size): a gradient, with a pattern or distractors on top, or fractal colour noise."""
    x, y = grid(size)
    u, v = turned(x, y, scenes.ground_angle)
    slope = u / np.float32(UNITS)  # about -0.7 to 0.7 over the image
    light = column(scenes.ground_value) + column(scenes.ground_span) * slope
    textured = np.flatnonzero(scenes.background == 1)
    if len(textured):
        rows = take(scenes, textured)
        period = np.float32(1.5) * column(rows.period)
        tones = pattern(rows.ground_texture, u[textured], v[textured], period, rows, size)
        light[textured] += column(rows.ground_span) * (tones - np.float32(0.5))
    tint = to_rgb(scenes.ground_hue, scenes.ground_saturation, np.ones(len(scenes)))[:, :, None, None]
    pixels = tint * light[:, None]
    cluttered = np.flatnonzero(scenes.background == 2)
    if len(cluttered):
        pixels[cluttered] = distract(pixels[cluttered], take(scenes, cluttered), size)
    held_out = np.flatnonzero(scenes.background == HELD_OUT_BACKGROUND)
    if len(held_out):
        pixels[held_out] = fractal(take(scenes, held_out), size)
    return pixels


def take(scenes: Scenes, rows: Field) -> Scenes:
    """The recipes at `rows`."""
    return Scenes(**{name: getattr(scenes, name)[rows] for name in scenes.__dataclass_fields__})


def distract(pixels: Field, scenes: Scenes, size: int) -> Field:
    """Small blots and strokes (1 to 3.5 units) of random colour behind the object."""
    x, y = grid(size)
    numbers = uniforms(scenes.keys, _scenes.S_DISTRACTORS, DISTRACTORS * 7).reshape(-1, DISTRACTORS, 7)
    for index in range(DISTRACTORS):
        place, down, angle, long, thin, hue, light = (numbers[:, index, j] for j in range(7))
        u, v = turned(x - column(30 * place - 15), y - column(30 * down - 15), 2 * np.pi * angle)
        half_long, half_thin = column(1 + 2.5 * long), column(0.7 + 1.3 * thin)
        edge = np.maximum(np.abs(u) - half_long, np.abs(v) - half_thin)
        coverage = np.clip(0.5 - edge * np.float32(size / UNITS), 0, 1)
        colour = to_rgb(0.5 * hue, np.full(len(scenes), 0.6), 0.2 + 0.7 * light)
        pixels = pixels + coverage[:, None] * (colour[:, :, None, None] - pixels)
    return pixels


def fractal(scenes: Scenes, size: int) -> Field:
    """Three octaves of bilinear value noise in each channel around the background's own colour."""
    total = np.zeros((len(scenes), 3, size, size), dtype=np.float32)
    x, y = grid(size)
    for octave, cells in enumerate((4, 8, 16)):
        count = 3 * (cells + 1) * (cells + 1)
        values = uniforms(scenes.keys, _scenes.S_FRACTAL + 1000 * (octave + 1), count).astype(np.float32)
        knots = values.reshape(-1, 3, cells + 1, cells + 1)
        u, v = (x[0] / UNITS + 0.5) * cells, (y[:, 0] / UNITS + 0.5) * cells
        i, j = v.astype(np.int64), u.astype(np.int64)
        down, across = (v - i).astype(np.float32)[:, None], (u - j).astype(np.float32)
        rows = knots[:, :, i] * (1 - down) + knots[:, :, i + 1] * down
        total += (rows[..., j] * (1 - across) + rows[..., j + 1] * across - 0.5) * np.float32(0.5**octave)
    tint = to_rgb(scenes.ground_hue, scenes.ground_saturation, scenes.ground_value)[:, :, None, None]
    return tint + np.float32(0.5) * total


def sensor_noise(scenes: Scenes, size: int) -> Field:
    """Uniform noise (n, 3, size, size): 21 bits a channel from one random word a pixel."""
    draws = words(scenes.keys, _scenes.S_NOISE, size * size).reshape(-1, size, size)
    scale = np.float32(2 * SENSOR_NOISE / 2**21)
    noise = np.empty((len(scenes), 3, size, size), dtype=np.float32)
    for channel, shift in enumerate((0, 21, 42)):
        bits = (draws >> np.uint64(shift)) & np.uint64(0x1FFFFF)
        noise[:, channel] = bits.astype(np.float32) * scale - np.float32(SENSOR_NOISE)
    return noise
