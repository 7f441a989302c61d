"""Is a program right? Exact counts, the shortest wrong inputs first, and intervals where it is a sample."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from learnt.core.errors import InputError, LearntError, NotApplicable
from learnt.programs import Program, tasks
from learnt.programs._verify_bounds import interval
from learnt.programs.checking import check
from learnt.programs.coverage import branch_coverage
from learnt.programs.task_metrics import span_f1

from .made import golden, one_layer_sort


def shortened(program: Program, entry: int, value: int) -> Program:
    """The golden reverse with one entry of its last predicate changed."""
    layer = program.layers[1]
    head = layer.cat_heads[0]
    predicate = (*head.predicate[:entry], value, *head.predicate[entry + 1 :])
    return replace(program, layers=(program.layers[0], replace(layer, cat_heads=(replace(head, predicate=predicate),))))


@pytest.mark.parametrize(
    ("program", "task"),
    [(golden("reverse"), tasks.reverse(8, 8)), (one_layer_sort(), tasks.sort(8, 8))],
    ids=["reverse", "sort"],
)
def test_check_10_hand_written_programs_are_right_on_all_inputs(program, task):
    found = check(program, task, parts=False)
    assert (found.kind, found.score.n, found.score.wrong, found.score.wrong_tokens) == ("exhaustive", 19_530, 0, 0)
    assert found.right
    assert found.proved
    assert found.counterexamples == found.confusion == ()
    assert found.score.token_interval is None
    assert sum(length.n for length in found.lengths) == 19_530
    assert [length.n for length in found.lengths] == [5**n for n in range(1, 7)]
    assert [length.tokens for length in found.lengths] == [n * 5**n for n in range(1, 7)]
    assert "100 %" in str(found)


def test_check_10_a_changed_predicate_entry_is_counted_exactly_and_shown_shortest_first():
    program, task = shortened(golden("reverse"), 4, 1), tasks.reverse(8, 6)
    wrong = [
        ("<s>", *word, "</s>")
        for n in range(1, 5)
        for word in product("01234", repeat=n)
        if program(["<s>", *word, "</s>"])[1:-1] != word[::-1]
    ]
    found = check(program, task, parts=False, shown=7)
    assert wrong
    assert found.score.wrong == len(wrong)
    assert [example.tokens for example in found.counterexamples] == wrong[:7]
    first = found.counterexamples[0]
    assert first.expected == task.oracle(first.tokens)
    assert first.found == program(first.tokens)
    assert first.positions == (1,)  # reads position 1 where it should read 4
    assert sum(n for _, _, n in found.confusion) == found.score.wrong_tokens
    assert sum(length.wrong for length in found.lengths) == len(wrong)
    assert [length.length for length in found.lengths if length.wrong] == [6]
    assert found.confusion == tuple(sorted(found.confusion, key=lambda entry: -entry[2]))
    assert found.score.sequence_accuracy == pytest.approx(1 - len(wrong) / 780)
    assert not found.right
    assert found.parts == {}
    assert str(first) in str(found)


def test_the_parts_of_the_split_are_scored_each_by_its_own_targets():
    program, task = shortened(golden("reverse"), 4, 1), tasks.reverse(8, 6, size=300)
    found = check(program, task, split_seed=2)
    split = task.split(2)
    assert list(found.parts) == ["train", "validation", "test"]
    for name, score in found.parts.items():
        pairs = getattr(split, name)
        wrong = [program(tokens)[1:-1] != target[1:-1] for tokens, target in pairs]
        assert (score.n, score.wrong) == (len(pairs), sum(wrong))
        assert score.token_interval is None
    assert sum(part.n for part in found.parts.values()) == 300
    assert "validation" in str(found)


def test_a_sample_has_intervals_that_hold_the_truth():
    program, task = shortened(golden("reverse"), 4, 1), tasks.reverse(8, 6)
    held = {"tokens": 0, "sequences": 0}
    # the task draws lengths uniformly: the truth is the mean over lengths
    exact = check(program, task, parts=False)
    truth = np.mean([1 - s.wrong / s.n for s in exact.lengths])
    tokens = 1 - sum(s.wrong_tokens / s.n for s in exact.lengths) / sum(s.tokens / s.n for s in exact.lengths)
    for seed in range(40):
        found = check(program, task, parts=False, most=0, samples=200, seed=seed)
        assert found.kind == "sampled"
        assert not found.proved
        low, high = found.score.sequence_interval
        assert (low, high) == interval(200 - found.score.wrong, 200, 0.95)
        assert low <= found.score.sequence_accuracy <= high
        held["sequences"] += low <= truth <= high
        low, high = found.score.token_interval
        assert low <= found.score.token_accuracy <= high
        held["tokens"] += low <= tokens <= high
        assert high - low < 0.1  # the control: an interval that says something
    assert min(held.values()) >= 34  # of 40, where 38 are expected
    perfect = check(golden("reverse"), task, parts=False, most=0, samples=100)
    assert perfect.right
    assert perfect.score.token_interval[0] < 1
    assert perfect.score.sequence_interval[0] == pytest.approx(0.025 ** (1 / 100))
    assert "intervals" in str(perfect)


def test_the_same_seed_gives_the_same_check():
    program, task = shortened(golden("reverse"), 4, 1), tasks.reverse(8, 6)
    first, again = (check(program, task, parts=False, most=0, samples=50, seed=3) for _ in range(2))
    assert first == again
    assert json.loads(json.dumps(first.to_fields())) == json.loads(json.dumps(again.to_fields()))
    assert first.coverage == branch_coverage(program, task, most=0, samples=50, seed=3)


def test_labels_that_the_program_cannot_give_count_as_wrong():
    """The reference code turns them into padding and drops them from the accuracy."""
    task = tasks.hist(8, 4)
    whole = golden("hist")
    poor = replace(
        whole,
        labels=whole.labels[:2],  # counts 1 and 2
        classifier={name: votes[:2] for name, votes in whole.classifier.items()},
    )
    found = check(poor, task, parts=False)
    assert found.confusion == (("3", "2", 3 * 6),)
    assert found.score.wrong == 6
    assert found.counterexamples[0].tokens == ("<s>", "0", "0", "0")
    assert found.score.tokens == 6 + 2 * 36 + 3 * 216
    assert "2 for 3 (18)" in str(found)


def test_an_accuracy_below_one_is_never_shown_as_100():
    found = check(shortened(golden("reverse"), 7, 1), tasks.reverse(8, 8), parts=False)
    assert found.right  # position 7 is never asked for
    wrong = check(golden("hist"), replace_oracle(tasks.hist(8, 6)), parts=False)
    assert wrong.score.wrong == 1
    assert "sequences 99.98 %" in str(wrong)
    assert "100 %" not in str(wrong).splitlines()[0]


def replace_oracle(task):
    """The task with another answer to one input."""

    def oracle(tokens):
        answer = task.oracle(tokens)
        return (answer[0], "1", *answer[2:]) if tuple(tokens) == ("<s>", "1", "1", "2", "3", "4")[: len(tokens)] and len(tokens) == 6 else answer  # fmt: skip

    return replace(task, oracle=oracle)


def test_another_domain_may_be_asked_about():
    task = tasks.reverse(8, 8)
    found = check(golden("reverse"), task, domain=[["<s>", "3", "1", "</s>"]], parts=False)
    assert (found.kind, found.score.n, found.score.tokens) == ("given", 1, 2)
    smaller = check(golden("reverse"), task, domain=tasks.reverse(8, 5).domain(), parts=False)
    assert (smaller.kind, smaller.score.n) == ("exhaustive", 155)


def taught(pool=False):
    """A task known by examples: each token its own label."""
    words = [["a"], ["b"], ["a", "b"], ["b", "a"], ["a", "a"], ["b", "b"], ["b", "b", "a"], ["a", "b", "b"]]
    labels = [w[0].upper() for w in words] if pool else [[t.upper() for t in w] for w in words]
    return tasks.Task.from_pairs(words, labels, pool=pool)


def copier(**changes):
    fields = {
        "vocab": ["<pad>", "<s>", "a", "b"], "labels": ["A", "B"], "k": 4, "n_ctx": 4, "layers": [],
        "classifier": {"tokens": [[0, 0], [0, 0], [1, 0], [0, 1]]},
    }  # fmt: skip
    return Program(**(fields | changes))


def test_without_an_oracle_the_examples_are_looked_at():
    found = check(copier(), taught())
    assert (found.kind, found.score.n, found.score.wrong, found.score.tokens) == ("examples", 8, 0, 16)
    assert sum(part.n for part in found.parts.values()) == 8
    assert found.right
    assert not found.proved
    silent = check(copier(classifier={}), taught(), parts=False)
    assert silent.confusion == (("B", "A", 9),)
    assert silent.counterexamples[0].tokens == ("<s>", "b")
    with pytest.raises(NotApplicable, match="examples only"):
        check(copier(), taught(), domain=[["<s>", "a"]])


def test_pooled_programs_are_checked_by_their_one_label():
    found = check(copier(pool=True), taught(pool=True))  # the majority of all tokens, for the first token
    assert (found.score.n, found.score.tokens, found.score.wrong) == (8, 8, 2)
    assert [c.tokens for c in found.counterexamples] == [("<s>", "b", "a"), ("<s>", "a", "b", "b")]
    assert found.counterexamples[0].expected == ("B",)
    assert found.counterexamples[1].found == ("B",)


def test_tagging_has_the_f1_of_entities():
    words = [["x", "Ann", "Lee"], ["Ann"], ["x"], ["Lee", "Ann"], ["Ann", "Lee", "x"], ["x", "x", "Ann"]]
    tags = [["O", "B-P", "I-P"], ["B-P"], ["O"], ["O", "B-P"], ["B-P", "I-P", "O"], ["O", "O", "B-P"]]
    task = replace(tasks.Task.from_pairs(words, tags), metric="spans")
    vocab = ["<pad>", "<s>", "Ann", "Lee", "x"]
    program = Program(
        vocab=vocab, labels=["O", "B-P", "I-P"], k=5, n_ctx=4, layers=[],
        classifier={"tokens": [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]},
    )  # fmt: skip
    found = check(program, task, parts=False)
    guesses = [program(["<s>", *sentence])[1:] for sentence in words]
    assert found.score.spans == span_f1(guesses, tags)
    assert found.score.spans.f1 == 1  # an I-P that follows nothing is no entity
    assert found.score.wrong == 1
    assert "F1 100.00 %" in str(found)
    assert found.to_fields()["score"]["spans"]["right"] == 5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check("p", taught()), "a Program"),
        (lambda: check(copier(), "task"), "a Task"),
        (lambda: check(copier(pool=True), taught()), "one a token, as the task"),
        (lambda: check(copier(), taught(pool=True)), "one label an input, as the task"),
        (lambda: check(copier(), taught(), confidence=0), "between 0 and 1"),
        (lambda: check(copier(), taught(), shown=1.5), "shown"),
        (lambda: check(copier(), taught(), samples=0), "samples"),
        (lambda: check(copier(n_ctx=2), taught()), "at most n_ctx"),
        (lambda: check(copier(vocab=["<pad>", "<s>", "a", "c"]), taught()), "unknown token 'b'"),
        (lambda: check(golden("reverse"), tasks.reverse(8, 8), domain=[["<s>", "</s>"]], parts=False), "no scored"),
    ],
)
def test_check_23_what_does_not_fit_together_is_an_error(call, words):
    with pytest.raises(LearntError, match=words):
        call()


def test_errors_of_arguments_are_input_errors():
    with pytest.raises(InputError, match="most"):
        check(copier(), taught(), most=-1)
