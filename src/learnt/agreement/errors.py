"""Do they make the same mistakes? Error consistency (Geirhos, Meding and Wichmann 2020).

With accuracies p, q: observed o = mean_i [correct_a = correct_b], expected by chance e = p q + (1 - p)(1 - q),
    kappa = (o - e) / (1 - e).
Where e = 1 (both perfect, or both always wrong) there is nothing to be consistent about and kappa is undefined;
model-vs-human returns 1 there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Shaped

from learnt.agreement._common import GEIRHOS
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Sums, Undefined
from learnt.core.subject import Subject


def error_consistency(correct_a: Shaped[np.ndarray, "n"], correct_b: Shaped[np.ndarray, "n"]) -> float:
    """Kappa of two (n,) boolean vectors of correctness; NaN where it is undefined."""
    return float(_kappa(_columns(correct_a, correct_b).mean(0)))


def _columns(correct_a: np.ndarray, correct_b: np.ndarray) -> np.ndarray:
    a, b = np.asarray(correct_a, dtype=np.float64), np.asarray(correct_b, dtype=np.float64)
    return np.stack([a, b, (a == b).astype(np.float64)], axis=1)


def _kappa(means: np.ndarray) -> np.ndarray:
    p, q, observed = means[..., 0], means[..., 1], means[..., 2]
    expected = p * q + (1 - p) * (1 - q)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(1 - expected > 1e-12, (observed - expected) / (1 - expected), np.nan)


@final
@dataclass(frozen=True, kw_only=True)
class ErrorConsistency(Measure[Subject, Examples]):
    """Kappa between who is right where: agreement on correctness beyond what accuracy alone gives."""

    facts: ClassVar[Facts] = Facts(
        name="error_consistency",
        family="agreement",
        question="Do they make mistakes on the same examples?",
        unit="kappa",
        data=Examples,
        low=-1.0,
        high=1.0,
        identical=1.0,
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale"),
        needs=("logits", "labels"),
        references=(GEIRHOS,),
        how="Cohen's kappa between the two records of right and wrong: 0 for independent errors, 1 for the same "
        "examples.",
        caveat="Does not ask whether the mistakes are the same answer; few errors give a wide interval.",
        cost="one forward pass a model",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> np.ndarray:
        """(n,) whether each answer is right; raises NotApplicable without labels."""
        return thing.correct.numpy()

    def compare(self, a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator) -> Evidence:
        """Kappa as a function of three means."""
        columns = _columns(a, b)
        if np.isnan(_kappa(columns.mean(0))):
            return Undefined(
                reason="both are right (or both wrong) on every example, so there are no errors to compare"
            )
        return Sums(columns=columns, combine=_kappa, per_example=columns[:, 2])
