"""Assemblers for hostile files: pickles instruction by instruction, zip archives byte by byte, lies included."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

STOP = b"."
PROTO = b"\x80\x02"


def name(module: str, attribute: str) -> bytes:
    """Push a global."""
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    """Push a text."""
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """Push an integer of any size up to 255 bytes."""
    if 0 <= value < 256:
        return b"K" + bytes([value])
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def tuple_of(*parts: bytes) -> bytes:
    """Push a tuple."""
    return b"(" + b"".join(parts) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    """Push the result of a call."""
    return function + tuple_of(*arguments) + b"R"


def dictionary(**items: bytes) -> bytes:
    """Push a dictionary with text keys."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def storage(kind: str, key: str, count: int, device: str = "cpu") -> bytes:
    """Push a storage by its persistent id, as torch.save writes it."""
    return tuple_of(text("storage"), name("torch", f"{kind}Storage"), text(key), text(device), number(count)) + b"Q"


def tensor(
    shape: Sequence[int],
    stride: Sequence[int],
    *,
    count: int = 4,
    offset: int = 0,
    key: str = "0",
    kind: str = "Float",
    device: str = "cpu",
) -> bytes:
    """Push a tensor on the storage `key` of `count` elements."""
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        storage(kind, key, count, device),
        number(offset),
        tuple_of(*map(number, shape)),
        tuple_of(*map(number, stride)),
        b"\x89",
        name("collections", "OrderedDict") + b")R",
    )


def pickled(body: bytes) -> bytes:
    """A whole pickle of protocol 2."""
    return PROTO + body + STOP


@dataclass(frozen=True)
class Part:
    """One entry of an archive; every field after `data` is a chance to lie."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    real: int | None = None
    packed: int | None = None
    local_name: bytes | None = None
    local_method: int | None = None
    local_size: int | None = None
    offset: int | None = None


def archive(
    parts: Sequence[Part],
    *,
    before: bytes = b"",
    after: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    start: int | None = None,
) -> bytes:
    """A zip archive of `parts`; `before` shifts no offset (a prefix that the directory does not know about)."""
    body, directory = bytearray(), bytearray()
    for part in parts:
        at = len(body) if part.offset is None else part.offset
        packed = len(part.data) if part.packed is None else part.packed
        real = packed if part.real is None else part.real
        local = part.name if part.local_name is None else part.local_name
        method = part.method if part.local_method is None else part.local_method
        size = real if part.local_size is None else part.local_size
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 0, part.flags, method, 0, 0, 0, packed, size, len(local), 0)
        body += local + part.data
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 0, 0, part.flags, part.method, 0, 0, zlib.crc32(part.data), packed, real,
            len(part.name), 0, 0, 0, 0, 0, at,
        )  # fmt: skip
        directory += part.name
    n = len(parts) if count is None else count
    begin = len(body) if start is None else start
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, n, n, len(directory), begin, len(comment))
    return before + bytes(body + directory) + end + comment + after


def torch_archive(
    pickle: bytes, storages: dict[str, bytes] | None = None, *extra: Part, root: str = "archive"
) -> bytes:
    """An archive as torch.save lays it out; by default with one storage "0" of four floats."""
    held = {"0": bytes(16)} if storages is None else storages
    parts = [Part(f"{root}/data.pkl".encode(), pickle), Part(f"{root}/byteorder".encode(), b"little")]
    parts += [Part(f"{root}/data/{key}".encode(), data) for key, data in held.items()]
    return archive([*parts, Part(f"{root}/version".encode(), b"3\n"), *extra])


def zeros_deflated(size: int) -> bytes:
    """A raw deflate stream that inflates to `size` zero bytes (a multiple of 1 MiB), made without inflating it."""
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = maker.compress(bytes(1 << 20)) + maker.flush(zlib.Z_FULL_FLUSH)
    return first * (size >> 20) + b"\x03\x00"  # a full flush forgets the past, so that the block can be repeated
