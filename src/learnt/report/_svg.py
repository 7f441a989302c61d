"""The few pieces of SVG that the drawings are made of: elements with escaped text, axes, ticks.

A drawing has no viewBox: places along x are percentages of its width and places along y are pixels, so that it
fills the column of a wide page and of a phone alike while its text keeps one size. There are no scripts, styles, ids
or references, and equal data gives equal bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import escape

from learnt.report.text import neutral

FONT = "-apple-system,Segoe UI,Roboto,Helvetica Neue,Noto Sans,Liberation Sans,Arial,sans-serif"


def element(tag: str, *children: str, **attributes: str | float | None) -> str:
    """One element; attribute names take - for _, values are escaped, children are SVG already."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value not in (None, "")
    )
    return f"<{tag}{written}>{''.join(children)}</{tag}>" if children else f"<{tag}{written}/>"


def _value(value: str | float | None) -> str:
    return short(value) if isinstance(value, (int, float)) else str(escape(neutral(value)))


def short(x: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{x:.2f}".rstrip("0").rstrip(".") if math.isfinite(x) else "0"


def pct(x: float) -> str:
    """A place along the width, in percent."""
    return f"{short(x)}%"


def words(text: object, limit: int | None = None) -> str:
    """Escaped text, free of acting characters."""
    return str(escape(neutral(text, limit)))


def label(
    text: object,
    x: float,
    y: float,
    *,
    anchor: str | None = None,
    size: float | None = None,
    weight: str | None = None,
    faint: bool = False,
    limit: int = 60,
    rotate: str | None = None,
) -> str:
    """Text at x percent and y pixels; what was cut off stays readable in its title."""
    whole = neutral(text)
    title = element("title", words(whole, 300)) if len(whole) > limit else ""
    return element(
        "text", words(whole, limit) + title, x=pct(x), y=y, text_anchor=anchor, font_size=size, font_weight=weight,
        opacity="0.72" if faint else None, transform=rotate,
    )  # fmt: skip


def line(x1: float, y1: float, x2: float, y2: float, **attributes: str | float | None) -> str:
    """A straight line between places in percent along x and pixels along y."""
    return element("line", x1=pct(x1), y1=y1, x2=pct(x2), y2=y2, **attributes)


def dot(x: float, y: float, colour: str, *, filled: bool, size: float = 3.5, opacity: float | None = None) -> str:
    """A filled circle, or a hollow square: two things stay apart without colour."""
    if filled:
        return element("circle", cx=pct(x), cy=y, r=size, fill=colour, fill_opacity=opacity)
    side = 2 * size - 1
    return element(
        "rect", x=pct(x), y=y - side / 2, width=side, height=side, transform=f"translate(-{short(side / 2)} 0)",
        fill="none", stroke=colour, stroke_width=1.5, stroke_opacity=opacity,
    )  # fmt: skip


def drawing(height: float, body: str, *, title: str, alt: str) -> str:
    """The outermost element, with a name and a description for people who cannot see it."""
    return element(
        "svg", element("title", words(title or "Chart", 300)),
        element("desc", words(alt or title or "Chart", 1000)), body,
        xmlns="http://www.w3.org/2000/svg", role="img", width="100%", height=math.ceil(height), font_family=FONT,
        font_size=12, fill="currentColor",
    )  # fmt: skip


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from low to high, at most `most` of them."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return []
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 2.5, 5, 10, 20, 25, 50):
        first, last = math.ceil(low / (step * factor) - 1e-9), math.floor(high / (step * factor) + 1e-9)
        if last - first + 1 <= most:
            return [i * step * factor for i in range(first, last + 1)]
    return []


def tick_texts(values: Sequence[float], factor: float = 1.0) -> list[str]:
    """The ticks as text with the decimals that tell them apart."""
    scaled = [value * factor for value in values]
    step = min((b - a for a, b in zip(scaled, scaled[1:], strict=False)), default=abs(scaled[0]) if scaled else 1.0)
    if step <= 0 or not math.isfinite(step):
        return [f"{x:.4g}" for x in scaled]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    decimals += round(step * 10**decimals, 6) % 1 > 0
    return [f"{x:.{decimals}f}" if decimals <= 6 and abs(x) < 1e6 else f"{x:.3g}" for x in (x + 0.0 for x in scaled)]


def span(
    values: Sequence[float], *, low: float = -math.inf, high: float = math.inf, room: float = 0.08
) -> tuple[float, float]:
    """Limits that hold all finite values with some room, inside [low, high] where that leaves any."""
    known = np.asarray([v for v in values if math.isfinite(v)] or [0.0, 1.0], dtype=np.float64)
    bottom, top = float(known.min()), float(known.max())
    extra = room * (top - bottom) if top > bottom else max(abs(top), 1e-3) * 0.1
    return max(bottom - extra, min(low, bottom)), min(top + extra, max(high, top))
