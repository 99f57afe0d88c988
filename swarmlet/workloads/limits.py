"""What this node lends: ``SWARM_MAX_*`` for each workload and for their sum. Pure.

The rules:

- A workload that asks for more than the node lends can never run here: it fails with ``SWL-506``.
- The sum of what running workloads may use stays within what the node lends; what does not fit now waits.
- A workload that asks for nothing is bounded by all that the node lends, and counts as all of it: otherwise
  two of them could use twice what the owner lends. That needs no control group, and holds for containers too.

It must not measure anything: used bytes come in as numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from swarmlet.errors import SwarmletError, error
from swarmlet.model.workload import Resources

MEMORY_KEY = "SWARM_MAX_MEMORY_MB"
CPU_KEY = "SWARM_MAX_CPU_CORES"
STORAGE_KEY = "SWARM_MAX_STORAGE_GB"

#: Rounding slack when shares are added up.
_SLACK = 1e-9


class Limits(NamedTuple):
    """What the owner lends to all workloads together; ``None`` is no limit.

    ``memory_mb`` in 10^6 bytes, ``cpu_cores`` in cores, ``storage_gb`` in 10^9 bytes.
    """

    memory_mb: float | None = None
    cpu_cores: float | None = None
    storage_gb: float | None = None

    @staticmethod
    def from_mapping(limits: Mapping[str, float]) -> Limits:
        """Return the limits in the form the configuration and ``Hello.limits`` give them."""
        return Limits(limits.get("memory_mb"), limits.get("cpu_cores"), limits.get("storage_gb"))


def refusal(asked: Resources, limits: Limits) -> SwarmletError | None:
    """Return why a workload can never run here, or ``None`` when it can."""
    if asked.memory_mb is not None and limits.memory_mb is not None and asked.memory_mb > limits.memory_mb:
        return error(
            "SWL-506", asked=f"{asked.memory_mb} MB", limit=f"{limits.memory_mb:g} MB", key=MEMORY_KEY
        )
    if asked.cpu is not None and limits.cpu_cores is not None and asked.cpu > limits.cpu_cores:
        return error(
            "SWL-506", asked=f"{asked.cpu:g} cores", limit=f"{limits.cpu_cores:g} cores", key=CPU_KEY
        )
    return None


def effective(asked: Resources, limits: Limits) -> Resources:
    """Return the bounds a workload gets: what it asked for, else all that the node lends."""
    memory = asked.memory_mb
    if memory is None and limits.memory_mb is not None:
        memory = int(limits.memory_mb)
    return Resources(cpu=asked.cpu if asked.cpu is not None else limits.cpu_cores, memory_mb=memory)


def waits_for(asked: Resources, running: Iterable[Resources], limits: Limits) -> str | None:
    """Return what a workload has to wait for beside those that run, or ``None`` when there is room now."""
    beside = tuple(running)
    memory = _short(asked.memory_mb, [one.memory_mb for one in beside], limits.memory_mb)
    if memory is not None:
        wanted = _wanted(asked.memory_mb, "MB", "--memory")
        return f"waits for memory: {wanted}, {memory:g} of {limits.memory_mb:g} MB free ({MEMORY_KEY})"
    cpu = _short(asked.cpu, [one.cpu for one in beside], limits.cpu_cores)
    if cpu is not None:
        wanted = _wanted(asked.cpu, "cores", "--cpu")
        return f"waits for processor time: {wanted}, {cpu:g} of {limits.cpu_cores:g} cores free ({CPU_KEY})"
    return None


def _short(asked: float | None, beside: Iterable[float | None], lent: float | None) -> float | None:
    """Return how much is free when that is too little; who names no bound may use all that is lent."""
    if lent is None:
        return None
    free = lent - sum(lent if one is None else one for one in beside)
    enough = (lent if asked is None else asked) <= free + _SLACK
    return None if enough else max(round(free, 3), 0.0)


def _wanted(asked: float | None, unit: str, flag: str) -> str:
    return f"all that is lent, for want of {flag}" if asked is None else f"{asked:g} {unit} asked"


def storage_refusal(used_bytes: int, limits: Limits) -> SwarmletError | None:
    """Return why no further workload may write, given the bytes all private directories use together."""
    if limits.storage_gb is None or used_bytes < limits.storage_gb * 1e9:
        return None
    return error(
        "SWL-506",
        asked=f"more disk than the {used_bytes / 1e9:.2f} GB all workloads use",
        limit=f"{limits.storage_gb:g} GB",
        key=STORAGE_KEY,
    )
