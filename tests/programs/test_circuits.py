"""The fewest modules behind a behaviour: the known circuit, brute force on small programs, and exact interventions."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, LearntError, NotApplicable, ShapeError
from learnt.programs import Head, Layer, Program, TableMLP, encode, evaluate, tasks
from learnt.programs._circuit_evaluator import Set, predictions_with
from learnt.programs._circuit_slice import live, upstream
from learnt.programs.circuits import circuit
from learnt.programs.interchanges import interchange

from .made import golden, one_layer_sort, random_inputs, random_program


def crowded() -> Program:
    """The golden induction among useless heads: unread, read by nobody who matters, or with votes too weak to turn."""
    program = golden("induction")
    rng = np.random.default_rng(0)
    heads = [
        [Head(query="positions", key="tokens", value="tokens", predicate=rng.integers(0, 10, 10), name=f"extra_{i}{j}") for j in range(3)]
        for i in range(2)
    ]  # fmt: skip
    heads[1].append(Head(query="extra_00", key="tokens", value="extra_01", predicate=rng.integers(0, 10, 10), name="reader"))  # fmt: skip
    layers = [
        replace(layer, cat_heads=(*extra[:1], *layer.cat_heads, *extra[1:]))
        for layer, extra in zip(program.layers, heads, strict=True)
    ]
    weak = {name: 0.3 * rng.random((10, 6)) for name in ("extra_00", "extra_10", "extra_12", "reader")}
    return replace(program, layers=layers, classifier={**program.classifier, **weak})


def test_check_17_the_circuit_of_induction_is_its_two_heads():
    program, task = crowded(), tasks.induction()
    inputs = task.domain().sample(300, seed=1)
    found = circuit(program, inputs)
    assert found.modules == ("attn_0_0", "attn_1_0")
    assert found.method == "exact"
    assert found.sufficiency == 1
    assert "extra_11" not in found.live  # nobody reads it and it does not vote
    assert set(found.replaced) == set(found.live) - {"attn_0_0", "attn_1_0"}
    assert all(found.necessity[name] > 0.1 for name in found.modules)
    assert all(found.necessity[name] == 0 for name in found.replaced)
    assert circuit(program, inputs, exact=0).modules == found.modules  # greedy
    assert circuit(program, inputs, exact=0).method == "greedy"
    assert circuit(program, inputs, replace="mean").modules == found.modules
    assert circuit(program, inputs, scored=task).modules == found.modules
    assert ("positions", "attn_0_0", "query") in found.reads
    assert ("attn_0_0", "attn_1_0", "key") in found.reads
    assert found.votes == ("tokens", "attn_1_0")
    text = str(found)
    assert text.startswith("2 of ")
    assert "key attn_0_0" in text
    assert json.loads(json.dumps(found.to_fields()))["modules"] == ["attn_0_0", "attn_1_0"]


def test_every_module_of_a_minimal_program_is_in_its_circuit():
    task = tasks.sort(8, 8)
    inputs = task.domain().sample(200, seed=0)
    assert circuit(one_layer_sort(), inputs, scored=task).modules == tuple(f"num_attn_0_{v}" for v in range(4))
    whole = circuit(golden("reverse"), tasks.reverse(8, 6))
    assert whole.modules == ("attn_0_0", "mlp_0_0", "attn_1_0")
    assert (whole.kind, whole.inputs) == ("exhaustive", 780)
    assert "on all 780 inputs (exact)" in str(whole)
    assert circuit(golden("reverse"), tasks.reverse(8, 6), most=0, samples=50).kind == "sampled"


def test_on_inputs_of_one_length_the_end_need_not_be_looked_up():
    domain = [["<s>", a, b, c, "</s>"] for a in "012" for b in "012" for c in "012"]
    found = circuit(golden("reverse"), domain)
    assert found.modules == ("mlp_0_0", "attn_1_0")
    assert found.replaced == {"attn_0_0": 4}  # where the end always is, except for the end itself


def test_the_circuit_of_one_label_may_be_smaller():
    even = TableMLP(inputs=["tokens"], table=[0, 0, 1, 0], name="is_a")
    other = TableMLP(inputs=["tokens"], table=[0, 0, 0, 1], name="is_b")
    program = Program(
        vocab=["<pad>", "<s>", "a", "b"], labels=["none", "A", "B"], k=4, n_ctx=4,
        layers=[Layer(cat_mlps=[even, other])],
        classifier={"is_a": [[0, 0, 0], [0, 2, 0], [0] * 3, [0] * 3], "is_b": [[0, 0, 0], [0, 0, 2], [0] * 3, [0] * 3], "ones": [1, 0, 0]},
    )  # fmt: skip
    inputs = [["<s>", "a", "b"], ["<s>", "b"], ["<s>"]]
    assert circuit(program, inputs).modules == ("is_a", "is_b")
    assert circuit(program, inputs, label="A").modules == ("is_a",)
    assert circuit(program, inputs, label="B").modules == ("is_b",)
    assert circuit(program, tokens=["<s>", "<s>"]).modules == ()
    assert "whether it is 'A'" in str(circuit(program, inputs, label="A"))
    loose = circuit(program, inputs, keep=0.6)  # four of six predictions
    assert len(loose.modules) < 2
    assert loose.sufficiency >= 0.6


def test_trying_all_sets_finds_the_one_module_that_greed_throws_away():
    """`whole` says as much as two halves together, so each of the three can go, and `whole` goes first."""
    tables = [TableMLP(inputs=["tokens"], table=[0, 0, 1, 0], name=name) for name in ("whole", "half", "other_half")]
    says = [[0, 0], [0, 1], [0, 0], [0, 0]]
    program = Program(
        vocab=["<pad>", "<s>", "a", "b"], labels=["no", "yes"], k=4, n_ctx=4, layers=[Layer(cat_mlps=tables)],
        classifier={"whole": np.multiply(says, 2), "half": says, "other_half": says, "ones": [1.5, 0]},
    )  # fmt: skip
    inputs = [["<s>", "a", "b"], ["<s>", "b"]]
    assert circuit(program, inputs, exact=2).modules == ("half", "other_half")
    found = circuit(program, inputs)
    assert (found.modules, found.method) == (("whole",), "exact")
    assert set(found.necessity.values()) == {0.0}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_without_interventions_the_bits_are_those_of_the_evaluator(seed):
    program = random_program(seed)
    batch = encode(program, random_inputs(program, seed))
    found = evaluate(program, batch).predictions
    assert (predictions_with(program, batch, {}) == (found[:, None] if program.pool else found)).all()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_replaced_table_is_the_program_with_a_constant_table(seed):
    program = random_program(seed)
    tables = [(i, j) for i, layer in enumerate(program.layers) for j in range(len(layer.cat_mlps))]
    assume(tables)
    batch = encode(program, random_inputs(program, seed))
    i, j = tables[seed % len(tables)]
    mlps = list(program.layers[i].cat_mlps)
    value = seed % program.cardinality[mlps[j].name]
    name = mlps[j].name
    mlps[j] = replace(mlps[j], table=[value] * len(mlps[j].table))
    layers = [*program.layers[:i], replace(program.layers[i], cat_mlps=mlps), *program.layers[i + 1 :]]
    expected = evaluate(replace(program, layers=layers), batch).predictions
    found = predictions_with(program, batch, {name: Set(value)})
    assert (found == (expected[:, None] if program.pool else expected)).all()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_no_smaller_set_of_modules_keeps_the_predictions(seed):
    program = random_program(seed)
    alive = live(program)
    assume(1 <= len(alive) <= 7)
    inputs = random_inputs(program, seed)
    batch = encode(program, inputs)
    found = circuit(program, inputs)
    assert found.sufficiency == 1
    assert found.live == alive
    seen = evaluate(program, batch, keep=True)
    frequent = {}
    for name in alive:
        values, counts = np.unique(seen.variables[name][seen.real], return_counts=True)
        frequent[name] = int(values[counts.argmax()])
    before = predictions_with(program, batch, {})

    def kept(chosen):
        out = {name: Set(frequent[name]) for name in alive if name not in chosen}
        return bool((predictions_with(program, batch, out) == before).all())

    assert kept(found.modules)
    smaller = (chosen for size in range(len(found.modules)) for chosen in combinations(alive, size))
    assert not any(kept(chosen) for chosen in smaller)
    greedy = circuit(program, inputs, exact=0)
    assert kept(greedy.modules)
    assert not any(kept(set(greedy.modules) - {name}) for name in greedy.modules)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_is_not_live_cannot_change_a_prediction(seed):
    program = random_program(seed)
    batch = encode(program, random_inputs(program, seed))
    before = predictions_with(program, batch, {})
    dead = {m.name for _, _, m in program.modules()} - set(live(program))
    rng = np.random.default_rng(seed)
    sizes = {name: program.cardinality.get(name, 9) for name in dead}
    # values that it can have: what it says at other places
    seen = evaluate(program, batch, keep=True)
    changes = {name: Set(rng.permuted(np.where(seen.real, seen.variables[name], seen.variables[name][0, 0]))) for name in sizes}  # fmt: skip
    assert (predictions_with(program, batch, changes) == before).all()


def test_a_cut_stops_the_walk_back():
    program = golden("reverse")
    assert live(program) == ("attn_0_0", "mlp_0_0", "attn_1_0")
    assert upstream(program, ("attn_1_0",), cut=frozenset({"mlp_0_0"})) == ("attn_1_0",)
    assert upstream(program, ("tokens",)) == ()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_with_all_inputs_of_the_source_the_answer_is_that_of_the_source(seed):
    program = random_program(seed)
    by_length: dict[int, list] = {}
    for tokens in random_inputs(program, seed, 20):
        by_length.setdefault(len(tokens), []).append(tokens)
    pairs = [rows[:2] for rows in by_length.values() if len(rows) > 1]
    assume(pairs)
    for base, source in pairs:
        found = interchange(program, base, source, program.input_variables)
        assert found.after == found.other == program(source)
        assert found.before == program(base)
        same = interchange(program, base, base, [m.name for _, _, m in program.modules()] or ["ones"])
        assert same.after == same.before
        assert same.changed == ()


def test_the_previous_token_of_another_input_moves_the_answer_of_induction():
    program = golden("induction")
    base, source = ["<s>", "a", "1", "b", "2", "a"], ["<s>", "b", "1", "a", "2", "a"]
    assert (program(base)[5], program(source)[5]) == ("1", "2")
    found = interchange(program, base, source, "attn_0_0")
    assert found.after[5] == "2"  # what stood behind an a in the source
    assert 5 in found.changed
    one = interchange(program, base, source, "attn_1_0", positions=[5])
    assert one.after == (*program(base)[:5], program(["<s>", "b", "1", "a", "2", "a"])[5])
    moved = interchange(program, base, ["<s>", "a", "3", "a"], "attn_1_0", positions={5: 3})
    assert moved.after[5] == "3"
    assert moved.positions == ((5, 3),)
    assert "base with attn_1_0" in str(moved)
    assert json.loads(json.dumps(moved.to_fields()))["positions"] == [[5, 3]]


def test_a_variable_set_in_some_places_is_computed_in_the_others():
    program = golden("reverse")
    base, source = ["<s>", "1", "2", "3", "</s>"], ["<s>", "3", "0", "0", "</s>"]
    found = interchange(program, base, source, "tokens", positions=[1])
    assert found.after == program(["<s>", "3", "2", "3", "</s>"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: circuit("p", [["<s>"]]), "a Program"),
        (lambda p: circuit(p), "either inputs"),
        (lambda p: circuit(p, [["<s>"]], tokens=["<s>"]), "either inputs"),
        (lambda p: circuit(p, [["<s>"]], label="no"), "one of"),
        (lambda p: circuit(p, [["<s>"]], replace="zero"), '"mode" or "mean"'),
        (lambda p: circuit(p, [["<s>"]], keep=0), "above 0"),
        (lambda p: circuit(p, [["<s>"]], exact=-1), "exact"),
        (lambda p: circuit(p, []), "no input"),
        (lambda p: circuit(p, tokens=["x"]), "unknown token"),
        (lambda p: interchange("p", ["<s>"], ["<s>"], "tokens"), "a Program"),
        (lambda p: interchange(p, ["<s>"], ["<s>"], "nothing"), "one of tokens"),
        (lambda p: interchange(p, ["<s>"], ["<s>"], []), "found none"),
        (lambda p: interchange(p, ["<s>"], ["<s>"], "tokens", positions=[1]), "positions"),
        (lambda p: interchange(p, ["<s>"], ["<s>"], "tokens", positions={0: 3}), "positions"),
    ],
)
def test_check_23_bad_arguments_are_errors(call, words):
    with pytest.raises(LearntError, match=words):
        call(golden("reverse"))


def test_inputs_of_different_lengths_need_positions():
    program = golden("reverse")
    with pytest.raises(ShapeError, match="as the base"):
        interchange(program, ["<s>", "1", "</s>"], ["<s>", "</s>"], "tokens")
    with pytest.raises(NotApplicable, match="no position"):
        circuit(program, [["<s>", "</s>"]], scored=lambda tokens: [False, False])
    with pytest.raises(InputError, match="neither a task|Task, or a function"):
        circuit(program, [["<s>", "</s>"]], scored=5)
