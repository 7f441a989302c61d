"""One card of a report: a question with its variants, what was found, its pictures, numbers, method and sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from learnt.core.comparison import Answer, Comparison
from learnt.report import sentences
from learnt.report.charts import svg_panels
from learnt.report.numbers import MISSING, difference_scale, probability, scale_of, transfer_text
from learnt.report.sentences import Sentence, say
from learnt.report.strip import strip

MARKS = {"transferred": "●", "reversed": "◀", "not detected": "○", "not measurable": "–", "no control": "–"}


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """All numbers of one answer, by name."""

    title: Sentence
    cells: tuple[tuple[str, str], ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the numbers."""
        return tuple(key for key, _ in self.cells)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A reference; the address is empty unless the identifier is an arXiv number or a DOI."""

    cite: str
    where: str
    identifier: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """The picture that a measure asked for: its panels by name, and what is to be seen."""

    title: str
    panels: tuple[tuple[str, Markup], ...]
    caption: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """One card: a question with all its variants."""

    target: str
    heading: Sentence
    family: str
    findings: tuple[tuple[Sentence, str, str, Sentence], ...]  # (variant, verdict, mark, what was found)
    strip: Markup
    exhibits: tuple[Exhibit, ...]
    numbers: tuple[Numbers, ...]
    columns: tuple[str, ...]  # names of the numbers if there are several answers and all have the same; else empty
    how: tuple[str, ...]
    caveats: tuple[str, ...]
    costs: tuple[str, ...]
    notes: tuple[str, ...]
    sources: tuple[Source, ...]
    params: tuple[tuple[str, str], ...]


def question(answers: list[Answer], comparison: Comparison, target: str) -> Question:
    """The card of one group of answers; `target` is its anchor on the page."""
    first = answers[0]
    heading, variants = headings(
        [str(sentences.asked(x, comparison)) for x in answers], [x.name for x in answers], first.group
    )
    several = len(answers) > 1
    one = (
        sentences.asked(first, comparison)
        if not several or heading == str(sentences.asked(first, comparison))
        else say(heading)
    )
    drawn = [
        (x, v) for x, v in zip(answers, variants, strict=True) if x.value.defined or (x.control and x.control.defined)
    ]
    above = [v for _, v in drawn] if several else []
    exhibits = []
    numbers = tuple(_numbers(x, v, comparison) for x, v in zip(answers, variants, strict=True))
    for answer, variant in zip(answers, variants, strict=True):
        if answer.chart is not None and answer.chart.series:
            named, _ = sentences.picture_named(answer.chart, comparison)
            panels = tuple((label, Markup(svg)) for label, svg in svg_panels(answer, comparison))  # noqa: S704 (ours)
            exhibits.append(Exhibit(title=variant if several else "", panels=panels, caption=named.alt))
    return Question(
        target=target,
        heading=one,
        family=first.family,
        findings=tuple(
            (say(variant if several else ""), x.verdict, MARKS[x.verdict], sentences.finding(x, comparison))
            for x, variant in zip(answers, variants, strict=True)
        ),
        strip=Markup(strip([x for x, _ in drawn], comparison, titles=above)) if drawn else Markup(""),  # noqa: S704
        exhibits=tuple(exhibits),
        numbers=numbers,
        columns=numbers[0].keys if several and len({n.keys for n in numbers}) == 1 else (),
        how=_once(x.how for x in answers),
        caveats=_once(x.caveat for x in answers),
        costs=_once(x.cost for x in answers),
        notes=_once(
            f"{variant}: {note}" if several and not _shared(note, answers) else note
            for x, variant in zip(answers, variants, strict=True) for note in x.notes
        ),
        sources=tuple(_source(r) for r in dict.fromkeys(r for x in answers for r in x.references)),
        params=_params(answers),
    )  # fmt: skip


def headings(questions: list[str], names: list[str], group: str) -> tuple[str, list[str]]:
    """A heading for variants of one question, and what sets each apart: the words that they do not share."""
    if len(questions) == 1 or len(set(questions)) == 1:
        return questions[0], [_inner(name) for name in names]
    words = [q.split() for q in questions]
    least = min(len(w) for w in words)
    start = next((i for i in range(least) if len({w[i] for w in words}) > 1), least)
    stop = next((i for i in range(least - start) if len({w[-1 - i] for w in words}) > 1), least - start)
    middles = [" ".join(w[start : len(w) - stop]) for w in words]
    if start + stop < 4 or len(set(middles)) < len(middles):
        return group.replace("_", " ").capitalize(), questions
    if not all(middles):  # one variant is the question itself
        return " ".join(words[0][:start] + words[0][len(words[0]) - stop :]), [m or "plain" for m in middles]
    gap = [] if stop == 0 and words[0][start - 1].endswith("?") else ["…" if stop else "…?"]
    tail = words[0][len(words[0]) - stop :]
    return " ".join([*words[0][:start], *gap, *tail]), [m.strip("(),").rstrip("?") for m in middles]


def _inner(name: str) -> str:
    """What is in the brackets of a name such as ``cka[layer 2]``; else the name."""
    match = re.search(r"[\[(](.+)[\])]$", name, re.DOTALL)
    return match[1] if match else name


def _shared(note: str, answers: list[Answer]) -> bool:
    return all(note in x.notes for x in answers)


def _once(texts: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _numbers(answer: Answer, variant: str, comparison: Comparison) -> Numbers:
    scale, apart = scale_of(answer), difference_scale(answer)
    cells = [(comparison.b.label, scale.full(answer.value))]
    if answer.kind == "property":
        cells.insert(0, (comparison.a.label, scale.full(answer.reference)))
    if comparison.control is not None:
        cells.append((comparison.control.label, scale.full(answer.control)))
    if answer.gap is not None:
        cells.append((f"{comparison.b.label} minus {comparison.a.label}", apart.full(answer.gap, signed=True)))
    if answer.difference is not None and comparison.control is not None:
        cells.append(
            (f"{comparison.b.label} minus {comparison.control.label}", apart.full(answer.difference, signed=True))
        )
        cells.append(("Transfer", transfer_text(answer.transfer)))
    if answer.p is not None:
        cells.append(("p, corrected for all questions", probability(answer.p_adjusted)))
        cells.append(("p, alone", probability(answer.p)))
    if answer.seeds_p is not None:
        smallest = f" (smallest possible {probability(answer.seeds_p_smallest)})"
        cells.append(("p, over seeds only", probability(answer.seeds_p) + smallest))
    if answer.value.n:
        cells.append(("Examples", f"{answer.value.n:,}"))
    cells.append(("Unit", answer.unit or "none"))
    return Numbers(title=say(variant), cells=tuple(cells))


def _source(reference: tuple[str, str, str]) -> Source:
    cite, identifier, where = reference
    bare = re.sub(r"(?i)^(arxiv|doi)[:\s]*", "", identifier.strip())
    address = ""
    if re.fullmatch(r"\d{4}\.\d{4,5}(v\d+)?|[a-z-]{2,12}(\.[A-Z]{2})?/\d{7}", bare, re.ASCII):
        address = f"https://arxiv.org/abs/{bare}"
    elif re.fullmatch(r"10\.\d{4,9}/[A-Za-z0-9._;()/:-]{1,120}", bare, re.ASCII):
        address = f"https://doi.org/{bare}"
    return Source(cite=cite, where=where, identifier=identifier, address=address)


def _params(answers: list[Answer]) -> tuple[tuple[str, str], ...]:
    variants = [_inner(x.name) for x in answers]
    made: dict[str, str] = {}
    for key in sorted({k for x in answers for k in x.params}):
        texts = [written(x.params[key]) if key in x.params else MISSING for x in answers]
        same = len(set(texts)) == 1
        made[key] = texts[0] if same else "; ".join(f"{v}: {t}" for v, t in zip(variants, texts, strict=True))
    return tuple(made.items())


def written(value: object) -> str:
    """A setting as text: lists and tables flat, numbers short."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {written(v)}" for k, v in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return ", ".join(written(v) for v in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)
