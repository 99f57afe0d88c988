"""The connections of the link: events in, messages to whoever handles them. Rules stand in ``session.py``.

Messages of one connection are handled one after the other, in a task that exists only while there are some,
so that ten thousand quiet nodes cost no task. A peer whose messages pile up is cut: nothing here is
unbounded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from swarmlet import _native
from swarmlet.clock import Clock
from swarmlet.coordinator.dispatcher import Dispatch
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.relay import Relay
from swarmlet.coordinator.session import (
    STRICT,
    Certificate,
    IllegalMessageError,
    Phase,
    advance,
    first_phase,
    objection,
    plain_serial,
)
from swarmlet.errors import SwarmletError
from swarmlet.link.messages import (
    PROTOCOL_VERSION,
    AnyMessage,
    Challenge,
    Goodbye,
    MeshHello,
    Problem,
    Refused,
    decode,
    encode,
)
from swarmlet.link.pieces import Assembly

#: Messages of one connection that may wait; a node sends a handful at a time.
MOST_WAITING = 256

logger = logging.getLogger(__name__)


class Wire(Protocol):
    """The native engine, as far as connections need it."""

    def send(self, conn: int, kind: int, stream: int, payload: bytes) -> bool:
        """Queue one frame; false when there is no room or no connection."""
        ...

    def close(self, conn: int, reason: str = "closed") -> None:
        """Flush and close."""
        ...

    def admit(self, conn: int, node: bytes, heartbeat_ms: int, lease_ms: int) -> None:
        """Take a connection's heartbeats for a node."""
        ...

    def forget(self, node: bytes) -> None:
        """Drop a node's lease without an event."""
        ...

    def readings(self, nodes: Sequence[bytes]) -> list[tuple[int, tuple[int, ...]] | None]:
        """Return age and reading of last heartbeats."""
        ...

    def deny(self, serials: Sequence[bytes]) -> int:
        """Refuse certificates from now on and cut their connections."""
        ...

    def forgive(self, serials: Sequence[bytes]) -> int:
        """Refuse certificates no more that expired long ago."""
        ...


class Peer:
    """One connection."""

    __slots__ = (
        "assembly", "busy", "certificate", "conn", "dispatch", "exporter", "inbox", "mesh",
        "phase", "relay", "seen", "welcomed", "wire",
    )  # fmt: skip

    def __init__(
        self, wire: Wire, conn: int, seen: str, exporter: bytes, certificate: Certificate | None
    ) -> None:
        self.wire = wire
        self.conn = conn
        self.seen = seen
        self.exporter = exporter
        self.certificate = certificate
        self.phase = first_phase(certificate)
        self.inbox: deque[bytes] = deque()
        self.busy = False
        self.welcomed = False
        self.dispatch = Dispatch()
        self.relay: Relay | None = None
        #: What it asked to gossip with, and what has come of a body of anti-entropy.
        self.mesh: MeshHello | None = None
        self.assembly: Assembly | None = None

    @property
    def node_uid(self) -> str:
        """The node its certificate names, or an empty text."""
        return "" if self.certificate is None else self.certificate.node_uid

    def send(self, message: AnyMessage) -> bool:
        """Queue a message; false when there is no room or no connection."""
        return self.send_frame(_native.KIND_CONTROL, 0, encode(message))

    def send_frame(self, kind: int, stream: int, payload: bytes) -> bool:
        """Queue a frame; false as above."""
        return self.wire.send(self.conn, kind, stream, payload)

    def end(self, reason: str) -> None:
        """Say goodbye, listen to nothing more, and close."""
        self.phase = Phase.ENDING
        self.send(Goodbye(reason))
        self.wire.close(self.conn, reason)

    def hang_up(self, reason: str) -> None:
        """Close without a word; nothing is owed."""
        self.phase = Phase.ENDING
        self.wire.close(self.conn, reason)


Handler = Callable[[Peer, Any], Awaitable[None]]


class Connections:
    """Every open connection by its number.

    Args:
        wire: The engine.
        picture: Who is a member.
        clock: For the time in challenges.
        tasks: Owner of the tasks that handle messages.
        handlers: What to do with each kind of message; those without one are answered as problems.
    """

    def __init__(
        self,
        wire: Wire,
        picture: Picture,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        handlers: Mapping[type, Handler],
    ) -> None:
        self._wire = wire
        self._picture = picture
        self._clock = clock
        self._tasks = tasks
        self._handlers = handlers
        self._peers: dict[int, Peer] = {}

    @property
    def peers(self) -> list[Peer]:
        """Every open connection."""
        return list(self._peers.values())

    # ---- events of the engine

    def opened(self, conn: int, seen: str, exporter: bytes, shown: tuple[Any, ...] | None) -> None:
        """A handshake succeeded: challenge the peer, unless its certificate speaks for nobody."""
        certificate = None
        if shown is not None:
            role, uid, serial, not_after_ms, expired = shown
            # The engine knows this machine's clock only, which may be behind the cluster's time.
            expired = expired or not_after_ms < self._clock.wall_ms()
            certificate = Certificate(role, node_text(uid), plain_serial(serial.hex()), not_after_ms, expired)
        peer = Peer(self._wire, conn, seen, exporter, certificate)
        self._peers[conn] = peer
        if self._objects(peer):
            return
        cluster = self._picture.cluster
        peer.send(Challenge(PROTOCOL_VERSION, cluster.cluster_id, cluster.name, self._clock.wall_ms(), seen))

    def frame(self, conn: int, kind: int, stream: int, payload: bytes) -> None:
        """A frame came."""
        peer = self._peers.get(conn)
        if peer is None or peer.phase is Phase.ENDING:
            return
        if kind == _native.KIND_DATA and peer.relay is not None:
            peer.relay.data(stream, payload)
        elif kind != _native.KIND_CONTROL:
            peer.hang_up("protocol")
        elif len(peer.inbox) >= MOST_WAITING:
            logger.warning("a peer sends faster than it is answered", extra={"peer": peer.seen})
            peer.hang_up("protocol")
        else:
            peer.inbox.append(payload)
            if not peer.busy:
                peer.busy = True
                self._tasks.create_task(self._work(peer))

    def closed(self, conn: int) -> Peer | None:
        """A connection ended; return what it was."""
        peer = self._peers.pop(conn, None)
        if peer is not None:
            peer.phase = Phase.ENDING
            peer.inbox.clear()
        return peer

    def get(self, conn: int) -> Peer | None:
        """Return an open connection."""
        return self._peers.get(conn)

    # ---- messages

    async def _work(self, peer: Peer) -> None:
        """Handle what waits, in order."""
        try:
            while peer.inbox and peer.phase is not Phase.ENDING:
                await self._one(peer, peer.inbox.popleft())
        finally:
            peer.busy = False

    async def _one(self, peer: Peer, payload: bytes) -> None:
        if self._objects(peer):
            return
        try:
            message = decode(payload)
        except msgspec.MsgspecError as fault:
            self._refuse(peer, "unknown", str(fault))
            return
        try:
            peer.phase = advance(peer.phase, message)
        except IllegalMessageError as illegal:
            self._refuse(peer, illegal.kind, str(illegal))
            return
        try:
            await self._handlers[type(message)](peer, message)
        except SwarmletError as failure:
            logger.warning("a message could not be taken", extra=_about(peer, message, failure.what))
            peer.send(Problem(failure.code, type(message).__name__))
        except Exception:
            # A bug in one handler must not end the connections of all other nodes.
            logger.exception("a message failed", extra=_about(peer, message, "internal"))
            peer.hang_up("protocol")

    def _objects(self, peer: Peer) -> bool:
        """Close a peer whose certificate does not speak for a member; say whether it was."""
        if peer.certificate is None:
            return False
        reason = objection(peer.certificate, self._picture.nodes.get(peer.node_uid))
        if reason is None:
            return False
        logger.warning(
            "a certificate was refused", extra={"peer": peer.seen, "node": peer.node_uid, "why": reason}
        )
        if reason == "revoked":
            peer.end(reason)
        else:
            peer.send(Refused("SWL-203", {"detail": reason}, self._clock.wall_ms(), peer.seen))
            peer.hang_up("certificate-refused")
        return True

    @staticmethod
    def _refuse(peer: Peer, about: str, why: str) -> None:
        logger.info("a message was refused", extra={"peer": peer.seen, "about": about, "why": why[:200]})
        if peer.phase in STRICT:
            peer.hang_up("protocol")
        else:
            peer.send(Problem("SWL-608", about))


def _about(peer: Peer, message: AnyMessage, why: str) -> dict[str, object]:
    return {"peer": peer.seen, "node": peer.node_uid, "about": type(message).__name__, "why": why}


def node_text(uid: bytes) -> str:
    """Return a node uid as text; an empty one for a peer that is no node."""
    return str(UUID(bytes=uid)) if len(uid) == 16 else ""


def node_bytes(node_uid: str) -> bytes:
    """Return a node uid as the engine has it."""
    return UUID(node_uid).bytes
