"""Do they see the examples alike? Debiased linear centred kernel alignment between network layers.

    CKA(X, Y) = HSIC(XX', YY') / sqrt(HSIC(XX', XX') HSIC(YY', YY'))            Kornblith et al. 2019, eq. 4

with the unbiased HSIC of Song et al. (2012) by default (Nguyen et al. 2021 for its use in CKA). It is 1 for layers
that agree up to rotation, isotropic scaling and shift, and about 0 for unrelated ones whatever the number of features;
it can be slightly negative. The usual biased estimator is available: for unrelated Gaussian features it is about
p / (n + p), 0.83 for n = 200 examples of p = 1000 features, which is why it is not the default.

The interval comes from the delete-a-group jackknife; a bootstrap would put duplicates into the Gram matrix, which
look like perfectly similar examples and raise the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import Real
from torch import Tensor

from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Groups, Measure, Reference, Undefined
from learnt.core.panels import Chart
from learnt.core.subject import Subject
from learnt.similarity.grid import Layers, cka_grid, evenly, grid_chart, layers_of
from learnt.similarity.hsic import Kernel, check_pair, cka_of
from learnt.similarity.linear import linear_kernel

GROUPS = 20


def linear_cka(x: Real[Tensor, "n p"], y: Real[Tensor, "n q"], *, debiased: bool = True) -> float:
    """Linear CKA of features x (n, p) and y (n, q) of the same examples.

    Args:
        x, y: any floating point type; computed in float64.
        debiased: use the unbiased HSIC (n >= 4); otherwise the biased one (n >= 2).

    Raises:
        ShapeError, InputError: on unequal or too few examples. NonFiniteError: on NaN or infinity.
        NotApplicable: if a layer is constant.

    Source: Kornblith et al. 2019, eq. 4; Nguyen et al. 2021, eq. 1-3.
    """
    check_pair(x, y, least=4 if debiased else 2)
    return float(cka_of(linear_kernel(x, name="x"), linear_kernel(y, name="y"), debiased=debiased)[0])


def jackknife_groups(n: int, groups: int) -> int:
    """Number of groups for n examples: `groups`, or as many as it takes for each remainder to have 4 examples.

    Raises:
        InputError: on fewer than 2 groups. NotApplicable: on fewer than 5 examples.
    """
    if groups < 2:
        raise InputError("groups", found=str(groups), expected="at least 2")
    if n < 5:
        raise NotApplicable("examples", found=f"{n}", expected="at least 5, for a similarity with an interval")
    chosen = min(groups, n)
    while n - -(-n // chosen) < 4:
        chosen += 1
    return chosen


def groups_evidence(a: Kernel, b: Kernel, *, debiased: bool, details: dict[str, Any]) -> Evidence:
    """CKA of two prepared layers with its jackknife, or the reason why there is none."""
    try:
        values = cka_of(a, b, debiased=debiased)
    except NotApplicable as error:
        return Undefined(reason=error.found, details=details)
    if not np.isfinite(values).all():
        return Undefined(
            reason="layer constant without one group of examples: too few examples vary for an interval",
            details=details,
        )
    return Groups(value=float(values[0]), left_out=values[1:], n=len(a), details=details)


@dataclass(frozen=True, eq=False)
class Seen:
    """One network seen by CKA: its layers are made ready the first time they are asked for, and kept by the subject."""

    subject: Subject
    groups: int
    grid_examples: int | None
    most_layers: int

    def layer(self, name: str | None) -> Kernel:
        """The named layer (None: the penultimate one) on all examples, grouped for the jackknife."""
        chosen = name or self.subject.penultimate
        groups = jackknife_groups(len(self.subject.data), self.groups)
        return self.subject.cached(
            ("linear kernel", chosen, groups),
            lambda: linear_kernel(
                self.subject.features(chosen),
                keys=self.subject.data.keys,
                groups=groups,
                name=f"features of {self.subject.name} at {chosen}",
            ),
        )

    def layers(self, names: tuple[str, ...] | None) -> Layers:
        """The layers of the grid on at most `grid_examples` examples."""
        chosen = evenly(list(self.subject.layers), self.most_layers) if names is None else names
        self.subject.require_layers(chosen)

        def make() -> Layers:
            keep = torch.from_numpy(self.subject.data.subset(self.grid_examples))
            return layers_of({name: self.subject.features(name)[keep] for name in chosen})

        return self.subject.cached(("grid of layers", chosen, self.grid_examples), make)


@final
@dataclass(frozen=True, kw_only=True)
class CKA(Measure[Subject, Examples]):
    """Similarity of what two networks compute inside, at one layer of each, with the grid of all layers.

    Attributes:
        layer_a, layer_b: names of the layers compared; None for the last layer before the logits.
        debiased: use the unbiased estimator.
        groups: number of jackknife groups.
        layers_a, layers_b: layers of the grid in the order to show them; None for up to `most_layers` evenly chosen.
        most_layers: how many layers of each network the grid may have when it chooses by itself.
        grid_examples: the grid is computed on at most this many examples, chosen by key; None for all.
    """

    layer_a: str | None = None
    layer_b: str | None = None
    debiased: bool = True
    groups: int = GROUPS
    layers_a: tuple[str, ...] | None = None
    layers_b: tuple[str, ...] | None = None
    most_layers: int = 12
    grid_examples: int | None = 1000

    facts: ClassVar[Facts] = Facts(
        name="cka",
        family="similarity",
        question="Do they represent the examples alike inside?",
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
                where="eq. 4",
            ),
            Reference(
                cite="Nguyen, Raghu, Kornblith, Do Wide and Deep Networks Learn the Same Things?, ICLR 2021",
                identifier="arXiv:2010.15327",
                where="eq. 1-3",
            ),
            Reference(
                cite="Song et al., Feature Selection via Dependence Maximization, JMLR 2012",
                identifier="jmlr.org/papers/v13/song12a",
                where="eq. 5",
            ),
        ),
        how="Debiased linear CKA between one layer of each network (the last before the logits unless named), "
        "with a delete-a-group jackknife over 20 groups of examples; the picture shows all pairs of layers.",
        caveat="High similarity does not mean equal answers, and a few directions of large variance can dominate it.",
        cost="n p q for n examples and p, q features; the grid n times the product of all features of both",
    )

    @property
    def name(self) -> str:
        """``cka``, with the layers if they were named and the estimator if it is the biased one."""
        layers = [self.layer_a or "penultimate", self.layer_b or "penultimate"]
        named = f"({layers[0]}, {layers[1]})" if self.layer_a or self.layer_b else ""
        return f"cka{'' if self.debiased else ' biased'}{named}"

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Seen:
        """Features centred, grouped, and compared with themselves, once for each network.

        Raises:
            InputError: on an unknown layer. NotApplicable: on fewer than 5 examples, or a thing without layers.
        """
        seen = Seen(thing, self.groups, self.grid_examples, self.most_layers)
        if self.layer_a == self.layer_b:
            seen.layer(self.layer_a)
        if self.layers_a == self.layers_b:
            seen.layers(self.layers_a)
        return seen

    def compare(self, a: Seen, b: Seen, *, rng: np.random.Generator) -> Evidence:
        """CKA of the two layers; details hold the grid of all layers."""
        rows, columns = a.layers(self.layers_a), b.layers(self.layers_b)
        details = {
            "layer_a": self.layer_a or a.subject.penultimate,
            "layer_b": self.layer_b or b.subject.penultimate,
            "layers_a": list(rows.names),
            "layers_b": list(columns.names),
            "grid": cka_grid(rows, columns),
            "constant_a": list(rows.constant),
            "constant_b": list(columns.constant),
            "grid_examples": rows.n,
        }
        return groups_evidence(a.layer(self.layer_a), b.layer(self.layer_b), debiased=self.debiased, details=details)

    def chart(self, details: Any) -> Chart | None:
        """Heat maps of all pairs of layers: B against A, and the control against A."""
        return grid_chart(details)
