"""What do two linear layers learn from any balanced start, aligned with the data or not? The whole matrix, at any time.

    Q = [W1^T; W2],   F = [[-lam/2 I, Syx^T], [Syx, +lam/2 I]],   phi(m) = (e^(2 m t) - 1) / (2 m)
    Q Q^T(t) = e^(Ft) Q0 [I + Q0^T (int_0^t e^(2Fu) du) Q0]^(-1) Q0^T e^(Ft),   W2 W1 = its lower left block

for whitened inputs, Sigma_x = I, and a balanced start, W2^T W2 - W1 W1^T = lam I (spec 1.6, item 5). Both are checked.

How it is computed. F = V diag(m) V^T. The rows of V^T Q0 are made orthogonal in the order of falling m: V^T Q0 = L U,
with U U^T = I and L lower triangular in that order. Then, with D = diag(sqrt phi), the pivots of D L as `scale`, and
G = D L / scale (by columns),

    Q Q^T = V S G (G^T G + 1/scale^2)^(-1) G^T S V^T,   S = e^(mt) / sqrt phi = sqrt(2m / (1 - e^(-2mt)))

where every entry stays bounded: below a pivot D only falls. Taking out one factor e^(max m t), as is usual, keeps the
exponent in range but loses all modes except the strongest once t is large; this keeps them all. Directions that the
start does not see (rows of V^T Q0 below rounding) are kept at zero: a saddle is not left by rounding errors.

Source: the family of Fukumizu; Braun et al. 2022; Domine et al. 2025. The stable form is derived here.
"""
# ruff: noqa: F722, F821  (shapes are no forward references)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from learnt.core.errors import NotApplicable, ShapeError
from learnt.gated._frozen import number
from learnt.gated._numbers import expm1_over, finite, times

_UNSEEN = 64 * np.finfo(np.float64).eps  # share of the start below which a direction counts as not seen


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class MatrixSolution:
    """Two layers at times t.

    Attributes:
        t: (T,) times.
        product: (T, o, i) the map W2 W1.
        inner: (T, i, i) W1^T W1, what the first layer does to similarities of inputs.
        outer: (T, o, o) W2 W2^T.
        lam: the conserved imbalance, W2^T W2 - W1 W1^T = lam I.
        balance_defect: largest entry of the difference from lam I, as a share of the larger of the two.
    """

    t: Float[np.ndarray, " T"]
    product: Float[np.ndarray, "T o i"]
    inner: Float[np.ndarray, "T i i"]
    outer: Float[np.ndarray, "T o o"]
    lam: float
    balance_defect: float

    def loss(self, sigma_yx: Float[np.ndarray, "o i"], energy: float) -> Float[np.ndarray, " T"]:
        """(T,) L(t) = energy / 2 - <W, Syx> + |W|^2 / 2.

        Args:
            sigma_yx: (o, i), as it was given.
            energy: <|y|^2>.

        Raises:
            InputError, NonFiniteError: no numbers.
        """
        w = self.product
        return energy / 2 - (w * finite(sigma_yx, "sigma_yx")).sum((1, 2)) + (w**2).sum((1, 2)) / 2


def matrix_solution(t: Any, w1: Any, w2: Any, sigma_yx: Any, sigma_x: Any, *, tol: float = 1e-6) -> MatrixSolution:
    """The gradient flow of two linear layers with whitened inputs, in closed form.

    Args:
        t: times >= 0, a number or (T,).
        w1: (h, i) first layer at time 0.
        w2: (o, h) second layer at time 0.
        sigma_yx: (o, i) correlation <y x^T>.
        sigma_x: (i, i) correlation <x x^T>; it must be the identity.
        tol: how far `sigma_x` may be from I (largest entry), and the start from balance (relative).

    Raises:
        NotApplicable: inputs are not white, or the start is not balanced.
        InputError, NonFiniteError, ShapeError: negative times, NaN or infinity, shapes that do not fit.

    Source: spec 1.6, item 5.
    """
    t_ = np.atleast_1d(times(t))
    if t_.ndim != 1:
        raise ShapeError("t", found=f"shape {t_.shape}", expected="a number or one row of times")
    first, second, target, inputs = _checked(w1, w2, sigma_yx, sigma_x)
    tol = number(tol, "tol", above=0.0)
    o, i = len(second), first.shape[1]
    away = float(np.abs(inputs - np.eye(i)).max())
    if away > tol:
        raise NotApplicable(
            "sigma_x",
            found=f"an entry {away:.2g} away from the identity",
            expected=f"whitened inputs (within {tol:g})",
            remedy="Whiten the inputs, or use the reduction to modes.",
        )
    lam, defect = balance(first, second)
    if defect > tol:
        raise NotApplicable(
            "w1, w2",
            found=f"W2^T W2 - W1 W1^T is {defect:.2g} (relative) away from a multiple of I",
            expected=f"a balanced start (within {tol:g})",
            remedy="Start with W2^T W2 = W1 W1^T + lam I; orthogonal layers of one scale are balanced with lam = 0.",
        )
    field = np.block([[-lam / 2 * np.eye(i), target.T], [target, lam / 2 * np.eye(o)]])
    m, v = np.linalg.eigh(field)
    m, v = m[::-1], v[:, ::-1]
    gram = _gram(t_, m, v, np.concatenate([first.T, second]))
    gram = np.where((t_ == 0)[:, None, None], _start(first, second), gram)
    return MatrixSolution(
        t=t_,
        product=gram[:, i:, :i],
        inner=gram[:, :i, :i],
        outer=gram[:, i:, i:],
        lam=lam,
        balance_defect=defect,
    )


def balance(w1: Float[np.ndarray, "h i"], w2: Float[np.ndarray, "o h"]) -> tuple[float, float]:
    """How balanced two layers are: lam, and the largest entry of W2^T W2 - W1 W1^T - lam I, relative.

    Relative to the largest entry of the two products; 0 if both layers are 0.

    Args:
        w1: (h, i) first layer.
        w2: (o, h) second layer.

    Raises:
        ShapeError, NonFiniteError, InputError: shapes that do not fit, NaN or infinity.
    """
    first, second = finite(w1, "w1"), finite(w2, "w2")
    _fit(first, second)
    inner, outer = second.T @ second, first @ first.T
    lam = float(np.trace(inner - outer) / len(first))
    size = max(float(np.abs(inner).max()), float(np.abs(outer).max()))
    defect = float(np.abs(inner - outer - lam * np.eye(len(first))).max())
    return lam, defect / size if size > 0 else 0.0


def _fit(w1: np.ndarray, w2: np.ndarray) -> None:
    if w1.ndim != 2 or w2.ndim != 2 or 0 in w1.shape + w2.shape or w2.shape[1] != w1.shape[0]:
        raise ShapeError(
            "w1, w2", found=f"shapes {w1.shape} and {w2.shape}", expected="(hidden, inputs) and (outputs, hidden)"
        )


def _checked(w1: Any, w2: Any, sigma_yx: Any, sigma_x: Any) -> tuple[np.ndarray, ...]:
    first, second = finite(w1, "w1"), finite(w2, "w2")
    _fit(first, second)
    target, inputs = finite(sigma_yx, "sigma_yx"), finite(sigma_x, "sigma_x")
    o, i = second.shape[0], first.shape[1]
    for name, array, shape in (("sigma_yx", target, (o, i)), ("sigma_x", inputs, (i, i))):
        if array.shape != shape:
            raise ShapeError(name, found=f"shape {array.shape}", expected=f"{shape}")
    return first, second, target, inputs


def _start(w1: np.ndarray, w2: np.ndarray) -> np.ndarray:
    q = np.concatenate([w1.T, w2])
    return q @ q.T


def _gram(t: np.ndarray, m: np.ndarray, v: np.ndarray, q0: np.ndarray) -> np.ndarray:
    """Q Q^T at positive times, (T, n, n); m falling."""
    rows, pivots = _in_order(v.T @ q0)
    if not pivots:
        return np.zeros((len(t), len(m), len(m)))
    late = np.where(t > 0, t, 1.0)[:, None]
    with np.errstate(under="ignore", over="ignore"):
        psi = expm1_over(2 * np.abs(m), late)  # (T, n)
        log_d = np.maximum(m * late, 0.0) + np.log(psi) / 2
        s = np.exp(np.minimum(m * late, 0.0) - np.log(psi) / 2)
        # column j of `rows` belongs to pivot row pivots[j] and is zero above it, where D is larger
        log_pivot = log_d[:, pivots] + np.log(rows[pivots, range(len(pivots))])  # (T, r)
        exponent = np.where(rows == 0, 0.0, log_d[:, :, None] - log_pivot[:, None, :])
        # a start far below 1 makes 1/scale large before a mode has grown: scale each column by the larger of the two
        shift = np.maximum(-log_pivot, 0.0)
        g = rows * np.exp(exponent - shift[:, None, :])
        floor = np.exp(-log_pivot - shift)[:, :, None] * np.eye(len(pivots))
        stack = np.concatenate([g, floor], axis=1)
        upper = np.linalg.qr(stack)[0][:, : len(m)]
        q = v @ (s[:, :, None] * upper)
        return q @ q.swapaxes(1, 2)


def _in_order(q: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """L of q = L U, U U^T = I, made from the first row to the last, and the row at which each column of L begins."""
    size = float(np.linalg.norm(q))
    basis = np.zeros((0, q.shape[1]))
    columns: list[np.ndarray] = []
    pivots: list[int] = []
    for k, row in enumerate(q):
        if len(basis) == q.shape[1]:
            break
        rest = row - basis.T @ (basis @ row)
        rest = rest - basis.T @ (basis @ rest)
        length = float(np.linalg.norm(rest))
        if length <= _UNSEEN * size:
            continue
        basis = np.concatenate([basis, rest[None] / length])
        column = q @ basis[-1]
        column[:k] = 0.0
        column[k] = length
        column[k + 1 :][np.abs(column[k + 1 :]) <= _UNSEEN * size] = 0.0
        columns.append(column)
        pivots.append(k)
    return np.stack(columns, axis=1) if columns else np.zeros((len(q), 0)), pivots
