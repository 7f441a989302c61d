"""What a run directory or a saved file holds, for `learnt show`."""

from __future__ import annotations

from pathlib import Path

from learnt.core.comparison import Comparison
from learnt.core.errors import InputError, StorageError
from learnt.io.atomic import read_json

_MOST = 512 * 2**20


def comparisons(path: Path) -> list[Comparison]:
    """The comparisons in a run directory, a JSON file or an HTML report.

    Raises:
        StorageError: no such path. InputError: a file that is not ours.
    """
    if path.is_dir():
        report = path / "report.json"
        return comparisons(report) if report.exists() else []
    if not path.exists():
        raise StorageError(str(path), found="nothing there", expected="a run directory, or a file that learnt wrote")
    if path.suffix in (".html", ".htm"):
        from learnt.report.html import read

        return read(path)
    record = read_json(path, max_bytes=_MOST)
    if not isinstance(record, dict):
        raise InputError(str(path), found=f"a {type(record).__name__}", expected="a comparison or a report")
    if record.get("schema") == "learnt.report/1":
        items = record.get("comparisons")
        if not isinstance(items, list):
            raise InputError(str(path), found="a report without comparisons", expected="a report that learnt wrote")
        return [Comparison.from_dict(item) for item in items]
    return [Comparison.from_dict(record)]


def models(path: Path) -> tuple[str, ...]:
    """Names of the models in a run directory, () for a file or a directory without models."""
    from learnt.adapters.run import model_names

    if not path.is_dir():
        return ()
    try:
        return model_names(path)
    except StorageError:
        return ()
