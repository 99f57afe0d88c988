"""Announces the cluster by multicast DNS (RFC 6762, RFC 6763); the coordinator's owner of ``zeroconf``.

It publishes and never browses. The library answers questions sent to this machine alone, too, wherever they
come from: the kernel drops those that came by way of a router, so that nobody off the link gets an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from swarmlet.link import multicast
from swarmlet.link.datagrams import keep_on_link
from swarmlet.link.interfaces import Interface
from swarmlet.model.announcement import SERVICE, Announcement, to_strings
from swarmlet.model.names import to_node_name

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncZeroconf

#: Addresses told of one machine.
MOST_ADDRESSES = 8
#: What the name of a service may be long, less what makes it unique.
_MOST_NAME = 40
_GOODBYE_S = 2.0


class Place(NamedTuple):
    """Where to announce: the addresses that are told, and what the library is to bind."""

    addresses: tuple[str, ...]
    bound: tuple[str | int, ...]


def place(bind: str, present: tuple[Interface, ...]) -> Place:
    """Return where a coordinator that listens on ``bind`` is announced; nowhere gives an empty place.

    Args:
        bind: An IP address; ``0.0.0.0`` and ``::`` are any.
        present: The interfaces that lead to others.
    """
    ip = ipaddress.ip_address(bind)
    mine = [one for one in present if ip.is_unspecified or bind in (one.address, one.link_local)]
    ipv4 = [one.address for one in mine if one.address is not None]
    if ip.version == 4:
        return Place(tuple(ipv4[:MOST_ADDRESSES]), tuple(ipv4))
    ipv6 = [one for one in mine if one.link_local is not None]
    told = [*ipv4, *(str(one.link_local) for one in ipv6)]
    return Place(tuple(told[:MOST_ADDRESSES]), (*ipv4, *(one.number for one in ipv6)))


class Published:
    """One announcement on the network, until it is withdrawn."""

    def __init__(self, responder: AsyncZeroconf, announcing: asyncio.Task[Any]) -> None:
        self._responder = responder
        self._announcing = announcing

    async def withdraw(self) -> None:
        """Say goodbye to the network and close what was open."""
        self._announcing.cancel()
        with contextlib.suppress(Exception):  # a link that went must not keep a coordinator from ending
            async with asyncio.timeout(_GOODBYE_S):
                await self._responder.async_close()


async def publish(what: Announcement, where: Place, port: int) -> Published:
    """Announce the cluster.

    Args:
        what: What is told of it.
        where: On which addresses; not an empty place.
        port: The TCP port it listens on.

    Raises:
        OSError: The sockets of multicast DNS cannot be opened.
        ImportError: The library is not installed.
    """
    await asyncio.to_thread(multicast.load)
    from zeroconf import ServiceInfo  # noqa: PLC0415 - only while announcing
    from zeroconf.asyncio import AsyncZeroconf  # noqa: PLC0415 - as above

    mark = what.cluster_id[:8]
    name = f"{(to_node_name(what.cluster_name) or 'cluster')[:_MOST_NAME]}-{mark}"
    text = b"".join(bytes((len(one),)) + one for one in to_strings(what))
    info = ServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        port=port,
        properties=text,
        server=f"stratoswarm-{mark}.local.",
        addresses=[_packed(one) for one in where.addresses],
    )
    try:
        responder = AsyncZeroconf(interfaces=list(where.bound))
    except RuntimeError as fault:  # an address that went a moment ago
        raise OSError(str(fault)) from None
    for one in _sockets(responder):
        with contextlib.suppress(OSError):
            keep_on_link(one)
    announcing = asyncio.ensure_future(_register(responder, info))
    return Published(responder, announcing)


async def _register(responder: AsyncZeroconf, info: Any) -> None:
    # Another name on the network is no reason to be silent: it gets a number behind it.
    with contextlib.suppress(Exception):
        await (await responder.async_register_service(info, allow_name_change=True))


def _sockets(responder: AsyncZeroconf) -> list[socket.socket]:
    """Return the sockets of a responder that has not begun to read; the library has no public way."""
    engine = responder.zeroconf.engine
    listening = engine._listen_socket  # noqa: SLF001
    return [*([] if listening is None else [listening]), *engine._respond_sockets]  # noqa: SLF001


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed
