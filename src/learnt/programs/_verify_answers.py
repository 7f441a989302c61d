"""What do two things answer to the same inputs, as arrays of label ids that can be compared?

Inputs are kept as they were given, because a model may know words that the program reads as `<unk>`. Ids of labels
run over the program's labels first, then over those that only the other side uses.
"""
# ruff: noqa: F722, F821  (shapes are no forward references)

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs._frozen import short
from learnt.programs._inputs import Inputs, asked, tokens_of
from learnt.programs.evaluator import Batch, encode, evaluate
from learnt.programs.program import PAD, Program
from learnt.programs.task import Task
from learnt.programs.task_domain import Domain
from learnt.programs.task_encoding import UNSCORED, Tokens

PIECE = 16_384  # inputs evaluated at once: bounds the memory for logits
Kind = Literal["exhaustive", "sampled", "given"]
Scored = Task | Callable[[Tokens], Sequence[bool]]


@runtime_checkable
class PredictsIds(Protocol):
    """A batched model: ids of a program's tokens in, ids of its labels out."""

    def predict_ids(self, ids: np.ndarray, lengths: np.ndarray) -> Any:
        """(B, N) ids, 0 behind the end, and (B,) lengths -> (B, N) ids of labels; (B,) if the program pools."""
        ...


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Given:
    """Inputs, as ids and as tokens.

    Attributes:
        program: whose ids they are.
        batch: the ids.
        listed: the tokens as they were given, without padding; None if ids were given.
        kind: all inputs of a domain, a random sample of it, or a list that stands for itself.
    """

    program: Program
    batch: Batch
    listed: Sequence[Tokens] | None
    kind: Kind

    def __len__(self) -> int:
        return len(self.batch)

    @cached_property
    def rows(self) -> Sequence[Tokens]:
        """The tokens of each input."""
        if self.listed is not None:
            return self.listed
        return [tokens_of(self.program, self.batch, i) for i in range(len(self))]

    @cached_property
    def real(self) -> np.ndarray:
        """(B, N) bool: positions inside an input."""
        return np.arange(self.batch.ids.shape[1]) < self.batch.lengths[:, None]


def given(program: Program, inputs: Inputs, *, most: int, samples: int, seed: int, unknown: str = "auto") -> Given:
    """The inputs that `inputs` stands for; arguments and errors as `learnt.programs._inputs.asked`."""
    if isinstance(inputs, Batch):
        return Given(program=program, batch=inputs, listed=None, kind="given")
    if isinstance(inputs, Task):
        inputs = inputs.domain()
    kind: Kind = "given"
    if isinstance(inputs, Domain):
        rows, whole = inputs.cover(most, samples=samples, seed=seed)
        kind = "exhaustive" if whole else "sampled"
    else:
        rows = inputs if isinstance(inputs, str) or not isinstance(inputs, Iterable) else list(inputs)
    batch = asked(program, rows, unknown=unknown).batch
    listed = [tuple(row)[:n] for row, n in zip(rows, batch.lengths.tolist(), strict=True)]
    return Given(program=program, batch=batch, listed=listed, kind=kind)


def pieces(batch: Batch, size: int = PIECE) -> Iterator[tuple[slice, Batch]]:
    """The batch, some inputs at a time."""
    for start in range(0, len(batch), size):
        rows = slice(start, start + size)
        yield rows, Batch(ids=batch.ids[rows], lengths=batch.lengths[rows])


def predictions(program: Program, batch: Batch) -> Int[np.ndarray, "b n"]:
    """Ids of labels, -1 behind the end; one column if the program pools. Errors as `evaluate`."""
    found = np.concatenate([evaluate(program, part).predictions for _, part in pieces(batch)])
    return found[:, None] if program.pool else found


def answers(model: Any, asked_for: Given, names: list[str], *, unknown: str = "auto") -> Int[np.ndarray, "b n"]:
    """What a model answers, as `predictions`.

    Args:
        model: a `Program`, something with `predict_ids`, a network, or a function from a tuple of tokens to labels.
        asked_for: the inputs.
        names: labels by id, the program's first; new ones are added at the end.
        unknown: what a program as model does with tokens outside its vocabulary.

    Raises:
        InputError: no such model; labels that are no text; ids that are not those of labels.
        ShapeError: not one label a token (one an input if the program pools).
    """
    program = asked_for.program
    if isinstance(model, Program):
        return _of_program(model, asked_for, names, unknown)
    if isinstance(model, PredictsIds) and not _numbers_otherwise(model, program):
        return _of_ids(model, asked_for)
    if isinstance(model, PredictsIds) or (hasattr(model, "forward") and hasattr(model, "parameters")):
        return _of_network(model, asked_for, names)
    if not callable(model):
        raise InputError(
            "model",
            found=f"a {type(model).__name__}",
            expected="a Program, a function from a tuple of tokens to labels, a network, or something with predict_ids",
        )
    index = {name: i for i, name in enumerate(names)}
    width = 1 if program.pool else asked_for.batch.ids.shape[1]
    out = np.full((len(asked_for), width), UNSCORED)
    for row, tokens in enumerate(asked_for.rows):
        labels = model(tokens)
        if isinstance(labels, str) and program.pool:
            labels = (labels,)
        if isinstance(labels, str) or not isinstance(labels, Iterable):
            raise InputError(
                f"model(inputs[{row}])",
                found=short(labels),
                expected="one label" if program.pool else "a list of labels",
            )
        words, expected = list(labels), 1 if program.pool else len(tokens)
        if len(words) != expected:
            what = "one for the input" if program.pool else f"{expected}, one a token"
            raise ShapeError(f"model(inputs[{row}])", found=f"{len(words)} labels", expected=what)
        for i, word in enumerate(words):
            if not isinstance(word, str):
                raise InputError(f"model(inputs[{row}])[{i}]", found=short(word), expected="a label as text")
            if word not in index:
                index[word] = len(names)
                names.append(word)
            out[row, i] = index[word]
    return out


def _of_program(model: Program, asked_for: Given, names: list[str], unknown: str) -> np.ndarray:
    program = asked_for.program
    if model.pool != program.pool:
        one, other = ("one label an input", "one label a token")[:: 1 if model.pool else -1]
        raise InputError("model", found=f"a program that gives {one}", expected=f"{other}, as the first program")
    found = predictions(model, batch_for(model, asked_for, unknown))
    _extend(names, model.labels)
    joint = np.array([*(names.index(name) for name in model.labels), UNSCORED])
    return joint[found]


def _extend(names: list[str], labels: Sequence[str]) -> None:
    known = set(names)
    names += [label for label in labels if label not in known]


def _numbers_otherwise(model: Any, program: Program) -> bool:
    """Whether a model has a vocabulary and labels of its own, and other ones."""
    own = getattr(model, "shape", model)  # our trainable module keeps its names with its sizes
    vocab, labels = getattr(own, "vocab", None), getattr(own, "labels", None)
    if not isinstance(vocab, list | tuple) or not isinstance(labels, list | tuple):
        return False
    return (tuple(vocab), tuple(labels)) != (program.vocab, program.labels)


def _of_network(model: Any, asked_for: Given, names: list[str]) -> np.ndarray:
    """The answers of a network, or of ids that the model numbers its own way; `learnt.programs.answers`."""
    from learnt.programs.answers import Answerer
    from learnt.programs.sequences import Sequences

    program = asked_for.program
    data = Sequences(asked_for.rows, vocab=program.vocab, labels=program.labels, n_ctx=program.n_ctx)
    found = Answerer(model, data, name="model").answers
    if found.pool != program.pool:
        one, other = ("one label an input", "one label a token")[:: 1 if found.pool else -1]
        raise ShapeError("model", found=one, expected=f"{other}, as the program")
    _extend(names, found.labels)
    ids = found.numbered(names)
    width = 1 if program.pool else asked_for.batch.ids.shape[1]
    return np.pad(ids, ((0, 0), (0, width - ids.shape[1])), constant_values=UNSCORED)


def batch_for(model: Program, asked_for: Given, unknown: str) -> Batch:
    """The inputs as ids of another program, as wide as before."""
    program, batch = asked_for.program, asked_for.batch
    if model.vocab == program.vocab:
        return batch
    ids = encode(model, asked_for.rows, unknown=unknown)
    missing = batch.ids.shape[1] - ids.ids.shape[1]
    return Batch(ids=np.pad(ids.ids, ((0, 0), (0, missing))), lengths=ids.lengths)


def _of_ids(model: PredictsIds, asked_for: Given) -> np.ndarray:
    program, batch = asked_for.program, asked_for.batch
    found = []
    for rows, part in pieces(batch):
        answer = array_of(model.predict_ids(part.ids, part.lengths))
        shape = part.lengths.shape if program.pool else part.ids.shape
        if answer.shape != shape:
            raise ShapeError("model.predict_ids", found=f"shape {answer.shape}", expected=f"{shape}")
        if answer.dtype.kind not in "iu":
            raise InputError("model.predict_ids", found=f"{answer.dtype}", expected="ids of labels: integers")
        answer = answer[:, None] if program.pool else np.where(asked_for.real[rows], answer, UNSCORED)
        wrong = (answer < 0) | (answer >= len(program.labels))
        if not program.pool:
            wrong &= asked_for.real[rows]
        if wrong.any():
            raise InputError(
                "model.predict_ids",
                found=f"the id {answer[wrong][0]}",
                expected=f"ids of the program's labels, 0 to {len(program.labels) - 1}",
            )
        found.append(answer.astype(np.int64))
    return np.concatenate(found)


def array_of(value: Any) -> np.ndarray:
    """An array of NumPy, also from a tensor on any device."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def scored_positions(scored: Scored | None, asked_for: Given) -> Bool[np.ndarray, "b n"]:
    """Which positions are compared: all, those that a task scores, or those that a function names.

    Raises:
        InputError: neither a task nor a function; a function for a program that pools.
        ShapeError: not one flag a token. NotApplicable: nothing is scored, or a task without oracle does not know
            the input.
    """
    if asked_for.program.pool:
        if scored is not None and not isinstance(scored, Task):
            raise InputError("scored", found=short(scored), expected="nothing: a program that pools has one answer")
        return np.ones((len(asked_for), 1), dtype=bool)
    if scored is None:
        return asked_for.real
    if isinstance(scored, Task):
        wanted = _scored_by(scored)
    elif callable(scored):
        wanted = scored
    else:
        raise InputError("scored", found=short(scored), expected="a Task, or a function from tokens to flags")
    out = np.zeros(asked_for.batch.ids.shape, dtype=bool)
    for row, tokens in enumerate(asked_for.rows):
        flags = list(wanted(tokens))
        if len(flags) != len(tokens):
            raise ShapeError(
                f"scored(inputs[{row}])", found=f"{len(flags)} flags", expected=f"{len(tokens)}, one a token"
            )
        out[row, : len(flags)] = flags
    if not out.any():
        raise NotApplicable("scored", found="no position of any input", expected="at least one")
    return out


def _scored_by(task: Task) -> Callable[[Tokens], list[bool]]:
    known = None if task.oracle is not None else dict(zip(task.inputs, task.targets, strict=True))

    def flags(tokens: Tokens) -> list[bool]:
        if known is None:
            return [label != PAD for label in task.oracle(tokens)]  # pyright: ignore[reportOptionalCall]
        if tokens not in known:
            raise NotApplicable(
                "scored",
                found=f"the task {task.name!r}, which has no oracle and no example {short(tokens)}",
                expected="a task with an oracle, or a function from tokens to flags",
            )
        return [label != PAD for label in known[tokens]]

    return flags


def shortest_first(batch: Batch, rows: np.ndarray) -> list[int]:
    """These inputs without repetitions, shortest first, then in the order of the vocabulary."""
    ids = batch.ids[rows]
    order = np.lexsort((*ids.T[::-1], batch.lengths[rows]))
    chosen: list[int] = []
    for i in order.tolist():
        row = int(rows[i])
        n = int(batch.lengths[row])
        if chosen and batch.lengths[chosen[-1]] == n and (batch.ids[chosen[-1], :n] == batch.ids[row, :n]).all():
            continue
        chosen.append(row)
    return chosen
