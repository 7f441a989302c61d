"""A look at a pickle's instructions, without running any: does it build tensors and plain values, and nothing else?

This is a tripwire and the source of a precise error ("it names os.system"), not the boundary: the boundary is the
sandbox, where torch's restricted unpickler reads the file in a process that can reach nothing. Both lists below are
narrower than torch's own: only what a dictionary of dense tensors needs.
"""

from __future__ import annotations

import pickletools
from pathlib import Path

from learnt.core.errors import UntrustedFileError
from learnt.io.sniff import unsafe

MAX_INSTRUCTIONS = 2_000_000  # about 45 a tensor, so room for 40,000 of them

INSTRUCTIONS = frozenset(
    "PROTO STOP MARK EMPTY_DICT EMPTY_LIST EMPTY_TUPLE EMPTY_SET NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 "
    "BINFLOAT BINUNICODE SHORT_BINSTRING TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS BINGET LONG_BINGET "
    "BINPUT LONG_BINPUT GLOBAL REDUCE BUILD BINPERSID".split()
)
_STORAGES = "Float Double Half BFloat16 Long Int Short Char Byte Bool ComplexFloat ComplexDouble".split()
_DTYPES = (
    "float16 float32 float64 bfloat16 complex32 complex64 complex128 int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
    "bool float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz"
).split()
GLOBALS = frozenset(
    [f"torch {kind}Storage" for kind in _STORAGES]
    + [f"torch {dtype}" for dtype in _DTYPES]
    + [f"torch {name}" for name in ("Size", "device", "Tensor")]
    + ["torch.storage UntypedStorage", "torch.storage TypedStorage", "torch.nn.parameter Parameter"]
    + [f"torch._utils _rebuild_{name}" for name in ("tensor", "tensor_v2", "tensor_v3", "parameter")]
    + ["torch._utils _rebuild_parameter_with_state", "torch._tensor _rebuild_from_type_v2"]
    + ["collections OrderedDict", "collections Counter"]
)
_UNUSUAL = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_meta_tensor_no_storage": "a tensor without data (device meta)",
    "_rebuild_wrapper_subclass": "a tensor of a special class",
    "_rebuild_device_tensor_from_numpy": "a tensor of a foreign device",
    "_rebuild_device_tensor_from_cpu_tensor": "a tensor of a foreign device",
}
_PLAIN = "Save plain dense tensors: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."


def check_pickle(data: bytes, path: Path) -> None:
    """Raise UntrustedFileError unless `data` is a pickle of tensors and plain values only.

    Args:
        data: the bytes of `data.pkl`.
        path: what the error calls the file.
    """
    count, ended = 0, 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            count += 1
            if count > MAX_INSTRUCTIONS:
                raise unsafe(path, f"a pickle of more than {MAX_INSTRUCTIONS:,} instructions")
            if opcode.name not in INSTRUCTIONS:
                raise unsafe(path, f"a pickle with the instruction {opcode.name}, which tensors do not need")
            if opcode.name == "GLOBAL" and argument not in GLOBALS:
                raise _named(str(argument), path)
            if opcode.name == "PROTO" and argument != 2:
                raise unsafe(path, f"a pickle of protocol {argument}; torch.save writes protocol 2")
            ended = (position or 0) + 1
    except UntrustedFileError:
        raise
    except Exception as error:  # pickletools raises many kinds on damaged bytes, and none of them matters here
        raise unsafe(path, "a pickle whose instructions are damaged") from error
    if ended != len(data):
        raise unsafe(path, "a pickle with bytes after its end")


def _named(argument: str, path: Path) -> UntrustedFileError:
    module, _, name = argument.partition(" ")
    if module == "torch._utils" and name in _UNUSUAL:
        return unsafe(path, f"{_UNUSUAL[name]} among the weights", remedy=_PLAIN)
    if module == "torch" and name.startswith("Q"):
        return unsafe(path, "a quantised tensor among the weights", remedy=_PLAIN)
    return unsafe(
        path,
        f"a pickle that names {module}.{name}, and could run it when opened",
        remedy="Tensors do not need that name. If you trust the file, open it with the program that wrote it and run "
        "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors').",
    )
