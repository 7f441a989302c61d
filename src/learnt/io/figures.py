"""Pictures without windows: figures, how they are written, and text that is safe to draw.

Matplotlib is used through its objects: no pyplot, no change of backend, no figure that stays open. Names from users are
made printable here and drawn with parse_math=False, so that they are never read as mathematics.
"""

from __future__ import annotations

import base64
import io
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learnt.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def shown(text: object, limit: int = 24) -> str:
    """One line of text without characters that act or that cannot be drawn; long text ends with an ellipsis."""
    clean = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in str(text))
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def axes(width: float = 6.4, height: float = 3.6) -> Axes:
    """Axes of a new figure without a window."""
    return figure(width, height).add_subplot()


def figure(width: float, height: float) -> Any:
    """A new figure without a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def titled(ax: Axes, text: str, width: int = 60) -> None:
    """Put a title above axes, in lines of at most `width` characters."""
    from textwrap import wrap

    lines = [part for line in text.split("\n") for part in wrap(shown(line, 200), width)]
    ax.set_title("\n".join(lines), parse_math=False, loc="left", fontsize="medium")


def save(made: Any, path: str | Path) -> Path:
    """Write a figure as .png, .svg or .pdf, atomically and without dates, so that equal pictures are equal bytes.

    Raises:
        InputError: another suffix.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from learnt.io.atomic import write_bytes

    suffix, buffer, before = Path(path).suffix.lower(), io.BytesIO(), made.canvas
    try:
        with rc_context({"svg.hashsalt": "learnt"}):
            if suffix == ".png":
                before.print_png(buffer, metadata={"Software": None})
            elif suffix == ".svg":
                FigureCanvasSVG(made).print_svg(buffer, metadata={"Date": None})
            elif suffix == ".pdf":
                FigureCanvasPdf(made).print_pdf(buffer, metadata={"CreationDate": None})
            else:
                raise InputError("path", found=str(path), expected="a name that ends in .png, .svg or .pdf")
    finally:
        made.set_canvas(before)  # a canvas for vectors takes the place of the figure's own
    return write_bytes(path, buffer.getvalue())


def png_uri(drawn: Any) -> str:
    """A data URI of a figure, or of the figure that axes belong to, without dates or versions."""
    made = getattr(drawn, "figure", None) or drawn
    buffer = io.BytesIO()
    made.canvas.print_png(buffer, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
