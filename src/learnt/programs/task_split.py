"""Which examples are for training, for choosing, for the test? Parts that share no input, by seed.

The split is that of the reference code (a permutation of the legacy NumPy generator, as scikit-learn draws it:
ceil(n / 10) for the test, then ceil of a tenth of the rest for validation; numbers checked in the tests), over
*distinct* inputs: copies of one input never sit on two sides. The reference splits rows, which is the same where all
are distinct.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import final

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.programs.task_encoding import PAD, Tokens

FRACTION = 0.1  # of the rows for the test, and of the rest for validation


@final
@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Inputs and their targets; `<pad>` in a target means that the position is not scored."""

    inputs: tuple[Tokens, ...]
    targets: tuple[Tokens, ...]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ShapeError("targets", found=f"{len(self.targets)}", expected=f"{len(self.inputs)}, one an input")
        for row, (source, target) in enumerate(zip(self.inputs, self.targets, strict=True)):
            if len(source) != len(target):
                raise ShapeError(
                    f"targets[{row}]", found=f"{len(target)} labels", expected=f"{len(source)}, one a token"
                )

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[tuple[Tokens, Tokens]]:
        return iter(zip(self.inputs, self.targets, strict=True))

    def take(self, rows: Sequence[int] | np.ndarray) -> Pairs:
        """The pairs at these positions.

        Args:
            rows: of the pairs, in the order wanted.
        """
        chosen = [int(row) for row in rows]
        return Pairs(
            inputs=tuple(self.inputs[row] for row in chosen), targets=tuple(self.targets[row] for row in chosen)
        )


@final
@dataclass(frozen=True, kw_only=True)
class Split:
    """Training, validation and test pairs."""

    train: Pairs
    validation: Pairs
    test: Pairs

    def unseen_labels(self) -> tuple[str, ...]:
        """Labels of validation or test that no training target shows; they are scored all the same."""
        seen = {label for target in self.train.targets for label in target}
        other = {label for part in (self.validation, self.test) for target in part.targets for label in target}
        return tuple(sorted(other - seen - {PAD}))


def shuffled(pairs: Pairs, seed: int) -> Split:
    """The split of the reference over distinct inputs: a tenth for the test, a tenth of the rest for validation.

    Args:
        pairs: all of them.
        seed: of both draws.
    """
    rest, test = held_out(pairs, seed)
    train, validation = held_out(rest, seed)
    return Split(train=train, validation=validation, test=test)


def held_out(pairs: Pairs, seed: int, fraction: float = FRACTION) -> tuple[Pairs, Pairs]:
    """(rest, held out) with ceil(fraction * n) of the n distinct inputs held out; copies of an input stay together.

    With all inputs distinct, the same rows in the same order as
    ``sklearn.model_selection.train_test_split(..., test_size=fraction, random_state=seed)``.

    Args:
        pairs: to be split.
        seed: of the draw.
        fraction: of the distinct inputs that is held out.

    Raises:
        InputError: fewer than two distinct inputs.
    """
    places: dict[Tokens, list[int]] = {}
    for row, tokens in enumerate(pairs.inputs):
        places.setdefault(tokens, []).append(row)
    groups = list(places.values())
    if len(groups) < 2:
        raise InputError("inputs", found=f"{len(groups)} distinct", expected="at least 2 to split")
    order = np.random.RandomState(seed % 2**32).permutation(len(groups))
    cut = min(ceil(fraction * len(groups)), len(groups) - 1)
    chosen, kept = ([row for group in part for row in groups[group]] for part in (order[:cut], order[cut:]))
    return pairs.take(kept), pairs.take(chosen)
