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


def score(site: Site, asked: Resources, same: int, reading: Reading | None) -> Score:
    """Judge one node for one replica.

    Args:
        site: The node, with what is assigned to it already.
        asked: What the replica asks for.
        same: How many live replicas of the same workload it has.
        reading: Its last heartbeat, if any.
    """
    parts = {
        "free cpu": _share(site.capacity.cpu, site.usage.cpu + (asked.cpu or 0)),
        "free memory": _share(site.capacity.memory_mb, site.usage.memory_mb + (asked.memory_mb or 0)),
        "idle": _UNKNOWN if reading is None else 1 - min(reading.cpu_permille, 1000) / 1000,
        "few replicas": 1 / (1 + site.usage.replicas),
        "spread": SPREAD_WEIGHT / (1 + same),
        "healthy": 0.0 if site.health is Health.DEGRADED else 1.0,
    }
    rounded = {name: round(value, 3) for name, value in parts.items()}
    return Score(round(sum(rounded.values()), 3), rounded)


def _share(whole: float | None, used: float) -> float:
    if not whole:
        return _UNKNOWN
    return max(0.0, 1 - used / whole)
