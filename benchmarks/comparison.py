"""How long does a comparison take, and what does the bootstrap cost against a plain loop?

* Two small models on 10,000 examples, every question that fits, 2,000 resamples (wanted: under 60 s).
* Two small convolutional models and three controls on 2,000 images with every question (wanted: under 60 s).
* 2,000 resamples of 20 mean-type measures on 10,000 examples (wanted: under 2 s), against a loop that indexes the
  per-example values once for each resample.

    python -m benchmarks.comparison [--quick]
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import learnt
from learnt.core.measure import mean
from learnt.core.statistics import Resampler
from learnt.data.shapes import DOMAINS, shapes
from learnt.io.atomic import write_json
from learnt.train.nets import mlp, small_cnn

RESULTS = Path(__file__).parent / "results" / "comparison.json"


def timed(work: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def models(make: Callable[[], torch.nn.Module], count: int) -> list[torch.nn.Module]:
    """Networks with random weights under fixed seeds."""
    made = []
    for seed in range(count):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made.append(make())
    return made


def rows(n: int) -> float:
    """Seconds to compare two small models, with one control, on n examples of 64 numbers."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, 64, generator=g), torch.randint(0, 10, (n,), generator=g)
    a, b, c = models(lambda: mlp(64, 10, (128, 128)), 3)
    return timed(lambda: learnt.compare(a, b, (x, y), controls=[c], quiet=True))


def images(n: int) -> float:
    """Seconds to ask every question of two small convolutional models and three controls on n images."""
    data = shapes(n, domains=DOMAINS, conflict=True)
    a, b, *controls = models(lambda: small_cnn(3, 8), 5)
    return timed(lambda: learnt.compare(a, b, data, controls=controls, quiet=True))


def bootstrap(n: int, repetitions: int) -> tuple[float, float]:
    """Seconds for 20 measures by one matrix product, and by a loop over resamples."""
    rng = np.random.default_rng(0)
    values, keys = rng.random((n, 20)), np.arange(n, dtype=np.uint64)
    evidence = [mean(column) for column in values.T]
    ours = timed(lambda: Resampler(repetitions, 0).draws(evidence, keys))

    def loop() -> None:
        for column in values.T:
            for _ in range(repetitions):
                column[rng.integers(0, n, n)].mean()

    return ours, timed(loop)


def main(arguments: list[str]) -> int:
    quick = "--quick" in arguments
    n, k = (2_000, 400) if quick else (10_000, 2_000)
    ours, rival = bootstrap(n, 200 if quick else 2000)
    found = {
        f"{n} examples, 2 models and a control": (rows(n), 60.0),
        f"{k} images, 2 models and 3 controls, every question": (images(k), 60.0),
        "20 measures, bootstrap": (ours, 2.0),
    }
    table = Table("what", "seconds", "wanted", title="comparisons")
    for what, (seconds, wanted) in found.items():
        table.add_row(what, f"{seconds:.2f}", f"< {wanted:g}")
    table.add_row("20 measures, a loop over resamples (rival)", f"{rival:.2f}", f"ratio {rival / ours:.1f}")
    Console().print(table)
    record = {what: {"seconds": seconds, "wanted": wanted} for what, (seconds, wanted) in found.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write_json(
        RESULTS,
        {
            "rows": record,
            "loop_seconds": rival,
            "ratio": rival / ours,
            "peak_mb": peak,
            "threads": torch.get_num_threads(),
        },
    )
    return 0 if quick or all(seconds < wanted for seconds, wanted in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
