"""JSON lines: one strict JSON value a line, plain or gzipped, read one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from learnt.core.errors import InputError
from learnt.io.reading import open_source
from learnt.io.strict import parse_json
from learnt.io.tables import _lines


def read_jsonl(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> Iterator[tuple[int, Any]]:
    """(line number from 1, value) of each line that is not blank.

    Args:
        path: the file, UTF-8, plain or gzipped.
        max_bytes: bound on the inflated size of a gzipped file; by default 200 MB + 16 x the file.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: not text, a line without end, too large inflated.
        InputError: a line that is not strict JSON (NaN, duplicate keys ...), with line and column.
    """
    name = str(Path(path))
    with open_source(path, max_bytes=max_bytes) as source:
        for number, line in enumerate(_lines(source), start=1):
            if not line.strip():
                continue
            try:
                value = parse_json(line, name=name)
            except InputError as error:
                column = error.argument.rpartition("column ")[2]
                raise InputError(
                    f"{name}, line {number}, column {column}", found=error.found, expected="one JSON value a line"
                ) from None
            yield number, value
