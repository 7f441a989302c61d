"""Weights in and out: a dictionary of tensors from a file that cannot run code.

A file is known by its first bytes, never by its name. safetensors is read directly: a length, a JSON table of
contents, then plain numbers, which the safetensors library checks to tile the file exactly. The zip that `torch.save`
writes goes through `learnt.io.gate` and `learnt.io.convert`. Everything else is refused with the safe route.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from learnt.core.errors import InputError, UntrustedFileError
from learnt.io.reading import open_regular, printable
from learnt.io.sniff import HEAD, Refusal, refused, sniff, unsafe

if TYPE_CHECKING:
    import torch

MAX_HEADER = 10_000_000  # bytes; room for the names of 100,000 tensors
_DAMAGED = "The file is damaged or cut short; fetch it again."


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
    """Tensors of a safetensors file; `shown` is the name that errors use."""
    from safetensors import SafetensorError, safe_open

    shown = shown or path
    with open_regular(path) as (file, size):
        length = int.from_bytes(file.read(8), "little")
    if length > min(MAX_HEADER, max(size - 8, 0)):
        raise unsafe(shown, f"a safetensors header of {length:,} bytes in a file of {size:,}", remedy=_DAMAGED)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            # the library maps the file; a copy stays valid when the file changes afterwards
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise unsafe(shown, f"a safetensors file that breaks its own rules ({error})", remedy=_DAMAGED) from error
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise unsafe(shown, "a safetensors file that cannot be read", remedy=_DAMAGED) from error


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
