"""The mesh across hosts: partitions, no UDP, cut off from the coordinator alone, a new address."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmlet.report import local
from tests.integration.harness import BIN, World, eventually
from tests.integration.hostile import ask, seen_off
from tests.integration.namespaces import Host, Network

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(200),
    pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed"),
]

NAMES = ("a", "b", "c", "d")
PATIENCE_S = 90.0
#: Everything of the mesh takes as many intervals as ever, and these are short.
GOSSIP_MS = "250"
ROOT = Path(__file__).parents[2]


class Hosts(World):
    """A coordinator on a host of its own and a device on each of four others."""

    def __init__(self, directory: Path, net: Network) -> None:
        super().__init__(directory)
        self.net = net
        self.centre = net.host("co")
        self.hosts = {name: net.host(name) for name in NAMES}

    def peers(self, name: str) -> dict[str, Any]:
        """Return what the coordinator's mesh knows of a node."""
        found = ask(self, f"/v1/nodes/{name}") or {}
        mesh: dict[str, Any] = found.get("mesh") or {}
        return mesh

    def state(self, name: str) -> str:
        return str((ask(self, f"/v1/nodes/{name}") or {}).get("state"))

    def own(self, name: str) -> dict[str, Any]:
        """Return how a node stands in the mesh, by its own word."""
        answer = local.ask(str(self.directory / name), local.Command("status"), 10)
        assert isinstance(answer, dict)
        found: dict[str, Any] = answer["gossip"]
        return found

    def dropped(self, name: str) -> int:
        """Return how many datagrams a node dropped, by its own metrics."""
        status = local.ask(str(self.directory / name), local.Command("status"), 10)
        assert isinstance(status, dict)
        url = f"http://127.0.0.1:{status['api_port']}/metrics"
        fetch = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode())"
        done = subprocess.run(
            self.hosts[name].command([sys.executable, "-c", fetch]),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        (line,) = [
            row for row in done.stdout.splitlines() if row.startswith("swarmlet_gossip_dropped_total ")
        ]
        return int(float(line.split()[1]))

    def all_see_all(self) -> None:
        def seen() -> bool:
            return all(self.own(name)["alive"] == len(NAMES) + 1 for name in NAMES)

        eventually(seen, "every node seeing every other and the coordinator", PATIENCE_S)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with Network() as net, seen_off(Hosts(tmp_path, net)) as made:
        made.start_coordinator("--gossip-ms", GOSSIP_MS, host=made.centre, bind=made.centre.address)
        for name, host in made.hosts.items():
            made.device(name, token=made.token(), host=host)
        for name in NAMES:
            made.wait_state(name, "ready")
        made.all_see_all()
        yield made


def filtered(host: Host, *rules: str, hooks: tuple[str, ...] = ("input", "output")) -> None:
    """Drop on this host, both ways unless told, what the rules match; without rules let all through again."""
    words = ["flush ruleset"]
    if rules:
        words.append("add table inet t")
        for hook in hooks:
            words.append(f"add chain inet t {hook} {{ type filter hook {hook} priority 0; }}")
            words += [f"add rule inet t {hook} {rule} drop" for rule in rules]
    command = host.command(["nft", "\n".join(words)])
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)


def test_a_host_without_udp_is_a_full_member_and_says_so(hosts: Hosts) -> None:
    filtered(hosts.hosts["d"], "meta l4proto udp")
    eventually(
        lambda: "UDP" in hosts.own("d")["trouble"], "d knowing that UDP does not get through", PATIENCE_S
    )
    eventually(lambda: hosts.peers("d").get("udp") is False, "the others knowing it, by the link", PATIENCE_S)
    assert hosts.state("d") == "ready"
    hosts.stratoswarm_ok("run", "--name", "w", "--wait", "--replicas", "4", "--", "true")
    command = [str(BIN / "swarmlet"), "doctor", "-o", "json", "--data-dir", str(hosts.directory / "d")]
    done = subprocess.run(
        hosts.hosts["d"].command(command), capture_output=True, text=True, timeout=60, check=False
    )
    (found,) = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "gossip"]
    assert found["state"] == "warning"
    assert "UDP" in found["found"]


def test_who_is_cut_off_from_the_coordinator_alone_is_shown_as_alive_by_its_peers(hosts: Hosts) -> None:
    filtered(hosts.hosts["d"], f"ip daddr {hosts.centre.address}", f"ip saddr {hosts.centre.address}")
    hosts.wait_state("d", "down", 60)

    def shown() -> bool:
        row = hosts.stratoswarm_ok("nodes", "ls").splitlines()
        return any(line.split()[:2] == ["d", "down,alive"] for line in row)

    eventually(shown, "d down by its lease and alive by its peers", PATIENCE_S)
    node = ask(hosts, "/v1/nodes/d") or {}
    assert "cut off from the coordinator" in node["reason"]
    metrics = hosts.stratoswarm_ok("cluster", "metrics").splitlines()
    assert 'stratoswarm_nodes{state="down"} 1.0' in metrics
    assert 'stratoswarm_nodes_seen{peers="alive",state="down"} 1.0' in metrics
    filtered(hosts.hosts["d"])
    hosts.wait_state("d", "ready", PATIENCE_S)
    hosts.all_see_all()


def test_a_pulled_cable_is_known_in_seconds_and_putting_it_back_heals(hosts: Hosts) -> None:
    hosts.hosts["d"].unplug()
    eventually(lambda: hosts.peers("d").get("state") == "unreachable", "the others missing it", PATIENCE_S)
    eventually(
        lambda: all(hosts.own(name)["alive"] == len(NAMES) for name in NAMES[:-1]),
        "all missing it",
        PATIENCE_S,
    )
    hosts.hosts["d"].plug()
    hosts.wait_state("d", "ready", PATIENCE_S)
    hosts.all_see_all()


def test_udp_that_goes_one_way_alone_takes_nobody_out(hosts: Hosts) -> None:
    """What it sends is lost, then what is sent to it; it says so instead of refuting for ever."""
    for hook in ("output", "input"):
        filtered(hosts.hosts["d"], "meta l4proto udp", hooks=(hook,))
        eventually(lambda: hosts.peers("d").get("udp") is False, f"d without UDP ({hook})", PATIENCE_S)
        assert hosts.state("d") == "ready"
        for name in NAMES[:-1]:
            assert hosts.peers(name)["state"] == "alive", name
        filtered(hosts.hosts["d"])
        eventually(lambda: hosts.peers("d").get("udp"), "d with UDP again", PATIENCE_S)
        hosts.all_see_all()


def test_what_was_sent_before_changes_nothing_when_it_is_sent_again(hosts: Hosts) -> None:
    """All that passes the switch is kept for a while, then sent again twenty times, as it was."""
    kept = hosts.directory / "kept"
    switch = ["ip", "netns", "exec", hosts.net.switch, sys.executable, "-m", "tests.integration.replay"]
    subprocess.run([*switch, "keep", str(kept), "20"], check=True, cwd=ROOT, timeout=60)
    begun = len((ask(hosts, "/v1/events?limit=1000") or {})["items"])
    before = {name: hosts.dropped(name) for name in NAMES}
    # A node that ended, and one that came back as another process, meet what they said before.
    agent = next(one for one in hosts.running if one.log.name == "d.log")
    agent.stop()
    hosts.device("d", host=hosts.hosts["d"])
    hosts.all_see_all()
    done = subprocess.run(
        [*switch, "replay", str(kept), "20"], check=True, cwd=ROOT, capture_output=True, text=True, timeout=90
    )
    assert int(done.stdout) > 1000
    hosts.all_see_all()
    after = (ask(hosts, "/v1/events?limit=1000") or {})["items"][begun:]
    told = [(one["what"], one["node"]) for one in after if one["source"] == "gossip"]
    assert {node for what, node in told if what in {"unreachable", "left", "suspect"}} <= {"d"}, told
    assert sum(what == "left" for what, _ in told) == 1, told
    for name in NAMES[:-1]:
        assert hosts.dropped(name) > before[name] + 100
        assert hosts.state(name) == "ready"


def test_a_new_address_is_where_the_others_reach_it(hosts: Hosts) -> None:
    host = hosts.hosts["d"]
    inside = ["ip", "-n", host.namespace, "addr"]
    subprocess.run([*inside, "add", "10.77.0.99/24", "dev", "eth0"], check=True, timeout=20)
    subprocess.run([*inside, "del", f"{host.address}/24", "dev", "eth0"], check=True, timeout=20)
    # Removing the first address of a network may take the later ones with it.
    subprocess.run(
        [*inside, "add", "10.77.0.99/24", "dev", "eth0"], check=False, capture_output=True, timeout=20
    )

    def moved() -> bool:
        mesh = hosts.peers("d")
        return str(mesh.get("address")).startswith("10.77.0.99:") and mesh.get("state") == "alive"

    eventually(moved, "d being reached at its new address", PATIENCE_S)
    hosts.all_see_all()
