"""What a run directory was made from: its settings, and the versions and machine that made it.

`manifest.json` is written once, before any result. A later run in the same directory must have the same settings;
otherwise it is refused with the names of the settings that differ, because old and new results must not be mixed.
Provenance (versions, platform, threads, command) is recorded and never compared: it says how the bits came about.
The time is left out unless asked for, so that equal runs leave equal files.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, final

from learnt.core.errors import InputError, ResumeError
from learnt.io.atomic import dump_json, read_json, show, write_json
from learnt.io.strict import parse_json

SCHEMA = "learnt.run/1"
NAME = "manifest.json"
_PACKAGES = ("learnt", "torch", "numpy", "scipy", "scikit-learn", "safetensors", "joblib")


@final
@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The identity card of a run directory.

    Attributes:
        config: the settings, plain JSON values.
        provenance: what `provenance` returned when the directory was made.
        schema: version of this file's layout.
    """

    config: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    schema: str = SCHEMA

    @property
    def config_hash(self) -> str:
        """SHA-256 of the settings in canonical JSON."""
        return hashlib.sha256(dump_json(self.config, name="config").encode("utf-8")).hexdigest()

    def write(self, directory: str | os.PathLike[str]) -> Path:
        """Write `manifest.json`; InputError if the settings are not plain JSON, StorageError as `write_json`."""
        record = {
            "schema": self.schema,
            "config": self.config,
            "config_hash": self.config_hash,
            "provenance": self.provenance,
        }
        return write_json(Path(directory) / NAME, record)

    @staticmethod
    def read(directory: str | os.PathLike[str]) -> Manifest | None:
        """The manifest of a directory, or None if it has none.

        Raises:
            ResumeError: damaged, or of a newer version of the library.
            InputError: not strict JSON; StorageError: not readable.
        """
        path = Path(directory) / NAME
        if not path.exists():
            return None
        record = read_json(path)
        schema = record.get("schema") if isinstance(record, dict) else None
        if schema != SCHEMA:
            raise ResumeError(
                show(path),
                found=f"the schema {str(schema)[:40]!r}",
                expected=SCHEMA,
                remedy="The directory was made by another version or another program; choose a new one.",
            )
        config, made = record.get("config"), record.get("provenance")
        if isinstance(config, dict) and isinstance(made, dict):
            manifest = Manifest(config=config, provenance=made)
            if manifest.config_hash == record.get("config_hash"):
                return manifest
        raise ResumeError(
            show(path),
            found="settings that do not match their own hash",
            expected="the file as it was written",
            remedy="The file was damaged or edited; choose a new directory.",
        )

    def check(self, config: Mapping[str, Any], *, name: str = "config") -> None:
        """Raise ResumeError, naming the settings that differ with both values, unless `config` equals ours."""
        wanted = plain(config, name=name)
        if dump_json(wanted, name=name) == dump_json(self.config, name=name):
            return
        lines = list(_differences(self.config, wanted, ""))
        more = f"; and {len(lines) - 8} more" if len(lines) > 8 else ""
        raise ResumeError(
            show(name),
            found="a directory made with other settings: " + "; ".join(lines[:8]) + more,
            expected="the settings it was made with",
            remedy="Use those settings, or choose a new directory.",
        )


def open_manifest(directory: str | os.PathLike[str], config: Mapping[str, Any], made: Mapping[str, Any]) -> Manifest:
    """The directory's manifest after checking `config` against it; a new one (with provenance `made`) if it has none.

    Raises:
        ResumeError: other settings, or a damaged manifest.
        InputError: `config` is not plain JSON.
        StorageError: the directory cannot be read or written.
    """
    found = Manifest.read(directory)
    if found is not None:
        found.check(config, name=show(directory))
        return found
    manifest = Manifest(config=plain(config, name="config"), provenance=plain(made, name="provenance"))
    manifest.write(directory)
    return manifest


def provenance(*, command: str | None = None, threads: int | None = None, when: bool = False) -> dict[str, Any]:
    """How results come about here: versions, platform, threads, command.

    Args:
        command: what a person would type to do this again.
        threads: number of threads that the work runs on; torch's setting if it is loaded.
        when: also the time (UTC); off by default so that equal runs leave equal files.
    """
    if threads is None and "torch" in sys.modules:
        threads = sys.modules["torch"].get_num_threads()
    record: dict[str, Any] = {
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "threads": threads,
        "command": command,
    }
    if when:
        record["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return record


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def plain(config: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """`config` as strict JSON would give it back (tuples become lists); InputError if it is not plain data."""
    if not isinstance(config, Mapping):
        raise InputError(name, found=f"a {type(config).__name__}", expected="a dictionary of settings")
    return parse_json(dump_json(dict(config), name=name), name=name)


def _differences(old: Any, new: Any, where: str):
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            inner = f"{where}.{show(key)}" if where else show(key)
            if key not in old:
                yield f"{inner} is absent there and {_short(new[key])} here"
            elif key not in new:
                yield f"{inner} is {_short(old[key])} there and absent here"
            else:
                yield from _differences(old[key], new[key], inner)
    elif dump_json(old, name=where) != dump_json(new, name=where):
        yield f"{where} is {_short(old)} there and {_short(new)} here"


def _short(value: Any) -> str:
    text = dump_json(value, name="value")
    return show(text if len(text) <= 60 else text[:57] + "...")
