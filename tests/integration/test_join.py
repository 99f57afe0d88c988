"""Joining with real processes: what is spent, what is kept, what leaks, and how an agent ends."""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.integration.harness import BIN, World, eventually, free_port
from tests.integration.hostile import Hush


@pytest.fixture
def cluster(world: World) -> World:
    world.start_coordinator()
    return world


def token_file(world: World, name: str, token: str) -> Path:
    file = world.directory / name
    file.write_text(token)
    file.chmod(0o600)
    return file


def join_once(world: World, name: str, file: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return world.swarmlet(
        "join",
        "--once",
        "--token-file",
        str(file),
        "--data-dir",
        str(world.directory / name),
        SWARM_NODE_NAME=name,
        **env,
    )


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found.group(1))


def test_one_use_is_one_node_however_many_ask_at_once(cluster: World) -> None:
    file = token_file(cluster, "shared", cluster.token())
    runs = [
        subprocess.Popen(
            [
                str(BIN / "swarmlet"), "join", "--once", "--token-file", str(file),
                "--data-dir", str(cluster.directory / f"n{number}"), "--node-name", f"n{number}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(8)
    ]  # fmt: skip
    outputs = [run.communicate(timeout=60)[0] for run in runs]
    codes = [run.returncode for run in runs]
    assert sorted(codes) == [0] + [4] * 7, outputs
    assert sum("SWL-106" in output for output in outputs) == 7
    assert len(cluster.view("nodes", "ls", "--all")["items"]) == 1
    joined = codes.index(0)
    for number in range(8):
        assert (cluster.directory / f"n{number}" / "identity").exists() == (number == joined)


def test_a_token_of_many_uses_admits_exactly_as_many(cluster: World) -> None:
    file = token_file(cluster, "shared", cluster.token("--uses", "3"))
    results = [join_once(cluster, f"n{number}", file) for number in range(4)]
    assert [one.returncode for one in results] == [0, 0, 0, 4]


def test_a_member_ignores_its_spent_token_and_comes_back(cluster: World) -> None:
    file = token_file(cluster, "t", cluster.token())
    assert join_once(cluster, "pi", file).returncode == 0
    again = join_once(cluster, "pi", file)
    assert again.returncode == 0
    assert "no token is needed or used" in again.stderr
    file.unlink()
    agent = cluster.device("pi")
    cluster.wait_state("pi", "ready")
    assert agent.stop() == 0


def test_t5_a_device_that_lost_power_before_the_answer_is_the_one_its_token_admitted(cluster: World) -> None:
    line = Hush(cluster.port)
    line.start()
    token = cluster.token("--endpoint", line.address, "--endpoint", f"127.0.0.1:{cluster.port}")
    agent = cluster.device("pi", token=token)
    assert line.kept.wait(30), agent.output
    agent.kill()
    (admitted,) = cluster.view("nodes", "ls", "--all")["items"]
    assert (cluster.directory / "pi" / "identity" / "joining").exists()
    assert join_once(cluster, "another", cluster.directory / "pi.token").returncode == 4
    again = join_once(cluster, "pi", cluster.directory / "pi.token")
    assert again.returncode == 0, again.stderr
    assert [entry.name for entry in (cluster.directory / "pi" / "identity").iterdir()] == ["a"]
    cluster.device("pi")
    assert cluster.wait_state("pi", "ready")["node_uid"] == admitted["node_uid"]
    assert len(cluster.view("nodes", "ls", "--all")["items"]) == 1


def test_a_wiped_device_replaces_its_own_entry(cluster: World) -> None:
    agent = cluster.device("pi", token=cluster.token())
    if cluster.wait_state("pi", "ready")["profile"]["fingerprint"] is None:
        pytest.skip("this machine has nothing to be known by")
    agent.kill()
    shutil.rmtree(cluster.directory / "pi")
    cluster.wait_state("pi", "down")  # a live node is never replaced by somebody with its fingerprint
    done = join_once(cluster, "pi", token_file(cluster, "t2", cluster.token()))
    assert done.returncode == 0, done.stderr
    assert "its old entry was replaced" in done.stderr
    assert cluster.stratoswarm_ok("nodes", "ls", "-o", "name").split() == ["pi"]


def test_it_ends_in_order_and_in_time_when_told_to(cluster: World) -> None:
    agent = cluster.device("pi", token=cluster.token())
    cluster.wait_state("pi", "ready")
    began = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - began < 10
    assert "Traceback" not in agent.output


def test_it_ends_in_time_while_the_coordinator_is_away(cluster: World) -> None:
    agent = cluster.device("pi", token=cluster.token())
    cluster.wait_state("pi", "ready")
    assert cluster.coordinator is not None
    cluster.coordinator.kill()
    eventually(lambda: "not connected" in agent.output, "the loss being told")
    assert agent.stop() == 0


def test_d1_a_join_out_of_a_crowd_behind_one_address_waits_for_its_turn(cluster: World) -> None:
    """As many connections as one address may have say nothing, as devices on a slow line do."""
    file = token_file(cluster, "token", cluster.token())
    crowd = [socket.create_connection(("127.0.0.1", cluster.port)) for _ in range(64)]
    words = ["join", "--once", "--token-file", str(file), "--data-dir", str(cluster.directory / "late")]
    late = cluster.start([str(BIN / "swarmlet"), *words], "late.log")
    eventually(lambda: "it cut the connection" in late.output, "the wait being told")
    assert "trying again for up to" in late.output
    assert late.process.poll() is None
    for one in crowd:
        one.close()
    assert late.process.wait(timeout=30) == 0
    assert (cluster.directory / "late" / "identity").exists()


def test_interrupting_a_join_is_130(cluster: World) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        agent = cluster.device("pi", "--cluster", address, token=cluster.token())
        eventually(lambda: "[1/6]" in agent.output, "the first step")
        agent.process.send_signal(signal.SIGINT)
        assert agent.process.wait(timeout=10) == 130
    assert not (cluster.directory / "pi" / "identity").exists()


def test_a_join_that_was_told_how_long_waits_for_its_cluster_to_come_up(cluster: World) -> None:
    file = token_file(cluster, "token", cluster.token())
    assert cluster.coordinator is not None
    assert cluster.coordinator.stop() == 0
    words = ("join", "--once", "--token-file", str(file), "--data-dir", str(cluster.directory / "late"))
    assert cluster.swarmlet(*words).returncode == 3
    given_up = cluster.swarmlet(*words, "--timeout", "1s")
    assert given_up.returncode == 7
    assert f"error SWL-205: joining (127.0.0.1:{cluster.port}: nothing listens there)" in given_up.stderr
    waiting = cluster.start([str(BIN / "swarmlet"), *words, "--timeout", "1m"], "late.log")
    eventually(lambda: "nothing listens there" in waiting.output, "its first knock")
    cluster.start_coordinator()
    assert waiting.process.wait(timeout=30) == 0, waiting.output
    assert cluster.swarmlet(*words, "--timeout", "soon").returncode == 2


def test_a_removed_node_ends_with_its_reason_each_time_it_starts(cluster: World) -> None:
    agent = cluster.device("pi", token=cluster.token())
    cluster.wait_state("pi", "ready")
    cluster.stratoswarm_ok("nodes", "rm", "pi")
    assert agent.process.wait(timeout=10) == 4
    assert "SWL-207" in agent.output
    again = cluster.device("pi")
    assert again.process.wait(timeout=10) == 4
    assert (cluster.directory / "pi" / "identity").exists()


def test_no_secret_shows_where_others_can_look(cluster: World) -> None:
    token = cluster.token()
    body = token.removeprefix("swarm_join_")[:-6]
    seed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))[-32:]
    # The text of the seed alone (docs/protocol.md): whole characters of it, and its bytes in other clothes.
    needles = [token[-46:-8].encode(), seed, seed.hex().encode(), base64.b64encode(seed)[2:-4]]
    agent = cluster.device("pi", "--log-level", "debug", token=token)
    cluster.wait_state("pi", "ready")
    assert cluster.coordinator is not None
    pid = agent.process.pid
    sinks = {
        "argv": Path(f"/proc/{pid}/cmdline").read_bytes(),
        "the agent's log": agent.output.encode(),
        "the coordinator's log": cluster.coordinator.output.encode(),
        "the audit log": cluster.stratoswarm_ok("audit", "-o", "json").encode(),
    }
    for folder in ("pi", "cluster"):
        for file in (cluster.directory / folder).rglob("*"):
            if file.is_file():
                sinks[str(file)] = file.read_bytes()
    assert len(sinks) > 8
    leaks = [sink for sink, content in sinks.items() for needle in needles if needle in content]
    assert leaks == []
    assert needles[0] in (cluster.directory / "pi.token").read_bytes()  # the needle is what it should be
    # Undumpable, so the kernel gives these files to root: no other program of this user reads its memory.
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0


def test_an_idle_member_writes_nothing(cluster: World) -> None:
    port = free_port()
    cluster.device("pi", token=cluster.token(), SWARM_API_PORT=str(port))
    cluster.wait_state("pi", "ready")
    name = "swarmlet_disk_written_bytes_total"
    eventually(lambda: metric(port, "swarmlet_cluster_heartbeat_success") == 1, "heartbeats")
    sent = metric(port, "swarmlet_cluster_heartbeats_total")
    before = metric(port, name)
    files = {file: file.stat().st_mtime_ns for file in (cluster.directory / "pi").rglob("*")}
    eventually(lambda: metric(port, "swarmlet_cluster_heartbeats_total") > sent + 1, "two heartbeats")
    assert metric(port, name) == before
    assert {file: file.stat().st_mtime_ns for file in (cluster.directory / "pi").rglob("*")} == files


def test_systemd_is_told_ready_before_there_is_any_cluster(cluster: World) -> None:
    file = token_file(cluster, "t", cluster.token())
    assert join_once(cluster, "pi", file).returncode == 0
    assert cluster.coordinator is not None
    cluster.coordinator.kill()
    address = str(cluster.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        agent = cluster.device("pi", NOTIFY_SOCKET=address)
        assert manager.recv(1000).startswith(b"READY=1")
        reason = manager.recv(1000)
        assert reason.startswith(b"STATUS=")
        assert b"not connected" in reason or b"cannot be reached" in reason
        agent.process.send_signal(signal.SIGTERM)
        while manager.recv(1000) != b"STOPPING=1":
            pass
        assert agent.process.wait(timeout=10) == 0


def test_systemd_is_fed_by_the_whole_agent_and_not_by_one_that_stands_still(cluster: World) -> None:
    file = token_file(cluster, "t", cluster.token())
    assert join_once(cluster, "pi", file).returncode == 0
    address = str(cluster.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        agent = cluster.device("pi", NOTIFY_SOCKET=address, WATCHDOG_USEC="200000")
        for _ in range(5):
            while manager.recv(1000) != b"WATCHDOG=1":
                pass
        agent.process.send_signal(signal.SIGSTOP)
        manager.settimeout(1)  # ten intervals: what was on its way has arrived, and nothing follows
        with contextlib.suppress(TimeoutError):
            while manager.recv(1000):
                pass
        agent.process.send_signal(signal.SIGCONT)
        manager.settimeout(20)
        while manager.recv(1000) != b"WATCHDOG=1":
            pass
