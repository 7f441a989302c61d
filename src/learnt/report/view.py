"""What a page shows, ready to be laid out: text, sentences and finished drawings; the template decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from learnt.core.comparison import Answer, Comparison
from learnt.report import palette, sentences
from learnt.report._svg import element, line, pct
from learnt.report.numbers import MISSING, TRANSFER, scale_of
from learnt.report.sentences import Finding, Sentence, Summary, say
from learnt.report.view_card import MARKS, Question, question, written
from learnt.report.view_gallery import Gallery, galleries


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of the table of all questions."""

    question: Sentence
    target: str
    value: str
    interval: str
    control: str
    transfer: str
    span: str
    bar: Markup
    verdict: str
    mark: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One comparison of a report."""

    id: str
    title: Sentence
    label: Sentence
    setting: Sentence
    data: str
    a: str
    b: str
    control: str
    summary: Summary
    unmeasured: tuple[tuple[str, tuple[Finding, ...]], ...]
    targets: Mapping[str, str]
    asked: Mapping[str, Sentence]
    lines: tuple[Line, ...]
    questions: tuple[Question, ...]
    galleries: tuple[Gallery, ...]
    provenance: tuple[tuple[str, str], ...]


def section(comparison: Comparison, id: str, *, full: bool = True, sides: bool = False) -> Section:
    """What a page shows of one comparison; `id` makes its anchors unique; cards and gallery only if `full`.

    `sides`: say in headings who is compared, because the data alone does not tell this section from another.
    """
    groups: dict[str, list[Answer]] = {}
    for answer in comparison.answers:
        groups.setdefault(answer.group, []).append(answer)
    summary = sentences.summary(comparison)
    reasons: dict[str, list[Finding]] = {}
    for found in summary.unmeasured:
        reasons.setdefault(sentences.reason(found.answer), []).append(found)
    anchors = {group: f"{id}-q{i}" for i, group in enumerate(groups)}
    return Section(
        id=id,
        title=sentences.title(comparison),
        label=_label(comparison, sides=sides),
        setting=sentences.setting(comparison),
        data=comparison.data,
        a=comparison.a.label,
        b=comparison.b.label,
        control=comparison.control.label if comparison.control else "",
        summary=summary,
        unmeasured=tuple((reason, tuple(found)) for reason, found in reasons.items()),
        targets={x.name: anchors[x.group] for x in comparison.answers},
        asked={x.name: sentences.asked(x, comparison) for x in comparison.answers},
        lines=tuple(_line(x, comparison, anchors[x.group]) for x in comparison.answers),
        questions=tuple(question(xs, comparison, anchors[group]) for group, xs in groups.items() if full),
        galleries=tuple(galleries(comparison)) if full else (),
        provenance=tuple((key, written(value)) for key, value in sorted(comparison.provenance.items())),
    )


def _label(comparison: Comparison, *, sides: bool) -> Sentence:
    data = sentences.name(comparison.data)
    if not sides:
        return say(data)
    return say(sentences.name(comparison.b.label), " and ", sentences.name(comparison.a.label), " on ", data)


def _line(answer: Answer, comparison: Comparison, target: str) -> Line:
    scale, moved = scale_of(answer), answer.transfer
    control = answer.control
    value = answer.value
    return Line(
        question=sentences.asked(answer, comparison),
        target=target,
        value=scale.text(value.value) if value.defined else MISSING,
        interval="exact" if value.kind == "exact" else scale.interval(value),
        control=scale.text(control.value) if control is not None and control.defined else MISSING,
        transfer=TRANSFER.text(moved.value) if moved.defined else MISSING,
        span=TRANSFER.interval(moved),
        bar=Markup(transfer_bar(answer)),  # noqa: S704 (numbers only)
        verdict=answer.verdict,
        mark=MARKS[answer.verdict],
    )


def transfer_bar(answer: Answer, low: float = -0.25, high: float = 1.25) -> str:
    """The transfer of one answer as a small bar from -25 % to 125 %; arrows where its interval goes on."""
    moved = answer.transfer
    if not moved.defined:
        return ""

    def at(x: float) -> float:
        return 100 * (min(max(x, low), high) - low) / (high - low)

    ink = {"transferred": palette.B, "reversed": palette.CONTROL}.get(answer.verdict, palette.MUTED)
    parts = [
        line(0, 9, 100, 9, stroke="currentColor", opacity="0.16"),
        line(at(0), 2, at(0), 16, stroke="currentColor", opacity="0.5"),
        line(at(1), 2, at(1), 16, stroke="currentColor", opacity="0.5", stroke_dasharray="2 2"),
    ]
    if moved.high > moved.low:
        parts.append(line(at(moved.low), 9, at(moved.high), 9, stroke=ink.svg, stroke_width=6, stroke_opacity="0.35"))
    for beyond, x, path in ((moved.low < low, 0, "M5 5 0 9l5 4"), (moved.high > high, 100, "M-5 5 0 9l-5 4")):
        if beyond:
            arrow = element("path", d=path, fill="none", stroke=ink.svg, stroke_width=1.5)
            parts.append(element("svg", arrow, x=pct(x), overflow="visible"))
    if low <= moved.value <= high:
        fill = ink.svg if answer.verdict == "transferred" else "none"
        parts.append(element("circle", cx=pct(at(moved.value)), cy=9, r=4, fill=fill, stroke=ink.svg, stroke_width=1.8))
    return element("svg", *parts, width="100%", height=18, aria_hidden="true", focusable="false")
