"""NumPy files without objects: `.npy` and `.npz`, sizes checked before anything is inflated or allocated.

`numpy.load` unpickles object arrays when asked to and inflates whatever a zip directory promises; a file of 4 MB can
ask for 4 GB. Here the sizes of the zip directory are summed first, each array's header (shape, dtype) must fit its
entry to the byte, and only plain numbers, booleans and fixed-length text are accepted.
"""

from __future__ import annotations

import math
import os
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np

from learnt.core.errors import InputError, UntrustedFileError
from learnt.io.atomic import write_bytes
from learnt.io.reading import CHUNK, allowance, open_regular, printable

MAX_ENTRIES = 10_000
MAX_DIRECTORY = 8_000_000
# what NumPy's literal parser raises on damaged headers; Warning because warnings are errors while it reads
_HEADER_ERRORS = (
    ValueError, TypeError, SyntaxError, EOFError, RecursionError, MemoryError, OverflowError, tokenize.TokenError,
    Warning,
)  # fmt: skip


def read_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one array from a `.npy` file.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: objects inside, or not of the declared size.
    """
    with open_regular(path) as (file, size):
        return _read_array(file, size, Path(path), "")


def read_npz(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> dict[str, np.ndarray]:
    """Read the arrays of a `.npz` file by name.

    Args:
        path: the file.
        max_bytes: bound on the inflated size of all arrays; by default 200 MB + 16 x the file.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: objects inside, not of the declared sizes, too large.
    """
    where = Path(path)
    with open_regular(where) as (file, size):
        entries = _directory(file, size, where)
        names = [entry.filename for entry in entries]
        total, limit = sum(entry.file_size for entry in entries), allowance(size, max_bytes)
        if total > limit:
            raise UntrustedFileError(
                str(where),
                found=f"{total:,} bytes after inflating",
                expected=f"at most {limit:,} for a file of {size:,}",
                remedy="If you trust the file, raise max_bytes.",
            )
        if len(set(names)) != len(names):
            raise UntrustedFileError(str(where), found="two arrays of one name", expected="different names")
        out: dict[str, np.ndarray] = {}
        with _guard(where), zipfile.ZipFile(file) as archive:
            for entry in entries:
                if not entry.filename.endswith(".npy") or entry.flag_bits & 0x1 or entry.compress_type not in (0, 8):
                    raise UntrustedFileError(
                        str(where),
                        found=f"the entry {printable(entry.filename)!r}, which is not a plain .npy array",
                        expected="a .npz file as numpy.savez or savez_compressed writes it",
                    )
                with archive.open(entry) as stream:
                    name = entry.filename.removesuffix(".npy")
                    out[name] = _read_array(stream, entry.file_size, where, name)
    return out


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> Path:
    """Write plain arrays to a compressed `.npz` file, atomically; returns the path.

    Raises:
        InputError: an array of objects. StorageError: the file cannot be written.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise InputError(name, found="an array of objects", expected="numbers, booleans or text")
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return write_bytes(path, buffer.getvalue())


def _directory(file: IO[bytes], size: int, path: Path) -> list[zipfile.ZipInfo]:
    if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise UntrustedFileError(str(path), found="a file that is not a zip archive", expected="a .npz file")
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise UntrustedFileError(
            str(path),
            found="no zip directory at the end",
            expected="a whole .npz file",
            remedy="The file is damaged or cut short.",
        )
    count, length = int.from_bytes(tail[at + 10 : at + 12], "little"), int.from_bytes(tail[at + 12 : at + 16], "little")
    if count > MAX_ENTRIES or length > MAX_DIRECTORY:  # before zipfile builds an object for each entry
        raise UntrustedFileError(
            str(path),
            found=f"a directory of {count:,} entries and {length:,} bytes",
            expected=f"at most {MAX_ENTRIES:,} entries",
        )
    file.seek(0)
    with _guard(path), zipfile.ZipFile(file) as archive:
        return archive.infolist()


class _guard:  # noqa: N801  (used as a statement, like contextlib.suppress)
    """Turns the errors of zipfile and zlib into ours."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, UntrustedFileError):
            return
        if isinstance(
            error, (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)
        ):
            raise UntrustedFileError(
                str(self.path),
                found="a zip archive that cannot be read",
                expected="a whole .npz file",
                remedy="The file is damaged or cut short.",
            ) from error


def _read_array(stream: IO[bytes], size: int, path: Path, name: str) -> np.ndarray:
    where = f"{path}[{printable(name)}]" if name else str(path)
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8:
        raise UntrustedFileError(where, found="a file without the .npy mark", expected="a .npy array")
    shape, fortran, dtype, used = _header(stream, start, where)
    if dtype.hasobject:
        raise UntrustedFileError(
            where,
            found="an array of Python objects, which only unpickling can read",
            expected="numbers, booleans or fixed-length text",
            remedy="Whoever made the file can save it again with a numeric dtype.",
        )
    if dtype.kind not in "biufcUS" or dtype.itemsize == 0:
        raise UntrustedFileError(
            where, found=f"dtype {printable(dtype)}", expected="numbers, booleans or fixed-length text"
        )
    if any(k < 0 for k in shape) or len(shape) > 32:
        raise UntrustedFileError(where, found=f"shape {printable(shape)}", expected="at most 32 axes of length >= 0")
    count = math.prod(shape)
    if used + count * dtype.itemsize != size:
        raise UntrustedFileError(
            where,
            found=f"a header that declares {count * dtype.itemsize:,} bytes of values",
            expected=f"{size - used:,}, what the file holds",
            remedy="The file is damaged or cut short.",
        )
    out = np.empty(count, dtype)
    view, filled = out.view(np.uint8), 0
    while filled < len(view):
        part = stream.read(min(len(view) - filled, CHUNK))
        if not part:
            raise UntrustedFileError(where, found=f"{filled:,} bytes of values", expected=f"{len(view):,}")
        view[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
    if name and stream.read(1):
        raise UntrustedFileError(where, found="bytes after the values", expected="exactly the declared size")
    return out.reshape(shape, order="F" if fortran else "C")


def _header(stream: IO[bytes], start: bytes, where: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """(shape, fortran, dtype, bytes used); at most 10,000 characters, parsed as a Python literal by NumPy."""
    readers = {(1, 0): (np.lib.format.read_array_header_1_0, 2), (2, 0): (np.lib.format.read_array_header_2_0, 4)}
    reader, width = readers.get((start[6], start[7]), (None, 0))
    if reader is None:  # version 3 exists only for named fields, which are refused anyway
        raise UntrustedFileError(where, found=f".npy version {start[6]}.{start[7]}", expected="version 1.0 or 2.0")
    counter = _Counting(stream)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            shape, fortran, dtype = reader(counter, max_header_size=10_000)  # pyright: ignore[reportArgumentType]
    except _HEADER_ERRORS as error:
        raise UntrustedFileError(where, found="a header that cannot be read", expected="a .npy header") from error
    return tuple(shape), bool(fortran), dtype, len(start) + counter.used


class _Counting:
    """A stream that counts what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.used = stream, 0

    def read(self, count: int) -> bytes:
        data = self.stream.read(min(count, 65_536))  # a header may claim 4 GB
        self.used += len(data)
        return data
