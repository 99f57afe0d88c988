"""Multicast DNS: clusters that announce themselves on the link, and names in ``.local`` (RFC 6762, 6763).

The node's owner of ``zeroconf``, which is loaded when one of the two is looked for and not before: it is four
megabytes. It browses and asks; it publishes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from swarmlet.discovery.broadcast import NO_NETWORK
from swarmlet.discovery.sighting import MDNS, MOST_OF_WAY, Sighting
from swarmlet.discovery.ways import Tell
from swarmlet.link import multicast
from swarmlet.link.interfaces import interfaces
from swarmlet.model.address import Address, parse_address
from swarmlet.model.announcement import SERVICE, Announcement, from_strings
from swarmlet.model.inquiry import split_strings
from swarmlet.model.nearness import is_worth_a_try

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

_MISSING: Final = "the package zeroconf is not installed"
#: Services asked for their details at a time, and for how long, in milliseconds.
_AT_A_TIME: Final = 32
_DETAILS_MS: Final = 2000
#: Addresses of one service that are tried.
MOST_ADDRESSES: Final = 4


class Multicast:
    """Fits ``Way``.

    Args:
        interface: The name of the only one to look on; ``None`` for all.
    """

    name = MDNS

    def __init__(self, interface: str | None) -> None:
        self.trouble = ""
        self.idle = False
        self.ignored: Counter[str] = Counter()
        self._interface = interface
        self._names: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_AT_A_TIME)
        self._tell: Tell | None = None

    async def look(self, tell: Tell) -> None:
        """Browse until cancelled."""
        self._tell = tell
        while True:
            opened = await self._open()
            if opened is not None:
                break
            await asyncio.sleep(1.0)  # a cable may come
        try:
            await self._browse(opened)
        finally:
            for task in self._tasks:
                task.cancel()
            await _close(opened)

    async def _open(self) -> AsyncZeroconf | None:
        bound = _bound(self._interface)
        if not bound:
            self.trouble = NO_NETWORK
            return None
        try:
            opened = await _zeroconf(bound)
        except ImportError:
            self.trouble = _MISSING
            return None
        except (OSError, RuntimeError) as fault:
            self.trouble = f"blocked: {(getattr(fault, 'strerror', None) or str(fault)).lower()}"
            return None
        self.trouble = ""
        return opened

    async def _browse(self, opened: AsyncZeroconf) -> None:
        from zeroconf import DNSQuestionType  # noqa: PLC0415 - only here
        from zeroconf.asyncio import AsyncServiceBrowser  # noqa: PLC0415 - only here

        def changed(name: str, **_more: Any) -> None:
            self._changed(opened, name)

        # Answers to all, not to this port: another program on this machine may share it, and get them.
        to_all = DNSQuestionType.QM
        browser = AsyncServiceBrowser(opened.zeroconf, SERVICE, handlers=[changed], question_type=to_all)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await browser.async_cancel()

    def _changed(self, opened: AsyncZeroconf, name: str) -> None:
        """Ask for the details of a service that came or changed."""
        if name in self._names:
            return
        if len(self._names) >= MOST_OF_WAY:
            self.ignored["too many services"] += 1
            return
        self._names.add(name)
        task = asyncio.ensure_future(self._details(opened, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _details(self, opened: AsyncZeroconf, name: str) -> None:
        from zeroconf import DNSQuestionType  # noqa: PLC0415 - only here
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415 - only here

        try:
            async with self._room:
                info = AsyncServiceInfo(SERVICE, name)
                whole = await info.async_request(opened.zeroconf, _DETAILS_MS, DNSQuestionType.QM)
        except Exception:  # noqa: BLE001 - a stranger made that name; whatever the library thinks of it
            whole = False
        if not whole:
            self._names.discard(name)  # it may announce itself better
            self.ignored["a service without address"] += 1
            return
        sightings = sightings_of(name, info)
        if not sightings:
            self.ignored["no announcement of ours"] += 1
        for one in sightings:
            if self._tell is not None:
                self._tell(one)


def sightings_of(name: str, info: AsyncServiceInfo) -> tuple[Sighting, ...]:
    """Return where a service says that a cluster is; what it says of the cluster comes along."""
    strings = split_strings(info.text or b"")
    said: Announcement | None = None if strings is None else from_strings(strings)
    if said is None:
        return ()
    own = [_address(text, info.port or 0) for text in info.parsed_scoped_addresses()[:MOST_ADDRESSES]]
    told = [one for one in map(parse_address, said.endpoints) if is_worth_a_try(one)]
    addresses = dict.fromkeys(str(one) for one in (*told, *own) if one is not None)
    source = info.server or name
    return tuple(
        Sighting(text, MDNS, source, said.key, said.cluster_id, said.cluster_name) for text in addresses
    )


def _address(text: str, port: int) -> Address | None:
    """Return an address of a record; a link-local one needs the link it was heard on."""
    host, _, zone = text.partition("%")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not 0 < port < 65_536:
        return None
    if ip.version == 6 and ip.is_link_local:
        return Address(f"{host}%{_named(zone)}", port) if zone else None
    found = Address(host, port)
    return found if is_worth_a_try(found) else None


def _named(zone: str) -> str:
    """Return the name of an interface that the library gives by number."""
    with contextlib.suppress(OSError, ValueError):
        return socket.if_indextoname(int(zone))
    return zone


async def look_up(host: str, timeout_s: float) -> tuple[str, ...]:
    """Return the addresses of a name in ``.local``, IPv4 first; none when nobody answers.

    Args:
        host: The name.
        timeout_s: Seconds to wait.
    """
    bound = _bound(None)
    if not bound:
        return ()
    try:
        opened = await _zeroconf(bound)
    except (ImportError, OSError, RuntimeError):
        return ()
    from zeroconf import AddressResolver, DNSQuestionType  # type: ignore[attr-defined] # noqa: PLC0415

    try:
        resolver = AddressResolver(f"{host.rstrip('.')}.")
        await resolver.async_request(opened.zeroconf, timeout_s * 1000, DNSQuestionType.QM)
        found = resolver.parsed_scoped_addresses()
    except Exception:  # noqa: BLE001 - whatever the library thinks of that name
        return ()
    finally:
        await _close(opened)
    return tuple(sorted(found, key=lambda text: ":" in text))


def _bound(interface: str | None) -> tuple[str | int, ...]:
    """Return what the library is to bind: addresses for IPv4, numbers of interfaces for IPv6."""
    present = interfaces(interface)
    ipv4 = [one.address for one in present if one.address is not None]
    return (*ipv4, *(one.number for one in present if one.link_local is not None))


async def _zeroconf(bound: tuple[str | int, ...]) -> AsyncZeroconf:
    await asyncio.to_thread(multicast.load)
    from zeroconf.asyncio import AsyncZeroconf  # noqa: PLC0415 - only here

    try:
        return AsyncZeroconf(interfaces=list(bound))
    except (OSError, RuntimeError):
        ipv4 = [one for one in bound if isinstance(one, str)]  # IPv6 may be turned off half
        if not ipv4 or len(ipv4) == len(bound):
            raise
        return AsyncZeroconf(interfaces=list(ipv4))


async def _close(opened: AsyncZeroconf) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1.0):
            await opened.async_close()
