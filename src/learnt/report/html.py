"""One self-contained HTML page: it opens offline, runs nothing, asks nothing of any network, and is also a data file.

Everything shown passes through two gates: characters that act are replaced (`text.neutral`), then Jinja escapes for
HTML. The page has no script; its style sheet is allowed by its hash, images are data inside the page, and the
content security policy forbids everything else. The results are embedded as JSON with <, > and & escaped.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html.parser
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from learnt.core.comparison import Comparison
from learnt.core.errors import InputError
from learnt.core.version import VERSION
from learnt.report.sentences import Sentence, say
from learnt.report.text import neutral
from learnt.report.view import Section, section

SCHEMA = "learnt.report/1"
DATA_ID = "learnt-data"
_MOST = 2000  # questions: some 15 MB, which browsers still scroll
_LIMIT = 256 << 20  # bytes of a report that `read` accepts
_FRAGMENT_ROWS, _FRAGMENT_TEXT = 60, 160


def write(comparisons: Sequence[Comparison], path: str | Path, *, title: str | None = None) -> Path:
    """Write one HTML file about one or several comparisons, atomically; return its path.

    Args:
        comparisons: at least one; each becomes a section.
        path: the file; replaced only when the new one is complete.
        title: heading of the page; by default the question that it answers.

    Raises:
        InputError: no comparison, or more questions than a page can hold. StorageError: the file cannot be written.
    """
    from learnt.io.atomic import write_text

    return write_text(Path(path), page(comparisons, title=title))


def page(comparisons: Sequence[Comparison], *, title: str | None = None) -> str:
    """The text of the HTML file; equal comparisons give equal text."""
    if not comparisons:
        raise InputError("comparisons", found="none", expected="at least one")
    asked = sum(len(comparison.answers) for comparison in comparisons)
    if asked > _MOST:
        raise InputError(
            "comparisons",
            found=f"{asked:,} questions",
            expected=f"at most {_MOST:,} in one page",
            remedy="Choose with measures=, write several pages, or keep all numbers with to_json().",
        )
    sides = len({comparison.data for comparison in comparisons}) < len(comparisons)
    sections = [section(comparison, f"c{i}", sides=sides) for i, comparison in enumerate(comparisons)]
    heading = _heading(sections) if title is None else say(title)
    css = _css()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return _environment().get_template("report.html.j2").render(
        title=str(heading),
        heading=heading,
        sections=sections,
        css=Markup(css),  # noqa: S704 (our own file)
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        data_id=DATA_ID,
        data=embedded({"schema": SCHEMA, "title": str(heading), "comparisons": [c.to_dict() for c in comparisons]}),
        version=VERSION,
    )  # fmt: skip


def fragment(comparison: Comparison) -> str:
    """The summary and the table as HTML for a notebook: static, without script and pictures, below 200 kB."""
    short = section(_trimmed(comparison), "n", full=False)
    return _environment().get_template("fragment.html.j2").render(
        section=short, most=_FRAGMENT_ROWS, css=Markup(_css())  # noqa: S704 (our own file)
    )  # fmt: skip


def read(path: str | Path) -> list[Comparison]:
    """The comparisons embedded in a report that `write` made.

    Raises:
        InputError: the file is not such a report. StorageError: it cannot be read.
    """
    from learnt.io.atomic import read_text, show
    from learnt.io.strict import parse_json

    finder = _Finder()
    finder.feed(read_text(path, max_bytes=_LIMIT))
    if not finder.found:
        raise InputError(show(path), found="no embedded results", expected="a report written by learnt")
    data = parse_json("".join(finder.found).encode(), name=show(path))
    found = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
    if not isinstance(data, Mapping) or found != SCHEMA or not isinstance(data.get("comparisons"), list):
        raise InputError(show(path), found=f"schema {found!r}", expected=f"schema {SCHEMA!r}")
    return [Comparison.from_dict(item) for item in data["comparisons"]]


class _Finder(html.parser.HTMLParser):
    """Collects the text of the script element that holds the data."""

    def __init__(self) -> None:
        html.parser.HTMLParser.__init__(self)
        self.found: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notice the start of the data."""
        self.inside = tag == "script" and ("id", DATA_ID) in attrs

    def handle_endtag(self, tag: str) -> None:
        """Notice its end."""
        self.inside = False

    def handle_data(self, data: str) -> None:
        """Keep what is inside."""
        if self.inside:
            self.found.append(data)


def embedded(data: Any) -> Markup:
    """JSON that can stand inside a script element: only ASCII, no <, > or &."""
    text = json.dumps(data, allow_nan=False, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (escaped above)


def _heading(sections: Sequence[Section]) -> Sentence:
    first = sections[0]
    if all((s.a, s.b) == (first.a, first.b) for s in sections):
        return first.title
    return say("What was learnt from what?")


def _trimmed(comparison: Comparison) -> Comparison:
    """The comparison without what a notebook does not show, its texts cut to a length that keeps the page small."""

    def cut(text: str) -> str:
        return neutral(text, _FRAGMENT_TEXT)

    answers = tuple(
        replace(
            x, question=cut(x.question), chart=None, replicas={}, how="", caveat="", cost="", notes=(), references=(),
            params={}, details={}, value=replace(x.value, reason=cut(x.value.reason)), unit=cut(x.unit),
            transfer=replace(x.transfer, reason=cut(x.transfer.reason)),
        )
        for x in comparison.answers
    )  # fmt: skip
    sides = [
        None if s is None else replace(s, label=cut(s.label)) for s in (comparison.a, comparison.b, comparison.control)
    ]
    a, b, control = sides
    return replace(
        comparison, a=a or comparison.a, b=b or comparison.b, control=control, data=cut(comparison.data),
        answers=answers, gallery=(), provenance={},
        left_out=tuple((cut(q), cut(r)) for q, r in comparison.left_out[:20]),
    )  # fmt: skip


@functools.cache
def _css() -> str:
    from importlib.resources import files

    text = files("learnt.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)).strip()


@functools.cache
def _environment() -> Any:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("learnt.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    made.filters["numeric"] = _numeric
    return made


def _numeric(text: object) -> str:
    """A number with its interval: a true minus sign, no line break before a unit or inside brackets."""
    shown = neutral(text).replace("-", "\N{MINUS SIGN}").replace(" %", "\N{NO-BREAK SPACE}%")
    return re.sub(r"\[[^\]]*\]", lambda m: m[0].replace(" ", "\N{NO-BREAK SPACE}"), shown)


def _shown(value: object) -> object:
    """Every value on its way to the page: text loses the characters that act; what is already HTML stays."""
    return value if isinstance(value, Markup) or not isinstance(value, (str, Sentence)) else neutral(value)
