"""Manifests: a directory is reused with its own settings only, and an error says which ones differ."""

from __future__ import annotations

import json
import math
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError, LearntError, ResumeError, StorageError
from learnt.io.manifest import Manifest, open_manifest, provenance

CONFIG = {"epochs": 10, "optimiser": {"name": "adam", "rate": 1e-3}, "layers": [64, 128], "data": "digits"}


def test_the_manifest_of_a_new_directory_is_found_again(tmp_path):
    made = open_manifest(tmp_path, CONFIG, provenance(command="learnt demo"))
    assert Manifest.read(tmp_path) == made
    assert open_manifest(tmp_path, CONFIG, provenance(command="something else")) == made
    assert made.provenance["command"] == "learnt demo"


def test_equal_settings_in_another_spelling_are_equal(tmp_path):
    made = open_manifest(tmp_path, CONFIG, {})
    before = (tmp_path / "manifest.json").read_bytes()
    again = open_manifest(tmp_path, {**dict(reversed(CONFIG.items())), "layers": (64, 128)}, {})
    assert again.config_hash == made.config_hash and (tmp_path / "manifest.json").read_bytes() == before


def test_other_settings_are_refused_with_each_difference_and_both_values(tmp_path):
    open_manifest(tmp_path, CONFIG, {})
    other = {"epochs": 20, "optimiser": {"name": "adam", "rate": 1e-2}, "layers": [64], "seed": 1}
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(ResumeError) as caught:
        open_manifest(tmp_path, other, {})
    for part in ["epochs is 10 there and 20 here", "optimiser.rate is 0.001 there and 0.01 here", "layers is [64,128] there and [64] here",
                 'data is "digits" there and absent here', "seed is absent there and 1 here"]:  # fmt: skip
        assert part in str(caught.value)
    assert "name" not in str(caught.value)
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_true_one_and_one_point_nought_are_different_settings(tmp_path):
    open_manifest(tmp_path, {"a": 1}, {})
    for other in (True, 1.0, "1"):
        with pytest.raises(ResumeError, match="a is 1 there"):
            open_manifest(tmp_path, {"a": other}, {})


def test_a_long_list_of_differences_is_cut_short(tmp_path):
    open_manifest(tmp_path, {f"k{i}": "x" * 1000 for i in range(50)}, {})
    with pytest.raises(ResumeError, match="and 42 more") as caught:
        open_manifest(tmp_path, {}, {})
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("config", [{"a": math.nan}, {1: 2}, {"a": object()}, [1], "text", {"a": "\ud800"}])
def test_settings_that_are_not_plain_data_are_an_input_error(config, tmp_path):
    with pytest.raises(InputError):
        open_manifest(tmp_path, config, {})
    assert os.listdir(tmp_path) == []


def test_a_damaged_or_foreign_manifest_is_refused(tmp_path):
    path = tmp_path / "manifest.json"
    open_manifest(tmp_path, CONFIG, {})
    honest = path.read_text()
    for text, error, message in [
        (honest.replace("10", "11"), ResumeError, "do not match their own hash"),
        (honest.replace("learnt.run/1", "learnt.run/99"), ResumeError, "learnt.run/99"),
        ('{"name": "my web app"}', ResumeError, "another program"),
        ("[]", ResumeError, "another program"),
        ('{"schema": "learnt.run/1"}', ResumeError, "do not match"),
        (honest[:50], InputError, "line"),
        ("", InputError, "line 1, column 1"),
    ]:
        path.write_text(text)
        with pytest.raises(error, match=message):
            open_manifest(tmp_path, CONFIG, {})
        assert path.read_text() == text


def test_a_manifest_with_one_bit_changed_is_refused_or_says_the_same(tmp_path):
    path = tmp_path / "manifest.json"
    open_manifest(tmp_path, CONFIG, {})
    honest = path.read_bytes()
    rng = random.Random(1)
    refused = 0
    for _ in range(2000):
        data = bytearray(honest)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            assert open_manifest(tmp_path, CONFIG, {}).config == CONFIG
        except LearntError:
            refused += 1
    assert refused > 1500


def test_a_directory_that_does_not_exist_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        open_manifest(tmp_path / "missing", {}, {})


@given(
    st.dictionaries(
        st.text(max_size=4), st.integers() | st.text(max_size=4) | st.lists(st.booleans(), max_size=2), max_size=4
    )
)
def test_the_hash_depends_on_the_settings_and_not_on_their_order(config):
    mixed = dict(reversed(config.items()))
    assert Manifest(config=config).config_hash == Manifest(config=mixed).config_hash
    assert Manifest(config={**config, "one more": 1}).config_hash != Manifest(config=config).config_hash


def test_provenance_names_versions_threads_and_command_and_no_time_unless_asked():
    import torch

    made = provenance(command="x")
    assert made["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]  # not every build names itself
    assert made["threads"] == torch.get_num_threads()
    assert "time" not in made
    assert provenance(when=True)["time"].endswith("Z")
    assert provenance(threads=3)["threads"] == 3
    json.dumps(made)
