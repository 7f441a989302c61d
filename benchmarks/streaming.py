"""Does CKA of a million examples fit into little memory? Two layers of 1,000,000 x 512 numbers, streamed from disk.

Wanted (anchors T20): under 500 MB of anonymous memory. Needs 4 GB of disk for the time of the run, in --folder.

    python -m benchmarks.streaming [--quick] [--folder DIR]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from learnt.io.atomic import write_json
from learnt.similarity.streaming import CrossStatistics

RESULTS = Path(__file__).parent / "results" / "streaming.json"
ROWS, WIDTH = 20_000, 512


def write(path: Path, n: int, seed: int) -> None:
    """(n, 512) normal numbers in a .npy file; half of each number is the same for every seed."""
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, WIDTH))
    for start in range(0, n, ROWS):
        shared, own = (np.random.default_rng([s, start]) for s in (0, seed))
        block = (min(ROWS, n - start), WIDTH)
        out[start : start + ROWS] = shared.standard_normal(block, dtype=np.float32)
        out[start : start + ROWS] += own.standard_normal(block, dtype=np.float32)
    out.flush()


def anonymous() -> float:
    """Anonymous memory of this process, MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100,000 examples")
    parser.add_argument("--folder", type=Path, default=None, help="where the files go for the time of the run")
    args = parser.parse_args()
    n = 100_000 if args.quick else 1_000_000
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        paths = [Path(folder) / f"{seed}.npy" for seed in (1, 2)]
        for seed, path in enumerate(paths, start=1):
            write(path, n, seed)
        before, most, total = anonymous(), 0.0, None
        arrays = [np.load(path, mmap_mode="r") for path in paths]
        began = time.perf_counter()
        for start in range(0, n, ROWS):
            x, y = (torch.from_numpy(np.array(a[start : start + ROWS])) for a in arrays)
            part = CrossStatistics.of(x, y, like=total)
            total = part if total is None else total + part
            most = max(most, anonymous())
        seconds = time.perf_counter() - began
        assert total is not None
        found = {"examples": n, "features": WIDTH, "seconds": seconds, "cka": total.cka(),
                 "anonymous_megabytes": most, "anonymous_megabytes_before": before}  # fmt: skip
    Console().print(found)
    if not args.quick:
        write_json(RESULTS, found)


if __name__ == "__main__":
    main()
