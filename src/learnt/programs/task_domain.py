"""On which inputs must a program be right? A finite list, shortest first, or a generator of samples.

A claim about all inputs needs the whole list; where it is too long (dyck2 has 4^15 inputs) or unknown (language),
the claim is about a sample and must say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import final

from learnt.core.errors import InputError
from learnt.programs.task_encoding import Tokens

ENUMERABLE = 2_000_000  # inputs that a domain will still list one by one: some 500 MB as tuples


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Domain:
    """The inputs of a task.

    Attributes:
        size: how many inputs `walk` gives.
        walk: all of them, shortest first, then in the order of the alphabet; a new iterator each time.
        draw: (count, seed) -> that many random inputs, repetitions possible.
        complete: whether `walk` gives every possible input, or only the known ones.
    """

    size: int
    walk: Callable[[], Iterator[Tokens]]
    draw: Callable[[int, int], list[Tokens]]
    complete: bool = True

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Tokens]:
        return self.walk()

    @property
    def enumerable(self) -> bool:
        """Whether all inputs are known and few enough (two million) to be listed."""
        return self.complete and self.size <= ENUMERABLE

    def sample(self, count: int, *, seed: int = 0) -> list[Tokens]:
        """`count` random inputs; the same for the same seed.

        Args:
            count: how many.
            seed: of the draws.

        Raises:
            InputError: a count below 1.
        """
        if count < 1:
            raise InputError("count", found=str(count), expected="at least 1")
        return self.draw(count, seed)

    def cover(self, most: int = ENUMERABLE, *, samples: int = 10_000, seed: int = 0) -> tuple[list[Tokens], bool]:
        """(inputs, whether they are all): everything if that is at most `most` inputs, else a sample.

        Args:
            most: the largest domain that is taken whole.
            samples, seed: how many inputs of a larger one are drawn, and from which stream.
        """
        if self.complete and self.size <= most:
            return list(self.walk()), True
        return self.sample(samples, seed=seed), False


def words_over(
    alphabet: Sequence[str], shortest: int, longest: int, *, before: Tokens = (), after: Tokens = ()
) -> Callable[[], Iterator[Tokens]]:
    """Every word over `alphabet` of `shortest` to `longest` letters between fixed tokens, as `Domain.walk` wants it.

    Args:
        alphabet: the letters.
        shortest, longest: letters of a word.
        before, after: tokens around it.
    """

    def walk() -> Iterator[Tokens]:
        for length in range(shortest, longest + 1):
            for word in product(alphabet, repeat=length):
                yield before + word + after

    return walk


def number_of_words(letters: int, shortest: int, longest: int) -> int:
    """How many words over an alphabet of `letters` have `shortest` to `longest` of them.

    Args:
        letters: of the alphabet.
        shortest, longest: letters of a word.
    """
    if letters == 1:
        return longest - shortest + 1
    return (letters ** (longest + 1) - letters**shortest) // (letters - 1)


def large(number: int) -> str:
    """A number of inputs as text; from 10^15 on its power of ten, for there may be thousands of digits."""
    return f"{number:,}" if number < 10**15 else f"about 10^{math.log10(number):.0f}"
