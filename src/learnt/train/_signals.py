"""Ctrl-C and SIGTERM end a run at the next step, not in the middle of one; a second Ctrl-C ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final


@final
class Request:
    """Whether someone asked to stop, and how."""

    name: str = ""


@contextmanager
def listening() -> Iterator[Request]:
    """Note SIGINT and SIGTERM instead of dying of them, while the block runs in the main thread."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may set handlers
        return

    def note(number: int, _frame: Any) -> None:
        if request.name and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.name = signal.Signals(number).name

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        # a handler that Python did not set cannot be put back, and one that is ignored stays ignored
        if handler is not None and handler != signal.SIG_IGN:
            before[number] = handler
            signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
