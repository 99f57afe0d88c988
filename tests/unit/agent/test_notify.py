"""sd_notify: what systemd is told, and that its absence costs nothing."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from swarmlet.agent.notify import Notifier


@contextlib.contextmanager
def manager(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind("\0" + address[1:] if address.startswith("@") else address)
        one.settimeout(5)
        yield one


@pytest.mark.parametrize("abstract", [False, True])
def test_states_reach_the_manager(tmp_path, abstract):
    address = f"@swarmlet-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with manager(address) as one:
        notifier = Notifier(address, None, None)
        notifier.ready("reconciling")
        notifier.status("ready")
        notifier.alive()
        notifier.stopping()
        told = [one.recv(500) for _ in range(4)]
    assert told == [b"READY=1\nSTATUS=reconciling", b"STATUS=ready", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize("address", [None, "", "relative", "/no/such/socket"])
def test_without_a_manager_nothing_happens(address):
    Notifier(address, "1000000", None).ready("x")


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("10000000", str(os.getpid()), 5.0),
        ("10000000", None, 5.0),
        ("10000000", "1", None),
        ("0", None, None),
        ("x", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_time(usec, pid, interval):
    assert Notifier("/run/notify", usec, pid).interval_s == interval


def test_a_manager_that_does_not_read_holds_nothing_up(tmp_path):
    address = str(tmp_path / "notify")
    with manager(address):
        notifier = Notifier(address, None, None)
        for _ in range(5000):
            notifier.alive()
