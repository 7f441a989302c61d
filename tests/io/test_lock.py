"""One writer a directory: a live holder is respected, a dead one's lock is taken over at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from learnt.core.errors import BusyError, StorageError
from learnt.io import process
from learnt.io.lock import run_lock

HOLD = """
import sys, time
from learnt.io.lock import run_lock
from learnt.core.errors import BusyError
try:
    with run_lock(sys.argv[1]):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except BusyError as error:
    print("busy", error, flush=True)
"""


def _holder(directory, seconds=60.0):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory), str(seconds)], stdout=subprocess.PIPE, text=True
    )


def test_a_second_writer_is_refused_at_once_with_the_first_one_named(tmp_path):
    with _holder(tmp_path) as first:
        try:
            assert first.stdout.readline() == "held\n"
            begin = time.perf_counter()
            with pytest.raises(BusyError, match=f"process {first.pid} at work in it"), run_lock(tmp_path):
                pass
            assert time.perf_counter() - begin < 0.5
        finally:
            first.kill()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    with _holder(tmp_path) as first:
        assert first.stdout.readline() == "held\n"
        first.send_signal(signal.SIGKILL)
    assert json.loads((tmp_path / "lock").read_text())["pid"] == first.pid
    with run_lock(tmp_path) as held:
        assert held == tmp_path
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_the_lock_is_free_after_the_block_and_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), run_lock(tmp_path):
            raise KeyError
    with run_lock(tmp_path):
        pass
    assert (tmp_path / "lock").read_bytes() == b""


def test_the_same_process_cannot_hold_it_twice(tmp_path):
    with run_lock(tmp_path), pytest.raises(BusyError, match=f"process {os.getpid()}"), run_lock(tmp_path):
        pass


@pytest.mark.slow
def test_of_two_racing_writers_exactly_one_proceeds(tmp_path):
    script = """
import sys, time
from learnt.io.lock import run_lock
from learnt.core.errors import BusyError
while line := sys.stdin.readline():
    directory, begin = line.split()
    while time.time() < float(begin): pass
    try:
        with run_lock(directory):
            print("held", flush=True)
            sys.stdin.readline()  # held until told, however late the other is on a busy machine
    except BusyError:
        print("busy", flush=True)
"""
    command = [sys.executable, "-c", script]
    pair = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for i, process_ in enumerate(pair):  # both have imported everything before the race begins
            process_.stdin.write(f"{tmp_path / f'warm{i}'} 0\nrelease\n")
            process_.stdin.flush()
            process_.stdout.readline()
        for race in range(50):
            begin = time.time() + 0.01
            for process_ in pair:
                process_.stdin.write(f"{tmp_path / str(race)} {begin}\n")
                process_.stdin.flush()
            said = [process_.stdout.readline() for process_ in pair]
            assert sorted(said) == ["busy\n", "held\n"], race
            holder = pair[said.index("held\n")]
            holder.stdin.write("release\n")
            holder.stdin.flush()
    finally:
        for process_ in pair:
            process_.stdin.close()
            process_.wait(10)
            process_.stdout.close()


def _record(directory, **changes):
    me = process.current()
    record = {"host": me.host, "pid": me.pid, "start": me.start, "since": "2026-11-21 12:00:00 UTC", **changes}
    (directory / "lock").write_text(json.dumps(record) + "\n")


def test_the_record_of_another_machine_is_respected_and_the_way_out_is_named(tmp_path):
    _record(tmp_path, host="elsewhere\x1b[31m")
    with pytest.raises(BusyError, match=r"machine elsewhere.*delete .*lock") as caught, run_lock(tmp_path):
        pass
    assert "\x1b" not in str(caught.value)
    (tmp_path / "lock").unlink()
    with run_lock(tmp_path):
        pass


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\0", b'{"host": "a', b'{"host":', b'{"host": "a", "pid": "x", "start": 1}']
)
def test_a_torn_record_does_not_block(content, tmp_path):
    (tmp_path / "lock").write_bytes(content)
    with run_lock(tmp_path):
        assert json.loads((tmp_path / "lock").read_bytes())["pid"] == os.getpid()  # taken over, and ours now
        with pytest.raises(BusyError), run_lock(tmp_path):
            pass


def test_without_flock_the_record_decides(tmp_path, monkeypatch):
    import fcntl

    def unsupported(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    _record(tmp_path)
    with pytest.raises(BusyError), run_lock(tmp_path):
        pass
    _record(tmp_path, start=process.current().start + 1)  # the pid lives, but it is another process
    with run_lock(tmp_path), pytest.raises(BusyError), run_lock(tmp_path):
        pass


def test_a_foreign_file_called_lock_is_left_alone(tmp_path):
    (tmp_path / "lock").write_text("my notes")
    with pytest.raises(StorageError, match="another program"), run_lock(tmp_path):
        pass
    assert (tmp_path / "lock").read_text() == "my notes"


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "target").write_text("")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError), run_lock(tmp_path):
        pass


def test_an_unwritable_directory_is_a_storage_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError), run_lock(tmp_path / "file"):
        pass


def test_a_process_is_told_from_another_with_the_same_number():
    me = process.current()
    assert me.host == socket.gethostname()
    assert process.is_alive(me) is True
    assert process.is_alive(process.Owner(me.host, me.pid, me.start + 1)) is False
    assert process.is_alive(process.Owner(me.host, me.pid, 0)) is True
    assert process.is_alive(process.Owner("elsewhere", me.pid, me.start)) is None
    assert process.is_alive(process.Owner(me.host, -1, 0)) is False


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    owner = process.Owner(socket.gethostname(), child.pid, 0)
    deadline = time.monotonic() + 10
    while process.is_alive(owner) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.is_alive(owner) is False  # it has ended, and nobody has waited for it yet
    child.wait()
