"""The coordinator in the mesh: lets members gossip, says who is down or removed, and hears what they say.

A shell: gossip is advice (G5), and nothing here decides what a node may run. A node asks over its connection
and is granted a credential and the keys of the epoch, sealed for it; after a removal the epoch turns, and
everybody but the removed gets the next one (G4).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from swarmlet import _native
from swarmlet.clock import Clock
from swarmlet.coordinator.connections import Handler, Peer, node_bytes
from swarmlet.coordinator.happenings import Happening, Happenings
from swarmlet.coordinator.measuring import Measuring
from swarmlet.coordinator.session import Phase
from swarmlet.errors import error
from swarmlet.link import messages as m
from swarmlet.link.events import Gossip, GossipBody
from swarmlet.link.pieces import Assembly, pieces
from swarmlet.model.address import Address, is_ip, is_loopback, parse_address
from swarmlet.model.membership import NodeState
from swarmlet.model.mesh import MeshView
from swarmlet.model.records import NodeRecord

logger = logging.getLogger(__name__)

KEY_FILE = "mesh.key"
_EPOCH_FILE = "mesh-epoch"
#: How long an epoch lasts, and a credential: a process asks anew at each of its connections and epochs.
EPOCH_S = 86_400.0
_DAY_MS = 86_400_000
CREDENTIAL_MS = 7 * _DAY_MS
#: What the mesh tells that people are shown, and by whom it is said.
_SHOWN = frozenset({"joined", "suspect", "unreachable", "back", "left", "event"})
_SAID_BY = {
    "itself": "it said so itself",
    "members": "members do not reach it",
    "coordinator": "its lease lapsed",
}
#: Keys of events that are remembered.
_MOST_TOLD = 256
#: Epochs to go on by after a removal: who was removed has the key of the next one too, and of two that are
#: beside each other both are taken.
AFTER_REMOVAL = 3
#: Grants that are made before others have their turn.
_BATCH = 32


class Terms(NamedTuple):
    """How the mesh of this cluster is.

    Attributes:
        directory: Where its root key and the number of its epoch are.
        cluster_id: Hex.
        probe_ms: Milliseconds between probes; ``None`` for no mesh at all.
    """

    directory: Path
    cluster_id: str
    probe_ms: int | None


class Voices(NamedTuple):
    """Which connections there are: those that speak for members, by uid, and one by its number."""

    speaking: Callable[[], Mapping[str, Peer]]
    connection: Callable[[int], Peer | None]


class Hub:
    """The coordinator's part of the mesh.

    Raises:
        SwarmletError: The root key cannot be read or made.
    """

    def __init__(
        self, engine: _native.Engine, terms: Terms, clock: Clock, tasks: asyncio.TaskGroup, voices: Voices
    ) -> None:
        self._mesh = _native.Mesh(engine)
        self._terms = terms
        self._clock = clock
        self._tasks = tasks
        self._voices = voices
        self._authority: _native.MeshAuthority | None = None
        self._epoch = 1
        self._host = ""
        self._uid = bytes.fromhex(terms.cluster_id)
        self._measuring = Measuring(voices.speaking)
        self._told: deque[str] = deque(maxlen=_MOST_TOLD)
        self.happenings = Happenings(clock.wall_ms())
        #: Why there is no mesh, or less of one; for people.
        self.notes: tuple[str, ...] = ()

    @property
    def handlers(self) -> Mapping[type, Handler]:
        """What is done with each message of a member's mesh."""
        return {
            m.MeshHello: self._hello,
            m.MeshBody: self._body,
            m.MeshMeasured: self._measuring.answered,
        }

    # ---- its life

    def begin(self, endpoint: str, own: str) -> None:
        """Gossip at the cluster's address.

        Args:
            endpoint: What nodes are told to connect to, ``host:port``.
            own: This machine's address on its default route, for an endpoint that is a name.
        """
        if self._terms.probe_ms is None:
            return
        where = parse_address(endpoint)
        self._host = where.host if is_ip(where.host) else own
        try:
            self._lead(str(Address(self._host, where.port)), self._terms.probe_ms)
        except _native.NativeError as fault:
            self._authority = None
            self.notes = (f"members do not gossip: {fault.args[-1]}",)
        for note in self.notes:
            logger.warning(note)

    def _lead(self, address: str, probe_ms: int) -> None:
        directory = self._terms.directory
        self._epoch = epoch_after(_remembered(directory), self._clock.wall_ms())
        _remember(directory, self._epoch)
        authority = _native.MeshAuthority.load_or_create(str(directory / KEY_FILE), self._uid)
        bound = self._mesh.lead(
            authority,
            hub=self._uid,
            epoch=self._epoch,
            address=address,
            movable=True,
            cluster_ms=self._clock.wall_ms(),
            probe_ms=probe_ms,
        )
        self._authority = authority
        if bound is None:
            self.notes = (f"members gossip without the coordinator: {address} is no address of this machine",)
        else:
            logger.info("the coordinator gossips", extra={"address": bound})

    async def run(self) -> None:
        """Turn the epoch each day, for ever."""
        while True:
            await asyncio.sleep(EPOCH_S)
            self.turn()

    def turn(self, by: int = 1) -> None:
        """Begin another epoch; whoever has no key beside it hears and is heard no more."""
        if self._authority is None:
            return
        self._epoch += by
        _remember(self._terms.directory, self._epoch)
        self._mesh.turn_epoch(self._authority, self._uid, self._epoch, self._clock.wall_ms())
        self._tasks.create_task(self._grant_all())

    async def _grant_all(self) -> None:
        for number, peer in enumerate(list(self._voices.speaking().values())):
            if peer.phase is Phase.MEMBER and peer.mesh is not None:
                self._grant(peer, peer.mesh)
            if number % _BATCH == _BATCH - 1:
                await asyncio.sleep(0)

    # ---- what members say

    async def _hello(self, peer: Peer, hello: m.MeshHello) -> None:
        if self._authority is None:
            return
        peer.mesh = hello
        peer.assembly = Assembly()
        self._grant(peer, hello)

    def _grant(self, peer: Peer, hello: m.MeshHello) -> None:
        if self._authority is None or self._terms.probe_ms is None:
            return
        now_ms = self._clock.wall_ms()
        try:
            grant = self._authority.grant(
                node_bytes(peer.node_uid),
                hello.signing,
                hello.exchange,
                now_ms,
                now_ms + CREDENTIAL_MS,
                self._epoch,
            )
        except (_native.NativeError, ValueError) as fault:
            logger.warning("a node may not gossip", extra={"node": peer.node_uid, "why": str(fault.args[-1])})
            return
        authority = self._authority
        peer.send(
            m.MeshGrant(
                grant,
                authority.signing_key,
                authority.exchange_key,
                reached_at(peer.seen, self._host),
                self._terms.probe_ms,
                now_ms,
            )
        )

    async def _body(self, peer: Peer, piece: m.MeshBody) -> None:
        body = peer.assembly.take(piece) if peer.assembly is not None else None
        if body is not None:
            self._mesh.body(peer.conn, body)

    # ---- what the mesh tells

    def happened(self, event: Gossip | GossipBody) -> None:
        """Take what the native part tells."""
        if isinstance(event, GossipBody):
            peer = self._voices.connection(event.conn)
            # What finds no room is lost, and asked for again.
            if peer is not None and peer.phase is Phase.MEMBER:
                all(peer.send(piece) for piece in pieces(event.body))
            return
        logger.debug("the mesh tells: %s", event.what, extra={"about": event.about, "why": event.why})
        detail = (
            event.detail.decode(errors="replace") if event.what == "event" else _SAID_BY.get(event.why, "")
        )
        if event.what in _SHOWN:
            self.happenings.add(self._clock.wall_ms(), "gossip", event.what, event.about, detail)

    def members(self) -> Mapping[str, MeshView]:
        """Return what the coordinator's mesh knows of each member, by uid."""
        with contextlib.suppress(_native.NativeError):
            return {one.node_uid: one for one in map(MeshView.of, self._mesh.members())}
        return {}

    def events(self, after: int, most: int) -> tuple[Happening, ...]:
        """Return what happened after number ``after``, oldest first."""
        return self.happenings.after(after, most)

    async def measure(self, node: NodeRecord, other: NodeRecord) -> m.MeshMeasured:
        """Ask one node how it sees another.

        Raises:
            SwarmletError: ``SWL-616``.
        """
        return await self._measuring.ask(node.node_uid, other.node_uid, node.name)

    # ---- what it tells them

    def broadcast(self, text: str, key: str) -> None:
        """Tell every member an event, once for each of the newest keys.

        Raises:
            SwarmletError: ``SWL-617``.
        """
        if key in self._told:
            return
        if self._authority is None:
            raise error("SWL-617", detail="this cluster does not gossip")
        payload = text.encode()
        if not self._mesh.broadcast(payload):
            raise error("SWL-617", detail=f"it has {len(payload)} bytes, at most 512 are told")
        self._told.append(key)
        self.happenings.add(self._clock.wall_ms(), "gossip", "event", "", text)

    def became(self, node_uid: str, state: NodeState, reason: str) -> None:
        """A node's state is on disk: who is down is said, so that everybody counts it out alike."""
        self.happenings.add(self._clock.wall_ms(), "lease", state, node_uid, reason)
        if self._authority is not None and state is NodeState.DOWN:
            self._mesh.declare("down", node_bytes(node_uid), 0)

    def removed(self, gone: list[str], left: bool) -> None:
        """Nodes are members no more; what they say changes nothing from the next epoch on (G4)."""
        for node_uid in gone:
            self.happenings.add(self._clock.wall_ms(), "lease", "left" if left else "revoked", node_uid)
        if self._authority is None:
            return
        until_ms = self._clock.wall_ms() + CREDENTIAL_MS
        for node_uid in gone:
            self._mesh.declare("removed" if left else "revoked", node_bytes(node_uid), until_ms)
        self.turn(AFTER_REMOVAL)


def reached_at(seen: str, own: str) -> str:
    """Return the IP address at which members reach a node seen at ``seen`` (``ip:port``).

    A node on the coordinator's own machine is where the coordinator is: nobody else reaches its loopback.
    """
    host = parse_address(seen).host
    return own if is_loopback(host) else host


def epoch_after(before: int | None, now_ms: int) -> int:
    """Return the epoch that a coordinator begins in: the next, so that one that is often restarted turns too.

    Args:
        before: The last one it remembers. Without it the number is greater than all before all the same, as
            long as fewer than a thousand began on an average day: a key is never used for two epochs.
        now_ms: Cluster time.
    """
    return before + 1 if before is not None else now_ms // _DAY_MS << 10


def _remembered(directory: Path) -> int | None:
    try:
        text = (directory / _EPOCH_FILE).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 62 else None


def _remember(directory: Path, epoch: int) -> None:
    """Keep the number of the epoch; one that is lost is told anew to whoever connects."""
    draft = directory / f"{_EPOCH_FILE}.new"
    with contextlib.suppress(OSError):
        draft.write_text(f"{epoch}\n")
        draft.replace(directory / _EPOCH_FILE)
