"""What is a state worth under a fixed policy, and which potential removes most of a reward? Linear least squares.

With y_ik = phi(s_i) - gamma (1 - terminated_ik) phi(s'_ik) and V(s) = phi(s)' w:

    value      sum_i phi(s_i) (mean_k R_ik - ybar_i' w) = 0        LSTD, Bradtke and Barto 1996
    minimal    min_w sum_i (E_k[R_ik - y_ik' w])^2                 the least reward that shaping can reach

and delta_ik = R_ik - y_ik' w = R_ik + gamma V(s'_ik) - V(s_i) in both. For `minimal` and stochastic dynamics the square
of the mean is estimated without bias from two or more successors, [K^2 xbar ybar - sum_k x_k y_k] / (K (K - 1)).

w is linear in R and there is no ridge, so a potential in the span of phi is removed exactly, at any sample size; with a
ridge it would not be. Columns are brought to one scale, and singular values below `cut` times the largest are dropped
(collinear features). A and all right-hand sides are accumulated in one pass, and one step of iterative refinement
cleans rounding noise; where A has a condition above 1e8, QR of the features takes the place of A. Features are kept
between passes only while they are small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.data.transitions import Transitions
from learnt.rewards.features import FeatureMap, Fourier, Polynomial

CHUNK = 16 * 2**20  # bytes of features at a time
KEEP = 512 * 2**20  # bytes of features kept between passes
NORMAL = 1e8  # largest condition number for which the equations are solved as they are
POOR = 1e10  # condition number worth a warning


@final
@dataclass(frozen=True, kw_only=True)
class LSTD:
    """How values (or the potentials of the minimal form) are fitted.

    Attributes:
        features: `Fourier`, `Polynomial`, or any function from observations (n, ...) to features (n, p).
        cut: singular values below this share of the largest are dropped. What is dropped are combinations of features
            that hardly differ from 0 anywhere; potentials in the span are still removed to this precision.
    """

    features: Fourier | Polynomial | FeatureMap = Fourier()
    cut: float = 1e-12

    def __post_init__(self) -> None:
        if not callable(self.features) and not isinstance(self.features, Fourier | Polynomial):
            raise InputError(
                "features", found=type(self.features).__name__, expected="Fourier(), Polynomial() or a function"
            )
        if not 0 < self.cut < 1:
            raise InputError("cut", found=str(self.cut), expected="a number above 0 and below 1")

    def fit(self, obs: np.ndarray) -> FeatureMap:
        """The feature map for observations like `obs`."""
        if isinstance(self.features, Fourier | Polynomial):
            return self.features.fit(obs)
        return self.features


class Design:
    """Features of transitions, in chunks: (slice, phi (n, p), y (n, K, p)); y as in the module text.

    Args:
        features: a feature map.
        data: the transitions.
        discount: gamma.
    """

    def __init__(self, features: FeatureMap, data: Transitions, discount: float) -> None:
        self.features, self.data, self.discount = features, data, discount
        self.width = _apply(features, data.obs[:1]).shape[1]
        row = 8 * self.width * (1 + data.successors)
        self._step = max(1, CHUNK // row)
        self._kept: list[tuple[slice, np.ndarray, np.ndarray]] = []
        self._keep = row * len(data) <= KEEP

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        if self._kept:
            yield from self._kept
            return
        made = []
        for start in range(0, len(self.data), self._step):
            part = slice(start, min(start + self._step, len(self.data)))
            chunk = (part, *self._chunk(part))
            if self._keep:
                made.append(chunk)
            yield chunk
        self._kept = made

    def _chunk(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        ahead = self.data.next_obs[part]
        n, k = ahead.shape[:2]
        phi = _apply(self.features, self.data.obs[part])
        y = _apply(self.features, ahead.reshape(n * k, *ahead.shape[2:])).reshape(n, k, -1)
        y = y * (-self.discount * ~self.data.terminated[part])[:, :, None]
        y += phi[:, None]
        return phi, y


@dataclass(frozen=True, eq=False)
class Fitted:
    """Weights (p, M) of M rewards, how they answer to errors in the equations, and how well posed it all was.

    Attributes:
        weights: (p, M).
        influence: maps directions h (p, M) to z (p, M) with h' dw = z' (sum_i v_i phi_i eps_i) for errors eps_i.
        condition: of the scaled equations, after collinear features were dropped.
        rank: number of features that count.
        form: how the equations were formed, "normal" or "qr".
        notes: what a reader must know.
    """

    weights: np.ndarray
    influence: Callable[[np.ndarray], np.ndarray]
    condition: float
    rank: int
    form: str
    notes: tuple[str, ...]


def fit_value(
    design: Design, rewards: Float[np.ndarray, "m n k"], weight: Float[np.ndarray, "n"], *, cut: float
) -> Fitted:
    """Value weights of M rewards by LSTD.

    Args:
        design: features of transitions under the policy.
        rewards: R_ik of each reward on these transitions.
        weight: (N,) with sum 1.
        cut: see `LSTD`.

    Raises:
        InputError: as many features as transitions.
    """

    def rows(chunk: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part, phi, y = chunk
        root = np.sqrt(weight[part])[:, None]
        return root * phi, root * y.mean(1), root * rewards[:, part].mean(2).T

    return _fit_rows(design, rows, rewards, cut)


def fit_minimal(
    design: Design, rewards: Float[np.ndarray, "m n k"], weight: Float[np.ndarray, "n"], *, cut: float
) -> Fitted:
    """Weights of the potentials that make M rewards as small as possible in the mean square of E[delta | s, a].

    Args, raises: as `fit_value`. With K = 1 the successor is taken to be the only possible one.
    """
    if rewards.shape[2] > 1:
        return _fit_pairs(design, rewards, weight, cut)

    def rows(chunk: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part, _, y = chunk
        root = np.sqrt(weight[part])[:, None]
        return root * y[:, 0], root * y[:, 0], root * rewards[:, part, 0].T

    return _fit_rows(design, rows, rewards, cut)


def unbiased(
    x: Float[np.ndarray, "n k p"], y: Float[np.ndarray, "n k q"], weight: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "p q"]:
    """sum_i v_i [K^2 xbar_i ybar_i' - sum_k x_ik y_ik'] / (K (K - 1)): no bias from the noise of successors; K >= 2."""
    n, k = x.shape[:2]
    whole = (x.sum(1) * weight[:, None]).T @ y.sum(1)
    same = (x * weight[:, None, None]).reshape(n * k, -1).T @ y.reshape(n * k, -1)
    return (whole - same) / (k * (k - 1))


Rows = Callable[[Any], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _fit_rows(design: Design, rows: Rows, rewards: np.ndarray, cut: float) -> Fitted:
    """Solve sum_i l_i (r_i - y_i' w) = 0 from chunks of rows (l, y, r)."""
    p, m = design.width, len(rewards)
    a, b, size = np.zeros((p, p)), np.zeros((p, m)), np.zeros(p)
    for chunk in design:
        left, y, r = rows(chunk)
        a += left.T @ y
        b += left.T @ r
        size += np.square(left).sum(0)
    scale = _scale(size)
    solver = _solver(scale[:, None] * a * scale, 1 / NORMAL)
    if solver.rank < p:
        return _fit_qr(design, rows, m, scale, cut)
    w = scale[:, None] * solver(scale[:, None] * b)
    rest = np.zeros((p, m))
    for chunk in design:
        left, y, r = rows(chunk)
        rest += left.T @ (r - y @ w)
    w += scale[:, None] * solver(scale[:, None] * rest)
    return Fitted(
        w, lambda h: scale[:, None] * solver.transposed(scale[:, None] * h), solver.condition, solver.rank, "normal",
        _check(solver, design),
    )  # fmt: skip


def _fit_qr(design: Design, rows: Rows, m: int, scale: np.ndarray, cut: float) -> Fitted:
    """The same equations projected on an orthonormal basis Q of the left rows: Q' y w = Q' r."""
    p = design.width
    stacked = np.zeros((0, 2 * p + m))
    for chunk in design:
        left, y, r = rows(chunk)
        here = np.concatenate([left * scale, y * scale, r], axis=1)
        stacked = np.asarray(np.linalg.qr(np.concatenate([stacked, here]), "r"))  # Q' times all columns, without Q
    triangle, y, r = np.split(stacked[:p], [p, 2 * p], axis=1)
    left, size, right = np.linalg.svd(triangle, full_matrices=False)
    kept = size > cut * size[0]
    basis, size, right = left[:, kept], size[kept], right[kept]
    solver = _solver(basis.T @ y, cut)
    w = scale[:, None] * solver(basis.T @ r)

    def influence(h: np.ndarray) -> np.ndarray:
        return scale[:, None] * (right.T @ (solver.transposed(scale[:, None] * h) / size[:, None]))

    return Fitted(w, influence, solver.condition, solver.rank, "qr", _check(solver, design))


def _fit_pairs(design: Design, rewards: np.ndarray, weight: np.ndarray, cut: float) -> Fitted:
    """The minimal form with K >= 2 successors; ill-conditioned features are first made orthonormal on these samples."""
    size = sum((weight[part] @ np.square(y).mean(1) for part, _, y in design), np.zeros(design.width))
    change, form = np.diag(_scale(size)), "normal"
    a, b = _pairs(design, rewards, weight, change)
    solver = _solver(a, 1 / NORMAL)
    if solver.rank < design.width:
        change, form = _orthonormal(design, weight, change, cut), "qr"
        a, b = _pairs(design, rewards, weight, change)
        solver = _solver(a, cut)
    w = change @ solver(b)
    w += change @ solver(_pairs(design, rewards, weight, change, w)[1])
    return Fitted(w, np.zeros_like, solver.condition, solver.rank, form, _check(solver, design))


def _pairs(
    design: Design, rewards: np.ndarray, weight: np.ndarray, change: np.ndarray, w: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Left and right side of the equations, for features y @ change and what weights w leave of the rewards."""
    a, b = np.zeros((change.shape[1],) * 2), np.zeros((change.shape[1], len(rewards)))
    for part, _, y in design:
        x, r = y @ change, np.moveaxis(rewards[:, part], 0, 2)
        a += unbiased(x, x, weight[part])
        b += unbiased(x, r if w is None else r - y @ w, weight[part])
    return a, b


def _orthonormal(design: Design, weight: np.ndarray, change: np.ndarray, cut: float) -> np.ndarray:
    """(p, rank): combinations of features whose y @ change are orthonormal on the samples."""
    triangle = np.zeros((0, design.width))
    for part, _, y in design:
        root = np.sqrt(weight[part])[:, None, None]
        here = (root * y).reshape(-1, design.width) @ change
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, here]), "r"))
    _, size, right = np.linalg.svd(triangle, full_matrices=False)
    kept = size > cut * size[0]
    return change @ (right[kept].T / size[kept])


@dataclass(frozen=True, eq=False)
class _Solver:
    """A pseudo-inverse by singular values; `transposed` is that of the transpose."""

    left: np.ndarray
    size: np.ndarray
    right: np.ndarray

    def __call__(self, b: np.ndarray) -> np.ndarray:
        return self.right.T @ ((self.left.T @ b) / self.size[:, None])

    def transposed(self, h: np.ndarray) -> np.ndarray:
        return self.left @ ((self.right @ h) / self.size[:, None])

    @property
    def condition(self) -> float:
        return float(self.size[0] / self.size[-1]) if len(self.size) else 1.0

    @property
    def rank(self) -> int:
        return len(self.size)


def _solver(a: np.ndarray, cut: float) -> _Solver:
    left, size, right = np.linalg.svd(a, full_matrices=False)
    kept = size > cut * size[0] if size[0] > 0 else np.zeros(len(size), dtype=bool)
    return _Solver(left[:, kept], size[kept], right[kept])


def _scale(size: np.ndarray) -> np.ndarray:
    """What brings every column to length 1; columns of zeros are left alone."""
    return 1.0 / np.sqrt(np.where(size > 0, size, 1.0))


def _check(solver: _Solver, design: Design) -> tuple[str, ...]:
    n = len(design.data)
    if solver.rank >= n:
        raise InputError(
            "features",
            found=f"{solver.rank} independent features for {n} transitions",
            expected="many more transitions than features",
            remedy="Any reward would look like shaping. Take more transitions, or fewer features.",
        )
    notes = []
    if solver.rank * 5 > n:
        notes.append(
            f"{solver.rank} features are fitted to {n} transitions: values follow the noise of the sample, and "
            "distances are biased. Take fewer features or more transitions."
        )
    if solver.condition > POOR:
        notes.append(
            f"the equations for the values have a condition number of {solver.condition:.1e}: features are nearly "
            "collinear, and rounding may show in the distances. Take fewer features, or a larger cut."
        )
    return tuple(notes)


def _apply(features: FeatureMap, obs: np.ndarray) -> np.ndarray:
    """Features (n, p), checked."""
    out = np.asarray(features(obs), dtype=np.float64)
    if out.ndim != 2 or len(out) != len(obs) or out.shape[1] == 0:
        raise ShapeError(
            "features", found=f"shape {out.shape} for {len(obs)} observations", expected=f"({len(obs)}, p)"
        )
    if not np.isfinite(out).all():
        raise NonFiniteError("features", found="NaN or infinity among the features", expected="numbers")
    return out
