"""Workloads and assignments: what is asked, where it is placed, what was observed.

Application functions: deterministic over a connection and a command. A node's generation grows with every
change of the set of assignments that have not ended, or of their ``stop``.
"""

from __future__ import annotations

import sqlite3

from swarmlet.coordinator.store import queries, rows
from swarmlet.coordinator.store.apply_removal import end
from swarmlet.coordinator.store.commands import (
    Place,
    PlanAssignments,
    ReportObserved,
    StopWorkload,
    SubmitWorkload,
)
from swarmlet.coordinator.store.effects import Effects
from swarmlet.errors import SwarmletError, error
from swarmlet.model.membership import NodeState
from swarmlet.model.records import AssignmentRecord
from swarmlet.model.workload import TERMINAL, AssignmentState, Observation, may_advance

#: A node in one of these may run what it was given.
_LEASED = frozenset({NodeState.READY, NodeState.SUSPECT})


def submit_workload(db: sqlite3.Connection, command: SubmitWorkload, effects: Effects) -> None:
    """Take a workload, unless one of that name is still wanted."""
    name = command.spec.name
    same = db.execute("SELECT workload_id, spec FROM workload WHERE name = ? AND stopping = 0", (name,))
    if any(not is_over(db, workload_id, spec) for workload_id, spec in same.fetchall()):
        raise error("SWL-505", name=name)
    db.execute(
        "INSERT INTO workload (workload_id, name, spec, created_ms, created_by) VALUES (?, ?, ?, ?, ?)",
        (command.workload_id, name, rows.text(command.spec), command.at_ms, command.actor),
    )
    effects.workload(command.workload_id)


def is_over(db: sqlite3.Connection, workload_id: str, spec: str) -> bool:
    """Say whether every replica's newest assignment came to an end of its own."""
    over = db.execute(
        """
        SELECT count(*) FROM assignment JOIN replica USING (workload_id, replica, epoch)
        WHERE workload_id = ? AND state IN ('succeeded', 'failed', 'stopped')
        """,
        (workload_id,),
    ).fetchone()
    return int(over[0]) >= rows.spec(spec).replicas


def stop_workload(db: sqlite3.Connection, command: StopWorkload, effects: Effects) -> None:
    """Want a workload no more, and ask every node that still has some of it to stop."""
    if queries.workload(db, command.workload_id) is None:
        raise error("SWL-504", name=command.workload_id)
    changed = db.execute(
        "UPDATE workload SET stopping = 1, pending_reason = '' WHERE workload_id = ? AND stopping = 0",
        (command.workload_id,),
    )
    if changed.rowcount:
        effects.workload(command.workload_id)
    live = queries.assignments(db, node_uid=None, workload_id=command.workload_id, live=True)
    for assignment in live:
        _stop(db, assignment, effects)


def plan_assignments(db: sqlite3.Connection, command: PlanAssignments, effects: Effects) -> None:
    """Take the scheduler's decisions, all or none."""
    for assignment_id in command.lose:
        _lose(db, _require_assignment(db, assignment_id), command.at_ms, effects)
    for assignment_id in command.stop:
        _stop(db, _require_assignment(db, assignment_id), effects)
    for place in command.place:
        _place(db, place, command.at_ms, effects)
    for workload_id, reason in sorted(command.pending.items()):
        _explain(db, workload_id, reason, effects)


def _lose(db: sqlite3.Connection, assignment: AssignmentRecord, at_ms: int, effects: Effects) -> None:
    """Give an assignment up with its node, unless that node came back since the plan was made (N4)."""
    if assignment.state in TERMINAL:
        return
    (state,) = db.execute("SELECT state FROM node WHERE node_uid = ?", (assignment.node_uid,)).fetchone()
    if NodeState(state) in _LEASED:
        detail = f"{assignment.assignment_id} cannot be given up: its node is {state}"
        raise error("SWL-608", detail=detail, hint="plan again")
    end(
        db,
        effects,
        assignment.assignment_id,
        state=AssignmentState.LOST,
        at_ms=at_ms,
        reason="the node's lease lapsed",
    )


def _place(db: sqlite3.Connection, place: Place, at_ms: int, effects: Effects) -> None:
    workload = queries.workload(db, place.workload_id)
    if workload is None or workload.stopping:
        raise _not_placed(place, "its workload is not wanted any more")
    node = db.execute("SELECT removed_ms FROM node WHERE node_uid = ?", (place.node_uid,)).fetchone()
    if node is None or node[0] is not None:
        raise _not_placed(place, "the node is no member")
    newest = queries.epoch(db, place.workload_id, place.replica)
    if place.epoch <= newest:
        raise _not_placed(place, f"epoch {place.epoch} does not follow {newest}")
    db.execute(
        """
        INSERT INTO replica (workload_id, replica, epoch) VALUES (?, ?, ?)
        ON CONFLICT (workload_id, replica) DO UPDATE SET epoch = excluded.epoch
        """,
        (place.workload_id, place.replica, place.epoch),
    )
    db.execute(
        """
        INSERT INTO assignment
            (assignment_id, workload_id, replica, epoch, node_uid, state, state_since_ms, created_ms)
        VALUES (?1, ?2, ?3, ?4, ?5, 'assigned', ?6, ?6)
        """,
        (place.assignment_id, place.workload_id, place.replica, place.epoch, place.node_uid, at_ms),
    )
    effects.assignment(place.assignment_id, place.node_uid, desired=True)


def _not_placed(place: Place, why: str) -> SwarmletError:
    detail = f"replica {place.replica} of {place.workload_id} cannot be placed: {why}"
    return error("SWL-608", detail=detail, hint="plan again")


def _stop(db: sqlite3.Connection, assignment: AssignmentRecord, effects: Effects) -> None:
    if assignment.stop or assignment.state in TERMINAL:
        return
    db.execute("UPDATE assignment SET stop = 1 WHERE assignment_id = ?", (assignment.assignment_id,))
    effects.assignment(assignment.assignment_id, assignment.node_uid, desired=True)


def _explain(db: sqlite3.Connection, workload_id: str, reason: str, effects: Effects) -> None:
    changed = db.execute(
        "UPDATE workload SET pending_reason = ?1 WHERE workload_id = ?2 AND pending_reason <> ?1",
        (reason, workload_id),
    )
    if changed.rowcount:
        effects.workload(workload_id)


def _require_assignment(db: sqlite3.Connection, assignment_id: str) -> AssignmentRecord:
    found = queries.assignment(db, assignment_id)
    if found is None:
        raise error("SWL-608", detail=f"there is no assignment {assignment_id}", hint="plan again")
    return found


# ---- observations


def report_observed(db: sqlite3.Connection, command: ReportObserved, effects: Effects) -> None:
    """Take each observation that says something new about an assignment of this node and epoch (N2).

    Duplicates, reordered ones, those of another node's or an older assignment and those that would move a
    state backwards change nothing. All are answered as taken: sending them again would not change that.
    """
    for seen in command.observations:
        assignment = queries.assignment(db, seen.assignment_id)
        if assignment is not None and is_news(assignment, command.node_uid, seen):
            _take(db, assignment, seen, effects)
    effects.taken = tuple((seen.assignment_id, seen.epoch, seen.sequence) for seen in command.observations)


def is_news(assignment: AssignmentRecord, node_uid: str, seen: Observation) -> bool:
    """Say whether ``seen``, reported by ``node_uid``, changes what is known of ``assignment``."""
    # Another count, either way: a lower one is of a node that lost its journal and counts anew. What is old
    # is told by the sequence, which a lost journal does not set back.
    restarted = seen.restarts != assignment.restarts
    return (
        assignment.node_uid == node_uid
        and assignment.epoch == seen.epoch
        and seen.sequence > assignment.sequence
        and may_advance(assignment.state, seen.state, restarted=restarted)
    )


def _take(db: sqlite3.Connection, assignment: AssignmentRecord, seen: Observation, effects: Effects) -> None:
    ended = seen.state in TERMINAL
    db.execute(
        """
        UPDATE assignment SET state = ?, ended = ?, sequence = ?, state_since_ms = ?, reason = ?,
            exit_code = ?, restarts = ?
        WHERE assignment_id = ?
        """,
        (
            seen.state.value,
            ended,
            seen.sequence,
            seen.since_ms,
            seen.reason,
            seen.exit_code,
            seen.restarts,
            seen.assignment_id,
        ),
    )
    effects.assignment(seen.assignment_id, assignment.node_uid, desired=ended)
