"""Draw negatives without replacement, without rejection and without a loop over examples.

Examples are ranked by class, so the examples of one class are a block [start, start + count) of ranks and "every
other class" is the rest: an index u in [0, pool), pool = size - count, becomes the rank u, plus count if u >= start.
N distinct indices come from a keyed permutation of [0, pool) applied to 0..N-1: an affine map u = (a j + b) mod pool
with a prime a > pool (a bijection whatever pool is, and its pairs are spread evenly), then rounds of the
swap-or-not shuffle (Hoang, Morris, Rogaway 2012): x <-> (K - x) mod pool, swapped when a keyed bit of the larger of
the two says so. Each round is a bijection of any domain, so nothing is rejected.

Everything is integer arithmetic on tensors, keyed by (stream, step, example): the same draws in any batch, in any
order, on any device, under `torch.func.vmap`, and after a resume.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 8
LARGEST = 2**30  # the multipliers below exceed every pool that is smaller

# primes between 2^30 and 2^31, spread by the golden ratio
_PRIMES = (
    1737350779, 1327217909, 1990826839, 1580693969, 1170561079, 1834170007, 1424037127, 2087646101,
    1677513191, 1267380307, 1930989257, 1520856371, 1110723487, 1774332431, 1364199607, 2027808551,
    1617675611, 1207542733, 1871151677, 1461018799, 2124627761, 1714494889, 1304361967, 1967970941,
    1557838033, 1147705147, 1811314111, 1401181207, 2064790177, 1654657363, 1244524381, 1908133351,
    1498000453, 1087867567, 1751476513, 1341343643, 2004952567, 1594819727, 1184686807, 1848295747,
    1438162927, 2101771817, 1691638943, 1281506069, 1945115021, 1534982159, 1124849249, 1788458183,
    1378325309, 2041934231, 1631801351, 1221668489, 1885277417, 1475144521, 2138753473, 1728620609,
    1318487699, 1982096651, 1571963761, 1161830893, 1825439831, 1415306939, 2078915899, 1668783007,
)  # fmt: skip


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _salt(i: int) -> int:
    return _signed(i * 0x9E3779B97F4A7C15 % 2**64)


_GOLDEN = _salt(1)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def mix(z: Tensor) -> Tensor:
    """Finaliser of splitmix64 on int64 tensors that wrap around; a bijection of 64-bit integers."""
    z = (z ^ ((z >> 30) & 0x3FFFFFFFF)) * _FIRST
    z = (z ^ ((z >> 27) & 0x1FFFFFFFFF)) * _SECOND
    return z ^ ((z >> 31) & 0x1FFFFFFFF)


def sample_keys(stream: Tensor, step: Tensor, rank: Tensor) -> Tensor:
    """(B,) int64 keys of the examples at this step.

    Args:
        stream: () int64, differs between replicas.
        step: () int64, number of batches before this one.
        rank: (B,) int64, unique for each example of the data.
    """
    return mix(mix(mix(stream + _GOLDEN) + (step + 1) * _GOLDEN) + (rank + 1) * _GOLDEN)


def draw_below(keys: Tensor, bound: Tensor, salt: int) -> Tensor:
    """(B,) int64 numbers in [0, bound), one for each key; bound is (B,) int64 and positive."""
    return mix(keys + _salt(salt + 1)).remainder(bound)


def draw_distinct(keys: Tensor, pool: Tensor, n: int) -> Tensor:
    """(B, n) int64: for each key, n distinct numbers in [0, pool).

    Args:
        keys: (B,) int64.
        pool: (B,) int64, each at least n (otherwise numbers repeat) and below 2^30.
        n: how many.
    """
    salts = torch.tensor([_salt(i) for i in range(1, 3 + 3 * ROUNDS)], dtype=torch.int64, device=keys.device)
    words = mix(keys.unsqueeze(-1) + salts)  # (B, 2 + 3 ROUNDS): all random words of a row at once
    primes = torch.tensor(_PRIMES, dtype=torch.int64, device=keys.device)
    multiplier = primes[words[..., :1] & (len(_PRIMES) - 1)]
    pool = pool.unsqueeze(-1)
    shifts = words[..., 1 : 2 + ROUNDS].remainder(pool)
    x = torch.arange(n, dtype=torch.int64, device=keys.device)
    x = (x * multiplier + shifts[..., :1]).remainder(pool).int()  # from here 32 bits hold everything, at half the price
    pool, shifts = pool.int(), shifts.int()
    odd, offset = ((words[..., 2 + ROUNDS :] >> 32).int()).split(ROUNDS, dim=-1)
    odd = odd | 1
    for i in range(ROUNDS):
        partner = shifts[..., i + 1 : i + 2] - x
        partner = partner + ((partner >> 31) & pool)  # modulo pool: only negative numbers need it
        swap = torch.maximum(x, partner) * odd[..., i : i + 1] + offset[..., i : i + 1] < 0  # a multiply-shift bit
        x = torch.where(swap, partner, x)
    return x.long()


def draw_repeated(keys: Tensor, pool: Tensor, n: int) -> Tensor:
    """(B, n) int64: for each key, n independent numbers in [0, pool); repeats are possible."""
    count = torch.arange(1, n + 1, dtype=torch.int64, device=keys.device)
    return mix(mix(keys + _salt(2)).unsqueeze(-1) + count * _GOLDEN).remainder(pool.unsqueeze(-1))


def negative_ranks(
    keys: Tensor, start: Tensor, count: Tensor, *, size: int, n: int, may_repeat: bool = False
) -> Tensor:
    """(B, n) int64 ranks of examples of other classes, distinct in each row where there are n of them.

    Args:
        keys: (B,) int64 from `sample_keys`.
        start, count: (B,) int64, the block of ranks of each example's own class.
        size: number of ranked examples; at least one other class must exist.
        n: negatives an example.
        may_repeat: whether some class has fewer than n others; its examples then draw with replacement.
    """
    pool = size - count
    drawn = draw_distinct(keys, pool, n)
    if may_repeat:
        drawn = torch.where(pool.unsqueeze(-1) < n, draw_repeated(keys, pool, n), drawn)
    return drawn + torch.where(drawn >= start.unsqueeze(-1), count.unsqueeze(-1), torch.zeros_like(drawn))


def rank_by_class(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rank of every example when sorted by class, and the block (start, count) of its class; each (n,) int64."""
    order = torch.argsort(labels, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(labels), dtype=order.dtype, device=order.device)
    counts = torch.bincount(labels)
    starts = counts.cumsum(0) - counts
    return rank, starts[labels], counts[labels]
