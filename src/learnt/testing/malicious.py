"""Makers of hostile files, for testing whatever opens files: each is small, made on demand, and harmless unless run.

`hostile_weights(canary)` yields files that pretend to be weights; the ones with code would create the file `canary`.
A safe reader refuses every one of them, leaves `canary` absent, and needs little time and memory. `hostile_arrays`
does the same for NumPy files, and `mutated` damages an honest file at random. Cases follow the attacks collected in
fickling's and picklescan's advisories, CVE-2025-10155/6/7, and the two of torch: CVE-2025-32434, CVE-2026-24747.
"""

from __future__ import annotations

import gzip
import io
import lzma
import random
import struct
import tarfile
from bz2 import compress as bz2_compress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from learnt.testing._assemble import (
    PROTO,
    Part,
    archive,
    call,
    dictionary,
    name,
    number,
    pickled,
    storage,
    tensor,
    text,
    torch_archive,
    tuple_of,
    zeros_deflated,
)

HONEST = pickled(dictionary(weight=tensor((2, 2), (2, 1))))  # what an honest data.pkl looks like


@dataclass(frozen=True)
class Hostile:
    """A hostile file.

    Attributes:
        name: what it tries, as an identifier.
        suffix: the suffix it would come with.
        make: returns its bytes.
        stops: where a layered reader can stop it at the latest: by its first bytes, by its structure, or only while
            it is read in isolation.
    """

    name: str
    suffix: str
    make: Callable[[], bytes]
    stops: Literal["sniff", "gate", "sandbox"]


def touch(canary: Path) -> str:
    """A shell command that creates `canary`."""
    return f"touch '{canary}'"


def calling(module: str, attribute: str, *arguments: str) -> bytes:
    """A pickle that calls module.attribute with text arguments when it is loaded."""
    return pickled(call(name(module, attribute), *map(text, arguments)))


def hostile_weights(canary: Path) -> Iterator[Hostile]:
    """Files that pretend to be a model's weights (at least 100); see the module."""
    for label, pickle in _code(canary).items():
        yield Hostile(f"zip_{label}", ".pt", lambda p=pickle: torch_archive(p), "gate")
    for label, data in _zips().items():
        yield Hostile(f"structure_{label}", ".pth", data, "gate")
    for label, (suffix, data) in _wrappings(canary).items():
        yield Hostile(f"wrapped_{label}", suffix, lambda d=data: d, "sniff")
    for label, pickle in _numbers().items():
        yield Hostile(f"tensor_{label}", ".bin", lambda p=pickle: torch_archive(p), "sandbox")
    yield Hostile("tensor_many_on_one_storage", ".bin", _many, "sandbox")


def _code(canary: Path) -> dict[str, bytes]:
    """Pickles that run code, or that reach for what could."""
    shell, python = touch(canary), f"open({str(canary)!r}, 'w').close()"
    system = text("os") + text("system")
    arguments = tuple_of(text(shell))
    return {
        "os_system": calling("os", "system", shell),
        "posix_system": calling("posix", "system", shell),
        "nt_system": calling("nt", "system", shell),
        "os_popen": calling("os", "popen", shell),
        "os_execv": pickled(call(name("os", "execv"), text("/bin/sh"), tuple_of(text("sh"), text("-c"), text(shell)))),
        "eval": calling("builtins", "eval", python),
        "exec": calling("builtins", "exec", python),
        "eval_python2": calling("__builtin__", "eval", python),
        "compile": calling("builtins", "compile", python, "x", "exec"),
        "getattr": pickled(call(name("builtins", "getattr"), name("os", "path"), text("os"))),
        "open_for_writing": calling("builtins", "open", str(canary), "w"),
        "io_open": calling("io", "open", str(canary), "w"),
        "resolve_name": pickled(call(call(name("pkgutil", "resolve_name"), text("os:system")), text(shell))),
        "import_module": calling("importlib", "import_module", "antigravity"),
        "popen": pickled(call(name("subprocess", "Popen"), tuple_of(text("sh"), text("-c"), text(shell)))),
        "getoutput": calling("subprocess", "getoutput", shell),
        "run_code": pickled(call(name("runpy", "_run_code"), text(python), b"}")),
        "timeit": calling("timeit", "timeit", python),
        "cprofile": calling("cProfile", "run", python),
        "pdb": calling("pdb", "run", python),
        "doctest": calling("doctest", "debug_script", python),
        "code": calling("code", "interact", python),
        "ctypes": calling("ctypes", "CDLL", "libc.so.6"),
        "webbrowser": calling("webbrowser", "open", "http://127.0.0.1:9/"),
        "socket": pickled(call(name("socket", "create_connection"), tuple_of(text("127.0.0.1"), number(9)))),
        "nested_pickle": pickled(call(name("pickle", "loads"), text(calling("os", "system", shell).decode("latin-1")))),
        "torch_load": calling("torch.serialization", "load", str(canary)),
        "torch_hub": calling("torch.hub", "load", "owner/repository", "model"),
        "torch_jit": calling("torch.jit", "load", str(canary)),
        "torch_internal_os": calling("torch.serialization", "os.system", shell),
        "torch_execute": calling("torch._dynamo.guards", "GuardBuilder.get", python),
        "numpy_load": calling("numpy", "load", str(canary)),
        "numpy_runstring": calling("numpy.testing._private.utils", "runstring", python, "{}"),
        "operator": pickled(call(call(name("operator", "attrgetter"), text("system")), name("os", "path"))),
        "partial": pickled(call(name("functools", "partial"), name("os", "system"), text(shell)) + b")R"),
        "whole_model": calling("torch.nn.modules.linear", "Linear"),
        "stack_global": b"\x80\x04" + system + b"\x93" + arguments + b"R.",
        "stack_global_protocol_2": PROTO + system + b"\x93" + arguments + b"R.",
        "inst": PROTO + b"(" + text(shell) + b"ios\nsystem\n.",
        "obj": PROTO + b"(" + name("os", "system") + text(shell) + b"o.",
        "newobj": PROTO + name("os", "system") + arguments + b"\x81.",
        "newobj_ex": b"\x80\x04" + name("os", "system") + arguments + b"}\x92.",
        "build_on_type": pickled(name("builtins", "object") + dictionary(__setstate__=name("os", "system")) + b"b"),
        "extension": PROTO + b"\x82\x01" + arguments + b"R.",
        "extension_4": PROTO + b"\x84\x01\0\0\0" + arguments + b"R.",
        "text_persistent_id": PROTO + b"Pos.system\n.",
        "protocol_0": b"cos\nsystem\n(S'" + shell.replace("'", '"').encode() + b"'\ntR.",
        "protocol_5": b"\x80\x05\x95" + struct.pack("<Q", 9) + b"\x8c\x02os\x8c\x06system\x93" + arguments + b"R.",
        "after_the_end": HONEST + calling("os", "system", shell),
        "code_beside_tensors": pickled(
            dictionary(weight=tensor((2, 2), (2, 1)), extra=call(name("os", "system"), text(shell)))
        ),
        "memoised": pickled(name("os", "system") + b"q\x00" + b"0" + b"h\x00" + arguments + b"R"),
        "quantised": pickled(dictionary(w=call(name("torch._utils", "_rebuild_qtensor"), b")"))),
        "sparse": pickled(dictionary(w=call(name("torch._utils", "_rebuild_sparse_tensor"), b")"))),
        "nested_tensor": pickled(dictionary(w=call(name("torch._utils", "_rebuild_nested_tensor"), b")"))),
        "meta_tensor": pickled(dictionary(w=call(name("torch._utils", "_rebuild_meta_tensor_no_storage"), b")"))),
        "wrapper": pickled(dictionary(w=call(name("torch._utils", "_rebuild_wrapper_subclass"), b")"))),
        "quantised_storage": pickled(dictionary(w=storage("QInt8", "0", 16))),
        "huge_bytearray": pickled(call(name("builtins", "bytearray"), number(1 << 40))),
        "long_text_lie": PROTO + b"X\xff\xff\xff\xff.",
        "long_number_lie": PROTO + b"\x8b\xff\xff\xff\x7f.",
        "giant_decimal": PROTO + b"I" + b"9" * 100_000 + b"\n.",
        "without_end": PROTO + b"}",
        "empty": b"",
        "no_pickle": bytes(range(256)),
        "instructions": PROTO + b"}" + b"K\x01K\x01s" * 700_000 + b".",
    }


def _zips() -> dict[str, Callable[[], bytes]]:
    """Archives whose structure lies; the pickle inside is honest."""
    body, data, mark = Part(b"a/data.pkl", HONEST), Part(b"a/data/0", bytes(16)), Part(b"a/version", b"3\n")
    plain = [body, data, mark]

    def bomb() -> bytes:
        packed = zeros_deflated(4000 << 20)
        return archive([body, Part(b"a/data/0", packed, method=8, real=4000 << 20), mark])

    def extra(other: Part) -> Callable[[], bytes]:
        return lambda: archive([*plain, other])

    def wide() -> bytes:
        inner = archive(plain)
        end = inner[-22:]
        record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 3, 3, 1 << 62, 1 << 62)
        return inner[:-22] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, len(inner) - 22, 1) + end

    return {
        "deflated_bomb": bomb,
        "deflated": lambda: archive([body, Part(b"a/data/0", zeros_deflated(1 << 20), method=8, real=1 << 20), mark]),
        "deflated_as_stored": lambda: archive([body, Part(b"a/data/0", bytes(8), real=1 << 30), mark]),
        "unknown_method": extra(Part(b"a/x", b"x", method=99)),
        "encrypted": extra(Part(b"a/x", b"x", flags=1)),
        "strongly_encrypted": extra(Part(b"a/x", b"x", flags=0x40)),
        "duplicate_pickle": extra(body),
        "second_pickle": extra(Part(b"a/more/data.pkl", calling("os", "getpid"))),
        "second_root": extra(Part(b"b/data.pkl", HONEST)),
        "python_inside": extra(Part(b"a/helper.py", b"print(1)")),
        "absolute_name": extra(Part(b"/etc/x", b"x")),
        "parent_name": extra(Part(b"a/../../x", b"x")),
        "dot_name": extra(Part(b"a/./x", b"x")),
        "empty_name": extra(Part(b"", b"x")),
        "backslash_name": extra(Part(b"a\\..\\x", b"x")),
        "drive_name": extra(Part(b"C:/x", b"x")),
        "control_name": extra(Part(b"a/x\n\x1b[2J", b"x")),
        "nul_name": extra(Part(b"a/x\0.pkl", b"x")),
        "non_ascii_name": extra(Part("a/dätä".encode(), b"x")),
        "local_name_differs": lambda: archive([Part(b"a/data.pkl", HONEST, local_name=b"a/evil.pkl"), data, mark]),
        "local_method_differs": lambda: archive([Part(b"a/data.pkl", HONEST, local_method=8), data, mark]),
        "local_size_differs": lambda: archive([Part(b"a/data.pkl", HONEST, local_size=5), data, mark]),
        "overlap": lambda: archive([body, data, Part(b"a/data/1", bytes(16), offset=0)]),
        "shared_data": lambda: archive([*plain, Part(b"a/data.pkl2", HONEST, offset=0, local_name=b"a/data.pkl")]),
        "beyond_the_end": lambda: archive([body, Part(b"a/data/0", b"", real=64, packed=64, offset=400)]),
        "offset_beyond": lambda: archive([body, Part(b"a/data/0", bytes(4), offset=1 << 31)]),
        "sizes_above_file": lambda: archive([body, Part(b"a/data/0", bytes(4), real=1 << 31, packed=1 << 31), mark]),
        "million_entries": lambda: archive([body], count=65_535),
        "hundred_thousand_entries": lambda: _crowd(100_001),
        "no_pickle": lambda: archive([data, mark]),
        "comment": lambda: archive(plain, comment=b"x" * 30),
        "bytes_before": lambda: archive(plain, before=b"PK\x03\x04" + bytes(60)),
        "bytes_after": lambda: archive(plain, after=calling("os", "getpid")),
        "directory_elsewhere": lambda: archive(plain, start=3),
        "truncated": lambda: archive(plain)[:-9],
        "only_the_mark": lambda: b"PK\x03\x04",
        "wide_lie": wide,
        "huge_pickle": lambda: torch_archive(PROTO + text("x" * 65_000_000) + b"."),
        "torchscript": lambda: archive([body, Part(b"a/code/x.py", b""), Part(b"a/constants.pkl", HONEST)]),
        "npz": lambda: archive([Part(b"x.npy", b"\x93NUMPY")]),
        "keras": lambda: archive([Part(b"config.json", b"{}"), Part(b"model.weights.h5", b"\x89HDF")]),
        "jar": lambda: archive([Part(b"META-INF/MANIFEST.MF", b""), Part(b"X.class", b"\xca\xfe\xba\xbe")]),
    }  # fmt: skip


def _crowd(count: int) -> bytes:
    """An honest zip with too many entries, its number in a 64-bit end record."""
    inner = archive([Part(b"a/data.pkl", HONEST), *(Part(b"a/data/%d" % i, b"") for i in range(count))], count=0xFFFF)
    end = inner[-22:]
    _, _, _, _, _, length, start, _ = struct.unpack("<4s4H2LH", end)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count + 1, count + 1, length, start)
    return inner[:-22] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, len(inner) - 22, 1) + end


def _wrappings(canary: Path) -> dict[str, tuple[str, bytes]]:
    """The same code in other files: every format that can carry it, under true and false suffixes."""
    shell = touch(canary)
    code = calling("os", "system", shell)
    magic = PROTO + b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as held:
        entry = tarfile.TarInfo("pickle")
        entry.size = len(code)
        held.addfile(entry, io.BytesIO(code))
    inside = torch_archive(code)
    return {
        "raw_protocol_0": (".pkl", b"cos\nsystem\n(S'x'\ntR."),
        "raw_protocol_1": (".pt", b"(dp0\nS'a'\ncos\nsystem\n(S'x'\ntRs."),
        "raw_protocol_2": (".pt", code),
        "raw_protocol_4": (".pickle", b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R."),
        "raw_protocol_5": (".pth", b"\x80\x05\x95\x10\0\0\0\0\0\0\0\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R."),
        "legacy_torch": (".pt", magic + code),
        "legacy_tar": (".pth", tar.getvalue()),
        "joblib": (".joblib", b"\x80\x04\x8c\x13joblib.numpy_pickle\x8c\x11NumpyArrayWrapper\x93."),
        "pickle_as_safetensors": (".safetensors", code),
        "pickle_then_zip": (".pt", code + inside),
        "gzip": (".pt", gzip.compress(inside, mtime=0)),
        "bzip2": (".pt", bz2_compress(inside)),
        "xz": (".pt", lzma.compress(inside)),
        "seven_zip": (".bin", b"7z\xbc\xaf\x27\x1c\0\x04" + inside),
        "rar": (".pt", b"Rar!\x1a\x07\x01\0" + inside),
        "zstd": (".pt", b"\x28\xb5\x2f\xfd" + inside),
        "lz4": (".pt", b"\x04\x22\x4d\x18" + inside),
        "hdf5": (".h5", b"\x89HDF\r\n\x1a\n" + bytes(64)),
        "onnx": (".onnx", b"\x08\x07\x12\x07pytorch" + bytes(64)),
        "onnx_as_pt": (".pt", b"\x08\x07\x12\x04onnx" + bytes(64)),
        "numpy": (".npy", b"\x93NUMPY\x01\0" + bytes(64)),
        "gguf": (".gguf", b"GGUF\x03\0\0\0" + bytes(64)),
        "yaml": (".yaml", b"!!python/object/apply:os.system ['x']\n"),
        "yaml_as_pt": (".pt", b"a: !!python/object/apply:os.system ['x']\n"),
        "json": (".pt", b'{"weight": [1, 2]}' + b" " * 40),
        "html": (".safetensors", b"<!DOCTYPE html><title>404</title>"),
        "lfs_pointer": (".safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "elf": (".bin", b"\x7fELF" + bytes(64)),
        "windows_program": (".pt", b"MZ" + bytes(64)),
        "script": (".pt", b"#!/bin/sh\n" + shell.encode() + b"\n"),
        "empty": (".safetensors", b""),
        "one_byte": (".pt", b"\x80"),
        "noise": (".pt", random.Random(0).randbytes(500)),
        "broken_safetensors": (".safetensors", struct.pack("<Q", 1 << 60) + b"{}"),
    }


def _numbers() -> dict[str, bytes]:
    """Pickles of nothing but tensors, whose shapes, strides or references lie."""
    ones = tensor((2, 2), (2, 1))
    deep = b"".join(b"}" + text("x") for _ in range(200)) + ones + b"s" * 200
    lists = {"k0": b"]q\x00" + ones + b"a"}
    for k in range(1, 40):  # each holds the one before it twice: 2 ** 40 tensors to walk through
        lists[f"k{k}"] = b"]q" + bytes([k]) + 2 * (b"h" + bytes([k - 1]) + b"a")
    return {
        "stride_zero": pickled(dictionary(w=tensor((1 << 20, 1 << 20), (0, 0), count=1))),
        "stride_zero_small": pickled(dictionary(w=tensor((100,), (0,), count=1))),
        "negative_stride": pickled(dictionary(w=tensor((4,), (-1,), offset=3))),
        "offset_beyond": pickled(dictionary(w=tensor((4,), (1,), offset=1 << 40))),
        "negative_offset": pickled(dictionary(w=tensor((4,), (1,), offset=-8))),
        "shape_beyond": pickled(dictionary(w=tensor((1 << 30,), (1,)))),
        "shape_overflow": pickled(dictionary(w=tensor((1 << 62, 4), (4, 1)))),
        "negative_shape": pickled(dictionary(w=tensor((-4,), (1,)))),
        "storage_lie": pickled(dictionary(w=tensor((1 << 20,), (1,), count=1 << 20))),
        "missing_storage": pickled(dictionary(w=tensor((4,), (1,), key="77"))),
        "storage_as_path": pickled(dictionary(w=tensor((4,), (1,), key="../data.pkl"))),
        "shape_too_short": pickled(dictionary(w=tensor((2, 2), (1,)))),
        "complex": pickled(dictionary(w=tensor((1,), (1,), count=1, kind="ComplexDouble"))),
        "holds_itself": pickled(b"}q\x00" + text("a") + b"h\x00s" + text("w") + ones + b"s"),
        "doubling": pickled(dictionary(**lists)),
        "deep": pickled(deep),
        "long_name": pickled(dictionary(**{"n" * 5000: ones})),
        "same_name": pickled(dictionary(**{"a.b": ones, "a": dictionary(b=ones)})),
        "tuple_key": pickled(b"}" + tuple_of(text("a")) + ones + b"s"),
        "nothing": pickled(dictionary(epoch=number(3))),
        "allocating_call": pickled(dictionary(w=call(name("torch", "Tensor"), number(1 << 34)))),
        "allocating_storage": pickled(dictionary(w=call(name("torch", "FloatStorage"), number(1 << 34)))),
        "called_dtype": pickled(dictionary(w=call(name("torch", "float32"), text("x")))),
        "state_on_type": pickled(name("torch", "Tensor") + dictionary(__call__=text("x")) + b"b"),
    }  # fmt: skip


def _many() -> bytes:
    """Three thousand tensors of 1 MB on one storage of 1 MB: 3 GB to write from a file of 1 MB."""
    first = tensor((1 << 20,), (1,), count=1 << 20, kind="Byte") + b"q\x01"
    body = b"".join(text(f"w{i}") + (b"h\x01" if i else first) for i in range(3000))
    return torch_archive(pickled(b"}(" + body + b"u"), {"0": bytes(1 << 20)})


def hostile_arrays() -> Iterator[Hostile]:
    """NumPy files that inflate, lie about their size, or hold objects."""

    def header(text: str, version: bytes = b"\x01\0") -> bytes:
        padded = text.encode("latin-1") + b"\n"
        return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\x01\0" else "<I", len(padded)) + padded

    def described(descr: str, shape: str) -> bytes:
        return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")

    def bomb() -> bytes:
        data = zeros_deflated(4000 << 20)
        return archive([Part(b"x.npy", data, method=8, real=4000 << 20)])

    singles = {
        "objects": described("'|O'", "(1,)") + calling("os", "getpid"),
        "object_field": described("[('a', '|O')]", "(1,)") + bytes(8),
        "claims_exabytes": described("'<f8'", "(1000000000, 1000000000)") + bytes(8),
        "overflowing_shape": described("'<f8'", f"({1 << 63}, 2)") + bytes(8),
        "negative_shape": described("'<f8'", "(-1,)") + bytes(8),
        "too_many_axes": described("'<f8'", "(" + "1," * 60 + ")") + bytes(8),
        "zero_wide": described("'|S0'", "(1000000000000,)"),
        "header_of_4_gb": b"\x93NUMPY\x02\0\xff\xff\xff\xff{",
        "header_that_calls": header("__import__('os').getpid()"),
        "header_nested": header("(" * 5000),
        "header_keys": header("{'descr': '<f8'}"),
        "header_cut": b"\x93NUMPY\x01\0\x40",
        "version_9": b"\x93NUMPY\x09\0" + bytes(32),
        "fields": described("[('a', '<f8')]", "(1,)") + bytes(8),
        "too_short": described("'<f8'", "(3,)") + bytes(8),
        "too_long": described("'<f8'", "(1,)") + bytes(80),
        "datetime": described("'<M8[s]'", "(1,)") + bytes(8),
        "no_mark": b"NUMPY" + bytes(64),
        "empty": b"",
    }
    for label, data in singles.items():
        yield Hostile(label, ".npy", lambda d=data: d, "gate")
        yield Hostile(f"{label}_in_npz", ".npz", lambda d=data: archive([Part(b"x.npy", d)]), "gate")
    good = described("'<f8'", "(1,)") + bytes(8)
    yield Hostile("bomb", ".npz", bomb, "gate")
    yield Hostile("entries", ".npz", lambda: archive([Part(b"x.npy", good)], count=60_000), "gate")
    yield Hostile("not_an_array", ".npz", lambda: archive([Part(b"x.txt", b"x")]), "gate")
    yield Hostile("encrypted", ".npz", lambda: archive([Part(b"x.npy", good, flags=1)]), "gate")
    yield Hostile("twice", ".npz", lambda: archive([Part(b"x.npy", good), Part(b"x.npy", good)]), "gate")
    yield Hostile("truncated", ".npz", lambda: archive([Part(b"x.npy", good)])[:-30], "gate")
    yield Hostile("not_a_zip", ".npz", lambda: good, "gate")
    yield Hostile(
        "size_lie", ".npz", lambda: archive([Part(b"x.npy", zeros_deflated(1 << 20), method=8, real=100)]), "gate"
    )


def mutated(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged copies of a file: bytes changed, cut, repeated, removed, and its first length field rewritten.

    Args:
        data: an honest file.
        count: how many copies.
        seed: of the damage; equal seeds give equal copies.
    """
    rng = random.Random(seed)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
            kind, at = rng.randrange(7), rng.randrange(max(1, len(copy)))
            if kind <= 2 and copy:
                copy[at] = rng.randrange(256) if kind else copy[at] ^ (1 << rng.randrange(8))
            elif kind == 3:
                del copy[at:]
            elif kind == 4:
                del copy[at : at + rng.randrange(1, 9)]
            elif kind == 5:
                copy[at:at] = copy[at : at + rng.randrange(1, 40)]
            else:
                copy[:8] = struct.pack(
                    "<Q", rng.choice((0, 1, len(copy), 1 << 31, (1 << 64) - 1, rng.randrange(1 << 16)))
                )
        yield bytes(copy)
