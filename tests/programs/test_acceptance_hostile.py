"""Acceptance: input that means harm or nothing is refused with an error of ours, and takes no memory to be refused."""

import types
from dataclasses import replace
from html import escape

import numpy as np
import pytest

from learnt.cli.program_words import domain_of
from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs import Config, from_fields, from_json, to_json
from learnt.programs.module import ProgramModule
from learnt.programs.smt import to_smt
from learnt.programs.task import Task
from learnt.programs.task_domain import large, number_of_words

from .made import golden, tiny

MANY = 1 << 20


def nested(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


def test_check_23_a_note_that_holds_itself_or_is_too_deep_is_refused_and_what_is_kept_can_be_read_again():
    itself: list = []
    itself.append(itself)
    for value in (itself, nested(5000), nested(95)):
        with pytest.raises(InputError, match="nesting deeper than"):
            from_fields(tiny(meta={"note": value}))
    program = from_fields(tiny(meta={"note": nested(80)}))
    assert from_json(to_json(program)) == program


@pytest.mark.parametrize("field", ["k", "n_ctx"])
def test_check_23_a_number_in_a_file_cannot_ask_for_all_the_memory(field):
    for value in (MANY + 1, 10**12, 10**400):
        with pytest.raises(InputError, match=rf"{field}: found 1.*expected an integer from 1 to {MANY}"):
            from_fields(tiny(**{field: value}))
    with pytest.raises(InputError, match=r"cardinalities\.positions"):
        from_fields(tiny(cardinalities={"positions": 10**9}))


def wide():
    """The largest program that is allowed in every number, and small in everything else."""
    head = {"query": "tokens", "key": "tokens", "value": "ones", "predicate": [0, 1, 2, 3]}
    net = {"W_in": [[1.0]], "b_in": [0.0], "W_out": [[1.0], [2.0], [0.0], [0.0]], "b_out": [0.0] * 4}
    layers = [{"num_heads": [head], "num_mlps": [{"inputs": ["num_attn_0_0"], **net}]}]
    votes = {"num_mlp_0_0": [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]}
    return from_fields(tiny(n_ctx=MANY, cardinalities={"positions": MANY}, layers=layers, classifier=votes))


def test_check_23_the_largest_program_runs_is_printed_and_is_refused_as_a_network():
    program = wide()
    right = program(["red"] * 3)
    assert program.evaluate([["red"] * 3]).labels[0] == right
    module = types.ModuleType("exported")
    exec(program.to_python(), module.__dict__)
    assert tuple(module.run(["red"] * 3)) == right
    for compile_back in (program.to_torch, program.to_transformer):
        with pytest.raises(NotApplicable, match="parameters"):
            compile_back()
    with pytest.raises(InputError, match=r"none, and about 10\^\d+ sequences"):
        program.verify(program)
    with pytest.raises(InputError, match=r"found about 10\^\d+ sequences"):
        domain_of(program, None, None)


def test_check_23_numbers_that_no_integer_type_holds_are_printed_and_refused_where_arrays_are_needed():
    head = {"query": "tokens", "key": "tokens", "predicate": [0, 1, 2, 3]}
    layers = [{"num_heads": [{**head, "value": f"num_attn_{i - 1}_0" if i else "ones"}]} for i in range(60)]
    net = {"W_in": [[1.0]], "b_in": [-1.0], "W_out": [[1.0], [2.0], [0.0], [0.0]], "b_out": [0.5, 0.0, 0.0, 0.0]}
    layers.append({"num_mlps": [{"inputs": ["num_attn_59_0"], **net}]})
    votes = {"num_mlp_60_0": [[0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]]}
    program = from_fields(tiny(layers=layers, classifier=votes))
    module = types.ModuleType("exported")
    exec(program.to_python(), module.__dict__)
    for tokens in (["red"], ["red"] * 4):
        assert tuple(module.run(tokens)) == program(tokens)
    assert program(["red"] * 4) != ("yes",) * 4  # 4 ** 60 is no small number
    for ask in (lambda: program.evaluate([["red"]]), program.to_transformer):
        with pytest.raises(NotApplicable):
            ask()


def test_check_23_networks_too_large_for_any_machine_are_refused_before_they_are_made():
    task = Task.from_pairs([["<s>", word] for word in "abc"], [["x", "y"]] * 3)
    shape = Config(var_size=1 << 16, layers=1, cat_heads=1, num_heads=0, cat_mlps=0, num_mlps=0).shape(task)
    with pytest.raises(NotApplicable, match=r"shape: found \d[\d,]+ parameters"):
        ProgramModule(shape)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"k": 3}, (InputError, ShapeError), "k: found 3 values for 4 tokens"),
        ({"schema": "learnt.program/2"}, InputError, "unknown version 'learnt.program/2'"),
        ({"schema": None}, InputError, "schema"),
        ({"vocab": ["<s>", "red", "red", "blue"]}, InputError, "'red' a second time"),
        ({"vocab": ["<s>", "<pad>", "red", "blue"]}, InputError, "id 0 for padding"),
        ({"n_ctx": 5}, InputError, "positions"),
        ({"classifier": {"mlp_9_9": [[0, 0, 0]] * 4}}, InputError, "unknown variable 'mlp_9_9'"),
        ({"classifier": {"ones": [0, float("nan"), 0]}}, Exception, "finite"),
        ({"masked_labels": [0, 1, 2]}, InputError, "every label"),
    ],
)
def test_check_23_programs_that_do_not_fit_are_refused_by_name(change, error, words):
    with pytest.raises(error, match=words):
        from_fields(tiny(**change))


@pytest.mark.parametrize("reader", ["attn_1_0", "attn_0_0"])
def test_check_23_forward_references_and_cycles_are_refused(reader):
    fields = tiny()
    fields["layers"][0]["cat_heads"][0]["value"] = reader
    fields["layers"].append({"cat_heads": [{**tiny()["layers"][0]["cat_heads"][0]}]})
    with pytest.raises(InputError, match=rf"layers\[0\]\.cat_heads\[0\]\.value: found '{reader}', a forward reference"):
        from_fields(fields)


HOSTILE = ['"); import os #', "'''\n", "</script><script>alert(1)</script>", "&lt;", "|\n(assert false)", "\u202e", "\x00", "{x}", "%s", "\\"]  # fmt: skip


def hostile():
    program = golden("induction")
    words = dict(zip("ab12", HOSTILE[:4], strict=True)) | dict(zip("cd03", HOSTILE[4:8], strict=True))
    return replace(
        program,
        vocab=tuple(words.get(word, word) for word in program.vocab),
        labels=tuple(words.get(word, word) for word in program.labels),
    ), words


def test_check_12_hostile_tokens_do_nothing_in_files_pages_and_texts_for_solvers(tmp_path):
    program, words = hostile()
    tokens = [words.get(word, word) for word in ["<s>", "a", "1", "b", "2", "b", "2", "a"]]
    right = tuple(words.get(word, word) for word in golden("induction")(["<s>", "a", "1", "b", "2", "b", "2", "a"]))
    assert program(tokens) == right
    for style in ("readable", "fast"):
        module = types.ModuleType("exported")
        exec(program.to_python(style=style), module.__dict__)
        assert tuple(module.run(tokens)) == right
    page = program.trace(tokens).to_html(tmp_path / "trace.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert escape("<script>alert(1)") in page or "\\u003c" in page
    commands = [line for line in to_smt(program, 3).splitlines() if not line.startswith(";")]
    assert not any("assert false" in line or "import os" in line for line in commands)


def test_numbers_of_inputs_are_those_counted_and_are_never_thousands_of_digits():
    for letters in range(4):
        for shortest in range(3):
            for longest in range(shortest, 6):
                counted = sum(letters**n for n in range(shortest, longest + 1))
                assert number_of_words(letters, shortest, longest) == counted
    assert large(19_530) == "19,530"
    assert large(4**100_000) == f"about 10^{round(100_000 * np.log10(4))}"
