"""Import audit and names (T6, T7): opening hostile files imports nothing, starts nothing, and writes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from learnt.core.errors import LearntError, UntrustedFileError
from learnt.io.arrays import read_npy, read_npz
from learnt.io.weights import load_weights, save_weights
from learnt.testing.malicious import hostile_arrays
from learnt.testing.names import hostile_names

ARRAYS = list(hostile_arrays())

_AUDIT = """
import json, sys, pathlib
import torch
from safetensors.torch import save
from learnt.core.errors import UntrustedFileError
from learnt.io import gate, convert
from learnt.io.arrays import read_npy, read_npz
from learnt.io.weights import load_weights
from learnt.testing.malicious import hostile_arrays, hostile_weights, mutated

folder = pathlib.Path(sys.argv[1])
honest = save({"w": torch.zeros(3)})
files = []
for case in hostile_weights(folder / "canary"):
    if case.stops != "sandbox":
        files.append((load_weights, folder / f"{case.name}{case.suffix}", case.make()))
for case in hostile_arrays():
    files.append((read_npy if case.suffix == ".npy" else read_npz, folder / f"{case.name}{case.suffix}", case.make()))
for i, data in enumerate(mutated(honest, 320, 5)):
    files.append((load_weights, folder / f"m{i}.safetensors", data))
for _, path, data in files:
    path.write_bytes(data)
(folder / "honest.safetensors").write_bytes(honest)
load_weights(folder / "honest.safetensors")
for load, path, _ in files[::7]:  # what is imported lazily, once, is ours: warm up on a sample
    try:
        load(path)
    except UntrustedFileError:
        pass

seen, on = [], False
def hook(event, arguments):
    if not on:
        return
    if event == "open":
        path, _, flags = arguments
        ours = isinstance(path, int) or str(path).startswith(str(folder))  # a number: what os.open just opened
        if ours and not flags & (1 | 2 | 64 | 512 | 1024):
            return
    elif not event.startswith((
        "import", "exec", "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn",
        "ctypes.dlopen", "pickle.", "marshal.", "os.remove", "os.rename", "os.mkdir", "tempfile.", "shutil.", "urllib.",
    )):
        return
    seen.append([event, repr(arguments)[:200]])
sys.addaudithook(hook)
opened, refused = 0, 0
on = True
for load, path, _ in files:
    try:
        load(path)
        opened += 1
    except UntrustedFileError:
        refused += 1
on = False
import pickle
on = True
pickle.loads(pickle.dumps(pathlib.PurePosixPath("x")))
on = False
print(json.dumps([opened, refused, seen]))
"""


def test_hostile_files_import_nothing_and_start_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _AUDIT, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    opened, refused, seen = json.loads(done.stdout)
    assert opened + refused >= 500
    assert refused > 400
    control, events = seen[-1], [event for event in seen if event[0] != "pickle.find_class"]
    assert control[0] == "pickle.find_class"  # the hook does see an unpickler at work
    assert events == []
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("case", ARRAYS, ids=lambda case: f"{case.name}{case.suffix}")
def test_a_hostile_array_is_refused(case, tmp_path: Path) -> None:
    path = tmp_path / f"file{case.suffix}"
    path.write_bytes(case.make())
    with pytest.raises(UntrustedFileError) as caught:
        (read_npy if case.suffix == ".npy" else read_npz)(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("number", range(len(hostile_names())))
def test_a_name_never_becomes_a_path(number: int, tmp_path: Path) -> None:
    name, root = hostile_names()[number], tmp_path / "outer" / "root"
    root.mkdir(parents=True)
    path = root / "weights.safetensors"
    try:
        save_weights(path, {name: torch.ones(2)})
        assert load_weights(path)[name].tolist() == [1, 1]  # the true label comes back
    except LearntError:
        assert not path.exists()
    assert [p for p in (tmp_path).rglob("*") if p.is_file() and p != path] == []


@pytest.mark.parametrize("number", range(0, len(hostile_names()), 3))
def test_a_run_directory_never_leaves_its_own_folder(number: int, tmp_path: Path) -> None:
    from learnt.adapters.run import load_run, write_model
    from learnt.train.nets import mlp

    name, root = hostile_names()[number], tmp_path / "outer" / "root"
    root.mkdir(parents=True)
    arguments = {"inputs": 2, "classes": 2, "widths": []}
    try:
        write_model(root, name, mlp(**arguments), factory="mlp", arguments=arguments)
    except LearntError:
        pass
    assert all(p.is_relative_to(root) for p in tmp_path.rglob("*") if p.is_file())
    outside = save_weights(tmp_path / "outer" / "x.safetensors", mlp(**arguments).state_dict())
    entry = {"factory": "mlp", "arguments": arguments, "weights": "../x.safetensors", "replica": None}
    (root / "models.json").write_text(json.dumps({"models": {"m": entry, "n": entry | {"weights": name}}}))
    for model in ("m", "n"):
        with pytest.raises(LearntError):
            load_run(root, model)
    assert outside.exists()


def test_a_symbolic_link_out_of_a_run_directory_is_refused(tmp_path: Path) -> None:
    from learnt.adapters.run import load_run
    from learnt.core.errors import ResumeError
    from learnt.train.nets import mlp

    root, arguments = tmp_path / "root", {"inputs": 2, "classes": 2, "widths": []}
    root.mkdir()
    outside = save_weights(tmp_path / "x.safetensors", mlp(**arguments).state_dict())
    (root / "link.safetensors").symlink_to(outside)
    entry = {"factory": "mlp", "arguments": arguments, "weights": "link.safetensors", "replica": None}
    (root / "models.json").write_text(json.dumps({"models": {"m": entry}}))
    with pytest.raises(ResumeError, match="inside the run directory"):
        load_run(root, "m")
