"""The coordinator's picture of the cluster in memory: rows of the store, indexed for whoever decides.

It is filled from the store's snapshot and follows every command's result; it never runs ahead of the disk.
It also notes which workloads deserve a look by the scheduler, so that a plan costs what has changed and not
what exists. It decides nothing and touches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from swarmlet.coordinator.filters import Capacity, Usage, capacity_of
from swarmlet.model.health import Health
from swarmlet.model.records import AssignmentRecord, ClusterRecord, NodeRecord, WorkloadRecord
from swarmlet.model.workload import TERMINAL, Resources

_NONE = Usage()
_NO_RESOURCES = Resources()
#: Ended assignments remembered for each node, newest last.
_ENDED_MOST = 64


class Picture:
    """Nodes, workloads and assignments, with the indexes that decisions need."""

    def __init__(self, cluster: ClusterRecord) -> None:
        self.cluster = cluster
        self.nodes: dict[str, NodeRecord] = {}
        self.workloads: dict[str, WorkloadRecord] = {}
        self.assignments: dict[str, AssignmentRecord] = {}
        self.health: dict[str, Health] = {}
        self.generations: dict[str, int] = {}
        self._ended_on: dict[str, dict[str, AssignmentRecord]] = {}
        self._of_workload: dict[str, dict[str, AssignmentRecord]] = {}
        self._live_on: dict[str, dict[str, AssignmentRecord]] = {}
        self._usage: dict[str, Usage] = {}
        self._capacity: dict[str, Capacity] = {}
        self._waiting: set[str] = set()
        self._attention: set[str] = set()

    # ---- following

    def load(
        self,
        nodes: Iterable[NodeRecord],
        workloads: Iterable[WorkloadRecord],
        assignments: Iterable[AssignmentRecord],
    ) -> None:
        """Take a whole snapshot; every workload deserves a look after it."""
        for workload in workloads:
            self.put_workload(workload)
        for node in nodes:
            self.put_node(node)
        for assignment in assignments:
            self.put_assignment(assignment)

    def put_node(self, node: NodeRecord) -> None:
        """Take a node's row. Its work and everything that waits for a node deserve a look."""
        if self.nodes.get(node.node_uid) == node:
            return
        self.nodes[node.node_uid] = node
        self._capacity[node.node_uid] = capacity_of(node)
        self._attention.update(record.workload_id for record in self.live_on(node.node_uid))
        self._attention |= self._waiting

    def put_health(self, node_uid: str, health: Health) -> None:
        """Take what a node says of its health."""
        if self.health.get(node_uid, Health.OK) is health:
            return
        self.health[node_uid] = health
        self._attention |= self._waiting

    def put_workload(self, workload: WorkloadRecord) -> None:
        """Take a workload's row; it deserves a look."""
        workload_id = workload.workload_id
        self.workloads[workload_id] = workload
        if workload.pending_reason and not workload.stopping:
            self._waiting.add(workload_id)
        else:
            self._waiting.discard(workload_id)
        self._attention.add(workload_id)

    def put_assignment(self, record: AssignmentRecord) -> None:
        """Take an assignment's row; its workload deserves a look, and waiting ones when it made room."""
        before = self.assignments.get(record.assignment_id)
        if before == record:
            return
        self.assignments[record.assignment_id] = record
        self._of_workload.setdefault(record.workload_id, {})[record.assignment_id] = record
        self._count(before, -1)
        self._count(record, +1)
        if not is_live(record):
            self._remember_ended(record)
        self._attention.add(record.workload_id)
        if before is not None and is_live(before) and not is_live(record):
            self._attention |= self._waiting

    def _count(self, record: AssignmentRecord | None, sign: int) -> None:
        if record is None or not is_live(record):
            return
        workload = self.workloads.get(record.workload_id)
        resources = workload.spec.resources if workload else _NO_RESOURCES
        usage = self._usage.get(record.node_uid, _NONE)
        live = self._live_on.setdefault(record.node_uid, {})
        if sign > 0:
            live[record.assignment_id] = record
            self._usage[record.node_uid] = usage.plus(resources)
        else:
            live.pop(record.assignment_id, None)
            self._usage[record.node_uid] = usage.minus(resources) if live else _NONE

    def _remember_ended(self, record: AssignmentRecord) -> None:
        ended = self._ended_on.setdefault(record.node_uid, {})
        ended[record.assignment_id] = record
        while len(ended) > _ENDED_MOST:
            del ended[next(iter(ended))]

    def drop_assignment(self, assignment_id: str) -> None:
        """Forget an assignment that ended."""
        record = self.assignments.pop(assignment_id, None)
        if record is not None:
            self._of_workload.get(record.workload_id, {}).pop(assignment_id, None)
            self._ended_on.get(record.node_uid, {}).pop(assignment_id, None)

    def drop_workload(self, workload_id: str) -> None:
        """Forget a workload that is over; its assignments go first."""
        self.workloads.pop(workload_id, None)
        self._of_workload.pop(workload_id, None)
        self._waiting.discard(workload_id)
        self._attention.discard(workload_id)

    def put_generation(self, node_uid: str, generation: int) -> None:
        """Take the generation of what a node is asked to run; an older one changes nothing."""
        self.generations[node_uid] = max(generation, self.generations.get(node_uid, 0))

    def look_again(self, workload_ids: Iterable[str]) -> None:
        """Mark workloads as deserving a look."""
        self._attention.update(workload_ids)

    def look_at_waiting(self) -> None:
        """Mark every workload that waits for something as deserving a look."""
        self._attention |= self._waiting

    def take_attention(self) -> frozenset[str]:
        """Return the workloads that deserve a look, and forget them."""
        taken = frozenset(self._attention)
        self._attention.clear()
        return taken

    # ---- asking

    def live_on(self, node_uid: str) -> Iterator[AssignmentRecord]:
        """Yield the assignments on a node that have not ended."""
        return iter(self._live_on.get(node_uid, {}).values())

    def ended_on(self, node_uid: str) -> Iterator[AssignmentRecord]:
        """Yield the assignments that ended on a node lately."""
        return iter(self._ended_on.get(node_uid, {}).values())

    def usage(self, node_uid: str) -> Usage:
        """Return what the live assignments on a node asked for, together."""
        return self._usage.get(node_uid, _NONE)

    def capacity(self, node_uid: str) -> Capacity:
        """Return what a known node lends."""
        return self._capacity[node_uid]

    def of_workload(self, workload_id: str) -> list[AssignmentRecord]:
        """Return every assignment of a workload by replica, newest epoch first."""
        records = self._of_workload.get(workload_id, {}).values()
        return sorted(records, key=lambda record: (record.replica, -record.epoch))

    def latest(self, workload_id: str) -> dict[int, AssignmentRecord]:
        """Return the assignment with the highest epoch of each replica that ever had one."""
        found: dict[int, AssignmentRecord] = {}
        for record in self._of_workload.get(workload_id, {}).values():
            best = found.get(record.replica)
            if best is None or record.epoch > best.epoch:
                found[record.replica] = record
        return found


def is_live(record: AssignmentRecord) -> bool:
    """Say whether an assignment has not ended, as far as the cluster knows."""
    return record.state not in TERMINAL
