"""Binary data sets of fixed records: IDX (MNIST and its kin) and CIFAR, plain or gzipped.

IDX: two zero bytes, a type byte, the number of axes d, d big-endian 32-bit lengths, then the values, the last axis
fastest (LeCun et al., the MNIST page). CIFAR: one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100), then
3 x 32 x 32 pixels, channel first (Krizhevsky 2009). Both are read only if their size is exactly the declared one.
"""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from learnt.core.errors import InputError, UntrustedFileError
from learnt.io.reading import open_source

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PIXELS = 3 * 32 * 32


def read_idx(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> np.ndarray:
    """Read an IDX file, plain or gzipped.

    Args:
        path: the file.
        max_bytes: bound on the inflated size; by default 200 MB + 16 x the file.

    Returns:
        The array in native byte order.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: not IDX, or not of the declared size.
    """
    with open_source(path, max_bytes=max_bytes) as source:
        head = source.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_TYPES or not 1 <= head[3] <= 8:
            raise UntrustedFileError(
                str(path),
                found=f"first bytes {head.hex(' ') or 'missing'}",
                expected="the IDX header 00 00 <type> <axes>",
            )
        lengths = source.read(4 * head[3])
        if len(lengths) < 4 * head[3]:
            raise UntrustedFileError(str(path), found="a header cut short", expected=f"{head[3]} axis lengths")
        shape = tuple(int(k) for k in np.frombuffer(lengths, ">u4"))
        dtype = np.dtype(_IDX_TYPES[head[2]])
        count = 1
        for k in shape:  # Python integers: the product of hostile lengths must not wrap around
            count *= k
        values = source.array(count, dtype)
        source.finish()
    return values.reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def read_cifar(
    path: str | os.PathLike[str],
    *,
    kind: Literal["cifar10", "cifar100"] = "cifar10",
    coarse: bool = False,
    max_bytes: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read CIFAR binary records, plain or gzipped.

    Args:
        path: the file.
        kind: one label byte a record (``"cifar10"``) or two (``"cifar100"``).
        coarse: for CIFAR-100 the 20 superclasses instead of the 100 classes.
        max_bytes: bound on the inflated size; by default 200 MB + 16 x the file.

    Returns:
        images (n, 3, 32, 32) uint8 and labels (n,) int64.

    Raises:
        StorageError, UntrustedFileError (not whole records), InputError (a label out of range, an unknown kind).
    """
    if kind not in ("cifar10", "cifar100") or (coarse and kind == "cifar10"):
        raise InputError(
            "kind", found=f"kind={kind!r}, coarse={coarse}", expected="cifar10, or cifar100 with coarse True or False"
        )
    prefix = 1 if kind == "cifar10" else 2
    with open_source(path, max_bytes=max_bytes) as source:
        rows = np.frombuffer(source.rest(prefix + _PIXELS), np.uint8).reshape(-1, prefix + _PIXELS)
    labels = rows[:, 0 if coarse or prefix == 1 else 1].astype(np.int64)
    classes = 10 if kind == "cifar10" else 20 if coarse else 100
    if int(labels.max()) >= classes:
        raise InputError(
            str(path),
            found=f"label {int(labels.max())} in record {int(labels.argmax())}",
            expected=f"labels below {classes} ({kind})",
            remedy="Is it a file of the other kind?",
        )
    return rows[:, prefix:].reshape(-1, 3, 32, 32).copy(), labels
