"""Pieces of work for the tests of studies: importable by worker processes, and light."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def square(x):
    return {"square": x * x, "of": x}


def draw(seed):
    """Linear algebra whose last bits depend on the number of threads."""
    import torch

    from learnt.run.seeds import generator

    x = torch.randn(64, 64, generator=generator("draw", seed))
    return {"values": torch.linalg.svdvals(x), "total": float(x.sum()), "array": x[:2].numpy(), "seed": seed}


def slow(item):
    """A little work that takes item["pause"] seconds."""
    time.sleep(item["pause"])
    return draw(item["seed"])


def fail(x):
    if x == 3:
        raise ValueError("three is not allowed")
    return x


def thread_counts(_):
    import torch
    from threadpoolctl import threadpool_info

    return [torch.get_num_threads(), max([1, *(pool["num_threads"] for pool in threadpool_info())])]


def kill_me(item):
    """Dies item["deaths"] times (counted in files), and then works."""
    marks = Path(item["marks"])
    died = len(list(marks.glob(f"{item['seed']}-*")))
    if died < item["deaths"]:
        (marks / f"{item['seed']}-{died}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(item["seed"])


def tell_pid(item):
    """Announces which process works on what, waits to be killed, and then works."""
    marks = Path(item["marks"])
    (marks / f"{item['seed']}.{os.getpid()}").touch()
    time.sleep(item["pause"])
    return draw(item["seed"])


def unsendable(_):
    return (x for x in range(3))


def stubborn(_):
    try:
        time.sleep(60)
    except Exception:
        return "swallowed"
    return "slept"
