"""Which addresses are on this link, and which are worth a try. Pure: text and numbers in, a verdict out."""

from __future__ import annotations

import ipaddress
from typing import Literal, NamedTuple

from swarmlet.model.address import Address

_GATEWAY = 0x2
_UP = 0x1


class Route(NamedTuple):
    """A network that is on the link of ``interface``, no gateway between."""

    interface: str
    network: int
    mask: int


def parse_routes(text: str | None) -> tuple[Route, ...]:
    """Return the networks of /proc/net/route that are reached without a gateway (proc(5)).

    Numbers there are in the machine's byte order, and so are they here.
    """
    found = []
    for line in (text or "").splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        try:
            network, gateway, flags, mask = (int(fields[at], 16) for at in (1, 2, 3, 7))
        except ValueError:
            continue
        if flags & _UP and not flags & _GATEWAY and gateway == 0 and mask:
            found.append(Route(fields[0], network, mask))
    return tuple(found)


def is_on_link(
    source: str, interface: str, routes: tuple[Route, ...], *, order: Literal["little", "big"]
) -> bool:
    """Say whether ``source`` is an address of the link behind ``interface``.

    Args:
        source: An IP address. An IPv6 one must be link-local: that is on a link by definition (RFC 4291,
            section 2.5.6).
        interface: The interface it was heard on.
        routes: The networks without a gateway.
        order: The machine's byte order, as ``sys.byteorder`` says it.
    """
    try:
        ip = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.is_link_local
    if ip.is_unspecified or ip.is_multicast or ip.is_loopback:
        return False
    number = int.from_bytes(ip.packed, order)
    return any(
        route.interface == interface and number & route.mask == route.network & route.mask for route in routes
    )


def is_worth_a_try(address: Address) -> bool:
    """Say whether an address that a stranger announced can be another machine's.

    Names are none: a stranger on the link must not make this device ask name servers. Nor is this machine
    itself, what is nobody's or everybody's, or a link-local IPv6 address, which says nothing without its
    link.
    """
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped is not None or ip.is_link_local):
        return False
    if isinstance(ip, ipaddress.IPv4Address) and int(ip) == 0xFFFFFFFF:
        return False
    return not (ip.is_multicast or ip.is_unspecified or ip.is_loopback)
