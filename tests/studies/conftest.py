"""The command line as a function and as a real process, and what lies in a directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from learnt.cli.main import run


@pytest.fixture
def learnt(capsys):
    """Run a command line in this process: (exit code, standard output, standard error)."""

    def call(*arguments):
        code = run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def launch():
    """Start a real `learnt` process without a terminal; whatever still runs at the end of the test is killed."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", "from learnt.cli.main import main; main()", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def listing():
    """Every path under a directory with the bytes of its files, temporary ones and hidden ones included."""

    def look(directory):
        root = Path(directory)
        return {
            str(p.relative_to(root)): p.read_bytes() if p.is_file() else b"" for p in sorted(root.rglob("*"))
        }  # fmt: skip

    return look
