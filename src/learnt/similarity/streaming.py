"""How similar are two layers whose features do not fit into memory? CKA from sums over minibatches.

Every sum in debiased HSIC of linear kernels is additive over examples (see `learnt.similarity.hsic`), so

    CrossStatistics.of(batch_1) + CrossStatistics.of(batch_2) + ...

gives exactly the full-batch value, for any batch sizes and any order, in O(p^2 + q^2) memory. This is not
the minibatch estimator of Nguyen et al. (2021, eq. 2-3), which averages HSIC_u over batches before taking the ratio
and therefore never sees pairs of examples from different batches; that one is here as `nguyen_minibatch_cka`.

Differences from torch_cka: x and y come from one pass, so a shuffling loader cannot misalign them; a constant layer
is reported as such; batches with fewer than four examples are left out and do not divide by zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import check_finite
from learnt.similarity.hsic import Terms, check_pair, hsic_unbiased


@dataclass(frozen=True, eq=False, kw_only=True)
class _Side:
    """What is additive over examples within one layer: origin (p,), gram X'X, total X'1, own X'k, and sums of k."""

    origin: torch.Tensor
    gram: torch.Tensor
    total: torch.Tensor
    weighted: torch.Tensor
    trace: float
    squares: float

    def __add__(self, other: _Side) -> _Side:
        return _Side(
            origin=self.origin,
            gram=self.gram + other.gram,
            total=self.total + other.total,
            weighted=self.weighted + other.weighted,
            trace=self.trace + other.trace,
            squares=self.squares + other.squares,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossStatistics:
    """The sums over examples that determine linear CKA of two layers; add those of minibatches to get the whole.

    Attributes:
        n: number of examples.
        x, y: sums within each layer.
        product: (p, q) X'Y.
        xl, yk: (p,) X'l and (q,) Y'k, with k and l the squared norms of the rows.
        diagonals: sum of k_i l_i.
    """

    n: int
    x: _Side
    y: _Side
    product: torch.Tensor
    xl: torch.Tensor
    yk: torch.Tensor
    diagonals: float

    @classmethod
    def of(cls, x: torch.Tensor, y: torch.Tensor, *, like: CrossStatistics | None = None) -> CrossStatistics:
        """The sums of one minibatch x (b, p), y (b, q), b >= 1.

        Args:
            x, y: features of the same examples.
            like: statistics of an earlier minibatch; rows are measured from its first example, which keeps digits
                where features have a large mean. Statistics can be added only if they share it.

        Raises:
            ShapeError, NonFiniteError: on unequal lengths, NaN or infinity.
        """
        check_pair(x, y, least=1)
        sides, rows, norms = [], [], []
        for name, values, old in (("x", x, like and like.x), ("y", y, like and like.y)):
            check_finite(values, name)
            moved = values.detach().double()
            origin = moved[0].clone() if old is None else old.origin
            if origin.shape != moved.shape[1:]:
                raise ShapeError(name, found=f"{moved.shape[1]} features", expected=f"{len(origin)}, as before")
            moved = moved - origin
            k = moved.square().sum(1)
            sides.append(
                _Side(
                    origin=origin,
                    gram=moved.T @ moved,
                    total=moved.sum(0),
                    weighted=moved.T @ k,
                    trace=float(k.sum()),
                    squares=float(k @ k),
                )
            )
            rows.append(moved)
            norms.append(k)
        return cls(
            n=len(x),
            x=sides[0],
            y=sides[1],
            product=rows[0].T @ rows[1],
            xl=rows[0].T @ norms[1],
            yk=rows[1].T @ norms[0],
            diagonals=float(norms[0] @ norms[1]),
        )

    def __add__(self, other: CrossStatistics) -> CrossStatistics:
        if not torch.equal(self.x.origin, other.x.origin) or not torch.equal(self.y.origin, other.y.origin):
            raise InputError(
                "statistics",
                found="sums measured from different origins",
                expected="the same origin",
                remedy="Make the later ones with CrossStatistics.of(x, y, like=first).",
            )
        return CrossStatistics(
            n=self.n + other.n,
            x=self.x + other.x,
            y=self.y + other.y,
            product=self.product + other.product,
            xl=self.xl + other.xl,
            yk=self.yk + other.yk,
            diagonals=self.diagonals + other.diagonals,
        )

    @property
    def terms(self) -> Terms:
        """The terms of the pair, as if all examples had been there at once."""
        return _terms(self.n, self.x, self.y, self.product, self.xl, self.yk, self.diagonals)

    def cka(self, *, debiased: bool = True) -> float:
        """Linear CKA of everything added so far.

        Raises:
            InputError: on fewer than 4 examples.
            NotApplicable: if a layer is constant.
        """
        least = 4 if debiased else 2
        if self.n < least:
            raise InputError("examples", found=f"{self.n}", expected=f"at least {least}")
        own = []
        for name, side in (("x", self.x), ("y", self.y)):
            terms = _terms(self.n, side, side, side.gram, side.weighted, side.weighted, side.squares)
            value = float(terms.value(debiased)[0])
            if value <= 1e-12 * float(terms.product[0]) / self.n**2:
                raise NotApplicable(name, found="layer constant", expected="features that vary between examples")
            own.append(value)
        ratio = float(self.terms.value(debiased)[0]) / np.sqrt(own[0]) / np.sqrt(own[1])
        return float(np.clip(ratio, -1.0, 1.0))


def _terms(
    n: int, x: _Side, y: _Side, product: torch.Tensor, xl: torch.Tensor, yk: torch.Tensor, diagonals: float
) -> Terms:
    def one(value: torch.Tensor | float) -> np.ndarray:
        return np.array([float(value)])

    return Terms(
        n=np.array([float(n)]),
        product=one(product.square().sum()),
        diagonals=one(diagonals),
        total_k=one(x.total @ x.total),
        total_l=one(y.total @ y.total),
        trace_k=one(x.trace),
        trace_l=one(y.trace),
        rows=one(x.total @ (product @ y.total)),
        rows_k=one(x.total @ xl),
        rows_l=one(y.total @ yk),
    )


def streaming_cka(batches: Iterable[tuple[torch.Tensor, torch.Tensor]], *, debiased: bool = True) -> float:
    """Linear CKA of all examples in pairs of minibatches (b, p), (b, q): the full-batch value, in one pass.

    Raises:
        InputError: on fewer than 4 examples in all. ShapeError, NonFiniteError, NotApplicable: as `linear_cka`.
    """
    sums: CrossStatistics | None = None
    first: CrossStatistics | None = None
    for x, y in batches:
        part = CrossStatistics.of(x, y, like=first)
        first = first or part
        sums = part if sums is None else sums + part
    if sums is None:
        raise InputError("batches", found="no minibatch", expected="at least one")
    return sums.cka(debiased=debiased)


def nguyen_minibatch_cka(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """The minibatch estimator of Nguyen et al. (2021): HSIC_u averaged over batches, then the ratio.

    Batches with fewer than four examples are left out; all others count alike, as in the paper.

    Raises:
        InputError: if no batch has four examples. NotApplicable: if a layer is constant in every batch.
    """
    sums = np.zeros(3)
    count = 0
    for x, y in batches:
        check_pair(x, y, least=1)
        if len(x) >= 4:
            sums += [hsic_unbiased(x, y), hsic_unbiased(x, x), hsic_unbiased(y, y)]
            count += 1
    if not count:
        raise InputError("batches", found="no batch with four examples", expected="at least one")
    if not (sums[1] > 0 and sums[2] > 0):
        raise NotApplicable("features", found="layer constant", expected="features that vary between examples")
    return float(sums[0] / np.sqrt(sums[1]) / np.sqrt(sums[2]))
