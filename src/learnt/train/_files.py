"""Tensors and what is said about them, written as two files that cannot be mistaken for a pair when they are not one.

The tensors go first, into a file named by their digest; the JSON beside it names that file and the digest and is
the mark that the pair is complete. A crash between the two leaves the earlier pair in force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from learnt.core.errors import LearntError, ResumeError, StorageError
from learnt.io.atomic import read_json, write_json, write_tensors


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """sha256 of names, dtypes, shapes and bytes, independent of the order of the names."""
    h = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        h.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        if tensor.numel():
            h.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return h.hexdigest()


def commit(folder: Path, name: str, tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]) -> str:
    """Write the pair `name` into `folder` and return the name of the tensors' file.

    Raises:
        StorageError: the disk is full or the place is not writable; the earlier pair is intact.
    """
    code = digest(tensors)
    file = f"{name}.{code[:16]}.safetensors"
    write_tensors(folder / file, {k: v.detach() for k, v in tensors.items()}, {"format": "learnt.tensors/1"})
    write_json(folder / f"{name}.json", {**record, "tensors": file, "digest": code})
    return file


def read(folder: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The pair `name` of `folder`, checked against its digest.

    Raises:
        StorageError: missing. ResumeError: damaged, or the two do not belong together.
    """
    from learnt.io.weights import load_weights

    path = folder / f"{name}.json"
    record = read_json(path)
    file = record.get("tensors") if isinstance(record, dict) else None
    # the name comes from a file: it must be one of ours, in this folder
    if not isinstance(file, str) or Path(file).name != file or not file.startswith(f"{name}."):
        raise ResumeError(str(path), found="no name of a tensors' file", expected="what learnt wrote there")
    try:
        tensors = load_weights(folder / file)
    except StorageError:
        raise
    except LearntError as error:
        raise ResumeError(
            str(folder / file), found=f"a damaged file ({error.found})", expected="whole tensors"
        ) from error
    if digest(tensors) != record.get("digest"):
        raise ResumeError(str(folder / file), found="tensors of another digest", expected=f"those named in {path.name}")
    return tensors, record


def discard(folder: Path, name: str, *, keep: Collection[str] = ()) -> None:
    """Remove the tensors' files of `name` that are not in `keep`."""
    for path in folder.glob(f"{name}.*.safetensors"):
        if path.name not in keep:
            path.unlink(missing_ok=True)
