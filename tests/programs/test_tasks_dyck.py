import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.programs.task_encoding import START
from learnt.programs.tasks_dyck import dyck1, dyck2, dyck_answer

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "programs_tasks.json").read_text())["first_samples"]


def reduced(text):
    """What is left after taking out matching neighbours, again and again."""
    while (shorter := text.replace("()", "").replace("{}", "")) != text:
        text = shorter
    return text


def brute_force(body):
    """F if a closing bracket survives the reduction, T if nothing does."""
    labels = []
    for end in range(1, len(body) + 1):
        left = reduced("".join(body[:end]))
        labels.append("F" if set(left) & set(")}") else "P" if left else "T")
    return labels


@pytest.mark.parametrize("make", [dyck1, dyck2], ids=lambda make: make.__name__)
def test_check_20_the_first_six_examples_are_the_references(make):
    golden = GOLDEN[make.__name__]
    split = make(golden["args"]["max_length"], min_length=golden["args"]["min_length"], size=6, unique=False).split(0)
    pairs = dict([*split.train, *split.validation, *split.test])
    assert pairs == {tuple(sample["sent"]): tuple(sample["tags"]) for sample in golden["samples"]}


@given(st.lists(st.sampled_from("(){}"), min_size=1, max_size=15))
def test_the_answer_agrees_with_brute_force(body):
    assert dyck_answer((START, *body)) == ("<pad>", *brute_force(body))


def test_the_answer_agrees_with_brute_force_on_all_short_strings():
    for body in product("()", repeat=9):
        assert list(dyck_answer((START, *body))[1:]) == brute_force(body)


def test_the_spaces_have_the_known_sizes():
    one, two = dyck1(size=3).domain(), dyck2(size=3).domain()
    assert (one.size, two.size) == (32_768, 4**15)
    assert one.enumerable
    assert not two.enumerable
    assert len(set(one)) == 32_768
    inputs, everything = two.cover(samples=50)
    assert (len(inputs), everything) == (50, False)


def test_check_20_the_parts_have_the_sizes_of_the_reference_and_share_no_input():
    split = dyck2().split(0)
    parts = [set(part.inputs) for part in (split.train, split.validation, split.test)]
    assert [len(part) for part in parts] == [16_200, 1_800, 2_000]
    assert len(set.union(*parts)) == 20_000
    assert all(len(tokens) == 16 for tokens in split.test.inputs)


def test_about_half_of_the_strings_are_uniform():
    """A balanced start of 15 brackets is never F; a uniform string nearly always is: C(15, 7) / 2^15 = 0.196 are not."""
    inputs = dyck1(size=3).domain().sample(4_000)
    broken = np.mean([dyck_answer(tokens)[-1] == "F" for tokens in inputs])
    assert broken == pytest.approx(0.5 * (1 - 6435 / 2**15), abs=0.025)


def test_a_shorter_balanced_start_is_filled_up():
    task = dyck1(8, min_length=2, size=3)
    inputs = task.domain().sample(2_000)
    assert {len(tokens) for tokens in inputs} == {8}
    assert set(inputs) == set(task.domain())


@pytest.mark.parametrize("make", [lambda: dyck1(2), lambda: dyck2(8, min_length=9)])
def test_check_23_lengths_without_meaning_are_refused(make):
    with pytest.raises(InputError, match="max_length"):
        make()
