"""How much would a new variable help, before anything is trained? Second-order gains, from counts.

With logits z and p = softmax(z), a new variable that votes W_v in the places where it has value v changes the
log-likelihood by about

    sum_v  G_v . W_v - W_v . H_v W_v / 2        G_v = sum over these places of (y - p),  H_v = sum of p (1 - p)

at best sum_v |G_v|^2 / (2 H_v) (the score of Newton boosting). For a head all predicates are compared at once: the
sums are made for each (key value looked for, query value, value copied), and each row of a predicate takes the key
value that is best given the votes, then the votes are made again, until nothing changes. Nothing needs the old
classifier to agree with the new variable, which is what hides good moves when accuracy is the judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

RIDGE = 1.0  # added to H: a value that is seen once proves little


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Slope:
    """First and second derivatives of the log-likelihood with respect to logits.

    Attributes:
        both: (T, 2 C): weighted y - p, then weighted p (1 - p).
        n_labels: C.
        logits, labels, weights: what they were made of.
    """

    both: np.ndarray
    n_labels: int
    logits: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def slope(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Slope:
    """The derivatives at (T, C) logits."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    gradient = -p
    gradient[np.arange(len(labels)), labels] += 1.0
    both = np.concatenate([gradient, np.maximum(p * (1 - p), 1e-3)], 1) * weights[:, None]
    return Slope(both=both, n_labels=logits.shape[1], logits=logits, labels=labels, weights=weights)


def added(codes: np.ndarray, cells: int, rows: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """Sums of rows by code.

    Args:
        codes: (T,) or (T, K) cells of each row.
        cells: their number.
        rows: (T, S).
        factors: what a row counts in each of its cells, in the shape of `codes`; 1 if not given.

    Returns:
        (cells, S).
    """
    from scipy.sparse import csc_matrix

    flat = codes.reshape(len(codes), -1)
    t, k = flat.shape
    data = np.ones(t * k) if factors is None else factors.astype(float).ravel()
    places, starts = flat.ravel().astype(np.int32), np.arange(0, t * k + 1, k, dtype=np.int32)  # 32 bits: no search
    return csc_matrix((data, places, starts), shape=(cells, t)) @ rows


def table_of_sums(
    queries: np.ndarray, n_queries: int, seen: np.ndarray, n_values: int, at: Slope
) -> tuple[np.ndarray, np.ndarray]:
    """(G, H), each (K, Q, V, C): sums over the places with query value q where looking for key k copies value v."""
    k = seen.shape[1]
    codes = (np.arange(k) * n_queries + queries[:, None]) * n_values + seen
    both = added(codes, k * n_queries * n_values, at.both).reshape(k, n_queries, n_values, -1)
    return both[..., : at.n_labels], both[..., at.n_labels :]


def value_of(gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """The gain |G|^2 / 2 H of votes (..., V, C), summed over values and labels."""
    return 0.5 * (gradient**2 / (curvature + RIDGE)).sum((-2, -1))


def structured(n_queries: int, n_keys: int) -> np.ndarray:
    """(P, Q) predicates that a person would write: constants, q + c, c - q; -1 where that is no key value."""
    q = np.arange(n_queries)
    rows = [np.full(n_queries, key) for key in range(n_keys)]
    rows += [q + c for c in range(-n_keys + 1, n_keys)]
    rows += [c - q for c in range(1, 2 * n_keys - 2)]
    table = np.stack(rows)
    return np.where((table >= 0) & (table < n_keys), table, -1)


def best_predicate(
    gradient: np.ndarray,
    curvature: np.ndarray,
    starts: np.ndarray,
    *,
    free: bool = True,
    rounds: int = 12,
    tried: int = 3,
) -> tuple[float, np.ndarray]:
    """The predicate with the greatest gain when its votes are shared by all query values.

    Args:
        gradient, curvature: (K, Q, V, C) of `table_of_sums`.
        starts: (P, Q) predicates to begin from; -1 is open.
        free: whether rows may leave the start one by one.
        rounds: of the alternation.
        tried: starts that it begins from, the best ones.

    Returns:
        (gain, (Q,) predicate).
    """
    k, q = gradient.shape[:2]
    row = np.arange(q)
    kept = starts >= 0
    chosen = np.where(kept, starts, 0)
    g = (gradient[chosen, row] * kept[..., None, None]).sum(1)
    h = (curvature[chosen, row] * kept[..., None, None]).sum(1)
    gains = value_of(g, h)
    best_gain, best = -np.inf, chosen[0]
    for start in np.argsort(-gains, kind="stable")[: tried if free else 1]:
        predicate, fixed = chosen[start], kept[start]
        votes = g[start] / (h[start] + RIDGE)
        for _ in range(rounds if free else 1):
            score = np.einsum("kqvc,vc->kq", gradient, votes) - 0.5 * np.einsum("kqvc,vc->kq", curvature, votes**2)
            better = score.argmax(0)
            move = score[better, row] > score[predicate, row] + 1e-9
            if not free:
                move &= ~fixed
            if not move.any():
                break
            predicate = np.where(move, better, predicate)
            votes = gradient[predicate, row].sum(0) / (curvature[predicate, row].sum(0) + RIDGE)
        gain = float(value_of(gradient[predicate, row].sum(0), curvature[predicate, row].sum(0)))
        if gain > best_gain:
            best_gain, best = gain, predicate
    return best_gain, best


def cell_by_cell(gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """(Q,) predicate whose rows are each best with votes of their own: a start for `best_predicate`."""
    return value_of(gradient, curvature).argmax(0)


def best_table(
    gradient: np.ndarray, curvature: np.ndarray, n_outputs: int, *, rounds: int = 15
) -> tuple[float, np.ndarray]:
    """The table whose outputs, with votes of their own, have the greatest gain; lossless if it can be.

    Args:
        gradient, curvature: (cells, C) sums.
        n_outputs: values that the table may give.

    Returns:
        (gain, (cells,) outputs).
    """
    used = np.flatnonzero(curvature.sum(1) > 0)
    table = np.zeros(len(gradient), dtype=np.int64)
    g, h = gradient[used], curvature[used]
    if len(used) <= n_outputs:
        table[used] = np.arange(len(used))
        return float(value_of(g[:, None], h[:, None]).sum()), table
    own = 0.5 * (g**2 / (h + RIDGE)).sum(1)
    votes = np.empty((n_outputs, g.shape[1]))
    lost = own.copy()
    for i in range(n_outputs):  # each new output begins with the votes of the cell that the others serve worst
        cell = int(lost.argmax())
        votes[i] = g[cell] / (h[cell] + RIDGE)
        lost = np.minimum(lost, own - (g @ votes[i] - 0.5 * h @ votes[i] ** 2))
    outputs = np.zeros(len(used), dtype=np.int64)
    for _ in range(rounds):
        score = g @ votes.T - 0.5 * h @ (votes**2).T
        new = score.argmax(1)
        if (new == outputs).all():
            break
        outputs = new
        sums = added(outputs, n_outputs, np.concatenate([g, h], 1))
        votes = sums[:, : g.shape[1]] / (sums[:, g.shape[1] :] + RIDGE)
    table[used] = outputs
    sums = added(outputs, n_outputs, np.concatenate([g, h], 1))
    return float(value_of(sums[:, None, : g.shape[1]], sums[:, None, g.shape[1] :]).sum()), table


def gain_of_votes(codes: np.ndarray, size: int, at: Slope, *, steps: int = 4) -> float:
    """The rise of the log-likelihood when a variable with these values votes, by a few Newton steps."""
    votes = np.zeros((size, at.n_labels))
    rows = np.arange(len(at.labels))

    def likelihood(z: np.ndarray) -> float:
        z = z - z.max(1, keepdims=True)
        return float(at.weights @ (z[rows, at.labels] - np.log(np.exp(z) @ np.ones(z.shape[1]))))

    before = best = likelihood(at.logits)
    here = at
    for step in range(steps):
        sums = added(codes, size, here.both)
        change = np.clip(sums[:, : at.n_labels] / (sums[:, at.n_labels :] + RIDGE), -4.0, 4.0)
        trial = votes + 0.8 * change
        logits = at.logits + trial[codes]
        value = likelihood(logits)
        if value <= best:
            break
        rise, votes, best = value - best, trial, value
        if step + 1 == steps or rise < 0.03 * (best - before):
            break
        here = slope(logits, at.labels, at.weights)
    return best - before
