"""`learnt gated`: what a person types, what comes back, the gates for CI, and what is not accepted."""

import json
import re
import shlex
import types
import warnings

import numpy as np
import pytest
import torch
from tests.docs.pages import DOCS, blocks
from torch import nn

from learnt.cli.gated_words import losses_of, task_of_word
from learnt.core.errors import InputError
from learnt.gated import reduce, tasks
from learnt.gated.task_files import save_task
from learnt.io.weights import save_weights

PAGE = DOCS / "gated-cli.md"
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def alike(shown: str, found: str) -> bool:
    """The same words, and numbers to a thousandth; rounding errors may be any size below a millionth."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", found):
        return False
    pairs = zip(map(float, NUMBER.findall(shown)), map(float, NUMBER.findall(found)), strict=True)
    return all(abs(a - b) <= 2e-3 * max(abs(a), abs(b)) + 1e-6 for a, b in pairs)


def test_every_command_of_the_page_prints_what_the_page_shows(learnt, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    parts = sorted(blocks(PAGE, "toml", "python", "sh", "text"), key=lambda block: block.line)
    space = types.SimpleNamespace()
    printed, compared = "", 0
    for block in parts:
        if block.language == "toml":
            name = block.text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, str(PAGE), "exec"), vars(space))  # noqa: S102 (our own page)
            capsys.readouterr()
        elif block.language == "sh":
            printed = ""
            for line in block.text.replace("\\\n", " ").splitlines():
                code, out, err = learnt(*shlex.split(line)[1:])
                assert code == 0, f"{line}: {err}"
                printed += out
        else:
            compared += 1
            assert alike(block.text.rstrip(), printed.rstrip()), f"line {block.line} of the page:\n{printed}"
    assert compared == 6


# -- predict ----------------------------------------------------------------------------------------------


def test_the_routing_network_of_the_paper_is_predicted_with_the_numbers_of_the_specification(learnt):
    words = ("gated", "predict", "routing:M=7,K=4,weight=notebook", "--lr", 0.02, "--steps", 360, "--init", 0.08)
    code, out, err = learnt(*words, "--json", "-")
    found = json.loads(out)
    assert (code, err) == (0, "")
    for step, loss in ((50, 243.6163), (80, 59.5499), (160, 31.3946), (350, 0.3947)):
        assert found["loss"][step] == pytest.approx(loss, abs=1e-3)
    assert found["claim"] == "exact" and found["exact"] and found["lr_max"] == pytest.approx(0.0375690, rel=1e-5)
    assert [row["count"] for row in found["modes"]] == [1, 1, 2]
    assert [round(row["half"] / 0.02) for row in found["modes"]] == [78, 161, 336]


def test_a_decoupled_simulation_is_the_prediction_and_a_limit_can_be_set_on_it(learnt):
    words = ("gated", "predict", "xor", "--lr", 0.1, "--steps", 80, "--simulate", 2)
    code, out, _ = learnt(*words, "--max-error", 1e-9, "--json", "-")
    found = json.loads(out)
    assert code == 0 and found["observed"]["simulated"]["error"] < 1e-12
    code, _, err = learnt(*words, "--max-loss", 0.001, "--quiet")
    assert code == 1 and err.startswith("learnt: --max-loss 0.001: the loss at the end is 0.")


def test_momentum_and_weight_decay_are_those_of_torch(learnt):
    words = ("--lr", 0.05, "--steps", 60, "--momentum", 0.5, "--weight-decay", 0.01, "--simulate", 1)
    code, out, _ = learnt("gated", "predict", "random_dag:seed=2", *words, "--json", "-")
    assert code == 0 and json.loads(out)["observed"]["simulated"]["error"] < 1e-11


def test_an_observed_run_calibrates_the_start(learnt, tmp_path):
    loss = reduce(tasks.xor()).solve(0.037, "gd", lr=0.1, steps=200).loss
    (tmp_path / "run.csv").write_text("loss\n" + "\n".join(f"{v:.17g}" for v in loss) + "\n")
    np.savez(tmp_path / "run.npz", loss=loss)
    np.save(tmp_path / "run.npy", loss)
    for name in ("run.csv", "run.npz", "run.npy"):
        words = ("gated", "predict", "xor", "--lr", 0.1, "--steps", 200, "--observed", tmp_path / name, "--calibrate")
        code, out, _ = learnt(*words, "--json", "-")
        found = json.loads(out)
        assert code == 0 and found["init"] == pytest.approx(0.037, rel=1e-6)
        assert found["observed"]["observed"]["error"] < 1e-6
        assert any("not known to be decoupled" in note for note in found["notes"])


def test_flow_takes_a_time_and_nothing_is_learned_where_nothing_can_be(learnt):
    code, out, _ = learnt("gated", "predict", "xor:gating=single", "--flow", "--time", 5)
    assert code == 0 and "none: no pathway carries anything to learn" in out and "nan" not in out.lower()
    code, out, _ = learnt("gated", "predict", "xor", "--flow", "--lr", 0.1, "--steps", 60, "--json", "-")
    assert code == 0 and json.loads(out)["time"][-1] == pytest.approx(6.0)


def test_what_is_not_exact_is_not_called_exact(learnt, tmp_path):
    rng = np.random.default_rng(0)
    base = tasks.random_dag(0)
    noisy = {v: base.x[v] + 0.05 * base.x[v].std() * rng.normal(size=base.x[v].shape) for v in base.x}
    save_task(type(base)(base.graph, noisy, dict(base.y), dict(base.gates), base.prob, None), tmp_path / "noisy.npz")
    words = ("gated", "predict", tmp_path / "noisy.npz", "--flow", "--time", 1)
    code, out, _ = learnt(*words)
    assert code == 0 and "prediction: exact" not in out and re.search(r"off-diagonal share 0\.0\d+, on path", out)
    code, _, err = learnt(*words, "--require-exact")
    assert code == 2 and "off-diagonal share" in err and "on path" in err and len(err.splitlines()) <= 2


def test_notes_name_what_is_never_trained_and_steps_that_are_too_large(learnt, tmp_path):
    (tmp_path / "t.toml").write_text(
        '[nodes]\nx = 1\na = 1\nb = 1\ny = 1\n[edges]\np = ["x", "a"]\nq = ["a", "y"]\nr = ["x", "b"]\ns = ["b", "y"]\n'
        "[x]\nx = [[1], [2]]\n[y]\ny = [[1], [2]]\n[gates]\nr = [0, 0]\n"
    )
    code, out, err = learnt("gated", "predict", tmp_path / "t.toml", "--lr", 0.1, "--steps", 20)
    assert (code, err) == (0, "") and "note: never trained, since no open path passes them: r, s" in out
    code, out, err = learnt("gated", "predict", tmp_path / "t.toml", "--lr", 5, "--steps", 200)
    assert (code, err) == (0, "") and "above the largest stable one" in out and "nan" not in out.lower()
    code, out, err = learnt("gated", "predict", "xor", "--lr", 0.1, "--init", 0)
    assert (code, err) == (0, "") and "saddle" in out and "never" in out


def test_outputs_are_written_whole_and_not_replaced_unasked(learnt, tmp_path):
    page, data, png, svg = (tmp_path / f"o.{suffix}" for suffix in ("html", "json", "png", "svg"))
    words = ("gated", "predict", "xor", "--lr", 0.1, "--steps", 50, "--html", page, "--json", data, "--png", png,
             "--picture", svg)  # fmt: skip
    code, _, err = learnt(*words)
    assert code == 0 and err.count("wrote ") == 4
    text = page.read_text()
    assert "<script>" not in text and "How will xor be learned?" in text and "prediction: exact" in text
    assert png.read_bytes()[:4] == b"\x89PNG" and svg.read_text().startswith("<?xml")
    assert json.loads(data.read_text())["schema"] == "learnt.gated.prediction/1"
    code, _, err = learnt(*words)
    assert code == 2 and "--overwrite" in err
    assert learnt(*words, "--overwrite", "--quiet") == (0, "", "")


def test_an_interrupt_leaves_no_files(learnt, tmp_path, monkeypatch):
    from learnt.gated.prediction import Prediction

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Prediction, "draw", stop)
    code, out, err = learnt(
        "gated", "predict", "xor", "--lr", 0.1, "--steps", 5, "--png", tmp_path / "o.png", "--json", tmp_path / "o.json"
    )
    assert (code, out) == (4, "") and "interrupted" in err and list(tmp_path.iterdir()) == []


# -- race, pairs ------------------------------------------------------------------------------------------


def test_candidates_race_and_the_expected_winner_is_a_gate(learnt, tmp_path):
    save_task(tasks.xor("halves"), tmp_path / "halves.npz")
    words = ("gated", "race", tmp_path / "halves.npz", "four=xor", "one=xor:gating=single")
    code, out, _ = learnt(*words, "--json", "-", "--png", tmp_path / "r.png")
    found = json.loads(out)
    assert code == 0 and (tmp_path / "r.png").exists()
    assert [c["name"] for c in found["candidates"]] == ["halves", "four", "one"]
    assert (found["winner"], found["relu_winner"]) == ("halves", "four")
    code, _, err = learnt(*words, "--expect", "four", "--quiet")
    assert code == 1 and "first is halves" in err
    assert learnt(*words, "--expect", "halves", "--quiet")[0] == 0
    code, _, err = learnt(*words, "--expect", "none")
    assert code == 2 and "halves, four, one" in err


def test_candidates_may_be_yaml(learnt, tmp_path, monkeypatch):
    pytest.importorskip("yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("task: xor\ngating: halves\n")
    (tmp_path / "b.yaml").write_text("task: xor\n")
    (tmp_path / "b=a.yaml").write_text("task: separable\n")
    code, out, _ = learnt("gated", "race", "a.yaml", "b.yaml")
    assert code == 0 and "first of all gatings: a\n" in out and "first of those that a ReLU can have: b\n" in out
    code, out, _ = learnt("gated", "race", "b=a.yaml", "b.yaml", "--skip-relu")
    assert code == 0 and "first of all gatings: b=a\n" in out


def test_names_from_a_file_cannot_act_on_the_terminal(learnt, tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({
        "nodes": {"x\x1b[31m": 1, "y\u202e": 1}, "edges": {"<b>": ["x\x1b[31m", "y\u202e"]},
        "x": {"x\x1b[31m": [[1]]}, "y": {"y\u202e": [[1]]}, "gates": {"<b>": [1]},
    }))  # fmt: skip
    page = tmp_path / "o.html"
    words = ("--lr", 0.1, "--html", page, "--png", tmp_path / "o.png")
    code, out, err = learnt("gated", "predict", tmp_path / "t.json", *words)
    assert code == 0 and "\x1b" not in out + err and "\u202e" not in page.read_text() and "<b>" not in page.read_text()


def test_the_design_of_pairs_meets_the_specification_and_is_written(learnt, tmp_path):
    gate = tmp_path / "gate.csv"
    words = ("gated", "pairs", "--domains", 10, "--k", 3)
    code, out, _ = learnt(*words, "--csv", gate, "--json", "-", "--max-ratio", 0.7)
    found = json.loads(out)
    matrix = np.array(found["gate"])
    assert code == 0 and found["spectral_ratio"] <= 0.70 and found["components"] == 1
    assert (matrix.sum(0) == 3).all() and (matrix.sum(1) == 3).all()
    assert found["others"]["band (K_plus_minus_mod), K = 3"]["ratio"] == pytest.approx(0.8727, abs=1e-4)
    assert np.array_equal(np.loadtxt(gate, delimiter=",", skiprows=1), matrix)
    code, out, _ = learnt("gated", "pairs", "--gate", gate, "--json", "-", "--simulate", 2)
    judged = json.loads(out)
    assert code == 0 and judged["spectral_ratio"] == found["spectral_ratio"]
    assert max(judged["simulated"]["untrained"]) < 3
    assert task_of_word(f"routing:gate={gate}").n_contexts == 30


def test_pairs_in_parts_are_said_to_be_impossible(learnt, tmp_path):
    np.save(tmp_path / "gate.npy", np.kron(np.eye(2), np.ones((2, 2))))
    code, out, err = learnt("gated", "pairs", "--gate", tmp_path / "gate.npy", "--max-ratio", 0.9)
    assert code == 1 and "2 parts: zero-shot transfer is impossible for 8 of 8" in out and "is 1" in err
    assert "Warning" not in err


# -- relu, modes ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """A linear task with a network that solves it and one that answers nothing; a ReLU network; a file of factories."""
    folder = tmp_path_factory.mktemp("gated")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = x @ np.diag([3.0, 2.0, 1.0, 0.5])
    np.savez(folder / "linear.npz", x=x, y=y)
    solution = np.linalg.lstsq(x, y, rcond=None)[0].T
    save_weights(folder / "full.safetensors", {"0.weight": torch.tensor(solution)})
    save_weights(folder / "none.safetensors", {"0.weight": torch.zeros(4, 4, dtype=torch.float64)})
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 4), nn.ReLU(), nn.Linear(4, 4))
    save_weights(folder / "relu.safetensors", net.state_dict())
    torch.save(net.state_dict(), folder / "relu.pt")
    save_weights(folder / "conv.safetensors", nn.Conv2d(1, 2, 3).state_dict())
    (folder / "net.py").write_text(
        "from torch import nn\n"
        "def make():\n    return nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 4), nn.ReLU(), nn.Linear(4, 4))\n"
        "def smooth():\n    return nn.Sequential(nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 4))\n"
    )
    return folder


def test_the_gates_of_a_network_are_read_from_its_weights_alone(learnt, nets, tmp_path):
    words = ("--json", "-", "--max-error", 1e-10)
    code, out, _ = learnt("gated", "relu", nets / "relu.safetensors", nets / "linear.npz", *words)
    found = json.loads(out)
    assert code == 0 and [layer["units"] for layer in found["layers"]] == [9, 4]
    assert found["linear"]["max_error"] < 1e-10 and found["linear"]["n_paths"] >= 9
    assert all(sum(layer["exact"]["units"]) == layer["units"] for layer in found["layers"])
    spec = f"{nets / 'net.py'}:make"
    weighted = ("--weights", nets / "relu.pt", "--png", tmp_path / "g.png")
    code, out, _ = learnt("gated", "relu", spec, nets / "linear.npz", *weighted, *words)
    assert code == 0 and json.loads(out)["layers"] == found["layers"] and (tmp_path / "g.png").exists()


def test_merging_costs_an_error_that_can_be_a_gate(learnt, nets):
    words = ("gated", "relu", nets / "relu.safetensors", nets / "linear.npz", "--merge", "cluster", "--groups", 2)
    code, out, err = learnt(*words, "--max-error", 0.01)
    assert code == 1 and "merged: cluster" in out and "the error of the linear networks is 0." in err


def test_a_solution_has_every_mode_and_nothing_has_none(learnt, nets, tmp_path):
    full, none, data = (nets / name for name in ("full.safetensors", "none.safetensors", "linear.npz"))
    code, out, _ = learnt("gated", "modes", full, data, "--against", none, "--json", "-", "--svg", tmp_path / "m.svg")
    found = json.loads(out)
    assert code == 0 and np.allclose(found["models"][0]["fraction"], 1, atol=1e-8)
    assert np.allclose(found["models"][1]["fraction"], 0) and found["difference"]["distance"] == pytest.approx(1.0)
    assert learnt("gated", "modes", full, data, "--max-missing", 1e-6, "--quiet")[0] == 0
    code, _, err = learnt("gated", "modes", full, data, "--against", none, "--max-distance", 0.5, "--quiet")
    assert code == 1 and "the distance between the models is 1" in err
    code, out, _ = learnt("gated", "modes", full, data, "--against", full)
    assert code == 0 and "distance: 0 " in out


def test_classifiers_are_asked_on_the_data_that_compare_knows(learnt, net):
    words = ("gated", "modes", f"{net}:make", "digits", "--answers", "probabilities", "--centre", "--limit", 200)
    code, out, _ = learnt(*words, "--json", "-")
    found = json.loads(out)
    assert code == 0 and found["samples"] == 200 and len(found["models"][0]["fraction"]) == 9
    code, out, _ = learnt("gated", "relu", f"{net}:make", "digits", "--limit", 50)
    assert code == 0 and "16 units" in out


# -- what is not accepted ---------------------------------------------------------------------------------

TASK = """
[nodes]
x = 2
h = 2
y = 1
[edges]
a = ["x", "h"]
b = ["h", "y"]
[x]
x = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
[y]
y = [[1], [1], [-1], [-1]]
[gates]
h = [1, 0, 1, 0]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('b = ["h", "y"]', 'b = ["h", "y"]\nc = ["y", "h"]', "cycle"),
        ('["x", "h"]', '["x", "z"]', "unknown node 'z'"),
        ("h = [1, 0, 1, 0]", "h = [1, 0]", "(4,), one number for each of the 4 samples"),
        ("[[1, 1], [-1, -1]", "[[nan, 1], [-1, -1]", "NaN"),
        ("[nodes]", "prob = [1, 1, 1, -1]\n[nodes]", "weights of at least 0"),
        ("[y]\ny", "[y]\nz", "no path from it to an output"),
        ("h = 2", "h = 0", "at least 1"),
    ],
)  # fmt: skip
def test_check_23_bad_tasks_exit_with_two_and_one_or_two_lines(learnt, tmp_path, old, new, said):
    assert old in TASK
    (tmp_path / "t.toml").write_text(TASK.replace(old, new, 1))
    for words in (("predict", tmp_path / "t.toml", "--lr", 0.1), ("race", tmp_path / "t.toml", "xor")):
        code, out, err = learnt("gated", *words)
        assert (code, out) == (2, "") and said in err and len(err.splitlines()) <= 2, err
        assert "t.toml" in err


def test_check_23_a_node_too_narrow_says_how_many_modes_pass_it(learnt, tmp_path):
    eye = np.eye(3).astype(int).tolist()
    (tmp_path / "t.toml").write_text(
        f'[nodes]\nx = 3\nh = 2\ny = 3\n[edges]\na = ["x", "h"]\nb = ["h", "y"]\n[x]\nx = {eye}\n[y]\ny = {eye}\n'
    )
    code, _, err = learnt("gated", "predict", tmp_path / "t.toml", "--lr", 0.1)
    assert code == 2 and "3" in err and "'h'" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("predict", "xor"), "--lr"),
        (("predict", "xor", "--lr", "-1"), "lr"),
        (("predict", "xor", "--lr", "nan"), "lr"),
        (("predict", "xor", "--lr", "0.1", "--steps", "-3"), "steps"),
        (("predict", "xor", "--lr", "0.1", "--steps", "1000000000"), "at most 1,000,000"),
        (("predict", "xor", "--lr", "0.1", "--simulate", "100000"), "at most 1,000"),
        (("predict", "xor", "--lr", "0.1", "--time", "3"), "--flow"),
        (("predict", "xor", "--flow"), "--time"),
        (("predict", "xor", "--flow", "--time", "1", "--simulate", "1"), "descent"),
        (("predict", "xor", "--lr", "0.1", "--momentum", "1.5"), "momentum"),
        (("predict", "xor", "--lr", "0.1", "--gain", "0.1"), "gain"),
        (("predict", "xor", "--lr", "0.1", "--calibrate"), "calibrate"),
        (("predict", "xor", "--lr", "0.1", "--observed", "run.txt"), "--observed"),
        (("predict", "xor", "--lr", "0.1", "--png", "o.gif"), ".png, .svg, .pdf"),
        (("predict", "xor", "--lr", "0.1", "--png", "no/where/o.png"), "no directory"),
        (("predict", "xor", "--lr", "0.1", "--max-loss", "-1"), "--max-loss"),
        (("predict", "xorr", "--lr", "0.1"), "Nearest: xor"),
        (("predict", "xor:gating", "--lr", "0.1"), "key=value"),
        (("predict", "xor:colour=1", "--lr", "0.1"), "colour"),
        (("predict", "routing:M=4,K=5", "--lr", "0.1"), "at most 4"),
        (("predict", "routing:M=4", "--lr", "0.1"), "gate"),
        (("predict", "missing.npz", "--lr", "0.1"), "missing.npz"),
        (("predict", "task.txt", "--lr", "0.1"), ".npz"),
        (("race",), "tasks"),
        (("pairs",), "--domains M --k K"),
        (("pairs", "--domains", "4"), "--k"),
        (("pairs", "--domains", "4", "--k", "5"), "at most 4"),
        (("pairs", "--domains", "100000", "--k", "5"), "at most 1,000"),
        (("pairs", "--domains", "4", "--k", "2", "--tries", "0"), "tries"),
        (("pairs", "--domains", "4", "--k", "2", "--csv", "gate.txt"), ".csv"),
        (("pairs", "--gate", "gate.txt"), ".csv or .npy"),
        (("predict", "xor", "--lr", "0.1", "--optimizer", "adam"), "not rotation-equivariant"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_words_exit_with_two_and_name_what_is_wrong(learnt, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, out, err = learnt("gated", *words)
    assert (code, out) == (2, "") and said in err and len(err.splitlines()) <= 2, err
    assert list(tmp_path.iterdir()) == []


def test_wrong_models_and_data_exit_with_two(learnt, nets, tmp_path):
    data = nets / "linear.npz"
    np.savez(tmp_path / "only.npz", x=np.ones((5, 4)))
    np.savez(tmp_path / "wide.npz", x=np.ones((5, 7)), y=np.ones((5, 4)))
    np.savez(tmp_path / "nan.npz", x=np.full((5, 4), np.nan), y=np.ones((5, 4)))
    smooth, full = f"{nets / 'net.py'}:smooth", nets / "full.safetensors"
    for words, said in (
        (("relu", nets / "conv.safetensors", data), "chain of linear layers"),
        (("relu", smooth, data), "ReLU"),
        (("relu", nets / "relu.safetensors", data, "--threshold", 2), "threshold"),
        (("relu", nets / "relu.safetensors", data, "--faint", 2), "--faint"),
        (("relu", nets / "relu.safetensors", data, "--weights", full), "which no model needs"),
        (("relu", nets / "relu.safetensors", tmp_path / "wide.npz"), ""),
        (("relu", full, data), "hidden layer"),
        (("modes", full, tmp_path / "only.npz"), "targets"),
        (("modes", full, tmp_path / "nan.npz"), ""),
        (("modes", full, data, "--max-distance", 1), "--against"),
        (("modes", full, data, "--limit", 0), "--limit"),
        (("modes", full, "digitss"), "digits"),
    ):
        code, out, err = learnt("gated", *words)
        assert (code, out) == (2, "") and said in err and len(err.splitlines()) <= 3, (words, err)


def test_untrusted_files_exit_with_three(learnt, tmp_path):
    np.savez(tmp_path / "t.npz", nodes=np.array([{"x": 1}], dtype=object), allow_pickle=True)
    assert learnt("gated", "predict", tmp_path / "t.npz", "--lr", 0.1)[0] == 3
    pytest.importorskip("yaml")
    (tmp_path / "t.yaml").write_text("task: !!python/object/apply:os.system ['true']\n")
    assert learnt("gated", "predict", tmp_path / "t.yaml", "--lr", 0.1)[0] == 3


def test_tasks_of_functions_and_losses_with_steps(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from learnt.gated import tasks\ndef make():\n    return tasks.xor('halves')\ndef other():\n    return 3\n"
    )
    assert task_of_word(f"{tmp_path / 'mine.py'}:make").n_contexts == 2
    with pytest.raises(InputError, match="int from"):
        task_of_word(f"{tmp_path / 'mine.py'}:other")
    assert task_of_word("hierarchy:levels=2,weights=6/4/3").graph.nodes["y"] == 7
    (tmp_path / "run.csv").write_text("step,loss,other\n0,2,7\n10,1,7\n")
    steps, loss = losses_of(tmp_path / "run.csv")
    assert steps.tolist() == [0, 10] and loss.tolist() == [2, 1]
    (tmp_path / "run.csv").write_text("a,b\n0,2\n")
    with pytest.raises(InputError, match="called loss"):
        losses_of(tmp_path / "run.csv")
