"""What the native engine tells, as values. One dataclass per kind of event; no rule, no I/O.

The engine hands out plain tuples ``(kind, conn, a, b, c, d)``; :func:`decode` names their slots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from swarmlet import _native

Standing = Literal["joined", "suspect", "lost", "back", "held", "lapsed"]


class Peer(NamedTuple):
    """Who proved to be at the other end: the facts of its verified certificate.

    ``uid`` is empty for a coordinator. ``serial`` has no leading zero bytes. An ``expired`` certificate was
    otherwise good: its owner may renew and nothing else (C5).
    """

    role: Literal["node", "coordinator"]
    uid: bytes
    serial: bytes
    not_after_ms: int
    expired: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A handshake succeeded.

    Outbound, the coordinator may still refuse our certificate: TLS 1.3 tells that after the handshake, as
    :class:`Closed` with ``certificate-refused``.
    """

    conn: int
    address: str  # where the peer is seen, ``ip:port``
    exporter: bytes  # 32 bytes only both ends know (RFC 8446, section 7.5)
    peer: Peer | None  # None: it showed no certificate
    listener: int  # 0 for an outbound connection


@dataclass(frozen=True, slots=True)
class Frame:
    """A control, data or credit frame came; a control frame's msgpack was checked for depth and lengths."""

    conn: int
    kind: int
    stream: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection is over. ``reason`` is a stable slug, ``detail`` a sentence for a person."""

    conn: int
    reason: str
    detail: str


def keys_in(detail: str) -> dict[str, str]:
    """Read ``found=... expected=...`` of a pin mismatch: keys as people compare them, several with commas."""
    words = (word.partition("=") for word in detail.split())
    return {side: value for side, equals, value in words if equals and side in {"found", "expected"}}


@dataclass(frozen=True, slots=True)
class Drained:
    """A connection whose buffer was full takes frames again."""

    conn: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The standing of a node changed.

    On a coordinator ``uid`` names the node and ``state`` is joined, suspect, lost or back; on a node ``uid``
    is empty and ``state`` is held or lapsed. ``age_ms`` is for how long nothing was heard. ``conn`` may be 0.
    """

    conn: int
    uid: bytes
    state: Standing
    age_ms: int


@dataclass(frozen=True, slots=True)
class Health:
    """A node reports another health than before (``model.health.Health``)."""

    conn: int
    uid: bytes
    health: int


@dataclass(frozen=True, slots=True)
class Gossip:
    """The mesh tells something of a member, or of this node (``uid`` is all zeros or its own).

    ``what`` is in-touch, joined, suspect, unreachable, back, left, updated, removed, expelled, twin, event,
    no-udp, udp, or missed: some were dropped for want of room. ``why`` is who said so: itself, members,
    coordinator; for removed and expelled the verdict. ``detail`` is a user event's payload.
    """

    conn: int
    what: str
    uid: bytes
    why: str
    detail: bytes

    @property
    def about(self) -> str:
        """The member as text; empty when nobody is meant."""
        return str(UUID(bytes=self.uid)) if any(self.uid) else ""


@dataclass(frozen=True, slots=True)
class GossipBody:
    """A body of anti-entropy is to be sent over ``conn``; 0 is the connection to the coordinator."""

    conn: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine ended by a fault of its own: no event will follow, and no connection is left."""

    detail: str


Event = Opened | Frame | Closed | Drained | Lease | Health | Gossip | GossipBody | Failed


def _opened(conn: int, address: Any, exporter: Any, peer: Any, listener: Any) -> Event:
    return Opened(conn, address, exporter, None if peer is None else Peer(*peer), listener)


def _frame(conn: int, kind: Any, stream: Any, payload: Any, _: Any) -> Event:
    return Frame(conn, kind, stream, payload)


def _closed(conn: int, reason: Any, detail: Any, _: Any, __: Any) -> Event:
    return Closed(conn, reason, detail)


def _drained(conn: int, _: Any, __: Any, ___: Any, ____: Any) -> Event:
    return Drained(conn)


def _lease(conn: int, uid: Any, state: Any, age_ms: Any, _: Any) -> Event:
    return Lease(conn, uid, state, age_ms)


def _health(conn: int, uid: Any, health: Any, _: Any, __: Any) -> Event:
    return Health(conn, uid, health)


def _gossip(conn: int, what: Any, uid: Any, why: Any, detail: Any) -> Event:
    return Gossip(conn, what, uid, why, detail)


def _gossip_body(conn: int, body: Any, _: Any, __: Any, ___: Any) -> Event:
    return GossipBody(conn, body)


_MAKERS: Final[dict[int, Callable[[int, Any, Any, Any, Any], Event]]] = {
    _native.EVENT_OPENED: _opened,
    _native.EVENT_FRAME: _frame,
    _native.EVENT_CLOSED: _closed,
    _native.EVENT_DRAINED: _drained,
    _native.EVENT_LEASE: _lease,
    _native.EVENT_HEALTH: _health,
    _native.EVENT_GOSSIP: _gossip,
    _native.EVENT_GOSSIP_BODY: _gossip_body,
}


def decode(event: _native.EventTuple) -> Event:
    """Return the value of one tuple of :meth:`swarmlet._native.Engine.poll`."""
    return _MAKERS[event[0]](*event[1:])
