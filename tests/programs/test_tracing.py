"""A trace says what the interpreter did, in the words of its user."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.programs import Head, Layer, Program, run
from learnt.programs._typed import columns, kinds, number, shown
from learnt.programs.tracing import trace
from learnt.programs.votes import why

from .made import CASES, PROGRAMS, golden, large_program, one_layer_sort, random_inputs, random_program


def as_integers(program, variable):
    ids = {token: i for i, token in enumerate(program.vocab)}
    return tuple(ids[v] if isinstance(v, str) else v for v in variable.values)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_check_09_every_value_look_and_answer_is_the_interpreters(seed):
    program = random_program(seed)
    for tokens in random_inputs(program, seed, 2):
        ran, traced = run(program, tokens), trace(program, tokens)
        assert {v.name: as_integers(program, v) for v in traced.variables} == dict(ran.variables)
        assert (traced.tokens, traced.predictions) == (ran.tokens, ran.predictions)
        assert {
            v.name: tuple((x.position, x.reason, x.matches) for x in v.looks)
            for v in traced.variables
            if v.module == "attn"
        } == {name: tuple(map(tuple, looks)) for name, looks in ran.attended.items()}
        assert [a.labels[0] for a in traced.answers] == list(ran.predictions)
        for answer, row in zip(traced.answers, ran.logits, strict=True):
            assert answer.logits == tuple(row[program.labels.index(label)] for label in answer.labels)
            for i, logit in enumerate(answer.logits):
                assert sum(votes[i] for votes in answer.votes.values()) == pytest.approx(logit, abs=1e-12)
                assert all(
                    row[y] <= answer.logits[-1] or program.labels[y] == answer.labels[0]
                    for y in range(len(row)) if y not in program.masked_labels
                )  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_check_09_golden_programs_are_traced_to_their_golden_values(name):
    program = golden(name)
    for example in PROGRAMS[name]["examples"]:
        traced = trace(program, example["tokens"])
        assert {v.name: list(as_integers(program, v)) for v in traced.variables} == example["vars"]
        assert {v.name: [x.position for x in v.looks] for v in traced.variables if v.module == "attn"} == example[
            "attends_to"
        ]
        assert list(traced.predictions) == example["pred"]


@pytest.mark.parametrize("name", CASES)
def test_check_01_reasons_are_those_of_the_golden_attention_cases(name):
    case = CASES[name]
    n, k = len(case["keys"]), len(case["predicate"])
    looked = {"attn_0_0": (case["keys"], "k"), "attn_0_1": (case["queries"], "q")}
    # keys and queries come from embeddings of n different words
    program = Program(
        vocab=[f"w{i}" for i in range(n)], labels=["x", "y"], k=k, n_ctx=n, causal=case["causal"],
        embeddings=list(zip(looked["attn_0_0"][0], looked["attn_0_1"][0], strict=True)),
        cardinalities={"positions": max(n, k)},
        layers=[Layer(cat_heads=[Head(query="emb_1", key="emb_0", value="positions", predicate=case["predicate"])])],
        classifier={"ones": [1, 0]},
    )  # fmt: skip
    head = trace(program, program.vocab)["attn_0_0"]
    assert [look.position for look in head.looks] == case["attends_to"] == list(head.values)
    for i, look in enumerate(head.looks):
        others = [j for j in case["matches"][i] if j != i]
        expected = "nearest" if len(others) > 1 else "match" if others else "self" if case["matches"][i] else "default"
        assert look.reason == expected
        assert list(look.matches) == case["matches"][i]
        assert (look.query, look.wanted) == (case["queries"][i], case["predicate"][case["queries"][i]])


def test_values_of_a_head_have_the_type_of_what_it_copies():
    reverse = golden("reverse")
    traced = trace(reverse, ["<s>", "4", "2", "</s>"])
    assert kinds(reverse)["attn_0_0"] == "position"
    assert traced["attn_0_0"].values == (3, 3, 3, 3)
    assert traced["mlp_0_0"].kind == "value"
    assert traced["attn_1_0"].kind == "token"
    assert traced["attn_1_0"].values[1:3] == ("2", "4")
    assert trace(one_layer_sort(), ["<s>", "3"])["num_attn_0_3"].values == (1, 1)
    assert trace(golden("pool"), ["where"])["attn_0_0"].kind == "embedding"


def test_reasons_are_sentences_about_names_and_values():
    traced = trace(golden("induction"), ["<s>", "a", "1", "b", "2", "b"])
    assert traced.reasons(1) == (
        "attn_0_0: positions = 1 looks for positions = 0: reads tokens = <s> at position 0 (the only match)",
        "attn_1_0: tokens = a looks for attn_0_0 = a: reads tokens = <s> at position 0 (nothing matches, so the start)",
    )
    assert "reads tokens = 2 at position 4 (the only match)" in traced.reasons(5)[1]
    summed = trace(one_layer_sort(), ["<s>", "3", "1", "4", "1"]).reasons(2)
    assert summed[1] == "num_attn_0_1: positions = 2 looks for tokens = 1: found at 2, 4; the sum of ones is 2"
    assert summed[0].endswith("found nowhere; the sum of ones is 0")
    mlp = trace(golden("reverse"), ["<s>", "4", "2", "</s>"]).reasons(1)[1]
    assert mlp == "mlp_0_0: attn_0_0 = 3, positions = 1 gives 2"


def test_a_key_value_that_is_no_token_stays_a_number():
    program = Program(
        vocab=("<s>", "a"), labels=("x", "y"), k=6, n_ctx=2, classifier={"ones": (1, 0)},
        layers=[Layer(cat_heads=[Head(query="tokens", key="tokens", value="tokens", predicate=[5] * 6)])],
    )  # fmt: skip
    look = trace(program, ["<s>", "a"])["attn_0_0"].looks[1]
    assert (look.query, look.wanted, look.reason) == ("a", 5, "default")


def test_words_that_the_program_does_not_know_are_shown_beside_what_it_read():
    program = golden("pool")
    traced = trace(program, ["zebra", "is", "<pad>"])
    assert (traced.given, traced.tokens) == (("zebra", "is"), ("<unk>", "is"))
    text = traced.text()
    assert "zebra" in text and "<unk>" in text


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(40, 130))
def test_the_text_holds_every_variable_and_token_and_keeps_its_width(seed, width):
    program = random_program(seed)
    tokens = random_inputs(program, seed, 1)[0]
    text = trace(program, tokens).text(width=width)
    for name in (*program.categorical, *program.numerical):
        if name != "positions":  # the header
            assert name in text
    assert all(shown(token) in text for token in tokens)
    lines = text.splitlines()
    table = [line for line in lines if not line.startswith("←")]
    assert max(map(columns, table)) <= max(width, 75)  # one column a block at least
    assert not any(line != line.rstrip() for line in lines)


def test_long_inputs_wrap_into_blocks_that_repeat_the_names():
    tokens = ["<s>", *"0123412"]
    program = large_program()
    whole, narrow = trace(program, tokens).text(width=400), trace(program, tokens).text(width=70)
    assert whole.count("attn_2_3") == 4  # value and vote, of a head and of a numerical head
    assert max(map(len, narrow.splitlines())) <= 70
    assert narrow.count("position  ") > 1
    heads = [line.split()[1:] for line in narrow.splitlines() if line.startswith("position ")]
    assert [int(i) for line in heads for i in line] == [*range(8), *range(8)]  # values, then votes


def test_the_text_is_an_aligned_table():
    text = trace(golden("induction"), ["<s>", "a", "1", "a"]).text()
    rows = [line for line in text.split("\n\n")[0].splitlines() if line.split()[0] in ("position", "tokens", "answer")]
    assert len({len(row) for row in rows}) == 1
    assert "1 ←2" in text and "<s> ←0!" in text
    assert "nothing matches, so read at position 0" in text


def test_wide_and_combining_characters_keep_the_columns():
    program = Program(
        vocab=("<s>", "日本", "e\u0301", "x"), labels=("a", "b"), k=4, n_ctx=4, layers=(), classifier={"ones": (1, 0)}
    )
    text = trace(program, ["<s>", "日本", "e\u0301", "x"]).text()
    for part in text.split("\n\n"):
        assert len({columns(line) for line in part.splitlines() if not line.startswith("votes for")}) == 1


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("a", "a"), ("<s>", "<s>"), ("", '""'), (" ", '" "'), ("a\nb", '"a\\nb"'), ('"', '"\\""'), ("it's", "it's"),
        ("\x1b[31m", '"\\x1b[31m"'), ("\u202eabc", '"\\u202eabc"'), ("\\n", "\\n"), ("\u200b", '"\\u200b"'), (7, "7"),
    ],
)  # fmt: skip
def test_tokens_are_shown_without_characters_that_act(token, text):
    assert shown(token) == text
    assert shown(token).isprintable()


@given(st.text(max_size=6), st.text(max_size=6))
def test_different_tokens_never_look_alike(a, b):
    assert (shown(a) == shown(b)) == (a == b)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.5, "1.5"), (-2, "−2"), (0.12345, "0.123"), (999.6, "1000"), (1234.4, "1234"),
        (1e-7, "1.00e−07"), (1234567.0, "1.23e+06"), (0.00012, "0.00012"), (-450.0, "−450"),
    ],
)  # fmt: skip
def test_votes_are_written_short(value, text):
    assert number(value) == text


def test_a_trace_as_fields_is_json_and_complete():
    traced = trace(golden("induction"), ["<s>", "a", "1", "a"])
    fields = json.loads(json.dumps(traced.to_fields()))
    assert fields["schema"] == "learnt.trace/1"
    assert fields["predictions"] == list(traced.predictions)
    by_name = {v["name"]: v for v in fields["variables"]}
    assert list(by_name) == [v.name for v in traced.variables]
    assert by_name["attn_1_0"]["looks"][3] == {
        "query": "a", "wanted": "a", "matches": [2], "position": 2, "reason": "match"
    }  # fmt: skip
    assert fields["answers"][3]["votes"]["attn_1_0"] == list(traced.answers[3].votes["attn_1_0"])


def test_a_trace_answers_why_like_the_function():
    tokens = ["<s>", "3", "1", "4", "1", "</s>"]
    traced = trace(one_layer_sort(), tokens)
    assert traced.why(1) == why(one_layer_sort(), tokens, 1)
    assert traced.why(1, "4") == why(one_layer_sort(), tokens, 1, None, "4")
    assert traced.why(1, label="4") == why(one_layer_sort(), tokens, 1, "4")
    assert trace(golden("pool"), ["where", "is"]).why() == why(golden("pool"), ["where", "is"], None)


def test_equal_traces_are_equal_and_cannot_change():
    traced = trace(golden("hist"), ["<s>", "1"])
    assert traced == trace(golden("hist"), ("<s>", "1"))
    assert hash(traced) == hash(trace(golden("hist"), iter(["<s>", "1"])))
    with pytest.raises(AttributeError):
        traced.given = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "empty"),
        (["nonsense"], "nonsense"),
        (["<s>"] * 99, "n_ctx"),
        ("<s>", "list of tokens"),
        (None, "list of tokens"),
        ([3], "text"),
    ],
)
def test_check_23_inputs_that_the_program_cannot_take_are_refused(tokens, message):
    with pytest.raises(InputError, match=message):
        trace(golden("hist"), tokens)


def test_check_23_a_width_that_holds_nothing_and_a_position_outside_are_refused():
    traced = trace(golden("hist"), ["<s>", "1"])
    with pytest.raises(InputError, match="width"):
        traced.text(width=3)
    with pytest.raises(InputError, match="position"):
        traced.reasons(2)
    with pytest.raises(KeyError):
        traced["nothing"]
