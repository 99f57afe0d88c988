"""A replica: one assignment on this node and how far it is. Values only; ``machine.py`` has the law."""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec

from swarmlet.model.workload import Assignment, AssignmentState, Observation

#: Observation numbers reserved by one journal write. A crash skips at most this many.
RESERVE = 64


class Phase(enum.StrEnum):
    """Where a replica is, in more detail than the cluster is told."""

    ADOPTING = "adopting"  # may still run from before this agent; being looked for
    WAITING = "waiting"  # taken; held back for room, for the lease or for its predecessor's end
    PREPARING = "preparing"  # image or directory being made ready
    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing-off"  # ended; starts again when its pause is over
    STOPPING = "stopping"  # SIGTERM was sent, the grace runs
    KILLING = "killing"  # SIGKILL was sent
    ENDED = "ended"


#: Phases in which a replica takes part of what the node lends.
OCCUPYING: frozenset[Phase] = frozenset(Phase) - {Phase.WAITING, Phase.ENDED}


class Now(NamedTuple):
    """The moment of an event.

    ``boot`` is seconds on the boot clock, ``ms`` cluster time in Unix milliseconds, ``jitter`` a number from
    0 to 1 drawn for this event.
    """

    boot: float
    ms: int
    jitter: float = 0.5


class Key(NamedTuple):
    """Which life of which assignment."""

    assignment_id: str
    epoch: int


class Ending(msgspec.Struct, frozen=True):
    """How a replica that is being stopped will be reported once it ended."""

    state: AssignmentState
    reason: str


class Replica(msgspec.Struct, frozen=True, omit_defaults=True):
    """One assignment and how far it is; what the journal keeps.

    Attributes:
        attempt: Fences events of earlier tries.
        sequence: Number of the last observation.
        reserved: Numbers up to here may have been used; on disk before they are.
        failures: Quick ends in a row; sets the pause before the next restart.
        started: Boot clock of the last start, in seconds.
        ending: Set once it is asked to end.
        suspended: It ends only until this node holds its lease again.
        leaving: The cluster no longer wants it here; it is removed once it ended.
        recovered: It was read from the journal, so failures that may pass are waited out.
        acknowledged: The newest observation that the coordinator has on disk.
    """

    assignment: Assignment
    phase: Phase = Phase.WAITING
    attempt: int = 0
    sequence: int = 0
    reserved: int = RESERVE
    state: AssignmentState = AssignmentState.ASSIGNED
    since_ms: int = 0
    reason: str = ""
    exit_code: int | None = None
    restarts: int = 0
    failures: int = 0
    started: float = 0.0
    ending: Ending | None = None
    suspended: bool = False
    leaving: bool = False
    recovered: bool = False
    acknowledged: int = 0

    @property
    def key(self) -> Key:
        """Return which life of which assignment this is."""
        return Key(self.assignment.assignment_id, self.assignment.epoch)

    @property
    def ended(self) -> bool:
        """Say whether it is over for good."""
        return self.phase is Phase.ENDED

    def observation(self) -> Observation:
        """Return what the cluster is told of it."""
        return Observation(
            assignment_id=self.assignment.assignment_id,
            epoch=self.assignment.epoch,
            sequence=self.sequence,
            state=self.state,
            since_ms=self.since_ms,
            reason=self.reason,
            exit_code=self.exit_code,
            restarts=self.restarts,
        )
