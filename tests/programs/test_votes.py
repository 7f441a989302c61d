"""Votes are the program's own arithmetic: they sum to its logits, and a margin to its parts."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.programs import Program, run
from learnt.programs.votes import top_two, votes, why

from .made import PROGRAMS, golden, large_program, one_layer_sort, random_inputs, random_program


def summed(program, cast, position):
    total = [0.0] * len(program.labels)
    for rows in cast.by_variable.values():
        total = [a + b for a, b in zip(total, rows[position], strict=True)]
    return tuple(total)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_votes_sum_to_the_logits_bit_by_bit(seed):
    program = random_program(seed)
    for tokens in random_inputs(program, seed, 3):
        found = run(program, tokens)
        cast = votes(program, found)
        rows = [summed(program, cast, i) for i in range(len(found.tokens))]
        if not program.pool:
            assert tuple(rows) == found.logits
        else:
            means = [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
            assert means == pytest.approx(found.logits[0], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.data())
def test_a_margin_is_the_sum_of_its_parts_and_the_difference_of_the_logits(seed, data):
    program = random_program(seed)
    if len(program.labels) < 2:
        return
    tokens = random_inputs(program, seed, 1)[0]
    label, instead = data.draw(st.permutations(program.labels))[:2]
    position = None if program.pool else data.draw(st.integers(0, len(tokens) - 1))
    found = why(program, tokens, position, label, instead)
    assert found.margin == math.fsum(part.difference for part in found.parts)
    assert found.margin == pytest.approx(found.logits[0] - found.logits[1], abs=1e-12)
    assert [part.variable for part in found.parts] == list(program.classifier)
    for part in found.parts:
        assert part.difference == part.label - part.instead
    assert math.fsum(found.by_position) == pytest.approx(found.margin if program.pool else 0.0, abs=1e-12)
    assert set(found.masked) == {program.labels[y] for y in program.masked_labels} & {label, instead}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_default_question_is_the_answer_against_the_next_best(name):
    program = golden(name)
    for example in PROGRAMS[name]["examples"]:
        ran = run(program, example["tokens"])
        for i, (row, predicted) in enumerate(zip(ran.logits, ran.predictions, strict=True)):
            found = why(program, example["tokens"], None if program.pool else i)
            assert found.label == predicted != found.instead
            assert found.margin >= -1e-12
            rest = [v for y, v in enumerate(row) if y not in program.masked_labels and program.labels[y] != predicted]
            assert found.logits == (max(row[y] for y in top_two(program, row)), max(rest))


def test_the_votes_of_the_one_layer_sort_are_its_closed_form():
    # logit_y(p) = y p - y / 2 - sum_v n_v max(0, y - v): <s> 3 1 4 1 </s> at p = 1 gives 0, .5, -1, -2.5, -5
    found = why(one_layer_sort(), ["<s>", "3", "1", "4", "1", "</s>"], 1, "1", "3")
    parts = {part.variable: (part.value, part.label, part.instead) for part in found.parts}
    assert parts == {
        "positions": (1, 1.0, 3.0),
        "num_attn_0_0": (0, 0.0, 0.0),
        "num_attn_0_1": (2, 0.0, -4.0),
        "num_attn_0_2": (0, 0.0, 0.0),
        "num_attn_0_3": (1, 0.0, 0.0),
        "ones": (1, -0.5, -1.5),
    }
    assert (found.logits, found.margin) == ((0.5, -2.5), 3.0)


def test_a_pooled_margin_is_also_a_sum_over_tokens():
    found = why(golden("pool"), ["where", "is"], None, "LOC", "HUM")
    assert found.margin == pytest.approx(0.645 + 0.165, abs=1e-12)
    assert len(found.by_position) == 2
    assert math.fsum(found.by_position) == pytest.approx(found.margin, abs=1e-12)
    assert (found.position, found.token, found.parts[0].value) == (None, "", None)


def test_asked_about_another_label_the_opponent_is_the_answer():
    found = why(golden("induction"), ["<s>", "a", "1", "a"], 3, "2")
    assert (found.label, found.instead) == ("2", "1")
    assert found.margin < 0


def test_the_text_names_the_labels_the_token_and_every_part_with_most_for_the_label_first():
    text = str(why(one_layer_sort(), ["<s>", "3", "1", "4", "1", "</s>"], 1))
    lines = text.splitlines()
    assert lines[0] == "Why 1 and not 0 at position 1 (3)?"
    assert lines[1].split() == ["positions", "1", "+1", "(1", "against", "0)"]
    assert lines[-2].split()[:3] == ["ones", "1", "−0.5"]
    assert lines[-1].split() == ["margin", "+0.5", "(0.5", "against", "0)"]


def test_a_masked_label_is_said_to_be_never_predicted():
    program = replace(golden("random 0"), masked_labels=(0,))
    masked = program.labels[0]
    found = why(program, ["<s>", "a"], 1, instead=masked)
    assert found.masked == (masked,)
    assert "is masked: never predicted" in str(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6, None, None), "position"),
        ((-1, None, None), "position"),
        ((None, None, None), "position"),
        ((1, "7", None), "label"),
        ((1, None, "seven"), "instead"),
        ((1, "1", "1"), "instead"),
        ((True, None, None), "position"),
    ],
)
def test_check_23_questions_about_nothing_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        why(one_layer_sort(), ["<s>", "3", "1", "4", "1", "</s>"], *arguments)


def test_check_23_a_program_that_pools_has_no_positions_to_ask_about():
    with pytest.raises(InputError, match="pools"):
        why(golden("pool"), ["where", "is"], 0)


def test_check_23_a_run_of_another_program_is_refused():
    with pytest.raises(InputError, match="a run of this program"):
        votes(one_layer_sort(), run(large_program(), ["<s>", "3"]))


def test_check_23_without_a_second_label_there_is_nothing_to_compare():
    program = Program(vocab=("<s>", "a"), labels=("x",), k=2, n_ctx=2, layers=(), classifier={"ones": (1.0,)})
    with pytest.raises(InputError, match="no other label"):
        why(program, ["<s>", "a"], 1)
