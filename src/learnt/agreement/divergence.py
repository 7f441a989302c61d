"""Are they equally sure of the same things? Divergence of predictive distributions (Stanton et al. 2021, Eq. 3).

With p_a, p_b the softmax outputs at temperature 1, per example and in nats:
    KL(p_a || p_b) = sum_c p_a log(p_a / p_b)                       how surprised b is by a
    JS(p_a, p_b)  = (KL(p_a || m) + KL(p_b || m)) / 2,  m = (p_a + p_b) / 2,  at most log 2
Both are 0 for equal distributions. Unlike gnosis, means run over examples, not over batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnt.agreement._common import OUTPUT_LAWS, STANTON
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, mean
from learnt.core.subject import Subject


def kl_divergence(log_p: Float[Tensor, "n classes"], log_q: Float[Tensor, "n classes"]) -> Float[Tensor, "n"]:
    """(n,) KL(p || q) in nats from (n, c) log-probabilities; 0 log 0 = 0."""
    return torch.where(log_p > -math.inf, log_p.exp() * (log_p - log_q), 0.0).sum(-1).clamp_min(0)


def js_divergence(log_p: Float[Tensor, "n classes"], log_q: Float[Tensor, "n classes"]) -> Float[Tensor, "n"]:
    """(n,) Jensen-Shannon divergence in nats from (n, c) log-probabilities; between 0 and log 2."""
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    return ((kl_divergence(log_p, log_m) + kl_divergence(log_q, log_m)) / 2).clamp(0, math.log(2))


def total_variation(log_p: Float[Tensor, "n classes"], log_q: Float[Tensor, "n classes"]) -> Float[Tensor, "n"]:
    """(n,) total variation distance, between 0 and 1."""
    return (log_p.exp() - log_q.exp()).abs().sum(-1) / 2


@final
@dataclass(frozen=True, kw_only=True)
class KLDivergence(Measure[Subject, Examples]):
    """Mean KL divergence from a's predictive distribution to b's."""

    facts: ClassVar[Facts] = Facts(
        name="kl",
        family="agreement",
        question="How much of a's doubt does it miss?",
        unit="nats",
        data=Examples,
        low=0.0,
        identical=0.0,
        closer="lower",
        symmetric=False,
        invariances=OUTPUT_LAWS + ("no labels",),
        needs=("logits",),
        references=(STANTON,),
        how="KL divergence of its probabilities from a's at temperature 1, averaged over examples.",
        caveat="Dominated by examples on which it is confidently different; unbounded.",
        cost="one forward pass a model",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Subject:
        """The subject itself, with its log-probabilities computed."""
        thing.log_probabilities  # noqa: B018
        return thing

    def compare(self, a: Subject, b: Subject, *, rng: np.random.Generator) -> Evidence:
        """Mean of per-example KL(a || b)."""
        return mean(kl_divergence(a.log_probabilities, b.log_probabilities).numpy())


@final
@dataclass(frozen=True, kw_only=True)
class JSDivergence(Measure[Subject, Examples]):
    """Mean Jensen-Shannon divergence of two predictive distributions."""

    facts: ClassVar[Facts] = Facts(
        name="js",
        family="agreement",
        question="Do they give the same probabilities?",
        unit="nats, at most 0.693",
        data=Examples,
        low=0.0,
        high=math.log(2),
        identical=0.0,
        closer="lower",
        invariances=OUTPUT_LAWS + ("no labels",),
        needs=("logits",),
        references=(STANTON,),
        how="Jensen-Shannon divergence of the two probability vectors at temperature 1, averaged over examples.",
        caveat="Bounded, so a few confident contradictions weigh less than in KL.",
        cost="one forward pass a model",
    )

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Subject:
        """The subject itself, with its log-probabilities computed."""
        thing.log_probabilities  # noqa: B018
        return thing

    def compare(self, a: Subject, b: Subject, *, rng: np.random.Generator) -> Evidence:
        """Mean of per-example JS(a, b)."""
        return mean(js_divergence(a.log_probabilities, b.log_probabilities).numpy())
