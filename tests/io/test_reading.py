from __future__ import annotations

import os
from pathlib import Path

import pytest

from learnt.core.errors import InputError, StorageError
from learnt.io.reading import nearest, open_regular, printable


def test_a_missing_file_is_reported_with_the_nearest_names(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with (
        pytest.raises(StorageError, match="Nearest names: weights.safetensors"),
        open_regular(tmp_path / "weight.safetensors"),
    ):
        pass


def test_a_missing_folder_is_reported_with_the_nearest_folder(tmp_path: Path) -> None:
    assert str(tmp_path) in nearest(tmp_path / "a" / "b" / "c")


def test_a_directory_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a directory"), open_regular(tmp_path):
        pass
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"), open_regular(tmp_path / "pipe"):
        pass
    with pytest.raises(InputError, match="not a regular file"), open_regular("/dev/zero"):
        pass


def test_an_impossible_name_is_a_storage_error() -> None:
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(StorageError), open_regular(name):
            pass


def test_text_from_a_file_is_shown_without_control_characters() -> None:
    assert printable("a\x1b[2J\n\u202eb") == "a\ufffd[2J\ufffd\ufffdb"
    assert len(printable("x" * 1000)) == 80


def test_no_descriptor_leaks_when_a_file_is_refused(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(StorageError), open_regular(tmp_path):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
