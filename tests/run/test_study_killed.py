"""A study killed at random moments and resumed ends with the very bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import time

import psutil
import pytest
from tests.run.processes import Running, study, study_with_a_fault
from tests.run.test_study import digest

COUNT, PAUSE = 30, 0.03


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, scratch):
    directory = tmp_path_factory.mktemp("undisturbed")
    assert Running(study, scratch, directory, COUNT, 1, 0).finish() == (0, "begun\ndone\n", "")
    return digest(directory)


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "kills"), [(1, 17), (2, 3)])
def test_twenty_kills_at_random_moments_change_no_bit(jobs, kills, undisturbed, scratch, tmp_path):
    rng = random.Random(20261121 + jobs)
    done, killed = 0, 0
    for _ in range(kills):
        process = Running(study, scratch, tmp_path, COUNT, jobs, PAUSE)
        process.wait_for("begun")
        if jobs == 2:  # worker processes need seconds to begin, how many depends on the machine: wait for a chunk
            _wait_for_lines(tmp_path, done + rng.randint(1, 4))
        time.sleep(rng.uniform(0, 0.1) if jobs == 1 else rng.uniform(0, PAUSE))  # any moment of the next few chunks
        workers = psutil.Process(process.pid).children()
        process.send(signal.SIGKILL)
        _, left = psutil.wait_procs(workers, timeout=20)
        assert not left, "workers outlive the process they work for"
        killed += process.finish()[0] == -signal.SIGKILL
        before, done = done, _journal_lines(tmp_path)
        assert done >= before  # nothing finished is ever lost
    assert killed >= kills - 1, "the kills came too late to mean anything"
    code, out, _ = Running(study, scratch, tmp_path, COUNT, jobs, PAUSE).finish()
    assert (code, out) == (0, "begun\ndone\n")
    assert digest(tmp_path) == undisturbed
    assert _leftovers(tmp_path) == []


def _journal_lines(directory):
    path = directory / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _wait_for_lines(directory, lines):
    end = time.monotonic() + 60
    while _journal_lines(directory) < lines and time.monotonic() < end:
        time.sleep(0.002)


def _leftovers(directory):
    return [name for _, _, names in os.walk(directory) for name in names if ".part-" in name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("site", "n"), [("fsync", 2), ("fsync", 5), ("fsync", 6), ("replace", 2), ("write", 2), ("write", 3), ("write", 4)]
)
def test_a_kill_inside_a_write_changes_no_bit(site, n, scratch, tmp_path):
    assert Running(study_with_a_fault, scratch, tmp_path / "killed", site, n).finish()[0] == -signal.SIGKILL
    for name in ("killed", "whole"):
        assert Running(study_with_a_fault, scratch, tmp_path / name, site, 0).finish() == (0, "", "")
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")
    assert _leftovers(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGTERM, 2)])
def test_a_signal_stops_within_five_seconds_with_exit_4_and_the_resume_command(
    number, jobs, undisturbed, scratch, tmp_path
):
    process = Running(study, scratch, tmp_path, COUNT, jobs, 0.5)
    process.wait_for("begun")
    time.sleep(0.7 if jobs == 1 else 2.5)
    begin = time.monotonic()
    process.send(number)
    code, out, err = process.finish()
    assert time.monotonic() - begin < 5
    assert (code, out) == (4, "begun\n")
    assert number.name in err
    assert f"of {COUNT} chunks" in err
    assert "Resume with: the resume command" in err
    assert "Traceback" not in err
    assert _leftovers(tmp_path) == []
    assert Running(study, scratch, tmp_path, COUNT, 1, 0).finish()[0] == 0
    assert digest(tmp_path) == undisturbed


@pytest.mark.slow
def test_a_second_run_in_the_same_directory_is_refused_with_exit_2(scratch, tmp_path):
    first = Running(study, scratch, tmp_path, COUNT, 1, 0.5)
    first.wait_for("begun")
    time.sleep(0.3)
    code, out, err = Running(study, scratch, tmp_path, COUNT, 1, 0).finish()
    pid = first.pid
    first.send(signal.SIGKILL)
    first.finish()
    assert (code, out) == (2, "")
    assert f"process {pid} at work in it" in err
