"""Are the same examples close to each other in both? Centred kernel alignment with Gaussian (RBF) kernels.

    K_ij = exp(-||x_i - x_j||^2 / (2 s^2)),   s^2 = bandwidth^2 * median of ||x_i - x_j||^2

(Kornblith et al. 2019, section 3) and CKA of K and L as in `learnt.similarity.cka`. The median is over pairs i != j;
Kornblith's code takes it over all entries of the matrix, the zero diagonal included (``median="kornblith"``), which
gives a slightly narrower kernel, and uses the biased HSIC (``debiased=False``). This kernel sees neighbourhoods, where
the linear one sees directions of large variance.

O(n^2) memory: `RBFCKA` uses at most `examples` examples, chosen by key. The jackknife keeps the bandwidth of all
examples. The Gram matrix is centred (K -> HKH), which changes no HSIC and keeps digits where the kernel is wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Real, UInt64
from torch import Tensor

from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Reference
from learnt.core.subject import Subject
from learnt.similarity.cka import GROUPS, groups_evidence, jackknife_groups
from learnt.similarity.hsic import Kernel, check_pair, cka_of, group_bounds
from learnt.similarity.linear import centred, group_order, with_reason

Median = Literal["off-diagonal", "kornblith"]


def rbf_kernel(
    x: Real[Tensor, "n p"],
    *,
    bandwidth: float = 1.0,
    median: Median = "off-diagonal",
    keys: UInt64[np.ndarray, "n"] | None = None,
    groups: int = 0,
    name: str = "x",
) -> Kernel:
    """The Gaussian kernel of features (n, p), with `groups` jackknife groups by key (n,) uint64.

    Args:
        bandwidth: width of the kernel in units of the root of the median squared distance.
        median: which squared distances the median is over.

    Raises:
        InputError: on a bandwidth that is not positive or an unknown median. NonFiniteError: on NaN or infinity.
    """
    if not bandwidth > 0 or not np.isfinite(bandwidth):
        raise InputError("bandwidth", found=f"{bandwidth}", expected="a positive number")
    if median not in ("off-diagonal", "kornblith"):
        raise InputError("median", found=f"{median!r}", expected="'off-diagonal' or 'kornblith'")
    if keys is not None:
        x = x[torch.from_numpy(group_order(keys, groups))]
    values, scale = centred(x, name)
    n = len(values)
    squares = values.square().sum(1)
    distances = (squares[:, None] + squares[None, :]).addmm_(values, values.T, alpha=-2.0).clamp_(min=0.0)
    distances.fill_diagonal_(0.0)
    entries = distances.flatten().numpy() if median == "kornblith" else distances.numpy()[~np.eye(n, dtype=bool)]
    middle = float(np.median(entries))
    reason = "" if scale else "layer constant: it gives every example the same features"
    if scale and middle <= 1e-13 * float(squares.max()):  # below it, distances are rounding noise
        reason = "layer constant for most examples: the median distance between them is zero"
    gram = torch.zeros_like(distances) if reason else distances.mul_(-0.5 / (bandwidth**2 * middle)).exp_()
    gram -= gram.mean(0)
    gram -= gram.mean(1, keepdim=True)
    kernel = Kernel(
        features=None,
        gram_=gram,
        diagonal=gram.diagonal().clone(),
        bounds=group_bounds(n, groups),
        scale=scale,
        reason=reason,
    )
    return kernel if reason else with_reason(kernel)


def rbf_cka(
    x: Real[Tensor, "n p"],
    y: Real[Tensor, "n q"],
    *,
    bandwidth: float = 1.0,
    median: Median = "off-diagonal",
    debiased: bool = True,
) -> float:
    """CKA of features x (n, p) and y (n, q) with Gaussian kernels; O(n^2) memory.

    Raises:
        ShapeError, InputError: on unequal or too few examples, or a wrong bandwidth.
        NonFiniteError: on NaN or infinity. NotApplicable: if a layer is constant, or constant for most examples.
    """
    check_pair(x, y, least=4 if debiased else 2)
    kernels = [rbf_kernel(v, bandwidth=bandwidth, median=median, name=name) for name, v in (("x", x), ("y", y))]
    return float(cka_of(*kernels, debiased=debiased)[0])


@final
@dataclass(frozen=True, kw_only=True)
class RBFCKA(Measure[Subject, Examples]):
    """Similarity of the neighbourhoods of examples inside two networks, at one layer of each.

    Attributes:
        layer_a, layer_b: names of the layers compared; None for the last layer before the logits.
        bandwidth, median: width of the kernel, see `rbf_kernel`.
        debiased: use the unbiased estimator.
        groups: number of jackknife groups.
        examples: at most this many examples are used, chosen by key.
    """

    layer_a: str | None = None
    layer_b: str | None = None
    bandwidth: float = 1.0
    median: Median = "off-diagonal"
    debiased: bool = True
    groups: int = GROUPS
    examples: int = 2000

    facts: ClassVar[Facts] = Facts(
        name="rbf_cka",
        family="similarity",
        question="Are the same examples close to each other inside both?",
        unit="similarity",
        data=Examples,
        low=-1.0,
        high=1.0,
        identical=1.0,
        closer="higher",
        symmetric=True,
        invariances=(
            "example order",
            "batch size",
            "no labels",
            "class permutation",
            "feature rotation",
            "feature scale",
            "feature shift",
        ),
        needs=("features",),
        references=(
            Reference(
                cite="Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019",
                identifier="arXiv:1905.00414",
                where="section 3",
            ),
        ),
        how="Debiased CKA with Gaussian kernels as wide as the median distance between examples, at the last layer "
        "before the logits unless named, with a delete-a-group jackknife over 20 groups of at most 2,000 examples.",
        caveat="The value depends on the width of the kernel; compare only values of one width.",
        cost="n^2 (p + q) for n examples and p, q features",
    )

    @property
    def name(self) -> str:
        """``rbf_cka``, with the layers and the bandwidth if they are not the default."""
        layers = [self.layer_a or "penultimate", self.layer_b or "penultimate"]
        named = [f"{layers[0]}, {layers[1]}"] if self.layer_a or self.layer_b else []
        if self.bandwidth != 1.0 or self.median != "off-diagonal":
            named.append(f"bandwidth {self.bandwidth:g} {self.median}")
        inside = ", ".join(named)
        return f"rbf_cka{'' if self.debiased else ' biased'}{f'({inside})' if inside else ''}"

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Neighbours:
        """The Gaussian kernel matrix, once for each network.

        Raises:
            InputError: on an unknown layer. NotApplicable: on fewer than 5 examples, or a thing without layers.
        """
        seen = Neighbours(thing, self)
        if self.layer_a == self.layer_b:
            seen.layer(self.layer_a)
        return seen

    def compare(self, a: Neighbours, b: Neighbours, *, rng: np.random.Generator) -> Evidence:
        """RBF CKA of the two layers."""
        details = {
            "layer_a": self.layer_a or a.subject.penultimate,
            "layer_b": self.layer_b or b.subject.penultimate,
        }
        return groups_evidence(a.layer(self.layer_a), b.layer(self.layer_b), debiased=self.debiased, details=details)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """One network seen by RBF CKA: kernel matrices are made when first asked for, and kept by the subject."""

    subject: Subject
    measure: RBFCKA

    def layer(self, name: str | None) -> Kernel:
        """The named layer (None: the penultimate one), grouped for the jackknife."""
        chosen, measure, data = name or self.subject.penultimate, self.measure, self.subject.data

        def make() -> Kernel:
            keep = data.subset(measure.examples)
            return rbf_kernel(
                self.subject.features(chosen)[torch.from_numpy(keep)],
                bandwidth=measure.bandwidth,
                median=measure.median,
                keys=data.keys[keep],
                groups=jackknife_groups(len(keep), measure.groups),
                name=f"features of {self.subject.name} at {chosen}",
            )

        settings = (measure.bandwidth, measure.median, measure.groups, measure.examples)
        return self.subject.cached(("rbf kernel", chosen, settings), make)
