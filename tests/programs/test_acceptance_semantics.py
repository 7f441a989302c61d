"""Acceptance: what a program means, by the definitions of the specification alone, in every form that it has.

`reference` below reads the JSON fields and nothing else of the library: attention as the best of a list of keys, heads
as double sums, tables as arrays, networks as matrix products.
"""

import types

import numpy as np
import pytest
import torch

from learnt.core.errors import NotApplicable
from learnt.programs import Config, from_json, to_fields, to_json
from learnt.programs.discretise import discretised
from learnt.programs.module import ProgramModule
from learnt.programs.smt import to_smt
from learnt.programs.task import Task

from .made import GOLDEN, random_inputs, random_program
from .test_interpreter import squares

SEEDS = range(5000, 5020)


def reference(fields: dict, tokens: list[str]) -> tuple[dict, dict, np.ndarray, list[str]]:
    """Variables, attended positions, logits and labels of one input."""
    k, sizes, n = fields["k"], fields.get("cardinalities", {}), len(tokens)
    ids = [fields["vocab"].index(token) for token in tokens]
    rows = fields.get("embeddings")
    values = {"tokens": ids} if rows is None else {f"emb_{e}": [rows[i][e] for i in ids] for e in range(len(rows[0]))}
    values |= {"positions": list(range(n))}
    size = {name: sizes.get(name, k) for name in values}
    values |= {"ones": [1] * n}
    attended = {}
    for depth, layer in enumerate(fields["layers"]):

        def matching(head, i, values=values):
            wanted = head["predicate"][values[head["query"]][i]]
            seen = range(i + 1) if fields["causal"] else range(n)
            return [j for j in seen if values[head["key"]][j] == wanted]

        heads = {}
        for h, head in enumerate(layer["cat_heads"]):
            name = head.get("name", f"attn_{depth}_{h}")
            best = [min(((i == j, abs(i - j), j) for j in matching(head, i)), default=(0, 0, 0)) for i in range(n)]
            attended[name] = [j for _, _, j in best]
            heads[name] = [values[head["value"]][j] for j in attended[name]]
            size[name] = size[head["value"]]
        for h, head in enumerate(layer["num_heads"]):
            name = head.get("name", f"num_attn_{depth}_{h}")
            heads[name] = [sum(values[head["value"]][j] for j in matching(head, i)) for i in range(n)]
        values |= heads
        outputs = {}
        for m, mlp in enumerate(layer["cat_mlps"]):
            table = np.reshape(mlp["table"], [size[v] for v in mlp["inputs"]])
            name = mlp.get("name", f"mlp_{depth}_{m}")
            outputs[name] = [int(table[tuple(values[v][i] for v in mlp["inputs"])]) for i in range(n)]
        for m, mlp in enumerate(layer["num_mlps"]):
            name = mlp.get("name", f"num_mlp_{depth}_{m}")
            outputs[name] = [by_numbers(mlp, [values[v][i] for v in mlp["inputs"]]) for i in range(n)]
        size |= {name: sizes.get(name, k) for name in outputs}
        values |= outputs
    logits = np.zeros((n, len(fields["labels"])))
    for name, votes in fields["classifier"].items():
        column = np.array(values[name])
        logits += np.array(votes)[column] if name in size else column[:, None] * np.array(votes)
    if fields["pool"]:
        logits = logits.mean(0, keepdims=True)
    masked = logits.copy()
    masked[:, fields["masked_labels"]] = -np.inf
    return values, attended, logits, [fields["labels"][i] for i in masked.argmax(1)]


def by_numbers(mlp: dict, inputs: list[int]) -> int:
    if "table" in mlp and all(v < s for v, s in zip(inputs, mlp["sizes"], strict=True)):
        entry = int(np.reshape(mlp["table"], mlp["sizes"])[tuple(inputs)])
        if entry >= 0:
            return entry
    hidden = np.maximum(np.array(mlp["W_in"]) @ np.array(inputs, float) + mlp["b_in"], 0)
    return int(np.argmax(np.array(mlp["W_out"]) @ hidden + mlp["b_out"]))


def module_of(text: str) -> types.ModuleType:
    module = types.ModuleType("exported")
    exec(compile(text, "exported.py", "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("seed", SEEDS)
def test_check_09_programs_of_every_shape_are_what_the_specification_says(seed):
    program = random_program(seed)
    rows = random_inputs(program, seed, 6)
    batch = program.evaluate(rows)
    for r, tokens in enumerate(rows):
        values, attended, logits, labels = reference(to_fields(program), tokens)
        run = program.run(tokens)
        assert {name: list(found) for name, found in run.variables.items()} == values
        assert {name: [a.position for a in found] for name, found in run.attended.items()} == attended
        np.testing.assert_allclose(run.logits, logits, atol=1e-9)
        assert list(run.predictions) == list(batch.labels[r]) == labels


@pytest.mark.parametrize("seed", SEEDS)
def test_check_12_files_and_json_of_programs_of_every_shape_are_what_the_specification_says(seed):
    program = random_program(seed)
    rows = random_inputs(program, seed, 6)
    right = [reference(to_fields(program), tokens)[3] for tokens in rows]
    again = from_json(to_json(program))
    assert [list(again(tokens)) for tokens in rows] == right
    for text in (again.to_python(), again.to_python(style="fast"), again.to_python(domain=rows)):
        run = module_of(text).run
        assert [list(run(tokens)) for tokens in rows] == right


@pytest.mark.parametrize("seed", range(5000, 5012))
def test_check_21_networks_and_transformers_of_every_shape_are_what_the_specification_says(seed):
    program = random_program(seed)
    rows = random_inputs(program, seed, 6)

    def right(tokens):
        return reference(to_fields(program), list(tokens))[3]

    assert program.verify(right, rows).equal
    for compile_back in (program.to_torch, program.to_transformer):
        try:
            network = compile_back()
        except NotApplicable:  # a table of too many numbers
            continue
        assert program.verify(network, rows).equal


@pytest.mark.parametrize("inputs", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_check_12_networks_with_any_number_of_mlp_inputs_become_programs_files_and_networks_again(seed, inputs):
    rng = np.random.default_rng(seed)
    words = ["'", '"', "None", "NA", "", "\n", "ü"][: int(rng.integers(2, 6))]
    rows = [["<s>", *rng.choice(words, rng.integers(1, 4))] for _ in range(40)]
    labels = ["<unk>", "yes", "no"]
    targets = [[str(label) for label in rng.choice(labels, len(row))] for row in rows]
    task = Task.from_pairs(rows, targets, name="odd words")
    one_head = bool(seed % 2)
    config = Config(
        layers=2, cat_heads=1 if one_head else 2, num_heads=0 if one_head else 1, cat_mlps=1, num_mlps=int(not one_head),
        mlp_inputs=inputs, hidden=16, causal=bool(rng.random() < 0.5),
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ProgramModule(config.shape(task)).eval()
    program = discretised(dict(network.named_parameters()), network.shape)
    assert program.verify(network, rows).equal  # the network itself, in argmax mode
    again = from_json(to_json(program))
    assert again == program
    for text in (again.to_python(), again.to_python(style="fast")):
        run = module_of(text).run
        assert all(tuple(run(row)) == program(row) for row in rows)
    assert program.verify(again.to_torch(), rows).equal


def test_check_11_four_forms_of_the_numeric_range_trap_agree():
    program, n_ctx = squares(), GOLDEN["numeric_range_trap"]["n_ctx"]
    assert n_ctx == program.n_ctx
    z3 = pytest.importorskip("z3", reason="needs the extra smt (z3-solver)")
    network = program.to_torch()
    files = [module_of(program.to_python(style=style)) for style in ("readable", "fast")]
    for count, label in GOLDEN["numeric_range_trap"]["expected"].items():
        tokens = ["<s>", *["a"] * int(count)]
        assert [program(tokens)[-1], *(file.run(tokens)[-1] for file in files)] == [label] * 3
        assert program.verify(network, [tokens]).equal
        text = to_smt(program, len(tokens))
        text += f"(declare-const out (_ BitVec 1))(assert (= out prediction.{len(tokens) - 1}))"
        solver = z3.Solver()
        solver.add(*z3.parse_smt2_string(text))
        for i, token in enumerate(tokens):
            solver.add(z3.BitVec(f"token.{i}", 2) == program.vocab.index(token))
        allowed = [y for y in range(2) if solver.check(z3.BitVec("out", 1) == y) == z3.sat]
        assert [program.labels[y] for y in allowed] == [label]
