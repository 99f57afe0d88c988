"""Addresses that were given: by a person, by the token, or by the cluster at an earlier time.

Yields candidates only; whether what answers there is the cluster is for the pin in the handshake to say
(T12). It must not connect to anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterable

from swarmlet.errors import SwarmletError, error
from swarmlet.model.address import Address, parse_address

#: More addresses of one name than this are not tried: a name with hundreds would keep a node busy for hours.
MAX_PER_NAME = 4
#: Seconds the neighbours have to answer for a name in ``.local``: what all were told a moment ago is not told
#: again for a second (RFC 6762, section 6), and datagrams get lost.
NEIGHBOURS_S = 5.0


def candidates(default_port: int, *sources: Iterable[str]) -> tuple[str, ...]:
    """Return the names to try, best source first, each once, as ``host:port``.

    Args:
        default_port: For addresses that name none.
        sources: Addresses by where they come from, most trusted first. What is no address is left out: one
            bad entry in a token must not hide the good ones.
    """
    names: dict[str, None] = {}
    for source in sources:
        for text in source:
            try:
                names[str(parse_address(text, default_port))] = None
            except ValueError:
                continue
    return tuple(names)


def literal(address: Address) -> str | None:
    """Return ``ip:port`` when the host is already an IP address, else ``None``."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address.host)
        except OSError:
            continue
        return str(address)
    return None


class Resolver:
    """Looks names up without blocking the event loop or the end of the program.

    The system's resolver may hang for half a minute. It runs in daemon threads, which no exit waits for; a
    name being looked up is not looked up twice, so that their number stays below that of the names.
    """

    def __init__(self) -> None:
        self._running: dict[Address, asyncio.Future[tuple[str, ...]]] = {}

    async def resolve(self, name: str) -> tuple[str, ...]:
        """Return the addresses of ``name`` as ``ip:port``, in the system's order (RFC 6724), at most four.

        The caller sets the deadline; giving up leaves the lookup to end by itself.

        Raises:
            UnreachableError: ``SWL-204``; the name has no address.
        """
        address = parse_address(name)
        known = literal(address)
        if known is not None:
            return (known,)
        future = self._running.get(address)
        if future is None:
            future = self._start(address)
        return await asyncio.shield(future)

    def _start(self, address: Address) -> asyncio.Future[tuple[str, ...]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[str, ...]] = loop.create_future()
        self._running[address] = future

        def settle(found: tuple[str, ...] | SwarmletError) -> None:
            self._running.pop(address, None)
            if future.done():
                return
            if isinstance(found, SwarmletError):
                future.set_exception(found)
                future.exception()  # whoever waited may have given up; that is no fault
            else:
                future.set_result(found)

        def look_up() -> None:
            found = _look_up(address)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, found)

        threading.Thread(target=look_up, name="resolve", daemon=True).start()
        return future


def _look_up(address: Address) -> tuple[str, ...] | SwarmletError:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (
        OSError,
        UnicodeError,
        LookupError,
        ImportError,
    ) as fault:  # a small Python may lack the idna codec
        by_neighbours = _ask_neighbours(address)
        if by_neighbours:
            return by_neighbours
        detail = getattr(fault, "strerror", None) or str(fault)
        return error("SWL-204", host=address.host, detail=detail.lower())
    addresses = dict.fromkeys(
        _text(entry[4]) for entry in found if entry[0] in {socket.AF_INET, socket.AF_INET6}
    )
    return tuple(addresses)[:MAX_PER_NAME] or error("SWL-204", host=address.host, detail="no address")


def _ask_neighbours(address: Address) -> tuple[str, ...]:
    """Ask the link for a name in ``.local``, when the system's resolver cannot (musl has no mDNS)."""
    if not address.host.rstrip(".").endswith(".local"):
        return ()
    from swarmlet.discovery import mdns  # noqa: PLC0415 - four megabytes that few devices need

    try:
        found = asyncio.run(mdns.look_up(address.host, NEIGHBOURS_S))
    except OSError:
        return ()
    return tuple(str(Address(host, address.port)) for host in found[:MAX_PER_NAME])


def _text(sockaddr: tuple[object, ...]) -> str:
    host, port = str(sockaddr[0]).partition("%")[0], sockaddr[1]
    if ":" not in host:
        return f"{host}:{port}"
    scope = f"%{sockaddr[3]}" if len(sockaddr) > 3 and sockaddr[3] else ""
    return f"[{host}{scope}]:{port}"
