"""One input at a time: the golden attention cases, programs and traces, and the rules on padding and unknown words."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.programs import Head, Layer, NumMLP, Program, ReluNet, attend, from_fields, run

from .made import CASES, GOLDEN, PROGRAMS, golden, one_layer_sort, random_inputs, random_program, tiny


@pytest.mark.parametrize("name", CASES)
def test_check_01_every_position_attends_where_the_golden_cases_say(name):
    case = CASES[name]
    attended = attend(case["queries"], case["keys"], case["predicate"], causal=case["causal"])
    assert [a.position for a in attended] == case["attends_to"]
    assert [list(a.matches) for a in attended] == case["matches"]


def test_check_01_self_comes_last_and_left_before_right():
    identity = list(range(8))
    attended = attend([7, 5, 7, 7, 5, 7], [0, 5, 0, 0, 5, 0], identity)
    assert (attended[1].position, attended[4].position) == (4, 1)
    left = attend([5, 5, 5, 5, 5], [0, 5, 0, 5, 0], identity)[2]
    assert left == (1, "nearest", (1, 3))
    assert attend([3], [5], identity)[0] == (0, "default", ())
    assert attend([7, 5], [0, 5], identity)[1] == (1, "self", (1,))
    assert attend([7, 5], [5, 0], identity)[1] == (0, "match", (0,))


def test_check_01_the_rule_of_the_authors_generated_code_is_another_one():
    differ = [c for c in CASES.values() if c["attends_to"] != c["authors_generated_code_attends_to"]]
    assert differ


@pytest.mark.parametrize("name", PROGRAMS)
def test_check_09_every_variable_attended_position_logit_and_prediction_is_golden(name):
    program = golden(name)
    for example in PROGRAMS[name]["examples"]:
        found = run(program, example["tokens"])
        assert {v: list(x) for v, x in found.variables.items()} == example["vars"]
        assert {h: [a.position for a in x] for h, x in found.attended.items()} == example["attends_to"]
        assert list(found.predictions) == example["pred"]
        rows = example["logits"] if "logits" in example else [example["pooled_logits"]]
        assert len(found.logits) == len(rows)
        for mine, theirs in zip(found.logits, rows, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-4)


def test_check_22_pooled_logits_are_means_over_the_true_length():
    program = golden("pool")
    found = program.run(["<s>", "who", "</s>"])
    assert found.predictions == ("HUM",)
    assert found.logits[0] == pytest.approx((0, 0.96, -0.19 / 3), abs=1e-12)
    assert program(["<s>", "where", "</s>"]) == ("LOC",)


def test_check_08_induction_answers_what_came_after_and_unknown_for_a_new_letter():
    expected = ("<pad>", "<unk>", "<pad>", "<unk>", "<pad>", "2", "<pad>", "1")
    assert golden("induction")("<s> a 1 b 2 b 2 a".split()) == expected


def test_check_07_sort_by_one_layer_and_histogram_have_the_closed_form_logits():
    found = one_layer_sort().run("<s> 3 1 4 1 </s>".split())
    assert [found.variables[f"num_attn_0_{v}"][1] for v in range(4)] == [0, 2, 0, 1]
    assert found.logits[1] == (0, 0.5, -1, -2.5, -5)
    assert found.predictions[1:5] == ("1", "1", "3", "4")
    counted = golden("hist").run("<s> 2 5 5".split())
    assert counted.predictions[1:] == ("1", "2", "2")
    assert counted.logits[2][:4] == (1.5, 2, 1.5, 0)


def squares() -> Program:
    """Layer 1 sums layer-0 counts, so that its value is count^2; a network with threshold 20.5 reads it."""
    count = Head(query="tokens", key="tokens", value="ones", predicate=range(8))
    again = Head(query="tokens", key="tokens", value="num_attn_0_0", predicate=range(8))
    net = ReluNet(W_in=[[1.0]], b_in=[-20.5], W_out=[[-1.0], [1.0]], b_out=[0.0, 0.0])
    threshold = NumMLP(inputs=["num_attn_1_0"], weights=net)
    return Program(
        vocab=["<pad>", "<s>", "a"], labels=["L0", "L1"], k=8, n_ctx=GOLDEN["numeric_range_trap"]["n_ctx"], cardinalities={"num_mlp_1_0": 2},
        layers=[Layer(num_heads=[count]), Layer(num_heads=[again], num_mlps=[threshold])], classifier={"num_mlp_1_0": [[1, 0], [0, 1]]},
    )  # fmt: skip


def test_check_11_counts_of_counts_go_to_the_network_and_never_to_a_default():
    program, trap = squares(), GOLDEN["numeric_range_trap"]
    assert dict(program.highest) == {"ones": 1, "num_attn_0_0": 8, "num_attn_1_0": 64}
    for count, label in trap["expected"].items():
        tokens = ["<s>", *["a"] * int(count)]
        assert program(tokens)[-1] == label
        assert program.evaluate([tokens]).labels[0][-1] == label
    assert trap["expected"] != trap["authors_generated_code"]


def test_values_outside_a_table_without_a_network_are_an_error_when_they_occur():
    fields = tiny()
    fields["layers"][0]["num_mlps"] = [{"inputs": ["num_attn_0_0"], "sizes": [3], "table": [0, 1, 2]}]
    program = from_fields(fields)
    assert program(["<s>", "red"])
    for ask in (program, lambda tokens: program.evaluate([tokens])):
        with pytest.raises(InputError, match=r"num_mlp_0_0: found inputs \(3\); expected .*0 to 2"):
            ask(["<s>", "red", "red", "red"])


@given(seed=st.integers(0, 10_000), pads=st.integers(1, 5))
def test_check_13_padding_after_an_input_changes_nothing(seed, pads):
    program = random_program(seed)
    for tokens in random_inputs(program, seed, 2):
        if program.padded:
            assert program.run([*tokens, *["<pad>"] * pads]) == program.run(tokens)


@given(seed=st.integers(0, 10_000))
def test_check_13_a_causal_program_does_not_see_what_follows(seed):
    program = random_program(seed)
    if not program.causal or program.pool:
        return
    for tokens in random_inputs(program, seed, 3):
        whole = program(tokens)
        for end in range(1, len(tokens)):
            assert program(tokens[:end]) == whole[:end]


def test_a_program_without_modules_votes_with_its_inputs():
    program = from_fields(tiny(layers=[{}], classifier={"tokens": [[0, 0, 0], [0, 0, 0], [0, 0, 2], [0, 1, 0]]}))
    assert program(["<s>", "red", "blue"]) == ("no", "yes", "no")


def test_a_numerical_mlp_over_ones_alone_is_constant():
    fields = tiny()
    fields["layers"][0]["num_mlps"] = [{"inputs": ["ones", "ones"], "sizes": [2, 2], "table": [0, 1, 2, 3]}]
    assert set(from_fields(fields).run(["<s>", "red"]).variables["num_mlp_0_0"]) == {3}


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["<s>", "rod"], r"tokens\[1\]: found the unknown token 'rod'; expected a token of the vocabulary, nearest 'red'"),
        (["<s>"] * 5, "5 tokens; expected at most n_ctx = 4"),
        ([], "an empty input"),
        (["<pad>", "<pad>"], "an empty input"),
        (["<s>", "<pad>", "red"], r"tokens\[1\]: found '<pad>' before a token"),
        (["<s>", 3], r"tokens\[1\]: found 3; expected text"),
        (["<s>", ["red"]], r"tokens\[1\]: found \['red'\]; expected text"),
        ("red", "found 'red'; expected a list of tokens"),
        (None, "found None; expected a list of tokens"),
    ],
)  # fmt: skip
def test_check_23_an_input_that_the_program_cannot_take_has_its_error(tokens, message):
    program = from_fields(tiny())
    with pytest.raises(InputError, match=message):
        program(tokens)
    with pytest.raises(ValueError, match=message.replace("tokens", r"(tokens|inputs\[0\])", 1)):
        program.evaluate([tokens])


def test_check_23_unknown_tokens_follow_the_policy():
    strict = from_fields(tiny())
    lenient = from_fields(tiny(vocab=["<pad>", "<s>", "<unk>", "blue"]))
    assert lenient.run(["<s>", "green"]).tokens == ("<s>", "<unk>")
    assert lenient(["<s>", "green"], unknown="unk") == lenient(["<s>", "<unk>"])
    for program, policy, message in (
        (lenient, "error", "unknown token 'green'"),
        (strict, "unk", "no '<unk>' in the vocabulary"),
        (strict, "guess", "found 'guess'"),
    ):
        with pytest.raises(InputError, match=message):
            program(["<s>", "green"], unknown=policy)


LIGHT = """
import sys
from learnt import programs
program = programs.from_json(sys.stdin.read())
tokens = ["<s>", "red", "blue"]
assert program.evaluate([tokens]).labels[0] == program(tokens)
assert programs.from_json(programs.to_json(program)) == program
print("torch" in sys.modules, "pandas" in sys.modules, "scipy" in sys.modules)
"""


def test_programs_run_without_torch():
    from learnt.programs import to_json

    text = to_json(from_fields(tiny()))
    result = subprocess.run([sys.executable, "-c", LIGHT], input=text, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.split()) == (0, ["False"] * 3), result.stderr
