"""What should a program compute? A task: inputs, right answers, the split, and the space of all inputs.

A task is a function from token sequences to one label a position (or one a sequence), known by examples, by an oracle,
or both. Your own, in ten lines::

    from learnt.programs.tasks import Task

    def answer(tokens):                          # without <s>; one label a token
        return ["even" if tokens[: i + 1].count("x") % 2 == 0 else "odd" for i in range(len(tokens))]

    task = Task.from_oracle(answer, alphabet=["x", "o"], longest=9, causal=True, name="parity")
    task = Task.from_pairs(inputs, targets)      # or from examples alone

Labels may be declared; otherwise they are those of all examples, so that one that training never shows still counts
as an error in the test (the reference drops such positions from the accuracy).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs.task_domain import ENUMERABLE, Domain, large, number_of_words, words_over
from learnt.programs.task_encoding import PAD, START, Tokens, encode_inputs, encode_targets, unknown
from learnt.programs.task_split import Pairs, Split, shuffled
from learnt.run.seeds import derive


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """A function to be learnt from examples.

    Attributes:
        name: shown in reports.
        vocab: tokens; `<pad>` first; with `<unk>`, unknown tokens are read as that.
        labels: possible answers, `<pad>` not among them.
        max_length: N, tokens of the longest input, start and end marks included.
        parts: seed -> the split; what `split` calls.
        oracle: input -> target, both as in `Pairs`; None if only examples are known.
        space: all inputs; None if only examples are known.
        causal: whether a program for it may look back only.
        pool: whether there is one label a sequence; it stands at position 0 of the target.
        metric: ``"tokens"``, or ``"spans"`` for tagging by entities (see `learnt.programs.task_metrics`).
    """

    name: str
    vocab: Tokens
    labels: Tokens
    max_length: int
    parts: Callable[[int], Split]
    oracle: Callable[[Sequence[str]], Tokens] | None = None
    space: Domain | None = None
    causal: bool = False
    pool: bool = False
    metric: str = "tokens"

    def __post_init__(self) -> None:
        for what, names in (("vocab", self.vocab), ("labels", self.labels)):
            if len(set(names)) != len(names) or not names:
                raise InputError(what, found="none" if not names else "a name twice", expected="different names")
        if self.vocab[0] != PAD or PAD in self.labels:
            raise InputError("vocab", found=f"{self.vocab[0]!r} first", expected=f"{PAD!r} first, and not a label")
        if self.max_length < 1:
            raise InputError("max_length", found=str(self.max_length), expected="at least 1")
        if self.metric not in ("tokens", "spans"):
            raise InputError("metric", found=repr(self.metric), expected='"tokens" or "spans"')

    def __repr__(self) -> str:
        known = "" if self.space is None or not self.space.complete else f", {large(self.space.size)} inputs"
        return f"Task({self.name!r}, {len(self.vocab)} tokens, {len(self.labels)} labels, N {self.max_length}{known})"

    @cached_property
    def _drawn(self) -> Split:
        return self.parts(0)

    def split(self, seed: int = 0) -> Split:
        """Training, validation and test pairs; generated tasks draw new examples for each seed, as the reference.

        Args:
            seed: of the draws and of the split; a corpus has one split only.
        """
        return self._drawn if seed == 0 else self.parts(seed)

    @property
    def inputs(self) -> tuple[Tokens, ...]:
        """All inputs of the split with seed 0: training, validation, test."""
        drawn = self._drawn
        return drawn.train.inputs + drawn.validation.inputs + drawn.test.inputs

    @property
    def targets(self) -> tuple[Tokens, ...]:
        """The targets of `inputs`."""
        drawn = self._drawn
        return drawn.train.targets + drawn.validation.targets + drawn.test.targets

    def domain(self) -> Domain:
        """The space of inputs; for a task known by examples only, the examples (`complete` is then False)."""
        if self.space is not None:
            return self.space
        known = tuple(sorted(dict.fromkeys(self.inputs), key=lambda tokens: (len(tokens), tokens)))

        def draw(count: int, seed: int) -> list[Tokens]:
            chosen = np.random.RandomState(derive(seed, "domain", self.name) % 2**32).randint(len(known), size=count)
            return [known[i] for i in chosen]

        return Domain(size=len(known), walk=lambda: iter(known), draw=draw, complete=False)

    def answer(self, inputs: Sequence[Sequence[str]]) -> Pairs:
        """The inputs with the oracle's targets.

        Args:
            inputs: lists of tokens, marks included.

        Raises:
            NotApplicable: the task has no oracle.
        """
        if self.oracle is None:
            raise NotApplicable(
                "task", found=f"{self.name!r}, known by examples only", expected="a task with an oracle"
            )
        return Pairs(
            inputs=tuple(tuple(tokens) for tokens in inputs), targets=tuple(self.oracle(tokens) for tokens in inputs)
        )

    def encode(self, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """(n, N) token ids, 0 behind the end, and (n, N) label ids, -1 where nothing is scored; both int64.

        Args:
            pairs: inputs and targets of this task, N tokens at most.

        Raises:
            InputError: a token or label that the task does not know. ShapeError: an empty or too long input.
        """
        return (
            encode_inputs(pairs.inputs, self.vocab, self.max_length),
            encode_targets(pairs.targets, self.labels, self.max_length),
        )

    @classmethod
    def from_pairs(
        cls,
        inputs: Sequence[Sequence[str]],
        targets: Sequence[Sequence[str]] | Sequence[str],
        *,
        name: str = "custom",
        labels: Sequence[str] | None = None,
        vocab: Sequence[str] | None = None,
        max_length: int | None = None,
        oracle: Callable[[Sequence[str]], Sequence[str]] | None = None,
        causal: bool = False,
        pool: bool = False,
        start: bool = True,
    ) -> Task:
        """A task known by examples.

        Args:
            inputs: n sequences of tokens.
            targets: for each input one label a token (`<pad>`: not scored); with `pool`, one label an input.
            name: shown in reports.
            labels: all possible labels; by default those of the targets, sorted.
            vocab: all tokens, `<pad>` first; by default those of the inputs, sorted.
            max_length: N; by default the longest input.
            oracle: input (with `<s>`) -> target, if there is one.
            causal, pool: as the attributes.
            start: put `<s>`, which is not scored, before inputs that do not begin with it.

        Raises:
            InputError: fewer than three distinct inputs, a label outside `labels`, a token outside `vocab`.
            ShapeError: numbers of inputs, tokens and labels that do not fit, an input without tokens.
        """
        pairs = _pairs(inputs, targets, pool=pool, start=start)
        if len(set(pairs.inputs)) < 3:
            raise InputError(
                "inputs", found=f"{len(set(pairs.inputs))} distinct", expected="at least 3, one a part of the split"
            )
        seen = sorted({label for target in pairs.targets for label in target} - {PAD})
        if not seen:
            raise InputError("targets", found="no label to score", expected="at least one that is not <pad>")
        given = tuple(seen if labels is None else labels)
        for label in seen:
            if label not in given:
                raise unknown("targets", label, given, what="label")
        tokens = sorted({token for source in pairs.inputs for token in source} - {PAD})
        known = (PAD, *tokens) if vocab is None else tuple(vocab)
        task = cls(
            name=name, vocab=known, labels=given, causal=causal, pool=pool,
            max_length=max(map(len, pairs.inputs)) if max_length is None else max_length,
            parts=lambda seed: shuffled(pairs, seed),
            oracle=None if oracle is None else (lambda source: tuple(oracle(source))),
        )  # fmt: skip
        task.encode(pairs)
        return task

    @classmethod
    def from_oracle(
        cls,
        answer: Callable[[Tokens], Sequence[str]],
        *,
        alphabet: Sequence[str],
        longest: int,
        shortest: int = 1,
        name: str = "custom",
        labels: Sequence[str] | None = None,
        size: int = 20_000,
        causal: bool = False,
    ) -> Task:
        """A task whose right answers are computed, over all words of an alphabet.

        Args:
            answer: the tokens without `<s>` -> one label a token (`<pad>`: not scored).
            alphabet: the tokens.
            longest, shortest: bounds on the number of tokens, `<s>` not counted; lengths are drawn uniformly.
            name: shown in reports.
            labels: all possible labels; by default those of all words, if there are at most two million.
            size: number of distinct examples (fewer if five times as many draws do not give them).
            causal: as the attribute.

        Raises:
            InputError: an empty alphabet, bounds that cross, too many words to find the labels.
            ShapeError: an answer of another length.
        """
        from learnt.programs.tasks_sequences import word_task

        def oracle(tokens: Sequence[str]) -> Tokens:
            return (PAD, *answer(tuple(tokens)[1:]))

        letters = tuple(dict.fromkeys(alphabet))
        if not letters or not 1 <= shortest <= longest:
            raise InputError(
                "longest",
                found=f"{shortest} to {longest} of {len(letters)} tokens",
                expected="1 <= shortest <= longest",
            )
        if labels is None and number_of_words(len(letters), shortest, longest) > ENUMERABLE:
            raise InputError(
                "labels", found=f"none, and more than {ENUMERABLE:,} words to search", expected="all possible labels"
            )
        if labels is None:
            words = words_over(letters, shortest, longest, before=(START,))
            labels = sorted({label for word in words() for label in oracle(word)} - {PAD})
        return word_task(
            name, oracle, letters=letters, labels=tuple(labels), shortest=shortest, longest=longest,
            size=size, causal=causal,
        )  # fmt: skip


def _pairs(inputs: Sequence[Sequence[str]], targets: Sequence[Any], *, pool: bool, start: bool) -> Pairs:
    if len(inputs) != len(targets):
        raise ShapeError("targets", found=f"{len(targets)}", expected=f"{len(inputs)}, one an input")
    sources, answers = [], []
    for row, (source, target) in enumerate(zip(inputs, targets, strict=True)):
        if isinstance(source, str):
            raise InputError(f"inputs[{row}]", found="text", expected="a sequence of tokens", remedy="Split it first.")
        if isinstance(target, str) and not pool:
            raise InputError(f"targets[{row}]", found="one label", expected="one a token", remedy="Or set pool=True.")
        tokens = tuple(str(token) for token in source)
        if not tokens:
            raise ShapeError(f"inputs[{row}]", found="no tokens", expected="at least one")
        marked = start and tokens[0] != START
        tokens = (START, *tokens) if marked else tokens
        if pool:
            one = target if isinstance(target, str) else str(target)
            answers.append((one, *[PAD] * (len(tokens) - 1)))
        else:
            answers.append(((PAD,) if marked else ()) + tuple(str(label) for label in target))
        sources.append(tokens)
    return Pairs(inputs=tuple(sources), targets=tuple(answers))
