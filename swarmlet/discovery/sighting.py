"""What the ways of discovery bring home, and how much of it is kept. Pure.

A sighting is an address where a coordinator may be, and what was said of it; none of it is trusted (T12).
Whoever floods gets no more than its share: addresses are counted for each source, each way and in all.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

DIRECT, DNS, MDNS, BROADCAST = "direct", "dns", "mdns", "broadcast"
#: In the order of how hard they are to forge for a stranger on the network.
WAYS = (DIRECT, DNS, MDNS, BROADCAST)
#: Addresses that are kept of one way, and of one source in it.
MOST_OF_WAY = 512
MOST_OF_SOURCE = 8


class Sighting(NamedTuple):
    """One address, and what was said of it.

    Args:
        address: ``host:port``.
        way: How it was found.
        source: Who said so: an IP address, a domain, a name.
        key: The cluster's key as it was announced, 64 hex digits, or empty.
        cluster_id: Likewise, 32 hex digits or empty.
        cluster_name: Likewise, printable text or empty.
    """

    address: str
    way: str
    source: str = ""
    key: str = ""
    cluster_id: str = ""
    cluster_name: str = ""


class Pool:
    """The addresses seen in one search, each once.

    Args:
        pins: The keys that are looked for, hex; empty for any.
    """

    def __init__(self, pins: tuple[str, ...] = ()) -> None:
        self._pins = pins
        self._sightings: dict[str, list[Sighting]] = {}
        self._of_way: Counter[str] = Counter()
        self._of_source: Counter[tuple[str, str]] = Counter()
        #: How many of each way were too many.
        self.too_many: Counter[str] = Counter()

    def add(self, one: Sighting) -> bool:
        """Keep a sighting; say whether its address is new."""
        known = self._sightings.get(one.address)
        if known is not None:
            if all(other.way != one.way for other in known):
                known.append(one)
            return False
        share = (one.way, one.source)
        if self._of_way[one.way] >= MOST_OF_WAY or self._of_source[share] >= MOST_OF_SOURCE:
            self.too_many[one.way] += 1
            return False
        self._of_way[one.way] += 1
        self._of_source[share] += 1
        self._sightings[one.address] = [one]
        return True

    def of(self, address: str) -> tuple[Sighting, ...]:
        """Return what was said of an address, by one sighting of each way."""
        return tuple(self._sightings.get(address, ()))

    def addresses(self) -> tuple[str, ...]:
        """Return every address that was kept, in the order of their coming."""
        return tuple(self._sightings)

    def rank(self, one: Sighting) -> int:
        """Return in which order to try: what a person gave first, what announces another key last.

        Only an order: a stranger may announce another's address with a wrong key, or its own with the right
        one.
        """
        if one.way == DIRECT:
            return 0
        if not self._pins:
            return 1
        if one.key in self._pins:
            return 1
        return 3 if one.key else 2
