"""Serves the route table over a unix socket. Checks who asks and the shape of what is asked; decides nothing.

In this order: who is it (the kernel says), may they (the table says), is the request whole and known (P3),
and only then the handler. Errors are the catalogue's; anything else is logged and shown as ``SWL-799``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from swarmlet.config.caller import Caller, caller_of, is_confined
from swarmlet.coordinator.api import answers
from swarmlet.coordinator.api import body as bodies
from swarmlet.coordinator.api.call import Call, Services
from swarmlet.coordinator.api.roles import Audience, Role, role_of
from swarmlet.coordinator.api.routes import ROUTES, SAFE, Route
from swarmlet.coordinator.api.streaming import stream
from swarmlet.errors import SwarmletError, error

#: The largest request body, in bytes (P3).
MAX_BODY = 1024 * 1024
#: The longest idempotency key, in characters.
MAX_KEY = 128
#: Seconds that requests under way are given when the coordinator stops.
_SHUTDOWN_S = 2.0

logger = logging.getLogger(__name__)


def application(services: Services) -> web.Application:
    """Return the web application of the route table."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_as_catalogue])
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _endpoint(route, services))
    return app


@contextlib.asynccontextmanager
async def served(services: Services, path: str) -> AsyncIterator[None]:
    """Serve the API on the unix socket ``path`` for the length of an ``async with`` block."""
    # A reader that goes away ends its handler; a change under way is finished all the same (ledger.py).
    runner = web.AppRunner(
        application(services), access_log=None, shutdown_timeout=_SHUTDOWN_S, handler_cancellation=True
    )
    await runner.setup()
    listener = _bind(path)
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        services.stopping.set()
        await runner.cleanup()
        listener.close()
        _remove(Path(path))


def _remove(socket_file: Path) -> None:
    """Remove what an earlier coordinator left, if it is a socket."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(socket_file.lstat().st_mode):
            socket_file.unlink()


def _bind(path: str) -> socket.socket:
    """Bind the socket, only for its owner from the first moment. The coordinator's lock is held by now."""
    place = Path(path)
    _remove(place)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError as failure:
        listener.close()
        raise error("SWL-301", path=str(place.parent), detail=f"{failure.strerror}: {place.name}") from None
    finally:
        os.umask(before)
    listener.setblocking(False)  # noqa: FBT003 - the parameter has no name
    return listener


def _endpoint(route: Route, services: Services) -> Any:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        answer = await route.handler(await _call(route, services, request))
        if isinstance(answer, msgspec.Struct):
            return web.Response(body=answers.encode(answer), content_type="application/json")
        return await stream(request, answer, services.stopping)

    return endpoint


# ---- before the handler


async def _call(route: Route, services: Services, request: web.Request) -> Call:
    """Check everything that does not depend on what the request means.

    Raises:
        SwarmletError: ``SWL-701`` for who may not, ``SWL-608`` for what is malformed.
    """
    caller = peer(request)
    uid, confined = caller.uid, is_confined(caller)
    role = Role.NONE if confined else role_of(uid, os.geteuid())
    if route.audience is not Audience.HUMAN or role < route.role:
        user = f"{_user(uid)} in a sandbox" if confined else _user(uid)
        raise error("SWL-701", user=user, role=route.role.name.lower())
    unknown = sorted(set(request.query) - route.query)
    if unknown:
        taken = ", ".join(sorted(route.query)) or "none"
        raise error(
            "SWL-608", detail=f"the parameter {unknown[0][:40]!r} is not known", hint=f"known: {taken}"
        )
    key = "" if route.method in SAFE else _key(route, uid, request)
    body = None if route.body is None else bodies.read(route.body, await request.read())
    return Call(services, uid, role, key, dict(request.match_info), dict(request.query), body)


def peer(request: web.Request) -> Caller:
    """Return who is at the other end of the socket, as the kernel knows it."""
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None:
        raise error("SWL-701", user="who is gone", role="admin")
    return caller_of(connection)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _key(route: Route, uid: int, request: web.Request) -> str:
    given = request.headers.get("Idempotency-Key", "")
    if not given or len(given) > MAX_KEY or not (given.isascii() and given.isprintable()):
        detail = f"a change needs an Idempotency-Key of 1 to {MAX_KEY} printable characters"
        raise error(
            "SWL-608", detail=detail, hint="send one random key a change, and the same when you repeat it"
        )
    return f"{route.method} {route.path} {uid} {given}"


# ---- after it


@web.middleware
async def _as_catalogue(request: web.Request, handler: Any) -> web.StreamResponse:
    """Turn every failure into the catalogue's words."""
    try:
        response: web.StreamResponse = await handler(request)
    except SwarmletError as failure:
        return _error(failure)
    except web.HTTPRequestEntityTooLarge:
        detail = f"its body is larger than {MAX_BODY} bytes"
        return _error(error("SWL-608", detail=detail, hint="send less"), status=413)
    except web.HTTPException as refusal:
        return _error(answers.no_such_route(request.method, request.path), status=refusal.status)
    except ConnectionError:
        raise  # the reader is gone: nothing to tell, nobody to tell it to
    except Exception as bug:
        logger.exception("a request failed", extra={"method": request.method, "path": request.path})
        return _error(error("SWL-799", detail=f"{type(bug).__name__} in {request.method} {request.path}"))
    return response


def _error(failure: SwarmletError, *, status: int | None = None) -> web.Response:
    return web.Response(
        status=status or answers.status_of(failure),
        body=answers.body_of(failure),
        content_type="application/json",
    )
