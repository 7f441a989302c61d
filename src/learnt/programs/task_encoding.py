"""How are tokens and labels numbered? Position in the vocabulary and in the label list, padding apart.

Inputs become (n, N) integers, `<pad>` = 0 behind the end; targets become (n, N) integers, -1 where nothing is scored.
The reference numbers `<pad>` (and `<unk>`) as labels too and masks their logits with -1e30; here they are no labels,
which gives the same probabilities. The reference also turns a label that it never saw in training into `<pad>`, so
that it silently leaves the accuracy; here that is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import chain

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.io.reading import printable

PAD, UNK, START, END = "<pad>", "<unk>", "<s>", "</s>"
UNSCORED = -1

Tokens = tuple[str, ...]


def encode_inputs(inputs: Sequence[Sequence[str]], vocab: Sequence[str], length: int) -> np.ndarray:
    """Token ids of inputs, padded.

    Args:
        inputs: n sequences of 1 to `length` tokens.
        vocab: tokens, the id is the index; `<pad>` is 0; unknown tokens become `<unk>` if that is among them.
        length: N, columns of the result.

    Returns:
        (n, N) int64.

    Raises:
        InputError: an unknown token (with the nearest known ones), `<pad>` inside an input.
        ShapeError: an input without tokens or with more than N.
    """
    index = {token: i for i, token in enumerate(vocab)}
    lengths = _lengths(inputs, length, "inputs")
    fallback = index.get(UNK, -1)
    flat = np.fromiter((index.get(t, fallback) for t in chain.from_iterable(inputs)), np.int64, int(lengths.sum()))
    if flat.size and flat.min() <= 0:
        row = int(np.searchsorted(lengths.cumsum(), int(np.argmax(flat <= 0)), side="right"))
        wrong = next(t for t in inputs[row] if index.get(t, fallback) <= 0)
        raise unknown(f"inputs[{row}]", wrong, [token for token in vocab if token != PAD], what="token")
    return _padded(flat, lengths, length, 0)


def encode_targets(targets: Sequence[Sequence[str]], labels: Sequence[str], length: int) -> np.ndarray:
    """Label ids of targets; -1 where the target is `<pad>` and behind the end.

    Args:
        targets: n sequences of 1 to `length` labels or `<pad>`.
        labels: the id is the index.
        length: N, columns of the result.

    Returns:
        (n, N) int64.

    Raises:
        InputError: a label that is not in the list. ShapeError: a target without labels or longer than N.
    """
    index = {label: i for i, label in enumerate(labels)} | {PAD: UNSCORED}
    lengths = _lengths(targets, length, "targets")
    flat = np.fromiter((index.get(t, -2) for t in chain.from_iterable(targets)), np.int64, int(lengths.sum()))
    if flat.size and flat.min() < UNSCORED:
        row = int(np.searchsorted(lengths.cumsum(), int(np.argmax(flat < UNSCORED)), side="right"))
        wrong = next(t for t in targets[row] if t not in index)
        raise unknown(f"targets[{row}]", wrong, labels, what="label")
    return _padded(flat, lengths, length, UNSCORED)


def decode(ids: np.ndarray, names: Sequence[str]) -> list[Tokens]:
    """Tokens or labels of (n, N) ids; negative ids are `<pad>`, and padding at the end is dropped.

    Args:
        ids: (n, N), negative where nothing stands.
        names: token or label of each id.
    """
    rows = []
    for row in np.asarray(ids).tolist():
        words = [names[i] if i >= 0 else PAD for i in row]
        while words and words[-1] == PAD:
            words.pop()
        rows.append(tuple(words))
    return rows


def unknown(argument: str, wrong: object, known: Sequence[str], *, what: str) -> InputError:
    """The error for a token or label that is not in its list; names the nearest ones.

    Args:
        argument: where it stood.
        wrong: what stood there.
        known: the list.
        what: "token" or "label".
    """
    near = get_close_matches(str(wrong), [str(name) for name in known], n=3, cutoff=0.6)
    shown = near or [*known[:12], "..."] if len(known) > 12 else near or known
    return InputError(
        argument,
        found=f"the {what} {printable(wrong)!r}",
        expected=f"a {what} of the {'vocabulary' if what == 'token' else 'label set'}",
        remedy=f"{'Nearest' if near else 'Known'}: {', '.join(printable(name, 30) for name in shown)}.",
    )


def _lengths(rows: Sequence[Sequence[str]], length: int, name: str) -> np.ndarray:
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    wrong = np.flatnonzero((lengths < 1) | (lengths > length))
    if wrong.size:
        row = int(wrong[0])
        raise ShapeError(f"{name}[{row}]", found=f"{lengths[row]} items", expected=f"1 to {length}")
    return lengths


def _padded(flat: np.ndarray, lengths: np.ndarray, length: int, fill: int) -> np.ndarray:
    out = np.full((len(lengths), length), fill, np.int64)
    out[np.arange(length) < lengths[:, None]] = flat
    return out
