"""Checks of the numbers a decision process is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.core.errors import InputError, NonFiniteError, ShapeError


def finite(values: Any, name: str) -> np.ndarray:
    """`values` as float64; raises InputError if not numeric, NonFiniteError on NaN or infinity."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, found=f"{type(values).__name__} that is not numeric", expected="numbers") from error
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise NonFiniteError(
            name,
            found=f"{int(bad.sum())} values that are NaN or infinite, the first at index {first}",
            expected="numbers",
        )
    return array


def distributions(values: np.ndarray, name: str) -> np.ndarray:
    """`values` with rows that sum to 1 exactly; raises InputError with the first bad row."""
    if (values < 0).any():
        first = tuple(int(i) for i in np.argwhere(values < 0)[0])
        raise InputError(name, found=f"a negative probability at {first}", expected="probabilities")
    sums = values.sum(-1, keepdims=True)
    _sum_to_one(sums[..., 0], name)
    return frozen(values / sums)


def sparse_distributions(rows: Any, name: str) -> Any:
    """A sparse matrix (S A, S) of float64 probabilities whose rows sum to 1 exactly.

    Raises:
        ShapeError, InputError, NonFiniteError: on another shape, NaN, infinity, negative numbers or another sum.
    """
    from scipy import sparse

    matrix: Any = sparse.csr_array(rows, dtype=np.float64)
    matrix.sum_duplicates()
    finite(matrix.data, name)
    if matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.shape[0] == 0 or matrix.shape[0] % matrix.shape[1]:
        raise ShapeError(
            name, found=f"a sparse matrix {matrix.shape}", expected="(S * A, S), the actions of state 0 first"
        )
    if (matrix.data < 0).any():
        raise InputError(name, found="a negative probability", expected="probabilities")
    sums = matrix.sum(1)
    n_actions = matrix.shape[0] // matrix.shape[1]
    _sum_to_one(sums.reshape(-1, n_actions), name)
    matrix.data = matrix.data / np.repeat(sums, np.diff(matrix.indptr))
    matrix.eliminate_zeros()
    return matrix


def checked_terminal(terminal: Any, kernel: Any) -> np.ndarray:
    """(S,) bool, none for None; raises unless each terminal state of the transitions (S A, S) leads to itself."""
    n_states = kernel.shape[1]
    end = np.zeros(n_states, dtype=bool) if terminal is None else np.array(terminal)
    if end.shape != (n_states,) or end.dtype != bool:
        raise ShapeError("terminal", found=f"{end.dtype} of shape {end.shape}", expected=f"bool ({n_states},)")
    rows = np.arange(kernel.shape[0])
    stays = kernel.diagonal() if kernel.shape[0] == n_states else kernel[rows, rows // (len(rows) // n_states)]
    least = np.asarray(stays.toarray() if hasattr(stays, "toarray") else stays).reshape(n_states, -1).min(1)
    left = end & (least != 1.0)
    if left.any():
        raise InputError(
            "terminal",
            found=f"terminal state {int(np.flatnonzero(left)[0])}, which can be left",
            expected="terminal states that lead to themselves under every action",
        )
    return frozen(end)


def frozen(values: np.ndarray) -> np.ndarray:
    """A read-only array with these values."""
    out = values.view() if not values.flags.writeable else values.copy()
    out.flags.writeable = False
    return out


def _sum_to_one(sums: np.ndarray, name: str) -> None:
    off = np.abs(sums - 1.0) > 1e-6
    if off.any():
        first = tuple(int(i) for i in np.argwhere(off)[0])
        where = f" at {first[0] if len(first) == 1 else first}" if first else ""
        raise InputError(
            name, found=f"probabilities that sum to {float(sums[first]):.6g}{where}", expected="a sum of 1"
        )
