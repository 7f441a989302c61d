"""Text classification as a task: TREC questions, movie reviews, subjectivity, AG news, from files that you have.

    TREC      TREC.train, TREC.test                    "NUM:dist How far is it ?": six coarse classes, 50 or so fine
    MR        rt-polarity.pos, rt-polarity.neg         one sentence a line; each file 80, 10, 10 per cent in its order
    Subj      subj.subjective, subj.objective          one sentence a line; a fifth for the test
    AG news   train.csv, test.csv                      "3","title","description": class, then text

Settings of arXiv 2306.01128 (spec 2.2): 10,000 words, at most 62 of them, a tenth of the training
part as validation where there is none. The authors load these corpora in the copies of the Hugging Face hub. The MR
split has the sizes of that copy (8,530, 1,066, 1,066); the Subj split has its sizes (8,000, 2,000 before the
validation part is carved), not its rows, which are unknown here.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable

from learnt.core.errors import InputError
from learnt.io.reading import printable
from learnt.io.textlines import read_lines
from learnt.programs.task import Task
from learnt.programs.task_encoding import PAD, Tokens
from learnt.programs.task_split import Pairs, held_out
from learnt.programs.tasks_language import Words, language_task, treebank_words
from learnt.programs.tasks_ner import present

COARSE = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
AG_CLASSES = ("World", "Sports", "Business", "Sci/Tech")
Rows = list[tuple[Tokens, str]]
Folder = str | os.PathLike[str]


def trec(
    folder: Folder,
    *,
    fine: bool = False,
    vocab_size: int = 10_000,
    max_length: int = 64,
    min_length: int = 1,
    lower: bool = False,
    words: Words = treebank_words,
) -> Task:
    """TREC questions: what kind of answer is asked for?

    Args:
        folder: where `TREC.train` and `TREC.test` lie.
        fine: the fine classes instead of the six coarse ones.
        vocab_size, max_length, min_length, lower: as `learnt.programs.tasks_language.language_task`.
        words: text -> its words.

    Raises:
        StorageError: a file is missing. InputError: a line without class, an empty file.
    """
    train = _trec(present(folder, ("TREC.train", "train_5500.label")), fine, words)
    test = _trec(present(folder, ("TREC.test", "TREC_10.label")), fine, words)
    return language_task(
        "trec", _pairs(train), None, _pairs(test), vocab_size=vocab_size, max_length=max_length, min_length=min_length,
        lower=lower, pool=True,
    )  # fmt: skip


def mr(
    folder: Folder,
    *,
    vocab_size: int = 10_000,
    max_length: int = 64,
    min_length: int = 1,
    lower: bool = False,
    words: Words = treebank_words,
) -> Task:
    """Movie-review sentences: positive or negative? `rt-polarity.pos` and `rt-polarity.neg`.

    Args:
        folder: where the files lie.
        vocab_size, max_length, min_length, lower: as `learnt.programs.tasks_language.language_task`.
        words: text -> its words.

    Raises:
        StorageError: a file is missing. InputError: an empty file.
    """
    parts: tuple[Rows, Rows, Rows] = ([], [], [])
    for label, name in (("Positive", "rt-polarity.pos"), ("Negative", "rt-polarity.neg")):
        rows = _sentences(present(folder, (name,)), label, words)
        first, second = int(0.8 * len(rows) + 0.5), int(0.9 * len(rows) + 0.5)
        for part, share in zip(parts, (rows[:first], rows[first:second], rows[second:]), strict=True):
            part.extend(share)
    train, validation, test = (_pairs(part) for part in parts)
    return language_task(
        "mr", train, validation, test, vocab_size=vocab_size, max_length=max_length, min_length=min_length,
        lower=lower, pool=True,
    )  # fmt: skip


def subj(
    folder: Folder,
    *,
    vocab_size: int = 10_000,
    max_length: int = 64,
    min_length: int = 1,
    lower: bool = False,
    words: Words = treebank_words,
) -> Task:
    """Sentences: subjective or objective? `subj.subjective` and `subj.objective`.

    Args:
        folder: where the files lie.
        vocab_size, max_length, min_length, lower: as `learnt.programs.tasks_language.language_task`.
        words: text -> its words.

    Raises:
        StorageError: a file is missing. InputError: an empty file.
    """
    rows: Rows = []
    for label, names in (
        ("Objective", ("subj.objective", "plot.tok.gt9.5000")),
        ("Subjective", ("subj.subjective", "quote.tok.gt9.5000")),
    ):
        rows += _sentences(present(folder, names), label, words)
    train, test = held_out(_pairs(rows), 0, 0.2)
    return language_task(
        "subj", train, None, test, vocab_size=vocab_size, max_length=max_length, min_length=min_length, lower=lower,
        pool=True,
    )  # fmt: skip


def ag_news(
    folder: Folder,
    *,
    vocab_size: int = 10_000,
    max_length: int = 64,
    min_length: int = 1,
    lower: bool = False,
    words: Words = treebank_words,
) -> Task:
    """News: world, sports, business or science? `train.csv` and `test.csv` without header.

    Args:
        folder: where the files lie.
        vocab_size, max_length, min_length, lower: as `learnt.programs.tasks_language.language_task`.
        words: text -> its words.

    Raises:
        StorageError: a file is missing. InputError: a row that is not a class from 1 to 4, a title and a description.
    """
    train, test = (_news(present(folder, (name, f"{name}.gz")), words) for name in ("train.csv", "test.csv"))
    return language_task(
        "ag_news", _pairs(train), None, _pairs(test), vocab_size=vocab_size, max_length=max_length,
        min_length=min_length, lower=lower, pool=True,
    )  # fmt: skip


def _trec(path: os.PathLike[str], fine: bool, words: Words) -> Rows:
    rows = []
    for number, line in _filled(path):
        label, _, text = line.partition(" ")
        coarse, colon, rest = label.partition(":")
        if coarse not in COARSE or not colon or not rest or not text.strip():
            raise InputError(
                f"{printable(path, 200)}, line {number}", found=repr(printable(line, 60)),
                expected="a class such as NUM:dist, a blank, and the question",
            )  # fmt: skip
        rows.append((tuple(words(text)), label if fine else coarse))
    return rows


def _sentences(path: os.PathLike[str], label: str, words: Words) -> Rows:
    return [(tuple(words(line)), label) for _, line in _filled(path)]


def _news(path: os.PathLike[str], words: Words) -> Rows:
    where, rows = printable(path, 200), []
    reader = csv.reader((line + "\n" for line in read_lines(path)), skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != 3 or cells[0] not in ("1", "2", "3", "4"):
                raise InputError(
                    f"{where}, line {reader.line_num}", found=f"{len(cells)} cells, first {printable(cells[0], 20)!r}",
                    expected="3: a class from 1 to 4, title, description", remedy="The files have no header line.",
                )  # fmt: skip
            rows.append((tuple(words(f"{cells[1]} {cells[2]}")), AG_CLASSES[int(cells[0]) - 1]))
    except csv.Error as error:
        raise InputError(
            f"{where}, line {reader.line_num}", found=printable(error), expected="a line of CSV"
        ) from error
    return rows


def _filled(path: os.PathLike[str]) -> Iterable[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(read_lines(path), start=1) if line.strip())


def _pairs(rows: Rows) -> Pairs:
    kept = [(words, label) for words, label in rows if words]
    return Pairs(
        inputs=tuple(words for words, _ in kept),
        targets=tuple((label, *[PAD] * (len(words) - 1)) for words, label in kept),
    )
