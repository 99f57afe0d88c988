"""What the coordinator does with each message, and which connection speaks for which node.

A shell: it asks the pure parts what a message means, lets the ledger put it on disk, and answers after
that. A node has one voice: when it comes back on another connection, the older one is told to go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from swarmlet.clock import Clock
from swarmlet.coordinator.clones import Clones
from swarmlet.coordinator.connections import Handler, Peer, Wire, node_bytes
from swarmlet.coordinator.dispatcher import wanted
from swarmlet.coordinator.ledger import Ledger
from swarmlet.coordinator.limiter import Pace, Rate
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.registry import ACTOR, Registry
from swarmlet.coordinator.relay import BrokenStreamError, Relay, Stream
from swarmlet.coordinator.session import Phase, confirms_next, plain_serial
from swarmlet.coordinator.store.api import Result
from swarmlet.coordinator.store.commands import (
    AnyCommand,
    ConfirmCertificate,
    RemoveNode,
    ReportObserved,
    SuspectClone,
    UpdateNode,
)
from swarmlet.errors import SwarmletError
from swarmlet.link import messages as m
from swarmlet.model.health import Reading
from swarmlet.model.membership import NodeState
from swarmlet.model.records import NodeRecord
from swarmlet.model.workload import Observation

logger = logging.getLogger(__name__)

#: Bytes that one member may have recorded a second, and at once. A node of a thousand crashing replicas needs
#: less; whoever needs more waits, so that a week of the log stays below five gigabytes a node at the worst.
RECORDED = Rate(8192.0, 4 * 1024 * 1024.0)
#: Longest wait before one message, in seconds; messages behind it wait too, and too many of them end it.
MOST_WAIT_S = 60.0

#: The coordinator's own trouble with its disk: not writable, full, too slow.
_DISK = frozenset({"SWL-301", "SWL-302", "SWL-205"})

_encoder = msgspec.msgpack.Encoder()


class Terms(NamedTuple):
    """How long heartbeats and leases of nodes are, in milliseconds."""

    heartbeat_ms: int = 5000
    lease_ms: int = 15_000


class Door(Protocol):
    """Decides who comes in and who stays; issues certificates."""

    async def join(self, request: m.JoinRequest, exporter: bytes, seen: str) -> m.Admitted | m.Refused:
        """Answer a request for admission, durably."""
        ...

    async def renew(self, node: NodeRecord, request: m.RenewRequest) -> m.Renewed | m.Refused:
        """Answer a member's request for a new certificate, durably."""
        ...

    def updated(self, node: NodeRecord, hello: m.Hello, seen: str) -> UpdateNode:
        """Return what is recorded of a member's hello, within the ceiling of its token (T8)."""
        ...

    def settings(self) -> m.Settings:
        """Return what members need to know of the cluster."""
        ...


class World(NamedTuple):
    """What the members' shell works with."""

    wire: Wire
    picture: Picture
    ledger: Ledger
    registry: Registry
    door: Door
    clock: Clock
    terms: Terms = Terms()


class Members:
    """The members that are connected, and what they say."""

    def __init__(self, world: World) -> None:
        self._wire = world.wire
        self._picture = world.picture
        self._ledger = world.ledger
        self._registry = world.registry
        self._door = world.door
        self._clock = world.clock
        self._terms = world.terms
        self._voices: dict[str, Peer] = {}
        self._pace = Pace(RECORDED)
        self._clones = Clones()
        self._stopping = asyncio.Event()
        self._removed: list[Callable[[list[str], bool], None]] = []
        world.ledger.on_denied(self._denied)
        world.ledger.on_changed(self._changed)

    def on_removed(self, tell: Callable[[list[str], bool], None]) -> None:
        """Call ``tell`` with nodes that are members no more, and whether they left by themselves."""
        self._removed.append(tell)

    def speaking(self) -> Mapping[str, Peer]:
        """Return the connections that speak for members, by uid."""
        return self._voices

    @property
    def handlers(self) -> Mapping[type, Handler]:
        """What is done with each message that ``session.py`` lets through."""
        return {
            m.JoinRequest: self._join,
            m.Hello: self._hello,
            m.Observed: self._observed,
            m.Resync: self._resync,
            m.RenewRequest: self._renew,
            m.Leave: self._leave,
            m.Goodbye: self._goodbye,
            m.StreamClose: self._stream_close,
            m.Problem: self._problem,
        }

    # ---- messages

    async def _join(self, peer: Peer, request: m.JoinRequest) -> None:
        answer = await self._door.join(request, peer.exporter, peer.seen)
        peer.send(answer)
        if isinstance(answer, m.Admitted):
            logger.info("a node was admitted", extra={"node": answer.name, "peer": peer.seen})
        else:
            logger.warning("a join was refused", extra={"code": answer.code, "peer": peer.seen})
            peer.hang_up("closed")

    async def _hello(self, peer: Peer, hello: m.Hello) -> None:
        node = self._picture.nodes[peer.node_uid]
        if hello.protocol != m.PROTOCOL_VERSION:
            self._refuse_version(peer, hello.protocol)
            return
        taken = await self._take_news(peer, node, hello)
        if peer.phase is not Phase.MEMBER:
            return
        # The new connection speaks before the old certificate ends: a renewal is no absence.
        replaced = self._take_voice(peer)
        await self._confirm(peer)
        await self._watch(peer, hello, replaced=replaced)
        node = self._picture.nodes[peer.node_uid]
        peer.send(m.Welcome(node.name, self._door.settings(), self._clock.wall_ms()))
        peer.welcomed = True
        if taken:
            peer.send(m.ObservedAck(taken))
        self._tell(peer)

    async def _confirm(self, peer: Peer) -> None:
        """Let the certificate before this one end, once this one is in use (C4)."""
        node = self._picture.nodes[peer.node_uid]
        if peer.certificate is not None and confirms_next(peer.certificate, node):
            await self._ledger.apply(
                ConfirmCertificate(
                    at_ms=self._clock.wall_ms(),
                    actor=_actor(node),
                    node_uid=node.node_uid,
                    serial=node.next_serial or "",
                )
            )

    def _refuse_version(self, peer: Peer, theirs: int) -> None:
        """Tell a member of another version why it cannot be talked to, and let administrators see it too."""
        ours = m.PROTOCOL_VERSION
        fields = {"address": "", "theirs": str(ours), "ours": str(theirs)}
        why = f"it speaks protocol version {theirs}, the coordinator {ours}: update the older of the two"
        logger.warning("a node of another version was refused", extra={"node": peer.node_uid, "why": why})
        peer.send(m.Refused("SWL-208", fields, self._clock.wall_ms(), peer.seen))
        self._registry.closed(peer.node_uid, why)
        peer.hang_up("protocol-version")

    async def _watch(self, peer: Peer, hello: m.Hello, *, replaced: bool) -> None:
        """Record it when two devices seem to speak with one identity (C5); both are served meanwhile."""
        now = self._clock.boot()
        why = self._clones.greeted(peer.node_uid, hello.boot_id, replaced=replaced, now=now)
        if why is None:
            return
        logger.error("two devices speak with one identity", extra={"node": peer.node_uid, "why": why})
        with contextlib.suppress(SwarmletError):  # the log has it
            await self._ledger.apply(
                SuspectClone(at_ms=self._clock.wall_ms(), actor=ACTOR, node_uid=peer.node_uid, why=why)
            )

    def suspicions(self) -> dict[str, str]:
        """Return the nodes as which two devices seem to speak, and what gave them away."""
        return self._clones.suspected(self._clock.boot())

    async def _take_news(
        self, peer: Peer, node: NodeRecord, hello: m.Hello
    ) -> tuple[tuple[str, int, int], ...]:
        """Record what a hello says; a disk that takes nothing now must not cost the node its lease (N9).

        What was not recorded is not acknowledged, so that the node sends it again.
        """
        try:
            await self._record(peer, self._door.updated(node, hello, peer.seen))
            return await self._report(peer, hello.observed)
        except SwarmletError as failure:
            if failure.code not in _DISK:
                raise
            extra = {"node": node.node_uid, "code": failure.code}
            logger.warning("a node is welcomed although nothing can be recorded", extra=extra)
            return ()

    async def _observed(self, peer: Peer, message: m.Observed) -> None:
        peer.send(m.ObservedAck(await self._report(peer, message.observations)))

    async def _report(
        self, peer: Peer, observations: tuple[Observation, ...]
    ) -> tuple[tuple[str, int, int], ...]:
        """Record observations; return those that need no sending again."""
        if not observations:
            return ()
        result = await self._record(
            peer,
            ReportObserved(
                at_ms=self._clock.wall_ms(),
                actor=f"node:{peer.node_uid}",
                node_uid=peer.node_uid,
                observations=observations,
            ),
        )
        return result.taken

    async def _record(self, peer: Peer, command: UpdateNode | ReportObserved) -> Result:
        """Record what a member says of itself; one that says far too much waits, so that it fills no disk."""
        wait_s = self._pace.wait_s(peer.node_uid, self._clock.boot())
        if wait_s > 0:
            logger.warning("a node says too much", extra={"node": peer.node_uid, "wait_s": round(wait_s, 1)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, MOST_WAIT_S)):
                    await self._stopping.wait()
        result = await self._ledger.apply(command)
        if result.changed:
            self._pace.recorded(peer.node_uid, len(_encoder.encode(command)), self._clock.boot())
        return result

    async def _resync(self, peer: Peer, _message: m.Resync) -> None:
        peer.dispatch.restart()
        self._tell(peer)

    async def _renew(self, peer: Peer, request: m.RenewRequest) -> None:
        peer.send(await self._door.renew(self._picture.nodes[peer.node_uid], request))

    async def _leave(self, peer: Peer, _message: m.Leave) -> None:
        await self._ledger.apply(
            RemoveNode(
                at_ms=self._clock.wall_ms(), actor=f"node:{peer.node_uid}", node_uid=peer.node_uid, left=True
            )
        )
        peer.hang_up("left")

    async def _goodbye(self, peer: Peer, message: m.Goodbye) -> None:
        self._registry.closed(peer.node_uid, f"it said goodbye: {message.reason[:40]}")
        peer.hang_up("closed")

    async def _stream_close(self, peer: Peer, message: m.StreamClose) -> None:
        if peer.relay is not None:
            peer.relay.closed(message)

    async def _problem(self, peer: Peer, message: m.Problem) -> None:
        extra = {"node": peer.node_uid, "code": message.code[:16], "about": message.about[:80]}
        logger.warning("a node could not take a message", extra=extra)

    # ---- which connection speaks for a node

    def _take_voice(self, peer: Peer) -> bool:
        """Let a connection speak for its node; the older one ends after that, so that nobody is missed.

        Returns:
            Whether it replaced a connection that was well, and not to renew.
        """
        older = self._voices.get(peer.node_uid)
        (heard,) = self._wire.readings([node_bytes(peer.node_uid)])
        self._voices[peer.node_uid] = peer
        self._registry.opened(peer.node_uid)
        if older is not None and older is not peer:
            if older.relay is not None:
                older.relay.close()
            # It has to be said first: whoever is displaced is closed by the engine at the admission.
            older.send(m.Goodbye("superseded"))
        self._wire.admit(peer.conn, node_bytes(peer.node_uid), self._terms.heartbeat_ms, self._terms.lease_ms)
        if older is None or older is peer:
            return False
        older.hang_up("superseded")
        well = heard is not None and heard[0] <= self._terms.heartbeat_ms
        return well and older.certificate == peer.certificate

    def closed(self, peer: Peer, reason: str) -> None:
        """A connection ended."""
        if peer.relay is not None:
            peer.relay.close()
        if peer.node_uid and self._voices.get(peer.node_uid) is peer:
            del self._voices[peer.node_uid]
            self._registry.closed(peer.node_uid, reason)

    def drained(self, peer: Peer) -> None:
        """A connection has room again."""
        if peer.relay is not None:
            peer.relay.drained()
        self._tell(peer)

    def say_goodbye(self) -> None:
        """The coordinator stops: nodes need not wonder, and nobody waits any more."""
        self._stopping.set()
        for peer in list(self._voices.values()):
            peer.send(m.Goodbye("shutdown"))

    # ---- what follows from a command

    def _denied(self, command: AnyCommand, result: Result) -> None:
        """Tell whoever loses its certificate, then have it cut at once (C7)."""
        reason = "revoked"
        if isinstance(command, ConfirmCertificate):
            reason = "superseded"
        elif isinstance(command, RemoveNode) and command.left:
            reason = "left"
        denied = {plain_serial(serial) for serial in result.denied}
        for node_uid in result.nodes:
            peer = self._voices.get(node_uid)
            if peer is not None and peer.certificate is not None and peer.certificate.serial in denied:
                peer.end(reason)
        self._wire.deny([bytes.fromhex(serial) for serial in result.denied])
        removed = self._removed_by(command, result, denied)
        for node_uid in removed:
            self._registry.removed(node_uid, self._clock.boot())
            self._wire.forget(node_bytes(node_uid))
        for tell in self._removed if removed else ():
            tell(removed, reason == "left")

    def _removed_by(self, command: AnyCommand, result: Result, denied: set[str]) -> list[str]:
        """Return the nodes that lost the certificate they had, as the picture still knows it."""
        if isinstance(command, ConfirmCertificate):
            return []
        known = ((node_uid, self._picture.nodes.get(node_uid)) for node_uid in result.nodes)
        return [uid for uid, row in known if row is not None and plain_serial(row.serial) in denied]

    def _changed(self, _command: AnyCommand, result: Result) -> None:
        if result.forgiven:
            self._wire.forgive([bytes.fromhex(serial) for serial in result.forgiven])
        for node_uid in {*result.generations, *result.nodes}:
            peer = self._voices.get(node_uid)
            # A node's row alone matters to one that is still owed its first snapshot.
            if peer is not None and (node_uid in result.generations or peer.dispatch.generation is None):
                self._tell(peer)

    def _tell(self, peer: Peer) -> None:
        """Bring a node up to what it should know, as far as its connection has room.

        A node that came back is told nothing until the disk says so: until then a plan under way may give its
        work to another node, and without a snapshot it begins nothing that may not run twice (N4).
        """
        if not peer.welcomed or peer.phase is not Phase.MEMBER:
            return
        if self._picture.nodes[peer.node_uid].state is NodeState.DOWN:
            return
        now = wanted(self._picture, peer.node_uid, self._clock.wall_ms())
        if all(peer.send(message) for message in peer.dispatch.messages(now)):
            peer.dispatch.told(now)
        else:
            # Some of it did not fit; once there is room everything is told anew.
            peer.dispatch.restart()

    # ---- what the API asks

    def heartbeats(self, nodes: Sequence[str]) -> dict[str, tuple[int, Reading]]:
        """Return age in milliseconds and reading of each node's last heartbeat, where there is one."""
        found = self._wire.readings([node_bytes(node) for node in nodes])
        return {
            node: (one[0], Reading(*one[1]))
            for node, one in zip(nodes, found, strict=True)
            if one is not None
        }

    @contextlib.contextmanager
    def logs(self, node_uid: str, assignment_id: str, *, follow: bool, tail: int | None) -> Iterator[Stream]:
        """Open the output of a replica; see :meth:`swarmlet.coordinator.relay.Relay.logs`.

        Raises:
            BrokenStreamError: The node is not connected or cannot be asked now.
        """
        peer = self._voices.get(node_uid)
        if peer is None or not peer.welcomed:
            raise BrokenStreamError("the node is not connected")
        if peer.relay is None:
            peer.relay = Relay(peer)
        with peer.relay.logs(assignment_id, follow=follow, tail=tail) as stream:
            yield stream


def _actor(node: NodeRecord) -> str:
    return f"node:{node.node_uid}"
