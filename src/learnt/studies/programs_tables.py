"""How is a table of the study shown? As aligned text and as markdown, from the same cells.

A cell is text; what a number looks like is decided here once: shares in per cent, cut and never rounded up to 100,
so that "100.00" always means every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, final

from learnt.core.statistics import wilson


@final
@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table.

    Attributes:
        title: what it shows.
        columns: heads.
        rows: cells, as many a row as there are columns.
        notes: sentences under it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Aligned plain text: the first column to the left, the others to the right."""
        widths = [max(len(row[i]) for row in (self.columns, *self.rows)) for i in range(len(self.columns))]

        def line(row: Sequence[str]) -> str:
            first, *rest = zip(row, widths, strict=True)
            cells = [first[0].ljust(first[1]), *[cell.rjust(width) for cell, width in rest]]
            return "  ".join(cells).rstrip()

        rule = "  ".join("-" * width for width in widths)
        return "\n".join([self.title, "", line(self.columns), rule, *map(line, self.rows), *self.notes])

    def markdown(self) -> str:
        """A markdown table under a heading."""
        lines = [f"### {self.title}", "", _row(self.columns), _row(["---"] * len(self.columns))]
        lines += [_row(row) for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines)


def per_cent(share: float | None, digits: int = 2) -> str:
    """A share in per cent, cut after `digits` digits; empty for None."""
    if share is None:
        return ""
    scale = 10**digits
    return f"{floor(100 * share * scale + 1e-9) / scale:.{digits}f}"


def number(value: Any) -> str:
    """A published number as it was printed; empty for None."""
    return "" if value is None else value if isinstance(value, str) else f"{value:g}"


def seconds(value: float) -> str:
    """A time: seconds, minutes or hours."""
    if value < 90:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 5400 else f"{value / 3600:.1f} h"


def spread(shares: Sequence[float]) -> str:
    """Median and range of shares, in per cent: "93.1 (88.0 to 99.9)"."""
    if not shares:
        return ""
    ranked = sorted(shares)
    middle = (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2
    return f"{per_cent(middle, 1)} ({per_cent(ranked[0], 1)} to {per_cent(ranked[-1], 1)})"


def rate(hits: int, of: int) -> str:
    """A success rate with Wilson's 95 % interval: "14 of 22, 63.6 % [43.0, 80.3]"."""
    low, high = wilson(hits, of)
    return f"{hits} of {of}, {100 * hits / of:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def fisher(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """Two-sided p-value of Fisher's exact test that two success rates are equal."""
    from scipy.stats import fisher_exact

    found: Any = fisher_exact([[hits, of - hits], [other_hits, other_of - other_hits]])
    return float(found[1])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
