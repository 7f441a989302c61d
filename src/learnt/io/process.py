"""Which process wrote this? Host, process id and start time together name a process that cannot be mistaken.

A process id alone is reused by the operating system; with the start time it is not. Temporary files and locks
carry this identity, so that what a killed process left behind can be told from what a live one still needs.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process on a machine.

    Attributes:
        host: name of the machine.
        pid: process id.
        start: start time in clock ticks since boot, 0 where the system does not tell.
    """

    host: str
    pid: int
    start: int


def current() -> Owner:
    """This process."""
    pid = os.getpid()
    return Owner(socket.gethostname(), pid, start_of(pid) or 0)


def start_of(pid: int) -> int | None:
    """Start time of process `pid` in clock ticks since boot; None if there is none (or /proc is absent)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rfind(b")") + 1 :].split()  # the name in parentheses may itself hold spaces
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):  # a zombie writes nothing any more
        return None
    return int(fields[19])


def is_alive(owner: Owner) -> bool | None:
    """Whether that very process still runs; None if it ran on another machine, where this cannot be known."""
    if owner.host != socket.gethostname():
        return None
    if owner.pid <= 0:
        return False
    if Path("/proc/self/stat").exists():
        start = start_of(owner.pid)
        return start is not None and (owner.start == 0 or start == owner.start)
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
