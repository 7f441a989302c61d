"""Which chunks of a study are finished: one line each in `journal.jsonl`, written after the chunk itself is safe.

    {"file":"chunks/seed-3-0a1b2c3d4e5f.json","key":"train/3","sha256":"..."}

A process killed while writing leaves at most a torn last line; it is cut off when the journal is next opened, and
that chunk is computed again. A line damaged in the middle loses its own chunk only. Later lines win over earlier
ones with the same key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

from learnt.core.errors import InputError
from learnt.io.atomic import append_line, dump_json, read_bytes, write_bytes
from learnt.io.strict import parse_json

NAME = "journal.jsonl"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@final
@dataclass(frozen=True)
class Entry:
    """A finished chunk: its key, the SHA-256 of its file, and the file's path from the study's directory."""

    key: str
    sha256: str
    file: str

    def line(self) -> bytes:
        """The journal's line, with its newline."""
        record = {"file": self.file, "key": self.key, "sha256": self.sha256}
        return (dump_json(record, name="journal entry") + "\n").encode("utf-8")


@final
class Journal:
    """The finished chunks of the study in `directory`; only the holder of the directory's lock may open it.

    Raises:
        StorageError: the file cannot be read, or not be mended.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        data = read_bytes(self._path) if self._path.exists() else b""
        lines = list(_lines(data))
        good = [entry for entry in lines if entry is not None]
        self.damaged = len(lines) - len(good)
        self.entries = {entry.key: entry for entry in good}
        if self.damaged:
            write_bytes(self._path, b"".join(entry.line() for entry in good))

    def add(self, entry: Entry) -> None:
        """Record a finished chunk on the disk; StorageError (and no torn line) if that fails."""
        append_line(self._path, entry.line())
        self.entries[entry.key] = entry


def _lines(data: bytes) -> Iterator[Entry | None]:
    """The entries in order, None for each damaged line; what follows the last newline is a torn line."""
    for line in data.splitlines(keepends=True):
        yield _entry(line) if line.endswith(b"\n") else None


def _entry(line: bytes) -> Entry | None:
    try:
        record = parse_json(line, name=NAME)
    except InputError:
        return None
    if not isinstance(record, dict) or set(record) != {"file", "key", "sha256"}:
        return None
    key, digest, file = record["key"], record["sha256"], record["file"]
    if not all(isinstance(value, str) for value in (key, digest, file)) or not _SHA256.fullmatch(digest):
        return None
    return Entry(key, digest, file)
