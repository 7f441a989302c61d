"""The linear kernel of a layer, made ready for HSIC: centred, scaled, and in the order of its jackknife groups.

HSIC ignores shifts and CKA ignores scale, so features are moved to zero mean and largest absolute value 1 first:
neither a large mean nor a tiny or huge scale then costs digits. A layer that does not vary is recognised here, once.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float64, Int, Real, UInt64
from torch import Tensor

from learnt.core.errors import ShapeError
from learnt.core.examples import check_finite
from learnt.similarity.hsic import Kernel, group_bounds


def group_order(keys: UInt64[np.ndarray, "n"], groups: int) -> Int[np.ndarray, "n"]:
    """(n,) positions of the examples sorted by group (rank of the key modulo `groups`), then by rank.

    The order depends on the keys only, so it brings the same examples into the same rows whatever the order of
    the data; examples with equal keys are equal examples.
    """
    ranked = np.argsort(keys, kind="stable")
    return np.concatenate([ranked[j::groups] for j in range(groups)]) if groups else ranked


def centred(x: Real[Tensor, "n p"], name: str = "x") -> tuple[Float64[Tensor, "n p"], float]:
    """(n, p) float64 copy of `x` with zero mean and largest absolute value 1, and its scale, 0 for a constant layer.

    Raises:
        NonFiniteError: if `x` holds NaN or infinity.
    """
    resolution = torch.finfo(x.dtype if x.is_floating_point() else torch.float64).eps
    largest = _largest(x)
    if not math.isfinite(largest):
        check_finite(x, name)
    values = x.detach().to(torch.float64, copy=True)
    values -= values[0].clone()  # exactly zero for a constant layer, which a subtracted mean would not be
    values -= values.mean(0)
    spread = _largest(values)
    if spread <= 8 * resolution * largest:
        return values.zero_(), 0.0
    return values.div_(spread), spread


def _largest(x: torch.Tensor) -> float:
    low, high = torch.aminmax(x)  # one pass, where abs().max() needs a copy and two
    return max(-float(low), float(high))


def linear_kernel(
    x: Real[Tensor, "n p"], *, keys: UInt64[np.ndarray, "n"] | None = None, groups: int = 0, name: str = "x"
) -> Kernel:
    """The linear kernel of features (n, p), with `groups` jackknife groups by key (n,) uint64.

    Raises:
        ShapeError, NonFiniteError: on a wrong shape, NaN or infinity.
    """
    if x.ndim != 2 or x.shape[1] == 0:
        raise ShapeError(name, found=f"shape {tuple(x.shape)}", expected="(examples, features)")
    if keys is not None:
        x = x[torch.from_numpy(group_order(keys, groups))]
    values, scale = centred(x, name)
    kernel = Kernel(
        features=values,
        gram_=None,
        diagonal=torch.linalg.vector_norm(values, dim=1).square_(),  # one pass, no copy
        bounds=group_bounds(len(values), groups),
        scale=scale,
        reason="" if scale else "layer constant: it gives every example the same features",
    )
    return with_reason(kernel) if scale else kernel


def with_reason(kernel: Kernel) -> Kernel:
    """`kernel` with `reason` filled in if fewer than two examples vary, so that its HSIC with itself is zero."""
    if len(kernel) < 4:
        return kernel
    own = kernel.own
    if own.unbiased[0] > 1e-12 * own.product[0] / own.n[0] ** 2:
        return kernel
    return replace(kernel, reason="layer constant: at most one example differs from the others")
