"""How good are its probabilities? Two proper scores, lower is better.

Brier = mean_i sum_c (p_i[c] - 1[y_i = c])^2          between 0 and 2
NLL   = mean_i -log p_i[y_i]                          nats
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnt.calibration._common import BRIER, CALIBRATION_LAWS, GUO
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, difference, mean
from learnt.core.subject import Subject


def brier_score(probabilities: Float[Tensor, "n classes"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """(n,) Brier scores, summed over classes, of (n, c) probabilities and (n,) labels."""
    target = torch.nn.functional.one_hot(labels, probabilities.shape[1]).to(probabilities.dtype)
    return (probabilities - target).square().sum(1)


def negative_log_likelihood(
    log_probabilities: Float[Tensor, "n classes"], labels: Int[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """(n,) -log p of the label, in nats."""
    return -log_probabilities.gather(1, labels[:, None])[:, 0]


@final
@dataclass(frozen=True, kw_only=True)
class Brier(Measure[Subject, Examples]):
    """Brier score of each; the comparison is b minus a."""

    facts: ClassVar[Facts] = Facts(
        name="brier",
        family="calibration",
        question="How far are its probabilities from the truth?",
        unit="squared error, 0 to 2",
        data=Examples,
        low=0.0,
        high=2.0,
        identical=0.0,
        closer="lower",
        kind="property",
        invariances=CALIBRATION_LAWS,
        needs=("logits", "labels"),
        references=(BRIER,),
        how="Squared distance between the probability vector and the true class, summed over classes, averaged over "
        "examples.",
        caveat="Mixes accuracy and calibration.",
        cost="one forward pass a model",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> np.ndarray:
        """(n,) scores; raises NotApplicable without labels."""
        return brier_score(thing.log_probabilities.exp(), thing.labels).numpy()

    def describe(self, state: np.ndarray) -> Evidence:
        """Mean score of one model."""
        return mean(state)

    def compare(self, a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator) -> Evidence:
        """Score of b minus score of a."""
        return difference(self.describe(b), self.describe(a))


@final
@dataclass(frozen=True, kw_only=True)
class LogLoss(Measure[Subject, Examples]):
    """Negative log-likelihood of each; the comparison is b minus a."""

    facts: ClassVar[Facts] = Facts(
        name="nll",
        family="calibration",
        question="How surprised is it by the truth?",
        unit="nats",
        data=Examples,
        low=0.0,
        identical=0.0,
        closer="lower",
        kind="property",
        invariances=CALIBRATION_LAWS,
        needs=("logits", "labels"),
        references=(GUO,),
        how="Minus the logarithm of the probability given to the true class, averaged over examples.",
        caveat="A few confident mistakes dominate it.",
        cost="one forward pass a model",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> np.ndarray:
        """(n,) losses; raises NotApplicable without labels."""
        return negative_log_likelihood(thing.log_probabilities, thing.labels).numpy()

    def describe(self, state: np.ndarray) -> Evidence:
        """Mean loss of one model."""
        return mean(state)

    def compare(self, a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator) -> Evidence:
        """Loss of b minus loss of a."""
        return difference(self.describe(b), self.describe(a))
