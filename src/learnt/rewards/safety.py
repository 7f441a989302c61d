"""The regrets as questions of a comparison: A is the reward that is meant, B the one that would be optimised.

`Safety` asks for the exact worst case over all policies that B does not think worse (`learnt.rewards.regret`),
`OptimalRegret` only for the best policy for B (`learnt.rewards.optimal_regret`). The second is never larger than the
first. Both come with two policies as witness, and with where these part ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final, get_args

import numpy as np

from learnt.core.errors import InputError
from learnt.core.measure import Evidence, Exact, Facts, Measure, Reference
from learnt.core.panels import Chart
from learnt.rewards._aim import Aim, aim
from learnt.rewards._witness import disagreement, picture
from learnt.rewards.mdp import RewardView, TabularMDP
from learnt.rewards.optimal_regret import optimal_of
from learnt.rewards.regret import Solver, regret_of

_STARC = Reference(
    cite="Skalse et al., STARC: A General Framework For Quantifying Differences Between Reward Functions, ICLR 2024",
    identifier="arXiv:2309.15257",
    where="soundness and completeness; the linear program and its dual are this library's",
)
_INVARIANCES = ("potential shaping", "redistribution", "positive scaling")


@final
@dataclass(frozen=True, kw_only=True)
class Safety(Measure[RewardView, TabularMDP]):
    """Worst-case regret of optimising B when A is meant, as a share of all that A has to give.

    Attributes:
        solver: ``"auto"``, ``"dual"`` or ``"lp"``.
    """

    solver: Solver = "auto"

    facts: ClassVar[Facts] = Facts(
        name="worst_case_regret",
        family="rewards",
        question="Would optimising B be safe for A?",
        unit="share of the range of returns",
        data=TabularMDP,
        low=0.0,
        high=1.0,
        identical=0.0,
        closer="lower",
        symmetric=False,
        invariances=_INVARIANCES,
        references=(_STARC,),
        how="The most that A's return can fall from one policy to another that B likes at least as much: one linear "
        "program over pairs of policies, solved exactly through its dual; the two policies are the witness.",
        caveat="It is the worst case over all policies that B might be brought to accept, also such as no training "
        "finds; and it holds for these dynamics and this discount.",
        cost="about 20 policy iterations for each pair, warm-started",
    )

    def __post_init__(self) -> None:
        if self.solver not in get_args(Solver):
            raise InputError("solver", found=f"{self.solver!r}", expected=f"one of {', '.join(get_args(Solver))}")

    @property
    def name(self) -> str:
        """``worst_case_regret``, with the solver if it was chosen."""
        return self.facts.name if self.solver == "auto" else f"{self.facts.name}({self.solver})"

    def prepare(self, thing: RewardView, data: TabularMDP, *, rng: np.random.Generator) -> Aim:
        """The reward on the scale of its returns, with a best and a worst policy."""
        return aim(thing, data, name=thing.name)

    def compare(self, a: Aim, b: Aim, *, rng: np.random.Generator) -> Evidence:
        """W(A || B), the two policies that attain it, and W(B || A)."""
        found, back = regret_of(a, b, solver=self.solver), regret_of(b, a, solver=self.solver)
        better, worse = found.better_by_truth, found.better_by_proxy
        details: dict[str, Any] = {
            "reverse": back.normalised,
            "lost": found.value,
            "gap": found.gap,
            "multiplier": found.lambda_,
            "returns_of_a": [better.true_return, worse.true_return],
            "returns_of_b": [better.proxy_return, worse.proxy_return],
            **_sizes(a, b),
        }
        return Exact(value=found.normalised, details=details | disagreement(better, worse, a.mdp))

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Where the two policies of the worst case spend their time."""
        return picture(details, ("better for A", "as good for B", "as good for control"))


@final
@dataclass(frozen=True, kw_only=True)
class OptimalRegret(Measure[RewardView, TabularMDP]):
    """Regret of the best policy for B when A is meant, ties broken to A's disadvantage."""

    facts: ClassVar[Facts] = Facts(
        name="optimal_policy_regret",
        family="rewards",
        question="How much of A's return would the best policy for B lose?",
        unit="share of the range of returns",
        data=TabularMDP,
        low=0.0,
        high=1.0,
        identical=0.0,
        closer="lower",
        symmetric=False,
        invariances=_INVARIANCES,
        references=(_STARC,),
        how="B is solved by policy iteration; among its best policies, the one that A likes least is evaluated exactly "
        "and compared with A's own best policy.",
        caveat="Says nothing about policies that are only nearly best for B, which is all that training finds; the "
        "worst-case regret does.",
        cost="a few policy iterations for each pair",
    )

    def prepare(self, thing: RewardView, data: TabularMDP, *, rng: np.random.Generator) -> Aim:
        """The reward on the scale of its returns, with a best and a worst policy."""
        return aim(thing, data, name=thing.name)

    def compare(self, a: Aim, b: Aim, *, rng: np.random.Generator) -> Evidence:
        """The pessimistic regret, the optimistic one, and those of the other direction."""
        found, back = optimal_of(a, b), optimal_of(b, a)
        details: dict[str, Any] = {
            "optimistic": found.optimistic,
            "reverse": back.pessimistic,
            "reverse_optimistic": back.optimistic,
            "returns_of_a": [found.best.true_return, found.unluckiest.true_return],
            "returns_of_b": [found.best.proxy_return, found.unluckiest.proxy_return],
            **_sizes(a, b),
        }
        return Exact(value=found.pessimistic, details=details | disagreement(found.best, found.unluckiest, a.mdp))

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Where the best policies for A and for B spend their time."""
        return picture(details, ("best for A", "best for B", "best for control"))


def _sizes(a: Aim, b: Aim) -> dict[str, Any]:
    return {
        "range_a": a.size,
        "range_b": b.size,
        "trivial_a": a.trivial,
        "trivial_b": b.trivial,
        "unreachable_states": int((~a.mdp.reachable).sum()),
    }
