"""Files that commands write, and thresholds that they exit with 1 for."""

from __future__ import annotations

import sys
from pathlib import Path


def check_outputs(paths: tuple[Path | None, ...], overwrite: bool) -> None:
    """Refuse to replace a file unasked, and to begin work whose result has no place."""
    from learnt.core.errors import InputError, StorageError

    for path in paths:
        if path is None or str(path) == "-":
            continue
        if path.exists() and not overwrite:
            raise InputError(
                str(path), found="an existing file", expected="a new one", remedy="Pass --overwrite to replace it."
            )
        if not path.parent.is_dir():  # said before the work, not after it
            raise StorageError(str(path), found=f"no directory {path.parent}", expected="an existing directory")


def gate(limits: tuple[tuple[str, str, float | None, float | None], ...], *, least: bool = False) -> int:
    """1 if a value is above its limit (with `least`: below), or unknown; each is (option, what, value, limit)."""
    crossed = 0
    for option, what, value, limit in limits:
        if limit is None:
            continue
        if value is None or not (value >= limit if least else value <= limit):
            said = "not known" if value is None else f"{value:.6g}"
            print(f"learnt: {option} {limit:g}: {what} is {said}", file=sys.stderr)
            crossed = 1
    return crossed


def check_limits(limits: tuple[tuple[str, float | None], ...], *, most: float = 1.0) -> None:
    """Refuse thresholds that nothing could cross, or everything, before the work; each is (option, limit)."""
    from learnt.core.errors import InputError

    for option, limit in limits:
        if limit is not None and not 0 <= limit <= most:
            expected = f"a number from 0 to {most:g}" if most < float("inf") else "a number of at least 0"
            raise InputError(option, found=f"{limit:g}", expected=expected)


def told(path: Path, quiet: bool) -> None:
    """Say what was written, on standard error."""
    if not quiet:
        print(f"wrote {path}", file=sys.stderr)
