"""How does text become a task? Words, length filter, vocabulary, marks: the steps of the reference, for any corpus.

    words -> [lower case] -> [runs of digits become "@"] -> keep min_length <= words <= max_length - 2
    vocabulary: <pad>, <unk>, then the `vocab_size` most frequent of the training part, first seen first among equals
    input: <s> words </s>;  target: one tag a word, or the class at position 0                       [spec 2.1, 2.2]

arXiv 2306.01128. As in the code, the marks count as words of the vocabulary, and the length
filter holds for the test part too, so that accuracies are about short sentences. Different from the code: a label that
only the test part shows is scored (there it is dropped); words are found by the rule of `treebank_words`, close to
NLTK's tokenizer, which the code uses; copies of a sentence never sit in both training and carved validation part.
The parts of a corpus are fixed: the seed of `Task.split` changes nothing, as in the code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from learnt.core.errors import InputError
from learnt.programs.task import Task
from learnt.programs.task_encoding import END, PAD, START, UNK, Tokens
from learnt.programs.task_split import Pairs, Split, held_out

Words = Callable[[str], Sequence[str]]
SPECIAL = frozenset((PAD, UNK, START, END))

_WORD = re.compile(
    r"\w+(?=n't\b)|n't\b|'(?:s|re|ve|ll|d|m)\b|``|''|\.\.\.|--|"  # clitics and marks of several characters
    r"(?:\w\.){2,}|[A-Z]\w{0,3}\.(?=\s+\w)|"  # initials and abbreviations keep their full stop
    r"\d+(?:[.,]\d+)+|\w+(?:[-/]\w+)*|[^\w\s]",
)
_DIGITS = re.compile(r"[0-9]+")
_BLANK = re.compile(r"[ \t\f\v\r\n]+")  # not str.split(): that also cuts at 0x85 and no-break spaces


def treebank_words(text: str) -> list[str]:
    """Words and punctuation, clitics apart ("don't" -> "do", "n't"), close to the Penn Treebank's rules.

    Args:
        text: of one sentence or more.
    """
    return _WORD.findall(text)


def blank_separated(text: str) -> list[str]:
    """What stands between blanks, for text whose words are already apart.

    Args:
        text: with blanks between its words.
    """
    return [word for word in _BLANK.split(text) if word]


def language_task(
    name: str,
    train: Pairs,
    validation: Pairs | None,
    test: Pairs,
    *,
    vocab_size: int,
    max_length: int,
    min_length: int = 1,
    lower: bool = False,
    replace_numbers: bool = False,
    pool: bool = False,
    metric: str = "tokens",
) -> Task:
    """A task from the three parts of a corpus.

    Args:
        name: shown in reports.
        train, validation, test: words without marks, and one tag a word (`pool`: the class, then `<pad>`). Without a
            validation part a tenth of the training part becomes one.
        vocab_size: how many words the vocabulary keeps; all others are read as `<unk>`.
        max_length: N, tokens of the longest input with both marks.
        min_length: words of the shortest input.
        lower: turn words into lower case.
        replace_numbers: turn each run of digits into "@".
        pool, metric: as the attributes of `Task`.

    Raises:
        InputError: sizes without meaning, or a part in which no sentence is short enough.
    """
    if vocab_size < 1:
        raise InputError("vocab_size", found=str(vocab_size), expected="at least 1")
    if not 1 <= min_length <= max_length - 2:
        raise InputError("max_length", found=f"{max_length}", expected=f"at least {max(min_length, 1) + 2}, with marks")
    if validation is None:
        train, validation = held_out(train, 0)

    def written(word: str) -> str:
        word = word.lower() if lower else word
        word = _DIGITS.sub("@", word) if replace_numbers else word
        return UNK if word in SPECIAL else word

    def prepared(part: Pairs, which: str) -> Pairs:
        kept = [(words, tags) for words, tags in part if min_length <= len(words) <= max_length - 2]
        if not kept:
            raise InputError(
                f"max_length of {name}", found=f"no sentence of {min_length} to {max_length - 2} words in the {which}",
                expected="at least one",
            )  # fmt: skip
        if pool:
            targets = [(tags[0], *[PAD] * (len(words) + 1)) for words, tags in kept]
        else:
            targets = [(PAD, *tags, PAD) for _, tags in kept]
        return Pairs(inputs=tuple((START, *map(written, words), END) for words, _ in kept), targets=tuple(targets))

    parts = Split(
        train=prepared(train, "training part"),
        validation=prepared(validation, "validation part"),
        test=prepared(test, "test part"),
    )
    labels = {label for part in (parts.train, parts.validation, parts.test) for row in part.targets for label in row}
    return Task(
        name=name, vocab=vocabulary(parts.train.inputs, vocab_size), labels=tuple(sorted(labels - {PAD})),
        max_length=max_length, parts=lambda seed: parts, pool=pool, metric=metric,
    )  # fmt: skip


def vocabulary(inputs: Iterable[Sequence[str]], size: int) -> Tokens:
    """`<pad>`, `<unk>`, and the `size` most frequent tokens; among equally frequent ones the first seen.

    Args:
        inputs: of the training part.
        size: how many tokens are kept, beside the two special ones.
    """
    counts = Counter(token for tokens in inputs for token in tokens if token not in (PAD, UNK))
    return (PAD, UNK, *[token for token, _ in counts.most_common(size)])
