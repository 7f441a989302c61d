"""Branches that inputs reach: closed forms, and never more than are possible."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.programs import Head, Layer, NumMLP, Program, ReluNet, TableMLP, run, tasks
from learnt.programs.coverage import branch_coverage

from .made import golden, random_inputs, random_program


def small(**changes) -> Program:
    fields = {
        "vocab": ["<pad>", "<s>", "a", "b"], "labels": ["x", "y"], "k": 4, "n_ctx": 4,
        "layers": [], "classifier": {},
    }  # fmt: skip
    return Program(**(fields | changes))


def branches(program, inputs):
    """(name, kind) -> (possible, reached, missed branches)."""
    return {
        (m.name, m.kind): (m.possible, m.reached, [(b.values, b.outcome) for b in m.missed])
        for m in branch_coverage(program, inputs).modules
    }


def test_a_head_that_looks_one_back_has_closed_branches():
    head = Head(query="positions", key="positions", value="tokens", predicate=[0, 0, 1, 2])
    program = small(layers=[Layer(cat_heads=[head])])
    # position 0 finds itself, every other its predecessor, and nothing else is possible
    assert branches(program, [["<s>", "a"]]) == {
        ("attn_0_0", "attn"): (4, 2, [((2,), "match"), ((3,), "match")]),
    }
    assert branch_coverage(program, [["<s>", "a", "a", "b"]]).share == 1


def test_a_head_that_looks_ahead_may_find_nothing_and_never_does_if_causal():
    head = Head(query="positions", key="positions", value="tokens", predicate=[1, 2, 3, 3])
    program = small(layers=[Layer(cat_heads=[head])])
    found = branches(program, [["<s>", "a"]])[("attn_0_0", "attn")]
    missed = [((0,), "default"), ((1,), "match"), ((2,), "match"), ((2,), "default"), ((3,), "self")]
    assert found == (7, 2, missed)
    causal = small(layers=[Layer(cat_heads=[head])], causal=True)
    assert branches(causal, [["<s>", "a"]])[("attn_0_0", "attn")][:2] == (4, 2)


def test_a_head_on_one_variable_matches_others_or_itself_where_the_value_looks_for_itself():
    head = Head(query="tokens", key="tokens", value="positions", predicate=[0, 1, 2, 2])
    program = small(layers=[Layer(cat_heads=[head])])
    found = branches(program, [["<s>", "a"], ["b", "b"]])[("attn_0_0", "attn")]
    # <s> and a find themselves; b looks for a: nothing; padding is no query
    assert found == (6, 3, [((1,), "match"), ((2,), "match"), ((3,), "match")])


def test_a_count_matches_or_does_not():
    head = Head(query="tokens", key="tokens", value="ones", predicate=[0, 1, 2, 2])
    program = small(layers=[Layer(num_heads=[head])], classifier={"num_attn_0_0": [1, 0], "ones": [0, 1]})
    found = branches(program, [["b"]])
    assert found[("num_attn_0_0", "num_attn")] == (4, 1, [((1,), "match"), ((2,), "match"), ((3,), "match")])
    assert found[("num_attn_0_0", "votes")] == (1, 0, [((1,), "row")])
    assert found[("ones", "votes")] == (1, 1, [])


def test_entries_of_a_table_count_once_for_an_input_that_is_read_twice():
    table = TableMLP(inputs=["tokens", "tokens"], table=list(range(4)) * 4)
    program = small(layers=[Layer(cat_mlps=[table])], classifier={"mlp_0_0": np.eye(4, 2)})
    found = branches(program, [["<s>", "a"]])
    assert found[("mlp_0_0", "mlp")] == (3, 2, [((3, 3), "entry")])
    assert found[("mlp_0_0", "votes")] == (3, 2, [((3,), "row")])  # 0 is never the output: no token has that id
    pair = small(layers=[Layer(cat_mlps=[TableMLP(inputs=["tokens", "positions"], table=[0] * 16)])])
    assert branches(pair, [["<s>", "a"]])[("mlp_0_0", "mlp")][:2] == (12, 2)


def test_a_numerical_table_and_the_network_behind_it():
    head = Head(query="tokens", key="tokens", value="ones", predicate=[0, 1, 2, 3])
    net = ReluNet(W_in=[[1.0]], b_in=[-3.0], W_out=[[0.0], [1.0]], b_out=[0.5, 0.0])  # 0 up to 3, 1 for 4
    mlp = NumMLP(inputs=["num_attn_0_0"], sizes=[3], table=[1, 0, -1], weights=net)
    program = small(layers=[Layer(num_heads=[head], num_mlps=[mlp])], cardinalities={"num_mlp_0_0": 2})
    found = branches(program, [["<s>", "a", "a"]])[("num_mlp_0_0", "num_mlp")]
    # entries 0 and 1 of the table; the network gives 0 (for 2 and 3) or 1 (for 4)
    assert found == (4, 2, [((0,), "entry"), ((1,), "network")])
    assert branch_coverage(program, [["a"] * 4]).modules[1].missed[-1] == ((0,), "network", "network gives 0")


def test_padding_reaches_nothing():
    program = golden("hist")
    short = branch_coverage(program, [["<s>", "1"]])
    assert short == branch_coverage(program, [["<s>", "1", "<pad>"]])
    both = branch_coverage(program, [["<s>", "1"], ["<s>", "1", "1", "1"]])
    assert both.reached == short.reached


def test_the_histogram_reaches_everything_on_its_domain():
    domain = [["<s>", *word] for n in (1, 2) for word in product("012345", repeat=n)]
    found = branch_coverage(golden("hist"), domain)
    assert (found.possible, found.reached, found.share, found.n) == (9, 9, 1.0, 42)
    assert all(not module.missed for module in found.modules)
    assert "9 of 9" in str(found)


def test_missed_branches_have_the_words_of_the_program():
    found = branch_coverage(golden("reverse"), [["<s>", "3", "</s>"]])
    assert any(branch.text == "tokens = '0': match" for branch in found.modules[0].missed)
    assert any(branch.text == "attn_0_0 = 0, positions = 0" for branch in found.modules[1].missed)
    assert "never" in str(found)
    fields = json.loads(json.dumps(found.to_fields()))
    assert fields["possible"] == sum(m["reached"] + len(m["missed"]) for m in fields["modules"])


@given(seed=st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
def test_nothing_reached_was_called_impossible_and_more_inputs_reach_more(seed):
    program = random_program(seed)
    inputs = random_inputs(program, seed, 20)
    few, many = branch_coverage(program, inputs[:3]), branch_coverage(program, inputs)
    for a, b in zip(few.modules, many.modules, strict=True):
        assert a.possible == a.reached + len(a.missed) == b.reached + len(b.missed)
        assert set(b.missed) <= set(a.missed)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_outcomes_of_heads_are_the_reasons_of_the_interpreter(seed):
    program = random_program(seed)
    inputs = random_inputs(program, seed, 5)
    seen: dict[str, set] = {}
    for tokens in inputs:
        one = run(program, tokens)
        for _, _, module in program.modules():
            if isinstance(module, Head) and module.name in one.attended:
                for query, place in zip(one.variables[module.query], one.attended[module.name], strict=True):
                    reason = "match" if place.reason == "nearest" else place.reason
                    seen.setdefault(module.name, set()).add(((query,), reason))
    for module in branch_coverage(program, inputs).modules:
        if module.kind == "attn":
            assert module.reached == len(seen[module.name])
            assert not seen[module.name] & {(b.values, b.outcome) for b in module.missed}


def test_a_domain_and_a_task_are_inputs_and_nonsense_is_an_error():
    task = tasks.reverse(8, 5)
    found = branch_coverage(golden("reverse"), task)
    assert found == branch_coverage(golden("reverse"), task.domain())
    assert found.n == 155
    assert branch_coverage(golden("reverse"), task, most=0, samples=20).n == 20
    with pytest.raises(InputError, match="a Program"):
        branch_coverage("reverse", task)
    with pytest.raises(InputError, match="no input"):
        branch_coverage(golden("reverse"), [])
