"""Relays a node's streams (the output of a replica) to whoever asked, with back-pressure from end to end.

The node may send only what it was granted (credit, in bytes); credit is granted anew as the reader takes
what came. So a slow reader slows its own stream, holds at most :data:`WINDOW` bytes here, and nothing else.
A stream ends when either side closes it, when the node's connection ends, or when the reader goes away;
whatever comes after that is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

from swarmlet import _native
from swarmlet.errors import CATALOGUE
from swarmlet.link.messages import AnyMessage, LogsOpen, StreamClose

#: Bytes a node may have under way on one stream.
WINDOW = 256 * 1024
#: Streams of one connection at a time; their numbers are 16 bits wide.
MOST_STREAMS = 64
_LAST_NUMBER = 65_535
_CREDIT = struct.Struct(">I")


class BrokenStreamError(Exception):
    """A stream cannot be opened or ended before its time; the text says why, for a person."""


class Channel(Protocol):
    """A connection to a node, as far as a relay needs it."""

    def send(self, message: AnyMessage) -> bool:
        """Queue a control message; false when there is no room or no connection."""
        ...

    def send_frame(self, kind: int, stream: int, payload: bytes) -> bool:
        """Queue a frame of another kind; false as above."""
        ...


class Stream:
    """One stream while it is open: fed by the connection, read by one task."""

    def __init__(self, number: int, grant: Callable[[int], bool]) -> None:
        self.number = number
        self._grant = grant
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._owed = 0
        self._over = False
        self._failure: BrokenStreamError | None = None
        self._news = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """Take data from the node. More than was granted ends the stream: that node keeps no rules."""
        if self._over or not data:
            return  # nothing costs no credit, so it must not be kept either
        if self._held + len(data) > 2 * WINDOW:
            self.end(BrokenStreamError("it sent more than it was asked for"))
            return
        self._held += len(data)
        self._chunks.append(data)
        self._news.set()

    def end(self, failure: BrokenStreamError | None) -> None:
        """No more will come; ``failure`` says why when it is not the end of the output."""
        if not self._over:
            self._over = True
            self._failure = failure
            self._news.set()

    async def read(self) -> AsyncIterator[bytes]:
        """Yield what comes until the end.

        Raises:
            BrokenStreamError: Why the stream broke, after everything that came before was yielded.
        """
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                yield chunk
                self._took(len(chunk))
            if self._failure is not None:
                raise self._failure
            if self._over:
                return
            self._news.clear()
            await self._news.wait()

    def _took(self, count: int) -> None:
        self._held -= count
        self._owed += count
        self.settle(least=WINDOW // 4)

    def settle(self, least: int = 1) -> None:
        """Grant what is owed, if it is ``least`` bytes; also called when the connection has room again."""
        if not self._over and self._owed >= least and self._grant(self._owed):
            self._owed = 0


class Relay:
    """The open streams of one connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._streams: dict[int, Stream] = {}
        self._last = 0

    @contextlib.contextmanager
    def logs(self, assignment_id: str, *, follow: bool, tail: int | None) -> Iterator[Stream]:
        """Open the output of an assignment for the length of a ``with`` block.

        Args:
            assignment_id: Of an assignment on this connection's node.
            follow: Go on as more is written.
            tail: Begin with so many last lines; ``None`` for all that is kept.

        Raises:
            BrokenStreamError: The node cannot be asked now.
        """
        stream = self._open()
        asked = LogsOpen(stream.number, assignment_id, follow, tail)
        try:
            if not (self._channel.send(asked) and self._grant(stream.number, WINDOW)):
                raise BrokenStreamError("the connection to it is busy")
            yield stream
        finally:
            if self._streams.pop(stream.number, None) is not None:
                self._channel.send(StreamClose(stream.number))

    def data(self, number: int, payload: bytes) -> None:
        """Take a data frame; one for a stream that was closed is dropped."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.feed(payload)

    def closed(self, message: StreamClose) -> None:
        """The node ended a stream."""
        stream = self._streams.pop(message.stream, None)
        if stream is not None:
            stream.end(None if message.error is None else BrokenStreamError(_words(message.error)))

    def drained(self) -> None:
        """The connection has room again."""
        for stream in self._streams.values():
            stream.settle()

    def close(self) -> None:
        """The connection ended, and every stream with it."""
        for stream in self._streams.values():
            stream.end(BrokenStreamError("the connection to it ended"))
        self._streams.clear()

    def _open(self) -> Stream:
        if len(self._streams) >= MOST_STREAMS:
            raise BrokenStreamError(f"{MOST_STREAMS} readers already read from it")
        # Numbers go round, so that late frames of a closed stream do not fall into a new one.
        self._last = self._last % _LAST_NUMBER + 1
        while self._last in self._streams:
            self._last = self._last % _LAST_NUMBER + 1
        number = self._last
        stream = Stream(number, lambda count: self._grant(number, count))
        self._streams[number] = stream
        return stream

    def _grant(self, number: int, count: int) -> bool:
        return self._channel.send_frame(_native.KIND_CREDIT, number, _CREDIT.pack(count))


def _words(code: str) -> str:
    entry = CATALOGUE.get(code)
    return f"it answers {code}" if entry is None or "{" in entry.what else f"it answers {entry.what} ({code})"
