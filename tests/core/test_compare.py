"""The driver: controls, transfer, verdicts, undefined numbers, bad input, and determinism."""

import json
import math

import numpy as np
import pytest
import torch

from learnt import compare, pairwise
from learnt.agreement.accuracy import Accuracy
from learnt.agreement.divergence import JSDivergence, KLDivergence
from learnt.agreement.errors import ErrorConsistency
from learnt.agreement.top1 import Agreement
from learnt.core.comparison import Comparison
from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples, as_examples
from learnt.core.matrix import ComparisonMatrix

N = 400
G = torch.Generator().manual_seed(0)
X = torch.randn(N, 6, generator=G)
W = torch.randn(6, 4, generator=G)
LABELS = (X @ W + torch.randn(N, 4, generator=G)).argmax(1)
DATA = Examples(inputs=X, labels=LABELS, classes=("a", "b", "c", "d"), name="rows")
OUTPUT = (Accuracy(), Agreement(), KLDivergence(), JSDivergence(), ErrorConsistency())


def linear(weight):
    m = torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False), torch.nn.Identity())
    with torch.no_grad():
        m[0].weight.copy_(weight.T)
    return m


def near(weight, noise, seed):
    return linear(weight + noise * torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)))


TEACHER = near(W, 0.8, 1)
TEACHER_WEIGHT = TEACHER[0].weight.detach().T
STUDENTS = [near(TEACHER_WEIGHT, 0.3, s) for s in range(10, 15)]
CONTROLS = [near(W, 0.8, s) for s in range(20, 25)]


def ask(a, b, **options):
    return compare(a, b, DATA, **{"measures": OUTPUT, "resamples": 500, "controls": CONTROLS, **options})


def test_students_made_from_the_teacher_transfer_and_others_do_not():
    found = ask(TEACHER, STUDENTS)["agreement"]
    assert found.verdict == "transferred" and found.difference.low > 0
    assert 0 < found.transfer.low <= found.transfer.value <= found.transfer.high <= 1.5
    others = ask(TEACHER, [near(W, 0.8, s) for s in range(30, 35)])["agreement"]  # control of the control
    assert others.verdict == "not detected" and others.transfer.low < 0 < others.transfer.high


def test_a_model_compared_with_itself_is_identical_with_transfer_one():
    same = ask(TEACHER, TEACHER)
    for name, value in (("agreement", 1.0), ("kl", 0.0), ("js", 0.0), ("error_consistency", 1.0)):
        assert same[name].value.value == pytest.approx(value, abs=1e-12)
        assert same[name].transfer.value == pytest.approx(1.0, abs=1e-9)
    assert same["accuracy"].gap.value == 0.0


def test_a_control_compared_with_itself_has_transfer_exactly_zero():
    for answer in ask(TEACHER, CONTROLS[0], controls=CONTROLS[:1]).answers:
        if answer.transfer.defined:
            assert answer.transfer.value == answer.transfer.low == answer.transfer.high == 0.0
        assert answer.verdict in ("not detected", "not measurable")


def test_values_equal_direct_computation():
    found = ask(TEACHER, STUDENTS)["agreement"]
    with torch.no_grad():
        t = TEACHER(X).argmax(1)
        direct = [float((s(X).argmax(1) == t).double().mean()) for s in STUDENTS]
        control = np.mean([float((c(X).argmax(1) == t).double().mean()) for c in CONTROLS])
    assert found.replicas["b"] == pytest.approx(direct)
    assert found.value.value == pytest.approx(np.mean(direct))
    assert found.transfer.value == pytest.approx((np.mean(direct) - control) / (1 - control))


def test_directed_properties_use_the_reference_as_ceiling():
    found = ask(TEACHER, STUDENTS)["accuracy"]
    phi = {side: np.mean(found.replicas[side]) for side in ("a", "b", "control")}
    assert found.gap.value == pytest.approx(phi["b"] - phi["a"])
    assert found.reference.value == pytest.approx(phi["a"])
    if found.transfer.defined:
        assert found.transfer.value == pytest.approx((phi["b"] - phi["control"]) / (phi["a"] - phi["control"]))


def test_without_controls_there_is_a_value_and_no_transfer():
    found = ask(TEACHER, STUDENTS[0], controls=())["agreement"]
    assert found.value.defined and found.control is None and not found.transfer.defined
    assert found.verdict == "no control" and found.p is None


def test_one_model_against_one_control_says_what_its_interval_leaves_out():
    found = ask(TEACHER, STUDENTS[0], controls=CONTROLS[:1])["agreement"]
    assert any("not of seeds" in note for note in found.notes)
    many = ask(TEACHER, STUDENTS[0])["agreement"]
    assert many.difference.high - many.difference.low > found.difference.high - found.difference.low


def test_replicas_of_the_teacher_widen_the_interval():
    teachers = [near(W, 0.8, s) for s in range(40, 44)]
    one, many = (ask(a, STUDENTS[0], controls=())["agreement"].value for a in (teachers[0], teachers))
    assert many.high - many.low > one.high - one.low


def test_equal_seeds_give_equal_json_and_another_measure_changes_no_number():
    first, second = (ask(TEACHER, STUDENTS).to_json() for _ in range(2))
    assert first == second
    alone = ask(TEACHER, STUDENTS, measures=[Agreement()])["agreement"]
    assert alone.value == ask(TEACHER, STUDENTS)["agreement"].value
    assert ask(TEACHER, STUDENTS, rng=1)["agreement"].value != alone.value  # control: another seed, other resamples


def test_order_labels_and_batch_size_change_no_answer():
    order = torch.randperm(N, generator=torch.Generator().manual_seed(5))
    base = ask(TEACHER, STUDENTS)
    moved = compare(
        TEACHER, STUDENTS, DATA.take(order), measures=OUTPUT, resamples=500, controls=CONTROLS, batch_size=37
    )
    for before, after in zip(base.answers, moved.answers, strict=True):
        for part in ("value", "control", "difference"):
            x, y = getattr(before, part), getattr(after, part)
            assert (y.value, y.low, y.high) == pytest.approx((x.value, x.low, x.high), abs=1e-6)


def test_json_round_trip_is_lossless():
    found = ask(TEACHER, STUDENTS)
    again = Comparison.from_dict(json.loads(found.to_json()))
    assert again.to_json() == found.to_json()
    assert repr(again) == repr(found)
    for damaged in ({}, {"schema": "other"}, [], {**found.to_dict(), "answers": [{}]}):
        with pytest.raises(InputError):
            Comparison.from_dict(damaged)


def test_undefined_answers_carry_their_reason_and_no_nan_reaches_json():
    inputs = torch.nn.functional.one_hot(LABELS, 4).float()
    data = Examples(inputs=inputs, labels=LABELS, name="answers")
    perfect, other = (lambda x: x * 9), (lambda x: x * 5)
    found = compare(perfect, other, data, measures=[ErrorConsistency()], resamples=200, controls=[perfect])
    answer = found["error_consistency"]
    assert answer.verdict == "not measurable" and "no errors" in answer.value.reason
    assert math.isnan(answer.value.value) and "NaN" not in found.to_json()


def test_holm_correction_is_over_all_answers():
    found = ask(TEACHER, STUDENTS)
    tested = [a for a in found.answers if a.p_adjusted is not None]
    assert all(a.p_adjusted >= a.p for a in tested) and max(a.p_adjusted / a.p for a in tested) > 1


def test_seed_test_states_the_smallest_p_it_can_reach():
    found = ask(TEACHER, STUDENTS[:2], controls=CONTROLS[:2])["agreement"]
    assert found.seeds_p_smallest == pytest.approx(1 / 3)
    assert found.seeds_p >= found.seeds_p_smallest - 1e-12


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"confidence": 1.5}, InputError, "confidence: found 1.5"),
        ({"labels": ("x", "x", "y")}, InputError, "three different names"),
        ({"measures": ["agreement"]}, InputError, "instances of learnt.Measure"),
        ({"measures": [Agreement(), Agreement()]}, InputError, "two questions named 'agreement'"),
        ({"resamples": 3}, InputError, "resamples"),
        ({"controls": [lambda x: torch.zeros(len(x), 7)]}, ShapeError, "7 outputs while a has 4"),
    ],
)
def test_bad_arguments_are_named(change, error, words):
    with pytest.raises(error, match=words):
        ask(TEACHER, STUDENTS, **change)


def test_empty_sides_and_unanswerable_questions_are_errors():
    with pytest.raises(InputError, match="b: found an empty sequence"):
        ask(TEACHER, [])
    with pytest.raises(NotApplicable, match="no class labels"):
        compare(TEACHER, STUDENTS[0], as_examples(X), measures=[Accuracy()])
    with pytest.raises(InputError, match="Nearest: agreement"):
        ask(TEACHER, STUDENTS)["agrement"]


def test_default_questions_that_do_not_fit_are_left_out_with_the_reason():
    found = compare(TEACHER, STUDENTS[0], as_examples(X), resamples=200, controls=CONTROLS)
    assert {a.name for a in found.answers} >= {"agreement", "kl", "js"}
    assert any("no class labels" in reason for _, reason in found.left_out)


def test_the_gallery_shows_what_each_side_says():
    found = ask(TEACHER, STUDENTS)
    cards = found.examples("disagree", 3)
    assert cards
    for card in cards:
        t = int(TEACHER(X[card.index : card.index + 1]).argmax())
        assert card.answers["a"][0] == DATA.classes[t]
        assert card.label == DATA.classes[int(LABELS[card.index])] and card.agree["b"] < 1
    for card in found.examples("follows_mistake"):
        assert card.answers["a"][0] != card.label and card.agree["b"] > card.agree["control"]


def test_pairwise_is_symmetric_where_claimed_with_identical_on_the_diagonal():
    matrix = pairwise([TEACHER, *CONTROLS[:2]], DATA, measure=Agreement(), names=["t", "c", "d"], resamples=200)
    assert np.allclose(matrix.values, matrix.values.T) and np.allclose(np.diag(matrix.values), 1)
    assert matrix["t", "c"].low <= matrix["t", "c"].value <= matrix["t", "c"].high
    assert ComparisonMatrix.from_dict(matrix.to_dict()).to_dict() == matrix.to_dict()
    kl = pairwise([TEACHER, *CONTROLS[:2]], DATA, measure=KLDivergence(), resamples=200).values
    assert not np.allclose(kl, kl.T)
    with pytest.raises(InputError, match="at least two"):
        pairwise([TEACHER], DATA, measure=Agreement())
    with pytest.raises(InputError, match="names"):
        pairwise([TEACHER, CONTROLS[0]], DATA, measure=Agreement(), names=["t", "t"])


def test_the_same_object_in_two_roles_is_prepared_once():
    calls = []

    def model(x):
        calls.append(len(x))
        return x @ W

    compare(model, model, DATA, measures=OUTPUT, controls=[model], resamples=200)
    assert sum(calls) == N
