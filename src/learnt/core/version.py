"""Where a number came from: versions, threads and seed; no times, so that equal work gives equal bytes."""

from __future__ import annotations

import platform
from typing import Any

VERSION = "0.1.0"


def provenance(**more: Any) -> dict[str, Any]:
    """Versions and thread count of this process, with whatever else decides the numbers (seed, resamples)."""
    import numpy
    import torch

    return {
        "learnt": VERSION,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        **more,
    }
