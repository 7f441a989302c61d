"""Parts of hand-written programs: the frame of a task, counting heads, votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from learnt.programs.program import Head, Layer, Program
from learnt.programs.task import Task
from learnt.programs.task_encoding import START


def made(task: Task, layers: Sequence[Layer], votes: Mapping[str, Any], **cardinalities: int) -> Program:
    """A program for a task: its vocabulary, labels, length and direction.

    Args:
        task: to be solved.
        layers: the modules.
        votes: the classifier.
        cardinalities: of MLP outputs.
    """
    sizes = {"tokens": len(task.vocab), "positions": task.max_length}
    return Program(
        vocab=task.vocab,
        labels=task.labels,
        k=max(sizes.values()),
        n_ctx=task.max_length,
        layers=layers,
        classifier=votes,
        causal=task.causal,
        cardinalities=sizes | cardinalities,
        meta={"task": task.name, "written": "by hand"},
    )


def counter(name: str, query: str, key: str, predicate: Sequence[int]) -> Head:
    """A numerical head that counts the positions where `key` has the value looked for."""
    return Head(query=query, key=key, value="ones", predicate=predicate, name=name)


def same_token(task: Task) -> list[int]:
    """The predicate that looks for the own token; `<s>` looks for `<pad>`, which no position holds."""
    return [0 if token == START else i for i, token in enumerate(task.vocab)]


def one_hot(answers: Sequence[str], labels: Sequence[str]) -> list[list[float]]:
    """Votes: value v for the label answers[v]; no vote where that is no label."""
    return [[1.0 if label == answer else 0.0 for label in labels] for answer in answers]


def parabola(values: Sequence[int]) -> tuple[list[float], list[float]]:
    """(slope, offset) of the scores y x - y^2 / 2, whose largest over integers y is at y = x."""
    return [float(y) for y in values], [-y * y / 2 for y in values]
