"""A coordinator that does what a test says, over the real engine: real sockets, TLS, certificates and frames.

It keeps no state worth the name and enforces nothing; the product's own is ``swarmlet/coordinator``. What an
agent does when its coordinator is odd, slow, forgetful or gone is tested with this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from swarmlet import _native
from swarmlet.link import messages as m
from swarmlet.link.engine import Link
from swarmlet.link.events import Closed, Event, Frame, Lease, Opened
from tests.fakes.pki import CLIENT, HOUR, Authority, _name, now, now_ms

T = TypeVar("T")
PATIENCE = 15.0


class Guest:
    """One connection to it."""

    def __init__(self, opened: Opened) -> None:
        self.conn = opened.conn
        self.exporter = opened.exporter
        self.uid = opened.peer.uid if opened.peer else b""
        self.serial = opened.peer.serial if opened.peer else b""
        self.said: list[Any] = []
        self.data: list[tuple[int, int, bytes]] = []
        self.closed: Closed | None = None


class Scripted:
    """Listens on loopback. ``answers`` maps a message type to what is done with it; tests replace entries."""

    def __init__(
        self, authority: Authority | None = None, heartbeat_ms: int = 100, lease_ms: int = 1500
    ) -> None:
        self.authority = authority or Authority()
        self.heartbeat_ms = heartbeat_ms
        self.lease_ms = lease_ms
        self.address = ""
        self.guests: list[Guest] = []
        self.standings: list[str] = []
        self.issued: list[bytes] = []
        self.greets = True
        self.time_ms: Callable[[], int] = now_ms
        self.life = 24 * HOUR
        self.answers: dict[type, Callable[[Guest, Any], None]] = {
            m.JoinRequest: self.admit,
            m.Hello: self.welcome,
            m.RenewRequest: self.renew,
            m.Leave: lambda guest, _message: self.say_and_close(guest, m.Goodbye("left")),
        }
        self._by_conn: dict[int, Guest] = {}
        self._news = asyncio.Event()
        self._signing: _native.SigningKey | None = None

    @contextlib.asynccontextmanager
    async def running(self, address: str = "127.0.0.1:0") -> AsyncIterator[Scripted]:
        self.link = Link(self._take)
        try:
            _, self.address = self.link.engine.listen(
                address, self.authority.server_tls(), max_per_address=4096, max_unproven=4096
            )
            yield self
        finally:
            await self.link.stop()

    # ---- what it can give

    def token(self, directory: Any, **changes: Any) -> _native.Token:
        """Mint a token for this cluster."""
        if self._signing is None:
            self._signing = _native.SigningKey.load_or_create(str(directory / "token.key"))
        seed = _native.TokenSeed.generate()
        issued_s = int(time.time())
        claims = {
            "version": 1, "cluster_id": bytes.fromhex(self.authority.cluster_id), "cluster_name": "home",
            "jti": uuid.uuid4().bytes, "kid": self._signing.kid, "issued_s": issued_s,
            "expires_s": issued_s + 3600, "ca_pins": [self.authority.pin], "endpoints": [self.address],
            "max_uses": 1, "cidrs": [], "node_classes": [], "allow": [], "name_pattern": "",
            "public_key": seed.public_key,
        }  # fmt: skip
        encoded = _native.encode_claims(tuple((claims | changes).values()))  # type: ignore[arg-type]
        return _native.Token.parse(seed.assemble(self._signing.sign_claims(encoded)))

    def settings(self, **changes: Any) -> m.Settings:
        fields = {
            "cluster_id": self.authority.cluster_id, "cluster_name": "home", "endpoints": (self.address,),
            "ca_pins": (self.authority.pin,), "heartbeat_ms": self.heartbeat_ms, "lease_ms": self.lease_ms,
        }  # fmt: skip
        return m.Settings(**(fields | changes))

    def issue(self, csr: bytes, node_uid: str) -> tuple[bytes, ...]:
        """Sign what a request asks for."""
        request = x509.load_der_x509_csr(csr)
        made = self.authority._certificate(
            _name("intermediate"),
            _name("node"),
            request.public_key(),  # type: ignore[arg-type]
            self.authority._key,
            uris=[f"swarmlet://{self.authority.cluster_id}/node/{node_uid}"],
            usages=[CLIENT],
            not_before=now() - HOUR,
            not_after=now() + self.life,
        )
        self.issued.append(made.serial_number.to_bytes(16, "big"))
        return made.public_bytes(Encoding.DER), self.authority.intermediate, self.authority.root

    # ---- what it says

    def say(self, guest: Guest, message: m.AnyMessage) -> None:
        self.link.engine.send(guest.conn, _native.KIND_CONTROL, 0, m.encode(message))

    def say_and_close(self, guest: Guest, message: m.AnyMessage, reason: str = "closed") -> None:
        self.say(guest, message)
        self.link.engine.close(guest.conn, reason)

    def close(self, guest: Guest) -> None:
        self.link.engine.close(guest.conn)

    def challenge(self, **changes: Any) -> m.Challenge:
        fields = {
            "protocol": m.PROTOCOL_VERSION, "cluster_id": self.authority.cluster_id, "cluster_name": "home",
            "time_ms": self.time_ms(), "seen": "127.0.0.1",
        }  # fmt: skip
        return m.Challenge(**(fields | changes))

    def admission(self, request: m.JoinRequest, **changes: Any) -> m.Admitted:
        node_uid = str(uuid.uuid4())
        fields = {
            "node_uid": node_uid, "name": request.name, "chain": self.issue(request.csr, node_uid),
            "settings": self.settings(), "time_ms": self.time_ms(), "node_class": "Edge",
            "suitability": ("lightweight_compute",), "reason": "",
        }  # fmt: skip
        return m.Admitted(**(fields | changes))

    def admit(self, guest: Guest, request: m.JoinRequest) -> None:
        assert _native.verify_proof(request.claims, request.csr, guest.exporter, request.proof)
        self.say(guest, self.admission(request))

    def welcome(self, guest: Guest, hello: m.Hello) -> None:
        self.link.engine.admit(guest.conn, guest.uid, self.heartbeat_ms, self.lease_ms)
        self.say(guest, m.Welcome(hello.name, self.settings(), self.time_ms()))
        self.say(guest, m.Desired(1, 0, full=True, assignments=()))

    def renew(self, guest: Guest, request: m.RenewRequest) -> None:
        chain = self.issue(request.csr, str(uuid.UUID(bytes=guest.uid)))
        self.say(guest, m.Renewed(chain, self.settings(), self.time_ms()))

    # ---- what it heard

    def heard(self, kind: type[T]) -> list[T]:
        return [message for guest in self.guests for message in guest.said if isinstance(message, kind)]

    async def until(self, condition: Callable[[], T], what: str = "the condition") -> T:
        """Return what ``condition`` returns once it is true; it is asked after every event, and often."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := condition()):
                    self._news.clear()
                    with contextlib.suppress(TimeoutError):  # what it asks may be no event of ours
                        await asyncio.wait_for(self._news.wait(), 0.02)
                return found
        except TimeoutError:
            said = [type(message).__name__ for guest in self.guests for message in guest.said]
            raise AssertionError(f"{what} did not come true; heard {said}") from None

    async def hear(self, kind: type[T], count: int = 1) -> T:
        """Wait for the ``count``-th message of a kind."""
        return (await self.until(lambda: self.heard(kind)[count - 1 : count], f"{kind.__name__} {count}"))[0]

    def _take(self, event: Event) -> None:
        if isinstance(event, Opened):
            guest = self._by_conn[event.conn] = Guest(event)
            self.guests.append(guest)
            if self.greets:
                self.say(guest, self.challenge())
        elif isinstance(event, Lease):
            self.standings.append(event.state)
        elif isinstance(event, Closed):
            if event.conn in self._by_conn:
                self._by_conn[event.conn].closed = event
        elif isinstance(event, Frame):
            self._hear(self._by_conn[event.conn], event)
        self._news.set()

    def _hear(self, guest: Guest, frame: Frame) -> None:
        if frame.kind != _native.KIND_CONTROL:
            guest.data.append((frame.kind, frame.stream, frame.payload))
            return
        message = m.decode(frame.payload)
        guest.said.append(message)
        answer = self.answers.get(type(message))
        if answer is not None:
            answer(guest, message)
