"""Carries the engine's lease and health events to the registry, and its commands to disk.

Events of one node are taken in order, those of many nodes together, so that a thousand nodes that come back
at once share a few commits. What an event means is ``registry.py``'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import NamedTuple

from swarmlet.clock import Clock
from swarmlet.coordinator.ledger import Ledger
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.registry import STATE_OF, Registry
from swarmlet.coordinator.store.api import Result
from swarmlet.coordinator.store.commands import AnyCommand, NodeTransition
from swarmlet.errors import SwarmletError
from swarmlet.model.health import Health
from swarmlet.model.membership import NodeState

#: Refusals that another try would meet again: the node was removed, or is in that state's successor already.
_FINAL = frozenset({"SWL-207", "SWL-605", "SWL-608"})

logger = logging.getLogger(__name__)

#: Seconds until a state that could not be recorded is tried again.
RETRY_S = 1.0

_LEVEL = {NodeState.DOWN: logging.WARNING, NodeState.SUSPECT: logging.WARNING}


class _Change(NamedTuple):
    change: str
    age_ms: int
    at: float


class Leases:
    """Shell of the registry."""

    def __init__(
        self, registry: Registry, picture: Picture, ledger: Ledger, clock: Clock, tasks: asyncio.TaskGroup
    ) -> None:
        self._registry = registry
        self._picture = picture
        self._ledger = ledger
        self._clock = clock
        self._tasks = tasks
        # At most one event of a node waits in the engine for each state, so these stay short.
        self._waiting: dict[str, deque[_Change]] = {}
        self._stopping = False
        ledger.on_changed(self._followed)

    def stop(self) -> None:
        """The coordinator stops: what cannot be recorded is not tried again; the next start finds out."""
        self._stopping = True

    def changed(self, node_uid: str, change: str, age_ms: int) -> None:
        """Take a lease event."""
        event = _Change(change, age_ms, self._clock.boot())
        waiting = self._waiting.get(node_uid)
        if waiting is not None:
            waiting.append(event)
            return
        self._waiting[node_uid] = deque([event])
        self._tasks.create_task(self._work(node_uid))

    def health(self, node_uid: str, value: int) -> None:
        """Take a health event."""
        self._picture.put_health(node_uid, Health(value))

    def _followed(self, command: AnyCommand, _result: Result) -> None:
        """A state is on disk, perhaps long after it was decided: what the engine told since then counts.

        A slow disk takes a command after its caller gave up, so that events between the two were judged by a
        row that was about to change. Without another look the node would keep a state it left long ago.
        """
        if not isinstance(command, NodeTransition) or command.node_uid in self._waiting or self._stopping:
            return
        told = self._registry.told(command.node_uid, self._clock.boot())
        if told is not None and STATE_OF[told.change] is not self._picture.nodes[command.node_uid].state:
            self.changed(command.node_uid, told.change, told.age_ms)

    async def restart(self) -> list[str]:
        """Take the stored nodes at start; return those whose lease is to be expected."""
        transitions, expected = self._registry.restart(
            self._picture.nodes.values(), self._clock.boot(), self._clock.wall_ms()
        )
        async with asyncio.TaskGroup() as together:
            for transition in transitions:
                together.create_task(self._apply(transition))
        return expected

    async def _work(self, node_uid: str) -> None:
        try:
            waiting = self._waiting[node_uid]
            while waiting:
                event = waiting.popleft()
                recorded = await self._one(node_uid, event)
                # What is newer says more: a state that could not be recorded gives way to it.
                if not recorded and not waiting and not self._stopping:
                    waiting.append(event)
                    await asyncio.sleep(RETRY_S)
        finally:
            del self._waiting[node_uid]

    async def _one(self, node_uid: str, event: _Change) -> bool:
        """Record what an event means; return whether there is nothing more to do about it."""
        node = self._picture.nodes.get(node_uid)
        if node is None:
            return True
        command = self._registry.lease(node, event.change, event.age_ms, event.at, self._clock.wall_ms())
        return command is None or await self._apply(command)

    async def _apply(self, command: NodeTransition) -> bool:
        name = self._picture.nodes[command.node_uid].name
        try:
            await self._ledger.apply(command)
        except SwarmletError as refusal:
            logger.warning("a node's state was not recorded", extra={"node": name, "why": refusal.what})
            return refusal.code in _FINAL
        level = _LEVEL.get(command.state, logging.INFO)
        logger.log(level, "node %s", command.state, extra={"node": name, "why": command.reason})
        return True
