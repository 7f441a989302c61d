"""Many items over worker processes, in a way that a dying worker costs nobody else.

Each worker is a joblib (loky) pool of one process, so when a process dies it is known exactly which item it was
working on: with one pool of many processes every unfinished item would be a suspect. An item whose worker died
is tried again in a new process; after `DEATHS` deaths it is given up as `Lost`, and the others go on.

Inside a worker everything runs on a fixed number of threads, whatever the number of workers, so that the same
item gives the same bits. Inside `joblib.parallel_config("dask" | "ray")` the items go to that backend instead,
and so to other machines; worker deaths are then that backend's business.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

from learnt.core.errors import InputError
from learnt.run.threads import threads as limited

DEATHS = 3
_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@final
@dataclass(frozen=True)
class Lost:
    """What is returned for an item that killed its worker `deaths` times; `reason` is what the pool reported."""

    deaths: int
    reason: str


def outcomes(
    function: Callable[[Any], Any], items: Sequence[Any], *, jobs: int, threads: int = 1
) -> Generator[tuple[int, Any | Lost], None, None]:
    """(index, result) of each item as it finishes, in no fixed order; close the iterator to kill the workers.

    Args:
        function: of one item; with jobs > 1 it and the items are sent to other processes.
        items: the work.
        jobs: number of processes; 1 works in this process; -1 takes one a core.
        threads: threads for each item, for any `jobs`.

    Raises:
        InputError: `jobs` makes no sense, or function, item or result cannot be sent between processes.
        Exception: whatever `function` raises.
    """
    jobs = workers(jobs)
    _require_working_directory()
    if jobs == 1 or (len(items) <= 1 and not _elsewhere()):
        return _here(function, items, threads)
    if _elsewhere():
        return _joblib(function, items, jobs, threads)
    return _spread(function, items, min(jobs, len(items)), threads)


def workers(jobs: int) -> int:
    """The number of processes that `jobs` asks for; -1 is one a core that this process may use."""
    if isinstance(jobs, bool) or not isinstance(jobs, int) or (jobs < 1 and jobs != -1):
        raise InputError("jobs", found=repr(jobs), expected="a number of processes from 1, or -1 for one a core")
    if jobs == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return jobs


def _call(function: Callable[[Any], Any], item: Any, threads: int) -> Any:
    with limited(threads):
        return function(item)


def _here(function: Callable[[Any], Any], items: Sequence[Any], threads: int) -> Generator[tuple[int, Any], None, None]:
    for index, item in enumerate(items):
        yield index, _call(function, item, threads)


def _elsewhere() -> bool:
    """Whether the caller has chosen another joblib backend than local processes."""
    from joblib.parallel import get_active_backend

    return type(get_active_backend()[0]).__name__ not in ("LokyBackend", "SequentialBackend", "MultiprocessingBackend")


def _joblib(
    function: Callable[[Any], Any], items: Sequence[Any], jobs: int, threads: int
) -> Generator[tuple[int, Any], None, None]:
    from joblib import Parallel, delayed

    def numbered(index: int, item: Any) -> tuple[int, Any]:
        return index, _call(function, item, threads)

    with limited(threads):  # a backend of threads shares this process's settings
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(
            delayed(numbered)(index, item) for index, item in enumerate(items)
        )  # type: ignore[misc]


def _spread(
    function: Callable[[Any], Any], items: Sequence[Any], jobs: int, threads: int
) -> Generator[tuple[int, Any | Lost], None, None]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    waiting, deaths = deque(range(len(items))), Counter[int]()
    idle: list[Any] = []
    hand: list[Any] = []  # a worker on its way from idle to busy: an interrupt in submit must not lose it
    busy: dict[Future, tuple[int, Any]] = {}
    try:
        idle += [_worker(threads) for _ in range(jobs)]
        while waiting or busy:
            while waiting and idle:
                index, worker = waiting.popleft(), idle[-1]
                hand[:] = [idle.pop()]
                try:
                    busy[worker.submit(_call, function, items[index], threads)] = index, worker
                except BrokenProcessPool:  # it died while idle: no item is to blame
                    waiting.appendleft(index)
                    _kill(worker)
                    idle.append(_worker(threads))
            # With a limit: if another thread of this process takes a signal, nothing wakes this one to act on it.
            for future in wait(busy, timeout=1.0, return_when=FIRST_COMPLETED).done:
                index, worker = busy.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool as error:
                    _kill(worker)
                    _refuse_unsendable(error)
                    deaths[index] += 1
                    idle.append(_worker(threads))
                    if deaths[index] < DEATHS:
                        waiting.appendleft(index)
                        continue
                    result = Lost(deaths[index], _first_line(error))
                except Exception as error:
                    _refuse_unsendable(error)
                    raise
                else:
                    idle.append(worker)
                yield index, result
    finally:
        for worker in {id(worker): worker for worker in [*hand, *idle, *(w for _, w in busy.values())]}.values():
            _kill(worker)


def _require_working_directory() -> None:
    """If this process's directory has been deleted, go to the root: new processes and MKL fail without one."""
    try:
        os.getcwd()
    except OSError:
        os.chdir("/")


def _worker(threads: int) -> Any:
    from joblib.externals.loky.process_executor import ProcessPoolExecutor

    environment = dict.fromkeys(_LIMITS, str(threads))
    return ProcessPoolExecutor(max_workers=1, initializer=_prepare, initargs=(os.getpid(),), env=environment)


def _prepare(parent: int) -> None:
    """In a new worker: leave Ctrl-C to the parent, which decides what becomes of the work, and end when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:  # a killed parent cannot tell its workers to stop, and loky's would wait for ever
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _kill(worker: Any) -> None:
    processes = list((getattr(worker, "_processes", None) or {}).values())
    with suppress(Exception):  # a pool that is already broken may complain of being closed
        worker.shutdown(wait=False, kill_workers=True)
    for process in processes:
        with suppress(Exception):  # loky may miss the wish while it starts a process, and waits for the item's end
            process.join(2)
            if process.is_alive():
                process.kill()
    with suppress(Exception):
        worker.shutdown(wait=True, kill_workers=True)


def _refuse_unsendable(error: BaseException) -> None:
    """InputError if `error` says that something could not be sent between processes."""
    text = str(error)
    if "pickle" in text or "serialize" in text:
        raise InputError(
            "function",
            found=f"work that cannot be sent to another process ({_first_line(error)})",
            expected="a function, items and results that can be sent",
            remedy="Define the function at the top of a module, or use jobs=1.",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")[:200]
