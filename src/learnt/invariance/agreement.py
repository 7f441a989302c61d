"""Are they indifferent to the same changes of the same inputs? Joint invariance under a named transform g.

For one model (arXiv 2205.16004, section 4.3): keeps_f(i) = [argmax f(x_i) = argmax f(g(x_i))], and its level is

    agreement_g(f) = mean_i keeps_f(i)

which `learnt.invariance.level.InvarianceLevel` asks about. Two models can have equal levels on different inputs, so
this measure asks about the inputs (distill spec M17):

    joint = mean_i [ keeps_A(i) = keeps_B(i) ]         kappa = (joint - e) / (1 - e),   e = p_A p_B + (1 - p_A)(1 - p_B)

The value is `joint`; both levels and kappa are in the details. Kappa does not exist where e = 1 (both always keep or
both never do). The same random g meets every model: its strength depends on the example's key and nothing else.

Where we differ. The paper publishes levels only; the joint form is ours. It draws strengths anew in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from jaxtyping import Bool

from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, mean
from learnt.core.panels import Chart
from learnt.core.subject import Subject
from learnt.invariance._kept import OJHA, Kept, bars, kept, named, transforms_for, words

if TYPE_CHECKING:
    from learnt.data.transforms import Transform


def kappa(first: Bool[np.ndarray, "n"], second: Bool[np.ndarray, "n"]) -> float | None:
    """Cohen's kappa of two yes/no sequences; None where agreement is certain by chance alone.

    Args:
        first, second: (n,) bool.
    """
    p, q = float(np.mean(first)), float(np.mean(second))
    expected = p * q + (1 - p) * (1 - q)
    if expected >= 1:
        return None
    return (float(np.mean(first == second)) - expected) / (1 - expected)


@final
@dataclass(frozen=True, kw_only=True)
class Invariance(Measure[Subject, Examples]):
    """Share of inputs on which both models keep, or both change, their answer under a transform.

    Args:
        transform: a function `(inputs (n, ...), keys (n,) uint64) -> (n, ...)` with a `.name`, such as those of
            `learnt.data.transforms` (equal transforms must be equal and hashable); None stands for one question for
            each of the usual transforms.
        max_examples: inputs looked at, chosen by key; None for all.
    """

    transform: Transform | None = None
    max_examples: int | None = 1000

    facts: ClassVar[Facts] = Facts(
        name="invariance",
        family="invariance",
        question="Are they indifferent to the same changes of the same images?",
        unit="share of examples",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=1.0,
        closer="higher",
        symmetric=True,
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale", "no labels"),
        needs=("logits", "images"),
        references=(OJHA,),
        how="Each input is transformed once, in the same way for every model; the share of inputs on which both keep "
        "or both change their answer.",
        caveat="Two models that hardly ever change their answers agree on this for that reason alone: see kappa and "
        "the control.",
        cost="one forward pass more an example and transform",
    )

    @property
    def name(self) -> str:
        """`invariance[transform]`."""
        return named(self.facts.name, self.transform)

    @property
    def question(self) -> str:
        """The question, with the transform in words."""
        if self.transform is None:
            return self.facts.question
        return f"Does {words(self.transform)} change their answers on the same images?"

    def variants(self, data: Examples) -> tuple[Invariance, ...]:
        """One question for each of the usual transforms, or itself if it has one."""
        if self.transform is not None:
            return (self,)
        return tuple(Invariance(transform=g, max_examples=self.max_examples) for g in transforms_for(data))

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Kept:
        """Which of its answers a model keeps."""
        return kept(thing, self.transform, self.max_examples)

    def compare(self, a: Kept, b: Kept, *, rng: np.random.Generator) -> Evidence:
        """Share of inputs on which both keep or both change their answer."""
        details: dict[str, Any] = {"level_a": float(a.keeps.mean()), "level_b": float(b.keeps.mean())}
        chance = kappa(a.keeps, b.keeps)
        if chance is not None:
            details["kappa"] = chance
        values, measured = a.scatter(a.keeps == b.keeps)
        return mean(values, measured=measured, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Share of answers kept by A, B and the control."""
        b, control = details.get("b", {}), details.get("control", {})
        return bars({"a": b.get("level_a"), "b": b.get("level_b"), "control": control.get("level_b")}, "answers kept")
