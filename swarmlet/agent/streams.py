"""Output on its way to the coordinator: one task a stream, sending no more than it was granted.

The coordinator grants bytes as its reader takes them (credit), so a slow reader slows its own stream and
nothing else. What a stream says and when it ends is the workloads' business.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

from swarmlet._native import KIND_CONTROL, KIND_DATA
from swarmlet.errors import SwarmletError
from swarmlet.link.engine import ConnectionClosedError
from swarmlet.link.messages import LogsOpen, StreamClose, encode

#: Streams at a time, as many as the coordinator opens; one more is refused.
MOST_STREAMS = 64
#: Bytes in one data frame; small enough to let control frames pass between two.
MOST_CHUNK = 16_384
_CREDIT = struct.Struct(">I")
#: More than the coordinator ever grants; keeps a peer that grants without end from growing a number.
_MOST_CREDIT = 1 << 31

#: Sends a frame, waiting for room: kind, stream, payload.
SendFrame = Callable[[int, int, bytes], Awaitable[None]]


class Output(Protocol):
    """Where the bytes come from."""

    def logs(self, assignment_id: str, *, follow: bool, tail: int | None) -> AsyncGenerator[bytes, None]:
        """Yield the output of an assignment."""
        ...


class Streams:
    """The open streams of one connection; their tasks belong to ``group``."""

    def __init__(self, output: Output, send: SendFrame, group: asyncio.TaskGroup) -> None:
        self._output = output
        self._send = send
        self._group = group
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._credit: dict[int, int] = {}
        self._granted = asyncio.Condition()

    def open(self, request: LogsOpen) -> bool:
        """Begin to send; false when the number is in use or there are too many."""
        if request.stream in self._tasks or len(self._tasks) >= MOST_STREAMS:
            return False
        self._credit[request.stream] = 0
        self._tasks[request.stream] = self._group.create_task(self._run(request))
        return True

    async def grant(self, stream: int, payload: bytes) -> None:
        """Take a credit frame; one for a stream that ended is dropped."""
        if stream not in self._credit or len(payload) != _CREDIT.size:
            return
        async with self._granted:
            self._credit[stream] = min(self._credit[stream] + _CREDIT.unpack(payload)[0], _MOST_CREDIT)
            self._granted.notify_all()

    def close(self, stream: int) -> None:
        """The coordinator wants no more of it."""
        task = self._tasks.get(stream)
        if task is not None:
            task.cancel()

    def close_all(self) -> None:
        """The connection ends."""
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, request: LogsOpen) -> None:
        number = request.stream
        trouble: str | None = None
        try:
            chunks = self._output.logs(request.assignment_id, follow=request.follow, tail=request.tail)
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    await self._send_chunk(number, chunk)
        except SwarmletError as failure:
            trouble = failure.code
        except (ConnectionClosedError, TimeoutError):
            return  # nobody is left to tell
        finally:
            del self._tasks[number], self._credit[number]
        with contextlib.suppress(ConnectionClosedError, TimeoutError):
            await self._send(KIND_CONTROL, 0, encode(StreamClose(number, trouble)))

    async def _send_chunk(self, number: int, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            async with self._granted:
                await self._granted.wait_for(lambda: self._credit[number] > 0)
                size = min(self._credit[number], MOST_CHUNK, len(rest))
                self._credit[number] -= size
            await self._send(KIND_DATA, number, bytes(rest[:size]))
            rest = rest[size:]
