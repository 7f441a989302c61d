import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import NotApplicable, ShapeError
from learnt.programs.task_metrics import (
    sequence_accuracy,
    span_f1,
    span_f1_of_ids,
    spans,
    token_accuracy,
    wrong_sequences,
)

TARGETS = np.array([[-1, 0, 1, -1], [-1, 2, 2, 2], [-1, -1, -1, -1], [-1, 1, -1, -1]])


def test_accuracies_count_scored_positions_only():
    predicted = np.array([[9, 0, 1, 9], [9, 2, 0, 2], [9, 9, 9, 9], [9, 0, 9, 9]])
    assert token_accuracy(predicted, TARGETS) == 4 / 6
    assert sequence_accuracy(predicted, TARGETS) == 1 / 3  # the sequence with nothing to score does not count
    assert wrong_sequences(predicted, TARGETS).tolist() == [1, 3]
    assert token_accuracy(TARGETS, TARGETS) == sequence_accuracy(TARGETS, TARGETS) == 1


@pytest.mark.parametrize("score", [token_accuracy, sequence_accuracy, wrong_sequences])
def test_nothing_to_score_is_no_accuracy(score):
    with pytest.raises(NotApplicable, match="no scored position"):
        score(np.zeros((2, 3), int), np.full((2, 3), -1))
    with pytest.raises(ShapeError, match="as the targets"):
        score(np.zeros((2, 3), int), np.zeros((2, 4), int))
    with pytest.raises(ShapeError, match="as the targets"):
        score(np.zeros(3, int), np.zeros(3, int))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O B-LOC", [("PER", 0, 1), ("LOC", 3, 3)]),
        ("B-PER B-PER I-PER", [("PER", 0, 0), ("PER", 1, 2)]),
        ("O I-PER I-PER O", []),
        ("B-PER I-LOC I-PER", [("PER", 0, 0)]),
        ("B-PER O I-PER", [("PER", 0, 0)]),
        ("I-LOC B-LOC I-LOC I-LOC", [("LOC", 1, 3)]),
        ("O O", []),
    ],
)
def test_entities_are_those_of_strict_iob2(tags, expected):
    assert spans(tags.split()) == expected


def test_an_entity_counts_only_when_type_and_both_ends_are_right():
    truth = ["B-PER I-PER O B-LOC".split(), "B-ORG O".split()]
    guess = ["B-PER O O B-LOC".split(), "B-PER O".split()]
    score = span_f1(guess, truth)
    assert (score.right, score.predicted, score.true) == (1, 3, 3)
    assert score.precision == score.recall == score.f1 == 1 / 3


def test_precision_and_recall_may_differ():
    score = span_f1([["B-A", "B-A", "B-A", "O"]], [["B-A", "O", "O", "O"]])
    assert score[:3] == (1 / 3, 1.0, 0.5)


def test_nothing_predicted_or_nothing_to_find_scores_zero():
    assert span_f1([["O"]], [["B-A"]])[:3] == (0, 0, 0)
    assert span_f1([["B-A"]], [["O"]])[:3] == (0, 0, 0)
    assert span_f1([["O"]], [["O"]])[:3] == (0, 0, 0)


def test_sentences_of_different_lengths_are_refused():
    with pytest.raises(ShapeError, match="1 sentences"):
        span_f1([["O"]], [])
    with pytest.raises(ShapeError, match=r"predicted\[0\]"):
        span_f1([["O"]], [["O", "O"]])


def test_ids_are_scored_without_the_marks_around_the_words():
    labels = ["B-A", "I-A", "O"]
    targets = np.array([[-1, 0, 1, 2, -1], [-1, 2, 0, -1, -1]])
    predicted = np.array([[0, 0, 1, 2, 1], [1, 2, 2, 0, 0]])
    assert span_f1_of_ids(predicted, targets, labels)[:3] == (1.0, 0.5, 2 / 3)


tags = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), min_size=1, max_size=8)


@given(tags)
def test_entities_do_not_overlap_and_hold_one_type(sentence):
    last = -1
    for kind, first, end in spans(sentence):
        assert last < first <= end
        assert sentence[first : end + 1] == [f"B-{kind}", *[f"I-{kind}"] * (end - first)]
        assert end + 1 == len(sentence) or sentence[end + 1] != f"I-{kind}"
        last = end
    assert len(spans(sentence)) == sum(tag[0] == "B" for tag in sentence)


@given(st.lists(st.tuples(tags, tags), min_size=1, max_size=4))
def test_swapping_prediction_and_truth_swaps_precision_and_recall(sentences):
    pairs = [(a[: min(len(a), len(b))], b[: min(len(a), len(b))]) for a, b in sentences]
    one = span_f1([a for a, _ in pairs], [b for _, b in pairs])
    other = span_f1([b for _, b in pairs], [a for a, _ in pairs])
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.f1 == pytest.approx(other.f1)
