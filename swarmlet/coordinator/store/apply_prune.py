"""Forgetting what nobody needs any more: finished workloads, old placements, refusals whose time is over.

Application functions: deterministic over a connection and a command. What may go was chosen by
``coordinator/retention.py``; that it has ended is judged again here.
"""

from __future__ import annotations

import sqlite3

from swarmlet.coordinator.store import laws, queries
from swarmlet.coordinator.store.apply_removal import forgive
from swarmlet.coordinator.store.apply_work import is_over
from swarmlet.coordinator.store.commands import Prune
from swarmlet.coordinator.store.effects import Effects
from swarmlet.model.workload import TERMINAL


def prune(db: sqlite3.Connection, command: Prune, effects: Effects) -> None:
    """Drop what the command names, if it has ended, and every refusal and answer whose time is over."""
    for workload_id in command.workloads:
        _drop_workload(db, workload_id, effects)
    for assignment_id in command.assignments:
        _drop_assignment(db, assignment_id, effects)
    forgive(db, effects, command.at_ms)
    answers = db.execute("DELETE FROM idempotency WHERE at_ms < ?", (command.at_ms - laws.KEY_MS,)).rowcount
    admitted = db.execute("DELETE FROM admission WHERE at_ms < ?", (command.at_ms - laws.RETRY_MS,)).rowcount
    if answers or admitted:
        effects.touch()


def _drop_workload(db: sqlite3.Connection, workload_id: str, effects: Effects) -> None:
    row = db.execute("SELECT spec, stopping FROM workload WHERE workload_id = ?", (workload_id,)).fetchone()
    records = queries.assignments(db, node_uid=None, workload_id=workload_id, live=False)
    if row is None or any(record.state not in TERMINAL for record in records):
        return
    if not (row[1] or is_over(db, workload_id, row[0])):
        return  # it waits for a node
    for table in ("assignment", "replica", "workload"):
        db.execute(f"DELETE FROM {table} WHERE workload_id = ?", (workload_id,))  # noqa: S608 - own table names
    effects.drop_workload(workload_id, [record.assignment_id for record in records])


def _drop_assignment(db: sqlite3.Connection, assignment_id: str, effects: Effects) -> None:
    record = queries.assignment(db, assignment_id)
    if record is None or record.state not in TERMINAL:
        return
    if record.epoch >= queries.epoch(db, record.workload_id, record.replica):
        return  # the newest one tells how the replica ended
    db.execute("DELETE FROM assignment WHERE assignment_id = ?", (assignment_id,))
    effects.drop_assignment(assignment_id)
