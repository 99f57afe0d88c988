"""Ports that are taken, moved, asked for, doubled or left off; and the cluster kept up by one command.

The usual ports belong to the whole machine, so these run on hosts of their own, where nobody else listens.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.harness import BIN, Running, World, eventually, free_port
from tests.integration.hostile import ask, no_traceback, refused
from tests.integration.namespaces import Host, Network

pytestmark = pytest.mark.timeout(60)
HOLDER = """
import socket, sys, time
held = socket.create_server(("0.0.0.0", int(sys.argv[1])))
print("held", held.getsockname()[1])
time.sleep(90)
"""
#: Prints the status of a request, 0 when nobody answers.
GETTER = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).status)
except urllib.error.HTTPError as refusal:
    print(refusal.code)
except OSError:
    print(0)
"""


@pytest.fixture
def host() -> Iterator[Host]:
    with Network() as net:
        yield net.host("one")


@pytest.fixture
def alone(world: World) -> Iterator[World]:
    """A world without a coordinator yet."""
    yield world
    no_traceback(world)


def hold(world: World, host: Host | None, port: int = 0) -> tuple[Running, int]:
    """Have a stranger listen on a port, or on any; return it and the port."""
    words = [sys.executable, "-u", "-c", HOLDER, str(port)]
    holding = world.start(words, f"holder-{port}.log", host)
    held = eventually(lambda: re.search(r"held (\d+)", holding.output), "the port being held")
    return holding, int(held.group(1))


def run(host: Host | None, words: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
    command = list(words) if host is None else host.command(words)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=40, check=False, env={**os.environ, **env}
    )


def coordinator(world: World, *words: str) -> list[str]:
    if not world.cluster_dir.exists():
        world.stratoswarm_ok("cluster", "init", "--data-dir", str(world.cluster_dir), admin=False)
    return [str(BIN / "stratoswarm"), "cluster", "start", "--data-dir", str(world.cluster_dir), *words]


def answers(world: World) -> dict[str, object]:
    """Wait until the coordinator answers and return what it says of itself."""
    found: dict[str, object] = eventually(lambda: ask(world, "/v1/cluster"), "the coordinator answering")
    return found


@pytest.mark.netns
def test_the_usual_ports_when_free_and_other_ones_said_and_remembered_when_taken(
    alone: World, host: Host
) -> None:
    first = alone.start(coordinator(alone), "coordinator.log", host)
    assert answers(alone)["listeners"] == ["0.0.0.0:7946"]
    agent = alone.device("usual", token=alone.token(), host=host, SWARM_API_PORT="")
    eventually(lambda: "accepting work" in agent.output, "accepting work")
    assert "taken" not in first.output + agent.output
    assert get(host, 8080, "/health") == 200
    assert agent.stop() == 0
    assert first.stop() == 0

    holders = {port: hold(alone, host, port)[0] for port in (7946, 8080)}
    moved = alone.start(coordinator(alone), "coordinator-2.log", host)
    said = answers(alone)
    (listener,) = said["listeners"]  # type: ignore[misc]
    port = int(str(listener).rpartition(":")[2])
    assert port not in {7946, 8080}
    pid = holders[7946].process.pid
    notes = " ".join(said["notes"])  # type: ignore[call-overload]
    assert "port 7946 is taken by python" in notes
    assert f"(process {pid}); the cluster listens on {port} instead" in notes
    assert notes in moved.output.replace('\\"', '"') or f"listens on {port} instead" in moved.output
    # The device knows the old address only; a new token knows the new one.
    newcomer = alone.device("moved", token=alone.token(), host=host, SWARM_API_PORT="")
    eventually(lambda: "accepting work" in newcomer.output, "accepting work")
    assert "warning: port 8080 is taken; the local API is on" in newcomer.output
    status = alone.swarmlet("status", "--data-dir", str(alone.directory / "moved"), "-o", "json").stdout
    assert '"api_port": 8080' not in status
    # The next start takes the port that tokens and nodes know, though the usual one is free again.
    holders[7946].kill()
    assert moved.stop() == 0
    alone.start(coordinator(alone), "coordinator-3.log", host)
    said = answers(alone)
    assert said["listeners"] == [f"0.0.0.0:{port}"]
    assert f"listens on port {port}, as last time, not on 7946" in " ".join(said["notes"])  # type: ignore[call-overload]
    eventually(lambda: (alone.node("moved") or {})["state"] == "ready", "the device coming back")


def get(host: Host | None, port: int, path: str) -> int:
    """Return the status of a request to loopback of a host."""
    return int(run(host, [sys.executable, "-c", GETTER, f"http://127.0.0.1:{port}{path}"]).stdout)


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_that_names_who_has_it(alone: World) -> None:
    holding, port = hold(alone, None)
    done = run(None, coordinator(alone, "--bind", "127.0.0.1", "--port", str(port)))
    said = refused(done, "SWL-304", 1)
    assert "STRATOSWARM_PORT" in said
    assert f"(process {holding.process.pid})" in said
    done = run(None, coordinator(alone, "--bind", "127.0.0.1", "--port", "0", "--second-port", str(port)))
    assert "STRATOSWARM_SECOND_PORT" in refused(done, "SWL-304", 1)
    # A device: before its token is spent.
    alone.start_coordinator()
    token = alone.directory / "token"
    token.write_text(alone.token())
    token.chmod(0o600)
    place = ["--token-file", str(token), "--data-dir", str(alone.directory / "d")]
    words = [str(BIN / "swarmlet"), "join", *place]
    for flag, key in (("--api-port", "SWARM_API_PORT"), ("--metrics-port", "SWARM_METRICS_PORT")):
        for typed, env in (([flag, str(port)], {}), ([], {key: str(port)})):
            said = refused(run(None, [*words, *typed], **{"SWARM_API_PORT": "0", **env}), "SWL-304", 1)
            assert key in said
            assert f"(process {holding.process.pid})" in said
    same = ["--api-port", "9999", "--metrics-port", "9999"]
    refused(run(None, [*words, *same]), "SWL-401", 2)
    assert ask(alone, "/v1/tokens")["items"][0]["uses"] == 0


@pytest.mark.netns
def test_a_port_below_1024_without_the_right_to_it_says_so(alone: World, host: Host) -> None:
    plain = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"]
    done = run(host, [*plain, *coordinator(alone, "--port", "443")])
    assert "CAP_NET_BIND_SERVICE" in refused(done, "SWL-305", 1)


def test_a_second_port_serves_the_very_same(alone: World) -> None:
    second = free_port()
    alone.start_coordinator("--second-port", str(second))
    assert [str(one).rpartition(":")[2] for one in answers(alone)["listeners"]] == [  # type: ignore[attr-defined]
        str(alone.port),
        str(second),
    ]
    # Everything but that port is closed to this device, as in a hotel.
    token = alone.token("--endpoint", f"127.0.0.1:{second}")
    agent = alone.device("guest", "--cluster", f"127.0.0.1:{second}", token=token)
    alone.wait_state("guest", "ready")
    eventually(lambda: f"127.0.0.1:{second} ok" in agent.output, "the second port in the second step")
    alone.stratoswarm_ok("run", "--name", "there", "--", "sleep", "60")
    assert f'"coordinator":"127.0.0.1:{second}"' in agent.output


def test_m1_the_metrics_port_is_off_unless_asked_for_and_then_serves_metrics_alone(alone: World) -> None:
    alone.start_coordinator()
    port, api = free_port(), free_port()
    agent = alone.device("quiet", token=alone.token(), SWARM_API_PORT=str(api))
    alone.wait_state("quiet", "ready")
    assert listening(agent.process.pid) == {api}
    assert agent.stop() == 0
    agent = alone.device("quiet", SWARM_API_PORT=str(api), SWARM_METRICS_PORT=str(port))
    eventually(lambda: listening(agent.process.pid) == {api, port}, "both ports")
    assert [get(None, port, path) for path in ("/metrics", "/health", "/cluster/status", "/")] == [
        200,
        404,
        404,
        404,
    ]
    assert (
        b"swarmlet_uptime_seconds"
        in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read()
    )


def listening(pid: int) -> set[int]:
    """Return the TCP ports that a process listens on, as the kernel tells."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()
    ]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


# ---- up, down


def up(world: World, *words: str) -> list[str]:
    place = ["--data-dir", str(world.cluster_dir), "--bind", "127.0.0.1", "--port", str(world.port or 0)]
    return [str(BIN / "stratoswarm"), "up", *words, *place]


def left(world: World) -> list[str]:
    """Return the processes that still mention this world's directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(world.cluster_dir).encode() in (entry / "cmdline").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize("flags", [["-dq"], ["--detach"]], ids=" ".join)
def test_a_cluster_in_the_background_is_one_and_ends_with_down(alone: World, flags: list[str]) -> None:
    done = run(None, up(alone, *flags, "--no-node"))
    try:
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("swarmlet join --token swarm_join_") or "swarmlet join" in done.stdout
        kept = [words for words in left(alone) if " up " in words]
        assert len(kept) == 1
        for again in (up(alone, "--no-node"), up(alone, *flags)):
            refused(run(None, again), "SWL-306", 1)
        assert [words for words in left(alone) if " up " in words] == kept
        assert "swarm_join_" not in (alone.cluster_dir / "up.log").read_text()
    finally:
        down = run(None, [str(BIN / "stratoswarm"), "down", "--data-dir", str(alone.cluster_dir)])
    assert down.returncode == 0, down.stderr
    eventually(lambda: not left(alone), "nothing being left", 2)
    again = run(None, [str(BIN / "stratoswarm"), "down", "--data-dir", str(alone.cluster_dir)])
    refused(again, "SWL-700", 3)


@pytest.mark.parametrize("moment", ["coordinator.lock", "admin.sock", "up.pid"])
def test_a_start_that_is_called_off_leaves_nothing_running(alone: World, moment: str) -> None:
    started = alone.start(up(alone), "up.log", SWARM_API_PORT=str(free_port()))
    eventually((alone.cluster_dir / moment).exists, moment)
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(timeout=30) in {0, 130}
    assert left(alone) == []
