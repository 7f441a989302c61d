"""Do they route inputs through the same pathways? The alignment of two networks' path kernels.

    K(x, x') = <x, x'> prod_l <G_l(x), G_l(x')> / units_l          G_l(x): which units of rectifier l are open on x
    value(A, B) = debiased centred alignment of K_A and K_B         1 = the same pathways for the same pairs of inputs

The kernel is the neural path kernel of Lakshminarayanan and Singh 2020 (arXiv 2006.10529), which counts the paths that
two inputs share in a fully connected network without biases; here layers give shares of units, so that widths may
differ. Of any other network it is the same product over the rectifiers that run, whatever lies between them. That
kernels are compared by alignment (Kornblith et al. 2019, arXiv 1905.00414, eq. 4, with the unbiased HSIC) is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch

from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Groups, Measure, Reference, Undefined
from learnt.core.panels import Chart
from learnt.core.subject import Subject
from learnt.gated._alignment import Gram, alignment, gram, group_count, unit_centred
from learnt.gated._rectifiers import open_units

PATHS = Reference(
    cite="Lakshminarayanan, Singh, Neural Path Features and Neural Path Kernel: Understanding the role of gates in "
    "deep learning, NeurIPS 2020",
    identifier="arXiv:2006.10529",
    where="the neural path kernel",
)
KORNBLITH = Reference(
    cite="Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019",
    identifier="arXiv:1905.00414",
    where="eq. 4",
)
_BLOCK = 1 << 21


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Routes:
    """The gates of one network on the examples, sorted by key.

    Attributes:
        kernel: the path kernel.
        layers: (shown, n * n) float32: the kernel of each rectifier that is shown, centred and of length 1.
        names: of those rectifiers: their number in the order in which they run.
        on: (n, units) bool of those rectifiers.
        share: share of the units that are open, of each.
        n: number of examples.
    """

    kernel: Gram
    layers: np.ndarray
    names: tuple[str, ...]
    on: tuple[np.ndarray, ...]
    share: np.ndarray
    n: int


@final
@dataclass(frozen=True, kw_only=True)
class Gates(Measure[Subject, Examples]):
    """Similarity of the pathways that two networks open for the same inputs.

    Attributes:
        with_inputs: multiply by <x, x'>, as the neural path kernel does; without it only the gates count.
        most_examples: examples, at most, chosen by key; the work grows with their square.
        most_layers: rectifiers in the picture, evenly chosen; all of them are in the kernel.
        groups: number of jackknife groups.
    """

    with_inputs: bool = True
    most_examples: int = 1000
    most_layers: int = 12
    groups: int = 20

    facts: ClassVar[Facts] = Facts(
        name="gates",
        family="gated",
        question="Do they route inputs through the same pathways?",
        unit="similarity",
        data=Examples,
        low=-1.0,
        high=1.0,
        identical=1.0,
        closer="higher",
        invariances=(
            "example order",
            "batch size",
            "no labels",
            "class permutation",
            "logit shift",
            "logit scale",
        ),
        needs=("features",),
        references=(PATHS, KORNBLITH),
        how="For each pair of examples, the share of pathways that both leave open, over all rectifiers, "
        "times the product of the inputs; the debiased centred alignment of the two networks' tables of pairs, with a "
        "delete-a-group jackknife. The picture shows all pairs of layers.",
        caveat="It sees which units are open, not what flows: networks with equal gates may compute different "
        "functions. Inputs are common to both kernels, which makes independent networks alike to some degree: read "
        "the value against the control.",
        cost="a forward pass, and n^2 times the units for n examples",
    )

    def __post_init__(self) -> None:
        for name, value, low in (("most_examples", self.most_examples, 5), ("most_layers", self.most_layers, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise InputError(name, found=repr(value), expected=f"an integer of at least {low}")

    @property
    def name(self) -> str:
        """``gates``, and that the inputs are left out if they are."""
        return "gates" if self.with_inputs else "gates(without inputs)"

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Routes:
        """The gates of one network.

        Raises:
            NotApplicable: no network, one without rectifiers, or fewer than 5 examples.
        """
        thing.differentiable()
        index = data.subset(self.most_examples)
        index = index[np.argsort(data.keys[index], kind="stable")]
        groups = group_count(len(index), self.groups)
        inputs = data.inputs[torch.from_numpy(index)]
        found = thing.cached(("open units", self.most_examples), lambda: _open(thing, inputs))
        n = len(index)
        product = _products(inputs) if self.with_inputs and inputs.is_floating_point() else np.ones((n, n))
        for on in found:
            product *= _shared(on)
        product[~np.isfinite(product)] = 0.0
        shown = _evenly(len(found), self.most_layers)
        return Routes(
            kernel=gram(product, groups), layers=np.stack([unit_centred(_shared(found[i])) for i in shown]),
            names=tuple(f"{i + 1}" for i in shown), on=tuple(found[i] for i in shown),
            share=np.array([found[i].mean() for i in shown]), n=n,
        )  # fmt: skip

    def compare(self, a: Routes, b: Routes, *, rng: np.random.Generator) -> Evidence:
        """The alignment of the path kernels; details hold that of all pairs of layers."""
        same = len(a.on) == len(b.on) and all(x.shape == y.shape for x, y in zip(a.on, b.on, strict=True))
        details = {
            "layers_a": list(a.names),
            "layers_b": list(b.names),
            "grid": np.clip((a.layers @ b.layers.T).astype(np.float64), -1.0, 1.0),
            "open_a": a.share,
            "open_b": b.share,
            "examples": a.n,
        }
        if same:  # unit by unit: for a network and its successor (fine-tuned, pruned), whose units correspond
            details["same_gates"] = np.array([float((x == y).mean()) for x, y in zip(a.on, b.on, strict=True)])
        values = alignment(a.kernel, b.kernel)
        if np.isnan(values[0]):
            return Undefined(reason="the same pathways are open for all examples", details=details)
        if np.isnan(values).any():
            return Undefined(reason="without one group of examples all pathways are the same", details=details)
        return Groups(value=float(values[0]), left_out=values[1:], n=a.n, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Alignment of the gates of every rectifier of A with every one of B."""
        found = details.get("b")
        if not found:
            return None
        grids = {"B against A": np.atleast_2d(found["grid"])}
        control = details.get("control")
        if control and np.shape(control["grid"]) == np.shape(found["grid"]):
            grids["control against A"] = np.atleast_2d(control["grid"])
        means = "; ".join(f"{title}: mean {grid.mean():.2f}" for title, grid in grids.items())
        return Chart(
            kind="heatmap", series=grids, x=[str(n) for n in found["layers_b"]], y=[str(n) for n in found["layers_a"]],
            x_label="rectifier of B" if len(grids) == 1 else "rectifier of B, of the control", y_label="rectifier of A",
            low=0.0, high=1.0,
            alt=f"Alignment of the gates of every rectifier of A (rows) and of B (columns); {means}.",
        )  # fmt: skip


def _open(subject: Subject, inputs: torch.Tensor) -> list[np.ndarray]:
    """(n, units) bool of each rectifier that runs."""
    parts: list[list[torch.Tensor]] = []
    with subject.evaluating() as model:
        for batch in subject.batches(inputs):
            parts.append(open_units(model, batch))
    if not parts[0] or len({len(part) for part in parts}) > 1:
        raise NotApplicable(
            subject.name, found="no rectifier that runs on every input", expected="ReLU, LeakyReLU or their like",
            remedy="Smooth activations have no gates.",
        )  # fmt: skip
    return [torch.cat([part[i] for part in parts]).numpy() for i in range(len(parts[0]))]


def _shared(on: np.ndarray) -> np.ndarray:
    """(n, n) share of the units that both examples open."""
    values = on.astype(np.float32)
    return (values @ values.T).astype(np.float64) / on.shape[1]


def _products(inputs: torch.Tensor) -> np.ndarray:
    """(n, n) <x, x'>, in blocks of columns."""
    flat = inputs.detach().cpu().flatten(1)
    found = torch.zeros(len(flat), len(flat), dtype=torch.float64)
    step = max(1, _BLOCK // len(flat))
    for start in range(0, flat.shape[1], step):
        here = flat[:, start : start + step].double()
        found += here @ here.T
    return found.numpy()


def _evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` positions, evenly spread, the last among them."""
    return sorted({int(i) for i in np.linspace(count - 1, 0, min(count, most)).round()})
