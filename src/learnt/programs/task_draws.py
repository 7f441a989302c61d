"""How are examples of the synthetic tasks drawn? Exactly as in the reference code: NumPy's legacy generator, by seed.

    for each example: a length, then the tokens (reverse, sort, histograms, most_freq)
    until `size` distinct inputs, or 5 * size draws                                       [spec 2.1]

`RandomState(seed)` is the stream behind `numpy.random.seed(seed)`, without touching the global one, and
`alphabet[randint(n, size)]` consumes it exactly as `choice(alphabet, size)` does, in a third of the time. Lengths are
uniform, so short inputs are over-represented and mostly duplicates. The reference draws 2, 3, 4, 5 times `size`, each
time from the start, until enough are distinct; one stream that stops in time gives the same examples.

Distinct means distinct *text* there: tokens joined without a space, so that at V = 16 ("1", "0") and ("10") are one.
This is kept, because otherwise the examples would be others; it loses a few inputs and repeats none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from learnt.core.errors import InputError
from learnt.programs.task_encoding import Tokens

Stream = Callable[[np.random.RandomState], Iterator[Tokens]]


def word_stream(
    letters: Sequence[str], shortest: int, longest: int, *, before: Tokens = (), after: Tokens = ()
) -> Stream:
    """An endless stream of words: length uniform in `shortest` to `longest`, then uniform letters.

    Args:
        letters: the tokens of words.
        shortest, longest: letters of a word.
        before, after: tokens around it.
    """

    def stream(random: np.random.RandomState) -> Iterator[Tokens]:
        while True:
            length = random.randint(shortest, longest + 1)
            indices: list[int] = random.randint(0, len(letters), size=length).tolist()
            yield before + tuple([letters[i] for i in indices]) + after

    return stream


def draw(stream: Stream, size: int, seed: int, *, unique: bool = True, failures: bool = False) -> list[Tokens]:
    """The examples of the reference for this seed.

    Args:
        stream: the task's.
        size: how many are wanted.
        seed: 0 to 2**32 - 1, as for `numpy.random.seed`.
        unique: keep the first of equal inputs only.
        failures: give up after 10 * size repetitions (induction) instead of 5 * size draws (all others).

    Raises:
        InputError: a size below 1, a seed outside the range.
    """
    if size < 1:
        raise InputError("size", found=str(size), expected="at least 1")
    if not 0 <= seed < 2**32:
        raise InputError("seed", found=str(seed), expected="an integer from 0 to 4,294,967,295")
    kept: dict[str | int, Tokens] = {}
    drawn = 0
    for tokens in stream(np.random.RandomState(seed)):
        kept.setdefault("".join(tokens) if unique else drawn, tokens)
        drawn += 1
        if len(kept) == size or (drawn - len(kept) > 10 * size if failures else drawn == 5 * size):
            break
    return list(kept.values())
