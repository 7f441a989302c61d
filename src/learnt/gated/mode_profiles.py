"""Which modes of the task has a model learned, and how much of each? For any model at all.

    Sigma_yx C = U diag(s) V^T              C = Sigma_x^(-1/2), or I without whitening: the modes of the task
    M = Sigma_fx C                          the same of the model's answers f(x)
    fraction_a = u_a^T M v_a / s_a          cosine_a = u_a^T M v_a / |M v_a|

The linear regression of y on x has fraction 1 of every mode, a model that answers 0 none, and a deep linear network
learns them one after another, the larger s the sooner (Saxe, McClelland, Ganguli 2014, arXiv 1312.6120; for gated
networks Saxe, Sodhani, Lewallen 2022, arXiv 2207.10430). Nothing is assumed of the model: of a nonlinear one this is
the part of its answers that is linear in x. The cosine says whether what it answers along v_a points along u_a.

Moments are not centred by default, as in the theory, which has no biases; `centre` takes means off inputs, targets and
answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated._frozen import finite, flag
from learnt.gated._mlp import flat_inputs

MAX_INPUTS = 8_192  # input numbers: 0.5 GB for their second moments
_RANK = 1e-10  # of the largest eigenvalue: input directions and modes below are rounding
_ROWS = 1 << 19


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ModeProfile:
    """How much of each mode of a task a model has learned.

    Attributes:
        strength: (K,) s_a, of the task; decreasing.
        learned: (K,) u_a^T M v_a, of the model.
        cosine: (K,) between the model's answer along v_a and u_a; 0 where it answers nothing.
        answers: (c, K) M v_a, what the model answers along v_a.
        outputs: (c, K) u_a.
        inputs: (d, K) v_a, directions of whitened inputs if `whiten`.
        outside: share of |M|^2 in no mode: cross-talk between modes, and answers that the task does not ask for.
        whiten, centre: how the moments were taken.
    """

    strength: np.ndarray
    learned: np.ndarray
    cosine: np.ndarray
    answers: np.ndarray
    outputs: np.ndarray
    inputs: np.ndarray
    outside: float
    whiten: bool
    centre: bool

    @property
    def fraction(self) -> np.ndarray:
        """(K,) learned over strength: 0 nothing, 1 all of it; above 1 overshoots."""
        return self.learned / self.strength

    @property
    def missing(self) -> float:
        """sqrt(sum s^2 (1 - fraction)^2 / sum s^2): 0 for all modes learned, 1 for none."""
        return mode_distance(self.strength, self.learned, self.strength)

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "strength": self.strength.tolist(), "learned": self.learned.tolist(), "fraction": self.fraction.tolist(),
            "cosine": self.cosine.tolist(), "outside": self.outside, "missing": self.missing, "whiten": self.whiten,
            "centre": self.centre,
        }  # fmt: skip

    def __len__(self) -> int:
        """K, the number of modes."""
        return len(self.strength)

    def __str__(self) -> str:
        rows = ["mode  strength  fraction  cosine"]
        for a, (s, f, c) in enumerate(zip(self.strength, self.fraction, self.cosine, strict=True)):
            rows.append(f"{a + 1:4d}  {s:8.4g}  {f:8.3f}  {c:6.3f}")
        return "\n".join([*rows, f"outside the modes: {self.outside:.1%} of the linear part"])


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ProfileDifference:
    """How two models differ in what they have learned of one task. Made by `compare_profiles`.

    Attributes:
        strength: (K,) s_a.
        difference: (K,) fraction of the second minus that of the first.
        cosine: (K,) between what the two answer along v_a; 0 where one answers nothing.
        distance: `mode_distance` between them; 0 if all fractions are equal.
    """

    strength: np.ndarray
    difference: np.ndarray
    cosine: np.ndarray
    distance: float

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "strength": self.strength.tolist(), "difference": self.difference.tolist(), "cosine": self.cosine.tolist(),
            "distance": self.distance,
        }  # fmt: skip

    def __str__(self) -> str:
        rows = ["mode  strength  difference  cosine between both"]
        for a, (s, f, c) in enumerate(zip(self.strength, self.difference, self.cosine, strict=True)):
            rows.append(f"{a + 1:4d}  {s:8.4g}  {f:+10.3f}  {c:6.3f}")
        return "\n".join([*rows, f"distance: {self.distance:.4g} (0: the same fraction of every mode)"])


def compare_profiles(first: ModeProfile, second: ModeProfile) -> ProfileDifference:
    """Mode by mode, what a second model has learned beside a first.

    Raises:
        InputError: profiles of different tasks.
    """
    for name, given in (("first", first), ("second", second)):
        if not isinstance(given, ModeProfile):
            raise InputError(name, found=type(given).__name__, expected="a ModeProfile, made by mode_profile")
    same = first.inputs.shape == second.inputs.shape and first.outputs.shape == second.outputs.shape
    if not same or not np.allclose(first.strength, second.strength) or first.whiten != second.whiten:
        raise InputError("second", found="the profile of another task", expected="one on the same data")
    lengths = [np.linalg.norm(p.answers, axis=0) for p in (first, second)]
    there = np.logical_and(*(n > 1e-14 * max(float(n.max()), 1e-300) for n in lengths))
    size = np.where(there, lengths[0] * lengths[1], 1.0)
    cosine = np.where(there, np.clip((first.answers * second.answers).sum(0) / size, -1, 1), 0.0)
    return ProfileDifference(
        strength=first.strength, difference=second.fraction - first.fraction, cosine=cosine,
        distance=mode_distance(first.strength, first.learned, second.learned),
    )  # fmt: skip


def mode_distance(strength: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """sqrt(sum_a s_a^2 (f_a - g_a)^2 / sum_a s_a^2) of learned strengths s_a f_a and s_a g_a (K,)."""
    return float(np.sqrt(((first - second) ** 2).sum() / (strength**2).sum()))


def mode_profile(
    model: Any, X: Any, Y: Any, whiten: bool = True, *, centre: bool = False, prob: Any = None, batch_size: int = 1024
) -> ModeProfile:
    """How much of each mode of the task (X, Y) a model has learned.

    Args:
        model: an `nn.Module` or a function from X to (P, c), or its answers as a (P, c) array.
        X: (P, ...) inputs in the shape that it takes.
        Y: (P, c) targets, or (P,) class indices.
        whiten: modes of the regression of y on x; without it, of their covariance.
        centre: take the means off inputs, targets and answers.
        prob: (P,) weights of the samples; equal if None.
        batch_size: samples per forward pass.

    Raises:
        InputError, ShapeError, NonFiniteError: arrays that do not fit together, NaN.
        NotApplicable: inputs that do not vary, targets that do not depend on them, or too many input numbers.
    """
    tensor, x = flat_inputs(X)
    whiten, centre = flag(whiten, "whiten"), flag(centre, "centre")
    n, d = x.shape
    if d > MAX_INPUTS:
        raise NotApplicable(
            "X", found=f"{d:,} numbers an input", expected=f"at most {MAX_INPUTS:,}",
            remedy="Give principal components or smaller images as X and the answers of the model as an array.",
        )  # fmt: skip
    weights = _weights(prob, n)
    answers = answers_of(model, tensor, batch_size)
    y = targets(Y, n, answers.shape[1])
    moments = _moments(x, [y, answers], weights, centre)
    colour = _whitener(moments[0]) if whiten else np.eye(d)
    task, own = moments[1] @ colour, moments[2] @ colour
    size = np.sqrt(float((weights @ y**2).sum()) * float((weights @ x**2).sum()))
    u, s, v = leading_modes(task, floor=0.0 if whiten else 1e-14 * size)
    along = own @ v
    learned = np.einsum("ca,ca->a", u, along)
    length = np.linalg.norm(along, axis=0)
    small = 1e-14 * max(float(np.linalg.norm(own)), 1e-300)
    cosine = np.where(length > small, learned / np.maximum(length, small), 0.0)
    total = float((own**2).sum())
    outside = max(0.0, 1.0 - float((learned**2).sum()) / total) if total else 0.0
    return ModeProfile(
        strength=s, learned=learned, cosine=np.clip(cosine, -1, 1), answers=along, outputs=u, inputs=v, outside=outside,
        whiten=whiten, centre=centre,
    )  # fmt: skip


def leading_modes(task: np.ndarray, floor: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U (c, K), s (K,), V (d, K) of the modes of (c, d) moments that are more than rounding."""
    u, s, vt = np.linalg.svd(task, full_matrices=False)
    keep = s > max(_RANK * s[0], floor, 1e-300)
    if not keep.any():
        raise NotApplicable(
            "Y", found="targets that no linear function of the inputs is correlated with", expected="at least one mode"
        )
    return u[:, keep], s[keep], vt[keep].T


def answers_of(model: Any, X: torch.Tensor, batch_size: int) -> np.ndarray:
    """(P, c) float64 answers; a module is put into evaluation mode meanwhile and left as it was.

    Raises:
        ShapeError, NonFiniteError, InputError: answers of another shape, NaN, or a model that fails on X.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError("batch_size", found=repr(batch_size), expected="a positive integer")
    if not callable(model):
        found = finite(model, "model")
    else:
        found = _run(model, X, batch_size)
    if found.ndim == 1 and len(found) == len(X):
        found = found[:, None]
    if found.ndim != 2 or len(found) != len(X):
        raise ShapeError("model", found=f"answers of shape {found.shape}", expected=f"({len(X)}, outputs)")
    if not np.isfinite(found).all():
        raise NonFiniteError("model", found="answers that are NaN or infinite", expected="finite numbers")
    return found


def _run(model: Any, X: torch.Tensor, batch_size: int) -> np.ndarray:
    """Answers of a module or a function, batch by batch."""
    modules = [(m, m.training) for m in model.modules()] if isinstance(model, nn.Module) else []
    like = next((p for p in model.parameters() if p.is_floating_point()), None) if modules else None
    cuda = [like.device.index or 0] if like is not None and like.device.type == "cuda" else []
    parts = []
    try:
        for m, _ in modules:
            m.training = False
        with torch.no_grad(), torch.random.fork_rng(devices=cuda):
            for start in range(0, len(X), batch_size):
                batch = X[start : start + batch_size]
                if like is not None and batch.is_floating_point():
                    batch = batch.to(like.device, like.dtype)
                try:
                    out = model(batch)
                except (RuntimeError, ValueError, TypeError, IndexError) as error:
                    raise InputError(
                        "model", found=f"{type(error).__name__} on inputs of shape {tuple(batch.shape)}: {error}"[:200],
                        expected="answers to X",
                    ) from error  # fmt: skip
                out = getattr(out, "logits", out)
                if isinstance(out, torch.Tensor):
                    out = out.detach().cpu().double().numpy()
                parts.append(np.asarray(out, dtype=np.float64))
                if parts[-1].ndim == 0 or len(parts[-1]) != len(batch):
                    found = f"answers of shape {parts[-1].shape} for {len(batch)} samples"
                    raise ShapeError("model", found=found, expected="(samples, outputs)")
    finally:
        for m, was in modules:
            m.training = was
    return np.concatenate(parts)


def targets(Y: Any, n: int, outputs: int) -> np.ndarray:
    """(P, c) float64 targets; class indices become one of c.

    Raises:
        ShapeError, InputError, NonFiniteError: they do not fit the samples or the answers.
    """
    y = finite(Y, "Y")
    whole = np.asarray(Y.detach().cpu() if isinstance(Y, torch.Tensor) else Y).dtype.kind in "iu"
    if y.ndim == 1 and whole and outputs > 1:
        if len(y) and (int(y.min()) < 0 or int(y.max()) >= outputs):
            raise InputError("Y", found=f"classes from {y.min()} to {y.max()}", expected=f"from 0 to {outputs - 1}")
        y = np.eye(outputs)[y.astype(np.int64)]
    y = y[:, None] if y.ndim == 1 else y
    if y.shape != (n, outputs):
        given = tuple(Y.shape) if hasattr(Y, "shape") else np.shape(Y)
        raise ShapeError(
            "Y", found=f"shape {given}", expected=f"({n}, {outputs}), samples x outputs of the model",
            remedy="Class indices (P,) have to be integers." if given == (n,) else "",
        )  # fmt: skip
    return y


def _weights(prob: Any, n: int) -> np.ndarray:
    if prob is None:
        return np.full(n, 1.0 / n)
    weights = finite(prob, "prob")
    if weights.shape != (n,):
        raise ShapeError("prob", found=f"shape {weights.shape}", expected=f"({n},), one weight a sample")
    if (weights < 0).any() or not weights.any():
        raise InputError("prob", found="a negative weight, or only zeros", expected="weights of at least 0")
    return weights / weights.sum()


def _moments(x: np.ndarray, others: list[np.ndarray], weights: np.ndarray, centre: bool) -> list[np.ndarray]:
    """<x x^T> and <z x^T> of the others, in passes of bounded memory."""
    mean = weights @ x if centre else 0.0
    means = [weights @ z if centre else np.zeros(z.shape[1]) for z in others]
    found = [np.zeros((z.shape[1], x.shape[1])) for z in (x, *others)]
    step = max(1, _ROWS // x.shape[1])
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        here = x[part] - mean
        scaled = weights[part, None] * here
        found[0] += here.T @ scaled
        for total, z, m in zip(found[1:], others, means, strict=True):
            total += (z[part] - m).T @ scaled
    return found


def _whitener(second: np.ndarray) -> np.ndarray:
    """(d, d) Sigma_x^(-1/2), on the directions in which inputs vary."""
    values, vectors = np.linalg.eigh(second)
    keep = values > max(_RANK * values[-1], 1e-300)
    if not keep.any():
        raise NotApplicable("X", found="inputs that do not vary", expected="inputs that differ")
    return (vectors[:, keep] / np.sqrt(values[keep])) @ vectors[:, keep].T
