"""The Dyck tasks: after each bracket, is the string so far balanced (T), extendable to balanced (P), or broken (F)?

    dyck1   <s> ( ) ) (   ->  P T F F          dyck2: round and curly brackets

Friedman, Wettig, Chen (2023), arXiv 2306.01128; the generator is that of the authors' code (spec 2.1):
with probability 1/2 uniform brackets, otherwise N // 2 pairs, each appended to or wrapped around what is there, filled
up with uniform brackets or cut to N - 1. What the code calls `max_depth` is that number of pairs. The model may look
back only. dyck1 has 32,768 inputs and can be checked on all of them, dyck2 has 4^15 and cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from learnt.core.errors import InputError
from learnt.programs.task import Task
from learnt.programs.task_domain import words_over
from learnt.programs.task_encoding import PAD, START, Tokens
from learnt.programs.tasks_sequences import SIZE, generated_task

BRACKETS = (("(", ")"), ("{", "}"))


def dyck_answer(tokens: Sequence[str]) -> Tokens:
    """The target for `<s>` and brackets: P, T or F at each bracket.

    Args:
        tokens: `<s>` and brackets.
    """
    closes = {right: left for left, right in BRACKETS}
    stack: list[str] = []
    answer = []
    broken = False
    for token in tokens[1:]:
        if not broken and token in closes:
            broken = not stack or stack.pop() != closes[token]
        elif not broken:
            stack.append(token)
        answer.append("F" if broken else "P" if stack else "T")
    return (PAD, *answer)


def dyck1(max_length: int = 16, *, min_length: int | None = None, size: int = SIZE, unique: bool = True) -> Task:
    """Is a string of N - 1 round brackets balanced, extendable or broken, prefix by prefix?

    Args:
        max_length: N, with `<s>`.
        min_length: fewest pairs of a balanced string, times two; by default N.
        size: distinct examples.
        unique: keep the first of equal inputs only.

    Raises:
        InputError: N below 3, a `min_length` above N.
    """
    return _dyck(1, max_length, min_length, size, unique)


def dyck2(max_length: int = 16, *, min_length: int | None = None, size: int = SIZE, unique: bool = True) -> Task:
    """The same with two kinds of brackets, which must match.

    Args:
        max_length: N, with `<s>`.
        min_length: fewest pairs of a balanced string, times two; by default N.
        size: distinct examples.
        unique: keep the first of equal inputs only.

    Raises:
        InputError: N below 3, a `min_length` above N.
    """
    return _dyck(2, max_length, min_length, size, unique)


def _dyck(kinds: int, n: int, min_length: int | None, size: int, unique: bool) -> Task:
    fewest = n if min_length is None else min_length
    if n < 3 or not 0 <= fewest <= n:
        raise InputError("max_length", found=f"{n}, with min_length {fewest}", expected="at least 3 and min_length")
    kept = BRACKETS[:kinds]
    letters = [bracket for pair in kept for bracket in pair]

    def stream(random: np.random.RandomState) -> Iterator[Tokens]:
        while True:
            if not random.randint(2):
                missing, body = n - 1, []
            else:
                body = _balanced(random, kept, fewest // 2, n // 2)[: n - 1]
                missing = n - 1 - len(body)
            if missing:
                body += [letters[i] for i in random.randint(0, len(letters), size=missing).tolist()]
            yield (START, *body)

    return generated_task(
        f"dyck{kinds}", dyck_answer, stream, tokens=[*letters, START], labels=["F", "P", "T"], max_length=n,
        size=size, unique=unique, causal=True, walk=words_over(letters, n - 1, n - 1, before=(START,)),
        total=len(letters) ** (n - 1),
    )  # fmt: skip


def _balanced(random: np.random.RandomState, kinds: Sequence[tuple[str, str]], fewest: int, most: int) -> list[str]:
    """`fewest` to `most` pairs, each behind the string so far or around it."""
    body: list[str] = []
    for _ in range(random.randint(fewest, most + 1)):
        left, right = kinds[random.randint(0, len(kinds))]
        body = [left, *body, right] if random.randint(0, 2) else [*body, left, right]
    return body
