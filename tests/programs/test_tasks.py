import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs import tasks
from learnt.programs.task_encoding import PAD, START, UNK, decode, encode_inputs, encode_targets
from learnt.programs.task_split import held_out, shuffled
from learnt.programs.tasks import Pairs, Task


def parity(tokens):
    return ["even" if tokens[: i + 1].count("x") % 2 == 0 else "odd" for i in range(len(tokens))]


def copies(n=40):
    inputs = [tuple(f"{i % 20:05b}") for i in range(n)]
    return inputs, [tuple("ab"[int(bit)] for bit in row) for row in inputs]


def test_a_task_of_your_own_takes_ten_lines():
    task = Task.from_oracle(parity, alphabet=["x", "o"], longest=9, causal=True, name="parity")
    assert task.vocab == (PAD, START, "o", "x")
    assert task.labels == ("even", "odd")
    assert (task.max_length, task.causal, task.domain().size) == (10, True, 1_022)
    split = task.split(0)
    assert split.test.targets[0] == (PAD, *parity(split.test.inputs[0][1:]))
    assert repr(task) == "Task('parity', 4 tokens, 2 labels, N 10, 1,022 inputs)"
    answers = task.answer([(START, "x", "o", "x")])
    assert answers.targets == ((PAD, "odd", "odd", "even"),)


def test_examples_alone_make_a_task():
    inputs, targets = copies()
    task = Task.from_pairs(inputs, targets)
    assert task.vocab == (PAD, "0", "1", START)
    assert task.labels == ("a", "b")
    assert task.max_length == 6
    assert sorted(task.inputs) == sorted((START, *row) for row in inputs)
    assert len(task.targets) == len(inputs)
    space = task.domain()
    assert (space.size, space.complete, space.enumerable) == (20, False, False)
    assert set(space.sample(5)) <= set(space)
    assert space.cover(samples=7)[1] is False
    with pytest.raises(NotApplicable, match="examples only"):
        task.answer(inputs)


def test_copies_of_an_input_never_sit_on_two_sides():
    split = Task.from_pairs(*copies()).split(3)
    parts = [set(part.inputs) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20
    assert [len(part) for part in (split.train, split.validation, split.test)] == [32, 4, 4]


def test_a_class_for_each_sequence_stands_at_its_start():
    inputs = ["who is it".split(), "where is it".split(), "when is it".split(), "who".split()]
    task = Task.from_pairs(inputs, ["HUM", "LOC", "NUM", "HUM"], pool=True)
    targets = dict(zip(task.inputs, task.targets, strict=True))
    assert targets[START, "who", "is", "it"] == ("HUM", PAD, PAD, PAD)
    _, y = task.encode(Pairs(inputs=task.inputs, targets=task.targets))
    assert (y[:, 1:] == -1).all()
    assert sorted(y[:, 0]) == [0, 0, 1, 2]


@pytest.mark.parametrize(("n", "seed"), [(1_413, 0), (97, 5), (10, 2)])
def test_the_split_is_that_of_scikit_learn(n, seed):
    pairs = Pairs(inputs=tuple((str(i),) for i in range(n)), targets=tuple(("a",) for _ in range(n)))
    ours = shuffled(pairs, seed)
    rest, test = train_test_split(range(n), test_size=0.1, random_state=seed)
    train, validation = train_test_split(rest, test_size=0.1, random_state=seed)
    for part, expected in ((ours.train, train), (ours.validation, validation), (ours.test, test)):
        assert [int(tokens[0]) for tokens in part.inputs] == list(expected)


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=2, max_size=40), st.integers(0, 9))
def test_holding_out_loses_nothing(rows, seed):
    pairs = Pairs(inputs=tuple(map(tuple, rows)), targets=tuple(tuple("x" * len(row)) for row in rows))
    if len(set(rows)) < 2:
        with pytest.raises(InputError, match="distinct"):
            held_out(pairs, seed)
        return
    rest, chosen = held_out(pairs, seed)
    assert sorted(rest.inputs + chosen.inputs) == sorted(pairs.inputs)
    assert not set(rest.inputs) & set(chosen.inputs)
    assert held_out(pairs, seed) == (rest, chosen)


def test_check_23_a_label_that_training_never_shows_is_scored_and_reported():
    inputs = [tuple(f"{i:04b}") for i in range(16)]
    task = Task.from_pairs(inputs, [tuple("a" * 4)] * 16)
    rare = task.split(0).test.inputs[0][1:]
    task = Task.from_pairs(inputs, [tuple("zaaa") if row == rare else tuple("aaaa") for row in inputs])
    split = task.split(0)
    assert split.unseen_labels() == ("z",)
    _, y = task.encode(split.test)
    assert (y == task.labels.index("z")).sum() == 1


def test_check_23_an_unknown_token_is_named_with_the_nearest_ones():
    with pytest.raises(ValueError, match=r"'hous'.*Nearest: house") as error:
        encode_inputs([["house"], ["tree", "hous"]], [PAD, "house", "tree"], 4)
    assert error.value.argument == "inputs[1]"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match="Known: 1, 2"):
        encode_inputs([["7"]], [PAD, "1", "2"], 4)
    with pytest.raises(InputError, match="'<pad>'"):
        encode_inputs([["1", PAD]], [PAD, "1", "2"], 4)


def test_unknown_tokens_are_read_as_unk_where_the_vocabulary_has_it():
    ids = encode_inputs([["tree", "hous"], ["tree"]], [PAD, UNK, "tree"], 3)
    np.testing.assert_array_equal(ids, [[2, 1, 0], [2, 0, 0]])


def test_check_23_lengths_and_labels_outside_the_bounds_are_refused():
    vocab, labels = [PAD, "a"], ["x", "y"]
    with pytest.raises(ShapeError, match="5 items; expected 1 to 4"):
        encode_inputs([["a"] * 5], vocab, 4)
    with pytest.raises(ShapeError, match="0 items"):
        encode_inputs([["a"], []], vocab, 4)
    with pytest.raises(InputError, match="'z'") as error:
        encode_targets([["x"], [PAD, "z"]], labels, 4)
    assert error.value.argument == "targets[1]"
    np.testing.assert_array_equal(encode_targets([[PAD, "y"], ["x"]], labels, 3), [[-1, 1, -1], [0, -1, -1]])


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", UNK]), min_size=1, max_size=5), min_size=1, max_size=9))
def test_what_is_encoded_decodes_to_itself(rows):
    vocab = [PAD, UNK, "a", "b", "c"]
    assert decode(encode_inputs(rows, vocab, 5), vocab) == [tuple(row) for row in rows]
    assert decode(encode_targets(rows, vocab[1:], 5), vocab[1:]) == [tuple(row) for row in rows]


def test_no_rows_encode_to_no_rows():
    assert encode_inputs([], [PAD, "a"], 4).shape == (0, 4)


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "error", "argument"),
    [
        ([["a"]], [["x"], ["y"]], {}, ShapeError, "targets"),
        ([["a", "b"], ["a"], ["b"]], [["x"], ["x"], ["y"]], {}, ShapeError, "targets[0]"),
        (["ab", "a", "b"], [["x"], ["x"], ["y"]], {}, InputError, "inputs[0]"),
        ([["a"], ["b"], ["c"]], ["x", "y", "z"], {}, InputError, "targets[0]"),
        ([["a"], [], ["c"]], [["x"], [], ["z"]], {}, ShapeError, "inputs[1]"),
        ([["a"], ["a"], ["b"]], [["x"], ["x"], ["z"]], {}, InputError, "inputs"),
        ([["a"], ["b"], ["c"]], [["x"], ["y"], ["z"]], {"labels": ["x", "y"]}, InputError, "targets"),
        ([["a"], ["b"], ["c"]], [["x"], ["y"], ["z"]], {"vocab": [PAD, START, "a", "b"]}, InputError, "inputs[0]"),
        ([["a"], ["b"], ["c"]], [["x"], ["y"], ["z"]], {"vocab": [START, PAD, "a"]}, InputError, "vocab"),
        ([["a"], ["b"], ["c"]], [["x"], ["y"], ["z"]], {"max_length": 1}, ShapeError, "inputs[0]"),
        ([["a"], ["b"], ["c"]], [[PAD], [PAD], [PAD]], {}, InputError, "targets"),
    ],
)
def test_check_23_examples_that_do_not_fit_are_refused(inputs, targets, options, error, argument):
    with pytest.raises(error) as caught:
        Task.from_pairs(inputs, targets, **options)
    assert caught.value.argument == argument or "vocab" in options


def test_check_23_an_oracle_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="shortest <= longest"):
        Task.from_oracle(parity, alphabet=[], longest=3)
    with pytest.raises(InputError, match="all possible labels"):
        Task.from_oracle(parity, alphabet="abcdefgh", longest=9)
    task = Task.from_oracle(lambda tokens: ["a"], alphabet="ab", longest=3)
    with pytest.raises(ShapeError, match="one a token"):
        task.split(0)
    with pytest.raises(InputError, match="metric"):
        Task(name="t", vocab=(PAD, "a"), labels=("x",), max_length=2, parts=task.parts, metric="other")


def test_every_synthetic_task_is_offered():
    names = {task.__name__ for task in tasks.SYNTHETIC}
    assert names == {"reverse", "sort", "hist", "double_hist", "most_freq", "dyck1", "dyck2", "induction"}


def test_tasks_do_not_load_torch_or_pandas():
    code = "import sys, learnt.programs.tasks as t; t.sort(size=9).split(0); print({'torch', 'pandas', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
