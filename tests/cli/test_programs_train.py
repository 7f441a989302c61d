"""`learnt programs train`: trainings of seconds, their files, and what a second command says about the first."""

import json

import pytest

from learnt.programs import load

TASK = """
from learnt.programs import Task

def parity():
    def answer(tokens):
        return ["even" if tokens[: i + 1].count("x") % 2 == 0 else "odd" for i in range(len(tokens))]
    return Task.from_oracle(answer, alphabet=["x", "o"], longest=4, causal=True, name="parity")
"""
SMALL = ("--layers", 1, "--cat-heads", 1, "--num-heads", 1, "--cat-mlps", 0, "--num-mlps", 1, "--seeds", 2)
SHORT = (*SMALL, "--epochs", 2, "--search", 0)


@pytest.fixture
def task(tmp_path):
    """A task in a file."""
    (tmp_path / "mine.py").write_text(TASK)
    return f"{tmp_path}/mine.py:parity"


def test_a_training_leaves_all_seeds_and_is_not_made_twice(learnt, task, tmp_path):
    out = tmp_path / "run"
    base = ("programs", "train", task, "--out", out, *SMALL, "--search", 0)
    words = (*base, "--epochs", 2)
    code, text, err = learnt(*words)
    assert code == 0 and "2 seeds" in text and "of 30 inputs wrong" in text, err
    record = json.loads((out / "result.json").read_text())
    assert record["task"] == "parity" and len(record["seeds"]) == 2 and record["check"]["kind"] == "exhaustive"
    assert sorted(x.name for x in (out / "seeds").iterdir()) == ["000.json", "001.json"]
    assert (out / "result.txt").read_text().strip() == text.strip()
    written = (out / "program.json").stat().st_mtime_ns
    code, again, err = learnt(*words)
    assert (code, again) == (0, text) and "finished" in err and "--overwrite" in err
    assert (out / "program.json").stat().st_mtime_ns == written
    code, _, err = learnt(*base, "--epochs", 3)
    assert code == 2 and "epochs 2, not 3" in err and "--overwrite" in err
    code, _, err = learnt(*words, "--batch-size", 7)
    assert code == 2 and "batch_size 512, not 7" in err
    code, _, err = learnt(*base, "--epochs", 3, "--overwrite", "--quiet")
    assert (code, err) == (0, "") and json.loads((out / "result.json").read_text())["seeds"][0]["epochs"] == 3
    assert learnt("programs", "run", out, "x", "o", "x", "--quiet")[0] == 0


def test_an_interrupted_training_goes_on_with_the_same_command(learnt, task, tmp_path, monkeypatch):
    import os
    import signal

    from learnt.cli import programs_train

    whole, out = tmp_path / "whole", tmp_path / "run"
    words = ("programs", "train", task, *SMALL, "--epochs", 6, "--search", 0, "--quiet")
    assert learnt(*words, "--out", whole)[0] == 0
    make = programs_train._follow

    def interrupting(*arguments):
        follow = make(*arguments)

        def stop(event):
            follow(event)
            if event.kind == "epoch" and event.epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

        return stop

    monkeypatch.setattr(programs_train, "_follow", interrupting)
    code, _, err = learnt(*words, "--out", out)
    assert code == 4 and "run the same command again" in err and not (out / "result.json").exists()
    monkeypatch.setattr(programs_train, "_follow", make)
    code, _, err = learnt(*words, "--out", out, "--seed", 1)
    assert code == 2 and "an interrupted training with other settings (seed 0, not 1)" in err
    assert learnt(*words, "--out", out)[0] == 0
    assert load(out / "program.json") == load(whole / "program.json")


def test_growing_needs_no_training_and_the_better_of_both_is_kept(learnt, task, tmp_path):
    grown, both = tmp_path / "grown", tmp_path / "both"
    code, text, err = learnt("programs", "train", task, "--out", grown, *SMALL, "--method", "grow")
    assert code == 0 and "parity: grown in" in text and not (grown / "seeds").exists(), err
    record = json.loads((grown / "result.json").read_text())
    assert record["method"] == "grow" and record["grown"]["modules"] <= 3
    assert learnt("programs", "train", task, "--out", both, *SHORT, "--method", "both", "--quiet")[0] == 0
    record = json.loads((both / "result.json").read_text())
    fitted, other = record["seeds"][0]["validation_tokens"], record["grown"]["validation_tokens"]
    assert record["chosen"] == ("grow" if other > fitted else "fit") or fitted == other
    kept = load(both / ("grown.json" if record["chosen"] == "grow" else f"seeds/{record['seeds'][0]['seed']:03d}.json"))
    assert load(both / "program.json") == kept


def test_a_recipe_comes_from_a_file_and_options_win(learnt, task, tmp_path):
    (tmp_path / "r.json").write_text('{"halving": [0.5], "complexity": 0.01, "straight_through": 0.5, "lr": 0.1}')
    words = ("--recipe-file", tmp_path / "r.json", "--learning-rate", 0.02, "--correct", 1, "--quiet")
    assert learnt("programs", "train", task, "--out", tmp_path / "run", *SHORT, *words) == (0, "", "")
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["recipe"]["lr"] == 0.02 and record["recipe"]["complexity"] == 0.01
    assert sorted(seed["epochs"] for seed in record["seeds"]) == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("questions", "--method", "grow"), "--method fit"),
        (("questions", "--correct", 5), "known by examples only"),
        (("sort", "--correct", 0), "positive"),
        (("sort", "--method", "both", "--embeddings", 2), "--embeddings"),
        (("sort", "--method", "grow", "--var-size", 20), "--var-size"),
        (("sort", "--grow-seconds", 3), "--method grow"),
        (("sort", "--vectors", "glove.txt"), "--embeddings"),
        (("sort", "--var-size", 3), "at least 8"),
        (("questions", "--var-size", 20), "--embeddings 4"),
        (("sort", "--layers", 0), "layers"),
        (("sort", "--num-heads", -1), "num_heads"),
        (("sort", "--seeds", 0), "--seeds"),
        (("sort", "--epochs", 0), "--epochs"),
        (("sort", "--learning-rate", -1), "lr"),
        (("sort", "--batch-size", 0), "batch_size"),
        (("sort", "--recipe", "theirs"), "theirs"),
        (("sort", "--recipe-file", "no.json"), "no.json"),
        (("sort", "--recipe-file", "serch.json"), "Nearest: search"),
        (("sort", "--recipe-file", "cold.json"), "positive numbers"),
        (("sort", "--recipe-file", "type.json"), "types"),
        (("sort", "--device", "toaster"), "toaster"),
        (("sort", "--out", "file"), "file"),
    ],
)  # fmt: skip
def test_check_23_bad_input_is_said_before_anything_is_written(learnt, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    for name, text in (("serch", '{"serch": 5}'), ("cold", '{"temperature": [3, 0]}'), ("type", '{"temperature": 3}')):
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "file").write_text("")
    out = () if "--out" in arguments else ("--out", "run")
    code, _, err = learnt("programs", "train", *arguments, *out)
    assert code == 2 and words in err and err.count("\n") <= 2, err
    assert not (tmp_path / "run").exists()
