"""Addresses as people write them: ``host:port``, ``[v6]:port``, or a host alone. Pure text work.

Nothing here resolves a name or opens a socket.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?\Z"
)
_DOTTED_QUAD = re.compile(r"[0-9]+(\.[0-9]+){3}\Z")


class Address(NamedTuple):
    """A host, by name or number, and a TCP or UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the text form; an IPv6 host is in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_port: int | None = None) -> Address:
    """Read an address.

    Args:
        text: ``host:port``, ``host``, ``[v6]:port``, ``[v6]`` or a bare IPv6 address.
        default_port: The port when the text names none; without it a port is required.

    Returns:
        The address; an IPv6 host without brackets, a host name in lower case.

    Raises:
        ValueError: The text is no address; the message says what is wrong with it.
    """
    host, port_text = _split(text.strip())
    if not is_host(host):
        raise ValueError("the host is neither a name nor an IP address")
    if port_text is None:
        if default_port is None:
            raise ValueError("the port is missing")
        return Address(host.lower(), default_port)
    if not (
        port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and 1 <= int(port_text) <= 65535
    ):
        raise ValueError("the port is not a number from 1 to 65535")
    return Address(host.lower(), int(port_text))


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host:
            raise ValueError("the brackets do not hold an IPv6 address")
        if not rest:
            return host, None
        if not rest.startswith(":"):
            raise ValueError("after the bracket comes a colon and the port")
        return host, rest[1:]
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def is_host(text: str) -> bool:
    """Say whether ``text`` can be a host: an IP address or a DNS name."""
    if ":" in text or _DOTTED_QUAD.match(text):
        return is_ip(text)
    return _HOST_NAME.match(text) is not None


def is_ip(text: str) -> bool:
    """Say whether ``text`` is an IPv4 or IPv6 address (a zone such as ``%eth0`` is allowed)."""
    # Costs milliseconds to import, and many runs of the programs judge no address at all.
    import ipaddress  # noqa: PLC0415

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Say whether ``host`` can only be this machine.

    Names other than ``localhost`` (RFC 6761, section 6.3) may resolve to anything and are not loopback.
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    import ipaddress  # noqa: PLC0415 - as in is_ip

    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped.is_loopback
    return ip.is_loopback
