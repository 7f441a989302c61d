"""learnt.load: every form of spec, and the error of every way to get it wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from learnt.adapters.open import load
from learnt.adapters.run import load_run, model_names, write_model
from learnt.adapters.state import fill
from learnt.core.errors import (
    InputError,
    LearntError,
    MissingExtra,
    NonFiniteError,
    ResumeError,
    ShapeError,
    StorageError,
)
from learnt.io.weights import load_weights, save_weights
from learnt.train.nets import mlp, small_cnn
from learnt.train.population import Population

ARGUMENTS = {"inputs": 4, "classes": 3, "widths": [5]}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    root = tmp_path / "run"
    root.mkdir()
    torch.manual_seed(0)
    write_model(root, "teacher", mlp(**ARGUMENTS), factory="mlp", arguments=ARGUMENTS)
    write_model(root, "students", Population(lambda: mlp(**ARGUMENTS), 3, seed=1), factory="mlp", arguments=ARGUMENTS)
    return root


X = torch.linspace(-1, 1, 8).reshape(2, 4)


def test_a_run_gives_back_the_very_models(tmp_path: Path) -> None:
    population = Population(lambda: small_cnn(1, 3, 2), 3, seed=1)
    arguments = {"channels": 1, "classes": 3, "width": 2}
    write_model(tmp_path, "students", population, factory="small_cnn", arguments=arguments)
    write_model(tmp_path, "first", population[0], factory="small_cnn", arguments=arguments)
    inputs = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    models = load(f"run:{tmp_path}#students")
    assert len(models) == 3
    for i, model in enumerate(models):
        assert not model.training
        assert torch.equal(model(inputs), population[i](inputs))
        assert torch.equal(load(f"run:{tmp_path}#students[{i}]")(inputs), population[i](inputs))
    assert torch.equal(load(f"run:{tmp_path}#first")(inputs), population[0](inputs))
    assert model_names(tmp_path) == ("first", "students")


def test_a_listed_replica_selects_its_row(run: Path) -> None:
    listed = json.loads((run / "models.json").read_text())
    listed["models"]["third"] = listed["models"]["students"] | {"replica": 2}
    (run / "models.json").unlink()
    (run / "manifest.json").write_text(json.dumps(listed))  # the list may also stand in the manifest
    assert torch.equal(load(f"run:{run}#third")(X), load(f"run:{run}#students[2]")(X))


def test_tensors_of_a_saved_population_are_understood(run: Path) -> None:
    stacked = load_weights(run / "students.safetensors")
    save_weights(run / "students.safetensors", {f"parameters.{k}": v for k, v in stacked.items()})
    assert torch.equal(
        load(f"run:{run}#students[1]")(X), fill(mlp(**ARGUMENTS), {k: v[1] for k, v in stacked.items()}, name="x")(X)
    )


def test_opening_a_run_leaves_the_random_state_alone(run: Path) -> None:
    before = torch.random.get_rng_state()
    load(f"run:{run}#students")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        ("run:{run}#techer", InputError, "Nearest names: teacher"),
        ("run:{run}#teacher[1]", InputError, "a single model"),
        ("run:{run}#students[3]", InputError, "from 0 to 2"),
        ("run:{run}", InputError, "It holds: students, teacher"),
        ("run:{run}s#teacher", StorageError, "Nearest names: run"),
        ("run:{run}/..#teacher", StorageError, "without a list of models"),
    ],
)
def test_a_wrong_run_spec_says_what_would_be_right(spec: str, error, text: str, run: Path) -> None:
    with pytest.raises(error) as caught:
        load(spec.format(run=run))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"factory": "os.system"}, InputError),
        ({"factory": ["mlp"]}, InputError),
        ({"arguments": {"inputs": 4, "classes": 3, "depth": 2}}, ResumeError),
        ({"arguments": {"inputs": "4", "classes": 3}}, ResumeError),
        ({"arguments": {"inputs": 4, "classes": 3, "widths": [5] * 2000}}, ResumeError),
        ({"arguments": {"inputs": 10**12, "classes": 10**6, "widths": [10**12]}}, LearntError),
        ({"arguments": {"inputs": 4, "classes": 3, "widths": [6]}}, ShapeError),
        ({"arguments": {"inputs": 4.5, "classes": 3, "widths": []}}, LearntError),
        ({"arguments": None}, ResumeError),
        ({"weights": "../run/students.safetensors"}, None),
        ({"weights": "/etc/passwd"}, ResumeError),
        ({"weights": "../x.safetensors"}, ResumeError),
        ({"weights": "none.safetensors"}, StorageError),
        ({"weights": 3}, ResumeError),
        ({"replica": "1"}, InputError),
        ({"replica": True}, InputError),
    ],
)
def test_a_hostile_list_of_models_can_only_fail(change: dict, error, run: Path) -> None:
    listed = json.loads((run / "models.json").read_text())
    listed["models"]["students"] |= change
    (run / "models.json").write_text(json.dumps(listed))
    if error is None:  # a detour that ends inside the directory is harmless
        assert len(load_run(run, "students")) == 3
        return
    with pytest.raises(error):
        load_run(run, "students")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 81, "é"])
def test_a_model_is_written_only_under_a_plain_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name"):
        write_model(tmp_path, name, mlp(**ARGUMENTS), factory="mlp", arguments=ARGUMENTS)
    assert list(tmp_path.iterdir()) == []


# -- FILE.py:factory --------------------------------------------------------------------------------------

CODE = """
import dataclasses
from torch import nn
from helper_beside_it import WIDTH

@dataclasses.dataclass
class Sizes:
    inputs: int = 4

def network(classes=3):
    return nn.Sequential(nn.Linear(Sizes().inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, classes))

def function():
    return lambda x: x[:, :2]

def broken():
    raise KeyError("missing thing")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper_beside_it.py").write_text("WIDTH = 5\n")
    path = tmp_path / "nets.py"
    path.write_text(CODE)
    yield path
    sys.modules.pop("helper_beside_it", None)


def test_a_users_file_is_filled_with_weights(file: Path) -> None:
    model = load(f"{file}:network")
    path = save_weights(file.parent / "x.safetensors", model.state_dict())
    before = list(sys.path)
    again = load(f"{file}:network", weights=path)
    assert torch.equal(model(X), again(X))
    assert not again.training
    assert sys.path == before
    assert load(f"{file}:network", classes=7)(X).shape == (2, 7)
    assert load(f"{file}:function")(X).shape == (2, 2)


def test_pt_weights_reach_a_users_file_through_the_sandbox(file: Path) -> None:
    model = load(f"{file}:network")
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, file.parent / "x.pt")
    assert torch.equal(model(X), load(f"{file}:network", weights=file.parent / "x.pt")(X))


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        ("{file}:netwrok", InputError, "Nearest names: network"),
        ("{file}:broken", InputError, "KeyError while broken() ran (line 17): 'missing thing'"),
        ("{folder}/nest.py:network", StorageError, "Nearest names: nets.py"),
        ("{folder}/bad.py:network", InputError, "SyntaxError while the file ran (line 2)"),
        ("{folder}/exits.py:network", InputError, "SystemExit while the file ran (line 1)"),
        ("{file}", InputError, "Which function makes the model?"),
        ("x.safetensors", InputError, "FILE.py:factory --weights"),
        ("{folder}", InputError, "run:"),
        ("tim:resnet18", InputError, "Did you mean timm:...?"),
        ("", InputError, "FILE.py:factory"),
        ("run:", InputError, "FILE.py:factory"),
    ],
)
def test_a_wrong_file_spec_says_what_would_be_right(spec: str, error, text: str, file: Path) -> None:
    (file.parent / "bad.py").write_text("x = 1\ndef (:\n")
    (file.parent / "exits.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(error) as caught:
        load(spec.format(file=file, folder=file.parent))
    assert text in str(caught.value)
    assert not any(name.startswith("learnt_user") and "bad" in str(m) for name, m in sys.modules.items())


def test_weights_need_a_module_and_a_run_needs_none(file: Path, run: Path) -> None:
    path = save_weights(file.parent / "x.safetensors", {"a": torch.ones(1)})
    with pytest.raises(InputError, match="returns a function"):
        load(f"{file}:function", weights=path)
    with pytest.raises(InputError, match="the run's own"):
        load(f"run:{run}#teacher", weights=path)
    with pytest.raises(InputError, match="from 2"):
        load(f"{file}:network", classes=1)


# -- strict weights -----------------------------------------------------------------------------------------


def test_missing_and_unexpected_names_are_named_with_their_shapes() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    state = model.state_dict()
    wrong = {k.replace("1.", "head."): v for k, v in state.items()}
    with pytest.raises(InputError) as caught:
        fill(model, wrong, name="x.safetensors")
    assert "no '1.weight' of shape (2, 3) (and 1 more)" in str(caught.value)
    assert "'head.weight' of shape (2, 3) (and 1 more), which the model does not have" in str(caught.value)
    with pytest.raises(ShapeError, match=r"'0.weight' of shape \(9, 2\); expected shape \(3, 2\)"):
        fill(model, state | {"0.weight": torch.zeros(9, 2)}, name="x")
    with pytest.raises(NonFiniteError, match=r"x\[0.bias\]: found 1 values"):
        fill(model, state | {"0.bias": torch.tensor([0.0, float("nan"), 0.0])}, name="x")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_the_prefix_of_a_wrapper_is_taken_off(prefix: str) -> None:
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    fill(other, {prefix + k: v for k, v in model.state_dict().items()}, name="x")
    assert torch.equal(model.weight, other.weight)


def test_a_name_that_the_model_itself_has_is_not_taken_for_a_prefix() -> None:
    model, other = nn.Module(), nn.Linear(2, 3)
    model.model = nn.Linear(2, 3)
    assert not torch.equal(model.model.weight, other.weight)
    fill(model, {f"model.{k}": v.clone() for k, v in other.state_dict().items()}, name="x")
    assert torch.equal(model.model.weight, other.weight) and torch.equal(model.model.bias, other.bias)


def test_counters_of_batch_norm_may_be_missing() -> None:
    model = nn.BatchNorm1d(2)
    state = {k: v for k, v in model.state_dict().items() if k != "num_batches_tracked"}
    assert fill(model, state, name="x") is model


@pytest.mark.parametrize(
    ("spec", "module", "extra"),
    [("timm:x", "timm", "vision"), ("torchvision:x", "torchvision", "vision"), ("hf:x", "transformers", "hf")],
)
def test_a_missing_extra_is_named_with_the_command(spec: str, module: str, extra: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'learnt\[{extra}\]'"):
        load(spec)
