"""This very machine gets a profile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from swarmlet.errors import ConfigError
from swarmlet.hardware import network, nvml, probe
from swarmlet.model.names import is_node_name
from swarmlet.model.profile import Profile

HERE = Path(__file__).parents[3]


def test_this_machine_has_a_complete_profile(tmp_path):
    profile = probe.probe(data_dir=str(tmp_path), docker_host="off")
    assert is_node_name(profile.node_id)
    hardware = profile.hardware
    assert hardware.cpu_model
    assert 0 < (hardware.cpu_cores or 0) <= (os.cpu_count() or 0)
    assert (hardware.memory_gb or 0) > 0
    assert (hardware.storage_gb or 0) > 0
    assert hardware.architecture
    assert profile.container_engine is None
    assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile).node_id == profile.node_id


def test_a_chosen_name_is_taken_as_it_is():
    assert probe.probe(node_name="garden-sensor-01", docker_host="off").node_id == "garden-sensor-01"


def test_a_profile_is_the_same_after_a_restart():
    first = probe.probe(docker_host="off")
    assert probe.probe(docker_host="off").fingerprint == first.fingerprint


def test_the_storage_of_a_directory_that_is_not_there_yet_is_that_of_its_parent(tmp_path):
    assert probe.storage_bytes(f"{tmp_path}/a/b/c") == probe.storage_bytes(str(tmp_path))
    assert probe.storage_bytes("relative/nowhere") is None
    assert probe.storage_bytes("a\0b") is None


def test_the_memory_controller_of_this_machine_is_told():
    assert probe.memory_controller() in {"v1", "v2", "off", None}


def test_profiling_imports_nothing_heavy():
    code = (
        "import sys; from swarmlet.hardware.probe import probe; probe(docker_host='off');"
        "heavy = {'psutil', 'docker', 'cffi', 'asyncio', '_hashlib', 'dataclasses', 'json', 'ssl'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_addresses_of_loopback_are_found():
    found = network.addresses("lo")
    assert found[0] == "127.0.0.1"
    assert set(found[1:]) <= {"::1"}
    assert network.addresses("nosuchinterface") == ()
    assert network.addresses("\udcff") == ()


def test_a_chosen_interface_that_is_not_here_is_an_error_that_names_those_that_are():
    assert network.require_addresses("lo")
    with pytest.raises(ConfigError, match=r"SWL-404: the network interface wlan9 is not here; .*lo"):
        network.require_addresses("wlan9")


def test_ipv6_addresses_come_widest_first_and_local_ones_carry_their_zone():
    text = (
        "fe8000000000000000fc00fffe000001 02 40 20 80 eth0\n"
        "fd000000000000000000000000000002 02 80 00 80 eth0\n"
        "00000000000000000000000000000001 01 80 10 80 lo\n"
        "zz000000000000000000000000000002 02 80 00 80 eth0\n"
    )
    assert network.parse_inet6(text, "eth0") == ("fd00::2", "fe80::fc:ff:fe00:1%eth0")
    assert network.parse_inet6(None, "eth0") == ()


def test_a_machine_without_nvidias_library_has_no_answer():
    assert nvml.count_gpus("libswarmlet-absent.so.1") is None


NVML = """
int nvmlInit_v2(void) { return INIT; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 3; return STATUS; }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(("init", "status", "count"), [(0, 0, 3), (9, 0, None), (0, 1, None)])
def test_a_library_is_asked_at_run_time(tmp_path, init, status, count):
    pytest.importorskip("cffi")
    source = tmp_path / "nvml.c"
    source.write_text(NVML)
    library = str(tmp_path / f"libfake-{init}-{status}.so.1")
    subprocess.run(
        ["cc", "-shared", "-fPIC", f"-DINIT={init}", f"-DSTATUS={status}", "-o", library, str(source)],
        check=True,
    )
    assert nvml.count_gpus(library) == count


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_library_without_the_calls_has_no_answer(tmp_path):
    pytest.importorskip("cffi")
    source = tmp_path / "other.c"
    source.write_text("int other(void) { return 0; }\n")
    library = str(tmp_path / "libother.so.1")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, str(source)], check=True)
    assert nvml.count_gpus(library) is None
