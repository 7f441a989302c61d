"""Scores from files and data frames: one record a line, several models joined on (prompt, response).

JSON lines: ``{"prompt_id": "p1", "response_id": "a", "score": 1.25}``. A score may also be an object that maps names of
models to numbers (several models in one file), or a list of numbers (rewards of steps, which are summed). CSV: a
header, and one column for each model. Rows are joined, never padded: a pair that one model has scored and another has
not, or that occurs twice, is an error that names it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from learnt.core.errors import InputError
from learnt.io.jsonl import read_jsonl
from learnt.io.reading import printable
from learnt.io.tables import read_csv
from learnt.rewards.scores import Responses, ScoreTable, identifier, sum_steps

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class _Part:
    """What one file says: rows by (prompt, response), columns of numbers by name, texts by name."""

    where: str
    lines: dict[Pair, int] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=dict)
    numbers: dict[str, list[float]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def add(self, pair: Pair, line: int) -> None:
        if pair in self.lines:
            raise InputError(
                f"{self.where}, line {line}",
                found=f"{_said(pair)} again, first seen in line {self.lines[pair]}", expected="each pair once",
            )  # fmt: skip
        self.lines[pair] = line


def read_scores(
    paths: Paths,
    *,
    group: str = "prompt_id",
    response: str = "response_id",
    score: str | Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    length: str | None = None,
    reference: str | None = None,
    prompt_text: str | None = None,
    response_text: str | None = None,
    max_bytes: int | None = None,
) -> ScoreTable:
    """The scores in JSON-lines (.jsonl, .json, .ndjson) and CSV (.csv) files, plain or gzipped (.gz).

    Args:
        paths: one file or several; the rows of several are joined on (prompt, response), in the order of the first.
        group: field of the prompt's identifier.
        response: field of the response's identifier.
        score: field or fields of scores; by default ``"score"`` in JSON lines, and in CSV every column without a role.
        names: one name for each model, in the order of files and fields. By default a model is called as its field or,
            if that is ``"score"``, as its file.
        length: field of the response's length; of a text (the response itself), its number of characters is taken.
        reference: field of the response's weight, see `Responses`.
        prompt_text, response_text: fields of texts to show in reports, JSON lines only.
        max_bytes: bound on the inflated size of each gzipped file; by default 200 MB + 16 x the file.

    Raises:
        StorageError, UntrustedFileError: a file that is missing, unreadable or not text.
        InputError: a record without a field, a score that is no finite number, a pair twice or missing in one file, two
        models of one name. ShapeError: a line of CSV with too few cells.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not files:
        raise InputError("paths", found="no files", expected="at least one file of scores")
    fields = (score,) if isinstance(score, str) else None if score is None else tuple(score)
    roles = {"length": length, "reference": reference}
    texts = {"prompt": prompt_text, "response": response_text}
    parts = []
    for path in files:
        suffixes = [s for s in path.suffixes if s != ".gz"]
        if suffixes and suffixes[-1] in (".csv", ".tsv"):
            delimiter = "\t" if suffixes[-1] == ".tsv" else ","
            parts.append(_from_csv(path, group, response, fields, roles, delimiter, max_bytes))
        else:
            parts.append(_from_jsonl(path, group, response, fields, roles, texts, max_bytes))
    return _joined(parts, [_stem(path) for path in files], names)


def scores_from_frame(
    frame: Any,
    *,
    group: str = "prompt_id",
    response: str | None = "response_id",
    scores: Sequence[str],
    length: str | None = None,
    reference: str | None = None,
) -> ScoreTable:
    """The scores in columns of a data frame (pandas, polars or anything with ``frame[column].to_numpy()``).

    Args:
        frame: one row a response.
        group, response: columns of identifiers; None for `response` numbers them within each prompt.
        scores: one column for each model.
        length, reference: columns, see `Responses`.

    Raises:
        InputError, ShapeError, NonFiniteError: a column that is missing or not numeric, a pair that occurs twice.
    """
    known = [str(c) for c in frame.columns]
    for asked in (group, response, *scores, length, reference):
        if asked is not None and asked not in known:
            raise InputError(
                "frame", found=f"no column {asked!r}", expected=f"one of {printable(', '.join(known), 200)}"
            )

    def column(name: str | None) -> Any:
        return None if name is None else frame[name].to_numpy()

    part = _Part("frame")
    ids = [identifier(x, f"frame[{group!r}]") for x in frame[group].to_numpy()]
    if response is not None:
        for row, (prompt, found) in enumerate(zip(ids, frame[response].to_numpy(), strict=True)):
            part.add((prompt, identifier(found, f"frame[{response!r}]")), row)
    data = Responses(
        ids, responses=[pair[1] for pair in part.lines], length=column(length), reference=column(reference)
    )
    return ScoreTable({name: column(name) for name in scores}, data)


def _from_jsonl(
    path: Path, group: str, response: str, fields: tuple[str, ...] | None, roles: Mapping[str, str | None],
    texts: Mapping[str, str | None], max_bytes: int | None,
) -> _Part:  # fmt: skip
    part = _Part(str(path))
    for line, record in read_jsonl(path, max_bytes=max_bytes):
        where = f"{path}, line {line}"
        if not isinstance(record, dict):
            raise InputError(where, found=printable(type(record).__name__), expected="an object {...}")
        pair = tuple(identifier(_field(record, key, where), f"{where}, field {key!r}") for key in (group, response))
        part.add((pair[0], pair[1]), line)
        found: dict[str, float] = {}
        for key in fields or ("score",):
            value = _field(record, key, where)
            if isinstance(value, dict):
                found |= {name: _number(v, f"{where}, field {key!r}, {printable(name)!r}") for name, v in value.items()}
            else:
                found[key] = _number(value, f"{where}, field {key!r}")
        _append(part.scores, found, where, len(part.lines))
        for role, key in roles.items():
            if key is not None:
                value = _field(record, key, where)
                text = role == "length" and isinstance(value, str)
                number = float(len(value)) if text else _number(value, f"{where}, field {key!r}")
                part.numbers.setdefault(role, []).append(number)
        for role, key in texts.items():
            if key is not None:
                part.texts.setdefault(role, []).append(str(_field(record, key, where)))
    if not part.lines:
        raise InputError(str(path), found="no records", expected="one JSON object a line")
    return part


def _append(columns: dict[str, list[float]], found: Mapping[str, float], where: str, rows: int) -> None:
    if rows > 1 and set(found) != set(columns):
        odd = sorted(set(found) ^ set(columns))[0]
        raise InputError(
            where, found=f"{'a score of' if odd in found else 'no score of'} {printable(odd)!r}",
            expected=f"the models of the first line: {printable(', '.join(columns), 200)}",
        )  # fmt: skip
    for name, value in found.items():
        columns.setdefault(name, []).append(value)


def _from_csv(
    path: Path, group: str, response: str, fields: tuple[str, ...] | None, roles: Mapping[str, str | None],
    delimiter: str, max_bytes: int | None,
) -> _Part:  # fmt: skip
    table = read_csv(path, words=(group, response), delimiter=delimiter, max_bytes=max_bytes)
    part = _Part(str(path))
    for row, pair in enumerate(zip(table.words[group], table.words[response], strict=True)):
        part.add(pair, row + 2)
    taken = {key for key in roles.values() if key is not None}
    for name in fields if fields is not None else [c for c in table.columns if c not in taken]:
        part.scores[name] = table.column(name).tolist()
    if not part.scores:
        raise InputError(str(path), found="no column of scores", expected="one column for each model")
    part.numbers.update({role: table.column(key).tolist() for role, key in roles.items() if key is not None})
    return part


def _joined(parts: Sequence[_Part], stems: Sequence[str], names: Sequence[str] | None) -> ScoreTable:
    first = parts[0]
    pairs = list(first.lines)
    labels: list[str] = []
    columns: list[np.ndarray] = []
    for part, stem in zip(parts, stems, strict=True):
        place = {pair: row for row, pair in enumerate(part.lines)}
        for here, there in ((first, part), (part, first)):
            lost = [pair for pair in here.lines if pair not in there.lines]
            if lost:
                raise InputError(
                    there.where, found=f"no score for {_said(lost[0])} and {len(lost) - 1} more pairs of {here.where}",
                    expected="the same prompts and responses in all files",
                    remedy="Score the missing ones, or take the others out.",
                )  # fmt: skip
        order = np.array([place[pair] for pair in pairs])
        for key, values in part.scores.items():
            labels.append(stem if key == "score" else key)
            columns.append(np.array(values)[order])
    if names is not None and len(names) != len(labels):
        raise InputError("names", found=f"{len(names)} names", expected=f"{len(labels)}, one for each model")
    labels = [str(x) for x in names] if names is not None else labels
    if len(set(labels)) != len(labels):
        twice = next(x for x in labels if labels.count(x) > 1)
        raise InputError(
            "names", found=f"two models called {printable(twice)!r}", expected="different names",
            remedy="Name them with names=[...], in the order of the files.",
        )  # fmt: skip
    extra = {key: values for part in reversed(parts) for key, values in _aligned(part, pairs).items()}
    data = Responses(
        [pair[0] for pair in pairs], prompts=extra.get("prompt", ()),
        responses=extra.get("response", [pair[1] for pair in pairs]), length=extra.get("length"),
        reference=extra.get("reference"), name=", ".join(stems) if len(stems) < 4 else f"{len(stems)} files of scores",
    )  # fmt: skip
    return ScoreTable(dict(zip(labels, columns, strict=True)), data)


def _aligned(part: _Part, pairs: Sequence[Pair]) -> dict[str, Any]:
    place = {pair: row for row, pair in enumerate(part.lines)}
    return {key: [values[place[p]] for p in pairs] for key, values in (part.numbers | part.texts).items()}


def _field(record: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in record:
        raise InputError(
            where, found=f"a record with the fields {printable(', '.join(record), 200) or 'none'}",
            expected=f"a field {key!r}",
        )  # fmt: skip
    return record[key]


def _number(value: Any, where: str) -> float:
    """A finite number; rewards of steps are summed. Texts that look like numbers are texts."""
    if isinstance(value, list) and value:
        return float(sum_steps([[_number(v, where) for v in value]])[0])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        found = "null" if value is None else f"{type(value).__name__} {printable(repr(value))}"
        raise InputError(where, found=found, expected="a number, or a list of the rewards of steps")
    try:
        return float(value)
    except OverflowError as error:
        raise InputError(where, found="a number out of range", expected="a finite number") from error


def _said(pair: Pair) -> str:
    return f"prompt {printable(pair[0])!r}, response {printable(pair[1])!r}"


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name
