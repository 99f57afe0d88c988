"""Where a workload stands, told from its replicas; and the conservation law over all of them (N3). Pure.

Nothing here is stored: the rows are the truth and this is how they read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from swarmlet.model.membership import NodeState
from swarmlet.model.records import AssignmentRecord, NodeRecord, WorkloadRecord
from swarmlet.model.views import WorkloadState
from swarmlet.model.workload import TERMINAL, AssignmentState, OnPartition

_HOMELESS = frozenset({AssignmentState.LOST, AssignmentState.STOPPED})
_COMING = frozenset({AssignmentState.ASSIGNED, AssignmentState.PREPARING})
_HEARD_OF = frozenset({NodeState.READY, NodeState.SUSPECT})
_AWAY = frozenset({NodeState.SUSPECT, NodeState.DOWN})


class Standing(NamedTuple):
    """Where a workload stands, since when and why; ``exit_code`` once it ran and finished by itself."""

    state: WorkloadState
    since_ms: int
    reason: str
    running: int
    exit_code: int | None


def standing(
    workload: WorkloadRecord,
    latest: Mapping[int, AssignmentRecord],
    nodes: Mapping[str, NodeRecord],
    records: Iterable[AssignmentRecord] = (),
) -> Standing:
    """Tell where a workload stands.

    Args:
        workload: Its row.
        latest: The newest assignment of each replica that ever had one.
        nodes: By uid.
        records: All its assignments, of which older ones may still run where the node is away; they matter
            to a workload that was asked to end.
    """
    current = [latest[replica] for replica in range(workload.spec.replicas) if replica in latest]
    away = unconfirmed(workload, records, nodes)
    state = WorkloadState.STOPPING if away else _state(workload, current)
    changes = [record.state_since_ms for record in current]
    return Standing(
        state,
        max(changes, default=workload.created_ms),
        f"{_named(away)} away" if away else _reason(workload, state, current, nodes),
        sum(_runs(record, nodes) for record in current),
        _exit_code(state, current),
    )


def unconfirmed(
    workload: WorkloadRecord, records: Iterable[AssignmentRecord], nodes: Mapping[str, NodeRecord]
) -> tuple[str, ...]:
    """Return the names of nodes that are away and may still run what was asked to end.

    What was given up with its node runs on there by policy. A node that was back since then has dropped it.
    """
    if not workload.stopping:
        return ()
    keeps = workload.spec.on_partition is not OnPartition.STOP
    away: set[str] = set()
    for record in records:
        node = nodes.get(record.node_uid)
        if node is None or node.state not in _AWAY:
            continue
        this_time = node.state is NodeState.DOWN and record.state_since_ms >= node.state_since_ms
        given_up = record.state is AssignmentState.LOST and keeps and this_time
        if given_up or record.state not in TERMINAL:
            away.add(node.name)
    return tuple(sorted(away))


def _named(nodes: tuple[str, ...]) -> str:
    return f"node {nodes[0]} is" if len(nodes) == 1 else f"nodes {' and '.join(nodes)} are"


def _state(workload: WorkloadRecord, current: list[AssignmentRecord]) -> WorkloadState:
    states = Counter(record.state for record in current)
    missing = workload.spec.replicas - len(current) + sum(states[one] for one in _HOMELESS)
    ended = sum(states[one] for one in TERMINAL)
    if workload.stopping and ended < len(current):
        return WorkloadState.STOPPING
    if missing and workload.stopping:
        return WorkloadState.STOPPED
    if missing:
        # Without a reason the scheduler has not looked yet: that takes a moment, and is no verdict.
        return WorkloadState.PENDING if workload.pending_reason else WorkloadState.STARTING
    if ended == len(current):
        return WorkloadState.FAILED if states[AssignmentState.FAILED] else WorkloadState.SUCCEEDED
    return WorkloadState.STARTING if any(states[one] for one in _COMING) else WorkloadState.RUNNING


def _reason(
    workload: WorkloadRecord,
    state: WorkloadState,
    current: list[AssignmentRecord],
    nodes: Mapping[str, NodeRecord],
) -> str:
    if state is WorkloadState.PENDING:
        return workload.pending_reason
    failed = next((record for record in current if record.state is AssignmentState.FAILED), None)
    if failed is not None:
        return f"replica {failed.replica} failed: {failed.reason}" if failed.reason else ""
    for record in current:
        node = nodes.get(record.node_uid)
        if record.state not in TERMINAL and node is not None and node.state not in _HEARD_OF:
            return f"replica {record.replica} is on {node.name}, which is {node.state}: {node.state_reason}"
    return next((record.reason for record in current if record.reason), "")


def _runs(record: AssignmentRecord, nodes: Mapping[str, NodeRecord]) -> bool:
    node = nodes.get(record.node_uid)
    return record.state is AssignmentState.RUNNING and node is not None and node.state in _HEARD_OF


def _exit_code(state: WorkloadState, current: list[AssignmentRecord]) -> int | None:
    if state is WorkloadState.SUCCEEDED:
        return 0
    if state is not WorkloadState.FAILED:
        return None
    codes = [record.exit_code for record in current if record.state is AssignmentState.FAILED]
    return next((code for code in codes if code), None)  # what never ran has no code, it has a reason


class Conservation(NamedTuple):
    """Every replica that was asked for, counted once (N3); ``faults`` names what breaks the law."""

    submitted: int
    pending: int
    assigned: int
    running: int
    done: int
    failed: int
    cancelled: int
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is lost and nothing is there twice."""
        counted = self.pending + self.assigned + self.running + self.done + self.failed + self.cancelled
        return not self.faults and counted == self.submitted


_COLUMN = {
    AssignmentState.ASSIGNED: "assigned",
    AssignmentState.PREPARING: "assigned",
    AssignmentState.RUNNING: "running",
    AssignmentState.STOPPING: "running",
    AssignmentState.SUCCEEDED: "done",
    AssignmentState.FAILED: "failed",
}


def audit_counts(
    workloads: Iterable[WorkloadRecord], assignments: Iterable[AssignmentRecord]
) -> Conservation:
    """Count every replica that was asked for, and look for what must not be.

    Args:
        workloads: All of them.
        assignments: All of them, ended ones included.
    """
    by_replica: dict[tuple[str, int], list[AssignmentRecord]] = {}
    for record in assignments:
        by_replica.setdefault((record.workload_id, record.replica), []).append(record)
    counts: Counter[str] = Counter()
    submitted = 0
    faults: list[str] = []
    for workload in workloads:
        submitted += workload.spec.replicas
        for replica in range(workload.spec.replicas):
            history = by_replica.pop((workload.workload_id, replica), [])
            faults += _history_faults(history)
            newest = max(history, key=lambda record: record.epoch, default=None)
            absent = "cancelled" if workload.stopping else "pending"
            counts[absent if newest is None else _COLUMN.get(newest.state, absent)] += 1
    faults += [
        f"{workload_id} has a replica {replica} nobody asked for" for workload_id, replica in by_replica
    ]
    return Conservation(
        submitted=submitted,
        pending=counts["pending"],
        assigned=counts["assigned"],
        running=counts["running"],
        done=counts["done"],
        failed=counts["failed"],
        cancelled=counts["cancelled"],
        faults=tuple(faults),
    )


def _history_faults(history: list[AssignmentRecord]) -> list[str]:
    """Say what is wrong with the assignments of one replica."""
    ordered = sorted(history, key=lambda record: record.epoch)
    faults = [
        f"{record.assignment_id} has not ended though epoch {ordered[-1].epoch} exists"
        for record in ordered[:-1]
        if record.state not in TERMINAL
    ]
    epochs = [record.epoch for record in ordered]
    if len(set(epochs)) != len(epochs):
        faults.append(f"{ordered[0].assignment_id} shares its epoch with another of the same replica")
    return faults
