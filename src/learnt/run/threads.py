"""A fixed number of threads for a stretch of work, and the old settings afterwards.

Sums of floats come out in another order on another number of threads, so bits are equal only at an equal number.
Work that must give the same bits anywhere states its number (one, by default) whatever the machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from learnt.core.errors import InputError


@contextmanager
def threads(number: int = 1) -> Iterator[None]:
    """Limit torch, BLAS and OpenMP to `number` threads while the block runs; restores what was set before.

    Raises:
        InputError: `number` is below 1.
    """
    if number < 1:
        raise InputError("threads", found=str(number), expected="a number from 1")
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(limits=number):
        torch.set_num_threads(number)
        try:
            yield
        finally:
            torch.set_num_threads(before)
