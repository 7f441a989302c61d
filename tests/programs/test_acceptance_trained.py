"""Acceptance check 12 in one piece: a network trained here, its program, JSON, a file, and a clean interpreter."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from learnt.programs import Config, Factored, Recipe, Task, fit, load, tasks

DRIVER = """
import json, runpy, sys
run = runpy.run_path(sys.argv[1])["run"]
with open(sys.argv[2], encoding="utf-8") as file:
    inputs = json.load(file)
print(json.dumps([list(run(tokens)) for tokens in inputs]))
assert not {"torch", "numpy", "learnt"} & set(sys.modules)
"""
ODD = ("'", '"', "None", "NA", "", "\n", "ü", "#", "\\")


def odd_words() -> Task:
    """Whether a word was there before; the answers are quotes and the unknown token."""

    def answer(tokens):
        return ("<pad>", *("<unk>" if t in tokens[1:i] else '"' for i, t in enumerate(tokens[1:], 1)))

    return Task.from_oracle(answer, alphabet=ODD, longest=4, name="odd words")


def kind_of_text() -> Task:
    """One label an input: which of two words it holds more of."""
    rng = np.random.default_rng(0)
    rows = [["<s>", *rng.choice(["yes", "no", "so"], rng.integers(1, 6))] for _ in range(600)]
    return Task.from_pairs(
        rows, [["y" if r.count("yes") >= r.count("no") else "n"] for r in rows], name="text", pool=True
    )


CASES = {
    "one head a layer, unknown a real answer": (
        lambda: tasks.induction(size=1_500),
        Config(layers=2, cat_heads=1, num_heads=0, cat_mlps=0, num_mlps=0, causal=True),
    ),
    "three inputs, tokens of every kind": (
        odd_words,
        Config(layers=2, cat_heads=1, num_heads=1, cat_mlps=1, num_mlps=1, mlp_inputs=3, hidden=8),
    ),
    "one input, heads and tables of every kind": (
        lambda: tasks.sort(vocab_size=6, max_length=7, size=1_500),
        Config(layers=2, cat_heads=2, num_heads=2, cat_mlps=1, num_mlps=1, mlp_inputs=1, hidden=8),
    ),
    "pooled, factored embeddings": (
        kind_of_text,
        Config(layers=1, cat_heads=1, num_heads=1, cat_mlps=1, num_mlps=0, embed=Factored(n=2), var_size=8, hidden=8),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_check_12_a_trained_network_its_program_its_json_and_its_file_in_a_clean_interpreter_agree(name, tmp_path):
    make, config = CASES[name]
    task = make()
    found = fit(task, config, seeds=2, epochs=6, recipe=Recipe(batch_size=128, refit=False, search=0))
    network, program = found.networks[found.seeds[0].seed], found.best
    program.to_json(tmp_path / "program.json")
    again = load(tmp_path / "program.json")
    assert again == program
    (tmp_path / "driver.py").write_text(DRIVER, encoding="utf-8")

    inputs = [list(tokens) for tokens in task.domain().cover(most=10_000, samples=10_000, seed=0)[0]]
    (tmp_path / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")
    right = by_network(network, program, inputs)
    for style in ("readable", "fast"):
        again.to_python(tmp_path / f"{style}.py", style=style)
        command = [sys.executable, "-I", "driver.py", f"{style}.py", "inputs.json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout) == right
    assert len({tuple(labels) for labels in right}) > 1  # a network that says one thing would prove little


@torch.no_grad()
def by_network(network, program, inputs) -> list[list[str]]:
    """Labels of the network itself: its forward pass in evaluation mode, input by input length."""
    labels: list[list[str]] = [[]] * len(inputs)
    word = {token: i for i, token in enumerate(program.vocab)}
    for n in {len(tokens) for tokens in inputs}:
        rows = [i for i, tokens in enumerate(inputs) if len(tokens) == n]
        ids = torch.tensor([[word[t] for t in inputs[i]] for i in rows])
        best = network.eval()(ids).argmax(-1).reshape(len(rows), -1).tolist()
        for i, found in zip(rows, best, strict=True):
            labels[i] = [program.labels[label] for label in found]
    return labels
