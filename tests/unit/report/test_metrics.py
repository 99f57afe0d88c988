"""Metrics: what is left out, and what a scrape costs."""

from __future__ import annotations

import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from swarmlet.report.metrics import Exposition, Snapshot

MINIMAL = Snapshot(version="0.1.0", target="x86_64-unknown-linux-gnu", uptime_s=1.5)


def samples(snapshot):
    _, body = Exposition().render(snapshot)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_what_is_unknown_is_left_out():
    names = {key[0] for key in samples(MINIMAL)}
    assert "swarmlet_temperature_celsius" not in names
    assert "swarmlet_network_bytes_total" not in names
    assert "swarmlet_uptime_seconds" in names


def test_zero_is_a_value():
    known = Snapshot(version="1", target="t", uptime_s=0.0, temperature_c=0.0, disk_written=0, net_rx=0)
    found = samples(known)
    assert found["swarmlet_temperature_celsius",] == 0.0
    assert found["swarmlet_disk_written_bytes_total",] == 0.0
    assert found["swarmlet_network_bytes_total", "receive"] == 0.0


def test_openmetrics_is_served_when_asked_for():
    content_type, body = Exposition().render(MINIMAL, "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_repeated_scrapes_show_the_latest_values():
    exposition = Exposition()
    exposition.render(MINIMAL)
    _, body = exposition.render(Snapshot(version="1", target="t", uptime_s=99.0))
    assert b"swarmlet_uptime_seconds 99.0" in body


def test_the_library_is_not_loaded_before_a_scrape():
    probe = "import sys, swarmlet.report.metrics; print('prometheus_client' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=30
    )
    assert found.stdout.strip() == "False"
