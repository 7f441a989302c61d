"""Lines of text files whose encoding nobody wrote down: UTF-8 if the whole file is, else Windows-1252, else Latin-1.

Corpora of the 1990s and 2000s come without a declared encoding. UTF-8 is tried first because text in another encoding
is almost never valid UTF-8; Windows-1252 next because it reads the dashes and quotation marks (0x91 to 0x97) that
Latin-1 takes for control characters. Lines end at a line feed only: `str.splitlines` would also cut at 0x85.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from learnt.core.errors import InputError, UntrustedFileError
from learnt.io.reading import open_source, printable
from learnt.io.tables import _lines

ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")


def read_lines(
    path: str | os.PathLike[str], *, encodings: tuple[str, ...] = ENCODINGS, max_bytes: int | None = None
) -> list[str]:
    """The lines of a text file, plain or gzipped, without their ends; a final line feed makes no empty line.

    Args:
        path: the file.
        encodings: tried in turn on the whole file.
        max_bytes: bound on the inflated size of a gzipped file; by default 200 MB + 16 x the file.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: NUL bytes, or too large after inflating.
        InputError: empty, or in none of the encodings.
    """
    where = printable(Path(path), 200)
    with open_source(path, max_bytes=max_bytes) as source:
        data = source.read(source.limit + 1)
        source.require(len(data))
    if not data.strip():
        raise InputError(where, found="an empty file", expected="lines of text")
    if b"\0" in data:
        raise UntrustedFileError(where, found="NUL bytes, so this is not text", expected="a text file")
    text = next((text for text in (_decoded(data, name) for name in encodings) if text is not None), None)
    if text is None:
        raise InputError(where, found="bytes of another encoding", expected=f"text in {' or '.join(encodings)}")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def stream_lines(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> Iterator[str]:
    """The lines of a UTF-8 file, plain or gzipped, one at a time, for files too large to hold.

    Args:
        path: the file.
        max_bytes: as `read_lines`.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: NUL bytes, a line without end, too large inflated.
        InputError: not UTF-8, with line and byte.
    """
    with open_source(path, max_bytes=max_bytes) as source:
        for line in _lines(source):
            yield line[:-1]


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None
