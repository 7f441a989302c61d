"""The gate before the sandbox: is this zip exactly the kind that `torch.save` writes? Decided without torch.

Read with our own strict parser, because two parsers that disagree about one archive are how checks are bypassed.
The directory must lie whole at the end of the file and describe every entry as stored (not compressed), unencrypted,
named once and plainly, without overlap and agreeing with the entry's own header; all under one folder with exactly
one `data.pkl` of at most 64 MB. So no entry can inflate, and memory stays bounded by the file. (A deflated entry is
worse than a bomb: torch maps its compressed bytes as if they were numbers.) TorchScript archives are refused.
The last look is at the pickle's instructions (`learnt.io.opcodes`). Layout: PKWARE APPNOTE 6.3.10, 4.3 and 4.5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from learnt.io import opcodes
from learnt.io.sniff import KERAS, NPZ, TORCHSCRIPT, ZIP, refused, unsafe

MAX_ENTRIES = 100_000
MAX_PICKLE = 64_000_000
MAX_DIRECTORY = 32_000_000
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class Entry:
    """One entry of the directory: name, first byte of its own header, bytes of data, first of them, what is wrong."""

    name: str
    header: int
    size: int
    data: int = 0
    fault: str = ""


def check_archive(file: BinaryIO, size: int, path: Path) -> None:
    """Raise UntrustedFileError unless `file` is a plain zip of tensors as `torch.save` writes it."""
    entries = _entries(file, size, path)
    names = [entry.name for entry in entries]
    _check_names(names, path)
    _check_sizes(entries, size, path)
    placed = sorted((_locate(file, entry, path) for entry in entries), key=lambda entry: entry.header)
    for before, after in zip(placed, placed[1:], strict=False):
        if before.data + before.size > after.header:
            raise unsafe(path, f"a zip whose entries {before.name!r} and {after.name!r} overlap")
    if placed and placed[-1].data + placed[-1].size > size:
        raise unsafe(path, f"a zip whose entry {placed[-1].name!r} reaches beyond the end of the file")
    pickled = next(entry for entry in placed if entry.name.endswith("/data.pkl"))
    file.seek(pickled.data)
    opcodes.check_pickle(file.read(pickled.size), path)


def _entries(file: BinaryIO, size: int, path: Path) -> list[Entry]:
    """The central directory, which must fill the file from its start to the end record, without a gap."""
    file.seek(max(0, size - _END.size - _LOCATOR.size - _END64.size))
    tail = file.read()
    if len(tail) < _END.size:
        raise unsafe(path, "a zip cut short")
    mark, disk, first, here, count, length, start, comment = _END.unpack(tail[-_END.size :])
    if mark != b"PK\x05\x06" or comment or disk or first:
        raise unsafe(path, "a zip without its directory at the end, or with bytes after it")
    stop = size - _END.size
    locator = tail[-_END.size - _LOCATOR.size : -_END.size]
    if locator[:4] == b"PK\x06\x07":
        if len(tail) < _END.size + _LOCATOR.size + _END64.size:
            raise unsafe(path, "a zip cut short")
        _, _, at, _ = _LOCATOR.unpack(locator)
        mark, record, _, _, disk, first, here, count, length, start = _END64.unpack(tail[: _END64.size])
        stop = size - _END.size - _LOCATOR.size - _END64.size
        if mark != b"PK\x06\x06" or record != 44 or at != stop or disk or first:
            raise unsafe(path, "a zip whose 64-bit end record is not where it should be")
    if count > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise unsafe(path, f"a zip of {count:,} entries; at most {MAX_ENTRIES:,} are read")
    if here != count or start + length != stop or count == 0:
        raise unsafe(path, "a zip whose directory is not where its end record says")
    file.seek(start)
    return _parse(file.read(length), count, path)


def _parse(directory: bytes, count: int, path: Path) -> list[Entry]:
    entries, at = [], 0
    for _ in range(count):
        if at + _CENTRAL.size > len(directory):
            raise unsafe(path, "a zip whose directory is cut short")
        fields = _CENTRAL.unpack_from(directory, at)
        mark, _, _, flags, method, _, _, _, packed, real, names, extras, comments, disk, _, _, offset = fields
        stop = at + _CENTRAL.size + names + extras + comments
        if mark != b"PK\x01\x02" or disk or comments or stop > len(directory):
            raise unsafe(path, "a zip whose directory is damaged")
        raw = directory[at + _CENTRAL.size : at + _CENTRAL.size + names]
        try:
            name = raw.decode("ascii")
        except UnicodeDecodeError:
            raise unsafe(path, f"a zip with the entry name {raw!r}, which torch.save never writes") from None
        extra = directory[at + _CENTRAL.size + names : at + _CENTRAL.size + names + extras]
        real, packed, offset = _wide(extra, real, packed, offset, path)
        fault = "encrypted" if flags & 0x2041 else "compressed" if method != 0 or packed != real else ""
        entries.append(Entry(name, offset, real, fault=fault))
        at = stop
    if at != len(directory):
        raise unsafe(path, "a zip whose directory holds more than its entries")
    return entries


def _wide(extra: bytes, real: int, packed: int, offset: int, path: Path) -> tuple[int, int, int]:
    """Sizes and offset with the 64-bit values of the extra field 0x0001 where the 32-bit ones are all ones."""
    at, wide = 0, b""
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = extra[at + 4 : at + 4 + length]
        at += 4 + length
    values = [real, packed, offset]
    for i, value in enumerate(values):
        if value == 0xFFFFFFFF:
            if len(wide) < 8:
                raise unsafe(path, "a zip whose directory lacks a 64-bit size")
            values[i], wide = int.from_bytes(wide[:8], "little"), wide[8:]
    return values[0], values[1], values[2]


def _check_names(names: list[str], path: Path) -> None:
    if len(set(names)) != len(names):
        raise unsafe(path, "a zip that names one entry twice")
    for name in names:
        parts = name.split("/")
        plain = name.isprintable() and "\\" not in name and name[1:2] != ":"
        if not plain or any(part in ("", ".", "..") for part in parts):
            raise unsafe(path, f"a zip with the entry name {name!r}, which is not a plain relative path")
    roots = {name.split("/")[0] for name in names}
    root = next(iter(roots))
    inside = {name.removeprefix(f"{root}/") for name in names}
    if any(name.startswith("code/") or name.endswith("constants.pkl") for name in inside):
        raise refused(path, TORCHSCRIPT)
    if all(name.endswith(".npy") for name in names):
        raise refused(path, NPZ)
    if "config.json" in names and any(name.endswith(".h5") for name in names):
        raise refused(path, KERAS)
    if len(roots) != 1 or "data.pkl" not in inside:
        raise refused(path, ZIP)
    others = [name for name in sorted(inside) if name != "data.pkl" and name.endswith((".pkl", ".pickle", ".py"))]
    if others:
        raise unsafe(path, f"a zip with code or a second pickle inside ({others[0]!r})")


def _check_sizes(entries: list[Entry], size: int, path: Path) -> None:
    faulty = next((entry for entry in entries if entry.fault), None)
    if faulty is not None:
        raise unsafe(
            path, f"a zip with the {faulty.fault} entry {faulty.name!r}; torch.save stores entries as they are"
        )
    total = sum(entry.size for entry in entries)
    if total > size:
        raise unsafe(path, f"a zip that declares {total:,} bytes in a file of {size:,}")
    for entry in entries:
        if entry.name.endswith("/data.pkl") and entry.size > MAX_PICKLE:
            raise unsafe(path, f"a pickle of {entry.size:,} bytes; tensors of one model need at most {MAX_PICKLE:,}")


def _locate(file: BinaryIO, entry: Entry, path: Path) -> Entry:
    """The entry with the place of its data, after its own header agrees with the directory."""
    file.seek(entry.header)
    raw = file.read(_LOCAL.size + len(entry.name))
    if len(raw) < _LOCAL.size + len(entry.name):
        raise unsafe(path, f"a zip whose entry {entry.name!r} reaches beyond the end of the file")
    mark, _, flags, method, _, _, _, packed, real, names, extras = _LOCAL.unpack_from(raw)
    agree = mark == b"PK\x03\x04" and method == 0 and not flags & 0x2041
    later = flags & 0x8  # the sizes follow the data; the header then holds zeros
    sizes = all(
        value in ((0, 0xFFFFFFFF, entry.size) if later else (0xFFFFFFFF, entry.size)) for value in (packed, real)
    )
    if not agree or not sizes or raw[_LOCAL.size :] != entry.name.encode("ascii") or names != len(entry.name):
        raise unsafe(path, f"a zip whose directory and entry {entry.name!r} disagree")
    return Entry(entry.name, entry.header, entry.size, entry.header + _LOCAL.size + names + extras)
