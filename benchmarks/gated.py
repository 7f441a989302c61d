"""What do predictions, statistics and the routing trainer of `learnt.gated` cost beside the usual way?

Every row runs in processes of its own on one thread, both sides in turn; processor seconds, the best of several
repetitions. Rivals, written here after what they are named for:

* all pairs: the reference's routing step: one encoder after the other on its own view of the batch, one shared layer,
  the outputs of all M^2 pairs, then the mask; torch.optim.SGD with momentum 0.9;
* explicit network: the authors' notebook cell (M = 7, K = 4, 64 units, 500 epochs): a torch network, one product for
  each trained pair, autograd and SGD, without the singular values that the notebook tracks;
* X^T X: one product of 60,000 images of 784 pixels with themselves, in float64.

The authors' own code (their model's step, their notebook's cell, their making of tasks) runs as the rival where it is:
set LEARNT_GDLN_REFERENCE to a checkout of github.com/facebookresearch/gated-dln outside this repository, and
LEARNT_GDLN_PYTHON to an interpreter that has what it imports (see `_gated_authors.py`). Targets are those of the
specification, check 24; where it names the reference and the reference is absent, the ratio to the rival is shown
beside the target and the row is not judged. --quick: the smaller rows, once, and nothing is written.

    python -m benchmarks.gated [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Row(NamedTuple):
    """One question: our function and the rival's, what they are asked, and the target.

    Attributes:
        ours, rival: functions of `_gated_sides.py`.
        authors: what `_gated_authors.py` is asked in place of the rival where it is; None for nothing.
        arguments: numbers for all of them.
        target: the least ratio rival / ours; or, with `most`, the most that ours may take; None for none.
        most: what `target` is in then, "s" or "MB"; None if it is a ratio.
        reference: whether the target is one against the authors' code.
        quick: whether --quick runs it.
    """

    question: str
    ours: str
    rival: str | None
    authors: str | None
    arguments: tuple[int, ...]
    target: float | None
    most: str | None = None
    reference: bool = False
    quick: bool = True


def _step(m: int, k: int, batch: int, target: float, *, quick: bool = True) -> Row:
    question = f"routing step, M={m} K={k}, batch {batch}"
    return Row(question, "step", "all_pairs", "step", (m, k, batch), target, reference=True, quick=quick)


ROWS = {
    "curve": Row("notebook curve, general engine", "general", "explicit", "notebook", (), 100.0, reference=True),
    "symmetric": Row("notebook curve, symmetry used", "symmetric", "explicit", "notebook", (), 200.0, reference=True),
    "whole": Row("notebook curve, from the task on", "whole", "explicit", "notebook", (), None, reference=True),
    "m10-k4-b8": _step(10, 4, 8, 1 / 1.1),
    "m100-k10-b8": _step(100, 10, 8, 1 / 1.1, quick=False),
    "m100-k50-b8": _step(100, 50, 8, 1 / 1.1, quick=False),
    "m40-k5-b128": _step(40, 5, 128, 1.7),
    "m100-k10-b128": _step(100, 10, 128, 2.5, quick=False),
    "correlations": Row("correlations of 60,000 x 784", "moments", "gram", None, (), 0.5, quick=False),
    "relu": Row("gates of a 3 x 512 ReLU network, 10,000 samples", "gates", None, None, (), 2.0, "s", quick=False),
    "domains": Row("100 + 100 domains on 28 x 28 images", "domains", None, "tasks", (100,), 0.1, "s"),
    "memory": Row("the same, rise of the peak", "memory", None, "memory", (100,), 50.0, "MB"),
    "reduction-m100": Row("step of the reduction, M=100 K=50, 4 modes", "reduced", None, None, (100, 50), None, "s",
                          quick=False),
}  # fmt: skip


# -- both sides -------------------------------------------------------------------------------------------------


def measured(command: list[str]) -> float | str:
    """The seconds that a process printed last, or why there are none."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **one}, cwd=HERE.parent)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return float(done.stdout.splitlines()[-1])


def asked(name: str, row: Row, folder: str | None, repeats: int) -> dict[str, Any]:
    """One row: both sides in turn."""
    numbers = [str(a) for a in row.arguments]
    commands = {"ours": [sys.executable, "-m", "benchmarks.gated", "--side", row.ours, *numbers]}
    theirs = folder is not None and row.authors is not None
    if theirs:
        program = os.environ.get("LEARNT_GDLN_PYTHON", sys.executable)
        commands["rival"] = [program, str(HERE / "_gated_authors.py"), str(folder), str(row.authors), *numbers]
    elif row.rival is not None:
        commands["rival"] = [sys.executable, "-m", "benchmarks.gated", "--side", row.rival, *numbers]
    seen: dict[str, list[float]] = {side: [] for side in commands}
    faults: dict[str, str] = {}
    for _ in range(repeats):
        for side, command in commands.items():
            if side in faults:
                continue
            found = measured(command)
            if isinstance(found, str):
                faults[side] = found
            else:
                seen[side].append(found)
    ours, rival = (min(seen.get(side, []), default=None) for side in ("ours", "rival"))
    ratio = rival / ours if ours and rival else None
    pairs = [b / a for a, b in zip(seen["ours"], seen.get("rival", []), strict=False)]
    met = None
    if row.most is not None:
        met = None if ours is None or row.target is None else ours <= row.target
    elif ratio is not None and row.target is not None and (theirs or not row.reference):
        met = ratio >= row.target
    return {
        "row": name, "question": row.question, "unit": row.most or "s", "rival": "authors" if theirs else row.rival,
        "ours": ours, "rival_took": rival, "ratio": ratio, "median_ratio": statistics.median(pairs) if pairs else None,
        "target": row.target, "target_is_at_most": row.most is not None, "target_is_against_the_authors": row.reference,
        "met": met, "faults": faults,
    }  # fmt: skip


def main() -> int:
    """Run all rows, print the table, write benchmarks/results/gated.json; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the smaller rows, once; nothing is written")
    parser.add_argument("--only", choices=list(ROWS), help="one row; nothing is written")
    parser.add_argument("--side", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        import torch
        from benchmarks._gated_sides import SIDES

        torch.set_num_threads(1)
        print(SIDES[args.side[0]](*(int(a) for a in args.side[1:])))
        return 0
    folder = os.environ.get("LEARNT_GDLN_REFERENCE")
    if folder is not None and not (Path(folder) / "src" / "model" / "k_path.py").exists():
        print(f"LEARNT_GDLN_REFERENCE: {folder} has no src/model/k_path.py", file=sys.stderr)
        return 2
    rows = [
        asked(name, row, folder, 1 if args.quick else 3)
        for name, row in ROWS.items()
        if (args.only is None or name == args.only) and (row.quick or not args.quick)
    ]
    show(rows, folder is not None)
    if not args.quick and args.only is None:
        out = HERE / "results" / "gated.json"
        out.parent.mkdir(exist_ok=True)
        record: dict[str, Any] = {
            "command": "OMP_NUM_THREADS=1 python -m benchmarks.gated", "date": time.strftime("%Y-%m-%d"),
            "machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version(),
            "torch": version("torch"), "numpy": version("numpy"), "scipy": version("scipy"),
            "load_average": os.getloadavg()[0], "reference_run": folder is not None, "rows": rows,
        }  # fmt: skip
        out.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    return int(any(row["met"] is False or "ours" in row["faults"] for row in rows))


def show(rows: list[dict[str, Any]], here: bool) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Gated networks, one thread, processor time")
    for column in ("question", "rival", "its", "ours", "ratio", "target", "met"):
        table.add_column(column, justify="left" if column in ("question", "rival") else "right")
    for row in rows:
        target = "" if row["target"] is None else f"{row['target']:.3g}"
        bound = f"<= {target} {row['unit']}" if row["target_is_at_most"] else f">= {target}"
        table.add_row(
            row["question"], row["rival"] or "", _said(row["rival_took"], row["unit"]), _said(row["ours"], row["unit"]),
            "" if row["ratio"] is None else f"{row['ratio']:.3g}", bound if target else "",
            {True: "yes", False: "NO", None: "not judged" if target else ""}[row["met"]],
        )  # fmt: skip
    Console(width=140).print(table)
    for row in rows:
        for side, fault in row["faults"].items():
            print(f"{row['row']}, {side}: {fault}")
    if not here:
        print("Routing steps beside arithmetic like the authors'; set LEARNT_GDLN_REFERENCE to run their own code.")


def _said(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{1e3 * value:.3g} ms" if unit == "s" else f"{value:.3g} {unit}"


if __name__ == "__main__":
    sys.exit(main())
