"""The life of an agent that is a member: what runs beside what, how it ends, and in which order.

Local work begins before any network and ends last: nothing here makes a workload wait for the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

from swarmlet import _native
from swarmlet.agent.api import Views
from swarmlet.agent.control import Command, ControlServer
from swarmlet.agent.events import Outcome
from swarmlet.agent.member import Member
from swarmlet.agent.node import Node
from swarmlet.agent.notify import Notifier, Watchdog
from swarmlet.agent.ports import Workloads
from swarmlet.agent.pulse import Pulse
from swarmlet.agent.status import Standing
from swarmlet.errors import SwarmletError, error
from swarmlet.identity.store import Vault
from swarmlet.report.http import LocalServer
from swarmlet.signals import asking_to_end

_log = logging.getLogger(__name__)

#: Patience with the coordinator's word on a leave, in seconds.
LEAVE_S = 20.0
#: Patience with the end of the session once the workloads are down.
PART_S = 1.0
#: Patience with callers who still read an answer at the end.
SETTLE_S = 1.0


class Signals:
    """What the system asks of this process. ``stopped`` is set by the first request to end."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self.number = 0

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle what asks to end, and as PID 1 the ends of orphans, for the length of a block."""
        loop = asyncio.get_running_loop()
        wanted = list(asking_to_end())
        for number in wanted:
            loop.add_signal_handler(number, self._stop, int(number))
        if os.getpid() == 1:
            wanted.append(signal.SIGCHLD)
            loop.add_signal_handler(signal.SIGCHLD, _native.reap_orphans)
        try:
            yield
        finally:
            for number in wanted:
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        self.number = self.number or number
        self.stopped.set()


class Crew(NamedTuple):
    """Everything that runs while the agent is a member."""

    node: Node
    member: Member
    workloads: Workloads
    pulse: Pulse
    views: Views
    vault: Vault
    standing: Standing
    notifier: Notifier
    signals: Signals
    servers: tuple[LocalServer, ...]
    broken: asyncio.Future[None]


class Life:
    """One life as a member, from local reconciling to the last goodbye."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._member_task: asyncio.Task[Outcome] | None = None
        self._left: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._control: ControlServer | None = None
        self._leaving = False

    async def run(self, control: ControlServer | None) -> Outcome:
        """Run until stopped, removed, or gone from the cluster.

        Args:
            control: The control socket's server, whose handler is :meth:`command`; ``None`` when the disk
                does not let one be made.

        Raises:
            SwarmletError: ``SWL-799``; the link broke by a fault of its own.
        """
        crew = self._crew
        self._control = control
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(server.serve()) for server in crew.servers]
            background.append(group.create_task(crew.pulse.run()))
            watchdog = Watchdog(crew.notifier, crew.node.link.engine.rounds)
            background.append(group.create_task(watchdog.run()))
            if control is not None:
                background.append(group.create_task(control.serve()))
            self._member_task = group.create_task(crew.member.run())
            try:
                return await self._until_end()
            finally:
                await self._settle()
                for task in background:
                    task.cancel()

    async def _until_end(self) -> Outcome:
        crew = self._crew
        assert self._member_task is not None  # noqa: S101 - set by run, the only caller
        stop = asyncio.ensure_future(crew.signals.stopped.wait())
        try:
            ends: set[asyncio.Future[Any]] = {self._member_task, stop, crew.broken}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if self._member_task.done():
            # Ending all work may take its grace of minutes: only what follows has the manager's patience.
            outcome = await self._ended(self._member_task.result())
            crew.notifier.stopping()
            return outcome
        crew.notifier.stopping()
        crew.member.take_no_work()
        await crew.workloads.close()
        await self._part()
        if crew.broken.done():
            crew.broken.result()
        return Outcome.STOPPED

    async def _part(self) -> None:
        """End the session; what the workloads did at the end was reported over it."""
        task = self._member_task
        if task is None or task.done():
            return
        if self._crew.node.gossiping is not None:
            self._crew.node.gossiping.leave()
        self._crew.member.stop()
        await asyncio.wait({task}, timeout=PART_S)
        task.cancel()

    async def _ended(self, outcome: Outcome) -> Outcome:
        crew = self._crew
        if outcome is Outcome.REVOKED and self._leaving:
            outcome = Outcome.LEFT  # it was gone from the cluster before it could say so
        if outcome is Outcome.REVOKED:
            _log.warning("this node was removed from the cluster; its workloads are stopped")
            await crew.workloads.stop_all("the node was removed from the cluster")
        elif outcome is Outcome.LEFT:
            try:
                await self._forget("the node left the cluster", told=True)
            except SwarmletError as failure:
                self._left.set_exception(failure)
                self._left.exception()  # nobody may be waiting for it
                raise
        await crew.workloads.close()
        if not self._left.done():
            self._left.set_result(True)
        return outcome

    async def _forget(self, reason: str, *, told: bool) -> None:
        """End all work and remove what makes this device a member."""
        await self._crew.workloads.stop_all(reason)
        await forget(self._crew.vault, told=told)

    async def _settle(self) -> None:
        if self._control is not None:
            await self._control.settle(SETTLE_S)

    # ---- local control

    async def command(self, command: Command) -> object:
        """Carry out what came over the control socket.

        Raises:
            SwarmletError: It cannot be done; nothing was changed.
        """
        if command.do == "status":
            return self._crew.views.status()
        if command.do == "health":
            return self._crew.views.health()
        if command.do == "leave":
            return await self._leave(force=command.force)
        raise error("SWL-400", detail=f"there is no command {command.do[:40]!r}", hint="swarmlet --help")

    async def _has_left(self) -> bool:
        """Wait for the coordinator's word on a leave, and then for the end of the work within its grace."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                return await asyncio.shield(self._left)
        if self._member_task is None or not self._member_task.done():
            return False
        return await asyncio.shield(self._left)

    async def _leave(self, *, force: bool) -> dict[str, object]:
        crew = self._crew
        name = crew.node.credentials.memory.name
        self._leaving = True
        crew.member.leave()
        if await self._has_left():
            return {"left": True, "node": name, "told": True}
        self._leaving = False
        crew.member.stay()
        trouble = crew.standing.trouble
        detail = trouble.what if trouble is not None else "it did not confirm in time"
        if not force:
            raise error("SWL-209", detail=detail, name=name)
        await self._forget("the node leaves without the cluster's word", told=False)
        crew.signals.stopped.set()
        return {"left": True, "node": name, "told": False, "detail": detail}


async def forget(vault: Vault, *, told: bool) -> None:
    """Remove the identity, the last step of a leave.

    Raises:
        SwarmletError: ``SWL-310``; the disk does not let it go, and what was done before stays done.
    """
    try:
        await asyncio.to_thread(vault.wipe)
    except SwarmletError as failure:
        done = "the cluster was told that this node leaves" if told else "the cluster was not told"
        path, detail = failure.fields.get("path", "?"), failure.fields.get("detail", failure.what)
        raise error("SWL-310", told=done, path=path, detail=detail) from failure
