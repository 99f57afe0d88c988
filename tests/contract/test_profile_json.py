"""The profile JSON of the specification: its structure and field names, word for word."""

from __future__ import annotations

import json

import msgspec
import pytest

from swarmlet.hardware.probe import probe
from tests.fixtures import trees

SPECIFIED = json.loads("""
{
  "node_id": "swarmlet-rpi4-001",
  "hardware": {
    "cpu_model": "ARM Cortex-A72",
    "cpu_cores": 4,
    "memory_gb": 8.0,
    "storage_gb": 64.0,
    "architecture": "arm64",
    "device_type": "raspberry_pi_4"
  },
  "capabilities": {
    "gpu_count": 0,
    "network_bandwidth_mbps": 100.0,
    "battery_powered": false,
    "thermal_constraints": {
      "max_temp_celsius": 85.0,
      "current_temp_celsius": 45.0
    }
  },
  "classification": {
    "node_class": "Edge",
    "suitability": ["lightweight_compute", "sensors", "data_collection"]
  }
}
""")

#: What this device's size and the moment decide; the kind of value is specified, not the value.
MEASURED = {"node_id", "memory_gb", "storage_gb", "current_temp_celsius"}


def encoded(profile):
    """Return a profile as ``swarmlet profile-hardware`` prints it."""
    return json.loads(msgspec.json.encode(profile))


def check_structure(found, specified, *, nulls):
    """Every specified field is there first and in order; more may follow."""
    assert list(found)[: len(specified)] == list(specified)
    for name, example in specified.items():
        value = found[name]
        if isinstance(example, dict):
            check_structure(value, example, nulls=nulls)
        elif not (nulls and value is None):
            # JSON has one kind of number: 4 cores are 4, and half a core is 0.5.
            kind = (int, float) if type(example) in {int, float} else type(example)
            assert isinstance(value, kind), name
            assert isinstance(value, bool) == isinstance(example, bool), name


def check_values(found, specified):
    """Every value that is not measured is the specified one."""
    for name, example in specified.items():
        if isinstance(example, dict):
            check_values(found[name], example)
        elif name not in MEASURED:
            assert found[name] == example, name


def test_a_raspberry_pi_4_has_the_specified_profile(tmp_path):
    found = encoded(trees.profile_of(trees.load_tree("raspberry_pi_4"), tmp_path))
    check_structure(found, SPECIFIED, nulls=False)
    check_values(found, SPECIFIED)
    assert 7.5 < found["hardware"]["memory_gb"] < 8.7
    assert 60 < found["hardware"]["storage_gb"] <= 64


def test_numbers_are_written_as_in_the_specification(tmp_path):
    text = msgspec.json.encode(trees.profile_of(trees.load_tree("raspberry_pi_4"), tmp_path)).decode()
    assert '"cpu_cores":4,' in text
    assert '"network_bandwidth_mbps":100.0,' in text
    assert '"max_temp_celsius":85.0,' in text


@pytest.mark.parametrize("device", trees.DEVICES)
def test_every_device_has_the_specified_structure(device, tmp_path):
    check_structure(encoded(trees.profile_of(trees.load_tree(device), tmp_path)), SPECIFIED, nulls=True)


def test_this_machine_has_the_specified_structure():
    check_structure(encoded(probe(docker_host="off")), SPECIFIED, nulls=True)
