"""Surface patterns of the generated images: a tone in [0, 1] at every point of the plane.

A pattern is a function of (u, v), coordinates in periods after rotation and shift, and of a smoothing width
(periods a pixel), over which an edge of the pattern blends, so that nothing aliases. The first eight patterns are
the textures of the data set, one tied to each class when a texture bias is wanted; the last four are held out and
appear in the domain `retextured` only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TEXTURES = ("plain", "stripes", "checks", "dots", "waves", "grid", "rings", "blotches")
HELD_OUT_TEXTURES = ("bricks", "zigzag", "triangles", "speckle")
ALL_TEXTURES = TEXTURES + HELD_OUT_TEXTURES

Field = np.ndarray
TURN = np.float32(2 * np.pi)


def tone(name: str, u: Field, v: Field, blur: float) -> Field:
    """Tone in [0, 1] of the pattern `name` at (u, v), (m, H, W) float32 coordinates in periods."""
    return PATTERNS[name](u, v, blur)


def _step(distance: Field, blur: float) -> Field:
    """1 where `distance` (in periods) is negative, 0 where positive, linear over one pixel."""
    return np.clip(np.float32(0.5) - distance / np.float32(blur), 0, 1)


def _triangle(u: Field) -> Field:
    """Distance in periods to the nearest whole number, in [0, 0.5]."""
    return np.abs(u - np.rint(u))


def _plain(u: Field, v: Field, blur: float) -> Field:
    return np.ones_like(u)


def _stripes(u: Field, v: Field, blur: float) -> Field:
    return _step(_triangle(u) - np.float32(0.25), blur)


def _checks(u: Field, v: Field, blur: float) -> Field:
    a, b = _stripes(u, v, blur), _stripes(v, u, blur)
    return a * b + (1 - a) * (1 - b)


def _dots(u: Field, v: Field, blur: float) -> Field:
    return _step(np.hypot(u - np.rint(u), v - np.rint(v)) - np.float32(0.33), blur)


def _waves(u: Field, v: Field, blur: float) -> Field:
    return _stripes(u + np.float32(0.35) * np.sin(TURN * np.float32(0.6) * v), v, blur)


def _grid(u: Field, v: Field, blur: float) -> Field:
    return _step(np.float32(0.17) - np.minimum(_triangle(u), _triangle(v)), blur)


def _rings(u: Field, v: Field, blur: float) -> Field:
    return _step(_triangle(np.hypot(u, v)) - np.float32(0.25), blur)


def _blotches(u: Field, v: Field, blur: float) -> Field:
    scale = np.float32(0.62)
    s = np.sin(TURN * scale * (u + np.float32(0.23) * v)) + np.sin(TURN * scale * (v - np.float32(0.41) * u))
    s += np.sin(TURN * scale * np.float32(0.71) * (u + v) + np.float32(1.3))
    return _step(-s * np.float32(0.15), blur)


def _bricks(u: Field, v: Field, blur: float) -> Field:
    row = np.floor(v)
    across = _triangle(np.float32(0.5) * (u + row))
    return _step(np.float32(0.14) - np.minimum(np.float32(2.0) * across, _triangle(v)), blur)


def _zigzag(u: Field, v: Field, blur: float) -> Field:
    return _stripes(u + np.float32(1.1) * _triangle(np.float32(0.6) * v), v, blur)


def _triangles(u: Field, v: Field, blur: float) -> Field:
    fraction = v - np.floor(v)
    return _step(_triangle(u) - np.float32(0.5) * fraction, blur)


def _speckle(u: Field, v: Field, blur: float) -> Field:
    cells = (np.floor(2 * u).astype(np.int64) * 73856093) ^ (np.floor(2 * v).astype(np.int64) * 19349663)
    mixed = (cells * 2654435761) & 0xFFFFFFFF
    return ((mixed >> 15) & 1).astype(np.float32)


PATTERNS: dict[str, Callable[[Field, Field, float], Field]] = {
    "plain": _plain,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "waves": _waves,
    "grid": _grid,
    "rings": _rings,
    "blotches": _blotches,
    "bricks": _bricks,
    "zigzag": _zigzag,
    "triangles": _triangles,
    "speckle": _speckle,
}
