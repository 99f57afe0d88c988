"""Searches with real handshakes: the right cluster among rogues, nothing of ours for anybody else (T12)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from swarmlet import _native
from swarmlet.clock import SystemClock
from swarmlet.discovery.direct import Resolver
from swarmlet.discovery.finder import Finder, Given
from swarmlet.discovery.prove import Prover
from swarmlet.discovery.report import report
from swarmlet.discovery.sighting import BROADCAST, DNS, MDNS, Sighting
from swarmlet.link.engine import Link
from swarmlet.link.events import Opened
from swarmlet.link.messages import Challenge, encode
from tests.fakes.pki import Authority

CLUSTER, OTHER = Authority(), Authority()


class Rumour:
    """A way that tells what it was given, then waits."""

    def __init__(self, name, sightings, trouble=""):
        self.name = name
        self.trouble = trouble
        self.idle = False
        self.ignored = Counter()
        self._sightings = sightings

    async def look(self, tell):
        for one in self._sightings:
            tell(one)
        await asyncio.get_running_loop().create_future()


class Rogue:
    """A listener that takes connections, keeps what it hears and never answers."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._peers = []

    def heard(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self._peers.append(self._listener.accept()[0])
        data = b""
        for peer in self._peers:
            peer.settimeout(0)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                data += peer.recv(65_536)
        return data

    def close(self):
        for one in (self._listener, *self._peers):
            one.close()


@contextlib.asynccontextmanager
async def coordinator(authority, *, greets=True):
    """Run something that shows a coordinator's certificate and greets."""

    def told(event):
        if isinstance(event, Opened) and greets:
            hello = Challenge(1, authority.cluster_id, "home", 1, "127.0.0.1")
            link.engine.send(event.conn, _native.KIND_CONTROL, 0, encode(hello))

    link = Link(told)
    _, address = link.engine.listen("127.0.0.1:0", authority.server_tls())
    try:
        yield address
    finally:
        await link.stop()


@contextlib.asynccontextmanager
async def finder(ways, authority=None):
    """Return a finder that looks for an authority's cluster, or any."""
    link = Link(lambda _event: None)
    pins = () if authority is None else (authority.pin,)
    cluster_id = "" if authority is None else authority.cluster_id

    def dial(address, expected, timeout_s):
        return link.dial(
            address, _native.ClientTls(expected, None, cluster_id, None), timeout_ms=int(timeout_s * 1000)
        )

    try:
        yield Finder(ways, pins, Prover(pins, dial, Resolver().resolve, SystemClock()))
    finally:
        await link.stop()


def by(way, address, key=""):
    return Sighting(address, way, address, key=key)


def test_the_right_cluster_is_found_among_a_hundred_that_hang_and_they_hear_nothing_of_ours():
    rogues = [Rogue() for _ in range(100)]

    async def run():
        async with coordinator(CLUSTER) as address, coordinator(OTHER) as other:
            lies = [by(MDNS, one.address, CLUSTER.pin.hex()) for one in rogues]
            told = Rumour(MDNS, [*lies, by(MDNS, other, CLUSTER.pin.hex()), by(MDNS, address)])
            async with finder([told], CLUSTER) as one:
                began = time.monotonic()
                outcome = await one.search(20.0, until_trusted=True)
                took = time.monotonic() - began
            return address, outcome, took

    address, outcome, took = asyncio.run(run())
    try:
        (proven,) = [trial.proof for trial in outcome.trials if trial.proof and trial.proof.trusted]
        assert (proven.address, proven.cluster_name) == (address, "home")
        assert proven.cluster_id == CLUSTER.cluster_id
        print(f"found among a hundred in {took:.2f} s")
        for rogue in rogues:
            heard = rogue.heard()
            assert not heard or heard[0] == 0x16  # nothing but the beginning of a handshake
            assert CLUSTER.pin not in heard
            assert CLUSTER.cluster_id.encode() not in heard
    finally:
        for rogue in rogues:
            rogue.close()


def test_without_a_key_to_look_for_every_cluster_is_shown_with_its_own():
    async def run():
        async with coordinator(CLUSTER) as one, coordinator(OTHER) as two:
            ways = [
                Rumour(MDNS, [by(MDNS, one, CLUSTER.pin.hex())]),
                Rumour(BROADCAST, [by(BROADCAST, two, "ab" * 32)]),
            ]
            async with finder(ways) as found:
                return await found.search(1.0, until_trusted=False), ways

    outcome, ways = asyncio.run(run())
    view = report(outcome, ways, seconds=1.0, bridged=False)
    assert {one.key for one in view.found} == {f"SHA256:{town.pin.hex()}" for town in (CLUSTER, OTHER)}
    assert {one.trusted for one in view.found} == {None}
    lie = next(one for one in view.found if one.ways == (BROADCAST,))
    assert lie.problem == "it was announced with another key than it has"
    assert [one.problem for one in view.found if one.ways == (MDNS,)] == [""]


def test_another_cluster_is_told_apart_and_what_is_no_cluster_is_said():
    async def run():
        async with coordinator(OTHER) as other:
            nobody = Rogue()
            nobody.close()
            ways = [
                Rumour(MDNS, [by(MDNS, other), by(MDNS, nobody.address)]),
                Rumour(DNS, [by(DNS, "no-such.invalid:1")]),
            ]
            async with finder(ways, CLUSTER) as found:
                return await found.search(1.5, until_trusted=True), ways

    outcome, ways = asyncio.run(run())
    view = report(outcome, ways, seconds=1.5, bridged=False)
    assert [(one.trusted, one.problem) for one in view.found] == [(False, "its key is another one")]
    assert view.usable == ()
    problems = sorted(one.problem for one in view.unreached)
    assert problems[0] == "nothing listens there"
    assert problems[1].startswith(("the name has no address", "no name server answered"))


def test_a_cluster_that_starts_while_this_looks_is_found():
    async def run():
        with socket.create_server(("127.0.0.1", 0)) as place:
            port = place.getsockname()[1]
        address = f"127.0.0.1:{port}"
        async with finder([Given([(address, "settings")])], CLUSTER) as one:
            search = asyncio.create_task(one.search(20.0, until_trusted=True))
            await asyncio.sleep(0.5)
            link = Link(lambda _event: None)
            link.engine.listen(address, CLUSTER.server_tls())
            try:
                return await search
            finally:
                await link.stop()

    outcome = asyncio.run(run())
    assert [trial.proof.trusted for trial in outcome.trials] == [True]


def test_a_way_that_breaks_is_no_secret():
    broken = SimpleNamespace(name="broken", trouble="", idle=False, ignored=Counter())

    async def look(_tell):
        raise LookupError("a mistake of ours")

    broken.look = look

    async def run():
        async with finder([broken]) as one:
            await one.search(0.2, until_trusted=False)

    with pytest.raises(LookupError):
        asyncio.run(run())


def test_each_way_says_why_it_was_silent():
    async def run():
        ways = [
            Given([]),
            Rumour(MDNS, []),
            Rumour(BROADCAST, [], trouble="blocked on eth0: operation not permitted"),
        ]
        async with finder(ways) as one:
            return await one.search(0.1, until_trusted=False), ways

    outcome, ways = asyncio.run(run())
    direct, mdns, broadcast = report(outcome, ways, seconds=0.1, bridged=True).ways
    assert (direct.state, mdns.state, broadcast.state) == ("idle", "silent", "failed")
    assert "--cluster" in direct.why
    assert "nothing answered in 0.1 s" in mdns.why
    assert "--network host" in mdns.why
    assert "not permitted" in broadcast.why
