"""Applies commands and lets the picture in memory follow the disk. Holds no rule of its own.

Everything that changes cluster state goes through :meth:`Ledger.apply`. It returns once the change is on
disk *and* in the picture, so that whoever was answered sees what was answered. A caller that goes away
meanwhile does not interrupt it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable

from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.store.api import Result, Store, Touched
from swarmlet.coordinator.store.commands import AnyCommand
from swarmlet.errors import SwarmletError, error

logger = logging.getLogger(__name__)

#: Pauses, in seconds, between tries to read what was just written.
READ_AGAIN_S = (0.1, 0.2, 0.4, 0.8, 1.6)

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
            result = await self._store.apply(command, functools.partial(self._late, command))
        except SwarmletError as refusal:
            return refusal
        except Exception as bug:
            logger.exception("a command failed", extra={"command": type(command).__name__})
            return error("SWL-799", detail=f"{type(command).__name__}: {type(bug).__name__}")
        await self._settle(command, result)
        return result

    def _late(self, command: AnyCommand, result: Result) -> None:
        """A command is on disk after its caller was told that nobody knows: memory follows all the same."""
        logger.warning("a command was applied late", extra={"command": type(command).__name__})
        settling = self._settle(command, result)
        try:
            self._tasks.create_task(settling)
        except RuntimeError:
            settling.close()  # the coordinator ends; the next start reads the disk

    async def _settle(self, command: AnyCommand, result: Result) -> None:
        """Let memory and listeners follow what is on disk."""
        if result.denied:
            self._tell(self._denied, command, result)
        if result.changed:
            try:
                await self._follow(result)
            except SwarmletError:
                raise
            except Exception:
                # A row that one part of the picture cannot take must not end the coordinator for all others.
                logger.exception("the picture could not follow", extra={"command": type(command).__name__})
            self._tell(self._changed, command, result)

    async def _follow(self, result: Result) -> None:
        # One at a time: a row that was read first must not be put down last.
        async with self._reading:
            touched = await self._read(result)
        for workload in touched.workloads:
            self._picture.put_workload(workload)
        for node in touched.nodes:
            self._picture.put_node(node)
        for record in touched.assignments:
            self._picture.put_assignment(record)
        for node_uid, generation in result.generations.items():
            self._picture.put_generation(node_uid, generation)
        for assignment_id in result.gone_assignments:
            self._picture.drop_assignment(assignment_id)
        for workload_id in result.gone_workloads:
            self._picture.drop_workload(workload_id)

    async def _read(self, result: Result) -> Touched:
        """Read the rows of a result that is on disk.

        Raises:
            SwarmletError: It could not be read for seconds. This ends the coordinator: with memory behind the
                disk it would tell nodes what is no longer so, and the next start looks at the disk first.
        """
        for pause_s in READ_AGAIN_S:
            try:
                return await self._store.touched(result)
            except SwarmletError as failure:
                logger.warning("what was written could not be read yet", extra={"why": failure.what})
                await asyncio.sleep(pause_s)
        return await self._store.touched(result)

    @staticmethod
    def _tell(listeners: list[Listener], command: AnyCommand, result: Result) -> None:
        for listener in listeners:
            try:
                listener(command, result)
            except Exception:
                # It is on disk: neither the picture nor the other listeners may miss it.
                logger.exception("a listener failed", extra={"command": type(command).__name__})
