"""Output streams: credit, fairness and every way they end."""

from __future__ import annotations

import asyncio
import struct

import pytest

from swarmlet._native import KIND_CONTROL, KIND_DATA
from swarmlet.agent.streams import MOST_CHUNK, MOST_STREAMS, Streams
from swarmlet.link.engine import ConnectionClosedError
from swarmlet.link.events import Closed
from swarmlet.link.messages import LogsOpen, StreamClose, decode
from tests.fakes.workloads import Idle


def credit(count):
    return struct.pack(">I", count)


class Wire:
    """What was sent, and whether it still takes anything."""

    def __init__(self):
        self.frames = []
        self.news = asyncio.Event()
        self.broken = False

    async def send(self, kind, stream, payload):
        if self.broken:
            raise ConnectionClosedError(Closed(1, "reset", ""))
        self.frames.append((kind, stream, payload))
        self.news.set()

    def data(self, stream):
        return b"".join(
            payload for kind, number, payload in self.frames if (kind, number) == (KIND_DATA, stream)
        )

    @property
    def ended(self):
        return [decode(payload) for kind, _, payload in self.frames if kind == KIND_CONTROL]

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                self.news.clear()
                await self.news.wait()


def run(outputs, work):
    async def wrapped():
        wire, idle = Wire(), Idle()
        idle.outputs = outputs
        async with asyncio.TaskGroup() as group:
            streams = Streams(idle, wire.send, group)
            try:
                return await work(streams, wire, idle)
            finally:
                streams.close_all()

    return asyncio.run(wrapped())


def test_output_arrives_whole_and_in_order_and_ends():
    chunks = [bytes([number]) * 10_000 for number in range(20)]

    async def work(streams, wire, _idle):
        assert streams.open(LogsOpen(7, "a"))
        await streams.grant(7, credit(1 << 20))
        await wire.until(lambda: wire.ended)
        return wire

    wire = run({"a": chunks}, work)
    assert wire.data(7) == b"".join(chunks)
    assert wire.ended == [StreamClose(7)]
    assert max(len(payload) for kind, _, payload in wire.frames if kind == KIND_DATA) <= MOST_CHUNK


def test_nothing_is_sent_beyond_what_was_granted():
    async def work(streams, wire, _idle):
        streams.open(LogsOpen(1, "a"))
        await asyncio.sleep(0)
        assert not wire.frames
        await streams.grant(1, credit(10))
        await wire.until(lambda: len(wire.data(1)) == 10)
        await asyncio.sleep(0.01)
        assert wire.data(1) == b"x" * 10
        await streams.grant(1, credit(100))
        await wire.until(lambda: wire.ended)
        return wire.data(1)

    assert run({"a": [b"x" * 30]}, work) == b"x" * 30


def test_a_slow_reader_holds_up_nobody_else():
    async def work(streams, wire, _idle):
        streams.open(LogsOpen(1, "a"))
        streams.open(LogsOpen(2, "b"))
        await streams.grant(2, credit(1000))
        await wire.until(lambda: StreamClose(2) in wire.ended)
        return wire

    wire = run({"a": [b"x" * 100], "b": [b"y" * 100]}, work)
    assert wire.data(1) == b""
    assert wire.data(2) == b"y" * 100


def test_an_unknown_assignment_ends_its_stream_with_the_code():
    async def work(streams, wire, _idle):
        streams.open(LogsOpen(3, "gone"))
        await wire.until(lambda: wire.ended)
        return wire.ended

    assert run({}, work) == [StreamClose(3, "SWL-504")]


def test_a_stream_the_coordinator_closed_says_no_more():
    async def work(streams, wire, idle):
        streams.open(LogsOpen(3, "a", follow=True))
        await streams.grant(3, credit(1000))
        await idle.followed.wait()
        streams.close(3)
        await asyncio.sleep(0.01)
        assert streams.open(LogsOpen(3, "a"))
        return wire.ended

    assert run({"a": [b"x"]}, work) == []


def test_a_broken_connection_ends_streams_quietly():
    async def work(streams, wire, _idle):
        wire.broken = True
        streams.open(LogsOpen(3, "a"))
        await streams.grant(3, credit(1000))
        await asyncio.sleep(0.01)
        return streams.open(LogsOpen(3, "a"))

    assert run({"a": [b"x"]}, work)


def test_streams_are_bounded_and_numbers_are_not_reused_while_open():
    async def work(streams, _wire, _idle):
        opened = [streams.open(LogsOpen(number, "a")) for number in range(1, MOST_STREAMS + 2)]
        return opened, streams.open(LogsOpen(1, "a"))

    opened, again = run({"a": [b"x"]}, work)
    assert opened == [True] * MOST_STREAMS + [False]
    assert not again


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00" * 5])
def test_credit_that_is_none_changes_nothing(payload):
    async def work(streams, wire, _idle):
        streams.open(LogsOpen(1, "a"))
        await streams.grant(1, payload)
        await streams.grant(99, credit(5))
        await asyncio.sleep(0.01)
        return wire.frames

    assert run({"a": [b"x"]}, work) == []


def test_credit_without_end_does_not_grow_without_end():
    async def work(streams, _wire, _idle):
        streams.open(LogsOpen(1, "a"))
        for _ in range(10):
            await streams.grant(1, credit(2**32 - 1))
        return streams._credit[1]

    assert run({"a": [b"x"]}, work) <= 1 << 31
