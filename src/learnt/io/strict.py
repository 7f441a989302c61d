"""Strict JSON: what is not exactly one sensible document is an InputError with its line and column.

Python's `json` accepts NaN, lets the last of two equal keys win, raises RecursionError on deep nesting and lets
lone surrogates through. Here a document is parsed by `json` with hooks that refuse these; only if one of them
fires is the text scanned again, slowly, to say where.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from learnt.core.errors import InputError

MAX_DEPTH = 100
MAX_DIGITS = 400  # a float has at most 309 digits before the point
# An unterminated string counts as one that reaches the end: otherwise scanning many of them takes quadratic time.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.?)*+"?|[\[\]{}]', re.DOTALL)
_TOKENS = re.compile(r'"(?:[^"\\]|\\.?)*+"?|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _Refused(Exception):
    """A hook refused a value; the text says what, the second scan says where."""


def parse_json(data: bytes | str, *, name: str) -> Any:
    """The value of a strict JSON document.

    Args:
        data: the document; bytes are decoded as UTF-8.
        name: what an error calls it, for instance its path.

    Raises:
        InputError: with line and column; see `learnt.io.atomic.read_json`.
    """
    text = decode(data, name=name) if isinstance(data, bytes) else data
    if text.startswith("\ufeff"):
        raise located(name, text, 0, "a byte order mark", "UTF-8 without one")
    deep = _too_deep(text)
    if deep is not None:
        raise located(name, text, deep, f"nesting deeper than {MAX_DEPTH}", "a flatter document")
    try:
        value = _DECODER.decode(text)
        if _SURROGATE.search(text):
            _refuse_surrogates(value)
    except json.JSONDecodeError as error:
        position = _problem(text[: error.pos])
        if position is not None:  # an earlier fault explains a later one
            raise located(name, text, position[0], position[1], "strict JSON") from None
        raise located(name, text, error.pos, f"bad JSON ({error.msg})", "strict JSON") from None
    except _Refused as error:
        position = _problem(text) or (0, str(error))
        raise located(name, text, position[0], position[1], "strict JSON") from None
    except (RecursionError, MemoryError):
        raise located(name, text, 0, "a document that does not fit into memory", "a smaller one") from None
    return value


def decode(data: bytes, *, name: str) -> str:
    """UTF-8 text of `data`; InputError with the line and column of the first byte that is not."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8")
        raise located(
            name, good, len(good), f"the byte 0x{data[error.start]:02x}, which is not UTF-8", "UTF-8"
        ) from None


def located(name: str, text: str, position: int, found: str, expected: str) -> InputError:
    """An InputError that names line and column (from 1) of a position in a text."""
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return InputError(f"{name}, line {line}, column {column}", found=found, expected=expected)


def _too_deep(text: str) -> int | None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return None
    depth = 0
    for match in _BRACKETS.finditer(text):
        first = match[0][0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return match.start()
        elif first in "]}":
            depth -= 1
    return None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Refused("a duplicate key")
    return value


def _constant(text: str) -> Any:
    raise _Refused(f"the constant {text}")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _Refused("a number too long")
    return int(text)


def _real(text: str) -> float:
    if len(text) > 2 * MAX_DIGITS:
        raise _Refused("a number too long")
    value = float(text)
    if math.isinf(value):
        raise _Refused("a number out of range")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer, parse_float=_real)


def _refuse_surrogates(value: Any) -> None:
    if isinstance(value, str):
        if not _is_unicode(value):
            raise _Refused("a lone surrogate")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_surrogates(key)
            _refuse_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_surrogates(inner)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _problem(text: str) -> tuple[int, str] | None:
    """Position and name of the first thing in `text` that `json` accepts and we do not; None if there is none."""
    keys: list[set[str] | None] = []
    at_key = False
    for match in _TOKENS.finditer(text):
        word = match[0]
        if word in "{[":
            keys.append(set() if word == "{" else None)
            at_key = word == "{"
        elif word in "}]":
            if keys:
                keys.pop()
            at_key = False
        elif word == ",":
            at_key = bool(keys) and keys[-1] is not None
        elif word == ":":
            at_key = False
        elif word[0] == '"':
            fault = _string_problem(word, keys[-1] if at_key and keys else None)
            if fault is not None:
                return match.start(), fault
            at_key = False
        else:
            fault = _word_problem(word)
            if fault is not None:
                return match.start(), fault
    return None


def _string_problem(word: str, seen: set[str] | None) -> str | None:
    try:
        text = json.loads(word)
    except json.JSONDecodeError:
        return None
    if not _is_unicode(text):
        return "a lone surrogate"
    if seen is None:
        return None
    if text in seen:
        return f"the duplicate key {text[:80]!r}"
    seen.add(text)
    return None


def _word_problem(word: str) -> str | None:
    if word in ("NaN", "Infinity", "-Infinity"):
        return f"the constant {word}"
    digits = word.lstrip("-")[:1].isdigit()
    if digits and len(word) > MAX_DIGITS and word.lstrip("-").isdigit():
        return f"a number of {len(word):,} digits"
    if digits and len(word) > 2 * MAX_DIGITS:
        return f"a number of {len(word):,} characters"
    try:
        return "a number out of range" if digits and math.isinf(float(word)) else None
    except ValueError:
        return None
