"""What to tell one connected node about what it should run. Pure: no socket, no clock.

Desired state has a generation, kept by the store. The first message of a session is a snapshot; after that
only changes are sent, each with the generation it builds on, so that a node that missed one notices and asks
for a snapshot (:class:`~swarmlet.link.messages.Resync`). Delivery is at least once, the effect once, because
everything is named by (assignment_id, epoch) (N2).

Ended replicas stay listed for a while, as ones that are to be stopped: a node keeps the output of what is
listed, and would run again what it forgot if it were listed as wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from swarmlet.coordinator.picture import Picture
from swarmlet.link.messages import Desired
from swarmlet.model.records import AssignmentRecord
from swarmlet.model.workload import TERMINAL, Assignment, AssignmentState

#: Bytes of assignments in one message; a frame holds 65,536 and the rest of the message is small.
PART_BYTES = 60_000
#: How long, in milliseconds, and how many ended replicas stay listed on a node.
KEPT_MS = 3_600_000
KEPT_MOST = 32

_encoder = msgspec.msgpack.Encoder()


class Wanted(NamedTuple):
    """What a node should know, of one generation, by assignment id."""

    generation: int
    assignments: Mapping[str, Assignment]


def wanted(picture: Picture, node_uid: str, now_ms: int) -> Wanted:
    """Return what a node should know: what it is to run, and what it should keep the output of.

    Args:
        picture: The cluster.
        node_uid: Which node.
        now_ms: Unix milliseconds.
    """
    kept = [
        record
        for record in picture.ended_on(node_uid)
        if record.state is not AssignmentState.LOST and now_ms - record.state_since_ms <= KEPT_MS
    ]
    kept.sort(key=lambda record: (-record.state_since_ms, record.assignment_id))
    live = sorted(picture.live_on(node_uid), key=lambda record: record.assignment_id)
    records = [*live, *kept[:KEPT_MOST]]
    known = {record.assignment_id: _assignment(picture, record) for record in records}
    return Wanted(picture.generations.get(node_uid, 0), known)


def _assignment(picture: Picture, record: AssignmentRecord) -> Assignment:
    return Assignment(
        assignment_id=record.assignment_id,
        workload_id=record.workload_id,
        replica=record.replica,
        epoch=record.epoch,
        spec=picture.workloads[record.workload_id].spec,
        stop=record.stop or record.state in TERMINAL,
    )


class Dispatch:
    """What was told to one node in one session."""

    def __init__(self) -> None:
        self._told: Wanted | None = None

    @property
    def generation(self) -> int | None:
        """The generation told last; ``None`` while a snapshot is due."""
        return None if self._told is None else self._told.generation

    def messages(self, now: Wanted) -> tuple[Desired, ...]:
        """Return what must be sent to bring the node to ``now``: a change, a snapshot, or nothing.

        Call :meth:`told` once all of it was queued, or :meth:`restart` when it was not.
        """
        before = self._told
        if before is None:
            return _snapshot(now)
        if before.generation == now.generation:
            return ()
        changed = tuple(one for name, one in now.assignments.items() if before.assignments.get(name) != one)
        removed = tuple(name for name in before.assignments if name not in now.assignments)
        change = Desired(now.generation, before.generation, full=False, assignments=changed, removed=removed)
        return (change,) if _size(changed) + _size(removed) <= PART_BYTES else _snapshot(now)

    def told(self, now: Wanted) -> None:
        """Note that everything up to ``now`` is on its way over this connection."""
        self._told = now

    def restart(self) -> None:
        """Begin with a snapshot again: the node asked for one, or something could not be queued."""
        self._told = None


def fits(assignment: Assignment) -> bool:
    """Say whether one assignment fits into a message at all."""
    return _size((assignment,)) <= PART_BYTES


def _snapshot(now: Wanted) -> tuple[Desired, ...]:
    parts: list[list[Assignment]] = [[]]
    room = PART_BYTES
    for one in now.assignments.values():
        size = _size((one,))
        if size > room and parts[-1]:
            parts.append([])
            room = PART_BYTES
        parts[-1].append(one)
        room -= size
    last = len(parts) - 1
    return tuple(
        Desired(now.generation, 0, full=True, assignments=tuple(part), more=number < last)
        for number, part in enumerate(parts)
    )


def _size(values: tuple[Assignment, ...] | tuple[str, ...]) -> int:
    return sum(len(_encoder.encode(value)) for value in values)
