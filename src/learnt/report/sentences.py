"""What did B learn from A, in sentences: each finding with its numbers, from the data of a comparison alone.

A sentence is a tuple of parts, so that a renderer can set names and numbers apart and isolate text from users; `str` of
a sentence is plain text. Verbs are in the past tense, which needs no singular and plural of labels that we do not
know. Nothing is escaped here: that is the work of each renderer, for its own format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from learnt.core.comparison import Answer, Comparison
from learnt.core.panels import Chart
from learnt.report.numbers import TRANSFER, Scale, scale_of
from learnt.report.palette import YARDSTICKS
from learnt.report.text import counted

# A and B where they stand for the sides: inside a sentence always, at its start unless an article is possible.
_LETTERS = re.compile(
    r"((?<=[\w,;:)] )[AB]\b|(?<=\()[AB]\b|(?:^|(?<=\. ))(?:B\b|A\b(?! [a-z]))|\b[ab](?='s\b)|(?<=of )[ab](?=[;,.:]|$))"
)
_SIDES = re.compile(r"\b(A|B|control)\b")


@dataclass(frozen=True)
class Part:
    """A piece of a sentence: words, the name of a side or of data, or a number with its unit."""

    text: str
    kind: Literal["text", "name", "number"] = "text"


@dataclass(frozen=True)
class Sentence:
    """Parts in order; `str` joins them."""

    parts: tuple[Part, ...] = ()

    def __str__(self) -> str:
        return "".join(part.text for part in self.parts)

    def __add__(self, other: Sentence) -> Sentence:
        """This sentence followed by another one, with a space between."""
        if not self.parts or not other.parts:
            return self if self.parts else other
        return Sentence((*self.parts, Part(" "), *other.parts))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One group of answers (a question with its variants) as a line of the summary.

    Attributes:
        answer: the answer that stands for the group: the strongest of its verdict.
        sentence: what was found, with numbers.
        members: the answers of the group that share the verdict.
        asked: how many answers the group has in all.
    """

    answer: Answer
    sentence: Sentence
    members: tuple[Answer, ...]
    asked: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The first screen of a report: one lead, then the findings by verdict, strongest first.

    `hinted` are those not detected whose own interval leaves out 0: sure alone, not sure among so many questions.
    """

    lead: Sentence
    transferred: tuple[Finding, ...] = ()
    reversed: tuple[Finding, ...] = ()
    hinted: tuple[Finding, ...] = ()
    undetected: tuple[Finding, ...] = ()
    unmeasured: tuple[Finding, ...] = ()
    uncontrolled: tuple[Finding, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def name(text: str) -> Part:
    """The name of a side or of data: text from a user."""
    return Part(text, "name")


def number(text: str) -> Part:
    """A number with its unit, already written."""
    return Part(text, "number")


def say(*parts: str | Part) -> Sentence:
    """A sentence from words, names and numbers."""
    return Sentence(tuple(Part(p) if isinstance(p, str) else p for p in parts if p != ""))


def title(comparison: Comparison) -> Sentence:
    """The question that the whole comparison answers."""
    return say("What did ", name(comparison.b.label), " learn from ", name(comparison.a.label), "?")


def setting(comparison: Comparison) -> Sentence:
    """Who was compared, against whom, on what."""
    c = comparison
    parts: list[str | Part] = [_crowd(c.b.label, c.b.replicas), " compared with ", _crowd(c.a.label, c.a.replicas)]
    if c.control is not None:
        parts += [", against ", _crowd(c.control.label, c.control.replicas), " as control"]
    parts += [", on ", name(c.data)]
    if c.n:
        parts += [" (", counted(c.n, "example"), ")"]
    return say(*parts, f". Intervals cover {100 * c.confidence:.3g} %.")


def asked(answer: Answer, comparison: Comparison) -> Sentence:
    """The question, with the sides by their names where it says A and B."""
    return by_name(answer.question, comparison)


def by_name(text: str, comparison: Comparison) -> Sentence:
    """Text in which a lone A or B inside a sentence, "a's" and "b's" are the names of the sides."""
    names = {"a": comparison.a.label, "b": comparison.b.label}
    parts: list[str | Part] = []
    for i, piece in enumerate(_LETTERS.split(text)):
        parts.append(name(names[piece.lower()]) if i % 2 else piece)
    return say(*parts)


def picture_named(chart: Chart, comparison: Comparison) -> tuple[Chart, list[str]]:
    """A picture with the sides by name in all its texts, and the names of its series."""
    control = comparison.control.label if comparison.control else "control"

    def told(text: str) -> str:
        return re.sub(r"\b(the )?control\b", lambda _: control, str(by_name(text, comparison)))

    texts = {key: told(getattr(chart, key)) for key in ("x_label", "y_label", "alt")}
    x = chart.x
    if chart.kind == "bars" and len(x) and isinstance(x[0], str):
        x = sides_named([str(text) for text in x], comparison)
    named = replace(chart, x=x, **texts)
    return named, sides_named(list(chart.series), comparison)


def sides_named(texts: Sequence[str], comparison: Comparison) -> list[str]:
    """Labels of a picture with a, b, A, B and control by name, if all of them are about sides; else as they are.

    Classes may be called A and B too: a set of labels in which one is about no side stays as it is.
    """
    control = comparison.control.label if comparison.control else "control"
    names = {"a": comparison.a.label, "b": comparison.b.label, "control": control}
    about = [bool(_SIDES.search(text)) or text in names for text in texts]
    plain = [text.lower().startswith(YARDSTICKS) for text in texts]
    if not any(about) or not all(x or y for x, y in zip(about, plain, strict=True)):
        return list(texts)
    return [names[text] if text in names else _SIDES.sub(lambda m: names[m[1].lower()], text) for text in texts]


def _crowd(label: str, replicas: int) -> Part:
    return name(label if replicas == 1 else f"{label} ({replicas})")


def finding(answer: Answer, comparison: Comparison) -> Sentence:
    """The answer to one question: what was measured, then what that says about transfer."""
    numbers, verdict = measured(answer, comparison), conclusion(answer, comparison)
    if not verdict.parts:
        return Sentence((*numbers.parts, Part(".")))
    if answer.verdict in ("transferred", "reversed"):
        return Sentence((*numbers.parts, Part(": "), *verdict.parts, Part(".")))
    return Sentence((*numbers.parts, Part(". "), *verdict.parts, Part(".")))


def measured(answer: Answer, comparison: Comparison) -> Sentence:
    """The numbers of b and of the controls, or why there are none; without a full stop."""
    a, b = name(comparison.a.label), name(comparison.b.label)
    if not answer.value.defined:
        return say("No number exists here: ", _reason(answer.value.reason))
    scale = scale_of(answer)
    value = _with_interval(scale, answer)
    control = None if comparison.control is None or answer.control is None else name(comparison.control.label)
    other = number(scale.text(answer.control.value)) if answer.control is not None and answer.control.defined else None
    if answer.kind == "property":
        parts: list[str | Part] = ["This came to ", *value, " for ", b]
        if answer.reference.defined:
            between = ", " if control is not None and other is not None else " and "
            parts += [between, number(scale.text(answer.reference.value)), " for ", a]
        if control is not None and other is not None:
            parts += [" and ", other, " for ", control]
        return say(*parts)
    if answer.closer == "higher" and scale.phrase == " of examples":
        head: list[str | Part] = [b, " matched ", a, " on ", *value]
        tail: list[str | Part] = [", ", control, " on ", other] if control is not None and other is not None else []
    else:
        head = ["This came to ", *value, " for ", b, " with ", a]
        tail = [" and ", other, " for ", control] if control is not None and other is not None else []
    return say(*head, *tail, *_yardstick(answer, scale))


def _with_interval(scale: Scale, answer: Answer) -> list[str | Part]:
    span = scale.interval(answer.value)
    shown: list[str | Part] = [number(scale.text(answer.value.value)), scale.phrase]
    return [*shown, " " if span else "", number(span) if span else " (exact)" if answer.value.kind == "exact" else ""]


def _yardstick(answer: Answer, scale: Scale) -> list[str | Part]:
    """What the number would be for identical things, where a reader cannot guess it."""
    if not answer.reference.defined or (scale.suffix == " %" and answer.reference.value == 1):
        return []
    return [f" ({_trim(answer.reference.value)} would be identical)"]


def _trim(x: float) -> str:
    return f"{x:.4g}"


def conclusion(answer: Answer, comparison: Comparison) -> Sentence:
    """What the numbers say about transfer, by verdict, without a full stop; empty where there is nothing to say."""
    a, b = name(comparison.a.label), name(comparison.b.label)
    if answer.verdict == "no control" or comparison.control is None or not answer.value.defined:
        return say()
    control, moved = name(comparison.control.label), answer.transfer
    if answer.verdict == "not measurable" or not moved.defined:
        return say("How much of it came from ", a, " cannot be measured: ", _reason(moved.reason))
    span = TRANSFER.interval(moved)
    share: list[str | Part] = [number(TRANSFER.text(moved.value)), " " if span else "", number(span) if span else ""]
    if answer.verdict == "reversed":
        return say("further away, ", *share, " of the way from there to ", a)
    if answer.verdict == "transferred":
        if moved.value > 1:
            return say("beyond ", a, ", ", *share, " of the way from there to it")
        return say(*share, " of the way from there to ", a)
    if moved.kind == "exact":
        return say(b, " and ", control, " do not differ here")
    if hints(answer):
        return say(
            "No transfer is claimed: ", *share, " of the way from there to ", a,
            ", but among so many questions a difference of this size can arise by chance",
        )  # fmt: skip
    return say("A transfer did not appear at this scale: ", *share, " of the way from there to ", a)


def hints(answer: Answer) -> bool:
    """Whether an answer that was not detected has an interval of its own that leaves out "no transfer"."""
    moved = answer.transfer
    uncertain = moved.defined and moved.kind != "exact" and moved.low < moved.high
    return answer.verdict == "not detected" and uncertain and not moved.low <= 0 <= moved.high


def reason(answer: Answer) -> str:
    """Why the value, or else the transfer, of an answer does not exist; without a full stop."""
    return _reason(answer.value.reason if not answer.value.defined else answer.transfer.reason)


def _reason(text: str) -> str:
    return text.strip().rstrip(".") or "no reason was given"


def summary(comparison: Comparison) -> Summary:
    """The findings of a comparison by verdict; within a verdict by the lower end of the transfer interval."""
    groups: dict[str, list[Answer]] = {}
    for answer in comparison.answers:
        groups.setdefault(answer.group, []).append(answer)
    by_verdict = {verdict: _findings(groups, verdict, comparison) for verdict in (*_VERDICTS, "hinted")}
    return Summary(
        lead=lead(comparison),
        transferred=by_verdict["transferred"],
        reversed=by_verdict["reversed"],
        hinted=by_verdict["hinted"],
        undetected=by_verdict["not detected"],
        unmeasured=by_verdict["not measurable"],
        uncontrolled=by_verdict["no control"],
        left_out=comparison.left_out,
    )


_VERDICTS = ("transferred", "reversed", "not detected", "not measurable", "no control")


def _kind(answer: Answer) -> str:
    return "hinted" if hints(answer) else answer.verdict


def _findings(groups: dict[str, list[Answer]], verdict: str, comparison: Comparison) -> tuple[Finding, ...]:
    found = []
    for answers in groups.values():
        members = tuple(sorted((x for x in answers if _kind(x) == verdict), key=strength, reverse=True))
        if members:
            best = members[-1] if verdict == "reversed" else members[0]
            more = _more(len(members), len(answers), verdict)
            sentence = finding(best, comparison) + more
            found.append(Finding(answer=best, sentence=sentence, members=members, asked=len(answers)))
    if verdict in ("transferred", "reversed", "hinted"):
        found.sort(key=lambda f: strength(f.answer), reverse=verdict != "reversed")
    return tuple(found)


def _more(members: int, asked: int, verdict: str) -> Sentence:
    if asked == 1 or verdict not in ("transferred", "reversed"):
        return say()
    return say(f"The verdict is the same in {members} of {asked} variants of this question.")


def strength(answer: Answer) -> tuple[float, float]:
    """How surely an answer shows a transfer: the lower end of its interval (at most 1), then the value."""
    moved = answer.transfer
    return (min(moved.low, 1.0), min(moved.value, 1.0)) if moved.defined else (float("-inf"), float("-inf"))


def lead(comparison: Comparison) -> Sentence:
    """One paragraph: how many questions show a transfer, and what became of the others."""
    a, b = name(comparison.a.label), name(comparison.b.label)
    answers = comparison.answers
    total = len(answers)
    if comparison.control is None:
        return say(
            "No independently made control was given. The ", "answer" if total == 1 else f"{total} answers",
            " below say how alike ", b, " and ", a, " are, not what was learnt from ", a, ".",
        )  # fmt: skip
    count = {kind: sum(_kind(x) == kind for x in answers) for kind in (*_VERDICTS, "hinted")}
    control = name(comparison.control.label)
    got = count["transferred"]
    if got:
        first = say(
            b, " came closer to ", a, " than ", control, " did on ", number(f"{got} of {counted(total, 'question')}"),
            ", by more than chance explains.",
        )  # fmt: skip
    else:
        first = say(
            "On none of ", number(counted(total, "question")), " did ", b, " come closer to ", a, " than ", control,
            " by more than chance explains.",
        )  # fmt: skip
    rest = []
    if count["hinted"]:
        rest.append(f"on {count['hinted']} more it may have, but so many questions call for stronger evidence")
    if count["not detected"]:
        rest.append(f"on {count['not detected']} a transfer did not appear at this scale")
    if count["reversed"]:
        rest.append(f"on {count['reversed']} the move was away from it")
    if count["not measurable"]:
        rest.append(f"on {count['not measurable']} it cannot be measured")
    if not rest:
        return first
    text = "; ".join(rest)
    return first + say(text[0].upper() + text[1:] + ".")
