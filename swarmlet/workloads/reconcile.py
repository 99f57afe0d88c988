"""What a desired state asks of what is here, and who may go next. Pure.

A snapshot (``full``) is the truth: what it does not list ends and is removed, what it lists unchanged is left
untouched. A change adds to it, fenced by epoch: an older epoch of a replica never touches a newer one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from swarmlet.errors import SwarmletError
from swarmlet.link.messages import Desired
from swarmlet.model.workload import Assignment, OnPartition
from swarmlet.workloads import events as ev
from swarmlet.workloads.limits import Limits, refusal, waits_for
from swarmlet.workloads.replica import OCCUPYING, Key, Replica

DROPPED = "stopped because the cluster no longer wants it on this node"
STOPPED = "stopped as asked"
SUPERSEDED = "stopped because a newer assignment of this replica took its place"
WAITS_LEASE = "waits for the cluster: it may only run while this node is in contact with it"
WAITS_PREDECESSOR = "waits for the earlier assignment of this replica to end"

#: Epochs remembered of replicas that are gone; the oldest are forgotten first.
FENCES_KEPT = 1024


class Order(msgspec.Struct, frozen=True):
    """Base of what a desired state asks for."""


class Take(Order, frozen=True):
    """An assignment that is not here yet."""

    assignment: Assignment


class Send(Order, frozen=True):
    """An event for a replica that is here."""

    key: Key
    event: ev.Event


class Ignore(Order, frozen=True):
    """An assignment that cannot be taken, with the reason for the log."""

    key: Key
    reason: str


def lane(assignment: Assignment) -> str:
    """Return the name of the replica that epochs are counted for."""
    return f"{assignment.workload_id}/{assignment.replica}"


def reconcile(held: Mapping[Key, Replica], desired: Desired, fences: Mapping[str, int]) -> tuple[Order, ...]:
    """Return what ``desired`` asks of the replicas ``held``, ends before beginnings.

    Args:
        held: Every replica in the journal.
        desired: A snapshot, or a change that follows the applied generation.
        fences: The newest epoch taken of each lane; a snapshot overrules it.
    """
    listed = {Key(a.assignment_id, a.epoch): a for a in desired.assignments}
    drops = _unlisted(held, listed) if desired.full else _removed(held, desired.removed)
    ends = [Send(key, ev.Dropped(DROPPED)) for key in drops]
    changes: list[Order] = []
    takes: list[Order] = []
    for key, assignment in listed.items():
        replica = held.get(key)
        if replica is not None:
            changes.extend(_update(replica, assignment))
            continue
        newest = fences.get(lane(assignment), -1)
        if not desired.full and assignment.epoch < newest:
            takes.append(Ignore(key, f"epoch {assignment.epoch} is older than {newest}"))
            continue
        older = _older(held.values(), assignment)
        changes.extend(Send(k, ev.Dropped(SUPERSEDED)) for k in older if k not in drops)
        takes.append(Take(assignment))
    return (*ends, *changes, *takes)


def new_fences(fences: Mapping[str, int], desired: Desired) -> dict[str, int]:
    """Return the newest epoch of each lane once ``desired`` was applied."""
    after: dict[str, int] = {} if desired.full else dict(fences)
    for assignment in desired.assignments:
        name = lane(assignment)
        epoch = max(after.pop(name, -1), assignment.epoch)
        after[name] = epoch
    while len(after) > max(FENCES_KEPT, len(desired.assignments)):
        del after[next(iter(after))]
    return after


def _unlisted(held: Mapping[Key, Replica], listed: Mapping[Key, Assignment]) -> list[Key]:
    return [key for key in held if key not in listed]


def _removed(held: Mapping[Key, Replica], removed: Iterable[str]) -> list[Key]:
    names = frozenset(removed)
    return [key for key in held if key.assignment_id in names]


def _older(held: Iterable[Replica], assignment: Assignment) -> list[Key]:
    name = lane(assignment)
    return [r.key for r in held if lane(r.assignment) == name and r.assignment.epoch < assignment.epoch]


def _update(replica: Replica, assignment: Assignment) -> Iterator[Order]:
    """Compare an assignment with the replica of the same epoch; an unchanged one is left untouched."""
    if replica.assignment.spec != assignment.spec:
        # An epoch fixes its spec. Running something else under it would break every fence.
        yield Ignore(replica.key, "its spec changed without a new epoch")
        return
    if replica.leaving:
        yield Send(replica.key, ev.Relisted())
    if assignment.stop and not replica.ended and replica.ending is None:
        yield Send(replica.key, ev.StopAsked(STOPPED))


# ---- who may go next


def gate(
    replica: Replica,
    held: Mapping[Key, Replica],
    limits: Limits,
    *,
    confirmed: bool,
    removing: Collection[Key] = (),
) -> ev.Begin | ev.Hold | ev.Refuse:
    """Return whether a waiting replica may begin, has to wait, or can never run here, and why.

    Args:
        replica: The one that waits.
        held: Every replica in the journal, this one included.
        limits: What the node lends.
        confirmed: This node holds its lease and has had a snapshot since.
        removing: Ended replicas whose files or containers are still being removed.
    """
    spec = replica.assignment.spec
    never: SwarmletError | None = refusal(spec.resources, limits)
    if never is not None:
        return ev.Refuse(str(never))
    if spec.on_partition is OnPartition.STOP and not confirmed:
        return ev.Hold(WAITS_LEASE)
    if any(_precedes(other, replica, removing) for other in held.values()):
        return ev.Hold(WAITS_PREDECESSOR)
    running = [r.assignment.spec.resources for r in held.values() if r.phase in OCCUPYING]
    wanted = waits_for(spec.resources, running, limits)
    return ev.Hold(wanted) if wanted is not None else ev.Begin()


def _precedes(other: Replica, replica: Replica, removing: Collection[Key]) -> bool:
    """Say whether ``other`` must be gone first: the same replica of the workload never runs twice here."""
    if other.key == replica.key or lane(other.assignment) != lane(replica.assignment):
        return False
    goes = other.leaving or other.assignment.epoch < replica.assignment.epoch
    return goes and (not other.ended or other.key in removing)
