"""`learnt programs`: what a person types, what comes back, and the gates for CI."""

import json
from dataclasses import replace

import pytest
from tests.programs.made import tiny

from learnt.programs import library, load, save
from learnt.programs.program_json import to_fields

FILE = """
from learnt.programs import Task

def parity():
    def answer(tokens):
        return ["even" if tokens[: i + 1].count("x") % 2 == 0 else "odd" for i in range(len(tokens))]
    return Task.from_oracle(answer, alphabet=["x", "o"], longest=4, causal=True, name="parity")

def number():
    return 3

def ones(tokens):
    return ["1"] * len(tokens)

def one(tokens):
    return 3

def crash(tokens):
    return [1 / 0 for _ in tokens]
"""


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with tasks, answerers, inputs and programs."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "mine.py").write_text(FILE)
    (folder / "inputs.txt").write_text("1 2 1\n\n3 3\n<s> 1\n")
    save(library.hist(), folder / "hist.json")
    inputs = [["<s>", *word] for word in ("1", "12", "33", "121", "4433", "202")]
    right = [["<pad>", *library.hist()(tokens)[1:]] for tokens in inputs]
    wrong = [[*labels[:-1], "7"] for labels in right]
    for name, targets in (("right", right), ("wrong", wrong)):
        rows = [{"input": i, "target": t} for i, t in zip(inputs, targets, strict=True)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "half.jsonl").write_text('{"input": ["1"]}\n')
    return folder


# run and trace


def test_run_prints_a_label_under_each_token_and_those_of_the_marks_only_if_they_are_typed(learnt):
    code, out, err = learnt("programs", "run", "library:sort", 3, 1, 2)
    assert (code, err) == (0, "") and out.split() == ["3", "1", "2", "1", "2", "3"]
    assert learnt("programs", "run", "library:sort", "3 1 2", "--quiet")[1] == "1 2 3\n"
    assert learnt("programs", "run", "library:sort", "<s>", 3, 1, 2, "--quiet")[1] == "0 1 2 3\n"
    assert learnt("programs", "run", "library:sort", "<s>", 3, 1, 2, "</s>", "--quiet")[1] == "0 1 2 3 4\n"


def test_run_reads_inputs_from_a_file_one_a_line(learnt, files):
    code, out, _ = learnt("programs", "run", files / "hist.json", "--inputs", files / "inputs.txt", "--quiet")
    assert (code, out) == (0, "2 1 2\n2 2\n1 1\n")


def test_verify_tells_labels_that_no_task_scores_from_others(learnt, tmp_path):
    marks = replace(
        library.sort(),
        classifier={
            "positions": [[5.0, 0, 0, 0, 0], *library.sort().classifier["positions"][1:]],
            **{name: votes for name, votes in library.sort().classifier.items() if name != "positions"},
        },
    )
    save(replace(marks, masked_labels=()), tmp_path / "a.json")
    other = {**marks.classifier, "positions": [[0, 0, 0, 0, 50.0], *marks.classifier["positions"][1:]]}
    save(replace(marks, classifier=other), tmp_path / "b.json")
    pair = ("programs", "verify", tmp_path / "a.json", tmp_path / "b.json", "--task", "sort")
    code, out, _ = learnt(*pair)
    assert code == 0 and out.startswith("Different answers on 19,530") and "--scored leaves these out" in out
    code, out, _ = learnt(*pair, "--scored", "--max-disagreement", 0)
    assert code == 0 and out.startswith("Same answers on all 19,530 inputs")
    code, out, _ = learnt("programs", "verify", "library:sort", "library:reverse", "--task", "sort")
    assert code == 0 and "--scored" not in out


def test_trace_shows_every_module_and_why_not_another_label(learnt, tmp_path):
    page = tmp_path / "t.html"
    code, out, err = learnt("programs", "trace", "library:hist", 1, 2, 1, "--why", 2, "--instead", 3, "--html", page)
    assert code == 0 and "count" in out and "Why 1 and not 3 at position 2" in out and f"wrote {page}" in err
    assert page.read_text().lower().startswith("<!doctype html>")
    code, _, err = learnt("programs", "trace", "library:hist", 1, "--html", page)
    assert code == 2 and "--overwrite" in err
    assert learnt("programs", "trace", "library:hist", 1, "--html", page, "--overwrite", "--quiet") == (0, "", "")


# verify, check, diff


def test_verify_compares_programs_exported_files_and_functions(learnt, files, tmp_path):
    assert learnt("programs", "export", "library:induction", "--out", tmp_path / "i.py", "--quiet") == (0, "", "")
    pair = ("programs", "verify", "library:hist")
    (tmp_path / "few.txt").write_text("1 2\n3\n")
    few = ("--inputs", tmp_path / "few.txt")
    code, out, _ = learnt(*pair, files / "hist.json", *few)
    assert code == 0 and "Same answers on the 2 given inputs" in out
    code, out, _ = learnt(*pair, f"{files}/mine.py:ones", *few)
    assert code == 0 and "Same answers" in out
    code, out, _ = learnt(*pair, f"{files}/mine.py:ones", "--inputs", files / "inputs.txt", "--json", "-")
    assert code == 0 and json.loads(out)["disagreements"] == 2
    assert learnt("programs", "verify", "library:induction", tmp_path / "i.py", *few[:1], tmp_path / "abc.txt")[0] == 2
    (tmp_path / "abc.txt").write_text("a b c a\nc c\n")
    code, out, _ = learnt("programs", "verify", "library:induction", tmp_path / "i.py", *few[:1], tmp_path / "abc.txt")
    assert code == 0 and "Same answers" in out


def test_the_gates_exit_with_one_and_say_which_threshold(learnt, files):
    given = ("--inputs", files / "inputs.txt", "--quiet")
    code, out, err = learnt(
        "programs", "verify", "library:hist", f"{files}/mine.py:ones", *given, "--max-disagreement", 0.5
    )
    assert (code, out) == (1, "") and "--max-disagreement 0.5" in err and "0.666667" in err
    assert learnt("programs", "diff", "library:hist", f"{files}/mine.py:ones", *given, "--max-distance", 0.6)[0] == 1
    assert learnt("programs", "diff", "library:hist", f"{files}/mine.py:ones", *given, "--max-distance", 0.7)[0] == 0
    check, gates = ("programs", "check", "library:hist"), ("--quiet", "--min-tokens", 0.9, "--min-sequences", 0.9)
    assert learnt(*check, files / "right.jsonl", *gates) == (0, "", "")
    code, _, err = learnt(*check, files / "wrong.jsonl", *gates)
    assert code == 1 and "--min-tokens 0.9: the share of right positions is 0." in err and "--min-sequences" in err


def test_check_shows_the_shortest_wrong_inputs_and_writes_json(learnt, files, tmp_path):
    words = ("programs", "check", "library:hist", files / "wrong.jsonl", "--shown", 2)
    code, out, _ = learnt(*words, "--json", tmp_path / "c.json")
    assert code == 0 and "shortest wrong inputs" in out and out.count("expected") == 2
    assert len(json.loads((tmp_path / "c.json").read_text())["counterexamples"]) == 2


def test_diff_says_what_changed_and_writes_a_report(learnt, files, tmp_path):
    fields = json.loads(json.dumps(to_fields(library.hist()), default=lambda x: list(x)))
    name, votes = next((n, v) for n, v in fields["classifier"].items() if n != "ones")
    fields["classifier"][name] = _negated(votes)
    (tmp_path / "other.json").write_text(json.dumps(fields))
    code, out, err = learnt(
        "programs", "diff", files / "hist.json", tmp_path / "other.json", "--inputs", files / "inputs.txt",
        "--html", tmp_path / "d.html",
    )  # fmt: skip
    assert code == 0, err
    assert out.count("answered differently") >= 1 and "other against hist" in out
    assert out.startswith("other against hist on 3 inputs") and out.count("on 3 inputs") == 1
    assert "Do hist and other do the same?" in (tmp_path / "d.html").read_text()


def _negated(votes):
    return [_negated(v) for v in votes] if isinstance(votes, list) else -votes


# simplify, export, compile


def test_simplify_writes_a_shorter_program_that_answers_alike(learnt, tmp_path):
    task = ("sort", "--vocab-size", 5, "--max-length", 5)
    code, out, _ = learnt("programs", "simplify", "library:sort", *task, "--out", tmp_path / "s.json")
    assert code == 0 and "every prediction kept" in out
    assert learnt("programs", "check", tmp_path / "s.json", *task, "--min-sequences", 1, "--quiet")[0] == 0
    assert load(tmp_path / "s.json").stats().branches < library.sort().stats().branches


def test_export_writes_python_in_two_styles_and_smt(learnt, tmp_path):
    for style in ("readable", "fast"):
        words = ("--style", style, "--out", tmp_path / f"{style}.py")
        assert learnt("programs", "export", "library:hist", *words)[0] == 0
        space: dict = {}
        exec((tmp_path / f"{style}.py").read_text(), space)  # noqa: S102 (our own text)
        assert list(space["run"](["<s>", "1", "1"])) == ["1", "2", "2"]


def test_compile_writes_weights_that_give_the_same_logits(learnt, tmp_path):
    from safetensors.torch import load_file

    out = tmp_path / "w.safetensors"
    code, text, err = learnt(
        "programs", "compile", "library:sort", "--inputs", _lines(tmp_path, "3 1 2", "0"), "--out", out,
        "--max-error", 1e-9,
    )  # fmt: skip
    assert code == 0 and "Same answers" in text and "Largest difference of logits" in text, err
    assert {"W_E", "W_U"} <= set(load_file(out))
    loose = ("--scale", 0.5, "--max-error", 1e-9, "--overwrite", "--quiet")
    code, _, err = learnt(
        "programs", "compile", "library:reverse", "--inputs", _lines(tmp_path, "3 1 2"), "--out", out, *loose
    )
    assert code == 1 and "--max-error" in err


def test_compile_needs_no_inputs_where_all_can_be_listed(learnt, tmp_path):
    code, out, err = learnt("programs", "compile", golden_file(tmp_path), "--out", tmp_path / "w.safetensors")
    assert code == 0 and "all" in out and "inputs of the domain" in out, err
    code, _, err = learnt("programs", "compile", "library:hist", "--out", tmp_path / "x.safetensors")
    assert code == 2 and "--task" in err and not (tmp_path / "x.safetensors").exists()


def golden_file(folder):
    """A program with few inputs."""
    (folder / "tiny.json").write_text(json.dumps(tiny()))
    return folder / "tiny.json"


def _lines(folder, *rows):
    (folder / "rows.txt").write_text("\n".join(rows) + "\n")
    return folder / "rows.txt"


# what goes wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "library:nope", "1"), "induction"),
        (("run", "nowhere.json", "1"), "nowhere.json"),
        (("run", "library:hist"), "--inputs"),
        (("run", "library:hist", "  "), "blanks"),
        (("run", "library:hist", "1", "--inputs", "DIR/inputs.txt"), "tokens and a file"),
        (("run", "library:hist", "1", "77"), "unknown token '77'; expected a token of the vocabulary, nearest"),
        (("run", "library:hist", *"123412341234"), "n_ctx = 8"),
        (("run", "DIR/mine.py", "1"), "mine.py"),
        (("run", "DIR", "1"), "program.json"),
        (("trace", "library:hist"), "no tokens"),
        (("trace", "library:hist", "1", "--instead", "2"), "--why"),
        (("trace", "library:hist", "1", "--why", "5"), "from 0 to 1"),
        (("trace", "library:hist", "1", "--why", "1", "--instead", "x"), "a label of the program: 1, 2"),
        (("trace", "library:hist", "1", "--html", "DIR/no/t.html"), "no directory"),
        (("verify", "library:hist", "library:hist"), "--task TASK"),
        (("verify", "library:hist", "library:hist", "--inputs", "DIR/inputs.txt", "--scored"), "--task TASK"),
        (("verify", "library:hist", "library:hist", "--task", "sort", "--inputs", "DIR/inputs.txt"), "one of the two"),
        (("verify", "library:hist", "library:hist", "--inputs", "DIR/no.txt"), "no.txt"),
        (("verify", "library:hist", "DIR/mine.py:one", "--inputs", "DIR/inputs.txt"), "a list of labels"),
        (("verify", "library:hist", "DIR/mine.py:crash", "--inputs", "DIR/inputs.txt"), "ZeroDivisionError"),
        (("verify", "library:hist", "DIR/mine.py:nothing", "--inputs", "DIR/inputs.txt"), "Nearest names"),
        (("verify", "library:hist", "library:hist", "--max-disagreement", "2"), "0 to 1"),
        (("check", "library:sort", "srot"), "Nearest: sort"),
        (("check", "library:sort", "sort", "--min-tokens", "nan"), "0 to 1"),
        (("check", "library:sort", "hist"), "tokens that the program does not know ('5')"),
        (("check", "library:sort", "sort", "--max-length", "9"), "9 tokens"),
        (("check", "library:dyck1", "dyck1", "--vocab-size", "3"), "--vocab-size"),
        (("check", "library:sort", "conll"), "conll:FOLDER"),
        (("check", "library:sort", "trec:DIR/nowhere"), "nowhere"),
        (("check", "library:sort", "DIR/nowhere.jsonl"), "nowhere.jsonl"),
        (("check", "library:sort", "DIR/half.jsonl"), "line 1"),
        (("check", "library:sort", "DIR/mine.py:number"), "of type int"),
        (("diff", "library:sort", "library:sort", "--html", "DIR/d.html", "--control", "library:sort"), "--task"),
        (("diff", "library:sort", "library:sort", "--task", "sort", "--control", "library:sort"), "--html"),
        (("simplify", "library:sort", "sort", "--out", "DIR/s.json", "--budget", "0.1"), "--keep accuracy"),
        (("simplify", "library:sort", "sort", "--out", "DIR/no/s.json"), "no directory"),
        (("export", "library:sort", "--out", "DIR/s.smt2", "--to", "smt"), "--length"),
        (("export", "library:sort", "--out", "DIR/s.py", "--length", "3"), "--length"),
        (("export", "library:sort", "--out", "DIR/s.py", "--style", "nice"), "nice"),
        (("compile", "library:sort", "--out", "DIR/w.bin"), ".safetensors"),
        (("compile", "library:sort", "--task", "sort", "--out", "DIR/w.safetensors", "--scale", "-1"), "scale"),
        (("compile", "library:sort", "--task", "sort", "--out", "DIR/w.safetensors", "--max-error", "-1"), "at least 0"),
    ],
)  # fmt: skip
def test_check_23_bad_input_exits_with_two_and_names_what_is_wrong(learnt, files, arguments, words):
    code, out, err = learnt("programs", *(str(a).replace("DIR", str(files)) for a in arguments))
    assert code == 2 and out == "", (code, out, err)
    assert words in err and err.count("\n") <= 2 and "Traceback" not in err, err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f | {"schema": "learnt.program/9"}, "schema"),
        (lambda f: {k: v for k, v in f.items() if k != "classifier"}, "classifier"),
        (lambda f: f | {"k": 0}, "k"),
        (lambda f: f | {"colour": 1}, "colour"),
        (lambda f: f | {"classifier": {"later": [[1.0]]}}, "later"),
        (lambda f: f | {"layers": [{"cat_heads": [{"query": "attn_0_0", "key": "tokens", "value": "tokens",
                                                   "predicate": [0] * f["k"]}]}]}, "attn_0_0"),
    ],
)  # fmt: skip
def test_check_23_a_damaged_program_file_names_the_place(learnt, tmp_path, change, words):
    save(library.hist(), tmp_path / "p.json")
    fields = change(json.loads((tmp_path / "p.json").read_text()))
    (tmp_path / "p.json").write_text(json.dumps(fields))
    code, _, err = learnt("programs", "run", tmp_path / "p.json", 1)
    assert code == 2 and words in err and err.count("\n") <= 2, err
    (tmp_path / "p.json").write_text("{")
    assert learnt("programs", "run", tmp_path / "p.json", 1)[0] == 2
