"""Named entities as a task: CoNLL-2003 and WikiANN from files that you have.

    CoNLL-2003   word, part of speech, chunk, tag between blanks; -DOCSTART- lines are not sentences
    WikiANN      lang:word, tab, tag;    both: an empty line between sentences, plain or gzipped

Tags become IOB2: an I-X that continues nothing opens an entity, which is what it means in the IOB1 of the original
CoNLL files and what the copy that the authors used has. Settings of arXiv 2306.01128 (spec 2.2):
10,000 words, runs of digits to one symbol, at most 30 words, score: F1 of exact entities.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from learnt.core.errors import InputError, StorageError
from learnt.io.reading import printable
from learnt.io.textlines import read_lines
from learnt.programs.task import Task
from learnt.programs.task_encoding import Tokens
from learnt.programs.task_split import Pairs
from learnt.programs.tasks_language import blank_separated, language_task

CONLL = (
    ("eng.train", "train.txt", "eng.train.gz", "train.txt.gz"),
    ("eng.testa", "valid.txt", "dev.txt", "testa.txt", "eng.testa.gz", "valid.txt.gz", "dev.txt.gz"),
    ("eng.testb", "test.txt", "testb.txt", "eng.testb.gz", "test.txt.gz"),
)


def conll(
    folder: str | os.PathLike[str],
    *,
    vocab_size: int = 10_000,
    max_length: int = 32,
    min_length: int = 1,
    lower: bool = False,
    replace_numbers: bool = True,
) -> Task:
    """CoNLL-2003 named entities: `eng.train`, `eng.testa`, `eng.testb` (or train.txt, valid.txt, test.txt).

    Args:
        folder: where the files lie.
        vocab_size, max_length, min_length, lower, replace_numbers: as
            `learnt.programs.tasks_language.language_task`; the defaults are those of the paper.

    Raises:
        StorageError: a file is missing. InputError: a line without four columns, a tag that is not one.
    """
    parts = [read_tagged(present(folder, names), columns=4) for names in CONLL]
    return language_task(
        "conll", parts[0], parts[1], parts[2], vocab_size=vocab_size, max_length=max_length, min_length=min_length,
        lower=lower, replace_numbers=replace_numbers, metric="spans",
    )  # fmt: skip


def wikiann(
    folder: str | os.PathLike[str],
    *,
    language: str = "en",
    vocab_size: int = 10_000,
    max_length: int = 32,
    min_length: int = 1,
    lower: bool = False,
    replace_numbers: bool = True,
) -> Task:
    """WikiANN named entities: `wikiann-en.train.gz`, `.dev.gz`, `.test.gz`, or `train`, `dev`, `test`.

    Args:
        folder: where the files lie.
        language: prefix of every word in the files.
        vocab_size, max_length, min_length, lower, replace_numbers: as `conll`.

    Raises:
        StorageError: a file is missing. InputError: a line without two columns, a tag that is not one.
    """
    parts = []
    for which in ("train", "dev", "test"):
        stem = f"wikiann-{language}.{which}"
        where = present(folder, (f"{stem}.gz", stem, which, f"{which}.gz"))
        parts.append(read_tagged(where, columns=2, prefix=f"{language}:", separator="\t"))
    return language_task(
        "wikiann", parts[0], parts[1], parts[2], vocab_size=vocab_size, max_length=max_length, min_length=min_length,
        lower=lower, replace_numbers=replace_numbers, metric="spans",
    )  # fmt: skip


def read_tagged(path: str | os.PathLike[str], *, columns: int, prefix: str = "", separator: str | None = None) -> Pairs:
    """Sentences of words with IOB2 tags from a file with one word a line.

    Args:
        path: the file; the word is the first column, the tag the last.
        columns: how many each line has.
        prefix: removed from words that have it.
        separator: between columns; None: any blanks.

    Raises:
        StorageError: missing. InputError: another number of columns, a tag that is not O, B-x or I-x, no sentence.
    """
    where = printable(Path(path), 200)
    sentences: list[tuple[Tokens, Tokens]] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*read_lines(path), ""], start=1):
        if not line.strip():
            if words:
                sentences.append((tuple(words), to_iob2(tags)))
            words, tags = [], []
            continue
        cells = line.split(separator) if separator else blank_separated(line)
        if cells[0] == "-DOCSTART-":
            continue
        if len(cells) != columns or not cells[0]:
            raise InputError(
                f"{where}, line {number}",
                found=f"{len(cells)} columns",
                expected=f"{columns}: the word first, its tag last",
            )
        tag = cells[-1].strip()
        if tag != "O" and not (tag[:2] in ("B-", "I-") and len(tag) > 2):
            raise InputError(
                f"{where}, line {number}", found=f"the tag {printable(tag, 30)!r}", expected="O, B-... or I-..."
            )
        words.append(cells[0].removeprefix(prefix))
        tags.append(tag)
    if not sentences:
        raise InputError(where, found="no sentence", expected="one word and its tag a line")
    return Pairs(inputs=tuple(words for words, _ in sentences), targets=tuple(tags for _, tags in sentences))


def to_iob2(tags: Sequence[str]) -> Tokens:
    """Tags of one sentence in which every entity begins with B-; IOB1 and IOB2 are both read.

    Args:
        tags: O, B-x or I-x, one a word.
    """
    out: list[str] = []
    before = "O"
    for tag in tags:
        opens = tag[:2] == "I-" and before[2:] != tag[2:]
        out.append(f"B-{tag[2:]}" if opens else tag)
        before = tag
    return tuple(out)


def present(folder: str | os.PathLike[str], names: Sequence[str]) -> Path:
    """The first of `names` that is in `folder`.

    Args:
        folder: where files lie.
        names: in order of preference.

    Raises:
        StorageError: the folder or all of the files are missing.
    """
    root = Path(folder)
    if not root.is_dir():
        raise StorageError("folder", found=f"no folder at {printable(root, 200)}", expected="the folder with the files")
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        raise StorageError(
            "folder", found=f"none of {', '.join(names)} in {printable(root, 200)}", expected="one of these files",
            remedy="Nothing is downloaded here: fetch the corpus from where it is published.",
        )  # fmt: skip
    return found
