"""Comparisons made by hand: every verdict, every kind of number, every picture, and labels that attack a renderer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from learnt.core.comparison import Answer, Comparison, Side
from learnt.core.estimate import Estimate
from learnt.core.gallery import Card
from learnt.core.panels import Chart


def estimate(value: float, half: float = 0.01, n: int = 500) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=n)


def answer(name: str = "agreement", **given: Any) -> Answer:
    """An answer of the usual kind: b at 0.94, controls at 0.90, 40 % of the way; any field can be given."""
    fields: dict[str, Any] = {
        "name": name,
        "group": name.split("[")[0],
        "family": "agreement",
        "question": "Do they give the same answer?",
        "unit": "share of examples",
        "kind": "pairwise",
        "closer": "higher",
        "low": 0.0,
        "high": 1.0,
        "value": estimate(0.941),
        "reference": Estimate.exact(1.0, n=500),
        "control": estimate(0.902, 0.012),
        "difference": estimate(0.039, 0.009),
        "gap": None,
        "transfer": estimate(0.40, 0.09),
        "verdict": "transferred",
        "p": 0.001,
        "p_adjusted": 0.004,
        "seeds_p": 0.0079,
        "seeds_p_smallest": 0.0079,
        "replicas": {"b": (0.93, 0.94, 0.945, 0.95, 0.94), "control": (0.89, 0.90, 0.91, 0.90, 0.91)},
        "how": "The share of examples on which both give the same top answer.",
        "caveat": "Two good models agree a great deal without having learnt from each other.",
        "cost": "one pass over the examples",
        "references": (("Stanton et al. 2021", "2106.05945", "eq. 2"),),
        "params": {"top": 1},
    }
    return Answer(**{**fields, **given})


def property_answer(name: str = "accuracy", **given: Any) -> Answer:
    fields: dict[str, Any] = {
        "question": "How often is it right?",
        "kind": "property",
        "value": estimate(0.971),
        "reference": estimate(0.98),
        "control": estimate(0.964),
        "difference": estimate(0.007, 0.012),
        "gap": estimate(-0.009, 0.01),
        "transfer": estimate(0.44, 0.8),
        "verdict": "not detected",
        "p": 0.3,
        "p_adjusted": 0.9,
        "replicas": {"a": (0.98,), "b": (0.97, 0.972), "control": (0.96, 0.968)},
    }
    return answer(name, **{**fields, **given})


def every_kind() -> list[Answer]:
    """One answer of each verdict, kind of number and kind of picture."""
    grid = np.linspace(0, 1, 9).reshape(3, 3)
    middle = (np.arange(10) + 0.5) / 10
    holed = np.where(middle < 0.3, np.nan, middle**2)
    return [
        answer(
            chart=Chart(
                kind="heatmap",
                series={"b": grid, "control": grid.T},
                x=("0", "1", "2"),
                y=("0", "1", "2"),
                x_label="its answer",
                y_label="a's answer",
                low=0.0,
                high=1.0,
                alt="Share of each answer, for each answer of a.",
            )
        ),  # fmt: skip
        property_answer(),
        answer(
            "kl",
            question="How far are its probabilities from a's?",
            unit="nats",
            closer="lower",
            high=math.inf,
            value=estimate(0.031, 0.004),
            reference=Estimate.exact(0.0),
            control=estimate(0.052, 0.004),
            difference=estimate(-0.021, 0.004),
            transfer=estimate(0.40, 0.1),
            replicas={"b": (0.03, 0.032), "control": (0.05, 0.054)},
        ),
        answer(
            "kappa",
            question="Do they make mistakes on the same examples?",
            unit="kappa",
            low=-1.0,
            value=estimate(0.2, 0.1),
            control=estimate(0.3, 0.1),
            difference=estimate(-0.1, 0.05),
            transfer=estimate(-0.14, 0.1),
            verdict="reversed",
            replicas={"b": (0.1, 0.3), "control": (0.2, 0.4)},
        ),
        answer(
            "lost",
            question="Which question does not survive the correction?",
            verdict="not detected",
            p=0.03,
            p_adjusted=0.4,
            transfer=estimate(0.2, 0.1),
            notes=("does not survive the correction for asking many questions",),
        ),  # fmt: skip
        answer(
            "nothing",
            question="Is there a number at all?",
            value=Estimate.undefined("all models are always right"),
            control=Estimate.undefined("all models are always right"),
            difference=Estimate.undefined("no value"),
            transfer=Estimate.undefined("the value or its control is undefined"),
            verdict="not measurable",
            p=None,
            p_adjusted=None,
            replicas={"b": (math.nan,), "control": (math.nan,)},
        ),
        answer(
            "ceiling",
            question="Is there room left?",
            value=estimate(1.0, 0.0),
            control=estimate(1.0, 0.0),
            transfer=Estimate.undefined("the controls are as close to the reference as can be measured"),
            verdict="not measurable",
            p=None,
            p_adjusted=None,
        ),
        answer(
            "starc",
            question="Would both rewards order policies in the same way?",
            unit="distance, 0 to 2",
            high=2.0,
            closer="lower",
            value=Estimate.exact(0.25),
            reference=Estimate.exact(0.0),
            control=Estimate.exact(1.0),
            difference=Estimate.exact(-0.75),
            transfer=Estimate.exact(0.75),
            p=None,
            p_adjusted=None,
            seeds_p=None,
            seeds_p_smallest=None,
            replicas={"b": (0.25,), "control": (1.0,)},
        ),
        property_answer(
            "ece",
            question="When it is sure, is it right?",
            unit="share (confidence minus accuracy)",
            chart=Chart(
                kind="lines",
                series={"perfect": middle, "a": middle, "b": holed, "control": middle / 2},
                x=middle,
                x_label="confidence",
                y_label="accuracy",
                low=0.0,
                high=1.0,
                alt="Accuracy against confidence.",
            ),
        ),  # fmt: skip
        answer(
            "localisation",
            question="Do both look at the object itself?",
            chart=Chart(
                kind="bars",
                series={"inside the object": np.array([0.5, 0.4, 0.3]), "chance (area)": np.array([0.2, 0.2, 0.2])},
                x=("A", "B", "control"),
                y_label="share",
                low=0.0,
                high=1.0,
                alt="Share inside the object.",
            ),
        ),  # fmt: skip
        *(
            answer(
                f"invariance[{shift}]",
                question=f"Are they unmoved by {shift} on the same inputs?",
                transfer=estimate(t, 0.1),
                verdict=v,
            )  # fmt: skip
            for shift, t, v in (
                ("blur", 0.5, "transferred"),
                ("added noise", 1.2, "transferred"),
                ("rotation", 0.02, "not detected"),
            )
        ),
        answer("beyond", question="Does it go further than the reference?", transfer=estimate(1.6, 0.3)),
    ]


def comparison(answers: list[Answer] | None = None, **given: Any) -> Comparison:
    fields: dict[str, Any] = {
        "a": Side(label="teacher", replicas=1),
        "b": Side(label="KL students", replicas=5),
        "control": Side(label="independent students", replicas=5),
        "data": "digits",
        "n": 500,
        "confidence": 0.95,
        "answers": tuple(every_kind() if answers is None else answers),
        "left_out": (("Do they look at the object?", "masks: found none; expected a mask for each image."),),
        "gallery": gallery(),
        "provenance": {"learnt": "0.1.0", "seed": 0, "threads": 1, "resamples": 2000},
    }
    return Comparison(**{**fields, **given})


def gallery(size: int = 8, colour: bool = False) -> tuple[Card, ...]:
    rng = np.random.default_rng(0)
    shape = (size, size, 3) if colour else (size, size)
    cards = [
        Card(
            kind=kind, index=i, label="3",
            answers={"teacher": ("5", 0.7), "KL students": ("5", 0.6), "independent students": ("3", 0.8)},
            agree={"KL students": 0.8, "independent students": 0.2},
            image=rng.integers(0, 256, shape, dtype=np.uint8),
            looks={side: rng.random((size, size)) for side in ("teacher", "KL students", "independent students")},
        )
        for i, kind in enumerate(("disagree", "disagree", "follows_mistake", "shared_mistake"))
    ]  # fmt: skip
    text = Card(kind="disagree", index=9, label="", answers={"teacher": ("yes", 0.7)}, agree={}, values="0.1, 2.3, -1")
    return (*cards, text)


# Each of these must reach a reader as text: in HTML, SVG, a terminal, CSV, Markdown and JSON.
PAYLOADS = (
    "<script>alert(1)</script>", "</script><script>alert(2)</script>", "<img src=x onerror=alert(3)>",
    "<svg onload=alert(4)>", "\"><script>alert(5)</script>", "' onmouseover='alert(6)", "\" onfocus=\"alert(7)\" autofocus=\"",
    "javascript:alert(8)", "JaVaScRiPt:alert(9)", "data:text/html,<script>alert(10)</script>", "</style><script>alert(11)</script>",
    "</title><script>alert(12)</script>", "</textarea><script>alert(13)</script>", "<!--", "-->", "<![CDATA[", "]]>",
    "{{ 7*7 }}", "{% raw %}", "{# x #}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "&lt;script&gt;", "&#60;script&#62;",
    "<iframe src=https://evil.example>", "<link rel=stylesheet href=//evil.example/x.css>", "<base href=https://evil.example>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>", "<form action=https://evil.example><input>",
    "<a href=javascript:alert(14)>x</a>", "<math><mi xlink:href=javascript:alert(15)>", "<details open ontoggle=alert(16)>",
    "<object data=https://evil.example>", "<embed src=https://evil.example>", "url(https://evil.example/x.png)",
    "expression(alert(17))", "@import 'https://evil.example/x.css';", "\x00<scr\x00ipt>alert(18)</script>",
    "\u202egnp.exe\u202c", "\u2066hidden\u2069", "\x1b[31mred\x1b[0m", "\x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "\x07bell", "line\rreturn", "line\nbreak", "back\b\b\bspace", "\x9b31m", "[red]markup[/red]", "[/x]", ":smile:",
    "[link](https://evil.example)", "![x](https://evil.example/x.png)", "| cell | cell |", "`code`", "**bold**", "https://evil.example",
    "www.evil.example", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", "=cmd|' /C calc'!A0", "$x_1^2$", "$\\frac", "_hidden",
    "\u2028separator\u2029", "\u0645\u0631\u062d\u0628\u0627", "\u5b66\u751f", "e\u0301", "\U0001f600", "x" * 5000, "", " ", "-" * 300,
)  # fmt: skip


def hostile(payload: str, *, deep: bool = True) -> Comparison:
    """A comparison in which every piece of text that can come from outside is the payload."""
    chart = Chart(
        kind="heatmap", series={payload: np.eye(2), "b": np.eye(2)}, x=(payload, "1"), y=(payload, "1"), x_label=payload, y_label=payload, alt=payload,
    )  # fmt: skip
    text: dict[str, Any] = {
        "question": payload, "unit": payload, "family": payload, "how": payload, "caveat": payload, "cost": payload,
        "references": ((payload, payload, payload),), "params": {payload: payload}, "notes": (payload,),
    }  # fmt: skip
    answers = [answer("first", **text, chart=chart)]
    if deep:
        bars = Chart(kind="bars", series={payload: np.ones(2), "control": np.ones(2)}, x=(payload, "1"), x_label=payload, y_label=payload, alt=payload)  # fmt: skip
        lines = Chart(kind="lines", series={payload: np.ones(3), "b": np.arange(3.0)}, x=np.arange(3.0), x_label=payload, y_label=payload, alt=payload)  # fmt: skip
        unknown = Estimate.undefined(payload)
        answers += [
            answer(f"second[{payload}]", **text, chart=bars),
            property_answer("third", **text, chart=lines),
            answer("fourth", **text, value=unknown, transfer=unknown, verdict="not measurable"),
            answer("fifth", **text, transfer=Estimate.undefined(payload), verdict="not measurable"),
        ]
    card = Card(
        kind="disagree", index=0, label=payload, answers={payload or "a": (payload, 0.5)}, agree={payload: 0.5}, values=payload,
        looks={payload: np.ones((2, 2))},
    )  # fmt: skip
    return Comparison(
        a=Side(label=payload + "a", replicas=1), b=Side(label=payload, replicas=2), control=Side(label=payload + "c", replicas=2),
        data=payload, n=10, confidence=0.95, answers=tuple(answers), left_out=((payload, payload),),
        gallery=(card, Card(kind=payload, index=1, label=payload, answers={}, agree={}, image=np.zeros((4, 4), dtype=np.uint8))),
        provenance={"note": payload},
    )  # fmt: skip


class Making:
    """The makers above, for tests."""

    estimate, answer, property_answer, every_kind = staticmethod(estimate), staticmethod(answer), staticmethod(property_answer), staticmethod(every_kind)  # fmt: skip
    comparison, gallery, hostile, payloads = (
        staticmethod(comparison),
        staticmethod(gallery),
        staticmethod(hostile),
        PAYLOADS,
    )


@pytest.fixture(scope="session")
def make() -> type[Making]:
    """Makers of comparisons."""
    return Making
