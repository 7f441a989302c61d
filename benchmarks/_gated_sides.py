"""The two sides of the rows of `benchmarks.gated`: processor seconds of one unit of work, or megabytes."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np

HIDDEN, PIXELS, CLASSES = 128, 784, 10


def _repeated(work: Callable[[], Any], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def general() -> float:
    """500 steps of the discrete reduction, pathway by pathway."""
    from learnt.gated.reduction import reduce

    reduction = reduce(_notebook())
    return _repeated(lambda: reduction.solve(0.08, method="gd", lr=0.02, steps=500, symmetric=False), 5)


def symmetric() -> float:
    """The same; domains that are alike are found and moved as one."""
    from learnt.gated.reduction import reduce

    reduction = reduce(_notebook())
    return _repeated(lambda: reduction.solve(0.08, method="gd", lr=0.02, steps=500), 5)


def whole() -> float:
    """Statistics, modes and curve, from the task."""
    from learnt.gated import correlations
    from learnt.gated.reduction import reduce

    task = _notebook()
    return _repeated(lambda: reduce(correlations(task)).solve(0.08, method="gd", lr=0.02, steps=500), 5)


def reduced(m: int, k: int) -> float:
    """A step of the reduction of a large routing network, pathway by pathway, its loss included."""
    from learnt.gated import correlations, tasks
    from learnt.gated.reduction import reduce

    reduction = reduce(correlations(tasks.routing(m, k, hidden=8, weight="mean")))
    few, many = (
        _repeated(lambda n=n: reduction.solve(0.08, method="gd", lr=0.02, steps=n, symmetric=False), 3)
        for n in (100, 600)
    )
    return (many - few) / 500


def _notebook() -> Any:
    from learnt.gated import tasks

    return tasks.routing(7, 4, hidden=64, weight="notebook")


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
    from learnt.gated.routing_domains import routing_data
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
    """All statistics of one pathway with 60,000 samples kept as float32, summed in float64."""
    from learnt.gated import GatedTask, Graph, correlations

    x, y = _large()
    task = GatedTask(Graph.chain([PIXELS, 32, CLASSES]), {"x": x}, {"y": y})
    return _repeated(lambda: correlations(task), 3)


def gram() -> float:
    """X^T X in float64, the precision in which ours are summed."""
    x = _large()[0].astype(np.float64)
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


def domains(m: int) -> float:
    """Permutations of pixels and labels of M input and M output domains."""
    part = _part()
    from learnt.gated.routing_domains import routing_data

    return _repeated(lambda: routing_data((part, part), m), 3)


def memory(m: int) -> float:
    """Megabytes by which they raise the peak of the process."""
    import resource

    from learnt.gated.routing_domains import routing_data

    part = _part()
    routing_data((part, part), 2)  # what is imported and set up once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = routing_data((part, part), m)
    rise = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    del kept
    return rise / (1e6 if platform.system() == "Darwin" else 1e6 / 1024)


def _part() -> Any:
    from learnt.core.examples import Examples

    images, labels = _images(64)
    return Examples(inputs=images, labels=labels)


SIDES: dict[str, Callable[..., float]] = {
    f.__name__: f
    for f in (general, symmetric, whole, reduced, explicit, step, all_pairs, moments, gram, gates, domains, memory)
}
