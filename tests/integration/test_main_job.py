"""The main job by real processes: a cluster, devices, work, and what survives which death."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.harness import World, eventually


@pytest.fixture
def cluster(world: World) -> World:
    world.start_coordinator()
    return world


def test_a_device_joins_and_is_shown_ready(cluster: World) -> None:
    agent = cluster.device("pi-1", token=cluster.token())
    node = cluster.wait_state("pi-1", "ready")
    eventually(lambda: "accepting work" in agent.output, "the sixth step")
    for number, label in enumerate(("hardware", "reach", "trust", "identity", "class", "ready"), 1):
        assert f"[{number}/6] {label}" in agent.output
    assert node["node_class"]
    assert node["profile"]["hardware"]["cpu_cores"] > 0
    assert "pi-1" in cluster.stratoswarm_ok("nodes", "ls")
    assert cluster.stratoswarm_ok("nodes", "ls", "-o", "name").split() == ["pi-1"]


def test_a_process_runs_and_its_output_is_shown(cluster: World) -> None:
    cluster.device("pi-1", token=cluster.token())
    cluster.wait_state("pi-1", "ready")
    done = cluster.stratoswarm(
        "run", "--name", "hello", "--", "sh", "-c", "echo hello from $SWARM_NODE_NAME; sleep 60"
    )
    assert done.returncode == 0, done.stderr
    eventually(lambda: "hello from pi-1" in cluster.stratoswarm_ok("logs", "hello"), "the output")
    listed = cluster.view("ps")["items"][0]
    assert (listed["name"], listed["state"], listed["running"]) == ("hello", "running", 1)
    assert cluster.stratoswarm_ok("stop", "hello").strip() == "hello"
    assert cluster.view("inspect", "hello")["state"] == "stopped"
    assert cluster.view("ps")["items"] == []


def test_waiting_passes_on_the_workloads_own_exit_code(cluster: World) -> None:
    cluster.device("pi-1", token=cluster.token())
    cluster.wait_state("pi-1", "ready")
    assert cluster.stratoswarm("run", "--wait", "--", "sh", "-c", "exit 0").returncode == 0
    done = cluster.stratoswarm("run", "--wait", "--", "sh", "-c", "exit 23")
    assert done.returncode == 23
    assert "exit code 23" in done.stderr


def test_a_command_that_does_not_exist_says_so(cluster: World) -> None:
    cluster.device("pi-1", token=cluster.token())
    cluster.wait_state("pi-1", "ready")
    done = cluster.stratoswarm("run", "--name", "nope", "--", "/bin/nope")
    assert done.returncode == 1
    assert "/bin/nope" in done.stderr
    assert "Traceback" not in done.stderr


def test_work_that_fits_no_node_waits_and_says_why(cluster: World) -> None:
    cluster.device("pi-1", token=cluster.token())
    cluster.wait_state("pi-1", "ready")
    done = cluster.stratoswarm("run", "--name", "picky", "--constraint", "zone==garden", "--", "sleep", "60")
    assert done.returncode == 6
    assert "SWL-500" in done.stderr
    assert "zone" in done.stderr
    cluster.stratoswarm_ok("nodes", "label", "pi-1", "zone=garden")
    eventually(lambda: cluster.view("inspect", "picky")["state"] == "running", "picky running")


def test_a_killed_coordinator_has_every_node_back(cluster: World) -> None:
    for name in ("pi-1", "pi-2"):
        cluster.device(name, token=cluster.token())
        cluster.wait_state(name, "ready")
    cluster.stratoswarm_ok("run", "--name", "steady", "--replicas", "2", "--", "sleep", "600")
    before = {one["assignment_id"] for one in cluster.view("inspect", "steady")["assignments"]}
    assert cluster.coordinator is not None
    cluster.coordinator.kill()
    cluster.start_coordinator()
    for name in ("pi-1", "pi-2"):
        cluster.wait_state(name, "ready")
    after = cluster.view("inspect", "steady")
    assert after["state"] == "running"
    assert {one["assignment_id"] for one in after["assignments"]} == before


def test_a_killed_agent_comes_back_by_its_identity_and_starts_its_work_again(cluster: World) -> None:
    agent = cluster.device("pi-1", token=cluster.token())
    node = cluster.wait_state("pi-1", "ready")
    cluster.stratoswarm_ok("run", "--name", "again", "--", "sh", "-c", "echo started; sleep 600")
    agent.kill()
    cluster.device("pi-1")
    eventually(lambda: (cluster.node("pi-1") or {}).get("boot_id") is not None, "a node")
    back = cluster.wait_state("pi-1", "ready")
    assert back["node_uid"] == node["node_uid"]
    eventually(lambda: cluster.view("inspect", "again")["running"] == 1, "its work running again")
    assert len(cluster.view("inspect", "again")["assignments"]) == 1


def test_work_starts_after_a_reboot_without_any_coordinator(cluster: World) -> None:
    agent = cluster.device("pi-1", token=cluster.token())
    cluster.wait_state("pi-1", "ready")
    cluster.stratoswarm_ok("run", "--name", "offline", "--", "sleep", "600")
    (first,) = eventually(lambda: sleepers(cluster), "the first start")
    assert cluster.coordinator is not None
    cluster.coordinator.kill()
    agent.kill()
    eventually(lambda: not sleepers(cluster), "the death of the process with its agent")
    cluster.device("pi-1")
    (second,) = eventually(lambda: sleepers(cluster), "the start without a coordinator")
    assert second != first


def sleepers(cluster: World) -> list[int]:
    """Return the processes that run in the private directories of this world's assignments."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.joinpath("cwd").readlink().is_relative_to(cluster.directory):
                words = entry.joinpath("cmdline").read_bytes().split(b"\0")
                found += [int(entry.name)] if words[0] == b"sleep" else []
        except OSError:
            continue
    return found


def test_a_removed_node_is_refused_at_once(cluster: World) -> None:
    agent = cluster.device("pi-1", token=cluster.token())
    cluster.wait_state("pi-1", "ready")
    cluster.stratoswarm_ok("nodes", "rm", "pi-1")
    assert eventually(agent.process.poll, "the agent ending") == 4
    assert "SWL-207" in agent.output
    again = cluster.device("pi-1")
    assert eventually(again.process.poll, "the second try ending") == 4


def test_blocked_hardware_stays_out_until_it_is_allowed(cluster: World) -> None:
    cluster.device("pi-1", token=cluster.token())
    node = cluster.wait_state("pi-1", "ready")
    cluster.stratoswarm_ok("nodes", "rm", "--block", "pi-1")
    barred = cluster.device("pi-2", token=cluster.token())
    assert eventually(barred.process.poll, "the join being refused") == 4
    assert "SWL-111" in barred.output
    cluster.stratoswarm_ok("nodes", "allow", node["node_uid"])
    cluster.device("pi-3", token=cluster.token())
    cluster.wait_state("pi-3", "ready")


def test_leaving_tells_the_cluster_and_forgets_the_identity(cluster: World) -> None:
    agent = cluster.device("pi-1", token=cluster.token())
    cluster.wait_state("pi-1", "ready")
    place = str(cluster.directory / "pi-1")
    done = cluster.swarmlet("leave", "--data-dir", place)
    assert done.returncode == 0, done.stderr
    assert eventually(lambda: agent.process.poll() is not None, "the agent ending")
    assert (cluster.node("pi-1") or {"state": "left"})["state"] in {"left", "revoked"}
    again = cluster.swarmlet("run", "--data-dir", place)
    assert again.returncode == 2
    assert "SWL-112" in again.stderr


def test_two_devices_of_one_name_both_get_in(cluster: World) -> None:
    for place in ("a", "b"):
        cluster.device(place, token=cluster.token(), SWARM_NODE_NAME="twin")
    cluster.wait_state("twin", "ready")
    cluster.wait_state("twin-2", "ready")
