"""What a hostile neighbour, web page or user of the machine can reach of real processes: nothing.

L1 (what listens), L2 (pages), L3 (the sockets of others), M1 (metrics).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from swarmlet.coordinator.api.routes import ROUTES
from tests.integration.harness import BIN, World, eventually, free_port
from tests.integration.hostile import as_stranger, ask, no_traceback, refused, seen_off
from tests.integration.namespaces import Host, Network

pytestmark = pytest.mark.timeout(90)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
SIX = {
    "swarmlet_uptime_seconds",
    "swarmlet_cpu_usage_percent",
    "swarmlet_memory_usage_bytes",
    "swarmlet_network_bytes_total",
    "swarmlet_workloads_active",
    "swarmlet_cluster_heartbeat_success",
}


class Town(World):
    """A coordinator and two devices; ``api`` is the local API of the first."""

    api = 0

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.api = free_port()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with seen_off(Town(tmp_path_factory.mktemp("town"))) as made:
        made.start_coordinator()
        made.device("one", token=made.token(), SWARM_API_PORT=str(made.api))
        made.device("two", token=made.token())
        for name in ("one", "two"):
            made.wait_state(name, "ready")
        yield made


# ---- L1: what listens


@pytest.mark.netns
def test_l1_from_the_network_only_the_cluster_port_is_there(tmp_path: Path) -> None:
    with Network() as net:
        target, neighbour = net.host("one"), net.host("two")
        world = World(tmp_path)
        try:
            world.stratoswarm_ok("cluster", "init", "--data-dir", str(world.cluster_dir), admin=False)
            start = [str(BIN / "stratoswarm"), "cluster", "start", "--data-dir", str(world.cluster_dir)]
            world.start(start, "coordinator.log", target)
            eventually(lambda: ask(world, "/v1/cluster"), "the coordinator answering")
            # With everything on that can be on, and work running.
            world.device("pi", token=world.token(), host=target, SWARM_API_PORT="", SWARM_METRICS_PORT="9090")
            world.wait_state("pi", "ready")
            world.stratoswarm_ok("run", "--name", "w", "--", "sleep", "600")
            listening, bound = sockets_of(target)
            local = {(address, port) for address in ("127.0.0.1", "::1") for port in (8080, 9090)}
            assert listening == {("0.0.0.0", 7946), *local}  # noqa: S104 - what is asserted
            anybody, here = ("0.0.0.0", 5353), (target.address, 5353)  # noqa: S104 - what is asserted
            discovery = {("255.255.255.255", 7946), ("ff12::7377:6c6d", 7946), anybody, here}
            # Discovery hears its own link alone, gossip of the coordinator and the agent members alone.
            gossip = bound - discovery
            assert {address for address, _ in gossip} == {target.address}
            assert len(gossip) == 2
            assert 7946 in {port for _, port in gossip}
            assert open_ports(neighbour, target) == {7946}
            for _, port in gossip:
                assert ask_by_udp(neighbour, target, port) == "nothing\n"
            no_traceback(world)
        finally:
            world.end()


#: Junk, a question of discovery, what begins like gossip: whoever is no member gets no answer (G1).
ASK_BY_UDP = """
import os, socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.settimeout(2)
for what in (b"", b"hello", b"SWLD" + bytes(508), b"\\1" + os.urandom(99), b"\\1" + bytes(1199)):
    one.sendto(what, (sys.argv[1], int(sys.argv[2])))
try:
    print(one.recvfrom(2000))
except TimeoutError:
    print("nothing")
"""


def ask_by_udp(here: Host, there: Host, port: int) -> str:
    """Return what comes back for what a stranger sends to a UDP port of another host."""
    words = here.command([sys.executable, "-c", ASK_BY_UDP, there.address, str(port)])
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout


def sockets_of(host: Host) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Return what listens over TCP and what is bound over UDP on a host, as the kernel tells."""
    tables = {}
    for name in ("tcp", "tcp6", "udp", "udp6"):
        shown = subprocess.run(
            host.command(["cat", f"/proc/net/{name}"]), capture_output=True, text=True, check=True
        )
        rows = [row.split() for row in shown.stdout.splitlines()[1:]]
        tables[name] = {place(row[1]) for row in rows if name.startswith("udp") or row[3] == "0A"}
    return tables["tcp"] | tables["tcp6"], tables["udp"] | tables["udp6"]


def place(text: str) -> tuple[str, int]:
    """Read an address as /proc/net writes it: words of four bytes in the machine's order."""
    address, port = text.split(":")
    raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, raw), int(port, 16)


SCAN = """
import errno, select, socket, sys
address, found, ports = sys.argv[1], [], list(range(1, 65536))
while ports:
    now, ports = ports[:500], ports[500:]
    tries = {}
    for port in now:
        one = socket.socket()
        one.setblocking(False)
        if one.connect_ex((address, port)) not in (0, errno.EINPROGRESS):
            one.close()
            continue
        tries[one.fileno()] = (one, port)
    poller = select.poll()
    for number in tries:
        poller.register(number, select.POLLOUT)
    while tries:
        ready = poller.poll(2000)
        if not ready:
            break
        for number, _ in ready:
            one, port = tries.pop(number)
            poller.unregister(number)
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
            one.close()
print(*found)
"""


def open_ports(neighbour: Host, target: Host) -> set[int]:
    """Try every TCP port of a host from another one."""
    command = neighbour.command([sys.executable, "-c", SCAN, target.address])
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(map(int, shown.stdout.split()))


# ---- L2, M1: the local API against pages and fuzz


def http(port: int, raw: bytes, host: str = "127.0.0.1") -> bytes:
    """Send bytes to the local API and return all it answers."""
    with socket.create_connection((host, port), timeout=10) as one:
        with contextlib.suppress(OSError):
            one.sendall(raw)
            one.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(OSError):
            while part := one.recv(65536):
                answer += part
        return answer


def request(method: str, target: str, *headers: str, host: str | None = "localhost") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *([] if host is None else [f"Host: {host}"]), *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


REBINDING = {
    "another host": request("GET", "/cluster/status", host="evil.example"),
    "another host with our port": request("GET", "/cluster/status", host="evil.example:8080"),
    "a host that begins like ours": request("GET", "/cluster/status", host="localhost.evil.example"),
    "a host that ends like ours": request("GET", "/cluster/status", host="evil.localhost"),
    "an address of the network": request("GET", "/cluster/status", host="192.168.1.5"),
    "a user before the host": request("GET", "/cluster/status", host="localhost@evil.example"),
    "another origin": request("GET", "/cluster/status", "Origin: http://evil.example"),
    "no origin at all": request("GET", "/cluster/status", "Origin: null"),
    "our origin by TLS": request("GET", "/cluster/status", "Origin: https://localhost"),
    "two origins": request(
        "GET", "/cluster/status", "Origin: http://localhost", "Origin: http://evil.example"
    ),
    "a preflight": request(
        "OPTIONS", "/health", "Origin: http://evil.example", "Access-Control-Request-Method: GET"
    ),
}
REFUSED = {
    "a target with a host in it": request("GET", "http://evil.example/cluster/status", host="evil.example"),
    "two hosts": request("GET", "/cluster/status", "Host: evil.example"),
    "no host": request("GET", "/cluster/status", host=None),
    "HTTP/1.0": b"GET /cluster/status HTTP/1.0\r\n\r\n",
    "POST": request("POST", "/cluster/status", "Content-Length: 2") + b"{}",
    "POST to leave": request("POST", "/v1/leave", "Content-Length: 0"),
    "DELETE": request("DELETE", "/health"),
    "CONNECT": request("CONNECT", "127.0.0.1:22", host="127.0.0.1:22"),
    "an upgrade": request(
        "GET", "/exec", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"
    ),
    "out of the tree": request("GET", "/../../etc/passwd"),
    "escaped": request("GET", "/%2e%2e/%2e%2e/etc/passwd"),
    "a path that continues": request("GET", "/cluster/status/x"),
    "a slash more": request("GET", "//cluster/status"),
    "in capitals": request("GET", "/CLUSTER/STATUS"),
    "the root": request("GET", "/"),
    "the admin API": request("GET", "/v1/nodes"),
    "exec": request("GET", "/exec?command=id"),
    "two lengths": request("GET", "/x", "Content-Length: 1", "Content-Length: 2"),
    "length and chunks": request("POST", "/x", "Content-Length: 4", "Transfer-Encoding: chunked")
    + b"0\r\n\r\n",
    "a bare line feed": b"GET /x HTTP/1.1\nHost: localhost\n\n",
    "a header of 100 KiB": request("GET", "/health", "X: " + "x" * 100_000),
    "no HTTP": b"\x16\x03\x01\x02\x00" + bytes(512),
    "zeros": bytes(1000),
    "nothing": b"",
}


@pytest.mark.parametrize("raw", [*REBINDING.values(), *REFUSED.values()], ids=[*REBINDING, *REFUSED])
def test_l2_what_no_program_of_this_machine_asks_is_refused_and_reads_nothing(town: Town, raw: bytes) -> None:
    answer = http(town.api, raw)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head else 0
    expected = {403} if raw in REBINDING.values() else {0, 400, 403, 404, 405, 413, 431, 501}
    assert status in expected, answer[:200]
    assert b"access-control" not in head.lower()
    for secret in (b"one", b"root:", str(town.port).encode(), b"swarmlet_"):
        assert secret not in body.replace(b"there is no such path; try /cluster/status /health /metrics", b"")
    assert http(town.api, request("GET", "/health")).startswith(b"HTTP/1.1 200")


def test_m1_metrics_are_what_the_specification_names_and_little_else(town: Town) -> None:
    head, _, body = http(town.api, request("GET", "/metrics")).partition(b"\r\n\r\n")
    assert b"200" in head.split(b"\r\n")[0]
    families = list(text_string_to_metric_families(body.decode()))
    samples = {sample.name: sample for family in families for sample in family.samples}
    assert set(samples) >= SIX
    assert samples["swarmlet_cluster_heartbeat_success"].value == 1
    assert sum(len(family.samples) for family in families) < 2000
    labels = {value for family in families for sample in family.samples for value in sample.labels.values()}
    token = ask(town, "/v1/tokens")["items"][0]["jti"]
    assert not [value for value in labels if token[:8] in value or str(town.directory) in value]


# ---- L3: the sockets


def sockets(town: Town) -> list[Path]:
    return [town.directory / "one" / "agent.sock", town.cluster_dir / "admin.sock"]


SPEAK = """
import contextlib, socket, sys
one = socket.socket(socket.AF_UNIX)
one.settimeout(10)
try:
    one.connect(sys.argv[1])
    with contextlib.suppress(BrokenPipeError):  # it may be answered before it is asked
        one.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
    while part := one.recv(65536):
        sys.stdout.write(part.decode(errors="replace"))
        if len(sys.argv) > 3:
            break
except OSError as fault:
    print(type(fault).__name__)
"""


@root_only
def test_l3_other_users_get_nothing_from_either_socket(town: Town) -> None:
    for path in sockets(town):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o077 == 0
        assert "PermissionError" in speak(path, "hello")
    # Even where somebody opened files and directories, the kernel's word on who calls decides.
    agent, admin = sockets(town)
    opened = [(path, path.stat().st_mode) for path in (agent, admin, agent.parent, admin.parent)]
    try:
        for path, _ in opened:
            path.chmod(0o777)
        for command in ("status", "health", "leave"):
            assert '"code":"SWL-701"' in speak(agent, json.dumps({"do": command}) + "\\n")
        for route in ROUTES:
            target = route.path.replace("{ref}", "one").replace("{jti}", "00").replace("{other}", "two")
            lines = [
                f"{route.method} {target} HTTP/1.1",
                "Host: x",
                "Idempotency-Key: k",
                "Content-Length: 2",
            ]
            answer = speak(admin, "\\r\\n".join([*lines, "", "{}"]), "once")
            assert answer.startswith("HTTP/1.1 403"), (route, answer)
            assert "SWL-701" in answer
    finally:
        for path, mode in opened:
            path.chmod(mode & 0o777)
    assert {one["name"]: one["state"] for one in ask(town, "/v1/nodes")["items"]} == {
        "one": "ready",
        "two": "ready",
    }


def speak(path: Path, text: str, *once: str) -> str:
    """Say something to a socket as another user and return the answer."""
    words = as_stranger([sys.executable, "-c", SPEAK, str(path), text, *once])
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout


@root_only
def test_the_commands_of_another_user_fail_in_words(town: Town, tmp_path: Path) -> None:
    place = str(town.directory / "one")
    for words in (["swarmlet", "status"], ["swarmlet", "leave"]):
        command = as_stranger([str(BIN / words[0]), *words[1:], "--data-dir", place])
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode not in {0, 130}
        assert "Traceback" not in done.stderr
        assert "error SWL-" in done.stderr
        assert "  next: " in done.stderr
    command = as_stranger([str(BIN / "stratoswarm"), "nodes", "ls", "--data-dir", str(town.cluster_dir)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    refused(done, "SWL-701", 4)
