"""What do predictions, statistics and the routing trainer of `learnt.gated` cost beside the usual way?

Every row runs in processes of its own on one thread, both sides in turn; processor seconds, the best of several
repetitions.
Rivals, written here after what they are named for:

* all pairs: the reference's routing step: one encoder after the other on its own view of the batch, one shared layer,
  the outputs of all M^2 pairs, then the mask; torch.optim.SGD with momentum 0.9;
* explicit network: the authors' notebook cell (M = 7, K = 4, 64 units, 500 epochs): a torch network, one product for
  each trained pair, autograd and SGD, without the singular values that the notebook tracks;
* X^T X: one product of 60,000 images of 784 pixels with themselves.

The authors' own model step runs in place of "all pairs" where it is: set LEARNT_GDLN_REFERENCE to a checkout of
github.com/facebookresearch/gated-dln outside this repository, and LEARNT_GDLN_PYTHON to an interpreter that has what
it imports (see `_gated_authors.py`). Targets are those of the specification, check 24; where it names the reference and
the reference is absent, the ratio to the rival is shown beside the target and the row is not judged. --quick: the
smaller rows, once, and nothing is written.

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
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
HIDDEN, PIXELS, CLASSES = 128, 784, 10


class Row(NamedTuple):
    """One question: our function and the rival's, what they are asked, and the target.

    Attributes:
        target: the least ratio rival / ours; or, if `seconds`, the most seconds that ours may take; None for none.
        reference: whether the target is one against the authors' code.
    """

    question: str
    ours: str
    rival: str | None
    arguments: tuple[int, ...]
    target: float | None
    seconds: bool = False
    reference: bool = False
    quick: bool = True


ROWS = {
    "curve": Row("notebook curve, 500 epochs, general engine", "general", "explicit", (), 100.0, reference=True),
    "m10-k4-b8": Row("routing step, M=10 K=4, batch 8", "step", "all_pairs", (10, 4, 8), 1 / 1.1, reference=True),
    "m100-k10-b8": Row(
        "routing step, M=100 K=10, batch 8", "step", "all_pairs", (100, 10, 8), 1 / 1.1, reference=True, quick=False
    ),
    "m100-k50-b8": Row(
        "routing step, M=100 K=50, batch 8", "step", "all_pairs", (100, 50, 8), 1 / 1.1, reference=True, quick=False
    ),
    "m40-k5-b128": Row("routing step, M=40 K=5, batch 128", "step", "all_pairs", (40, 5, 128), 1.7, reference=True),
    "m100-k10-b128": Row(
        "routing step, M=100 K=10, batch 128", "step", "all_pairs", (100, 10, 128), 2.5, reference=True, quick=False
    ),
    "correlations": Row("correlations of 60,000 x 784", "moments", "gram", (), 0.5, quick=False),
    "relu": Row("gates of a 3 x 512 ReLU network, 10,000 samples", "gates", None, (), 2.0, seconds=True, quick=False),
    "domains": Row("100 + 100 domains on 28 x 28 images", "domains", None, (), 0.1, seconds=True),
}


# -- one side of a row: processor seconds of one unit of work ---------------------------------------------------


def _repeated(work: Callable[[], Any], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def general() -> float:
    """Statistics, reduction and 500 steps of the discrete reduction, from the task to the curve."""
    from learnt.gated import correlations, tasks
    from learnt.gated.reduction import reduce

    task = tasks.routing(7, 4, hidden=64, weight="notebook")
    reduction = reduce(correlations(task))
    return _repeated(lambda: reduction.solve(0.08, method="gd", lr=0.02, steps=500), 5)


def explicit() -> float:
    """The same 500 epochs by a torch network."""
    import torch

    from learnt.gated.gate_patterns import band
    from learnt.gated.hierarchies import tree

    y = torch.tensor(tree(2, (6.0, 4.0, 3.0)).T, dtype=torch.float32)
    pairs = np.argwhere(band(7, 4) == 1).tolist()

    def work() -> None:
        torch.manual_seed(0)
        ins = [torch.nn.init.orthogonal_(torch.empty(64, 4), 0.2).requires_grad_() for _ in range(7)]
        outs = [torch.nn.init.orthogonal_(torch.empty(7, 64), 0.2).requires_grad_() for _ in range(7)]
        shared = torch.nn.init.orthogonal_(torch.empty(64, 64), 0.2).requires_grad_()
        optimizer = torch.optim.SGD([*ins, shared, *outs], lr=0.02)
        for _ in range(500):
            optimizer.zero_grad()
            loss = sum(((y - outs[j] @ (shared @ ins[i])) ** 2).mean() for i, j in pairs)
            loss.backward()  # pyright: ignore[reportAttributeAccessIssue]
            optimizer.step()

    return _repeated(work, 2)


def _images(count: int) -> Any:
    import torch

    stream = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, 28, 28, generator=stream), torch.randint(0, CLASSES, (count,), generator=stream)


def _steps(m: int, batch: int) -> int:
    return 12 if m * batch > 2000 else 40


def step(m: int, k: int, batch: int) -> float:
    """A step of the trainer: the whole of `fit` between two steps, records and checks included."""
    from learnt.core.examples import Examples
    from learnt.gated.gate_patterns import band
    from learnt.gated.routing_data import routing_data
    from learnt.gated.routing_training import train_routing

    images, labels = _images(batch * (_steps(m, batch) + 4))
    part = Examples(inputs=images, labels=labels)
    data = routing_data((part, part.take(range(4))), m)
    seen: list[float] = []
    train_routing(
        data, band(m, k), steps=_steps(m, batch), hidden=HIDDEN, lr=1e-4, momentum=0.9, batch=batch, most=4,
        callbacks=(lambda event: seen.append(time.process_time()) if event.kind == "step" else None,),
    )  # fmt: skip
    return float(np.min(np.diff(seen)[2:]))


def all_pairs(m: int, k: int, batch: int) -> float:
    """A step of the reference's arithmetic."""
    import torch
    from torch import nn

    from learnt.gated.gate_patterns import band

    torch.manual_seed(0)
    encoders = nn.ModuleList(nn.Linear(PIXELS, HIDDEN) for _ in range(m))
    shared = nn.Linear(HIDDEN, HIDDEN)
    decoder = nn.Parameter(torch.randn(m, HIDDEN, CLASSES) / 100)
    bias = nn.Parameter(torch.zeros(m, 1, CLASSES))
    orders = [torch.randperm(PIXELS) for _ in range(m)]
    names = [torch.randperm(CLASSES) for _ in range(m)]
    gate = torch.tensor(band(m, k), dtype=torch.float32)
    optimizer = torch.optim.SGD([*encoders.parameters(), *shared.parameters(), decoder, bias], lr=1e-4, momentum=0.9)
    images, labels = _images(batch)
    flat, seen = images.flatten(1), []
    for _ in range(_steps(m, batch)):
        begin = time.process_time()
        views = torch.stack([flat[:, order] for order in orders])
        z = torch.cat([e(x).unsqueeze(1) for e, x in zip(encoders, views, strict=True)], 1)
        z = shared(z.reshape(batch * m, HIDDEN))
        out = (z.matmul(decoder) + bias).permute(1, 0, 2).reshape(-1, CLASSES)
        right = torch.stack([name[labels] for name in names], 1).unsqueeze(1).expand(-1, m, -1).reshape(-1)
        loss = nn.functional.cross_entropy(out, right, reduction="none").view(batch, m, m).mean(0)
        optimizer.zero_grad()
        ((loss * gate).sum() / gate.sum()).backward()
        optimizer.step()
        seen.append(time.process_time() - begin)
    return float(np.min(seen[2:]))


def moments() -> float:
    """All statistics of one pathway with 60,000 samples, float32."""
    from learnt.gated import GatedTask, Graph, correlations

    x, y = _large()
    task = GatedTask(Graph.chain([PIXELS, 32, CLASSES]), {"x": x}, {"y": y})
    return _repeated(lambda: correlations(task), 3)


def gram() -> float:
    """X^T X."""
    x, _ = _large()
    return _repeated(lambda: x.T @ x, 3)


def _large() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((60_000, PIXELS), np.float32), np.eye(CLASSES, dtype=np.float32)[rng.integers(0, 10, 60_000)]


def gates() -> float:
    """`relu_gates` of a network with three hidden layers of 512."""
    import torch

    from learnt.gated.rectified_gates import relu_gates
    from learnt.train.nets import mlp

    torch.manual_seed(0)
    net, x = mlp(64, CLASSES, (512, 512, 512)), torch.randn(10_000, 64)
    return _repeated(lambda: relu_gates(net, x), 2)


def domains() -> float:
    """Permutations of pixels and labels of 100 input and 100 output domains."""
    from learnt.core.examples import Examples
    from learnt.gated.routing_data import routing_data

    images, labels = _images(64)
    part = Examples(inputs=images, labels=labels)
    return _repeated(lambda: routing_data((part, part), 100), 3)


SIDES: dict[str, Callable[..., float]] = {
    f.__name__: f for f in (general, explicit, step, all_pairs, moments, gram, gates, domains)
}


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
    theirs = folder is not None and row.rival == "all_pairs"
    if theirs:
        program = os.environ.get("LEARNT_GDLN_PYTHON", sys.executable)
        commands["rival"] = [program, str(HERE / "_gated_authors.py"), str(folder), *numbers]
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
    if row.seconds and ours is not None:
        met = row.target is None or ours <= row.target
    elif ratio is not None and row.target is not None and (theirs or not row.reference):
        met = ratio >= row.target
    return {
        "row": name, "question": row.question, "rival": "authors" if theirs else row.rival, "ours_s": ours,
        "rival_s": rival, "ratio": ratio, "median_ratio": statistics.median(pairs) if pairs else None,
        "target": row.target, "target_is_seconds": row.seconds, "target_is_against_the_authors": row.reference,
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
        record = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        record |= {"load_average": os.getloadavg()[0], "reference_run": folder is not None, "rows": rows}
        out.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    return int(any(row["met"] is False or "ours" in row["faults"] for row in rows))


def show(rows: list[dict[str, Any]], here: bool) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Gated networks, one thread, processor time")
    for column in ("question", "rival", "rival ms", "ours ms", "ratio", "target", "met"):
        table.add_column(column, justify="left" if column in ("question", "rival") else "right")
    for row in rows:
        target = "" if row["target"] is None else f"{row['target']:.3g}"
        table.add_row(
            row["question"], row["rival"] or "", *("" if row[k] is None else f"{1e3 * row[k]:.3g}" for k in
            ("rival_s", "ours_s")), "" if row["ratio"] is None else f"{row['ratio']:.3g}",
            f"<= {target} s" if row["target_is_seconds"] else f">= {target}",
            {True: "yes", False: "NO", None: "not judged"}[row["met"]],
        )  # fmt: skip
    Console(width=140).print(table)
    for row in rows:
        for side, fault in row["faults"].items():
            print(f"{row['row']}, {side}: {fault}")
    if not here:
        print("Routing steps beside arithmetic like the authors'; set LEARNT_GDLN_REFERENCE to run their own code.")


if __name__ == "__main__":
    sys.exit(main())
