"""Which address is told to devices, on networks of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_ASK = f"{sys.executable} -c 'from swarmlet.coordinator.addresses import primary_address as a; print(a())'"
_LAN = (
    "ip link add lan0 type veth peer name lan1; ip addr add 10.9.8.7/24 dev lan0;"
    " ip link set lan0 up; ip link set lan1 up"
)


@pytest.mark.netns
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a network")
@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("ip link set lo up", "127.0.0.1"),
        (_LAN, "10.9.8.7"),
        (f"{_LAN}; ip route add default via 10.9.8.1", "10.9.8.7"),
    ],
    ids=["none", "no default route", "a default route"],
)
def test_the_address_is_one_that_leads_to_others(network: str, address: str) -> None:
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", f"{network}; exec {_ASK}"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == address, done.stderr
