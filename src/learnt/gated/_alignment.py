"""How alike are two kernels over the same examples? Debiased centred alignment, with each group of examples left out.

    HSIC_u(K, L) = [ sum_ij K_ij L_ij + sum K sum L / ((n-1)(n-2)) - 2/(n-2) sum_i (K1)_i (L1)_i ] / (n(n-3))
    alignment = HSIC_u(K, L) / sqrt(HSIC_u(K, K) HSIC_u(L, L))            diagonals are 0 throughout

Song et al. 2012 (JMLR 13), eq. 5; Kornblith et al. 2019 (arXiv 1905.00414), eq. 4. The sums without a group follow from
sums by group, so that the jackknife costs one product of the matrices with the indicators of the groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from learnt.core.errors import InputError, NotApplicable

_NOTHING = 1e-18  # of the mean square of the entries: what rounding leaves of a constant kernel


@final
@dataclass(frozen=True, eq=False)
class Gram:
    """A kernel made ready: its mean taken off (HSIC_u ignores it), diagonal 0, largest entry 1.

    Attributes:
        values: (n, n) float64.
        shown: (n, groups) 1 where an example is in a group.
    """

    values: np.ndarray
    shown: np.ndarray

    @cached_property
    def rows(self) -> np.ndarray:
        """(n, groups + 1) row sums, of all columns and without each group; 0 for the examples of that group."""
        by_group = self.values @ self.shown
        whole = by_group.sum(1, keepdims=True)
        return np.concatenate([whole, np.where(self.shown > 0, 0.0, whole - by_group)], 1)

    @cached_property
    def own(self) -> np.ndarray:
        """(groups + 1,) HSIC_u with itself, of all examples and without each group; 0 for a constant kernel."""
        found = hsic(self, self)
        return np.where(found > _NOTHING * max(float(np.square(self.values).mean()), 1e-300), found, 0.0)


def gram(kernel: np.ndarray, groups: int) -> Gram:
    """Make an (n, n) kernel ready; examples are in the order of their keys, and i is in group i modulo `groups`."""
    n = len(kernel)
    inside = ~np.eye(n, dtype=bool)
    largest = float(np.abs(kernel).max(initial=0.0, where=inside))
    values = kernel / largest if largest > 0 else np.zeros_like(kernel)
    values = np.where(inside, values - values.mean(where=inside), 0.0)
    spread = float(np.abs(values).max())
    values = values / spread if spread > 1e-12 else np.zeros_like(values)
    return Gram(values, (np.arange(n)[:, None] % groups == np.arange(groups)).astype(np.float64))


def hsic(a: Gram, b: Gram) -> np.ndarray:
    """(groups + 1,) HSIC_u of all examples, then without each group."""
    blocks = a.shown.T @ ((a.values * b.values) @ a.shown)
    total = blocks.sum()
    product = np.concatenate([[total], total - 2 * blocks.sum(1) + np.diagonal(blocks)])
    n = np.concatenate([[len(a.values)], len(a.values) - a.shown.sum(0)])
    sums = a.rows.sum(0) * b.rows.sum(0)
    rows = (a.rows * b.rows).sum(0)
    return (product + sums / ((n - 1) * (n - 2)) - 2.0 / (n - 2) * rows) / (n * (n - 3))


def unit_centred(kernel: np.ndarray) -> np.ndarray:
    """(n * n,) float32: a kernel U-centred and of length 1, so that products of two are their alignment; 0 if constant.

    U-centring takes off row and column means in the way that makes <K~, L~> = n (n - 3) HSIC_u (Szekely, Rizzo 2014).
    """
    values = gram(kernel, 1).values
    n, rows = len(values), values.sum(1)
    values = values - (rows[:, None] + rows) / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(values, 0.0)
    size = float(np.linalg.norm(values))
    return (values / size if size**2 > _NOTHING * n * n else np.zeros_like(values)).astype(np.float32).ravel()


def alignment(a: Gram, b: Gram) -> np.ndarray:
    """(groups + 1,) debiased alignment of all examples, then without each group; NaN where a kernel is constant."""
    size = np.sqrt(a.own * b.own)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(np.where(size > 0, hsic(a, b) / size, np.nan), -1.0, 1.0)


def group_count(n: int, groups: int) -> int:
    """`groups`, or as many as it takes for each remainder to have 4 of n examples.

    Raises:
        InputError: fewer than 2 groups. NotApplicable: fewer than 5 examples.
    """
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 2:
        raise InputError("groups", found=repr(groups), expected="an integer of at least 2")
    if n < 5:
        raise NotApplicable("examples", found=f"{n}", expected="at least 5, for a similarity with an interval")
    chosen = min(groups, n)
    while n - -(-n // chosen) < 4:
        chosen += 1
    return chosen
