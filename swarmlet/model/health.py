"""Health of a node and the reading that travels in every heartbeat."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Health(enum.IntEnum):
    """How well a node is, as it sees itself. The value is the byte on the wire."""

    OK = 0
    DEGRADED = 1  # works, but something needs a look (disk nearly full, throttled)
    FAILING = 2  # should not get work


class Reading(NamedTuple):
    """The fixed fields of a heartbeat, in wire order (``docs/protocol.md``).

    A named tuple because it crosses the native boundary thousands of times a second as a plain tuple.
    """

    health: int = 0
    workloads: int = 0
    cpu_permille: int = 0  # of all cores together, 0 to 1000
    temperature_centi: int = -32768  # hundredths of a degree Celsius; -32768 is "unknown"
    memory_used: int = 0  # bytes
    memory_total: int = 0  # bytes
    disk_free: int = 0  # bytes in the data directory's file system
    net_rx: int = 0  # bytes since boot
    net_tx: int = 0  # bytes since boot
