"""UDP on a link: who sent a datagram, over which interface, over how many hops; and out by one interface.

Holds no rule about what is in a datagram. Everything is sent with all 255 hops, so that the receiver can tell
that it was not routed (RFC 5082), and past no gateway.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

from swarmlet.model.inquiry import HOPS

# Options the socket module does not name (linux/in.h, asm-generic/socket.h).
_IP_PKTINFO: Final = 8
_IP_RECVTTL: Final = 12
_SO_ATTACH_FILTER: Final = 26
_SO_MEMINFO: Final = 55
_ROOM: Final = socket.CMSG_SPACE(64) * 3
_MTU: Final = 9000
_INTEGER = struct.Struct("i")
_Option = tuple[int, int, int | bytes]


class Datagram(NamedTuple):
    """One that came.

    Args:
        data: What is in it.
        host: Who sent it; a link-local address carries its zone as ``%NAME``.
        port: From which port.
        interface: Over which interface, by name; empty when unknown.
        number: The same by number.
        hops: How many hops it had left.
        local: This machine's IPv4 address on that interface; empty for IPv6.
    """

    data: bytes
    host: str
    port: int
    interface: str
    number: int
    hops: int
    local: str


def open_ipv4(host: str, port: int) -> socket.socket:
    """Return a socket bound to an IPv4 address, which may be the broadcast address alone.

    Raises:
        OSError: It cannot be bound.
    """
    options: tuple[_Option, ...] = (
        (socket.SOL_SOCKET, socket.SO_REUSEADDR, int(port != 0)),
        (socket.SOL_SOCKET, socket.SO_BROADCAST, 1),
        (socket.SOL_SOCKET, socket.SO_DONTROUTE, 1),
        (socket.IPPROTO_IP, socket.IP_TTL, HOPS),
        (socket.IPPROTO_IP, _IP_RECVTTL, 1),
        (socket.IPPROTO_IP, _IP_PKTINFO, 1),
    )
    return _bound(socket.AF_INET, options, (host, port))


def open_ipv6(host: str, port: int, index: int, *, join: bool) -> socket.socket:
    """Return a socket bound on one interface; ``join`` makes ``host`` a group that is listened to.

    Raises:
        OSError: It cannot be bound.
    """
    options: tuple[_Option, ...] = (
        (socket.SOL_SOCKET, socket.SO_REUSEADDR, int(port != 0)),
        (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1),
        (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOPS),
        (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOPS),
        (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1),
    )
    if join:
        group = socket.inet_pton(socket.AF_INET6, host) + struct.pack("I", index)
        options += ((socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group),)
    return _bound(socket.AF_INET6, options, (host, port, 0, index))


def _bound(
    family: socket.AddressFamily,
    options: Iterable[_Option],
    address: tuple[str, int] | tuple[str, int, int, int],
) -> socket.socket:
    one = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        for level, option, value in options:
            one.setsockopt(level, option, value)
        one.bind(address)
    except BaseException:
        one.close()
        raise
    return one


def receive(one: socket.socket) -> Datagram | None:
    """Return the next datagram, or ``None`` when none waits; a longer one than fits is cut.

    Raises:
        OSError: The socket is of no use any more.
    """
    try:
        data, ancillary, _flags, source = one.recvmsg(_MTU, _ROOM)
    except (BlockingIOError, InterruptedError, ConnectionRefusedError):
        return None
    hops, index, local = 0, 0, ""
    for level, kind, raw in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, socket.IP_TTL) or (level, kind) == (
            socket.IPPROTO_IPV6,
            socket.IPV6_HOPLIMIT,
        ):
            (hops,) = _INTEGER.unpack_from(raw)
        elif (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            (index,) = _INTEGER.unpack_from(raw)
            local = socket.inet_ntoa(raw[4:8])
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            (index,) = _INTEGER.unpack_from(raw, 16)
    name = ""
    with contextlib.suppress(OSError):
        name = socket.if_indextoname(index) if index else ""
    host = str(source[0]).partition("%")[0]
    if ":" in host and name:
        host = f"{host}%{name}"
    return Datagram(data, host, int(source[1]), name, index, hops, local)


def send(one: socket.socket, data: bytes, host: str, port: int, index: int) -> None:
    """Send a datagram out by interface ``index``, never by way of a gateway.

    Raises:
        OSError: It could not be sent.
    """
    if one.family == socket.AF_INET6:
        one.sendto(data, (host.partition("%")[0], port, 0, index))
        return
    via = struct.pack("i4s4s", index, bytes(4), bytes(4))
    one.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, via)], socket.MSG_DONTROUTE, (host, port))


def keep_on_link(one: socket.socket) -> None:
    """Let a socket speak with its own link alone, whatever its reader looks at.

    It sends past no gateway and with all its hops, and the kernel drops what came by way of a router. What
    was sent to a group stays, for a link-local group is never routed; the rest must have all its hops.

    Raises:
        OSError: The kernel takes no filter.
    """
    ipv6 = one.family == socket.AF_INET6
    if ipv6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOPS)
    else:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HOPS)
    destination, hops = (24, 7) if ipv6 else (16, 8)  # where they are in an IP header
    group = 255 if ipv6 else 224  # the first byte of a group's address, at least
    _attach(
        one,
        (
            _step(_LOAD_BYTE, _NETWORK + destination),
            _step(_AT_LEAST, group, yes=2),
            _step(_LOAD_BYTE, _NETWORK + hops),
            _step(_EQUAL, HOPS, no=1),
            _step(_RETURN, _KEEP),
            _step(_RETURN, 0),
        ),
    )


def refuse_junk(one: socket.socket, magic: bytes, least: int, most: int) -> None:
    """Let the kernel drop what does not begin with ``magic`` (four bytes) or has another length.

    Raises:
        OSError: The kernel takes no filter.
    """
    _attach(
        one,
        (
            _step(_LOAD_WORD, _UDP_HEADER),
            _step(_EQUAL, int.from_bytes(magic, "big"), no=4),
            _step(_LOAD_LENGTH, 0),
            _step(_AT_LEAST, _UDP_HEADER + least, no=2),
            _step(_AT_LEAST, _UDP_HEADER + most + 1, yes=1),
            _step(_RETURN, _KEEP),
            _step(_RETURN, 0),
        ),
    )


def dropped(one: socket.socket) -> int:
    """Return how many datagrams the kernel dropped for this socket: by a filter, or for want of room."""
    try:
        return struct.unpack_from("9I", one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))[8]  # type: ignore[no-any-return]
    except (OSError, struct.error):
        return 0


# Steps of a classic BPF program (linux/filter.h, linux/bpf_common.h).
_LOAD_WORD, _LOAD_BYTE, _LOAD_LENGTH = 0x20, 0x30, 0x80
_EQUAL, _AT_LEAST, _RETURN = 0x15, 0x35, 0x06
_KEEP = 0xFFFFFFFF
_NETWORK = 0xFFF00000  # SKF_NET_OFF: counted from the IP header on
_UDP_HEADER = 8


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def _attach(one: socket.socket, steps: tuple[bytes, ...]) -> None:
    code = array("B", b"".join(steps))
    where, _ = code.buffer_info()
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(steps), where))
