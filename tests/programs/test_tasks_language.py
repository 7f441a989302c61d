import gzip
import os
from pathlib import Path

import pytest

from learnt.core.errors import InputError, StorageError
from learnt.programs import tasks
from learnt.programs.task_encoding import END, PAD, START, UNK
from learnt.programs.task_metrics import span_f1
from learnt.programs.tasks_language import blank_separated, treebank_words, vocabulary
from learnt.programs.tasks_ner import to_iob2

REAL = Path(os.environ.get("LEARNT_DATA", "unset"))
needs_text = pytest.mark.skipif(not (REAL / "text").is_dir(), reason="no text/ in the folder that LEARNT_DATA names")
needs_ner = pytest.mark.skipif(not (REAL / "ner").is_dir(), reason="no ner/ in the folder that LEARNT_DATA names")

CONLL = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O
1,000 CD I-NP O

Peter NNP I-NP I-PER
Blackburn NNP I-NP I-PER
Paris NNP I-NP B-PER
"""


def conll(folder, text=CONLL, names=("eng.train", "eng.testa", "eng.testb")):
    for name in names:
        (folder / name).write_text(text)
    return folder


def trec(folder, train=None, test="HUM:ind Who wrote it ?\n"):
    lines = [f"NUM:dist How far is {i} ?" for i in range(20)] + ["LOC:city Where is Denver ?"]
    (folder / "TREC.train").write_text("\n".join(lines) + "\n" if train is None else train)
    (folder / "TREC.test").write_text(test)
    return folder


def reviews(folder, count=20):
    (folder / "rt-polarity.pos").write_bytes(b"".join(b"good %d caf\xe9 \x85 yes\n" % i for i in range(count)))
    (folder / "rt-polarity.neg").write_bytes(b"".join(b"bad %d\n" % i for i in range(count)))
    return folder


def test_conll_files_become_tagged_sentences(tmp_path):
    task = tasks.conll(conll(tmp_path))
    split = task.split(0)
    assert split.train == split.test
    assert split.train.inputs == (
        (START, "EU", "rejects", "@,@", END),
        (START, "Peter", "Blackburn", "Paris", END),
    )
    assert split.train.targets == ((PAD, "B-ORG", "O", "O", PAD), (PAD, "B-PER", "I-PER", "B-PER", PAD))
    assert task.labels == ("B-ORG", "B-PER", "I-PER", "O")
    assert (task.metric, task.max_length, task.pool) == ("spans", 32, False)
    assert task.vocab[:4] == (PAD, UNK, START, END)


def test_other_names_of_the_conll_files_are_found(tmp_path):
    conll(tmp_path, names=("train.txt", "valid.txt", "test.txt"))
    assert len(tasks.conll(tmp_path, replace_numbers=False, lower=True).split(0).test) == 2
    assert "1,000" in tasks.conll(tmp_path, replace_numbers=False).vocab
    assert "eu" in tasks.conll(tmp_path, lower=True).vocab


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("I-A I-A O I-A", "B-A I-A O B-A"),
        ("I-A B-A I-B", "B-A B-A B-B"),
        ("B-A I-A O", "B-A I-A O"),
        ("O B-A I-B", "O B-A B-B"),
    ],
)
def test_both_tagging_schemes_become_iob2(tags, expected):
    assert to_iob2(tags.split()) == tuple(expected.split())


def test_only_sentences_of_the_right_length_are_kept(tmp_path):
    long, short = "w NN O O\n" * 31 + "\n", "w NN O O\n" * 30 + "\n"
    conll(tmp_path, long + short + CONLL)
    split = tasks.conll(tmp_path).split(0)
    assert sorted(map(len, split.train.inputs)) == [5, 5, 32]
    with pytest.raises(InputError, match="no sentence of 1 to 1 words"):
        tasks.conll(tmp_path, max_length=3)
    assert len(tasks.conll(tmp_path, min_length=4).split(0).train) == 1


def test_words_outside_the_vocabulary_are_read_as_unk(tmp_path):
    task = tasks.conll(conll(tmp_path), vocab_size=3)
    assert task.vocab == (PAD, UNK, START, END, "EU")
    x, y = task.encode(task.split(0).test)
    assert x[0, :6].tolist() == [2, 4, 1, 1, 3, 0]
    assert y[0, :6].tolist() == [-1, 0, 3, 3, -1, -1]


def test_the_vocabulary_holds_the_most_frequent_and_the_first_seen_among_equals():
    assert vocabulary([["b", "a", "c"], ["c", UNK, PAD]], 2) == (PAD, UNK, "c", "b")


def test_words_that_look_like_marks_do_no_harm(tmp_path):
    task = tasks.conll(conll(tmp_path, "<pad> NN O O\n</s> NN O O\nEU NN O I-ORG\n\nx NN O O\n"))
    assert task.split(0).train.inputs[0] == (START, UNK, UNK, "EU", END)
    task.encode(task.split(0).train)


def test_wikiann_files_become_tagged_sentences(tmp_path):
    text = "en:Karl\tB-PER\nen:Ove\tI-PER\nen::\tO\n\nen:R.H.\tI-ORG\n"
    for part in ("train", "dev", "test"):
        (tmp_path / f"wikiann-en.{part}.gz").write_bytes(gzip.compress(text.encode()))
    train = tasks.wikiann(tmp_path).split(0).train
    assert train.inputs == ((START, "Karl", "Ove", ":", END), (START, "R.H.", END))
    assert train.targets == ((PAD, "B-PER", "I-PER", "O", PAD), (PAD, "B-ORG", PAD))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("EU NNP I-ORG\n", "line 1: found 3 columns"),
        ("EU NNP I-NP I-ORG\nrejects\n", "line 2: found 1 columns"),
        ("EU NNP I-NP ORG\n", "the tag 'ORG'"),
        ("EU NNP I-NP B-\n", "the tag 'B-'"),
        ("-DOCSTART- -X- O O\n\n", "no sentence"),
        ("", "an empty file"),
        ("\n\n", "an empty file"),
    ],
)
def test_check_23_damaged_tagged_files_are_refused_with_the_line(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        tasks.conll(conll(tmp_path, text))


def test_check_23_missing_files_are_named(tmp_path):
    with pytest.raises(StorageError, match="no folder at"):
        tasks.conll(tmp_path / "absent")
    with pytest.raises(StorageError, match=r"none of eng.testa.*") as error:
        tasks.conll(conll(tmp_path, names=("eng.train",)))
    assert "Nothing is downloaded" in error.value.remedy
    for make, name in ((tasks.trec, "TREC.train"), (tasks.mr, "rt-polarity.pos"), (tasks.ag_news, "train.csv")):
        with pytest.raises(StorageError, match=name):
            make(tmp_path)
    with pytest.raises(StorageError, match=r"subj\.objective"):
        tasks.subj(tmp_path)
    with pytest.raises(StorageError, match=r"wikiann-de\.train"):
        tasks.wikiann(tmp_path, language="de")


def test_trec_questions_have_coarse_and_fine_classes(tmp_path):
    task = tasks.trec(trec(tmp_path))
    split = task.split(0)
    assert task.labels == ("HUM", "LOC", "NUM")
    assert task.pool
    assert (len(split.train), len(split.validation), len(split.test)) == (18, 3, 1)
    assert split.test.inputs == ((START, "Who", "wrote", "it", "?", END),)
    assert split.test.targets == (("HUM", *[PAD] * 5),)
    assert "HUM" in split.unseen_labels()
    assert split == task.split(4)  # the parts of a corpus are fixed
    assert "HUM:ind" in tasks.trec(tmp_path, fine=True).labels


@pytest.mark.parametrize("line", ["How far is it ?", "NUM How far ?", "NUM:dist", "XYZ:dist How far ?", "NUM: How ?"])
def test_check_23_questions_without_a_class_are_refused(tmp_path, line):
    with pytest.raises(InputError, match=r"TREC\.test, line 2"):
        tasks.trec(trec(tmp_path, test=f"NUM:dist How far ?\n{line}\n"))


def test_movie_reviews_are_split_in_the_order_of_the_files(tmp_path):
    task = tasks.mr(reviews(tmp_path))
    split = task.split(0)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [32, 4, 4]
    assert split.test.inputs[0] == (START, "good", "18", "caf\xe9", "\u2026", "yes", END)
    assert [target[0] for target in split.test.targets] == ["Positive"] * 2 + ["Negative"] * 2


def test_subjectivity_holds_out_a_fifth(tmp_path):
    for name in ("subj.objective", "subj.subjective"):
        (tmp_path / name).write_text("".join(f"{name[5:8]} {i} .\n" for i in range(50)))
    split = tasks.subj(tmp_path).split(0)
    parts = [set(part.inputs) for part in (split.train, split.validation, split.test)]
    assert [len(part) for part in parts] == [72, 8, 20]
    assert len(set.union(*parts)) == 100


def test_news_is_title_and_description(tmp_path):
    rows = [f'"{1 + i % 4}","Title {i}","He said ""no"", {i}."' for i in range(20)]
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "test.csv").write_text(rows[3] + "\n")
    task = tasks.ag_news(tmp_path)
    assert task.labels == ("Business", "Sci/Tech", "Sports", "World")
    test = task.split(0).test
    assert test.inputs[0] == (START, "Title", "3", "He", "said", '"', "no", '"', ",", "3", ".", END)
    assert test.targets[0][0] == "Sci/Tech"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Class Index,Title,Description\n", "no header line"),
        ('"1","only a title"\n', "2 cells"),
        ('"5","a","b"\n', "'5'"),
        ('"1","a","b" c\n', "line of CSV"),
    ],
)
def test_check_23_damaged_news_files_are_refused(tmp_path, text, match):
    (tmp_path / "train.csv").write_text(text)
    (tmp_path / "test.csv").write_text('"1","a","b"\n')
    with pytest.raises(InputError, match=match):
        tasks.ag_news(tmp_path)


def test_sizes_without_meaning_are_refused(tmp_path):
    with pytest.raises(InputError, match="vocab_size"):
        tasks.conll(conll(tmp_path), vocab_size=0)
    with pytest.raises(InputError, match="at least 3"):
        tasks.conll(tmp_path, max_length=2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't think it's 1,000.", ["I", "do", "n't", "think", "it", "'s", "1,000", "."]),
        ("well-made , isn't it ?", ["well-made", ",", "is", "n't", "it", "?"]),
        ("he said -- ``no''...", ["he", "said", "--", "``", "no", "''", "..."]),
        ("the U.S. team", ["the", "U.S.", "team"]),
        ("Mr. Smith", ["Mr.", "Smith"]),
        ("", []),
    ],
)
def test_words_and_punctuation_are_separated(text, words):
    assert treebank_words(text) == words


def test_blanks_alone_separate_words_that_are_apart():
    assert blank_separated(" a\u00a0b  c\x85d\t") == ["a\u00a0b", "c\x85d"]


@needs_text
def test_the_real_corpora_have_their_published_sizes():
    trec_, mr_, subj_ = (make(REAL / "text", max_length=400).split(0) for make in (tasks.trec, tasks.mr, tasks.subj))
    assert (len(trec_.train) + len(trec_.validation), len(trec_.test)) == (5_452, 500)
    assert [len(part) for part in (mr_.train, mr_.validation, mr_.test)] == [8_530, 1_066, 1_066]
    assert [len(part) for part in (subj_.train, subj_.validation, subj_.test)] == [7_200, 800, 2_000]
    assert tasks.trec(REAL / "text").labels == ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    counts = [sum(target[0] == label for target in trec_.test.targets) for label in ("ABBR", "DESC", "NUM")]
    assert counts == [9, 138, 113]


@needs_ner
def test_the_real_wikiann_has_its_published_size_and_scores_itself_perfectly():
    task = tasks.wikiann(REAL / "ner", max_length=500)
    split = task.split(0)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [20_000, 10_000, 10_000]
    assert task.labels == ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")
    rows = [target[1:-1] for target in split.test.targets[:500]]
    assert span_f1(rows, rows).f1 == 1
