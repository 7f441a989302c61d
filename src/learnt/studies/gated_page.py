"""All figures of a study on one page: one HTML file that opens offline, runs nothing and asks nothing of anyone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from learnt.studies.gated_plan import Claim
from learnt.studies.programs_tables import Sheet

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;max-width:1180px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2.6rem}h3{font-size:1rem;margin:1.4rem 0 .3rem}
img{width:100%;height:auto}p{max-width:60rem}code{font-size:.85rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
td,th{text-align:right;padding:.2rem .7rem;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}
td.no{color:#a33a00;font-weight:600}
"""


def page(title: str, about: Sequence[str], figures: Sequence[tuple[str, str, bytes, Sequence[Sheet]]]) -> str:
    """The text of the page.

    Args:
        title: its heading.
        about: paragraphs under it.
        figures: title, caption, SVG and tables of each.
    """
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode("utf-8")).digest()).decode("ascii")
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'sha256-{digest}'\">",
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *[f"<p>{escape(text)}</p>" for text in about],
    ]
    for name, caption, svg, sheets in figures:
        picture = base64.b64encode(svg).decode("ascii")
        lines += [
            f"<h2>{escape(name)}</h2>",
            f'<img alt="{escape(caption)}" src="data:image/svg+xml;base64,{picture}">',
            f"<p>{escape(caption)}</p>",
            *[_table(sheet) for sheet in sheets],
        ]
    return "\n".join([*lines, "</body></html>", ""])


def claims_sheet(title: str, claims: Sequence[Claim]) -> Sheet:
    """The statements of a figure as a table."""
    return Sheet(
        title=title,
        columns=("statement", "check", "expected", "here", "holds"),
        rows=tuple((c.statement, c.check, c.expected, c.found, "yes" if c.holds else "NO") for c in claims),
    )


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in sheet.columns)
    rows = "".join(
        "<tr>"
        + "".join(f'<td class="no">{escape(c)}</td>' if c == "NO" else f"<td>{escape(c)}</td>" for c in row)
        + "</tr>"
        for row in sheet.rows
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in sheet.notes)
    return f'<h3>{escape(sheet.title)}</h3><div class="wide"><table><tr>{head}</tr>{rows}</table></div>{notes}'
