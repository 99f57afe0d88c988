"""What happens to a node after it was admitted: removal, labels, availability, its lease, its Hello.

Application functions: deterministic over a connection and a command.
"""

from __future__ import annotations

import math
import sqlite3

from swarmlet.coordinator.store import queries, rows
from swarmlet.coordinator.store.apply_removal import remove
from swarmlet.coordinator.store.commands import (
    AllowHardware,
    LabelNode,
    NodeTransition,
    RemoveNode,
    SetAvailability,
    SuspectClone,
    UpdateNode,
)
from swarmlet.coordinator.store.effects import Effects
from swarmlet.errors import error
from swarmlet.model.membership import NodeState, may_follow


def remove_node(db: sqlite3.Connection, command: RemoveNode, effects: Effects) -> None:
    """Revoke a node, or let it go; removing a removed one changes nothing."""
    node = queries.node(db, command.node_uid)
    if node is None:
        raise error("SWL-605", name=command.node_uid)
    if command.block and node.profile.fingerprint is None:
        detail = f"{node.name} never told a hardware fingerprint, so its hardware cannot be blocked"
        raise error("SWL-608", detail=detail, hint=f"stratoswarm nodes rm {node.name}")
    state = NodeState.LEFT if command.left else NodeState.REVOKED
    reason = "left the cluster" if command.left else f"removed by {command.actor}"
    remove(db, effects, command.node_uid, at_ms=command.at_ms, state=state, reason=reason)
    if command.block and node.profile.fingerprint is not None:
        db.execute(
            "INSERT INTO blocked (fingerprint, node_uid) VALUES (?, ?) ON CONFLICT (fingerprint) DO NOTHING",
            (node.profile.fingerprint, command.node_uid),
        )
        effects.node(command.node_uid)


def allow_hardware(db: sqlite3.Connection, command: AllowHardware, effects: Effects) -> None:
    """Take back the block of a removed node's hardware; refused when there is none."""
    node = queries.node(db, command.node_uid)
    if node is None:
        raise error("SWL-605", name=command.node_uid)
    if not db.execute("DELETE FROM blocked WHERE fingerprint = ?", (node.profile.fingerprint,)).rowcount:
        hint = "a new token is enough: stratoswarm cluster create-join-token"
        raise error("SWL-608", detail=f"the hardware of {node.name} is not blocked", hint=hint)
    effects.node(command.node_uid)


def label_node(db: sqlite3.Connection, command: LabelNode, effects: Effects) -> None:
    """Set and remove labels, together."""
    _require_member(db, command.node_uid)
    row = db.execute("SELECT labels FROM node WHERE node_uid = ?", (command.node_uid,)).fetchone()
    before = rows.labels(row[0])
    merged = {**before, **command.labels}
    after = {name: value for name, value in sorted(merged.items()) if value is not None}
    if after != before:
        db.execute("UPDATE node SET labels = ? WHERE node_uid = ?", (rows.text(after), command.node_uid))
        effects.node(command.node_uid)


def set_availability(db: sqlite3.Connection, command: SetAvailability, effects: Effects) -> None:
    """Cordon, drain or reactivate a node."""
    _require_member(db, command.node_uid)
    changed = db.execute(
        "UPDATE node SET availability = ?1 WHERE node_uid = ?2 AND availability <> ?1",
        (command.availability.value, command.node_uid),
    )
    if changed.rowcount:
        effects.node(command.node_uid)


def node_transition(db: sqlite3.Connection, command: NodeTransition, effects: Effects) -> None:
    """Move a node to the state its lease tells, if that may follow; an illegal move names both states."""
    before = _require_member(db, command.node_uid)
    if before is command.state:
        return
    # Revocation is more than a state: it goes through RemoveNode, which also refuses the certificates.
    if command.state is NodeState.REVOKED or not may_follow(before, command.state):
        raise error(
            "SWL-608", detail=f"a node that is {before} cannot become {command.state}", hint="nodes inspect"
        )
    db.execute(
        "UPDATE node SET state = ?, state_since_ms = ?, state_reason = ? WHERE node_uid = ?",
        (command.state.value, command.at_ms, command.reason, command.node_uid),
    )
    effects.node(command.node_uid)


def update_node(db: sqlite3.Connection, command: UpdateNode, effects: Effects) -> None:
    """Take what a member said in its Hello; saying the same again changes nothing.

    One that claimed more than its token allows is recorded even so: an auditor wants to see every try (T8).
    """
    _require_member(db, command.node_uid)
    # JSON knows no NaN and no infinity: what is no number is no limit.
    limits = {name: value for name, value in command.limits.items() if math.isfinite(value)}
    changed = db.execute(
        """
        UPDATE node SET boot_id = ?1, version = ?2, profile = ?3, fingerprint = ?4, limits = ?5, seen = ?6
        WHERE node_uid = ?7 AND (boot_id, version, profile, limits, seen) <> (?1, ?2, ?3, ?5, ?6)
        """,
        (
            command.boot_id,
            command.version,
            rows.text(command.profile),
            command.profile.fingerprint,
            rows.text(limits),
            command.seen,
            command.node_uid,
        ),
    )
    if changed.rowcount or command.clamped:
        effects.node(command.node_uid)


def suspect_clone(db: sqlite3.Connection, command: SuspectClone, effects: Effects) -> None:
    """Change nothing but the log: the suspicion may be wrong, and an administrator judges it."""
    _require_member(db, command.node_uid)
    effects.touch()


def _require_member(db: sqlite3.Connection, node_uid: str) -> NodeState:
    """Return the state of a node that was not removed; refuse any other."""
    row = db.execute("SELECT state, removed_ms FROM node WHERE node_uid = ?", (node_uid,)).fetchone()
    if row is None:
        raise error("SWL-605", name=node_uid)
    if row[1] is not None:
        raise error("SWL-207")
    return NodeState(row[0])
