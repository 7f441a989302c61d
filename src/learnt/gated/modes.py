"""Which modes of the task has each learnt? The strengths that two models give to the modes of a classification.

    z = whitened leading principal components of the inputs,  y = one-hot labels,  f = answers, all without their means
    <y z^T> = U diag(s) V^T                     modes of the task: strongest first
    f_a = <u_a^T f  v_a^T z> / s_a              learned fraction of mode a; 1 if answers are the regression of y on z
    value(A, B) = sqrt( sum_a s_a^2 (f_a(A) - f_a(B))^2 / sum_a s_a^2 )      0 = the same fraction of every mode

Theory: deep linear networks learn modes one after another, in the order of their strength (Saxe, McClelland, Ganguli
2014, arXiv 1312.6120; Saxe, Sodhani, Lewallen 2022, arXiv 2207.10430). The measure is ours. Answers are probabilities
by default, as the expected label is what they estimate. The strength of a mode and what is learned of it are means
over examples of products, for directions that all examples fix, so that the paired bootstrap applies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch

from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Reference, Sums, Undefined
from learnt.core.panels import Chart
from learnt.core.subject import Subject
from learnt.gated._components import components

SAXE_2014 = Reference(
    cite="Saxe, McClelland, Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear neural "
    "networks, ICLR 2014",
    identifier="arXiv:1312.6120",
    where="section 1: modes of the input-output correlation",
)
SAXE_2022 = Reference(
    cite="Saxe, Sodhani, Lewallen, The Neural Race Reduction: Dynamics of Abstraction in Gated Networks, ICML 2022",
    identifier="arXiv:2207.10430",
    where="the reduction to modes",
)
_RANK = 1e-6  # of the strongest mode


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Learned:
    """What one model has learned of each mode.

    Attributes:
        strength: (K,) of the task.
        task: (n, K) u_a^T y v_a^T z of each example; its mean is the strength.
        own: (n, K) the same of the model's answers.
        answers: (c, K) the model's answer along each v_a.
        outputs: (c, K) u_a.
        reason: why there are no modes, or empty.
    """

    strength: np.ndarray
    task: np.ndarray
    own: np.ndarray
    answers: np.ndarray
    outputs: np.ndarray
    reason: str = ""


@final
@dataclass(frozen=True, kw_only=True)
class Modes(Measure[Subject, Examples]):
    """Difference between the fractions of the task's modes that two models have learned.

    Attributes:
        answers: what stands for the answer of a model: "probabilities", or "logits" of one trained on squared error.
        components: principal components of the inputs, at most; never more than a quarter of the examples.
        most_modes: the strongest modes, at most; None for all.
    """

    answers: Literal["probabilities", "logits"] = "probabilities"
    components: int = 100
    most_modes: int | None = None

    facts: ClassVar[Facts] = Facts(
        name="modes",
        family="gated",
        question="Which modes of the task has each learnt?",
        unit="difference of learned fractions, weighted by mode",
        data=Examples,
        low=0.0,
        identical=0.0,
        closer="lower",
        invariances=("example order", "batch size", "class permutation", "logit shift"),
        needs=("logits", "labels"),
        references=(SAXE_2014, SAXE_2022),
        how="Labels are regressed on the leading principal components of the inputs; the singular vectors of that "
        "regression are the modes of the task. For each mode, how much of it the answers of a model have; then the "
        "root mean square difference of two models over modes, weighted by the squared strength of the modes.",
        caveat="Only the part of the answers that is linear in the inputs is seen, in directions that matter for the "
        "labels: two models may differ in everything else and have the difference 0.",
        cost="one forward pass a model, and n d min(n, d) once for n examples of d numbers",
    )

    def __post_init__(self) -> None:
        if self.answers not in ("probabilities", "logits"):
            raise InputError("answers", found=repr(self.answers), expected="'probabilities' or 'logits'")
        for name, value in (("components", self.components), ("most_modes", self.most_modes)):
            if isinstance(value, bool) or (value is not None and (not isinstance(value, int) or value < 1)):
                raise InputError(name, found=repr(value), expected="a positive integer")

    @property
    def name(self) -> str:
        """``modes``, and what stands for the answers if it is not the probabilities."""
        return "modes" if self.answers == "probabilities" else "modes(logits)"

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Learned:
        """What a model has learned of each mode.

        Raises:
            NotApplicable: no class labels, or inputs that are no numbers (tokens).
        """
        labels = thing.labels
        if not data.inputs.is_floating_point():
            raise NotApplicable(data.name, found="tokens", expected="inputs that are numbers")
        given = thing.log_probabilities.exp() if self.answers == "probabilities" else thing.logits
        f = _centred(given.numpy())
        y = _centred(torch.nn.functional.one_hot(labels, given.shape[1]).double().numpy())
        z = components(data, self.components)
        nothing = np.zeros((len(y), 0))
        empty = Learned(
            strength=np.zeros(0), task=nothing, own=nothing, answers=nothing[:0], outputs=nothing[:0],
            reason="the inputs do not vary, so that nothing can depend on them",
        )  # fmt: skip
        if not z.shape[1]:
            return empty
        n = len(y)
        u, s, vt = np.linalg.svd(y.T @ z / n, full_matrices=False)
        keep = np.flatnonzero(s > max(_RANK * s[0], 1e-12))[: self.most_modes]
        if not len(keep):
            return replace(empty, reason="no linear function of the inputs is correlated with the labels")
        u, s, v = u[:, keep], s[keep], vt[keep].T
        along = z @ v
        return Learned(strength=s, task=(y @ u) * along, own=(f @ u) * along, answers=f.T @ along / n, outputs=u)

    def compare(self, a: Learned, b: Learned, *, rng: np.random.Generator) -> Evidence:
        """The weighted difference; details hold strengths, fractions and cosines mode by mode."""
        if a.reason:
            return Undefined(reason=a.reason)
        k = len(a.strength)

        def combine(means: np.ndarray) -> np.ndarray:
            size = np.square(means[..., :k]).sum(-1)
            apart = np.square(means[..., k : 2 * k] - means[..., 2 * k :]).sum(-1)
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(size > 0, np.sqrt(apart / size), np.nan)

        details = {
            "strength": a.strength,
            "fraction_a": a.own.mean(0) / a.strength,
            "fraction_b": b.own.mean(0) / b.strength,
            "cosine": _cosine(a.answers, b.answers),
            "cosine_a": _cosine(a.answers, a.outputs),
            "cosine_b": _cosine(b.answers, b.outputs),
        }
        return Sums(columns=np.concatenate([a.task, a.own, b.own], 1), combine=combine, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Learned fraction of each mode, strongest first."""
        found = details.get("b")
        if not found:
            return None
        k = len(np.ravel(found["fraction_a"]))
        series = {"A": np.ravel(found["fraction_a"]), "B": np.ravel(found["fraction_b"])}
        control = details.get("control")
        if control and len(np.ravel(control["fraction_b"])) == k:
            series["control"] = np.ravel(control["fraction_b"])
        first = ", ".join(f"{label} {values[0]:.2f}" for label, values in series.items())
        return Chart(
            kind="bars", series=series, x=[f"{a + 1}" for a in range(k)], x_label="mode of the task, strongest first",
            y_label="learned fraction", alt=f"Learned fraction of each of {k} modes; of the strongest one: {first}.",
        )  # fmt: skip


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(0)


def _cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(K,) cosines between columns; 0 where a column is nothing but rounding beside the largest."""
    lengths = [np.linalg.norm(m, axis=0) for m in (x, y)]
    there = np.logical_and(*(length > 1e-6 * max(float(length.max()), 1e-300) for length in lengths))
    size = np.where(there, lengths[0] * lengths[1], 1.0)
    return np.where(there, np.clip((x * y).sum(0) / size, -1.0, 1.0), 0.0)
