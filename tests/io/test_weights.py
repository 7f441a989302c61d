"""What load_weights gives for honest files; the hostile ones are in tests/attacks."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from learnt.core.errors import InputError, StorageError, UntrustedFileError
from learnt.io import convert as convert_module
from learnt.io.sandbox import Refused, dense, flatten
from learnt.io.weights import load_weights, save_weights


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return list(sorted(a)) == list(sorted(b)) and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_weights_survive_safetensors_with_any_dtype(tmp_path: Path) -> None:
    tensors = {
        "a.weight": torch.randn(3, 2), "b": torch.zeros(2, dtype=torch.bfloat16), "c": torch.tensor(3),
        "d": torch.randn(2, 3).t(), "e": torch.zeros(0, 4), "f": torch.tensor([True]), "g": torch.ones(1, dtype=torch.float16),
    }  # fmt: skip
    path = save_weights(tmp_path / "x.safetensors", tensors, {"made": "here"})
    found = load_weights(path)
    assert same(found, tensors)
    assert all(value.is_contiguous() for value in found.values())


def test_loaded_tensors_do_not_depend_on_the_file_afterwards(tmp_path: Path) -> None:
    path = save_weights(tmp_path / "x.safetensors", {"a": torch.ones(1000)})
    found = load_weights(path)["a"]
    path.write_bytes(bytes(path.stat().st_size))
    assert found.sum() == 1000


def test_memory_is_bounded_by_the_file(tmp_path: Path) -> None:
    path = save_weights(tmp_path / "x.safetensors", {"a": torch.ones(160 << 18), "b": torch.ones(1)})
    script = (
        "import resource, torch\nfrom learnt.io.weights import load_weights, read_safetensors\nimport safetensors\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nbefore = peak()\n"
        f"load_weights({str(path)!r})\nprint((peak() - before) >> 10)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert int(done.stdout) < 1.2 * 160 + 40, done.stderr


def test_a_truth_value_of_two_becomes_true(tmp_path: Path) -> None:
    path = save_weights(tmp_path / "x.safetensors", {"a": torch.tensor([False, True, True])})
    path.write_bytes(path.read_bytes()[:-1] + b"\x02")
    found = load_weights(path)["a"]
    assert found.dtype == torch.bool
    assert found.to(torch.uint8).tolist() == [0, 1, 1]


def test_every_dtype_of_the_library_is_read(tmp_path: Path) -> None:
    from safetensors.torch import _TYPES, save_file

    from learnt.io.weights import _dtypes

    assert set(_TYPES) <= set(_dtypes())
    tensors = {name: torch.arange(4).to(torch.float32).to(dtype) for name, dtype in _TYPES.items()}
    save_file(tensors, tmp_path / "x.safetensors")
    found = load_weights(tmp_path / "x.safetensors")
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name].view(torch.uint8), tensor.view(torch.uint8))


def test_content_and_not_the_name_decides(tmp_path: Path) -> None:
    state = network().state_dict()
    save_weights(tmp_path / "x.safetensors", state).rename(tmp_path / "x.pt")
    assert same(load_weights(tmp_path / "x.pt"), state)
    torch.save(state, tmp_path / "y.safetensors")
    assert same(load_weights(tmp_path / "y.safetensors"), state)


def test_a_checkpoint_gives_its_state_dict_and_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = network()
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimiser.step()
    model[0].weight.note = "an attribute"  # pyright: ignore[reportAttributeAccessIssue,reportArgumentType]
    torch.save(
        {"epoch": 3, "state_dict": model.state_dict(), "optimiser": optimiser.state_dict(), "note\x1b": "x"},
        tmp_path / "x.ckpt",
    )
    with caplog.at_level(logging.WARNING):
        assert same(load_weights(tmp_path / "x.ckpt"), model.state_dict())
    assert "left out 3 entries that are not weights: epoch, optimiser, note\ufffd" in caplog.text


def test_the_child_sees_no_environment_and_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    true = subprocess.Popen

    def spy(command, **options):
        seen.update(options, command=command)
        return true(command, **options)

    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(convert_module.subprocess, "Popen", spy)
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt")
    load_weights(tmp_path / "x.pt")
    assert "-I" in seen["command"]
    assert seen["close_fds"] is True
    assert "SECRET" not in seen["env"]
    assert set(seen["env"]) <= {
        "PATH", "HOME", "TMPDIR", "LC_ALL", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"
    }  # fmt: skip
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_converter_works_where_only_pythonpath_knows_the_library(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt")
    script = (
        f"from learnt.io.weights import load_weights; print(load_weights({str(tmp_path / 'x.pt')!r})['a'].tolist())"
    )
    source = Path(convert_module.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "[1.0, 1.0]\n", done.stderr


@pytest.mark.parametrize(
    ("status", "answer", "text"),
    [
        (97, {}, "tried to start something"),
        (-9, {}, "more time or memory"),
        (-24, {}, "more time or memory"),
        (-11, {}, "crashed"),
        (1, {}, "without an answer"),
        (3, {"refused": "a tale\x1b[2J"}, "a tale"),
        (3, {"refused": 5}, "without an answer"),
        (0, {}, "gave nothing"),
    ],
)
def test_whatever_the_child_does_the_parent_refuses_calmly(
    status: int, answer: dict, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(path: Path, size: int, room: Path) -> int:
        (room / "answer.json").write_text(json.dumps(answer))
        return status

    monkeypatch.setattr(convert_module, "_run", run)
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt")
    with pytest.raises(UntrustedFileError) as caught:
        load_weights(tmp_path / "x.pt")
    assert text in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_result_that_is_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = save_weights(tmp_path / "secret.safetensors", {"a": torch.ones(1)})

    def run(path: Path, size: int, room: Path) -> int:
        (room / "weights.safetensors").symlink_to(secret)
        return 0

    monkeypatch.setattr(convert_module, "_run", run)
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt")
    with pytest.raises(UntrustedFileError, match="regular file"):
        load_weights(tmp_path / "x.pt")


def test_no_room_for_the_copy_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(path: Path, size: int, room: Path) -> int:
        (room / "answer.json").write_text('{"storage": 28}')
        return 2

    monkeypatch.setattr(convert_module, "_run", run)
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt")
    with pytest.raises(StorageError, match="free bytes"):
        load_weights(tmp_path / "x.pt")


def test_a_missing_file_and_a_bound_are_reported(tmp_path: Path) -> None:
    path = save_weights(tmp_path / "weights.safetensors", {"a": torch.ones(100)})
    with pytest.raises(StorageError, match=r"Nearest names: weights\.safetensors"):
        load_weights(tmp_path / "weigths.safetensors")
    with pytest.raises(UntrustedFileError, match="at most 100"):
        load_weights(path, max_bytes=100)


def test_only_safetensors_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.safetensors"):
        save_weights(tmp_path / "x.pt", {"a": torch.ones(1)})
    with pytest.raises(InputError, match="no tensors"):
        save_weights(tmp_path / "x.safetensors", {})


# -- the two functions of the sandbox, in this process ----------------------------------------------------

ONE, TWO = torch.ones(2), torch.zeros(3)


@pytest.mark.parametrize(
    ("loaded", "names", "ignored"),
    [
        ({"a": ONE}, ["a"], []),
        (OrderedDict(a=ONE, n=3), ["a"], ["n"]),
        ({"state_dict": {"a": ONE}, "epoch": 1}, ["a"], ["epoch"]),
        ({"model": {"a": ONE}, "state_dict": {"b": ONE}}, ["b"], ["model"]),
        ({"model": {"a": ONE}, "loose": TWO}, ["model.a", "loose"], []),
        ({"generator": {"a": ONE}, "critic": {"a": TWO}}, ["generator.a", "critic.a"], []),
        ({"layers": [ONE, {"b": TWO}], 3: ONE}, ["layers.0", "layers.1.b", "3"], []),
        (ONE, ["tensor"], []),
        ({"state_dict": 3, "a": ONE}, ["a"], ["state_dict"]),
    ],
)
def test_checkpoints_flatten_as_documented(loaded, names: list[str], ignored: list[str]) -> None:
    tensors, left_out = flatten(loaded)
    assert (list(tensors), left_out) == (names, ignored)


def test_dense_copies_what_is_shared_and_keeps_the_numbers() -> None:
    base = torch.arange(6.0)
    tensors = {"a": base, "b": base, "c": base[2:4], "d": base.view(2, 3).t(), "p": nn.Parameter(base)}
    out = dense(tensors, 1 << 10)
    assert len({value.untyped_storage().data_ptr() for value in out.values()}) == len(out)
    assert same(out, {name: value.detach() for name, value in tensors.items()})


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(1).expand(5), torch.eye(2).to_sparse(), torch.ones(2, device="meta"),
        torch.ones(2, dtype=torch.complex128),
        torch.ones(2, dtype=torch.complex64).conj(), torch.zeros(20 << 20, dtype=torch.uint8),
    ],
    ids=["expanded", "sparse", "meta", "complex", "conjugated", "too_large"],
)  # fmt: skip
def test_dense_refuses_what_its_storage_does_not_cover(tensor: torch.Tensor) -> None:
    with pytest.raises(Refused):
        dense({"w": tensor}, 1 << 10)
