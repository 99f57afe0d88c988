"""The mesh of a node: starts the native part when the coordinator grants it, and keeps what it tells.

A shell: who is alive is decided in ``native/core/src/mesh``, what the coordinator's connection carries by the
agent. Whatever fails here is said and costs the node nothing but advice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from swarmlet import _native
from swarmlet.config.holders import holder_of
from swarmlet.link.events import Gossip, GossipBody
from swarmlet.link.messages import (
    MeshAnswer,
    MeshBody,
    MeshGrant,
    MeshHello,
    MeshMeasure,
    MeshMeasured,
    MeshWord,
)
from swarmlet.link.pieces import Assembly, pieces
from swarmlet.model.address import Address, parse_address
from swarmlet.model.mesh import MeshView

_log = logging.getLogger(__name__)

#: Events that are worth a line at the level info; the rest is for those who debug.
_TOLD = frozenset({"unreachable", "back", "no-udp", "udp", "twin", "expelled", "missed"})


class Place(NamedTuple):
    """Where this node gossips, and as whom.

    Attributes:
        node_uid: Its uid.
        cluster_id: Its cluster's id, hex.
        port: The UDP port.
        insisted: Whether somebody chose the port: then it is said when another is taken.
    """

    node_uid: str
    cluster_id: str
    port: int
    insisted: bool


class Gossiping:
    """The mesh of one agent.

    Args:
        engine: The native engine.
        place: Where, and as whom.
        say: Takes messages for the coordinator.
    """

    def __init__(
        self,
        engine: _native.Engine,
        place: Place,
        say: Callable[[tuple[MeshWord, ...]], None],
    ) -> None:
        self._mesh = _native.Mesh(engine)
        self._keys = _native.MeshKeys()
        self._place = place
        self._say = say
        self._assembly = Assembly()
        self._granted: MeshGrant | None = None
        #: Where it listens, ``ip:port``; ``None`` while it does not.
        self.address: str | None = None
        #: Why UDP does not reach this node; empty when it does, or nobody said.
        self.trouble = "the coordinator has not granted it yet"

    # ---- what the coordinator is told and tells

    def hello(self) -> MeshHello:
        """Return what asks for a grant; a new session begins with it."""
        self._assembly = Assembly()
        return MeshHello(self._keys.signing_key, self._keys.exchange_key)

    def told(self, message: MeshAnswer) -> None:
        """Take what the coordinator says."""
        if isinstance(message, MeshBody):
            body = self._assembly.take(message)
            if body is not None:
                self._mesh.body(0, body)
            return
        if isinstance(message, MeshMeasure):
            self._say((self._measured(message),))
            return
        try:
            self._take_grant(message)
        except (_native.NativeError, ValueError) as fault:
            self._granted, self.trouble = None, str(fault.args[-1])
            _log.warning("this node does not gossip: %s", self.trouble)

    def _measured(self, asked: MeshMeasure) -> MeshMeasured:
        found = next((one for one in self.members() if one.node_uid == str(UUID(bytes=asked.node))), None)
        return MeshMeasured(
            asked.number, "" if found is None else found.state, 0 if found is None else found.rtt_us
        )

    def _take_grant(self, grant: MeshGrant) -> None:
        before, self._granted = self._granted, grant
        node, cluster = UUID(self._place.node_uid).bytes, bytes.fromhex(self._place.cluster_id)
        if before is not None and self.address is not None and _same_terms(before, grant):
            self._mesh.refresh(self._keys, node, cluster, grant.grant, grant.exchange, grant.time_ms)
            return
        if before is not None:
            # Others know the old keys with the old address; a new process is what they expect.
            self._mesh.stop()
        self.address = self._mesh.join(
            self._keys,
            node=node,
            cluster_id=cluster,
            grant=grant.grant,
            coordinator=(grant.signing, grant.exchange),
            address=str(Address(grant.host, self._place.port)),
            movable=True,
            cluster_ms=grant.time_ms,
            probe_ms=grant.probe_ms,
        )
        if self.address is None:
            self.trouble = (
                f"the cluster sees this node at {grant.host}, which is no address of this device (NAT?)"
            )
            _log.info("members cannot reach this node by UDP: %s", self.trouble)
            return
        self.trouble = ""
        port = parse_address(self.address).port
        _log.info("gossiping", extra={"address": self.address})
        if self._place.insisted and port != self._place.port:
            taken = f"UDP port {self._place.port} is taken{holder_of(self._place.port, udp=True)}"
            _log.warning("%s; members reach this node at %d instead", taken, port)

    # ---- what the mesh tells

    def happened(self, event: Gossip | GossipBody) -> None:
        """Take what the native part tells."""
        if isinstance(event, GossipBody):
            self._say(tuple(pieces(event.body)))
            return
        if event.what == "no-udp":
            self.trouble = "nobody answers by UDP: a firewall or a router lets none through"
        elif event.what == "udp":
            self.trouble = ""
        # What the coordinator declared it also logs; a newcomer hears it of everyone who is down.
        known = event.why == "coordinator"
        level = logging.INFO if event.what in _TOLD and not known else logging.DEBUG
        extra = {"about": event.about, "why": event.why}
        if event.what == "event":
            level, extra = logging.INFO, {"from": event.about, "text": event.detail.decode(errors="replace")}
        _log.log(level, "the mesh tells: %s", event.what, extra=extra)

    def members(self) -> tuple[MeshView, ...]:
        """Return everybody this node knows of, itself first."""
        return tuple(map(MeshView.of, self._mesh.members()))

    def leave(self) -> None:
        """Say goodbye to the others."""
        self._mesh.leave()


def _same_terms(before: MeshGrant, after: MeshGrant) -> bool:
    """Say whether a grant only brings other epochs."""
    return (before.signing, before.exchange, before.host, before.probe_ms) == (
        after.signing,
        after.exchange,
        after.host,
        after.probe_ms,
    )
