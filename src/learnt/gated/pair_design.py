"""Which pairs should be trained so that the others come for free? Regular gates that hang together well.

Among the M x M gates with K trained outputs for each input and K inputs for each output, one with a small
sigma_2 / sigma_1 is looked for (`learnt.gated.zero_shot_risk` says why):

1. starts: random regular gates, and the best circulant one, whose singular values are absolute Fourier coefficients;
   for M = q^2 + q + 1, K = q + 1 a circulant gate can be a projective plane, which no gate beats;
2. swaps: (i, j), (k, l) become (i, l), (k, j). That keeps all sums, and to first order sigma_2 changes by
   -(u_i - u_k)(v_j - v_l), with u and v its singular vectors. The most promising swaps are tried, and a smooth maximum
   (sum over k >= 2 of sigma_k^p)^(1/p) is lowered, because sigma_2 is often degenerate.

There is no proof that the result is the best gate; `ZeroShot.floor` says what none can beat. Same arguments, same gate.
"""

from __future__ import annotations

from itertools import combinations, islice
from math import comb

import numpy as np

from learnt.core.errors import InputError
from learnt.gated._frozen import whole
from learnt.gated.gate_patterns import MAX_DOMAINS, diagonal, random_regular
from learnt.gated.zero_shot_risk import spectral_ratio
from learnt.run.seeds import numpy_generator

_POWER = 24.0
_CIRCULANTS = 4000  # offsets that are looked at
_KEPT = 3  # starts that are improved
_ROUNDS, _PATIENCE = 120, 6  # rounds of swaps, and how many of them may fail in a row


def design_pairs(M: int, K: int, seed: int = 0, tries: int = 200) -> np.ndarray:
    """(M, M) gate of zeros and ones, rows input domains, whose rows and columns all have the sum K.

    Args:
        M: input domains, and output domains.
        K: trained outputs for each input, 1 to M. With K = 1 nothing can transfer, whatever the gate.
        seed: of the search.
        tries: random starts, at least 1.

    Raises:
        InputError: numbers outside these ranges.
    """
    M, K = whole(M, "M", 1, MAX_DOMAINS), whole(K, "K", 1)
    if K > M:
        raise InputError(
            "K", found=f"{K}", expected=f"at most {M}, the number of domains", remedy="A pair can be trained only once."
        )
    tries = whole(tries, "tries", 1, 1_000_000)
    if K in (1, M):
        return diagonal(M) if K == 1 else np.ones((M, M))
    rng = numpy_generator(seed, "design pairs", M, K, tries)
    starts = [_circulant(M, K, rng), *(random_regular(M, K, rng) for _ in range(tries))]
    order = np.argsort([_score(g[None])[0] for g in starts], kind="stable")
    found = [_swapped(starts[k], rng) for k in order[:_KEPT]]
    return min([*found, starts[0]], key=lambda g: round(spectral_ratio(g), 12))


def _circulant(M: int, K: int, rng: np.random.Generator) -> np.ndarray:
    """The best gate i -> i + offset (mod M) for K offsets, of all or of many."""
    if comb(M - 1, K - 1) <= _CIRCULANTS:
        chosen = list(islice(combinations(range(1, M), K - 1), _CIRCULANTS))
    else:
        chosen = [rng.choice(np.arange(1, M), K - 1, replace=False) for _ in range(_CIRCULANTS)]
    first = np.zeros((len(chosen), M))
    first[:, 0] = 1.0
    np.put_along_axis(first, np.array(chosen, dtype=np.int64).reshape(len(chosen), K - 1), 1.0, 1)
    second = np.abs(np.fft.fft(first, axis=1)[:, 1:]).max(1)
    best = first[int(np.argmin(np.round(second, 9)))]
    return np.stack([np.roll(best, i) for i in range(M)])


def _score(gates: np.ndarray) -> np.ndarray:
    """(B,) the smooth maximum of sigma_2, ..., sigma_M over sigma_1."""
    values = np.linalg.svd(gates, compute_uv=False)
    rest = values[:, 1:] / values[:, :1]
    top = np.maximum(rest[:, :1], 1e-300)
    return top[:, 0] * ((rest / top) ** _POWER).sum(1) ** (1 / _POWER)


def _swapped(gate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A gate with the same sums whose score no tried swap lowers."""
    best = gate.copy()
    size = len(gate)
    batch = int(np.clip(4e6 / size**3, 4, 48))
    score, failed = _score(best[None])[0], 0
    for _ in range(_ROUNDS):
        i, j = np.nonzero(best)
        a, b = rng.integers(0, len(i), (2, 40 * batch))
        free = (best[i[a], j[b]] == 0) & (best[i[b], j[a]] == 0)
        a, b = a[free], b[free]
        u, _, v = np.linalg.svd(best)
        gain = (u[i[a], 1] - u[i[b], 1]) * (v[1, j[a]] - v[1, j[b]])
        promising = np.argsort(-gain, kind="stable")[: batch // 2]
        picked = np.concatenate([promising, np.arange(min(batch - len(promising), len(a)))])
        if not len(picked):
            break  # no swap is possible
        trial = np.repeat(best[None], len(picked), 0)
        here = np.arange(len(picked))
        rows, columns = (i[a[picked]], i[b[picked]]), (j[a[picked]], j[b[picked]])
        for row in (0, 1):
            trial[here, rows[row], columns[row]] = 0.0
            trial[here, rows[row], columns[1 - row]] = 1.0
        scores = _score(trial)
        k = int(np.argmin(scores))
        failed = failed + 1 if scores[k] >= score * (1 - 1e-9) else 0
        if not failed:
            best, score = trial[k], scores[k]
        elif failed >= _PATIENCE:
            break
    return best
