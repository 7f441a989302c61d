"""Tensor files: what safetensors reads is what was given, and equal contents give equal bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load, load_file

from learnt.core.errors import InputError
from learnt.io.atomic import write_tensors
from learnt.io.tensorfile import layout, parse_tensors

KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
         torch.uint16, torch.uint32, torch.uint64, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2]  # fmt: skip


def _file(tensors, metadata=None) -> bytes:
    header, pieces, size = layout(tensors, metadata, name="x")
    data = b"".join([header, *pieces])
    assert len(data) == size
    return data


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_library_reads_every_kind_of_number_back(kind):
    value = (torch.arange(24).reshape(2, 3, 4) % 7).to(kind)
    back = load(_file({"x": value}))["x"]
    assert back.dtype == kind
    assert torch.equal(back.view(torch.uint8), value.view(torch.uint8))


def test_views_scalars_empty_and_negated_tensors_are_stored_by_value():
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"transposed": base.t(), "strided": base[:, ::2], "expanded": torch.ones(1, 3).expand(4, 3), "scalar": torch.tensor(3),
               "empty": torch.zeros(0, 5), "leaf": torch.nn.Parameter(base), "conjugate": torch.tensor([1 + 2j]).conj().imag}  # fmt: skip
    back = load(_file(tensors))
    for name, value in tensors.items():
        assert torch.equal(back[name], value), name
        assert back[name].shape == value.shape


def test_arrays_are_stored_like_tensors():
    read_only = np.arange(6.0).reshape(2, 3)
    read_only.flags.writeable = False
    back = load(_file({"a": read_only, "b": np.asfortranarray(read_only), "c": read_only[::-1], "d": np.array([True])}))
    assert torch.equal(back["a"], back["b"])
    assert torch.equal(back["c"], back["a"].flip(0))
    assert back["d"].dtype == torch.bool


def test_equal_contents_give_equal_bytes_in_any_process_and_order(tmp_path):
    script = (
        "import sys, torch; from learnt.io.atomic import write_tensors\n"
        "names = sys.argv[2].split(',')\n"
        "write_tensors(sys.argv[1], {n: torch.full((3,), float(ord(n))) for n in names}, {n: n for n in names})"
    )
    digests = set()
    for seed, names in [("0", "a,b,c,d"), ("1", "d,c,b,a"), ("random", "b,a,d,c")]:
        path = tmp_path / f"{seed}.safetensors"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", script, str(path), names], check=True, env=environment)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_metadata_and_odd_names_survive(tmp_path):
    tensors = {"é [red]": torch.ones(1), "": torch.ones(2), "../x": torch.ones(3), 'q"\\\n': torch.ones(4)}
    path = write_tensors(tmp_path / "x.safetensors", tensors, {"é": '\n"', "b": ""})
    assert set(load_file(path)) == set(tensors)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"é": '\n"', "b": ""}


def test_every_tensor_is_aligned_to_its_elements():
    data = _file(
        {"b": torch.ones(3, dtype=torch.bool), "h": torch.ones(3, dtype=torch.half), "d": torch.ones(3).double()}
    )
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    import json

    head = json.loads(data[8 : 8 + length])
    assert head["d"]["data_offsets"][0] % 8 == 0
    assert head["h"]["data_offsets"][0] % 2 == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", torch.ones(2, 2).to_sparse()), ("x", torch.ones(2, device="meta")), ("x", torch.ones(2, dtype=torch.complex64)), ("x", [1.0]),
     ("x", np.array(["text"])), ("x", np.array([object()])), ("__metadata__", torch.ones(1)), (3, torch.ones(1)), ("\ud800", torch.ones(1))],
    ids=["sparse", "meta", "complex", "list", "text", "objects", "reserved", "not text", "surrogate"],
)  # fmt: skip
def test_what_the_format_cannot_hold_is_an_input_error(name, value, tmp_path):
    with pytest.raises(InputError):
        write_tensors(tmp_path / "x", {name: value})
    assert os.listdir(tmp_path) == []


def test_metadata_must_be_text():
    with pytest.raises(InputError, match="text for each key"):
        _file({}, {"epochs": 3})


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda n: n != "__metadata__"), st.lists(st.integers(-9, 9), max_size=4), max_size=5
    )
)
def test_our_reader_returns_what_our_writer_took(values):
    tensors = {name: torch.tensor(inner, dtype=torch.int64) for name, inner in values.items()}
    back, metadata = parse_tensors(_file(tensors, {"k": "v"}), name="x")
    assert metadata == {"k": "v"}
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("data", [b"", b"short", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}x", b"\x04\0\0\0\0\0\0\0nope"])
def test_bytes_that_are_no_tensor_file_are_an_input_error(data):
    with pytest.raises(InputError, match="not safetensors"):
        parse_tensors(data, name="x")
