"""Which rectifiers run inside a network, and which of their units are open? Seen as operations, not as modules.

Every rectifier that PyTorch executes is seen, however it is written: `nn.ReLU`, `torch.relu`, `x.clamp(min=0)`, leaky
and clipped ones. Nothing is hooked or changed. Smooth activations (GELU, SiLU, tanh) open no gates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

MOST_UNITS = 2_048


class Watching(TorchDispatchMode):
    """While it is active, what each rectifier is given is handed to `see`."""

    def __init__(self, see: Callable[[torch.Tensor], None]) -> None:
        TorchDispatchMode.__init__(self)
        self.see = see

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the operation, then let it run."""
        given = kwargs or {}
        if _rectifies(func, args, given):
            self.see(args[0])
        return func(*args, **given)


def _rectifies(func: Any, args: Any, kwargs: Any) -> bool:
    name = func.overloadpacket.__name__.rstrip("_") if hasattr(func, "overloadpacket") else ""
    if name in ("relu", "leaky_relu", "_prelu_kernel", "prelu"):
        return True
    low = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("min_val"))
    if name in ("clamp", "clamp_min", "hardtanh", "threshold"):
        return not isinstance(low, torch.Tensor) and low == 0
    return False


def open_units(run: Callable[[torch.Tensor], Any], batch: torch.Tensor, most: int = MOST_UNITS) -> list[torch.Tensor]:
    """(b, units) bool for each rectifier, in the order in which they run; at most `most` units each, evenly chosen."""
    found: list[torch.Tensor] = []

    def see(values: torch.Tensor) -> None:
        if values.ndim < 2 or len(values) != len(batch):
            return
        flat = values.detach().flatten(1)
        if flat.shape[1] > most:
            places = torch.linspace(0, flat.shape[1] - 1, most, device=flat.device, dtype=torch.float64).round().long()
            flat = flat[:, places]
        found.append((flat > 0).cpu())

    with Watching(see):
        run(batch)
    return found
