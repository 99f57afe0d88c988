"""Each limit of a token as a question with a reason for an answer. Pure.

A check returns ``None`` when the limit is kept, else a :class:`Refusal`. The coordinator's verdict is final;
a node may ask the same questions beforehand for a hint to its owner, never to decide: its clock may be wrong.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from swarmlet.errors import SwarmletError, error
from swarmlet.model.address import parse_address
from swarmlet.model.classification import NODE_CLASSES, parse_class
from swarmlet.tokens.durations import instant, spoken

#: How long past its expiry a token is still taken, in seconds (T6).
LEEWAY_S: Final = 60

if TYPE_CHECKING:
    import ipaddress

    _Network = ipaddress.IPv4Network | ipaddress.IPv6Network
    _Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """A reason to say no: a catalogue code and the values its text names."""

    code: str
    fields: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_error(self) -> SwarmletError:
        """Return the refusal as the exception of the catalogue."""
        return error(self.code, **self.fields)


def expired(expires_s: int, now_s: float, leeway_s: float = LEEWAY_S) -> Refusal | None:
    """Refuse a token whose time is over.

    Args:
        expires_s: Unix seconds from the claims.
        now_s: Unix seconds; a verdict needs the coordinator's clock.
        leeway_s: Seconds past the expiry that are still taken.

    Returns:
        ``SWL-104`` with how long ago, or ``None``.
    """
    if now_s <= expires_s + leeway_s:
        return None
    return Refusal("SWL-104", {"ago": spoken(now_s - expires_s), "at": instant(expires_s)})


def revoked(jti: str, revoked_ms: int | None) -> Refusal | None:
    """Refuse a token that was taken back (T9)."""
    return None if revoked_ms is None else Refusal("SWL-105", {"jti": jti})


def used_up(jti: str, uses: int, max_uses: int) -> Refusal | None:
    """Refuse a token that has admitted all it may (T5)."""
    if uses < max_uses:
        return None
    return Refusal("SWL-106", {"jti": jti, "uses": str(uses), "max_uses": str(max_uses)})


def outside(cidrs: Sequence[str], seen: str) -> Refusal | None:
    """Refuse a peer address that is in none of the token's networks (T7).

    Args:
        cidrs: The token's networks; none is any.
        seen: Address of the TCP peer, with or without a port. An IPv4 address that a dual-stack socket
            shows as ``::ffff:a.b.c.d`` counts as the IPv4 address it is.

    Returns:
        ``SWL-107``, or ``None``.
    """
    if not cidrs:
        return None
    ip = peer_ip(seen)
    if ip is not None and any(_holds(cidr, ip) for cidr in cidrs):
        return None
    shown = seen if ip is None else str(ip)
    return Refusal("SWL-107", {"seen": shown, "cidrs": ", ".join(cidrs)})


def misnamed(pattern: str, name: str) -> Refusal | None:
    """Refuse a node whose name does not fit the token's pattern; ``*`` fits anything, ``?`` one character."""
    import fnmatch  # noqa: PLC0415 - as ipaddress below

    if not pattern or fnmatch.fnmatchcase(name, pattern.lower()):
        return None
    return Refusal("SWL-109", {"pattern": pattern, "name": name})


def class_within(allowed: Sequence[str], found: str) -> str | None:
    """Return the class a device gets under a token, or ``None`` when it may not join with it (T8).

    A device of an allowed class keeps it. A stronger one is taken for the strongest allowed class below its
    own, so that a server may serve as an edge node. A weaker one would be lifted above what it is: refused.

    Args:
        allowed: The token's classes, as :func:`~swarmlet.model.classification.parse_class` reads them; none
            is any.
        found: The device's class.

    Returns:
        One of :data:`~swarmlet.model.classification.NODE_CLASSES`.
    """
    own = parse_class(found)
    if own is None:
        return None
    if not allowed:
        return own
    wanted = {parse_class(one) for one in allowed}
    # The table is ordered from strong to weak: the first allowed one from the device's own on.
    return next((one for one in NODE_CLASSES[NODE_CLASSES.index(own) :] if one in wanted), None)


def peer_ip(seen: str) -> _Ip | None:
    """Return the IP address in a peer address, IPv4 for a v4-mapped one; ``None`` when there is none."""
    # Costs milliseconds to import, and most runs of a node judge no address.
    import ipaddress  # noqa: PLC0415

    try:
        ip = ipaddress.ip_address(parse_address(seen, 1).host.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def portless(seen: str) -> str:
    """Return a peer address without its port, which is another one at every connection."""
    return str(peer_ip(seen) or seen)


def network(cidr: str) -> _Network:
    """Read a network such as ``10.0.0.0/8``; a v4-mapped IPv6 network is the IPv4 one.

    Raises:
        ValueError: It is no network, or has bits set past its prefix.
    """
    import ipaddress  # noqa: PLC0415 - as in peer_ip

    found = ipaddress.ip_network(cidr)
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        return ipaddress.IPv4Network((mapped, found.prefixlen - 96))
    return found


def _holds(cidr: str, ip: _Ip) -> bool:
    try:
        return ip in network(cidr)
    except ValueError:
        return False
