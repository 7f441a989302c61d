"""What all tests share: no network, one torch thread, reproducible hypothesis examples, checked shapes."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook
from tests.shapes import CHECKED

os.environ.setdefault("MPLBACKEND", "Agg")
install_import_hook(CHECKED, "tests.shapes.check")  # before any test imports learnt; off wherever else it is imported
settings.register_profile("learnt", deadline=None, derandomize=True, max_examples=50, print_blob=True)
settings.load_profile("learnt")

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class NetworkBlocked(AssertionError):
    """A test tried to reach another machine."""


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets reach this machine only (the browser tests need that); `network` marks the exceptions."""
    if request.node.get_closest_marker("network"):
        return

    def guard(name):
        true = getattr(socket.socket, name)

        def connect(self, address, *rest):
            if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
                raise NetworkBlocked(f"a test tried to reach {address!r}")
            return true(self, address, *rest)

        monkeypatch.setattr(socket.socket, name, connect)

    guard("connect")
    guard("connect_ex")
    look_up = socket.getaddrinfo

    def getaddrinfo(host, *rest, **options):
        if host is not None and host not in LOOPBACK:
            raise NetworkBlocked(f"a test tried to look up {host!r}")
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Bits and times do not depend on what else this machine is doing."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _same_start():
    """A network that a test makes without a seed is the same in every run, whatever ran before."""
    import random

    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (for libraries that read it)
    torch.manual_seed(0)
