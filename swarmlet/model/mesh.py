"""What the mesh knows of a member, and what that adds to what its lease says. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple
from uuid import UUID

from swarmlet.model.membership import NodeState

Gossiped = Literal["alive", "suspect", "unreachable", "left", "gone"]


class MeshView(NamedTuple):
    """One member as one node's mesh knows it.

    Attributes:
        node_uid: Who; the coordinator's is the cluster's id.
        state: How.
        why: Who said so: itself, members, coordinator.
        age_ms: For how long, in milliseconds.
        address: Where, ``ip:port``.
        udp: Whether UDP reaches it; when not, nobody probes it.
        rtt_us: Smoothed round trip from the node that tells, in microseconds; 0 when never measured.
    """

    node_uid: str
    state: Gossiped
    why: str
    age_ms: int
    address: str
    udp: bool
    rtt_us: int

    @staticmethod
    def of(row: tuple[bytes, str, str, int, str, bool, int]) -> MeshView:
        """Return it from what the native part tells."""
        uid, state, why, age_ms, address, udp, rtt_us = row
        return MeshView(str(UUID(bytes=uid)), state, why, age_ms, address, udp, rtt_us)  # type: ignore[arg-type]


#: States in which the lease does not say that a node is well.
_MISSED = frozenset({NodeState.SUSPECT, NodeState.DOWN})


def what_peers_say(state: NodeState, peers: MeshView | None) -> str:
    """Return what the mesh adds to a node's state, for people; empty when it says the same or nothing.

    Args:
        state: What its lease says; it alone decides what the node may run (G5).
        peers: What the coordinator's mesh knows of it; ``None`` when nothing.
    """
    if peers is None or not peers.udp:
        return ""
    if state in _MISSED and peers.state == "alive":
        return "its peers reach it: it is alive and cut off from the coordinator"
    if state is NodeState.READY and peers.state == "unreachable":
        return "its peers do not reach it by UDP, its connection is well"
    return ""
