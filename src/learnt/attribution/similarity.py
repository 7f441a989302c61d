"""How alike are two attribution maps of the same input?

cosine(u, v) = <u, v> / (|u| |v|), free of the scale of either map, so no min-max normalisation is needed.
Spearman's rank correlation is the same question on ranks (average ranks for ties). Both are undefined where a
map has nothing to say (all zero; for ranks, constant): the value is NaN there and the caller decides.

`win_rate` is the statistic of "What knowledge gets distilled in knowledge distillation?" (arXiv 2205.16004,
section 4.1): the share of images on which the student's map is closer to the teacher's than an independent
network's map is. The paper is silent on ties and on empty maps: here both count one half, so that
win_rate(s, i) + win_rate(i, s) = 1 always.

How it relates to the transfer score: both compare cos(T, S) with cos(T, I) on the same images. The win rate counts
how often the student is ahead, transfer = (mean cos(T, S) - mean cos(T, I)) / (1 - mean cos(T, I)) says by how much.
A win rate of one half and a transfer of 0 both mean: no closer than an independent network.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Real

from learnt.core.errors import InputError, ShapeError


def cosine(u: Real[np.ndarray, "n *shape"], v: Real[np.ndarray, "n *shape"]) -> Float[np.ndarray, "n"]:
    """Cosine of each pair of maps.

    Args:
        u, v: (n, ...) maps of equal shape.

    Returns:
        (n,) float64 in [-1, 1]; NaN where one of the maps is all zero.
    """
    u, v = _rows(u, v)
    peak_u, peak_v = np.abs(u).max(1, keepdims=True), np.abs(v).max(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = u / peak_u, v / peak_v  # tiny gradients squared would underflow
        value = (u * v).sum(1) / np.sqrt((u * u).sum(1) * (v * v).sum(1))
    return np.clip(value, -1.0, 1.0)


def spearman(u: Real[np.ndarray, "n *shape"], v: Real[np.ndarray, "n *shape"]) -> Float[np.ndarray, "n"]:
    """Rank correlation of each pair of maps, average ranks for ties.

    Args:
        u, v: (n, ...) maps of equal shape.

    Returns:
        (n,) float64 in [-1, 1]; NaN where one of the maps is constant.
    """
    from scipy.stats import rankdata

    u, v = _rows(u, v)
    ranks_u, ranks_v = rankdata(u, axis=1), rankdata(v, axis=1)
    middle = (u.shape[1] + 1) / 2
    return cosine(ranks_u - middle, ranks_v - middle)


def win_rate(student: Float[np.ndarray, "n"], independent: Float[np.ndarray, "n"]) -> float:
    """Share of images on which the student's map is closer to the teacher's than an independent network's map.

    Args:
        student: (n,) similarity of the student's map to the teacher's; NaN where it is undefined.
        independent: (n,) the same for the independent network.

    Returns:
        a number in [0, 1]; ties and undefined similarities count one half.
    """
    s, i = np.asarray(student, dtype=np.float64), np.asarray(independent, dtype=np.float64)
    if s.shape != i.shape or s.ndim != 1:
        raise ShapeError("independent", found=f"shape {i.shape}", expected=f"one value an image, as student {s.shape}")
    if s.size == 0:
        raise InputError("student", found="no images", expected="at least one")
    return float(np.mean(np.where(s > i, 1.0, np.where(s < i, 0.0, 0.5))))


def resize(maps: Float[np.ndarray, "n h w"], size: tuple[int, int]) -> Float[np.ndarray, "n {size[0]} {size[1]}"]:
    """Bilinear resampling of (n, h, w) maps to (n, *size); cells are averaged when the grid becomes coarser."""
    if maps.shape[1:] == tuple(size):
        return maps
    grid = torch.from_numpy(np.ascontiguousarray(maps, dtype=np.float64))[:, None]
    return F.interpolate(grid, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)[:, 0].numpy()


def _rows(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u, v = np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)
    if u.shape != v.shape or u.ndim < 2:
        raise ShapeError("v", found=f"shape {v.shape}", expected=f"the shape of u, {u.shape}, with an axis of maps")
    return u.reshape(len(u), -1), v.reshape(len(v), -1)
