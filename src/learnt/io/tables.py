"""Tables as CSV: numbers with a header in, text that no spreadsheet takes for a formula out."""

from __future__ import annotations

import array
import csv
import io
import math
import numbers
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from learnt.core.errors import InputError, ShapeError, UntrustedFileError
from learnt.io.atomic import write_text
from learnt.io.reading import CHUNK, Source, open_source, printable

MAX_COLUMNS = 100_000
MAX_LINE = 64 * CHUNK


@dataclass(frozen=True, eq=False)
class Table:
    """A table of numbers with named columns.

    Attributes:
        columns: names of the numeric columns, in the order of the file.
        values: (rows, len(columns)) float64.
        words: the columns that were asked for as text, each (rows,) strings.
    """

    columns: tuple[str, ...]
    values: np.ndarray
    words: Mapping[str, tuple[str, ...]]

    def column(self, name: str) -> np.ndarray:
        """(rows,) float64 values of one column."""
        if name not in self.columns:
            raise InputError("column", found=repr(name), expected=f"one of {', '.join(self.columns[:20])}")
        return self.values[:, self.columns.index(name)]


def read_csv(
    path: str | os.PathLike[str],
    *,
    words: Collection[str] = (),
    delimiter: str = ",",
    max_bytes: int | None = None,
) -> Table:
    """Read a table with a header line, plain or gzipped, UTF-8 with or without byte-order mark.

    Args:
        path: the file.
        words: names of columns to keep as text (class names); every other cell must be a finite number.
        delimiter: one character between cells.
        max_bytes: bound on the inflated size of a gzipped file; by default 200 MB + 16 x the file.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: not text, or too large after inflating.
        InputError: a cell that is not a finite number, with line and column; no header; no rows.
        ShapeError: a line with too few or too many cells.
    """
    where = str(Path(path))
    with open_source(path, max_bytes=max_bytes) as source:
        rows = csv.reader(_lines(source), delimiter=delimiter, strict=True)
        try:
            header = next(rows, None)
            names = _names(header, where, words)
            numeric = [i for i, name in enumerate(names) if name not in words]
            texts: dict[str, list[str]] = {name: [] for name in names if name in words}
            cells = array.array("d")
            for row in rows:
                if not row:
                    continue
                if len(row) != len(names):
                    raise ShapeError(
                        f"{where}, line {rows.line_num}",
                        found=f"{len(row)} cells",
                        expected=f"{len(names)}, as the header",
                    )
                for i in numeric:
                    cells.append(_number(row[i], where, rows.line_num, names[i]))
                for name, kept in texts.items():
                    kept.append(row[names.index(name)])
        except csv.Error as error:
            raise InputError(
                f"{where}, line {rows.line_num}", found=printable(error), expected="a line of CSV"
            ) from error
    values = np.frombuffer(cells, np.float64).copy() if cells else np.empty(0)
    count = len(values) // len(numeric) if numeric else len(next(iter(texts.values()), []))
    if count == 0:
        raise InputError(where, found="a header and no rows", expected="at least one row")
    return Table(
        tuple(names[i] for i in numeric), values.reshape(count, len(numeric)), {k: tuple(v) for k, v in texts.items()}
    )


def _lines(source: Source) -> Iterator[str]:
    """Lines of text, decoded strictly, the total bounded by the source's limit."""
    number, pending, total = 0, b"", 0
    while True:
        part = source.read(CHUNK)
        total += len(part)
        source.require(total)
        whole = (pending + part).split(b"\n")
        pending = whole.pop()
        if not part:
            whole = [pending] if pending else []
        for raw in whole:
            number += 1
            yield _text(raw.removesuffix(b"\r"), f"{source.path}, line {number}", first=number == 1) + "\n"
        if not part:
            return
        if len(pending) > MAX_LINE:
            raise UntrustedFileError(
                f"{source.path}, line {number + 1}", found=f"a line longer than {MAX_LINE:,} bytes", expected="lines"
            )


def _text(raw: bytes, where: str, *, first: bool) -> str:
    if b"\0" in raw:
        raise UntrustedFileError(where, found="NUL bytes, so this is not text", expected="UTF-8 text")
    try:
        return raw.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}, byte {error.start + 1}",
            found=f"the byte 0x{raw[error.start]:02x}",
            expected="UTF-8 text",
            remedy="Save the table as UTF-8.",
        ) from error


def _names(header: list[str] | None, where: str, words: Collection[str]) -> list[str]:
    names = [name.strip() for name in header or []]
    if not names or len(names) > MAX_COLUMNS:
        raise InputError(f"{where}, line 1", found=f"{len(names)} column names", expected="a header line")
    if all(_is_number(name) for name in names):
        raise InputError(
            f"{where}, line 1",
            found="numbers",
            expected="a header line with the names of the columns",
            remedy="Add a first line such as x1,x2,label.",
        )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{where}, line 1", found=f"the column {printable(twice)!r} twice", expected="different names")
    unknown = [name for name in words if name not in names]
    if unknown:
        raise InputError(
            "words", found=repr(unknown[0]), expected=f"columns of the table: {printable(', '.join(names), 200)}"
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, where: str, line: int, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{where}, line {line}, column {printable(column)!r}",
            found=repr(printable(text)) if text.strip() else "an empty cell",
            expected="a finite number",
        )
    return value


def write_csv(path: str | os.PathLike[str], rows: Iterable[Sequence[object]], header: Sequence[str]) -> Path:
    """Write a table atomically; text that a spreadsheet would run as a formula gets a leading apostrophe.

    Args:
        path: the file to write; replaced only when the new one is complete.
        rows: cells: numbers (written so that they read back exactly), text, or None for an empty cell.
        header: names of the columns; every row must be as long.

    Raises:
        ShapeError: a row of another length. StorageError: the disk is full or the place is not writable.
    """
    buffer = io.StringIO()
    out = csv.writer(buffer, lineterminator="\r\n")
    out.writerow([neutral(name) for name in header])
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ShapeError(f"rows[{number - 1}]", found=f"{len(row)} cells", expected=f"{len(header)}, as the header")
        out.writerow([neutral(cell) for cell in row])
    return write_text(path, buffer.getvalue())


def neutral(cell: object) -> str:
    """The text of one cell. Finite numbers stay; text starting like a formula gets an apostrophe (CWE-1236).

    Spreadsheets take cells that start with = + - @, a tab or a line break (or their full-width twins) for formulas,
    quoted or not. Other control characters are replaced.
    """
    if cell is None:
        return ""
    if isinstance(cell, numbers.Real) and math.isfinite(cell):
        return str(cell) if isinstance(cell, (bool, int)) else repr(float(cell))
    text = "".join(c if c >= " " and c != "\x7f" or c in "\t\r\n" else "\N{REPLACEMENT CHARACTER}" for c in str(cell))
    # leading blanks do not protect: some programs strip them before they look
    return "'" + text if text.lstrip(" \u00a0")[:1] in tuple("=+-@\t\r\n＝＋－＠") and text.strip(" \u00a0") else text
