"""The gallery of a report: examples worth looking at, with what each side answers and where it looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from learnt.core.comparison import Comparison
from learnt.core.gallery import Card
from learnt.report import pictures, sentences
from learnt.report.sentences import Sentence, say

_KINDS = ("disagree", "follows_mistake", "shared_mistake")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One example of the gallery."""

    number: int
    label: str
    image: str
    values: str
    looks: tuple[tuple[str, str], ...]
    says: tuple[tuple[str, str, str], ...]  # (side, its answer, probability)
    agree: tuple[tuple[str, str], ...]
    alt: str


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Examples of one kind."""

    heading: Sentence
    explained: Sentence
    pictures: tuple[Picture, ...]


def galleries(comparison: Comparison) -> list[Gallery]:
    """The gallery of a comparison, one part a kind of example, the known kinds first."""
    kinds = [*_KINDS, *dict.fromkeys(x.kind for x in comparison.gallery if x.kind not in _KINDS)]
    control = comparison.control.label if comparison.control else ""
    order = [comparison.a.label, comparison.b.label, control]
    made = []
    for kind in kinds:
        cards = [x for x in comparison.gallery if x.kind == kind]
        if cards:
            heading, explained = _gallery_words(kind, comparison)
            made.append(
                Gallery(heading=heading, explained=explained, pictures=tuple(_picture(x, order) for x in cards))
            )
    return made


def _gallery_words(kind: str, comparison: Comparison) -> tuple[Sentence, Sentence]:
    a, b = sentences.name(comparison.a.label), sentences.name(comparison.b.label)
    control = sentences.name(comparison.control.label) if comparison.control else None
    if kind == "disagree":
        return say("Where ", b, " and ", a, " disagree"), say(
            "Examples on which the fewest of ", b, " answer as ", a, " does."
        )
    if kind == "follows_mistake":
        unlike = ["; most of ", control, " do not"] if control else []
        return say("Mistakes that were passed on"), say(
            "Here ", a, " is wrong, and ", b, " repeat its answer", *unlike, "."
        )
    if kind == "shared_mistake":
        return say("Mistakes that all make"), say("All give the same wrong answer: the example itself misleads.")
    return say(kind), say()


def _ordered(sides: Iterable[str], order: Sequence[str]) -> list[str]:
    """A, b, control, then the rest by name: the order does not depend on how the comparison was stored."""
    return sorted(sides, key=lambda side: (order.index(side) if side in order else len(order), side))


def _look(card: Card, side: str) -> str:
    """Where a side looks, as an image; empty where nothing speaks for the answer."""
    weights = card.looks[side]
    return pictures.look_uri(card.image, weights) if weights.max(initial=0.0) > 0 else ""


def _picture(card: Card, order: Sequence[str]) -> Picture:
    says = tuple(
        (side, answer, f"{100 * p:.0f} %")
        for side in _ordered(card.answers, order)
        for answer, p in [card.answers[side]]
    )
    told = "; ".join(f"{side} answers {answer}" for side, answer, _ in says)
    return Picture(
        number=card.index,
        label=card.label,
        image="" if card.image is None else pictures.data_uri(card.image),
        values=card.values,
        looks=tuple((side, _look(card, side)) for side in _ordered(card.looks, order)),
        says=says,
        agree=tuple(
            (side, f"{100 * share:.0f} %") for side in _ordered(card.agree, order) for share in [card.agree[side]]
        ),
        alt=f"Example {card.index}{', ' + card.label if card.label else ''}: {told}",
    )
