"""A comparison in the terminal: one table of all questions, safe for any label, at most 100 columns wide."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from learnt.core.comparison import Answer, Comparison, Verdict
from learnt.report import sentences
from learnt.report.numbers import MISSING, scale_of, transfer_text
from learnt.report.text import neutral

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

WIDTH = 100
_STYLES: dict[Verdict, str] = {
    "transferred": "bold blue",
    "reversed": "bold magenta",
    "not detected": "",
    "not measurable": "dim",
    "no control": "dim",
}
_MARKS: dict[Verdict, str] = {
    "transferred": "+ transferred",
    "reversed": "- reversed",
    "not detected": "o not detected",
    "not measurable": "? not measurable",
    "no control": "no control",
}


def table(comparison: Comparison) -> Table:
    """All questions with value, control, transfer and verdict, as a rich table."""
    from rich import box
    from rich.table import Table

    c = comparison
    made = Table(
        title=_text(f"{sentences.title(c)}  ({c.data})", "bold", limit=WIDTH),
        caption=_text(f"Intervals cover {100 * c.confidence:.3g} %.{_legend(c)}", "dim", limit=300),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
        expand=False,
    )
    made.add_column(_text("question"), ratio=1, max_width=38, overflow="fold")
    made.add_column(_text(c.b.label, limit=24), justify="right", min_width=12, overflow="fold")
    if c.control is not None:
        made.add_column(_text(c.control.label, limit=24), justify="right", min_width=8, overflow="fold")
        made.add_column(_text("transfer"), justify="right", min_width=8, overflow="fold")
        made.add_column(_text("verdict"), no_wrap=True)
    for answer in c.answers:
        made.add_row(*_row(answer, c))
    return made


def _legend(comparison: Comparison) -> str:
    if comparison.control is None:
        return ""
    return f" Transfer: 0 % as {comparison.control.label}, 100 % as {comparison.a.label}."


def _row(answer: Answer, comparison: Comparison) -> list[Text]:
    scale = scale_of(answer)
    value = MISSING
    if answer.value.defined:
        value = f"{scale.text(answer.value.value)}\n{scale.interval(answer.value) or '(exact)'}"
    cells = [_text(str(sentences.asked(answer, comparison)), limit=200), _text(value)]
    if comparison.control is None:
        return cells
    control = answer.control
    moved = answer.transfer
    return [
        *cells,
        _text(scale.text(control.value) if control is not None and control.defined else MISSING),
        _text(transfer_text(moved).replace(" [", "\n[", 1)),
        _text(_MARKS[answer.verdict], _STYLES[answer.verdict]),
    ]


def _text(content: str, style: str = "", *, limit: int | None = None) -> Text:
    """A cell: never markup, never control characters; line breaks of our own are kept."""
    from rich.text import Text

    lines = content.split("\n") if limit is None else [content]
    return Text("\n".join(neutral(line, limit) for line in lines), style=style)


def to_text(comparison: Comparison) -> str:
    """The summary and the table as plain text, 100 columns wide at most, without colours; ends without a newline."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(
        file=buffer, width=WIDTH, color_system=None, force_terminal=False, force_jupyter=False, markup=False,
        emoji=False, highlight=False, legacy_windows=False, no_color=True, _environ={},
    )  # fmt: skip
    summary = sentences.summary(comparison)
    console.print(_text(str(sentences.title(comparison)), limit=300))
    console.print(_text(str(sentences.setting(comparison)), limit=500))
    console.print()
    console.print(_text(str(summary.lead), limit=1000))
    for finding in ((*summary.transferred, *summary.reversed) or (*summary.hinted, *summary.undetected)[:3])[:8]:
        console.print(_text(f"- {sentences.asked(finding.answer, comparison)} {finding.sentence}", limit=1000))
    shown = table(comparison)
    shown.title = None  # said above
    console.print(shown)
    reasons = {str(sentences.asked(f.answer, comparison)): sentences.reason(f.answer) for f in summary.unmeasured}
    for question, reason in (*reasons.items(), *summary.left_out):
        console.print(_text(f"Not measured: {question} ({reason})", limit=500))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).strip("\n")
