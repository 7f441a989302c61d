"""How far is it, and how long will it take? A bar on a terminal, one plain line every 30 seconds elsewhere.

Nothing is shown for work that takes less than a second. Everything goes to standard error, so that results on
standard output stay clean. On a terminal the bar vanishes when the work is done. There is no global switch:
`quiet` is an argument, and a bar inside a bar is told so (`inside`), because two displays would overwrite each other.

    with progress(items, "training") as bar:
        for item in bar: ...                       # or bar.advance(k)
            with progress(10, "one part", inside=bar) as part: part.advance()
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TextIO, TypeVar, final

from learnt.core.errors import InputError

Item = TypeVar("Item")
DELAY = 1.0  # seconds before anything is shown
EVERY = 30.0  # seconds between plain lines
REFRESH = 0.1  # seconds between updates of a bar


def progress(
    work: Iterable[Item] | int | None,
    description: str,
    *,
    quiet: bool | None = None,
    inside: Progress[Any] | None = None,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress[Item]:
    """A progress display for `work`; use it as a context manager, iterate over it, or both.

    Args:
        work: what to iterate over, or the number of steps, or None if nobody knows.
        description: what is being done; control characters are replaced.
        quiet: True shows nothing.
        inside: the bar that this one is a part of.
        stream: where to write, standard error by default.
        clock: seconds, for tests.

    Raises:
        InputError: a negative number of steps.
    """
    total = work if isinstance(work, int) or work is None else _length(work)
    if total is not None and total < 0:
        raise InputError("work", found=f"{total} steps", expected="a number of steps from 0")
    items = None if isinstance(work, int) or work is None else work
    if inside is not None:
        display = inside._display
    else:
        display = _Display(_kind(quiet, stream or sys.stderr), stream or sys.stderr, clock)
    return Progress(items, total, _clean(description), display, inside)


def _length(work: Iterable[Any]) -> int | None:
    try:
        return len(work)  # type: ignore[arg-type]
    except TypeError:
        return None


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)[:200]


def _kind(quiet: bool | None, stream: TextIO | None) -> str:
    if quiet or stream is None:
        return "none"
    try:
        terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # a closed stream
        return "none"
    return "bars" if terminal else "lines"


@final
class Progress(Generic[Item]):
    """One bar; made by `progress`."""

    def __init__(
        self,
        items: Iterable[Item] | None,
        total: int | None,
        description: str,
        display: _Display,
        parent: Progress[Any] | None,
    ) -> None:
        self._items, self._display, self._parent = items, display, parent
        self._open = False
        self.total, self.description, self.done = total, description, 0
        self.began = self.drawn = 0.0

    def __enter__(self) -> Progress[Item]:
        self.began, self.done, self._open = self._display.clock(), 0, True
        self._display.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._display.remove(self)

    def __iter__(self) -> Iterator[Item]:
        if self._items is None:
            raise InputError("work", found="a number of steps", expected="something to iterate over")
        if not self._open:
            with self:
                yield from self
            return
        for item in self._items:
            yield item
            self.advance()

    def advance(self, steps: int = 1, *, description: str | None = None) -> None:
        """Say that `steps` more are done, and, if given, what is being done now."""
        self.done += steps
        if description is not None:
            self.description = _clean(description)
        self._display.update(self)

    def left(self, now: float) -> str:
        """Remaining time at the pace so far, in words; empty while nobody can tell."""
        if not self.total or not self.done:
            return ""
        return f"{_duration((now - self.began) * max(0, self.total - self.done) / self.done)} left"

    @property
    def label(self) -> str:
        """Description, after those of the bars around it."""
        return self.description if self._parent is None else f"{self._parent.label}: {self.description}"


class _Display:
    """What all bars of one nest share: the terminal, or the time of the last plain line."""

    def __init__(self, kind: str, stream: TextIO | None, clock: Callable[[], float]) -> None:
        self.kind, self.stream, self.clock = kind, stream, clock
        self.bars: dict[Progress[Any], Any] = {}
        self.rich: Any = None
        self.shown = 0.0
        self.spoke: set[Progress[Any]] = set()
        self.timer: threading.Timer | None = None
        self.lock = threading.RLock()

    def add(self, bar: Progress[Any]) -> None:
        with self.lock:
            if not self.bars:
                self.shown = bar.began
                if self.kind == "bars":  # a timer, because the first step may be the long one
                    self.timer = threading.Timer(DELAY, self.start)
                    self.timer.daemon = True
                    self.timer.start()
            self.bars[bar] = self._task(bar) if self.rich is not None else None

    def start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        with self.lock:
            if not self.bars or self.rich is not None:
                return
            self.rich = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}", markup=False),
                console=Console(file=self.stream),
                transient=True,
                redirect_stdout=False,  # standard output is for results, not for the terminal that shows the bar
            )
            for bar in self.bars:
                self.bars[bar] = self._task(bar)
            self.rich.start()

    def _task(self, bar: Progress[Any]) -> Any:
        return self.rich.add_task(bar.description, total=bar.total, completed=bar.done, left=bar.left(self.clock()))

    def update(self, bar: Progress[Any]) -> None:
        if self.kind == "none" or bar not in self.bars:
            return
        now = self.clock()
        if self.kind == "lines":
            if now - self.shown >= EVERY:
                self.shown = now
                self.spoke.add(bar)
                self.say(bar, now)
        elif self.rich is not None and (now - bar.drawn >= REFRESH or bar.done == bar.total):
            with self.lock:
                bar.drawn = now
                self.rich.update(self.bars[bar], completed=bar.done, description=bar.description, left=bar.left(now))

    def remove(self, bar: Progress[Any]) -> None:
        with self.lock:
            task = self.bars.pop(bar, None)
            if bar in self.spoke:
                self.spoke.discard(bar)
                self.say(bar, self.clock(), closing=True)
            if self.rich is not None and task is not None:
                self.rich.remove_task(task)
            if self.bars:
                return
            rich, self.rich = self.rich, None
            timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()
            timer.join()
        if rich is not None:
            rich.stop()

    def say(self, bar: Progress[Any], now: float, *, closing: bool = False) -> None:
        spent = now - bar.began
        amount = f"{bar.done}" if bar.total is None else f"{bar.done}/{bar.total}"
        if closing:
            tail = f"ended after {_duration(spent)}"
        else:
            tail = bar.left(now) or f"{_duration(spent)} so far"
            tail = f"{100 * bar.done / bar.total:.0f} %, {tail}" if bar.total else tail
        if self.stream is not None:
            self.stream.write(f"{bar.label}: {amount}, {tail}\n")
            self.stream.flush()


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
