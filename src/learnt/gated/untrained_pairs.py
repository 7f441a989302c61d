"""How wrong are the pairs that were not trained? A simulation of linear routing networks, all seeds at once.

    L = 1/2 w sum over trained pairs ||Y - W_out(j) W_hid W_in(i) X||^2

Full-batch gradient descent from orthogonal weights of a given gain. Side by side, encoders and decoders are one network
of three layers whose error is masked by the gate: six products of matrices a step, whatever the number of pairs.

    error of a pair = 1/2 ||Y - W_out(j) W_hid W_in(i) X||^2         no answer has 122 on the default data

The setting is that of the authors' notebooks (Saxe, Sodhani, Lewallen 2022, arXiv 2207.10430): their loss is the sum
over pairs of the mean over all n d_out entries, w = 2 / (n d_out). For real images see `learnt.gated.routing_training`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from learnt.core.errors import DivergedError, InputError, NotApplicable, ShapeError
from learnt.gated._frozen import finite, frozen, number, whole
from learnt.gated.gate_patterns import gate_matrix
from learnt.gated.hierarchies import tree
from learnt.run.seeds import numpy_generator


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class UntrainedError:
    """Errors after training.

    Attributes:
        gate: (M, M) 0/1, the trained pairs.
        seeds: (R,).
        error: (R, M, M) of each pair, 1/2 ||Y - Y_hat||^2.
        nothing: the error of a network that answers 0.
    """

    gate: np.ndarray
    seeds: tuple[int, ...]
    error: np.ndarray
    nothing: float

    @property
    def trained(self) -> np.ndarray:
        """(R,) mean over the trained pairs."""
        return self.error[:, self.gate == 1].mean(1)

    @property
    def untrained(self) -> np.ndarray:
        """(R,) mean over the untrained pairs; NotApplicable if there are none."""
        if (self.gate == 1).all():
            raise NotApplicable("gate", found="every pair trained", expected="pairs that were not trained")
        return self.error[:, self.gate == 0].mean(1)

    def __str__(self) -> str:
        text = f"error of trained pairs {self.trained.mean():.3g}"
        if (self.gate == 0).any():
            each = ", ".join(f"{e:.3g}" for e in self.untrained[:8]) + (", ..." if len(self.seeds) > 8 else "")
            text += f", of untrained pairs {self.untrained.mean():.3g} (by seed: {each})"
        return f"{text}; {self.nothing:.4g} for no answer"


def untrained_error(
    gate: Any,
    seeds: int | Sequence[int] = 4,
    *,
    hidden: int = 32,
    gain: float = 0.2,
    lr: float = 0.02,
    steps: int = 700,
    y: Any = None,
    weight: float | None = None,
) -> UntrainedError:
    """Train linear routing networks on the pairs of a gate and measure all pairs.

    Args:
        gate: (M, M) 0/1, the trained pairs; rows input domains.
        seeds: of the weights: a number R, for 0 to R - 1, or the seeds.
        hidden: width of both hidden layers.
        gain: of the orthogonal weights at the start.
        lr, steps: of gradient descent. The largest stable step falls with K; see `SymmetricRouting.lr_max`.
        y: (n, d_out) targets of the one-hot items; None for the tree of the notebooks, 4 items with 7 features.
        weight: w; None for 2 / (n d_out).

    Raises:
        InputError, ShapeError, NonFiniteError: no gate, sizes below 1, a step, gain or weight that is not above 0.
        DivergedError: the step is too large.
    """
    pairs = gate_matrix(gate)
    numbers = tuple(range(whole(seeds, "seeds", 1, 100_000))) if not isinstance(seeds, Sequence) else tuple(seeds)
    numbers = tuple(whole(s, "seeds", 0) for s in numbers)
    if not numbers:
        raise InputError("seeds", found="none", expected="at least one")
    width, count = whole(hidden, "hidden", 1, 100_000), whole(steps, "steps", 0)
    target = (tree(2, (6.0, 4.0, 3.0)) if y is None else finite(y, "y")).T
    if target.ndim != 2 or not target.size:
        raise ShapeError("y", found=f"shape {target.T.shape}", expected="(n, d_out), items x features")
    settings = {"gain": gain, "lr": lr, "weight": 2.0 / target.size if weight is None else weight}
    gain, lr, weight = (number(value, name, above=0.0) for name, value in settings.items())
    domains, (d_out, n) = len(pairs), target.shape
    w_in, w_hid, w_out = _starts(numbers, domains, n, width, d_out, gain)
    goal = np.tile(target, (domains, domains))
    mask = np.repeat(np.repeat(pairs.T, d_out, 0), n, 1)  # rows outputs, columns inputs
    rate = lr * weight
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(count):
            code = w_hid @ w_in
            miss = mask * (goal - w_out @ code)
            back = w_out.transpose(0, 2, 1) @ miss
            w_out = w_out + rate * (miss @ code.transpose(0, 2, 1))
            change = back @ w_in.transpose(0, 2, 1)
            w_in = w_in + rate * (w_hid.transpose(0, 2, 1) @ back)
            w_hid = w_hid + rate * change
            if step % 50 == 49 and not np.isfinite(w_hid).all():
                break
        left = goal - w_out @ w_hid @ w_in
    if not np.isfinite(left).all():
        raise DivergedError(
            "lr", found=f"weights out of range with step {lr:g}", expected="a stable step",
            remedy="Take less than SymmetricRouting.lr_max.",
        )  # fmt: skip
    error = 0.5 * (left.reshape(len(numbers), domains, d_out, domains, n) ** 2).sum((2, 4)).transpose(0, 2, 1)
    return UntrainedError(
        gate=frozen(pairs), seeds=numbers, error=frozen(error), nothing=0.5 * float((target**2).sum())
    )  # fmt: skip


def _starts(
    seeds: tuple[int, ...], domains: int, n: int, width: int, d_out: int, gain: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(R, width, M n) encoders, (R, width, width), (R, M d_out, width) decoders: orthogonal, times the gain."""
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for seed in seeds:
        rng = numpy_generator(seed, "untrained pairs")
        parts[0].append(np.concatenate([_orthogonal(rng, width, n) for _ in range(domains)], 1))
        parts[1].append(_orthogonal(rng, width, width))
        parts[2].append(np.concatenate([_orthogonal(rng, d_out, width) for _ in range(domains)], 0))
    first, second, third = (gain * np.stack(some) for some in parts)
    return first, second, third


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A uniformly random matrix with orthonormal rows or columns, whichever are fewer."""
    draw = rng.normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(draw)
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T
