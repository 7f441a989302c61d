"""Which pairs of an input domain and an output domain are trained? 0/1 matrices (M, M), rows inputs, columns outputs.

The first three are those of the reference code (facebookresearch/gated-dln), with its names in brackets; `permuted`
is its suffix "permute". The last is new: a regular bipartite graph without structure, which connects domains far better
than a band does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import finite, whole
from learnt.run.seeds import numpy_generator

MAX_DOMAINS = 10_000  # a gate of 800 MB


def band(M: int, K: int) -> np.ndarray:
    """Input i with outputs i - floor((K-1)/2), ..., i + floor(K/2), modulo M ("K_plus_minus_mod").

    Args:
        M: domains.
        K: trained outputs for each input, 1 to M.

    Returns:
        (M, M) zeros and ones, rows input domains.

    Raises:
        InputError: numbers outside these ranges.
    """
    M, K = _sizes(M, K)
    return _shifted(M, range(-((K - 1) // 2), K // 2 + 1))


def ahead(M: int, K: int) -> np.ndarray:
    """Input i with outputs i, ..., i + K - 1, modulo M ("K_plus_mod"); arguments and errors as `band`."""
    M, K = _sizes(M, K)
    return _shifted(M, range(K))


def diagonal(M: int, count: int | None = None) -> np.ndarray:
    """Input i with output i, for the first `count` domains, or all ("mod"); errors as `band`."""
    M, count = _sizes(M, M if count is None else count, "count")
    return np.diag((np.arange(M) < count).astype(float))


def random_regular(M: int, K: int, seed: int | np.random.Generator = 0) -> np.ndarray:
    """K outputs for each input and K inputs for each output, at random: K random matchings without common pairs.

    Not exactly uniform among all such matrices. Every M, K and seed succeeds: what j matchings leave is regular too,
    and a regular bipartite graph has a perfect matching (Koenig).

    Args:
        M, K: as in `band`.
        seed: an integer of at least 0, or a generator.

    Raises:
        InputError: as `band`.
    """
    from scipy.optimize import linear_sum_assignment

    M, K = _sizes(M, K)
    rng = seed if isinstance(seed, np.random.Generator) else numpy_generator(seed, "random regular gate", M, K)
    gate = np.zeros((M, M))
    for _ in range(K):
        cost = rng.random((M, M)) + 2.0 * M * gate  # one pair that is taken already costs more than M free ones
        gate[linear_sum_assignment(cost)] = 1.0
    return gate


def permuted(gate: Any, seed: int | np.random.Generator = 0) -> np.ndarray:
    """The same gate with its outputs in random order; what can be learned does not depend on it.

    Args:
        gate: (M, M) 0/1, rows input domains.
        seed: an integer of at least 0, or a generator.

    Raises:
        InputError, ShapeError, NonFiniteError: no such matrix.
    """
    checked = gate_matrix(gate)
    rng = seed if isinstance(seed, np.random.Generator) else numpy_generator(seed, "permuted gate", len(checked))
    return checked[:, rng.permutation(len(checked))]


def gate_matrix(gate: Any) -> np.ndarray:
    """`gate` as a float64 matrix (M, M) of zeros and ones with at least one 1; ShapeError or InputError otherwise."""
    matrix = finite(gate, "gate")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ShapeError("gate", found=f"shape {matrix.shape}", expected="(M, M), input domains x output domains")
    if not np.isin(matrix, (0.0, 1.0)).all():
        odd = matrix[~np.isin(matrix, (0.0, 1.0))][0]
        raise InputError("gate", found=f"the entry {odd:g}", expected="zeros and ones: which pairs are trained")
    if not matrix.any():
        raise InputError("gate", found="only zeros", expected="at least one trained pair")
    return matrix


def _shifted(M: int, steps: range) -> np.ndarray:
    gate = np.zeros((M, M))
    for step in steps:
        gate[np.arange(M), (np.arange(M) + step) % M] = 1.0
    return gate


def _sizes(M: int, K: int, name: str = "K") -> tuple[int, int]:
    M, K = whole(M, "M", 1, MAX_DOMAINS), whole(K, name, 1)
    if K > M:
        raise InputError(
            name,
            found=f"{K}",
            expected=f"at most {M}, the number of domains",
            remedy="A pair can be trained only once.",
        )
    return M, K
