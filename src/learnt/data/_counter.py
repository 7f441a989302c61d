"""Random numbers that depend on an example's key and a counter, never on its position in a batch.

    u[i, j] = top 53 bits of mix(mix(key_i, salt) + j)          (splitmix64, see `learnt.core.examples.mix`)

Everything here is integer arithmetic up to one multiplication, so the same key gives the same bits on every
machine, in every order and for every batch size. Normal numbers come from the inverse normal distribution
function, which scipy evaluates one element at a time.
"""

from __future__ import annotations

import numpy as np

from learnt.core.examples import mix

WORD = np.uint64


def words(keys: np.ndarray, salt: int, count: int) -> np.ndarray:
    """(n,) uint64 keys -> (n, count) uint64: `count` independent random words an example."""
    start = mix(keys, salt)[:, None]
    with np.errstate(over="ignore"):
        return mix(start + np.arange(count, dtype=WORD)[None, :], salt)


def uniforms(keys: np.ndarray, salt: int, count: int) -> np.ndarray:
    """(n,) uint64 keys -> (n, count) float64 in (0, 1), never 0 or 1."""
    return ((words(keys, salt, count) >> WORD(12)).astype(np.float64) + 0.5) * 2.0**-52


def normals(keys: np.ndarray, salt: int, count: int) -> np.ndarray:
    """(n,) uint64 keys -> (n, count) float64 standard normal numbers."""
    from scipy.special import ndtri

    return ndtri(uniforms(keys, salt, count))
