"""How many failures a stranger is allowed: token buckets per source and for all together (D2). Pure.

Only failures are counted. A source that used up its own allowance is told to wait before anything it sends
is looked at. When all sources together used up theirs, the ones that failed lately wait, so that a flood
from many addresses does not keep out a device that comes for the first time.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from swarmlet.tokens.check import peer_ip

#: Most sources that are remembered; the one that failed longest ago is forgotten first.
CAPACITY: Final = 4096


class Rate(NamedTuple):
    """An allowance: ``burst`` failures at once, refilled at ``per_s`` a second."""

    per_s: float
    burst: float


#: One a second and source after five at once: SPIRE's figure.
PER_SOURCE: Final = Rate(1.0, 5.0)
ALTOGETHER: Final = Rate(50.0, 50.0)


def source_of(seen: str) -> str:
    """Return whom a peer is counted as: an IPv4 address, or the /64 that an IPv6 one can choose from."""
    ip = peer_ip(seen)
    return seen if ip is None else str(ip) if ip.version == 4 else str(int(ip) >> 64)


class Bucket(NamedTuple):
    """What was left of an allowance at a moment (seconds on any clock that only grows)."""

    left: float
    at: float


def refill(bucket: Bucket, rate: Rate, now: float) -> Bucket:
    """Return ``bucket`` as it stands at ``now``; a clock that went back adds nothing."""
    grown = bucket.left + max(0.0, now - bucket.at) * rate.per_s
    return Bucket(min(rate.burst, grown), max(now, bucket.at))


class Limiter:
    """Remembers failures.

    Args:
        per_source: What each source is allowed.
        altogether: What all are allowed.
        capacity: Most sources remembered.
    """

    def __init__(
        self, per_source: Rate = PER_SOURCE, altogether: Rate = ALTOGETHER, capacity: int = CAPACITY
    ) -> None:
        self._per_source = per_source
        self._altogether = altogether
        self._capacity = capacity
        self._all = Bucket(altogether.burst, 0.0)
        self._sources: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    def wait_s(self, source: str, now: float) -> float:
        """Return how long ``source`` has to wait before it is listened to; 0 for not at all."""
        bucket = self._sources.get(source)
        if bucket is None:
            return 0.0
        left = refill(bucket, self._per_source, now).left
        if left >= self._per_source.burst:
            del self._sources[source]  # as good as never seen
            return 0.0
        everyone = refill(self._all, self._altogether, now).left
        return max((1.0 - left) / self._per_source.per_s, (1.0 - everyone) / self._altogether.per_s, 0.0)

    def failed(self, source: str, now: float) -> bool:
        """Count one failure of ``source``.

        Returns:
            Whether it was within what all together are allowed; one beyond is not worth a record.
        """
        fresh = Bucket(self._per_source.burst, now)
        own = refill(self._sources.pop(source, fresh), self._per_source, now)
        self._sources[source] = own._replace(left=max(0.0, own.left - 1.0))
        if len(self._sources) > self._capacity:
            self._sources.popitem(last=False)
        everyone = refill(self._all, self._altogether, now)
        self._all = everyone._replace(left=max(0.0, everyone.left - 1.0))
        return everyone.left >= 1.0


class Pace:
    """How much each of a known set of members may have recorded; what is over is to be waited for.

    Unlike a :class:`Limiter` it refuses nothing: a member that had too much recorded is listened to later.

    Args:
        rate: What each is allowed, in bytes.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._members: dict[str, Bucket] = {}

    def __len__(self) -> int:
        return len(self._members)

    def wait_s(self, member: str, now: float) -> float:
        """Return how long ``member`` has to wait before it is listened to again."""
        bucket = self._members.get(member)
        if bucket is None:
            return 0.0
        left = refill(bucket, self._rate, now).left
        if left >= self._rate.burst:
            del self._members[member]  # as good as never heard
        return max(0.0, -left / self._rate.per_s)

    def recorded(self, member: str, size: int, now: float) -> None:
        """Count ``size`` bytes that were recorded of ``member``."""
        bucket = self._members.get(member, Bucket(self._rate.burst, now))
        own = refill(bucket, self._rate, now)
        self._members[member] = own._replace(left=own.left - size)
