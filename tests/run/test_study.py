"""Studies: resumed or not, with any number of processes, damaged or not, the results are the same."""

from __future__ import annotations

import errno
import functools
import gc
import hashlib
import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from tests.run.work import draw, fail, kill_me, square

from learnt.core.errors import BusyError, InputError, LearntError, ResumeError, StorageError
from learnt.run.study import Study


def digest(directory) -> str:
    """One hash over the names and bytes of all chunks."""
    folder = Path(directory) / "chunks"
    parts = [name.encode() + (folder / name).read_bytes() for name in sorted(os.listdir(folder))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, []

    def __call__(self, item):
        self.calls.append(item)
        return self.function(item)


def test_map_gives_the_results_in_the_order_of_the_items(tmp_path):
    assert Study.open(tmp_path / "s").map(square, [3, 1, 2]) == [{"square": x * x, "of": x} for x in (3, 1, 2)]


def test_a_finished_study_computes_nothing_again(tmp_path):
    work = Counted(draw)
    first = Study.open(tmp_path, config={"a": 1}).map(work, range(4))
    before = digest(tmp_path)
    again = Study.open(tmp_path, config={"a": 1}).map(work, range(4))
    assert work.calls == [0, 1, 2, 3]
    assert all(torch.equal(a["values"], b["values"]) and list(a) == list(b) for a, b in zip(first, again, strict=True))
    assert digest(tmp_path) == before


def test_more_items_compute_the_new_ones_only(tmp_path):
    work = Counted(square)
    Study.open(tmp_path).map(work, [1, 2])
    assert Study.open(tmp_path).map(work, [2, 3, 1]) == [square(2), square(3), square(1)]
    assert work.calls == [1, 2, 3]


def test_any_number_of_processes_leaves_the_same_files(tmp_path):
    digests = set()
    for jobs in (1, 3):
        Study.open(tmp_path / str(jobs)).map(draw, range(5), jobs=jobs)
        digests.add(digest(tmp_path / str(jobs)))
    assert len(digests) == 1


def test_an_error_of_the_work_keeps_what_was_finished(tmp_path):
    with pytest.raises(ValueError, match="three"):
        Study.open(tmp_path).map(fail, range(6))
    work = Counted(lambda x: x)
    assert Study.open(tmp_path).map(work, range(6), name="fail") == list(range(6))
    assert work.calls == [3, 4, 5]


def test_results_of_different_functions_are_kept_apart(tmp_path):
    study = Study.open(tmp_path)
    assert study.map(square, [2])[0]["square"] == 4
    assert study.map(draw, [2])[0]["seed"] == 2
    assert study.map(lambda x: x, [2], name="same") == [2]


def test_functions_that_cannot_be_told_apart_need_a_name(tmp_path):
    study = Study.open(tmp_path)
    with pytest.raises(InputError, match="name"):
        study.map(lambda x: x, [1])
    study.map(functools.partial(pow, 2), [3])
    with pytest.raises(InputError, match="'pow'.*\n?.*name="):
        study.map(functools.partial(pow, 3), [3])
    assert study.map(functools.partial(pow, 3), [3], name="powers of three") == [27]


def test_keys_name_the_items(tmp_path):
    model = torch.nn.Linear(2, 2)
    study = Study.open(tmp_path)
    with pytest.raises(InputError, match="keys"):
        study.map(_weight_count, [model])
    assert study.map(_weight_count, [model], keys=["../../a model"]) == [6]
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path, tmp_path / "chunks"}


def _weight_count(model):
    return sum(p.numel() for p in model.parameters())


def test_equal_items_without_keys_are_counted(tmp_path):
    work = Counted(square)
    assert Study.open(tmp_path).map(work, [1, 1, 2]) == [square(1), square(1), square(2)]
    assert work.calls == [1, 1, 2]


@pytest.mark.parametrize(
    ("keys", "message"), [(["a"], "1 keys"), (["a", "a"], "a more than once"), ([1, 2], "found a int")]
)
def test_unsuitable_keys_are_an_input_error(keys, message, tmp_path):
    with pytest.raises(InputError, match=message):
        Study.open(tmp_path).map(square, [1, 2], keys=keys)


def test_other_settings_are_refused_with_their_names_and_nothing_is_touched(tmp_path):
    Study.open(tmp_path, config={"epochs": 1, "data": {"name": "digits"}}).map(square, [1])
    before = digest(tmp_path)
    with pytest.raises(ResumeError, match=r'data.name is "digits" there and "wine" here; epochs is 1 there and 2 here'):
        Study.open(tmp_path, config={"epochs": 2, "data": {"name": "wine"}})
    with pytest.raises(ResumeError, match="made with 1 threads; expected 2"):
        Study.open(tmp_path, config={"epochs": 1, "data": {"name": "digits"}}, threads=2)
    assert digest(tmp_path) == before


def test_other_versions_are_a_warning(tmp_path):
    Study.open(tmp_path)
    record = json.loads((tmp_path / "manifest.json").read_text())
    record["provenance"]["versions"]["torch"] = "1.0"
    (tmp_path / "manifest.json").write_text(json.dumps(record))
    with pytest.warns(RuntimeWarning, match="torch 1.0 there"):
        Study.open(tmp_path)


def test_results_without_their_settings_are_refused(tmp_path):
    Study.open(tmp_path).map(square, [1])
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ResumeError, match="without a manifest"):
        Study.open(tmp_path)


def test_a_folder_of_chunks_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "chunks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="symbolic link"):
        Study.open(tmp_path / "s")


# -- two at once ---------------------------------------------------------------------------------------


def test_a_block_holds_the_directory_and_a_map_holds_it_for_itself(tmp_path):
    with Study.open(tmp_path) as study:
        with pytest.raises(BusyError):
            Study.open(tmp_path)
        assert study.map(square, [1]) == [square(1)]
    assert Study.open(tmp_path).map(square, [1]) == [square(1)]
    with pytest.raises(BusyError):
        Study.open(tmp_path).map(lambda _: Study.open(tmp_path), [1], name="nested")


def test_studies_leave_no_files_open(tmp_path):
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for i in range(5):
        with Study.open(tmp_path / str(i)) as study:
            study.map(square, range(3))
    assert len(os.listdir("/proc/self/fd")) == before


# -- damage --------------------------------------------------------------------------------------------


def test_one_changed_bit_in_each_of_a_hundred_chunks_is_found_and_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    items = list(range(100))
    Study.open(tmp_path).map(_mixed, items)
    before = digest(tmp_path)
    rng = random.Random(7)
    for path in (tmp_path / "chunks").iterdir():
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    work = Counted(_mixed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Study.open(tmp_path).map(work, items, name="_mixed")
    assert work.calls == items
    assert len([w for w in caught if "is damaged and computed again" in str(w.message)]) == 100
    assert digest(tmp_path) == before


def _mixed(i):
    return {"t": torch.arange(i + 1), "i": i} if i % 2 else {"i": i}


def test_a_missing_chunk_is_computed_again(tmp_path):
    Study.open(tmp_path).map(square, range(3))
    before = digest(tmp_path)
    next((tmp_path / "chunks").iterdir()).unlink()
    with pytest.warns(RuntimeWarning, match="computed again"):
        Study.open(tmp_path).map(square, range(3))
    assert digest(tmp_path) == before


def test_a_journal_cut_at_any_byte_of_its_last_line_costs_one_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # hundreds of runs; nobody pulls the plug here
    Study.open(tmp_path).map(square, range(3))
    before, journal = digest(tmp_path), tmp_path / "journal.jsonl"
    whole = journal.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for missing in range(1, last + 1):
        journal.write_bytes(whole[: len(whole) - missing])
        work = Counted(square)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert Study.open(tmp_path).map(work, range(3), name="square") == [square(x) for x in range(3)]
        assert work.calls == [2]
        assert digest(tmp_path) == before
        assert journal.read_bytes() == whole


def test_a_lost_journal_costs_time_and_nothing_else(tmp_path):
    Study.open(tmp_path).map(square, range(3))
    before = digest(tmp_path)
    (tmp_path / "journal.jsonl").unlink()
    Study.open(tmp_path).map(square, range(3))
    assert digest(tmp_path) == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("site", ["open", "write", "fsync", "replace"])
def test_a_failing_disk_at_any_step_keeps_what_was_finished(site, code, tmp_path, monkeypatch):
    """Fail the n-th call of `site` for every n until the study gets through; resume after each failure."""
    reference = tmp_path / "reference"
    Study.open(reference).map(_mixed, range(3))
    true, failures, named = getattr(os, site), 0, 0
    for n in range(200):
        directory, calls = tmp_path / f"{site}-{n}", 0

        def fail_once(*args, n=n, **options):
            nonlocal calls
            calls += 1
            if calls == n + 1:
                raise OSError(code, os.strerror(code))
            return true(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, site, fail_once)
            try:
                Study.open(directory).map(_mixed, range(3))
            except StorageError as error:
                named += str(tmp_path) in str(error)
                failures += 1
        if calls <= n:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an unreadable chunk is computed again, with a warning
            Study.open(directory).map(_mixed, range(3))
        assert digest(directory) == digest(reference)
        assert not [name for _, _, names in os.walk(directory) for name in names if ".part-" in name]
    assert failures >= 3
    assert named == failures


# -- workers -------------------------------------------------------------------------------------------


def test_a_chunk_that_kills_its_worker_is_reported_after_the_others_are_stored(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    items = [{"seed": seed, "deaths": 99 if seed == 1 else 0, "marks": str(marks)} for seed in range(4)]
    keys = [f"seed {seed}" for seed in range(4)]
    study = Study.open(tmp_path / "s")
    with pytest.raises(LearntError, match="1 chunk.*killed their worker process 3 times: kill_me/seed 1") as caught:
        study.map(kill_me, items, keys=keys, jobs=2)
    assert caught.value.exit_code == 2
    assert len(os.listdir(tmp_path / "s" / "chunks")) == 3
    for item in items:
        item["deaths"] = 0
    results = study.map(kill_me, items, keys=keys, jobs=2)
    assert [result["seed"] for result in results] == [0, 1, 2, 3]


# -- surroundings --------------------------------------------------------------------------------------

IN_PROCESS = """
import os, sys
directory, jobs = sys.argv[1:3]
from learnt.run.study import Study
from tests.run.work import draw
if len(sys.argv) > 3:  # after the imports: MKL cannot be loaded at all without a working directory
    os.chdir(sys.argv[3]); os.rmdir(sys.argv[3])
Study.open(directory, config={"I": "i", "\\u00e9": 1.5}).map(draw, range(3), jobs=int(jobs), quiet=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "surroundings",
    [{"PYTHONHASHSEED": "0"}, {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"},
     {"LC_ALL": "C", "PYTHONUTF8": "0", "HOME": "/nonexistent"}, {"OMP_NUM_THREADS": "2", "umask": "077"}, {"cwd": "deleted"}, {"jobs": "2", "cwd": "deleted"}],
    ids=["hash seed 0", "hash seed 1, Turkish, Kathmandu", "C locale, no home", "two threads, umask 077", "deleted directory", "deleted directory, two jobs"],
)  # fmt: skip
def test_surroundings_change_no_bit(surroundings, tmp_path):
    Study.open(tmp_path / "here", config={"I": "i", "é": 1.5}).map(draw, range(3))
    surroundings = dict(surroundings)
    mask = int(surroundings.pop("umask", "022"), 8)
    gone = surroundings.pop("cwd", None)
    command = [sys.executable, "-c", IN_PROCESS, str(tmp_path / "there"), surroundings.pop("jobs", "1")]
    if gone:
        (tmp_path / "gone").mkdir()
        command.append(str(tmp_path / "gone"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **surroundings}
    subprocess.run(command, check=True, env=environment, umask=mask)
    assert digest(tmp_path / "there") == digest(tmp_path / "here")
    Study.open(tmp_path / "there", config={"I": "i", "é": 1.5})
