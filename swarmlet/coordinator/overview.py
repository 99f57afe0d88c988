"""The cluster at a glance: facts of this process and counts of the picture, for ``GET /v1/cluster``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from swarmlet import __version__
from swarmlet.clock import Clock
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.planning import Planning
from swarmlet.coordinator.standing import standing
from swarmlet.model.membership import PAST
from swarmlet.model.views import ClusterView


class Facts(NamedTuple):
    """What does not change while this coordinator runs."""

    directory: str
    fingerprint: str
    endpoints: tuple[str, ...]
    listeners: tuple[str, ...]
    notes: tuple[str, ...]
    started_ms: int
    heartbeat_ms: int
    lease_ms: int
    pairing: bool = False


def overview(
    facts: Facts, picture: Picture, planning: Planning, clock: Clock, stats: Callable[[], dict[str, int]]
) -> ClusterView:
    """Return the cluster as it is now."""
    nodes = Counter(node.state.value for node in picture.nodes.values() if node.state not in PAST)
    workloads = Counter(
        standing(
            workload,
            picture.latest(workload.workload_id),
            picture.nodes,
            picture.of_workload(workload.workload_id) if workload.stopping else (),
        ).state.value
        for workload in picture.workloads.values()
    )
    return ClusterView(
        cluster_id=picture.cluster.cluster_id,
        name=picture.cluster.name,
        fingerprint=facts.fingerprint,
        endpoints=facts.endpoints,
        listeners=facts.listeners,
        version=__version__,
        directory=facts.directory,
        created_ms=picture.cluster.created_ms,
        started_ms=facts.started_ms,
        now_ms=clock.wall_ms(),
        heartbeat_ms=facts.heartbeat_ms,
        lease_ms=facts.lease_ms,
        pairing=facts.pairing,
        nodes=dict(nodes),
        workloads=dict(workloads),
        notes=facts.notes,
        reassignment_suspended=planning.suspended,
        stats=stats(),
    )
