"""How well does a program do a task? Share of right positions, share of right sequences, F1 of exact entities.

    token accuracy      right scored positions / scored positions                            [spec 2.1]
    sequence accuracy   sequences without a wrong scored position / sequences with one
    span F1             2 P R / (P + R) over entities (sentence, type, first, last), micro average   [spec 2.2]

An entity in strict IOB2 is a B-x with all I-x that follow at once; an I-x after anything else belongs to none. This is
what `seqeval` calls mode "strict" with scheme IOB2, with which the published numbers were computed; nothing predicted
gives precision 0, nothing to find gives recall 0, as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from learnt.core.errors import NotApplicable, ShapeError
from learnt.programs.task_encoding import UNSCORED

Span = tuple[str, int, int]  # type, first and last position


class SpanScore(NamedTuple):
    """Precision, recall and F1 of entities, and the counts behind them."""

    precision: float
    recall: float
    f1: float
    right: int
    predicted: int
    true: int


def token_accuracy(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Share of scored positions that are right.

    Args:
        predicted: (n, N) label ids.
        targets: (n, N) label ids, -1 where nothing is scored.

    Raises:
        ShapeError: of different shapes. NotApplicable: nothing is scored.
    """
    right, scored = _compared(predicted, targets)
    return float(right.sum() / scored.sum())


def sequence_accuracy(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Share of sequences with every scored position right; those with nothing to score do not count.

    Arguments and errors as `token_accuracy`.
    """
    right, scored = _compared(predicted, targets)
    return float((right == scored).all(1)[scored.any(1)].mean())


def wrong_sequences(predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Rows with a wrong scored position, ascending; arguments and errors as `token_accuracy`."""
    right, scored = _compared(predicted, targets)
    return np.flatnonzero((right != scored).any(1))


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of one sentence in strict IOB2.

    Args:
        tags: O, B-x or I-x, one a word.

    Returns (kind, first word, last word) of each.
    """
    found: list[Span] = []
    for i, tag in enumerate(tags):
        if tag[:2] == "B-":
            found.append((tag[2:], i, i))
        elif tag[:2] == "I-" and found and found[-1][0] == tag[2:] and found[-1][2] == i - 1:
            found[-1] = (tag[2:], found[-1][1], i)
    return found


def span_f1(predicted: Iterable[Sequence[str]], targets: Iterable[Sequence[str]]) -> SpanScore:
    """Precision, recall and F1 of exact entities over all sentences.

    Args:
        predicted, targets: one tag a word for each sentence, both without the positions that are not scored.

    Raises:
        ShapeError: different numbers of sentences or of words in one.
    """
    right = guessed = true = 0
    guesses, answers = list(predicted), list(targets)
    if len(guesses) != len(answers):
        raise ShapeError("predicted", found=f"{len(guesses)} sentences", expected=f"{len(answers)}, as the targets")
    for row, (guess, answer) in enumerate(zip(guesses, answers, strict=True)):
        if len(guess) != len(answer):
            raise ShapeError(f"predicted[{row}]", found=f"{len(guess)} tags", expected=f"{len(answer)}, one a word")
        ours, theirs = set(spans(guess)), set(spans(answer))
        right, guessed, true = right + len(ours & theirs), guessed + len(ours), true + len(theirs)
    precision = right / guessed if guessed else 0.0
    recall = right / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return SpanScore(precision, recall, f1, right, guessed, true)


def span_f1_of_ids(predicted: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> SpanScore:
    """`span_f1` of (n, N) label ids; positions that are not scored (-1 in the targets) are left out.

    Args:
        predicted, targets: (n, N) label ids.
        labels: the tags that they number.

    Raises:
        ShapeError: of different shapes. NotApplicable: nothing is scored.
    """
    _, scored = _compared(predicted, targets)
    names = np.asarray(labels, dtype=object)
    rows = [
        (names[p[keep]].tolist(), names[t[keep]].tolist())
        for p, t, keep in zip(predicted, targets, scored, strict=True)
    ]
    return span_f1([guess for guess, _ in rows], [answer for _, answer in rows])


def _compared(predicted: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if predicted.shape != targets.shape or predicted.ndim != 2:
        raise ShapeError(
            "predicted", found=f"shape {predicted.shape}", expected=f"(n, N), as the targets {targets.shape}"
        )
    scored = targets != UNSCORED
    if not scored.any():
        raise NotApplicable("targets", found="no scored position", expected="at least one label")
    return scored & (predicted == targets), scored
