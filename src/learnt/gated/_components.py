"""Whitened leading principal components of inputs of any size, in bounded memory.

Directions come from the covariance of the input numbers (d x d), or, where there are many of them, from the products
of at most `SAMPLE` examples chosen by key (n x n); all examples are then projected and whitened exactly. Only the space
that the directions span matters to what is done with them, not their signs.
"""

from __future__ import annotations

import numpy as np
import torch

from learnt.core.examples import Examples

SAMPLE = 2_000
_BLOCK = 1 << 21  # numbers of one array held at a time: 16 MB
_RANK = 1e-9  # of the largest eigenvalue: float32 inputs carry about 1e-7 of the largest amplitude


def components(data: Examples, most: int) -> np.ndarray:
    """(n, k) float64 with mean 0 and covariance I; k <= most, and at most a quarter of n; k = 0 if nothing varies."""
    rows = data.inputs.detach().cpu().flatten(1)
    n, d = rows.shape
    most = max(1, min(most, n // 4, d))
    mean = torch.zeros(d, dtype=torch.float64)
    for part in _rows(n, d):
        mean += rows[part].double().sum(0)
    mean /= n
    projected = _by_numbers(rows, mean, most) if d <= SAMPLE else _by_examples(rows, mean, most, data.subset(SAMPLE))
    if not projected.shape[1]:
        return np.zeros((n, 0))
    projected = projected - projected.mean(0)
    values, vectors = np.linalg.eigh(projected.T @ projected / n)
    keep = values > max(_RANK * values[-1], 1e-300)
    return (projected @ vectors[:, keep]) / np.sqrt(values[keep])


def _by_numbers(rows: torch.Tensor, mean: torch.Tensor, most: int) -> np.ndarray:
    """(n, k) from the covariance of the input numbers."""
    n, d = rows.shape
    moments = torch.zeros(d, d, dtype=torch.float64)
    for part in _rows(n, d):
        here = rows[part].double() - mean
        moments += here.T @ here
    values, vectors = torch.linalg.eigh(moments / n)
    keep = _leading(values.numpy(), most, float(mean.abs().max()))
    basis = vectors[:, torch.from_numpy(keep)]
    return np.concatenate([((rows[part].double() - mean) @ basis).numpy() for part in _rows(n, d)])


def _by_examples(rows: torch.Tensor, mean: torch.Tensor, most: int, index: np.ndarray) -> np.ndarray:
    """(n, k) from the products of some examples: v = X^T p / |X^T p| for eigenvectors p of X X^T."""
    n, d = rows.shape
    some = rows[torch.from_numpy(index)]
    products = torch.zeros(len(some), len(some), dtype=torch.float64)
    step = max(1, _BLOCK // len(some))
    for start in range(0, d, step):
        here = some[:, start : start + step].double() - mean[start : start + step]
        products += here @ here.T
    values, vectors = torch.linalg.eigh(products / len(some))
    keep = _leading(values.numpy(), most, float(mean.abs().max()))
    kept = torch.from_numpy(keep)
    combine = vectors[:, kept] / (values[kept] * len(some)).sqrt()
    found = torch.zeros(n, combine.shape[1], dtype=torch.float64)
    for start in range(0, d, step):
        columns = slice(start, start + step)
        basis = (some[:, columns].double() - mean[columns]).T @ combine
        for part in _rows(n, basis.shape[0]):
            found[part] += (rows[part][:, columns].double() - mean[columns]) @ basis
    return found.numpy()


def _leading(values: np.ndarray, most: int, offset: float) -> np.ndarray:
    """Indices of the largest eigenvalues that are more than rounding; ascending order is given."""
    floor = max(_RANK * float(values[-1]), (1e-9 * offset) ** 2, 1e-300)
    order = np.arange(len(values))[::-1][:most]
    return order[values[order] > floor]


def _rows(n: int, d: int) -> list[slice]:
    step = max(1, _BLOCK // d)
    return [slice(start, start + step) for start in range(0, n, step)]
