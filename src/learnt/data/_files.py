"""Finding the files of a set under the folder the user gave, and saying what is missing and how to get it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from learnt.core.errors import InputError, StorageError

Root = str | os.PathLike[str]


def folder(name: str, root: Root | None, subfolders: Sequence[str], how: str) -> list[Path]:
    """Folders to search: `root` itself, then its `subfolders` that exist.

    Raises:
        InputError: no root given. StorageError: the root is not there, or is not a folder.
    """
    if root is None:
        raise InputError("root", found="None", expected=f"the folder with the files of {name}", remedy=how)
    base = Path(root).expanduser()
    if not base.is_dir():
        found = "a file" if base.exists() else "nothing at that path"
        raise StorageError(str(base), found=found, expected=f"the folder with the files of {name}", remedy=how)
    return [base, *(base / sub for sub in subfolders if (base / sub).is_dir())]


def find(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first file of `names`, plain or with .gz, in the first folder that has one."""
    for place in folders:
        for name in names:
            for candidate in (place / name, place / f"{name}.gz"):
                if candidate.is_file():
                    return candidate
    return None


def require(folders: Sequence[Path], names: Sequence[str], how: str) -> Path:
    """As `find`, but raises StorageError naming the file that was looked for and how to get it."""
    path = find(folders, names)
    if path is None:
        raise StorageError(
            str(folders[0] / names[0]),
            found=f"no such file in {', '.join(str(place) for place in folders)}",
            expected=f"{names[0]} or {names[0]}.gz",
            remedy=how,
        )
    return path
