"""The metric names of the specification, as Prometheus' own parser reads them, and their bound (M1)."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from swarmlet.report.metrics import Exposition, Snapshot

NAMED = {
    "swarmlet_uptime_seconds": "gauge",
    "swarmlet_cpu_usage_percent": "gauge",
    "swarmlet_memory_usage_bytes": "gauge",
    "swarmlet_network_bytes_total": "counter",
    "swarmlet_workloads_active": "gauge",
    "swarmlet_cluster_heartbeat_success": "gauge",
}
FULL = Snapshot(
    version="0.1.0",
    target="x86_64-unknown-linux-musl",
    uptime_s=12.5,
    cpu_percent=37.5,
    memory_used=300_000_000,
    memory_total=8_000_000_000,
    net_rx=10,
    net_tx=20,
    workloads_active=2,
    heartbeat_success=True,
    connected=True,
    reconnects=3,
    heartbeats_sent=4,
    heartbeats_acked=4,
    heartbeats_acked_us=8_000,
    gossip_members={"alive": 3, "suspect": 1},
    link_rx=100,
    link_tx=200,
    certificate_expiry_s=1_800_000_000.0,
    clock_skew_s=-0.2,
    temperature_c=45.0,
    disk_free=5,
    disk_written=6,
    resident_memory=7,
    health=1,
)


def scrape():
    content_type, body = Exposition().render(FULL)
    assert content_type.startswith("text/plain; version=")
    return list(text_string_to_metric_families(body.decode()))


def by_label(name, label):
    """Return the values of one metric by one of its labels."""
    samples = [sample for family in scrape() for sample in family.samples if sample.name == name]
    return {sample.labels[label]: sample.value for sample in samples}


def test_the_six_names_of_the_specification_are_there_with_their_values():
    samples = {sample.name: sample.value for family in scrape() for sample in family.samples}
    assert set(NAMED) <= set(samples)
    assert samples["swarmlet_uptime_seconds"] == 12.5
    assert samples["swarmlet_cpu_usage_percent"] == 37.5
    assert samples["swarmlet_memory_usage_bytes"] == 300_000_000
    assert samples["swarmlet_workloads_active"] == 2
    assert samples["swarmlet_cluster_heartbeat_success"] == 1


def test_their_types_are_the_documented_ones():
    types = {sample.name: family.type for family in scrape() for sample in family.samples}
    assert {name: types[name] for name in NAMED} == NAMED


def test_network_bytes_tell_both_directions():
    network = by_label("swarmlet_network_bytes_total", "direction")
    assert network == {"receive": 10.0, "transmit": 20.0}


def test_the_round_trip_of_heartbeats_is_a_mean_over_time():
    samples = {sample.name: sample.value for family in scrape() for sample in family.samples}
    assert samples["swarmlet_cluster_heartbeat_rtt_seconds_count"] == 4
    assert samples["swarmlet_cluster_heartbeat_rtt_seconds_sum"] == 0.008


def test_members_are_counted_by_how_gossip_sees_them():
    assert by_label("swarmlet_gossip_members", "state") == {"alive": 3, "suspect": 1}


def test_every_metric_has_a_name_of_ours_a_unit_and_help():
    for family in scrape():
        assert re.fullmatch(r"swarmlet_[a-z_]+", family.name)
        assert family.documentation.endswith((".", "100", "since boot."))


def test_series_are_few_and_labels_fixed():
    samples = [sample for family in scrape() for sample in family.samples]
    assert len(samples) < 50
    labels = {label for sample in samples for label in sample.labels}
    assert labels == {"direction", "state", "version", "target"}
