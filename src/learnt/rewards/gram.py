"""How do canonical forms lie to each other? Inner products of all pairs, with everything that follows from them.

    G_uv = mean_i [K^2 mean_k(u) mean_k(v) - sum_k delta_u delta_v] / (K (K - 1)),     mean_i delta_u delta_v if K = 1

G is resampled as a whole (`learnt.rewards.bootstrap`). If the forms were made with an estimated V, its weights w move
with the transitions that V was estimated from: d<c_u, c_v> = z_u' (sum v phi delta_v) + z_v' (sum v phi delta_u), with
z_u the slope of <c_u, .> in w carried through the equations of LSTD. Sums of that kind are 0 at the estimate itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from learnt.data.transitions import Transitions
from learnt.rewards.bootstrap import Part, ends
from learnt.rewards.sampled_result import Band

NEAR = 1e-6  # cosines this near 1 or -1 are computed from the difference or sum of the forms
BLOCK = 64 * 2**20  # bytes of products of pairs at a time


class Forms(NamedTuple):
    """Canonical forms on the batch, and how they move with the transitions that V was estimated from."""

    delta: np.ndarray  # (M, N, K)
    top: np.ndarray  # (M,) size of what was subtracted from each other
    moves: tuple[np.ndarray, np.ndarray] | None  # (M, N') phi' z and delta on the evaluation transitions
    other: Transitions | None  # these transitions, if not the batch
    rank: int | None
    condition: float | None
    how: str
    notes: tuple[str, ...]


def bands_of(
    made: Forms, trivial: np.ndarray, points: Part, moved: Part, level: float
) -> tuple[dict[str, Band], np.ndarray, np.ndarray]:
    """Bands by name, the Gram matrix (M, M), and which norms cannot be told from 0."""
    m, n = made.delta.shape[:2]
    every = np.arange(m)
    own, own_draws = _means(made, every, every, points, moved)
    lost = (own_draws <= 0).mean(0) > (1 - level) / 2
    uncertain = ~trivial & (lost | (own <= 0))
    gram = np.diag(own)
    with np.errstate(invalid="ignore"):
        norm = _band(np.sqrt(np.maximum(own, 0.0)), np.sqrt(np.maximum(own_draws, 0.0)), level)
    found = {name: Band(*(np.zeros((m, m)) for _ in Band._fields)) for name in ("distance", "cosine", "angle", "gap")}
    for end in found["cosine"]:
        np.fill_diagonal(end, np.where(trivial | (own <= 0), np.nan, 1.0))
    for name in ("distance", "angle"):
        for end in found[name]:
            np.fill_diagonal(end, np.where(~trivial & (own <= 0), np.nan, 0.0))
    left, right = np.triu_indices(m, 1)
    step = max(1, BLOCK // (8 * max(n, points.repetitions)))
    for start in range(0, len(left), step):
        u, v = left[start : start + step], right[start : start + step]
        cross, cross_draws = _means(made, u, v, points, moved)
        gram[u, v] = gram[v, u] = cross
        bands = _pair_bands(made, trivial, (u, v), (own, own_draws), (cross, cross_draws), (points, moved), level)
        for name, band in bands.items():
            for end, values in zip(found[name], band, strict=True):
                end[u, v] = end[v, u] = values
    return {**found, "norm": norm}, gram, uncertain


def _pair_bands(
    made: Forms,
    trivial: np.ndarray,
    pair: tuple[np.ndarray, np.ndarray],
    own: tuple[np.ndarray, np.ndarray],
    cross: tuple[np.ndarray, np.ndarray],
    parts: tuple[Part, Part],
    level: float,
) -> dict[str, Band]:
    u, v = pair
    value, draws = (_of_gram(g[..., u], g[..., v], c) for g, c in zip(own, cross, strict=True))
    for at in np.flatnonzero((np.abs(value["cosine"]) > 1 - NEAR) & ~trivial[u] & ~trivial[v]):
        squares = float(own[0][u[at]]), float(own[0][v[at]])
        accurate = _near(made, int(u[at]), int(v[at]), math.copysign(1.0, value["cosine"][at]), squares, parts)
        for name, (number, resampled) in accurate.items():
            value[name][at], draws[name][:, at] = number, resampled
    bands = {name: _band(value[name], draws[name], level) for name in value}
    silent, both = trivial[u] | trivial[v], trivial[u] & trivial[v]
    for name, one in (("distance", 1.0), ("angle", math.pi / 2), ("cosine", math.nan)):
        for end in bands[name]:
            end[silent] = one
            if name != "cosine":
                end[both] = 0.0
    return bands


def _of_gram(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> dict[str, np.ndarray]:
    """Cosine, distance, angle and gap from <u, u>, <v, v> and <u, v>; NaN where a norm is not positive."""
    fine = (a > 0) & (b > 0)
    root = np.sqrt(np.where(fine, a, 1.0)) * np.sqrt(np.where(fine, b, 1.0))
    cosine = np.where(fine, np.clip(c / root, -1.0, 1.0), np.nan)
    return {
        "cosine": cosine,
        "distance": np.sqrt(2 - 2 * cosine),
        "angle": np.arccos(cosine),
        "gap": np.sqrt(np.maximum(a + b - 2 * c, 0.0)),
    }


def _band(value: np.ndarray, draws: np.ndarray, level: float) -> Band:
    low, high = ends(draws, level)
    return Band(value, np.minimum(low, value), np.maximum(high, value))


def _means(made: Forms, u: np.ndarray, v: np.ndarray, points: Part, moved: Part) -> tuple[np.ndarray, np.ndarray]:
    """Estimates (P,) of <c_u, c_v> and their resampled values (B, P)."""
    x, y, k = made.delta[u], made.delta[v], made.delta.shape[2]
    columns = (x.sum(2) * y.sum(2) - np.einsum("pnk,pnk->pn", x, y)) / (k * (k - 1)) if k > 1 else (x * y)[:, :, 0]
    value, draws = points.means(columns)
    if made.moves is None:
        return value, draws
    along, rest = made.moves
    shift = along[u] * rest[v] + along[v] * rest[u]
    if moved is points:
        return value, points.means(columns + shift)[1]
    return value, draws + moved.means(shift)[1]


def _near(
    made: Forms, u: int, v: int, sign: float, squares: tuple[float, float], parts: tuple[Part, Part]
) -> dict[str, tuple[float, np.ndarray]]:
    """Distance, angle and gap of forms that are (opposite or) nearly the same, without the digits 2 - 2 rho loses.

    With e = s_u - sign s_v: sin^2 = (<s, s><e, e> - <s, e>^2) / (<s_u, s_u><s_v, s_v>).
    """
    scale = [math.sqrt(square) for square in squares]

    def three(x: np.ndarray) -> np.ndarray:
        first, second = x[u] / scale[0], sign * x[v] / scale[1]
        return np.stack([first, first - second, x[u] - x[v]])

    moves = None if made.moves is None else (three(made.moves[0]), three(made.moves[1]))
    small = made._replace(delta=three(made.delta), moves=moves)
    found = _means(small, np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), *parts)
    out: list[dict[str, np.ndarray]] = []
    for ss, se, ee, gap in (np.moveaxis(g, -1, 0) for g in found):
        other = ss - 2 * se + ee
        fine = (ss > 0) & (other > 0)
        whole = np.where(fine, ss * other, 1.0)
        cosine = np.clip((ss - se) / np.sqrt(whole), -1.0, 1.0)
        square = np.maximum(ss * ee - se * se, 0.0) / whole
        apart = np.where(fine, np.sqrt(2 * square / (1 + np.maximum(cosine, 0.0))), np.nan)
        half = 2 * np.arcsin(np.clip(apart / 2, 0.0, 1.0))
        out.append({
            "distance": apart if sign > 0 else np.sqrt(4 - apart**2),
            "angle": half if sign > 0 else math.pi - half,
            "gap": np.sqrt(np.maximum(gap, 0.0)),
        })  # fmt: skip
    return {name: (float(out[0][name]), out[1][name]) for name in out[0]}
