"""What does a thing answer to each input? Programs, functions from tokens to labels, and networks, side by side.

Answers are compared by the names of labels, so that things may number tokens and labels differently. A function takes
the tokens of one input and returns one label a token, or one label for the input (pooled). A network reads (b, N)
token ids, padded with 0, and returns (b, N, labels) logits or (b, labels), pooled; anything with
``predict_ids(ids, lengths)`` returns the (b, N) or (b,) ids of labels itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.programs._frozen import short
from learnt.programs.evaluator import Batch, encode, evaluate
from learnt.programs.program import Program
from learnt.programs.sequences import Sequences
from learnt.programs.task_encoding import PAD, encode_inputs

BATCH = 256  # inputs that a network reads at once
_AT_ONCE = 1 << 16  # inputs whose logits are in memory at once


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """The labels that one thing gives to n inputs.

    Attributes:
        ids: (n, longest) int64 indices into `labels`, -1 after the end of an input; (n, 1) if it pools.
        labels: the names.
        pool: whether there is one label an input.
    """

    ids: np.ndarray
    labels: tuple[str, ...]
    pool: bool

    def of(self, row: int) -> tuple[str, ...]:
        """The labels of one input."""
        return tuple(self.labels[i] for i in self.ids[row].tolist() if i >= 0)

    def numbered(self, labels: Sequence[str]) -> np.ndarray:
        """(n, longest) indices into other names, which contain all of these."""
        place = {label: i for i, label in enumerate(labels)}
        return np.array([*(place[label] for label in self.labels), -1])[self.ids]  # -1 stays -1


class Answerer:
    """A thing seen on some inputs; what several questions need is computed once.

    Args:
        thing: a `Program`, a function, a network, or anything with `predict_ids`.
        data: the inputs.
        name: how reports call the thing.

    Raises:
        InputError: something that cannot answer.
    """

    def __init__(self, thing: Any, data: Sequences, *, name: str) -> None:
        if not (isinstance(thing, Program) or callable(thing) or hasattr(thing, "predict_ids")):
            raise InputError(
                name, found=type(thing).__name__, expected="a Program, a function from tokens to labels, or a network"
            )
        self.thing, self.data, self.name = thing, data, name

    @cached_property
    def batch(self) -> Batch:
        """The inputs as ids of the program; NotApplicable for anything else."""
        return encode(self.program, self.data.inputs)

    @property
    def program(self) -> Program:
        """The thing as a program; NotApplicable for anything else."""
        if not isinstance(self.thing, Program):
            raise NotApplicable(
                self.name, found=f"a {type(self.thing).__name__}, which has no modules", expected="a Program"
            )
        return self.thing

    @cached_property
    def variables(self) -> dict[str, np.ndarray]:
        """(T,) values of each variable at all positions of all inputs, one input after the other."""
        found = evaluate(self.program, self.batch, keep=True)
        return {name: values[found.real] for name, values in found.variables.items()}

    @cached_property
    def answers(self) -> Answers:
        """What the thing answers.

        Raises:
            InputError, ShapeError, NonFiniteError: inputs it cannot take, answers that are none.
        """
        if isinstance(self.thing, Program):
            return _of_program(self.thing, self.batch)
        if hasattr(self.thing, "predict_ids") or _is_network(self.thing):
            return _of_network(self.thing, self.data, self.name)
        return _of_function(self.thing, self.data, self.name)


def aligned(a: Answers, b: Answers, data: Sequences, names: tuple[str, str] = ("a", "b")) -> Aligned:
    """Two sets of answers to the same inputs in one numbering of labels.

    Args:
        a, b: answers to the same inputs.
        data: these inputs, and which positions count.
        names: of the two things, for the error.

    Raises:
        ShapeError: one gives one label a token, the other one an input.
    """
    if a.pool != b.pool and data.longest > 1:
        one, other = names if a.pool else names[::-1]
        raise ShapeError(
            other, found="one label a token", expected=f"one label an input, as {one} gives",
            remedy="Compare things of one kind.",
        )  # fmt: skip
    labels = (*a.labels, *(label for label in b.labels if label not in set(a.labels)))
    counts = np.ones((len(data), 1), dtype=bool) if a.pool or b.pool else data.counts
    return Aligned(a=a.numbered(labels), b=b.numbered(labels), labels=labels, counts=counts)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Aligned:
    """The answers of two things to n inputs, in one numbering.

    Attributes:
        a, b: (n, positions) indices into `labels`.
        labels: names of the labels of both.
        counts: (n, positions) bool: positions that are compared.
    """

    a: np.ndarray
    b: np.ndarray
    labels: tuple[str, ...]
    counts: np.ndarray

    @cached_property
    def apart(self) -> np.ndarray:
        """(n, positions) bool: where the two give different labels."""
        return self.counts & (self.a != self.b)

    def confusion(self) -> list[tuple[str, str, int]]:
        """(label of a, label of b, how often), where they differ, most frequent first."""
        size = len(self.labels)
        pairs = np.bincount(self.a[self.apart] * size + self.b[self.apart], minlength=size * size)
        order = np.argsort(-pairs, kind="stable")[: int((pairs > 0).sum())]
        return [(self.labels[i // size], self.labels[i % size], int(pairs[i])) for i in order]


def shortest(apart: np.ndarray, inputs: Sequence[Sequence[str]], most: int) -> list[int]:
    """Rows with a disagreement: shortest inputs first, then by their tokens; each input once.

    Args:
        apart: (n, positions) bool, where two things differ.
        inputs: n lists of tokens.
        most: rows returned at most.
    """
    rows = np.flatnonzero(apart.any(1)).tolist()
    rows.sort(key=lambda row: (len(inputs[row]), tuple(inputs[row])))
    chosen: dict[tuple[str, ...], int] = {}
    for row in rows:
        if len(chosen) >= most:
            break
        chosen.setdefault(tuple(inputs[row]), row)
    return list(chosen.values())


def _is_network(thing: Any) -> bool:
    torch = sys.modules.get("torch")  # nobody has a module without having imported torch
    return torch is not None and isinstance(thing, torch.nn.Module)


def _of_program(program: Program, batch: Batch) -> Answers:
    parts = []
    for start in range(0, len(batch), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        found = evaluate(program, Batch(ids=batch.ids[rows], lengths=batch.lengths[rows])).predictions
        parts.append(found[:, None] if program.pool else found)
    return Answers(ids=np.concatenate(parts), labels=program.labels, pool=program.pool)


def _of_function(function: Callable[[Sequence[str]], Any], data: Sequences, name: str) -> Answers:
    place: dict[str, int] = {}
    rows: list[list[int]] = []
    single = True  # one label an input, as far as seen
    for i, tokens in enumerate(data.inputs):
        said = function(tokens)
        listed = [said] if isinstance(said, str) else said
        if not isinstance(listed, Sequence) or not listed or not all(isinstance(label, str) for label in listed):
            raise InputError(f"{name}(inputs[{i}])", found=short(said), expected="a label, or a list of labels")
        single = single and (isinstance(said, str) or len(listed) == 1)
        rows.append([place.setdefault(str(label), len(place)) for label in listed])
    if single and data.longest > 1:
        return Answers(ids=np.array(rows), labels=tuple(place), pool=True)
    for i, (row, length) in enumerate(zip(rows, data.lengths.tolist(), strict=True)):
        if len(row) != length:
            raise ShapeError(
                f"{name}(inputs[{i}])", found=f"{len(row)} labels for {length} tokens", expected="one label a token"
            )
    ids = np.full((len(rows), data.longest), -1)
    ids[np.arange(data.longest) < data.lengths[:, None]] = [label for row in rows for label in row]
    return Answers(ids=ids, labels=tuple(place), pool=False)


def _of_network(thing: Any, data: Sequences, name: str) -> Answers:
    own = getattr(thing, "shape", thing)  # our trainable module keeps its names with its sizes
    vocab = tuple(getattr(own, "vocab", ()) or data.vocab)
    labels = tuple(getattr(own, "labels", ()) or data.labels)
    if not vocab or not labels:
        raise NotApplicable(
            name, found=f"the network {type(thing).__name__}, whose tokens and labels have no names",
            expected="data that numbers them", remedy="Compare on a Task, or pass Sequences(..., vocab=, labels=).",
        )  # fmt: skip
    width = max(data.n_ctx or 0, data.longest)
    ids = _ids(data, vocab, width)
    found = _predicted(thing, ids, data.lengths, name) if hasattr(thing, "predict_ids") else _forward(thing, ids, name)
    if found.shape not in ((len(data),), (len(data), width), (len(data), data.longest)):
        raise ShapeError(name, found=f"answers of shape {found.shape}", expected=f"({len(data)}, {width}) or (n,)")
    pool = found.ndim == 1
    inside = np.arange(data.longest) < data.lengths[:, None]
    chosen = found[:, None] if pool else np.where(inside, found[:, : data.longest], -1)
    if chosen.max() >= len(labels) or (chosen if pool else chosen[inside]).min() < 0:
        raise InputError(name, found="an answer outside the labels", expected=f"ids from 0 to {len(labels) - 1}")
    return Answers(ids=chosen, labels=labels, pool=pool)


def _ids(data: Sequences, vocab: Sequence[str], width: int) -> np.ndarray:
    """(n, width) ids of tokens, 0 after the end; a vocabulary without padding may have its first token there, too."""
    if vocab[0] == PAD:
        return encode_inputs(data.inputs, vocab, width)
    return np.maximum(encode_inputs(data.inputs, (PAD, *vocab), width) - 1, 0)


def _predicted(thing: Any, ids: np.ndarray, lengths: np.ndarray, name: str) -> np.ndarray:
    found = thing.predict_ids(ids, lengths)
    found = np.asarray(found.detach().cpu() if hasattr(found, "detach") else found)
    if found.dtype.kind not in "iu":
        raise InputError(name, found=f"answers of type {found.dtype}", expected="integers: ids of labels")
    return found.astype(np.int64)


def _forward(module: Any, ids: np.ndarray, name: str) -> np.ndarray:
    """The largest logit of a network, (n, N) or (n,); the network is left as it was."""
    import torch

    device = next((t.device for t in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    parts = []
    with _evaluating(module, device):
        for start in range(0, len(ids), BATCH):
            out = module(torch.from_numpy(ids[start : start + BATCH]).to(device))
            out = getattr(out, "logits", out)
            if not isinstance(out, torch.Tensor) or out.ndim not in (2, 3):
                found = f"shape {tuple(out.shape)}" if isinstance(out, torch.Tensor) else type(out).__name__
                raise ShapeError(name, found=f"outputs of {found}", expected="logits (b, N, labels) or (b, labels)")
            if out.isnan().any():
                raise NonFiniteError(name, found="NaN among the logits", expected="numbers")
            parts.append(out.argmax(-1).cpu().numpy())
    return np.concatenate(parts)


@contextmanager
def _evaluating(module: Any, device: Any) -> Iterator[None]:
    import torch

    modes = [(m, m.training) for m in module.modules()]
    try:
        for m, _ in modes:
            m.training = False
        devices = [device.index or 0] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            yield
    finally:
        for m, was in modes:
            m.training = was
