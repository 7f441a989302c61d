"""Changes of inputs under which a model's answers may or may not stay the same, one frozen class each.

    augmented = Rotate(strength=15)(inputs, examples.keys)

Each example's parameters come from the hash of its input (`Examples.keys`), the transform's name and `seed`, so that
every model is shown the same change of the same example, and neither the order of the examples nor the batch size
changes a bit. Two objects that differ in `strength` only draw the same random numbers: a sweep over strengths moves
each example along one path. `strength` 0 is the identity. Images are (n, C, H, W) in [0, 1]; u is uniform in [0, 1).
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
import torch

from learnt.data.columns import ColumnNoise as ColumnNoise
from learnt.data.columns import ColumnPermutation as ColumnPermutation
from learnt.data.columns import TokenDropout as TokenDropout
from learnt.data.columns import TokenSwap as TokenSwap
from learnt.data.geometric import CropResize as CropResize
from learnt.data.geometric import Cutout as Cutout
from learnt.data.geometric import HorizontalFlip as HorizontalFlip
from learnt.data.geometric import Rotate as Rotate
from learnt.data.geometric import Translate as Translate
from learnt.data.photometric import Blur as Blur
from learnt.data.photometric import Brightness as Brightness
from learnt.data.photometric import ColourJitter as ColourJitter
from learnt.data.photometric import Contrast as Contrast
from learnt.data.photometric import GaussianNoise as GaussianNoise
from learnt.data.photometric import Hue as Hue
from learnt.data.photometric import Saturation as Saturation


class Transform(Protocol):
    """What an invariance question needs: a name, a strength and the change itself."""

    name: ClassVar[str]

    @property
    def strength(self) -> float:
        """How strong the change is, in the unit that the class documents; 0 for none."""
        ...

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """Inputs (n, ...) and (n,) uint64 keys -> the changed inputs, of the same shape."""
        ...


IMAGE_TRANSFORMS = (
    Brightness,
    Contrast,
    Saturation,
    Hue,
    ColourJitter,
    GaussianNoise,
    Blur,
    Rotate,
    Translate,
    CropResize,
    HorizontalFlip,
    Cutout,
)
COLUMN_TRANSFORMS = (ColumnNoise, ColumnPermutation, TokenDropout, TokenSwap)
