"""The end of a node: its name freed, its certificates refused, its assignments ended.

Shared by everything that ends one: an administrator, the node itself, a revoked token, a twin that takes its
place. Deterministic over a connection and its arguments.
"""

from __future__ import annotations

import sqlite3

from swarmlet.coordinator.store import names
from swarmlet.coordinator.store.effects import Effects
from swarmlet.coordinator.store.laws import REMOVED_GRACE_MS
from swarmlet.model.membership import NodeState
from swarmlet.model.workload import AssignmentState


def remove(  # noqa: PLR0913 - one value per thing that is recorded
    db: sqlite3.Connection, effects: Effects, node_uid: str, *, at_ms: int, state: NodeState, reason: str
) -> bool:
    """Remove a node for good.

    Args:
        db: The store.
        effects: Told what changed.
        node_uid: Which node.
        at_ms: When.
        state: ``LEFT`` or ``REVOKED``.
        reason: Why, for people.

    Returns:
        False when there is no such node or it was removed before.
    """
    row = db.execute(
        "SELECT name_key FROM node WHERE node_uid = ? AND removed_ms IS NULL", (node_uid,)
    ).fetchone()
    if row is None:
        return False
    db.execute(
        """
        UPDATE node SET state = ?, state_since_ms = ?, state_reason = ?, removed_ms = ?2, name_key = NULL,
            next_serial = NULL
        WHERE node_uid = ?
        """,
        (state.value, at_ms, reason, node_uid),
    )
    names.release(db, row[0])
    effects.node(node_uid)
    _deny_all(db, node_uid, effects)
    _end_assignments(db, effects, node_uid, at_ms, reason)
    return True


def _deny_all(db: sqlite3.Connection, node_uid: str, effects: Effects) -> None:
    """Refuse every certificate the node ever had, for as long as one might still be shown."""
    certificates = db.execute(
        "SELECT serial, not_after_ms FROM certificate WHERE node_uid = ? ORDER BY serial", (node_uid,)
    ).fetchall()
    for serial, not_after_ms in certificates:
        deny(db, serial, not_after_ms + REMOVED_GRACE_MS, effects)
    db.execute("DELETE FROM certificate WHERE node_uid = ?", (node_uid,))


def deny(db: sqlite3.Connection, serial: str, until_ms: int, effects: Effects) -> None:
    """Refuse one certificate until ``until_ms``."""
    db.execute(
        """
        INSERT INTO denied (serial, until_ms) VALUES (?, ?)
        ON CONFLICT (serial) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)
        """,
        (serial, until_ms),
    )
    effects.deny(serial)


def forgive(db: sqlite3.Connection, effects: Effects, at_ms: int) -> None:
    """Refuse no more by name what expired so long ago that nobody could show it any more."""
    over = db.execute("SELECT serial FROM denied WHERE until_ms < ? ORDER BY serial", (at_ms,)).fetchall()
    for (serial,) in over:
        effects.forgive(serial)
    db.execute("DELETE FROM denied WHERE until_ms < ?", (at_ms,))


def _end_assignments(
    db: sqlite3.Connection, effects: Effects, node_uid: str, at_ms: int, reason: str
) -> None:
    """End what still ran on the node: stopped where that was asked for, else lost, to be placed anew."""
    live = db.execute(
        "SELECT assignment_id, stop FROM assignment WHERE node_uid = ? AND ended = 0 ORDER BY assignment_id",
        (node_uid,),
    ).fetchall()
    for assignment_id, stop in live:
        state = AssignmentState.STOPPED if stop else AssignmentState.LOST
        end(db, effects, assignment_id, state=state, at_ms=at_ms, reason=reason)


def end(  # noqa: PLR0913 - one value per thing that is recorded
    db: sqlite3.Connection,
    effects: Effects,
    assignment_id: str,
    *,
    state: AssignmentState,
    at_ms: int,
    reason: str,
) -> None:
    """End one live assignment by the cluster's own decision."""
    (node_uid,) = db.execute(
        """
        UPDATE assignment SET state = ?, ended = 1, state_since_ms = ?, reason = ?
        WHERE assignment_id = ? RETURNING node_uid
        """,
        (state.value, at_ms, reason, assignment_id),
    ).fetchone()
    effects.assignment(assignment_id, node_uid, desired=True)
