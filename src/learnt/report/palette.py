"""Colours that people with colour blindness can tell apart (Okabe and Ito 2008), and which of them means what.

Colour is never the only carrier: the reference is a line or a bold mark, b a filled circle, the control a hollow
square, and every mark is labelled in words. In SVG each colour is a CSS variable with a fallback that reads on light
and on dark ground, so that a page can adjust it to its theme.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from learnt.core.panels import Chart

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY = "#767676"


@dataclass(frozen=True, kw_only=True)
class Ink:
    """How one series looks: colour in SVG and in matplotlib, dash pattern, filled or hollow."""

    svg: str
    plain: str
    dash: str = ""
    filled: bool = True

    @property
    def dashes(self) -> tuple[float, tuple[float, ...] | None]:
        """The dash pattern as matplotlib wants it."""
        return (0, tuple(float(x) for x in self.dash.split()) if self.dash else None)


A = Ink(svg="currentColor", plain="#222222")
B = Ink(svg=f"var(--learnt-b,{BLUE})", plain=BLUE)
CONTROL = Ink(svg=f"var(--learnt-c,{VERMILLION})", plain=VERMILLION, dash="6 3", filled=False)
MUTED = Ink(svg=GREY, plain=GREY, dash="2 3", filled=False)
HEAT, COLD = f"var(--learnt-heat,{BLUE})", f"var(--learnt-cold,{VERMILLION})"
_OTHERS = (
    Ink(svg=f"var(--learnt-b,{BLUE})", plain=BLUE),
    Ink(svg=f"var(--learnt-c,{VERMILLION})", plain=VERMILLION, dash="6 3", filled=False),
    Ink(svg=f"var(--learnt-d,{GREEN})", plain=GREEN, dash="2 2"),
    Ink(svg=f"var(--learnt-e,{PURPLE})", plain=PURPLE, dash="8 3 2 3", filled=False),
    Ink(svg=f"var(--learnt-f,{ORANGE})", plain=ORANGE, dash="4 4"),
    Ink(svg=f"var(--learnt-g,{SKY})", plain=SKY, dash="1 3", filled=False),
)
YARDSTICKS = ("perfect", "chance", "ideal", "identical", "reference")


def inks(labels: list[str]) -> list[Ink]:
    """A look for each series: the sides of a comparison have their own, yardsticks are grey, the rest is in order."""
    sides = {"a": A, "A": A, "b": B, "B": B, "control": CONTROL}
    free = iter(range(10**9))
    return [
        sides[label] if label in sides
        else MUTED if label.lower().startswith(YARDSTICKS)
        else _OTHERS[next(free) % len(_OTHERS)]
        for label in labels
    ]  # fmt: skip


def bar_inks(chart: Chart) -> list[list[Ink]]:
    """The look of every bar, by series and category: a single series over the sides takes the looks of the sides."""
    count = max((len(values) for values in chart.series.values()), default=0)
    if len(chart.series) == 1 and len(chart.x) == count:
        found = [re.match(r"(A|B|control)\b", str(text)) for text in chart.x]
        if all(found):
            return [inks([match[1] for match in found if match])]
    return [[ink] * count for ink in inks(list(chart.series))]
