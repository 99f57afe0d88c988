"""Graphics processors and network interfaces from text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.hardware.parse_devices import (
    Interface,
    PciDevice,
    bandwidth,
    count_gpus,
    default_interface,
    hardware_addresses,
    has_nvidia,
    is_display,
    parse_speed,
)

NVIDIA = PciDevice("0000:3b:00.0", "0x030200", "0x10de")
INTEGRATED = PciDevice("0000:00:02.0", "0x030000", "0x8086")
ARC = PciDevice("0000:03:00.0", "0x030000", "0x8086")
AMD = PciDevice("0000:0a:00.0", "0x030000", "0x1002")
CONSOLE = PciDevice("0000:03:00.0", "0x030000", "0x102b")
HEADER = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"


@pytest.mark.parametrize(
    ("pci", "nvidia", "compatible", "count"),
    [
        ((NVIDIA, NVIDIA._replace(slot="0000:af:00.0"), CONSOLE), 0, (), 2),
        ((INTEGRATED,), 0, (), 0),
        ((INTEGRATED, ARC), 0, (), 1),
        ((AMD,), 0, (), 1),
        ((), 1, (), 1),
        (None, 1, (), 1),
        ((NVIDIA,), 1, (), 1),
        ((), 0, ("nvidia,tegra234",), 1),
        (None, 0, ("nvidia,tegra234",), 1),
        ((), 0, (), 0),
        (None, 0, (), None),
    ],
)
def test_what_can_compute_is_counted(pci, nvidia, compatible, count):
    assert count_gpus(pci, nvidia, compatible) == count


def test_the_library_is_asked_only_where_a_card_is():
    assert has_nvidia((NVIDIA,), 0)
    assert has_nvidia(None, 1)
    assert not has_nvidia((AMD,), 0)


@pytest.mark.parametrize(
    ("text", "display"),
    [("0x030000", True), ("0x038000", True), ("0x020000", False), ("0x03", False), (None, False)],
)
def test_a_display_controller_is_known_by_its_class(text, display):
    assert is_display(text) is display


def test_the_default_route_with_the_least_metric_is_taken():
    routes = HEADER + (
        "wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0\n"
        "eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n"
        "eth1 00000000 0101A8C0 0002 0 0 0 00000000 0 0 0\n"
        "eth0 0001A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
    )
    assert default_interface(routes, None) == "eth0"


def test_a_host_with_ipv6_alone_has_a_default_route_too():
    zero = "0" * 32
    routes6 = (
        f"{zero} 00 {zero} 00 fe80 00000400 00000002 00000000 00000003 eth0\n"
        f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n"
    )
    assert default_interface(HEADER, routes6) == "eth0"
    assert default_interface(HEADER, None) is None
    assert default_interface(None, None) is None


INTERFACES = {
    "eth0": Interface("1000", physical=True),
    "eth1": Interface("10000", physical=True),
    "down": Interface(None, physical=True),
    "wlan0": Interface("300", wireless=True, physical=True),
    "veth": Interface("10000"),
    "bond0": Interface(lower=("eth0", "eth1")),
    "vlan7": Interface(lower=("bond0",)),
    "loop": Interface(lower=("loop",)),
    "br0": Interface(lower=("veth", "gone")),
}


@pytest.mark.parametrize(
    ("name", "speed"),
    [("eth0", 1000.0), ("down", None), ("wlan0", None), ("veth", None), ("bond0", 10000.0),
     ("vlan7", 10000.0), ("loop", None), ("br0", None), ("gone", None), (None, None)],
)  # fmt: skip
def test_bandwidth_is_that_of_a_device_and_never_invented(name, speed):
    assert bandwidth(name, INTERFACES) == speed


@pytest.mark.parametrize(
    ("text", "speed"), [("100", 100.0), ("-1", None), ("0", None), ("4294967295", None), ("x", None)]
)
def test_a_speed_is_read(text, speed):
    assert parse_speed(text) == speed


def test_only_addresses_that_makers_gave_count():
    made = Interface(physical=True, address="dc:a6:32:1b:2c:3d", assigned="0", kind="1")
    interfaces = {
        "eth0": made,
        "eth1": made._replace(address="b8:27:eb:00:00:01"),
        "veth": made._replace(physical=False, address="02:42:ac:11:00:02"),
        "random": made._replace(assigned="1", address="02:00:00:00:00:01"),
        "modem": made._replace(kind="512", address="02:00:00:00:00:02"),
        "zero": made._replace(address="00:00:00:00:00:00"),
        "odd": made._replace(address="x"),
    }
    assert hardware_addresses(interfaces) == ("b8:27:eb:00:00:01", "dc:a6:32:1b:2c:3d")


@given(st.text() | st.from_regex(r"([0-9A-Fa-f]{0,33} ){0,11}[a-z0-9]{0,5}\n"))
def test_no_text_makes_reading_fail(text):
    default_interface(HEADER + text, text)
    parse_speed(text)
    is_display(text)
