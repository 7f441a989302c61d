"""Examples as arrays: what a search looks at, and how much of it.

Arrays of variables are (N, B), one contiguous row for each position, as in `learnt.programs.evaluator`; what is
scored is a flat list of T places in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs.evaluator import Batch
from learnt.programs.task_encoding import UNSCORED, encode_inputs, encode_targets
from learnt.programs.task_split import Pairs


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Data:
    """Encoded examples.

    Attributes:
        ids: (B, N) token ids, 0 after the end.
        lengths: (B,).
        targets: (B, N) label ids, -1 where nothing is scored.
        weights: (B,) weight of each example.
    """

    ids: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def batch(self) -> Batch:
        """The inputs for the evaluator."""
        return Batch(ids=self.ids, lengths=self.lengths)

    @cached_property
    def real(self) -> np.ndarray:
        """(N, B) bool: positions inside an input."""
        return np.arange(self.ids.shape[1])[:, None] < self.lengths

    @cached_property
    def places(self) -> np.ndarray:
        """(T,) flat indices of scored positions into arrays (N, B)."""
        return np.flatnonzero((self.targets != UNSCORED).T.ravel())

    @cached_property
    def labels(self) -> np.ndarray:
        """(T,) labels of the scored positions."""
        return self.targets.T.ravel()[self.places]

    @cached_property
    def row_weights(self) -> np.ndarray:
        """(T,) weight of each scored position, that of its example."""
        return self.weights[self.places % len(self)]

    def take(self, rows: np.ndarray) -> Data:
        """Some of the examples."""
        return Data(
            ids=self.ids[rows], lengths=self.lengths[rows], targets=self.targets[rows], weights=self.weights[rows]
        )

    def part(self, count: int, rng: np.random.Generator) -> Data:
        """About `count` examples: lengths in proportion, of rare ones all, and all of more than the least weight."""
        if len(self) <= count:
            return self
        chosen = []
        for length in np.unique(self.lengths):
            rows = np.flatnonzero(self.lengths == length)
            share = max(min(len(rows), 12), round(count * len(rows) / len(self)))
            chosen.append(np.sort(rng.permutation(rows)[:share]))
        heavy = np.flatnonzero(self.weights > self.weights.min())  # counterexamples, which a sample would miss
        return self.take(np.unique(np.concatenate([*chosen, heavy])))


def encoded(
    pairs: Pairs,
    vocab: Sequence[str],
    labels: Sequence[str],
    length: int,
    *,
    weights: np.ndarray | Sequence[float] | None = None,
    masked: Sequence[int] = (),
) -> Data:
    """Examples as ids of a vocabulary and of labels.

    Args:
        pairs: inputs and targets.
        vocab, labels: ids are indices.
        length: N, the most tokens.
        weights: one an example; 1 each if not given.
        masked: labels that no target may have.

    Raises:
        InputError: no example, a token or label that is not in its list, a masked label, weights that are negative.
        ShapeError: another number of weights, an input that is too long.
        NotApplicable: nothing is scored.
    """
    if not len(pairs):
        raise InputError("pairs", found="no example", expected="at least one")
    targets = encode_targets(pairs.targets, labels, length)
    given = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=float)
    if given.shape != (len(pairs),):
        raise ShapeError("weights", found=f"shape {given.shape}", expected=f"({len(pairs)},), one an example")
    if not np.isfinite(given).all() or given.min() < 0 or given.sum() <= 0:
        raise InputError("weights", found="a negative or infinite weight, or only zeros", expected="weights >= 0")
    if not (targets != UNSCORED).any():
        raise NotApplicable("targets", found="no scored position", expected="at least one label")
    if len(masked) and np.isin(targets, list(masked)).any():
        raise InputError("targets", found="a masked label", expected="labels that the program may predict")
    inputs = pairs.inputs
    return Data(
        ids=encode_inputs(inputs, vocab, length),
        lengths=np.array([len(tokens) for tokens in inputs]),
        targets=targets,
        weights=given,
    )


def joined(first: Data, second: Data) -> Data:
    """Both, one after the other."""
    return Data(
        ids=np.concatenate([first.ids, second.ids]),
        lengths=np.concatenate([first.lengths, second.lengths]),
        targets=np.concatenate([first.targets, second.targets]),
        weights=np.concatenate([first.weights, second.weights]),
    )
