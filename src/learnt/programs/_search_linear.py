"""The best linear classifier on discrete variables: multinomial logistic regression, convex, by L-BFGS.

    minimise  sum_r n_r (log sum_c exp z_rc - z_r,y) / sum_r n_r  +  l2 / 2 |W|^2,    z_r = sum_v W_v[x_rv]

Equal rows of features are one row with the counts of their labels, which loses nothing: features are discrete.
Numerical variables are centred (into `ones`, if that votes) and scaled for the optimiser, then folded back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Voter:
    """A variable that votes: R values, and its cardinality (None for a numerical one)."""

    name: str
    values: np.ndarray
    size: int | None


def merged(voters: Sequence[Voter], labels: np.ndarray, weights: np.ndarray, n_labels: int) -> tuple[Any, np.ndarray]:
    """Distinct rows of features and the weight of each label there.

    Args:
        voters: R values each.
        labels, weights: (R,) label ids and row weights.

    Returns:
        (voters of the distinct rows, (D, n_labels) weights).
    """
    code = np.zeros(len(labels), dtype=np.int64)
    for voter in voters:
        low = int(voter.values.min())
        span = int(voter.values.max()) - low + 1
        if int(code.max()) >= (1 << 62) // span:
            code = np.unique(code, return_inverse=True)[1].ravel()
        code = code * span + (voter.values - low)
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    counts = np.bincount(group.ravel() * n_labels + labels, weights=weights, minlength=len(first) * n_labels)
    rows = [Voter(name=v.name, values=v.values[first], size=v.size) for v in voters]
    return rows, counts.reshape(len(first), n_labels)


def solve(
    design: Any,
    counts: np.ndarray,
    *,
    l2: float,
    start: np.ndarray,
    allowed: np.ndarray,
    most: int,
) -> np.ndarray:
    """The weights (F, C) that minimise the loss above; columns of labels that are not allowed stay 0.

    Args:
        design: (R, F) sparse features.
        counts: (R, C) weight of each label in each row.
        l2: strength of the penalty.
        start: (F, C) where the search begins.
        allowed: (C,) bool.
        most: iterations.
    """
    from scipy.optimize import minimize

    total = counts.sum()
    target = counts[:, allowed] / total
    mass = target.sum(1, keepdims=True)
    shape = (design.shape[1], int(allowed.sum()))
    back = design.T.tocsr()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        z = design @ weights
        z -= z.max(1, keepdims=True)
        e = np.exp(z)
        norm = e.sum(1, keepdims=True)
        value = float((mass * np.log(norm)).sum() - (target * z).sum()) + l2 / 2 * float((weights**2).sum())
        e *= mass / norm
        e -= target
        return value, (back @ e + l2 * weights).ravel()

    found = minimize(
        loss,
        start[:, allowed].ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": most, "maxfun": 2 * most, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-9},
    )
    out = np.zeros(start.shape)
    out[:, allowed] = found.x.reshape(shape)
    return out


def fitted(
    voters: Sequence[Voter],
    labels: np.ndarray,
    weights: np.ndarray,
    *,
    n_labels: int,
    masked: Sequence[int] = (),
    l2: float = 1e-6,
    start: Mapping[str, np.ndarray] | None = None,
    groups: np.ndarray | None = None,
    most: int = 300,
) -> dict[str, np.ndarray]:
    """Votes by variable, (size, n_labels) or (n_labels,), that explain the labels best.

    Args:
        voters: R values each.
        labels, weights: one a row; with `groups`, one a group.
        n_labels: C.
        masked: labels that are never predicted.
        l2: strength of the penalty on the mean loss.
        start: votes to begin from.
        groups: (R,) ascending group of each row, whose logits are averaged (pooling).
        most: iterations.
    """
    if groups is None:
        rows, counts = merged(voters, labels, weights, n_labels)
    else:
        rows, counts = list(voters), np.zeros((len(labels), n_labels))
        counts[np.arange(len(labels)), labels] = weights
    design, places, scale, centre = _design(rows)
    if groups is not None:
        design = _averages(groups, len(labels)) @ design
    begin = np.zeros((design.shape[1], n_labels))
    bias = next((place.start for name, place in places.items() if name == "ones"), None)
    for name, place in places.items():
        if start is not None and name in start:
            begin[place] = start[name] if name not in scale else np.asarray(start[name]) * scale[name]
            if bias is not None and name in scale and name != "ones":
                begin[bias] += np.asarray(start[name]) * centre[name]
    allowed = np.ones(n_labels, dtype=bool)
    allowed[list(masked)] = False
    best = solve(design.tocsr(), counts, l2=l2, start=begin, allowed=allowed, most=most)
    votes: dict[str, np.ndarray] = {}
    for name, place in places.items():
        votes[name] = best[place] if name not in scale else best[place][0] / scale[name]
    if bias is not None:
        for name in scale:
            if name != "ones":
                votes["ones"] = votes["ones"] - votes[name] * centre[name]
    return votes


def logits_of(voters: Sequence[Voter], votes: Mapping[str, np.ndarray], n_labels: int) -> np.ndarray:
    """(R, C) sums of votes."""
    total = np.zeros((len(voters[0].values) if voters else 0, n_labels))
    for voter in voters:
        if voter.name in votes:
            table = np.asarray(votes[voter.name])
            total += table[voter.values] if voter.size is not None else voter.values[:, None] * table
    return total


def mean_loss(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of -log p(label)."""
    top = logits.max(1)
    norm = np.log(np.exp(logits - top[:, None]).sum(1)) + top
    return float((weights * (norm - logits[np.arange(len(labels)), labels])).sum() / weights.sum())


def _design(voters: Sequence[Voter]) -> tuple[Any, dict[str, slice], dict[str, float], dict[str, float]]:
    """(features, columns by variable, scale and centre of numerical variables)."""
    from scipy.sparse import csr_matrix

    rows = len(voters[0].values)
    bias = any(v.name == "ones" for v in voters)
    columns, data, places, scale, centre, width = [], [], {}, {}, {}, 0
    for voter in voters:
        if voter.size is not None:
            columns.append(voter.values + width)
            data.append(np.ones(rows))
            places[voter.name] = slice(width, width + voter.size)
            width += voter.size
        else:
            values = voter.values.astype(float)
            constant = float(values.std()) == 0.0
            scale[voter.name] = 1.0 if constant else float(values.std())
            centre[voter.name] = float(values.mean()) if bias and not constant else 0.0
            columns.append(np.full(rows, width))
            data.append((values - centre[voter.name]) / scale[voter.name])
            places[voter.name] = slice(width, width + 1)
            width += 1
    pointers = np.arange(rows + 1) * len(voters)
    matrix = csr_matrix((np.stack(data, 1).ravel(), np.stack(columns, 1).ravel(), pointers), shape=(rows, width))
    return matrix, places, scale, centre


def _averages(groups: np.ndarray, count: int) -> Any:
    """(count, R) sparse matrix that averages the rows of each group."""
    from scipy.sparse import csr_matrix

    lengths = np.bincount(groups, minlength=count)
    return csr_matrix((1.0 / lengths[groups], (groups, np.arange(len(groups)))), shape=(count, len(groups)))
