"""Labels that stay, and heights of walks."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from learnt.programs import Head, TableMLP, evaluate
from learnt.programs._search_data import encoded
from learnt.programs._search_gain import slope
from learnt.programs._search_growth import Frame, Growth, Shape, start
from learnt.programs._search_staying import first_growth, flag, staying_label, until_first, with_flags
from learnt.programs._search_walk import previous_head, returns, walk
from learnt.programs.search import grow
from learnt.programs.task import Task

CLOSES = {"]": "[", ">": "<"}


def answer(tokens):
    """open, shut, and broken for good once a bracket does not fit."""
    stack, out, broken = [], [], False
    for token in tokens[1:]:
        if token not in CLOSES:
            stack.append(token)
        elif not stack or stack.pop() != CLOSES[token]:
            broken = True
        out.append("broken" if broken else "open" if stack else "shut")
    return ("<pad>", *out)


def brackets(n=7, count=1_500):
    rng = np.random.default_rng(0)
    inputs, kept = [], set()
    while len(inputs) < count:
        body, depth = [], []
        for _ in range(n - 1):  # mostly right, so that faults come late
            close = depth and rng.random() < 0.5
            body.append({"[": "]", "<": ">"}[depth.pop()] if close else str(rng.choice(["[", "<"])))
            if not close:
                depth.append(body[-1])
            if rng.random() < 0.08:
                body[-1] = str(rng.choice(list("[]<>")))
        if tuple(body) not in kept:
            kept.add(tuple(body))
            inputs.append(("<s>", *body))
    return Task.from_pairs(
        inputs, [answer(i) for i in inputs], vocab=("<pad>", "<s>", *"[]<>"), causal=True, max_length=n
    )


def data_of(task, pairs):
    return encoded(pairs, task.vocab, task.labels, task.max_length)


def frame_of(task):
    return Frame(vocab=task.vocab, labels=task.labels, k=7, n_ctx=task.max_length, causal=True)


TASK = brackets()


def test_the_label_that_stays_is_found_and_only_where_one_stays():
    data = data_of(TASK, TASK.split().train)
    label = staying_label(data)
    assert label == TASK.labels.index("broken")
    other = Task.from_pairs(TASK.inputs, [("<pad>", *map(str, i[1:])) for i in TASK.inputs], causal=True)
    assert staying_label(data_of(other, other.split().train)) is None


def test_nothing_is_scored_after_the_first_label_that_stays():
    data = data_of(TASK, TASK.split().train)
    label = TASK.labels.index("broken")
    before = until_first(data, label)
    assert ((before.targets == label).sum(1) == (data.targets == label).any(1)).all()
    assert ((before.targets == data.targets) | (before.targets == -1)).all()
    where = np.cumsum(data.targets == label, 1) <= 1
    first = where & ~((data.targets == label) & (np.cumsum(data.targets == label, 1) > 1))
    assert (before.targets[first] == data.targets[first]).all()


def test_a_walk_puts_opening_and_closing_brackets_into_two_sets():
    data = until_first(data_of(TASK, TASK.split().train.take(range(300))), TASK.labels.index("broken"))
    stream = start(frame_of(TASK), data)
    at = slope(np.zeros((len(data.labels), 3)), data.labels, data.row_weights)
    found = walk(stream, at, "tokens", outputs=7)
    assert found is not None and [size for _, size in found.modules] == [3, None, None, 7]
    kind = found.modules[0][0]
    assert isinstance(kind, TableMLP)
    sets = np.array(kind.table)
    ids = {token: TASK.vocab.index(token) for token in "[]<>"}
    assert sets[ids["["]] == sets[ids["<"]] == 1 and sets[ids["]"]] == sets[ids[">"]] == 2
    for module, size in found.modules:
        stream.declare(module, size)
    ups, downs = np.isin(data.ids, [ids["["], ids["<"]]), np.isin(data.ids, [ids["]"], ids[">"]])
    height = np.clip(np.cumsum(ups, 1) - np.cumsum(downs, 1), -1, 5) + 1
    assert (stream.array("_height").T == height).all()
    assert walk(stream, at, "tokens", outputs=2) is None


def test_a_flag_is_a_linear_classifier_and_never_cries_wolf():
    data = until_first(data_of(TASK, TASK.split().train.take(range(300))), TASK.labels.index("broken"))
    stream = start(frame_of(TASK), data)
    before = previous_head("tokens", 7)
    stream.declare(replace(before, name="before"))
    left = data.labels == TASK.labels.index("broken")
    table, worth = flag(stream, ["tokens", "positions", "before"], data.places, left, left)
    said = np.array(table.table)[stream.entries(table.inputs).ravel()[data.places]] == 1
    assert worth == (said & left).sum() - 30 * (said & ~left).sum() > 0
    assert not (said & ~left).any()


def test_what_an_earlier_position_held_is_read_from_where_the_walk_last_stood_here():
    data = data_of(TASK, TASK.split().train.take(range(50)))
    growth = Growth(frame_of(TASK), Shape(limits=({"cat_heads": 2},) * 2), data, data)
    assert returns(growth) == []  # nothing from one position earlier
    growth.add([(previous_head("tokens", 7), 7)], [(0, "cat_heads")])
    assert ("tokens", "v1", "tokens", "positions") in returns(growth)


def test_flags_come_with_heads_that_look_back_for_them():
    data = data_of(TASK, TASK.split().train.take(range(400)))
    limits = {"cat_heads": 2, "num_heads": 2, "cat_mlps": 2, "num_mlps": 1}
    growth = Growth(frame_of(TASK), Shape(limits=(limits,) * 3), data, data)
    first = first_growth(growth, TASK.labels.index("broken"))
    assert first is not None and first.shape.layers == 1
    first.add([(previous_head("tokens", 7), 7)], [(0, "cat_heads")])
    before = growth.score()[1]
    made = with_flags(growth, first, TASK.labels.index("broken"), most=2)
    assert made and growth.score()[1] > before + 0.1
    kinds = [type(module) for module in growth.modules.values()]
    assert kinds.count(TableMLP) == len(made) and kinds.count(Head) == len(made) + 1
    assert first_growth(Growth(frame_of(TASK), Shape(limits=(limits,) * 2), data, data), 0) is None


SIZE: dict[str, Any] = {
    "layers": 6,
    "cat_heads": 2,
    "num_heads": 2,
    "cat_mlps": 2,
    "num_mlps": 1,
    "examples": 700,
    "screened": 250,
}
SEARCH: dict[str, Any] = {"width": 20, "pool": 6, "final_rounds": 60, "steps": 5, "seed": 1}


def right(program):
    inputs = [("<s>", *body) for body in product("[]<>", repeat=6)]
    data = encoded(MADE.answer(inputs), program.vocab, program.labels, program.n_ctx)
    predicted = evaluate(program, data.batch).predictions
    return float((predicted == data.targets)[data.targets >= 0].mean())


MADE = Task(
    name="brackets", vocab=TASK.vocab, labels=TASK.labels, max_length=7, parts=TASK.parts, oracle=answer, causal=True
)


def test_check_24_brackets_that_stay_broken_are_grown_and_not_without_looking_back_for_the_first():
    found = grow(MADE, **SIZE, **SEARCH, walks=True, staying=True)
    assert any("flags that say where broken comes first" in step.what for step in found.history)
    assert found.validation > 0.995 and right(found.program) > 0.99  # all 4,096 strings, most of them broken
    alone = grow(MADE, **SIZE, **SEARCH, walks=True)
    assert alone.validation < found.validation - 0.015  # .975 and .998: one error in 40 tokens, one in 400
    assert right(alone.program) < right(found.program)


def test_the_same_seed_gives_the_same_program():
    small: dict[str, Any] = {
        **SIZE,
        **SEARCH,
        "examples": 120,
        "screened": 60,
        "steps": 2,
        "width": 6,
        "pool": 2,
        "final_rounds": 5,
    }
    first, again = (grow(MADE, **small, walks=True, staying=True) for _ in range(2))
    assert first.program == again.program
    assert first.history[-1].what.endswith("flags that say where broken comes first")


@pytest.mark.parametrize("causal", [True, False])
def test_without_a_label_that_stays_the_option_changes_nothing(causal):
    targets = [("<pad>", *i[:-1]) for i in TASK.inputs]
    task = Task.from_pairs(TASK.inputs, targets, causal=causal)
    size: dict[str, Any] = {
        "layers": 1,
        "num_heads": 0,
        "num_mlps": 0,
        "cat_mlps": 0,
        "examples": 200,
        "screened": 60,
        "steps": 1,
    }
    rest: dict[str, Any] = {"width": 10, "pool": 2, "final_rounds": 5}
    assert grow(task, **size, **rest, staying=True).program == grow(task, **size, **rest).program
