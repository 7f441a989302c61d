"""Do they give the same answer? Top-1 agreement (Stanton et al. 2021, Eq. 2).

agreement(a, b) = mean_i [ argmax f_a(x_i) = argmax f_b(x_i) ], right or wrong.

Accuracy bounds it: with accuracies p and q it lies between max(0, p + q - 1) and 1 - |p - q|. Details also give the
agreement expected of two models that err independently within each class, sum_c P(c) sum_k C_a[c, k] C_b[c, k]
(C: row-normalised confusion), and the exact McNemar table of who is right alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Int

from learnt.agreement._common import OJHA, OUTPUT_LAWS, STANTON
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, mean
from learnt.core.panels import Chart
from learnt.core.statistics import mcnemar_p
from learnt.core.subject import Subject


def agreement(a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> float:
    """Share of examples with equal answers; a, b: (n,) class indices."""
    return float(np.mean(a == b))


def agreement_bounds(accuracy_a: float, accuracy_b: float) -> tuple[float, float]:
    """(least, greatest) agreement that two accuracies allow."""
    return max(0.0, accuracy_a + accuracy_b - 1), 1 - abs(accuracy_a - accuracy_b)


def expected_agreement(
    a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"], classes: int
) -> float:
    """Agreement of two models with these confusions that err independently given the class."""
    total = 0.0
    for c in range(classes):
        rows = labels == c
        if rows.any():
            p = np.bincount(a[rows], minlength=classes) / rows.sum()
            q = np.bincount(b[rows], minlength=classes) / rows.sum()
            total += rows.mean() * float(p @ q)
    return total


@final
@dataclass(frozen=True, kw_only=True)
class Agreement(Measure[Subject, Examples]):
    """Share of examples on which two classifiers give the same top-1 answer."""

    facts: ClassVar[Facts] = Facts(
        name="agreement",
        family="agreement",
        question="Do they give the same answer?",
        unit="share of examples",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=1.0,
        invariances=OUTPUT_LAWS + ("logit scale", "no labels"),
        needs=("logits",),
        references=(STANTON, OJHA),
        how="The share of examples on which both give the same top-1 answer, right or wrong.",
        caveat="Two accurate models agree because both are right; the control says how much of it is more than that.",
        cost="one forward pass a model",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Subject:
        """The subject itself, with its logits computed."""
        thing.logits  # noqa: B018 (computed here so that K things cost K passes)
        return thing

    def compare(self, a: Subject, b: Subject, *, rng: np.random.Generator) -> Evidence:
        """Mean of per-example agreement."""
        says_a, says_b = a.predictions.numpy(), b.predictions.numpy()
        classes = a.logits.shape[1]
        details: dict[str, Any] = {}
        if classes <= 40:
            table = np.zeros((classes, classes))
            np.add.at(table, (says_a, says_b), 1.0)
            details["table"] = table / table.sum(1, keepdims=True).clip(1)
            details["classes"] = [a.data.classes[k] if k < len(a.data.classes) else str(k) for k in range(classes)]
        if a.data.is_classification:
            labels = a.labels.numpy()
            right_a, right_b = says_a == labels, says_b == labels
            only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
            details |= {
                "expected_if_independent": expected_agreement(says_a, says_b, labels, classes),
                "bounds_from_accuracy": agreement_bounds(right_a.mean(), right_b.mean()),
                "only_a_right": only_a,
                "only_b_right": only_b,
                "mcnemar_p": mcnemar_p(only_a, only_b),
            }
        return mean(says_a == says_b, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """What b (and the controls) answer where a answers each class."""
        tables = {side: d["table"] for side, d in details.items() if "table" in d}
        if "b" not in tables:
            return None
        names = details["b"]["classes"]
        return Chart(
            kind="heatmap", series=tables, x=names, y=names, x_label="its answer", y_label="a's answer",
            low=0.0, high=1.0, alt="Share of each answer given, for each answer of a; the diagonal is agreement.",
        )  # fmt: skip
