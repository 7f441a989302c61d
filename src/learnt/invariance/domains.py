"""Do they agree on inputs unlike those they were shown? Consensus on each shifted domain that the data hold.

    consensus(A, B; D) = mean_{x in D} [ argmax f_A(x) = argmax f_B(x) ],   right or wrong

(arXiv 2205.16004, section 4.4; distill spec A4, M18.) The evidence rests on the domain's own examples. Accuracies on
the domain are in the details where it has labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, mean
from learnt.core.panels import Chart
from learnt.core.subject import Subject
from learnt.invariance._kept import OJHA, SALT, bars


@dataclass(frozen=True, eq=False)
class Abroad:
    """Answers of one model on a domain: (k,) classes for the examples `index` of the domain, and how many are right."""

    domain: Examples
    index: np.ndarray
    answers: np.ndarray
    accuracy: float | None


@final
@dataclass(frozen=True, kw_only=True)
class DomainAgreement(Measure[Subject, Examples]):
    """Share of a shifted domain's examples on which both give the same answer.

    Args:
        domain: a name in `data.domains`; None stands for one question for each of them.
        max_examples: examples of the domain looked at, chosen by key; None for all.
    """

    domain: str | None = None
    max_examples: int | None = 1000

    facts: ClassVar[Facts] = Facts(
        name="domain_agreement",
        family="invariance",
        question="Do they give the same answer in domains they were never shown?",
        unit="share of examples",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=1.0,
        closer="higher",
        symmetric=True,
        invariances=("example order", "batch size", "class permutation", "logit shift", "logit scale", "no labels"),
        needs=("logits", "domains"),
        references=(replace(OJHA, where="section 4.4"),),
        how="The share of the examples of the shifted domain on which both top-1 answers are the same, right or wrong.",
        caveat="Two models that both fall back on one class there agree by chance: compare with the control.",
        cost="one forward pass an example of the domain",
    )

    @property
    def name(self) -> str:
        """`domain_agreement[domain]`."""
        return self.facts.name if self.domain is None else f"{self.facts.name}[{self.domain}]"

    @property
    def question(self) -> str:
        """The question, with the domain named."""
        if self.domain is None:
            return self.facts.question
        return f'Do they give the same answer on the unseen domain "{self.domain}"?'

    def variants(self, data: Examples) -> tuple[DomainAgreement, ...]:
        """One question for each domain of the data, or itself if it has one."""
        if self.domain is not None:
            return (self,)
        return tuple(DomainAgreement(domain=d, max_examples=self.max_examples) for d in data.domains)

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Abroad:
        """Answers of one model on the domain."""
        if not data.domains:
            raise NotApplicable(data.name, found="no shifted domains", expected="data with domains")
        if self.domain is None:
            raise InputError(
                "domain", found="none", expected="one domain", remedy=f"Choose one of: {', '.join(data.domains)}."
            )
        if self.domain not in data.domains:
            raise InputError(
                "domain", found=repr(self.domain), expected=f"one of the domains of the data: {', '.join(data.domains)}"
            )
        domain = data.domains[self.domain]

        def compute() -> Abroad:
            index = domain.subset(self.max_examples, salt=SALT)
            answers = thing.answer(domain.inputs[index]).argmax(1)
            labels = domain.labels if domain.is_classification else None
            accuracy = None if labels is None else float((answers == labels[index].cpu()).double().mean())
            return Abroad(domain, index, answers.numpy(), accuracy)

        return thing.cached(("domain", self.domain, self.max_examples), compute)

    def compare(self, a: Abroad, b: Abroad, *, rng: np.random.Generator) -> Evidence:
        """Share of equal answers, on the domain's own examples."""
        same = a.answers == b.answers
        details: dict[str, Any] = {"agreement": float(same.mean())}
        details |= {f"accuracy_{side}": s.accuracy for side, s in (("a", a), ("b", b)) if s.accuracy is not None}
        return mean(same, keys=a.domain.keys[a.index], details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Agreement with A of B and of the control."""
        return bars(
            {"b": details.get("b", {}).get("agreement"), "control": details.get("control", {}).get("agreement")},
            "same answer as A",
        )
