"""One writer a directory: the second live one is refused at once, a dead one's lock is taken over.

The file `lock` in the directory is locked with flock, which the system releases when its holder dies, however it
dies. Inside it stand host, process and start time, for the error text and for file systems shared by machines
that do not see each other's locks: a record of another machine is respected, because its process cannot be checked.
Readers take no lock; they see complete files because all writes are atomic.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learnt.core.errors import BusyError, InputError, StorageError
from learnt.io import process
from learnt.io.atomic import ensure_directory, show, storage_error
from learnt.io.strict import parse_json

NAME = "lock"
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def run_lock(directory: str | os.PathLike[str]) -> Iterator[Path]:
    """Hold the directory (created if needed) while the block runs.

    Raises:
        BusyError: another live process, or one on another machine, holds it.
        StorageError: the directory cannot be created or written to.
    """
    path = ensure_directory(directory) / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise storage_error(error, path, doing="write") from error
    try:
        flocked = _flock(descriptor, path)
        _require_ours(descriptor, path)
        holder = _record(descriptor)
        if holder is not None and not _may_take_over(holder, flocked):
            raise _busy(path, holder)
        _write(descriptor, path, process.current())
        try:
            yield path.parent
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # releases the lock


def _require_ours(descriptor: int, path: Path) -> None:
    beginning = os.pread(descriptor, 8, 0)
    if beginning.strip(b"\0") and not b'{"host":'.startswith(beginning):
        raise StorageError(
            show(path),
            found="a file of another program",
            expected="none, or the lock of a run",
            remedy="Choose another directory; this file is left as it is.",
        )


def _flock(descriptor: int, path: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: the record alone decides
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy(path, _record(descriptor)) from error
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise storage_error(error, path, doing="write") from error
    return True


def _may_take_over(holder: process.Owner, flocked: bool) -> bool:
    alive = process.is_alive(holder)
    if alive is None:
        return False
    return flocked or not alive  # with the flock in hand, nobody on this machine holds it


def _record(descriptor: int) -> process.Owner | None:
    """Who the file says holds it; None for an empty or unreadable record (a writer killed while writing it)."""
    try:
        record = parse_json(os.pread(descriptor, 4096, 0), name=NAME)
        return process.Owner(str(record["host"]), int(record["pid"]), int(record["start"]))
    except (OSError, InputError, KeyError, TypeError, ValueError):
        return None


def _write(descriptor: int, path: Path, owner: process.Owner) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    record = {"host": owner.host, "pid": owner.pid, "start": owner.start, "since": since}
    data = (json.dumps(record, sort_keys=True) + "\n").encode("utf-8")
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, data, 0)
        os.fsync(descriptor)
    except OSError as error:
        raise storage_error(error, path, doing="write", needed=len(data)) from error


def _busy(path: Path, holder: process.Owner | None) -> BusyError:
    if holder is None:
        return BusyError(show(path.parent), found="another process at work in it", expected="one run in a directory")
    here = process.current().host == holder.host
    where = "" if here else f" on the machine {show(holder.host)}"
    remedy = (
        "Wait for it, stop it, or choose another directory."
        if here
        else f"If that process is gone, delete {show(path)} and run the same command again."
    )
    return BusyError(
        show(path.parent),
        found=f"process {holder.pid}{where} at work in it",
        expected="one run in a directory",
        remedy=remedy,
    )
