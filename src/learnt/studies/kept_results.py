"""What has a study's directory kept of earlier runs? Its results as JSON: {"schema", "seed", "commands", "results"}."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from learnt.core.errors import ResumeError
from learnt.io.atomic import read_json

LIMIT = 256 << 20  # bytes; a result is a few kB
Entry = tuple[dict[str, Any], dict[str, Any]]


def earlier(path: Path, schema: str) -> tuple[tuple[str, ...], list[Entry]]:
    """Commands and (item, result) entries of a file of results; nothing if there is none.

    Raises:
        ResumeError: the file there is of another kind or format.
    """
    if not path.exists():
        return (), []
    record = read_json(path, max_bytes=LIMIT)
    try:
        if record["schema"] != schema:
            raise KeyError("schema")
        return tuple(record["commands"]), [(entry["item"], entry["result"]) for entry in record["results"]]
    except (KeyError, TypeError) as error:
        raise ResumeError(
            str(path), found="a file of another kind", expected=f"a record in format {schema}",
            remedy="Move it away; the next run makes it anew from the results of what it is asked for.",
        ) from error  # fmt: skip


def fields(schema: str, seed: int, commands: Iterable[str], entries: Iterable[Entry]) -> dict[str, Any]:
    """The same as plain JSON data."""
    results = [{"item": item, "result": result} for item, result in entries]
    return {"schema": schema, "seed": seed, "commands": list(commands), "results": results}
