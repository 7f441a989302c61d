"""The safetensors layout: eight bytes of header length, a JSON header, then the tensors' bytes without gaps.

Why not the library's own writer: it orders metadata by a random hash, so that equal tensors give files of unequal
bytes, and it builds the whole file in memory. Here keys are sorted and tensors are handed out one at a time.
Tensors are laid out by falling element size, then by name, so that each is aligned (as the library does).
Reading is in `learnt.io.weights` and stays with the library.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from learnt.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch


def _names() -> dict[torch.dtype, str]:
    import torch

    return {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
        torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
        torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64", torch.bool: "BOOL",
        torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    }  # fmt: skip


def layout(
    tensors: Mapping[str, torch.Tensor | np.ndarray], metadata: Mapping[str, str] | None, *, name: str
) -> tuple[bytes, Iterator[memoryview], int]:
    """The header, the tensors' bytes one after the other, and the size of the whole file.

    Args:
        tensors: by name; arrays of numpy are accepted too.
        metadata: text by name.
        name: what an error calls the file.

    Raises:
        InputError: a tensor or a name that the format cannot hold.
    """
    if sys.byteorder != "little":
        raise InputError(name, found="a big-endian machine", expected="a little-endian one")
    kinds = _names()
    ready = {key: _as_tensor(key, value, kinds, name) for key, value in tensors.items()}
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"metadata of {name}", found=f"{key!r}: {value!r}"[:80], expected="text for each key")
    order = sorted(ready, key=lambda key: (-ready[key].element_size(), key))
    table, position = {}, 0
    for key in order:
        end = position + ready[key].numel() * ready[key].element_size()
        table[key] = {
            "dtype": kinds[ready[key].dtype],
            "shape": list(ready[key].shape),
            "data_offsets": [position, end],
        }
        position = end
    head = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    try:
        text = json.dumps({**head, **table}, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(name, found="a name with a lone surrogate", expected="valid Unicode text") from error
    text += b" " * (-len(text) % 8)
    header = struct.pack("<Q", len(text)) + text
    return header, (_bytes_of(ready[key]) for key in order), len(header) + position


def _as_tensor(key: str, value: torch.Tensor | np.ndarray, kinds: Mapping[torch.dtype, str], name: str) -> torch.Tensor:
    import numpy as np
    import torch

    label = f"tensor {key!r} of {name}"
    if not isinstance(key, str) or key == "__metadata__":
        raise InputError(label, found="a name that the format reserves or cannot hold", expected="other text")
    if isinstance(value, np.ndarray):
        try:
            value = torch.from_numpy(np.array(value, copy=True, order="C"))  # a copy: torch warns of read-only arrays
        except TypeError as error:
            raise InputError(label, found=f"an array of {value.dtype}", expected="numbers or booleans") from error
    if not isinstance(value, torch.Tensor):
        raise InputError(label, found=f"a {type(value).__name__}", expected="a tensor or an array")
    if value.layout != torch.strided or value.is_quantized or value.device.type == "meta" or value.dtype not in kinds:
        found = f"a {value.layout} tensor of {value.dtype} on {value.device}"
        raise InputError(label, found=found, expected="a dense tensor of plain numbers with data")
    return value


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    import torch

    flat = tensor.detach().cpu().resolve_neg().contiguous().reshape(-1)
    flat = flat.as_strided((flat.numel(),), (1,))  # a single element may carry any stride and count as contiguous
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def parse_tensors(data: bytes, *, name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file that this library wrote.

    Args:
        data: the whole file.
        name: what an error calls it.

    Raises:
        InputError: the bytes are not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from learnt.io.strict import parse_json

    try:
        tensors = load(data)
        length = struct.unpack("<Q", data[:8])[0]
        head = parse_json(data[8 : 8 + length], name=name)
    except (SafetensorError, struct.error, ValueError, KeyError) as error:
        raise InputError(
            name, found=f"bytes that are not safetensors ({error})", expected="a safetensors file"
        ) from error
    return tensors, head.get("__metadata__", {})
