"""Workloads without any work: what a session does with them can be watched."""

from __future__ import annotations

import asyncio

from swarmlet.errors import error


class Idle:
    """Fits ``agent.ports.Workloads``."""

    def __init__(self) -> None:
        self.generation = 0
        self.active = 0
        self.applied = []
        self.held = []
        self.open = []
        self.outputs = {}
        self.followed = asyncio.Event()
        self._changed = lambda: None

    def subscribe(self, changed):
        self._changed = changed

    def observe(self, *observations):
        self.open += observations
        self._changed()

    async def start(self):
        pass

    async def apply(self, desired):
        if not desired.full and desired.base != self.generation:
            return False
        self.applied.append(desired)
        self.generation = desired.generation
        return True

    def observations(self):
        return tuple(self.open)

    def unacknowledged(self):
        return tuple(self.open)

    async def acknowledge(self, taken):
        done = set(taken)
        self.open = [one for one in self.open if (one.assignment_id, one.epoch, one.sequence) not in done]

    def lease(self, *, held):
        self.held.append(held)

    async def logs(self, assignment_id, *, follow, tail):
        if assignment_id not in self.outputs:
            raise error("SWL-504", name=assignment_id)
        for chunk in self.outputs[assignment_id]:
            yield chunk
        if follow:
            self.followed.set()
            await asyncio.Event().wait()

    def trouble(self):
        return None

    async def stop_all(self, reason):
        pass

    async def close(self):
        pass
