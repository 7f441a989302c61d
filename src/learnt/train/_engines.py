"""Which engine moves a population: all replicas at once, or one after the other.

One replica: the loop. Networks made of matrix products only (linear, embedding, normalisation): all at once. For
everything else, convolutions and recurrences above all, a short trial on the first batch measures both; results
agree to float tolerance, so only the time differs. For the same bits on any machine say `engine="vmap"` or
`engine="loop"`; a run with a checkpoint keeps its first choice.
"""

from __future__ import annotations

import time
import warnings
from typing import Literal, Protocol

import torch
from torch import nn

from learnt.core.errors import InputError, LearntError
from learnt.train._bundle import Stack
from learnt.train._engine_loop import LoopEngine
from learnt.train._engine_vmap import Loss, VmapEngine
from learnt.train._feed import Batches

Choice = Literal["auto", "vmap", "loop"]
ADVANTAGE = 1.5  # near a tie the loop is taken, so that noise in the clock does not decide the last bits
PATIENCE = 0.03  # seconds: a trial that has measured this long has seen enough
WARM = 1.0  # seconds: a first step this slow needs no repetition
SAMPLE = 2  # replicas on which the loop is timed; the others cost as much
PRODUCTS = (
    nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d,
)  # fmt: skip


class Engine(Protocol):
    """Computes losses and gradients of all replicas for one step."""

    name: str

    def gradients(self, loss: Loss, batches: Batches, step: int, active: torch.Tensor) -> torch.Tensor: ...

    def values(self, loss: Loss, batches: Batches) -> torch.Tensor: ...


def build(name: str, stack: Stack, seed: int) -> Engine:
    """The engine of that name on `stack`."""
    return VmapEngine(stack, seed) if name == "vmap" else LoopEngine(stack, seed)


def choose(asked: Choice, stack: Stack, loss: Loss, batches: Batches, seed: int) -> tuple[str, str]:
    """Name of the engine to use and, in words, why.

    Args:
        asked: what the caller wants.
        stack: left as it is; trials run on copies of its buffers.
        loss: the objective.
        batches: of the first step.
        seed: of the run.

    Raises:
        InputError: `asked` is not an engine, or "vmap" was asked for and the model or objective cannot be vectorised.
    """
    if asked not in ("auto", "vmap", "loop"):
        raise InputError("engine", found=repr(asked), expected='"auto", "vmap" or "loop"')
    if asked == "loop":
        return "loop", "engine loop: as asked"
    if asked == "auto" and stack.size == 1:
        return "loop", "engine loop: one replica"
    untimed = asked == "vmap" or _only_products(stack.bundle)
    trouble, together = _trial("vmap", stack, loss, batches, seed, repeats=0 if untimed else 3)
    if trouble is not None:
        if asked == "vmap":
            raise InputError(
                "engine",
                found=f"a model or objective that cannot be vectorised over replicas ({trouble})",
                expected="operations that torch.func.vmap supports",
                remedy='Use engine="loop" or engine="auto".',
            )
        return "loop", f"engine loop: cannot be vectorised over replicas ({trouble})"
    if asked == "vmap":
        return "vmap", "engine vmap: as asked"
    if untimed:
        return "vmap", "engine vmap: matrix products only"
    _, apart = _trial("loop", stack, loss, batches, seed, repeats=3)
    chosen = "vmap" if together * ADVANTAGE < apart else "loop"
    return (
        chosen,
        f"engine {chosen}: a trial took {1e3 * together:.1f} ms a step at once, {1e3 * apart:.1f} ms in a loop",
    )


def _only_products(module: nn.Module) -> bool:
    return all(isinstance(m, PRODUCTS) for m in module.modules() if next(m.parameters(recurse=False), None) is not None)


def _trial(
    name: str, stack: Stack, loss: Loss, batches: Batches, seed: int, *, repeats: int
) -> tuple[str | None, float]:
    """What went wrong (None if nothing did) and the best of some times of a step in seconds, after a warm-up."""
    scratch = stack.scratch()
    active = torch.ones(stack.size, dtype=torch.bool)
    share = 1.0
    if name == "loop":
        active[SAMPLE:] = False
        share = float(active.double().mean())
    best, spent = float("inf"), 0.0
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            engine = build(name, scratch, seed)
            for k in range(1 + repeats):
                start = time.perf_counter()
                engine.gradients(loss, batches, 0, active)
                _wait(stack.device)
                took = (time.perf_counter() - start) / share
                if k or took > WARM:  # the first step also pays for what is set up once
                    best, spent = min(best, took), spent + took * share
                if spent > PATIENCE:
                    break
    except LearntError:
        raise  # our own objection is the same in either engine
    except Exception as error:  # noqa: BLE001  (vmap raises many types for what it cannot do)
        if name == "loop":
            raise
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error) else ''}", best
    slow = next((str(w.message) for w in told if "performance drop" in str(w.message)), None)
    if slow is not None:  # vmap has no rule for one operation and would run it row by row
        return slow.split("batching rule for ")[-1].split(". ")[0] + " would run row by row", best
    return None, best


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
