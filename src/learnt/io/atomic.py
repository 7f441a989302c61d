"""Atomic writes: a reader sees the old file or the new one, whole; a failed write changes nothing.

Each write goes to a temporary file in the same directory (its name holds host, process and a random part), is
flushed to the disk (fsync), takes the target's place (`os.replace`), and the directory is flushed too. Any
failure removes the temporary file; one that a killed process left is removed by `sweep_temporaries`, which
never touches the temporary files of a live process or of another machine.

Reading JSON is strict: see `learnt.io.strict`. The layout of tensor files is in `learnt.io.tensorfile`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learnt.core.errors import InputError, StorageError
from learnt.io import process
from learnt.io.strict import parse_json

if TYPE_CHECKING:
    import numpy as np
    import torch

JSON_LIMIT = 8 << 20  # bytes; parsed JSON can take 25 times its size in memory
_TEMPORARY = re.compile(r"\..*\.part-([0-9a-f]{8})-([0-9]+)-([0-9]+)-[0-9a-f]{8}", re.DOTALL)
_FULL = {errno.ENOSPC: "no space left on the disk", errno.EDQUOT: "the disk quota used up"}
_DENIED = {errno.EACCES: "no permission", errno.EPERM: "no permission", errno.EROFS: "a read-only file system"}


def storage_error(
    error: OSError, path: str | os.PathLike[str], *, doing: str, needed: int | None = None
) -> StorageError:
    """The StorageError that says in plain words what an OSError means for `path`.

    Args:
        error: what the operating system said.
        path: the file or directory concerned.
        doing: ``"write"``, ``"read"`` or ``"create"``.
        needed: bytes to be written, if known.
    """
    code = error.errno or 0
    amount = "" if needed is None else f" ({needed:,} bytes needed)"
    name, expected = show(path), f"to {doing} this file{amount}"
    if code in _FULL:
        remedy = "Free some space or choose another directory, then run the same command again."
        return StorageError(name, found=_FULL[code], expected=f"room to {doing} it{amount}", remedy=remedy)
    if code == errno.EFBIG:
        remedy = "Raise the limit (ulimit -f) or choose another file system."
        return StorageError(name, found="a file larger than the limit allows", expected=expected, remedy=remedy)
    if code in _DENIED:
        remedy = "Choose a directory that you may write to." if doing != "read" else "Change its permissions."
        return StorageError(name, found=_DENIED[code], expected=f"permission to {doing} it{amount}", remedy=remedy)
    if code == errno.ENOENT:
        what = "a file that exists" if doing == "read" else f"its directory to exist{amount}"
        return StorageError(name, found="nothing there", expected=what)
    if code == errno.EISDIR or (code in (errno.ENOTEMPTY, errno.EEXIST) and doing == "write"):
        return StorageError(name, found="a directory", expected=f"a file{amount}")
    if code in (errno.ENOTDIR, errno.EEXIST):
        return StorageError(name, found="a file where a directory should be", expected=f"a directory{amount}")
    if code == errno.ENAMETOOLONG:
        return StorageError(name, found="a name too long for the file system", expected="at most 255 bytes")
    return StorageError(name, found=f"error {code}, {os.strerror(code)}", expected=expected)


def show(path: str | os.PathLike[str]) -> str:
    """A path as text that is safe to print: control characters and undecodable bytes are replaced."""
    text = os.fsdecode(path)
    return "".join(c if c.isprintable() else "�" for c in text) or "''"


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file atomically and return its path.

    Raises:
        StorageError: it cannot be written; a previous file is intact and no partial file is left.
        InputError: the path is not a possible file name.
    """
    return write_chunks(path, [data], size=len(data))


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file atomically as UTF-8, line ends as they are; errors as `write_bytes`."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            show(path), found=f"a lone surrogate at character {error.start} of the text", expected="valid Unicode text"
        ) from error
    return write_bytes(path, data)


def write_json(path: str | os.PathLike[str], obj: Any) -> Path:
    """Write strict JSON atomically: sorted keys, no NaN or infinity, newline at the end; equal objects, equal bits.

    Raises:
        InputError: `obj` holds NaN, infinity, a key that is not text, or something that JSON has no word for.
        StorageError: as `write_bytes`.
    """
    return write_text(path, dump_json(obj, name=show(path), indent=1) + "\n")


def dump_json(obj: Any, *, name: str, indent: int | None = None) -> str:
    """Strict JSON text of `obj` (sorted keys, text keys only); `name` is what an InputError calls it."""
    separators = (",", ": ") if indent else (",", ":")
    try:
        _require_text_keys(obj, name)
        text = json.dumps(
            obj, allow_nan=False, sort_keys=True, ensure_ascii=False, indent=indent, separators=separators
        )
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(name, found="text with a lone surrogate", expected="valid Unicode text") from error
    except RecursionError as error:
        raise InputError(
            name, found="an object that nests too deeply or holds itself", expected="a plain tree"
        ) from error
    except (TypeError, ValueError) as error:
        raise InputError(
            name,
            found=f"something that JSON cannot hold ({error})",
            expected="finite numbers, text, booleans, lists, objects",
        ) from error
    return text


def _require_text_keys(
    obj: Any, name: str
) -> None:  # json would turn 1 and True into "1" and "true", and both into one key
    if isinstance(obj, Mapping):
        for key, value in obj.items():
            if not isinstance(key, str):
                raise InputError(
                    name, found=f"the key {key!r} of type {type(key).__name__}", expected="keys that are text"
                )
            _require_text_keys(value, name)
    elif isinstance(obj, (list, tuple)):
        for value in obj:
            _require_text_keys(value, name)


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor | np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write tensors atomically as safetensors; equal tensors and metadata give equal bytes.

    Raises:
        InputError: a tensor that the format cannot hold (sparse, quantised, complex, without data).
        StorageError: as `write_bytes`.
    """
    from learnt.io.tensorfile import layout

    header, chunks, size = layout(tensors, metadata, name=show(path))
    return write_chunks(path, _chain(header, chunks), size=size)


def _chain(first: bytes, rest: Iterable[memoryview]) -> Iterable[bytes | memoryview]:
    yield first
    yield from rest


def write_chunks(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview], *, size: int) -> Path:
    """Write a file atomically from pieces (`size` bytes in all); errors as `write_bytes`."""
    target = checked(path)
    temporary = target.with_name(_temporary_name(target.name))
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise storage_error(error, target, doing="write", needed=size) from error
    try:
        try:
            for chunk in chunks:
                _write_all(descriptor, memoryview(chunk))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise storage_error(error, target, doing="write", needed=size) from error
        raise
    sync_directory(target.parent)
    return target


def _write_all(descriptor: int, data: memoryview) -> None:
    data = data.cast("B")
    while len(data):
        data = data[os.write(descriptor, data[: 1 << 24]) :]


def append_line(path: str | os.PathLike[str], line: bytes) -> None:
    """Append one line (with its newline) to a file, flushed to the disk; created if missing.

    A reader may see a part of the line, but after an error nothing of it remains.

    Raises:
        StorageError: as `write_bytes`.
    """
    target = checked(path)
    try:
        new = not target.exists()
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, memoryview(line))
                os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, target, doing="write", needed=len(line)) from error
    if new:
        sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Flush a directory's entries to the disk, where the file system can do that."""
    with suppress(OSError):  # the file is complete and in place; some file systems cannot sync a directory
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _temporary_name(name: str) -> str:
    me = process.current()
    room = 255 - 60  # bytes of a file name that the rest of it leaves
    short = os.fsencode(name)[:room].decode("utf-8", "ignore")
    return f".{short}.part-{_host_tag(me.host)}-{me.pid}-{me.start}-{secrets.token_hex(4)}"


def _host_tag(host: str) -> str:
    return hashlib.sha256(host.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def sweep_temporaries(directory: str | os.PathLike[str]) -> int:
    """Remove the temporary files that dead processes of this machine left in `directory`; return how many.

    Only names of our own pattern are considered, and only regular files. A missing directory has none.
    """
    host, removed = socket.gethostname(), 0
    try:
        entries = [entry for entry in os.scandir(checked(directory)) if entry.is_file(follow_symlinks=False)]
    except OSError:
        return 0
    for entry in entries:
        match = _TEMPORARY.fullmatch(entry.name)
        if match is None or match[1] != _host_tag(host):
            continue
        if not process.is_alive(process.Owner(host, int(match[2]), int(match[3]))):
            with suppress(OSError):  # another process may be sweeping too
                os.unlink(entry.path)
                removed += 1
    return removed


def ensure_directory(path: str | os.PathLike[str]) -> Path:
    """Create a directory (and its parents) if needed, check that files can be written in it, and return its path.

    Raises:
        StorageError: it cannot be created or written to, or a file is in its place.
    """
    directory = checked(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / _temporary_name("probe")
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        os.unlink(probe)
    except OSError as error:
        raise storage_error(error, directory, doing="create") from error
    return directory


def checked(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path, if the operating system can name a file so at all; InputError otherwise."""
    text = os.fspath(path)
    if not text or "\0" in text:
        raise InputError(
            "path", found="an empty name" if not text else f"{show(text)}, which holds a NUL", expected="a file name"
        )
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise InputError("path", found=f"{show(text)}, which is not valid Unicode", expected="a file name") from error
    return Path(text)


def read_bytes(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> bytes:
    """Read a regular file whole.

    Raises:
        StorageError: missing, not permitted, or not a regular file.
        InputError: larger than `max_bytes`.
    """
    source = checked(path)
    try:
        descriptor = os.open(
            source, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)
        )  # a pipe must not block us
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StorageError(show(path), found="something that is not a regular file", expected="a file")
            if max_bytes is not None and status.st_size > max_bytes:
                raise _too_large(path, status.st_size, max_bytes)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read() if max_bytes is None else file.read(max_bytes + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise storage_error(error, source, doing="read") from error
    if max_bytes is not None and len(data) > max_bytes:
        raise _too_large(path, len(data), max_bytes)
    return data


def _too_large(path: str | os.PathLike[str], size: int, limit: int) -> InputError:
    return InputError(show(path), found=f"{size:,} bytes", expected=f"at most {limit:,} bytes")


def read_text(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> str:
    """Read a UTF-8 file; InputError at the first byte that is not, else errors as `read_bytes`."""
    from learnt.io.strict import decode

    return decode(read_bytes(path, max_bytes=max_bytes), name=show(path))


def read_json(path: str | os.PathLike[str], *, max_bytes: int = JSON_LIMIT) -> Any:
    """Read strict JSON.

    Raises:
        InputError: with line and column: bad syntax, duplicate keys, NaN or infinity, numbers out of range, nesting
            deeper than `learnt.io.strict.MAX_DEPTH`, a byte order mark, invalid UTF-8, lone surrogates; or too large.
        StorageError: as `read_bytes`.
    """
    return parse_json(read_bytes(path, max_bytes=max_bytes), name=show(path))


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in pieces; StorageError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(checked(path), "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise storage_error(error, path, doing="read") from error
    return digest.hexdigest()
