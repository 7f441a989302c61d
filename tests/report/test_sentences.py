import pytest

from learnt.core.comparison import Side
from learnt.core.estimate import Estimate
from learnt.core.panels import Chart
from learnt.report import sentences


def said(make, **given):
    c = make.comparison([make.answer(**given)])
    return str(sentences.finding(c.answers[0], c))


def test_a_transfer_is_said_with_value_control_and_the_way_covered(make):
    assert said(make) == (
        "KL students matched teacher on 94.1 % of examples [93.1, 95.1], independent students on 90.2 %: "
        "40 % [31, 49] of the way from there to teacher."
    )


def test_other_units_say_what_identical_would_be(make):
    text = said(
        make,
        unit="nats",
        closer="lower",
        value=make.estimate(0.031, 0.004),
        control=make.estimate(0.052, 0.004),
        reference=Estimate.exact(0.0),
    )
    assert text.startswith(
        "This came to 0.0310 nats [0.0270, 0.0350] for KL students with teacher and 0.0520 nats for independent students (0 would be identical): 40 %"
    )


def test_a_property_is_said_for_all_three(make):
    c = make.comparison([make.property_answer()])
    assert str(sentences.finding(c.answers[0], c)) == (
        "This came to 97.1 % of examples [96.1, 98.1] for KL students, 98.0 % for teacher and 96.4 % for independent students. "
        "A transfer did not appear at this scale: 44 % [-36, 124] of the way from there to teacher."
    )


def test_a_lost_correction_is_not_called_a_transfer(make):
    text = said(make, verdict="not detected", transfer=make.estimate(0.2, 0.1), p_adjusted=0.4)
    assert "No transfer is claimed: 20 % [10, 30]" in text


def test_a_reversal_is_said_as_moving_away(make):
    text = said(make, verdict="reversed", transfer=make.estimate(-0.14, 0.1))
    assert text.endswith(": further away, -14 % [-24, -4] of the way from there to teacher.")


def test_more_than_all_the_way_is_beyond(make):
    assert ": beyond teacher, 160 % [130, 190]" in said(make, transfer=make.estimate(1.6, 0.3))


@pytest.mark.parametrize("reason", ["all models are always right", "all models are always right."])
def test_an_undefined_value_gives_its_reason(make, reason):
    unknown = Estimate.undefined(reason)
    assert (
        said(make, value=unknown, transfer=unknown, verdict="not measurable")
        == "No number exists here: all models are always right."
    )


def test_an_undefined_transfer_keeps_the_value_and_gives_its_reason(make):
    text = said(make, transfer=Estimate.undefined("there is no room"), verdict="not measurable")
    assert text.endswith(
        "independent students on 90.2 %. How much of it came from teacher cannot be measured: there is no room."
    )


def test_without_controls_nothing_is_said_about_learning(make):
    none = Estimate.undefined("no control was given")
    answers = [make.answer(control=None, difference=None, transfer=none, verdict="no control")]
    c = make.comparison(answers, control=None)
    assert str(sentences.finding(answers[0], c)) == "KL students matched teacher on 94.1 % of examples [93.1, 95.1]."
    assert "not what was learnt from teacher" in str(sentences.lead(c))
    assert "control" not in str(sentences.setting(c))


def test_exact_numbers_have_no_intervals_in_sentences(make):
    c = make.comparison()
    assert str(sentences.finding(c["starc"], c)) == (
        "This came to 0.25 (exact) for KL students with teacher and 1 for independent students (0 would be identical): "
        "75 % of the way from there to teacher."
    )


def test_the_lead_counts_every_answer_once(make):
    c = make.comparison()
    got, hints = sum(a.verdict == "transferred" for a in c.answers), sum(sentences.hints(a) for a in c.answers)
    none = sum(a.verdict == "not detected" for a in c.answers) - hints
    assert hints == 1
    assert str(sentences.lead(c)) == (
        f"KL students came closer to teacher than independent students did on {got} of {len(c.answers)} questions, by more "
        f"than chance explains. On {hints} more it may have, but so many questions call for stronger evidence; on {none} a "
        "transfer did not appear at this scale; on 1 the move was away from it; on 2 it cannot be measured."
    )


def test_an_interval_that_leaves_out_zero_but_not_after_correction_is_told_apart(make):
    sure_alone = make.answer("alone", transfer=make.estimate(0.4, 0.1), verdict="not detected")
    nothing = make.answer("nothing", transfer=make.estimate(0.0, 0.3), verdict="not detected")
    summary = sentences.summary(make.comparison([sure_alone, nothing]))
    assert [f.answer.name for f in summary.hinted] == ["alone"]
    assert [f.answer.name for f in summary.undetected] == ["nothing"]
    assert "No transfer is claimed" in str(summary.hinted[0].sentence)


def test_no_transfer_at_all_is_said_honestly(make):
    c = make.comparison([make.property_answer()])
    assert str(sentences.lead(c)).startswith("On none of 1 question did KL students come closer to teacher")


def test_findings_are_ordered_by_what_is_sure(make):
    wide = make.answer("wide", transfer=make.estimate(0.9, 0.8))
    narrow = make.answer("narrow", transfer=make.estimate(0.6, 0.1))
    summary = sentences.summary(make.comparison([wide, narrow]))
    assert [f.answer.name for f in summary.transferred] == ["narrow", "wide"]


def test_variants_of_a_question_are_one_finding(make):
    summary = sentences.summary(make.comparison())
    found = next(f for f in summary.transferred if f.answer.group == "invariance")
    assert (len(found.members), found.asked) == (2, 3)
    assert str(found.sentence).endswith("The verdict is the same in 2 of 3 variants of this question.")
    assert any(f.answer.name == "invariance[rotation]" for f in summary.undetected)


def test_every_answer_is_in_exactly_one_part_of_the_summary(make):
    c = make.comparison()
    s = sentences.summary(c)
    found = [
        x.name
        for part in (s.transferred, s.reversed, s.hinted, s.undetected, s.unmeasured, s.uncontrolled)
        for f in part
        for x in f.members
    ]
    assert sorted(found) == sorted(x.name for x in c.answers)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Do the images that fool A also fool B?", "Do the images that fool teacher also fool students?"),
        ("How much of a's doubt does it miss?", "How much of teacher's doubt does it miss?"),
        ("Is a model fooled by a patch?", "Is a model fooled by a patch?"),
        ("A model is compared. A second one too.", "A model is compared. A second one too."),
        ("Answers kept: A 0.98, B 0.97.", "Answers kept: teacher 0.98, students 0.97."),
        ("A (all images)", "teacher (all images)"),
        ("Share, for each answer of a; done.", "Share, for each answer of teacher; done."),
    ],
)
def test_letters_that_stand_for_sides_become_names(make, text, shown):
    c = make.comparison([make.answer()], b=Side(label="students", replicas=2))
    assert str(sentences.by_name(text, c)) == shown


def test_classes_called_a_and_b_keep_their_names(make):
    c = make.comparison([make.answer()])
    assert sentences.sides_named(["A", "B", "C"], c) == ["A", "B", "C"]
    assert sentences.sides_named(["A", "B", "control"], c) == ["teacher", "KL students", "independent students"]
    assert sentences.sides_named(["perfect", "a", "b"], c) == ["perfect", "teacher", "KL students"]
    chart = Chart(kind="heatmap", series={"b": []}, x=("A", "B"), y=("A", "B"))
    assert sentences.picture_named(chart, c)[0].x == ("A", "B")


def test_sentences_are_the_same_every_time(make):
    assert str(sentences.summary(make.comparison())) == str(sentences.summary(make.comparison()))


def test_setting_names_everyone_with_their_replicas(make):
    assert str(sentences.setting(make.comparison())) == (
        "KL students (5) compared with teacher, against independent students (5) as control, on digits (500 examples). "
        "Intervals cover 95 %."
    )
