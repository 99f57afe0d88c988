"""The asyncio shell: events in order, fair batches, awaitable connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from swarmlet import _native
from swarmlet.link import engine as shell
from swarmlet.link.engine import Connection, ConnectionClosedError, Link
from swarmlet.link.events import Closed, Drained, Event, Failed, Frame, Lease, Opened
from swarmlet.link.messages import Goodbye, Leave, encode
from tests.fakes.pki import Authority

PATIENCE = 10.0


class Service:
    """A coordinator's side of the link: what it was told, and a way to wait for more."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.news = asyncio.Event()

    def on_event(self, event: Event) -> None:
        self.told.append(event)
        self.news.set()

    async def until(self, find: Callable[[], Any]) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not (found := find()):
                self.news.clear()
                await self.news.wait()
            return found

    def all(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


class World:
    """Two links on one loop."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.service = Service()
        self.server = Link(self.service.on_event)
        self.node_events: list[Event] = []
        self.client = Link(self.node_events.append)
        _, self.address = self.server.engine.listen("127.0.0.1:0", self.authority.server_tls())

    async def open(self) -> tuple[Connection, int]:
        connection = self.client.dial(self.address, self.authority.client_tls())
        exporter = (await connection.opened(PATIENCE)).exporter

        def theirs() -> int:
            return next((one.conn for one in self.service.all(Opened) if one.exporter == exporter), 0)

        return connection, await self.service.until(theirs)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    try:
        yield made
    finally:
        await made.client.stop()
        await made.server.stop()


def run(test: Callable[[World], Any]) -> None:
    async def main() -> None:
        async with world() as made:
            await test(made)

    asyncio.run(main())


def test_messages_go_both_ways_in_order() -> None:
    async def talk(made: World) -> None:
        connection, theirs = await made.open()
        await connection.send(Leave())
        frame = (await made.service.until(lambda: made.service.all(Frame)))[0]
        assert frame == Frame(theirs, _native.KIND_CONTROL, 0, encode(Leave()))
        for word in ("one", "two", "three"):
            made.server.engine.send(theirs, _native.KIND_CONTROL, 0, encode(Goodbye(word)))
        assert [await connection.receive(PATIENCE) for _ in range(3)] == [
            Goodbye("one"), Goodbye("two"), Goodbye("three"),
        ]  # fmt: skip

    run(talk)


def test_what_came_before_the_end_is_received_and_then_the_end_is_raised() -> None:
    async def talk(made: World) -> None:
        connection, theirs = await made.open()
        made.server.engine.send(theirs, _native.KIND_CONTROL, 0, encode(Goodbye("left")))
        made.server.engine.close(theirs, "left")
        assert (await connection.closed(PATIENCE)).reason == "closed"
        assert await connection.receive(PATIENCE) == Goodbye("left")
        with pytest.raises(ConnectionClosedError) as ended:
            await connection.receive(PATIENCE)
        assert ended.value.closed.reason == "closed"
        with pytest.raises(ConnectionClosedError):
            await connection.send(Leave())
        assert not connection.try_send(_native.KIND_CONTROL, 0, b"\x80")

    run(talk)


def test_a_connection_that_cannot_be_made_says_why() -> None:
    async def talk(made: World) -> None:
        connection = made.client.dial(made.address, Authority().client_tls())
        with pytest.raises(ConnectionClosedError, match="pin-mismatch") as ended:
            await connection.opened(PATIENCE)
        assert ended.value.closed.reason == "pin-mismatch"

    run(talk)


def test_every_wait_has_a_deadline() -> None:
    async def talk(made: World) -> None:
        connection, _ = await made.open()
        for wait in (connection.receive, connection.receive_frame, connection.closed):
            with pytest.raises(TimeoutError):
                await wait(0.05)

    run(talk)


def test_a_message_of_another_version_is_the_callers_to_judge() -> None:
    async def talk(made: World) -> None:
        connection, theirs = await made.open()
        made.server.engine.send(theirs, _native.KIND_CONTROL, 0, msgspec.msgpack.encode({"t": "from-2049"}))
        made.server.engine.send(theirs, _native.KIND_CONTROL, 0, encode(Leave()))
        with pytest.raises(msgspec.ValidationError):
            await connection.receive(PATIENCE)
        assert await connection.receive(PATIENCE) == Leave()

    run(talk)


def test_sending_waits_for_room() -> None:
    async def talk(made: World) -> None:
        leaf = made.authority.node()
        connection = made.client.dial(made.address, made.authority.client_tls(leaf))
        await connection.opened(PATIENCE)
        theirs = (await made.service.until(lambda: made.service.all(Opened)))[0].conn
        made.server.engine.admit(theirs, leaf.uid, 100, 3000)
        chunk = b"x" * 60000
        for _ in range(100):
            await connection.send_frame(_native.KIND_DATA, 1, chunk)
        await made.service.until(lambda: len(made.service.all(Frame)) == 100)
        assert not [event for event in made.node_events if isinstance(event, Drained)]
        assert [event.state for event in made.node_events if isinstance(event, Lease)] == ["held"]

    run(talk)


def test_a_peer_that_floods_a_dialled_connection_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "MOST_WAITING", 3)

    async def talk(made: World) -> None:
        connection, theirs = await made.open()
        for _ in range(10):
            made.server.engine.send(theirs, _native.KIND_CONTROL, 0, encode(Leave()))
        closed = await connection.closed(PATIENCE)
        assert closed == Closed(connection.number, "protocol", "more was sent than this side can take")
        for _ in range(3):
            assert await connection.receive(PATIENCE) == Leave()

    run(talk)


def test_a_handler_that_raises_costs_one_event() -> None:
    async def main() -> None:
        made = World()
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        seen: list[Event] = []

        def handler(event: Event) -> None:
            seen.append(event)
            raise ValueError(len(seen))

        picky = Link(handler)
        _, address = picky.engine.listen("127.0.0.1:0", made.authority.server_tls())
        connection = made.client.dial(address, made.authority.client_tls())
        await connection.opened(PATIENCE)
        await connection.send(Leave())
        async with asyncio.timeout(PATIENCE):
            while len(seen) < 2:
                await asyncio.sleep(0.001)
        assert [type(event) for event in seen] == [Opened, Frame]
        assert len(faults) == 2
        for link in (picky, made.client, made.server):
            await link.stop()

    asyncio.run(main())


def test_a_flood_of_events_leaves_turns_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "BATCH", 4)

    async def talk(made: World) -> None:
        connection, _ = await made.open()
        turns = 0
        for _ in range(200):
            connection.try_send(_native.KIND_CONTROL, 0, encode(Leave()))
        async with asyncio.timeout(PATIENCE):
            while len(made.service.all(Frame)) < 200:
                turns += 1
                await asyncio.sleep(0)
        assert turns >= 20

    run(talk)


def test_stopping_tells_every_end_and_twice_is_once() -> None:
    async def talk(made: World) -> None:
        connection, theirs = await made.open()
        await made.client.stop()
        await made.client.stop()
        assert (await connection.closed(PATIENCE)).reason == "stopped"
        ended = await made.service.until(lambda: made.service.all(Closed))
        assert (ended[0].conn, ended[0].reason) == (theirs, "closed")

    run(talk)


def test_an_engine_that_failed_is_told_once_and_ends_every_connection() -> None:
    async def talk(made: World) -> None:
        connection, _ = await made.open()

        class Broken:
            @staticmethod
            def poll(_: int) -> list[_native.EventTuple]:
                raise _native.NativeError("engine-stopped", "by a fault")

            @staticmethod
            def stop() -> None: ...

        whole, made.client.engine = made.client.engine, Broken()  # type: ignore[assignment]
        assert made.client._take_batch() is False
        assert made.node_events == [Failed("by a fault")]
        assert await connection.closed(PATIENCE) == Closed(connection.number, "stopped", "by a fault")
        whole.stop()

    run(talk)
