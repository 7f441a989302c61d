"""Chunk files: what comes back is what any run would get, and a changed file is never taken for it."""

from __future__ import annotations

import hashlib
import math
import os
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError, LearntError, ResumeError, StorageError
from learnt.run import chunks
from learnt.run.journal import Entry


@pytest.fixture
def place(tmp_path):
    (tmp_path / "chunks").mkdir()
    return tmp_path


def test_plain_values_come_back_as_json_would_give_them(place):
    entry, value = chunks.write(
        place, "k", {"a": (1, 2.5), "b": None, "c": np.float32(1.5), "d": [np.int64(3), np.bool_(True)]}
    )
    assert value == {"a": [1, 2.5], "b": None, "c": 1.5, "d": [3, True]}
    assert chunks.read(place, entry) == value
    assert entry.file.endswith(".json")


def test_tensors_arrays_and_values_come_back_as_what_they_were(place):
    given_ = {
        "z": torch.arange(3),
        "a": np.arange(4.0).reshape(2, 2),
        "n": 3,
        "l": (1, 2),
        "e": torch.zeros(0, 2),
        "h": torch.ones(2).half(),
    }
    entry, value = chunks.write(place, "k", given_)
    for result in (value, chunks.read(place, entry)):
        assert list(result) == list(given_)
        assert torch.equal(result["z"], given_["z"])
        assert isinstance(result["a"], np.ndarray)
        assert np.array_equal(result["a"], given_["a"])
        assert result["n"] == 3
        assert result["l"] == [1, 2]
        assert result["e"].shape == (0, 2)
        assert result["h"].dtype == torch.half
        result["z"] += 1  # results are ordinary, writable tensors


def test_nan_may_stand_in_a_tensor_and_nowhere_else(place):
    _, value = chunks.write(place, "k", {"t": torch.tensor([math.nan])})
    assert value["t"].isnan().all()
    for bad in (math.nan, {"x": math.inf}, {"t": torch.ones(1), "x": math.nan}):
        with pytest.raises(InputError, match="the result of k"):
            chunks.write(place, "k", bad)


@pytest.mark.parametrize(
    "bad",
    [
        object(),
        {"a": {1: 2}},
        [torch.ones(1)],
        torch.ones(1),
        {"a": [np.ones(2)]},
        {"a": torch.ones(1).to_sparse()},
        {1: torch.ones(1)},
    ],
)
def test_what_cannot_be_stored_is_an_input_error_and_leaves_no_file(bad, place):
    with pytest.raises(InputError):
        chunks.write(place, "k", bad)
    assert os.listdir(place / "chunks") == []


NAMES = ["../x", "..\\x", "%2e%2e", "/etc/passwd", "C:\\x", "a\0b", "a\nb", "x" * 300, "con", "nul.txt", "-rf", "", ".", "..", "~", "a/b/../../c",
         "\u202e", "\ud800", "ａ", "İ", "ß", "[red]", "<script>", " ", "CHUNKS", "chunks"]  # fmt: skip


def test_no_key_leads_out_of_the_folder_and_no_two_share_a_file(place):
    slugs = {key: chunks.slug(key) for key in NAMES}
    assert len(set(slugs.values())) == len(NAMES)
    for key, slug in slugs.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,79}", slug), key
        assert (place / "chunks" / f"{slug}.json").resolve().parent == (place / "chunks").resolve()


@given(st.text(), st.text())
def test_different_keys_have_different_files(a, b):
    assert (chunks.slug(a) == chunks.slug(b)) == (a == b)


def test_every_changed_bit_is_noticed(place):
    for value in ({"a": 1, "b": [2.5]}, {"t": torch.arange(5), "x": 1}):
        entry, _ = chunks.write(place, "k", value)
        path = place / entry.file
        honest = path.read_bytes()
        for bit in range(8 * len(honest)):
            data = bytearray(honest)
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            with pytest.raises(ResumeError, match="do not match their hash"):
                chunks.read(place, entry)


def test_a_missing_or_shortened_file_is_noticed(place):
    entry, _ = chunks.write(place, "k", 1)
    (place / entry.file).write_bytes((place / entry.file).read_bytes()[:-1])
    with pytest.raises(ResumeError):
        chunks.read(place, entry)
    (place / entry.file).unlink()
    with pytest.raises(StorageError):
        chunks.read(place, entry)


def test_a_journal_cannot_point_outside_or_to_another_chunk(place):
    secret = place / "secret.json"
    secret.write_text('{"key": "k", "value": 1}')
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    for file in ("secret.json", "chunks/../secret.json", str(secret), "chunks/k.json"):
        with pytest.raises(ResumeError, match="does not belong to its key"):
            chunks.read(place, Entry("k", digest, file))
    other, _ = chunks.write(place, "other", 2)
    mine = place / "chunks" / f"{chunks.slug('k')}.json"
    mine.write_bytes((place / other.file).read_bytes())
    with pytest.raises(ResumeError, match="another chunk"):
        chunks.read(place, Entry("k", other.sha256, f"chunks/{mine.name}"))


@pytest.mark.parametrize("data", [b"[]", b"3", b"{}", b"nope", b'{"key": 1}'])
def test_a_well_hashed_file_of_another_kind_is_noticed(data, place):
    for ending in ("json", "safetensors"):
        path = place / "chunks" / f"{chunks.slug('k')}.{ending}"
        path.write_bytes(data)
        with pytest.raises(LearntError):
            chunks.read(place, Entry("k", hashlib.sha256(data).hexdigest(), f"chunks/{path.name}"))


def test_equal_results_have_equal_bytes(place):
    first, _ = chunks.write(place, "k", {"t": torch.ones(3), "a": 1, "b": 2})
    again, _ = chunks.write(place, "k", {"t": torch.ones(3), "a": 1, "b": 2})
    assert first == again
