"""Draw the formulas of the pages when the site is built: inline SVG by matplotlib, so that no page needs a script.

`pymdownx.arithmatex` marks formulas; here each becomes one path in the colour of the text, with its TeX source as the
description for people who cannot see it. A formula that matplotlib cannot draw stops the build.
"""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any

_MARKED = re.compile(r'<(span|div) class="arithmatex">\s*\\[(\[](.*?)\\[)\]]\s*</\1>', re.DOTALL)
_EM = 100  # units of a glyph outline for one em
_SIZES = re.compile(r"\\(?:big|Big|bigg|Bigg)[lr]?(?![a-zA-Z])")  # brackets of a set size: matplotlib has none
_BARE_FRACTION = re.compile(r"\\frac([0-9a-zA-Z])([0-9a-zA-Z])")


def on_page_content(content: str, **_: Any) -> str:
    """Called by mkdocs with the HTML of one page."""
    return _MARKED.sub(lambda found: draw(html.unescape(found[2]).strip(), display=found[1] == "div"), content)


@cache
def draw(tex: str, *, display: bool) -> str:
    """One formula as an SVG element, in a block of its own if `display`."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import TextToPath

    drawable = " ".join(_BARE_FRACTION.sub(r"\\frac{\1}{\2}", _SIZES.sub("", tex)).split())
    if display:
        drawable = drawable.replace(r"\frac", r"\dfrac")
    with mpl.rc_context({"mathtext.fontset": "stix"}):
        maker, font = TextToPath(), FontProperties(size=_EM)
        box = maker.mathtext_parser.parse(f"${drawable}$", 72, font)
        points, codes = maker.get_text_path(font, f"${drawable}$", ismath=True)
    outline = Path(points, codes)
    width, height, depth = box.width + 4, box.height + 4, box.depth + 2
    d = "".join(_command(int(code), at, height - depth) for at, code in outline.iter_segments(curves=True))
    label = html.escape(tex, quote=True)
    shown = (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="-2 -2 {width:.0f} {height:.0f}" '
        f'style="width:{width / _EM:.2f}em;height:{height / _EM:.2f}em;vertical-align:{-depth / _EM:.2f}em">'
        f'<path d="{d}"/></svg>'
    )
    return f'<div class="formula-block">{shown}</div>' if display else shown


def _command(code: int, points: Any, baseline: float) -> str:
    letter = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}[code]
    if letter == "Z":
        return "Z"
    xs, ys = points[0::2], points[1::2]
    return letter + " ".join(f"{x:.1f} {baseline - y:.1f}" for x, y in zip(xs, ys, strict=True))
