"""Plain, immutable values: what a caller hands over is copied into tuples of Python numbers, or refused by its place.

Arrays of any library are taken through their `tolist`, so that nothing here needs one.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.core.frozen_map import FrozenMap as FrozenMap

DEEPEST = 90  # levels of lists and objects inside each other; a file may have 100 in all
LARGEST = 1e100  # products of two such numbers, and sums of many, are still finite


def short(value: Any) -> str:
    """The value as text for an error, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def sequence(values: Any, where: str, what: str) -> Sequence[Any]:
    """A list, tuple, range or array as a sequence; InputError on anything else."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, list | tuple | range):
        raise InputError(where, found=short(values), expected=f"a list of {what}")
    return values


def integer(value: Any, where: str, low: int, high: int | None = None) -> int:
    """An integer from `low` to `high`; InputError otherwise. True and False are no integers."""
    expected = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        raise InputError(where, found=short(value), expected=expected)
    return number


def integers(values: Any, where: str, size: int | None, high: int) -> tuple[int, ...]:
    """`size` integers from 0 to `high`."""
    listed = sequence(values, where, "integers")
    if size is not None and len(listed) != size:
        raise ShapeError(where, found=f"{len(listed)} entries", expected=f"{size}")
    if {*map(type, listed)} == {int} and min(listed) >= 0 and max(listed) <= high:
        return tuple(listed)  # a search makes thousands of programs, nearly all of them good
    return tuple(integer(v, f"{where}[{i}]", 0, high) for i, v in enumerate(listed))


def real(value: Any, where: str) -> float:
    """A finite number as a float; InputError or NonFiniteError otherwise."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(where, found=short(value), expected="a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise NonFiniteError(where, found=f"{number}", expected="a finite number")
    if abs(number) > LARGEST:
        raise InputError(where, found=f"{number:g}", expected=f"a number between -{LARGEST:g} and {LARGEST:g}")
    return number + 0.0


def reals(values: Any, where: str, size: int | None) -> tuple[float, ...]:
    """`size` finite numbers."""
    listed = sequence(values, where, "numbers")
    if size is not None and len(listed) != size:
        raise ShapeError(where, found=f"{len(listed)} numbers", expected=f"{size}")
    if {*map(type, listed)} == {float} and all(-LARGEST <= v <= LARGEST for v in listed):
        return tuple(v + 0.0 for v in listed)  # -0.0 becomes 0.0: they are equal, and equal things are written alike
    return tuple(real(v, f"{where}[{i}]") for i, v in enumerate(listed))


def matrix(values: Any, where: str, rows: int | None, columns: int | None) -> tuple[tuple[float, ...], ...]:
    """(rows, columns) finite numbers."""
    listed = sequence(values, where, "lists of numbers")
    if rows is not None and len(listed) != rows:
        raise ShapeError(where, found=f"{len(listed)} rows", expected=f"{rows}")
    return tuple(reals(row, f"{where}[{i}]", columns) for i, row in enumerate(listed))


def text(value: Any, where: str) -> str:
    """Text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise InputError(where, found=short(value), expected="text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(where, found="text with a lone surrogate", expected="valid Unicode text") from None
    return str(value)


def texts(values: Any, where: str) -> tuple[str, ...]:
    """At least one text, each once."""
    listed = sequence(values, where, "texts")
    found = tuple(text(v, f"{where}[{i}]") for i, v in enumerate(listed))
    if not found:
        raise InputError(where, found="an empty list", expected="at least one entry")
    seen: dict[str, int] = {}
    for i, word in enumerate(found):
        if word in seen:
            raise InputError(f"{where}[{i}]", found=f"{word!r} a second time", expected="each entry once")
        seen[word] = i
    return found


def flag(value: Any, where: str) -> bool:
    """True or False, and nothing that only counts as one."""
    if not isinstance(value, bool):
        raise InputError(where, found=short(value), expected="true or false")
    return value


def frozen(value: Any, where: str, depth: int = 0) -> Any:
    """A JSON value with tuples for lists and `FrozenMap` for objects; no deeper than a file may be."""
    if depth > DEEPEST:
        raise InputError(where[:60], found=f"nesting deeper than {DEEPEST}", expected="a flatter value")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value, where)
    if isinstance(value, Mapping):
        return FrozenMap({text(k, where): frozen(v, f"{where}.{k}", depth + 1) for k, v in value.items()})
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(frozen(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value))
    return value if isinstance(value, int) else real(value, where)


def thawed(value: Any) -> Any:
    """Lists and dictionaries again: what `json` can write."""
    if isinstance(value, Mapping):
        return {k: thawed(v) for k, v in value.items()}
    return [thawed(v) for v in value] if isinstance(value, list | tuple) else value
