"""Workloads: what was asked, where it was assigned, what was observed, and the law between them.

The coordinator holds desired state, the node observed state. An assignment is one replica of a
workload on one node; its epoch is a fencing token that grows with every new assignment of that replica.
"""

from __future__ import annotations

import enum

import msgspec


class Kind(enum.StrEnum):
    """How a workload is run."""

    PROCESS = "process"
    CONTAINER = "container"


class Resources(msgspec.Struct, frozen=True):
    """Limits of one replica. ``cpu`` in cores, ``memory_mb`` in 10^6 bytes; ``None`` is "no limit asked"."""

    cpu: float | None = None
    memory_mb: int | None = None


class RestartPolicy(enum.StrEnum):
    """When an ended replica is started again on the same node."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class OnPartition(enum.StrEnum):
    """What a node that lost its lease does with a running replica (N5)."""

    KEEP = "keep"
    STOP = "stop"


class WorkloadSpec(msgspec.Struct, frozen=True):
    """What to run. A process has ``command``; a container has ``image`` and may have ``command``."""

    name: str
    kind: Kind
    command: tuple[str, ...] = ()
    image: str | None = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    replicas: int = 1
    resources: Resources = Resources()
    restart: RestartPolicy = RestartPolicy.NEVER
    on_partition: OnPartition = OnPartition.KEEP
    node_type: str | None = None
    constraints: tuple[str, ...] = ()
    stop_grace_s: float = 10.0


class AssignmentState(enum.StrEnum):
    """Observed state of one assignment, in the order it may move."""

    ASSIGNED = "assigned"  # chosen by the scheduler, not yet taken up by the node
    PREPARING = "preparing"  # image or directory being made ready
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"  # ended because the cluster asked
    LOST = "lost"  # the node's lease lapsed while it was not known to have ended


TERMINAL: frozenset[AssignmentState] = frozenset(
    {AssignmentState.SUCCEEDED, AssignmentState.FAILED, AssignmentState.STOPPED, AssignmentState.LOST}
)


class Assignment(msgspec.Struct, frozen=True):
    """One replica on one node, as desired. ``epoch`` fences every older one of the same replica."""

    assignment_id: str
    workload_id: str
    replica: int
    epoch: int
    spec: WorkloadSpec
    stop: bool = False


class Observation(msgspec.Struct, frozen=True):
    """What a node saw of one assignment.

    ``sequence`` grows with each observation of the (assignment_id, epoch), so that duplicates and
    reordered reports change nothing (N2). ``since_ms`` is cluster time in Unix milliseconds.
    """

    assignment_id: str
    epoch: int
    sequence: int
    state: AssignmentState
    since_ms: int
    reason: str = ""
    exit_code: int | None = None
    restarts: int = 0


#: Order of the states that an assignment moves through; every terminal state is last.
_RANK: dict[AssignmentState, int] = {
    AssignmentState.ASSIGNED: 0,
    AssignmentState.PREPARING: 1,
    AssignmentState.RUNNING: 2,
    AssignmentState.STOPPING: 3,
    AssignmentState.SUCCEEDED: 4,
    AssignmentState.FAILED: 4,
    AssignmentState.STOPPED: 4,
    AssignmentState.LOST: 4,
}


def may_advance(before: AssignmentState, after: AssignmentState, *, restarted: bool = False) -> bool:
    """Say whether an assignment observed in ``before`` may next be observed in ``after``.

    States never go backwards and a terminal one is final. Only a restart on the same node (``restarted``: the
    restart count is another) begins again at an earlier state. Staying in a state is allowed.
    """
    if before in TERMINAL:
        return False
    return restarted or _RANK[after] >= _RANK[before]
