import json
from collections import Counter
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.programs import tasks
from learnt.programs.task_draws import draw, word_stream
from learnt.programs.task_encoding import END, PAD, START, UNK
from learnt.programs.tasks_sequences import (
    double_hist_answer,
    hist_answer,
    induction_answer,
    most_freq_answer,
    reverse_answer,
    sort_answer,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "programs_tasks.json").read_text())
SIX = [task for task in tasks.SYNTHETIC if not task.__name__.startswith("dyck")]
SIZES = {"reverse": (11_439, 1_272, 1_413), "sort": (11_439, 1_272, 1_413)}
words = st.lists(st.sampled_from("012345"), min_size=1, max_size=7)


@pytest.mark.parametrize("make", SIX, ids=lambda make: make.__name__)
def test_check_20_the_first_six_examples_are_the_references(make):
    golden = GOLDEN["first_samples"][make.__name__]
    task = make(**golden["args"], size=6, unique=make.__name__ == "induction")
    split = task.split(0)
    pairs = dict([*split.train, *split.validation, *split.test])
    assert pairs == {tuple(sample["sent"]): tuple(sample["tags"]) for sample in golden["samples"]}


def test_check_20_the_order_of_the_draws_is_the_references():
    golden = GOLDEN["first_samples"]["reverse"]["samples"]
    stream = word_stream("01234", 1, 6, before=(START,), after=(END,))
    assert [list(tokens) for tokens in draw(stream, 6, 0, unique=False)] == [sample["sent"] for sample in golden]


@pytest.mark.parametrize("name", ["hist", "sort"])
def test_check_20_the_parts_have_the_sizes_of_the_reference(name):
    split = getattr(tasks, name)().split(0)
    expected = SIZES.get(name, (16_200, 1_800, 2_000))
    assert (len(split.train), len(split.validation), len(split.test)) == expected
    assert split.unseen_labels() == ()


def test_integers_consume_the_legacy_stream_as_choices_do():
    letters = np.array(list("01234"))
    one, other = np.random.RandomState(3), np.random.RandomState(3)
    stream = word_stream(list("01234"), 1, 6)(one)
    for tokens in islice(stream, 500):
        length = other.randint(1, 7)
        assert list(tokens) == other.choice(letters, size=length, replace=True).tolist()


def test_lengths_are_uniform_and_so_are_tokens():
    tokens = draw(word_stream("01234", 1, 6), 12_000, 1, unique=False)
    lengths = Counter(map(len, tokens))
    assert all(abs(lengths[n] - 2_000) < 200 for n in range(1, 7))
    counts = Counter("".join("".join(row) for row in tokens))
    assert max(counts.values()) < 1.05 * min(counts.values())


@pytest.mark.parametrize(
    ("name", "size"), [("reverse", 19_530), ("sort", 19_530), ("hist", 335_922), ("most_freq", 335_922)]
)
def test_the_whole_space_has_the_known_size(name, size):
    space = getattr(tasks, name)(size=3).domain()
    assert space.size == size
    assert space.enumerable
    if size < 100_000:
        everything = list(space)
        assert len(set(everything)) == size
        assert [len(tokens) for tokens in everything] == sorted(len(tokens) for tokens in everything)
        same = [tokens for tokens in everything if len(tokens) == 5]
        assert same == sorted(same)


def test_the_space_of_induction_is_what_its_generator_can_draw():
    task = tasks.induction(6, 5, min_length=4)
    space = set(task.domain())
    assert task.domain().size == len(list(task.domain())) == len(space)
    assert set(task.domain().sample(4_000)) == space
    assert tasks.induction(size=3).domain().size == 133_760


@given(words)
def test_reverse_and_sort_agree_with_brute_force(word):
    tokens = (START, *word, END)
    back = reverse_answer(tokens)
    assert all(back[1 + i] == word[len(word) - 1 - i] for i in range(len(word)))
    ranked = sort_answer(tokens)[1:-1]
    for i, label in enumerate(ranked):  # the i-th smallest: at most i are smaller, at least i + 1 are not greater
        assert sum(other < label for other in word) <= i < sum(other <= label for other in word)
    assert (back[0], back[-1], len(back)) == (PAD, PAD, len(tokens))


@given(words)
def test_the_histograms_agree_with_brute_force(word):
    tokens = (START, *word)
    count = [sum(other == token for other in word) for token in word]
    assert hist_answer(tokens) == (PAD, *map(str, count))
    double = [len({word[j] for j in range(len(word)) if count[j] == count[i]}) for i in range(len(word))]
    assert double_hist_answer(tokens) == (PAD, *map(str, double))


@given(words)
def test_most_freq_agrees_with_brute_force(word):
    order = sorted(set(word), key=lambda token: (-word.count(token), word.index(token)))
    assert most_freq_answer((START, *word)) == (PAD, *order, *[START] * (len(word) - len(order)))


@settings(max_examples=50)
@given(st.integers(0, 2**31))
def test_induction_agrees_with_the_published_rule(seed):
    task = tasks.induction(size=3)
    tokens = task.domain().sample(1, seed=seed)[0]
    answer = task.answer([tokens]).targets[0]
    assert len(tokens) == len(answer) == 10
    for i, token in enumerate(tokens):
        before = [j for j in range(i) if tokens[j] == token]
        expected = PAD if not token.isalpha() else tokens[before[0] + 1] if before else UNK
        assert answer[i] == expected


def test_check_08_induction_on_the_example_of_the_specification():
    answer = induction_answer("<s> a 1 b 2 b 2 a".split())
    assert answer == (PAD, UNK, PAD, UNK, PAD, "2", PAD, "1")


@pytest.mark.parametrize("name", ["hist", "double_hist", "reverse", "induction"])
def test_check_10_the_oracles_agree_with_the_hand_written_programs(name):
    task = getattr(tasks, name)(size=3)
    for tokens, predicted in GOLDEN["hand_examples"][name]:
        answer = task.answer([tokens]).targets[0]
        assert [(i, label) for i, label in enumerate(answer) if label not in (PAD, predicted[i])] == []


def test_numbers_sort_as_text_when_there_are_two_digits():
    assert sort_answer((START, "2", "10", "1", END)) == (PAD, "1", "10", "2", PAD)
    assert "10" in tasks.sort(16, 16, size=3).vocab


def test_joined_text_decides_what_is_the_same_as_in_the_reference():
    def stream(random):
        yield from [("1", "0"), ("10",), ("1",)]

    assert draw(stream, 3, 0) == [("1", "0"), ("1",)]


@pytest.mark.parametrize(("failures", "draws"), [(False, 20), (True, 43)])
def test_drawing_gives_up_as_the_reference_does(failures, draws):
    """A space of two: with four wanted, 5 * 4 draws; for induction, until more than 10 * 4 of them are repetitions."""
    taken = []

    def stream(random):
        for i in count():
            taken.append(i)
            yield (str(i % 2),)

    assert draw(stream, 4, 0, failures=failures) == [("0",), ("1",)]
    assert len(taken) == draws


@pytest.mark.parametrize("name", ["sort", "hist", "induction"])
def test_labels_cover_every_answer_of_the_space(name):
    task = getattr(tasks, name)(size=3)
    sample = islice(task.domain(), 0, None, 37)
    seen = {label for target in task.answer(list(sample)).targets for label in target} - {PAD}
    assert seen <= set(task.labels)
    assert name != "sort" or seen == set(task.labels)
    x, y = task.encode(task.answer(list(islice(task.domain(), 500))))
    assert x.shape == y.shape
    assert y.max() < len(task.labels)


def test_double_counts_go_no_higher_than_declared():
    task = tasks.double_hist(5, 7, size=3)
    seen = {label for target in task.answer(list(task.domain())).targets for label in target} - {PAD}
    assert seen == set(task.labels)


def test_another_seed_draws_other_examples_and_the_same_seed_the_same():
    task = tasks.hist(size=200)
    assert task.split(1) == tasks.hist(size=200).split(1)
    assert task.split(1) != task.split(2)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: tasks.sort(3, 8), "vocab_size"),
        (lambda: tasks.hist(2, 8), "vocab_size"),
        (lambda: tasks.sort(8, 2), "max_length"),
        (lambda: tasks.reverse(8, 8, min_length=0), "max_length"),
        (lambda: tasks.reverse(8, 8, min_length=7), "max_length"),
        (lambda: tasks.induction(3), "vocab_size"),
        (lambda: tasks.induction(60), "vocab_size"),
        (lambda: tasks.induction(10, 1, min_length=1), "min_length"),
        (lambda: tasks.sort(size=2), "size"),
        (lambda: tasks.sort(size=9).split(-1), "seed"),
        (lambda: tasks.sort(size=9).domain().sample(0), "count"),
    ],
)
def test_check_23_sizes_without_meaning_are_refused(make, argument):
    with pytest.raises(InputError) as error:
        make()
    assert error.value.argument == argument
