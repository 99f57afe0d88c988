"""Readings: what is measured here, and what a measurement means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.health import Health
from swarmlet.report.readings import Sample, Sensors, judge, memory, to_reading, warmest, written


def test_this_machine_can_be_read(tmp_path):
    sensors = Sensors(str(tmp_path))
    first, second = sensors.read(), sensors.read()
    assert 0 < first.memory_used < first.memory_total
    assert first.disk_total >= first.disk_free > 0
    assert 0 <= second.cpu_percent <= 100
    assert first.resident > 1_000_000
    assert second.net_rx >= first.net_rx


def test_a_missing_data_directory_is_unknown_not_an_error(tmp_path):
    assert Sensors(str(tmp_path / "gone")).read().disk_free is None


def test_reading_writes_nothing(tmp_path):
    sensors = Sensors(str(tmp_path))
    sensors.read()
    before = written()
    for _ in range(20):
        sensors.read()
    assert written() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sample", "health", "why"),
    [
        (Sample(disk_free=10**11, disk_total=10**12), Health.OK, ""),
        (
            Sample(disk_free=10**8, disk_total=10**12),
            Health.DEGRADED,
            "the disk is nearly full: 100 MB are free",
        ),
        (Sample(disk_free=10**8, disk_total=10**9), Health.OK, ""),
        (Sample(throttled=0x1), Health.DEGRADED, "the supply voltage is too low"),
        (Sample(throttled=0x4), Health.DEGRADED, "the processor is throttled"),
        (Sample(throttled=0x50000), Health.OK, ""),
        (Sample(), Health.OK, ""),
    ],
)
def test_a_sample_is_judged(sample, health, why):
    verdict = judge(sample)
    assert (verdict.health, verdict.why) == (health, why)
    assert bool(verdict.next) == (health is not Health.OK)


def test_the_best_sensor_is_taken_and_nonsense_is_not():
    assert warmest({"acpitz": [90.0], "coretemp": [40.0, 55.0]}) == 55.0
    assert warmest({"coretemp": [-273.0, 65261.0], "acpitz": [30.0]}) == 30.0
    assert warmest({"nvme": [30.0]}) is None


def test_a_container_sees_its_own_memory():
    assert memory(10 * 10**9, 24 * 10**9, 512_000_000, 100_000_000) == (100_000_000, 512_000_000)
    assert memory(10, 20, None, None) == (10, 20)
    assert memory(10, 20, 2**63, 5) == (10, 20)


FLOATS = st.floats(-1e6, 1e6)
SIZES = st.integers(-1, 2**50)


@given(FLOATS, st.none() | FLOATS, SIZES, st.none() | SIZES, st.integers(-5, 10**6))
def test_every_reading_fits_its_wire_fields(cpu, warm, size, free, workloads):
    sample = Sample(cpu, size, size, size, size, warm, free)
    reading = to_reading(sample, health=Health.OK, workloads=workloads)
    assert 0 <= reading.cpu_permille <= 1000
    assert -32768 <= reading.temperature_centi <= 32767
    assert 0 <= reading.workloads <= 0xFFFF
    assert all(value >= 0 for value in reading[4:])
    assert (reading.temperature_centi == -32768) == (warm is None)
