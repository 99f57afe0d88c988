"""Containers as replicas: prepared, started, watched, adopted after a restart of the agent, removed.

One stream of the engine's events tells of every end; one stream for each running container brings its output.
No thread waits for anything. A container outlives this agent on purpose, and is known again by its labels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any
from urllib.parse import quote

import msgspec

from swarmlet.errors import SwarmletError, error
from swarmlet.model.workload import Assignment
from swarmlet.workloads import container as pure
from swarmlet.workloads.docker import Engine
from swarmlet.workloads.driver import Job, Node, bad_environment
from swarmlet.workloads.endings import Exit
from swarmlet.workloads.engine_stream import EngineStreamError, read_output
from swarmlet.workloads.output import STDERR, Pace, Ring

#: Seconds without an event after which the engine is asked what runs; an event can be lost with the engine.
RESYNC_S = 60.0
#: Seconds for the stream of events to open before a container is started.
WATCH_S = 20.0
#: Seconds that an ended container's output may still take.
DRAIN_S = 5.0
#: Longest pause between two tries to reach the engine, in seconds.
RETRY_MAX_S = 15.0
#: Lines of output fetched again of a container that is adopted.
ADOPTED_LINES = 2000
#: Seconds that an init has to say that it cannot run the program, before it is told as running. Most say so
#: before the engine has answered; what comes later is told as the end.
SETTLE_S = 0.1

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class ContainerRun:
    """A running container; what it writes comes behind ``began`` of its ring."""

    def __init__(  # noqa: PLR0913 - one value per thing that is known of it
        self, engine: Engine, container_id: str, stop_signal: str, *, note: str, ring: Ring, node: str
    ) -> None:
        self.container_id = container_id
        self.note = note
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.output: asyncio.Task[None] | None = None
        #: The engine went away while it was started: it may run, or may never have.
        self.unsure = False
        self._engine = engine
        self._stop_signal = stop_signal
        self._ring = ring
        self._began = ring.end
        self._node = node

    async def wait(self) -> Exit:
        """Return how it ended, once its output was read."""
        ended = await asyncio.shield(self.ended)
        if self.output is not None:
            await asyncio.wait([self.output], timeout=DRAIN_S)
            self.output.cancel()
        unstarted = self.unstarted() if ended.code in {126, 127} else None
        return ended if unstarted is None else ended._replace(unstarted=str(unstarted))

    async def settle(self) -> None:
        """Give an init the moment it takes to find that there is no program.

        Raises:
            SwarmletError: ``SWL-501``, ``SWL-510``: it found so.
        """
        if self._ring.end == self._began:
            grown = asyncio.ensure_future(self._ring.grown())
            either: tuple[asyncio.Future[Any], ...] = (grown, self.ended)
            await asyncio.wait(either, timeout=SETTLE_S, return_when=asyncio.FIRST_COMPLETED)
            grown.cancel()
        unstarted = self.unstarted()
        if unstarted is not None:
            raise unstarted

    def unstarted(self) -> SwarmletError | None:
        """Return why no program ever ran, when all that was written says so."""
        first = self._ring.read(self._began)
        whole = first is not None and first.offset + len(first.data) == self._ring.end
        return pure.unstarted(first.data, self._node) if first is not None and whole else None

    async def terminate(self) -> None:
        """Send the signal that the image names, SIGTERM by default."""
        await self._signal(self._stop_signal)

    async def kill(self) -> None:
        """End it at once."""
        await self._signal("SIGKILL")

    async def _signal(self, name: str) -> None:
        try:
            await self._engine.kill(self.container_id, name)
        except SwarmletError:
            return  # the engine is away: the grace goes on, and the kill after it is repeated


class ContainerDriver:
    """Runs assignments as containers of one engine."""

    def __init__(self, engine: Engine, node: Node, spawn: Spawn) -> None:
        """Use ``engine`` for ``node``; ``spawn`` starts a task that its owner waits for."""
        self._engine = engine
        self._node = node
        self._spawn = spawn
        self._runs: dict[str, ContainerRun] = {}
        self._watch: asyncio.Task[None] | None = None
        self._watching = asyncio.Event()
        self._wanted = asyncio.Event()
        self._trouble: str | None = None

    async def begin(self) -> None:
        """Nothing: containers outlive an agent on purpose, and none may be here at all."""

    async def prepare(self, job: Job) -> None:
        """Have the image on this node: the local one when there is one, else pulled."""
        image = job.assignment.spec.image or ""
        wrong = bad_environment(job.assignment.spec.env)
        if wrong is not None:
            raise error("SWL-507", detail=wrong)
        await self._connected()
        if await self._engine.image(image) is None:
            await self._engine.pull(image)

    async def start(self, job: Job, ring: Ring) -> ContainerRun:
        """Create and start a container for the job, replacing what is left of an earlier attempt.

        One that runs for this very job already is taken over: the journal that told of it was lost.
        """
        facts = await self._connected()
        assignment = job.assignment
        there = await self._engine.containers(assignment.assignment_id)
        if any(pure.runs(one, assignment) and one.container_id not in self._runs for one in there):
            kept = await self.adopt(job, ring)
            if kept is not None:
                return kept
        name = assignment.spec.image or ""
        image = await self._engine.image(name)
        if image is None:
            raise error("SWL-502", image=name, detail="it was removed meanwhile")
        for found in await self._engine.containers(assignment.assignment_id):
            await self._engine.remove(found.container_id)
        body = pure.create_body(job, self._node, facts, image.user)
        container_id = await self._engine.create(body, pure.name_of(assignment, self._node))
        note = pure.unenforced(assignment.spec.resources, facts)
        run = self._register(self._run(container_id, image.stop_signal, note, ring))
        try:
            await self._watched()
            await self._attach(run, ring)
            await self._start(run)
            if facts.init and not run.unsure:
                await run.settle()
        except SwarmletError as failure:
            self._runs.pop(container_id, None)
            if run.output is not None:
                run.output.cancel()
            await self._discard(container_id)
            raise self._explained(failure, assignment) from failure
        return run

    async def _start(self, run: ContainerRun) -> None:
        """Start a container. When the engine goes away meanwhile, what became of it is asked later."""
        try:
            await self._engine.start(run.container_id)
        except SwarmletError as failure:
            if failure.code != "SWL-503":
                raise
            self._trouble = str(failure)
            run.unsure = True

    def _run(self, container_id: str, stop_signal: str, note: str, ring: Ring) -> ContainerRun:
        return ContainerRun(
            self._engine, container_id, stop_signal, note=note, ring=ring, node=self._node.name
        )

    async def adopt(self, job: Job, ring: Ring) -> ContainerRun | None:
        """Return the container that this agent started before its restart, running or just ended."""
        facts = await self._connected()
        assignment = job.assignment
        kept: ContainerRun | None = None
        there = await self._engine.containers(assignment.assignment_id)
        for found in sorted(there, key=lambda one: not pure.runs(one, assignment)):
            if kept is not None or not pure.matches(found, assignment):
                await self._engine.remove(found.container_id)
                continue
            image = await self._engine.image(assignment.spec.image or "")
            signal = image.stop_signal if image is not None else "SIGTERM"
            note = pure.unenforced(assignment.spec.resources, facts)
            kept = self._register(self._run(found.container_id, signal, note, ring))
            await self._watched()
            self._follow(kept, ring)
            await self._settle(kept)
        return kept

    async def clean(self, assignment: Assignment) -> None:
        """Remove the dead container; its output is in the ring."""
        await self.remove(assignment)

    async def remove(self, assignment: Assignment) -> None:
        """Remove every container of the assignment's epoch; one that cannot be reached is swept later."""
        if not self._engine.known:
            return
        try:
            for found in await self._engine.containers(assignment.assignment_id):
                if found.epoch == str(assignment.epoch):
                    await self._engine.remove(found.container_id)
        except SwarmletError as failure:
            self._trouble = str(failure)

    async def sweep(self, keep: Callable[[], Collection[Assignment]]) -> None:
        """Remove this node's containers that belong to none of what ``keep`` returns."""
        try:
            await self._connected()
            there = await self._engine.containers()
            wanted = {(one.assignment_id, str(one.epoch), pure.spec_hash(one.spec)) for one in keep()}
            for found in there:
                known = (found.assignment_id, found.epoch, found.spec_hash) in wanted
                if not known and found.container_id not in self._runs:
                    await self._engine.remove(found.container_id)
        except SwarmletError as failure:
            self._trouble = str(failure)

    def trouble(self) -> str | None:
        """Return why the engine cannot be used, when that is so."""
        return self._trouble

    async def close(self) -> None:
        """Stop watching; the containers run on."""
        await self._engine.close()

    async def _connected(self) -> pure.Facts:
        try:
            facts = await self._engine.connect()
        except SwarmletError as failure:
            self._trouble = str(failure)
            raise
        self._trouble = None
        return facts

    def _explained(self, failure: SwarmletError, assignment: Assignment) -> SwarmletError:
        detail = failure.fields.get("detail", "")
        if failure.code != "SWL-507":
            return failure
        command = assignment.spec.command[0] if assignment.spec.command else f"of {assignment.spec.image}"
        return pure.why_unstarted(detail, command, self._node.name) or failure

    async def _discard(self, container_id: str) -> None:
        try:
            await self._engine.remove(container_id)
        except SwarmletError as failure:
            self._trouble = str(failure)  # swept later

    # ---- ends, by events

    def _register(self, run: ContainerRun) -> ContainerRun:
        self._runs[run.container_id] = run
        run.ended.add_done_callback(lambda _: self._forget(run))
        self._wanted.set()
        if self._watch is None or self._watch.done():
            self._watch = self._spawn(self._watch_events())
        return run

    def _forget(self, run: ContainerRun) -> None:
        self._runs.pop(run.container_id, None)
        if not self._runs:
            self._wanted.clear()

    async def _watched(self) -> None:
        """Wait until events are being listened to, so that no end can be missed."""
        try:
            async with asyncio.timeout(WATCH_S):
                await self._watching.wait()
        except TimeoutError as late:
            raise error("SWL-503", detail="it does not tell its events") from late

    async def _watch_events(self) -> None:
        filters = {
            "type": ["container"],
            "event": ["die", "destroy"],
            "label": [f"{pure.LABEL_NODE}={self._node.node_uid}"],
        }
        target = "/events?filters=" + quote(msgspec.json.encode(filters))
        failures = 0
        while True:
            await self._wanted.wait()
            try:
                await self._connected()
                async with self._engine.stream(target) as reader:
                    self._watching.set()
                    failures = 0
                    await self._resync()
                    await self._read_events(reader)
            except EngineStreamError as failure:
                self._trouble = str(error("SWL-503", detail=str(failure)))
                self._engine.lost()
            except SwarmletError as failure:
                self._trouble = str(failure)
            self._watching.clear()
            await asyncio.sleep(min(RETRY_MAX_S, 0.25 * 2.0**failures))
            failures = min(failures + 1, 10)

    async def _read_events(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                async with asyncio.timeout(RESYNC_S):
                    line = await reader.readline()
            except TimeoutError:
                await self._resync()
                continue
            except ValueError:
                return  # a line beyond every limit: begin anew
            if not line:
                return
            run = self._runs.get(_container_of(line))
            if run is not None:
                self._spawn(self._settle(run))

    async def _resync(self) -> None:
        """Ask what became of every running container: an end may have come while nobody listened."""
        if not self._runs:
            return
        states = {found.container_id: found.state for found in await self._engine.containers()}
        for container_id, run in list(self._runs.items()):
            if run.unsure or states.get(container_id, "gone") in {"exited", "dead", "gone"}:
                await self._settle(run)

    async def _settle(self, run: ContainerRun) -> None:
        """Record the end of a container when it has ended."""
        try:
            state = await self._engine.state(run.container_id)
        except SwarmletError as failure:
            self._trouble = str(failure)  # the resync that follows a reconnection tries again
            return
        if run.ended.done():
            return
        if state is None:
            run.ended.set_result(Exit(code=255, detail="its container was removed by someone else"))
        elif pure.has_ended(state):
            run.ended.set_result(pure.read_exit(state))
        elif run.unsure and state.get("Status") == "created":
            run.ended.set_result(Exit(code=255, detail="the container engine went away before it started"))

    # ---- output

    async def _attach(self, run: ContainerRun, ring: Ring) -> None:
        """Listen to a container that has not started yet, so that nothing it says is missed.

        Its output comes from the container itself; following the engine's log files instead loses what a
        noisy one writes while they are rotated.
        """
        target = f"/containers/{run.container_id}/attach?stream=1&stdout=1&stderr=1"
        listening = asyncio.Event()
        run.output = self._spawn(self._copy_output(run, ring, target, listening))
        await listening.wait()

    def _follow(self, run: ContainerRun, ring: Ring) -> None:
        """Read the last output of a container from before this agent, and what follows."""
        run.output = self._spawn(self._copy_output(run, ring, _logs(run, ADOPTED_LINES), asyncio.Event()))

    async def _copy_output(
        self, run: ContainerRun, ring: Ring, target: str, listening: asyncio.Event
    ) -> None:
        loop, pace = asyncio.get_running_loop(), Pace()
        while True:
            method = "POST" if "/attach" in target else "GET"
            try:
                async with self._engine.stream(target, method) as reader:
                    listening.set()
                    async for stream, data in read_output(reader):
                        ring.append(stream, data)
                        await asyncio.sleep(pace.spend(len(data), loop.time()))
            except EngineStreamError as failure:
                ring.append(STDERR, f"... output may be missing here: {failure}\n".encode())
            listening.set()
            # The stream ends with the container, or with the engine.
            await asyncio.wait([run.ended], timeout=1.0)
            if run.ended.done():
                return
            target = _logs(run, 0)


def _logs(run: ContainerRun, lines: int) -> str:
    return f"/containers/{run.container_id}/logs?follow=1&stdout=1&stderr=1&tail={lines}"


def _container_of(line: bytes) -> str:
    """Return the container an event is about, or an empty text when it is about none."""
    try:
        event = msgspec.json.decode(line)
        return str(event["Actor"]["ID"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""
