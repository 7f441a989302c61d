from __future__ import annotations

import os
import signal
import threading

import pytest

from learnt.train._signals import listening


def test_a_first_signal_is_noted_and_a_second_interrupts_at_once():
    with listening() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.name == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_the_main_thread_signals_are_left_alone():
    before, after = signal.getsignal(signal.SIGINT), []

    def work():
        with listening() as request:
            after.append((signal.getsignal(signal.SIGINT), request.name))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert after == [(before, "")]


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with listening() as request:
            os.kill(os.getpid(), signal.SIGTERM)
            assert request.name == ""
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
