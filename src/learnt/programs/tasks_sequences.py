"""The RASP tasks on sequences: reverse, sort, hist, double_hist, most_freq, and in-context induction.

    reverse      <s> 0 3 1 </s>  ->  1 3 0
    sort         <s> 3 1 4 </s>  ->  1 3 4      in the order of text: "10" before "2" when there are so many tokens
    hist         <s> 2 5 5       ->  1 2 2      how often this token occurs
    double_hist  <s> 2 5 5 3     ->  2 1 1 2    how many different tokens occur as often as this one
    most_freq    <s> 4 0 0       ->  0 4 <s>    tokens by falling count, then by first place; filled up with <s>
    induction    <s> a 1 b 2 a   ->  at a letter seen before its digit, at a new one <unk>; elsewhere not scored

Friedman, Wettig, Chen (2023), arXiv 2306.01128; the generators are those of the authors'
code (spec 2.1), example by example: `vocab_size` V counts the special tokens, `max_length` N counts the marks.

Different from the code: labels are all possible ones, not those that the training part happens to hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from string import ascii_lowercase

import numpy as np

from learnt.core.errors import InputError
from learnt.programs.task import Task
from learnt.programs.task_domain import Domain, number_of_words, words_over
from learnt.programs.task_draws import Stream, draw, word_stream
from learnt.programs.task_encoding import END, PAD, START, UNK, Tokens
from learnt.programs.task_split import shuffled
from learnt.run.seeds import derive

Oracle = Callable[[Sequence[str]], Tokens]
SIZE = 20_000  # distinct examples, as in the paper


def reverse_answer(tokens: Sequence[str]) -> Tokens:
    """The target of reverse for an input with both marks.

    Args:
        tokens: `<s>`, the sequence, `</s>`.
    """
    return (PAD, *tokens[-2:0:-1], PAD)


def sort_answer(tokens: Sequence[str]) -> Tokens:
    """The target of sort for an input with both marks; tokens compare as text.

    Args:
        tokens: `<s>`, the sequence, `</s>`.
    """
    return (PAD, *sorted(tokens[1:-1]), PAD)


def hist_answer(tokens: Sequence[str]) -> Tokens:
    """The target of hist: how often each token occurs.

    Args:
        tokens: `<s>` and the sequence.
    """
    counts = Counter(tokens[1:])
    return (PAD, *[str(counts[token]) for token in tokens[1:]])


def double_hist_answer(tokens: Sequence[str]) -> Tokens:
    """The target of double_hist: how many different tokens occur as often as this one.

    Args:
        tokens: `<s>` and the sequence.
    """
    counts = Counter(tokens[1:])
    alike = Counter(counts.values())
    return (PAD, *[str(alike[counts[token]]) for token in tokens[1:]])


def most_freq_answer(tokens: Sequence[str]) -> Tokens:
    """The target of most_freq: different tokens by (-count, first place), filled up with `<s>`.

    Args:
        tokens: `<s>` and the sequence.
    """
    ranked = [token for token, _ in Counter(tokens[1:]).most_common()]  # stable: ties in order of first place
    return (PAD, *ranked, *[START] * (len(tokens) - 1 - len(ranked)))


def induction_answer(tokens: Sequence[str]) -> Tokens:
    """The target of induction: at a letter the digit that followed it last time, `<unk>` if there was none.

    Args:
        tokens: `<s>`, then letters and digits.
    """
    known: dict[str, str] = {}
    answer = []
    for i, token in enumerate(tokens):
        is_letter = token.isalpha()
        answer.append(known.get(token, UNK) if is_letter else PAD)
        if i and not is_letter and tokens[i - 1].isalpha():
            known[tokens[i - 1]] = token
    return tuple(answer)


def reverse(
    vocab_size: int = 8, max_length: int = 8, *, min_length: int = 1, size: int = SIZE, unique: bool = True
) -> Task:
    """Reverse a sequence of 1 to N - 2 of the V - 3 tokens "0", "1", ...

    Args:
        vocab_size: V, with `<pad>`, `<s>`, `</s>`.
        max_length: N, with both marks.
        min_length: of the sequence without marks.
        size: distinct examples; fewer where five times as many draws do not give them (V = N = 8: 14,124).
        unique: keep the first of equal inputs only.

    Raises:
        InputError: no token or no length left.
    """
    return _marked("reverse", reverse_answer, vocab_size, max_length, min_length, size, unique)


def sort(
    vocab_size: int = 8, max_length: int = 8, *, min_length: int = 1, size: int = SIZE, unique: bool = True
) -> Task:
    """Sort a sequence of 1 to N - 2 of the V - 3 tokens "0", "1", ... as text.

    Args:
        vocab_size: V, with `<pad>`, `<s>`, `</s>`.
        max_length: N, with both marks.
        min_length: of the sequence without marks.
        size: distinct examples.
        unique: keep the first of equal inputs only.

    Raises:
        InputError: no token or no length left, a size below 3.
    """
    return _marked("sort", sort_answer, vocab_size, max_length, min_length, size, unique)


def hist(
    vocab_size: int = 8, max_length: int = 8, *, min_length: int = 1, size: int = SIZE, unique: bool = True
) -> Task:
    """Count each token's occurrences in a sequence of 1 to N - 1 of V - 2 tokens.

    Args:
        vocab_size: V, with `<pad>`, `<s>`.
        max_length: N, with `<s>`.
        min_length: of the sequence without marks.
        size: distinct examples.
        unique: keep the first of equal inputs only.

    Raises:
        InputError: no token or no length left, a size below 3.
    """
    labels = [str(count) for count in range(1, max_length)]
    return _open("hist", hist_answer, labels, vocab_size, max_length, min_length, size, unique)


def double_hist(
    vocab_size: int = 8, max_length: int = 8, *, min_length: int = 1, size: int = SIZE, unique: bool = True
) -> Task:
    """Count the different tokens that occur as often as this one; inputs as `hist`.

    Args:
        vocab_size: V, with `<pad>`, `<s>`.
        max_length: N, with `<s>`.
        min_length: of the sequence without marks.
        size: distinct examples.
        unique: keep the first of equal inputs only.

    Raises:
        InputError: no token or no length left, a size below 3.
    """
    labels = [str(count) for count in range(1, min(vocab_size - 2, max_length - 1) + 1)]
    return _open("double_hist", double_hist_answer, labels, vocab_size, max_length, min_length, size, unique)


def most_freq(
    vocab_size: int = 8, max_length: int = 8, *, min_length: int = 1, size: int = SIZE, unique: bool = True
) -> Task:
    """List different tokens by falling frequency; inputs as `hist`.

    Args:
        vocab_size: V, with `<pad>`, `<s>`.
        max_length: N, with `<s>`.
        min_length: of the sequence without marks.
        size: distinct examples.
        unique: keep the first of equal inputs only.

    Raises:
        InputError: no token or no length left, a size below 3.
    """
    labels = [*_digits(vocab_size - 2), START]
    return _open("most_freq", most_freq_answer, labels, vocab_size, max_length, min_length, size, unique)


def induction(
    vocab_size: int = 10, max_length: int = 9, *, min_length: int = 9, size: int = SIZE, unique: bool = True
) -> Task:
    """In-context induction: pairs of a letter and its digit, then complete the pair of a letter seen before.

    Args:
        vocab_size: V; (V - 2) // 2 letters and as many digits.
        max_length: pairs are at most max_length // 2; inputs have two tokens more (10 by default).
        min_length: pairs are at least min_length // 2.
        size: distinct examples.
        unique: keep the first of equal inputs only.

    Raises:
        InputError: no letter, more than 26, or no pair left.
    """
    count, fewest, most = (vocab_size - 2) // 2, min_length // 2, max_length // 2
    if not 1 <= count <= 26:
        raise InputError("vocab_size", found=str(vocab_size), expected="4 to 55: one to 26 letters and as many digits")
    if not 1 <= fewest <= most:
        raise InputError("min_length", found=f"{min_length} of {max_length}", expected="2 <= min_length <= max_length")
    letters, digits = list(ascii_lowercase[:count]), _digits(count)

    def stream(random: np.random.RandomState) -> Iterator[Tokens]:
        while True:
            pairs = random.randint(fewest, most + 1)
            partner = random.randint(0, count, size=count).tolist()
            chosen = random.randint(0, count, size=pairs).tolist()
            body = [token for letter in chosen for token in (letters[letter], digits[partner[letter]])]
            if random.randint(0, 2):
                yield (START, digits[random.randint(0, count)], *body)
            else:
                yield (START, *body, letters[random.randint(0, count)])

    def walk() -> Iterator[Tokens]:
        for pairs in range(fewest, most + 1):
            for chosen in product(letters, repeat=pairs):
                different = list(dict.fromkeys(chosen))
                for values in product(digits, repeat=len(different)):
                    partner = dict(zip(different, values, strict=True))
                    body = [token for letter in chosen for token in (letter, partner[letter])]
                    yield from ((START, digit, *body) for digit in digits)
                    yield from ((START, *body, letter) for letter in letters)

    return generated_task(
        "induction", induction_answer, stream, tokens=[*letters, *digits, START], labels=sorted([*digits, UNK]),
        max_length=2 * most + 2, size=size, unique=unique, failures=True, causal=True,
        walk=walk, total=2 * count * sum(_consistent(count, pairs) for pairs in range(fewest, most + 1)),
    )  # fmt: skip


def generated_task(
    name: str,
    oracle: Oracle,
    stream: Stream,
    *,
    tokens: Sequence[str],
    labels: Sequence[str],
    max_length: int,
    size: int,
    walk: Callable[[], Iterator[Tokens]],
    total: int,
    unique: bool = True,
    failures: bool = False,
    causal: bool = False,
) -> Task:
    """A task from a stream of inputs and an oracle.

    Args:
        name: of the task.
        oracle: input -> target.
        stream: endless inputs from a generator, see `learnt.programs.task_draws`.
        tokens: the vocabulary without `<pad>`; it is sorted as the reference does.
        labels: all possible answers.
        max_length: N.
        size, unique, failures: as `learnt.programs.task_draws.draw`.
        walk, total: all inputs, and their number.
        causal: as `Task.causal`.

    Raises:
        InputError: a size below 3.
    """
    if size < 3:
        raise InputError("size", found=str(size), expected="at least 3, one a part of the split")

    def pairs(count: int, seed: int, *, distinct: bool) -> list[Tokens]:
        return draw(stream, count, seed, unique=distinct, failures=failures)

    task = Task(
        name=name, vocab=(PAD, *sorted(tokens)), labels=tuple(labels), max_length=max_length, oracle=oracle,
        causal=causal, parts=lambda seed: shuffled(task.answer(pairs(size, seed, distinct=unique)), seed),
        space=Domain(
            size=total, walk=walk,
            draw=lambda count, seed: pairs(count, derive(seed, "domain", name) % 2**32, distinct=False),
        ),
    )  # fmt: skip
    return task


def word_task(
    name: str,
    oracle: Oracle,
    *,
    letters: Sequence[str],
    labels: Sequence[str],
    shortest: int,
    longest: int,
    size: int = SIZE,
    unique: bool = True,
    causal: bool = False,
    after: Tokens = (),
) -> Task:
    """A task on all words over `letters` of `shortest` to `longest` tokens, between `<s>` and `after`.

    Args:
        name: of the task.
        oracle: input -> target.
        letters: the tokens of words.
        labels: all possible answers.
        shortest, longest: letters of a word.
        size, unique: as `learnt.programs.task_draws.draw`.
        causal: as `Task.causal`.
        after: tokens behind the word.

    Raises:
        InputError: a size below 3.
    """
    return generated_task(
        name, oracle, word_stream(letters, shortest, longest, before=(START,), after=after),
        tokens=[*letters, START, *after], labels=labels, max_length=longest + 1 + len(after),
        size=size, unique=unique, causal=causal,
        walk=words_over(letters, shortest, longest, before=(START,), after=after),
        total=number_of_words(len(letters), shortest, longest),
    )  # fmt: skip


def _marked(name: str, oracle: Oracle, v: int, n: int, shortest: int, size: int, unique: bool) -> Task:
    _check(v, 4, n, shortest, n - 2)
    letters = _digits(v - 3)
    return word_task(
        name, oracle, letters=letters, labels=sorted(letters), shortest=shortest, longest=n - 2, size=size,
        unique=unique, after=(END,),
    )  # fmt: skip


def _open(name: str, oracle: Oracle, labels: list[str], v: int, n: int, shortest: int, size: int, unique: bool) -> Task:
    _check(v, 3, n, shortest, n - 1)
    return word_task(
        name, oracle, letters=_digits(v - 2), labels=sorted(labels), shortest=shortest, longest=n - 1, size=size,
        unique=unique,
    )  # fmt: skip


def _check(v: int, fewest: int, n: int, shortest: int, longest: int) -> None:
    if v < fewest:
        raise InputError("vocab_size", found=str(v), expected=f"at least {fewest}: special tokens and one more")
    if not 1 <= shortest <= longest:
        raise InputError(
            "max_length", found=f"{n}, with min_length {shortest}", expected="room for the marks and one length"
        )


def _digits(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def _consistent(letters: int, pairs: int) -> int:
    """Sequences of `pairs` (letter, digit) in which equal letters have equal digits; as many digits as letters."""
    ways = {0: 1}  # different letters so far -> sequences
    for _ in range(pairs):
        grown: dict[int, int] = {}
        for used, number in ways.items():
            grown[used] = grown.get(used, 0) + number * used
            if used < letters:
                grown[used + 1] = grown.get(used + 1, 0) + number * (letters - used) * letters
        ways = grown
    return sum(ways.values())
