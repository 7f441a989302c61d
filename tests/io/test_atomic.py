"""Atomic writes: the old file or the new one, never a part of one, whatever goes wrong in between."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, StorageError
from learnt.io import atomic, process
from learnt.io.atomic import (
    append_line,
    ensure_directory,
    read_bytes,
    read_json,
    read_text,
    sha256_of,
    show,
    sweep_temporaries,
    write_bytes,
    write_json,
    write_tensors,
    write_text,
)

WRITERS = {
    "bytes": lambda path: write_bytes(path, b"new" * 1000),
    "text": lambda path: write_text(path, "new é" * 1000),
    "json": lambda path: write_json(path, {"new": list(range(1000))}),
    "tensors": lambda path: write_tensors(path, {"a": torch.ones(100), "b": np.arange(1000)}, {"k": "v"}),
}
ERRORS = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "quota",
    errno.EFBIG: "larger than the limit",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "read-only",
    errno.EIO: "Input/output error",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_is_written_whole_and_replaces_the_old_one(writer, tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    assert WRITERS[writer](path) == path
    assert path.stat().st_size > 1000
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("code", ERRORS, ids=[errno.errorcode[code] for code in ERRORS])
@pytest.mark.parametrize("site", ["open", "write", "fsync", "close", "replace"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_failure_at_any_step_leaves_the_old_file_and_names_path_and_bytes(writer, site, code, tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    true, calls = getattr(os, site), []

    def fail(*args, **options):
        calls.append(args)
        if site == "close":
            true(*args, **options)  # the descriptor is gone all the same
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, site, fail)
        with pytest.raises(StorageError) as caught:
            WRITERS[writer](path)
    assert calls
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]
    assert ERRORS[code] in str(caught.value)
    assert str(path) in str(caught.value)
    assert "bytes needed" in str(caught.value)
    assert caught.value.exit_code == 2
    WRITERS[writer](path)  # and once there is room again, it works
    assert path.read_bytes() != b"old"


def test_a_write_that_stops_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    true = os.write

    def half(descriptor, data):
        if len(data) > 1000:
            return true(descriptor, data[:1000])
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StorageError, match=r"room to write it \(1,500 bytes needed\)"):
        write_bytes(path, b"x" * 1500)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    true = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: true(descriptor, data[:7]))
    write_bytes(tmp_path / "out", bytes(range(256)))
    assert (tmp_path / "out").read_bytes() == bytes(range(256))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, SystemExit])
def test_an_interruption_while_writing_leaves_the_old_file(stop, tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def interrupt(*_):
        raise stop

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(stop):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_directory_that_cannot_be_flushed_does_not_spoil_a_finished_write(tmp_path, monkeypatch):
    true = os.fsync
    calls = []

    def only_files(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EINVAL, "not for directories")
        true(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_bytes(tmp_path / "out", b"new")
    assert len(calls) == 2
    assert (tmp_path / "out").read_bytes() == b"new"


def test_file_and_directory_are_flushed_in_that_order_around_the_replacement(tmp_path, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        true = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, true=true: (order.append(name), true(*args))[1])
    write_bytes(tmp_path / "out", b"new")
    assert order == ["fsync", "replace", "fsync"]


def test_a_real_size_limit_is_a_storage_error(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.raises(StorageError, match="larger than the limit"):
            write_bytes(path, b"x" * 10_000)
        with pytest.raises(StorageError, match="larger than the limit"):
            append_line(path, b"y" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte; needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"cannot mount a small file system here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_really_full_disk_is_a_storage_error_and_freeing_space_helps(small_disk):
    path = small_disk / "out"
    path.write_bytes(b"old")
    (small_disk / "ballast").write_bytes(b"b" * 700_000)
    with pytest.raises(StorageError, match=r"no space left on the disk.*600,000 bytes needed"):
        write_bytes(path, b"x" * 600_000)
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(small_disk)) == ["ballast", "out"]
    (small_disk / "ballast").unlink()
    write_bytes(path, b"x" * 600_000)
    assert path.stat().st_size == 600_000


def test_a_really_read_only_disk_is_a_storage_error(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for attempt in (
        lambda: write_bytes(small_disk / "x", b"x"),
        lambda: ensure_directory(small_disk / "d"),
        lambda: ensure_directory(small_disk),
    ):
        with pytest.raises(StorageError, match="read-only file system"):
            attempt()


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing/out", "its directory to exist"), ("file/out", "a file where a directory should be"), ("directory", "found a directory"),
     ("x" * 300, "name too long")],
)  # fmt: skip
def test_impossible_places_are_storage_errors(name, message, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "directory").mkdir()
    with pytest.raises(StorageError, match=message):
        write_bytes(tmp_path / name, b"x")
    assert sorted(os.listdir(tmp_path)) == ["directory", "file"]


@pytest.mark.parametrize("path", ["", "a\0b", "a\ud800b"])
def test_impossible_names_are_input_errors(path):
    for attempt in (lambda: write_bytes(path, b""), lambda: read_bytes(path), lambda: ensure_directory(path)):
        with pytest.raises(InputError):
            attempt()


@pytest.mark.parametrize("name", ["é" * 120, "x" * 250, "a b\n[red]", "-rf", "ü.part-x"])
def test_any_possible_name_can_be_written(name, tmp_path):
    write_bytes(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == [name]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "outside").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "outside").read_bytes() == b"old"


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        write_bytes(tmp_path / "private", b"")
        os.umask(0o022)
        write_bytes(tmp_path / "public", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644


def test_readers_see_complete_files_only(tmp_path):
    path = tmp_path / "out.json"
    write_json(path, {"n": 0, "pad": [0] * 2000})
    stop, seen, faults = threading.Event(), set(), []

    def read():
        while not stop.is_set():
            try:
                seen.add(read_json(path)["n"])
            except Exception as error:  # any at all is a failure of the claim
                faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for n in range(1, 150):
        write_json(path, {"n": n, "pad": [n] * 2000})
    stop.set()
    for reader in readers:
        reader.join()
    assert not faults
    assert len(seen) > 1


# -- what is written -----------------------------------------------------------------------------------


def test_json_is_sorted_strict_and_ends_in_a_newline(tmp_path):
    path = write_json(tmp_path / "x.json", {"b": [1, 2.5, None, True], "a": "é<&>"})
    assert path.read_text(encoding="utf-8") == '{\n "a": "é<&>",\n "b": [\n  1,\n  2.5,\n  null,\n  true\n ]\n}\n'
    assert write_json(tmp_path / "y.json", {"a": "é<&>", "b": (1, 2.5, None, True)}).read_bytes() == path.read_bytes()


LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.inf],
        {"a": -math.inf},
        {1: 2},
        {"a": {None: 1}},
        {1, 2},
        b"bytes",
        object(),
        "\ud800",
        {"\ud800": 1},
        LOOP,
        np.float32(1),
    ],
    ids=[
        "nan",
        "inf",
        "-inf",
        "integer key",
        "none key",
        "set",
        "bytes",
        "object",
        "surrogate",
        "surrogate key",
        "loop",
        "float32",
    ],
)
def test_what_json_cannot_hold_is_an_input_error_and_writes_nothing(value, tmp_path):
    with pytest.raises(InputError):
        write_json(tmp_path / "x.json", value)
    assert os.listdir(tmp_path) == []


def test_text_keeps_its_line_ends_and_refuses_lone_surrogates(tmp_path):
    assert write_text(tmp_path / "x", "a\r\nb\n").read_bytes() == b"a\r\nb\n"
    assert read_text(tmp_path / "x") == "a\r\nb\n"
    with pytest.raises(InputError, match="surrogate at character 1"):
        write_text(tmp_path / "y", "a\ud800")


def test_appended_lines_stay_whole_when_an_append_fails(tmp_path, monkeypatch):
    path = tmp_path / "log"
    append_line(path, b"one\n")
    append_line(path, b"two\n")
    for site in ("write", "fsync"):
        true = getattr(os, site)

        def fail(descriptor, *data, true=true, site=site):
            if site == "write":
                true(descriptor, data[0][:2])
            raise OSError(errno.ENOSPC, "full")

        with monkeypatch.context() as patch:
            patch.setattr(os, site, fail)
            with pytest.raises(StorageError, match="no space left"):
                append_line(path, b"three\n")
    assert path.read_bytes() == b"one\ntwo\n"


# -- what is read --------------------------------------------------------------------------------------


def test_reading_names_what_is_wrong_with_a_file(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StorageError, match="nothing there; expected a file that exists"):
        read_json(tmp_path / "missing")
    with pytest.raises(StorageError, match="not a regular file"):
        read_bytes(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="not a regular file"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(StorageError, match="not a regular file"):
        read_bytes("/dev/zero", max_bytes=10)
    (tmp_path / "big").write_bytes(b" " * 101)
    with pytest.raises(InputError, match="found 101 bytes; expected at most 100 bytes"):
        read_json(tmp_path / "big", max_bytes=100)
    with pytest.raises(StorageError):
        sha256_of(tmp_path / "missing")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_without_permission_is_a_storage_error(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "denied")

    (tmp_path / "x").write_bytes(b"{}")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match="no permission"):
        read_json(tmp_path / "x")


def test_paths_are_shown_without_control_characters():
    assert show("a\x1b[31m\nb\u202e") == "a\ufffd[31m\ufffdb\ufffd"


# -- directories and leftovers -------------------------------------------------------------------------


def test_a_directory_is_created_and_checked(tmp_path):
    assert ensure_directory(tmp_path / "a" / "b").is_dir()
    assert ensure_directory(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert os.listdir(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_bytes(b"")
    for place in ("file", "file/below"):
        with pytest.raises(StorageError, match="a file where a directory should be"):
            ensure_directory(tmp_path / place)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("site", ["mkdir", "open"])
def test_a_directory_that_cannot_be_used_is_a_storage_error(site, code, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(code, "no")

    monkeypatch.setattr(os, site, fail)
    with pytest.raises(StorageError, match=f"(?s){tmp_path}.*{ERRORS[code]}"):
        ensure_directory(tmp_path / "new")


def _leave_temporary(directory) -> str:
    """The name of a temporary file left by a process that was killed while writing."""
    script = (
        "import os, signal, sys; from learnt.io import atomic\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write_bytes(sys.argv[1] + '/out', b'half')"
    )
    before = set(os.listdir(directory))
    assert subprocess.run([sys.executable, "-c", script, str(directory)]).returncode == -signal.SIGKILL
    (name,) = set(os.listdir(directory)) - before
    return name


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path):
    _leave_temporary(tmp_path)
    me = process.current()
    kept = {
        f".out.part-{atomic._host_tag(me.host)}-{me.pid}-{me.start}-0123abcd": "of this live process",
        f".out.part-{atomic._host_tag('elsewhere')}-999999999-1-0123abcd": "of another machine",
        "out.part-1": "not of our making",
        ".out.part-x-1-1-0123abcd": "not of our making",
        "data": "a result",
    }
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    dead = f".out.part-{atomic._host_tag(me.host)}-{me.pid}-{me.start + 1}-0123abcd"  # our pid, but another process
    (tmp_path / dead).write_bytes(b"")
    assert sweep_temporaries(tmp_path) == 2
    assert set(os.listdir(tmp_path)) == set(kept)
    assert sweep_temporaries(tmp_path / "missing") == 0


def test_a_reader_of_the_directory_is_never_shown_a_temporary_as_a_result(tmp_path):
    assert _leave_temporary(tmp_path).startswith(".out.part-")
    assert not (tmp_path / "out").exists()


def test_json_that_was_written_is_read_back(tmp_path):
    value = {"a": [1, 2.5, "x", None, {"b": True}], "é": "\U0001f600", "tiny": 5e-324, "huge": 1.7976931348623157e308}
    assert read_json(write_json(tmp_path / "x", value)) == json.loads(json.dumps(value))
