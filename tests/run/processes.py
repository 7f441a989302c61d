"""Studies in processes of their own that start at once: a fork server has imported torch beforehand."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

from tests.run.work import draw, slow

from learnt.core.errors import LearntError
from learnt.run.study import Study

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["torch", "threadpoolctl", "rich.progress", "tests.run.processes"])


class Running:
    """A function in a process of its own, with what it prints in two files."""

    def __init__(self, function, scratch, *args):
        scratch.mkdir(exist_ok=True, parents=True)
        number = len(os.listdir(scratch))
        self._out, self._err = scratch / f"{number}.out", scratch / f"{number}.err"
        self._out.touch()
        self._err.touch()
        self._process = SERVER.Process(target=_redirected, args=(function, str(self._out), str(self._err), *args))
        self._process.start()
        self.pid = self._process.pid

    def wait_for(self, word, seconds=60.0):
        """Until it has printed `word`."""
        deadline = time.monotonic() + seconds
        while word not in self._out.read_text():
            assert self._process.is_alive(), self._err.read_text()
            assert time.monotonic() < deadline, f"no {word!r} within {seconds} s"
            time.sleep(0.002)

    def send(self, number):
        os.kill(self.pid, number)

    def finish(self, seconds=120.0):
        """Exit code, standard output and standard error."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, "still running"
        code = self._process.exitcode
        self._process.close()
        return code, self._out.read_text(), self._err.read_text()


def _redirected(function, out, err, *args):
    for path, descriptor in ((out, 1), (err, 2)):
        target = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(target, descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.exit(function(*args))


def study(directory, count, jobs, pause):
    """A study of `count` chunks of `pause` seconds each; exits as the command line would."""
    items = [{"seed": seed, "pause": pause} for seed in range(count)]
    try:
        opened = Study.open(directory, config={"count": count}, command="the resume command")
        print("begun", flush=True)
        opened.map(slow, items, keys=[str(i) for i in range(count)], jobs=jobs, quiet=True)
    except LearntError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    print("done", flush=True)
    return 0


def study_with_a_fault(directory, site, n):
    """A study of two chunks that kills itself at the n-th call of os.`site` (half-way through, for a write)."""
    import signal
    import warnings

    warnings.simplefilter("ignore", RuntimeWarning)
    true, calls = getattr(os, site), 0

    def wrapped(*args, **options):
        nonlocal calls
        calls += 1
        if calls == n:
            if site == "write":
                true(args[0], args[1][: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return true(*args, **options)

    setattr(os, site, wrapped)
    Study.open(Path(directory), config={}).map(draw, range(2), quiet=True)
    return 0
