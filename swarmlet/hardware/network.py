"""The addresses of a network interface, for ``SWARM_BIND_INTERFACE``."""

from __future__ import annotations

import struct

from swarmlet.errors import error
from swarmlet.hardware.reader import Reader

#: ioctl(2) request for an interface's IPv4 address (linux/sockios.h).
_SIOCGIFADDR = 0x8915


def addresses(interface: str) -> tuple[str, ...]:
    """Return the addresses of ``interface``, IPv4 first; link-local IPv6 ones carry their zone (``%eth0``).

    Returns:
        Nothing when there is no such interface or it has no address.
    """
    found = ipv4_address(interface)
    return (*((found,) if found else ()), *parse_inet6(Reader().text("/proc/net/if_inet6"), interface))


def require_addresses(interface: str) -> tuple[str, ...]:
    """Return the addresses of an interface somebody chose.

    Raises:
        ConfigError: ``SWL-404``: there is no such interface, or it has no address.
    """
    found = addresses(interface)
    if not found:
        present = Reader().names("/sys/class/net") or ()
        detail = "has no address" if interface in present else f"is not here; there are {', '.join(present)}"
        raise error("SWL-404", interface=interface, detail=detail)
    return found


def ipv4_address(interface: str) -> str | None:
    """Return the first IPv4 address of ``interface``."""
    import fcntl  # noqa: PLC0415 - only for a node that is bound to an interface
    import socket  # noqa: PLC0415 - as above

    try:
        request = struct.pack("256s", interface.encode()[:15])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            answer = fcntl.ioctl(any_socket.fileno(), _SIOCGIFADDR, request)
    except (OSError, UnicodeEncodeError):
        return None
    return socket.inet_ntoa(answer[20:24])


def parse_inet6(text: str | None, interface: str) -> tuple[str, ...]:
    """Return an interface's addresses in /proc/net/if_inet6, those that reach furthest first."""
    found = []
    for line in (text or "").splitlines():
        fields = line.split()
        if len(fields) == 6 and fields[5] == interface and len(fields[0]) == 32:
            try:
                raw = bytes.fromhex(fields[0])
                scope = int(fields[3], 16)
            except ValueError:
                continue
            found.append((scope, raw))
    return tuple(write_inet6(raw, interface) for _, raw in sorted(found))


def write_inet6(raw: bytes, interface: str) -> str:
    """Return an IPv6 address as text (RFC 5952), with its zone when it is link-local (RFC 4007)."""
    import ipaddress  # noqa: PLC0415 - only for a node that is bound to an interface

    address = ipaddress.IPv6Address(raw)
    return f"{address}%{interface}" if address.is_link_local else str(address)
