"""Weights in and out: a dictionary of tensors from a file that cannot run code.

A file is known by its first bytes, never by its name. safetensors is read directly: a length, a JSON table of
contents, then plain numbers, which the safetensors library checks to tile the file exactly. The zip that `torch.save`
writes goes through `learnt.io.gate` and `learnt.io.convert`. Everything else is refused with the safe route.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from learnt.core.errors import InputError, UntrustedFileError
from learnt.io.reading import open_regular, printable
from learnt.io.sniff import HEAD, Refusal, refused, sniff, unsafe

if TYPE_CHECKING:
    import torch

MAX_HEADER = 10_000_000  # bytes; room for the names of 100,000 tensors
_DAMAGED = "The file is damaged or cut short; fetch it again."
_FAILURES = (
    OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError, OverflowError,
    MemoryError,
)  # fmt: skip


def load_weights(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> dict[str, torch.Tensor]:
    """Read tensors by name from safetensors, or from a `.pt`/`.pth`/`.bin` that `torch.save` wrote as a zip.

    A `.pt` file is read in a separate process (about two seconds). A checkpoint {"state_dict": {...}, "epoch": 3}
    gives the tensors of its "state_dict" (or "model_state_dict", "model", "module"); nested dictionaries are joined
    with dots; what is not a tensor is left out and logged.

    Args:
        path: the file.
        max_bytes: refuse larger files.

    Returns:
        Tensors on the CPU, each with memory of its own.

    Raises:
        StorageError: missing or unreadable.
        UntrustedFileError: a pickle, an archive, a program, a damaged file, or one that lies about its size.
    """
    where = Path(path)
    with open_regular(where) as (file, size):
        if max_bytes is not None and size > max_bytes:
            raise UntrustedFileError(
                printable(where, 300), found=f"{size:,} bytes", expected=f"at most {max_bytes:,}",
                remedy="If you trust the file, raise max_bytes.",
            )  # fmt: skip
        kind = sniff(file.read(HEAD), size, where)
        if isinstance(kind, Refusal):
            raise refused(where, kind)
        if kind == "zip":
            from learnt.io.gate import check_archive

            check_archive(file, size, where)
    if kind == "safetensors":
        return read_safetensors(where)
    from learnt.io.convert import convert

    return convert(where, size)


def read_safetensors(path: Path, *, shown: Path | None = None) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file; `shown` is the name that errors use.

    The library checks the header (known types, sizes that tile the file exactly). The numbers are then read into
    memory of their own, because the library would map the file: a tensor that changes, or a process that dies, when
    the file changes, and twice the memory for a copy.
    """
    from safetensors import SafetensorError, safe_open

    shown = shown or path
    with open_regular(path) as (file, size):
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_HEADER, max(size - 8, 0)):
            raise unsafe(shown, f"a safetensors header of {length:,} bytes in a file of {size:,}", remedy=_DAMAGED)
        try:
            with safe_open(str(path), framework="pt", device="cpu") as checked:
                names = list(checked.keys())
            table = json.loads(file.read(length))
            return {name: _read_tensor(file, 8 + length, table[name]) for name in names}
        except SafetensorError as error:
            raise unsafe(shown, f"a safetensors file that breaks its own rules ({error})", remedy=_DAMAGED) from error
        except _FAILURES as error:
            raise unsafe(shown, "a safetensors file that cannot be read", remedy=_DAMAGED) from error


def _read_tensor(file: BinaryIO, start: int, entry: dict[str, Any]) -> torch.Tensor:
    """One tensor of the checked table; its size is verified again, because the file may have changed meanwhile."""
    import torch

    dtype, shape, (begin, end) = _dtypes()[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError("a size that does not fit its shape")
    raw = torch.empty(end - begin, dtype=torch.uint8)
    view, filled = memoryview(raw.numpy()), 0  # pyright: ignore[reportArgumentType]
    file.seek(start + begin)
    while filled < len(view):
        got = file.readinto(view[filled : filled + (1 << 26)])  # pyright: ignore[reportAttributeAccessIssue]
        if not got:
            raise EOFError
        filled += got
    if dtype == torch.bool:
        return (raw != 0).reshape(shape)  # a byte other than 0 and 1 is not a truth value that torch can compute with
    return raw.view(dtype).reshape(shape)


def _dtypes() -> dict[str, torch.dtype]:
    import torch

    names = {
        "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "C64": "complex64",
        "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "BOOL": "bool",
        "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
        "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
        "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    }  # fmt: skip
    return {name: getattr(torch, dtype) for name, dtype in names.items()}


def save_weights(
    path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write tensors by name as safetensors, atomically.

    Args:
        path: the file; its suffix must be .safetensors, so that no reader takes it for something else.
        tensors: dense tensors; shared memory is written once for each name.
        metadata: text by name.

    Raises:
        InputError: another suffix, no tensors, or a tensor that the format cannot hold.
        StorageError: it cannot be written.
    """
    from learnt.io.atomic import write_tensors

    if Path(path).suffix != ".safetensors":
        raise InputError("path", found=printable(path, 200), expected="a name that ends in .safetensors")
    if not tensors:
        raise InputError("tensors", found="no tensors", expected="at least one")
    return write_tensors(path, dict(tensors), dict(metadata or {}))
