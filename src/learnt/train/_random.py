"""The global random state as dropout and initialisation use it: fenced off, and seeded by name inside the fence.

Modules draw from torch's global generators and cannot be told otherwise. So that no global state leaks out, the
state is put aside while we work and put back after; inside, it is set from a derived seed at every step, so that a
resumed run needs no random state from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def _generator(device: torch.device) -> torch.Generator | None:
    if device.type == "cpu":
        return torch.default_generator
    if device.type == "cuda":
        torch.cuda.init()
        return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    return None  # other accelerators: torch.manual_seed reaches them


@contextmanager
def fenced(device: torch.device) -> Iterator[None]:
    """Leave the global generators of the CPU and of `device` as they were."""
    kept = [(g, g.get_state()) for g in {id(g): g for g in (torch.default_generator, _generator(device)) if g}.values()]
    try:
        yield
    finally:
        for generator, state in kept:
            generator.set_state(state)


def sow(device: torch.device, seed: int) -> None:
    """Seed the global generator that modules on `device` draw from; only inside `fenced`."""
    generator = _generator(device)
    if generator is None:
        torch.manual_seed(seed)
    else:
        generator.manual_seed(seed)
