"""Everything this node runs, reconciled towards what the cluster wants, for ever, also without a cluster.

It feeds events to the machine, carries actions to the runner, the committer and the outbox, and holds no rule
itself. It knows nothing of connections: whoever has one gives it desired states and takes observations away.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from swarmlet.clock import Clock
from swarmlet.errors import SwarmletError, error
from swarmlet.link.messages import Desired
from swarmlet.model.workload import Assignment, Kind, Observation
from swarmlet.workloads import events as ev
from swarmlet.workloads import reconcile as rc
from swarmlet.workloads.committer import Committer
from swarmlet.workloads.driver import Driver, Settings, is_safe_name
from swarmlet.workloads.drivers import Drivers
from swarmlet.workloads.journal import Journal, JournalState
from swarmlet.workloads.limits import storage_refusal
from swarmlet.workloads.machine import IllegalTransitionError, recover, step, take
from swarmlet.workloads.outbox import Outbox
from swarmlet.workloads.output import CHUNK_BYTES
from swarmlet.workloads.replica import OCCUPYING, Key, Now, Phase, Replica
from swarmlet.workloads.runner import Runner
from swarmlet.workloads.workdirs import WorkDirs

__all__ = ["Settings", "Supervisor"]

logger = logging.getLogger(__name__)

#: The longest that :meth:`Supervisor.close` waits for processes to end by themselves, in seconds.
CLOSE_GRACE_S = 8.0
#: Seconds that :meth:`Supervisor.stop_all` gives beyond the longest grace asked for.
STOP_EXTRA_S = 20.0
#: Seconds between two looks at how much disk the private directories use, when that is limited.
STORAGE_S = 30.0

#: Actions that wait for no disk.
_AT_ONCE = (ev.Terminate, ev.Kill, ev.Cancel, ev.SetTimer)


class Supervisor:
    """The workloads of one node (``agent/ports.py``: ``Workloads``). All methods are for one event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        now_ms: Callable[[], int],
        clock: Clock,
        rng: random.Random | None = None,
        drivers: Mapping[Kind, Driver] | None = None,
    ) -> None:
        """Run what ``settings`` allow.

        Args:
            settings: Where, for whom and how much.
            now_ms: Cluster time in Unix milliseconds, for what is told.
            clock: Gives the boot clock, for what is measured.
            rng: Spreads restarts; a fresh one unless a test brings its own.
            drivers: Ways to run each kind; the real ones unless a test brings its own.
        """
        self._settings = settings
        self._now_ms = now_ms
        self._clock = clock
        self._rng = rng if rng is not None else random.Random()  # noqa: S311 - spreads timers
        work = WorkDirs(str(Path(settings.data_dir, "work")))
        self._work = work
        made = Drivers(drivers, None) if drivers is not None else Drivers.real(settings, work, self._spawn)
        self._drivers = made
        self._journal = Journal(str(Path(settings.data_dir, "journal")))
        self._committer = Committer(self._journal, self._state, self._saved)
        self._runner = Runner(
            self._drivers, settings.limits, feed=self._feed, spawn=self._spawn, removed=self._admit_soon
        )
        self._outbox = Outbox()
        self._replicas: dict[Key, Replica] = {}
        self._fences: dict[str, int] = {}
        self._applied = 0
        self._generation = 0
        self._damage: SwarmletError | None = None
        self._containers_seen = False
        self._lease = False
        self._snapshot_since_lapse = False
        self._applying = asyncio.Lock()
        self._changed = asyncio.Event()
        self._admit_due = False
        self._closing = False
        self._group: asyncio.TaskGroup | None = None
        self._main: asyncio.Task[None] | None = None

    # ---- what the agent asks (agent/ports.py)

    @property
    def generation(self) -> int:
        """The newest desired state that was applied and journalled; 0 before any."""
        return self._generation

    @property
    def active(self) -> int:
        """How many replicas are preparing, running or stopping right now."""
        busy = OCCUPYING - {Phase.BACKING_OFF}
        return sum(1 for one in self._replicas.values() if one.phase in busy)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` on the event loop after every new observation; it returns at once."""
        self._outbox.subscribe(changed)

    async def start(self) -> None:
        """Read the journal and begin reconciling from it; returns when that runs."""
        state, self._damage = await asyncio.to_thread(self._journal.load)
        if self._damage is not None:
            logger.warning("the journal could not be read: %s", self._damage)
        self._fences = dict(state.fences)
        self._applied = self._generation = state.generation
        self._containers_seen = self._damage is not None
        ready = asyncio.Event()
        self._main = asyncio.create_task(self._serve(ready), name="workloads")
        await ready.wait()
        await self._drivers[Kind.PROCESS].begin()
        for journalled in state.replicas:
            self._containers_seen |= journalled.assignment.spec.kind is Kind.CONTAINER
            replica, actions = recover(journalled, self._now())
            self._replicas[replica.key] = replica
            self._outbox.recall(replica)
            self._perform(replica, actions)
            if not replica.ended:
                self._feed(replica.key, ev.LeaseLapsed())
        self._admit_soon()

    async def apply(self, desired: Desired) -> bool:
        """Journal ``desired`` and reconcile towards it; return after it is on disk.

        Returns:
            False when ``desired`` is a change that does not follow :attr:`generation`; nothing happened.

        Raises:
            SwarmletError: The journal cannot be written (``SWL-301``, ``SWL-302``); it is tried again.
        """
        async with self._applying:
            if not desired.full and desired.base != self._generation:
                return False
            orders = rc.reconcile(self._replicas, desired, self._fences)
            self._fences = rc.new_fences(self._fences, desired)
            self._applied = desired.generation
            for order in orders:
                self._obey(order)
            if desired.full:
                self._snapshot_since_lapse = True
            self._admit()
            await self._committer.flush()
            if desired.full:
                self._damage = None
                self._sweep()
            return True

    def observations(self) -> tuple[Observation, ...]:
        """The last observation of every assignment in the journal: what a ``Hello`` carries."""
        return self._outbox.latest()

    def unacknowledged(self) -> tuple[Observation, ...]:
        """Observations the coordinator has not confirmed, oldest first; kept until :meth:`acknowledge`."""
        return self._outbox.open()

    async def acknowledge(self, taken: tuple[tuple[str, int, int], ...]) -> None:
        """Forget observations up to these ``(assignment_id, epoch, sequence)``: they are durable there."""
        for assignment_id, epoch, sequence in taken:
            key = Key(assignment_id, epoch)
            self._outbox.acknowledge(key, sequence)
            self._feed(key, ev.Acknowledged(sequence))

    def lease(self, *, held: bool) -> None:
        """Tell whether this node holds its lease; when not, ``on_partition: stop`` replicas end (N5)."""
        self._lease = held
        if not held:
            self._snapshot_since_lapse = False
            for key in list(self._replicas):
                self._feed(key, ev.LeaseLapsed())
        self._admit_soon()

    async def logs(
        self, assignment_id: str, *, follow: bool, tail: int | None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the output of an assignment in chunks of at most 32 KiB.

        Raises:
            SwarmletError: ``SWL-504`` on the first step when the assignment is not here.
        """
        ring = self._runner.outputs.find(assignment_id)
        if ring is None:
            here = [one for key, one in self._replicas.items() if key.assignment_id == assignment_id]
            if not here:
                raise error("SWL-504", name=assignment_id)
            if all(one.ended for one in here):
                return  # it ended before this agent started; its output went with the last one
            ring = self._runner.outputs.open(assignment_id)
        async for chunk in ring.follow(tail=tail, follow=follow):
            if chunk.missed:
                yield f"... {chunk.missed} bytes dropped ...\n".encode()
            for at in range(0, len(chunk.data), CHUNK_BYTES):
                yield chunk.data[at : at + CHUNK_BYTES]

    def trouble(self) -> str | None:
        """A sentence for ``/health`` when something needs a look (damaged journal, engine missing)."""
        for failure in (self._committer.trouble, self._damage):
            if failure is not None:
                return str(failure)
        kinds = {one.assignment.spec.kind for one in self._replicas.values() if not one.ended}
        return next((said for kind in kinds if (said := self._drivers[kind].trouble())), None)

    async def stop_all(self, reason: str) -> None:
        """End every replica, containers too, and empty the journal: this node was removed or leaves."""
        graces = [one.assignment.spec.stop_grace_s for one in self._replicas.values()]
        for key in list(self._replicas):
            self._feed(key, ev.Dropped(reason))
        try:
            async with asyncio.timeout(max(graces, default=0.0) + STOP_EXTRA_S):
                await self._until(lambda: all(one.ended for one in self._replicas.values()))
                await self._committer.flush()  # what waited for the disk, the removals, begins now
                await self._until(lambda: not self._runner.removing)
        except (SwarmletError, TimeoutError) as failure:
            left = [key for key, one in self._replicas.items() if not one.ended]
            logger.warning("not everything could be ended: %s %s", left, failure)
        for key in list(self._replicas):
            self._drop(key)
        self._fences, self._applied = {}, 0
        try:
            await self._committer.flush()
        except SwarmletError as failure:
            logger.warning("the journal could not be emptied: %s", failure)
        for kind in self._kinds_seen():
            await self._drivers[kind].sweep(list)

    async def close(self) -> None:
        """The agent ends: stop processes within their grace (at most 8 s), leave containers running."""
        if self._closing:
            return
        self._closing = True
        self._runner.stop_timers()
        graces = [one.assignment.spec.stop_grace_s for one in self._replicas.values()]
        await self._runner.end_processes(min(CLOSE_GRACE_S, max(graces, default=0.0)))
        if self._main is not None:
            try:
                async with asyncio.timeout(5.0):
                    await self._committer.flush()
            except (SwarmletError, TimeoutError) as failure:
                logger.warning("the journal could not be written at the end: %s", failure)
            self._main.cancel()
            await asyncio.wait([self._main])
        for driver in self._drivers.made():
            await driver.close()

    # ---- tasks

    async def _serve(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._committer.run())
            if self._settings.limits.storage_gb is not None:
                group.create_task(self._watch_storage())
            ready.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._group is None:
            work.close()
            raise RuntimeError("the supervisor was not started")
        return self._group.create_task(_guarded(work))

    async def _watch_storage(self) -> None:
        """End who uses the most disk when all together use more than is lent."""
        while True:
            await asyncio.sleep(STORAGE_S)
            running = {k.assignment_id: k for k, one in self._replicas.items() if one.phase is Phase.RUNNING}
            if not running:
                continue
            usage = await asyncio.to_thread(self._work.usage)
            full = storage_refusal(sum(usage.values()), self._settings.limits)
            # When that is one being ended and removed already, nobody else pays for it.
            guilty = max(usage, key=lambda name: usage[name], default="")
            if full is not None and guilty in running:
                self._feed(running[guilty], ev.StopAsked(str(full), failed=True))

    # ---- feeding the machine

    def _now(self) -> Now:
        return Now(self._clock.boot(), self._now_ms(), self._rng.random())

    def _feed(self, key: Key, event: ev.Event) -> None:
        before = self._replicas.get(key)
        if before is None or self._closing:
            return
        try:
            after, actions = step(before, event, self._now())
        except IllegalTransitionError:
            logger.exception("an event was ignored for %s", key)
            return
        self._replicas[key] = after
        self._perform(after, actions)
        if after.phase is not before.phase:
            self._admit_soon()
        self._changed.set()

    def _perform(self, replica: Replica, actions: tuple[ev.Action, ...]) -> None:
        """Do what waits for no disk, then have the journal written, then do what waited for that."""
        free: list[ev.Action] = []
        bound: list[ev.Action] | None = None
        for action in actions:
            if isinstance(action, _AT_ONCE):
                self._runner.act(replica, action)
            elif isinstance(action, ev.Journal):
                bound = [] if bound is None else bound
            else:
                (free if bound is None else bound).append(action)
        for part, write in ((free, False), (bound, True)):
            if part:
                self._committer.after(replica.key, partial(self._carry_out, replica, part), write=write)
        if bound == []:
            self._committer.request()

    def _carry_out(self, replica: Replica, actions: list[ev.Action]) -> None:
        for action in actions:
            match action:
                case ev.Observe(observation=seen):
                    if replica.key in self._replicas:
                        self._outbox.put(seen)
                case ev.Forget():
                    self._drop(replica.key)
                    self._committer.request()
                case ev.Prepare(attempt=attempt) | ev.Start(attempt=attempt):
                    now = self._replicas.get(replica.key)
                    if (
                        now is not None
                        and now.attempt == attempt
                        and now.ending is None
                        and not self._closing
                    ):
                        self._runner.act(replica, action)
                case _:
                    self._runner.act(replica, action)

    def _obey(self, order: rc.Order) -> None:
        match order:
            case rc.Take(assignment=assignment) if is_safe_name(assignment.assignment_id):
                self._take(assignment)
            case rc.Take(assignment=assignment):
                logger.error("an assignment was not taken: %r cannot be its name", assignment.assignment_id)
            case rc.Send(key=key, event=event):
                self._feed(key, event)
            case rc.Ignore(key=key, reason=reason):
                logger.warning("the assignment %s was not taken: %s", key, reason)

    def _take(self, assignment: Assignment) -> None:
        replica = take(assignment, self._now(), journal_is_new=self._generation == 0)
        self._replicas[replica.key] = replica
        self._containers_seen |= assignment.spec.kind is Kind.CONTAINER
        if assignment.stop:
            self._feed(replica.key, ev.StopAsked(rc.STOPPED))

    # ---- who may begin

    def _admit_soon(self) -> None:
        """Look who may begin once this turn of the loop is over."""
        self._changed.set()
        if not self._admit_due and not self._closing:
            self._admit_due = True
            asyncio.get_running_loop().call_soon(self._admit)

    def _admit(self) -> None:
        self._admit_due = False
        confirmed = self._lease and self._snapshot_since_lapse
        for key in [key for key, one in self._replicas.items() if one.phase is Phase.WAITING]:
            verdict = rc.gate(
                self._replicas[key],
                self._replicas,
                self._settings.limits,
                confirmed=confirmed,
                removing=self._runner.removing,
            )
            self._feed(key, verdict)

    # ---- state

    def _state(self) -> JournalState:
        return JournalState(
            generation=self._applied, replicas=tuple(self._replicas.values()), fences=self._fences
        )

    def _saved(self, state: JournalState) -> None:
        self._generation = state.generation

    def _drop(self, key: Key) -> None:
        self._replicas.pop(key, None)
        self._outbox.drop(key)
        self._changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _sweep(self) -> None:
        """After a snapshot nothing may be left of what it does not list."""
        for kind in self._kinds_seen():
            keep = lambda: [one.assignment for one in self._replicas.values()]  # noqa: E731
            self._spawn(self._drivers[kind].sweep(keep))

    def _kinds_seen(self) -> list[Kind]:
        return [Kind.PROCESS, Kind.CONTAINER] if self._containers_seen else [Kind.PROCESS]


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    """Keep a fault of one task from ending all the others."""
    try:
        await work
    except Exception:
        logger.exception("a task of the workloads failed")
