"""A program that is nearly right becomes right by what it gets wrong, and the last check is over all inputs."""

from dataclasses import replace

import numpy as np
import pytest

from learnt.core.errors import InputError, NotApplicable
from learnt.programs import Head, library, tasks
from learnt.programs.counterexamples import counterexample_guided


def nearly(program, seed=0, noise=0.25):
    """The program with votes that are off: right in most places."""
    rng = np.random.default_rng(seed)
    votes = {name: np.array(v) + noise * rng.normal(size=np.shape(v)) for name, v in program.classifier.items()}
    return replace(program, classifier=votes)


def test_check_10_wrong_votes_are_corrected_until_all_19530_inputs_are_right():
    task = tasks.sort()
    broken = nearly(library.sort())
    before = broken.check(task, parts=False)
    assert before.score.wrong > 100
    found = counterexample_guided(broken, task, steps=("refit",), most=100)
    assert found.wrong == 0 and found.exhaustive and found.n == 19_530
    assert found.program.check(task, parts=False).proved
    assert 0 < len(found.counterexamples) <= 600
    assert found.rounds[0].step == "check" and found.rounds[0].wrong == before.score.wrong
    assert found.to_fields()["rounds"][-1]["wrong"] == found.rounds[-1].wrong == 0
    assert "wrong on 0 of all 19,530" in str(found)


def test_a_part_of_the_training_inputs_is_enough_beside_the_counterexamples():
    broken = nearly(library.sort(), 2)
    found = counterexample_guided(broken, tasks.sort(), steps=("refit",), rounds=8, examples=300)
    assert found.wrong == 0 and found.exhaustive
    again = counterexample_guided(broken, tasks.sort(), steps=("refit",), rounds=8, examples=300)
    assert again.program == found.program


def test_a_wrong_table_is_corrected_and_without_that_step_it_is_not():
    task = tasks.reverse()
    good = library.reverse()
    mlp = good.layers[0].cat_mlps or good.layers[1].cat_mlps
    table = list(mlp[0].table)
    used = [i for i, value in enumerate(table) if value == 3]
    table[used[-1]] = 0
    layers = [replace(layer, cat_mlps=tuple(replace(m, table=table) for m in layer.cat_mlps)) for layer in good.layers]
    broken = replace(good, layers=layers)
    wrong = broken.check(task, parts=False).score.wrong
    assert wrong > 0
    found = counterexample_guided(broken, task, steps=("tables",), rounds=2)
    assert found.wrong == 0
    control = counterexample_guided(broken, task, steps=("refit",), rounds=2)
    assert control.wrong > 0


def test_a_wrong_predicate_is_corrected_by_search():
    task = tasks.induction()
    good = library.induction()
    head = good.layers[0].cat_heads[0]
    predicate = list(head.predicate)
    predicate[5] = 0
    first = replace(good.layers[0], cat_heads=(Head(query=head.query, key=head.key, value=head.value, predicate=predicate, name=head.name),))  # fmt: skip
    broken = replace(good, layers=(first, *good.layers[1:]))
    found = counterexample_guided(
        broken, task, steps=("search",), rounds=2, search_rounds=60, search_seconds=60, samples=2_000
    )
    assert found.wrong == 0
    assert found.rounds[0].wrong > 0


def test_a_right_program_is_left_as_it_is():
    found = counterexample_guided(library.sort(), tasks.sort())
    assert found.program == library.sort()
    assert len(found.rounds) == 1 and not found.counterexamples


def test_the_same_arguments_give_the_same_program():
    runs = [
        counterexample_guided(nearly(library.sort(), 1), tasks.sort(), steps=("refit",), rounds=1) for _ in range(2)
    ]
    assert runs[0].program == runs[1].program


def test_tasks_and_arguments_that_do_not_fit_are_refused():
    program = library.sort()
    with pytest.raises(NotApplicable, match="oracle"):
        counterexample_guided(program, tasks.Task.from_pairs([["a"], ["b"], ["a", "b"]], [["x"], ["x"], ["x", "x"]]))
    with pytest.raises(InputError, match="steps"):
        counterexample_guided(program, tasks.sort(), steps=("guess",))
    with pytest.raises(InputError, match="positive"):
        counterexample_guided(program, tasks.sort(), rounds=0)
    with pytest.raises(InputError, match="examples"):
        counterexample_guided(program, tasks.sort(), examples=0)
    with pytest.raises(InputError, match="vocabulary"):
        counterexample_guided(program, tasks.hist())
