"""How every reader of this room opens a file: regular files only, sizes known before anything is allocated.

`open_regular` gives clear errors for what is missing, a directory or not permitted; `Source` adds gzip (recognised
by its magic bytes, never by the name) and reads exactly as many bytes as were announced, so that a compressed file
cannot grow beyond the bound that its reader has set.
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO

import numpy as np

from learnt.core.errors import InputError, StorageError, UntrustedFileError

CHUNK = 1 << 20


def allowance(size: int, max_bytes: int | None) -> int:
    """How many bytes a compressed file of `size` bytes may grow to: `max_bytes`, or 200 MB + 16 x its size.

    Honest data sets stay far below (MNIST grows five times), a bomb of 4 MB wants 4 GB.
    """
    return 200_000_000 + 16 * size if max_bytes is None else max_bytes


def printable(text: object, limit: int = 80) -> str:
    """`text` from an untrusted file, made safe to show: control and bidirectional characters replaced, shortened."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


def nearest(path: Path) -> str:
    """A remedy naming the existing files that resemble `path`, or the nearest directory that exists."""
    parent = path.parent
    try:
        names = sorted(p.name for p in parent.iterdir())
    except OSError:
        while not parent.is_dir() and parent != parent.parent:
            parent = parent.parent
        return f"The nearest directory that exists is {parent}."
    near = get_close_matches(path.name, names, n=3, cutoff=0.5)
    return f"Nearest names: {', '.join(near)}." if near else f"{parent} holds {len(names)} entries, none similar."


@contextmanager
def open_regular(path: str | os.PathLike[str], *, argument: str = "path") -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading; yields the file and its size in bytes.

    Raises:
        StorageError: missing, a directory or not permitted.
        InputError: a pipe, a socket or a device, whose size nobody knows.
    """
    where = Path(path)
    try:
        # without O_NONBLOCK, opening a pipe would wait for a writer for ever
        descriptor = os.open(where, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StorageError(
            argument, found=f"no file at {printable(where, 200)}", expected="an existing file", remedy=nearest(where)
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "a name that no file can have"
        raise StorageError(
            argument, found=f"{printable(where, 200)}, which cannot be opened ({reason})", expected="a readable file"
        ) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise StorageError(argument, found=f"{printable(where, 200)}, a directory", expected="a file")
        raise InputError(
            argument, found=f"{printable(where, 200)}, which is not a regular file", expected="a file on disk"
        )
    with os.fdopen(descriptor, "rb") as file:
        yield file, status.st_size


class Source:
    """The bytes of a plain or gzipped file, in order, with the promise never to inflate more than asked for."""

    def __init__(self, file: BinaryIO, size: int, path: Path, max_bytes: int | None) -> None:
        self.path = path
        self.compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self.size = size
        self.limit = allowance(size, max_bytes) if self.compressed else size
        self._stream = gzip.GzipFile(fileobj=file) if self.compressed else file

    def read(self, count: int) -> bytes:
        """At most `count` bytes, fewer only at the end."""
        parts: list[bytes] = []
        while count > 0:
            part = self._read(min(count, CHUNK))
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def array(self, count: int, dtype: np.dtype) -> np.ndarray:
        """(count,) values of `dtype`, which must be there; raises UntrustedFileError if the file is shorter."""
        need = count * dtype.itemsize
        self.require(need)
        out = np.empty(count, dtype)
        view = out.view(np.uint8)
        filled = 0
        while filled < need:
            part = self._read(min(need - filled, CHUNK))
            if not part:
                raise UntrustedFileError(
                    str(self.path),
                    found=f"{filled:,} bytes of values",
                    expected=f"the {need:,} that its header declares",
                    remedy="The file is damaged or cut short; fetch it again.",
                )
            view[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
        return out

    def require(self, need: int) -> None:
        """Refuse before allocating when `need` bytes cannot be in the file or exceed the bound."""
        if need <= self.limit:
            return
        bound = "the bound for a compressed file of this size" if self.compressed else "the size of the file"
        raise UntrustedFileError(
            str(self.path),
            found=f"a header that declares {need:,} bytes",
            expected=f"at most {self.limit:,}, {bound}",
            remedy="If you trust the file, raise max_bytes."
            if self.compressed
            else "The file is damaged; fetch it again.",
        )

    def rest(self, record: int) -> bytes:
        """All remaining bytes, a multiple of `record`; bounded by the limit."""
        data = self.read(self.limit + 1)
        self.require(len(data))
        if not data or len(data) % record:
            raise UntrustedFileError(
                str(self.path),
                found=f"{len(data):,} bytes",
                expected=f"one or more whole records of {record:,} bytes",
                remedy="The file is damaged or of another kind.",
            )
        return data

    def finish(self) -> None:
        """Refuse bytes after the declared end."""
        if self._read(1):
            raise UntrustedFileError(
                str(self.path),
                found="bytes after the declared end",
                expected="exactly the declared size",
                remedy="The file is damaged or of another kind.",
            )

    def _read(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except (OSError, EOFError, zlib.error) as error:
            raise UntrustedFileError(
                str(self.path),
                found="bytes that do not inflate",
                expected="a whole gzip file",
                remedy="The file is damaged or cut short; fetch it again.",
            ) from error


@contextmanager
def open_source(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> Iterator[Source]:
    """A `Source` on the plain or gzipped file at `path`."""
    with open_regular(path) as (file, size):
        yield Source(file, size, Path(path), max_bytes)
