"""Training, validation and test parts of a set, by seed: stratified, disjoint, the same on every machine.

Which side an example falls on depends on the hash of its input and the seed, so that the order of the file changes
nothing and exact duplicates of one class never sit on both sides. In each class, the examples with the
round(fraction * n_class) smallest hashes are taken (at least one, and at least one stays).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from learnt.core.errors import InputError
from learnt.core.examples import Examples, mix
from learnt.run.seeds import derive

SPLITS = ("train", "validation", "test", "all")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a source holds: functions that read each part, so that only the files asked for are opened.

    Attributes:
        train: the training part, or the whole set where the source has no official split.
        validation, test: the official ones, or None; then they are carved out of `train`.
        standardise: scale each column by the mean and standard deviation of the training part.
    """

    train: Callable[[], Examples]
    validation: Callable[[], Examples] | None = None
    test: Callable[[], Examples] | None = None
    standardise: bool = False


def stratified(examples: Examples, fraction: float, *, stream: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (rest, chosen) with about `fraction` of each class chosen; both sorted, together everything.

    Args:
        examples: classes are balanced if labels are class indices, otherwise all examples are one group.
        fraction: in (0, 1).
        stream: salt of the hash; give each use its own (see `learnt.run.seeds.derive`).

    Raises:
        InputError: for a fraction outside (0, 1), or if every group has one example only.
    """
    if not 0.0 < fraction < 1.0:
        raise InputError("fraction", found=repr(fraction), expected="a number between 0 and 1")
    ranks = mix(examples.keys, stream)
    labels = examples.labels
    groups = np.zeros(len(examples), np.int64)
    if labels is not None and examples.is_classification:
        groups = labels.numpy()
    chosen = np.zeros(len(examples), bool)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        distinct = np.unique(ranks[rows])
        if len(distinct) < 2:
            continue  # a class of one example stays in the rest
        count = min(max(round(fraction * len(distinct)), 1), len(distinct) - 1)
        chosen[rows] = ranks[rows] <= distinct[count - 1]
    if not chosen.any():
        raise InputError(
            "split",
            found=f"{len(examples)} examples, no two different ones of one class",
            expected="enough examples to split",
            remedy="Use split='all', for tables with standardise=False.",
        )
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def part(parts: Parts, split: str, *, seed: int, validation: float, test: float) -> Examples:
    """The part named `split` of a source.

    Args:
        parts: the source.
        split: "train" (without validation), "validation", "test" or "all".
        seed: of the parts that are not official.
        validation: fraction of the training examples kept for validation.
        test: fraction of all examples kept for the test where the source has no official one.
    """
    if split not in SPLITS:
        raise InputError("split", found=repr(split), expected=f"one of {', '.join(SPLITS)}")
    chosen = _raw_part(parts, split, seed, validation, test)
    if not parts.standardise:
        return chosen
    train = chosen if split == "train" else _raw_part(parts, "train", seed, validation, test)
    return standardised(chosen, train)


def _raw_part(parts: Parts, split: str, seed: int, validation: float, test: float) -> Examples:
    if split == "test" and parts.test is not None:
        return parts.test()
    if split == "validation" and parts.validation is not None:
        return parts.validation()
    whole = parts.train()
    if split == "all":
        return joined([whole] + [read() for read in (parts.validation, parts.test) if read is not None])
    if parts.test is None:
        rest, held_out = stratified(whole, test, stream=derive("data", "test", seed))
        if split == "test":
            return whole.take(held_out)
        whole = whole.take(rest)
    if parts.validation is not None:
        return whole
    rest, held_out = stratified(whole, validation, stream=derive("data", "validation", seed))
    return whole.take(held_out if split == "validation" else rest)


def joined(pieces: list[Examples]) -> Examples:
    """The examples of all pieces in order; masks and labels only where all have them."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    labels = [piece.labels for piece in pieces if piece.labels is not None]
    masks = [piece.masks for piece in pieces if piece.masks is not None]
    return replace(
        first,
        inputs=torch.cat([piece.inputs for piece in pieces]),
        labels=torch.cat(labels) if len(labels) == len(pieces) else None,
        masks=torch.cat(masks) if len(masks) == len(pieces) else None,
        factors={},
    )


def standardised(examples: Examples, train: Examples) -> Examples:
    """(x - mean) / deviation for each column, both of `train`; columns that are constant there are centred only."""
    mean = train.inputs.double().mean(0)
    deviation = train.inputs.double().std(0, correction=0)
    deviation = torch.where(deviation > 1e-12 * (1 + mean.abs()), deviation, torch.ones_like(deviation))
    return replace(examples, inputs=((examples.inputs.double() - mean) / deviation).to(train.inputs.dtype))
