"""Which positions should be counted? A relation between what a position is and what others are, as one counting head.

A numerical head counts the positions whose key value is the one that its query value looks for. With a table in front
of the query and one in front of the key, both of them over two variables, it counts over a relation: "how many
positions are in the block of entries that my block looks for". One bit of a comparison of two numbers is of this
kind. The sums

    G_qc = sum over places with query entry q of (y - p) (positions of its input with key entry c)

say what each pair of entries would add to the gradient of a vote in proportion to the count. For a direction w of
votes, blocks and the choice among them are found by turns, each the best given the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from learnt.programs._search_gain import RIDGE, Slope
from learnt.programs._search_proposals import Proposal
from learnt.programs._search_stream import Stream
from learnt.programs.program import Head, TableMLP

PAIRS = 6_000  # pairs of a query entry and a key entry that one proposal may compare
ROWS = 6_000  # places that blocks are chosen on


def relation(stream: Stream, at: Slope, reads: Sequence[str], *, outputs: int) -> Proposal | None:
    """A numerical head that counts over a relation between entries of two tables.

    Args:
        stream: the variables.
        at: the slope of the loss there.
        reads: the two variables of the query's table, then the two of the key's; twice the same is one variable.
        outputs: cardinality of the tables; one value is looked for by nobody, and one held by nobody.
    """
    asked, held = unique(reads[:2]), unique(reads[2:])
    n_q, n_k = (prod(int(stream.sizes[name] or 1) for name in names) for names in (asked, held))
    if n_q * n_k > PAIRS or outputs < 3:
        return None
    every = max(1, len(at.labels) // ROWS)
    query = stream.entries(asked).ravel().take(stream.data.places)
    counts = stream.counts_of(stream.entries(held), n_k)
    gradient = at.both[::every, : at.n_labels]
    sums = _by_entry(query[::every], n_q, counts[::every], gradient)
    direction = np.linalg.svd(sums.reshape(-1, at.n_labels), full_matrices=False)[2][0]
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for score in (sums @ direction, sums @ -direction):
        choice, block = blocks(score, outputs)
        number = (counts * (block == choice[query][:, None])).sum(1)
        gain = gain_of_number(number, at)
        if best is None or gain > best[0]:
            best = (gain, choice, block)
    if best is None:
        return None
    tables = [
        TableMLP(inputs=names, table=tuple(table.tolist()), name=name)
        for names, table, name in ((asked, best[1], "_asked"), (held, best[2], "_held"))
    ]
    head = Head(query="_asked", key="_held", value="ones", predicate=tuple(range(outputs)), name="_count")
    modules = ((tables[0], outputs), (tables[1], outputs), (head, None))
    return Proposal(kind="relation", reads=tuple(reads), gain=best[0], modules=modules)


def blocks(score: np.ndarray, outputs: int, *, rounds: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Which block each query entry looks for, and in which block each key entry is.

    Args:
        score: (Q, K) what counting key entry c at query entry q is worth.
        outputs: values; the last but one is held by no entry, the last looked for by none.

    Returns:
        ((Q,) choice, (K,) block) with the greatest sum of the scores of counted pairs, by turns.
    """
    n = outputs - 2
    rank = np.argsort(np.argsort(score.sum(1), kind="stable"), kind="stable")
    choice = rank * n // len(score)
    block = np.zeros(score.shape[1], dtype=np.int64)
    for _ in range(rounds):
        worth = np.stack([score[choice == b].sum(0) for b in range(n)])  # (n, K)
        block = np.where(worth.max(0) > 0, worth.argmax(0), n + 1)
        gain = np.stack([score[:, block == b].sum(1) for b in range(n)], 1)  # (Q, n)
        new = np.where(gain.max(1) > 0, gain.argmax(1), n)
        if (new == choice).all():
            break
        choice = new
    return choice, block


def gain_of_number(number: np.ndarray, at: Slope) -> float:
    """The gain of votes in proportion to a number, in nats."""
    centred = number - number.mean()
    gradient = centred @ at.both[:, : at.n_labels]
    curvature = (centred**2) @ at.both[:, at.n_labels :]
    return float(0.5 * (gradient**2 / (curvature + RIDGE)).sum())


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The same names once each."""
    return tuple(dict.fromkeys(names))


def _by_entry(query: np.ndarray, size: int, counts: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """(Q, K, C) sums of gradient times count over the places of each query entry."""
    from scipy.sparse import csr_matrix

    rows = len(query)
    member = csr_matrix((np.ones(rows), (query, np.arange(rows))), shape=(size, rows))
    return np.stack([member @ (counts * gradient[:, [c]]) for c in range(gradient.shape[1])], -1)
