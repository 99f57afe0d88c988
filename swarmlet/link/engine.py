"""The asyncio shell over the native engine: it wakes, takes a batch, hands each event on. It holds no rule.

A coordinator gives a callback and sees every event. A node dials and uses a :class:`Connection`, which turns
the events of one outbound connection into awaitable calls, each with a deadline.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from swarmlet import _native
from swarmlet.link import messages
from swarmlet.link.events import (
    Closed,
    Drained,
    Event,
    Failed,
    Frame,
    Gossip,
    GossipBody,
    Opened,
    decode,
)

#: Events handled before other tasks get their turn. The descriptor stays readable while more wait.
BATCH: Final = 256

#: Frames of one dialled connection that may wait; a coordinator sends a handful at a time.
MOST_WAITING: Final = 256


class ConnectionClosedError(Exception):
    """The connection is over; ``closed`` says why."""

    def __init__(self, closed: Closed) -> None:
        self.closed = closed
        super().__init__(f"{closed.reason}: {closed.detail}" if closed.detail else closed.reason)


class Link:
    """One native engine on the running event loop.

    Args:
        on_event: Called in order, in the loop, for every event that no :class:`Connection` takes. What it
            raises goes to the loop's exception handler, and the next event follows.
        event_capacity: Events that may wait in the engine before it stops reading connections.
    """

    def __init__(self, on_event: Callable[[Event], None], *, event_capacity: int = 16384) -> None:
        self.engine = _native.Engine(event_capacity=event_capacity)
        self._on_event = on_event
        self._dialled: dict[int, Connection] = {}
        self._loop = asyncio.get_running_loop()
        self._fd = self.engine.event_fd
        self._reading = True
        self._loop.add_reader(self._fd, self._take_batch)

    def dial(
        self, address: str, tls: _native.ClientTls, *, timeout_ms: int = 10000, source: str | None = None
    ) -> Connection:
        """Begin a connection to ``ip:port``; await :meth:`Connection.opened` next.

        Raises:
            NativeError: ``address-unavailable``, ``engine-stopped``.
        """
        number = self.engine.connect(address, tls, timeout_ms=timeout_ms, source=source)
        connection = Connection(self, number)
        self._dialled[number] = connection
        return connection

    async def stop(self) -> None:
        """Close every connection, end the engine's thread and hand on the events that were left."""
        if not self._reading:
            return
        # The thread flushes what is queued and may take half a second for it.
        await asyncio.get_running_loop().run_in_executor(None, self.engine.stop)
        while self._reading and self._take_batch():
            pass
        self._stop_reading()

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _take_batch(self) -> bool:
        """Hand on one batch; false when there was nothing."""
        try:
            batch = self.engine.poll(BATCH)
        except _native.NativeError as cause:
            self._stop_reading()
            self._fail(str(cause.args[-1]))
            return False
        for item in batch:
            self._hand_on(decode(item))
        return bool(batch)

    def _hand_on(self, event: Event) -> None:
        connection = None
        if not isinstance(event, (Failed, Gossip, GossipBody)):
            connection = self._dialled.get(event.conn)
        if connection is not None and connection.take(event):
            if isinstance(event, Closed):
                del self._dialled[event.conn]
            return
        try:
            self._on_event(event)
        except Exception as cause:  # noqa: BLE001 - one bad event must not cost the rest of the batch
            context = {"message": "handling a link event failed", "exception": cause}
            self._loop.call_exception_handler(context)

    def _fail(self, detail: str) -> None:
        for number, connection in self._dialled.items():
            connection.take(Closed(number, "stopped", detail))
        self._dialled.clear()
        self._hand_on(Failed(detail))


class Connection:
    """One outbound connection, as a coroutine sees it. Only one task may wait on it at a time.

    Lease events go to the link's callback: they outlive connections.
    """

    def __init__(self, link: Link, number: int) -> None:
        self.number = number
        self._engine = link.engine
        self._opened: Opened | None = None
        self._closed: Closed | None = None
        self._frames: deque[Frame] = deque()
        self._overflowed = False
        self._blocked = False
        self._news = asyncio.Event()

    async def opened(self, timeout: float) -> Opened:  # noqa: ASYNC109 - every wait here has a deadline
        """Wait until the handshake is done.

        Args:
            timeout: Seconds to wait.

        Raises:
            ConnectionClosedError: It failed; the reason says how.
            TimeoutError: It takes longer.
        """
        async with asyncio.timeout(timeout):
            while self._opened is None:
                await self._wait()
            return self._opened

    async def receive_frame(self, timeout: float) -> Frame:  # noqa: ASYNC109
        """Wait for the next frame, control or data.

        Args:
            timeout: Seconds to wait.

        Raises:
            ConnectionClosedError: The connection ended, and every frame before that was taken.
            TimeoutError: None came.
        """
        async with asyncio.timeout(timeout):
            while not self._frames:
                await self._wait()
            return self._frames.popleft()

    async def receive(self, timeout: float) -> messages.AnyMessage:  # noqa: ASYNC109
        """Wait for the next control message; data frames before it are dropped.

        Args:
            timeout: Seconds to wait.

        Raises:
            ConnectionClosedError: The connection ended, and every message before that was taken.
            TimeoutError: None came.
            msgspec.DecodeError: What came is no message of this version (``ValidationError`` included).
        """
        async with asyncio.timeout(timeout):
            while True:
                frame = await self.receive_frame(timeout)
                if frame.kind == _native.KIND_CONTROL:
                    return messages.decode(frame.payload)

    async def send(self, message: messages.AnyMessage, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """Queue a control message, waiting for room.

        Args:
            message: What to say.
            timeout: Seconds to wait for room.

        Raises:
            ConnectionClosedError: The connection ended.
            TimeoutError: The peer does not read.
        """
        await self.send_frame(_native.KIND_CONTROL, 0, messages.encode(message), timeout)

    async def send_frame(
        self,
        kind: int,
        stream: int,
        payload: bytes,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> None:
        """Queue one frame, waiting for room. Arguments and errors as in :meth:`send`."""
        async with asyncio.timeout(timeout):
            while True:
                # Set before the attempt: the engine may have drained it by the time the answer is here.
                self._blocked = True
                if self.try_send(kind, stream, payload):
                    self._blocked = False
                    return
                while self._blocked:
                    await self._wait()

    def try_send(self, kind: int, stream: int, payload: bytes) -> bool:
        """Queue one frame; false when there is no room or no connection."""
        return self._closed is None and self._engine.send(self.number, kind, stream, payload)

    def close(self, reason: str = "closed") -> None:
        """Flush what is queued and close; nothing happens when it is over already."""
        self._engine.close(self.number, reason)

    async def closed(self, timeout: float) -> Closed:  # noqa: ASYNC109
        """Wait for the end.

        Args:
            timeout: Seconds to wait.

        Raises:
            TimeoutError: It has not ended.
        """
        async with asyncio.timeout(timeout):
            while self._closed is None:
                self._news.clear()
                await self._news.wait()
            return self._closed

    def take(self, event: Event) -> bool:
        """Note an event of this connection; false when it is not for a connection to know."""
        match event:
            case Opened():
                self._opened = event
            case Frame():
                self._keep(event)
            case Drained():
                self._blocked = False
            case Closed() if self._overflowed:
                self._closed = Closed(event.conn, "protocol", "more was sent than this side can take")
            case Closed():
                self._closed = event
            case _:
                return False
        self._news.set()
        return True

    def _keep(self, frame: Frame) -> None:
        if len(self._frames) < MOST_WAITING:
            self._frames.append(frame)
        elif not self._overflowed:
            self._overflowed = True
            self._engine.close(self.number, "protocol")

    async def _wait(self) -> None:
        """Wait for news; raises once the connection is over."""
        if self._closed is not None:
            raise ConnectionClosedError(self._closed)
        self._news.clear()
        await self._news.wait()
