"""Which states policies can reach, and among which they can stay for ever: of possible transitions only."""

from __future__ import annotations

from typing import Any

import numpy as np


def reachable_states(kernel: Any, initial: np.ndarray) -> np.ndarray:
    """(S,) bool: states that some policy visits from the first states (S,), for transitions (S A, S) in CSR form."""
    from scipy import sparse
    from scipy.sparse.csgraph import breadth_first_order

    s = kernel.shape[1]
    pairs = kernel.tocoo()
    first = np.flatnonzero(initial)
    rows = np.concatenate([np.zeros(len(first), dtype=np.int64), 1 + pairs.row // (kernel.shape[0] // s)])
    columns = 1 + np.concatenate([first, pairs.col])
    graph = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(s + 1, s + 1))  # node 0 leads to the first
    seen = np.zeros(s, dtype=bool)
    seen[breadth_first_order(graph, 0, return_predecessors=False)[1:] - 1] = True
    return seen


def endless_states(kernel: Any, terminal: np.ndarray) -> np.ndarray:
    """(S,) bool: states from which some policy never meets a terminal state."""
    stay = ~terminal
    while True:
        leaves = (kernel @ np.where(stay, 0.0, 1.0)).reshape(len(stay), -1)
        less = stay & (leaves == 0.0).any(1)  # some action surely stays among these states
        if (less == stay).all():
            return stay
        stay = less
