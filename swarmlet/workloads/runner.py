"""Carries out what the machine says about one replica or another, and tells it what came of it.

Every task belongs to the supervisor's task group. No rule lives here: an action in, an event out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from swarmlet.errors import SwarmletError, error
from swarmlet.model.workload import Assignment, Kind
from swarmlet.workloads import events as ev
from swarmlet.workloads.driver import PASSING, WAITING, Job, Run
from swarmlet.workloads.drivers import Drivers
from swarmlet.workloads.limits import Limits, effective
from swarmlet.workloads.output import Outputs
from swarmlet.workloads.replica import Key, Replica

logger = logging.getLogger(__name__)

_TIMER_EVENTS: dict[ev.Timer, type[ev.Attempted]] = {
    ev.Timer.GRACE: ev.GraceOver,
    ev.Timer.RESTART: ev.RestartDue,
    ev.Timer.ADOPT: ev.AdoptDue,
}

Feed = Callable[[Key, ev.Event], None]
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class _Life:
    """What goes on for one replica right now."""

    __slots__ = ("kind", "run", "task", "timers")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.task: asyncio.Task[None] | None = None
        self.run: Run | None = None
        self.timers: dict[ev.Timer, asyncio.TimerHandle] = {}


class Runner:
    """The hands of the supervisor."""

    def __init__(
        self,
        drivers: Drivers,
        limits: Limits,
        *,
        feed: Feed,
        spawn: Spawn,
        removed: Callable[[], None],
    ) -> None:
        """Run with ``drivers``; events go to ``feed``, and ``removed`` is called after a removal."""
        self._drivers = drivers
        self._limits = limits
        self._feed = feed
        self._spawn = spawn
        self._removed = removed
        self._lives: dict[Key, _Life] = {}
        self.outputs = Outputs()
        self._closing = False
        #: Ended replicas whose files or containers are still being removed.
        self.removing: set[Key] = set()

    def act(self, replica: Replica, action: ev.Action) -> None:
        """Carry out one action on ``replica``, as it stands after the event that caused it."""
        key, assignment = replica.key, replica.assignment
        life = self._lives.setdefault(key, _Life(assignment.spec.kind))
        match action:
            case ev.Prepare(attempt=attempt):
                life.task = self._spawn(self._prepare(key, assignment, attempt))
            case ev.Start(attempt=attempt):
                life.task = self._spawn(self._start(key, life, assignment, attempt))
            case ev.Adopt(attempt=attempt):
                life.task = self._spawn(self._adopt(key, life, assignment, attempt))
            case ev.Cancel():
                self._cancel(life)
            case ev.Terminate() | ev.Kill():
                if life.run is not None:
                    gentle = isinstance(action, ev.Terminate)
                    self._spawn(life.run.terminate() if gentle else life.run.kill())
            case ev.SetTimer(timer=timer, attempt=attempt, delay=delay):
                self._set_timer(key, life, timer, attempt, delay)
            case ev.Clean():
                self._finish(key, assignment)
                self.removing.add(key)
                self._spawn(self._remove(key, self._drivers[assignment.spec.kind].clean(assignment)))
            case ev.Remove():
                self._finish(key, assignment)
                self.removing.add(key)
                self._spawn(self._remove(key, self._drivers[assignment.spec.kind].remove(assignment)))

    async def end_processes(self, grace: float) -> None:
        """End every process within ``grace`` seconds, by force after it; containers run on."""
        self._closing = True
        lives = [life for life in self._lives.values() if life.kind is Kind.PROCESS]
        runs = [life.run for life in lives if life.run is not None]
        if not runs:
            return
        ends = [asyncio.ensure_future(run.wait()) for run in runs]
        for run in runs:
            await run.terminate()
        _, left = await asyncio.wait(ends, timeout=grace)
        if left:
            for run in runs:
                await run.kill()
            await asyncio.wait(left, timeout=2.0)
        for end in ends:
            end.cancel()

    def stop_timers(self) -> None:
        """Let no timer fire any more."""
        for life in self._lives.values():
            for timer in life.timers.values():
                timer.cancel()

    def job(self, assignment: Assignment) -> Job:
        """Return an assignment with the limits it gets here."""
        return Job(assignment, effective(assignment.spec.resources, self._limits))

    # ---- what the tasks do

    async def _prepare(self, key: Key, assignment: Assignment, attempt: int) -> None:
        try:
            await self._drivers[assignment.spec.kind].prepare(self.job(assignment))
        except Exception as failure:  # noqa: BLE001 - whatever it is, the replica must not hang
            self._failed(key, attempt, failure)
        else:
            self._feed(key, ev.Prepared(attempt))

    async def _start(self, key: Key, life: _Life, assignment: Assignment, attempt: int) -> None:
        if self._closing:
            return
        ring = self.outputs.open(assignment.assignment_id)
        try:
            run = await self._drivers[assignment.spec.kind].start(self.job(assignment), ring)
        except Exception as failure:  # noqa: BLE001 - as above
            self._failed(key, attempt, failure)
            return
        life.run = run
        self._feed(key, ev.Started(attempt, run.note))
        await self._until_exit(key, life, run, attempt)

    async def _adopt(self, key: Key, life: _Life, assignment: Assignment, attempt: int) -> None:
        ring = self.outputs.open(assignment.assignment_id)
        try:
            run = await self._drivers[assignment.spec.kind].adopt(self.job(assignment), ring)
        except Exception as failure:  # noqa: BLE001 - as above
            self._feed(key, ev.AdoptFailed(attempt, _sentence(failure)))
            return
        if run is None:
            self._feed(key, ev.NotFound(attempt))
            return
        life.run = run
        self._feed(key, ev.Adopted(attempt, run.note))
        await self._until_exit(key, life, run, attempt)

    async def _until_exit(self, key: Key, life: _Life, run: Run, attempt: int) -> None:
        ended = await run.wait()
        life.run = None
        self._feed(key, ev.Exited(attempt, ended))

    async def _remove(self, key: Key, removal: Coroutine[Any, Any, None]) -> None:
        try:
            await removal
        finally:
            self.removing.discard(key)
            self._removed()

    def _failed(self, key: Key, attempt: int, failure: Exception) -> None:
        code = failure.code if isinstance(failure, SwarmletError) else ""
        failed = ev.Failed(attempt, _sentence(failure), passing=code in PASSING, waits=code in WAITING)
        self._feed(key, failed)

    # ---- small parts

    def _cancel(self, life: _Life) -> None:
        if life.task is not None and life.run is None and life.task is not asyncio.current_task():
            life.task.cancel()
        for timer in life.timers.values():
            timer.cancel()

    def _set_timer(self, key: Key, life: _Life, timer: ev.Timer, attempt: int, delay: float) -> None:
        earlier = life.timers.pop(timer, None)
        if earlier is not None:
            earlier.cancel()
        event = _TIMER_EVENTS[timer](attempt)
        life.timers[timer] = asyncio.get_running_loop().call_later(delay, self._feed, key, event)

    def _finish(self, key: Key, assignment: Assignment) -> None:
        life = self._lives.pop(key, None)
        if life is not None:
            self._cancel(life)
        self.outputs.end(assignment.assignment_id)


def _sentence(failure: Exception) -> str:
    if isinstance(failure, SwarmletError):
        return str(failure)
    logger.error("a workload could not be handled", exc_info=failure)
    return str(error("SWL-799", detail=f"{type(failure).__name__}: {failure}"))
