"""What a file of weights really is, by its first bytes and never by its name, and what to say when it is refused.

Two layouts are opened: safetensors (a table of plain numbers) and the zip that `torch.save` writes (through the gate
and the sandbox). Everything else is refused: a pickle in any wrapping can run code, an archive can hide one, a graph
(TorchScript, ONNX, Keras) is a program. The text says what the file is, why it stays shut, and the safe route.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from learnt.core.errors import UntrustedFileError
from learnt.io.reading import printable

HEAD: Final = 4096  # bytes looked at
EXPECTED: Final = "weights as .safetensors, or as a zip .pt of tensors"
_SAVE = "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
_OWNER = (
    "Ask its author for a .safetensors file, or, on a machine where you trust the file, open it with the program "
    f"that wrote it and run {_SAVE}."
)
_UNPACK = "Unpack it yourself and give the .safetensors file inside; nothing is unpacked here."


@dataclass(frozen=True)
class Refusal:
    """A kind of file that stays shut: its name, what it is and why in one phrase, and the safe route."""

    name: str
    what: str
    route: str


_PICKLE = Refusal("pickle", "a Python pickle, which can run any code of its author when it is opened", _OWNER)
_LEGACY = Refusal(
    "legacy-torch",
    "a PyTorch file in the layout of before version 1.6, a bare pickle, which can run any code of its author",
    _OWNER,
)
_JOBLIB = Refusal(
    "joblib", "a joblib file, a Python pickle, which can run any code of its author when it is opened",
    "In Python, load it where you trust it and pass the estimator itself: learnt.compare(estimator, ...).",
)  # fmt: skip
TORCHSCRIPT: Final = Refusal(
    "torchscript", "a TorchScript archive, which is a program and not only weights",
    f"Where you trust it, run {_SAVE} on the model it was made from, and give that file with the model's code.",
)  # fmt: skip
KERAS: Final = Refusal(
    "keras", "a Keras archive, whose layers can carry code", "Export the weights as .npz or .safetensors with Keras."
)
NPZ: Final = Refusal(
    "npz", "an archive of NumPy arrays, which has no place for a model's weights here",
    "Save the arrays as tensors: safetensors.numpy.save_file(dict(arrays), 'weights.safetensors').",
)  # fmt: skip
ZIP: Final = Refusal("zip", "a zip archive that torch.save did not write", _UNPACK)

_MAGIC: tuple[tuple[int, bytes, Refusal], ...] = (
    (0, b"\x93NUMPY", Refusal("npy", "a single NumPy array, without the names that weights need", NPZ.route)),
    (0, b"\x89HDF\r\n\x1a\n", Refusal(
        "hdf5", "an HDF5 file (Keras .h5), whose layers can carry code",
        "Load the weights with Keras where you trust it and save them with safetensors.",
    )),
    (0, b"7z\xbc\xaf\x27\x1c", Refusal("7z", "a 7z archive, in which a pickle can hide from scanners", _UNPACK)),
    (0, b"\x1f\x8b", Refusal("gzip", "a gzip archive, whose size after unpacking nobody knows", _UNPACK)),
    (0, b"BZh", Refusal("bzip2", "a bzip2 archive, whose size after unpacking nobody knows", _UNPACK)),
    (0, b"\xfd7zXZ\0", Refusal("xz", "an xz archive, whose size after unpacking nobody knows", _UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", Refusal("zstd", "a Zstandard archive, whose size after unpacking nobody knows", _UNPACK)),
    (0, b"\x04\x22\x4d\x18", Refusal("lz4", "an LZ4 archive, whose size after unpacking nobody knows", _UNPACK)),
    (0, b"Rar!\x1a\x07", Refusal("rar", "a RAR archive, in which a pickle can hide from scanners", _UNPACK)),
    (257, b"ustar", Refusal("tar", "a tar archive, the oldest PyTorch layout, which holds pickles", _OWNER)),
    (0, b"GGUF", Refusal(
        "gguf", "a GGUF file, whose quantised weights only its own programs run",
        "Give the .safetensors file of the model that it was made from.",
    )),
    (0, b"\x7fELF", Refusal("program", "an executable program", "Check where the file came from.")),
    (0, b"MZ", Refusal("program", "an executable program", "Check where the file came from.")),
    (0, b"#!", Refusal("script", "a script, which is a program", "Check where the file came from.")),
    (0, b"version https://git-lfs", Refusal(
        "lfs", "a Git LFS pointer and not the file itself", "Fetch the real file with: git lfs pull."
    )),
    (0, b"<", Refusal(
        "html", "a page of HTML or XML, as a failed download leaves it", "Fetch the file again and check its size."
    )),
)  # fmt: skip

_ONNX = Refusal(
    "onnx", "an ONNX graph, which is a program and not only weights",
    f"Give the PyTorch model that it was exported from: {_SAVE}.",
)  # fmt: skip
_YAML = Refusal(
    "yaml", "a YAML text, whose tags can name code to run", "Give the weights as .safetensors; settings are JSON."
)
_JSON = Refusal("json", "a JSON text, which holds settings and not weights", "Give the .safetensors file beside it.")
_CHECKPOINT = Refusal("unknown", "a file of no known layout", _OWNER)
_BROKEN = Refusal(
    "damaged",
    "a file named .safetensors without a safetensors header",
    "The file is damaged or cut short; fetch it again.",
)
_EMPTY = Refusal("empty", "an empty file", "Fetch the file again; writing it was probably interrupted.")

_OLD_PICKLE = re.compile(
    rb"\A(?:c[\w.]+\n[\w.]+\n|\((?:[dl]p?\d*\n?|i[\w.]+\n[\w.]+\n|[cSVIFLK\]}(])|[\]}](?:q|r|\()|[\]}(]\.|N\.)"
)
_TORCH_NUMBER = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # the first object of the layout before 1.6


def sniff(head: bytes, size: int, path: Path) -> str | Refusal:
    """``"safetensors"``, ``"zip"``, or the reason to refuse.

    Args:
        head: the first `HEAD` bytes of the file, or all of it.
        size: bytes in the file.
        path: only its suffix is used, and only to choose the words of a refusal.
    """
    suffix = path.suffix.lower()
    if size == 0:
        return _EMPTY
    if head[:4] == b"PK\x03\x04":
        return "zip"
    if 10 <= size and 2 <= int.from_bytes(head[:8], "little") <= size - 8 and head[8:9] == b"{":
        return "safetensors"
    for offset, magic, refusal in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return refusal
    if (head[0] == 0x80 and len(head) > 1 and head[1] <= 5) or _OLD_PICKLE.match(head):
        if _TORCH_NUMBER in head[:16]:
            return _LEGACY
        return _JOBLIB if b"joblib" in head or suffix == ".joblib" else _PICKLE
    if suffix == ".onnx" or (head[:1] == b"\x08" and head[1:2] <= b"\x20" and b"onnx" in head):
        return _ONNX
    if suffix in (".yaml", ".yml") or head.startswith((b"%YAML", b"---")) or b"!!python" in head:
        return _YAML
    if head.lstrip()[:1] in (b"{", b"["):
        return _JSON
    return _BROKEN if suffix == ".safetensors" else _CHECKPOINT


def refused(path: Path, why: Refusal, *, detail: str = "") -> UntrustedFileError:
    """The error for a file that stays shut; `detail` may hold names from the file and is made printable."""
    found = f"{why.what} ({printable(detail, 160)})" if detail else why.what
    return UntrustedFileError(printable(path, 300), found=found, expected=EXPECTED, remedy=why.route)


def unsafe(path: Path, found: str, *, remedy: str = _OWNER) -> UntrustedFileError:
    """The error for a zip of tensors or a safetensors file that breaks a rule; `found` is made printable."""
    return UntrustedFileError(printable(path, 300), found=printable(found, 240), expected=EXPECTED, remedy=remedy)
