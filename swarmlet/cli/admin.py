"""Talks to the coordinator: HTTP and JSON over its unix socket.

Knows transport, errors and idempotency keys; what a request means is the caller's business. The same
routes will be served remotely, so nothing here depends on the socket but :class:`_UnixConnection`.
"""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from swarmlet.cli.render import Line, Renderer
from swarmlet.errors import CATALOGUE, SwarmletError, error
from swarmlet.model.views import ErrorView

T = TypeVar("T")

_TIMEOUT_S = 30.0
#: Seconds that a coordinator is given to come back: it is started again by whatever keeps it.
RESTART_S = 30.0
_PAUSE_S = 0.2
#: What a connection that ends before its answer is whole looks like.
_LOST = (http.client.HTTPException, ConnectionResetError, BrokenPipeError, TimeoutError)
_LONGEST_REFERENCE = 400
_HUNG_UP = "it hung up"


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("coordinator", timeout=timeout)
        self._path = path
        self.patient = False

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Admin:
    """A client of the admin API."""

    def __init__(
        self,
        socket_path: str,
        *,
        timeout_s: float = _TIMEOUT_S,
        restart_s: float = RESTART_S,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s
        self._restart_s = restart_s
        self._say = say

    def get(self, kind: type[T], path: str, **query: str) -> T:
        """Return the view at ``path``.

        Args:
            kind: The view's type.
            path: The route, with its parts already quoted (:func:`part`).
            query: Query parameters.

        Raises:
            SwarmletError: What the coordinator refused with, or ``SWL-700`` when none answers.
        """
        try:
            return _decode(kind, self._once("GET", _with_query(path, query), None, {}))
        except _LOST as failure:
            raise self._hung_up(failure) from failure

    def change(self, kind: type[T], method: str, path: str, body: Any = None) -> T:
        """Make a mutation once, however often the connection breaks; return the view it answers with.

        Raises:
            SwarmletError: As :meth:`get`; ``SWL-702`` when it may have been made all the same.
        """
        payload = b"{}" if body is None else msgspec.json.encode(body)
        headers = {"Idempotency-Key": secrets.token_hex(16), "Content-Type": "application/json"}
        try:
            return _decode(kind, self._once(method, path, payload, headers))
        except _LOST as failure:
            lost = self._hung_up(failure)

        def again() -> bytes:
            # The same key: what was made the first time is answered, not made again.
            try:
                return self._once(method, path, payload, headers)
            except _LOST as failure:
                raise self._hung_up(failure) from None

        try:
            return _decode(kind, riding(again, self._say, most_s=self._restart_s)())
        except SwarmletError as failure:
            if failure.code != "SWL-700":
                raise
            look = "stratoswarm ps --all, stratoswarm nodes ls --all, or  stratoswarm audit"
            raise error("SWL-702", path=self._path, detail=lost.fields["detail"], look=look) from None

    def stream(self, path: str, **query: str) -> Iterator[bytes]:
        """Yield the body at ``path`` as it arrives (logs); ends when the coordinator ends it.

        Raises:
            SwarmletError: As :meth:`get`, also in the middle; ``SWL-700`` when the coordinator goes away.
        """
        connection = _UnixConnection(self._path, timeout=self._timeout_s)
        connection.patient = (
            True  # the head comes with the first output, and a quiet workload has no deadline
        )
        try:
            response = self._send(connection, "GET", _with_query(path, query), None, {})
            if response.status >= 400:
                raise _refusal(response.read())
            mark = (response.headers.get("Failure-Mark") or "").encode()
            yield from until_failure(_chunks(response), mark)
        except _LOST as failure:
            raise self._hung_up(failure) from failure
        finally:
            connection.close()

    def _hung_up(self, failure: Exception) -> SwarmletError:
        return error("SWL-700", path=self._path, detail=f"{_HUNG_UP} ({_words(failure)})")

    def _once(self, method: str, path: str, payload: bytes | None, headers: dict[str, str]) -> bytes:
        connection = _UnixConnection(self._path, timeout=self._timeout_s)
        try:
            response = self._send(connection, method, path, payload, headers)
            body = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise _refusal(body)
        return body

    def _send(
        self,
        connection: _UnixConnection,
        method: str,
        path: str,
        payload: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        """Send a request and return the head of the answer; ``SWL-700`` when nothing was sent."""
        try:
            connection.connect()
        except FileNotFoundError:
            raise error("SWL-700", path=self._path, detail="the socket does not exist") from None
        except ConnectionRefusedError:
            raise error("SWL-700", path=self._path, detail="nothing listens on it") from None
        except PermissionError:
            raise error("SWL-701", user=_user(), role="admin") from None
        except TimeoutError:
            raise error("SWL-700", path=self._path, detail="it does not answer") from None
        except OSError as failure:
            raise error("SWL-700", path=self._path, detail=failure.strerror or str(failure)) from None
        connection.request(method, path, body=payload, headers=headers)
        if connection.patient and connection.sock is not None:
            connection.sock.settimeout(None)
        return connection.getresponse()


def hung_up(failure: SwarmletError) -> bool:
    """Say whether the coordinator was there and went away before its answer was whole."""
    return failure.code == "SWL-700" and failure.fields["detail"].startswith(_HUNG_UP)


def riding(
    fetch: Callable[[], T], say: Callable[[str], None] | None, *, most_s: float = RESTART_S
) -> Callable[[], T]:
    """Return ``fetch`` with patience for a coordinator that is started again meanwhile.

    Args:
        fetch: Asks the coordinator.
        say: Told, once, that it is waited for.
        most_s: Seconds to wait each time.

    Raises:
        SwarmletError: From what is returned: ``SWL-700`` when the coordinator does not come back.
    """
    told = False

    def patiently() -> T:
        nonlocal told
        until = time.monotonic() + most_s
        while True:
            try:
                return fetch()
            except SwarmletError as failure:
                if failure.code != "SWL-700" or time.monotonic() >= until:
                    raise
            if say is not None and not told:
                say("the coordinator does not answer; waiting for it to come back")
                told = True
            time.sleep(_PAUSE_S)

    return patiently


def until_failure(chunks: Iterator[bytes], mark: bytes) -> Iterator[bytes]:
    """Yield what a workload wrote, up to the failure that the coordinator may put behind ``mark``.

    Args:
        chunks: What arrives, cut anywhere.
        mark: What the head of the answer named; empty when it named none.

    Raises:
        SwarmletError: The failure.
    """
    held = b""
    for chunk in chunks:
        held += chunk
        at = held.find(mark) if mark else -1
        if at >= 0:
            yield held[:at]
            raise _refusal(held[at + len(mark) :] + b"".join(chunks))
        keep = next((n for n in range(min(len(mark) - 1, len(held)), 0, -1) if held.endswith(mark[:n])), 0)
        if len(held) > keep:
            yield held[: len(held) - keep]
        held = held[len(held) - keep :]
    if held:
        yield held


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read1(65536):
        yield chunk


def part(text: str) -> str:
    """Quote one path part: what somebody calls a node, a token or a workload.

    Raises:
        SwarmletError: ``SWL-400`` for nothing at all, which would be another path.
    """
    if not text:
        raise error("SWL-400", detail="the name or id is empty", hint="give a name, an id or its beginning")
    # Nothing has so long a name: the beginning alone is as unknown, and fits into a request's first line.
    return quote(text[:_LONGEST_REFERENCE], safe="")


def shown(fetch: Callable[[], T], show: Callable[[T], None], *, again: bool, render: Renderer) -> T:
    """Fetch and show once; ``again``: look every second and show what changed, until interrupted.

    Returns:
        What was fetched last.
    """
    before: list[Line] | None = None
    while True:
        found = fetch()
        if before is None and again:
            fetch = riding(fetch, render.say)
        with render.held() as lines:
            show(found)
        if lines != before:
            if again:
                render.clear()
            render.write(lines)
            before = lines
        if not again:
            return found
        time.sleep(1)


def wait_until(
    fetch: Callable[[], T],
    done: Callable[[T], bool],
    *,
    timeout_s: float | None,
    late: Callable[[T], SwarmletError],
    say: Callable[[str], None] | None = None,
) -> T:
    """Fetch until ``done``, at most every half second, also while the coordinator is started again.

    Args:
        fetch: Returns the newest value.
        done: Says whether it is what was waited for.
        timeout_s: Seconds to wait; ``None`` for ever.
        late: What is raised after that, told the last value.
        say: Told that the coordinator is waited for.

    Raises:
        SwarmletError: ``late`` after ``timeout_s``; ``SWL-703`` when the coordinator went away for good.
    """
    started = time.monotonic()
    pause = 0.02
    most_s = RESTART_S if timeout_s is None else timeout_s
    patiently = riding(fetch, say, most_s=most_s)
    while True:
        try:
            value = patiently()
        except SwarmletError as failure:
            if failure.code != "SWL-700":
                raise
            raise error("SWL-703", **{**failure.fields, "seconds": f"{most_s:g}"}) from None
        if done(value):
            return value
        if timeout_s is not None and time.monotonic() - started > timeout_s:
            raise late(value)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def _words(failure: Exception) -> str:
    if isinstance(failure, http.client.IncompleteRead):
        return "in the middle of its answer"
    return str(failure) or "no answer in time"


def _with_query(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _decode(kind: type[T], body: bytes) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as failure:
        raise error("SWL-799", detail=f"the coordinator's answer is not as expected ({failure})") from failure


def _refusal(body: bytes) -> SwarmletError:
    try:
        refusal = msgspec.json.decode(body, type=ErrorView).error
    except msgspec.MsgspecError:
        return error("SWL-799", detail="the coordinator refused without a reason")
    if refusal.code not in CATALOGUE:
        return error("SWL-799", detail=f"{refusal.code}: {refusal.what}")
    return error(refusal.code, **refusal.fields)


def _user() -> str:
    return str(os.getuid())
