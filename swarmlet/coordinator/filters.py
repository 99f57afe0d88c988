"""What keeps a replica off a node. Each filter says why it refuses, in words for a person. Pure.

Filters run in the order of :data:`FILTERS`, cheapest and most telling first; the first refusal is the reason
that is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from swarmlet.coordinator.constraints import Constraint, explain, parse_constraint
from swarmlet.model.health import Health
from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.records import NodeRecord
from swarmlet.model.workload import Kind, Resources, WorkloadSpec

#: Memory left to the system and the agent where the owner set no SWARM_MAX_MEMORY_MB, in MB: the larger of
#: a fixed part and a share.
RESERVED_MB = 150.0
RESERVED_SHARE = 0.05


class Usage(NamedTuple):
    """What the replicas assigned to one node asked for, together.

    ``open_cpu`` and ``open_memory`` count those that asked for none: each may use all that an owner lends.
    """

    replicas: int = 0
    cpu: float = 0.0
    memory_mb: float = 0.0
    open_cpu: int = 0
    open_memory: int = 0

    def plus(self, resources: Resources) -> Usage:
        """Return the usage with one more replica."""
        return Usage(
            self.replicas + 1,
            self.cpu + (resources.cpu or 0.0),
            self.memory_mb + (resources.memory_mb or 0),
            self.open_cpu + (resources.cpu is None),
            self.open_memory + (resources.memory_mb is None),
        )

    def minus(self, resources: Resources) -> Usage:
        """Return the usage with one replica less."""
        return Usage(
            self.replicas - 1,
            self.cpu - (resources.cpu or 0.0),
            self.memory_mb - (resources.memory_mb or 0),
            self.open_cpu - (resources.cpu is None),
            self.open_memory - (resources.memory_mb is None),
        )


class Capacity(NamedTuple):
    """What a node lends; ``None`` is "not known"."""

    cpu: float | None
    memory_mb: float | None


class Demand(NamedTuple):
    """A workload as the filters see it, its constraints read once."""

    spec: WorkloadSpec
    constraints: tuple[Constraint, ...]


class Site(NamedTuple):
    """A node as the filters see it."""

    node: NodeRecord
    health: Health
    capacity: Capacity
    usage: Usage


class Refusal(NamedTuple):
    """Why a node cannot take a replica."""

    filter: str
    reason: str


class _Good(NamedTuple):
    """What a node lends amounts of, and how a refusal speaks of it."""

    limit: str
    option: str
    unknown: str
    asked: str
    free: str


_CPU = _Good(
    "cpu_cores", "--cpu", "how many cores it has is not known", "{:g} cores asked", "{:g} of {:g} free"
)
_MEMORY = _Good(
    "memory_mb", "--memory", "how much memory it has is not known", "{} MB asked", "{:.0f} of {:.0f} MB free"
)


def demand_of(spec: WorkloadSpec) -> Demand:
    """Return the demand of a workload that was checked when it was submitted."""
    return Demand(spec, tuple(parse_constraint(text) for text in spec.constraints))


def capacity_of(node: NodeRecord) -> Capacity:
    """Return what a node lends: the owner's limits within the hardware, else the hardware less a reserve."""
    hardware = node.profile.hardware
    memory_mb = None
    if hardware.memory_gb is not None:
        whole = hardware.memory_gb * 1000
        memory_mb = max(0.0, whole - max(RESERVED_MB, whole * RESERVED_SHARE))
        if "memory_mb" in node.limits:
            memory_mb = min(whole, node.limits["memory_mb"])
    else:
        memory_mb = node.limits.get("memory_mb")
    cpu = hardware.cpu_cores
    if "cpu_cores" in node.limits:
        cpu = node.limits["cpu_cores"] if cpu is None else min(cpu, node.limits["cpu_cores"])
    return Capacity(cpu, memory_mb)


def _state(demand: Demand, site: Site) -> str | None:  # noqa: ARG001 - every filter has one shape
    if site.node.state is NodeState.READY:
        return None
    return f"it is {site.node.state}: {site.node.state_reason}"


def _availability(demand: Demand, site: Site) -> str | None:  # noqa: ARG001 - as above
    if site.node.availability is Availability.ACTIVE:
        return None
    return f"it is {site.node.availability} by an administrator"


def _health(demand: Demand, site: Site) -> str | None:  # noqa: ARG001 - as above
    return "it reports that it is failing" if site.health is Health.FAILING else None


def _capability(demand: Demand, site: Site) -> str | None:
    if demand.spec.kind is not Kind.CONTAINER:
        return None
    if site.node.profile.container_engine is None:
        return "no container engine answers there"
    if "docker" not in site.node.capabilities:
        return "its token did not allow docker"
    return None


def _class(demand: Demand, site: Site) -> str | None:
    wanted, found = demand.spec.node_type, site.node.profile.classification.node_class
    if wanted is None or wanted.lower() == found.lower():
        return None
    return f"its class is {found}, wanted is {wanted}"


def _constraints(demand: Demand, site: Site) -> str | None:
    for constraint in demand.constraints:
        reason = explain(constraint, site.node)
        if reason is not None:
            return reason
    return None


def _cpu(demand: Demand, site: Site) -> str | None:
    usage = site.usage
    return _room(_CPU, site, demand.spec.resources.cpu, site.capacity.cpu, (usage.cpu, usage.open_cpu))


def _memory(demand: Demand, site: Site) -> str | None:
    usage, asked = site.usage, demand.spec.resources.memory_mb
    return _room(_MEMORY, site, asked, site.capacity.memory_mb, (usage.memory_mb, usage.open_memory))


def _room(
    good: _Good, site: Site, asked: float | None, lent: float | None, used: tuple[float, int]
) -> str | None:
    """Judge whether there is enough of ``good``, of which others asked for an amount, or for none."""
    bounded = good.limit in site.node.limits
    if asked is None and not bounded:
        return None
    if lent is None:
        return good.unknown
    amount, without = used
    free = lent - amount - (without * lent if bounded else 0.0)
    # Sums of decimal fractions carry rounding noise; a millionth of a core is none of anyone's business.
    if (lent if asked is None else asked) <= free + 1e-6:
        return None
    wanted = f"all that is lent, for want of {good.option}" if asked is None else good.asked.format(asked)
    return f"{wanted}, {good.free.format(max(free, 0), lent)}"


Filter = Callable[[Demand, Site], "str | None"]

FILTERS: tuple[tuple[str, Filter], ...] = (
    ("state", _state),
    ("availability", _availability),
    ("health", _health),
    ("capability", _capability),
    ("class", _class),
    ("constraints", _constraints),
    ("cpu", _cpu),
    ("memory", _memory),
)


def refuse(demand: Demand, site: Site) -> Refusal | None:
    """Return the first reason why ``site`` cannot take a replica of ``demand``, or ``None`` when it can."""
    for name, judge in FILTERS:
        if (reason := judge(demand, site)) is not None:
            return Refusal(name, reason)
    return None


def summarise(refusals: dict[str, Refusal]) -> str:
    """Return in one sentence why no node fits, like refusals together.

    Args:
        refusals: By node name.
    """
    if not refusals:
        return "the cluster has no node"
    groups: dict[str, list[str]] = {}
    for node, refusal in sorted(refusals.items()):
        groups.setdefault(refusal.reason, []).append(node)
    parts = [f"{_names(nodes)}: {reason}" for reason, nodes in sorted(groups.items(), key=_largest_first)]
    return "; ".join(parts[:4]) + (f"; and {len(parts) - 4} more" if len(parts) > 4 else "")


def _largest_first(group: tuple[str, list[str]]) -> tuple[int, str]:
    return -len(group[1]), group[0]


def _names(nodes: list[str]) -> str:
    return ", ".join(nodes) if len(nodes) <= 3 else f"{', '.join(nodes[:2])} and {len(nodes) - 2} others"
