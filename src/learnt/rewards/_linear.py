"""Solving (I - gamma P) x = b and its transpose, once factored for many right-hand sides.

Dense matrices, and sparse ones of up to `DENSE` states, are factored (random graphs fill up). Beyond, GMRES on the
sparse matrix needs no memory but its basis; where it has not converged (long corridors, discount near 1) a sparse LU
takes over, which fills little on such graphs. Each answer is checked by its residual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from learnt.core.errors import InputError

DENSE = 500
TOLERANCE = 1e-13  # of the residual, beside the right-hand side
BASIS, RESTARTS = 60, 12


def solver(moves: Any, discount: float) -> Callable[[np.ndarray, bool], np.ndarray]:
    """A function (b (S,) or (S, m), transposed) -> x for the matrix I - discount * moves.

    Args:
        moves: (S, S) stochastic matrix, dense or sparse.
        discount: gamma < 1.
    """
    from scipy.linalg import lu_factor, lu_solve

    n = moves.shape[0]
    if isinstance(moves, np.ndarray) or n <= DENSE:
        full = moves if isinstance(moves, np.ndarray) else moves.toarray()
        factors = lu_factor(np.eye(n) - discount * full)
        return lambda b, transposed: lu_solve(factors, b, trans=int(transposed))
    from scipy import sparse

    matrix = (sparse.eye_array(n) - discount * moves).tocsc()
    return _Sparse(matrix)


class _Sparse:
    """The sparse way; the LU is made the first time GMRES fails, and kept."""

    def __init__(self, matrix: Any) -> None:
        self._matrix, self._rows, self._lu = matrix, matrix.tocsr(), None

    def __call__(self, b: np.ndarray, transposed: bool) -> np.ndarray:
        """The solution for (S,) or (S, m) right-hand sides."""
        columns = b.reshape(len(b), -1)
        return np.stack([self._one(column, transposed) for column in columns.T], 1).reshape(b.shape)

    def _one(self, b: np.ndarray, transposed: bool) -> np.ndarray:
        from scipy.sparse.linalg import gmres, splu

        matrix = self._matrix.T if transposed else self._rows
        size = float(np.linalg.norm(b))
        if size == 0.0:
            return np.zeros_like(b)
        if self._lu is None:
            x, _ = gmres(matrix, b, rtol=TOLERANCE, atol=0.0, restart=BASIS, maxiter=RESTARTS)
            if np.linalg.norm(b - matrix @ x) <= 10 * TOLERANCE * size:
                return x
            self._lu = splu(self._matrix)
        x = self._lu.solve(b, trans="T" if transposed else "N")
        x += self._lu.solve(b - matrix @ x, trans="T" if transposed else "N")  # one step of refinement
        if not np.linalg.norm(b - matrix @ x) <= 1e-9 * size:
            raise InputError(
                "transitions", found="a process too ill-conditioned to solve", expected="a smaller discount"
            )
        return x
