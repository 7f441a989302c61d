"""The child process that reads a foreign `.pt` file, and the only place that calls torch's unpickler.

Run by `learnt.io.convert` in an empty directory with an empty environment. After its imports it gives up what it does
not need: more memory than 3 x the file + 4 GB, more than 120 s of processor, new processes and threads, files beyond
a size, core dumps. An audit hook ends the process at once if anything tries to start a program, open a connection,
load a library, import a module, or write outside the directory. Then the file is loaded with torch's restricted
unpickler, mapped and not copied; each tensor must be dense, on the CPU and covered by its storage; and the tensors are
written as safetensors, which the parent opens. The parent takes nothing else from here but a short JSON answer, and
trusts neither.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

RESULT = "weights.safetensors"
ANSWER = "answer.json"
MAX_TENSORS = 50_000
MAX_DEPTH = 32
MAX_VALUES = 1_000_000
WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.fork", "os.forkpty", "subprocess.Popen",
    "pty.spawn", "socket.", "ctypes.", "import", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown",
    "os.link", "os.symlink", "os.truncate", "os.putenv", "shutil.", "urllib.", "ftplib.", "smtplib.", "webbrowser.",
    "os.kill",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CAUGHT = 97
_TOO_MUCH = "tensors that need more memory than the size of the file explains"


class Refused(Exception):
    """The file is not a dictionary of dense tensors; the text is shown to the user."""


def main(source: str, size: int) -> int:
    """Read `source` (of `size` bytes) and write `RESULT` and `ANSWER` into the current directory."""
    import safetensors.torch
    import torch

    torch.set_num_threads(1)
    _rehearse(torch)
    _limit(size)
    _watch(os.getcwd())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(source, weights_only=True, mmap=True, map_location="cpu")
        tensors, ignored = flatten(loaded)
        safetensors.torch.save_file(dense(tensors, size), RESULT)
    except Refused as refusal:
        answer: dict[str, Any] = {"refused": str(refusal)}
    except OSError as error:
        answer = {"storage": error.errno or 0}
    except Exception as error:  # torch's own words stay here: some advise the reader to switch the protection off
        memory = isinstance(error, MemoryError) or "allocate" in str(error)
        answer = {"refused": _TOO_MUCH if memory else "a pickle that torch's restricted reader does not accept"}
    else:
        answer = {"ignored": ignored[:20], "count": len(ignored)}
    with open(ANSWER, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    return 3 if "refused" in answer else 2 if "storage" in answer else 0


def _rehearse(torch: Any) -> None:
    """Load and save a tiny file of our own, so that whatever torch imports lazily is imported before the watch."""
    import safetensors.torch

    tiny = {"weight": torch.nn.Parameter(torch.zeros(2)), "half": torch.zeros(1, dtype=torch.bfloat16)}
    torch.save({"state_dict": tiny}, "rehearsal.pt")
    back = torch.load("rehearsal.pt", weights_only=True, mmap=True, map_location="cpu")
    safetensors.torch.save_file(dense(flatten(back)[0], 1 << 20), "rehearsal.safetensors")
    try:
        torch.load("rehearsal.safetensors", weights_only=True, map_location="cpu")
    except Exception:  # the failing path imports things of its own
        os.unlink("rehearsal.safetensors")
    os.unlink("rehearsal.pt")


def _limit(size: int) -> None:
    import resource

    used = 0
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # what the imports already mapped
            used = int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        used = 16 << 30
    limits = {
        "RLIMIT_AS": max(used + (1 << 30), 4 << 30) + 3 * size,
        "RLIMIT_CPU": 120 + 5 * (size >> 30),
        "RLIMIT_FSIZE": 3 * size + (16 << 20),
        "RLIMIT_NPROC": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 64,
    }
    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            if name in ("RLIMIT_CPU", "RLIMIT_FSIZE"):  # every system knows these two; the others may be missing
                raise


def _watch(room: str) -> None:
    """End the process when anything but reading, and writing in `room`, is attempted."""

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                where = os.path.realpath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""
                if os.path.dirname(where) != os.path.realpath(room):
                    os._exit(CAUGHT)
        elif event.startswith(FORBIDDEN):
            os._exit(CAUGHT)

    sys.addaudithook(look)


def flatten(loaded: Any) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Tensors by dotted name, and the names of what is not a tensor (left out).

    A dictionary without tensors of its own that has the entry "state_dict", "model_state_dict", "model" or "module"
    (a dictionary) is a checkpoint: only that entry is taken. Otherwise nested dictionaries and lists are joined with
    dots: {"encoder": {"weight": t}} gives "encoder.weight". A bare tensor gives "tensor".
    """
    import torch

    tensors: dict[str, torch.Tensor] = {}
    ignored: list[str] = []
    if isinstance(loaded, dict) and not any(isinstance(value, torch.Tensor) for value in loaded.values()):
        chosen = next((key for key in WRAPPERS if isinstance(loaded.get(key), dict)), None)
        if chosen is not None:
            ignored = [str(key)[:200] for key in loaded if key != chosen]
            loaded = loaded[chosen]
    visited = 0
    pending: list[tuple[str, Any, int]] = [("", loaded, 0)]
    while pending:
        name, value, depth = pending.pop()
        visited += 1
        if visited > MAX_VALUES or len(tensors) > MAX_TENSORS or depth > MAX_DEPTH:
            raise Refused("a dictionary that nests too deeply or holds itself")
        if isinstance(value, torch.Tensor):
            name = name or "tensor"
            if name in tensors:
                raise Refused(f"two tensors of the name {name[:80]!r}")
            tensors[name] = value
        elif isinstance(value, (dict, list, tuple)) and not isinstance(value, torch.Size):
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            inner = [(_joined(name, key), part, depth + 1) for key, part in parts]
            pending.extend(reversed(inner))
        else:
            ignored.append(name[:200] or type(value).__name__)
    if not tensors:
        raise Refused("a file without any tensor")
    return tensors, ignored


def _joined(prefix: str, key: Any) -> str:
    if not isinstance(key, (str, int)):
        raise Refused(f"a dictionary whose keys are of type {type(key).__name__}")
    name = f"{prefix}.{key}" if prefix else str(key)
    if len(name) > 1000:
        raise Refused("a tensor with a name of more than 1,000 characters")
    return name


def dense(tensors: dict[str, torch.Tensor], size: int) -> dict[str, torch.Tensor]:
    """The tensors contiguous and without shared memory, after each has proved that its storage covers it."""
    import torch

    total = 0
    for name, tensor in tensors.items():
        what = f"the tensor {name[:80]!r}"
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise Refused(f"{what} of the class {type(tensor).__name__}")
        if tensor.is_quantized or tensor.layout is not torch.strided or tensor.is_nested:
            raise Refused(f"{what}, which is sparse, quantised or nested")
        if tensor.device.type != "cpu":
            raise Refused(f"{what}, which holds no data (device {tensor.device.type})")
        if tensor.dtype == torch.complex128 or tensor.dtype == torch.complex32:
            raise Refused(f"{what} of dtype {tensor.dtype}, which safetensors cannot hold")
        if tensor.is_conj() or tensor.is_neg():
            raise Refused(f"{what}, a view that is conjugated or negated")
        need, held = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
        span = 1 + sum((k - 1) * s for k, s in zip(tensor.shape, tensor.stride(), strict=True))
        last = (tensor.storage_offset() + span) * tensor.element_size()
        if tensor.numel() and (need > held or last > held):
            raise Refused(f"{what} of {need:,} bytes on a storage of {held:,}")
        total += need
        if total > 2 * size + (16 << 20):
            raise Refused(f"tensors that add up to {total:,} bytes in a file of {size:,}")
    seen: set[int] = set()
    out = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        plain = tensor.detach().contiguous()
        out[name] = plain.clone() if place in seen and plain.numel() else plain
        seen.add(place)
    return out


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
