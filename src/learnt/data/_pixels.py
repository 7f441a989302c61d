"""Image arithmetic behind the transforms, on (n, C, H, W) tensors with one parameter an image.

Every step is an elementwise operation or works inside one image in a fixed order, so that the result for an image
has the same bits whatever else is in the batch: sums are folded in halves instead of reduced, convolutions are sums
of shifted copies, and no operation that fuses a product with a sum is used.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from learnt.core.errors import InputError, ShapeError

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
SLACK = 1e-5


def check_images(images: torch.Tensor, *, unit: bool = False) -> None:
    """Raise unless `images` is (n, C, H, W) floating point, and in [0, 1] if `unit`.

    Raises:
        ShapeError: not four axes. InputError: not floating point, or values outside [0, 1].
    """
    if images.ndim != 4:
        raise ShapeError("inputs", found=f"shape {tuple(images.shape)}", expected="images (n, channels, height, width)")
    if not images.is_floating_point():
        raise InputError("inputs", found=str(images.dtype), expected="floating point images")
    if unit and images.numel():
        low, high = float(images.min()), float(images.max())
        if low < -SLACK or high > 1 + SLACK:
            raise InputError(
                "inputs",
                found=f"values from {low:.3g} to {high:.3g}",
                expected="pixels in [0, 1]",
                remedy="Transform the pixels first and normalise inside the model.",
            )


def per_image(values: np.ndarray, images: torch.Tensor) -> torch.Tensor:
    """(n,) numbers as (n, 1, 1, 1) of the type and device of `images`."""
    return torch.as_tensor(np.asarray(values, np.float64)).to(images.dtype).to(images.device)[:, None, None, None]


def folded_sum(values: torch.Tensor) -> torch.Tensor:
    """(n, k) -> (n,): sum of each row by adding the second half to the first until one column is left."""
    while values.shape[1] > 1:
        half = values.shape[1] // 2
        pairs = values[:, :half] + values[:, half : 2 * half]
        values = torch.cat([pairs, values[:, 2 * half :]], dim=1)
    return values[:, 0]


def grey(images: torch.Tensor) -> torch.Tensor:
    """(n, C, H, W) -> (n, 1, H, W): weighted sum of red, green, blue; the channel itself if there is one."""
    channels = images.shape[1]
    if channels == 1:
        return images
    if channels != 3:
        raise ShapeError("inputs", found=f"{channels} channels", expected="1 (grey) or 3 (red, green, blue)")
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    return red * GREY[0] + green * GREY[1] + blue * GREY[2]


def blend(images: torch.Tensor, other: torch.Tensor, factor: np.ndarray) -> torch.Tensor:
    """clip(f x + (1 - f) other, 0, 1) with one factor an image."""
    f = per_image(factor, images)
    return (images * f + other * (1 - f)).clamp(0, 1)


def shift_hue(images: torch.Tensor, turns: np.ndarray) -> torch.Tensor:
    """Turn the hue of (n, 3, H, W) images by `turns` (n,) of the colour circle; value and saturation stay."""
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise ShapeError("inputs", found=f"{images.shape[1]} channels", expected="1 (grey) or 3 (red, green, blue)")
    red, green, blue = images.unbind(1)
    value, low = images.amax(1), images.amin(1)
    chroma = value - low
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = sector / 6 + per_image(turns, images)[:, 0]
    hue = (hue - hue.floor()) * 6
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = (hue + offset) / 6
        k = (k - k.floor()) * 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    turned = torch.stack(channels, 1).clamp(0, 1)
    return torch.where((per_image(turns, images) == 0) | (chroma == 0)[:, None], images, turned)


def blur(images: torch.Tensor, width: float) -> torch.Tensor:
    """Gaussian blur of standard deviation `width` pixels, truncated at 4 widths, edge pixels repeated."""
    reach = math.ceil(4 * width)
    if reach == 0:
        return images
    weights = [math.exp(-0.5 * (k / width) ** 2) for k in range(-reach, reach + 1)]
    total = sum(weights)
    for axis in (2, 3):
        size = images.shape[axis]
        positions = torch.arange(size, device=images.device)
        result = torch.zeros_like(images)
        for k, weight in zip(range(-reach, reach + 1), weights, strict=True):
            result = result + images.index_select(axis, (positions + k).clamp(0, size - 1)) * (weight / total)
        images = result
    return images


def rotate(images: torch.Tensor, degrees: np.ndarray) -> torch.Tensor:
    """Turn each image anticlockwise by `degrees` (n,) about its centre; bilinear, edge pixels repeated."""
    angle = np.radians(np.asarray(degrees, np.float64))
    c, s = per_image(np.cos(angle), images)[:, 0], per_image(np.sin(angle), images)[:, 0]
    y, x = _pixel_grid(images)
    return sample(images, c * x - s * y, s * x + c * y)


def crop(images: torch.Tensor, top: np.ndarray, left: np.ndarray, high: np.ndarray, wide: np.ndarray) -> torch.Tensor:
    """Cut out a window an image and scale it back to full size; all four are (n,) fractions of the image."""
    height, width = images.shape[2:]
    y, x = _pixel_grid(images)
    rows = (y / height + 0.5) * per_image(high, images)[:, 0] + per_image(top, images)[:, 0] - 0.5
    columns = (x / width + 0.5) * per_image(wide, images)[:, 0] + per_image(left, images)[:, 0] - 0.5
    return sample(images, (columns * width).expand(-1, height, width), (rows * height).expand(-1, height, width))


def sample(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Bilinear values at (x, y), (n, H, W) pixels from the centre of each image; edge pixels repeated."""
    height, width = images.shape[2:]
    grid = torch.stack([x * (2 / width), y * (2 / height)], dim=-1)
    return torch.nn.functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _pixel_grid(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates (1, H, 1) and (1, 1, W) of the pixel centres, from the middle, y pointing down."""
    height, width = images.shape[2:]
    y = torch.arange(height, device=images.device, dtype=images.dtype) - (height - 1) / 2
    x = torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2
    return y[None, :, None], x[None, None, :]


def translate(images: torch.Tensor, down: np.ndarray, right: np.ndarray) -> torch.Tensor:
    """Move each image by whole pixels, (n,) each; edge pixels repeated."""
    n, _, height, width = images.shape
    device = images.device
    rows = (torch.arange(height)[None] - torch.as_tensor(np.asarray(down, np.int64))[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width)[None] - torch.as_tensor(np.asarray(right, np.int64))[:, None]).clamp(0, width - 1)
    index = torch.arange(n, device=device)[:, None, None]
    return images.movedim(1, 3)[index, rows.to(device)[:, :, None], columns.to(device)[:, None, :]].movedim(3, 1)
