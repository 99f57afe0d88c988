"""Two devices behind one router: to everybody outside they have the same address and port."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import World, eventually
from tests.integration.hostile import ask, seen_off
from tests.integration.namespaces import Host, Network

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(200),
    pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed"),
]

PATIENCE_S = 90.0
GOSSIP_MS = "250"
GOSSIP_PORT = 7946
HOME = ("left", "right")


class Street(World):
    """A coordinator and a device on the street, two devices at home behind a router."""

    def __init__(self, directory: Path, net: Network) -> None:
        super().__init__(directory)
        self.centre, self.outside, self.router = (net.host(name) for name in ("co", "out", "gate"))
        self.home = dict(zip(HOME, net.behind(self.router, HOME), strict=True))

    def forward(self, host: Host) -> None:
        """Let what comes to the router for gossip go to one of the two, as a household sets it up."""
        rules = (
            "flush ruleset; add table ip t;"
            "add chain ip t out { type nat hook postrouting priority 100; };"
            'add rule ip t out oifname "eth0" masquerade;'
            "add chain ip t in { type nat hook prerouting priority -100; };"
            f'add rule ip t in iifname "eth0" udp dport {GOSSIP_PORT} dnat to {host.address}'
        )
        subprocess.run(self.router.command(["nft", rules]), check=True, capture_output=True, timeout=20)

    def logs(self, name: str) -> str:
        return next(one.output for one in self.running if one.log.stem == name)

    def peers(self, name: str) -> dict[str, Any]:
        """Return what the coordinator's mesh knows of a node."""
        mesh: dict[str, Any] = (ask(self, f"/v1/nodes/{name}") or {}).get("mesh") or {}
        return mesh


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    with Network() as net, seen_off(Street(tmp_path, net)) as made:
        made.forward(made.home["left"])
        made.start_coordinator("--gossip-ms", GOSSIP_MS, host=made.centre, bind=made.centre.address)
        for name, host in {"out": made.outside, **made.home}.items():
            made.device(name, token=made.token(), host=host)
        for name in ("out", *HOME):
            made.wait_state(name, "ready")
        yield made


def test_two_with_one_address_are_members_without_udp_and_take_nobody_out(street: Street) -> None:
    """A way in that leads to one changes nothing: no address of theirs is where the cluster sees them."""
    for name in HOME:
        eventually(
            lambda name=name: street.peers(name).get("udp") is False, f"{name} without UDP", PATIENCE_S
        )
        (told,) = re.findall(r"members cannot reach this node by UDP: [^\"]+", street.logs(name))
        assert told.endswith(
            f"sees this node at {street.router.address}, which is no address of this device (NAT?)"
        )
    eventually(lambda: street.peers("out").get("state") == "alive", "out alive", PATIENCE_S)
    street.stratoswarm_ok("run", "--name", "w", "--wait", "--replicas", "3", "--", "true")
    # For as long as an accusation takes, with the lease of everybody well.
    time.sleep(40 * int(GOSSIP_MS) / 1000)
    assert street.peers("out")["udp"] is True
    for name in ("out", *HOME):
        assert (street.node(name) or {})["state"] == "ready"
    happened = {one["what"] for one in street.view("events", "--limit", "500")["items"]}
    assert not happened & {"suspect", "unreachable"}, happened
