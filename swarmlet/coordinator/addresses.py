"""Which address of this machine others can reach it at, when nobody said."""

from __future__ import annotations

import ipaddress
import socket

from swarmlet.link.interfaces import interfaces

#: Addresses of documentation networks (RFC 5737, RFC 3849): routed by the default route, answered by nobody.
_SOMEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def primary_address() -> str:
    """Return this machine's address on its default route, IPv4 first.

    Without a default route, as on a network of its own, it is that of the first interface that leads to
    others; without one ``127.0.0.1``. Connecting a UDP socket asks the routing table and sends nothing.
    """
    for family, far in _SOMEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))
                found = str(probe.getsockname()[0])
        except OSError:
            continue
        ip = ipaddress.ip_address(found)
        if not (ip.is_loopback or ip.is_unspecified or ip.is_link_local):
            return found
    return next((one.address for one in interfaces() if one.address), "127.0.0.1")
