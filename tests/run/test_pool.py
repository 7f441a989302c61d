"""Workers: any number of them gives the same bits, and a dying one costs its own item only."""

from __future__ import annotations

import os
import signal
import threading
import time

import joblib
import psutil
import pytest
import torch
from tests.run.work import draw, fail, kill_me, square, tell_pid, thread_counts, unsendable

from learnt.core.errors import InputError
from learnt.run.pool import DEATHS, Lost, outcomes, workers


def _all(function, items, **options):
    results = dict(outcomes(function, items, **options))
    return [results[i] for i in range(len(items))]


def _same(a, b):
    return torch.equal(a["values"], b["values"]) and a["total"] == b["total"] and (a["array"] == b["array"]).all()


def test_the_bits_do_not_depend_on_the_number_of_processes():
    alone = _all(draw, range(6), jobs=1)
    assert all(_same(a, b) for a, b in zip(alone, _all(draw, range(6), jobs=3), strict=True))


def test_every_process_works_on_the_stated_number_of_threads():
    for jobs, threads in [(1, 1), (1, 2), (2, 2)]:
        assert _all(thread_counts, range(2), jobs=jobs, threads=threads) == [[threads, threads]] * 2


def test_items_go_to_other_processes_only_if_asked():
    here = os.getpid()
    assert _all(_pid, range(3), jobs=1) == [here] * 3
    assert here not in _all(_pid, range(3), jobs=2)


def _pid(_):
    return os.getpid()


def test_no_items_start_no_process():
    assert _all(square, [], jobs=4) == []
    assert _all(_pid, [0], jobs=4) == [os.getpid()]


def test_an_error_of_the_work_arrives_as_it_is():
    for jobs in (1, 2):
        with pytest.raises(ValueError, match="three is not allowed"):
            _all(fail, range(5), jobs=jobs)


def test_an_item_whose_worker_dies_twice_is_done_in_the_end(tmp_path):
    items = [{"seed": seed, "deaths": 2 if seed == 1 else 0, "marks": str(tmp_path)} for seed in range(4)]
    results = _all(kill_me, items, jobs=2)
    assert all(_same(result, draw(seed)) for seed, result in enumerate(results))
    assert len(os.listdir(tmp_path)) == 2


def test_an_item_that_kills_its_worker_three_times_is_given_up_and_the_others_are_done(tmp_path):
    items = [{"seed": seed, "deaths": 99 if seed == 1 else 0, "marks": str(tmp_path)} for seed in range(4)]
    results = _all(kill_me, items, jobs=2)
    assert isinstance(results[1], Lost)
    assert results[1].deaths == DEATHS == len(os.listdir(tmp_path))
    assert "terminated" in results[1].reason
    assert all(_same(results[seed], draw(seed)) for seed in (0, 2, 3))


@pytest.mark.slow
def test_workers_killed_from_outside_change_no_bit(tmp_path):
    items = [{"seed": seed, "pause": 0.3, "marks": str(tmp_path)} for seed in range(6)]
    stop, killed = threading.Event(), []

    def killer():  # every second item loses its first worker
        while not stop.wait(0.05):
            for mark in tmp_path.iterdir():
                seed, pid = mark.name.split(".")
                if int(seed) % 2 == 0 and seed not in killed:
                    killed.append(seed)
                    os.kill(int(pid), signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        results = _all(tell_pid, items, jobs=3)
    finally:
        stop.set()
        thread.join()
    assert len(killed) == 3
    assert all(_same(result, draw(seed)) for seed, result in enumerate(results))


def test_closing_early_leaves_no_process_behind():
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    work = outcomes(tell_nothing, [60] * 4, jobs=2)
    stopper = threading.Timer(1.5, os.kill, [os.getpid(), signal.SIGINT])
    begin = time.monotonic()
    stopper.start()
    with pytest.raises(KeyboardInterrupt):
        next(work)
    work.close()
    assert time.monotonic() - begin < 5
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not [child for child in left if "resource_tracker" not in " ".join(child.cmdline())]


def tell_nothing(seconds):
    time.sleep(seconds)


def test_work_that_cannot_be_sent_is_an_input_error_with_the_way_out():
    with pytest.raises(InputError, match="jobs=1"):
        _all(unsendable, range(2), jobs=2)
    with pytest.raises(InputError, match="jobs=1"):
        _all(square, [threading.Lock(), threading.Lock()], jobs=2)


def test_functions_made_on_the_spot_can_be_sent():
    k = 3
    assert _all(lambda x: k * x, range(3), jobs=2) == [0, 3, 6]


@pytest.mark.parametrize("jobs", [0, -2, 1.5, True, None, "2"])
def test_a_senseless_number_of_processes_is_an_input_error(jobs):
    with pytest.raises(InputError, match="jobs"):
        outcomes(square, [1, 2], jobs=jobs)


def test_minus_one_is_one_process_a_core():
    assert workers(-1) == len(os.sched_getaffinity(0))


def test_another_joblib_backend_takes_over_where_the_caller_has_chosen_one():
    before = torch.get_num_threads()
    with joblib.parallel_config("threading"):
        results = _all(draw, range(4), jobs=2)
        assert _all(_pid, range(3), jobs=2) == [os.getpid()] * 3
    assert all(_same(result, draw(seed)) for seed, result in enumerate(results))
    assert torch.get_num_threads() == before
