"""Impostors against whole programs: T3 (pin first), T4 (replay), C3 (roles), T8 and A3 (members that lie).

What the engine refuses by itself is tested in ``tests/native``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from swarmlet import _native
from swarmlet.hardware.probe import probe
from swarmlet.identity.store import Credentials, Vault
from swarmlet.link import messages as m
from swarmlet.link.engine import Connection, ConnectionClosedError, Link
from swarmlet.model.profile import Profile
from swarmlet.model.workload import AssignmentState, Observation
from swarmlet.tokens.claims import Claims
from tests.fakes.pki import SERVER, Authority
from tests.integration.harness import World, eventually
from tests.integration.hostile import ask, refused, seen_off
from tests.integration.test_secrets import keys_in

T = TypeVar("T")
pytestmark = pytest.mark.timeout(90)
PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with seen_off(World(tmp_path_factory.mktemp("town"))) as made:
        made.start_coordinator()
        made.device("honest", token=made.token())
        made.wait_state("honest", "ready")
        yield made


# ---- T3, C3: servers that are not the coordinator


class Impostor:
    """A TLS server with any certificate, which notes everything that is meant for it."""

    def __init__(self, pem: bytes, directory: Path, port: int = 0) -> None:
        file = directory / "impostor.pem"
        file.write_bytes(pem)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(file)
        self._context.set_alpn_protocols(["swarmlet/1"])
        # It asks for a certificate, as the coordinator does, and would take any under the roots it knows.
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.load_verify_locations(file)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self.shown: list[bytes] = []
        self.calls = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                self.calls += 1
                one.settimeout(2)
                with contextlib.suppress(OSError), self._context.wrap_socket(one, server_side=True) as tls:
                    certificate = tls.getpeercert(binary_form=True)
                    self.shown += [certificate] if certificate else []
                    while heard := tls.recv(65536):
                        self.heard.append(heard)

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def impostor(pem: bytes, directory: Path, port: int = 0) -> Iterator[Impostor]:
    made = Impostor(pem, directory, port)
    try:
        yield made
    finally:
        made.close()


def test_t3_an_impostor_gets_no_byte_of_a_joining_device(town: World, tmp_path: Path) -> None:
    other = Authority()
    file = tmp_path / "token"
    file.write_text(town.token())
    file.chmod(0o600)
    words = ["join", "--once", "--token-file", str(file), "--node-name", "lured", "--data-dir"]
    with impostor(other.pem(f"swarmlet://{other.cluster_id}/coordinator", [SERVER]), tmp_path) as trap:
        where = f"127.0.0.1:{trap.port}"
        done = town.swarmlet(*words, str(tmp_path / "d"), "--cluster", where)
        # It says who that was, and goes on to the address in the token, where the cluster is.
        assert done.returncode == 0, done.stderr
        assert where in done.stderr
        file.write_text(town.token("--endpoint", where))
        done = town.swarmlet(*words, str(tmp_path / "e"))
        assert "nothing was sent to it" in refused(done, "SWL-202", 4)
        done = town.swarmlet("test-connection", "--token-file", str(file), "--data-dir", str(tmp_path / "f"))
        assert done.returncode == 4
        assert trap.calls >= 3
        assert (trap.heard, trap.shown) == ([], [])


def test_t3_an_impostor_in_the_coordinators_place_gets_nothing_of_a_member(
    town: World, tmp_path: Path
) -> None:
    """A coordinator's address is taken over while it is away: its members are not fooled, and come back."""
    agent = town.device("watchful", token=town.token())
    node = town.wait_state("watchful", "ready")
    other = Authority()
    assert town.coordinator is not None
    town.coordinator.kill()
    with impostor(
        other.pem(f"swarmlet://{other.cluster_id}/coordinator", [SERVER]), tmp_path, town.port
    ) as trap:
        eventually(lambda: trap.calls >= 4, "members trying the address")
        eventually(lambda: "is not the cluster of this token" in agent.output, "the impostor being told")
        assert (trap.heard, trap.shown) == ([], [])
    town.start_coordinator()
    for name in ("watchful", "honest"):
        assert town.wait_state(name, "ready", 45)["state"] == "ready"
    assert (town.node("watchful") or {})["node_uid"] == node["node_uid"]
    assert agent.stop() == 0


def stolen(town: World, name: str) -> Credentials:
    """Return what is in a device's data directory, as whoever holds its SD card has it."""
    found = Vault(str(town.directory / name)).load()
    assert found is not None
    return found


def test_c3_a_nodes_certificate_makes_no_coordinator(town: World, tmp_path: Path) -> None:
    chain = stolen(town, "honest").identity.chain
    (seed,) = keys_in(town.directory / "honest")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    root = ask_root(town)
    pem += b"".join(
        x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM) for one in (*chain[:2], root)
    )
    file = tmp_path / "token"
    with impostor(pem, tmp_path) as trap:
        file.write_text(town.token("--endpoint", f"127.0.0.1:{trap.port}"))
        file.chmod(0o600)
        words = [
            "join",
            "--once",
            "--token-file",
            str(file),
            "--node-name",
            "c3",
            "--data-dir",
            str(tmp_path / "d"),
        ]
        assert "not a coordinator's" in refused(town.swarmlet(*words), "SWL-206", 4)
        assert (trap.heard, trap.shown) == ([], [])


def ask_root(town: World) -> bytes:
    pem = (town.cluster_dir / "ca" / "root.crt").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


# ---- T4, C3, A3: clients that are not what they say


def talk(work: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` with an engine of our own, as a program that is not ours would be."""

    async def run() -> T:
        link = Link(lambda _event: None)
        try:
            async with asyncio.timeout(60):
                return await work(link)
        finally:
            await link.stop()

    return asyncio.run(run())


async def call(town: World, link: Link, tls: _native.ClientTls) -> tuple[Connection, bytes]:
    """Connect and take the challenge; return the connection and its exporter."""
    connection = link.dial(f"127.0.0.1:{town.port}", tls)
    opened = await connection.opened(PATIENCE_S)
    assert isinstance(await connection.receive(PATIENCE_S), m.Challenge)
    return connection, opened.exporter


async def answers(connection: Connection, seconds: float = 1.0) -> list[m.AnyMessage | str]:
    """Return what comes within a moment, and how the connection ended if it did."""
    found: list[m.AnyMessage | str] = []
    try:
        while True:
            found.append(await connection.receive(seconds))
    except TimeoutError:
        return found
    except ConnectionClosedError as ended:
        return [*found, ended.closed.reason]


def stranger(token: str) -> _native.ClientTls:
    claims = Claims.from_tuple(_native.Token.parse(token).claims)
    return _native.ClientTls(claims.ca_pins, None, claims.cluster_id.hex(), None)


def join_request(
    token: str, exporter: bytes, profile: Profile, **changes: Any
) -> tuple[_native.KeyPair, m.JoinRequest]:
    parsed, key = _native.Token.parse(token), _native.KeyPair.generate()
    csr = key.csr("thief")
    made = m.JoinRequest(parsed.signed, csr, parsed.proof(csr, exporter), "thief", profile, "0.1.0")
    return key, msgspec.structs.replace(made, **changes)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return probe(node_name="thief", data_dir=str(tmp_path_factory.mktemp("p")), docker_host="off")


def test_t4_a_captured_join_request_is_worth_nothing_on_another_connection(
    town: World, profile: Profile
) -> None:
    """The thief sees everything that a device sends, and is even first to send it."""
    token = town.token()

    async def work(link: Link) -> tuple[list[Any], list[Any], list[Any]]:
        victim, exporter = await call(town, link, stranger(token))
        thief, _ = await call(town, link, stranger(token))
        _, captured = join_request(token, exporter, profile)
        await thief.send(captured)
        early = await answers(thief)
        await victim.send(captured)
        real = await answers(victim)
        again, _ = await call(town, link, stranger(token))
        await again.send(captured)
        return early, real, await answers(again)

    early, real, late = talk(work)
    assert early[0] == late[0] == m.Refused("SWL-100"), "whoever proves nothing learns nothing (T10)"
    assert early[1:] == late[1:] == ["closed"]
    assert isinstance(real[0], m.Admitted)
    assert ask(town, "/v1/tokens")["items"][0]["uses"] == 1


def test_c3_a_stranger_may_ask_to_join_and_nothing_else(town: World, profile: Profile) -> None:
    token = town.token()
    honest = (town.node("honest") or {})["node_uid"]
    hello = m.Hello(1, "0.1.0", "boot", "honest", profile, 0)
    csr = _native.KeyPair.generate().csr(honest)
    for message in (hello, m.Observed(()), m.RenewRequest(csr), m.Leave(), m.Resync(0), m.StreamClose(1)):

        async def work(link: Link, message: m.AnyMessage = message) -> list[Any]:
            connection, _ = await call(town, link, stranger(token))
            await connection.send(message)
            return await answers(connection, 5.0)

        assert talk(work) == ["closed"], message
    assert (town.node("honest") or {})["state"] == "ready"


def lying_member(town: World, profile: Profile) -> tuple[_native.ClientTls, str]:
    """Join as a program that keeps to no rule; return how it connects, and its name."""
    token = town.token("--node-type", "edge")

    async def work(link: Link) -> tuple[_native.KeyPair, m.Admitted]:
        connection, exporter = await call(town, link, stranger(token))
        key, request = join_request(token, exporter, profile)
        await connection.send(request)
        admitted = await connection.receive(PATIENCE_S)
        assert isinstance(admitted, m.Admitted), admitted
        return key, admitted

    key, admitted = talk(work)
    settings = admitted.settings
    identity = _native.Identity.create(key, admitted.chain, b"")
    return _native.ClientTls(settings.ca_pins, identity, settings.cluster_id, None), admitted.name


def test_a3_a_member_that_lies_changes_nothing_but_its_own_row(town: World, profile: Profile) -> None:
    town.stratoswarm_ok("run", "--name", "prize", "--constraint", "name==honest", "--", "sleep", "600")
    eventually(lambda: ask(town, "/v1/workloads/prize")["running"] == 1, "the prize running")
    before = ask(town, "/v1/workloads/prize")["assignments"]
    honest = town.node("honest")
    tls, name = lying_member(town, profile)
    ended = Observation(before[0]["assignment_id"], 1, 2**63, AssignmentState.FAILED, 1, "it broke", 1)
    greedy = msgspec.structs.replace(
        profile.hardware, cpu_cores=4096.0, memory_gb=9000.0, device_type="server"
    )
    claims_more = msgspec.structs.replace(
        profile, hardware=greedy, capabilities=msgspec.structs.replace(profile.capabilities, gpu_count=8)
    )
    hello = m.Hello(1, "0.1.0", "boot", "honest", claims_more, 2**63, {"memory_mb": float("nan")}, (ended,))
    lies: list[m.AnyMessage] = [
        m.Observed((ended, msgspec.structs.replace(ended, state=AssignmentState.LOST, restarts=-5))),
        m.Admitted("u", "honest", (), settings_of(town), 0, "DataCenter", (), ""),
        m.Desired(9, 0, full=True, assignments=()),
        m.ObservedAck(((before[0]["assignment_id"], 1, 9),)),
        m.Challenge(1, "00" * 16, "mine", 0, ""),
        m.LogsOpen(1, before[0]["assignment_id"]),
        m.StreamClose(9),
        hello,
    ]

    async def work(link: Link) -> list[Any]:
        connection, _ = await call(town, link, tls)
        await connection.send(hello)
        for lie in lies:
            await connection.send(lie)
        return await answers(connection, 2.0)

    said = talk(work)
    assert isinstance(said[0], m.Welcome)
    assert said[0].name == name
    assert {one.code for one in said if isinstance(one, m.Problem)} == {"SWL-608"}
    assert ask(town, "/v1/workloads/prize")["assignments"] == before
    after = town.node("honest")
    assert honest is not None
    assert after is not None
    assert {key: after[key] for key in ("state", "node_uid", "profile")} == {
        key: honest[key] for key in ("state", "node_uid", "profile")
    }
    liar = town.node(name)
    assert liar is not None
    assert liar["node_class"].lower() in {"edge", "iot"}, "T8: no lie lifts it above its token's class"
    assert liar["profile"]["capabilities"]["gpu_count"] == 0
    assert town.stratoswarm("nodes", "ls", "--all").returncode == 0
    town.stratoswarm_ok("stop", "prize")


def settings_of(town: World) -> m.Settings:
    return stolen(town, "honest").memory.settings


def test_a_device_that_reports_impossible_hardware_is_refused_and_spoils_no_list(
    town: World, profile: Profile
) -> None:
    endless = msgspec.structs.replace(
        profile, hardware=msgspec.structs.replace(profile.hardware, memory_gb=float("inf"))
    )
    token = town.token()

    async def work(link: Link) -> list[Any]:
        connection, exporter = await call(town, link, stranger(token))
        await connection.send(join_request(token, exporter, endless)[1])
        return await answers(connection, 5.0)

    (refusal, end) = talk(work)
    assert (refusal.code, end) == ("SWL-608", "closed")
    assert town.stratoswarm("nodes", "ls", "--all").returncode == 0
    assert ask(town, "/v1/tokens")["items"][0]["uses"] == 0


def test_a_storm_of_strangers_leaves_members_and_good_joins_alone(town: World, tmp_path: Path) -> None:
    """D1, D2: garbage, half a hello and silence, from more neighbours than are listened to at once."""
    since = (town.node("honest") or {})["since_ms"]
    words = (b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(4000))
    crowd = []
    for number in range(320):
        one = socket.socket()
        one.settimeout(0)
        one.bind((f"127.0.0.{2 + number // 20}", 0))
        one.connect_ex(("127.0.0.1", town.port))
        crowd.append((one, words[number % 4]))
    for one, word in crowd:
        with contextlib.suppress(OSError):
            one.send(word)
    file = tmp_path / "token"
    file.write_text(town.token())
    file.chmod(0o600)
    began = time.monotonic()
    place = ["--data-dir", str(tmp_path / "d"), "--node-name", "late"]
    done = town.swarmlet("join", "--once", "--token-file", str(file), *place)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 20
    for one, _ in crowd:
        one.close()
    node = town.node("honest")
    assert node is not None
    assert (node["state"], node["since_ms"]) == ("ready", since)
