"""Changes of colour, light, noise and sharpness (see `learnt.data.transforms`).

`Brightness`, `Contrast`, `Saturation`, `Hue` and `ColourJitter` follow spec A3 (arXiv 2205.16004, section 11.3): a
factor uniform in [max(0, 1 - s), 1 + s] for the first three, a shift uniform in [-h, h] turns for the hue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch

from learnt.core.errors import InputError
from learnt.data import _pixels
from learnt.data._counter import normals
from learnt.data._draws import as_keys, check_call, draw
from learnt.run.seeds import derive


def _factor(transform_name: str, parameter: str, strength: float, keys: np.ndarray, seed: int) -> np.ndarray:
    low, high = max(0.0, 1.0 - strength), 1.0 + strength
    return low + (high - low) * draw(keys, transform_name, parameter, seed)


def _brighter(images: torch.Tensor, factor: np.ndarray) -> torch.Tensor:
    return (images * _pixels.per_image(factor, images)).clamp(0, 1)


def _contrasted(images: torch.Tensor, factor: np.ndarray) -> torch.Tensor:
    level = _pixels.folded_sum(_pixels.grey(images).flatten(1)) / (images.shape[2] * images.shape[3])
    return _pixels.blend(images, level[:, None, None, None], factor)


@final
@dataclass(frozen=True, kw_only=True)
class Brightness:
    """y = clip(f x), f uniform in [max(0, 1 - strength), 1 + strength]."""

    name: ClassVar[str] = "brightness"
    needs_colour: ClassVar[bool] = False
    strength: float = 0.4
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, unit=True)
        return _brighter(inputs, _factor(self.name, "factor", self.strength, keys, self.seed))


@final
@dataclass(frozen=True, kw_only=True)
class Contrast:
    """y = clip(f x + (1 - f) m), m the image's mean grey value, f uniform in [max(0, 1 - strength), 1 + strength]."""

    name: ClassVar[str] = "contrast"
    needs_colour: ClassVar[bool] = False
    strength: float = 0.4
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, unit=True)
        return _contrasted(inputs, _factor(self.name, "factor", self.strength, keys, self.seed))


@final
@dataclass(frozen=True, kw_only=True)
class Saturation:
    """y = clip(f x + (1 - f) grey(x)), f uniform in [max(0, 1 - strength), 1 + strength]; nothing for grey images."""

    name: ClassVar[str] = "saturation"
    needs_colour: ClassVar[bool] = True
    strength: float = 0.4
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, unit=True)
        factor = _factor(self.name, "factor", self.strength, keys, self.seed)
        return _pixels.blend(inputs, _pixels.grey(inputs), factor)


@final
@dataclass(frozen=True, kw_only=True)
class Hue:
    """Hue turned by a share of the colour circle uniform in [-strength, strength], at most 0.5; nothing on grey."""

    name: ClassVar[str] = "hue"
    needs_colour: ClassVar[bool] = True
    strength: float = 0.2
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, unit=True, most=0.5)
        return _pixels.shift_hue(inputs, self.strength * (2 * draw(keys, self.name, "turns", self.seed) - 1))


@final
@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """Brightness, contrast, saturation (factor range `strength`), then hue (range `hue`), as spec A3; in this order.

    The identity needs `strength` 0 and `hue` 0. Torchvision shuffles the order of the four; a fixed one keeps the
    change a smooth function of the strength.
    """

    name: ClassVar[str] = "colour jitter"
    needs_colour: ClassVar[bool] = True
    strength: float = 0.4
    hue: float = 0.2
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, unit=True)
        if not 0.0 <= self.hue <= 0.5:
            raise InputError("hue", found=repr(self.hue), expected="from 0 to 0.5 of the colour circle")
        images = _brighter(inputs, _factor(self.name, "brightness", self.strength, keys, self.seed))
        images = _contrasted(images, _factor(self.name, "contrast", self.strength, keys, self.seed))
        factor = _factor(self.name, "saturation", self.strength, keys, self.seed)
        images = _pixels.blend(images, _pixels.grey(images), factor)
        return _pixels.shift_hue(images, self.hue * (2 * draw(keys, self.name, "hue", self.seed) - 1))


@final
@dataclass(frozen=True, kw_only=True)
class GaussianNoise:
    """y = clip(x + strength z), z standard normal for every value, from the example's key and the value's position."""

    name: ClassVar[str] = "gaussian noise"
    needs_colour: ClassVar[bool] = False
    strength: float = 0.1
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, unit=True)
        salt = derive("transform", self.name, "noise", self.seed)
        noise = normals(as_keys(keys), salt, math.prod(inputs.shape[1:])).reshape(inputs.shape)
        return (inputs + torch.from_numpy(self.strength * noise).to(inputs.dtype).to(inputs.device)).clamp(0, 1)


@final
@dataclass(frozen=True, kw_only=True)
class Blur:
    """Gaussian blur with a standard deviation of `strength` pixels, the same for every image."""

    name: ClassVar[str] = "blur"
    needs_colour: ClassVar[bool] = False
    strength: float = 1.0
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, C, H, W) images and (n,) keys -> the changed images."""
        check_call(self.strength, inputs, keys, most=100)
        return _pixels.blur(inputs, self.strength)
