"""How a population moves: the protocol of a flow, and the plain one.

A flow takes all replicas one step: `flow(parameters (N, D), gradients (N, D), step, rng) -> parameters (N, D)`,
where row i is replica i flattened, `step` counts from 0 and `rng` holds one generator per replica, seeded from
(seed, "flow", replica, step): what replica i draws does not depend on how many replicas there are, and a resumed run
draws the same numbers again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import torch


class Flow(Protocol):
    """Moves all replicas one step."""

    def __call__(
        self, parameters: torch.Tensor, gradients: torch.Tensor, step: int, rng: Sequence[torch.Generator], /
    ) -> torch.Tensor:
        """(N, D) new parameters."""
        ...


@final
@dataclass(frozen=True)
class Independent:
    """Each replica follows its own gradient under the optimiser of `fit`: a deep ensemble.

    The optimiser moves the stacked parameters themselves; called directly, it is one plain gradient step of size 1.
    """

    def __call__(
        self, parameters: torch.Tensor, gradients: torch.Tensor, step: int, rng: Sequence[torch.Generator], /
    ) -> torch.Tensor:
        """One gradient step of size 1."""
        return parameters - gradients
