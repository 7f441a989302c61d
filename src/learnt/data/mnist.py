"""MNIST and Fashion-MNIST from their four IDX files, plain or gzipped: (n, 1, 28, 28) in [0, 1].

Sources: LeCun, Cortes & Burges; Xiao, Rasul & Vollgraf 2017 (arXiv 1708.07747). 60,000 training and 10,000 test
images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from learnt.core.errors import ShapeError
from learnt.core.examples import Examples
from learnt.data._files import Root, folder, require
from learnt.data.splits import Parts
from learnt.io.formats import read_idx

CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
}
SUBFOLDERS = {
    "mnist": ("mnist", "MNIST/raw", "MNIST"),
    "fashion_mnist": ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw", "FashionMNIST"),
}
HOW = {
    "mnist": "Get the four .gz files of MNIST, for instance from https://ossci-datasets.s3.amazonaws.com/mnist/, and "
    "give their folder as root.",
    "fashion_mnist": "Get the four .gz files in data/fashion of https://github.com/zalandoresearch/fashion-mnist, and "
    "give their folder as root.",
}


def mnist(name: str, root: Root | None) -> Parts:
    """The official training and test parts of "mnist" or "fashion_mnist" under `root`."""
    folders = folder(name, root, SUBFOLDERS[name], HOW[name])
    return Parts(train=lambda: _read(name, folders, "train"), test=lambda: _read(name, folders, "t10k"))


def _read(name: str, folders: list[Path], prefix: str) -> Examples:
    images_path = require(folders, [f"{prefix}-images-idx3-ubyte", f"{prefix}-images.idx3-ubyte"], HOW[name])
    labels_path = require(folders, [f"{prefix}-labels-idx1-ubyte", f"{prefix}-labels.idx1-ubyte"], HOW[name])
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ShapeError(
            str(images_path),
            found=f"{images.dtype} of shape {images.shape}",
            expected="uint8 images (n, height, width)",
        )
    if labels.shape != images.shape[:1]:
        raise ShapeError(str(labels_path), found=f"shape {labels.shape}", expected=f"({len(images)},), one an image")
    return Examples(
        inputs=torch.from_numpy(images).float().div_(255)[:, None],
        labels=torch.from_numpy(labels.astype(np.int64)),
        classes=CLASSES[name],
        name=name,
        low=0.0,
        high=1.0,
    )
