"""Reachable values: counted by one run, equal to what the interpreter says input by input."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.programs import Head, Layer, NumMLP, Program, TableMLP, tasks
from learnt.programs._simplify_view import distinct, view
from learnt.programs.evaluator import encode
from learnt.programs.reachability import reachable

from .made import golden, one_layer_sort, random_inputs, random_program


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_everything_is_what_the_interpreter_meets(seed):
    program = random_program(seed)
    inputs = [list(t) for t in dict.fromkeys(map(tuple, random_inputs(program, seed, 20)))]
    found = reachable(program, inputs)
    runs = [program.run(tokens).variables for tokens in inputs]
    assert found.positions == sum(map(len, inputs))
    assert found.inputs == len(inputs)
    assert not found.exhaustive
    assert list(found.values) == [*program.categorical, *program.numerical]
    for name, counts in found.values.items():
        assert counts == Counter(v for run in runs for v in run[name])
        assert list(counts) == sorted(counts)
    for _, _, module in program.modules():
        if isinstance(module, TableMLP | NumMLP):
            met = Counter(t for run in runs for t in zip(*(run[i] for i in module.inputs), strict=True))
            assert found.tuples[module.name] == met
        else:
            assert found.queries[module.name] == found.values[module.query]
            assert found.keys[module.name] == found.values[module.key]
    assert dict(found.constants) == {n: min(c) for n, c in found.values.items() if len(c) == 1}
    grouped = {name: group for group in found.partitions for name in group}
    for a in found.values:
        for b in found.values:
            pairs = {p for run in runs for p in zip(run[a], run[b], strict=True)}
            bijection = len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})
            assert bijection == (a == b or b in grouped.get(a, ())), (a, b)


def test_sort_counts_are_those_of_all_inputs():
    found = reachable(one_layer_sort(), tasks.sort())
    assert found.exhaustive
    assert found.inputs == 19_530
    assert found.positions == sum((n + 2) * 5**n for n in range(1, 7))
    assert found.values["positions"] == {p: sum(5**n for n in range(max(1, p - 1), 7)) for p in range(8)}
    assert sorted(found.values["num_attn_0_0"]) == list(range(7))
    assert found.constants == {"ones": 1}
    assert str(found).startswith("19,530 inputs, 151,365 positions (all inputs of the domain)")


def test_an_input_given_twice_counts_once():
    program = golden("hist")
    once, twice = (reachable(program, [["<s>", "2", "2"]] * n) for n in (1, 2))
    assert once == twice


def test_a_domain_too_large_is_sampled_and_says_so():
    found = reachable(golden("hist"), tasks.hist(), most=1000, samples=50, seed=3)
    assert not found.exhaustive
    assert found.inputs <= 50


def test_a_turned_copy_has_the_same_partition_and_a_coarser_one_has_not():
    before = Head(query="positions", key="positions", value="tokens", predicate=[0, 0, 1, 2, 3, 4], name="before")
    turned = TableMLP(inputs=["before"], table=[5, 4, 3, 2, 1, 0], name="turned")
    coarse = TableMLP(inputs=["before"], table=[0, 0, 0, 1, 1, 1], name="coarse")
    program = Program(
        vocab=("<pad>", "<s>", "a", "b", "c"),
        labels=("x",),
        k=6,
        n_ctx=5,
        layers=[Layer(cat_heads=[before], cat_mlps=[turned, coarse])],
        classifier={},
    )
    found = reachable(program, tasks.Task.from_oracle(lambda t: ["x"] * len(t), alphabet="abc", longest=4))
    assert found.partitions == (("before", "turned"),)


def test_a_view_finds_functions_and_only_those():
    program = golden("reverse")
    seen = view(program, distinct(encode(program, [["<s>", "1", "0", "</s>"], ["<s>", "3", "</s>"]])))
    tokens, positions = seen.variables["tokens"], seen.variables["positions"]
    assert seen.function("tokens", of="positions") is None
    constant = seen.function("ones", of="tokens")
    assert constant is not None
    np.testing.assert_array_equal(constant[tokens], 1)
    own = seen.function("positions", of="positions")
    np.testing.assert_array_equal(own, np.arange(4))
    assert len(tokens) == len(positions) == 7


def test_inputs_that_a_program_cannot_take_are_refused():
    with pytest.raises(InputError):
        reachable(golden("hist"), [])
    with pytest.raises(InputError):
        reachable(golden("hist"), [["<s>", "nine"]])
