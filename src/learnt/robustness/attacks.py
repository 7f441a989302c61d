"""Which small change of an input makes a model change its answer? Sign-gradient attacks in the L-infinity ball.

Iterated FGSM, the attack of arXiv 2205.16004 (eq. 4; Kurakin et al. 2017): untargeted, true label y,

    x_0 = x        x_{t+1} = clip_[low, high]( clip_{x, eps}( x_t + alpha sign( grad CE(f(x_t), y) ) ) )

FGSM (Goodfellow et al. 2015) is one step with alpha = eps; PGD (Madry et al. 2018) is the same iteration from a random
start in the ball, here one that depends on the example's key and not on its position.

Where we differ. The paper's "I_N" inside the gradient is a typo for I_t; it does not say that pixels are clipped to
their range, does not publish eps and alpha, and reports a teacher fooled on about 85 % of its images: `calibrate_eps`
finds the eps that does this, alpha = eps / 4. The loss that is differentiated is log sum_{j != y} exp z_j - z_y, which
is log((1 - p_y) / p_y): its gradient is that of the cross-entropy divided by 1 - p_y > 0, so the sign is the same, and
it does not round to zero where a model is so sure of y that 1 - p_y vanishes in float32 (such a model would look
robust and is not). `stop=True` freezes an example once it is fooled, each one by itself, so that no batch matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt64
from torch import Tensor

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.core.examples import uniform
from learnt.core.subject import Subject

Model = Callable[[torch.Tensor], torch.Tensor]

_STREAM = np.uint64(0xD1342543DE82EF95)


def doubt(logits: Float[Tensor, "n classes"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """(n, c) logits and (n,) true classes -> (n,) log((1 - p_y) / p_y), the log-odds of being wrong."""
    true = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.logsumexp(1) - true[:, 0]


def step_sign(model: Model, inputs: Float[Tensor, "n *shape"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n *shape"]:
    """Sign of the gradient of the cross-entropy with respect to each input; zero where the model ignores it.

    Args:
        model: differentiable function from (n, ...) inputs to (n, c) logits.
        inputs: (n, ...) floating point.
        labels: (n,) int64 true classes.
    """
    leaf = inputs.detach().clone().requires_grad_()
    loss = doubt(model(leaf.clone()), labels).sum()  # a sum: no example's gradient depends on its batch
    gradient = None
    if loss.requires_grad:
        (gradient,) = torch.autograd.grad(loss, [leaf], allow_unused=True)
    if gradient is None:
        return torch.zeros_like(leaf)
    if not bool(torch.isfinite(gradient).all()):
        raise NonFiniteError("input gradient", found="NaN or infinite values", expected="finite gradients")
    return gradient.sign()


def fgsm(
    model: Model, inputs: Float[Tensor, "n *shape"], labels: Int[Tensor, "n"], *, eps: float, low: float, high: float
) -> Float[Tensor, "n *shape"]:
    """One step of size eps along the sign of the gradient. Arguments as `pgd`."""
    return pgd(model, inputs, labels, eps=eps, alpha=eps, steps=1, low=low, high=high)


def pgd(
    model: Model,
    inputs: Float[Tensor, "n *shape"],
    labels: Int[Tensor, "n"],
    *,
    eps: float,
    alpha: float | None = None,
    steps: int = 5,
    low: float,
    high: float,
    start: Float[Tensor, "n *shape"] | None = None,
    stop: bool = False,
) -> Float[Tensor, "n *shape"]:
    """Iterated sign-gradient ascent on the cross-entropy, inside the eps ball and the valid range.

    Args:
        model: differentiable function from (n, ...) inputs to (n, c) logits.
        inputs: (n, ...) floating point in [low, high]; not changed.
        labels: (n,) int64 true classes.
        eps: radius in units of the inputs.
        alpha: size of a step; None for eps / 4.
        steps: number of steps.
        low, high: valid range of input values.
        start: (n, ...) displacement of the start from `inputs`, such as `random_start`; None starts at the inputs.
        stop: freeze an example as soon as its answer differs from the clean one.

    Returns:
        (n, ...) adversarial inputs, within eps of `inputs` and inside [low, high].
    """
    _check(inputs, labels, eps, steps, low, high)
    alpha = eps / 4 if alpha is None else alpha
    floor, ceiling = (inputs - eps).clamp_min(low), (inputs + eps).clamp_max(high)

    def inside(x: torch.Tensor) -> torch.Tensor:
        return torch.minimum(torch.maximum(x, floor), ceiling)

    current = inputs.detach().clone() if start is None else inside(inputs.detach() + start)
    clean = _answers(model, inputs) if stop else None
    for _ in range(steps):
        move = alpha * step_sign(model, current, labels)
        if clean is not None:
            going = _answers(model, current) == clean
            if not bool(going.any()):
                break
            move = move * going.reshape(-1, *[1] * (inputs.ndim - 1))
        current = inside(current + move)
    return current


def random_start(
    keys: UInt64[np.ndarray, "n"], inputs: Float[Tensor, "n *shape"], eps: float, *, salt: int = 0
) -> Float[Tensor, "n *shape"]:
    """Uniform displacements in [-eps, eps] that depend on the examples' keys only.

    Args:
        keys: (n,) uint64.
        inputs: (n, ...), for shape, type and device.
    """
    values = inputs[0].numel() if len(inputs) else 0
    with np.errstate(over="ignore"):
        streams = keys[:, None] + np.arange(1, values + 1, dtype=np.uint64) * _STREAM
    draws = torch.from_numpy(2 * uniform(streams, salt) - 1).reshape(inputs.shape)
    return eps * draws.to(inputs)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack with its settings.

    Args:
        method: "pgd" (iterated FGSM from the input itself) or "fgsm".
        eps: radius in units of the inputs.
        stride: size of a step of the iterated attack, as a share of eps; the paper used 1/4 to 1/3.
        steps: number of steps of the iterated attack.
        restart: None starts at the input; an integer starts at random in the ball, drawn by key and this salt.
        stop: freeze an example as soon as it is fooled.
    """

    method: str = "pgd"
    eps: float = 0.1
    stride: float = 0.25
    steps: int = 5
    restart: int | None = None
    stop: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("pgd", "fgsm"):
            raise InputError("attack", found=repr(self.method), expected="'pgd' or 'fgsm'")
        if not self.stride > 0:
            raise InputError("stride", found=str(self.stride), expected="a positive share of eps")

    @property
    def alpha(self) -> float:
        """Size of a step, in units of the inputs."""
        return self.eps if self.method == "fgsm" else self.eps * self.stride


def adversaries(subject: Subject, index: Int[np.ndarray, "k"], attack: Attack) -> Float[Tensor, "k *shape"]:
    """Adversarial versions of some of the subject's examples, made against their true labels.

    Args:
        subject: the model that is attacked; it is left as it was.
        index: (k,) positions in its data.
        attack: the attack.

    Returns:
        (k, ...) on the CPU, in the type of the data.

    Raises:
        NotApplicable: the model is no `nn.Module`, or the data has no labels or no range of valid values.
    """
    subject.differentiable()
    data = subject.data
    low, high = bounds(subject)
    inputs, labels, keys = data.inputs[index].detach().cpu(), subject.labels[index].cpu(), data.keys[index]
    parts = []
    with subject.evaluating(gradients=True) as model:

        def logits(batch: torch.Tensor) -> torch.Tensor:
            return model(subject.on_device(batch)).to(batch.device)

        for first in range(0, len(inputs), subject.batch_size):
            rows = slice(first, first + subject.batch_size)
            x, y = inputs[rows], labels[rows]
            start = None if attack.restart is None else random_start(keys[rows], x, attack.eps, salt=attack.restart)
            steps = 1 if attack.method == "fgsm" else attack.steps
            settings = {"eps": attack.eps, "alpha": attack.alpha, "steps": steps, "low": low, "high": high}
            parts.append(pgd(logits, x, y, **settings, start=start, stop=attack.stop))
    return torch.cat(parts)


def bounds(subject: Subject) -> tuple[float, float]:
    """The valid range of the subject's inputs; raises NotApplicable where an attack has no meaning."""
    data = subject.data
    if data.low is None or data.high is None:
        raise NotApplicable(
            data.name, found="no range of valid input values", expected="low and high, such as 0 and 1 for pixels"
        )
    if not data.inputs.is_floating_point():
        raise NotApplicable(data.name, found=f"inputs of type {data.inputs.dtype}", expected="floating point inputs")
    return float(data.low), float(data.high)


def fooled(
    subject: Subject, index: Int[np.ndarray, "k"], inputs: Float[Tensor, "k *shape"]
) -> tuple[Bool[np.ndarray, "k"], Int[np.ndarray, "k"]]:
    """Which answers change, and to what.

    Args:
        subject: the model that answers.
        index: (k,) positions of the clean examples in its data.
        inputs: (k, ...) their changed versions.

    Returns:
        (k,) bool, whether its answer differs from its own answer to the clean example; (k,) the new answers.
    """
    answers = subject.answer(inputs).argmax(1).numpy()
    return answers != subject.predictions[index].numpy(), answers


def calibrate_eps(
    subject: Subject,
    index: Int[np.ndarray, "k"],
    attack: Attack,
    *,
    target: float = 0.85,
    tolerance: float = 0.03,
    largest: float = 0.5,
    tries: int = 10,
) -> tuple[float, float]:
    """The radius at which an attack fools the model on a given share of examples, by bisection.

    Args:
        subject: the model that is attacked.
        index: (k,) positions of the examples used.
        attack: the attack; its eps is replaced.
        target: wanted share of fooled examples.
        tolerance: how far from it the result may be.
        largest: no radius beyond this share of the range of the data is tried.
        tries: largest number of attacks made.

    Returns:
        (eps, share fooled at eps): within the tolerance if such an eps was found, else the nearest that was seen.
    """
    if not 0 < target <= 1 or tolerance <= 0:
        raise InputError(
            "target", found=f"{target} +- {tolerance}", expected="a share above 0 and a positive tolerance"
        )
    low, high = bounds(subject)
    # Double until enough are fooled, then bisect.
    top = largest * (high - low)
    small, large, eps = 0.0, None, top / 8
    seen: list[tuple[float, float, float]] = []
    for _ in range(tries):
        trial = replace(attack, eps=eps)
        rate = float(fooled(subject, index, adversaries(subject, index, trial))[0].mean())
        seen.append((abs(rate - target), eps, rate))
        if abs(rate - target) <= tolerance or (rate < target and eps >= top):
            break
        small, large = (eps, large) if rate < target else (small, eps)
        eps = min(2 * eps, top) if large is None else (small + large) / 2
    _, eps, rate = min(seen)
    return eps, rate


def _answers(model: Model, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(inputs).argmax(1)


def _check(inputs: torch.Tensor, labels: torch.Tensor, eps: float, steps: int, low: float, high: float) -> None:
    if labels.shape != inputs.shape[:1]:
        raise ShapeError("labels", found=f"shape {tuple(labels.shape)}", expected=f"({len(inputs)},)")
    if not eps >= 0:
        raise InputError("eps", found=str(eps), expected="a radius that is not negative")
    if steps < 1:
        raise InputError("steps", found=str(steps), expected="at least one step")
    if not low < high:
        raise InputError("low, high", found=f"{low} and {high}", expected="low < high")
    if len(inputs) and (float(inputs.min()) < low or float(inputs.max()) > high):
        raise InputError(
            "inputs",
            found=f"values from {float(inputs.min()):.4g} to {float(inputs.max()):.4g}",
            expected=f"values between {low:.4g} and {high:.4g}, the range that was given",
        )
