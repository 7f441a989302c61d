"""Do the same inputs drive their answer? Integrated gradients of two networks, compared input by input.

For the ground-truth class y, a baseline x' and weights c_j at the nodes t_j of a quadrature rule on [0, 1]
(Sundararajan et al. 2017, eq. 1):

    IG_i = (x_i - x'_i) * integral_0^1 d z_y(x' + t (x - x')) / d x_i dt
         ~ (x_i - x'_i) * sum_j c_j d z_y(x' + t_j (x - x')) / d x_i

Completeness: sum_i IG_i = z_y(x) - z_y(x'); the error of this identity is reported. The map of an input is |IG|,
summed over the channels of an image. Two networks are compared by the cosine or the rank correlation of their maps.

Where we differ. The default rule is Gauss-Legendre with 64 nodes. Captum's `riemann_trapezoid` weights sum to
(n - 1) / n, so that a linear function loses 1 / n of its attribution; its `gausslegendre` equals ours. Black means
the lowest valid value of the data where that is known, not the number 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from learnt.attribution._maps import SALT, Maps, empty_share, mean_maps, to_unit
from learnt.attribution.similarity import cosine, spearman
from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Reference, Undefined, mean
from learnt.core.panels import Chart
from learnt.core.subject import Subject

Nodes = Literal["gauss-legendre", "midpoint", "left"]


def quadrature(
    steps: int, nodes: Nodes = "gauss-legendre"
) -> tuple[Float[np.ndarray, "{steps}"], Float[np.ndarray, "{steps}"]]:
    """Nodes and weights of a rule on [0, 1].

    Args:
        steps: number of nodes, at least 1.
        nodes: the rule; "left" is the left Riemann sum of many reference codes, and is biased.

    Returns:
        (steps,) nodes and (steps,) weights that sum to 1.
    """
    if steps < 1:
        raise InputError("steps", found=str(steps), expected="a positive integer")
    if nodes == "gauss-legendre":
        points, weights = np.polynomial.legendre.leggauss(steps)
        return (points + 1) / 2, weights / 2
    if nodes in ("midpoint", "left"):
        return (np.arange(steps) + (0.5 if nodes == "midpoint" else 0.0)) / steps, np.full(steps, 1 / steps)
    raise InputError("nodes", found=repr(nodes), expected="'gauss-legendre', 'midpoint' or 'left'")


def baseline_of(
    inputs: Float[Tensor, "n *shape"], baseline: float | Tensor | Literal["black", "blurred"], low: float | None
) -> Float[Tensor, "n *shape"]:
    """The point without information from which the path starts, in the shape of `inputs`.

    Args:
        inputs: (n, ...) the ends of the paths.
        baseline: "black" (`low`, or 0 if it is None), "blurred" (images only: Gaussian blur with a standard deviation
            of an eighth of the shorter side), a number, or a tensor that broadcasts to `inputs`.
        low: the lowest valid input value.
    """
    if isinstance(baseline, str):
        if baseline == "black":
            return torch.full_like(inputs, 0.0 if low is None else low)
        if baseline == "blurred":
            return _blur(inputs)
        raise InputError("baseline", found=repr(baseline), expected="'black', 'blurred', a number or a tensor")
    start = torch.as_tensor(baseline, dtype=inputs.dtype, device=inputs.device)
    try:
        return start.expand_as(inputs)
    except RuntimeError as error:
        raise ShapeError(
            "baseline", found=f"shape {tuple(start.shape)}", expected=f"one that broadcasts to {tuple(inputs.shape)}"
        ) from error


def _blur(images: torch.Tensor) -> torch.Tensor:
    if images.ndim != 4:
        raise InputError("baseline", found="'blurred' for inputs that are no images", expected="'black' or a number")
    sigma = min(images.shape[2:]) / 8
    radius = min(int(np.ceil(2 * sigma)), min(images.shape[2:]) - 1)  # reflection cannot reach further
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / max(sigma, 1e-6)) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    across = F.conv2d(padded, kernel[:, :, None, :], groups=images.shape[1])
    return F.conv2d(across, kernel[:, :, :, None], groups=images.shape[1])


def integrated_gradients(
    subject: Subject,
    inputs: Float[Tensor, "n *shape"],
    classes: Int[Tensor, "n"],
    *,
    steps: int = 64,
    nodes: Nodes = "gauss-legendre",
    baseline: float | Tensor | Literal["black", "blurred"] = "black",
) -> tuple[Float[np.ndarray, "n *shape"], Float[np.ndarray, "n"]]:
    """Integrated gradients of the score of one class for each input.

    Args:
        subject: the model; it is left as it was.
        inputs: (n, ...) floating point.
        classes: (n,) int64, the class whose score is explained.
        steps, nodes: the quadrature rule.
        baseline: as `baseline_of`.

    Returns:
        (n, ...) float64 attributions in the shape of `inputs`, and (n,) completeness errors
        sum IG - (z_y(x) - z_y(x')).

    Raises:
        NotApplicable: the model is no `nn.Module`, or the inputs are tokens. NonFiniteError: NaN or infinity.
    """
    subject.differentiable()
    if not inputs.is_floating_point():
        raise NotApplicable(subject.name, found=f"inputs of type {inputs.dtype}", expected="floating point inputs")
    points, weights = quadrature(steps, nodes)
    inputs = inputs.detach()
    start = baseline_of(inputs, baseline, subject.data.low)
    path = inputs - start
    total = torch.zeros(inputs.shape, dtype=torch.float64)
    shape = (-1,) + (1,) * (inputs.ndim - 1)
    with subject.evaluating(gradients=True) as model:
        # Pairs (input, node) fill the batches, so that few inputs with many nodes do not run in small pieces.
        for first in range(0, len(inputs) * steps, subject.batch_size):
            pair = np.arange(first, min(first + subject.batch_size, len(inputs) * steps))
            i, j = torch.from_numpy(pair // steps), pair % steps
            t = torch.as_tensor(points[j], dtype=inputs.dtype, device=inputs.device).reshape(shape)
            leaf = subject.on_device(start[i] + t * path[i]).detach().requires_grad_()
            logits = model(leaf.clone())
            score = logits.gather(1, classes[i].to(logits.device)[:, None]).sum()
            gradient = None
            if score.requires_grad:
                (gradient,) = torch.autograd.grad(score, [leaf], allow_unused=True)
            if gradient is not None:
                share = torch.from_numpy(weights[j]).reshape(shape)
                total.index_add_(0, i, share * gradient.cpu().double())
    attributions = total * path.cpu().double()
    if not bool(torch.isfinite(attributions).all()):
        raise NonFiniteError(
            f"integrated gradients of {subject.name}", found="NaN or infinite values", expected="finite gradients"
        )
    rise = (subject.answer(inputs) - subject.answer(start)).gather(1, classes.cpu()[:, None])[:, 0]
    return attributions.numpy(), (attributions.flatten(1).sum(1) - rise).numpy()


def strength(attributions: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
    """(n, C, H, W) -> (n, H, W), |.| summed over channels; other shapes keep their axes: (n, ...) -> (n, ...)."""
    return np.abs(attributions).sum(1) if attributions.ndim == 4 else np.abs(attributions)


def ig_maps(
    subject: Subject,
    *,
    steps: int,
    nodes: Nodes = "gauss-legendre",
    baseline: float | Literal["black", "blurred"] = "black",
    max_examples: int | None,
) -> Maps:
    """Integrated-gradient maps for the true class on at most `max_examples` of the subject's data, computed once."""

    def compute() -> Maps:
        data = subject.data
        index = data.subset(max_examples, salt=SALT)
        labels = subject.labels
        values, gap = integrated_gradients(
            subject, data.inputs[index], labels[index], steps=steps, nodes=nodes, baseline=baseline
        )
        return Maps(subject, index, strength(values), np.abs(gap))

    return subject.cached(("integrated gradients", steps, nodes, baseline, max_examples), compute)


@final
@dataclass(frozen=True, kw_only=True)
class IGSimilarity(Measure[Subject, Examples]):
    """Mean cosine (or rank correlation) of the integrated-gradient maps of two models for the true class.

    Args:
        steps, nodes: the quadrature rule.
        baseline: "black", "blurred" or a number.
        statistic: "cosine" or "spearman".
        max_examples: inputs looked at, chosen by key; None for all.
    """

    steps: int = 64
    nodes: Nodes = "gauss-legendre"
    baseline: float | Literal["black", "blurred"] = "black"
    statistic: Literal["cosine", "spearman"] = "cosine"
    max_examples: int | None = 64

    facts: ClassVar[Facts] = Facts(
        name="integrated_gradients",
        family="attribution",
        question="Do the same parts of the input drive their answer?",
        unit="cosine",
        data=Examples,
        low=-1.0,
        high=1.0,
        identical=1.0,
        closer="higher",
        symmetric=True,
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale"),
        needs=("logits", "labels", "gradients"),
        references=(
            Reference(
                cite="Sundararajan et al., Axiomatic attribution for deep networks, ICML 2017",
                identifier="arXiv:1703.01365",
                where="eq. 1, proposition 1",
            ),
        ),
        how="Integrated gradients of the true class from a black baseline with 64 Gauss-Legendre nodes, absolute "
        "values summed over channels; mean similarity over the inputs on which both maps are not empty.",
        caveat="Depends on the baseline: pixels that equal it get no attribution. Absolute values hide the sign.",
        cost="steps forward and backward passes an example",
    )

    def __post_init__(self) -> None:
        if self.statistic not in ("cosine", "spearman"):
            raise InputError("statistic", found=repr(self.statistic), expected="'cosine' or 'spearman'")

    @property
    def name(self) -> str:
        """`integrated_gradients`, with the statistic if it is not the cosine."""
        return self.facts.name if self.statistic == "cosine" else f"{self.facts.name}[spearman]"

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Maps:
        """Integrated-gradient maps of one model."""
        return ig_maps(
            thing, steps=self.steps, nodes=self.nodes, baseline=self.baseline, max_examples=self.max_examples
        )

    def compare(self, a: Maps, b: Maps, *, rng: np.random.Generator) -> Evidence:
        """Mean similarity of the maps of `a` and `b`."""
        values = (cosine if self.statistic == "cosine" else spearman)(a.values, b.values)
        details: dict[str, Any] = {"empty_a": empty_share(a.values), "empty_b": empty_share(b.values)}
        for side, state in (("a", a), ("b", b)):
            if state.gap is not None:
                details[f"completeness_error_{side}"] = float(state.gap.mean())
            if state.values.ndim == 3:
                details[f"mean_map_{side}"] = state.values.mean(0)
        full, measured = a.scatter(values)
        if not measured.any():
            return Undefined(reason="on every input one of the two maps is zero everywhere", details=details)
        return mean(full, measured=measured, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Average maps, for images."""
        return mean_maps(details)

    def look(self, state: Maps, index: np.ndarray) -> np.ndarray | None:
        """(k, H, W) maps in [0, 1]; None if the inputs are no images."""
        data = state.subject.data
        if not data.is_images:
            return None
        labels = state.subject.labels[index]
        values, _ = integrated_gradients(
            state.subject, data.inputs[index], labels, steps=self.steps, nodes=self.nodes, baseline=self.baseline
        )
        return to_unit(strength(values))
