from __future__ import annotations

import asyncio
import contextlib
import struct

import pytest

from swarmlet import _native
from swarmlet.coordinator.relay import MOST_STREAMS, WINDOW, BrokenStreamError, Relay
from swarmlet.link.messages import LogsOpen, StreamClose


class Channel:
    """A connection that keeps what it is given, or has no room."""

    def __init__(self) -> None:
        self.sent: list = []
        self.full = False

    def send(self, message) -> bool:
        if not self.full:
            self.sent.append(message)
        return not self.full

    def send_frame(self, kind: int, stream: int, payload: bytes) -> bool:
        assert kind == _native.KIND_CREDIT
        if not self.full:
            self.sent.append((stream, struct.unpack(">I", payload)[0]))
        return not self.full

    def granted(self, stream: int) -> int:
        return sum(one[1] for one in self.sent if isinstance(one, tuple) and one[0] == stream)


async def everything(stream) -> bytes:
    return b"".join([chunk async for chunk in stream.read()])


async def test_a_stream_is_asked_for_and_ends_when_the_node_ends_it() -> None:
    channel = Channel()
    relay = Relay(channel)
    with relay.logs("w.0.1", follow=True, tail=5) as stream:
        assert channel.sent == [LogsOpen(1, "w.0.1", follow=True, tail=5), (1, WINDOW)]
        reader = asyncio.create_task(everything(stream))
        relay.data(1, b"one\n")
        await asyncio.sleep(0)
        relay.data(1, b"two\n")
        relay.closed(StreamClose(1))
        assert await reader == b"one\ntwo\n"
    assert StreamClose(1) not in channel.sent


async def test_empty_frames_are_not_kept_however_many_come() -> None:
    channel = Channel()
    relay = Relay(channel)
    with relay.logs("a", follow=True, tail=None) as stream:
        for _ in range(1000):
            relay.data(1, b"")
        relay.data(1, b"x")
        relay.closed(StreamClose(1))
        assert [chunk async for chunk in stream.read()] == [b"x"]


async def test_a_reader_that_goes_away_closes_the_stream() -> None:
    channel = Channel()
    relay = Relay(channel)
    with relay.logs("a", follow=True, tail=None):
        pass
    assert channel.sent[-1] == StreamClose(1)
    relay.data(1, b"late")
    relay.closed(StreamClose(1))


async def test_credit_follows_what_was_read_and_never_exceeds_the_window() -> None:
    channel = Channel()
    relay = Relay(channel)
    sent = 0
    with relay.logs("a", follow=True, tail=None) as stream:
        chunks = stream.read()
        for _ in range(100):
            while channel.granted(1) - sent >= 32_768:
                relay.data(1, bytes(32_768))
                sent += 32_768
            await anext(chunks)
            assert channel.granted(1) <= sent + WINDOW
        assert sent > 10 * WINDOW


async def test_a_node_that_ignores_its_credit_loses_the_stream() -> None:
    relay = Relay(Channel())
    with relay.logs("a", follow=True, tail=None) as stream:
        for _ in range(3 * WINDOW // 65_536):
            relay.data(1, bytes(65_536))
        with pytest.raises(BrokenStreamError, match="more than it was asked for"):
            await everything(stream)


async def test_what_is_owed_is_granted_once_there_is_room() -> None:
    channel = Channel()
    relay = Relay(channel)
    with relay.logs("a", follow=True, tail=None) as stream:
        for _ in range(4):
            relay.data(1, bytes(65_536))
        channel.full = True
        chunks = stream.read()
        for _ in range(4):
            await anext(chunks)
        assert channel.granted(1) == WINDOW
        channel.full = False
        relay.drained()
        assert channel.granted(1) == WINDOW + 3 * 65_536  # the last chunk is still being looked at


async def test_streams_end_with_their_connection() -> None:
    relay = Relay(Channel())
    with relay.logs("a", follow=True, tail=None) as stream:
        relay.data(1, b"last words")
        relay.close()
        chunks = stream.read()
        assert await anext(chunks) == b"last words"
        with pytest.raises(BrokenStreamError, match="connection to it ended"):
            await anext(chunks)


async def test_a_failure_on_the_node_is_told_in_words() -> None:
    relay = Relay(Channel())
    with relay.logs("a", follow=True, tail=None) as stream:
        relay.closed(StreamClose(1, "SWL-504"))
        with pytest.raises(BrokenStreamError, match="SWL-504"):
            await everything(stream)


async def test_a_busy_connection_opens_nothing() -> None:
    channel = Channel()
    channel.full = True
    relay = Relay(channel)
    with pytest.raises(BrokenStreamError, match="busy"), relay.logs("a", follow=True, tail=None):
        pass


async def test_numbers_go_round_and_are_never_shared() -> None:
    relay = Relay(Channel())
    relay._last = 65_534
    with relay.logs("a", follow=True, tail=None) as first, relay.logs("b", follow=True, tail=None) as second:
        assert (first.number, second.number) == (65_535, 1)
        relay._last = 65_534
        with relay.logs("c", follow=True, tail=None) as third:
            assert third.number == 2


async def test_streams_of_one_connection_are_bounded() -> None:
    relay = Relay(Channel())
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            stack.enter_context(relay.logs("a", follow=True, tail=None))
        with pytest.raises(BrokenStreamError, match="readers already"):
            stack.enter_context(relay.logs("a", follow=True, tail=None))
