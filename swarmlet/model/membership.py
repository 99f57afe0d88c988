"""What the cluster knows of a node's membership: state, availability and their laws."""

from __future__ import annotations

import enum


class NodeState(enum.StrEnum):
    """Where a node is in its life, as its lease tells."""

    JOINED = "joined"  # admitted, has not connected with its certificate yet
    READY = "ready"  # holds its lease
    SUSPECT = "suspect"  # heartbeats are late or the connection is gone; the lease still holds
    DOWN = "down"  # the lease lapsed
    LEFT = "left"  # said goodbye
    REVOKED = "revoked"  # removed by an administrator; its certificates are refused


#: For good: whoever left or was removed joins again as a new node.
PAST = frozenset({NodeState.LEFT, NodeState.REVOKED})


class Availability(enum.StrEnum):
    """Whether an administrator lets a node take work."""

    ACTIVE = "active"
    CORDONED = "cordoned"
    DRAINING = "draining"


#: Which state may follow which. REVOKED is final: a removed node comes back as a new one.
NEXT_STATES: dict[NodeState, frozenset[NodeState]] = {
    NodeState.JOINED: frozenset({NodeState.READY, NodeState.DOWN, NodeState.LEFT, NodeState.REVOKED}),
    NodeState.READY: frozenset({NodeState.SUSPECT, NodeState.DOWN, NodeState.LEFT, NodeState.REVOKED}),
    NodeState.SUSPECT: frozenset({NodeState.READY, NodeState.DOWN, NodeState.LEFT, NodeState.REVOKED}),
    NodeState.DOWN: frozenset({NodeState.READY, NodeState.LEFT, NodeState.REVOKED}),
    NodeState.LEFT: frozenset({NodeState.READY, NodeState.REVOKED}),
    NodeState.REVOKED: frozenset(),
}


def may_follow(before: NodeState, after: NodeState) -> bool:
    """Say whether a node in state ``before`` may enter state ``after``."""
    return after in NEXT_STATES[before]
