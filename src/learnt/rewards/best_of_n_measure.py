"""The question "What would be lost by picking the best of N by B?" for `learnt.compare`.

    learnt.compare(true_scores, proxy_scores, Responses(groups), measures=[BestOfNRegret(n=8)])

The value is the regret (`learnt.rewards.best_of_n`) in units of sigma1, the pooled standard deviation of A's scores
within prompts; prompts are what is resampled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.core.measure import Evidence, Facts, Measure, Reference, Undefined
from learnt.core.panels import Chart
from learnt.rewards.best_of_n import (
    best_of_n_bound,
    expected_maximum,
    picks,
    regret_columns,
    relative_sums,
    shown_numbers,
    worst_prompts,
)  # fmt: skip
from learnt.rewards.response_measure import STARC_IN_A_BANDIT, require_prompts
from learnt.rewards.score_forms import Canonical, canonical_scores, distance_sums
from learnt.rewards.scores import Responses, ScoreView

CURVE = 64  # points of the curve in the picture


@dataclass(frozen=True, eq=False, kw_only=True)
class Scored:
    """A model made ready: its checked scores and their canonical form."""

    view: ScoreView
    form: Canonical


@final
@dataclass(frozen=True, kw_only=True)
class BestOfNRegret(Measure[ScoreView, Responses]):
    """What is lost in A's score by letting B pick the best of N responses.

    Attributes:
        n: responses to pick from; None for as many as half of the prompts have.
    """

    n: int | None = None

    facts: ClassVar[Facts] = Facts(
        name="best_of_n_regret",
        family="rewards",
        question="What would be lost by picking the best of N by B?",
        unit="standard deviations of A's score",
        data=Responses,
        low=0.0,
        identical=0.0,
        closer="lower",
        symmetric=False,
        invariances=("prompt offsets", "positive scaling", "increasing change of b"),
        references=(
            STARC_IN_A_BANDIT,
            Reference(
                cite="Gao, Schulman and Hilton, Scaling Laws for Reward Model Overoptimization, ICML 2023",
                identifier="arXiv:2210.10760",
                where="best-of-n against a gold reward model",
            ),
        ),
        how="Mean score by A of A's own pick among N random responses, minus that of B's pick, from order statistics "
        "of all scored responses (an unbiased estimate); ties of B are averaged.",
        caveat="A is taken for the truth, and responses must be draws from the model that best-of-N would sample from; "
        "it says nothing about stronger optimisation than the best of N.",
        cost="K log K for the K responses of each prompt",
    )

    def __post_init__(self) -> None:
        if self.n is not None and (isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 2):
            raise InputError("n", found=repr(self.n), expected="a whole number of at least 2")

    @property
    def name(self) -> str:
        """``best_of_n_regret``, with N if it is fixed."""
        return self.facts.name if self.n is None else f"{self.facts.name}({self.n})"

    @property
    def question(self) -> str:
        """With the number N, if it is fixed."""
        return self.facts.question if self.n is None else self.facts.question.replace("of N", f"of {self.n}")

    def variants(self, data: Responses) -> tuple[BestOfNRegret, ...]:
        """This question with the N that half of the prompts allow, unless N is fixed."""
        return (self,) if self.n is not None else (replace(self, n=_usual(data)),)

    def prepare(self, thing: ScoreView, data: Responses, *, rng: np.random.Generator) -> Scored:
        """Checked scores, and their size within prompts."""
        require_prompts(data)
        n = _usual(data) if self.n is None else self.n
        if int((data.layout.counts >= n).sum()) < 2 or data.reference is not None:
            weighted = data.reference is not None
            raise NotApplicable(
                data.name,
                found="responses with reference weights" if weighted
                else f"at most {int(data.layout.counts.max())} responses a prompt",
                expected="responses drawn from the reference itself" if weighted
                else f"at least 2 prompts with {n} responses",
            )  # fmt: skip
        return Scored(view=thing, form=canonical_scores(thing, data))

    def compare(self, a: Scored, b: Scored, *, rng: np.random.Generator) -> Evidence:
        """The regret at N; the curves up to N and the prompts that lose most are the details."""
        data = a.form.data
        if a.form.trivial:
            return Undefined(reason=f"{a.form.name} gives all responses of a prompt the same score")
        n = _usual(data) if self.n is None else self.n
        grid = np.arange(1, n + 1) if n <= CURVE else np.unique(np.rint(np.geomspace(1, n, CURVE)).astype(np.int64))
        found = picks(a.view, b.view, data, grid)
        there = ~np.isnan(found.by_true[:, -1])  # one set of prompts for the whole curve
        found = replace(found, by_true=_only(found.by_true, there), by_proxy=_only(found.by_proxy, there))
        sums = relative_sums(regret_columns(found, len(grid) - 1, a.form), a.form.size)
        apart = distance_sums(a.form, b.form)
        d = float(apart.combine(apart.columns.mean(0)))
        rho = 0.0 if b.form.trivial else 1.0 - d * d / 2.0
        start = found.mean(found.by_true)[0]
        gain = {
            key: (found.mean(x) - start) / a.form.size for key, x in (("by_a", found.by_true), ("by_b", found.by_proxy))
        }
        rows = shown_numbers(grid)
        details: dict[str, Any] = {
            "n": grid,
            "gain_by_a": gain["by_a"],
            "gain_by_b": gain["by_b"],
            "at_most": best_of_n_bound(d, grid),
            "if_normal": (1.0 - rho) * expected_maximum(grid),
            "best_n": int(grid[int(gain["by_b"].argmax())]),
            "curve": [[int(grid[j]), float(gain["by_a"][j]), float(gain["by_b"][j])] for j in rows],
            "largest": [[p, x / a.form.size] for p, x in worst_prompts(found, len(grid) - 1)],
            "prompts": int(there.sum()),
            "dropped_prompts": data.layout.dropped + int((~there).sum()),
        }
        return replace(sums, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """A's score of the picks of A, B and the control against N."""
        found = details.get("b")
        if not found:
            return None
        series = {"A": np.ravel(found["gain_by_a"]), "B": np.ravel(found["gain_by_b"])}
        control = details.get("control", {})
        if np.shape(control.get("gain_by_b", ())) == np.shape(found["gain_by_b"]):
            series["control"] = np.ravel(control["gain_by_b"])
        last = {key: float(values[-1]) for key, values in series.items()}
        return Chart(
            kind="lines",
            series=series,
            x=np.ravel(found["n"]).astype(np.float64),
            x_label="responses to pick from, N",
            y_label="A's score of the pick, in sigma",
            alt=f"A's score rises with N by {last['A']:.2f} if A picks and by {last['B']:.2f} if B picks.",
        )


def _usual(data: Responses) -> int:
    """The number of responses that half of the prompts have, at least 2."""
    return int(np.sort(data.layout.counts)[(data.size - 1) // 2])


def _only(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.where(there[:, None], values, np.nan)
