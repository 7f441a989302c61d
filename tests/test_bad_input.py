"""The line "Bad input" of the main job, item by item: each fault has its own clear error and leaves no partial file.

Every case goes through what people use (`learnt.compare`, `learnt.load`, `learnt.fit`, the command line) and states
the type and the words of the error; what lies in the working directory is the same afterwards as before.
"""

import errno
import json
import os
import pty
import resource
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import learnt
from learnt.agreement.divergence import JSDivergence
from learnt.agreement.top1 import Agreement
from learnt.attribution.gradcam import CAMSimilarity
from learnt.cli.main import run
from learnt.core.errors import (
    BusyError,
    DivergedError,
    InputError,
    NonFiniteError,
    NotApplicable,
    ShapeError,
    StorageError,
)
from learnt.core.examples import Examples
from learnt.data.load import load
from learnt.distill.crd import CRD
from learnt.distill.hint import Hint
from learnt.distill.kd import KD
from learnt.io.lock import run_lock
from learnt.similarity.cka import CKA
from learnt.train.nets import mlp, small_cnn
from learnt.train.objectives import CrossEntropy

G = torch.Generator().manual_seed(0)
X, Y = torch.randn(60, 5, generator=G), torch.arange(60) % 3
IMAGES = torch.rand(24, 3, 16, 16, generator=G)
NAN = X.clone()
NAN[7, 2] = float("nan")
QUESTIONS = (Agreement(), JSDivergence())


def net(inputs=5, outputs=3, seed=0):
    """A small module with layers flatten, linear1, relu1, output."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return mlp(inputs, outputs, [8])


def ask(a=None, b=None, data=(X, Y), **options):
    options = {"measures": QUESTIONS, "resamples": 100, "quiet": True, **options}
    return learnt.compare(a if a is not None else net(), b if b is not None else net(seed=1), data, **options)


def fit(thing=None, data=(X, Y), objective=None, **options):
    return learnt.fit(thing if thing is not None else net(), data, objective or CrossEntropy(), epochs=1, **options)


FACTORIES = """
    import torch
    from torch import nn

    def make(inputs=5, outputs=3):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))

    def four():
        return make(5, 4)

    def wide():
        return make(9, 3)

    def certain():
        return nn.Sequential(make(), nn.Softmax(1))

    def sure():
        net = make()
        net[2].weight.data.neg_()
        return nn.Sequential(net, nn.Softmax(1))

    def broken():
        net = make()
        net[2].bias.data[0] = float("nan")
        return net

    def elsewhere():
        return make().to("meta")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with a file of models and files of good and bad data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(textwrap.dedent(FACTORIES))
    inputs, labels = X.numpy(), Y.numpy()
    sets = {
        "good": (inputs, labels), "empty": (inputs[:0], labels[:0]), "one": (inputs, labels * 0),
        "nan": (NAN.numpy(), labels), "beyond": (inputs, labels + 2), "short": (inputs, labels[:50]),
    }  # fmt: skip
    for name, (x, y) in sets.items():
        np.savez(tmp_path / f"{name}.npz", inputs=x, labels=y)
    (tmp_path / "empty.csv").write_text("a,b,label\n")
    (tmp_path / "nan.csv").write_text(
        "a,b,label\n" + "".join(f"{i},{'nan' if i == 5 else 2},{i % 2}\n" for i in range(30))
    )
    (tmp_path / "one.csv").write_text("a,b,label\n" + "".join(f"{i},{i * i},cat\n" for i in range(30)))
    (tmp_path / "folder").mkdir()
    return tmp_path


def lies(root):
    """Every path below `root` and the bytes of every file, hidden and temporary ones too."""
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else b"" for p in Path(root).rglob("*")}


def refused(place, action, error, words):
    """`action` raises `error` with `words`, in one or two lines, and changes nothing in the directory."""
    before = lies(place)
    with pytest.raises(error, match=words) as caught:
        action()
    assert type(caught.value) is error and str(caught.value).count("\n") == 0
    assert lies(place) == before


def denied(place, capsys, arguments, words, code=2):
    """The command exits with `code` and `words` in one or two lines, prints no result and changes nothing."""
    before = lies(place)
    assert run(arguments.split()) == code
    out, err = capsys.readouterr()
    assert words in err and out == "" and 1 <= err.count("\n") <= 2 and "Traceback" not in err, err
    assert err.startswith("learnt: ")
    after = lies(place)
    assert {k: v for k, v in after.items() if k not in before and "__pycache__" not in k} == {}
    assert all(after[k] == v for k, v in before.items())


ASK = (
    "compare net.py:make net.py:make --on good.npz --split all --resamples 100 --measures agreement,js,accuracy --quiet"
)
TRAIN = "train teacher --on good.npz --out out --epochs 1 --quiet"


# -- wrong shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda: ask(data=(X[:, :4], Y)), ShapeError, r"^[ab]: found inputs of shape \(60, 4\) that the model cannot take"),
        (lambda: ask(b=lambda x: x), ShapeError, r"^b: found 5 outputs while a has 3"),
        (lambda: ask(b=lambda x: x[:, 0]), ShapeError, r"^b: found outputs of shape \(60,\) for a batch of 60"),
        (lambda: ask(b=lambda x: x[:, :1]), ShapeError, r"^b: .*given as two"),
        (lambda: ask(b=lambda x: x[:7, :3]), ShapeError, r"^b: found outputs of shape \(7, 3\) for a batch of 60"),
        (lambda: ask(data=(X, Y[:50])), ShapeError, r"labels: found 50 entries; expected 60"),
        (lambda: ask(data=(X, Y[:, None])), ShapeError, r"labels: found shape \(60, 1\)"),
        (lambda: fit(data=(X[:, :4], Y)), ShapeError, r"^data.inputs: found shape \(4,\) an example"),
        (lambda: fit(data=(X, Y[:50])), ShapeError, r"labels: found 50 entries; expected 60"),
        (lambda: fit(nn.Linear(5, 1), (X, Y)), InputError, r"class index 2; expected indices below 1"),
    ],
    ids=["inputs", "outputs", "a vector", "one logit", "rows", "labels", "label axes", "fit inputs", "fit labels", "fit outputs"],
)  # fmt: skip
def test_wrong_shapes(place, action, error, words):
    refused(place, action, error, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (ASK.replace("net.py:make --on", "net.py:wide --on"), "inputs of shape (60, 5) that the model cannot take"),
        (ASK.replace("good", "short"), "50"),
        (TRAIN.replace("good", "short"), "50"),
        (ASK + " --weights w.safetensors", "expected shape"),
    ],
    ids=["inputs", "labels", "training labels", "weights"],
)
def test_wrong_shapes_by_command(place, capsys, arguments, words):
    from safetensors.torch import save_file

    save_file({k: v.clone() for k, v in net(9).state_dict().items()}, "w.safetensors")
    if "w.safetensors" in arguments:
        words = "w.safetensors"
    denied(place, capsys, arguments, words)


# -- different label sets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda: ask(b=net(outputs=4)), ShapeError, r"^b: found 4 outputs while a has 3; .*common label set"),
        (lambda: ask(controls=[net(outputs=4)]), ShapeError, r"^control: found 4 outputs while a has 3"),
        (lambda: ask(data=(X, Y + 2), measures=None), InputError, r"class index 4; .*below 3.*different label sets"),
        (lambda: fit(data=(X, Y + 2)), InputError, r"class index 4; .*below 3.*different label sets"),
        (lambda: fit(objective=KD(net(outputs=4))), ShapeError, "4"),
        (lambda: Examples(inputs=X, labels=Y, classes=("cat", "dog")), InputError, "index 2; .*below 2, the number of class"),
    ],
    ids=["b", "controls", "labels", "fit", "teacher", "names"],
)  # fmt: skip
def test_different_label_sets(place, action, error, words):
    refused(place, action, error, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (ASK.replace("net.py:make --on", "net.py:four --on"), "4 outputs while"),
        (ASK.replace("good", "beyond"), "different label sets"),
    ],
    ids=["models", "data"],
)
def test_different_label_sets_by_command(place, capsys, arguments, words):
    denied(place, capsys, arguments, words)


# -- empty data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda: ask(data=(X[:0], Y[:0])), InputError, r"inputs: found no examples; expected at least one"),
        (lambda: ask(data=torch.utils.data.TensorDataset(X[:0], Y[:0])), InputError, "an empty data set"),
        (lambda: fit(data=(X[:0], Y[:0])), InputError, "no examples"),
        (lambda: ask(b=[]), InputError, "^b: found an empty sequence"),
        (lambda: ask(data=(X[:1], Y[:1])), InputError, "1 example; expected at least 2"),
        (lambda: load("empty.npz"), InputError, "no examples"),
        (lambda: load("empty.csv"), InputError, "row"),
        (lambda: load("folder"), InputError, "image"),
    ],
    ids=["compare", "dataset", "fit", "replicas", "one example", "npz", "csv", "folder"],
)
def test_empty_data(place, action, error, words):
    refused(place, action, error, words)


@pytest.mark.parametrize("name", ["empty.npz", "empty.csv", "folder"])
def test_empty_data_by_command(place, capsys, name):
    denied(place, capsys, ASK.replace("good.npz", name), "expected")
    denied(place, capsys, TRAIN.replace("good.npz", name), "expected")


# -- one class only ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        lambda: ask(data=(X, Y * 0)),
        lambda: fit(data=(X, Y * 0 + 2)),
        lambda: fit(data=(X, Y * 0), objective=CRD(net(), student_layer="relu1", teacher_layer="relu1")),
    ],
    ids=["compare", "fit", "contrast"],
)
def test_one_class_only(place, action):
    refused(place, action, InputError, r"labels: found one class only.*; expected at least two")


def test_one_class_without_labels_can_be_asked_about():
    assert ask(data=X)["agreement"].value.defined  # the way out that the error names


@pytest.mark.parametrize("name", ["one.npz", "one.csv"])
def test_one_class_only_by_command(place, capsys, name):
    denied(place, capsys, TRAIN.replace("good.npz", name), "one class only")


def test_one_class_only_by_command_of_compare(place, capsys):
    denied(place, capsys, ASK.replace("good.npz", "one.npz"), "one class only")


# -- NaN in data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda: ask(data=(NAN, Y)), r"inputs: found 1 values that are NaN or infinite, the first at index \(7, 2\)"),
        (lambda: ask(data=(X / 0, Y)), r"inputs: found 300 values"),
        (lambda: ask(data=(X, torch.where(Y == 1, float("nan"), 1.0))), r"labels: found 20 values"),
        (lambda: fit(data=(NAN, Y)), r"the first at index \(7, 2\)"),
        (lambda: fit(validation=(NAN, Y)), r"the first at index \(7, 2\)"),
        (lambda: load("nan.npz"), r"the first at index \(7, 2\)"),
    ],
    ids=["compare", "infinity", "labels", "fit", "validation", "npz"],
)
def test_nan_in_data(place, action, words):
    refused(place, action, NonFiniteError, words)


@pytest.mark.parametrize(
    ("name", "words"),
    [("nan.npz", "NaN or infinite, the first at index (7, 2)"), ("nan.csv", "found 'nan'; expected a finite number")],
)
def test_nan_in_data_by_command(place, capsys, name, words):
    denied(place, capsys, ASK.replace("good.npz", name), words)
    denied(place, capsys, TRAIN.replace("good.npz", name), words)


# -- NaN in outputs ------------------------------------------------------------------------------------


def sick(at=(3, 1)):
    """A model whose output `at` is NaN."""

    def answer(x):
        out = x[:, :3].clone()
        out[at] = float("nan")
        return out

    return answer


def hidden():
    """A module whose logits are finite and whose hidden layer is not."""
    module = net()
    module.linear1.bias.data[0] = float("-inf")  # relu turns it into 0
    return module


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda: ask(b=sick()), NonFiniteError, r"^outputs of b: found 1 values .* index \(3, 1\)"),
        (lambda: ask(a=sick()), NonFiniteError, r"^outputs of a:"),
        (lambda: ask(controls=[net(), sick()]), NonFiniteError, r"^outputs of control\[1\]:"),
        (lambda: ask(b=hidden(), measures=[CKA(layer_b="linear1")]), NonFiniteError, r"^features of b at linear1"),
        (lambda: fit(objective=lambda model, batch: model(batch.inputs).sum() / 0), DivergedError, "step 1 in replica 0"),
        (lambda: fit(objective=KD(sick())), NonFiniteError, r"\(3, 1\)"),
    ],
    ids=["b", "a", "a control", "a layer", "a loss", "a teacher"],
)  # fmt: skip
def test_nan_in_outputs(place, action, error, words):
    refused(place, action, error, words)


def test_nan_in_outputs_by_command(place, capsys):
    denied(place, capsys, ASK.replace("net.py:make --on", "net.py:broken --on"), "outputs of net.py:broken")


# -- probabilities instead of logits -------------------------------------------------------------------

CERTAIN = ASK.replace("net.py:make --on", "net.py:certain --on").replace("--quiet", "--json -")


def certain():
    return nn.Sequential(net(), nn.Softmax(1))


@pytest.mark.parametrize(
    "action",
    [lambda: ask(b=certain()), lambda: ask(a=certain()), lambda: fit(objective=KD(certain()))],
    ids=["b", "a", "a teacher"],
)
def test_probabilities(place, action):
    refused(
        place, action, InputError, "look like probabilities; expected logits. Say outputs='probabilities' if they are"
    )


def test_logits_that_are_declared_probabilities_are_refused(place):
    words = "^a: found outputs that are not between 0 and 1 .*If only some models return them"
    refused(place, lambda: ask(b=certain(), outputs="probabilities"), InputError, words)


def test_probabilities_that_are_declared_give_the_numbers_of_their_logits():
    declared = ask(a=certain(), b=certain(), outputs="probabilities", measures=[JSDivergence()])
    assert declared["js"].value.value == pytest.approx(0, abs=1e-9)
    other = ask(a=certain(), b=nn.Sequential(net(seed=1), nn.Softmax(1)), outputs="probabilities")
    assert other["js"].value.value == pytest.approx(ask()["js"].value.value, rel=1e-4)


def test_probabilities_by_command_without_a_terminal_name_the_flags(place, capsys):
    denied(
        place,
        capsys,
        CERTAIN.replace("make", "sure"),
        "Say --outputs probabilities if they are, --outputs logits if they are not.",
    )


def on_a_terminal(place, typed):
    """The command on a real pseudo-terminal, with `typed` at its question: (exit code, what was seen, stdout)."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from learnt.cli.main import main; main()", *CERTAIN.replace("make", "sure").split()], cwd=place,
        stdin=follower, stdout=subprocess.PIPE, stderr=follower, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    os.close(follower)
    seen = b""

    def read():
        nonlocal seen
        asked = False
        while True:
            try:
                seen += os.read(leader, 4096)
            except OSError:  # the other end is closed
                return
            if b"[y/n]" in seen and not asked:
                asked = True
                os.write(leader, typed)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    out, _ = process.communicate(timeout=100)
    thread.join(timeout=10)
    os.close(leader)
    return process.returncode, seen.decode(), out.decode()


@pytest.mark.parametrize(
    ("typed", "code"), [(b"y\n", 0), (b"no\n", 0), (b"perhaps\n", 2), (b"\x04", 2)], ids=["y", "no", "perhaps", "end"]
)
def test_probabilities_are_asked_about_on_a_terminal(place, typed, code):
    got, seen, out = on_a_terminal(place, typed)
    assert got == code, seen
    assert "look like probabilities" in seen and "Are these probabilities? [y/n]" in seen and "Traceback" not in seen
    if code:
        assert "--outputs probabilities" in seen and out == ""
        return
    divergence = next(a for a in json.loads(out)["answers"] if a["name"] == "js")["value"]["value"]
    said = "probabilities" if typed == b"y\n" else "logits"
    pair = (learnt.load(f"{place}/net.py:{name}") for name in ("sure", "certain"))
    assert divergence == pytest.approx(ask(*pair, outputs=said)["js"].value.value, rel=1e-6)


# -- outputs on another device -------------------------------------------------------------------------


def split():
    """A module half on the CPU and half on a device without values."""
    return nn.Sequential(net(5, 4), nn.Linear(4, 3, device="meta"))


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda: ask(b=lambda x: torch.empty(len(x), 3, device="meta")), "^b: found outputs on meta for inputs on cpu"),
        (lambda: ask(b=split()), "^b: found parts on different devices"),
        (lambda: ask(b=net().to("meta")), "^b: found parts .* without values"),
        (lambda: ask(b=net().to("meta"), device="cpu"), "meta device, which hold no values"),
        (lambda: ask(device="nonsense"), "^device: found 'nonsense'; expected a device that this machine has"),
        (lambda: fit(split()), "^thing: found weights on cpu and meta"),
        (lambda: fit(net().to("meta")), "^thing: found weights on meta"),
        (lambda: fit(device="nonsense"), "^device: found 'nonsense'"),
    ],
    ids=["outputs", "split", "no values", "moved", "unknown", "fit split", "fit no values", "fit unknown"],
)
def test_outputs_on_another_device(place, action, words):
    refused(place, action, InputError, words)


def test_outputs_on_another_device_by_command(place, capsys):
    denied(place, capsys, ASK.replace("net.py:make --on", "net.py:elsewhere --on"), "net.py:elsewhere: found parts")
    denied(place, capsys, ASK + " --device nonsense", "device: found 'nonsense'")


# -- a missing file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda: learnt.load("net.py:make", weights="w.safetensors"), StorageError, "w.safetensors"),
        (lambda: learnt.load("nat.py:make"), StorageError, "nat.py"),
        (lambda: learnt.load("run:nowhere#x"), StorageError, "no directory nowhere"),
        (lambda: learnt.load("run:folder#x"), StorageError, "without a list of models"),
        (lambda: learnt.load("net.py:maker"), InputError, "make"),
        (lambda: load("goood.npz"), StorageError, "no such file.*Did you mean good.npz"),
        (lambda: load("mnist", root="folder"), StorageError, "folder"),
        (lambda: load("digitz"), InputError, "Did you mean digits"),
    ],
    ids=["weights", "code", "run", "no run", "factory", "data", "named set", "unknown set"],
)
def test_a_missing_file(place, action, error, words):
    refused(place, action, error, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (ASK.replace("good.npz", "goood.npz"), "Did you mean good.npz"),
        (ASK.replace("net.py", "nat.py"), "nat.py"),
        (ASK + " --weights w.safetensors", "w.safetensors"),
        (ASK.replace("net.py:make --on", "run:nowhere#x --on"), "no directory nowhere"),
        (TRAIN.replace("good.npz", "goood.npz"), "Did you mean good.npz"),
        ("show nowhere.json", "nothing there"),
        ("convert nowhere.pt new.safetensors", "nowhere.pt"),
        (ASK + " --html nowhere/report.html", "no directory nowhere"),
        (ASK + " --json nowhere/report.json", "no directory nowhere"),
    ],
    ids=["data", "code", "weights", "run", "training data", "show", "convert", "html", "json"],
)
def test_a_missing_file_by_command(place, capsys, arguments, words):
    denied(place, capsys, arguments, words)


# -- an unknown layer name -----------------------------------------------------------------------------

PICTURES = (IMAGES, torch.arange(24) % 3)


def look(measure):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        models = small_cnn(3, 3, 4, 16), small_cnn(3, 3, 4, 16)
    return ask(*models, PICTURES, measures=[measure])


@pytest.mark.parametrize(
    ("action", "near"),
    [
        (lambda: look(CKA(layer_a="rellu3")), "relu3"),
        (lambda: look(CKA(layer_b="conv22")), "conv2"),
        (lambda: look(CKA(layers_a=("conv1", "convv2"))), "conv2"),
        (lambda: look(CAMSimilarity(layer="convolution3")), "conv3"),
        (lambda: fit(objective=Hint(net(), student_layer="relu", teacher_layer="relu1")), "relu1"),
        (lambda: fit(objective=Hint(net(), student_layer="relu1", teacher_layer="lineer1")), "linear1"),
        (lambda: fit(objective=CRD(net(), student_layer="relu11", negatives=8)), "relu1"),
    ],
    ids=["cka a", "cka b", "cka grid", "grad-cam", "hint student", "hint teacher", "crd"],
)
def test_an_unknown_layer_name(place, action, near):
    refused(place, action, InputError, rf"which is not a layer of .*Nearest names: .*\b{near}\b")


def test_a_layer_of_the_wrong_kind_names_the_right_ones(place):
    refused(place, lambda: look(CAMSimilarity(layer="output")), InputError, "Spatial layers: conv1, relu1")
    refused(place, lambda: ask(b=lambda x: x[:, :3], measures=[CKA()]), NotApplicable, "no layers or gradients")


def test_an_unknown_layer_name_by_command(place, capsys):
    assert run(TRAIN.split()) == 0
    student = "train student --teacher run:out#teacher --objective hint --student-layer rellu1 --replicas 1 --quiet"
    denied(place, capsys, f"{student} --on good.npz --epochs 1 --out out", "Nearest names: relu1")


# -- a full disk ---------------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch):
    """Call with a word: writing to a file whose name holds it fails as on a full disk, after a few bytes."""
    true = os.write

    def fill(word, code=errno.ENOSPC):
        def write(descriptor, data):
            name = os.readlink(f"/proc/self/fd/{descriptor}")
            if word in Path(name).name:
                true(descriptor, bytes(data[:10]))
                raise OSError(code, os.strerror(code))
            return true(descriptor, data)

        monkeypatch.setattr(os, "write", write)

    return fill


FULL = "no space left on the disk; expected room to write it"


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("c.json", lambda: ask().to_json("c.json")),
        ("c.html", lambda: ask().to_html("c.html")),
        ("step-", lambda: fit(checkpoint="ck")),
        ("fit.json", lambda: fit(checkpoint="ck")),
        ("population.", lambda: learnt.Population(net, 2, seed=0).save("ck")),
    ],
    ids=["json", "html", "checkpoint", "checkpoint settings", "population"],
)
def test_a_full_disk(place, full, word, action):
    full(word)
    with pytest.raises(StorageError, match=rf"{word}.*{FULL} \([\d,]+ bytes needed\)"):
        action()
    left = [p for p in place.rglob("*") if word in p.name or ".part-" in p.name]
    assert left == []


@pytest.mark.parametrize("word", ["teacher.safetensors", "models.json", "teacher.recipe.json", "fit.json"])
def test_a_full_disk_while_training_by_command(place, capsys, full, monkeypatch, word):
    with monkeypatch.context() as patch:
        true = os.write
        full(word)
        assert run(TRAIN.split()) == 2
        patch.setattr(os, "write", true)
    monkeypatch.undo()
    monkeypatch.chdir(place)
    _, err = capsys.readouterr()
    assert word in err and FULL in err and "run the same command again" in err and err.count("\n") == 1
    assert not [p for p in place.rglob("*") if ".part-" in p.name or p.name == word]
    assert run(TRAIN.split()) == 0  # with room again it goes on
    assert (place / "out" / "teacher.safetensors").exists() and not any((place / "out" / ".checkpoints").iterdir())


@pytest.mark.parametrize("kind", ["json", "html"])
def test_a_full_disk_leaves_the_old_report_by_command(place, capsys, full, kind):
    old = place / f"old.{kind}"
    old.write_text("old")
    full(f"old.{kind}")
    denied(place, capsys, f"{ASK} --{kind} old.{kind} --overwrite", FULL)
    assert old.read_text() == "old"


def demo(place, **options):
    return subprocess.run(
        [sys.executable, "-c", "from learnt.cli.main import main; main()", "demo", "--data", "digits", "--students", "2",
         "--epochs", "1", "--limit", "100", "--out", "demo", "--quiet"],
        cwd=place, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}, **options,
    )  # fmt: skip


def test_a_demo_that_may_not_write_large_files_fails_with_two_and_goes_on_with_room(place):
    small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # bytes
    found = demo(place, preexec_fn=small)  # no checkpoint fits
    assert found.returncode == 2 and found.stdout == "", found.stderr
    assert "safetensors: found a file larger than the limit allows" in found.stderr and found.stderr.count("\n") == 1
    assert not [p for p in (place / "demo").rglob("*") if ".part-" in p.name or p.suffix == ".safetensors"]
    found = demo(place)
    assert found.returncode == 0, found.stderr


# -- an unwritable directory ---------------------------------------------------------------------------


@pytest.fixture
def closed(place, monkeypatch):
    """A directory `closed` in which nothing can be made, for root too."""
    directory = place / "closed"
    directory.mkdir()
    true_open, true_mkdir = os.open, os.mkdir

    def deny(path):
        if isinstance(path, (str, os.PathLike)) and Path(path).absolute().is_relative_to(directory):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def open_(path, flags, *rest, **options):
        if flags & os.O_CREAT:
            deny(path)
        return true_open(path, flags, *rest, **options)

    def mkdir(path, *rest, **options):
        if Path(path).absolute() != directory:
            deny(path)
        return true_mkdir(path, *rest, **options)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "mkdir", mkdir)
    return place


@pytest.mark.parametrize(
    "action",
    [
        lambda: ask().to_json("closed/c.json"),
        lambda: ask().to_html("closed/c.html"),
        lambda: fit(checkpoint="closed"),
        lambda: fit(checkpoint="closed/deeper"),
        lambda: learnt.Population(net, 2, seed=0).save("closed/p"),
    ],
    ids=["json", "html", "checkpoint", "new directory", "population"],
)
def test_an_unwritable_directory(closed, action):
    refused(closed, action, StorageError, "closed.*: found no permission; .*Choose a directory that you may write to")


@pytest.mark.parametrize(
    "arguments",
    [
        TRAIN.replace("--out out", "--out closed"),
        TRAIN.replace("--out out", "--out closed/new"),
        "demo --data digits --students 1 --epochs 1 --limit 50 --quiet --out closed",
        ASK + " --html closed/c.html",
        ASK + " --json closed/c.json",
    ],
    ids=["train", "train in a new one", "demo", "html", "json"],
)
def test_an_unwritable_directory_by_command(closed, capsys, arguments):
    denied(closed, capsys, arguments, "found no permission")


@pytest.mark.parametrize(
    "arguments", [TRAIN.replace("--out out", "--out net.py"), "demo --data digits --out net.py --quiet"]
)
def test_a_file_where_a_directory_should_be(place, capsys, arguments):
    denied(place, capsys, arguments, "net.py: found a file where a directory should be")


# -- two runs in one directory -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        TRAIN,
        TRAIN.replace("teacher", "population"),
        "demo --data digits --students 1 --epochs 1 --limit 50 --out out --quiet",
    ],
    ids=["teacher", "population", "demo"],
)
def test_two_runs_in_one_directory_by_command(place, capsys, arguments):
    with run_lock(place / "out"):
        denied(
            place, capsys, arguments, f"out: found process {os.getpid()} at work in it; expected one run in a directory"
        )
    assert (place / "out" / "lock").read_bytes() == b""


def test_two_runs_in_one_directory(place):
    with run_lock(place / "ck"):
        refused(place, lambda: fit(checkpoint="ck"), BusyError, f"ck: found process {os.getpid()} at work in it")
    fit(checkpoint="ck")  # control: when the other is gone, it works
