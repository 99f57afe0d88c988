"""Readings of all ready nodes for the scheduler, fetched from the engine at most every other second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from swarmlet.clock import Clock
from swarmlet.coordinator.picture import Picture
from swarmlet.model.health import Reading
from swarmlet.model.membership import NodeState

#: Seconds a reading is good for: heartbeats come every few seconds, plans may come in bursts.
GOOD_S = 2.0


class Heartbeats(Protocol):
    """Where readings come from."""

    def heartbeats(self, nodes: Sequence[str]) -> Mapping[str, tuple[int, Reading]]:
        """Return age in milliseconds and reading of each node's last heartbeat, where there is one."""
        ...


class Readings:
    """What plans are given."""

    def __init__(self, picture: Picture, members: Heartbeats, clock: Clock) -> None:
        self._picture = picture
        self._members = members
        self._clock = clock
        self._at = float("-inf")
        self._found: dict[str, Reading] = {}

    def __call__(self) -> Mapping[str, Reading]:
        """Return the reading of each ready node that has one."""
        now = self._clock.boot()
        if now - self._at > GOOD_S:
            ready = [uid for uid, node in self._picture.nodes.items() if node.state is NodeState.READY]
            self._found = {uid: one[1] for uid, one in self._members.heartbeats(ready).items()}
            self._at = now
        return self._found
