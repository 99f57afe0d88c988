from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import stat
from pathlib import Path

import aiohttp
import msgspec
import pytest

from swarmlet.coordinator.api import server
from swarmlet.coordinator.api.call import Nothing, Services
from swarmlet.coordinator.api.roles import Audience, Role, role_of
from swarmlet.coordinator.api.routes import ROUTES, SAFE
from swarmlet.coordinator.pairing import Desk
from swarmlet.coordinator.pairings import Pairings
from swarmlet.coordinator.relay import BrokenStreamError, Stream
from swarmlet.errors import StateError
from swarmlet.link.messages import MeshMeasured
from swarmlet.model.health import Reading
from swarmlet.model.membership import NodeState
from swarmlet.model.mesh import MeshView
from swarmlet.model.views import API_VERSION, ClusterView, MintedView
from swarmlet.model.workload import AssignmentState
from tests.fakes.coordinator import CLUSTER_ID, inside
from tests.fakes.history import twin
from tests.fakes.mesh import QuietMesh
from tests.fakes.records import profile

KEY = bytes(range(32))


class Nodes:
    """Connected nodes: they have readings, and output to give."""

    def __init__(self) -> None:
        self.output: list[bytes] = []
        self.follow = False
        self.broken: str | None = None
        self.opened = 0
        self.closed = 0

    def suspicions(self):
        return {}

    def heartbeats(self, nodes):
        return {node: (1500, Reading(cpu_permille=120, memory_used=3, memory_total=8)) for node in nodes}

    @contextlib.contextmanager
    def logs(self, node_uid, assignment_id, *, follow, tail):
        if self.broken:
            raise BrokenStreamError(self.broken)
        self.opened += 1
        self.asked = (assignment_id, follow, tail)
        stream = Stream(1, lambda _count: True)
        for chunk in self.output:
            stream.feed(chunk)
        if not follow:
            stream.end(None)
        self.stream = stream
        try:
            yield stream
        finally:
            self.closed += 1


async def mint(wishes, actor, key):
    return MintedView(
        signed=b"s", jti="aa", cluster_id=CLUSTER_ID, cluster_name="test", expires_ms=1, endpoints=("h:1",),
        fingerprint="SHA256:00", max_uses=wishes.max_uses,
    )  # fmt: skip


def cluster() -> ClusterView:
    return ClusterView(
        cluster_id=CLUSTER_ID, name="test", fingerprint="SHA256:00", endpoints=(), listeners=(), version="0",
        directory="/data", created_ms=0, started_ms=0, now_ms=0, heartbeat_ms=5000, lease_ms=15_000, nodes={},
        workloads={},
    )  # fmt: skip


def services_of(parts, nodes: Nodes, mesh: QuietMesh) -> Services:
    desk = Desk(Pairings(CLUSTER_ID, on=True), lambda: KEY, mint, parts.clock, parts.tasks)
    return Services(
        clock=parts.clock,
        store=parts.store,
        picture=parts.picture,
        ledger=parts.ledger,
        planning=parts.planning,
        members=nodes,
        mint=mint,
        cluster=cluster,
        mesh=mesh,
        desk=desk,
        stopping=asyncio.Event(),
    )


class Client:
    """A client of the socket that sends what it is told and nothing of its own."""

    def __init__(self, session: aiohttp.ClientSession, parts, nodes: Nodes, path) -> None:
        self._session = session
        self.parts = parts
        self.nodes = nodes
        self.path = path
        self.keys = 0

    async def ask(
        self, method: str, path: str, body=None, *, key: str | None = "new", raw: bytes | None = None
    ):
        if key == "new":
            self.keys += 1
            key = f"key-{self.keys}"
        headers = {} if key is None or method == "GET" else {"Idempotency-Key": key}
        data = raw if raw is not None else (None if body is None else json.dumps(body))
        async with self._session.request(method, f"http://x{path}", data=data, headers=headers) as response:
            text = await response.read()
            kind = response.content_type
            return response.status, json.loads(text) if kind == "application/json" else text

    async def error(self, *args, **kwargs) -> tuple[int, str]:
        status, body = await self.ask(*args, **kwargs)
        assert set(body) == {"apiVersion", "error"}
        assert body["error"]["next"]
        return status, body["error"]["code"]


@contextlib.asynccontextmanager
async def api(tmp_path, *, planning: bool = True, mesh: QuietMesh | None = None):
    async with inside(tmp_path, planning=planning) as parts:
        nodes = Nodes()
        services = services_of(parts, nodes, mesh or QuietMesh())
        path = str(tmp_path / "admin.sock")
        async with server.served(services, path):
            connector = aiohttp.UnixConnector(path)
            async with aiohttp.ClientSession(connector=connector) as session:
                yield Client(session, parts, nodes, path)


WORK = {"kind": "process", "name": "work", "command": ["sleep", "1"]}


# ---- who may do what (P1)


def test_every_route_has_a_role_and_an_audience() -> None:
    for route in ROUTES:
        assert route.role > Role.NONE, route
        assert route.audience is Audience.HUMAN, route
        assert (route.method in SAFE) == (route.body is None), route


#: The requirement, written down a second time: which role each route needs. A new route needs a row here.
NEEDED = {
    ("GET", "/v1/cluster"): Role.VIEWER,
    ("GET", "/v1/metrics"): Role.VIEWER,
    ("POST", "/v1/cluster/pairing"): Role.ADMIN,
    ("GET", "/v1/pairings"): Role.VIEWER,
    ("POST", "/v1/pairings/{ref}/approve"): Role.ADMIN,
    ("POST", "/v1/pairings/{ref}/deny"): Role.ADMIN,
    ("GET", "/v1/tokens"): Role.VIEWER,
    ("GET", "/v1/tokens/{jti}"): Role.VIEWER,
    ("POST", "/v1/tokens"): Role.ADMIN,
    ("POST", "/v1/tokens/{jti}/revoke"): Role.ADMIN,
    ("GET", "/v1/nodes"): Role.VIEWER,
    ("GET", "/v1/nodes/{ref}"): Role.VIEWER,
    ("GET", "/v1/nodes/{ref}/rtt/{other}"): Role.VIEWER,
    ("GET", "/v1/events"): Role.VIEWER,
    ("POST", "/v1/events"): Role.OPERATOR,
    ("DELETE", "/v1/nodes/{ref}"): Role.ADMIN,
    ("POST", "/v1/nodes/{ref}/allow"): Role.ADMIN,
    ("PATCH", "/v1/nodes/{ref}/labels"): Role.OPERATOR,
    ("POST", "/v1/nodes/{ref}/availability"): Role.OPERATOR,
    ("GET", "/v1/workloads"): Role.VIEWER,
    ("GET", "/v1/workloads/{ref}"): Role.VIEWER,
    ("GET", "/v1/workloads/{ref}/logs"): Role.VIEWER,
    ("POST", "/v1/workloads"): Role.OPERATOR,
    ("POST", "/v1/workloads/{ref}/stop"): Role.OPERATOR,
    ("GET", "/v1/audit"): Role.VIEWER,
}


def test_the_table_is_what_was_decided() -> None:
    assert {(route.method, route.path): route.role for route in ROUTES} == NEEDED


def test_the_documentation_shows_the_table() -> None:
    page = (Path(__file__).parents[4] / "docs" / "api.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "/v1/" in line]
    documented = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert documented == [
        [
            route.method,
            route.path,
            route.role.name.lower(),
            ", ".join(sorted(route.query)),
            "" if route.body in (None, Nothing) else route.body.__name__,
        ]
        for route in ROUTES
    ]


async def test_nothing_is_served_that_has_no_row(tmp_path) -> None:
    async with inside(tmp_path, planning=False) as parts:
        services = services_of(parts, Nodes(), QuietMesh())
        app = server.application(services)
        served = {(route.method, route.resource.canonical) for route in app.router.routes()}
        assert served == set(NEEDED)


def test_only_root_and_the_coordinators_user_are_anybody() -> None:
    assert role_of(0, 1000) is Role.ADMIN
    assert role_of(1000, 1000) is Role.ADMIN
    assert role_of(1001, 1000) is Role.NONE


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_each_role_gets_its_routes_and_no_other(tmp_path, monkeypatch, route, role) -> None:
    monkeypatch.setattr(server, "role_of", lambda _uid, _own: role)
    path = route.path.replace("{ref}", "nothing").replace("{jti}", "nothing").replace("{other}", "nothing")
    async with api(tmp_path) as client:
        status, body = await client.ask(route.method, path)
        refused = status == 403
        assert refused == (role < NEEDED[route.method, route.path])
        if refused:
            assert body["error"]["code"] == "SWL-701"


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
async def test_another_user_is_refused_by_the_kernel_and_by_the_table(tmp_path) -> None:
    async with api(tmp_path) as client:
        assert stat.S_IMODE(Path(client.path).stat().st_mode) == 0o600
        Path(client.path).chmod(0o666)
        tmp_path.chmod(0o755)
        child = await asyncio.to_thread(_ask_as_nobody, client.path)
        assert b"403" in child.splitlines()[0]
        assert b"SWL-701" in child


def _ask_as_nobody(path: str) -> bytes:
    ours, theirs = socket.socketpair()
    connection = socket.socket(socket.AF_UNIX)
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(
                Path(path).parent
            )  # walk in as root, connect as nobody: the folders above may be closed to them
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            connection.connect(Path(path).name)
            connection.sendall(b"GET /v1/cluster HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while data := connection.recv(65536):
                theirs.sendall(data)
        finally:
            os._exit(0)
    theirs.close()
    connection.close()
    os.waitpid(pid, 0)
    with ours:
        ours.setblocking(False)  # noqa: FBT003 - the parameter has no name
        return ours.recv(1 << 20)


# ---- the shape of requests (P3)


MUTATIONS = [route for route in ROUTES if route.method not in SAFE]


@pytest.mark.parametrize("route", MUTATIONS, ids=lambda route: f"{route.method} {route.path}")
async def test_a_change_needs_an_idempotency_key(tmp_path, route) -> None:
    path = route.path.replace("{ref}", "x").replace("{jti}", "x").replace("{other}", "x")
    async with api(tmp_path) as client:
        for key in (None, "k" * 129, "\t"):
            assert await client.error(route.method, path, {}, key=key) == (400, "SWL-608")


@pytest.mark.parametrize("route", MUTATIONS, ids=lambda route: f"{route.method} {route.path}")
async def test_a_body_that_is_not_as_expected_is_refused(tmp_path, route) -> None:
    path = route.path.replace("{ref}", "x").replace("{jti}", "x").replace("{other}", "x")
    bad = [b"{", b"[]", b"null", b'{"unknown": 1}', b"\xff", b"[" * 100_000]
    async with api(tmp_path) as client:
        for raw in bad:
            assert await client.error(route.method, path, raw=raw) == (400, "SWL-608")


async def test_a_body_over_a_mebibyte_is_refused(tmp_path) -> None:
    async with api(tmp_path) as client:
        status, code = await client.error(
            "POST", "/v1/workloads", raw=io.BytesIO(b" " * (server.MAX_BODY + 1))
        )
        assert (status, code) == (413, "SWL-608")


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nope", "/v1/nodes/a/b/c", "/v1/../etc", "/v2/cluster", "/v1/cluster/"]
)
async def test_a_path_without_a_row_is_an_error_of_the_catalogue(tmp_path, path) -> None:
    async with api(tmp_path) as client:
        assert await client.error("GET", path) == (404, "SWL-608")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
async def test_a_method_without_a_row_is_refused(tmp_path, method) -> None:
    async with api(tmp_path) as client, client._session.request(method, "http://x/v1/cluster") as response:
        assert response.status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/v1/cluster?x=1",
        "/v1/nodes?all=perhaps",
        "/v1/audit?limit=0",
        "/v1/audit?limit=x",
        "/v1/audit?limit=%F0%9F%98%80",
        "/v1/audit?before=99999999999999999999",
    ],
)
async def test_parameters_are_known_and_in_bounds_or_refused(tmp_path, path) -> None:
    async with api(tmp_path) as client:
        assert await client.error("GET", path) == (400, "SWL-608")


async def test_a_bug_is_shown_without_a_traceback(tmp_path, monkeypatch, caplog) -> None:
    async with api(tmp_path) as client:
        monkeypatch.setattr(client.parts.store, "tokens", lambda: 1 / 0)
        status, body = await client.ask("GET", "/v1/tokens")
        assert (status, body["error"]["code"]) == (500, "SWL-799")
        assert "Traceback" not in json.dumps(body)
    assert "ZeroDivisionError" in caplog.text


async def test_garbage_on_the_socket_ends_only_its_own_connection(tmp_path) -> None:
    async with api(tmp_path) as client:
        for junk in (b"\x00" * 100, b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01" + bytes(200)):
            reader, writer = await asyncio.open_unix_connection(client.path)
            writer.write(junk)
            writer.write_eof()
            await reader.read()
            writer.close()
        assert (await client.ask("GET", "/v1/cluster"))[0] == 200


# ---- what the routes do


async def test_every_body_carries_the_version(tmp_path) -> None:
    async with api(tmp_path) as client:
        for path in ("/v1/cluster", "/v1/tokens", "/v1/nodes", "/v1/workloads", "/v1/audit"):
            status, body = await client.ask("GET", path)
            assert (status, body["apiVersion"]) == (200, API_VERSION)


async def test_a_repeated_change_has_one_effect(tmp_path) -> None:
    async with api(tmp_path) as client:
        first = await client.ask("POST", "/v1/workloads", {**WORK, "name": ""}, key="once")
        again = await client.ask("POST", "/v1/workloads", {**WORK, "name": ""}, key="once")
        assert first[0] == again[0] == 200
        assert first[1]["workload_id"] == again[1]["workload_id"]
        assert len(client.parts.picture.workloads) == 1
        other = {**WORK, "name": "", "command": ["other"]}
        assert await client.error("POST", "/v1/workloads", other, key="once") == (400, "SWL-608")


async def test_each_change_can_be_repeated(tmp_path) -> None:
    async with api(tmp_path, planning=False) as client:
        await client.parts.join("pi", profile=twin("f1"))
        await client.ask("POST", "/v1/workloads", WORK)
        changes = [
            ("PATCH", "/v1/nodes/pi/labels", {"labels": {"zone": "garden"}}),
            ("POST", "/v1/nodes/pi/availability", {"availability": "cordoned"}),
            ("POST", "/v1/workloads/work/stop", {}),
            ("POST", f"/v1/tokens/{'aa' * 16}/revoke", {"cascade": False}),
            ("DELETE", "/v1/nodes/pi?block=true", None),
            ("POST", "/v1/nodes/pi/allow", {}),
            ("POST", "/v1/cluster/pairing", {"on": True}),
        ]
        for method, path, body in changes:
            first = await client.ask(method, path, body, key=f"{method}{path}")
            head = (await client.parts.store.head()).seq
            again = await client.ask(method, path, body, key=f"{method}{path}")
            assert first[0] == again[0] == 200, first
            assert (await client.parts.store.head()).seq == head


async def test_hardware_that_is_not_blocked_cannot_be_allowed(tmp_path) -> None:
    async with api(tmp_path, planning=False) as client:
        await client.parts.join("pi", profile=twin("f1"))
        await client.ask("DELETE", "/v1/nodes/pi")
        assert await client.error("POST", "/v1/nodes/pi/allow", {}) == (400, "SWL-608")


async def test_work_is_placed_shown_and_stopped(tmp_path) -> None:
    async with api(tmp_path) as client:
        await client.parts.join("pi")
        status, made = await client.ask("POST", "/v1/workloads", WORK)
        assert status == 200
        name = f"{made['workload_id']}.0.1"
        await client.parts.until(lambda: name in client.parts.picture.assignments)
        await client.parts.observe(name, AssignmentState.RUNNING)
        _, shown = await client.ask("GET", "/v1/workloads/work")
        assert (shown["state"], shown["running"], shown["assignments"][0]["node"]) == ("running", 1, "pi")
        assert shown["placement"][0]["scores"][0]["node"] == "pi"
        await client.ask("POST", "/v1/workloads/work/stop", {})
        await client.parts.observe(name, AssignmentState.STOPPED)
        _, shown = await client.ask("GET", f"/v1/workloads/{made['workload_id'][:6]}")
        assert shown["state"] == "stopped"
        assert (await client.ask("GET", "/v1/workloads"))[1]["items"] == []
        assert len((await client.ask("GET", "/v1/workloads?all=true"))[1]["items"]) == 1


async def test_what_waits_says_why(tmp_path) -> None:
    async with api(tmp_path) as client:
        await client.parts.join("pi")
        asked = {**WORK, "resources": {"cpu": 64}}
        await client.ask("POST", "/v1/workloads", asked)
        await client.parts.until(
            lambda: any(one.pending_reason for one in client.parts.picture.workloads.values())
        )
        _, shown = await client.ask("GET", "/v1/workloads/work")
        assert shown["state"] == "pending"
        assert "pi: 64 cores asked, 4 of 4 free" in shown["reason"]
        assert shown["placement"][0]["refused"] == [
            {"node": "pi", "filter": "cpu", "reason": "64 cores asked, 4 of 4 free"}
        ]
        assert await client.error("GET", "/v1/workloads/work/logs") == (409, "SWL-500")


async def test_a_name_in_use_is_refused_and_free_again_once_it_ended(tmp_path) -> None:
    async with api(tmp_path) as client:
        await client.parts.join("pi")
        _, made = await client.ask("POST", "/v1/workloads", WORK)
        assert await client.error("POST", "/v1/workloads", WORK) == (400, "SWL-505")
        name = f"{made['workload_id']}.0.1"
        await client.parts.until(lambda: name in client.parts.picture.assignments)
        await client.parts.observe(name, AssignmentState.SUCCEEDED, exit_code=0)
        status, second = await client.ask("POST", "/v1/workloads", WORK)
        assert status == 200
        _, shown = await client.ask("GET", "/v1/workloads/work")
        assert shown["workload_id"] == second["workload_id"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "Not A Name"}, "--name not-a-name"),
        ({"command": []}, "needs a command"),
        ({"kind": "container"}, "needs an image"),
        ({"kind": "process", "image": "x"}, "has no image"),
        ({"env": {"A=B": "x"}}, "environment variable"),
        ({"env": {"A": "x\0"}}, "zero byte"),
        ({"constraints": ["zone=garden"]}, "KEY==VALUE"),
        ({"node_type": "banana"}, "datacenter, workstation, laptop, edge, iot"),
        ({"command": [""]}, "command, number 1"),
        ({"replicas": 0}, "from 1 to 1000"),
        ({"replicas": 100_000}, "from 1 to 1000"),
        ({"resources": {"cpu": -1}}, "above 0 to 4096"),
        ({"resources": {"gpu": 1}}, "no field"),
        ({"env": {f"K{number}": "v" * 4000 for number in range(20)}}, "larger than 58 KiB"),
        ({"command": ["x" * 5000]}, "at most 4096 characters"),
    ],
)
async def test_work_that_cannot_be_is_refused_with_what_would_be(tmp_path, change, word) -> None:
    async with api(tmp_path) as client:
        status, body = await client.ask("POST", "/v1/workloads", {**WORK, **change})
        assert (status, body["error"]["code"]) == (400, "SWL-608")
        assert word in body["error"]["what"] + body["error"]["next"]


async def test_nodes_are_found_by_name_id_and_prefix(tmp_path) -> None:
    async with api(tmp_path) as client:
        uid = await client.parts.join("pi")
        await client.parts.join("pine")
        for reference in ("pi", uid, "pin"):
            assert (await client.ask("GET", f"/v1/nodes/{reference}"))[0] == 200
        assert await client.error("GET", "/v1/nodes/p") == (400, "SWL-606")
        assert await client.error("GET", "/v1/nodes/nobody") == (404, "SWL-605")
        assert await client.error("GET", "/v1/nodes/%00%2F..") == (404, "SWL-605")


async def test_a_removed_node_is_gone_from_the_list_and_still_known(tmp_path) -> None:
    async with api(tmp_path) as client:
        await client.parts.join("pi")
        _, removed = await client.ask("DELETE", "/v1/nodes/pi")
        assert removed["state"] == "revoked"
        assert (await client.ask("GET", "/v1/nodes"))[1]["items"] == []
        _, every = await client.ask("GET", "/v1/nodes?all=true")
        assert [one["state"] for one in every["items"]] == ["revoked"]
        assert await client.error("PATCH", "/v1/nodes/pi/labels", {"labels": {"a": "b"}}) == (404, "SWL-605")


async def test_a_name_means_the_member_else_the_newest_that_had_it(tmp_path) -> None:
    async with api(tmp_path) as client:
        removed = []
        for _ in range(3):
            removed.append(await client.parts.join("pi"))
            assert (await client.ask("GET", "/v1/nodes/pi"))[1]["node_uid"] == removed[-1]
            assert (await client.ask("DELETE", "/v1/nodes/pi"))[0] == 200
        assert (await client.ask("GET", "/v1/nodes/pi"))[1]["node_uid"] == removed[-1]
        assert (await client.ask("GET", f"/v1/nodes/{removed[0]}"))[1]["node_uid"] == removed[0]


async def test_hardware_is_allowed_by_the_name_it_was_removed_with(tmp_path) -> None:
    async with api(tmp_path) as client:
        known = msgspec.structs.replace(profile("pi"), fingerprint="ff" * 32)
        uid = await client.parts.join("pi", profile=known)
        assert (await client.ask("DELETE", "/v1/nodes/pi?block=true"))[0] == 200
        await client.parts.join("pi")  # another device, with the name that was free again
        status, allowed = await client.ask("POST", "/v1/nodes/pi/allow")
        assert (status, allowed["node_uid"]) == (200, uid)
        assert await client.error("POST", "/v1/nodes/nobody/allow") == (404, "SWL-605")


async def test_a_token_is_shown_with_its_limits_and_revoked_with_its_nodes(tmp_path) -> None:
    async with api(tmp_path) as client:
        await client.parts.join("pi")
        _, shown = await client.ask("GET", "/v1/tokens/aa")
        assert (shown["state"], shown["uses"], shown["allow"]) == ("usable", 1, ["docker"])
        assert [one["name"] for one in shown["nodes"]] == ["pi"]
        _, shown = await client.ask("POST", "/v1/tokens/aa/revoke", {"cascade": True})
        assert shown["state"] == "revoked"
        assert [one["state"] for one in shown["nodes"]] == ["revoked"]
        assert await client.error("GET", "/v1/tokens/bb") == (404, "SWL-604")


async def test_labels_are_set_and_removed(tmp_path) -> None:
    async with api(tmp_path) as client:
        await client.parts.join("pi")
        _, shown = await client.ask("PATCH", "/v1/nodes/pi/labels", {"labels": {"a": "1", "b": "2"}})
        assert shown["labels"] == {"a": "1", "b": "2"}
        _, shown = await client.ask("PATCH", "/v1/nodes/pi/labels", {"labels": {"a": None}})
        assert shown["labels"] == {"b": "2"}


async def test_the_audit_log_is_shown_and_verified(tmp_path) -> None:
    async with api(tmp_path) as client:
        await client.parts.join("pi", state=NodeState.READY)
        secret = {**WORK, "env": {"PASSWORD": "canary"}}
        await client.ask("POST", "/v1/workloads", secret)
        _, shown = await client.ask("GET", "/v1/audit?all=true")
        assert shown["intact"] is True
        assert "canary" not in json.dumps(shown)
        (submitted,) = [one for one in shown["items"] if one["action"] == "submit-workload"]
        assert (submitted["subject"], submitted["actor"]) == ("work", f"uid:{os.geteuid()}")
        assert "sleep 1" in submitted["detail"]
        _, page = await client.ask("GET", f"/v1/audit?limit=1&before={submitted['sequence']}&verify=false")
        assert len(page["items"]) == 1
        assert page["intact"] is None


# ---- output


@contextlib.asynccontextmanager
async def running(tmp_path):
    async with api(tmp_path) as client:
        await client.parts.join("pi")
        _, made = await client.ask("POST", "/v1/workloads", WORK)
        name = f"{made['workload_id']}.0.1"
        await client.parts.until(lambda: name in client.parts.picture.assignments)
        client.name = name
        yield client


async def test_output_comes_as_text(tmp_path) -> None:
    async with running(tmp_path) as client:
        client.nodes.output = [b"one\n", b"\xff\x00two\n"]
        status, text = await client.ask("GET", "/v1/workloads/work/logs?tail=7")
        assert (status, text) == (200, b"one\n\xff\x00two\n")
        assert client.nodes.asked == (client.name, False, 7)
        assert client.nodes.closed == 1


async def test_no_output_is_an_empty_text(tmp_path) -> None:
    async with running(tmp_path) as client:
        assert await client.ask("GET", "/v1/workloads/work/logs") == (200, b"")


async def test_a_node_that_is_away_is_an_error_with_its_name(tmp_path) -> None:
    async with running(tmp_path) as client:
        client.nodes.broken = "the node is not connected"
        status, body = await client.ask("GET", "/v1/workloads/work/logs")
        assert (status, body["error"]["code"]) == (409, "SWL-509")
        assert "from the node pi: the node is not connected" in body["error"]["what"]


async def test_a_replica_that_does_not_exist_is_refused(tmp_path) -> None:
    async with running(tmp_path) as client:
        assert await client.error("GET", "/v1/workloads/work/logs?replica=1") == (400, "SWL-608")


async def test_a_reader_that_hangs_up_frees_its_stream(tmp_path) -> None:
    async with running(tmp_path) as client:
        client.nodes.output = [b"one\n"]
        reader, writer = await asyncio.open_unix_connection(client.path)
        writer.write(b"GET /v1/workloads/work/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"one\n")
        assert (client.nodes.opened, client.nodes.closed) == (1, 0)
        writer.close()
        await client.parts.until(lambda: client.nodes.closed == 1)


async def test_a_stream_that_breaks_says_so_behind_a_mark(tmp_path) -> None:
    async with running(tmp_path) as client:
        client.nodes.output = [b"one\n"]
        url = "http://x/v1/workloads/work/logs?follow=true"
        async with client._session.get(url) as response:
            assert await response.content.readany() == b"one\n"
            client.nodes.stream.end(BrokenStreamError("the connection to it ended"))
            before, mark, failure = (await response.content.read()).partition(
                response.headers["Failure-Mark"].encode()
            )
            assert (before, len(mark)) == (b"", 32)
            assert json.loads(failure)["error"]["code"] == "SWL-509"


async def test_stopping_leaves_followers_at_once_and_lets_them_know_that_it_was_not_the_end(tmp_path) -> None:
    async with inside(tmp_path) as parts:
        nodes = Nodes()
        nodes.output = [b"one\n"]
        services = services_of(parts, nodes, QuietMesh())
        path = str(tmp_path / "admin.sock")
        async with (
            server.served(services, path),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        ):
            client = Client(session, parts, nodes, path)
            await parts.join("pi")
            await client.ask("POST", "/v1/workloads", WORK)
            await parts.until(lambda: bool(parts.picture.assignments))
            async with session.get("http://x/v1/workloads/work/logs?follow=true") as response:
                assert await response.content.readany() == b"one\n"
                services.stopping.set()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.content.read()
        assert not Path(path).exists()


async def test_a_socket_left_by_a_killed_coordinator_is_replaced_and_a_file_is_not(tmp_path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with api(tmp_path) as client:
        assert (await client.ask("GET", "/v1/cluster"))[0] == 200
    path.write_text("precious")
    with pytest.raises(BaseExceptionGroup) as caught:
        async with api(tmp_path):
            pass
    assert caught.group_contains(StateError, match="SWL-301")
    assert path.read_text() == "precious"


async def test_a_workload_of_the_coordinators_own_user_may_do_nothing(tmp_path, monkeypatch) -> None:
    """An agent that is not root runs workloads as its own user, who may run the coordinator too (A4)."""
    async with api(tmp_path) as client:
        assert (await client.ask("GET", "/v1/cluster"))[0] == 200
        monkeypatch.setattr(server, "is_confined", lambda _caller: True)
        for route in ROUTES:
            path = route.path.format(jti="x", ref="x", other="x")
            assert (await client.ask(route.method, path))[0] == 403, path


def test_nothing_takes_an_empty_body_only() -> None:
    assert msgspec.json.decode(b"{}", type=Nothing) == Nothing()


# ---- the mesh


def seen(node_uid: str, state: str, *, udp: bool = True) -> MeshView:
    return MeshView(node_uid, state, "members", 1500, "10.0.0.7:7946", udp, 2500)  # type: ignore[arg-type]


async def test_a_node_shows_what_its_peers_say_beside_its_lease(tmp_path) -> None:
    mesh = QuietMesh()
    async with api(tmp_path, mesh=mesh) as client:
        node = await client.parts.join("pi")
        _, before = await client.ask("GET", "/v1/nodes/pi")
        assert before["mesh"] is None
        mesh.known = {node: seen(node, "alive")}
        _, after = await client.ask("GET", "/v1/nodes/pi")
        assert after["mesh"]["rtt_ms"] == 2.5
        assert after["state"] == before["state"], "gossip is advice (G5)"


async def test_events_are_shown_after_a_number_and_told_once(tmp_path) -> None:
    mesh = QuietMesh()
    async with api(tmp_path, mesh=mesh) as client:
        node = await client.parts.join("pi")
        for number in range(5):
            mesh.happenings.add(1000 + number, "gossip", "suspect", node, "members do not reach it")
        _, page = await client.ask("GET", "/v1/events?limit=2")
        assert [one["sequence"] for one in page["items"]] == [4, 5]
        assert {one["node"] for one in page["items"]} == {"pi"}
        _, rest = await client.ask("GET", "/v1/events?after=3")
        assert [one["sequence"] for one in rest["items"]] == [4, 5]
        assert (await client.ask("POST", "/v1/events", {"text": "hello"}, key="k1"))[0] == 200
        assert mesh.told == ["hello"]
        assert (await client.error("POST", "/v1/events", {"text": "\N{SNOWMAN}" * 300}, key="k2"))[
            1
        ] == "SWL-617"
        assert (await client.error("POST", "/v1/events", {"text": ""}, key="k3"))[1] == "SWL-608"


async def test_a_round_trip_is_asked_of_the_node(tmp_path) -> None:
    mesh = QuietMesh()
    async with api(tmp_path, mesh=mesh) as client:
        await client.parts.join("pi")
        await client.parts.join("nas")
        assert await client.error("GET", "/v1/nodes/pi/rtt/nas") == (503, "SWL-616")
        mesh.answer = MeshMeasured(1, "alive", 1250)
        _, found = await client.ask("GET", "/v1/nodes/pi/rtt/nas")
        assert (found["node"], found["to"], found["state"], found["rtt_ms"]) == ("pi", "nas", "alive", 1.25)
        mesh.answer = MeshMeasured(1, "", 0)
        _, unknown = await client.ask("GET", "/v1/nodes/pi/rtt/nas")
        assert (unknown["state"], unknown["rtt_ms"]) == (None, None)
        assert (await client.error("GET", "/v1/nodes/pi/rtt/nobody"))[1] == "SWL-605"
