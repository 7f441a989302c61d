"""Images of the gallery as small PNG files inside the page, and where each side looks as a colour over them.

The encoder writes what is needed and nothing else (no dates, no text), so that equal pixels give equal bytes.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib

import numpy as np

LARGEST = 96  # pixels along a side; larger images are averaged in blocks

# Dark to bright through purple and orange, rising in lightness throughout: it reads without colour too.
_RAMP = np.array([[8, 6, 22], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], dtype=np.float64)
_LEVELS, _SHADES = 24, 8


def data_uri(image: np.ndarray) -> str:
    """A PNG data URI of (H, W) or (H, W, 3) uint8 pixels."""
    return _uri(png(shrunk(np.asarray(image))))


def look_uri(image: np.ndarray | None, weights: np.ndarray) -> str:
    """A PNG data URI of a map (H, W) in [0, 1] over its image: bright where a side looks, shaded by the image."""
    kept = np.round(255 * np.clip(np.nan_to_num(np.asarray(weights, dtype=np.float64)), 0, 1)) / 255  # as JSON keeps it
    weights = shrunk(kept)
    if image is None:
        light = np.ones(weights.shape)
    else:
        grey = np.asarray(image, dtype=np.float64).reshape(*np.asarray(image).shape[:2], -1).mean(-1) / 255
        light = fitted(shrunk(grey), weights.shape)
    level = np.round((_LEVELS - 1) * weights).astype(int)
    shade = np.round((_SHADES - 1) * np.clip(light, 0, 1)).astype(int)
    codes, index = np.unique(level * _SHADES + shade, return_inverse=True)
    place = (codes // _SHADES) / (_LEVELS - 1) * (len(_RAMP) - 1)
    low = np.minimum(np.floor(place).astype(int), len(_RAMP) - 2)
    colour = _RAMP[low] + (place - low)[:, None] * (_RAMP[low + 1] - _RAMP[low])
    shade = ((codes % _SHADES) / (_SHADES - 1))[:, None]
    palette = np.round(np.minimum(colour * (0.65 + 0.35 * shade) + 50 * shade, 255)).astype(np.uint8)
    return _uri(png(index.reshape(weights.shape).astype(np.uint8), palette))


def shrunk(image: np.ndarray) -> np.ndarray:
    """The image averaged over blocks until neither side is longer than 96 pixels; the dtype is kept."""
    step = math.ceil(max(image.shape[:2]) / LARGEST) if image.size else 1
    if step <= 1:
        return image
    height, width = (n // step * step for n in image.shape[:2])
    if not height or not width:
        return image[:LARGEST, :LARGEST]
    tiles = image[:height, :width].reshape(height // step, step, width // step, step, *image.shape[2:]).mean((1, 3))
    return np.round(tiles).astype(image.dtype) if image.dtype == np.uint8 else tiles


def fitted(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The image at another size, by its nearest pixels."""
    if image.shape == shape:
        return image
    rows, columns = (np.minimum(np.arange(n) * m // n, m - 1) for n, m in zip(shape, image.shape, strict=True))
    return image[np.ix_(rows, columns)]


def png(pixels: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """PNG bytes of uint8 pixels: (H, W) grey or palette index, (H, W, 3) colour."""
    height, width = pixels.shape[:2]
    kind = 3 if palette is not None else 2 if pixels.ndim == 3 else 0
    flat = np.ascontiguousarray(pixels).reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), dtype=np.uint8), flat], axis=1).tobytes()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        parts.append((b"PLTE", palette.tobytes()))
    parts += [(b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")
