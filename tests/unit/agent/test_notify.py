"""sd_notify: what systemd is told, and that its absence costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from swarmlet import _native
from swarmlet.agent.notify import Notifier, Watchdog


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


def test_a_reason_from_the_wire_cannot_speak_to_the_manager(tmp_path):
    address = str(tmp_path / "notify")
    with manager(address) as one:
        Notifier(address, None, None).status("refused\nMAINPID=1\r\x00WATCHDOG=1")
        assert one.recv(500) == b"STATUS=refused MAINPID=1  WATCHDOG=1"


def test_the_watchdog_is_fed_while_the_native_thread_goes_round_and_not_while_it_stands(tmp_path):
    address = str(tmp_path / "notify")
    rounds = iter([7, 8, 8, 8, 9])
    with manager(address) as one:
        one.settimeout(0)
        watchdog = Watchdog(Notifier(address, "1000000", None), lambda: next(rounds))
        fed = []
        for _ in range(5):
            watchdog.look()
            with contextlib.suppress(BlockingIOError):
                fed.append(one.recv(100) == b"WATCHDOG=1")
                continue
            fed.append(False)
    assert fed == [True, True, False, False, True]


def test_an_idle_engine_goes_round_when_it_is_asked_and_a_stopped_one_does_not(tmp_path):
    engine = _native.Engine()
    before = engine.rounds()
    while engine.rounds() == before:
        pass
    engine.stop()
    assert engine.rounds() == engine.rounds()


def test_nobody_is_fed_who_does_not_ask(tmp_path):
    asked = []
    asyncio.run(Watchdog(Notifier(str(tmp_path / "x"), None, None), lambda: asked.append(1) or 0).run())
    assert asked == []
