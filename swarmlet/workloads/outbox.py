"""What the cluster is still to be told: the last word on every assignment, kept until it was taken. Pure.

Bounded by the number of assignments: a newer observation of one takes the place of the older.
"""

from __future__ import annotations

from collections.abc import Callable

from swarmlet.model.workload import Observation
from swarmlet.workloads.replica import Key, Replica


class Outbox:
    """Observations by assignment, oldest first."""

    def __init__(self) -> None:
        self._last: dict[Key, Observation] = {}
        self._taken: dict[Key, int] = {}
        self._subscribers: list[Callable[[], None]] = []

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` after every new observation."""
        self._subscribers.append(changed)

    def recall(self, replica: Replica) -> None:
        """Take up what was last told of a replica that was read from the journal."""
        if replica.sequence > 0:
            self._last[replica.key] = replica.observation()
            self._taken[replica.key] = replica.acknowledged

    def put(self, seen: Observation) -> None:
        """Add an observation; it goes behind those that wait already."""
        key = Key(seen.assignment_id, seen.epoch)
        self._last.pop(key, None)
        self._last[key] = seen
        for changed in self._subscribers:
            changed()

    def acknowledge(self, key: Key, sequence: int) -> None:
        """The coordinator has what was told up to ``sequence`` on its disk."""
        if key in self._last:
            self._taken[key] = max(self._taken.get(key, 0), sequence)

    def drop(self, key: Key) -> None:
        """Nothing more is to be told of an assignment."""
        self._last.pop(key, None)
        self._taken.pop(key, None)

    def latest(self) -> tuple[Observation, ...]:
        """Return the last observation of every assignment."""
        return tuple(self._last.values())

    def open(self) -> tuple[Observation, ...]:
        """Return the observations that were not acknowledged, oldest first."""
        return tuple(one for key, one in self._last.items() if one.sequence > self._taken.get(key, 0))
