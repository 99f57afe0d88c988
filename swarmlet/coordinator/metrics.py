"""Every metric of a cluster, once: name, type, meaning; what lease and peers say of nodes, put together.

The exposition format is prometheus_client's, which is imported at the first scrape. Series are few and fixed:
no label holds a node, a workload, an image or a token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from swarmlet.model.membership import PAST, NodeState
from swarmlet.model.mesh import MeshView
from swarmlet.model.records import NodeRecord
from swarmlet.model.views import ClusterView

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: What peers say of a node that they know nothing of: it does not gossip, or UDP does not reach it.
_NOTHING = "unknown"


class Snapshot(NamedTuple):
    """What the metrics are made from.

    Attributes:
        view: The cluster at a glance.
        nodes: How many nodes are in a state, by their lease, of which their peers say what.
        waiting: How many devices wait to be approved.
    """

    view: ClusterView
    nodes: Mapping[tuple[str, str], int]
    waiting: int


#: Metric, counter of the network engine, meaning.
COUNTERS: tuple[tuple[str, str, str], ...] = (
    ("stratoswarm_heartbeats", "heartbeats_in", "Heartbeats of nodes."),
    ("stratoswarm_handshakes", "handshakes", "TLS handshakes that succeeded."),
    ("stratoswarm_connections_accepted", "accepted", "Connections that were accepted."),
    ("stratoswarm_refused_handshakes", "refused_handshake", "Handshakes that failed."),
    ("stratoswarm_refused_certificates", "refused_certificate", "Certificates that were refused."),
    ("stratoswarm_refused_addresses", "refused_address", "Connections beyond what one address may have."),
    ("stratoswarm_refused_slow", "refused_slow", "Connections that did not prove themselves in time."),
    ("stratoswarm_protocol_errors", "protocol_errors", "Connections closed for breaking the protocol."),
    ("stratoswarm_link_received_bytes", "bytes_in", "Bytes received over TLS connections."),
    ("stratoswarm_link_sent_bytes", "bytes_out", "Bytes sent over TLS connections."),
    ("stratoswarm_gossip_received", "gossip_in", "Gossip packets of members."),
    ("stratoswarm_gossip_sent", "gossip_out", "Gossip packets sent."),
    ("stratoswarm_gossip_dropped", "gossip_dropped", "Datagrams that were no gossip of a member."),
)


def merged(nodes: Iterable[NodeRecord], peers: Mapping[str, MeshView]) -> dict[tuple[str, str], int]:
    """Count nodes by what their lease says and what their peers say; those of the past are left out.

    Args:
        nodes: All nodes.
        peers: What the mesh knows, by uid.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for node in nodes:
        if node.state not in PAST:
            seen = peers.get(node.node_uid)
            counts[node.state.value, seen.state if seen is not None and seen.udp else _NOTHING] += 1
    return dict(counts)


def exposition(snapshot: Snapshot) -> bytes:
    """Return the metrics as Prometheus reads them (text format 0.0.4)."""
    from prometheus_client.exposition import generate_latest  # noqa: PLC0415 - see the module's header
    from prometheus_client.registry import Collector, CollectorRegistry  # noqa: PLC0415

    class Once(Collector):
        def collect(self) -> Iterable[Metric]:
            return families(snapshot)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield ``snapshot`` as metric families."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

    view = snapshot.view
    uptime_s = max(0, view.now_ms - view.started_ms) / 1000
    yield GaugeMetricFamily("stratoswarm_uptime_seconds", "Seconds since this coordinator started.", uptime_s)
    yield _by_state("stratoswarm_nodes", "Nodes by state, as their leases tell.", _every_state(view.nodes))
    seen = GaugeMetricFamily(
        "stratoswarm_nodes_seen",
        "Nodes by state and by what their peers say: suspect or down and alive is cut off from here alone.",
        labels=["state", "peers"],
    )
    for (state, peers), count in sorted(snapshot.nodes.items()):
        seen.add_metric([state, peers], count)
    yield seen
    yield _by_state("stratoswarm_workloads", "Workloads by state.", view.workloads)
    suspended = view.reassignment_suspended is not None
    for name, meaning, value in (
        ("stratoswarm_reassignment_suspended", "1 while most nodes are away and no work moves.", suspended),
        ("stratoswarm_pairing", "1 while devices without a token may ask to be approved.", view.pairing),
        ("stratoswarm_pairings_waiting", "Devices that wait to be approved.", snapshot.waiting),
        (
            "stratoswarm_troubles",
            "What the coordinator says is unusual now; see cluster status.",
            len(view.notes),
        ),
        ("stratoswarm_connections", "Connections there are.", view.stats.get("connections", 0)),
        ("stratoswarm_connections_unproven", "Those without a node.", view.stats.get("unproven", 0)),
    ):
        yield GaugeMetricFamily(name, meaning, value=float(value))
    for name, counter, meaning in COUNTERS:
        yield CounterMetricFamily(name, meaning, value=float(view.stats.get(counter, 0)))
    build = GaugeMetricFamily(
        "stratoswarm_build_info", "Always 1; the version is a label.", labels=["version"]
    )
    build.add_metric([view.version], 1.0)
    yield build


def _every_state(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts with a zero for states nobody is in, so that a graph falls to it."""
    return {state.value: counts.get(state.value, 0) for state in NodeState if state not in PAST}


def _by_state(name: str, meaning: str, counts: Mapping[str, int]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see the module's header

    family = GaugeMetricFamily(name, meaning, labels=["state"])
    for state, count in sorted(counts.items()):
        family.add_metric([state], float(count))
    return family
