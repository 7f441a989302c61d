"""Numbers as people read them: shares as percent, the same decimals throughout one question, honest intervals.

A share of 0.9412 in [0.930, 0.952] is shown as 94.1 % [93.0, 95.2]. Elsewhere the decimals follow the width of the
interval: two digits of its half-width, at least two decimals and at most five. Numbers of one question (value,
control, reference, difference) always share their decimals, so that they can be read against each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from learnt.core.comparison import Answer
from learnt.core.estimate import Estimate

MISSING = "–"
_COUNTED = ("nats", "bits", "pixels", "classes", "steps", "points", "examples", "images", "degrees", "seconds")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How the numbers of one question are written.

    Attributes:
        factor: what a value is multiplied by before it is shown: 100 for shares.
        suffix: unit with its space, such as ``" %"`` or ``" nats"``; empty for numbers without a unit.
        phrase: what a share is of, with its space, such as ``" of examples"``.
        decimals: digits after the point, or None for four significant digits (exact numbers).
    """

    factor: float = 1.0
    suffix: str = ""
    phrase: str = ""
    decimals: int | None = 2

    def bare(self, x: float, *, signed: bool = False) -> str:
        """The number without its unit."""
        if not math.isfinite(x):
            return MISSING if math.isnan(x) else ("∞" if x > 0 else "-∞")
        x = x * self.factor
        if self.decimals is None or abs(x) >= 1e6:
            text = f"{x:.4g}"
        else:
            text = f"{x:.{self.decimals}f}"
        text = text.lstrip("-") if float(text) == 0 else text
        return f"+{text}" if signed and float(text) > 0 else text

    def text(self, x: float, *, signed: bool = False) -> str:
        """The number with its unit."""
        return self.bare(x, signed=signed) + (self.suffix if math.isfinite(x) else "")

    def interval(self, estimate: Estimate, *, signed: bool = False) -> str:
        """``"[93.0, 95.2]"``; empty where nothing varies or there is no number."""
        if not estimate.defined or estimate.kind == "exact":
            return ""
        return f"[{self.bare(estimate.low, signed=signed)}, {self.bare(estimate.high, signed=signed)}]"

    def full(self, estimate: Estimate | None, *, signed: bool = False) -> str:
        """``"94.1 % [93.0, 95.2]"``, ``"0.25 (exact)"``, or a dash."""
        if estimate is None or not estimate.defined:
            return MISSING
        tail = "(exact)" if estimate.kind == "exact" else self.interval(estimate, signed=signed)
        return f"{self.text(estimate.value, signed=signed)} {tail}"


def scale_of(answer: Answer) -> Scale:
    """How the numbers of an answer are written, from its unit and the widths of its intervals."""
    spread = [e for e in (answer.value, answer.control, answer.difference) if e is not None and e.defined]
    widths = [e.high - e.low for e in spread if e.kind != "exact" and e.high > e.low]
    words = answer.unit.split(",")[0].split("(")[0].split()
    if words[:1] == ["share"]:
        narrow = bool(widths) and max(widths) < 2e-3
        return Scale(factor=100.0, suffix=" %", phrase="".join(f" {w}" for w in words[1:]), decimals=2 if narrow else 1)
    suffix = f" {words[0]}" if words and words[0] in _COUNTED else ""
    if spread and all(e.kind == "exact" for e in spread):
        return Scale(suffix=suffix, decimals=None)
    half = max(widths, default=0.02) / 2
    decimals = min(max(1 - math.floor(math.log10(half)), 2), 5) if half > 1e-12 else 5
    return Scale(suffix=suffix, decimals=decimals)


TRANSFER = Scale(factor=100.0, suffix=" %", decimals=0)


def transfer_text(estimate: Estimate) -> str:
    """``"40 % [31, 49]"``, or a dash."""
    return TRANSFER.full(estimate)


def difference_scale(answer: Answer) -> Scale:
    """As `scale_of`; differences of shares are percentage points."""
    scale = scale_of(answer)
    if scale.suffix == " %":
        return Scale(factor=100.0, suffix=" points", decimals=scale.decimals)
    return scale


def probability(p: float | None) -> str:
    """A p value: ``"0.031"``, ``"below 0.001"``, or a dash."""
    if p is None or math.isnan(p):
        return MISSING
    return "below 0.001" if p < 0.001 else f"{p:.3f}"
