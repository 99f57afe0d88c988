"""Answers to a broadcast: which are looked at, what is taken of them, what is said when none can come."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import pytest

from swarmlet.discovery import broadcast
from swarmlet.discovery.broadcast import NO_NETWORK, Broadcast, addresses_of
from swarmlet.discovery.sighting import BROADCAST, Sighting
from swarmlet.link.datagrams import Datagram
from swarmlet.link.interfaces import Interface
from swarmlet.model import inquiry
from swarmlet.model.announcement import Announcement
from swarmlet.model.nearness import Route

NETWORK, MASK = (int.from_bytes(bytes(part), sys.byteorder) for part in ((10, 77, 0, 0), (255, 255, 0, 0)))
SAID = Announcement(cluster_id="ab" * 16, cluster_name="home", key="cd" * 32, port=7946)
ETH = Interface("eth0", 2, "10.77.0.9", None)


@pytest.fixture
def asking():
    seen = []
    way = Broadcast((7946,), None)
    way._near = (Route("eth0", NETWORK, MASK),)
    way._tell = seen.append
    told = inquiry.write_answer(way._question.number, SAID)
    return way, seen, Datagram(told, "10.77.0.1", 7946, "eth0", 2, 255, "10.77.0.9")


def test_an_answer_is_told_with_what_it_says(asking):
    way, seen, came = asking
    way._take(came)
    assert seen == [
        Sighting("10.77.0.1:7946", BROADCAST, "10.77.0.1", SAID.key, SAID.cluster_id, SAID.cluster_name)
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": b"junk"}, "no answer of ours"),
        ({"data": inquiry.write_answer(bytes(16), SAID)}, "no answer of ours"),
        ({"hops": 63}, "not from this link"),
        ({"host": "8.8.8.8"}, "not from this link"),
        ({"interface": "wlan0"}, "not from this link"),
    ],
)
def test_every_other_datagram_is_counted_and_told_to_nobody(asking, change, reason):
    way, seen, came = asking
    way._take(came._replace(**change))
    assert seen == []
    assert way.ignored == {reason: 1}


def test_an_answer_can_send_this_device_to_addresses_alone():
    said = Announcement(
        port=1, endpoints=("evil.example:1", "127.0.0.1:22", "10.1.1.1:443", "[fe80::1]:1", "10.77.0.1:1")
    )
    assert addresses_of(said, "10.77.0.1") == ("10.77.0.1:1", "10.1.1.1:443")
    assert addresses_of(Announcement(), "10.77.0.1") == ()


def ask_once(monkeypatch, present, send):
    monkeypatch.setattr(broadcast, "interfaces", lambda _only: present)
    monkeypatch.setattr(broadcast.datagrams, "send", send)
    way = Broadcast((7946, 7947, 7946), None)

    async def run():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await way.look(lambda _one: None)

    asyncio.run(run())
    return way


def test_what_the_system_does_not_let_out_is_said(monkeypatch):
    def refuse(*_words):
        raise PermissionError(1, "Operation not permitted")

    assert ask_once(monkeypatch, (ETH,), refuse).trouble == "blocked on eth0: operation not permitted"


def test_a_device_without_a_network_says_so(monkeypatch):
    assert ask_once(monkeypatch, (), None).trouble == NO_NETWORK


def test_every_port_is_asked_once_a_turn(monkeypatch):
    sent = []
    way = ask_once(
        monkeypatch, (ETH,), lambda _one, data, host, port, number: sent.append((host, port, len(data)))
    )
    assert way.trouble == ""
    assert sent == [("255.255.255.255", port, inquiry.LENGTH) for port in (7946, 7947)]
