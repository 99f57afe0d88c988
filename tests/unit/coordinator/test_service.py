"""A whole coordinator on real sockets, with real TLS, a real store and nodes driven by hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from swarmlet import _native
from swarmlet.clock import SystemClock
from swarmlet.coordinator import scheduler
from swarmlet.coordinator.founding import authority_files, init_cluster
from swarmlet.coordinator.listening import Wish
from swarmlet.coordinator.members import Terms
from swarmlet.coordinator.service import CoordinatorConfig, serve
from swarmlet.errors import SwarmletError
from swarmlet.link import messages as m
from swarmlet.link.engine import ConnectionClosedError, Link
from swarmlet.model import places
from swarmlet.model.workload import AssignmentState, Observation
from tests.fakes.joiner import WAIT_S, Admin, Joiner, expect
from tests.fakes.records import profile

ANY = Wish("127.0.0.1", 0, False, None, ())  # noqa: FBT003 - a named tuple of five
#: Short enough to wait for, long enough for a busy machine.
QUICK = Terms(heartbeat_ms=100, lease_ms=600)
USUAL = Terms()
CLOCK = SystemClock()


class Cluster:
    """A running coordinator and a link for its nodes."""

    def __init__(self, directory: Path, link: Link, overview: dict) -> None:
        self.directory = directory
        self.admin = Admin(directory)
        self.link = link
        self.overview = overview

    def device(self, name: str = "pi") -> Joiner:
        return Joiner(self.link, self.overview["endpoints"][0], name)

    async def member(self, name: str = "pi", **wishes) -> Joiner:
        device = self.device(name)
        await device.join(await self.admin.token(**wishes))
        return device


async def found(directory: Path) -> None:
    if not (directory / places.DATABASE).exists():
        await asyncio.to_thread(init_cluster, directory, "test", CLOCK)


@contextlib.asynccontextmanager
async def cluster(directory: Path, terms: Terms = USUAL, wish: Wish = ANY) -> AsyncIterator[Cluster]:
    await found(directory)
    stop = asyncio.Event()
    link = Link(lambda _event: None)
    running = asyncio.create_task(serve(CoordinatorConfig(directory, wish, terms), CLOCK, stop))
    try:
        async with asyncio.timeout(WAIT_S):
            while not (directory / "admin.sock").exists() and not running.done():
                await asyncio.sleep(0.01)
        if running.done():
            await running
        yield Cluster(directory, link, await Admin(directory).get("/v1/cluster"))
    finally:
        stop.set()
        await running
        await link.stop()


async def closed(connection) -> str:
    return (await connection.closed(WAIT_S)).reason


# ---- joining and staying


async def test_a_device_joins_greets_and_is_ready(tmp_path: Path) -> None:
    async with cluster(tmp_path) as one:
        device = one.device()
        admitted = await device.join(await one.admin.token(allow=["docker"]), capabilities=("docker", "gpu"))
        assert admitted.settings.endpoints == tuple(one.overview["endpoints"])
        assert f"SHA256:{admitted.settings.ca_pins[0].hex()}" == one.overview["fingerprint"]
        one.link.engine.set_reading((0, 2, 250, 4150, 1_000, 2_000, 3, 4, 5))
        await device.greet(limits={"cpu_cores": 2.0})
        await one.admin.until("/v1/nodes/pi", lambda node: node["heartbeat_age_ms"] is not None)
        shown = await one.admin.until("/v1/nodes/pi", lambda node: node["state"] == "ready")
        assert (shown["state"], shown["capabilities"], shown["limits"]) == (
            "ready",
            ["docker"],
            {"cpu_cores": 2.0},
        )
        assert (shown["cpu_permille"], shown["temperature_c"], shown["memory_used"]) == (250, 41.5, 1000)
        (token,) = (await one.admin.get("/v1/tokens"))["items"]
        assert (token["state"], [node["name"] for node in token["nodes"]]) == ("used-up", ["pi"])


async def test_what_a_member_says_later_is_cut_to_its_token_and_audited(tmp_path: Path) -> None:
    """T8: a node that joined as Edge without a GPU says at its next greeting that it is a data centre."""
    async with cluster(tmp_path) as one:
        device = one.device()
        await device.join(await one.admin.token(node_classes=["edge"]))
        first = await device.greet()
        first.close()
        claims = profile("pi")
        grand = msgspec.structs.replace(
            claims,
            capabilities=msgspec.structs.replace(claims.capabilities, gpu_count=8),
            classification=msgspec.structs.replace(claims.classification, node_class="DataCenter"),
        )
        connection = device.dial()
        await connection.opened(WAIT_S)
        await expect(connection, m.Challenge)
        await connection.send(
            m.Hello(protocol=1, version="9", boot_id="b", name="pi", profile=grand, generation=0)
        )
        await expect(connection, m.Welcome)
        shown = await one.admin.until("/v1/nodes/pi", lambda node: node["version"] == "9")
        assert (shown["node_class"], shown["profile"]["capabilities"]["gpu_count"]) == ("Edge", 0)
        lines = [line for line in (await one.admin.get("/v1/audit"))["items"] if "clamped" in line["detail"]]
        assert [(line["action"], line["actor"]) for line in lines] == [("update-node", f"node:{device.uid}")]
        assert "class DataCenter to Edge" in lines[0]["detail"]


async def test_an_altered_token_is_refused_without_a_word_too_many(tmp_path: Path) -> None:
    async with cluster(tmp_path) as one, cluster(tmp_path / "other") as other:
        foreign = await other.admin.token()
        device = one.device()
        token = _native.Token.parse(foreign)
        tls = _native.ClientTls(
            [bytes.fromhex(one.overview["fingerprint"][7:])], None, one.overview["cluster_id"], None
        )
        connection = one.link.dial(device.address, tls)
        opened = await connection.opened(WAIT_S)
        await expect(connection, m.Challenge)
        key = _native.KeyPair.generate()
        csr = key.csr("pi")
        await connection.send(
            m.JoinRequest(token.signed, csr, token.proof(csr, opened.exporter), "pi", profile("pi"), "0.1.0")
        )
        assert await expect(connection, m.Refused) == m.Refused("SWL-100")
        assert await closed(connection) == "closed"
        assert (await one.admin.get("/v1/nodes"))["items"] == []


async def test_a_revoked_token_admits_nobody_at_once(tmp_path: Path) -> None:
    """T9."""
    async with cluster(tmp_path) as one:
        text = await one.admin.token(max_uses=5)
        await one.device("a").join(text)
        (shown,) = (await one.admin.get("/v1/tokens"))["items"]
        began = time.monotonic()
        await one.admin.do("POST", f"/v1/tokens/{shown['jti'][:8]}/revoke")
        refused = await one.device("b").ask(text)
        assert time.monotonic() - began < 1
        assert (refused.code, refused.detail) == ("SWL-105", {"jti": shown["jti"]})


async def test_a_removed_node_is_told_cut_and_kept_out_at_once(tmp_path: Path) -> None:
    """C7."""
    async with cluster(tmp_path) as one:
        device = await one.member()
        connection = await device.greet()
        began = time.monotonic()
        await one.admin.do("DELETE", "/v1/nodes/pi")
        assert (await expect(connection, m.Goodbye)).reason == "revoked"
        await closed(connection)
        assert time.monotonic() - began < 1
        again = device.dial()
        with contextlib.suppress(ConnectionClosedError):
            await again.opened(WAIT_S)
        assert await closed(again) == "certificate-refused"


async def test_a_node_that_leaves_is_gone_for_good(tmp_path: Path) -> None:
    async with cluster(tmp_path) as one:
        device = await one.member()
        connection = await device.greet()
        await connection.send(m.Leave())
        assert (await expect(connection, m.Goodbye)).reason == "left"
        await closed(connection)
        (shown,) = (await one.admin.get("/v1/nodes?all=true"))["items"]
        assert shown["state"] == "left"


async def test_a_node_renews_and_its_old_certificate_ends_with_the_first_use_of_the_new(
    tmp_path: Path,
) -> None:
    """C4."""
    async with cluster(tmp_path) as one:
        device = await one.member()
        old = device.identity
        connection = await device.greet()
        await device.renew(connection)
        connection.close()
        still = Joiner(one.link, device.address)
        still.identity, still.settings = old, device.settings
        (await still.greet()).close()
        (await device.greet()).close()
        refused = still.dial()
        with contextlib.suppress(ConnectionClosedError):
            await refused.opened(WAIT_S)
        assert await closed(refused) == "certificate-refused"
        (await device.greet()).close()


async def test_the_newer_of_two_connections_of_a_node_stays(tmp_path: Path) -> None:
    async with cluster(tmp_path) as one:
        device = await one.member()
        first = await device.greet()
        second = await device.greet()
        assert (await expect(first, m.Goodbye)).reason == "superseded"
        await closed(first)
        await second.send(m.Resync(0))
        assert (await expect(second, m.Desired)).full


async def test_a_silent_node_goes_down_and_its_work_moves(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scheduler, "GRACE_S", 0.2)
    async with cluster(tmp_path, QUICK) as one:
        first = await one.member("a")
        connection = await first.greet()
        await one.admin.do("POST", "/v1/workloads", {"kind": "process", "name": "w", "command": ["x"]})
        given = await expect(connection, m.Desired)
        (assignment,) = given.assignments
        seen = Observation(assignment.assignment_id, 1, 1, AssignmentState.RUNNING, CLOCK.wall_ms())
        await connection.send(m.Observed((seen,)))
        await expect(connection, m.ObservedAck)
        second = await one.member("b")
        other = await second.greet()
        connection.close()
        moved = await expect(other, m.Desired)
        assert [(one.epoch, one.replica) for one in moved.assignments] == [(2, 0)]
        shown = await one.admin.until("/v1/nodes/a", lambda node: node["state"] == "down")
        assert "its lease of 0.6 s lapsed" in shown["reason"]
        await first.greet(observed=(seen,))
        await one.admin.until("/v1/nodes/a", lambda node: node["state"] == "ready")
        work = await one.admin.get("/v1/workloads/w")
        assert [(one["epoch"], one["state"]) for one in work["assignments"]] == [(2, "assigned"), (1, "lost")]


async def test_a_restarted_coordinator_expects_its_nodes_and_takes_them_back(tmp_path: Path) -> None:
    async with cluster(tmp_path) as one:
        device = await one.member()
        connection = await device.greet()
        endpoint = one.overview["endpoints"][0]
        await one.admin.until("/v1/nodes/pi", lambda node: node["state"] == "ready")
    assert (await expect(connection, m.Goodbye)).reason == "shutdown"
    async with cluster(tmp_path) as one:
        assert one.overview["endpoints"][0] == endpoint
        shown = await one.admin.get("/v1/nodes/pi")
        assert (shown["state"], "restarted" in shown["reason"]) == ("suspect", True)
        device.link = one.link
        await device.greet()
        await one.admin.until("/v1/nodes/pi", lambda node: node["state"] == "ready")


async def test_a_node_that_does_not_come_back_after_a_restart_goes_down(tmp_path: Path) -> None:
    async with cluster(tmp_path, QUICK) as one:
        await (await one.member()).greet()
        await one.admin.until("/v1/nodes/pi", lambda node: node["state"] == "ready")
    async with cluster(tmp_path, QUICK) as one:
        await one.admin.until("/v1/nodes/pi", lambda node: node["state"] == "down")


# ---- output


async def test_output_flows_as_fast_as_it_is_read_and_no_faster(tmp_path: Path) -> None:
    async with cluster(tmp_path) as one:
        device = await one.member()
        connection = await device.greet()
        await one.admin.do("POST", "/v1/workloads", {"kind": "process", "name": "w", "command": ["x"]})
        await expect(connection, m.Desired)
        sent = asyncio.create_task(_write(connection, total=3_000_000))
        connector = aiohttp.UnixConnector(str(tmp_path / "admin.sock"))
        async with (
            aiohttp.ClientSession(connector=connector, read_bufsize=16_384) as session,
            session.get("http://x/v1/workloads/w/logs") as response,
        ):
            text = await response.read()
        assert await sent == 3_000_000
        assert text == (b"0123456789" * 300_000)


async def _write(connection, total: int) -> int:
    """Send so much output, never more than was granted; what is under way stays within the window."""
    opened = await expect(connection, m.LogsOpen)
    credit = sent = 0
    data = b"0123456789" * (total // 10)
    while sent < total:
        while credit == 0:
            frame = await connection.receive_frame(WAIT_S)
            assert frame.kind == _native.KIND_CREDIT
            credit += struct.unpack(">I", frame.payload)[0]
            assert credit <= 256 * 1024
        size = min(credit, 16_000, total - sent)
        await connection.send_frame(_native.KIND_DATA, opened.stream, data[sent : sent + size])
        sent += size
        credit -= size
    await connection.send(m.StreamClose(opened.stream))
    return sent


# ---- starting and stopping


async def test_a_second_port_serves_the_same(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        second = probe.getsockname()[1]
    async with cluster(tmp_path, wish=ANY._replace(second=second)) as one:
        assert one.overview["endpoints"][1] == f"127.0.0.1:{second}"
        device = Joiner(one.link, f"127.0.0.1:{second}")
        await device.join(await one.admin.token())
        await device.greet()


async def test_a_taken_port_that_was_asked_for_names_its_holder(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BaseExceptionGroup) as caught:
            async with cluster(tmp_path, wish=ANY._replace(port=port, asked=True)):
                pass
        assert caught.group_contains(SwarmletError, match=f"SWL-304: port {port} is taken by .*{os.getpid()}")
    async with cluster(tmp_path, wish=ANY._replace(port=port, asked=True)) as one:
        assert one.overview["endpoints"] == [f"127.0.0.1:{port}"]


async def test_a_second_coordinator_on_one_directory_is_refused(tmp_path: Path) -> None:
    async with cluster(tmp_path):
        with pytest.raises(SwarmletError, match=f"SWL-306.*process {os.getpid()}"):
            await serve(CoordinatorConfig(tmp_path, ANY), CLOCK, asyncio.Event())


async def test_stopping_takes_no_longer_than_a_few_seconds_with_readers_and_nodes(tmp_path: Path) -> None:
    async with cluster(tmp_path) as one:
        device = await one.member()
        connection = await device.greet()
        await one.admin.do("POST", "/v1/workloads", {"kind": "process", "name": "w", "command": ["x"]})
        await expect(connection, m.Desired)
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "admin.sock"))
        writer.write(b"GET /v1/workloads/w/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        await expect(connection, m.LogsOpen)
        began = time.monotonic()
    assert time.monotonic() - began < 4
    writer.close()
    await reader.read()


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ("cluster.db", "SWL-601"),
        ("token.key", "SWL-612"),
        ("secrets/kek", "SWL-603"),
        ("ca/root.crt", "SWL-612"),
    ],
)
async def test_what_is_missing_is_fatal_and_nothing_is_made_in_its_place(
    tmp_path: Path, missing, code
) -> None:
    await found(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(SwarmletError, match=code):
        await serve(CoordinatorConfig(tmp_path, ANY), CLOCK, asyncio.Event())
    assert not (tmp_path / missing).exists()


@pytest.mark.parametrize("part", ["ca", "token.key"])
async def test_keys_of_another_cluster_are_refused(tmp_path: Path, part) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    await found(mine)
    await found(other)
    for name in (part, "secrets") if part == "ca" else (part,):
        (mine / name).rename(tmp_path / f"old-{name}")
        (other / name).rename(mine / name)
    with pytest.raises(SwarmletError, match=r"SWL-611.*another cluster"):
        await serve(CoordinatorConfig(mine, ANY), CLOCK, asyncio.Event())


async def test_a_directory_with_a_long_path_has_its_socket_elsewhere(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 100)
    await found(directory)
    stop = asyncio.Event()
    running = asyncio.create_task(serve(CoordinatorConfig(directory, ANY), CLOCK, stop))
    path = places.admin_socket(str(directory), os.geteuid())
    assert len(path) < 108
    async with asyncio.timeout(WAIT_S):
        while not Path(path).exists():
            await asyncio.sleep(0.01)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        session.get("http://x/v1/cluster") as response,
    ):
        assert any("too long for a socket" in note for note in (await response.json())["notes"])
    stop.set()
    await running
    assert not Path(path).exists()


# ---- founding


def test_founding_twice_is_refused(tmp_path: Path) -> None:
    init_cluster(tmp_path, "one", CLOCK)
    with pytest.raises(SwarmletError, match="SWL-600"):
        init_cluster(tmp_path, "two", CLOCK)


def test_nothing_is_founded_while_the_clock_was_never_set(tmp_path: Path) -> None:
    class Unset(SystemClock):
        def wall_ms(self) -> int:
            return 600_000

    with pytest.raises(SwarmletError) as caught:
        init_cluster(tmp_path / "new", "test", Unset())
    assert caught.value.code == "SWL-614"
    assert not (tmp_path / "new").exists()


def test_a_founding_that_was_killed_can_be_begun_again(tmp_path: Path) -> None:
    authority = authority_files(tmp_path).found("ab" * 16, CLOCK.wall_ms())
    record = init_cluster(tmp_path, "test", CLOCK)
    assert (record.cluster_id, record.root) == ("ab" * 16, authority.root)


@pytest.mark.parametrize("name", ["", " x", "x" * 65, "a\nb", "\x00"])
def test_a_name_that_cannot_be_founds_nothing(tmp_path: Path, name) -> None:
    with pytest.raises(SwarmletError, match="SWL-400"):
        init_cluster(tmp_path / "new", name, CLOCK)
    assert not (tmp_path / "new").exists()


def test_everything_founded_is_for_its_owner_alone(tmp_path: Path) -> None:
    init_cluster(tmp_path / "new", "test", CLOCK)
    for path in [tmp_path / "new", *(tmp_path / "new").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
