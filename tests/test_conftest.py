"""The guards of the test-suite itself are in force."""

from __future__ import annotations

import socket

import pytest


def test_no_test_reaches_another_machine():
    with socket.socket() as s, pytest.raises(AssertionError, match="tried to reach"):
        s.connect(("192.0.2.1", 80))
    with pytest.raises(AssertionError, match="look up"):
        socket.getaddrinfo("example.invalid", 80)


def test_the_loopback_stays_open():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        accepted, address = server.accept()
        with accepted:
            assert address == client.getsockname()
