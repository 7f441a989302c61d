"""Progress: nothing for short work, a bar on a terminal, a line now and then elsewhere, never on standard output."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
import time

import pytest

from learnt.core.errors import InputError
from learnt.train.progress import EVERY, progress


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_short_work_shows_nothing():
    for stream in (io.StringIO(), Terminal()):
        assert list(progress(range(5), "quick", stream=stream)) == [0, 1, 2, 3, 4]
        assert stream.getvalue() == ""


def test_without_a_terminal_there_is_one_line_each_thirty_seconds_with_the_time_left():
    clock, out = Clock(), io.StringIO()
    with progress(100, "training", stream=out, clock=clock) as bar:
        for _ in range(100):
            clock.now += 1
            bar.advance()
    assert out.getvalue().splitlines() == [
        "training: 30/100, 30 %, 0:01:10 left",
        "training: 60/100, 60 %, 0:00:40 left",
        "training: 90/100, 90 %, 0:00:10 left",
        "training: 100/100, ended after 0:01:40",
    ]


def test_work_of_unknown_length_shows_the_time_so_far():
    clock, out = Clock(), io.StringIO()
    for _ in progress(iter(range(4)), "reading", stream=out, clock=clock):
        clock.now += 20
    assert out.getvalue().splitlines() == [
        "reading: 2, 0:00:40 so far",
        "reading: 4, 0:01:20 so far",
        "reading: 4, ended after 0:01:20",
    ]


def test_a_bar_inside_a_bar_shares_its_lines():
    clock, out = Clock(), io.StringIO()
    with progress(2, "outer", stream=out, clock=clock) as bar:
        for _ in range(2):
            with progress(20, "inner", inside=bar) as part:
                for _ in range(20):
                    clock.now += 1
                    part.advance()
            bar.advance()
    lines = out.getvalue().splitlines()
    assert lines[0] == "outer: inner: 10/20, 50 %, 0:00:10 left"
    assert len(lines) == 2


def test_quiet_and_missing_and_closed_streams_show_nothing(monkeypatch):
    clock, out = Clock(), io.StringIO()
    for _ in progress(range(3), "x", quiet=True, stream=out, clock=clock):
        clock.now += EVERY
    assert out.getvalue() == ""
    closed = Terminal()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        for _ in progress(range(3), "x", clock=clock):
            clock.now += EVERY


def test_control_characters_are_replaced_and_markup_is_text():
    clock, out = Clock(), io.StringIO()
    with progress(2, "a\x1b[31m\r\nb\u202e [red]", stream=out, clock=clock) as bar:
        clock.now += EVERY
        bar.advance(description="c\x07 [/x]")
    assert out.getvalue().splitlines()[0] == "c\ufffd [/x]: 1/2, 50 %, 0:00:30 left"
    terminal = Terminal()
    with progress(3, "[/foo] \x1b[31m", stream=terminal) as bar:
        bar._display.start()  # as the timer does after a second
        bar.advance(3)
    assert "[/foo] \ufffd[31m" in terminal.getvalue()


def test_a_negative_number_of_steps_or_nothing_to_iterate_is_an_input_error():
    with pytest.raises(InputError):
        progress(-1, "x")
    with pytest.raises(InputError), progress(3, "x") as bar:
        list(bar)


def test_an_error_inside_ends_the_display_and_its_thread():
    before, terminal = set(threading.enumerate()), Terminal()

    def work():
        with progress(3, "x", stream=terminal) as bar:
            bar._display.start()
            raise KeyError

    with pytest.raises(KeyError):
        work()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)  # rich tells its thread to end and does not wait for it
        assert not thread.is_alive()
    assert terminal.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in terminal.getvalue()  # the cursor is back


def test_a_step_costs_microseconds():
    with progress(100_000, "x", stream=io.StringIO()) as bar:
        begin = time.perf_counter()
        for _ in range(100_000):
            bar.advance()
        assert (time.perf_counter() - begin) / 100_000 < 2e-5


SCRIPT = """
import time
from learnt.train.progress import progress
with progress(range(15), "outer work") as bar:
    for item in bar:
        with progress(2, "inner work", inside=bar) as part:
            for _ in range(2):
                time.sleep(0.05)
                part.advance()
print("result")
"""


def _on_a_terminal(**environment):
    """What the script writes to the terminal (standard error) and to standard output."""
    terminal, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=other,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(other)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    out = process.communicate()[0]
    os.close(terminal)
    assert process.returncode == 0
    return shown.decode(), out.decode()


@pytest.mark.slow
def test_on_a_terminal_both_bars_show_with_the_time_left_and_vanish():
    shown, out = _on_a_terminal()
    assert out == "result\n"
    assert "outer work" in shown
    assert "inner work" in shown
    assert "left" in shown
    assert "\x1b[2K" in shown[-60:]


@pytest.mark.slow
def test_no_color_is_honoured():
    shown, _ = _on_a_terminal(NO_COLOR="1")
    assert "outer work" in shown
    assert "\x1b[3" not in shown.replace("\x1b[?", "")


@pytest.mark.slow
def test_a_dumb_terminal_gets_no_bar():
    assert _on_a_terminal(TERM="dumb") == ("", "result\n")
