"""A small document of settings that people write by hand: TOML, JSON, or YAML where PyYAML is installed.

All three give the same plain values: mappings with text as keys, lists, text, numbers, booleans. YAML is read without
what makes it dangerous or surprising: tags (which can name code), anchors and aliases (which can name a value that
holds itself), dates and keys that are not text are errors, and so are two equal keys.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from learnt.core.errors import InputError, LearntError, StorageError, UntrustedFileError
from learnt.io.atomic import read_bytes, show
from learnt.io.reading import nearest, printable
from learnt.io.strict import MAX_DEPTH, decode, parse_json

SUFFIXES = (".toml", ".json", ".yaml", ".yml")
LIMIT = 8 << 20  # bytes: what people do not write by hand belongs into an array file
_DEEP = "a document that is nested too deeply"


def read_settings(path: str | os.PathLike[str], *, max_bytes: int = LIMIT) -> dict[str, Any]:
    """The mapping that a .toml, .json, .yaml or .yml file holds.

    Args:
        path: the file; its suffix says what it is.
        max_bytes: larger files are refused.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: YAML with tags, anchors or aliases.
        InputError: another suffix, too large, not UTF-8, bad syntax (with the line), equal keys, no mapping; YAML
            without PyYAML.
    """
    where, suffix = show(path), Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(where, found=f"the suffix {printable(suffix)!r}", expected=", ".join(SUFFIXES))
    if not Path(path).exists():
        raise StorageError(where, found="no such file", expected="an existing file", remedy=nearest(Path(path)))
    data = read_bytes(path, max_bytes=max_bytes)
    found = parse_json(data, name=where) if suffix == ".json" else _PARSERS[suffix](decode(data, name=where), where)
    if not isinstance(found, dict):
        raise InputError(where, found=f"a {type(found).__name__}", expected="a mapping at the top")
    _plain(found, where)
    return found


def _toml(text: str, where: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(where, found=printable(error, 200), expected="TOML") from None
    except RecursionError:
        raise InputError(where, found=_DEEP, expected="a flatter one") from None


def _yaml(text: str, where: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise InputError(
            where,
            found="a YAML file, and no PyYAML to read it",
            expected="TOML or JSON, or PyYAML: pip install 'learnt[yaml]'",
        ) from None
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.TagToken | yaml.AnchorToken | yaml.AliasToken):
                line = token.start_mark.line + 1
                kind = type(token).__name__.removesuffix("Token").lower()
                raise UntrustedFileError(
                    f"{where}, line {line}", found=f"a YAML {kind}", expected="plain mappings, lists and values"
                )
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _no_twins(root, where)
        return yaml.safe_load(text)
    except LearntError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        problem = printable(getattr(error, "problem", None) or error, 200)
        raise InputError(f"{where}{place}", found=f"bad YAML ({problem})", expected="YAML") from None
    except RecursionError:
        raise InputError(where, found=_DEEP, expected="a flatter one") from None
    except ValueError as error:  # a date that is none
        raise InputError(where, found=printable(error, 200), expected="numbers and text") from None


def _no_twins(node: Any, where: str) -> None:
    """Refuses two equal keys of one mapping; YAML would silently keep the last."""
    if node is None or not isinstance(node.value, list):
        return
    seen: set[str] = set()
    for item in node.value:
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None:
            if isinstance(key.value, str) and key.value in seen:
                raise InputError(
                    f"{where}, line {key.start_mark.line + 1}", found=f"the key {printable(key.value)!r} twice",
                    expected="each key once",
                )  # fmt: skip
            seen.add(str(key.value))
        _no_twins(value, where)


def _plain(value: Any, where: str, depth: int = 0) -> None:
    """Refuses what is no mapping, list, text, number or boolean."""
    if depth > MAX_DEPTH:
        raise InputError(where, found=_DEEP, expected="a flatter one")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise InputError(
                    where, found=f"the key {printable(key)!r}", expected="text", remedy="Put the key into quotes."
                )
            _plain(inner, where, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _plain(inner, where, depth + 1)
    elif value is not None and not isinstance(value, str | int | float):
        raise InputError(where, found=f"a {type(value).__name__}", expected="text, numbers, lists and mappings")


_PARSERS = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml}
