"""A folder of images with one sub-folder a class: (n, 3, H, W) in [0, 1].

    photos/cat/1.jpg  photos/cat/2.png  photos/dog/a.webp            split by seed
    photos/train/cat/1.jpg ...  photos/test/cat/9.jpg                official parts (val or validation may be there too)

Classes and files are taken in the order of their names; hidden files and files that are not images are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from learnt.core.errors import InputError, ShapeError
from learnt.core.examples import Examples
from learnt.data.splits import Parts
from learnt.io.formats import IMAGE_SUFFIXES, read_image

VALIDATION = ("validation", "val", "valid")


def image_folder(path: Path, *, size: int | tuple[int, int] | None = None, grey: bool = False) -> Parts:
    """The images below `path`.

    Args:
        path: a folder of class folders, or of `train` and `test` (and `validation`) with class folders in them.
        size: height and width to bring every image to: scaled (with anti-aliasing) until the image covers it, then
            cropped in the middle. None needs images of one size.
        grey: give (n, 1, H, W), the mean over channels weighted .299, .587, .114 (ITU-R BT.601).
    """
    shape = None if size is None else (size, size) if isinstance(size, int) else tuple(size)
    if shape is not None and (len(shape) != 2 or min(shape) < 1):
        raise InputError("size", found=repr(size), expected="a height and width of at least 1 pixel")
    named = {child.name: child for child in _folders(path)}
    if {"train", "test"} <= named.keys() and any(_folders(named["train"])):
        classes = tuple(child.name for child in _folders(named["train"]))
        held_out = next((named[key] for key in VALIDATION if key in named), None)
        return Parts(
            train=lambda: _read(named["train"], classes, shape, grey),
            validation=None if held_out is None else lambda: _read(held_out, classes, shape, grey),
            test=lambda: _read(named["test"], classes, shape, grey),
        )
    classes = tuple(named)
    return Parts(train=lambda: _read(path, classes, shape, grey))


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _read(path: Path, classes: tuple[str, ...], size: tuple[int, int] | None, grey: bool) -> Examples:
    here = {child.name for child in _folders(path)}
    if not here:
        raise InputError(
            str(path), found="no sub-folders", expected="one sub-folder of images for each class, named after it"
        )
    unknown = sorted(here - set(classes))
    if unknown:
        raise InputError(str(path / unknown[0]), found="a class without training images", expected=", ".join(classes))
    images, labels = [], []
    for index, name in enumerate(classes):
        if name not in here:
            continue
        files = sorted(f for f in (path / name).iterdir() if _is_image(f))
        if not files:
            raise InputError(
                str(path / name), found="no images", expected=f"files ending in {', '.join(sorted(IMAGE_SUFFIXES))}"
            )
        for file in files:
            pixels = torch.from_numpy(read_image(file)).permute(2, 0, 1).float() / 255
            images.append(_fitted(pixels, size))
            labels.append(index)
            if images[-1].shape != images[0].shape:
                raise ShapeError(
                    str(file),
                    found=f"{images[-1].shape[1]} x {images[-1].shape[2]} pixels",
                    expected=f"{images[0].shape[1]} x {images[0].shape[2]}, as the first image",
                    remedy="Give size=..., to which all are brought.",
                )
    inputs = torch.stack(images)
    if grey:
        inputs = (inputs * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True).clamp(0, 1)
    return Examples(
        inputs=inputs,
        labels=torch.from_numpy(np.asarray(labels, np.int64)),
        classes=classes,
        name=path.name,
        low=0.0,
        high=1.0,
    )


def _is_image(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES


def _fitted(pixels: torch.Tensor, size: tuple[int, int] | None) -> torch.Tensor:
    """(3, h, w) -> (3, *size): scale until it covers `size`, crop the middle."""
    if size is None or pixels.shape[1:] == size:
        return pixels
    height, width = pixels.shape[1:]
    scale = max(size[0] / height, size[1] / width)
    larger = (max(size[0], round(height * scale)), max(size[1], round(width * scale)))
    scaled = torch.nn.functional.interpolate(pixels[None], larger, mode="bilinear", antialias=True)[0].clamp(0, 1)
    top, left = (larger[0] - size[0]) // 2, (larger[1] - size[1]) // 2
    return scaled[:, top : top + size[0], left : left + size[1]].contiguous()
