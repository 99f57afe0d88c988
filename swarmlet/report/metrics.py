"""Every metric of a node, once: name, type, meaning. The exposition format is prometheus_client's.

The library costs megabytes and tens of milliseconds, so it is imported at the first scrape; a node nobody
scrapes never pays. Series are few and fixed (M1): no label holds a workload, an image, a path or a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.registry import CollectorRegistry


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the metrics are made from, taken at the moment of a scrape; ``None`` leaves a metric out."""

    version: str
    target: str
    uptime_s: float
    cpu_percent: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    net_rx: int | None = None
    net_tx: int | None = None
    workloads_active: int = 0
    heartbeat_success: bool = False
    connected: bool = False
    reconnects: int = 0
    heartbeats_sent: int = 0
    heartbeats_acked: int = 0
    heartbeats_acked_us: int = 0
    link_rx: int = 0
    link_tx: int = 0
    gossip_members: dict[str, int] = msgspec.field(default_factory=dict)
    gossip_rx: int = 0
    gossip_tx: int = 0
    gossip_dropped: int = 0
    certificate_expiry_s: float | None = None
    clock_skew_s: float | None = None
    temperature_c: float | None = None
    disk_free: int | None = None
    disk_written: int | None = None
    resident_memory: int | None = None
    health: int = 0


#: Metric, field of :class:`Snapshot`, meaning. The first five, and the network counter below, are the
#: specification's names.
GAUGES: tuple[tuple[str, str, str], ...] = (
    ("swarmlet_uptime_seconds", "uptime_s", "Seconds since the agent started."),
    (
        "swarmlet_cpu_usage_percent",
        "cpu_percent",
        "Processor use of the device, all cores together, 0 to 100.",
    ),
    ("swarmlet_memory_usage_bytes", "memory_used", "Memory in use on the device, or of its cgroup limit."),
    ("swarmlet_workloads_active", "workloads_active", "Replicas preparing, running or stopping."),
    (
        "swarmlet_cluster_heartbeat_success",
        "heartbeat_success",
        "1 while heartbeats are acknowledged and the lease is held, else 0.",
    ),
    ("swarmlet_memory_total_bytes", "memory_total", "Memory of the device, or its cgroup limit."),
    ("swarmlet_cluster_connected", "connected", "1 while a session with the coordinator is established."),
    (
        "swarmlet_certificate_expiry_timestamp_seconds",
        "certificate_expiry_s",
        "When the node's certificate expires, in Unix time.",
    ),
    (
        "swarmlet_clock_skew_seconds",
        "clock_skew_s",
        "This device's clock minus the coordinator's; nothing here depends on it.",
    ),
    ("swarmlet_temperature_celsius", "temperature_c", "The warmest processor sensor."),
    ("swarmlet_disk_free_bytes", "disk_free", "Free space in the file system of the data directory."),
    ("swarmlet_agent_resident_memory_bytes", "resident_memory", "Resident memory of the agent itself."),
    ("swarmlet_health", "health", "0 all is well, 1 something needs a look, 2 the node should not get work."),
)


class Exposition:
    """Renders snapshots for a scraper."""

    def __init__(self) -> None:
        self._registry: CollectorRegistry | None = None
        self._latest: Snapshot | None = None

    def render(self, snapshot: Snapshot, accept: str = "") -> tuple[str, bytes]:
        """Return the content type and the body for a scrape.

        Args:
            snapshot: The values.
            accept: The scraper's ``Accept`` header; it may prefer OpenMetrics.
        """
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - see the module's header
        from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self)
        self._latest = snapshot
        encoder, content_type = choose_encoder(accept)
        return content_type, encoder(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are fixed, so the registry need not collect to check for clashes."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the latest snapshot."""
        if self._latest is not None:
            yield from families(self._latest)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield ``snapshot`` as metric families; what is unknown is left out, never zero."""
    from prometheus_client.core import (  # noqa: PLC0415
        CounterMetricFamily,
        GaugeMetricFamily,
        SummaryMetricFamily,
    )

    for name, field, meaning in GAUGES:
        value = getattr(snapshot, field)
        if value is not None:
            yield GaugeMetricFamily(name, meaning, value=float(value))
    yield _both_ways(
        "swarmlet_network_bytes",
        "Bytes over the device's network interfaces since boot.",
        (snapshot.net_rx, snapshot.net_tx),
    )
    yield _both_ways(
        "swarmlet_cluster_link_bytes",
        "Bytes over the connection to the cluster since the agent started.",
        (snapshot.link_rx, snapshot.link_tx),
    )
    members = GaugeMetricFamily(
        "swarmlet_gossip_members",
        "Members as this node's gossip sees them, itself included.",
        labels=["state"],
    )
    for state, count in sorted(snapshot.gossip_members.items()):
        members.add_metric([state], float(count))
    yield members
    yield _both_ways(
        "swarmlet_gossip_packets",
        "Gossip packets of members since the agent started.",
        (snapshot.gossip_rx, snapshot.gossip_tx),
    )
    yield CounterMetricFamily(
        "swarmlet_gossip_dropped",
        "Datagrams that were no gossip of a member: junk, forged, replayed, of an epoch that is over.",
        value=float(snapshot.gossip_dropped),
    )
    yield CounterMetricFamily(
        "swarmlet_cluster_heartbeats",
        "Heartbeats sent since the agent started.",
        value=float(snapshot.heartbeats_sent),
    )
    yield SummaryMetricFamily(
        "swarmlet_cluster_heartbeat_rtt_seconds",
        "Seconds from the sending of heartbeats to their acknowledgement by the coordinator.",
        count_value=snapshot.heartbeats_acked,
        sum_value=snapshot.heartbeats_acked_us / 1e6,
    )
    yield CounterMetricFamily(
        "swarmlet_cluster_reconnects",
        "Sessions with the coordinator after the first.",
        value=float(snapshot.reconnects),
    )
    if snapshot.disk_written is not None:
        yield CounterMetricFamily(
            "swarmlet_disk_written_bytes",
            "Bytes the agent itself caused to be written to disk: 0 while idle.",
            value=float(snapshot.disk_written),
        )
    build = GaugeMetricFamily(
        "swarmlet_build_info", "Always 1; the build is in the labels.", labels=["version", "target"]
    )
    build.add_metric([snapshot.version, snapshot.target], 1.0)
    yield build


def _both_ways(name: str, meaning: str, counts: tuple[int | None, int | None]) -> Metric:
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - see the module's header

    family = CounterMetricFamily(name, meaning, labels=["direction"])
    for direction, count in zip(("receive", "transmit"), counts, strict=True):
        if count is not None:
            family.add_metric([direction], float(count))
    return family
