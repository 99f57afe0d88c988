"""What happens to a replica, and what the shell is told to do about it: one value each.

Pure. The law of which event may happen when is in ``machine.py``.
"""

from __future__ import annotations

import enum

import msgspec

from swarmlet.model.workload import Observation
from swarmlet.workloads.endings import Exit


class Timer(enum.StrEnum):
    """What a timer of a replica is for."""

    GRACE = "grace"
    RESTART = "restart"
    ADOPT = "adopt"


# ---- events


class Event(msgspec.Struct, frozen=True):
    """Base of what happens to a replica."""


class Hold(Event, frozen=True):
    """It cannot begin yet; ``reason`` is a sentence."""

    reason: str


class Begin(Event, frozen=True):
    """There is room, the lease is held where it must be: go."""


class Refuse(Event, frozen=True):
    """This node will never run it."""

    reason: str


class StopAsked(Event, frozen=True):
    """It is to end. ``failed`` when the node ends it for what it did, not because the cluster asked."""

    reason: str
    failed: bool = False


class Dropped(Event, frozen=True):
    """The cluster does not list it any more: end it and leave nothing of it."""

    reason: str


class Relisted(Event, frozen=True):
    """The cluster lists it again after it was dropped."""


class LeaseLapsed(Event, frozen=True):
    """This node does not hold its lease."""


class Acknowledged(Event, frozen=True):
    """The coordinator has observations up to ``sequence`` on disk."""

    sequence: int


class Attempted(Event, frozen=True):
    """Base of events that belong to one attempt."""

    attempt: int


class Prepared(Attempted, frozen=True):
    """Its image or directory is ready."""


class Started(Attempted, frozen=True):
    """It runs. ``note`` says what is not as asked (a limit this kernel does not enforce)."""

    note: str = ""


class Failed(Attempted, frozen=True):
    """It could not be prepared or started.

    ``passing`` when the same may work later; ``waits`` when only this node is in the way, so that it is tried
    again whatever its restart policy.
    """

    reason: str
    passing: bool = False
    waits: bool = False


class Exited(Attempted, frozen=True):
    """It ended by itself or by a signal."""

    exit: Exit


class GraceOver(Attempted, frozen=True):
    """It did not end in the time it was given."""


class RestartDue(Attempted, frozen=True):
    """The pause before the next start is over."""


class Adopted(Attempted, frozen=True):
    """It was found running (or just ended) from before this agent."""

    note: str = ""


class NotFound(Attempted, frozen=True):
    """Nothing of it runs any more."""


class AdoptFailed(Attempted, frozen=True):
    """It could not be looked for."""

    reason: str


class AdoptDue(Attempted, frozen=True):
    """Look for it again."""


# ---- actions


class Action(msgspec.Struct, frozen=True):
    """Base of what the shell is to do."""


class Journal(Action, frozen=True):
    """Put the replica on disk; what follows in the same list waits for it."""


class Observe(Action, frozen=True):
    """Report this to the cluster."""

    observation: Observation


class Prepare(Action, frozen=True):
    """Make ready, then Prepared or Failed."""

    attempt: int


class Start(Action, frozen=True):
    """Start, then Started or Failed, then Exited."""

    attempt: int


class Adopt(Action, frozen=True):
    """Look for it; then Adopted (and Exited), NotFound or AdoptFailed."""

    attempt: int


class Cancel(Action, frozen=True):
    """Give up what is being prepared."""


class Terminate(Action, frozen=True):
    """Send SIGTERM (or what the image names) to all of it."""


class Kill(Action, frozen=True):
    """Send SIGKILL to all of it."""


class SetTimer(Action, frozen=True):
    """Send the timer's event with ``attempt`` after ``delay`` seconds."""

    timer: Timer
    attempt: int
    delay: float


class Clean(Action, frozen=True):
    """It ended: free what nobody will look at (the dead container), keep its files and output."""


class Remove(Action, frozen=True):
    """Leave nothing of it on the node."""


class Forget(Action, frozen=True):
    """Drop it from the journal."""
