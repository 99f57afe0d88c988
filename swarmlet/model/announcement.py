"""What a coordinator announces of itself, and how any of the ways of discovery writes it. Pure.

One form serves mDNS, DNS and the broadcast answer: the strings of a TXT record, each ``key=value``
(RFC 6763, section 6). Whoever is on the network can write one, so everything here is a hint: an address to
try, a name to show. Nothing of it is ever trusted (T12), and nothing of it can be longer, more or stranger
than is said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from swarmlet.model.address import parse_address
from swarmlet.model.text import printable

#: The service in mDNS, and the label before a domain in DNS.
SERVICE = "_stratoswarm._tcp.local."
DNS_LABEL = "_stratoswarm"
#: Version of this form; grows only when a key changes its meaning.
FORM = "1"
#: More addresses than this of one announcement are not read; a token holds as many.
MOST_ENDPOINTS = 4
#: Longest string of a TXT record, in bytes (RFC 1035, section 3.3).
MOST_STRING = 255
#: More strings than this of one announcement are not read.
MOST_STRINGS = 32
#: The longest name of a cluster, in bytes.
MOST_NAME = 63

_HEX = frozenset("0123456789abcdef")


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What was announced; all of it hints. What was left out or made no sense is empty.

    Args:
        cluster_id: 32 hex digits.
        cluster_name: Printable text.
        key: SHA-256 of the cluster's public key, 64 hex digits: what a token pins.
        protocol: Version of the control protocol.
        port: The TCP port at the address the announcement came from.
        endpoints: Addresses as ``host:port``, best first.
    """

    cluster_id: str = ""
    cluster_name: str = ""
    key: str = ""
    protocol: int | None = None
    port: int | None = None
    endpoints: tuple[str, ...] = ()


def to_strings(what: Announcement) -> tuple[bytes, ...]:
    """Return an announcement as the strings of a TXT record, the most useful first."""
    pairs = [("txtvers", FORM), ("id", what.cluster_id), ("key", what.key)]
    if what.port is not None:
        pairs.append(("port", str(what.port)))
    pairs += [(f"at{number}", text) for number, text in enumerate(what.endpoints[:MOST_ENDPOINTS], 1)]
    if what.protocol is not None:
        pairs.append(("proto", str(what.protocol)))
    pairs.append(("name", what.cluster_name))
    strings = (f"{key}={value}".encode() for key, value in pairs if value)
    return tuple(one for one in strings if len(one) <= MOST_STRING)


def from_strings(strings: Iterable[bytes]) -> Announcement | None:
    """Read the strings of a TXT record.

    A person may write several pairs into one string, with spaces between them; only a name may hold spaces,
    and then it is a string of its own or the last in one. A key that comes twice counts once, the first time
    (RFC 6763, section 6.4). A value that makes no sense is as good as absent.

    Returns:
        What was announced, or ``None`` when this is no announcement of ours in a form known here.
    """
    pairs: dict[str, str] = {}
    for key, value in _pairs(strings):
        pairs.setdefault(key, value)
    if pairs.get("txtvers") != FORM:
        return None
    port = _number(pairs.get("port"), 65_535)
    return Announcement(
        cluster_id=_hex(pairs.get("id"), 32),
        cluster_name=_name(pairs.get("name")),
        key=_hex(pairs.get("key"), 64),
        protocol=_number(pairs.get("proto"), 255),
        port=port or None,
        endpoints=tuple(_endpoints(pairs)),
    )


def _pairs(strings: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for number, raw in enumerate(strings):
        if number >= MOST_STRINGS:
            return
        text = raw[:MOST_STRING].decode("utf-8", "replace")
        while text:
            key, equals, rest = text.partition("=")
            if not equals:
                break
            key = key.strip().lower()
            value, _, text = (rest, "", "") if key == "name" else rest.partition(" ")
            yield key, value


def _endpoints(pairs: dict[str, str]) -> Iterator[str]:
    for number in range(1, MOST_ENDPOINTS + 1):
        text = pairs.get(f"at{number}") or (pairs.get("at") if number == 1 else None)
        if text is None:
            continue
        try:
            yield str(parse_address(text))
        except ValueError:
            continue


def _hex(text: str | None, length: int) -> str:
    text = (text or "").lower()
    return text if len(text) == length and set(text) <= _HEX else ""


def _number(text: str | None, most: int) -> int | None:
    if not text or not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > most:
        return None
    return int(text)


def _name(text: str | None) -> str:
    """Return a name fit to be shown: printable characters only, no longer than a cluster's can be."""
    clean = printable((text or "").strip())
    return clean.encode()[:MOST_NAME].decode("utf-8", "ignore")
