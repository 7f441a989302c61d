"""When do gates learn to switch between tasks instead of the weights being written over? Learned, fast gates.

    y = sum_p c_p W^p x          L = 1/2 <|y - W*_m x|^2> = 1/2 |sum_p c_p W^p - W*_m|^2       x ~ N(0, 1)
    tau_w dW^p/dt = -dL/dW^p     tau_c dc/dt = -d(L + R)/dc
    R = strength / (nonnegative + manifold) * [ nonnegative 10 sum_p max(0, -c_p) + manifold 5 (sum_p |c_p| - 1)^2 ]

Tasks m come in blocks, and nothing tells the network which one it is in. Here gates are not part of the data, as
elsewhere in this room, but variables, faster than the weights if tau_c < tau_w and held near the simplex by R. Time is
in any unit; Euler steps of `dt`.

Source: Sandbrink, Bauer, Proca, Saxe, Summerfield, Hummos 2024 (NeurIPS, "Flexible task abstractions emerge in linear
networks with fast and bounded units"). Defaults (tau_c .03 and tau_w 1.3 blocks, R with weights 1 and 10 and strength
.1, gates from .5, weights from N(0, (.01)^2 / inputs), 10 x 20 teachers with orthogonal rows of length 1/sqrt(20)) and
the form of R are those of the authors' code (aproca/neural_task_abstraction, lcs/configs.py, lcs/joint_learning.py,
commit 9bd6c45), as read there. What differs: gradients are of the expected loss unless `batch` is given (the code draws
200 samples a step), and the measures of `learnt.gated.learned_gates` are ours. We have not compared our numbers
with those of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from learnt.core.errors import DivergedError, InputError, ShapeError
from learnt.gated._frozen import finite, frozen, whole
from learnt.gated.learned_gates import LearnedGates
from learnt.run.seeds import generator

MAX_STEPS = 100_000_000  # of a block


def orthogonal_teachers(tasks: int = 2, outputs: int = 10, inputs: int = 20, *, seed: int = 0) -> torch.Tensor:
    """(tasks, outputs, inputs) float64 teachers whose rows are all orthogonal, each of length 1/sqrt(inputs).

    Raises:
        InputError: more rows than inputs.
    """
    m, o, i = whole(tasks, "tasks", 1), whole(outputs, "outputs", 1), whole(inputs, "inputs", 1)
    if m * o > i:
        raise InputError("inputs", found=str(i), expected=f"at least tasks * outputs = {m * o}")
    q, r = torch.linalg.qr(torch.randn(i, i, generator=generator(seed, "teachers"), dtype=torch.float64))
    return ((q * r.diagonal().sign()).T[: m * o] / i**0.5).reshape(m, o, i)


def learn_gates(
    teachers: Any = None,
    blocks: int | Sequence[int] = 20,
    *,
    paths: int | None = None,
    block: float = 1.0,
    tau_w: float = 1.3,
    tau_c: float = 0.03,
    nonnegative: float = 1.0,
    manifold: float = 10.0,
    strength: float = 0.1,
    init: float = 1e-2,
    c0: float = 0.5,
    batch: int | None = None,
    dt: float = 1e-3,
    records: int = 100,
    replicas: int = 1,
    seed: int = 0,
) -> LearnedGates:
    """Train networks with learned gates on tasks that come in blocks.

    Args:
        teachers: (tasks, outputs, inputs) linear maps; those of `orthogonal_teachers` if None. The computation is
            in float64, on the device of this tensor.
        blocks: how many, tasks in turn; or the task of each block.
        paths: K; as many as tasks if None.
        block: duration of a block.
        tau_w, tau_c: time constants of weights and gates.
        nonnegative, manifold, strength: of the regularisers; strength 0 for none.
        init: weights start from N(0, init^2 / inputs).
        c0: gates start there.
        batch: samples of a step, drawn anew; None for the expected loss.
        dt: step, at most a tenth of a block and below the time constants.
        records: of a block, at most.
        replicas: R; replica i starts and draws from seeds of its own, whatever R is.
        seed: as above.

    Raises:
        InputError, ShapeError, NonFiniteError: arguments that have no meaning.
        DivergedError: the step is too large for the time constants.
    """
    target = _teachers(teachers)
    order = _order(blocks, len(target))
    count = len(target) if paths is None else whole(paths, "paths", 1)
    numbers = {
        name: _positive(value, name, zero=name in ("nonnegative", "manifold", "strength", "c0"))
        for name, value in {
            "block": block, "tau_w": tau_w, "tau_c": tau_c, "nonnegative": nonnegative, "manifold": manifold,
            "strength": strength, "init": init, "c0": c0, "dt": dt,
        }.items()
    }  # fmt: skip
    if dt > block / 10 or dt >= min(tau_w, tau_c):
        raise InputError("dt", found=f"{dt:g}", expected="at most block / 10, and below tau_w and tau_c")
    if batch is not None:
        whole(batch, "batch", 1)
    if not block / dt <= MAX_STEPS:
        raise InputError("dt", found=f"{block / dt:.3g} steps a block", expected=f"at most {MAX_STEPS:,}")
    steps, records, replicas = round(block / dt), whole(records, "records", 1), whole(replicas, "replicas", 1)
    push, every = _regulariser(strength, nonnegative, manifold), max(1, steps // records)
    streams = [generator(seed, "learned gates", i, device=target.device) for i in range(replicas)]
    inputs = target.shape[2]
    w = torch.stack([_normal((count, *target.shape[1:]), s) for s in streams]) * (init / inputs**0.5)
    c = torch.full((replicas, count), float(c0), dtype=torch.float64, device=target.device)
    found = _Record(target)
    for b, task in enumerate(order):
        found.start(b * steps * dt, w, c, task)
        for step in range(1, steps + 1):
            error = torch.einsum("rp,rpoi->roi", c, w) - target[task]
            if batch is not None:
                x = torch.stack([_normal((batch, inputs), s) for s in streams])
                error = error @ (x.mT @ x / batch)
            dw = c[:, :, None, None] * error[:, None]
            dc = torch.einsum("rpoi,roi->rp", w, error) + push(c)
            new_w, new_c = w - (dt / tau_w) * dw, c - (dt / tau_c) * dc
            found.moved(c, new_c, w, new_w)
            w, c = new_w, new_c
            if step % every == 0 or step == steps:
                found.keep((b * steps + step) * dt, w, c, task)
        if not bool(torch.isfinite(w).all() & torch.isfinite(c).all()):
            raise DivergedError(
                "dt", found=f"NaN or infinity in block {b + 1}", expected="a step that is small against tau_w and tau_c"
            )
        found.end(w, c)
    settings = {**numbers, "paths": count, "batch": batch, "replicas": replicas, "seed": seed}
    return found.result(order, w, settings)


def _regulariser(strength: float, nonnegative: float, manifold: float) -> Any:
    """dR/dc as a function of (R, K) gates."""
    whole_weight = nonnegative + manifold
    first, second = (10 * strength * v / whole_weight if whole_weight else 0.0 for v in (nonnegative, manifold))

    def push(c: torch.Tensor) -> torch.Tensor:
        sign = c.sign()
        return second * (c.abs().sum(1, keepdim=True) - 1) * sign - first * (c < 0).to(c.dtype)

    return push


def _normal(shape: tuple[int, ...], stream: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=stream, dtype=torch.float64, device=stream.device)


class _Record:
    """What is kept of a run."""

    def __init__(self, target: torch.Tensor) -> None:
        self.target = target
        self.size = 0.5 * target.square().sum((1, 2))
        self.time: list[list[float]] = []
        self.loss: list[list[torch.Tensor]] = []
        self.c: list[list[torch.Tensor]] = []
        self.cosine: list[torch.Tensor] = []
        self.retained: list[torch.Tensor] = []
        self.share: list[torch.Tensor] = []

    def start(self, time: float, w: torch.Tensor, c: torch.Tensor, task: int) -> None:
        """The moment after a switch."""
        for kept in (self.time, self.loss, self.c):
            kept.append([])
        self.before = torch.einsum("rp,rpoi->roi", c, w)
        self.by_gates = torch.zeros_like(self.before)
        self.keep(time, w, c, task)

    def keep(self, time: float, w: torch.Tensor, c: torch.Tensor, task: int) -> None:
        """One record."""
        miss = torch.einsum("rp,rpoi->roi", c, w) - self.target[task]
        self.time[-1].append(time)
        self.loss[-1].append(0.5 * miss.square().sum((1, 2)) / self.size[task])
        self.c[-1].append(c)

    def moved(self, c: torch.Tensor, new_c: torch.Tensor, w: torch.Tensor, new_w: torch.Tensor) -> None:
        """The part of the gates in what one step changed."""
        self.by_gates += torch.einsum("rp,rpoi->roi", new_c - c, (w + new_w) / 2)

    def end(self, w: torch.Tensor, c: torch.Tensor) -> None:
        """The end of a block."""
        change = torch.einsum("rp,rpoi->roi", c, w) - self.before
        self.share.append((self.by_gates * change).sum((1, 2)) / change.square().sum((1, 2)))
        flat, wanted = w.flatten(2), self.target.flatten(1)
        inner = torch.einsum("rpk,mk->rmp", flat, wanted)
        self.cosine.append(inner / (flat.norm(dim=2)[:, None] * wanted.norm(dim=1)[:, None]))
        best = torch.linalg.pinv(flat.mT, rtol=1e-9) @ wanted.mT  # (R, K, M); paths may be all but alike
        miss = (flat.mT @ best - wanted.mT).square().sum(1)
        self.retained.append(1 - miss / wanted.square().sum(1))

    def result(self, order: list[int], w: torch.Tensor, settings: dict[str, Any]) -> LearnedGates:
        """Everything as numpy arrays."""

        def stacked(parts: list[torch.Tensor]) -> np.ndarray:
            return frozen(torch.stack(parts).cpu().numpy())

        return LearnedGates(
            tasks=frozen(np.array(order)), time=frozen(np.array(self.time)),
            loss=stacked([torch.stack(row) for row in self.loss]), c=stacked([torch.stack(row) for row in self.c]),
            cosine=stacked(self.cosine), retained=stacked(self.retained), gate_share=stacked(self.share),
            paths=frozen(w.cpu().numpy()), settings=settings,
        )  # fmt: skip


def _teachers(teachers: Any) -> torch.Tensor:
    if teachers is None:
        return orthogonal_teachers()
    finite(teachers, "teachers")
    target = (
        teachers.detach().double() if isinstance(teachers, torch.Tensor) else torch.tensor(np.asarray(teachers, float))
    )
    if target.ndim != 3 or not target.numel():
        raise ShapeError("teachers", found=f"shape {tuple(target.shape)}", expected="(tasks, outputs, inputs)")
    if not bool((target.square().sum((1, 2)) > 0).all()):
        raise InputError("teachers", found="a teacher of zeros", expected="maps that ask for something")
    return target


def _order(blocks: int | Sequence[int], tasks: int) -> list[int]:
    if isinstance(blocks, int | np.integer):
        return [b % tasks for b in range(whole(blocks, "blocks", 1))]
    if not isinstance(blocks, Sequence) or isinstance(blocks, str | bytes):
        raise InputError("blocks", found=repr(blocks)[:60], expected="a number of blocks, or the task of each")
    order = [whole(task, "blocks", 0) for task in blocks]
    if not order or max(order) >= tasks:
        raise InputError(
            "blocks", found=repr(list(blocks)), expected=f"tasks from 0 to {tasks - 1}, at least one block"
        )
    return order


def _positive(value: Any, name: str, *, zero: bool) -> float:
    number = finite(value, name)
    if number.shape != () or isinstance(value, bool) or not (number >= 0 if zero else number > 0):
        raise InputError(name, found=repr(value), expected=f"a number {'of at least' if zero else 'above'} 0")
    return float(number)
