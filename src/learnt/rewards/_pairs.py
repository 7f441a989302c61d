"""Canonical forms of many rewards, and the distances between all of them, as arrays.

Each norm m of `learnt.rewards.norms` but the return range is a p-norm of the forms times fixed weights (`_embedded`),
so that all pairs take one matrix product under L2,

    d_ij^2 = G_ii + G_jj - 2 G_ij,   G = E E',

and differences of rows under L1 and sup norms. The product loses the digits of small distances; pairs nearer than
`NEAR` are computed from their difference. ``"return_range"`` solves two processes a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from learnt.core.errors import InputError
from learnt.rewards._scale import largest_read
from learnt.rewards.canonical import Canonicalisation, canonical
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.norms import NORMS, Norm, norm_of
from learnt.rewards.starc import TRIVIAL

NEAR = 1e-4  # squared distances this small beside the squared norms are computed from differences
BLOCK = 64 * 2**20  # bytes of differences at a time


def cautions(mdp: TabularMDP, form: Canonicalisation, normalisation: str, trivial: Sequence[str]) -> tuple[str, ...]:
    """What a reader should know before using distances of these rewards in this process."""
    found = []
    lost = int((~mdp.reachable).sum())
    if lost:
        found.append(f"{lost} of {mdp.n_states} states are reached by no policy and count for nothing.")
    if trivial:
        found.append(f"No policy matters for {', '.join(trivial)}: the reward is trivial.")
    if not form.is_starc:
        found.append(f"{form.name!r} is no STARC canonical form: small distances do not bound regret.")
    if normalisation == "none":
        found.append("Without normalisation the numbers have no upper bound and depend on the scale of the rewards.")
    return tuple(found)


def checked_metric(normalisation: str, metric: str | None) -> str:
    """The metric that is meant; raises InputError on an unknown one, or one that does not fit."""
    if normalisation != "none" and normalisation not in NORMS:
        raise InputError("normalisation", found=f"{normalisation!r}", expected=f"one of {', '.join(NORMS)}, none")
    if metric is None and normalisation == "none":
        raise InputError("metric", found="none, without a normalisation", expected="a norm")
    if metric == "angle" and normalisation not in ("l2", "weighted_l2"):
        raise InputError("metric", found=f"'angle' with {normalisation!r}", expected="'l2' or 'weighted_l2' with it")
    if metric not in (None, "angle", *NORMS):
        raise InputError("metric", found=f"{metric!r}", expected=f"one of {', '.join(NORMS)}, angle")
    return normalisation if metric is None else metric


class Forms(NamedTuple):
    """Canonical forms (K, S, A, 1 or S), the same divided by their norms, these norms (K,), which are trivial (K,)."""

    canonical: np.ndarray
    standard: np.ndarray
    sizes: np.ndarray
    trivial: np.ndarray


def standard_forms(
    rewards: Sequence[np.ndarray], mdp: TabularMDP, form: Canonicalisation, normalisation: Norm | Literal["none"]
) -> Forms:
    """c(R) and s(R) of rewards (S, A, S or 1) at once; without normalisation the sizes are those in weighted L2."""
    tops = np.array([largest_read(r, mdp, possible=form.is_starc) for r in rewards])
    if form.is_starc:  # reads the mean over the next state only
        stack = np.stack([mdp.expected(r) for r in rewards])[..., None]
    else:
        last = max(r.shape[-1] for r in rewards)
        stack = np.stack([np.broadcast_to(r, (*r.shape[:-1], last)) for r in rewards])
    forms = canonical(stack, mdp, form)
    sizes = np.asarray(norm_of(forms, mdp, "weighted_l2" if normalisation == "none" else normalisation))
    trivial = sizes <= TRIVIAL * tops
    scale = np.ones_like(sizes) if normalisation == "none" else np.where(trivial, 1.0, sizes)
    standard = np.where(trivial[:, None, None, None], 0.0, forms / scale[:, None, None, None])
    return Forms(forms, standard, sizes, trivial)


def distances_of(
    forms: np.ndarray, trivial: np.ndarray, mdp: TabularMDP, normalisation: str, metric: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """(K, K) distances of standardised forms, and (K, K) cosines under an L2 metric."""
    norm = normalisation if metric == "angle" else metric
    if norm == "return_range":
        return _by_solving(forms, mdp), None
    rows = _embedded(forms, mdp, norm)
    if not norm.endswith("l2"):
        from scipy.spatial.distance import pdist, squareform

        return squareform(pdist(rows, "cityblock" if norm.endswith("l1") else "chebyshev")), None
    gram = rows @ rows.T
    distances = _euclidean(rows, gram)
    with np.errstate(invalid="ignore", divide="ignore"):
        length = np.sqrt(np.diag(gram))
        cosines = np.clip(gram / (length[:, None] * length), -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    cosines[trivial], cosines[:, trivial] = np.nan, np.nan
    if metric == "angle":
        angles = 2 * np.arctan2(distances, _euclidean(rows, -gram, sign=-1.0))  # as exact near pi as near 0
        np.fill_diagonal(angles, 0.0)
        angles[trivial], angles[:, trivial] = np.pi / 2, np.pi / 2
        angles[np.ix_(trivial, trivial)] = 0.0
        distances = angles
    return distances, cosines


def _embedded(forms: np.ndarray, mdp: TabularMDP, norm: str) -> Float[np.ndarray, "k n"]:
    """Forms as vectors whose plain p-norm is the norm (p = 1, 2, infinity)."""
    reached = mdp.reachable
    c = forms[:, reached]
    if c.shape[-1] == 1:
        flat = c[..., 0].reshape(len(c), -1)
        if norm == "weighted_linf":
            return flat * np.asarray(mdp.kernel.max(axis=1).toarray()).reshape(mdp.n_states, -1)[reached].ravel()
        power = {"l1": 1.0, "l2": 0.5}.get(norm, 0.0)  # of S: plain sums run over the next state too
        return flat * float(mdp.n_states) ** power
    p = mdp.transitions[reached]
    if norm == "essential_linf":
        c = np.where(p > 0, c, 0.0)
    elif norm.startswith("weighted_"):
        c = c * (np.sqrt(p) if norm == "weighted_l2" else p)
    return c.reshape(len(c), -1)


def _euclidean(rows: np.ndarray, gram: np.ndarray, sign: float = 1.0) -> np.ndarray:
    """(K, K) lengths of x - sign y for rows x, y (K, n) with products sign x y; small ones from differences."""
    size = np.abs(np.diag(gram))
    total = size[:, None] + size
    squares = total - 2 * gram
    first, second = np.nonzero(np.triu(squares <= NEAR * total, 1))
    step = max(1, BLOCK // (8 * rows.shape[1]))
    for start in range(0, len(first), step):
        i, j = first[start : start + step], second[start : start + step]
        squares[i, j] = squares[j, i] = np.square(rows[i] - sign * rows[j]).sum(-1)
    np.fill_diagonal(squares, 2 * (1 - sign) * size)
    found = np.sqrt(np.maximum(squares, 0.0))
    return (found + found.T) / 2  # BLAS may round x y and y x differently


def _by_solving(forms: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    means = mdp.expected(forms)
    found = np.zeros((len(forms), len(forms)))
    for i in range(len(forms)):
        for j in range(i):
            found[i, j] = found[j, i] = mdp.return_range(means[i] - means[j])
    return found
