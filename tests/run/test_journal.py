"""The journal: a torn last line is cut off, a damaged one loses its own chunk only."""

from __future__ import annotations

import errno
import json
import os
import random

import pytest

from learnt.core.errors import StorageError
from learnt.run.journal import Entry, Journal

ENTRIES = [Entry(f'work/{i} é"\n', f"{i:064x}", f"chunks/work-{i}.json") for i in range(4)]


@pytest.fixture
def full(tmp_path):
    journal = Journal(tmp_path)
    for entry in ENTRIES:
        journal.add(entry)
    return tmp_path


def test_what_was_recorded_is_found_again(full):
    assert Journal(full).entries == {entry.key: entry for entry in ENTRIES}
    assert Journal(full).damaged == 0
    assert len((full / "journal.jsonl").read_bytes().splitlines()) == len(ENTRIES)


def test_a_new_directory_has_an_empty_journal(tmp_path):
    assert Journal(tmp_path).entries == {}
    assert os.listdir(tmp_path) == []


def test_the_last_line_torn_at_any_byte_loses_that_line_only(full):
    path = full / "journal.jsonl"
    whole = path.read_bytes()
    last = len(ENTRIES[-1].line())
    for missing in range(1, last + 1):
        path.write_bytes(whole[: len(whole) - missing])
        journal = Journal(full)
        assert journal.entries == {entry.key: entry for entry in ENTRIES[:-1]}, missing
        assert journal.damaged == (missing < last)
        journal.add(ENTRIES[-1])
        assert path.read_bytes() == whole, missing


def test_a_damaged_line_in_the_middle_loses_its_own_chunk_only(full):
    path = full / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    rng = random.Random(3)
    for _ in range(500):
        data = bytearray(lines[1])
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(lines[0] + bytes(data) + b"".join(lines[2:]))
        entries = Journal(full).entries
        assert {ENTRIES[0].key, ENTRIES[3].key} <= entries.keys()
        assert all(entries[entry.key] == entry for entry in (ENTRIES[0], ENTRIES[3]))
        assert len(Journal(full).entries) == len(entries)  # it was mended


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"{}", b"null", b'{"key": "a"}', b'{"file":"f","key":"k","sha256":"short"}', b'{"file":1,"key":"k","sha256":"' + b"0" * 64 + b'"}',
     b'{"file":"f","key":"k","key":"l","sha256":"' + b"0" * 64 + b'"}', b"[" * 100_000, b"\xff\xfe", b"NaN"],
)  # fmt: skip
def test_a_line_of_another_kind_is_dropped(line, full):
    path = full / "journal.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    journal = Journal(full)
    assert journal.damaged == 1
    assert list(journal.entries.values()) == ENTRIES


def test_a_later_line_wins(full):
    again = Entry(ENTRIES[0].key, "f" * 64, ENTRIES[0].file)
    Journal(full).add(again)
    assert Journal(full).entries[again.key] == again


def test_lines_are_strict_json_with_sorted_keys():
    record = json.loads(ENTRIES[0].line())
    assert list(record) == ["file", "key", "sha256"]
    assert ENTRIES[0].line().count(b"\n") == 1


def test_a_full_disk_leaves_the_journal_as_it_was(full, monkeypatch):
    journal = Journal(full)
    before = (full / "journal.jsonl").read_bytes()

    def fail(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="no space left"):
        journal.add(Entry("new", "0" * 64, "chunks/new.json"))
    assert (full / "journal.jsonl").read_bytes() == before
    assert "new" not in journal.entries
