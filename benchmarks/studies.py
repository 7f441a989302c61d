"""What does it cost to make work resumable, and what do more processes bring?

Rows: 200 chunks of about a millisecond and 24 chunks of about 0.2 s, as a plain Python loop, as joblib.Parallel (no
journal, nothing is kept) and as a study with one and with two processes, then resumed when finished (every hash is
checked again). Ratio = time / time of the plain loop on one thread, in the same run.

Target: a study of 0.2 s chunks costs at most 1.1 times the plain loop; resuming a finished one takes under 0.5 s.

    python -m benchmarks.studies [--quick]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from learnt.run.seeds import generator
from learnt.run.study import Study
from learnt.run.threads import threads


def work(item: tuple[int, int]) -> dict[str, object]:
    """`rounds` singular value decompositions of a 100 x 100 matrix, about a millisecond each."""
    seed, rounds = item
    x = torch.randn(100, 100, generator=generator("bench", seed))
    for _ in range(rounds):
        values = torch.linalg.svdvals(x)
    return {"values": values, "seed": seed}


def _timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def compete(items: list[tuple[int, int]]) -> dict[str, float]:
    with threads(1):
        times = {"plain loop": _timed(lambda: [work(item) for item in items])}
    times["joblib, 2 processes"] = _timed(lambda: Parallel(n_jobs=2)(delayed(work)(item) for item in items))
    with tempfile.TemporaryDirectory(prefix="learnt-bench-") as place:
        for jobs, name in ((1, "study, 1 process"), (2, "study, 2 processes")):
            times[name] = _timed(lambda j=jobs: Study.open(f"{place}/{j}").map(work, items, jobs=j, quiet=True))
        times["study, resumed when finished"] = _timed(lambda: Study.open(f"{place}/1").map(work, items, quiet=True))
    return times


def main(quick: bool = False) -> dict[str, object]:
    rows: list[dict[str, object]] = []
    for label, count, rounds in [("200 of 1 ms", 200, 1), ("24 of 0.2 s", 8 if quick else 24, 200)]:
        times = compete([(seed, rounds) for seed in range(count)])
        rows += [
            {"case": label, "way": way, "seconds": seconds, "ratio": seconds / times["plain loop"]}
            for way, seconds in times.items()
        ]
    table = Table(title="Resumable work")
    for column in ("case", "way", "seconds", "ratio to the plain loop"):
        table.add_column(column)
    for row in rows:
        table.add_row(str(row["case"]), str(row["way"]), f"{row['seconds']:.3f}", f"{row['ratio']:.2f}")
    Console().print(table)
    result: dict[str, object] = {"torch": torch.__version__, "rows": rows}
    path = Path(__file__).parent / "results" / "studies.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    main(parser.parse_args().quick)
