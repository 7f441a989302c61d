"""How much cheaper are N replicas in one population than N single models in a Python loop?

The rival is a plain torch loop, written as one would by hand: for each model and each batch, gather, zero_grad,
forward, cross-entropy, backward, step, with the same optimiser, batch size and number of steps. Times are wall time
of the whole call (`fit` with all its set-up, checks and records included) after one run of each, in alternating pairs;
the medians over pairs are shown, so that neither a busy moment nor a lucky one decides.
Ratio = median over pairs of loop / population: above 1, the population is faster.

    python benchmarks/populations.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from learnt.core.examples import Examples
from learnt.train import CrossEntropy, Population, fit
from learnt.train.nets import mlp, small_cnn

LIMIT = 15.0  # seconds a case, so that the whole stays near a minute on a quiet machine
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD with momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-3),
}


def loop(modules: list[nn.Module], data: Examples, optimizer: Callable, epochs: int, batch_size: int) -> None:
    """Train the modules one after the other, by hand."""
    inputs, labels = data.inputs, data.labels
    assert labels is not None
    for module in modules:
        moving = optimizer(module.parameters())
        for _ in range(epochs):
            order = torch.randperm(len(inputs))
            for start in range(0, len(inputs), batch_size):
                index = order[start : start + batch_size]
                moving.zero_grad()
                F.cross_entropy(module(inputs[index]), labels[index]).backward()
                moving.step()


def compete(
    make: Callable[[], nn.Module], n: int, data: Examples, optimizer: Callable, epochs: int, batch: int, repeats: int
) -> dict[str, object]:
    """Median wall times of both, in milliseconds a step (of all N replicas), and of their ratio."""
    steps = epochs * -(-len(data) // batch)
    pairs: list[tuple[float, float]] = []
    engine = ""
    began = time.perf_counter()
    for k in range(repeats + 1):
        if k > 3 and time.perf_counter() - began > LIMIT:
            break
        modules = [make() for _ in range(n)]
        start = time.perf_counter()
        loop(modules, data, optimizer, epochs, batch)
        apart = time.perf_counter() - start
        thing = make() if n == 1 else Population(make, n, seed=0)
        start = time.perf_counter()
        history = fit(thing, data, CrossEntropy(), epochs=epochs, optimizer=optimizer, batch_size=batch)
        pairs.append((apart, time.perf_counter() - start))
        engine = history.engine
    pairs = pairs[1:]  # the first pair loads what is loaded once
    return {
        "loop_ms": 1e3 * statistics.median(a for a, _ in pairs) / steps,
        "population_ms": 1e3 * statistics.median(b for _, b in pairs) / steps,
        "ratio": statistics.median(a / b for a, b in pairs),
        "pairs": len(pairs),
        "engine": engine,
        "steps": steps,
    }


def main(quick: bool = False) -> dict[str, object]:
    """Run all cases, print the table, write benchmarks/results/populations.json."""
    from rich.console import Console
    from rich.table import Table

    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(2048, 64, generator=generator)
    images = torch.rand(512, 3, 32, 32, generator=generator)
    digits = Examples(inputs=flat, labels=flat[:, :10].argmax(1))
    pictures = Examples(inputs=images, labels=images.mean((2, 3)).argmax(1))
    repeats = 3 if quick else 15
    rows: list[dict[str, object]] = []
    for name, optimizer in OPTIMIZERS.items():
        for n in (1, 8, 32):
            epochs = {1: 12, 8: 4, 32: 4}[n]
            case = {"model": "MLP 64-128-128-10", "optimizer": name, "replicas": n, "batch": 128}
            rows.append(case | compete(lambda: mlp(64, 10), n, digits, optimizer, epochs, 128, repeats))
    for n in (1, 8):
        case = {"model": "CNN 16-32-64, 32x32x3", "optimizer": "Adam", "replicas": n, "batch": 64}
        rows.append(case | compete(lambda: small_cnn(3, 3), n, pictures, OPTIMIZERS["Adam"], 3, 64, min(repeats, 5)))
    table = Table(title=f"N replicas: one population against a Python loop, {torch.get_num_threads()} threads")
    for column in ("model", "optimiser", "N", "loop ms/step", "population ms/step", "ratio", "engine"):
        table.add_column(column, justify="left" if column in ("model", "optimiser", "engine") else "right")
    for r in rows:
        table.add_row(
            str(r["model"]), str(r["optimizer"]), str(r["replicas"]), f"{r['loop_ms']:.2f}",
            f"{r['population_ms']:.2f}", f"{r['ratio']:.2f}", str(r["engine"]),
        )  # fmt: skip
    Console().print(table)
    machine = {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "processor": platform.processor()}
    result: dict[str, object] = {"torch": torch.__version__, "machine": machine, "rows": rows}
    path = Path(__file__).parent / "results" / "populations.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    main(parser.parse_args().quick)
