"""Hostile weights: every one is refused, nothing runs, nothing grows (T1, T2, T5 of the promises)."""

from __future__ import annotations

import io
import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from learnt.core.errors import UntrustedFileError
from learnt.io.opcodes import check_pickle
from learnt.io.weights import load_weights, read_safetensors
from learnt.testing._assemble import torch_archive
from learnt.testing.malicious import HONEST, Hostile, calling, hostile_weights, mutated, touch

GOLDEN = Path(__file__).parents[1] / "golden" / "refusals.json"
CANARY = Path("/tmp/learnt-canary-that-must-not-exist")
CASES = list(hostile_weights(CANARY))
FIRST = [case for case in CASES if case.stops != "sandbox"]
LATER = [case for case in CASES if case.stops == "sandbox"]


def refusal(case: Hostile, folder: Path) -> UntrustedFileError:
    path = folder / f"file{case.suffix}"
    path.write_bytes(case.make())
    with pytest.raises(UntrustedFileError) as caught:
        load_weights(path)
    return caught.value


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.name)
def test_a_hostile_file_is_refused_before_any_process_starts(
    case: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError(f"{case.name} reached the sandbox")

    monkeypatch.setattr("learnt.io.convert.convert", never)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    error = refusal(case, tmp_path)
    assert not CANARY.exists()
    assert error.exit_code == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
    assert time.process_time() - start < 10
    assert "weights_only" not in str(error)
    assert "safetensors" in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize("case", LATER, ids=lambda case: case.name)
def test_a_hostile_tensor_is_stopped_in_the_sandbox(case: Hostile, tmp_path: Path, sandboxed) -> None:
    from learnt.io.gate import check_archive

    path, room = tmp_path / f"file{case.suffix}", tmp_path / "room"
    path.write_bytes(case.make())
    room.mkdir()
    with path.open("rb") as file:
        check_archive(file, path.stat().st_size, path)  # it passes the gate: only the sandbox is left
    status, peak, answer = sandboxed(path, room)
    assert (status, set(answer)) == (3, {"refused"}), answer
    assert not (room / "weights.safetensors").exists()
    assert peak < 600
    assert "weights_only" not in answer["refused"]


def test_an_honest_file_passes_the_same_sandbox(tmp_path: Path, sandboxed) -> None:
    path, room = tmp_path / "file.pt", tmp_path / "room"
    path.write_bytes(torch_archive(HONEST, {"0": torch.arange(4.0).numpy().tobytes()}))
    room.mkdir()
    status, _, answer = sandboxed(path, room)
    assert status == 0
    assert answer == {"ignored": [], "count": 0}
    assert read_safetensors(room / "weights.safetensors")["weight"].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in_a_zip"])
def test_a_real_malicious_pickle_has_no_side_effect(wrapped: bool, tmp_path: Path) -> None:
    import pickle

    class Payload:
        def __reduce__(self):
            import os

            return os.system, (touch(tmp_path / "canary"),)

    path = tmp_path / "model.pt"
    if wrapped:
        torch.save({"weight": torch.zeros(2), "extra": Payload()}, path)
    else:
        path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(UntrustedFileError, match="system" if wrapped else "can run any code"):
        load_weights(path)
    assert not (tmp_path / "canary").exists()
    # the control: the same file does run its code for a reader that unpickles
    if not wrapped:
        pickle.loads(path.read_bytes())
        assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("module", ["os", "posix", "subprocess", "builtins"])
def test_the_sandbox_alone_refuses_code_even_without_the_gate(module: str, tmp_path: Path, sandboxed) -> None:
    attribute = {"os": "system", "posix": "system", "subprocess": "getoutput", "builtins": "eval"}[module]
    path, room, canary = tmp_path / "file.pt", tmp_path / "room", tmp_path / "canary"
    path.write_bytes(torch_archive(calling(module, attribute, touch(canary))))
    room.mkdir()
    status, _, answer = sandboxed(path, room)
    assert status == 3
    assert "restricted reader" in answer["refused"]
    assert not canary.exists()


@pytest.mark.parametrize(
    "act",
    [
        "import os; os.system('true')",
        "import subprocess; subprocess.Popen(['true'])",
        "import socket; socket.socket()",
        "import os; os.fork()",
        "open('/tmp/learnt-outside', 'w')",
        "open('../outside', 'w')",
        "import os; os.remove('inside')",
        "import ctypes; ctypes.CDLL(None)",
        "import antigravity",
        "import os; os.kill(os.getppid(), 0)",
    ],
)
def test_the_watch_ends_a_process_that_reaches_out(act: str, tmp_path: Path) -> None:
    (tmp_path / "inside").write_text("x")
    code = "import os, sys, socket, subprocess, ctypes\nfrom learnt.io.sandbox import _watch\n"
    script = (
        f"{code}open('mine', 'w').close()\n_watch(os.getcwd())\nopen('mine2', 'w').close()\n{act}\nprint('escaped')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (97, ""), done.stderr
    assert (tmp_path / "mine2").exists()
    assert (tmp_path / "inside").exists()


def test_the_sandbox_has_limits(tmp_path: Path) -> None:
    script = (
        "import resource as r, torch\nfrom learnt.io.sandbox import _limit\n_limit(1000)\n"
        "print([r.getrlimit(k)[1] for k in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_NPROC, r.RLIMIT_CORE)])\n"
        "try:\n    torch.empty(3 << 30, dtype=torch.float64)\nexcept RuntimeError:\n    print('no memory')\n"
        "try:\n    open('big', 'wb').write(bytes(17 << 20))\nexcept OSError:\n    print('no file')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    limits, *rest = done.stdout.splitlines()
    memory, cpu, size, processes, core = json.loads(limits)
    assert 4 << 30 <= memory <= 6 << 30
    assert cpu == 120
    assert size == 3000 + (16 << 20)
    assert processes == core == 0
    assert rest == ["no memory", "no file"], done.stderr


def test_ten_thousand_damaged_safetensors_are_tensors_or_refused(tmp_path: Path) -> None:
    honest = save({"a.weight": torch.randn(4, 3), "b": torch.zeros(2, dtype=torch.int64), "empty": torch.zeros(0)})
    seed = random.SystemRandom().randrange(1 << 32)
    path, valid = tmp_path / "x.safetensors", 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in mutated(honest, 10_000, seed):
        path.unlink(missing_ok=True)  # a new file: rewriting an old one makes some file systems flush it
        path.write_bytes(data)
        try:
            tensors = load_weights(path)
        except UntrustedFileError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {data!r}") from error
        valid += 1
        assert all(isinstance(value, torch.Tensor) for value in tensors.values()), seed
    assert 0 < valid < 9000, seed  # the damage is neither always fatal nor never
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize(
    "header",
    [
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        '{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,8]}}',
        '{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}',
        '{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}',
        '{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}',
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}',
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        '{"a":' * 5000 + "1" + "}" * 5000,
        "[" * 50_000,
        '{"a":null}',
        "{}",
    ],
)
def test_a_safetensors_header_that_lies_is_refused(header: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    raw = header.encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(8))
    if header.count('"a":{') == 2:  # the library reads a name given twice with one meaning as one tensor
        assert list(load_weights(path)) == ["a"]
        return
    with pytest.raises(UntrustedFileError):
        load_weights(path)


def test_a_huge_header_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes((60_000_000).to_bytes(8, "little") + b"{" + bytes(60_000_010))
    start = time.process_time()
    with pytest.raises(UntrustedFileError, match="header of 60,000,000 bytes"):
        load_weights(path)
    assert time.process_time() - start < 0.5


def test_damaged_pickles_are_only_ever_refused() -> None:
    accepted = 0
    for data in mutated(HONEST, 20_000, seed=7):
        try:
            check_pickle(data, Path("x.pt"))
            accepted += 1
        except UntrustedFileError:
            pass
    assert accepted < 20_000


def test_damaged_archives_never_escape_the_sandbox(tmp_path: Path, sandboxed) -> None:
    """What survives the gate after damage either loads or is refused inside; no crash, no third way."""
    from learnt.io.gate import check_archive

    buffer = io.BytesIO()
    torch.save({"weight": torch.randn(3, 2), "n": torch.zeros((), dtype=torch.int64), "s": "text"}, buffer)
    honest, path, survivors = buffer.getvalue(), tmp_path / "x.pt", 0
    for i, data in enumerate(mutated(honest, 3000, seed=11)):
        try:
            check_archive(io.BytesIO(data), len(data), path)
        except UntrustedFileError:
            continue
        survivors += 1
        if survivors > 60:
            continue
        room = tmp_path / f"room{i}"
        room.mkdir()
        path.write_bytes(data)
        status, peak, answer = sandboxed(path, room)
        assert (status, set(answer)) in ((0, {"ignored", "count"}), (3, {"refused"})), (i, status, answer)
        assert peak < 600
        if status == 0:
            read_safetensors(room / "weights.safetensors")
    assert survivors > 20


def test_the_text_of_every_refusal_is_the_reviewed_one(tmp_path: Path) -> None:
    texts = {case.name: str(refusal(case, tmp_path)).replace(str(tmp_path), "DIR") for case in FIRST}
    assert texts == json.loads(GOLDEN.read_text())
