"""The question "Would both reward models prefer the same responses?" for `learnt.compare`.

    learnt.compare(scores_a, scores_b, Responses(groups), controls=[...])

Prompts are what is resampled; the value is the distance d of `learnt.rewards.responses`, pooled within prompts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.core.measure import Evidence, Facts, Measure, Reference, Sums
from learnt.core.panels import Chart
from learnt.rewards.score_forms import SHOWN, Canonical, canonical_scores, distance_sums, length_sums, witnesses
from learnt.rewards.scores import Responses, ScoreView

KEPT = 2000  # responses up to which details hold them all
SHORT = 24  # characters of an identifier in a picture
LONG = 400  # characters of a text in the details

STARC_IN_A_BANDIT = Reference(
    cite="Skalse et al., STARC: A General Framework For Quantifying Differences Between Reward Functions, ICLR 2024",
    identifier="arXiv:2309.15257",
    where="Definition 3, in a contextual bandit",
)


def require_prompts(data: Responses) -> None:
    """Raise NotApplicable on a single prompt, which shows no variation to resample."""
    if data.size < 2:
        raise NotApplicable(
            data.name, found="one prompt with two responses or more", expected="at least 2 prompts, as one shows no "
            "variation", remedy="response_distance and best_of_n_regret give the numbers of a single prompt.",
        )  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True)
class ResponseDistance(Measure[ScoreView, Responses]):
    """Distance between two reward models on responses to prompts that ignores offsets of prompts and scale."""

    facts: ClassVar[Facts] = Facts(
        name="response_distance",
        family="rewards",
        question="Would both reward models prefer the same responses?",
        unit="distance, 0 to 2",
        data=Responses,
        low=0.0,
        high=2.0,
        identical=0.0,
        closer="lower",
        symmetric=True,
        invariances=("prompt offsets", "positive scaling"),
        references=(STARC_IN_A_BANDIT,),
        how="From each score the mean of its prompt is subtracted, both models are divided by their pooled standard "
        "deviation within prompts, and what is left is subtracted; 0 for the same preferences, 1 against a model "
        "without any, about 1.41 for unrelated ones, 2 for opposite ones.",
        caveat="It holds for these prompts and for the distribution the responses were drawn from, and it ignores the "
        "scale of the scores, which matters for training with a fixed KL penalty (see the sizes in the details).",
        cost="linear in the number of responses",
    )

    def prepare(self, thing: ScoreView, data: Responses, *, rng: np.random.Generator) -> Canonical:
        """The canonical, standardised scores."""
        require_prompts(data)
        return canonical_scores(thing, data)

    def compare(self, a: Canonical, b: Canonical, *, rng: np.random.Generator) -> Evidence:
        """The distance, and at which prompts and responses the two differ most."""
        sums = distance_sums(a, b)
        prompts, rows = witnesses(a, b)
        gap = a.form * a.size - b.form * b.size
        details: dict[str, Any] = {
            "largest": [[w.prompt[:LONG], w.response[:LONG], w.a, w.b, w.share] for w in rows],
            "largest_prompts": [[w.prompt[:LONG], w.share] for w in prompts],
            "trivial_a": a.trivial,
            "trivial_b": b.trivial,
            "norm_a": a.size,
            "norm_b": b.size,
            "unnormalised": math.sqrt(float(a.data.layout.moments(gap, gap).mean())),
            "dropped_prompts": a.data.layout.dropped,
        }
        partial = length_sums(a, b)
        if partial is not None:
            value = float(partial.combine(partial.columns.mean(0)))
            details["length_partial_cosine"] = None if math.isnan(value) else value
        if len(a.form) <= KEPT:  # on fixed places, so that drivers may average over replicas
            inside = a.data.layout
            parts = inside.parts(a.form - b.form, a.form - b.form)
            details |= {"a": a.form, "b": b.form, "share": parts / (parts.sum() or 1.0), "places": _places(a.data)}
        return Sums(columns=sums.columns, combine=sums.combine, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Bars of the standardised scores where B differs most from A; the control's for the same responses."""
        found = details.get("b")
        if not found or len(found["largest"]) == 0:
            return None
        if "share" in found:
            top = np.argsort(-np.ravel(found["share"]), kind="stable")[:SHOWN]
            where = [found["places"][i] for i in top]
            series = {"A": np.ravel(found["a"])[top], "B": np.ravel(found["b"])[top]}
            control = details.get("control", {})
            if np.shape(control.get("b", ())) == np.shape(found["b"]):
                series["control"] = np.ravel(control["b"])[top]
        else:
            where = [_place(row[0], row[1]) for row in found["largest"]]
            series = {side: np.array([row[i] for row in found["largest"]]) for side, i in (("A", 2), ("B", 3))}
        return Chart(
            kind="bars",
            series=series,
            x=where,
            x_label="prompt and response, largest differences first",
            y_label="standardised score within the prompt",
            alt=f"Standardised scores where B differs most from A, first of all at '{where[0]}'.",
        )


def _places(data: Responses) -> list[str]:
    inside = data.layout
    return [
        _place(data.prompt(int(p)), data.response(int(row)))
        for p, row in zip(inside.of_row, inside.rows, strict=True)
    ]  # fmt: skip


def _place(prompt: str, response: str) -> str:
    return f"{_short(prompt)}, {_short(response)}"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= SHORT else plain[: SHORT - 3] + "..."
