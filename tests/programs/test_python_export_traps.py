"""What broke the authors' files or could break ours: quoting, code inside tokens, names, missing values, bad input."""

import ast
import json
import random

import pytest

from learnt.core.errors import InputError
from learnt.programs import Head, Layer, Program, TableMLP, from_fields
from learnt.programs.python_export import to_python

from .made import golden, random_inputs, random_program, tiny
from .test_python_export import agree, answers, expected, load

NASTY = [
    "", " ", '"', "'", '"""', "'''", "\\", "\\n", "\n", "\r\n", "\t", "\x00", "\x0c", "\x1b[31m", "\u2028", "\u202e", "\ufeff", "\U0001f600",
    "é", "e\u0301", "日本", "None", "NA", "null", "nan", "NaN", "N/A", "True", "1", "1.0", "{x}", "{", "%s", "#", "# coding: latin-1", "\\N{BULLET}",
    '"""); import os #', "'''); import os #", '"]); raise SystemExit #', "\\", "\"'\\", "</s>", "<unk>", "__import__('os')", "a" * 200,
]  # fmt: skip
NASTY = list(dict.fromkeys(NASTY))


def echo(*, with_unknown: bool) -> Program:
    """Every token is its own label, through a head, a table of tokens and votes; every part of the text has tokens."""
    words = [w for w in NASTY if with_unknown or w != "<unk>"]
    n, rng = len(words), random.Random(0)
    here = Head(query="positions", key="positions", value="tokens", predicate=range(n), name="here")
    twin = list(range(n))
    rng.shuffle(twin)
    other = Head(query="here", key="tokens", value="positions", predicate=twin, name="other")
    table = TableMLP(inputs=["tokens", "here"], table=[(a * b) % 3 for a in range(n) for b in range(n)], name="mixed")
    return Program(
        vocab=words, labels=words, k=n, n_ctx=n, layers=[Layer(cat_heads=[here]), Layer(cat_heads=[other], cat_mlps=[table])],
        classifier={"here": [[float(i == j) for j in range(n)] for i in range(n)], "mixed": [[0.25 * (i == 1)] * n for i in range(n)]},
        meta={"note": '"""); import os #'},
    )  # fmt: skip


def test_check_12_tokens_of_every_kind_are_tokens_and_nothing_else(tmp_path):
    jobs = []
    for with_unknown in (True, False):
        program = echo(with_unknown=with_unknown)
        rng = random.Random(1)
        rows = [
            list(program.vocab),
            *([rng.choice(program.vocab) for _ in range(9)] for _ in range(15)),
            ["never seen"],
        ]
        jobs.append((program, rows))
        assert program(program.vocab) == program.vocab
    agree(tmp_path, jobs)


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_nothing_in_a_program_can_become_code(style):
    program = echo(with_unknown=True)
    text = to_python(program, style=style, domain=None, examples=[program.vocab])
    tree = ast.parse(text)
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    methods = {"sys.exit", "sys.stdout.reconfigure", "words.pop", "words.index", "chosen.append", "found.append", "votes.get", "seen.get", "VOTES.items", "cast.items", "s.index", "BALLOTS.items", "predicate"}  # fmt: skip
    harmless = {"range", "len", "list", "map", "zip", "enumerate", "max", "sum", "isinstance", "ValueError", "frozenset", "tuple", "print", "all", "dict", "dict.fromkeys", "', '.join", "get_close_matches"}  # fmt: skip
    assert called - own - methods - harmless == set()
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"sys"}
    assert all(character == "\n" or character.isprintable() for character in text)
    assert load(text)["check"]()


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_names_of_modules_survive_unless_python_needs_them(style):
    program = golden("random 3")
    old = [m.name for _, _, m in program.modules()]
    awkward = ["list", "run", "len", "print", "match", "query", "key", "a", "a_matches", "ﬁ", "fi", "__debug__", "_0", "VOTES_0", "sums", "variables", "é", "i", "j", "trace", "zip", "votes", "_", "sys", "previous_token"]  # fmt: skip
    renamed = program.renamed(dict(zip(old, awkward, strict=False)))
    text = to_python(renamed, style=style)
    run = load(text)["run"]
    assert "previous_token" not in old and "    a = " in text and "    list_ = " in text
    for tokens in random_inputs(program, 0, 12):
        labels, variables, _ = run(tokens, trace=True)
        assert labels == list(program(tokens))
        assert list(variables) == [*renamed.categorical, *renamed.numerical]


def test_two_names_that_are_one_for_python_stay_two_variables():
    fields = tiny()
    fields["layers"][0]["cat_heads"] = [
        {"query": "positions", "key": "positions", "value": "positions", "predicate": [0, 1, 2, 3], "name": "ﬁ"},
        {"query": "positions", "key": "positions", "value": "positions", "predicate": [1, 2, 3, 3], "name": "fi"},
    ]
    fields["layers"][0]["cat_mlps"] = []
    fields["classifier"] = {}
    program = from_fields(fields)
    _, variables, _ = load(to_python(program))["run"](["<s>", "red", "blue"], trace=True)
    assert (variables["ﬁ"], variables["fi"]) == ([0, 1, 2], [1, 2, 0])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["<s>", "rod"], r"tokens\[1\]: found the unknown token 'rod'; expected a token of the vocabulary, nearest 'red'"),
        (["<s>"] * 5, "5 tokens; expected at most 4"),
        ([], "an empty input"),
        (["<pad>", "<pad>"], "an empty input"),
        (["<s>", "<pad>", "red"], r"tokens\[1\]: found '<pad>' before a token"),
        (["<s>", 3], r"tokens\[1\]: found 3; expected text"),
        (["<s>", ["red"]], r"tokens\[1\]: found \['red'\]; expected text"),
        ("red", "found the text 'red'; expected a list of tokens"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("style", ["readable", "fast"])
def test_check_23_the_file_refuses_what_the_program_refuses(style, tokens, message):
    program = from_fields(tiny())
    with pytest.raises(InputError):
        program(tokens)
    with pytest.raises(ValueError, match=message):
        load(to_python(program, style=style))["run"](tokens)


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_padding_and_unknown_words_are_read_as_the_program_reads_them(style):
    lenient = from_fields(tiny(vocab=["<pad>", "<s>", "<unk>", "blue"]))
    run = load(to_python(lenient, style=style))["run"]
    for tokens in (["<s>", "green"], ["<s>", "<unk>", "<pad>"], ["blue", "None", "<pad>", "<pad>"]):
        assert run(tokens) == list(lenient(tokens))
    assert run(["<s>", "green"], trace=True)[1]["tokens"] == ["<s>", "<unk>"]


def test_only_labels_that_can_win_are_in_the_file_and_unknown_can():
    assert load(to_python(golden("induction")))["LABELS"] == golden("induction").labels
    assert load(to_python(golden("pool")))["LABELS"] == ("HUM", "LOC")
    assert load(to_python(golden("pool")))["run"](["<s>", "who", "</s>"]) == ["HUM"]


def test_votes_keep_every_bit(tmp_path):
    values = [0.1, 1 / 3, 1e-300, 5e-324, 1e100, -1e100, 2.0**-1022, 0.1 + 0.2, 123456789.123456789, 1.0, -7.0]
    program = from_fields(
        {
            "schema": "learnt.program/1", "vocab": [f"w{i}" for i in range(11)], "labels": ["a", "b"], "k": 11, "n_ctx": 11, "causal": False, "layers": [],
            "classifier": {"tokens": [[v, -v] for v in values], "positions": [[v / 3, v] for v in reversed(values)], "ones": [0.1, 0.7]},
        }
    )  # fmt: skip
    agree(tmp_path, [(program, [program.vocab, program.vocab[::-1]])])


def test_sums_of_votes_are_not_left_to_sum_which_later_pythons_round_otherwise():
    for style in ("readable", "fast"):
        tree = ast.parse(to_python(golden("pool"), style=style))
        assert not [
            n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) in ("sum", "math.fsum")
        ]


def test_programs_at_the_edges_of_what_a_program_is(tmp_path):
    nothing = from_fields(tiny(layers=[], classifier={}))
    bare = from_fields(tiny(layers=[{}], classifier={"ones": [0, 0.5, 1]}))
    one = from_fields(tiny(vocab=["x"], labels=["only"], k=4, layers=[], classifier={}, masked_labels=[]))
    agree(tmp_path, [(p, [[p.vocab[-1]], [p.vocab[-1]] * 4]) for p in (nothing, bare, one)])


def test_the_trace_names_every_variable_with_its_tokens_and_positions():
    _, variables, logits = load(to_python(golden("induction")))["run"]("<s> a 1 a".split(), trace=True)
    assert variables["attn_0_0"] == ["<s>", "<s>", "a", "1"]
    assert variables["attn_1_0"][3] == "1" and variables["positions"] == [0, 1, 2, 3]
    assert logits[3]["1"] == 4.0
    program = random_program(7)
    json.dumps(expected(program, random_inputs(program, 0, 1)[0]))


def test_a_changed_predicate_changes_the_answers_of_the_file(tmp_path):
    program = golden("reverse")
    fields = json.loads(json.dumps(__import__("learnt.programs", fromlist=["x"]).to_fields(program)))
    fields["layers"][1]["cat_heads"][0]["predicate"][2] = 1
    changed = from_fields(fields)
    rows = [["<s>", "0", "1", "2", "</s>"]]
    before, after = answers(tmp_path, [(to_python(program), rows), (to_python(changed), rows)])
    assert before[0][0] != after[0][0] == list(changed(rows[0]))
