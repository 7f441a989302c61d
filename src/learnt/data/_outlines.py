"""Outlines of the generated objects: signed distance fields, negative inside, in units of the object's radius.

Near an edge each field equals the Euclidean distance to it (corners are mitred), which is what anti-aliasing and
the line drawings of the domain `sketch` need. The frame is the object's own, y pointing down.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SHAPES = ("disc", "square", "triangle", "cross", "ring", "star", "bar", "crescent")

Field = np.ndarray


def distance(name: str, x: Field, y: Field) -> Field:
    """Signed distance (m, H, W) float32 to the outline of the shape `name` at (x, y)."""
    return OUTLINES[name](x, y)


def _disc(x: Field, y: Field) -> Field:
    return np.hypot(x, y) - np.float32(0.88)


def _square(x: Field, y: Field) -> Field:
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.78)


def _triangle(x: Field, y: Field) -> Field:
    return np.maximum(np.float32(0.8660254) * np.abs(x) - np.float32(0.5) * y, y) - np.float32(0.57)


def _cross(x: Field, y: Field) -> Field:
    a, b = np.abs(x), np.abs(y)
    long, short = np.float32(1.0), np.float32(0.34)
    return np.minimum(np.maximum(a - long, b - short), np.maximum(a - short, b - long))


def _ring(x: Field, y: Field) -> Field:
    return np.abs(np.hypot(x, y) - np.float32(0.73)) - np.float32(0.23)


def _star(x: Field, y: Field) -> Field:
    """Five points: fold the plane into one half of one point, then the distance to that point's single edge."""
    tip, notch, sector = 1.12, 0.50, np.pi / 5
    angle = np.arctan2(x, -y)
    angle = np.abs(angle - np.float32(2 * sector) * np.rint(angle / np.float32(2 * sector)))
    radius = np.hypot(x, y)
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    edge_x, edge_y = notch * np.cos(sector) - tip, notch * np.sin(sector)
    length = np.hypot(edge_x, edge_y)
    return (along - np.float32(tip)) * np.float32(edge_y / length) - across * np.float32(edge_x / length)


def _bar(x: Field, y: Field) -> Field:
    return np.maximum(np.abs(x) - np.float32(1.08), np.abs(y) - np.float32(0.34))


def _crescent(x: Field, y: Field) -> Field:
    """A disc less a second disc; beyond the horns the nearest point is the horn's tip."""
    outer, bite, offset = 0.98, 0.74, 0.5
    y = np.abs(y)
    away = x - np.float32(offset)
    arcs = np.maximum(np.hypot(x, y) - np.float32(outer), np.float32(bite) - np.hypot(away, y))
    tip_x = (outer**2 + offset**2 - bite**2) / (2 * offset)
    tip_y = np.sqrt(outer**2 - tip_x**2)
    past_outer = np.float32(tip_x) * y < np.float32(tip_y) * x
    past_bite = np.float32(tip_x - offset) * y < np.float32(tip_y) * away
    return np.where(past_outer & past_bite, np.hypot(x - np.float32(tip_x), y - np.float32(tip_y)), arcs)


OUTLINES: dict[str, Callable[[Field, Field], Field]] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
    "star": _star,
    "bar": _bar,
    "crescent": _crescent,
}
