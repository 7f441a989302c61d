"""A foreign `.pt` file to tensors, without its pickle ever running here: gate, child process, safetensors.

1. `learnt.io.gate` decides without torch whether the file is a plain zip of tensors.
2. `learnt.io.sandbox` reads it in a process of its own: Python in isolated mode, empty environment, empty temporary
   directory, no inherited files, one thread, limits on memory, processor, file size and processes.
3. What the child wrote is opened as any safetensors file; its answer is read as any untrusted JSON.

Nothing is cached: the promise is that no file is written but where the user said. Who loads a file often converts it
once: save_weights("x.safetensors", load_weights("x.pt")).
"""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess  # noqa: S404
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learnt.core.errors import InputError, StorageError, UntrustedFileError
from learnt.io.reading import printable
from learnt.io.sandbox import ANSWER, CAUGHT, RESULT
from learnt.io.sniff import unsafe

if TYPE_CHECKING:
    import torch

# Isolated mode forgets PYTHONPATH and the user's own packages, where this library and torch may live; so the child
# is told the directories of exactly the packages that the parent itself runs on, after its own.
_START = (
    "import sys; sys.path.extend(sys.argv[3:]); "
    "from learnt.io.sandbox import main; sys.exit(main(sys.argv[1], int(sys.argv[2])))"
)


def convert(path: Path, size: int) -> dict[str, torch.Tensor]:
    """The tensors of a `.pt` file of `size` bytes that has passed the gate.

    Raises:
        UntrustedFileError: the file is refused, or its reading needed more than its size explains.
        StorageError: no room for the converted copy in the temporary directory.
    """
    with tempfile.TemporaryDirectory(prefix="learnt-", ignore_cleanup_errors=True) as room:
        status = _run(path.resolve(), size, Path(room))
        answer = _answer(Path(room) / ANSWER)
        if "storage" in answer or status == -getattr(signal, "SIGXFSZ", 25):
            raise StorageError(
                tempfile.gettempdir(), found="no room for the converted copy", expected=f"about {size:,} free bytes",
                remedy="Free some space, or point TMPDIR at a larger disk.",
            )  # fmt: skip
        if status != 0:
            raise _failure(path, status, answer)
        tensors = _result(Path(room) / RESULT, path)
    _note(path, answer)
    return tensors


def _run(path: Path, size: int, room: Path) -> int:
    if os.name != "posix":
        raise InputError(
            str(path), found="a .pt file on a system without process limits", expected="a .safetensors file here",
            remedy="Convert it on Linux or macOS, or where you trust it.",
        )  # fmt: skip
    import safetensors
    import torch

    places = [str(Path(__file__).resolve().parents[2])]
    places += [str(Path(str(package.__file__)).resolve().parents[1]) for package in (torch, safetensors)]
    source = room / "source.pt"
    source.symlink_to(path)  # torch chooses its reader by the suffix too; here the content has chosen already
    command = [sys.executable, "-I", "-c", _START, str(source), str(size), *dict.fromkeys(places)]
    environment = {
        "PATH": os.defpath, "HOME": str(room), "TMPDIR": str(room), "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    child = subprocess.Popen(  # noqa: S603
        command, cwd=room, env=environment, close_fds=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return child.wait(timeout=120 + 5 * (size >> 30))
    except BaseException as error:
        os.killpg(child.pid, signal.SIGKILL)  # its own session: its group holds nothing but itself
        child.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return -signal.SIGXCPU
        raise


def _answer(path: Path) -> dict[str, Any]:
    from learnt.io.atomic import read_json

    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return {}
        answer = read_json(path, max_bytes=1 << 20)
    except (OSError, InputError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _failure(path: Path, status: int, answer: dict[str, Any]) -> UntrustedFileError:
    if status == CAUGHT:
        return unsafe(path, "a file that tried to start something when it was opened; it was stopped")
    if status == -signal.SIGXCPU or status == -signal.SIGKILL:
        return unsafe(path, "a file whose reading took more time or memory than its size explains; it was stopped")
    if status < 0:
        return unsafe(path, f"a file that crashed the separate process reading it (signal {-status})")
    found = answer.get("refused")
    if status == 3 and isinstance(found, str):
        return unsafe(path, found)
    return unsafe(path, f"a file on which the separate reading process ended without an answer (status {status})")


def _result(path: Path, source: Path) -> dict[str, torch.Tensor]:
    from learnt.io.weights import read_safetensors

    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise unsafe(source, "a file whose conversion did not give a regular file")
    except OSError as error:
        raise unsafe(source, "a file whose conversion gave nothing") from error
    return read_safetensors(path, shown=source)


def _note(path: Path, answer: dict[str, Any]) -> None:
    count, names = answer.get("count"), answer.get("ignored")
    if isinstance(count, int) and count > 0 and isinstance(names, list):
        shown = ", ".join(printable(name, 40) for name in names[:5])
        more = ", ..." if count > 5 else ""
        logging.getLogger(__name__).warning(
            "%s: left out %d entries that are not weights: %s%s", printable(path, 200), count, shown, more
        )
