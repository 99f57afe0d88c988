"""Which of the nodes that can take a replica should: the highest sum of a few named parts. Pure.

Each part is between 0 and its weight, so that a table of them can be read: free processor and memory after
the placement, how idle and how healthy the node was at its last heartbeat, how few replicas it has, and,
weighing most, how few of the same workload, which spreads replicas over nodes.
"""

from __future__ import annotations

from typing import NamedTuple

from swarmlet.coordinator.filters import Site
from swarmlet.model.health import Health, Reading
from swarmlet.model.workload import Resources

SPREAD_WEIGHT = 2.0
#: Stands for what is not known: neither good nor bad.
_UNKNOWN = 0.5


class Score(NamedTuple):
    """A node's worth for one replica. ``parts`` add up to ``total``."""

    total: float
    parts: dict[str, float]


_NAMES = ("free cpu", "free memory", "idle", "few replicas", "spread", "healthy")


def worth(site: Site, asked: Resources, same: int, reading: Reading | None) -> tuple[float, ...]:
    """Judge one node for one replica, in parts.

    Args:
        site: The node, with what is assigned to it already.
        asked: What the replica asks for.
        same: How many live replicas of the same workload it has.
        reading: Its last heartbeat, if any.
    """
    capacity, usage = site.capacity, site.usage
    return (
        _share(capacity.cpu, usage.cpu + (asked.cpu or 0)),
        _share(capacity.memory_mb, usage.memory_mb + (asked.memory_mb or 0)),
        _UNKNOWN if reading is None else 1 - min(reading.cpu_permille, 1000) / 1000,
        1 / (1 + usage.replicas),
        SPREAD_WEIGHT / (1 + same),
        0.0 if site.health is Health.DEGRADED else 1.0,
    )


def shown(parts: tuple[float, ...]) -> Score:
    """Return a judgement as it is shown: by name, rounded, the total that of the rounded parts."""
    rounded = {name: round(value, 3) for name, value in zip(_NAMES, parts, strict=True)}
    return Score(round(sum(rounded.values()), 3), rounded)


def _share(whole: float | None, used: float) -> float:
    if not whole:
        return _UNKNOWN
    return max(0.0, 1 - used / whole)
