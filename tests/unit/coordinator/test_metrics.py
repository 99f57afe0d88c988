"""The cluster's metrics, as Prometheus' own parser reads them; lease and peers put together."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from swarmlet.coordinator.metrics import COUNTERS, Snapshot, exposition, merged
from swarmlet.model.membership import NodeState
from swarmlet.model.mesh import MeshView
from swarmlet.model.views import ClusterView
from tests.fakes.records import node


def view(**given: object) -> ClusterView:
    fields: dict[str, object] = {
        "cluster_id": "ab" * 16, "name": "home", "fingerprint": "SHA256:00", "endpoints": (),
        "listeners": (), "version": "0.1.0", "directory": "/data", "created_ms": 0, "started_ms": 1_000,
        "now_ms": 61_000, "heartbeat_ms": 5000, "lease_ms": 15_000, "nodes": {"ready": 2, "down": 1},
        "workloads": {"running": 3}, "stats": {"heartbeats_in": 7, "connections": 4, "never shown": 9},
    }  # fmt: skip
    return ClusterView(**(fields | given))  # type: ignore[arg-type]


def scrape(snapshot: Snapshot) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(exposition(snapshot).decode())
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels, reverse=True))): sample.value
        for family in families
        for sample in family.samples
    }


def peers(name: str, state: str, *, udp: bool = True) -> MeshView:
    return MeshView(f"uid-{name}", state, "members", 0, "10.0.0.1:1", udp, 0)  # type: ignore[arg-type]


def test_lease_and_peers_are_put_together() -> None:
    nodes = [
        node("a"),
        node("b", state=NodeState.DOWN),
        node("c", state=NodeState.DOWN),
        node("d"),
        node("e"),
        node("gone", state=NodeState.LEFT),
        node("removed", state=NodeState.REVOKED),
    ]
    seen = [
        peers("a", "alive"),
        peers("b", "alive"),
        peers("c", "unreachable"),
        peers("e", "alive", udp=False),
    ]
    assert merged(nodes, {one.node_uid: one for one in seen}) == {
        ("ready", "alive"): 1,
        ("down", "alive"): 1,
        ("down", "unreachable"): 1,
        ("ready", "unknown"): 2,
    }


def test_every_state_has_its_count_and_nothing_unasked_is_shown() -> None:
    found = scrape(Snapshot(view(), {("down", "alive"): 1, ("ready", "alive"): 2}, 5))
    states = {key[1]: value for key, value in found.items() if key[0] == "stratoswarm_nodes"}
    assert states == {"joined": 0, "ready": 2, "suspect": 0, "down": 1}
    assert found["stratoswarm_nodes_seen", "down", "alive"] == 1
    assert found["stratoswarm_workloads", "running"] == 3
    assert found["stratoswarm_heartbeats_total",] == 7
    assert found["stratoswarm_connections",] == 4
    assert found["stratoswarm_pairings_waiting",] == 5
    assert found["stratoswarm_uptime_seconds",] == 60
    assert not [key for key in found if "never" in key[0]]


def test_flags_are_0_or_1_and_every_name_is_ours() -> None:
    usual = scrape(Snapshot(view(), {}, 0))
    odd = scrape(Snapshot(view(pairing=True, reassignment_suspended="most are away", notes=("a",)), {}, 0))
    for name in ("stratoswarm_pairing", "stratoswarm_reassignment_suspended", "stratoswarm_troubles"):
        assert (usual[name,], odd[name,]) == (0, 1)
    assert all(re.fullmatch(r"stratoswarm_[a-z_]+", key[0]) for key in usual)
    assert len({counter for _, counter, _ in COUNTERS}) == len(COUNTERS)
