"""One self-contained page: pictures, tables, the numbers as JSON. It runs nothing and asks for nothing.

Text from users passes two gates: characters that act are replaced, then HTML is escaped. The page has no script; its
style is allowed by its hash, pictures are data inside the page, and its policy forbids everything else. Equal numbers
give equal text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from learnt.core.version import VERSION
from learnt.io.figures import png_uri, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CSS = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
figure{margin:1.5rem 0}
img{max-width:100%;background:#fff;border-radius:4px}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}
td,th{padding:.2rem .6rem;border-bottom:1px solid #8886;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}
pre{overflow-x:auto;font-size:.85rem;line-height:1.4}
.note{border-left:4px solid #D55E00;padding:.2rem .8rem}
footer{margin-top:3rem;font-size:.85rem;opacity:.7}
"""


class Figure(NamedTuple):
    """A picture and what is to be seen in it."""

    drawn: Axes | Any
    alt: str


class Table(NamedTuple):
    """A table with a caption; the head may be empty."""

    caption: str
    rows: Sequence[Sequence[Any]]
    head: Sequence[Any] = ()


def page(
    title: str,
    notes: Sequence[str],
    figures: Sequence[Figure],
    tables: Sequence[Table],
    data: Mapping[str, Any],
    *,
    text: str = "",
) -> str:
    """The text of the page; `text` is shown line by line as it is, below the figures."""
    digest = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = [f"<h1>{_text(title)}</h1>"]
    body += [f'<p class="note">{_text(note)}</p>' for note in notes]
    for picture in figures:
        alt = _text(picture.alt)
        image = f'<img alt="{alt}" src="{png_uri(picture.drawn)}">'
        body.append(f"<figure>{image}<figcaption>{alt}</figcaption></figure>")
    if text:
        body.append(f"<pre>{chr(10).join(_text(line) for line in text.splitlines())}</pre>")
    body += [_table(table) for table in tables]
    embedded = json.dumps(data, allow_nan=False, sort_keys=True)
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        embedded = embedded.replace(character, escape)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><style>{_CSS}</style></head>\n<body>'
        + "\n".join(body)
        + f'\n<footer>learnt {VERSION}</footer>\n<script type="application/json" id="learnt-data">{embedded}</script>'
        + "</body></html>\n"
    )


def _text(value: Any) -> str:
    return html.escape(shown(value, 400))


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(x)}</th>" for x in table.head)
    rows = "".join("<tr>" + "".join(f"<td>{_text(x)}</td>" for x in row) + "</tr>" for row in table.rows)
    caption = f"<h2>{_text(table.caption)}</h2>" if table.caption else ""
    return f"{caption}<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{rows}</tbody></table>"
