"""A sandbox for many files: one process imports torch once and forks a child for each file.

The child runs the very `learnt.io.sandbox.main` that a user's file meets (limits, audit hook, restricted reader); only
the second of importing torch is saved. A few files also go the whole way through `load_weights`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_SERVER = """
import json, os, sys
import torch, safetensors.torch, safetensors.numpy
torch.set_num_threads(1)
from learnt.io import sandbox
for line in sys.stdin:
    path, size, room = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(room)
        null = os.open(os.devnull, os.O_RDWR)
        out = os.dup2(null, 1), os.dup2(null, 2)
        os._exit(sandbox.main(path, size))
    _, status, used = os.wait4(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss // 1024, used.ru_utime]), flush=True)
"""


@pytest.fixture(scope="session")
def sandboxed() -> Iterator[Callable[[Path, Path], tuple[int, int, dict[str, Any]]]]:
    """A function from (file, empty directory) to (exit status, peak MB, the answer that was written)."""
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(path: Path, room: Path) -> tuple[int, int, dict[str, Any]]:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps([str(path), path.stat().st_size, str(room)]) + "\n")
        server.stdin.flush()
        status, peak, _ = json.loads(server.stdout.readline())
        answer = room / "answer.json"
        return status, peak, json.loads(answer.read_text()) if answer.exists() else {}

    yield run
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.close()
    server.stdout.close()
    server.wait(timeout=30)
