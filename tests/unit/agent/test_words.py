"""What the agent says at steps 1 and 6."""

from __future__ import annotations

import pytest

from swarmlet.agent import words
from swarmlet.model.profile import Capabilities, Classification, Enforcement, Hardware, Profile, Thermal


def profile(hardware=None, capabilities=None, **changes):
    known = Classification("Edge", (), "")
    return Profile("n", hardware or Hardware(), capabilities or Capabilities(), known, **changes)


def test_a_raspberry_pi_is_told_as_in_the_manual():
    found = Hardware("ARM Cortex-A72", 4, 8.0, 64.0, "arm64", "raspberry_pi_4")
    thermal = Capabilities(thermal_constraints=Thermal(85.0, 45.0))
    assert words.hardware(profile(found, thermal)) == "Raspberry Pi 4 (arm64, 4 cores, 8.0 GB, 45 C)"


def test_what_is_unknown_is_left_out():
    assert words.hardware(profile()) == "this device"
    assert words.hardware(profile(Hardware(cpu_model="Xeon", cpu_cores=1))) == "Xeon (1 core)"


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"cpu_cores": 2.0, "memory_mb": 512.0}, "accepting work (limits 2 cores, 512 MB)"),
        ({"cpu_cores": 0.5, "storage_gb": 10.0}, "accepting work (limits 0.5 cores, 10 GB of disk)"),
        ({}, "accepting work (no limits set)"),
    ],
)
def test_limits_are_told(limits, text):
    assert words.ready(limits) == text


def test_a_limit_that_cannot_be_enforced_is_warned_of_only_when_set():
    bare = profile(enforcement=Enforcement())
    assert words.unenforced(bare, {}) == []
    assert len(words.unenforced(bare, {"memory_mb": 1, "cpu_cores": 1})) == 2
    able = profile(enforcement=Enforcement(memory="cgroup v2", cpu="cgroup v2"))
    assert words.unenforced(able, {"memory_mb": 1, "cpu_cores": 1}) == []


def test_what_is_offered_is_what_is_there():
    assert words.capabilities(profile()) == ()
    rich = profile(capabilities=Capabilities(gpu_count=1), container_engine="docker 27")
    assert words.capabilities(rich) == ("docker", "gpu")
