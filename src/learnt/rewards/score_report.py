"""Results about reward models as rows: plain data for a command line, a table or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from learnt.core.errors import InputError
from learnt.core.estimate import Estimate
from learnt.io.reading import printable
from learnt.rewards.best_of_n import BestOfN, shown_numbers, worst_prompts
from learnt.rewards.responses import ResponseDistances
from learnt.rewards.score_forms import Witness

Result = ResponseDistances | BestOfN


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table as data: texts that are safe to print.

    Attributes:
        title: above it.
        header: names of the columns.
        rows: cells, as many as names.
        notes: sentences below it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def report_rows(result: Result, *, shown: int = 5) -> tuple[Rows, ...]:
    """The tables of a result; `shown` bounds the places where models differ most."""
    if isinstance(result, ResponseDistances):
        return _of_distances(result, shown)
    if isinstance(result, BestOfN):
        return _of_best_of_n(result, shown)
    raise InputError("result", found=type(result).__name__, expected="ResponseDistances or BestOfN")


def report_lines(*results: Result, shown: int = 5) -> list[str]:
    """Lines of plain text with aligned columns."""
    lines: list[str] = []
    for table in (t for result in results for t in report_rows(result, shown=shown)):
        cells = [table.header, *table.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.header))]
        lines += [*([""] if lines else []), table.title]
        lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in cells]
        lines += [f"note: {note}" for note in table.notes]
    return lines


def report_tables(*results: Result, shown: int = 5) -> list[Any]:
    """The same as `rich` tables."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = []
    for table in (t for result in results for t in report_rows(result, shown=shown)):
        caption = Text("\n".join(table.notes)) if table.notes else None
        out = Table(
            title=Text(table.title), caption=caption, box=box.SIMPLE, title_justify="left", caption_justify="left",
            min_width=min(len(table.title), 78),
        )  # fmt: skip
        for i, name in enumerate(table.header):
            out.add_column(
                Text(name), justify="left" if i == 0 else "right", no_wrap="[" in "".join(r[i] for r in table.rows)
            )
        for row in table.rows:
            out.add_row(*map(Text, row))
        made.append(out)
    return made


def _of_distances(result: ResponseDistances, shown: int) -> tuple[Rows, ...]:
    partial = any(pair.length_partial is not None for pair in result.pairs)
    header = ("models", "distance", f"{100 * result.level:g} %", "cosine", "angle", "|c1 - c2|")
    rows = [
        (
            f"{_safe(p.a)}, {_safe(p.b)}", f"{p.distance.value:.4f}", _ends(p.distance), f"{p.cosine.value:.4f}",
            f"{p.angle.value:.1f}°", f"{p.unnormalised.value:.4g}",
            *((_number(p.length_partial),) if partial else ()),
        )
        for p in result.pairs
    ]  # fmt: skip
    notes = tuple(map(_safe_note, result.notes))
    counts = f"{result.n_prompts} prompts, {result.n_responses} responses"
    title = f"Would both reward models prefer the same responses? {counts}"
    tables = [
        Rows(
            title=title,
            header=(*header, *(("no length",) if partial else ())),
            rows=tuple(rows),
            notes=notes,
        )
    ]
    length = ("cosine with length",) if result.length_cosine else ()
    tables.append(
        Rows(
            title="Size within prompts", header=("model", "n(c)", *length),
            rows=tuple(
                (_safe(name), f"{size:.4g}", *((f"{result.length_cosine[name]:.3f}",) if length else ()))
                for name, size in result.norms.items()
            ),
        )
    )  # fmt: skip
    for pair in result.pairs if shown else ():
        if pair.responses:
            tables.append(_witnesses(_safe(pair.a), _safe(pair.b), pair.responses[:shown]))
    return tuple(tables)


def _witnesses(a: str, b: str, found: Sequence[Witness]) -> Rows:
    rows = tuple(
        (_safe(w.prompt), _safe(w.response), f"{w.a:+.2f}", f"{w.b:+.2f}", f"{100 * w.share:.1f} %") for w in found
    )
    header = ("prompt", "response", f"by {a}", f"by {b}", "share of distance²")
    return Rows(title=f"Where {a} and {b} differ most (standardised scores)", header=header, rows=rows)


def _of_best_of_n(result: BestOfN, shown: int) -> tuple[Rows, ...]:
    true, proxy = _safe(result.true), _safe(result.proxy)
    header = (
        "N", f"by {true}", f"by {proxy}", "regret", f"{100 * result.regret[0].level:g} %",
        "sigma", "at most", "prompts",
    )  # fmt: skip
    rows = tuple(
        (
            str(int(result.n[j])), f"{result.by_true[j]:.4g}", f"{result.by_proxy[j]:.4g}",
            _number(result.regret[j], ".4g"), _ends(result.regret[j]),
            _number(result.relative[j]), f"{result.certificate[j]:.3f}",
            str(int(result.n_prompts[j])),
        )
        for j in shown_numbers(result.n)
    )  # fmt: skip
    notes = [_safe_note(note) for note in result.notes]
    if result.peak < result.n[-1]:
        notes.append(f"picking by {proxy} has its highest true score at N = {result.peak} and falls beyond")
    tables = [
        Rows(title=f"What is lost by picking the best of N by {proxy}?", header=header, rows=rows, notes=tuple(notes))
    ]
    worst = worst_prompts(result.picks, len(result.n) - 1, shown) if shown else []
    if worst:
        title = f"Prompts that lose most at N = {int(result.n[-1])}"
        tables.append(
            Rows(title=title, header=("prompt", "regret"), rows=tuple((_safe(p), f"{x:.4g}") for p, x in worst))
        )
    return tuple(tables)


def _ends(e: Estimate) -> str:
    return f"[{e.low:.3g}, {e.high:.3g}]" if e.defined else ""


def _number(e: Estimate | None, form: str = ".3f") -> str:
    return "" if e is None else format(e.value, form) if e.defined else "undefined"


def _safe(text: str) -> str:
    return printable(text, 40)


def _safe_note(text: str) -> str:
    return printable(text, 400)
