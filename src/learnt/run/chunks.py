"""The file of one finished chunk: JSON for plain values, safetensors where there are tensors or arrays.

What comes back is what any run would get: lists for tuples, Python numbers for numpy scalars, tensors for tensors
and arrays for arrays. The key is stored inside, so a file that was moved or renamed is noticed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learnt.core.errors import InputError, ResumeError
from learnt.io.atomic import dump_json, read_bytes, show, write_bytes
from learnt.io.strict import parse_json
from learnt.io.tensorfile import layout, parse_tensors
from learnt.run.journal import Entry

FOLDER = "chunks"


def slug(key: str) -> str:
    """A file name for any key: its harmless characters, at most 60 of them, and a hash that tells keys apart."""
    stem = re.sub(r"[^a-z0-9._-]+", "-", key.lower()).strip("-.")[:60]
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{stem}-{digest}" if stem else digest


def write(directory: Path, key: str, value: Any) -> tuple[Entry, Any]:
    """Store a result; return its journal entry, and the result as `read` would give it.

    Raises:
        InputError: the result holds something that is not plain JSON, tensors or arrays, or NaN outside a tensor.
        StorageError: it cannot be written.
    """
    value = _plain(value)
    tensors = {name: inner for name, inner in value.items() if _is_array(inner)} if isinstance(value, Mapping) else {}
    if tensors:
        rest = {name: inner for name, inner in value.items() if name not in tensors}
        about = {
            "key": key,
            "arrays": sorted(name for name, inner in tensors.items() if isinstance(inner, np.ndarray)),
            "values": rest,
            "order": list(value),
        }
        text = dump_json(about, name=f"the result of {show(key)}")
        header, pieces, _ = layout(tensors, {"chunk": text}, name=f"the result of {show(key)}")
        data, file = b"".join([header, *pieces]), f"{FOLDER}/{slug(key)}.safetensors"
    else:
        text = dump_json({"key": key, "value": value}, name=f"the result of {show(key)}")
        data, file = (text + "\n").encode("utf-8"), f"{FOLDER}/{slug(key)}.json"
    entry = Entry(key, hashlib.sha256(data).hexdigest(), file)
    write_bytes(directory / file, data)
    return entry, _decode(data, entry)


def read(directory: Path, entry: Entry) -> Any:
    """The stored result.

    Raises:
        ResumeError: the file is not the one that was written.
        StorageError: it is missing or cannot be read.
    """
    name = f"{FOLDER}/{slug(entry.key)}"
    if entry.file not in (f"{name}.json", f"{name}.safetensors"):  # never follow a path that a file names
        raise _damaged(entry, "a file name that does not belong to its key")
    data = read_bytes(directory / entry.file)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise _damaged(entry, "contents that do not match their hash")
    return _decode(data, entry)


def _decode(data: bytes, entry: Entry) -> Any:
    try:
        if entry.file.endswith(".json"):
            record = parse_json(data, name=entry.file)
            value = record["value"]
        else:
            tensors, metadata = parse_tensors(data, name=entry.file)
            record = parse_json(metadata["chunk"], name=entry.file)
            arrays = {name: tensors[name].numpy() for name in record["arrays"]}
            both = {**record["values"], **tensors, **arrays}
            value = {name: both[name] for name in record["order"]}
        key = record["key"]
    except (InputError, KeyError, TypeError) as error:
        raise _damaged(entry, f"contents that cannot be read ({error})") from error
    if key != entry.key:
        raise _damaged(entry, "the result of another chunk")
    return value


def _damaged(entry: Entry, found: str) -> ResumeError:
    return ResumeError(show(entry.file), found=found, expected="the file as it was written")


def _is_array(value: Any) -> bool:
    import torch

    return isinstance(value, (torch.Tensor, np.ndarray))


def _plain(value: Any) -> Any:
    """The value with numpy's scalars as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
