"""What does a program answer for many inputs? Integer gathers over a whole batch, equal to the interpreter bit by bit.

Attention to the nearest match needs no (N, N) table of scores. Going once from left to right, and remembering for
each key value where it was last seen, gives the nearest match on the left; the same from the right gives the other.
That is O(B N) per head, in time and memory; a numerical head is a running sum by key value. Categorical MLPs are
gathers; the network of a numerical MLP runs once for each distinct tuple of values. Arrays are (N, B) inside, one
contiguous row for each position, and (B, N) outside.
"""
# ruff: noqa: F722, F821  (shapes are no forward references)

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float, Int

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs._frozen import short
from learnt.programs.program import UNANSWERED, NumMLP, Program, ReluNet
from learnt.programs.tokens import Vocabulary

CHUNK = 4096  # inputs at once: what a head touches stays in the cache
_BOX = 1 << 16  # tuples of numerical values that are looked up in an array instead of sorted
_FAR = 1 << 30  # farther than any match


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Inputs as ids.

    Attributes:
        ids: (B, N) int64; 0 after the end of an input.
        lengths: (B,) int64, from 1 to N.
    """

    ids: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What a program answers for B inputs of at most N tokens. After the end of an input, entries mean nothing.

    Attributes:
        program: that answered.
        batch: what it was asked.
        logits: (B, N, n_labels), or (B, n_labels) if the program pools; masked labels have theirs too.
        variables: (B, N) int64 by name; empty unless asked for.
        attended: (B, N) int64 positions, by name of the categorical head; empty unless asked for.
    """

    program: Program
    batch: Batch
    logits: np.ndarray
    variables: dict[str, np.ndarray]
    attended: dict[str, np.ndarray]

    @cached_property
    def real(self) -> np.ndarray:
        """(B, N) bool: positions inside an input."""
        return np.arange(self.batch.ids.shape[1]) < self.batch.lengths[:, None]

    @cached_property
    def predictions(self) -> np.ndarray:
        """(B, N) ids of labels, -1 after the end of an input; (B,) if the program pools."""
        logits = self.logits
        if self.program.masked_labels:
            logits = logits.copy()
            logits[..., list(self.program.masked_labels)] = -np.inf
        best = logits.argmax(-1)  # the first maximum
        return best if self.program.pool else np.where(self.real, best, -1)

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of each input: one a token, or one if the program pools."""
        names = self.program.labels
        if self.program.pool:
            return [(names[p],) for p in self.predictions.tolist()]
        lengths = self.batch.lengths.tolist()
        return [tuple(names[p] for p in row[:n]) for row, n in zip(self.predictions.tolist(), lengths, strict=True)]

    def __str__(self) -> str:
        """How many inputs, and the first ten with their labels."""
        n, vocab = len(self.batch), self.program.vocab
        lines = [f"{n:,} input{'s' * (n != 1)}, {int(self.batch.lengths.sum()):,} tokens"]
        for i in range(min(n, 10)):
            row = self.batch.ids[i, : self.batch.lengths[i]].tolist()
            labels = self.predictions[i].reshape(-1)[: len(row)].tolist()
            lines.append(f"  {' '.join(vocab[t] for t in row)}: {' '.join(self.program.labels[p] for p in labels)}")
        return "\n".join([*lines, *([f"  and {n - 10:,} more"] * (n > 10))])

    def to_fields(self) -> dict[str, Any]:
        """Inputs and labels, and what else was kept, as JSON can hold it; nothing after the end of an input."""
        lengths = self.batch.lengths.tolist()

        def rows(values: np.ndarray) -> list[Any]:
            return [row[:n] for row, n in zip(values.tolist(), lengths, strict=True)]

        vocab, logits = self.program.vocab, self.logits
        return {
            "inputs": [[vocab[t] for t in row] for row in rows(self.batch.ids)],
            "labels": [list(labels) for labels in self.labels],
            "logits": logits.tolist() if self.program.pool else rows(logits),
            "variables": {name: rows(values) for name, values in self.variables.items()},
            "attended": {name: rows(values) for name, values in self.attended.items()},
        }


def encode(program: Program, inputs: Sequence[Sequence[str]], *, unknown: str = "auto") -> Batch:
    """Lists of tokens as ids; arguments and errors as `learnt.programs.tokens.token_ids`, for each input.

    Args:
        program: whose vocabulary is used.
        inputs: lists of tokens, up to n_ctx in each.
        unknown: what to do with tokens outside the vocabulary.

    Raises:
        InputError: no input, or one that the program cannot take.
    """
    vocabulary = Vocabulary(program, unknown=unknown)
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        raise InputError("inputs", found=short(inputs), expected="lists of tokens")
    rows = [vocabulary.ids(tokens, name=f"inputs[{i}]") for i, tokens in enumerate(inputs)]
    if not rows:
        raise InputError("inputs", found="no input", expected="at least one list of tokens")
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    ids = np.zeros((len(rows), int(lengths.max())), dtype=np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = [i for row in rows for i in row]
    return Batch(ids=ids, lengths=lengths)


def evaluate(
    program: Program, inputs: Batch | Sequence[Sequence[str]], *, unknown: str = "auto", keep: bool = False
) -> Evaluation:
    """What a program answers for many inputs.

    Args:
        program: to evaluate.
        inputs: lists of tokens, or a `Batch` of ids.
        unknown: what to do with tokens outside the vocabulary; see `learnt.programs.tokens`.
        keep: whether to return all variables and attended positions.

    Raises:
        InputError, ShapeError: inputs that the program cannot take, or values that a numerical MLP has no answer for.
        NotApplicable: sums that may not fit into 63 bits.
    """
    batch = inputs if isinstance(inputs, Batch) else encode(program, inputs, unknown=unknown)
    if isinstance(inputs, Batch):
        _check(program, batch)
    if max(program.highest.values()) >= 1 << 62:
        raise NotApplicable("program", found="sums beyond 2^62", expected="fewer layers of numerical heads")
    pieces = [_evaluate(program, batch, slice(start, start + CHUNK), keep) for start in range(0, len(batch), CHUNK)]
    return Evaluation(
        program=program,
        batch=batch,
        logits=np.concatenate([piece[0] for piece in pieces]),
        variables={name: np.concatenate([piece[1][name] for piece in pieces]) for name in pieces[0][1]},
        attended={name: np.concatenate([piece[2][name] for piece in pieces]) for name in pieces[0][2]},
    )


def nearest(
    wanted: Int[np.ndarray, "n b"],
    keys: Int[np.ndarray, "n b"],
    real: Bool[np.ndarray, "n b"],
    *,
    n_keys: int,
    causal: bool = False,
) -> Int[np.ndarray, "n b"]:
    """Where each position of a categorical head looks; see `learnt.programs.interpreter.attend`.

    Args:
        wanted: the key value that each position looks for, below `n_keys`.
        keys: key values, below `n_keys`.
        real: positions inside an input; others are never attended to.
        n_keys: cardinality of the key variable.
        causal: whether position i sees j <= i only.
    """
    n, b = keys.shape
    row = np.arange(b) * (n_keys + 1)
    looked_for = row + wanted
    stored = row + np.where(real, keys, n_keys)  # what stands after the end goes where nobody looks
    left, right = np.empty_like(looked_for), np.full_like(looked_for, _FAR)
    last = np.full(b * (n_keys + 1), -_FAR)
    for i in range(n):
        last.take(looked_for[i], out=left[i], mode="clip")  # clip: no copy of `out`; indices are in range
        last[stored[i]] = i
    if not causal:
        last.fill(_FAR)
        for i in range(n - 1, -1, -1):
            last.take(looked_for[i], out=right[i], mode="clip")
            last[stored[i]] = i
    here = np.arange(n)[:, None]
    found = np.where(here - left <= right - here, left, right)
    alone = (found < 0) | (found >= _FAR)
    return np.where(alone, np.where((looked_for == stored), here, 0), found)


def sums(
    wanted: Int[np.ndarray, "n b"],
    keys: Int[np.ndarray, "n b"],
    values: Int[np.ndarray, "n b"],
    real: Bool[np.ndarray, "n b"],
    *,
    n_keys: int,
    causal: bool = False,
) -> Int[np.ndarray, "n b"]:
    """The output of a numerical head: the sum of the values whose keys match; arguments as `nearest`."""
    n, b = keys.shape
    row = np.arange(b) * (n_keys + 1)
    looked_for = row + wanted
    stored = row + np.where(real, keys, n_keys)
    total = np.zeros(b * (n_keys + 1), dtype=np.int64)
    out = np.empty_like(looked_for)
    for i in range(n):
        total[stored[i]] += values[i]  # one key an input and position: no index occurs twice
        if causal:
            total.take(looked_for[i], out=out[i], mode="clip")
    return out if causal else total.take(looked_for)


def net_outputs(net: ReluNet, values: Int[np.ndarray, "t n"]) -> Int[np.ndarray, " t"]:
    """The outputs of a numerical MLP's network for many tuples of integers; sums in the order of `ReluNet`.

    Args:
        net: of the MLP.
        values: (t, n) tuples.
    """
    scores = np.zeros((len(values), len(net.b_out)))
    inward, outward = np.array(net.W_in), np.array(net.W_out)
    for unit, bias in enumerate(net.b_in):
        total = np.zeros(len(values))
        for i in range(values.shape[1]):
            total += inward[unit, i] * values[:, i]
        scores += np.maximum(total + bias, 0.0)[:, None] * outward[:, unit]
    return (scores + np.array(net.b_out)).argmax(1)


def _check(program: Program, batch: Batch) -> None:
    ids, lengths = np.asarray(batch.ids), np.asarray(batch.lengths)
    if ids.ndim != 2 or lengths.shape != ids.shape[:1] or 0 in ids.shape:
        raise ShapeError(
            "inputs", found=f"ids {ids.shape}, lengths {lengths.shape}", expected="ids (B, N), lengths (B,)"
        )
    if ids.dtype.kind not in "iu" or lengths.dtype.kind not in "iu":
        raise InputError("inputs", found=f"{ids.dtype} and {lengths.dtype}", expected="integers")
    if lengths.min() < 1 or lengths.max() > min(program.n_ctx, ids.shape[1]):
        raise InputError(
            "inputs.lengths",
            found=f"lengths from {lengths.min()} to {lengths.max()}",
            expected=f"1 to {min(program.n_ctx, ids.shape[1])}",
        )
    inside = np.arange(ids.shape[1]) < lengths[:, None]
    low = 1 if program.padded else 0
    bad = inside & ((ids < low) | (ids >= len(program.vocab)))
    if bad.any():
        b, i = np.argwhere(bad)[0]
        raise InputError(
            f"inputs.ids[{b}, {i}]", found=f"{ids[b, i]}", expected=f"ids {low} to {len(program.vocab) - 1}"
        )


def _evaluate(program: Program, batch: Batch, rows: slice, keep: bool) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """(logits, variables, attended) of some of the inputs, inputs first."""
    lengths = batch.lengths[rows]
    n = int(batch.lengths.max())
    real = np.arange(n)[:, None] < lengths
    ids = np.where(real, batch.ids[rows, :n].T, 0)
    variables, attended = _stream(program, ids, real)
    logits = _logits(program, variables)
    if program.pool:
        total = np.zeros((len(lengths), len(program.labels)))
        for i in range(n):
            total += np.where(real[i][:, None], logits[i], 0.0)
        logits = total / lengths[:, None]
    elif n < batch.ids.shape[1]:
        logits = np.concatenate([logits, np.zeros((batch.ids.shape[1] - n, *logits.shape[1:]))])
    if not keep:
        variables, attended = {}, {}
    extra = ((0, 0), (0, batch.ids.shape[1] - n))
    return (
        logits if program.pool else logits.swapaxes(0, 1),
        {name: np.pad(value.T, extra) for name, value in variables.items()},
        {name: np.pad(value.T, extra) for name, value in attended.items()},
    )


def _stream(program: Program, ids: np.ndarray, real: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All variables and attended positions, (N, B) by name."""
    n, b = ids.shape
    variables = {"positions": np.repeat(np.arange(n)[:, None], b, 1), "ones": np.ones((n, b), dtype=np.int64)}
    if program.embeddings is None:
        variables["tokens"] = ids
    else:
        embeddings = np.array(program.embeddings).T
        variables |= {name: embeddings[e].take(ids) for e, name in enumerate(program.input_variables)}
    attended: dict[str, np.ndarray] = {}
    column = np.arange(b)
    for layer in program.layers:
        written: dict[str, np.ndarray] = {}
        for head in (*layer.cat_heads, *layer.num_heads):
            wanted = np.array(head.predicate).take(variables[head.query])
            keys, values = variables[head.key], variables[head.value]
            options: dict[str, Any] = {"n_keys": program.cardinality[head.key], "causal": program.causal}
            if head.value in program.cardinality:
                attended[head.name] = nearest(wanted, keys, real, **options)
                written[head.name] = values.ravel().take(attended[head.name] * b + column)
            else:
                written[head.name] = sums(wanted, keys, values, real, **options)
        variables |= written
        for mlp in layer.cat_mlps:
            entry = variables[mlp.inputs[0]]
            for name in mlp.inputs[1:]:
                entry = entry * program.cardinality[name] + variables[name]
            variables[mlp.name] = np.array(mlp.table).take(entry)
        for mlp in layer.num_mlps:
            variables[mlp.name] = _numerical(mlp, [variables[name] for name in mlp.inputs], real)
    return variables, attended


def _numerical(mlp: NumMLP, inputs: list[np.ndarray], real: np.ndarray) -> np.ndarray:
    """The output of a numerical MLP, (N, B); 0 after the end of an input."""
    values = np.stack([v[real] for v in inputs])  # (n_in, T)
    box = [int(v) + 1 for v in values.max(1)]
    size = 1
    for edge in box:
        size *= edge
    if size <= _BOX:
        code = values[0]
        for v, edge in zip(values[1:], box[1:], strict=True):
            code = code * edge + v
        seen = np.zeros(size, dtype=bool)
        seen[code] = True
        present = np.flatnonzero(seen)
        answers = np.zeros(size, dtype=np.int64)
        answers[present] = _answers(mlp, np.stack(np.unravel_index(present, box), 1))
        result = answers.take(code)
    else:
        tuples, where = np.unique(values.T, axis=0, return_inverse=True)
        result = _answers(mlp, tuples).take(where.ravel())
    out = np.zeros(real.shape, dtype=np.int64)
    out[real] = result
    return out


def _answers(mlp: NumMLP, tuples: np.ndarray) -> np.ndarray:
    """One output for each distinct tuple of values, (T, n_in) -> (T,)."""
    if mlp.table is None or mlp.sizes is None:
        return net_outputs(mlp.weights, tuples)  # pyright: ignore[reportArgumentType] (one of the two is there)
    inside = (tuples < np.array(mlp.sizes)).all(1)
    out = np.full(len(tuples), UNANSWERED)
    out[inside] = np.array(mlp.table).take(np.ravel_multi_index(tuple(tuples[inside].T), tuple(mlp.sizes)))
    open_ = out == UNANSWERED
    if open_.any():
        if mlp.weights is None:
            raise mlp.outside(tuples[open_][0].tolist())
        out[open_] = net_outputs(mlp.weights, tuples[open_])
    return out


def _logits(program: Program, variables: dict[str, np.ndarray]) -> Float[np.ndarray, "n b labels"]:
    shape = variables["ones"].shape
    total = np.zeros((*shape, len(program.labels)))
    for name, votes in program.classifier.items():
        table = np.array(votes)
        if name in program.cardinality:
            total += table.take(variables[name], axis=0)
        else:
            total += variables[name][..., None] * table
    return total
