"""Random streams by name: each use of randomness hashes what it is for, so that adding one never shifts another.

    seed(parts) = first 63 bits of sha256( "part|part|..." )

There is no global seeding anywhere in the library: workers receive the parts (or items that hold them), never an
offset into a shared stream, so that the number of workers changes no number.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def derive(*parts: object) -> int:
    """A seed in [0, 2**63) from the text of `parts`; the same on every machine and in every version.

    Args:
        parts: text, integers or other things whose `str` is stable, for instance ``(seed, "fit", replica, "order")``.
    """
    text = "|".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


def generator(*parts: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator for the stream named by `parts`."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(*parts))


def numpy_generator(*parts: object) -> np.random.Generator:
    """A numpy generator for the stream named by `parts`."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(derive(*parts)))
