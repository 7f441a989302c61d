"""What does debiased CKA cost, in time and memory, beside the usual ways of computing it?

Every row runs in a process of its own, which reports its wall time, the processor time of all its threads (the number
to trust on a busy machine) and how far its peak memory rose above what the imports and the inputs had taken. Rivals,
in float64 unless said:

* naive Gram: K = XX', L = YY', zero diagonals, then the three sums of the unbiased estimator on whole matrices;
* trace(K @ L): the same with matrix products under the trace, as torch_cka 0.21 does (float32, like there);
* torch_cka loop: for a 12 x 12 grid over minibatches of 256, HSIC(K, K), HSIC(K, L) and HSIC(L, L) anew for every cell.

Ours includes the delete-a-group jackknife (20 groups), which the rivals do not have. Ratio = rival / ours
in processor time. Targets: 10,000 x 512 under 2 s and under 300 MB beyond inputs; the grid at least 5 times faster than
the torch_cka loop.

    python benchmarks/cka.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from learnt.similarity.cka import linear_cka
from learnt.similarity.grid import cka_grid, layers_of, nguyen_minibatch_grid
from learnt.similarity.hsic import cka_of
from learnt.similarity.linear import linear_kernel

BATCH = 256


def features(n: int, p: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two related layers, float32."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=g)
    return x, torch.randn(n, p, generator=g).add_(x)


def ours(x: torch.Tensor, y: torch.Tensor) -> float:
    """Value and 20 jackknife values."""
    keys = np.random.default_rng(0).integers(0, 2**63, len(x)).astype(np.uint64)
    a, b = (linear_kernel(v, keys=keys, groups=20) for v in (x, y))
    return float(cka_of(a, b)[0])


def naive_gram(x: torch.Tensor, y: torch.Tensor) -> float:
    """Whole Gram matrices in float64."""
    k, l = (v.double() @ v.double().T for v in (x, y))
    k.fill_diagonal_(0)
    l.fill_diagonal_(0)
    return float(hsic(k, l, (k * l).sum()) / (hsic(k, k, (k * k).sum()) * hsic(l, l, (l * l).sum())).sqrt())


def trace_gram(x: torch.Tensor, y: torch.Tensor) -> float:
    """Whole Gram matrices in float32, with matrix products under the trace."""
    k, l = x @ x.T, y @ y.T
    k.fill_diagonal_(0)
    l.fill_diagonal_(0)
    parts = [hsic(a, b, torch.trace(a @ b)) for a, b in ((k, l), (k, k), (l, l))]
    return float(parts[0] / (parts[1] * parts[2]).sqrt())


def hsic(k: torch.Tensor, l: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """The unbiased estimator, given tr(KL) of matrices without diagonal."""
    n = len(k)
    rest = k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k.sum(0) @ l.sum(1))
    return (product + rest) / (n * (n - 3))


def network(n: int, p: int, seed: int) -> dict[str, torch.Tensor]:
    """Twelve layers of n examples and p features, float32."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=torch.Generator().manual_seed(0))
    return {f"layer {i}": torch.randn(n, p, generator=g).add_(x) for i in range(12)}


def cut(network: dict[str, torch.Tensor], start: int) -> dict[str, torch.Tensor]:
    """One minibatch of every layer."""
    return {name: values[start : start + BATCH] for name, values in network.items()}


def our_minibatch_grid(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The estimator of the loop below; the mean of the grid is returned as a check."""
    n = len(a["layer 0"])
    return float(nguyen_minibatch_grid((cut(a, i), cut(b, i)) for i in range(0, n, BATCH))[2].mean())


def our_exact_grid(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """All examples at once: another, more precise number."""
    return float(cka_grid(layers_of(a), layers_of(b)).mean())


def torch_cka_loop(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """What torch_cka does once it has the features."""
    sums = torch.zeros(12, 12, 3)
    for start in range(0, len(a["layer 0"]), BATCH):
        for i, x in enumerate(cut(a, start).values()):
            k = (x @ x.T).fill_diagonal_(0)
            own = hsic(k, k, torch.trace(k @ k))
            for j, y in enumerate(cut(b, start).values()):
                l = (y @ y.T).fill_diagonal_(0)
                sums[i, j] += torch.stack([hsic(k, l, torch.trace(k @ l)), own, hsic(l, l, torch.trace(l @ l))])
    return float((sums[..., 0] / (sums[..., 1] * sums[..., 2]).sqrt()).mean())


CASES: dict[str, tuple[Callable, Callable, str, str]] = {
    "ours": (features, ours, "debiased CKA, {n} x {p}", "ours"),
    "naive": (features, naive_gram, "debiased CKA, {n} x {p}", "naive Gram"),
    "trace": (features, trace_gram, "debiased CKA, {n} x {p}", "trace(K @ L), float32"),
    "grid": (network, our_minibatch_grid, "12 x 12 grid, {n} x {p}, batch 256", "ours, same estimator"),
    "exact": (network, our_exact_grid, "12 x 12 grid, {n} x {p}, batch 256", "ours, all examples at once"),
    "loop": (network, torch_cka_loop, "12 x 12 grid, {n} x {p}, batch 256", "torch_cka loop"),
}


def peak() -> float:
    """Highest resident memory of this process so far, MB."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def run_case(case: str, n: int, p: int, repeats: int) -> dict[str, float]:
    """Best wall time, rise of the peak and value of one case, in this process."""
    make, function, _, _ = CASES[case]
    made = [make(n, p, seed) for seed in (1, 2)] if make is network else make(n, p, 1)
    linear_cka(torch.randn(64, 8), torch.randn(64, 8))  # load the libraries that only the first call loads
    before, seconds, busy, value = peak(), [], [], 0.0
    for _ in range(repeats):
        start, spent = time.perf_counter(), time.process_time()
        value = function(*made)
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - spent)
    return {"seconds": min(seconds), "processor_seconds": min(busy), "megabytes": peak() - before, "value": value}


def main() -> dict[str, object]:
    """Run all cases, print the table, write benchmarks/results/cka.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2,000 examples instead of 10,000, one repetition")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    big, repeats = (2000, 1) if args.quick else (10_000, 3)
    if args.case:
        case, n, p, times = args.case.split(",")
        print(json.dumps(run_case(case, int(n), int(p), int(times))))
        return {}
    plan = [
        ("ours", big, 512, repeats),
        ("naive", big, 512, 1),
        ("ours", 3000, 512, repeats),
        ("trace", 3000, 512, 1),
        ("grid", 2048, 512, repeats),
        ("loop", 2048, 512, 1),
        ("exact", 2048, 512, 1),
    ]
    rows: list[dict[str, object]] = []
    for case, n, p, times in plan:
        words = [sys.executable, __file__, "--case", f"{case},{n},{p},{times}"]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        _, _, task, method = CASES[case]
        rows.append({"task": task.format(n=f"{n:,}", p=p), "method": method, **found})
    for row in rows:
        reference = next(r for r in rows if r["task"] == row["task"])
        spent, ours_spent = (float(str(r["processor_seconds"])) for r in (row, reference))
        row["ratio"] = spent / ours_spent
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Debiased CKA, {torch.get_num_threads()} threads")
    for column in ("task", "method", "wall s", "processor s", "ratio", "MB beyond inputs", "value"):
        table.add_column(column, justify="left" if column in ("task", "method") else "right")
    for row in rows:
        keys = {"seconds": ".3f", "processor_seconds": ".3f", "ratio": ".1f", "megabytes": ".0f", "value": ".5f"}
        numbers = (format(row[key], spec) for key, spec in keys.items())
        table.add_row(str(row["task"]), str(row["method"]), *numbers)
    Console().print(table)
    out = Path(__file__).parent / "results" / "cka.json"
    out.parent.mkdir(exist_ok=True)
    result = {"threads": torch.get_num_threads(), "torch": torch.__version__, "quick": args.quick, "rows": rows}
    if not args.quick:
        out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


if __name__ == "__main__":
    main()
