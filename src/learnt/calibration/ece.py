"""When it says 80 %, is it right 80 % of the time? Expected calibration error.

Confidence = largest probability. With 15 equal-width bins (lo, hi] of confidence,
    ECE = sum_m (n_m / n) | accuracy_m - confidence_m | = sum_m | mean_i 1[i in m] (correct_i - confidence_i) |.
The second form is a function of means over examples, which is how it is resampled. Empty bins count nothing.
torchmetrics uses bins [lo, hi): numbers differ where confidences sit on an edge. `adaptive_ece` uses bins of equal
mass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Float, Int, Shaped

from learnt.calibration._common import CALIBRATION_LAWS, GUO
from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Sums, difference
from learnt.core.panels import Chart
from learnt.core.subject import Subject


def bin_of(confidence: Float[np.ndarray, "n"], bins: int) -> Int[np.ndarray, "n"]:
    """(n,) index of the bin (lo, hi] of each confidence in [0, 1]; 0 falls into the first."""
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)


def expected_calibration_error(
    confidence: Float[np.ndarray, "n"], correct: Shaped[np.ndarray, "n"], *, bins: int = 15
) -> float:
    """ECE of (n,) confidences and (n,) correctness."""
    return float(_ece(_columns(confidence, correct, bins).mean(0)))


def maximum_calibration_error(
    confidence: Float[np.ndarray, "n"], correct: Shaped[np.ndarray, "n"], *, bins: int = 15
) -> float:
    """Largest gap between accuracy and confidence over the bins that are not empty."""
    where = bin_of(confidence, bins)
    gaps = [abs(correct[where == m].mean() - confidence[where == m].mean()) for m in range(bins) if (where == m).any()]
    return float(max(gaps))


def adaptive_ece(confidence: Float[np.ndarray, "n"], correct: Shaped[np.ndarray, "n"], *, bins: int = 15) -> float:
    """ECE with bins of (nearly) equal mass along the sorted confidences."""
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return float(sum(len(p) * abs(correct[p].mean() - confidence[p].mean()) for p in parts) / len(order))


def check_probabilities(probabilities: Float[np.ndarray, "n classes"]) -> None:
    """Raise InputError unless rows of (n, c) are non-negative and sum to 1 (to 1e-3)."""
    worst = float(np.abs(probabilities.sum(1) - 1).max())
    if worst > 1e-3 or probabilities.min() < 0:
        raise InputError(
            "probabilities", found=f"rows whose sums differ from 1 by up to {worst:.3g}", expected="rows that sum to 1"
        )


def _columns(confidence: np.ndarray, correct: np.ndarray, bins: int) -> np.ndarray:
    columns = np.zeros((len(confidence), bins))
    columns[np.arange(len(confidence)), bin_of(confidence, bins)] = np.asarray(correct, dtype=np.float64) - confidence
    return columns


def _ece(means: np.ndarray) -> np.ndarray:
    return np.abs(means).sum(-1)


@final
@dataclass(frozen=True, kw_only=True)
class CalibrationError(Measure[Subject, Examples]):
    """Expected calibration error of each; the comparison is b minus a.

    Args:
        bins: number of equal-width confidence bins.
    """

    bins: int = 15

    facts: ClassVar[Facts] = Facts(
        name="ece",
        family="calibration",
        question="When it is sure, is it right?",
        unit="share (confidence minus accuracy)",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=0.0,
        closer="lower",
        kind="property",
        invariances=CALIBRATION_LAWS,
        needs=("logits", "labels"),
        references=(GUO,),
        how="Expected calibration error: the gap between confidence and accuracy in 15 bins (lo, hi] of confidence.",
        caveat="Biased upwards on few examples: a perfectly calibrated model does not reach 0.",
        cost="one forward pass a model",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(n,) confidences and (n,) correctness; raises NotApplicable without labels."""
        return thing.log_probabilities.exp().max(1).values.numpy(), thing.correct.numpy()

    def describe(self, state: tuple[np.ndarray, np.ndarray]) -> Evidence:
        """ECE of one model as a function of the mean signed gap in each bin."""
        confidence, correct = state
        where = bin_of(confidence, self.bins)
        count = np.bincount(where, minlength=self.bins)
        with np.errstate(invalid="ignore"):
            accuracy = np.bincount(where, weights=correct, minlength=self.bins) / np.where(count > 0, count, np.nan)
        return Sums(
            columns=_columns(confidence, correct, self.bins), combine=_ece,
            details={"accuracy": np.nan_to_num(accuracy, nan=-1.0), "count": count / len(confidence)},
        )  # fmt: skip

    def compare(self, a: Any, b: Any, *, rng: np.random.Generator) -> Evidence:
        """ECE of b minus ECE of a."""
        return difference(self.describe(b), self.describe(a))

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Reliability: accuracy in each bin of confidence, where a bin holds examples."""
        middle = (np.arange(self.bins) + 0.5) / self.bins
        series = {
            side: np.where(np.asarray(d["accuracy"]) >= 0, np.asarray(d["accuracy"]), np.nan)
            for side, d in details.items()
        }
        return Chart(
            kind="lines", series={"perfect": middle, **series}, x=middle, x_label="confidence", y_label="accuracy",
            low=0.0, high=1.0, alt="Accuracy against confidence; on the diagonal confidence is honest.",
        )  # fmt: skip
