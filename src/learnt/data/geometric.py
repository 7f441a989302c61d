"""Changes of place: rotation, translation, cropping, mirroring, and a hole (see `learnt.data.transforms`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch

from learnt.core.errors import InputError
from learnt.data import _pixels
from learnt.data._draws import check_call, draw


@final
@dataclass(frozen=True, kw_only=True)
class Rotate:
    """Turn about the centre by an angle uniform in [-strength, strength] degrees; bilinear, edge pixels repeated."""

    name: ClassVar[str] = "rotate"
    needs_colour: ClassVar[bool] = False
    strength: float = 15.0
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, most=180)
        if self.strength == 0:
            return inputs
        return _pixels.rotate(inputs, self.strength * (2 * draw(keys, self.name, "angle", self.seed) - 1))


@final
@dataclass(frozen=True, kw_only=True)
class Translate:
    """Move by whole pixels, down and right each uniform in {-strength, ..., strength}; edge pixels repeated."""

    name: ClassVar[str] = "translate"
    needs_colour: ClassVar[bool] = False
    strength: int = 2
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys)
        if self.strength != int(self.strength):
            raise InputError("strength", found=repr(self.strength), expected="a whole number of pixels")
        reach = int(self.strength)
        down, right = (
            np.floor((2 * reach + 1) * draw(keys, self.name, axis, self.seed)).astype(np.int64) - reach
            for axis in ("down", "right")
        )
        return _pixels.translate(inputs, down, right)


@final
@dataclass(frozen=True, kw_only=True)
class CropResize:
    """A random window of area 1 - strength, scaled back to full size (bilinear).

    The aspect ratio is log-uniform in [3/4, 4/3] as far as the window fits. Two draws (two `seed` values) give the two
    crops of spec A3.
    """

    name: ClassVar[str] = "crop-resize"
    needs_colour: ClassVar[bool] = False
    strength: float = 0.5
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, most=0.99)
        if self.strength == 0:
            return inputs
        area = 1.0 - self.strength
        reach = min(math.log(4 / 3), -math.log(area))
        ratio = np.exp(reach * (2 * draw(keys, self.name, "aspect", self.seed) - 1))
        high, wide = np.sqrt(area * ratio), np.sqrt(area / ratio)
        top = (1 - high) * draw(keys, self.name, "top", self.seed)
        left = (1 - wide) * draw(keys, self.name, "left", self.seed)
        return _pixels.crop(inputs, top, left, high, wide)


@final
@dataclass(frozen=True, kw_only=True)
class HorizontalFlip:
    """Mirror left and right with probability `strength` (1: every image)."""

    name: ClassVar[str] = "horizontal flip"
    needs_colour: ClassVar[bool] = False
    strength: float = 1.0
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, most=1)
        flipped = torch.from_numpy(draw(keys, self.name, "flip", self.seed) < self.strength).to(inputs.device)
        return torch.where(flipped[:, None, None, None], inputs.flip(3), inputs)


@final
@dataclass(frozen=True, kw_only=True)
class Cutout:
    """A square of `strength` times the shorter side, anywhere inside, painted with the image's mean colour.

    DeVries & Taylor 2017 (arXiv 1708.04552) paint zeros on normalised images, which is the mean of the data, and let
    the square hang over the edge; here it never does, so that its area is the same for every image.
    """

    name: ClassVar[str] = "cutout"
    needs_colour: ClassVar[bool] = False
    strength: float = 0.3
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, most=1)
        n, channels, height, width = inputs.shape
        side = round(self.strength * min(height, width))
        top = np.floor((height - side + 1) * draw(keys, self.name, "top", self.seed))
        left = np.floor((width - side + 1) * draw(keys, self.name, "left", self.seed))
        rows = np.arange(height)[None] - top[:, None]
        columns = np.arange(width)[None] - left[:, None]
        hole = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
        mean = _pixels.folded_sum(inputs.reshape(n * channels, height * width)) / (height * width)
        paint = mean.reshape(n, channels, 1, 1)
        return torch.where(torch.from_numpy(hole).to(inputs.device)[:, None], paint, inputs)
