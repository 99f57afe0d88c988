"""What is on the link, and what is worth a try."""

from __future__ import annotations

import pytest

from swarmlet.model.address import Address
from swarmlet.model.nearness import is_on_link, is_worth_a_try, parse_routes

# 10.77.0.0/24 on eth0, a default route over it, 192.168.4.0/22 on wlan0, one behind a gateway, junk.
TABLE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100004D\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
wlan0\t0004A8C0\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\t0\t0
eth0\t0000650A\t01004D0A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
eth0\tjunk
eth0\txxxxxxxx\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
ROUTES = parse_routes(TABLE)


def test_only_networks_without_a_gateway_are_kept():
    assert [route.interface for route in ROUTES] == ["eth0", "wlan0"]


@pytest.mark.parametrize(
    ("source", "interface", "verdict"),
    [
        ("10.77.0.9", "eth0", True),
        ("10.77.0.9", "wlan0", False),
        ("10.77.1.9", "eth0", False),
        ("192.168.7.255", "wlan0", True),
        ("192.168.8.1", "wlan0", False),
        ("10.101.0.1", "eth0", False),
        ("8.8.8.8", "ppp0", False),
        ("0.0.0.0", "eth0", False),  # noqa: S104 - no address of anybody
        ("224.0.0.1", "eth0", False),
        ("fe80::1%eth0", "eth0", True),
        ("2001:db8::1", "eth0", False),
        ("nonsense", "eth0", False),
    ],
)
def test_a_source_is_on_the_link_or_not(source, interface, verdict):
    assert is_on_link(source, interface, ROUTES, order="little") is verdict


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("10.0.0.1", True), ("192.0.2.1", True), ("2001:db8::1", True), ("co.example", False),
        ("localhost", False),
        ("127.0.0.1", False), ("::1", False), ("0.0.0.0", False), ("::", False), ("224.0.0.251", False),  # noqa: S104
        ("255.255.255.255", False), ("ff02::1", False), ("::ffff:10.0.0.1", False), ("fe80::1", False),
        ("fe80::1%eth0", False),
    ],
)  # fmt: skip
def test_what_a_stranger_may_send_this_device_to(host, verdict):
    assert is_worth_a_try(Address(host, 1)) is verdict
