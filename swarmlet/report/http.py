"""The local API over HTTP/1.1: one request a connection, bounded in number, size and time. Holds no rule.

What is answered is decided by ``requests.py``; the bytes are h11's. h11 is imported with the first request,
since most starts of an agent are over before anybody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from swarmlet.report.ports import Bound
from swarmlet.report.requests import Request, Response, Route, answer, failure

if TYPE_CHECKING:
    import h11

_log = logging.getLogger(__name__)

#: Request line and headers together, in bytes (D1; nginx and Tomcat take 8 KiB).
MOST_HEADER = 8_192
#: Connections served at the same time; more wait in the backlog.
MOST_CONNECTIONS = 16
#: Seconds from accepting a connection to having the request: callers are on this machine.
REQUEST_S = 2.0
#: Seconds from having the request to having the answer out.
DEADLINE_S = 5.0
#: When all places are taken, whoever has had one for longer than this loses it to the next caller: an honest
#: one needs some milliseconds, so that dawdlers, however many, cannot keep ``/health`` from answering.
PATIENCE_S = 0.25


class LocalServer:
    """Serves routes on bound loopback sockets until :meth:`serve` is cancelled."""

    def __init__(self, bound: Bound, routes: Mapping[str, Route]) -> None:
        self._bound = bound
        self._routes = dict(routes)
        #: Whoever is served now and since when, oldest first.
        self._served: dict[asyncio.Task[None], float] = {}
        self._left = asyncio.Event()

    async def serve(self) -> None:
        """Accept and answer; closes the sockets when it ends."""
        try:
            async with asyncio.TaskGroup() as group:
                for one in self._bound.sockets:
                    group.create_task(self._accept(one, group))
        finally:
            self._bound.close()

    async def _accept(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                # Out of descriptors, or the caller went away first: neither may end the API.
                await asyncio.sleep(0.1)
                continue
            try:
                await self._make_room()
            except BaseException:
                connection.close()
                raise
            task = group.create_task(self._serve_one(connection))
            self._served[task] = loop.time()
            task.add_done_callback(self._gone)

    async def _make_room(self) -> None:
        """Wait until there is a place; who has had one for too long gives it up."""
        while len(self._served) >= MOST_CONNECTIONS:
            oldest, since = next(iter(self._served.items()))
            left_s = since + PATIENCE_S - asyncio.get_running_loop().time()
            if left_s <= 0:
                oldest.cancel()
            self._left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s if left_s > 0 else None):
                    await self._left.wait()

    def _gone(self, task: asyncio.Task[None]) -> None:
        del self._served[task]
        self._left.set()

    async def _serve_one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, TimeoutError):
            await _converse(connection, self._routes)


async def _converse(connection: socket.socket, routes: Mapping[str, Route]) -> None:
    import h11  # noqa: PLC0415 - see the module's header

    loop = asyncio.get_running_loop()
    wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEADER)
    request: Request | None = None
    try:
        async with asyncio.timeout(REQUEST_S):
            request = await _read(connection, wire)
        response = failure(400, "no request came") if request is None else _answer(request, routes)
    except h11.RemoteProtocolError as fault:
        response = failure(fault.error_status_hint, "this is no request that can be served")
    except TimeoutError:
        response = failure(408, "the request took too long")
    if wire.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    async with asyncio.timeout(DEADLINE_S):
        for part in _parts(response, bodiless=request is not None and request.method == "HEAD"):
            await loop.sock_sendall(connection, wire.send(part) or b"")
        connection.shutdown(socket.SHUT_WR)
        # Closing with unread bytes would reset the connection and could take the answer with it.
        while await loop.sock_recv(connection, 4096):
            pass


def _answer(request: Request, routes: Mapping[str, Route]) -> Response:
    try:
        return answer(request, routes)
    except Exception:  # noqa: BLE001 - it is logged with its traceback
        # A fault in one route must not end the agent, which runs work.
        _log.exception("the local API failed", extra={"target": request.target[:200]})
        return failure(500, "something failed that should not; the log tells more")


async def _read(connection: socket.socket, wire: h11.Connection) -> Request | None:
    import h11  # noqa: PLC0415 - already there

    loop = asyncio.get_running_loop()
    while True:
        event = wire.next_event()
        if isinstance(event, h11.Request):
            return Request(
                event.method.decode("ascii"),
                event.target.decode("ascii", "replace"),
                tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers),
            )
        if event is not h11.NEED_DATA:
            return None
        wire.receive_data(await loop.sock_recv(connection, 4096))


def _parts(response: Response, *, bodiless: bool) -> Iterator[h11.Response | h11.Data | h11.EndOfMessage]:
    import h11  # noqa: PLC0415 - already there

    headers = [
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
        *response.extra,
    ]
    yield h11.Response(status_code=response.status, headers=headers)
    if not bodiless:
        yield h11.Data(data=response.body)
    yield h11.EndOfMessage()
