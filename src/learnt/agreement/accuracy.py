"""How often is each right? Top-1 accuracy, mean_i [argmax f(x_i) = y_i]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from learnt.agreement._common import OJHA
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, difference, mean
from learnt.core.subject import Subject


@final
@dataclass(frozen=True, kw_only=True)
class Accuracy(Measure[Subject, Examples]):
    """Top-1 accuracy of each; the comparison is b minus a."""

    facts: ClassVar[Facts] = Facts(
        name="accuracy",
        family="agreement",
        question="How often is it right?",
        unit="share of examples",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=0.0,
        kind="property",
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale"),
        needs=("logits", "labels"),
        references=(OJHA,),
        how="The share of examples whose top-1 answer is the label.",
        caveat="Two models of equal accuracy can be right on different examples for different reasons.",
        cost="one forward pass a model",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> np.ndarray:
        """(n,) whether each answer is right; raises NotApplicable without labels."""
        return thing.correct.numpy()

    def describe(self, state: np.ndarray) -> Evidence:
        """Mean correctness of one model."""
        return mean(state)

    def compare(self, a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator) -> Evidence:
        """Accuracy of b minus accuracy of a."""
        return difference(self.describe(b), self.describe(a))
