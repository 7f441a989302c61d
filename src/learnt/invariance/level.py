"""How indifferent is each to a change of its input? The share of answers a model keeps under a named transform g.

    agreement_g(f) = mean_i [ argmax f(x_i) = argmax f(g(x_i)) ]

This is the number of arXiv 2205.16004, section 4.3 (table 7 for colour). As a property it has a direction: transfer is
(phi(B) - phi(control)) / (phi(A) - phi(control)), which reproduces the published .510 for KL, .045 for Hint and .385
for CRD. It says how much of A's indifference B has; `learnt.invariance.agreement.Invariance` says whether on the same
inputs.

Where we differ. The paper compares two random crops with each other for crops and shifts; here one side is always the
input itself. Strengths depend on the example's key, so every model meets the same changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, difference, mean
from learnt.core.panels import Chart
from learnt.core.subject import Subject
from learnt.invariance._kept import OJHA, Kept, bars, kept, named, transforms_for, words

if TYPE_CHECKING:
    from learnt.data.transforms import Transform


@final
@dataclass(frozen=True, kw_only=True)
class InvarianceLevel(Measure[Subject, Examples]):
    """Share of its answers that a model keeps under a transform (a property).

    Args:
        transform: a function `(inputs (n, ...), keys (n,) uint64) -> (n, ...)` with a `.name`, such as those of
            `learnt.data.transforms` (equal transforms must be equal and hashable); None stands for one question for
            each of the usual transforms.
        max_examples: inputs looked at, chosen by key; None for all.
    """

    transform: Transform | None = None
    max_examples: int | None = 1000

    facts: ClassVar[Facts] = Facts(
        name="invariance_level",
        family="invariance",
        question="How often does it keep its answer when the image is changed?",
        unit="share of examples",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=0.0,
        kind="property",
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale", "no labels"),
        needs=("logits", "images"),
        references=(OJHA,),
        how="Each input is transformed once, in the same way for every model; the share of inputs on which the answer "
        "stays the same, right or wrong.",
        caveat="A model that always gives the same answer keeps it always.",
        cost="one forward pass more an example and transform",
    )

    @property
    def name(self) -> str:
        """`invariance_level[transform]`."""
        return named(self.facts.name, self.transform)

    @property
    def question(self) -> str:
        """The question, with the transform in words."""
        if self.transform is None:
            return self.facts.question
        return f"How often does it keep its answer under {words(self.transform)}?"

    def variants(self, data: Examples) -> tuple[InvarianceLevel, ...]:
        """One question for each of the usual transforms, or itself if it has one."""
        if self.transform is not None:
            return (self,)
        return tuple(InvarianceLevel(transform=g, max_examples=self.max_examples) for g in transforms_for(data))

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Kept:
        """Which of its answers a model keeps."""
        return kept(thing, self.transform, self.max_examples)

    def describe(self, state: Kept) -> Evidence:
        """Share of answers kept."""
        values, measured = state.scatter(state.keeps)
        return mean(values, measured=measured, details={"level": float(state.keeps.mean())})

    def compare(self, a: Kept, b: Kept, *, rng: np.random.Generator) -> Evidence:
        """Share kept by b minus share kept by a."""
        return difference(self.describe(b), self.describe(a))

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Share of answers kept by each side."""
        return bars({side: details.get(side, {}).get("level") for side in ("a", "b", "control")}, "answers kept")
