"""The size of a program: counts by hand, a code whose bits are closed forms, and what does nothing."""

import json
from dataclasses import replace
from math import comb, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.programs import Head, Layer, Program, TableMLP, evaluate, tasks
from learnt.programs._verify_bits import count_bits, exact_digits, function_bits, number_bits
from learnt.programs.python_export import count_lines
from learnt.programs.size import needed_digits, stats

from .made import golden, large_program, one_layer_sort, random_inputs, random_program


def small(**changes) -> Program:
    fields = {
        "vocab": ["<pad>", "<s>", "a", "b"], "labels": ["x", "y"], "k": 4, "n_ctx": 4,
        "layers": [], "classifier": {},
    }  # fmt: skip
    return Program(**(fields | changes))


BACK = Head(query="positions", key="positions", value="tokens", predicate=[0, 0, 1, 2])


def test_counts_cost_what_elias_gamma_says():
    assert [count_bits(n) for n in (0, 1, 2, 3, 6, 7, 14, 15)] == [1, 3, 3, 5, 5, 7, 7, 9]


def test_functions_cost_the_cheapest_description():
    constant = np.zeros(8, int)
    assert function_bits(constant, 4, []) == 1 + 2 + count_bits(0)
    one_other = np.array([0] * 7 + [3])
    assert function_bits(one_other, 4, []) == pytest.approx(1 + 2 + count_bits(1) + log2(comb(8, 1)) + 2)
    mixed = np.array([0, 1, 2, 3, 3, 2, 1, 0])
    assert function_bits(mixed, 4, []) == 1 + 8 * 2
    shift = np.arange(8)
    assert function_bits(shift, 8, [(4.0, shift)]) == pytest.approx(log2(3) + 4 + count_bits(0))


def test_numbers_cost_their_digits():
    assert number_bits(np.array([0.0, 1.0, -2.5]), 1) == 1 + (count_bits(10) + 1) + (count_bits(25) + 1)
    assert exact_digits(np.array([0.5, 1.25])) == 2
    assert exact_digits(np.array([3.0])) == 0
    assert exact_digits(np.array([1 / 3])) in (16, 17)
    assert exact_digits(np.array([2.0**-60])) is None


def test_the_histogram_has_the_size_that_one_counts_by_hand():
    found = stats(golden("hist"), lines=False)
    assert dict(found.modules) == {"attn": 0, "num_attn": 1, "mlp": 0, "num_mlp": 0}
    assert (found.layers, found.total, found.live, found.dead) == (1, 1, ("num_attn_0_0",), ())
    assert (found.vote_rows, found.digits) == (2, 1)
    assert found.constant is found.duplicates is found.repeated is found.lines is None
    assert found.parts["structure"] == count_bits(1) + 3 * count_bits(0) + count_bits(1)
    assert found.parts["reads"] == 2 * log2(2)  # tokens or positions, twice; ones is the only numerical variable
    # every token looks for itself, and <s>, the last of 7, does not: a shift with one exception
    assert found.parts["predicates"] == pytest.approx(log2(3) + log2(15) + count_bits(1) + log2(7) + 3)
    assert found.parts["tables"] == found.parts["networks"] == 0
    votes = np.concatenate([golden("hist").classifier[v] for v in ("ones", "num_attn_0_0")])
    expected = count_bits(2) + log2(comb(4, 2)) + count_bits(1) + 2 + number_bits(np.array(votes), 1)
    assert found.parts["votes"] == pytest.approx(expected)
    assert found.bits == pytest.approx(sum(found.parts.values()))
    assert "1 num_attn" in str(found)


def test_what_no_prediction_can_depend_on_is_dead():
    unread = replace(BACK, name="unread")
    ahead = replace(BACK, name="ahead", predicate=[1, 2, 3, 3])
    reader = Head(query="tokens", key="ahead", value="positions", predicate=[0, 1, 2, 3], name="reader")
    votes = {
        "reader": [[0, 1], [0, 0], [1, 0], [0, 0]],
        "unread": [[3, 3], [1, 1], [0, 0], [2, 2]],  # the same for every label
        "ones": [1, 0],
    }
    program = small(layers=[Layer(cat_heads=[unread, ahead]), Layer(cat_heads=[reader])], classifier=votes)
    found = stats(program, lines=False)
    assert found.live == ("ahead", "reader")
    assert found.dead == ("unread",)
    assert found.vote_rows == 2 + 3 + 1
    inputs = random_inputs(program, 0)
    gone = replace(program, layers=[Layer(cat_heads=[ahead]), Layer(cat_heads=[reader])], classifier={"reader": votes["reader"], "ones": [1, 0]})  # fmt: skip
    assert (evaluate(program, inputs).predictions == evaluate(gone, inputs).predictions).all()
    masked = replace(program, labels=["x", "y", "z"], classifier={"unread": [[0, 0, i] for i in range(4)]})
    assert stats(masked, lines=False).live == ("unread",)
    assert stats(replace(masked, masked_labels=[2]), lines=False).live == ()


def test_constant_and_repeated_modules_are_found_on_a_domain_and_only_there():
    table = TableMLP(inputs=["attn_0_0"], table=[3, 2, 1, 0], name="mirrored")  # a bijection of what it reads
    constant = TableMLP(inputs=["tokens"], table=[2, 1, 1, 1], name="always")  # padding is no token
    ahead = replace(BACK, predicate=[1, 2, 3, 3], name="ahead")
    program = small(
        layers=[Layer(cat_heads=[BACK, ahead], cat_mlps=[table, constant])],
        classifier={"mirrored": np.eye(4, 2), "always": np.eye(4, 2)},
    )
    domain = [["<s>", *word] for word in (["a"], ["b"], ["a", "b"], ["b", "a", "a"])]
    found = stats(program, domain, lines=False)
    assert found.constant == ("always",)
    assert found.duplicates == (("attn_0_0", "mirrored"),)
    assert found.repeated == 1
    assert (found.inputs, found.exhaustive) == (4, False)
    alone = stats(program, [["<s>"]], lines=False)
    assert alone.constant == ("attn_0_0", "ahead", "mirrored", "always")
    assert alone.duplicates == ()
    whole = stats(golden("reverse"), tasks.reverse(8, 5), lines=False)
    assert (whole.inputs, whole.exhaustive, whole.repeated) == (155, True, 0)
    assert "all of the domain" in str(whole)


def test_votes_are_written_with_the_digits_that_keep_every_prediction():
    program = small(classifier={"tokens": [[0, 0], [0.1, 0.1234], [1 / 3, 2 / 3], [0.24, 0.26]]})
    batch = evaluate(program, [["<s>", "a", "b"]]).batch
    assert needed_digits(program, batch) == 2  # 0.1 < 0.1234 and 0.24 < 0.26 need two, 1/3 < 2/3 none
    exact = stats(program, lines=False)
    rounded = stats(program, [["<s>", "a", "b"]], lines=False)
    assert exact.digits in (16, 17)
    assert rounded.digits == 2
    assert rounded.bits < exact.bits
    assert needed_digits(small(), batch) == 0
    assert needed_digits(golden("reverse"), evaluate(golden("reverse"), [["<s>", "1", "</s>"]]).batch) == 0


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_rounding_to_the_digits_found_changes_no_prediction(seed):
    program = random_program(seed)
    before = evaluate(program, random_inputs(program, seed))
    digits = needed_digits(program, before.batch)
    assert digits is not None
    rounded = replace(program, classifier={v: np.round(np.array(w), digits) for v, w in program.classifier.items()})
    assert (evaluate(rounded, before.batch).predictions == before.predictions).all()
    found = stats(program, before.batch, lines=False)
    assert found.bits > 0
    assert set(found.live) | set(found.dead) == {module.name for _, _, module in program.modules()}
    json.dumps(found.to_fields())


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_one_more_module_costs_bits_and_a_rule_costs_less_than_noise(seed):
    program = random_program(seed)
    rng = np.random.default_rng(seed)
    k = program.cardinality["positions"]

    def extended(predicate):
        head = Head(query="positions", key="positions", value="positions", predicate=predicate, name="extra")
        return stats(replace(program, layers=[*program.layers, Layer(cat_heads=[head])]), lines=False).bits

    base = stats(program, lines=False).bits
    assert base < extended(np.arange(k)) <= extended(rng.permutation(k)) + 1e-9


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_dead_modules_change_no_prediction_when_they_are_taken_away(seed):
    program = random_program(seed)
    dead = set(stats(program, lines=False).dead)
    kinds = ("cat_heads", "num_heads", "cat_mlps", "num_mlps")
    kept = [
        Layer(**{kind: [m for m in getattr(layer, kind) if m.name not in dead] for kind in kinds})
        for layer in program.layers
    ]
    before = evaluate(program, random_inputs(program, seed), keep=True)
    votes = {v: np.array(w) for v, w in program.classifier.items()}
    bias = votes.pop("ones", np.zeros(len(program.labels)))
    for name in dead & set(votes):  # whatever it says, it says to all labels alike, or it always says the same
        rows = votes.pop(name)
        bias = bias + (rows[before.variables[name][0, 0]] if name in program.cardinality else 0 * rows)
    sizes = {v: n for v, n in program.cardinalities.items() if v not in dead}
    less = replace(program, layers=kept, classifier={**votes, "ones": bias}, cardinalities=sizes)
    assert (evaluate(less, before.batch).predictions == before.predictions).all()


def test_lines_are_lines_of_code():
    text = '"""Title.\n\nMore.\n"""\n\nX = 1  # why\n\n\ndef f(a):\n    """Doc."""\n    # comment\n    return (\n        a\n    )\n'
    assert count_lines(text) == 5
    assert count_lines('X = """a\nb"""\n') == 2
    assert count_lines("") == 0


def test_smaller_programs_have_fewer_lines_branches_and_bits():
    small_, large = stats(one_layer_sort()), stats(large_program())
    assert small_.lines is not None
    assert large.lines is not None
    assert small_.lines < large.lines
    assert small_.branches < large.branches
    assert small_.bits < large.bits
    assert (small_.total, large.total) == (4, 36)
    assert "lines" in str(small_)


def test_check_23_bad_arguments_are_errors():
    with pytest.raises(InputError, match="a Program"):
        stats("program")
    with pytest.raises(InputError, match="no input"):
        stats(golden("hist"), [])
