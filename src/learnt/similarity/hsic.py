"""How strongly do two sets of features depend on each other? HSIC, its unbiased estimator, and its jackknife.

For kernel matrices K, L of the same n examples, with K~, L~ their copies with zero diagonal,

    HSIC_u = [tr(K~L~) + 1'K~1 1'L~1 / ((n-1)(n-2)) - 2/(n-2) 1'K~L~1] / (n(n-3))      Song et al. 2012, eq. 5
    HSIC_b = tr(KHLH) / (n-1)^2,  H = I - 11'/n                                          Gretton et al. 2005

Both are functions of a few sums (`Terms`), and for linear kernels K = XX', L = YY' every sum is additive over
examples: X'Y, X'1, k = diag K, X'l and so on. There are therefore two ways to the same numbers: the feature form,
O(n p q), and the Gram form, O(n^2 (p + q)); `cross` takes the cheaper one. (A layer with more features than examples
keeps its Gram matrix, which is then the smaller of the two.) Leaving out one group of examples subtracts the sums of
that group, so the delete-a-group jackknife costs one pass over the data in either form.

Differences from common code: sum(K*L) instead of trace(K@L), float64 throughout, features moved to zero mean and
unit size first (HSIC_u ignores shifts; CKA ignores both), so that neither a large mean nor a tiny or huge scale
loses digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, Int, Real
from torch import Tensor

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import check_finite

BLOCK = 3_000_000  # float64 entries of scratch space in the blocked products: 24 MB

SMALL = 512  # rows up to which a Gram matrix in one product beats one triangle in pieces


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The sums that determine HSIC; each entry is an array (s,), one value for each set of examples.

    Attributes:
        n: number of examples.
        product: tr(KL), diagonal included.
        diagonals: sum_i k_ii l_ii.
        total_k, total_l: 1'K1 and 1'L1.
        trace_k, trace_l: tr K and tr L.
        rows: 1'KL1 = sum_i (K1)_i (L1)_i.
        rows_k, rows_l: sum_i (K1)_i l_ii and sum_i (L1)_i k_ii.
    """

    n: np.ndarray
    product: np.ndarray
    diagonals: np.ndarray
    total_k: np.ndarray
    total_l: np.ndarray
    trace_k: np.ndarray
    trace_l: np.ndarray
    rows: np.ndarray
    rows_k: np.ndarray
    rows_l: np.ndarray

    @property
    def unbiased(self) -> np.ndarray:
        """(s,) HSIC_u; n >= 4."""
        n = self.n
        product = self.product - self.diagonals
        totals = (self.total_k - self.trace_k) * (self.total_l - self.trace_l)
        rows = self.rows - self.rows_k - self.rows_l + self.diagonals
        return (product + totals / ((n - 1) * (n - 2)) - 2.0 / (n - 2) * rows) / (n * (n - 3))

    @property
    def biased(self) -> np.ndarray:
        """(s,) HSIC_b; n >= 2."""
        n = self.n
        return (self.product - 2.0 / n * self.rows + self.total_k * self.total_l / n**2) / (n - 1) ** 2

    def value(self, debiased: bool) -> np.ndarray:
        """(s,) HSIC_u if `debiased`, else HSIC_b."""
        return self.unbiased if debiased else self.biased


@dataclass(frozen=True, eq=False, kw_only=True)
class Kernel:
    """One layer made ready for comparisons: centred, scaled features or a Gram matrix, rows in order of their group.

    Attributes:
        features: (n, p) float64, or None where only the Gram matrix exists (RBF).
        gram_: (n, n) float64, or None to form it from the features when a comparison needs it.
        diagonal: (n,) float64, k_ii.
        bounds: (g + 1,) int64, rows of group j are bounds[j]:bounds[j + 1]; (1,) for no groups.
        scale: what the features were divided by.
        reason: why no similarity exists for this layer, or empty.
    """

    features: torch.Tensor | None
    gram_: torch.Tensor | None
    diagonal: torch.Tensor
    bounds: np.ndarray
    scale: float = 1.0
    reason: str = ""

    @cached_property
    def gram(self) -> torch.Tensor:
        """(n, n) kernel matrix."""
        if self.gram_ is not None:
            return self.gram_
        if self.features is None:
            raise InputError("kernel", found="neither features nor a Gram matrix", expected="one of the two")
        return _self_products(self.features)

    @property
    def width(self) -> int:
        """Number of features that a Gram matrix still has to be formed from; 0 once it exists."""
        return 0 if self.features is None or "gram" in self.__dict__ else self.features.shape[1]

    @cached_property
    def row_sums(self) -> torch.Tensor:
        """(n, g + 1) sums of the Gram matrix over all columns, then over the columns of each group."""
        parts = [self.gram[:, a:b].sum(1) for a, b in zip(self.bounds[:-1], self.bounds[1:])]
        return torch.stack([self.gram.sum(1), *parts], 1)

    @cached_property
    def own(self) -> Terms:
        """The terms of the layer with itself."""
        return cross(self, self)

    def __len__(self) -> int:
        return len(self.diagonal)


def _self_products(x: torch.Tensor) -> torch.Tensor:
    """(n, n) XX' from its upper triangle, in blocks of rows: little more than half the work of the whole product."""
    n = len(x)
    if n <= SMALL:
        return x @ x.T
    out = x.new_empty((n, n))
    height = max(64, -(-n // 8))
    for top in range(0, n, height):
        rows = slice(top, top + height)
        torch.mm(x[rows], x[top:].T, out=out[rows, top:])
        out[top + height :, rows] = out[rows, top + height :].T
    return out


def group_bounds(n: int, groups: int) -> Int[np.ndarray, "{groups}+1"]:
    """(g + 1,) row limits of the groups {rank modulo g} once rows are sorted by group; [n] for g = 0."""
    if groups == 0:
        return np.array([n])
    sizes = np.full(groups, n // groups) + (np.arange(groups) < n % groups)
    return np.concatenate([[0], np.cumsum(sizes)])


def check_pair(x: torch.Tensor, y: torch.Tensor, *, least: int = 4) -> None:
    """Raise ShapeError or InputError unless x (n, p) and y (n, q) hold the same n >= `least` examples."""
    for name, values in (("x", x), ("y", y)):
        if values.ndim != 2 or values.shape[1] == 0:
            raise ShapeError(name, found=f"shape {tuple(values.shape)}", expected="(examples, features)")
    if len(x) != len(y):
        raise ShapeError("y", found=f"{len(y)} examples", expected=f"{len(x)}, as many as x has")
    if len(x) < least:
        raise InputError(
            "examples",
            found=f"{len(x)}",
            expected=f"at least {least}",
            remedy="The unbiased estimator divides by n - 3.",
        )


def cross(a: Kernel, b: Kernel) -> Terms:
    """The terms of two layers: of all examples first, then without each group in turn.

    Raises:
        ShapeError: if the layers hold different numbers of examples or groups.
    """
    if len(a) != len(b) or len(a.bounds) != len(b.bounds):
        raise ShapeError("b", found=f"{len(b)} examples", expected=f"{len(a)}, the same examples as a")
    by_features = False
    if a.features is not None and b.features is not None:
        n, p, q = len(a), a.features.shape[1], b.features.shape[1]
        formed = n * n * sum(k.width for k in {id(k): k for k in (a, b)}.values())
        by_features = n * p * q <= formed + n * n
    if len(a.bounds) > 1:
        return _feature_terms(a, b) if by_features else _gram_terms(a, b)
    return _whole_terms(a, b, by_features=by_features)


def _whole_terms(a: Kernel, b: Kernel, *, by_features: bool) -> Terms:
    """Terms of all examples alone: kernels are centred, so that every row of a Gram matrix sums to zero."""
    if by_features and a.features is not None and b.features is not None:
        step = max(1, BLOCK // b.features.shape[1])
        parts = [(x.T @ b.features).square_().sum() for x in a.features.split(step, 1)]
    else:
        step = max(1, BLOCK // len(a))
        parts = [torch.dot(k.flatten(), l.flatten()) for k, l in zip(a.gram.split(step), b.gram.split(step))]
    zero = np.zeros(1)
    return Terms(
        n=np.array([float(len(a))]),
        product=torch.stack(parts).sum(0, keepdim=True).numpy(),
        diagonals=torch.dot(a.diagonal, b.diagonal)[None].numpy(),
        total_k=zero,
        total_l=zero,
        trace_k=a.diagonal.sum(0, keepdim=True).numpy(),
        trace_l=b.diagonal.sum(0, keepdim=True).numpy(),
        rows=zero,
        rows_k=zero,
        rows_l=zero,
    )


def _group_sums(values: torch.Tensor, bounds: np.ndarray) -> torch.Tensor:
    """(n, ...) -> (g + 1, ...): the sum over all rows, then the sum without each group."""
    total = values.sum(0, keepdim=True)
    parts = torch.stack([values[i:j].sum(0) for i, j in zip(bounds[:-1], bounds[1:])])
    return torch.cat([total, total - parts])


def _sizes(n: int, bounds: np.ndarray) -> np.ndarray:
    return np.concatenate([[n], n - np.diff(bounds)]).astype(np.float64)


def _feature_terms(a: Kernel, b: Kernel) -> Terms:
    """Terms from features (n, p), (n, q): O(n p q) time, O(p + q) memory beyond the inputs and one block."""
    x, y, bounds = a.features, b.features, a.bounds
    if x is None or y is None:
        raise InputError("kernel", found="a kernel without features", expected="linear kernels")
    k, l = a.diagonal, b.diagonal
    sx, sy = _group_sums(x, bounds), _group_sums(y, bounds)
    xl = _leave_out(lambda i, j: x[i:j].T @ l[i:j], bounds)
    yk = _leave_out(lambda i, j: y[i:j].T @ k[i:j], bounds)
    product = torch.zeros(len(bounds), dtype=torch.float64)
    rows = torch.zeros(len(bounds), dtype=torch.float64)
    width = max(1, BLOCK // (len(bounds) * y.shape[1]))
    for start in range(0, x.shape[1], width):  # a block of columns of X'Y for all groups at once
        xs, ss = x[:, start : start + width], sx[:, start : start + width]
        part = _leave_out(lambda i, j, xs=xs: xs[i:j].T @ y[i:j], bounds)
        rows += (ss * torch.bmm(part, sy[:, :, None])[:, :, 0]).sum(1)
        product += part.square_().sum((1, 2))
    return Terms(
        n=_sizes(len(x), bounds),
        product=product.numpy(),
        diagonals=_group_sums(k * l, bounds).numpy(),
        total_k=sx.square().sum(1).numpy(),
        total_l=sy.square().sum(1).numpy(),
        trace_k=_group_sums(k, bounds).numpy(),
        trace_l=_group_sums(l, bounds).numpy(),
        rows=rows.numpy(),
        rows_k=(sx * xl).sum(1).numpy(),
        rows_l=(sy * yk).sum(1).numpy(),
    )


def _leave_out(part: Callable[[int, int], torch.Tensor], bounds: np.ndarray) -> torch.Tensor:
    """(g + 1, ...): a quantity that is additive over rows, for all rows and without each group."""
    first = part(int(bounds[0]), int(bounds[1]))
    out = first.new_empty((len(bounds), *first.shape))
    out[1] = first
    for g in range(1, len(bounds) - 1):
        out[g + 1] = part(int(bounds[g]), int(bounds[g + 1]))
    torch.sum(out[1:], 0, out=out[0])
    out[1:].neg_().add_(out[0])
    return out


def _gram_terms(a: Kernel, b: Kernel) -> Terms:
    """Terms from Gram matrices: O(n^2) time once the matrices exist."""
    bounds = a.bounds
    k, l = a.diagonal, b.diagonal
    rk, rl = a.row_sums, b.row_sums
    without_k = rk[:, :1] - torch.cat([torch.zeros_like(rk[:, :1]), rk[:, 1:]], 1)  # row sums without each group
    without_l = rl[:, :1] - torch.cat([torch.zeros_like(rl[:, :1]), rl[:, 1:]], 1)
    inside = torch.ones(len(k), len(bounds), dtype=torch.float64)  # which rows are left for each set
    for j, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:])):
        inside[start:stop, j + 1] = 0.0
    width = max(1, BLOCK // len(k))
    row_product = torch.cat([(a.gram[i : i + width] * b.gram[i : i + width]).sum(1) for i in range(0, len(k), width)])
    product = torch.empty(len(bounds), dtype=torch.float64)
    product[0] = row_product.sum()
    for j, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:])):
        block = (a.gram[start:stop, start:stop] * b.gram[start:stop, start:stop]).sum()
        product[j + 1] = product[0] - 2 * row_product[start:stop].sum() + block
    return Terms(
        n=_sizes(len(k), bounds),
        product=product.numpy(),
        diagonals=((k * l)[:, None] * inside).sum(0).numpy(),
        total_k=(without_k * inside).sum(0).numpy(),
        total_l=(without_l * inside).sum(0).numpy(),
        trace_k=(k[:, None] * inside).sum(0).numpy(),
        trace_l=(l[:, None] * inside).sum(0).numpy(),
        rows=(without_k * without_l * inside).sum(0).numpy(),
        rows_k=(without_k * l[:, None] * inside).sum(0).numpy(),
        rows_l=(without_l * k[:, None] * inside).sum(0).numpy(),
    )


def hsic_unbiased(x: Real[Tensor, "n p"], y: Real[Tensor, "n q"]) -> float:
    """HSIC_u of linear kernels of x (n, p) and y (n, q); n >= 4; may be negative.

    Raises:
        ShapeError, InputError, NonFiniteError: on unequal or fewer than 4 examples, NaN or infinity.
    """
    return _hsic(x, y, debiased=True)


def hsic_biased(x: Real[Tensor, "n p"], y: Real[Tensor, "n q"]) -> float:
    """HSIC_b of linear kernels of x (n, p) and y (n, q); never negative; n >= 2."""
    return _hsic(x, y, debiased=False)


def _hsic(x: torch.Tensor, y: torch.Tensor, *, debiased: bool) -> float:
    check_pair(x, y, least=4 if debiased else 2)
    kernels = []
    for name, values in (("x", x), ("y", y)):
        check_finite(values, name)
        moved = values.detach().double() - values.detach().double().mean(0)
        kernels.append(
            Kernel(features=moved, gram_=None, diagonal=moved.square().sum(1), bounds=group_bounds(len(moved), 0))
        )
    return float(cross(*kernels).value(debiased)[0])


def cka_of(a: Kernel, b: Kernel, *, debiased: bool = True) -> Float64[np.ndarray, "{len(a.bounds)}"]:
    """(g + 1,) CKA of all examples, then without each group; NaN where a remainder has no variation.

    Raises:
        NotApplicable: if one of the layers has no variation on all examples.
    """
    for kernel in (a, b):
        if kernel.reason:
            raise NotApplicable("features", found=kernel.reason, expected="features that vary between examples")
    own = a.own.value(debiased) * b.own.value(debiased)
    limit = 1e-24 * own[0]  # far below what rounding leaves of a group-wise constant layer
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(own > limit, cross(a, b).value(debiased) / np.sqrt(own), np.nan)
    return np.clip(values, -1.0, 1.0)  # Cauchy-Schwarz holds exactly; only rounding can exceed it
