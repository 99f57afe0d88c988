"""The network interfaces on which others may be found, as the kernel lists them. Reads only.

Discovery and the coordinator's announcements go over the same ones: up, not loopback, with an address.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from swarmlet.model.nearness import Route, parse_routes

# ioctl(2) requests (linux/sockios.h) and flags (netdevice(7)).
_GET_FLAGS, _GET_ADDRESS = 0x8913, 0x8915
_UP, _BROADCAST, _LOOPBACK, _MULTICAST = 0x1, 0x2, 0x8, 0x1000
_LINK_LOCAL = "20"  # a scope in /proc/net/if_inet6
#: More interfaces than this are not looked at: a host of containers has one for each.
MOST = 32


class Interface(NamedTuple):
    """One interface.

    Args:
        name: As the kernel calls it.
        number: Its number.
        address: Its first IPv4 address, when it can broadcast from one.
        link_local: Its link-local IPv6 address, when it can multicast from one.
    """

    name: str
    number: int
    address: str | None
    link_local: str | None


def interfaces(only: str | None = None) -> tuple[Interface, ...]:
    """Return the interfaces that lead to others.

    Args:
        only: The name of the one that was asked for; ``None`` for all.
    """
    found: list[Interface] = []
    local = _link_local()
    try:
        named = socket.if_nameindex()
    except OSError:
        return ()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for index, name in named:
            if only not in (None, name) or len(found) >= MOST:
                continue
            one = _look(any_socket.fileno(), index, name, local.get(name))
            if one is not None:
                found.append(one)
    return tuple(found)


def routes() -> tuple[Route, ...]:
    """Return the IPv4 networks that are reached without a gateway; none when the kernel does not tell."""
    return parse_routes(_text("/proc/net/route"))


def bridged() -> bool:
    """Say whether every interface here is one end of a pair whose other end is elsewhere.

    So is the network an engine gives a container; with ``--network host`` it is the host's own.
    """
    present = interfaces()
    return bool(present) and all(_is_paired(one) for one in present)


def _look(fd: int, index: int, name: str, link_local: str | None) -> Interface | None:
    raw = _ask(fd, _GET_FLAGS, name)
    if raw is None:
        return None
    (flags,) = struct.unpack_from("H", raw, 16)
    if not flags & _UP or flags & _LOOPBACK:
        return None
    address = None
    if flags & _BROADCAST:
        answer = _ask(fd, _GET_ADDRESS, name)
        address = None if answer is None else socket.inet_ntoa(answer[20:24])
    if not flags & _MULTICAST:
        link_local = None
    if address is None and (link_local is None or Path(f"/sys/class/net/{name}/brport").exists()):
        return None  # a bridge is asked as a whole, not at each of its ports
    return Interface(name, index, address, link_local)


def _ask(fd: int, request: int, name: str) -> bytes | None:
    try:
        return fcntl.ioctl(fd, request, struct.pack("256s", name.encode()[:15]))
    except OSError:
        return None


def _link_local() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (_text("/proc/net/if_inet6") or "").splitlines():
        fields = line.split()
        if len(fields) == 6 and fields[3] == _LINK_LOCAL and len(fields[0]) == 32:
            found.setdefault(fields[5], socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0])))
    return found


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def _is_paired(one: Interface) -> bool:
    peer = (_text(f"/sys/class/net/{one.name}/iflink") or "").strip()
    return peer.isdigit() and int(peer) != one.number
