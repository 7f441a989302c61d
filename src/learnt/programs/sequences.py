"""On which inputs are programs compared? Token sequences, the positions that count, and whether they are all there are.

    learnt.compare(program_a, program_b, task, controls=[...])       a Task, a Domain, or a list of token lists
    learnt.compare(program_a, network, Sequences.of(task, most=2_000))

`Sequences` is to programs what `Examples` is to classifiers: `learnt.compare` resamples its inputs, and views programs,
functions from tokens to labels, and networks on it. Positions that a task does not score (the start mark, say) are not
compared. Where the inputs are a whole domain, nothing is sampled and numbers are exact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.programs._frozen import short
from learnt.programs.task import Task
from learnt.programs.task_domain import Domain
from learnt.programs.task_encoding import PAD, Tokens

if TYPE_CHECKING:
    from learnt.programs.answers import Answerer

MOST = 20_000  # inputs up to which `learnt.compare` takes a whole domain


@final
@dataclass(frozen=True, eq=False)
class Sequences:
    """Inputs that programs are compared on.

    Args:
        inputs: n sequences of tokens, start marks included.
        scored: for each input, whether each position counts; None: all do. Without meaning for things that give one
            label an input.
        name: shown in reports.
        vocab, labels: for networks that read ids and answer with ids; empty: those of the network itself.
        n_ctx: tokens to which inputs are padded for networks; None: the longest input.
        exhaustive: whether these are all the inputs there are, so that nothing is a sample.
        sampled: whether they were drawn at random.

    Raises:
        InputError: no input, an input that is no list of texts or is empty. ShapeError: `scored` of another shape.
    """

    inputs: Sequence[Sequence[str]]
    scored: Sequence[Sequence[bool]] | None = None
    name: str = "sequences"
    vocab: Tokens = ()
    labels: Tokens = ()
    n_ctx: int | None = None
    exhaustive: bool = False
    sampled: bool = False
    lengths: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = _rows(self.inputs)
        object.__setattr__(self, "inputs", rows)
        object.__setattr__(self, "lengths", np.fromiter(map(len, rows), np.int64, len(rows)))
        if self.scored is not None:
            try:
                marks = tuple(map(tuple, self.scored))
                if {type(mark) for mark in set().union(*marks)} - {bool}:
                    marks = tuple(tuple(map(bool, row)) for row in marks)
            except (TypeError, ValueError) as error:
                raise InputError("scored", found=short(self.scored), expected="True or False for each token") from error
            if tuple(map(len, marks)) != tuple(map(len, rows)):
                raise ShapeError(
                    "scored", found="other numbers of positions", expected="one mark a token of each input"
                )
            object.__setattr__(self, "scored", marks)

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        return f"Sequences({self.name!r}, {len(self):,} inputs of up to {self.longest} tokens)"

    @property
    def size(self) -> int:
        """Number of inputs: the units that are resampled; 0 where they are all there are."""
        return len(self.inputs)

    @property
    def longest(self) -> int:
        """Tokens of the longest input."""
        return int(self.lengths.max())

    @cached_property
    def counts(self) -> np.ndarray:
        """(n, longest) bool: positions that count; for an input of which none does, no position."""
        inside = np.arange(self.longest) < self.lengths[:, None]
        if self.scored is not None:
            inside[inside] = [mark for row in self.scored for mark in row]
        return inside

    @cached_property
    def keys(self) -> np.ndarray:
        """(n,) uint64 hashes of the inputs, so that their order changes nothing."""
        digests = [
            hashlib.blake2b("\x1f".join(f"{len(t)}:{t}" for t in row).encode("utf-8", "surrogatepass"), digest_size=8)
            for row in self.inputs
        ]
        return np.frombuffer(b"".join(d.digest() for d in digests), dtype=np.uint64)

    def take(self, rows: Sequence[int] | np.ndarray) -> Sequences:
        """Some of the inputs, which are then a part of them.

        Args:
            rows: of the inputs, in the order wanted.
        """
        index = [int(i) for i in rows]
        return replace(
            self,
            inputs=[self.inputs[i] for i in index],
            scored=None if self.scored is None else [self.scored[i] for i in index],
            exhaustive=False,
        )

    def subject(self, thing: Any, *, name: str, **_: Any) -> Answerer:
        """A program, a function from tokens to labels, or a network, seen on these inputs.

        Raises:
            InputError: anything else.
        """
        from learnt.programs.answers import Answerer

        return Answerer(thing, self, name=name)

    @staticmethod
    def of(data: Any, *, most: int = MOST, samples: int = 10_000, seed: int = 0, name: str | None = None) -> Sequences:
        """The inputs that a task, a domain or a list of token lists stands for.

        Args:
            data: a `Task`, whose oracle or examples say which positions count; a `Domain`; token lists; `Sequences`.
            most: the largest domain that is taken whole.
            samples, seed: how many inputs are drawn from a larger one, and from which stream.
            name: shown in reports; that of the task by default.

        Raises:
            InputError: data of another kind, or no input.
        """
        if isinstance(data, Sequences):
            return data
        if not isinstance(data, Task | Domain):
            return Sequences(data, name=name or "sequences")
        domain = data.domain() if isinstance(data, Task) else data
        if domain.size <= most:
            rows, whole, drawn = list(domain.walk()), domain.complete, False
        else:
            rows, whole, drawn = domain.sample(samples, seed=seed), False, True
        if isinstance(data, Domain):
            return Sequences(rows, name=name or "domain", exhaustive=whole, sampled=drawn)
        return Sequences(
            rows, scored=_scored(data, rows), name=name or data.name, vocab=data.vocab, labels=data.labels,
            n_ctx=data.max_length, exhaustive=whole, sampled=drawn,
        )  # fmt: skip


def as_sequences(data: Any) -> Sequences | None:
    """`Sequences.of` for what programs are compared on; None for any other data.

    Args:
        data: a `Task`, a `Domain`, `Sequences`, token lists, or anything else.
    """
    if isinstance(data, Sequences | Task | Domain):
        return Sequences.of(data)
    if isinstance(data, list | tuple) and data and all(_is_tokens(row) for row in data):
        return Sequences(data)
    return None


def _is_tokens(row: Any) -> bool:
    return isinstance(row, list | tuple) and len(row) > 0 and all(isinstance(token, str) for token in row)


def _rows(inputs: Any) -> tuple[Tokens, ...]:
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        raise InputError("inputs", found=short(inputs), expected="lists of tokens")
    listed = tuple(inputs)
    if _are_tokens(listed):  # a whole domain, or sequences once more
        return listed
    rows = []
    for i, row in enumerate(listed):
        if isinstance(row, str) or not isinstance(row, Iterable):
            raise InputError(f"inputs[{i}]", found=short(row), expected="a list of tokens")
        tokens = tuple(row)
        while tokens and tokens[-1] == PAD:
            tokens = tokens[:-1]
        if not tokens or not all(isinstance(token, str) for token in tokens):
            found = "an empty input" if not tokens else "a token that is no text"
            raise InputError(f"inputs[{i}]", found=found, expected="at least one token, each a text")
        rows.append(tokens)
    if not rows:
        raise InputError("inputs", found="no input", expected="at least one list of tokens")
    return tuple(rows)


def _are_tokens(rows: tuple[Any, ...]) -> bool:
    """Whether these are tuples of texts already, without padding; looks at each distinct token once."""
    if {*map(type, rows)} != {tuple} or not min(map(len, rows)):
        return False
    try:
        words = set().union(*rows)
    except TypeError:
        return False
    return {*map(type, words)} == {str} and PAD not in words


def _scored(task: Task, rows: Sequence[Tokens]) -> list[tuple[bool, ...]] | None:
    """Which positions have a right answer: those whose target is not `<pad>`."""
    if task.pool:
        return None
    if task.oracle is not None:
        targets: Iterable[Sequence[str]] = map(task.oracle, rows)
    else:
        known = dict(zip(task.inputs, task.targets, strict=True))
        targets = (known[tuple(row)] for row in rows)
    marks = []
    for row, target in zip(rows, targets, strict=True):
        short_by = len(row) - len(target)
        marks.append((*[label != PAD for label in target[: len(row)]], *[False] * short_by))
    return marks
