"""Every device of the fixtures gets the profile it should, field by field (golden files)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmlet.hardware.assemble import assemble
from swarmlet.hardware.facts import Host
from swarmlet.hardware.gather import gather
from swarmlet.hardware.probe import probe
from swarmlet.hardware.reader import Reader
from swarmlet.model.profile import Enforcement
from tests.fixtures import trees


@pytest.mark.parametrize("device", trees.DEVICES)
def test_a_device_gets_its_profile(device, tmp_path):
    tree = trees.load_tree(device)
    found = msgspec.json.decode(msgspec.json.encode(trees.profile_of(tree, tmp_path)))
    expected = msgspec.json.decode((trees.HERE / device / "profile.json").read_bytes())
    assert found == expected


def test_every_kind_of_device_that_was_promised_has_a_tree():
    assert set(trees.DEVICES) >= {
        "raspberry_pi_3", "raspberry_pi_4", "raspberry_pi_5", "raspberry_pi_zero_2", "jetson_orin_nano",
        "laptop", "server", "virtual_machine", "container_v2", "raspberry_pi_4_container_v1",
        "raspberry_pi_5_no_memory_cgroup", "garbage",
    }  # fmt: skip


def test_a_tree_of_another_machine_is_never_mixed_with_this_one(tmp_path):
    profile = probe(trees.load_tree("raspberry_pi_4").plant(tmp_path))
    assert profile.hardware.architecture == "arm64"
    assert profile.hardware.storage_gb is None
    assert profile.container_engine is None
    assert profile.enforcement == Enforcement()


def test_an_empty_tree_is_a_profile_of_nulls(tmp_path):
    profile = probe(str(tmp_path))
    hardware = msgspec.to_builtins(profile.hardware)
    assert set(hardware.values()) == {None}
    assert profile.capabilities.gpu_count is None
    assert profile.capabilities.battery_powered is None
    assert profile.fingerprint is None
    assert profile.node_id == "swarmlet"


@pytest.mark.parametrize(
    ("device", "controller"),
    [
        ("raspberry_pi_4", "v2"), ("raspberry_pi_3", "v1"), ("raspberry_pi_5_no_memory_cgroup", "off"),
        ("raspberry_pi_4_container_v1", "v1"), ("container_v2", "v2"),
    ],
)  # fmt: skip
def test_what_can_limit_memory_is_told(device, controller, tmp_path):
    root = trees.load_tree(device).plant(tmp_path)
    assert gather(Reader(root)).memory.controller == controller


def test_the_same_board_has_one_fingerprint_inside_and_outside_a_container(tmp_path):
    tree = trees.load_tree("raspberry_pi_4_container_v1")
    outside = {
        **tree.files,
        "/sys/firmware/devicetree/base/serial-number": b"10000000aa01bb02\0",
        "/etc/machine-id": b"0f1e2d3c4b5a69788796a5b4c3d2e1f0\n",
    }
    inside = trees.profile_of(tree, tmp_path / "inside")
    host = trees.profile_of(tree._replace(files=outside), tmp_path / "outside")
    assert inside.fingerprint == host.fingerprint
    assert inside.fingerprint is not None


def test_a_limit_anywhere_above_counts_and_the_least_wins(tmp_path):
    tree = trees.parse_tree(
        "/proc/meminfo: MemTotal: 8000000 kB\n"
        "/proc/cpuinfo: processor: 0\n"
        "/sys/devices/system/cpu/online: 0-7\n"
        "/proc/self/cgroup: 0::/kubepods/pod1/container1\n"
        "/proc/self/mountinfo: 1 2 0:3 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
        "/sys/fs/cgroup/kubepods/memory.max: 4000000000\n"
        "/sys/fs/cgroup/kubepods/cpu.max: max 100000\n"
        "/sys/fs/cgroup/kubepods/pod1/memory.max: 1000000000\n"
        "/sys/fs/cgroup/kubepods/pod1/cpu.max: 225000 100000\n"
        "/sys/fs/cgroup/kubepods/pod1/container1/memory.max: max\n"
        "/sys/fs/cgroup/kubepods/pod1/container1/cpu.max: 400000 100000\n"
    )
    hardware = trees.profile_of(tree, tmp_path).hardware
    assert hardware.memory_gb == 1.0
    assert hardware.cpu_cores == 2.25


class Noise(Reader):
    """A machine whose every file, directory and link holds whatever is drawn."""

    def __init__(self, data: st.DataObject) -> None:
        super().__init__("/nonexistent")
        self._data = data

    def data(self, path):
        return self._data.draw(
            st.none() | st.binary(max_size=60) | st.from_regex(r"[0-9a-zA-Z:/,. \n-]{0,80}").map(str.encode),
            label=path,
        )

    def names(self, path):
        some = st.sampled_from(
            ["eth0", "thermal_zone0", "0000:00:02.0", "device", "lower_eth0", "wireless", "hwmon0"]
        )
        return self._data.draw(
            st.none() | st.lists(some | st.text(max_size=5), max_size=3).map(tuple), label=path
        )

    def exists(self, path):
        return self._data.draw(st.booleans(), label=path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_no_machine_makes_profiling_fail(data):
    host = Host(data.draw(st.text(max_size=8)), data.draw(st.sampled_from([32, 64])))
    profile = assemble(gather(Noise(data)), host, None, Enforcement())
    again = msgspec.json.decode(msgspec.json.encode(profile), type=type(profile))
    assert msgspec.to_builtins(again) == msgspec.to_builtins(profile)
