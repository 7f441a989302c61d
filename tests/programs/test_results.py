"""Everything the room answers with prints as text of its own and is plain JSON data."""

import json

import pytest

from learnt.programs import (
    check,
    circuit,
    counterexample_guided,
    diff,
    evaluate,
    grow,
    interchange,
    library,
    prove,
    reachable,
    run,
    simplify,
    stats,
    tasks,
    trace,
    verify,
    why,
)
from learnt.programs.coverage import branch_coverage

TASK = tasks.hist(vocab_size=5, max_length=5, size=200)
PROGRAM = library.hist(vocab_size=5, max_length=5)
INPUT = ["<s>", "1", "2", "1"]

ANSWERS = {
    "run": lambda: run(PROGRAM, INPUT),
    "evaluation": lambda: evaluate(PROGRAM, [INPUT] * 12),
    "trace": lambda: trace(PROGRAM, INPUT),
    "why": lambda: why(PROGRAM, INPUT, 1),
    "check": lambda: check(PROGRAM, TASK),
    "coverage": lambda: branch_coverage(PROGRAM, TASK),
    "equivalence": lambda: verify(PROGRAM, PROGRAM, TASK),
    "diff": lambda: diff(PROGRAM, PROGRAM, TASK),
    "stats": lambda: stats(PROGRAM, TASK),
    "simplified": lambda: simplify(PROGRAM, TASK, task=TASK),
    "reachable": lambda: reachable(library.double_hist(vocab_size=5, max_length=5), TASK),
    "circuit": lambda: circuit(PROGRAM, TASK),
    "interchange": lambda: interchange(PROGRAM, INPUT, ["<s>", "1", "1", "1"], "count"),
    "searched": lambda: grow(TASK, layers=1, cat_heads=0, num_heads=1, cat_mlps=0, num_mlps=1, steps=2, restarts=2),
    "guided": lambda: counterexample_guided(PROGRAM, TASK, rounds=1, search_rounds=1),
    "proof": lambda: prove(PROGRAM, "count", 3),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_prints_as_text_of_its_own_and_is_plain_json(name):
    if name == "proof":
        pytest.importorskip("z3")
    answer = ANSWERS[name]()
    assert type(answer).__str__ is not object.__str__
    text = str(answer)
    assert text != repr(answer) and 5 < len(text) < 5_000 and "object at" not in text
    fields = answer.to_fields()
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields  # no tuple, no array, no integer key


def test_the_fields_of_a_run_are_those_of_the_run():
    found = run(library.induction(), ["<s>", "a", "1", "b", "2", "a"])
    fields = found.to_fields()
    assert fields["predictions"] == list(found.predictions)
    name = next(iter(found.attended))
    assert [look["position"] for look in fields["attended"][name]] == [a.position for a in found.attended[name]]
    assert str(found) == "<s> a 1 b 2 a: " + " ".join(found.predictions)


def test_the_fields_of_an_evaluation_end_where_the_inputs_end():
    rows = [["<s>", "1"], ["<s>", "1", "2", "1"]]
    fields = evaluate(PROGRAM, rows, keep=True).to_fields()
    assert fields["inputs"] == rows
    assert [len(row) for row in fields["labels"]] == [len(row) for row in fields["logits"]] == [2, 4]
    assert fields["variables"]["count"] == [list(run(PROGRAM, r).variables["count"]) for r in rows]
    assert str(evaluate(PROGRAM, rows)).splitlines()[1] == "  <s> 1: " + " ".join(PROGRAM(rows[0]))


def test_reachable_values_survive_json_as_pairs():
    fields = json.loads(json.dumps(reachable(PROGRAM, TASK).to_fields()))
    found = reachable(PROGRAM, TASK)
    for name, pairs in fields["values"].items():
        assert {value: count for value, count in pairs} == found.values[name]
        assert sum(count for _, count in pairs) == found.positions


def test_a_search_says_what_it_added_and_how_right_each_restart_was():
    found = grow(TASK, layers=1, cat_heads=0, num_heads=1, cat_mlps=0, num_mlps=1, steps=2, restarts=2)
    text = str(found)
    assert f"validation {found.validation:.2%}" in text.splitlines()[0]
    assert len(text.splitlines()) == 1 + len(found.history)
    assert [step["what"] for step in found.to_fields()["history"]] == [step.what for step in found.history]
