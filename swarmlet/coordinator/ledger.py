"""Applies commands and lets the picture in memory follow the disk. Holds no rule of its own.

Everything that changes cluster state goes through :meth:`Ledger.apply`. It returns once the change is on
disk *and* in the picture, so that whoever was answered sees what was answered. A caller that goes away
meanwhile does not interrupt it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.store.api import Result, Store
from swarmlet.coordinator.store.commands import AnyCommand
from swarmlet.errors import SwarmletError, error

logger = logging.getLogger(__name__)

#: Told the command and what it changed.
Listener = Callable[[AnyCommand, Result], None]


class Ledger:
    """The one way to change cluster state in this process.

    Args:
        store: Durable state.
        picture: What follows it.
        tasks: Owner of the work under way; it must outlive every caller.
    """

    def __init__(self, store: Store, picture: Picture, tasks: asyncio.TaskGroup) -> None:
        self._store = store
        self._picture = picture
        self._tasks = tasks
        self._reading = asyncio.Lock()
        self._denied: list[Listener] = []
        self._changed: list[Listener] = []

    def on_denied(self, listener: Listener) -> None:
        """Call ``listener`` once a command that refuses certificates is on disk, before anything else."""
        self._denied.append(listener)

    def on_changed(self, listener: Listener) -> None:
        """Call ``listener`` after the picture has followed a command."""
        self._changed.append(listener)

    async def apply(self, command: AnyCommand) -> Result:
        """Apply ``command`` durably.

        Raises:
            SwarmletError: As :meth:`~swarmlet.coordinator.store.api.Store.apply`.
        """
        outcome = await asyncio.shield(self._tasks.create_task(self._carry(command)))
        if isinstance(outcome, SwarmletError):
            raise outcome
        return outcome

    async def _carry(self, command: AnyCommand) -> Result | SwarmletError:
        """Apply and follow; a failure is a value here, because an exception would end the task group."""
        try:
            result = await self._store.apply(command)
            if result.denied:
                self._tell(self._denied, command, result)
            if result.changed:
                await self._follow(result)
                self._tell(self._changed, command, result)
        except SwarmletError as refusal:
            return refusal
        except Exception as bug:
            logger.exception("a command failed", extra={"command": type(command).__name__})
            return error("SWL-799", detail=f"{type(command).__name__}: {type(bug).__name__}")
        return result

    async def _follow(self, result: Result) -> None:
        # One at a time: a row that was read first must not be put down last.
        async with self._reading:
            touched = await self._store.touched(result)
        for workload in touched.workloads:
            self._picture.put_workload(workload)
        for node in touched.nodes:
            self._picture.put_node(node)
        for record in touched.assignments:
            self._picture.put_assignment(record)
        for node_uid, generation in result.generations.items():
            self._picture.put_generation(node_uid, generation)

    @staticmethod
    def _tell(listeners: list[Listener], command: AnyCommand, result: Result) -> None:
        for listener in listeners:
            listener(command, result)
