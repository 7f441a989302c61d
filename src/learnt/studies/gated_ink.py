"""How do the figures of the study of gated networks look? The same line for the same thing in all of them.

    simulation   coloured, wide and pale, or dots         prediction   dark, dashed, on top
    control      vermillion, dotted                        single seeds  grey and thin

Colours are those of `learnt.report.palette`; colour is never the only carrier.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.report.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from learnt.studies.gated_plan import Mean

INK = "#222222"
HUES = (BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, GREY)
PREDICTED: dict[str, Any] = {"color": INK, "linestyle": (0, (4, 2.2)), "linewidth": 1.3, "zorder": 5}
CONTROL: dict[str, Any] = {"color": VERMILLION, "linestyle": (0, (1, 1.6)), "linewidth": 1.8, "zorder": 4}
SEED: dict[str, Any] = {"color": GREY, "linewidth": 0.7, "alpha": 0.75, "zorder": 2}


def simulated(hue: str) -> dict[str, Any]:
    """The look of a simulation in one colour."""
    return {"color": hue, "linewidth": 4.5, "alpha": 0.45, "solid_capstyle": "round", "zorder": 3}


def panels(count: int, *, width: float = 4.3, height: float = 3.7) -> tuple[Any, list[Any]]:
    """A new figure with so many axes beside each other."""
    from learnt.io.figures import figure

    made = figure(width * count, height)
    row = [made.add_subplot(1, count, k + 1) for k in range(count)]
    for axes in row:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return made, row


def named(axes: Any, title: str, x: str, y: str) -> None:
    """Title to the left, and names of the axes with their units."""
    axes.set_title(title, loc="left", fontsize="medium")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def legend(axes: Any, where: str = "best", **more: Any) -> None:
    """A small legend without a frame."""
    axes.legend(loc=where, frameon=False, fontsize="small", **more)


def bars(axes: Any, x: Any, means: list[Mean], hue: str, label: str | None, **more: Any) -> None:
    """Means with their intervals; joined unless `linestyle` says otherwise."""
    middle = np.array([m.mean for m in means])
    ends = np.array([[m.mean - m.low for m in means], [m.high - m.mean for m in means]])
    look = {"marker": "o", "markersize": 4.5, "linewidth": 1.4, "capsize": 2.5, "elinewidth": 1.0, "zorder": 4} | more
    axes.errorbar(x, middle, ends, color=hue, label=label, **look)


def dots(axes: Any, x: Any, y: Any, hue: str, **more: Any) -> None:
    """One dot for each seed."""
    axes.scatter(x, y, **({"s": 11, "color": hue, "alpha": 0.45, "linewidths": 0, "zorder": 2} | more))
