"""What a node's lease means for its state. Pure: lease transitions in, commands with a readable reason out.

The native engine keeps the leases and tells transitions only: ``joined``, ``suspect``, ``lost``, ``back``.
The stored state says what was acknowledged; this file says which transition follows. A transition that the
law of ``model.membership`` forbids (a removed node that still talks) gives no command.

After a restart nobody has heard from anyone: every node that was ready becomes suspect, for one lease.
Seconds here are on the boot clock, which a change of the wall clock does not move.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from swarmlet.coordinator.brake import Brake, Suspension
from swarmlet.coordinator.store.commands import NodeTransition
from swarmlet.model.membership import NodeState, may_follow
from swarmlet.model.records import NodeRecord

ACTOR = "coordinator"

#: Which state each transition of the engine means.
STATE_OF = {
    "joined": NodeState.READY,
    "back": NodeState.READY,
    "suspect": NodeState.SUSPECT,
    "lost": NodeState.DOWN,
}
_LEASED = frozenset({NodeState.READY, NodeState.SUSPECT})


class Told(NamedTuple):
    """What the engine told last of a node, as a transition, and for how long that has been so."""

    change: str
    age_ms: int


class Registry:
    """Lease states since this coordinator started, in memory; the store has what outlives it."""

    def __init__(self, lease_ms: int) -> None:
        self.lease_s = lease_ms / 1000
        self._present: set[str] = set()
        self._away: dict[str, float] = {}
        self._down: dict[str, float] = {}
        self._removed: dict[str, float] = {}
        self._endings: dict[str, str] = {}
        self._brake = Brake()

    # ---- what happens

    def restart(
        self, nodes: Iterable[NodeRecord], now: float, at_ms: int
    ) -> tuple[list[NodeTransition], list[str]]:
        """Take the stored nodes at start.

        Returns:
            Transitions to apply, and the nodes whose lease is to be expected.
        """
        transitions: list[NodeTransition] = []
        expected: list[str] = []
        for node in nodes:
            if node.state not in _LEASED:
                continue
            expected.append(node.node_uid)
            self._away[node.node_uid] = now
            if node.state is NodeState.READY:
                reason = "the coordinator restarted and waits for the node to come back"
                transitions.append(_transition(node, NodeState.SUSPECT, reason, at_ms))
        return transitions, expected

    def lease(
        self, node: NodeRecord, change: str, age_ms: int, now: float, at_ms: int
    ) -> NodeTransition | None:
        """Take a transition of the engine.

        Args:
            node: The node's row as stored.
            change: ``joined``, ``suspect``, ``lost`` or ``back``.
            age_ms: Milliseconds since its last heartbeat.
            now: Seconds on the boot clock.
            at_ms: Unix milliseconds, for the record.

        Returns:
            The command to apply, or ``None`` when the state stays.
        """
        state = STATE_OF.get(change)
        # A removed node is not missed, though its row may not say yet that it was removed.
        if state is None or node.state is NodeState.REVOKED or node.node_uid in self._removed:
            return None
        self._note(node.node_uid, state, now)
        if node.state is state or not may_follow(node.state, state):
            return None
        return _transition(node, state, self._reason(node, change, age_ms), at_ms)

    def closed(self, node_uid: str, reason: str) -> None:
        """Remember how a member's connection ended, to tell it with the transition that follows."""
        self._endings[node_uid] = reason

    def opened(self, node_uid: str) -> None:
        """A member's connection is there again."""
        self._endings.pop(node_uid, None)

    def removed(self, node_uid: str, now: float) -> None:
        """The node left or was removed: it is not missed, but it may go on for a while."""
        self._present.discard(node_uid)
        self._back(node_uid)
        self._removed[node_uid] = now

    # ---- what follows

    @property
    def present(self) -> AbstractSet[str]:
        """The nodes that hold their lease, as the engine told; the disk follows a moment later."""
        return self._present

    def told(self, node_uid: str, now: float) -> Told | None:
        """Return what the engine told last of a node; ``None`` when it told nothing, or it was removed."""
        if node_uid in self._present:
            return Told("back", 0)
        if node_uid not in self._away:
            return None
        age_ms = int((now - self._away[node_uid]) * 1000)
        return Told("lost" if node_uid in self._down else "suspect", age_ms)

    def gone_s(self, now: float) -> dict[str, float]:
        """Return for how many seconds each node has been without a lease, or removed."""
        return {node: now - since for node, since in (self._down | self._removed).items()}

    def suspended(self, now: float) -> Suspension | None:
        """Return why reassignment is suspended (N6), if it is."""
        return self._brake.update(now, len(self._present), self._away, self._down)

    def _back(self, node_uid: str) -> None:
        for table in (self._away, self._down, self._endings):
            table.pop(node_uid, None)

    def _note(self, node_uid: str, state: NodeState, now: float) -> None:
        if state is NodeState.READY:
            self._back(node_uid)
            self._present.add(node_uid)
            return
        self._present.discard(node_uid)
        self._away.setdefault(node_uid, now)
        if state is NodeState.DOWN:
            self._down.setdefault(node_uid, now)

    def _reason(self, node: NodeRecord, change: str, age_ms: int) -> str:
        age = f"{age_ms / 1000:.0f} s"
        ending = self._endings.get(node.node_uid)
        if change == "suspect":
            return f"its connection ended ({ending})" if ending else f"no heartbeat for {age}"
        if change == "lost":
            how = f"its connection ended ({ending}) and " if ending else ""
            return f"{how}no heartbeat came for {age}: its lease of {self.lease_s:g} s lapsed"
        if node.state is NodeState.JOINED:
            return "it connected with its certificate"
        return f"it is back after being {node.state}"


def _transition(node: NodeRecord, state: NodeState, reason: str, at_ms: int) -> NodeTransition:
    return NodeTransition(at_ms=at_ms, actor=ACTOR, node_uid=node.node_uid, state=state, reason=reason)
