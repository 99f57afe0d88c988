"""Several hosts in network namespaces: joins across them, pulled cables, a changed address (N4, N5, N6, T7).

An outside observer looks at the processes themselves; what the cluster says is compared with that.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import BIN, World, eventually
from tests.integration.hostile import Run, Watch, ask, overlaps, refused, seen_off
from tests.integration.namespaces import Host, Network

pytestmark = [pytest.mark.netns, pytest.mark.timeout(150)]

LEASE_S = 15.0
GRACE_S = 3.0
#: A node gives up what must not run twice so long after its last acknowledged heartbeat (N4).
LAPSE_S = 10.0
#: Patience with a loaded machine.
SLACK_S = 6.0
#: The longest pause between two attempts of a device that lost its coordinator, and what reconnecting takes.
BACK_S = 30.0 + SLACK_S
NAMES = ("a", "b", "c", "d")


class Hosts(World):
    """A coordinator on a host of its own and a device on each of four others."""

    def __init__(self, directory: Path, net: Network) -> None:
        super().__init__(directory)
        self.centre = net.host("co")
        self.hosts = {name: net.host(name) for name in NAMES}

    def node(self, name: str) -> dict[str, Any] | None:
        listed = ask(self, "/v1/nodes?all=true")
        return next((one for one in listed["items"] if one["name"] == name), None) if listed else None

    def work(self, name: str) -> dict[int, dict[str, Any]]:
        """Return the newest assignment of each replica of a workload."""
        found = ask(self, f"/v1/workloads/{name}")
        newest: dict[int, dict[str, Any]] = {}
        for one in found["assignments"]:
            if one["epoch"] >= newest.get(one["replica"], one)["epoch"]:
                newest[one["replica"]] = one
        return newest

    def run_everywhere(self, name: str, *words: str) -> str:
        """Run one replica on each host and return the workload's id."""
        self.stratoswarm_ok(
            "run", "--name", name, "--replicas", str(len(NAMES)), *words, "--", "sleep", "600"
        )
        eventually(
            lambda: {one["state"] for one in self.work(name).values()} == {"running"}, f"{name} running"
        )
        assert {one["node"] for one in self.work(name).values()} == set(NAMES)
        return str(ask(self, f"/v1/workloads/{name}")["workload_id"])


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with Network() as net, seen_off(Hosts(tmp_path_factory.mktemp("hosts"), net)) as made:
        made.start_coordinator(host=made.centre, bind=made.centre.address)
        for name, host in made.hosts.items():
            made.device(name, token=made.token("--cidr", f"{host.address}/32"), host=host)
        for name in NAMES:
            made.wait_state(name, "ready")
        yield made


@pytest.fixture
def watch(hosts: Hosts) -> Iterator[Watch]:
    with Watch(hosts.directory) as watching:
        yield watching
    assert watching.blind_s < 1.0, "this machine was too busy for the observer to tell anything"


def test_devices_join_across_hosts_and_only_from_where_their_token_allows(
    hosts: Hosts, tmp_path: Path
) -> None:
    for name, host in hosts.hosts.items():
        node = hosts.wait_state(name, "ready")
        assert node["seen"] == host.address
    file = tmp_path / "token"
    file.write_text(hosts.token("--cidr", f"{hosts.hosts['a'].address}/32"))
    file.chmod(0o600)
    elsewhere = hosts.hosts["b"].command(
        [
            str(BIN / "swarmlet"),
            "join",
            "--once",
            "--token-file",
            str(file),
            "--data-dir",
            str(tmp_path / "x"),
        ]
    )
    done = subprocess.run(elsewhere, capture_output=True, text=True, timeout=60, check=False)
    assert f"not valid from {hosts.hosts['b'].address}" in refused(done, "SWL-107", 4)  # T7


def test_n4_a_pulled_cable_moves_the_work_and_putting_it_back_ends_what_is_stale(
    hosts: Hosts, watch: Watch
) -> None:
    keep = hosts.run_everywhere("keep")
    single = hosts.run_everywhere("single", "--on-partition", "stop")
    ending = hosts.run_everywhere("ending")
    before = {name: hosts.work(name) for name in ("keep", "single")}
    moved = hosts.hosts["d"]
    pulled = time.monotonic()
    hosts.hosts["a"].unplug()
    # At the same moment another host gets a new address, as a laptop does that changes networks.
    address = readdress(hosts, moved)

    suspect = hosts.wait_state("a", "suspect", LEASE_S)
    assert "no heartbeat" in suspect["reason"]
    assert time.monotonic() - pulled < LEASE_S
    down = hosts.wait_state("a", "down", LEASE_S + SLACK_S)
    assert time.monotonic() - pulled > LEASE_S - 5.0, "down before the lease had lapsed"
    assert "lease of 15 s lapsed" in down["reason"]
    for name in ("keep", "single"):
        eventually(lambda name=name: places(hosts, name).isdisjoint({"a"}), f"{name} placed elsewhere")
        eventually(lambda name=name: all_run(hosts, name), f"{name} running elsewhere")
        for replica, one in hosts.work(name).items():
            was = before[name][replica]
            assert one["epoch"] == was["epoch"] + (was["node"] == "a")
            if was["node"] in {"b", "c"}:
                assert one == was, "work on the other hosts is not touched"
            if (was["node"], name) == ("d", "keep"):
                assert one == was, "a new address ends nothing"

    # The other host came back by itself, at its new address, in time: its work is the same as before.
    node = hosts.node("d")
    assert node is not None
    assert (node["state"], node["seen"]) == ("ready", address)

    # Meanwhile the pulled host goes on with what may go on, and has ended what must not run twice.
    mine = [run for run in watch.living() if run.device == "a"]
    assert sorted((run.workload_id, run.epoch) for run in mine) == sorted([(keep, 1), (ending, 1)])
    asked = hosts.stratoswarm("stop", "ending")
    assert (asked.returncode, "ending is stopping: node a is away" in asked.stderr) == (0, True)
    (shown,) = [one for one in hosts.view("ps")["items"] if one["name"] == "ending"]
    assert (shown["state"], shown["reason"]) == ("stopping", "node a is away")

    hosts.hosts["a"].plug()
    plugged = time.monotonic()
    hosts.wait_state("a", "ready", BACK_S)
    eventually(
        lambda: not [run for run in watch.living() if run.device == "a"], "the stale replica ending", 15
    )
    ended = time.monotonic()
    assert hosts.view("inspect", "ending")["state"] == "stopped"
    assert overlaps(watch.runs, single) == [], "a singleton ran twice"
    (twice,) = overlaps(watch.runs, keep)
    assert (twice.first.epoch, twice.second.epoch) == (1, 2)
    assert twice.first.end <= ended
    print(f"a stale replica lived {twice.first.end - plugged:.1f} s after the cable was back")
    ends_in_time(watch.runs, single, pulled)
    assert places(hosts, "keep").isdisjoint({"a"})
    assert hosts.stratoswarm("audit").returncode == 0
    for name in ("keep", "single"):
        hosts.stratoswarm_ok("stop", name)
    eventually(lambda: not watch.living(), "everything stopped")


def test_n5_n6_a_coordinator_cut_off_for_a_while_loses_nothing_and_moves_nothing(
    hosts: Hosts, watch: Watch
) -> None:
    for name in NAMES:
        hosts.wait_state(name, "ready", BACK_S)
    keep = hosts.run_everywhere("keep-2")
    single = hosts.run_everywhere("single-2", "--on-partition", "stop")
    before = {name: hosts.work(name) for name in ("keep-2", "single-2")}
    pids = {run.pid for run in watch.living() if run.workload_id == keep}
    assert len(pids) == len(NAMES)
    hosts.centre.unplug()
    cut = time.monotonic()
    eventually(
        lambda: all((hosts.node(name) or {})["state"] == "down" for name in NAMES),
        "all down",
        LEASE_S + SLACK_S,
    )
    # Longer than it takes to give work up: the brake holds it (N6), and says so.
    eventually(lambda: time.monotonic() - cut > LEASE_S + GRACE_S + 2.0, "the time passing")
    said = ask(hosts, "/v1/cluster")
    assert "reassignment is suspended" in (said["reassignment_suspended"] or "")
    assert {run.pid for run in watch.living() if run.workload_id == keep} == pids, "work goes on"
    assert not [run for run in watch.living() if run.workload_id == single], (
        "what must not run twice has ended"
    )
    hosts.centre.plug()
    for name in NAMES:
        hosts.wait_state(name, "ready", BACK_S)
    for name, was in before.items():
        eventually(lambda name=name: all_run(hosts, name), f"{name} running again")
        after = hosts.work(name)
        assert {key: (one["assignment_id"], one["node"]) for key, one in after.items()} == {
            key: (one["assignment_id"], one["node"]) for key, one in was.items()
        }
    assert {run.pid for run in watch.living() if run.workload_id == keep} == pids, "0 restarts on heal"
    assert {run.epoch for run in watch.runs} == {1}
    assert overlaps(watch.runs, single) == []
    assert hosts.stratoswarm("audit").returncode == 0


def readdress(hosts: Hosts, host: Host) -> str:
    """Give a host another address; return it."""
    address = host.address.rpartition(".")[0] + ".99"
    inside = ["ip", "-n", host.namespace, "addr"]
    subprocess.run([*inside, "del", f"{host.address}/24", "dev", "eth0"], check=True)
    subprocess.run([*inside, "add", f"{address}/24", "dev", "eth0"], check=True)
    return address


def places(hosts: Hosts, name: str) -> set[str]:
    return {one["node"] for one in hosts.work(name).values()}


def all_run(hosts: Hosts, name: str) -> bool:
    return [one["state"] for one in hosts.work(name).values()] == ["running"] * len(NAMES)


def ends_in_time(runs: list[Run], workload_id: str, pulled: float) -> None:
    """N4: what must not run twice ends within the node's share of the lease, before it begins elsewhere."""
    first, second = (
        next(run for run in runs if run.workload_id == workload_id and run.device == "a"),
        next(run for run in runs if run.workload_id == workload_id and run.epoch == 2),
    )
    assert first.end - pulled < LAPSE_S + 2.0
    assert second.begin - first.end > 2.0
